//! From what agents report to what the world knows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use super::agent::{Content, Order, ProcessFound, Report, decode, pause};
use super::ask::{self, kubectl};
use super::handshake::Handshake;
use super::{Kind, Reports};
use crate::cluster::csr::Origin;
use crate::cluster::{
    Answer, ApiPicture, Condition, ConditionKind, EngineError, KubeletState, Look, Manager,
    NodePicture, Outcome, Picture, ProcessSeen, Request, Requestor, STATIC_PODS,
};
use crate::fs::{MemoryTree, Tree as _};
use crate::pki::{self, Certificate};
use crate::scenario::Component;
use crate::time::{SignedDuration, Timestamp, shift};

/// Directories and files of a node that matter.
pub(super) const ROOTS: [&str; 6] = [
    "/etc/kubernetes",
    "/var/lib/kubelet/pki",
    "/var/lib/kubelet/config.yaml",
    "/var/lib/kubelet/instance-config.yaml",
    "/root/.kube/config",
    "/kubeadm.yaml",
];
/// Where the kubelet reads static Pods from.
const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// Looks at static Pods that come back by themselves, half a second apart: leaders that lost their lease.
const POD_LOOKS: u32 = 12;
/// Looks at a kubelet that comes and goes, half a second apart.
const KUBELET_LOOKS: u32 = 24;

impl Kind {
    /// Looks at every machine.
    pub(super) fn picture(&mut self, what: Look<'_>) -> Result<Picture, EngineError> {
        if what.deep {
            self.settle_kubelets()?;
        }
        let mut reports = self.reports(what, true)?;
        self.keep_kubeconfigs(&reports);
        self.take_audits(&mut reports);
        if what.deep {
            // A component that was seen for the first time: now its kubeconfig is known.
            let missing = what.edges.iter().any(|edge| {
                matches!(
                    edge.client,
                    Component::ControllerManager | Component::Scheduler
                ) && reports.get(&edge.client_node).is_some_and(|report| {
                    !report
                        .commands
                        .contains_key(&format!("{}/0", ask::id_of(*edge)))
                })
            });
            if missing {
                let logs: Vec<_> = reports
                    .iter_mut()
                    .map(|(node, report)| (*node, std::mem::take(&mut report.logs)))
                    .collect();
                reports = self.reports(what, true)?;
                self.take_audits(&mut reports);
                for (node, old) in logs {
                    let Some(report) = reports.get_mut(&node) else {
                        continue;
                    };
                    for (log, (mut lines, _)) in old {
                        if let Some((newer, _)) = report.logs.get_mut(&log) {
                            lines.append(newer);
                            *newer = lines;
                        }
                    }
                }
            }
        }
        let now = self.ahead.now();
        let trees: Vec<MemoryTree> = (0..self.nodes.len())
            .map(|node| reports.get(&node).map(tree).unwrap_or_default())
            .collect();
        let processes: Vec<BTreeMap<Component, ProcessSeen>> = (0..self.nodes.len())
            .map(|node| {
                reports
                    .get(&node)
                    .map(|report| self.processes(node, report, now))
                    .unwrap_or_default()
            })
            .collect();
        let edges: Vec<_> = what
            .edges
            .iter()
            .map(|&edge| {
                let answer = ask::answer(self, edge, &reports, &trees, &processes, now);
                (edge, answer)
            })
            .collect();
        // Where kubectl was not answered a moment ago it is not asked again.
        let silent: Vec<usize> = edges
            .iter()
            .filter(|(edge, answer)| {
                edge.client == Component::Admin
                    && matches!(answer, Answer::Seen(Outcome::Failing(_)))
            })
            .map(|(edge, _)| edge.client_node)
            .collect();
        let api = if what.deep { self.api(&silent)? } else { None };
        let quorum = what.deep.then(|| {
            reports.values().any(|report| {
                report
                    .plain
                    .get("etcd")
                    .is_some_and(|(status, body)| *status == 200 && body.contains("\"true\""))
            })
        });
        let nodes = self.node_pictures(reports, trees, processes);
        Ok(Picture {
            now,
            nodes,
            edges,
            api,
            quorum,
        })
    }

