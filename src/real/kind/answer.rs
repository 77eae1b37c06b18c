//! What an answer says of an edge.

use std::collections::BTreeMap;

use super::agent::Ended;
use super::ask::{KUBELET_PORT, etcd_host, id_of};
use super::handshake::Shown;
use super::{Kind, Reports};
use crate::cluster::{Answer, EdgeId, Failure, FailureClass, Outcome, ProcessSeen, texts};
use crate::fs::{MemoryTree, Tree as _};
use crate::pki::{Certificate, ServerName, Usage, verify};
use crate::scenario::Component;
use crate::time::Timestamp;

/// What the answers say of an edge.
pub(super) fn answer(
    kind: &Kind,
    edge: EdgeId,
    reports: &Reports,
    trees: &[MemoryTree],
    processes: &[BTreeMap<Component, ProcessSeen>],
    now: Timestamp,
) -> Answer {
    let node = edge.client_node;
    let Some(report) = reports.get(&node) else {
        // A machine without power.
        return Answer::Seen(Outcome::Absent);
    };
    let id = id_of(edge);
    match (edge.client, edge.server, edge.server_node) {
        (Component::ControllerManager | Component::Scheduler, Component::ApiServer, None)
            if !processes[node].contains_key(&edge.client) =>
        {
            Answer::Seen(Outcome::Absent)
        }
        (Component::Kubelet, Component::ApiServer, None) if !kind.nodes[node].kubelet.runs() => {
            Answer::Seen(if kind.nodes[node].kubelet_wanted {
                Outcome::Failing(not_running("the kubelet ends at each start"))
            } else {
                Outcome::Failing(not_running("the kubelet does not run"))
            })
        }
        (_, Component::ApiServer, None) => {
            let ended: Vec<&Ended> = (0..)
                .map_while(|number| report.commands.get(&format!("{id}/{number}")))
                .collect();
            let answer = several(&ended);
            if edge.client == Component::Kubelet && without_pair(&ended) {
                // It has no certificate yet, runs, and shows none.
                let name = &kind.nodes[node].plan.name;
                let text = texts::anonymous(Component::Kubelet, Component::ApiServer, name);
                return Answer::Seen(Outcome::Failing(Failure::new(
                    FailureClass::Anonymous,
                    text,
                )));
            }
            answer
        }
        (Component::ApiServer | Component::Etcd, Component::Etcd, Some(_)) => {
            // A member that has found no leader asks its peers all the same.
            let asks = match edge.client {
                Component::Etcd => processes[node].contains_key(&Component::Etcd),
                client => serves(&processes[node], client),
            };
            if !asks {
                return Answer::Seen(Outcome::Absent);
            }
            match report.handshakes.get(&id) {
                Some(shown) => Answer::Seen(etcd(kind, edge, shown, &trees[node], now)),
                None => unseen("it was not asked for"),
            }
        }
        (Component::ApiServer, Component::Kubelet, Some(_)) => {
            if !serves(&processes[node], Component::ApiServer) {
                return Answer::Seen(Outcome::Absent);
            }
            match report.commands.get(&id) {
                Some(ended) => proxied(ended),
                None => unseen("it was not asked for"),
            }
        }
        (Component::ApiServer, Component::ApiServer, _) => {
            unseen("kube-apiserver's connection to itself is visible to itself only")
        }
        (Component::ApiServer, Component::Extension, _) => {
            unseen("no extension API server is installed")
        }
        (Component::MetricsServer, Component::Kubelet, Some(_))
            if !kind.nodes[node].kubelet.runs() =>
        {
            Answer::Seen(Outcome::Absent)
        }
        (Component::MetricsServer, Component::Kubelet, Some(server)) => {
            match report.handshakes.get(&id) {
                Some(shown) => scraped(kind, server, shown, &trees[node], reports, now),
                None => unseen("it was not asked for"),
            }
        }
        _ => unseen("nobody knows how to ask for it"),
    }
}

/// Whether a server is there and answers.
fn serves(processes: &BTreeMap<Component, ProcessSeen>, component: Component) -> bool {
    processes.get(&component).is_some_and(|seen| !seen.silent)
}

