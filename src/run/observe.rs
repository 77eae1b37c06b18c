//! What can be seen of the world at one instant, as observations for the trace.
//!
//! Values hold nothing that differs between two runs of the real kubeadm with the same input: no key, no
//! serial number, no signature, no process id. Two backends can be compared value by value.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::trace::{Entry, Observation, Value};
use crate::cluster::{
    KubeletState, Outcome, PodPhase, PodState, Process, RequestState, STATIC_PODS, World,
};
use crate::fs::{FileType, MemoryTree, Metadata, Tree};
use crate::kubeadm::CommandOutput;
use crate::kubeadm::profile::components::Slot;
use crate::pki::{Certificate, PrivateKey};
use crate::scenario::Component;

/// Longer runs of these characters are data: base64 of certificates and keys, keys in hexadecimal.
const DATA_RUN_MIN: usize = 40;
/// The first certificate authorities of a node, to say who signed a certificate.
const AUTHORITIES: [&str; 3] = [
    "/etc/kubernetes/pki/ca.crt",
    "/etc/kubernetes/pki/front-proxy-ca.crt",
    "/etc/kubernetes/pki/etcd/ca.crt",
];

/// Why nothing is known of objects of the API.
const SILENT: &str = "no API server gives an answer";

/// A file's content and what `lstat` said of it.
type Described = (Arc<[u8]>, Metadata);

/// Remembers what was written down, so that only changes are.
#[derive(Debug, Default)]
pub(super) struct Observer {
    known: BTreeMap<(String, String, String), Value>,
    /// Generation of each node's tree when its files were last looked at.
    trees: BTreeMap<usize, u64>,
    /// Paths seen there, by node.
    paths: BTreeMap<usize, Vec<String>>,
    /// Files as they were when they were last described.
    described: BTreeMap<(usize, String), Described>,
    /// The authorities that certificates of a node were last held against.
    authorities: BTreeMap<usize, Vec<[u8; 32]>>,
}

impl Observer {
    /// Writes down what has changed since the last time.
    pub fn observe(&mut self, world: &mut World) {
        let mut facts = Vec::new();
        edges(world, &mut facts);
        for node in 0..world.nodes.len() {
            processes(world, node, &mut facts);
            self.files(world, node, &mut facts);
        }
        cluster(world, &mut facts);
        for fact in facts {
            self.note(world, fact);
        }
    }

    fn note(&mut self, world: &mut World, fact: Fact) {
        let key = (fact.kind.to_owned(), fact.subject, fact.aspect.to_owned());
        if self.known.get(&key) == Some(&fact.value) {
            return;
        }
        self.known.insert(key.clone(), fact.value.clone());
        world.push(Entry::Observation(Observation {
            kind: key.0,
            subject: key.1,
            aspect: key.2,
            value: fact.value,
        }));
    }

    fn files(&mut self, world: &World, node: usize, facts: &mut Vec<Fact>) {
        let machine = &world.nodes[node];
        let generation = machine.tree.generation();
        if self.trees.insert(node, generation) == Some(generation) {
            return;
        }
        let paths = machine.tree.paths();
        let gone = self
            .paths
            .insert(node, paths.clone())
            .unwrap_or_default()
            .into_iter()
            .filter(|old| machine.tree.symlink_metadata(old).is_err());
        for path in gone {
            let subject = format!("{path}@{}", machine.name);
            facts.push(Fact::exact("file", subject, "state", json!("absent")));
        }
        let authorities: Vec<(&str, Certificate)> = AUTHORITIES
            .iter()
            .filter_map(|path| {
                let pem = machine.tree.read(path).ok()?;
                let first = Certificate::parse_pem_certs(&pem).ok()?.into_iter().next();
                Some((*path, first?))
            })
            .collect();
        let fingerprints: Vec<[u8; 32]> =
            authorities.iter().map(|(_, ca)| ca.fingerprint()).collect();
        let same_authorities = self
            .authorities
            .insert(node, fingerprints.clone())
            .is_some_and(|before| before == fingerprints);
        for path in paths {
            if self.is_described(&machine.tree, node, &path) && same_authorities {
                continue;
            }
            let subject = format!("{path}@{}", machine.name);
            if let Some(state) = file_state(&machine.tree, &path) {
                facts.push(Fact::exact("file", subject.clone(), "state", state));
            }
            if let Some(entry) = machine.on_disk.get(&path) {
                let certificate = &entry.certificate;
                facts.push(Fact::exact(
                    "certificate",
                    subject.clone(),
                    "notAfter",
                    json!(certificate.not_after().to_string()),
                ));
                facts.push(Fact::exact(
                    "certificate",
                    subject,
                    "facts",
                    certificate_facts(certificate, &authorities),
                ));
            }
        }
    }