    fn node_pictures(
        &mut self,
        mut reports: Reports,
        trees: Vec<MemoryTree>,
        processes: Vec<BTreeMap<Component, ProcessSeen>>,
    ) -> Vec<NodePicture> {
        let mut pictures = Vec::new();
        let showed: Vec<_> = (0..self.nodes.len())
            .map(|node| self.kubelet_showed(node))
            .collect();
        for ((node, tree), processes) in trees.into_iter().enumerate().zip(processes) {
            let Some(report) = reports.get_mut(&node) else {
                pictures.push(NodePicture {
                    tree: self.last_tree(node),
                    kubelet: (KubeletState::Stopped, 0),
                    kubelet_shows: None,
                    kubelet_showed: None,
                    processes: BTreeMap::new(),
                    logs: Vec::new(),
                });
                continue;
            };
            let member = &mut self.nodes[node];
            let mut logs = Vec::new();
            for (log, (lines, end)) in std::mem::take(&mut report.logs) {
                let name = log.split(' ').next().unwrap_or_default();
                let component = STATIC_PODS
                    .into_iter()
                    .chain([Component::Kubelet])
                    .find(|component| component.name() == name);
                if let Some(component) = component {
                    logs.extend(lines.into_iter().map(|line| (component, line)));
                }
                member.logs.insert(log, end);
            }
            let kubelet = match (&member.kubelet.living, member.kubelet_wanted) {
                (Some(id), _) => (KubeletState::Running, *id),
                (None, true) => (KubeletState::Exited, 0),
                (None, false) => (KubeletState::Stopped, 0),
            };
            member.tree = tree.clone();
            pictures.push(NodePicture {
                tree,
                kubelet,
                kubelet_shows: shown(report, "kubelet"),
                kubelet_showed: showed[node],
                processes,
                logs,
            });
        }
        pictures
    }

    fn last_tree(&self, node: usize) -> MemoryTree {
        self.nodes[node].tree.clone()
    }

    /// What every node with power reports.
    fn reports(&mut self, what: Look<'_>, with_logs: bool) -> Result<Reports, EngineError> {
        let mut orders: Vec<Order> = self
            .nodes
            .iter()
            .map(|member| Order {
                roots: ROOTS
                    .iter()
                    .map(|&root| root.to_owned())
                    .chain(member.written.iter().cloned())
                    .collect(),
                logs: with_logs.then(|| member.logs.clone()),
                audit: (what.deep && member.plan.control_plane).then_some(member.audited.read),
                ..Order::default()
            })
            .collect();
        if what.deep {
            ask::questions(self, what.edges, &mut orders);
            for (member, order) in self.nodes.iter().zip(&mut orders) {
                let address = member.plan.address;
                let plain = |port: u16| Handshake {
                    address: format!("{address}:{port}"),
                    pair: None,
                    path: "/healthz".to_owned(),
                };
                order.handshakes.push(("kubelet".to_owned(), plain(10250)));
                if member.plan.control_plane {
                    order
                        .handshakes
                        .push(("kube-apiserver".to_owned(), plain(6443)));
                    order.handshakes.push(("etcd".to_owned(), plain(2379)));
                    order.plain.push((
                        "etcd".to_owned(),
                        "127.0.0.1:2381".to_owned(),
                        "/health".to_owned(),
                    ));
                }
            }
        }
        let orders = &orders;
        let places: Vec<usize> = (0..self.nodes.len())
            .filter(|&node| self.nodes[node].powered)
            .collect();
        let answers = std::thread::scope(|scope| {
            let threads: Vec<_> = places
                .iter()
                .map(|&node| {
                    let container = &self.nodes[node].container;
                    scope.spawn(move || container.order(&orders[node]))
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread.join().unwrap_or_else(|_| {
                        Err(EngineError {
                            message: "a thread panicked".to_owned(),
                            help: "this is a defect of certdrill: please report it".to_owned(),
                        })
                    })
                })
                .collect::<Result<Vec<Report>, _>>()
        })?;
        Ok(places.into_iter().zip(answers).collect())
    }