fn not_running(text: &str) -> Failure {
    Failure::new(FailureClass::NotRunning, text.to_owned())
}

/// Whether kubectl could not ask with a kubelet's credentials, for want of the file that its kubeconfig names.
fn without_pair(ended: &[&Ended]) -> bool {
    !ended.is_empty()
        && ended.iter().all(|one| {
            one.stderr.contains("kubelet-client-current.pem")
                && one.stderr.contains("no such file or directory")
        })
}

/// Whether the API server knew the client and let it ask. What is asked for may be missing: a kubelet's lease is made by the
/// kubelet, when it has registered itself.
fn answered(ended: &Ended) -> bool {
    ended.code == 0 || ended.stderr.contains("Error from server (NotFound)")
}

fn several(ended: &[&Ended]) -> Answer {
    let Some(first) = ended.first() else {
        return unseen("its credentials were not seen yet");
    };
    let working = ended.iter().filter(|one| answered(one)).count();
    if working == ended.len() {
        return Answer::Seen(Outcome::Ok);
    }
    // Where servers fail in several ways, what most of them say.
    let failures: Vec<Failure> = ended
        .iter()
        .filter(|one| !answered(one))
        .map(|one| failure(one))
        .collect();
    let count = |class| failures.iter().filter(|one| one.class == class).count();
    let mut failure = failures
        .iter()
        .rev()
        .max_by_key(|one| count(one.class))
        .cloned()
        .unwrap_or_else(|| failure(first));
    failure.one_of_several = failures.iter().any(|one| one.class != failure.class);
    if working == 0 {
        return Answer::Seen(Outcome::Failing(failure));
    }
    // Each server was asked twice, give or take those whose turn other clients took.
    let total = ended.len() / 2;
    let share = working.div_ceil(2);
    Answer::Seen(Outcome::Partial {
        working: share.clamp(1, total.saturating_sub(1).max(1)) as u32,
        total: total as u32,
        failure,
    })
}

/// What kubectl says, as a failure of the client it stands for.
fn failure(ended: &Ended) -> Failure {
    let text = ended.stderr.trim();
    let last = text
        .lines()
        .rev()
        // klog lines of kubectl's discovery repeat what the last line says.
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it failed without a word");
    Failure::new(class_of(text), last.to_owned())
}

/// The class of a failure that kubectl tells of.
fn class_of(text: &str) -> FailureClass {
    const WORDS: [(&str, FailureClass); 21] = [
        ("was refused", FailureClass::Unreachable),
        // An API server that waits for etcd at its start listens, and answers nobody.
        ("while waiting for connection", FailureClass::Unreachable),
        ("TLS handshake timeout", FailureClass::Unreachable),
        (
            "tls: failed to verify certificate",
            FailureClass::ServerCertificate,
        ),
        ("x509: ", FailureClass::ServerCertificate),
        ("system:anonymous", FailureClass::Anonymous),
        ("Unauthorized", FailureClass::ClientCertificate),
        ("provide credentials", FailureClass::ClientCertificate),
        ("Forbidden", FailureClass::Forbidden),
        ("is forbidden", FailureClass::Forbidden),
        ("connection refused", FailureClass::Unreachable),
        ("connection reset", FailureClass::Unreachable),
        ("no route to host", FailureClass::Unreachable),
        ("no such host", FailureClass::Unreachable),
        ("EOF", FailureClass::Unreachable),
        ("unable to read client-", FailureClass::Configuration),
        ("error loading config file", FailureClass::Configuration),
        ("invalid configuration", FailureClass::Configuration),
        ("no such file or directory", FailureClass::Configuration),
        ("private key does not match", FailureClass::Configuration),
        ("i/o timeout", FailureClass::Unreachable),
    ];
    WORDS
        .iter()
        .find(|(word, _)| text.contains(word))
        .map_or(FailureClass::Backend, |(_, class)| *class)
}

