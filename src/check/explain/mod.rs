//! Why something is as it is: a certificate, an edge, a kubelet or a request, at one instant of a run.
//!
//! An explanation names the rule, the numbers, the file and process that hold what decides, and the row of the
//! documentation or the issue that it comes from. It reads the world and changes nothing.

mod known;
mod kubelet;

use std::fmt::Write as _;

use crate::cluster::{Edge, EdgeId, Outcome, RequestState, World};
use crate::kubeadm::certlist::RENEWED;
use crate::kubeadm::profile::historic::HELP;
use crate::pki::Certificate;
use crate::run::trace::Entry;
use crate::scenario::{Component, Target};
use crate::time::{Timestamp, span};

pub use known::known;

use super::certificate_path;
use super::select::edges_between;
use kubelet::explain_kubelet;

/// What is to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An edge by its ends.
    Edge {
        /// The client.
        client: Target,
        /// The server.
        server: Target,
    },
    /// A certificate on disk: kubeadm's name or a path, and its node.
    Certificate {
        /// Name or absolute path.
        name: String,
        /// The node's name.
        node: String,
    },
    /// The kubelet of a node.
    Kubelet(String),
    /// A request by its name.
    Request(String),
}

/// What there is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What it is about, and how it stands.
    pub title: String,
    /// Headings and what stands below them, in order.
    pub facts: Vec<(String, String)>,
}

/// Explains everything that a subject names; empty where it names nothing.
#[must_use]
pub fn explain(world: &World, subject: &Subject) -> Vec<Explanation> {
    match subject {
        Subject::Edge { client, server } => edges_between(world, client, server)
            .map(|edge| explain_edge(world, edge))
            .collect(),
        Subject::Certificate { name, node } => world
            .node_named(node)
            .and_then(|node| explain_certificate(world, node, name))
            .into_iter()
            .collect(),
        Subject::Kubelet(node) => world
            .node_named(node)
            .map(|node| explain_kubelet(world, node))
            .into_iter()
            .collect(),
        Subject::Request(name) => explain_request(world, name).into_iter().collect(),
    }
}

fn explain_edge(world: &World, edge: &Edge) -> Explanation {
    let id = edge.id;
    let state = match &edge.fresh {
        Outcome::Absent => "has no client at the moment".to_owned(),
        Outcome::Ok => "works".to_owned(),
        Outcome::Partial { working, total, .. } => {
            format!("works on {working} of {total} API servers behind the load balancer")
        }
        Outcome::Failing(failure) => format!("fails ({})", failure.class.word()),
    };
    let mut facts = Vec::new();
    if let Some(failure) = edge.fresh.failure() {
        facts.push(("text".to_owned(), failure.text.clone()));
        if let Some(line) = &failure.server_log {
            facts.push(("server's log".to_owned(), line.clone()));
        }
    }
    facts.push((
        "open connection".to_owned(),
        match &edge.held {
            None => "none".to_owned(),
            Some(held) => format!(
                "to {}: {}",
                world.nodes[held.server_node].name,
                held.failure
                    .as_ref()
                    .map_or("works", |failure| failure.text.as_str())
            ),
        },
    ));
    for (node, file, certificate) in world.shown_certificates(id) {
        let fact = ("shows".to_owned(), held(world, node, &file, &certificate));
        if !facts.contains(&fact) {
            facts.push(fact);
        }
    }
    facts.push(("rule".to_owned(), rule_of(id).to_owned()));
    if let Some(text) = cause(world, edge.cause) {
        facts.push(("since".to_owned(), text));
    }
    if let Some(text) = cure(world, edge) {
        facts.push(("what helps".to_owned(), text));
    }
    facts.push(("see".to_owned(), rows_of(edge)));
    Explanation {
        title: format!("{} {state}", world.edge_name(id)),
        facts,
    }
}

/// A certificate that a process holds, beside what the disk holds.
fn held(world: &World, node: usize, file: &str, certificate: &Certificate) -> String {
    let now = world.wall(node);
    let mut text = format!(
        "{} of {}: {}",
        subject(certificate),
        world.nodes[node].name,
        life(certificate, now)
    );
    match world.nodes[node].on_disk.get(file) {
        Some(entry) if entry.certificate.der() == certificate.der() => {
            let _ = write!(text, "; as on disk in {file}");
        }
        Some(entry) => {
            let _ = write!(
                text,
                "; held in memory, while {file} on disk is {}",
                life(&entry.certificate, now)
            );
        }
        None => {
            let _ = write!(text, "; from {file}");
        }
    }
    text
}

fn subject(certificate: &Certificate) -> String {
    let mut text = format!("CN={}", certificate.common_name());
    for group in certificate.organizations() {
        let _ = write!(text, ", O={group}");
    }
    text
}