    /// Whether a file is as it was when this was last asked.
    fn is_described(&mut self, tree: &MemoryTree, node: usize, path: &str) -> bool {
        let Ok(metadata) = tree.symlink_metadata(path) else {
            return false;
        };
        if metadata.file_type != FileType::File {
            return false;
        }
        let Ok(content) = tree.content(path) else {
            return false;
        };
        let same = |(before, was): &Described| Arc::ptr_eq(before, &content) && *was == metadata;
        let key = (node, path.to_owned());
        let described = self.described.get(&key).is_some_and(same);
        self.described.insert(key, (content, metadata));
        described
    }
}

/// A command that a step ran, for the trace.
pub fn command(subject: &str, line: &str, output: &CommandOutput) -> [Observation; 4] {
    [
        ("args", json!(line)),
        ("exitCode", json!(output.exit_code)),
        ("stdout", json!(ordered(line, without_data(&output.stdout)))),
        (
            "stderr",
            json!(without_process_id(&without_data(&output.stderr))),
        ),
    ]
    .map(|(aspect, value)| Observation {
        kind: "command".to_owned(),
        subject: subject.to_owned(),
        aspect: aspect.to_owned(),
        value: Value::Exact(value),
    })
}

struct Fact {
    kind: &'static str,
    subject: String,
    aspect: &'static str,
    value: Value,
}

impl Fact {
    fn exact(kind: &'static str, subject: String, aspect: &'static str, value: Json) -> Self {
        Self {
            kind,
            subject,
            aspect,
            value: Value::Exact(value),
        }
    }
}

impl Fact {
    fn hidden(kind: &'static str, subject: String, aspect: &'static str, reason: &str) -> Self {
        let reason = reason.to_owned();
        Self {
            kind,
            subject,
            aspect,
            value: Value::Unobservable { reason },
        }
    }
}

fn edges(world: &World, facts: &mut Vec<Fact>) {
    for edge in &world.edges {
        let subject = world.edge_name(edge.id);
        match world.unseen(edge.id) {
            None if matches!(&edge.fresh, Outcome::Failing(failure) | Outcome::Partial { failure, .. } if failure.one_of_several) =>
            {
                let reason =
                    "its servers fail in several ways, and which one a client gets is drawn";
                facts.push(Fact::hidden("edge", subject.clone(), "fresh", reason));
            }
            None => {
                let fresh = state_of(&edge.fresh);
                facts.push(Fact::exact("edge", subject.clone(), "fresh", fresh));
            }
            Some(reason) => facts.push(Fact::hidden("edge", subject.clone(), "fresh", reason)),
        }
        if world.is_real() {
            let reason = "nobody sees into the open connection of a process";
            facts.push(Fact::hidden("edge", subject, "held", reason));
            continue;
        }
        let held = match &edge.held {
            None => json!("absent"),
            Some(held) => match &held.failure {
                None => json!("ok"),
                Some(failure) => json!({ "failing": failure.class.word() }),
            },
        };
        facts.push(Fact::exact("edge", subject, "held", held));
    }
    if world.nodes.iter().any(|node| node.ready.is_some()) {
        let reason = "a kubectl call opens a connection of its own and closes it".to_owned();
        facts.push(Fact {
            kind: "edge",
            subject: "admin -> kube-apiserver".to_owned(),
            aspect: "held",
            value: Value::Unobservable { reason },
        });
    }
}