/// A request to a kubelet that an API server passed on.
fn proxied(ended: &Ended) -> Answer {
    if ended.code == 0 {
        return Answer::Seen(Outcome::Ok);
    }
    let text = ended.stderr.trim();
    let last = text.lines().last().unwrap_or_default().to_owned();
    // What the API server says about the kubelet comes as an answer of its own; anything else is about the way there.
    let about_kubelet = [
        "error trying to reach service",
        "the server has asked for the client to provide credentials",
        "dial tcp",
        "nodes/proxy",
    ];
    if !about_kubelet.iter().any(|word| text.contains(word)) || text.contains(":6443") {
        return unseen("it is seen through an API server only, and that gives no answer");
    }
    let class = if text.contains("connection refused") || text.contains("i/o timeout") {
        FailureClass::Unreachable
    } else if text.contains("x509: ") {
        FailureClass::ServerCertificate
    } else if text.contains("credentials") || text.contains("Unauthorized") {
        FailureClass::ClientCertificate
    } else if text.contains("forbidden") || text.contains("Forbidden") {
        FailureClass::Forbidden
    } else if text.contains("tls: internal error") {
        FailureClass::ServerCertificate
    } else {
        FailureClass::Backend
    };
    Answer::Seen(Outcome::Failing(Failure::new(class, last)))
}

/// A handshake with etcd, judged as Go's client would.
fn etcd(kind: &Kind, edge: EdgeId, shown: &Shown, tree: &MemoryTree, now: Timestamp) -> Outcome {
    let failing = |class, text: String| Outcome::Failing(Failure::new(class, text));
    if let Some(text) = &shown.unusable {
        return failing(FailureClass::Configuration, text.clone());
    }
    if let Some(text) = &shown.unreachable {
        return failing(FailureClass::Unreachable, text.clone());
    }
    let pki = &kind.nodes[edge.client_node].plan.certificates_dir;
    let name = etcd_host(kind, edge);
    let chain = certificates(shown);
    let roots = roots(tree, &format!("{pki}/etcd/ca.crt"));
    if let Some((leaf, rest)) = chain.split_first() {
        let name = ServerName::new(&name);
        if let Err(error) = verify(leaf, rest, &roots, Usage::Server, Some(&name), now) {
            return failing(
                FailureClass::ServerCertificate,
                texts::unverified(
                    edge.client,
                    kind.nodes[edge.client_node].plan.version,
                    &error,
                ),
            );
        }
    }
    match (&shown.refused, shown.status) {
        (None, Some(_)) => Outcome::Ok,
        // It listens, and serves nobody: a member that has found no leader yet.
        (Some(text), _) if chain.is_empty() => failing(FailureClass::Unreachable, text.clone()),
        (Some(text), _) => failing(FailureClass::ClientCertificate, text.clone()),
        (None, None) => failing(FailureClass::Backend, "no answer".to_owned()),
    }
}

/// A handshake with a kubelet, judged as a metrics-server would: the Pod itself does not run. Its token is reviewed by the
/// API server with which the kubelet talks.
fn scraped(
    kind: &Kind,
    server: usize,
    shown: &Shown,
    tree: &MemoryTree,
    reports: &Reports,
    now: Timestamp,
) -> Answer {
    let plan = &kind.nodes[server].plan;
    let authority = format!("{}:{KUBELET_PORT}", plan.address);
    let failing = |class, reason: &str| {
        let text = texts::scrape(&plan.name, &authority, reason);
        Answer::Seen(Outcome::Failing(Failure::new(class, text)))
    };
    if shown.unreachable.is_some() {
        let reason = texts::refused(&authority, kind.nodes[server].powered);
        return failing(FailureClass::Unreachable, &reason);
    }
    let chain = certificates(shown);
    let Some((leaf, rest)) = chain.split_first() else {
        let text =
            texts::kubelet_without_certificate(Component::MetricsServer, &plan.name, &authority);
        let failure = Failure::new(FailureClass::ServerCertificate, text);
        return Answer::Seen(Outcome::Failing(failure));
    };
    if plan.metrics_server == Some(true) {
        let roots = roots(tree, &format!("{}/ca.crt", plan.certificates_dir));
        let name = ServerName::new(&plan.address.to_string());
        if let Err(error) = verify(leaf, rest, &roots, Usage::Server, Some(&name), now) {
            return failing(
                FailureClass::ServerCertificate,
                &texts::unverified(Component::MetricsServer, plan.version, &error),
            );
        }
    }
    // Without a token it answers 401, which tells nothing but that it answers.
    if shown.status.is_none() {
        return unseen("the kubelet gave no answer after the handshake");
    }
    let kubelet = id_of(EdgeId {
        client: Component::Kubelet,
        client_node: server,
        server: Component::ApiServer,
        server_node: None,
    });
    let reviewed = reports
        .get(&server)
        .and_then(|report| report.commands.get(&format!("{kubelet}/0")))
        .is_some_and(|ended| ended.code == 0);
    if reviewed {
        return Answer::Seen(Outcome::Ok);
    }
    let text = texts::scrape_unauthorized(&plan.name);
    Answer::Seen(Outcome::Failing(Failure::new(FailureClass::Backend, text)))
}