    /// Looks until every kubelet that is meant to run has lived for a while, or has been seen to end.
    fn settle_kubelets(&mut self) -> Result<(), EngineError> {
        for round in 0..KUBELET_LOOKS {
            let mut unsettled = false;
            let order = Order {
                roots: vec![MANIFESTS.to_owned()],
                restarts: true,
                ..Order::default()
            };
            let reports = self.everywhere(|member| member.container.order(&order))?;
            let powered = self.nodes.iter_mut().filter(|member| member.powered);
            for (member, report) in powered.zip(reports) {
                let found = report.processes.iter().find(|one| one.name == "kubelet");
                unsettled |=
                    !member.kubelet.follow(found, report.kubelet_restarts) && member.kubelet_wanted;
                if member.kubelet.runs() {
                    unsettled |= round < POD_LOOKS && !member.pods_run(&report);
                }
            }
            if !unsettled {
                return Ok(());
            }
            pause(Duration::from_millis(500));
        }
        Ok(())
    }

    /// Keeps the kubeconfigs of components whose process is new.
    fn keep_kubeconfigs(&mut self, reports: &Reports) {
        for (&node, report) in reports {
            let member = &mut self.nodes[node];
            for process in &report.processes {
                let (component, path) = match process.name.as_str() {
                    "kube-controller-manager" => (
                        Component::ControllerManager,
                        "/etc/kubernetes/controller-manager.conf",
                    ),
                    "kube-scheduler" => (Component::Scheduler, "/etc/kubernetes/scheduler.conf"),
                    _ => continue,
                };
                let key = (component, identity(process));
                if member.kubeconfigs.contains_key(&key) {
                    continue;
                }
                let content = report
                    .files
                    .iter()
                    .find(|file| file.path == path)
                    .and_then(|file| match &file.what {
                        Content::File(content) => decode(content).ok(),
                        _ => None,
                    });
                if let Some(content) = content {
                    member.kubeconfigs.insert(key, Arc::from(content));
                }
            }
        }
    }

    /// Takes what API servers have written down, and since when processes live.
    fn take_audits(&mut self, reports: &mut Reports) {
        let now = self.ahead.now();
        for (&node, report) in reports {
            let member = &mut self.nodes[node];
            if let Some(new) = report.audit.take() {
                member.audited.take(new, member.skew);
            }
            for process in &report.processes {
                let age = SignedDuration::try_from_secs_f64(process.age_s).unwrap_or_default();
                // Hops since its start make it older than that, never younger.
                member
                    .lives_since
                    .entry(identity(process))
                    .or_insert_with(|| shift(now, -age));
            }
        }
    }

    /// The certificate that a node's kubelet showed last: at whichever API server, through whichever balancer.
    fn kubelet_showed(&self, node: usize) -> Option<([u8; 32], Timestamp)> {
        let member = &self.nodes[node];
        let since = *member.lives_since.get(&member.kubelet.living?)?;
        let user = format!("system:node:{}", member.plan.name);
        let last = self
            .nodes
            .iter()
            .flat_map(|one| one.audited.of(&user, None))
            .filter(|named| named.at >= since)
            .max_by_key(|named| named.at)?;
        Some((bytes(&last.sha256)?, last.at))
    }

    /// The certificate that a component showed last. Its user is the same on every node; it asks from its own address.
    fn component_showed(&self, node: usize, component: Component, id: u64) -> Option<[u8; 32]> {
        let user = match component {
            Component::ControllerManager => "system:kube-controller-manager",
            Component::Scheduler => "system:kube-scheduler",
            _ => return None,
        };
        let member = &self.nodes[node];
        let since = *member.lives_since.get(&id)?;
        let source = member.plan.address.to_string();
        let last = self
            .nodes
            .iter()
            .flat_map(|one| one.audited.of(user, Some(&source)))
            .filter(|named| named.at >= since)
            .max_by_key(|named| named.at)?;
        bytes(&last.sha256)
    }

    fn processes(
        &self,
        node: usize,
        report: &Report,
        now: Timestamp,
    ) -> BTreeMap<Component, ProcessSeen> {
        let mut found = BTreeMap::new();
        for component in STATIC_PODS {
            // The newest, where an old one is still on its way out.
            let Some(process) = report
                .processes
                .iter()
                .filter(|one| one.name == component.name())
                .max_by_key(|one| one.start_ticks)
            else {
                continue;
            };
            let id = identity(process);
            let age = SignedDuration::try_from_secs_f64(process.age_s).unwrap_or_default();
            found.insert(
                component,
                ProcessSeen {
                    id,
                    started: shift(now, -age),
                    // An etcd that finds no quorum runs and does not serve; an API server that waits for etcd is
                    // as good as none.
                    silent: component == Component::ApiServer
                        && report
                            .handshakes
                            .get(component.name())
                            .is_some_and(|shown| shown.chain.is_empty()),
                    shows: shown(report, component.name()),
                    kubeconfig: self.nodes[node].kubeconfigs.get(&(component, id)).cloned(),
                    showed: self.component_showed(node, component, id),
                },
            );
        }
        found
    }