fn processes(world: &World, node: usize, facts: &mut Vec<Fact>) {
    let machine = &world.nodes[node];
    let kubelet = format!("kubelet@{}", machine.name);
    if let Some(current) = &machine.kubelet.current {
        let end = json!(current.not_after().to_string());
        facts.push(Fact::exact("loaded", kubelet.clone(), "notAfter", end));
        // A rotation deadline is drawn by chance: what a backend can promise is the interval.
        if machine.kubelet.deadline.is_some() {
            let from = current.certificate.not_before();
            let life = current.not_after().duration_since(from).as_secs_f64();
            let start = from.as_second() as f64;
            facts.push(Fact {
                kind: "kubelet",
                subject: kubelet.clone(),
                aspect: "rotationDeadline",
                value: Value::Interval {
                    min: start + 0.7 * life,
                    max: start + 0.9 * life,
                },
            });
        }
    }
    let served = world
        .shown_by_kubelet(node)
        .filter(|_| machine.powered && machine.kubelet.state == KubeletState::Running);
    let end = served.map(|pair| pair.not_after().to_string());
    facts.push(Fact::exact(
        "loaded",
        kubelet.clone(),
        "servingNotAfter",
        json!(end),
    ));
    let state = format!("{:?}", machine.kubelet.state).to_lowercase();
    facts.push(Fact::exact("process", kubelet, "state", json!(state)));
    for component in STATIC_PODS {
        if let Some(pod) = machine.pods.get(&component) {
            let phase = world.pod_phase(node, component);
            let subject = format!("{}@{}", component.name(), machine.name);
            if let PodState::Running(process) = &pod.state
                && phase == PodPhase::Running
            {
                facts.extend(held_by(world, node, component, process, &subject));
            }
            facts.push(Fact::exact(
                "process",
                subject,
                "state",
                json!(phase.word()),
            ));
        }
    }
    if let Some(ready) = machine.ready {
        let subject = machine.name.clone();
        facts.push(if world.api_is_silent() {
            Fact::hidden("node", subject, "ready", SILENT)
        } else {
            Fact::exact("node", subject, "ready", json!(ready))
        });
    }
}

/// Ends of the certificates that a static Pod's process has loaded: the one it serves with, and its kubeconfig's.
fn held_by(
    world: &World,
    node: usize,
    component: Component,
    process: &Process,
    subject: &str,
) -> Option<Fact> {
    let (aspect, held) = match component {
        Component::ControllerManager | Component::Scheduler => (
            "clientNotAfter",
            process
                .config()
                .and_then(|config| config.credential.as_deref()),
        ),
        _ => (
            "servingNotAfter",
            process.pair(Slot::Serving).map(|pair| &**pair),
        ),
    };
    let end = json!(held?.not_after().to_string());
    let subject = subject.to_owned();
    Some(match world.client_certificate_is_seen(node, component) {
        Err(reason) if aspect == "clientNotAfter" => {
            Fact::hidden("loaded", subject, aspect, reason)
        }
        _ => Fact::exact("loaded", subject, aspect, end),
    })
}

fn cluster(world: &World, facts: &mut Vec<Fact>) {
    if let Some(quorum) = world.quorum {
        facts.push(Fact::exact(
            "etcd",
            "etcd".to_owned(),
            "quorum",
            json!(quorum),
        ));
    }
    let count = |wanted: RequestState| {
        let found = world.requests.iter().filter(|one| {
            one.state() == wanted && (wanted == RequestState::Issued || !one.deleted)
        });
        json!(found.count())
    };
    for (aspect, state) in [
        ("pending", RequestState::Pending),
        ("approved", RequestState::Approved),
        ("denied", RequestState::Denied),
        ("failed", RequestState::Failed),
        ("issued", RequestState::Issued),
    ] {
        let subject = "requests".to_owned();
        facts.push(if world.api_is_silent() {
            Fact::hidden("csr", subject, aspect, SILENT)
        } else {
            Fact::exact("csr", subject, aspect, count(state))
        });
    }
}