fn life(certificate: &Certificate, now: Timestamp) -> String {
    let (from, until) = (certificate.not_before(), certificate.not_after());
    let left = until.duration_since(now);
    if now < from {
        return format!(
            "not valid for another {} (from {from})",
            span::display(from.duration_since(now))
        );
    }
    if left.is_negative() {
        return format!("ended {} ago (valid until {until})", span::display(-left));
    }
    format!("valid until {until}, {} left", span::display(left))
}

fn rule_of(id: EdgeId) -> &'static str {
    match (id.client, id.server) {
        (Component::ApiServer, Component::ApiServer) => {
            "kube-apiserver makes this certificate at its start and keeps it in memory; only a restart makes a new one"
        }
        (Component::ApiServer, Component::Etcd) | (Component::Etcd, _) => {
            "etcd checks a certificate in the handshake and never again: an open connection outlives it"
        }
        (Component::ApiServer, Component::Kubelet) => {
            "a kubelet authenticates every request by its client CA and asks RBAC; kube-apiserver does not check what \
             the kubelet shows (kubeadm sets no --kubelet-certificate-authority)"
        }
        (Component::ApiServer, _) => {
            "the front-proxy CA decides whom an extension API server believes"
        }
        (Component::Extension, _) => "who scrapes a kubelet checks its serving certificate",
        _ => {
            "the client checks the API server's name and CA; the API server authenticates the client's certificate with \
             every request, also on an open connection"
        }
    }
}

fn rows_of(edge: &Edge) -> String {
    let mut rows = match (edge.id.client, edge.id.server) {
        (Component::ApiServer, Component::ApiServer) => vec!["S25"],
        (Component::Kubelet, _) => vec!["D1", "D6", "D7"],
        (Component::ApiServer, Component::Kubelet) => vec!["D13", "D20", "S7", "S8", "S26"],
        (Component::User, _) => vec!["S32"],
        (Component::Admin, _) => vec!["D1", "S27"],
        (_, Component::Etcd) => vec!["D1", "D15", "S5", "S24"],
        _ => vec!["D1", "D13"],
    };
    rows.dedup();
    format!("{} (certdrill list --coverage)", rows.join(", "))
}

fn cause(world: &World, cause: Option<u64>) -> Option<String> {
    let record = world.records.get(usize::try_from(cause?).ok()?)?;
    let Entry::Event(event) = &record.entry else {
        return None;
    };
    Some(format!("{}: {}", record.at, event.text))
}

/// What to do about an edge that fails because of certificates, one sentence for each of them.
fn cure(world: &World, edge: &Edge) -> Option<String> {
    edge.fresh.failure()?;
    let mut sentences: Vec<String> = Vec::new();
    for (node, file, certificate) in world.shown_certificates(edge.id) {
        let now = world.wall(node);
        if certificate.not_before() <= now && now <= certificate.not_after() {
            continue;
        }
        let Some(disk) = world.nodes[node].on_disk.get(&file) else {
            continue;
        };
        let name = &world.nodes[node].name;
        let sentence = if now <= disk.certificate.not_after() {
            format!(
                "{file} on {name} is renewed already: restart the process that holds the old one"
            )
        } else {
            match renewer(&file, &world.nodes[node].certificates_dir) {
                Renewer::Kubeadm(_) if world.nodes[node].version.is_historic() => {
                    format!("on {name}: make it anew; {HELP}")
                }
                Renewer::Kubeadm(certificate) => format!(
                    "on {name}: kubeadm {}, then restart the static Pods",
                    world.certs_command(node, &["renew", certificate]).join(" ")
                ),
                Renewer::Kubelet => format!(
                    "a kubelet renews {file} by itself while it has a valid one; after that it needs a new kubelet.conf \
                     made on a control plane (troubleshooting page, D7)"
                ),
                Renewer::Nobody => format!("nobody renews {file}: copy or make it anew"),
            }
        };
        if !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }
    (!sentences.is_empty()).then(|| sentences.join("; "))
}

