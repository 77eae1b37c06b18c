//! What the API says of Nodes, requests and leaders.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::agent::{Order, decode};
use super::ask::kubectl;
use super::{Kind, leases};
use crate::cluster::csr::{KUBELET_SERVING, LEGACY_UNKNOWN, Origin};
use crate::cluster::{
    ApiPicture, Condition, ConditionKind, EngineError, Manager, Request, Requestor,
};
use crate::pki::{self, Certificate};
use crate::time::Timestamp;

/// Requests as the API has them, and as the world knows them.
pub(super) type Listed = Vec<(Json, Request)>;

impl Kind {
    /// What the API says: the first control plane that gives an answer is believed.
    pub(super) fn api(&self, silent: &[usize]) -> Result<Option<ApiPicture>, EngineError> {
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
                    (
                        "leases".to_owned(),
                        get(&[leases::locks(member.plan.version), "-n", "kube-system"]),
                    ),
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
                    leaders: leases::leaders(&leases),
                }));
            }
        }
        Ok(None)
    }

    /// The requests, and the node that could be asked.
    pub(super) fn requests(&self) -> Result<Option<(usize, Listed)>, EngineError> {
        const LIST: [&str; 6] = [
            "--kubeconfig=/etc/kubernetes/admin.conf",
            "--request-timeout=8s",
            "get",
            "certificatesigningrequests",
            "-o",
            "json",
        ];
        for (node, member) in self.nodes.iter().enumerate() {
            if !member.powered || !member.plan.control_plane {
                continue;
            }
            let order = Order {
                commands: vec![("csr".to_owned(), kubectl(&LIST))],
                ..Order::default()
            };
            let report = member.container.order(&order)?;
            let said = report
                .commands
                .get("csr")
                .map(|ended| ended.stdout.as_str());
            if let Some(Ok(list)) = said.map(serde_json::from_str::<Json>) {
                let found = items(&list)
                    .filter_map(|item| Some((item.clone(), self.request(item)?)))
                    .collect();
                return Ok(Some((node, found)));
            }
        }
        Ok(None)
    }

    fn request(&self, item: &Json) -> Option<Request> {
        let text = |at: &str| item.pointer(at).and_then(Json::as_str);
        let instant =
            |text: &str| -> Option<Timestamp> { Some(self.instant_seen(text.parse().ok()?)) };
        let created = instant(text("/metadata/creationTimestamp")?)?;
        let username = text("/spec/username")?.to_owned();
        let node = username
            .strip_prefix("system:node:")
            .and_then(|name| self.nodes.iter().position(|one| one.plan.name == name));
        let asked = decode(text("/spec/request")?).ok()?;
        let strings = |at: &str| -> Vec<String> {
            let list = item.pointer(at).and_then(Json::as_array);
            list.into_iter()
                .flatten()
                .filter_map(|one| Some(one.as_str()?.to_owned()))
                .collect()
        };
        let usages = strings("/spec/usages");
        // Before 1.18 usages alone tell what a kubelet wants.
        let signer = match text("/spec/signerName") {
            Some(name) => name,
            None if usages.iter().any(|usage| usage == "server auth") => KUBELET_SERVING,
            None => LEGACY_UNKNOWN,
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
                    updated: instant(&word("lastUpdateTime")).unwrap_or(created),
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
                manager: if signer == KUBELET_SERVING {
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
            usages,
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

pub(super) fn items(list: &Json) -> impl Iterator<Item = &Json> {
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