fn state_of(outcome: &Outcome) -> Json {
    match outcome {
        Outcome::Absent => json!("absent"),
        Outcome::Ok => json!("ok"),
        Outcome::Partial {
            working,
            total,
            failure,
        } => {
            json!({ "partial": [working, total], "failing": failure.class.word(), "text": failure.text })
        }
        Outcome::Failing(failure) => {
            json!({ "failing": failure.class.word(), "text": failure.text })
        }
    }
}

/// Kind, mode, owner and content of a file, without data that differs between runs.
fn file_state(tree: &dyn Tree, path: &str) -> Option<Json> {
    let metadata = tree.symlink_metadata(path).ok()?;
    let mode = format!("{:04o}", metadata.mode);
    let mut state = match metadata.file_type {
        FileType::Dir => json!({ "directory": mode }),
        FileType::Symlink => return Some(json!({ "symlink": tree.read_link(path).ok()? })),
        FileType::Other => return None,
        FileType::File => {
            let content = tree.read(path).ok()?;
            let text = String::from_utf8_lossy(&content);
            let mut state = json!({ "file": mode });
            if text.contains("PRIVATE KEY-----") && !text.contains("kind: Config") {
                if let Ok(key) = PrivateKey::from_pem(&content) {
                    state["key"] = json!(format!("{:?}", key.algorithm()));
                    let companion = path.strip_suffix(".key").map(|stem| format!("{stem}.crt"));
                    if let Some(pem) = companion.and_then(|path| tree.read(&path).ok()) {
                        state["belongsToCertificate"] =
                            json!(Certificate::parse_pem_certs(&pem).is_ok_and(|found| {
                                found
                                    .first()
                                    .is_some_and(|first| first.spki_der() == key.spki_der())
                            }));
                    }
                }
            } else {
                state["text"] = json!(without_data(&text));
            }
            state
        }
    };
    if (metadata.uid, metadata.gid) != (0, 0) {
        state["owner"] = json!([metadata.uid, metadata.gid]);
    }
    Some(state)
}

/// Everything of a certificate that its maker decides.
fn certificate_facts(certificate: &Certificate, authorities: &[(&str, Certificate)]) -> Json {
    let signed_by = authorities
        .iter()
        .find(|(_, authority)| certificate.is_signed_by(authority))
        .map(|(path, _)| *path);
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    };
    json!({
        // Names as they are encoded: order and sets of attributes count.
        "subject": hex(certificate.subject_der()),
        "issuer": hex(certificate.issuer_der()),
        "commonName": certificate.common_name(),
        "organizations": certificate.organizations(),
        "dnsNames": certificate.dns_names(),
        "ipAddresses": certificate.ip_addresses().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "keyUsage": format!("{:?}", certificate.key_usage()),
        "extKeyUsages": certificate.ext_key_usages().iter().map(|usage| format!("{usage:?}")).collect::<Vec<_>>(),
        "isCa": certificate.is_ca(),
        "key": crate::pki::spki_algorithm(certificate.spki_der()).map(|algorithm| format!("{algorithm:?}")),
        "notBefore": certificate.not_before().to_string(),
        "notAfter": certificate.not_after().to_string(),
        "signedBy": signed_by,
        "subjectKeyId": !certificate.subject_key_id().is_empty(),
        "authorityKeyId": !certificate.authority_key_id().is_empty(),
    })
}

