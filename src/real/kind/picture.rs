//! From what agents report to what the world knows.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::agent::{Content, Order, ProcessFound, Report, decode};
use super::handshake::Handshake;
use super::member::Member;
use super::wait::until;
use super::{Kind, Reports};
use super::{answer, ask};
use crate::cluster::{
    APISERVER_PATIENCE_S, Answer, EngineError, KubeletState, LOOPBACK, Look, NodePicture, Outcome,
    Picture, ProcessSeen, STATIC_PODS,
};
use crate::fs::{MemoryTree, Tree as _};
use crate::pki::Certificate;
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
pub(super) const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// Looks at static Pods that come back by themselves, half a second apart: leaders that lost their lease. One that ran when it
/// was looked at before is given as long as a kubelet: on a busy machine it takes its time.
const POD_LOOKS: u32 = 12;
/// Looks at a kubelet that comes and goes.
const KUBELET_LOOKS: u32 = 24;
const KUBELET_LOOK_EVERY: Duration = Duration::from_millis(500);

/// An API server that does not get to its etcd has ended itself after so many seconds, by the machine's clock.
const API_SERVER_STARTS_S: u32 = APISERVER_PATIENCE_S + 5;

impl Kind {
    /// Looks at every machine.
    pub(super) fn picture(&mut self, what: Look<'_>) -> Result<Picture, EngineError> {
        if what.deep {
            self.settle_kubelets()?;
            self.approve()?;
            self.clean_requests()?;
        }
        let mut reports = self.reports(what, true)?;
        self.keep_kubeconfigs(&reports);
        self.take_audits(&mut reports);
        if what.deep {
            self.note_health(&reports);
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
                let answer = answer::answer(self, edge, &reports, &trees, &processes, now);
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
                let mut kubelet = plain(10250);
                if member.plan.only_etcd() {
                    // It serves nobody but its own machine.
                    kubelet.address = format!("{LOOPBACK}:10250");
                }
                order.handshakes.push(("kubelet".to_owned(), kubelet));
                if member.plan.control_plane {
                    order.handshakes.push(health_check(address));
                }
                if member.plan.etcd {
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

    /// Looks until every kubelet that is meant to run has lived for a while, or has been seen to end, and every API server that
    /// has just started is healthy or has ended.
    fn settle_kubelets(&mut self) -> Result<(), EngineError> {
        let mut round = 0;
        until(KUBELET_LOOKS, KUBELET_LOOK_EVERY, || {
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
                    let missing = member.pods_missing(&report);
                    unsettled |= missing
                        .iter()
                        .any(|pod| round < POD_LOOKS || member.ran.contains(pod));
                }
                if has_young_api_server(&report) {
                    unsettled |= fails_health_check(&member.ask_health()?);
                }
            }
            round += 1;
            Ok((!unsettled).then_some(()))
        })
        .map(drop)
    }

    /// Notes which static Pods run, and which API servers fail their health check: the kubelet ends them when that lasts.
    fn note_health(&mut self, reports: &Reports) {
        for (node, member) in self.nodes.iter_mut().enumerate() {
            if let Some(report) = reports.get(&node) {
                member.note_pods(report);
            }
            member.unhealthy = member.powered && reports.get(&node).is_some_and(fails_health_check);
        }
    }

    /// Looks again at API servers that failed their health check, and says whether one still does: it may have been starting,
    /// or has been ended.
    pub(super) fn is_any_unhealthy(&mut self) -> Result<bool, EngineError> {
        let health = |member: &Member| -> Result<bool, EngineError> {
            Ok(member.unhealthy && fails_health_check(&member.ask_health()?))
        };
        let found = self.everywhere(health)?;
        let any = found.contains(&true);
        let powered = self.nodes.iter_mut().filter(|member| member.powered);
        for (member, unhealthy) in powered.zip(found) {
            member.unhealthy = unhealthy;
        }
        Ok(any)
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
                    // An API server that waits for etcd is as good as none, and so is a member that has found no leader.
                    silent: matches!(component, Component::ApiServer | Component::Etcd)
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
}

/// A number that no other process of the node has had.
pub(super) fn identity(process: &ProcessFound) -> u64 {
    process.start_ticks << 22 | u64::from(process.pid)
}

/// What a node's files are.
pub(super) fn tree(report: &Report) -> MemoryTree {
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

/// Asks an API server whether it is healthy.
fn health_check(address: IpAddr) -> (String, Handshake) {
    let handshake = Handshake {
        address: format!("{address}:6443"),
        pair: None,
        path: "/healthz".to_owned(),
    };
    (Component::ApiServer.name().to_owned(), handshake)
}

impl Member {
    /// Whether an API server runs here and fails its health check.
    pub(super) fn is_ill(&self) -> Result<bool, EngineError> {
        Ok(fails_health_check(&self.ask_health()?))
    }

    /// What runs here, and what the API server says to a health check.
    fn ask_health(&self) -> Result<Report, EngineError> {
        self.container.order(&Order {
            handshakes: vec![health_check(self.plan.address)],
            ..Order::default()
        })
    }
}

/// Whether an API server may still be starting: it listens meanwhile, and asks for its etcd.
fn has_young_api_server(report: &Report) -> bool {
    let name = Component::ApiServer.name();
    let mut servers = report.processes.iter().filter(|one| one.name == name);
    servers.any(|one| one.age_s < f64::from(API_SERVER_STARTS_S))
}

/// Whether an API server runs and fails its health check.
fn fails_health_check(report: &Report) -> bool {
    let name = Component::ApiServer.name();
    report.processes.iter().any(|one| one.name == name)
        && report
            .handshakes
            .get(name)
            .is_some_and(|shown| shown.status != Some(200))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::kind::handshake::Shown;

    fn report(age_s: f64, status: Option<u16>) -> Report {
        let name = Component::ApiServer.name().to_owned();
        let shown = Shown {
            status,
            ..Shown::default()
        };
        Report {
            processes: vec![ProcessFound {
                name: name.clone(),
                pid: 1,
                start_ticks: 1,
                age_s,
            }],
            handshakes: BTreeMap::from([(name, shown)]),
            ..Report::default()
        }
    }

    #[test]
    fn an_api_server_is_unhealthy_when_it_is_there_and_says_anything_but_ok() {
        assert!(!fails_health_check(&report(1.0, Some(200))));
        assert!(fails_health_check(&report(1.0, Some(500))));
        assert!(fails_health_check(&report(1.0, None)));
        let mut gone = report(1.0, None);
        gone.processes.clear();
        assert!(!fails_health_check(&gone));
        assert!(!fails_health_check(&Report::default()));
        assert!(has_young_api_server(&report(20.0, None)));
        assert!(!has_young_api_server(&report(60.0, None)));
        assert!(!has_young_api_server(&gone));
    }
}