/// What a server showed.
fn certificates(shown: &Shown) -> Vec<Certificate> {
    shown
        .chain
        .iter()
        .filter_map(|text| Certificate::from_der(&super::agent::decode(text).ok()?).ok())
        .collect()
}

/// The certificates of a bundle; none where there is no such file.
fn roots(tree: &MemoryTree, path: &str) -> Vec<Certificate> {
    tree.read(path)
        .ok()
        .and_then(|pem| Certificate::parse_pem_certs(&pem).ok())
        .unwrap_or_default()
}

fn unseen(reason: &str) -> Answer {
    Answer::Unseen(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(stderr: &str) -> Ended {
        Ended {
            code: 1,
            stdout: String::new(),
            stderr: stderr.to_owned(),
        }
    }

    #[test]
    fn what_kubectl_says_has_a_class() {
        for (text, class) in [
            (
                "Unable to connect to the server: tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2027-11-29T10:38:08Z is after 2027-11-24T10:36:32Z",
                FailureClass::ServerCertificate,
            ),
            (
                "error: You must be logged in to the server (Unauthorized)",
                FailureClass::ClientCertificate,
            ),
            (
                "Error from server (Forbidden): leases.coordination.k8s.io \"cp1\" is forbidden: User \"system:anonymous\" cannot get resource",
                FailureClass::Anonymous,
            ),
            (
                "The connection to the server 10.0.0.10:6443 was refused - did you specify the right host or port?\ndial tcp: connection refused",
                FailureClass::Unreachable,
            ),
            (
                "Unable to connect to the server: net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
                FailureClass::Unreachable,
            ),
            (
                "Unable to connect to the server: net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
                FailureClass::Backend,
            ),
        ] {
            assert_eq!(class_of(text), class, "{text}");
        }
    }

    #[test]
    fn what_is_missing_was_asked_for_with_success() {
        let missing =
            said("Error from server (NotFound): leases.coordination.k8s.io \"w1\" not found");
        assert!(matches!(several(&[&missing]), Answer::Seen(Outcome::Ok)));
        let refused = said("error: You must be logged in to the server (Unauthorized)");
        assert!(matches!(
            several(&[&refused]),
            Answer::Seen(Outcome::Failing(_))
        ));
    }

    #[test]
    fn a_kubelet_without_its_file_shows_no_certificate() {
        let text = "error: unable to read client-cert /var/lib/kubelet/pki/kubelet-client-current.pem for default-auth due to open /var/lib/kubelet/pki/kubelet-client-current.pem: no such file or directory";
        assert!(without_pair(&[&said(text)]));
        assert!(!without_pair(&[]));
        assert!(!without_pair(&[&said("Unauthorized")]));
    }

    #[test]
    fn a_way_that_fails_says_nothing_about_its_end() {
        let way = said(
            "Get \"https://10.0.0.10:6443/api\": dial tcp 10.0.0.10:6443: connect: connection refused",
        );
        assert!(matches!(proxied(&way), Answer::Unseen(_)));
        let end = said(
            "Error from server (ServiceUnavailable): error trying to reach service: dial tcp 10.0.0.11:10250: connect: connection refused",
        );
        assert!(matches!(
            proxied(&end),
            Answer::Seen(Outcome::Failing(Failure {
                class: FailureClass::Unreachable,
                ..
            }))
        ));
    }
}