enum Renewer {
    Kubeadm(&'static str),
    Kubelet,
    Nobody,
}

fn renewer(file: &str, certificates_dir: &str) -> Renewer {
    if let Some(name) = RENEWED
        .iter()
        .find(|name| certificate_path(name, certificates_dir) == file)
    {
        return Renewer::Kubeadm(name);
    }
    if file.starts_with("/var/lib/kubelet/pki/kubelet-client") {
        return Renewer::Kubelet;
    }
    Renewer::Nobody
}

fn explain_certificate(world: &World, node: usize, name: &str) -> Option<Explanation> {
    let machine = &world.nodes[node];
    let asked = certificate_path(name, &machine.certificates_dir);
    let path = crate::fs::Tree::read_link(&machine.tree, &asked).unwrap_or(asked);
    let entry = machine.on_disk.get(&path)?;
    let certificate = &entry.certificate;
    let now = world.wall(node);
    let mut facts = vec![
        ("file".to_owned(), path.clone()),
        ("subject".to_owned(), subject(certificate)),
        (
            "issuer".to_owned(),
            certificate.issuer_common_name().to_owned(),
        ),
        (
            "validity".to_owned(),
            format!(
                "{} until {}; the node's clock shows {now}",
                certificate.not_before(),
                certificate.not_after()
            ),
        ),
    ];
    for id in world.edges.iter().map(|edge| edge.id) {
        for (holder, file, shown) in world.shown_certificates(id) {
            if holder == node && file == path {
                let same = shown.der() == certificate.der();
                facts.push((
                    "used by".to_owned(),
                    format!(
                        "{}{}",
                        world.edge_name(id),
                        if same {
                            String::new()
                        } else {
                            format!(", with another one in memory: {}", life(&shown, now))
                        }
                    ),
                ));
            }
        }
    }
    if certificate.is_ca() {
        facts.extend(of_a_ca(world, node, certificate));
    } else {
        facts.push((
            "who renews it".to_owned(),
            match renewer(&path, &machine.certificates_dir) {
                Renewer::Kubeadm(_) if machine.version.is_historic() => HELP.to_owned(),
                Renewer::Kubeadm(name) => format!(
                    "kubeadm {} on this node, or an upgrade that changes the component's manifest (D9, D12)",
                    world.certs_command(node, &["renew", name]).join(" ")
                ),
                Renewer::Kubelet => "the kubelet, at 70 to 90 % of its life (D6)".to_owned(),
                Renewer::Nobody if path.contains("/pki/kubelet-server") => {
                    "the kubelet asks, and somebody must approve (D22)".to_owned()
                }
                Renewer::Nobody => "nobody".to_owned(),
            },
        ));
    }
    Some(Explanation {
        title: format!("{name} on {}: {}", machine.name, life(certificate, now)),
        facts,
    })
}

/// What a CA has signed on its node, which of that outlives it, and that kubeadm does not renew it.
fn of_a_ca(world: &World, node: usize, ca: &Certificate) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    for (path, entry) in &world.nodes[node].on_disk {
        let signed = &entry.certificate;
        if signed.der() == ca.der() || !signed.signature_is_by(ca) {
            continue;
        }
        let until = signed.not_after();
        facts.push((
            "has signed".to_owned(),
            if until > ca.not_after() {
                format!(
                    "{path}, valid until {until}: longer than this CA, and worth nothing after it"
                )
            } else {
                format!("{path}, valid until {until}")
            },
        ));
    }
    facts.push((
        "rule".to_owned(),
        "kubeadm makes a CA for ten years; every certificate that it signed is refused from its last second on (D1)"
            .to_owned(),
    ));
    facts.push((
        "who renews it".to_owned(),
        "nobody: kubeadm renews no CA. By hand: trust the old and the new one, issue everything again, then drop the old \
         one (D19)"
            .to_owned(),
    ));
    facts
}

fn explain_request(world: &World, name: &str) -> Option<Explanation> {
    let request = world
        .requests
        .iter()
        .rfind(|request| request.name == name)?;
    let mut facts = vec![
        ("signer".to_owned(), request.signer.clone()),
        ("posted by".to_owned(), request.requestor.username.clone()),
        ("usages".to_owned(), request.usages.join(", ")),
        (
            "asks for".to_owned(),
            format!("CN={}", request.asked.subject.common_name),
        ),
        (
            "age".to_owned(),
            span::display(world.now().duration_since(request.created)),
        ),
    ];
    for condition in &request.conditions {
        facts.push((
            condition.kind.word().to_owned(),
            format!("{}: {}", condition.reason, condition.message),
        ));
    }
    facts.push((
        "why".to_owned(),
        match request.state() {
            RequestState::Pending => "nobody approves it by itself: the built-in approver knows client certificates of \
                                      kubelets only, and RBAC must let its author (D18, D20, D22, S38)"
                .to_owned(),
            RequestState::Approved if request.refused_by.is_some() => {
                "the signer refused it with the CA that it has (D18)".to_owned()
            }
            RequestState::Approved => {
                "approved, and no controller-manager that leads has CA files to sign with (D3, D18)".to_owned()
            }
            RequestState::Denied => "denied; the cleaner removes it an hour later".to_owned(),
            RequestState::Failed => "the signer will not sign it; the cleaner removes it an hour later".to_owned(),
            RequestState::Issued => request.certificate.as_ref().map_or_else(String::new, |one| {
                format!("issued: {}", life(one, world.now()))
            }),
        },
    ));
    if let Some(text) = cause(world, Some(request.cause)) {
        facts.push(("since".to_owned(), text));
    }
    Some(Explanation {
        title: format!("{} is {}", request.name, request.column()),
        facts,
    })
}