/// The text with PEM bodies and long runs of base64 or hexadecimal characters taken out.
fn without_data(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(4096));
    let mut rest = text;
    while let Some(begin) = rest.find("-----BEGIN ") {
        let (before, block) = rest.split_at(begin);
        let head = block.find('\n').map_or(block.len(), |end| end + 1);
        let foot = block.find("-----END ").unwrap_or(block.len());
        out.push_str(&without_runs(before));
        out.push_str(&block[..head]);
        if foot > head {
            out.push_str("<data>\n");
        }
        rest = &block[foot.max(head)..];
    }
    out.push_str(&without_runs(rest));
    out
}

fn without_runs(text: &str) -> String {
    let data = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let mut out = String::with_capacity(text.len().min(4096));
    let mut rest = text;
    while !rest.is_empty() {
        let run = rest.find(|c| !data(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(run);
        // Paths are made of the same characters, in shorter names.
        let longest = word.split('/').map(str::len).max().unwrap_or(0);
        if word.len() >= DATA_RUN_MIN && longest >= DATA_RUN_MIN / 2 {
            out.push_str("<data>");
        } else {
            out.push_str(word);
        }
        let gap = after.find(data).unwrap_or(after.len());
        out.push_str(&after[..gap]);
        rest = &after[gap..];
    }
    out
}

/// `generate-csr` goes through its files in an order that Go's maps leave to chance: the files of a block in the
/// order of their names.
fn ordered(line: &str, stdout: String) -> String {
    if !line.split_whitespace().any(|word| word == "generate-csr") {
        return stdout;
    }
    let mut lines: Vec<&str> = stdout.split_inclusive('\n').collect();
    for block in lines.chunk_by_mut(|a, b| a.starts_with("  ") && b.starts_with("  ")) {
        block.sort_unstable();
    }
    lines.concat()
}

/// klog lines without the number of the process and without the line of the source file.
fn without_process_id(text: &str) -> String {
    let plain = |line: &str| {
        let bytes = line.as_bytes();
        let klog = bytes.len() > 30
            && matches!(bytes[0], b'I' | b'W' | b'E' | b'F')
            && bytes[1..5].iter().all(u8::is_ascii_digit);
        let (head, message) = line.split_once("] ").filter(|_| klog)?;
        let words: Vec<&str> = head.split_whitespace().collect();
        let &[day, time, _, place] = words.as_slice() else {
            return None;
        };
        let file = place.split(':').next().unwrap_or(place);
        Some(format!("{day} {time} {file}] {message}"))
    };
    text.lines()
        .map(|line| plain(line).unwrap_or_else(|| line.to_owned()) + "\n")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_goes_and_words_and_paths_stay() {
        let long = "QUJD".repeat(30);
        let text =
            format!("key: {long}\npath: /etc/kubernetes/pki/apiserver-etcd-client.crt and on\n");
        assert_eq!(
            without_data(&text),
            "key: <data>\npath: /etc/kubernetes/pki/apiserver-etcd-client.crt and on\n"
        );
        let pem = format!(
            "a -----BEGIN X-----\n{}\nAQ==\n-----END X-----\nb",
            &long[..64]
        );
        assert_eq!(
            without_data(&pem),
            "a -----BEGIN X-----\n<data>\n-----END X-----\nb"
        );
    }

    #[test]
    fn files_of_a_block_are_put_in_order_and_nothing_else_is_moved() {
        let text = "generating in /b\n  z\n  a\ngenerating in /a\n  y\n  x\n";
        let sorted = "generating in /b\n  a\n  z\ngenerating in /a\n  x\n  y\n";
        assert_eq!(ordered("certs generate-csr", text.to_owned()), sorted);
        assert_eq!(ordered("certs renew all", text.to_owned()), text);
    }

    #[test]
    fn a_log_line_loses_its_process_and_source_line_and_nothing_else() {
        let line = "W1124 10:00:00.000000       1 certs.go:474] WARNING: x: y\nplain line\n";
        assert_eq!(
            without_process_id(line),
            "W1124 10:00:00.000000 certs.go] WARNING: x: y\nplain line\n"
        );
    }
}