    /// What the API says: the first control plane that gives an answer is believed.
    fn api(&self, silent: &[usize]) -> Result<Option<ApiPicture>, EngineError> {
        for (node, member) in self.nodes.iter().enumerate() {
            if !member.powered || !member.plan.control_plane || silent.contains(&node) {
                continue;
            }
            let get = |what: &[&str]| {
                let mut args = vec![
                    "--kubeconfig=/etc/kubernetes/admin.conf",
                    "--request-timeout=8s",
                    "get",
                ];
                args.extend(what);
                args.extend(["-o", "json"]);
                kubectl(&args)
            };
            let order = Order {
                commands: vec![
                    ("nodes".to_owned(), get(&["nodes"])),
                    ("csr".to_owned(), get(&["certificatesigningrequests"])),
                    ("leases".to_owned(), get(&["leases", "-n", "kube-system"])),
                ],
                ..Order::default()
            };
            let report = member.container.order(&order)?;
            let read = |id: &str| -> Option<Json> {
                let ended = report.commands.get(id)?;
                (ended.code == 0).then(|| serde_json::from_str(&ended.stdout).ok())?
            };
            if let (Some(nodes), Some(requests), Some(leases)) =
                (read("nodes"), read("csr"), read("leases"))
            {
                return Ok(Some(ApiPicture {
                    ready: ready(&nodes),
                    requests: items(&requests)
                        .filter_map(|item| self.request(item))
                        .collect(),
                    leaders: leaders(&leases),
                }));
            }
        }
        Ok(None)
    }

    fn request(&self, item: &Json) -> Option<Request> {
        let text = |at: &str| item.pointer(at).and_then(Json::as_str);
        let created: Timestamp = text("/metadata/creationTimestamp")?.parse().ok()?;
        let username = text("/spec/username")?.to_owned();
        let node = username
            .strip_prefix("system:node:")
            .and_then(|name| self.nodes.iter().position(|one| one.plan.name == name));
        let signer = text("/spec/signerName").unwrap_or("kubernetes.io/legacy-unknown");
        let asked = decode(text("/spec/request")?).ok()?;
        let strings = |at: &str| -> Vec<String> {
            let list = item.pointer(at).and_then(Json::as_array);
            list.into_iter()
                .flatten()
                .filter_map(|one| Some(one.as_str()?.to_owned()))
                .collect()
        };
        let conditions = item
            .pointer("/status/conditions")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
            .filter_map(|one| {
                let kind = match one["type"].as_str()? {
                    "Approved" => ConditionKind::Approved,
                    "Denied" => ConditionKind::Denied,
                    "Failed" => ConditionKind::Failed,
                    _ => return None,
                };
                let word = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
                Some(Condition {
                    kind,
                    reason: word("reason"),
                    message: word("message"),
                    updated: word("lastUpdateTime").parse().unwrap_or(created),
                })
            })
            .collect();
        let certificate = text("/status/certificate")
            .and_then(|text| decode(text).ok())
            .and_then(|pem| Certificate::parse_pem_certs(&pem).ok())
            .and_then(|found| found.into_iter().next());
        let origin = match node {
            Some(node) => Origin::Kubelet {
                node,
                process: 0,
                manager: if signer.ends_with("kubelet-serving") {
                    Manager::Serving
                } else {
                    Manager::Client
                },
            },
            None => Origin::Step {
                node: 0,
                save_to: None,
            },
        };
        Some(Request {
            name: text("/metadata/name")?.to_owned(),
            requestor: Requestor {
                username,
                groups: strings("/spec/groups"),
            },
            signer: signer.to_owned(),
            usages: strings("/spec/usages"),
            expiration_seconds: item
                .pointer("/spec/expirationSeconds")
                .and_then(Json::as_i64),
            asked: pki::Request::from_pem(&asked).ok()?,
            created,
            created_ticks: created,
            conditions,
            certificate,
            deleted: false,
            origin,
            key: None,
            scheduled: false,
            refused_by: None,
            cause: 0,
        })
    }
}

impl super::Member {
    /// Whether every static Pod of a manifest has a process. One that ends again and again has none most of the time.
    fn pods_run(&self, report: &Report) -> bool {
        STATIC_PODS.iter().all(|component| {
            let path = format!("{MANIFESTS}/{}.yaml", component.name());
            let wanted = report.files.iter().any(|file| file.path == path);
            !wanted
                || report
                    .processes
                    .iter()
                    .any(|process| process.name == component.name())
        })
    }
}

/// A number that no other process of the node has had.
pub(super) fn identity(process: &ProcessFound) -> u64 {
    process.start_ticks << 22 | u64::from(process.pid)
}

fn tree(report: &Report) -> MemoryTree {
    let mut tree = MemoryTree::new();
    for file in &report.files {
        let parent = file.path.rsplit_once('/').map_or("", |(dir, _)| dir);
        let made = match parent {
            "" => Ok(()),
            parent => tree.create_dir_all(parent, 0o755),
        };
        let written = made.and_then(|()| match &file.what {
            Content::Dir => tree
                .create_dir_all(&file.path, file.mode)
                .and_then(|()| tree.set_mode(&file.path, file.mode)),
            Content::Link(target) => tree.symlink(target, &file.path),
            Content::File(content) => {
                let bytes = decode(content).unwrap_or_default();
                tree.write(&file.path, &bytes, file.mode)
            }
        });
        // A tree in memory without faults takes anything that a real one had.
        if written.is_ok() && file.owner != (0, 0) && !matches!(file.what, Content::Link(_)) {
            let _ = tree.set_owner(&file.path, file.owner.0, file.owner.1);
        }
    }
    tree
}

fn shown(report: &Report, id: &str) -> Option<Certificate> {
    let der = decode(report.handshakes.get(id)?.chain.first()?).ok()?;
    Certificate::from_der(&der).ok()
}

/// A SHA-256 from its hexadecimal digits.
fn bytes(hex: &str) -> Option<[u8; 32]> {
    let mut found = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (byte, digits) in found.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(found)
}

fn items(list: &Json) -> impl Iterator<Item = &Json> {
    list["items"].as_array().into_iter().flatten()
}

fn ready(nodes: &Json) -> BTreeMap<String, bool> {
    items(nodes)
        .filter_map(|item| {
            let name = item.pointer("/metadata/name")?.as_str()?.to_owned();
            let ready = item
                .pointer("/status/conditions")?
                .as_array()?
                .iter()
                .any(|one| one["type"] == "Ready" && one["status"] == "True");
            Some((name, ready))
        })
        .collect()
}

/// Who holds the leases of those that elect a leader, by the name of the process, where it was renewed since an instant.
pub(super) fn renewed_since(leases: &str, since: Timestamp) -> Vec<(&'static str, String)> {
    let leases: Json = serde_json::from_str(leases).unwrap_or_default();
    items(&leases)
        .filter_map(|item| {
            let name = item.pointer("/metadata/name")?.as_str()?;
            let &(process, _) = super::node::ELECTED
                .iter()
                .find(|(_, lease)| *lease == name)?;
            let renewed: Timestamp = item.pointer("/spec/renewTime")?.as_str()?.parse().ok()?;
            let holder = item.pointer("/spec/holderIdentity")?.as_str()?;
            (renewed >= since).then(|| {
                (
                    process,
                    holder.split('_').next().unwrap_or(holder).to_owned(),
                )
            })
        })
        .collect()
}

fn leaders(leases: &Json) -> BTreeMap<Component, String> {
    items(leases)
        .filter_map(|item| {
            let name = item.pointer("/metadata/name")?.as_str()?;
            let component = [Component::ControllerManager, Component::Scheduler]
                .into_iter()
                .find(|component| component.name() == name)?;
            // `cp1_0b1c...`
            let holder = item.pointer("/spec/holderIdentity")?.as_str()?;
            Some((component, holder.split('_').next()?.to_owned()))
        })
        .collect()
}
