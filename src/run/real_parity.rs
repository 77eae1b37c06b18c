//! What of two traces can be compared when one of them is of a real cluster. How closely is in [`closeness`](super::closeness).
//!
//! A real cluster takes its own time for everything, so that no instant is met to the second; it has files and log
//! lines that the model does not speak of; and what it leaves to chance is left to chance. Each of these is a line of
//! [`RULES`] or a number of [`closeness`](super::closeness), and there is nothing else.

use serde_json::{Value as Json, json};

use super::trace::{Entry, EventKind, Observation, Record, Value};

/// What is left out of a comparison with a real cluster, and why.
pub const RULES: [(&str, &str); 14] = [
    (
        "settling",
        "after a step that stops or starts something, or changes a file that a process may wait for, what is there, runs and works is compared after the next step: a real cluster comes to rest in its own time",
    ),
    (
        "containers that fail",
        "whether one that ends again and again is just starting or waits for its next start is a matter of the second, and so is whether an API server that does so on both sides refuses a connection or answers that it has no etcd",
    ),
    (
        "output of upgrade and join",
        "the model prints the lines about versions, certificates and static Pods; each of them must be there, in order, among those of the real command, which also speaks of the machine, of images and of addons, but of no other error",
    ),
    (
        "rotation",
        "between 70 and 90 % of its certificate's life a kubelet may have rotated or not",
    ),
    (
        "other files",
        "only what lies below /etc/kubernetes and /var/lib/kubelet/pki, and a user's kubeconfig, is kubeadm's or the kubelet's",
    ),
    (
        "manifests",
        "their text holds whatever a version writes there; that they are there, with which mode, is compared; their directory is not, which a package may have made",
    ),
    (
        "dated files",
        "the kubelet names its certificates by the second; which ones are loaded is compared",
    ),
    (
        "words of failures",
        "the class is compared; the words are those of the real client",
    ),
    (
        "issued requests",
        "how many a kubelet has posted so far depends on chance; whether some are pending, and how many are denied and failed, is compared",
    ),
    (
        "kubectl and scripts",
        "names of requests are drawn; exit codes are compared",
    ),
    (
        "tokens",
        "bootstrap tokens are drawn; that one is printed is compared",
    ),
    (
        "internet",
        "that kubeadm gets no answer when it asks the internet for the newest version depends on the machine",
    ),
    (
        "log headers",
        "times and places in the headers of klog lines are the process's own",
    ),
    (
        "residual days",
        "may differ by one where an instant is near the end of a day",
    ),
];

/// Steps after which a real cluster comes to rest in its own time, by the first word of their text
/// ([`Action::describe`](crate::scenario::Action::describe)): kubeadm's own, those that change files (an `edit` is told as one of
/// five), and those that start or stop something.
const UNSETTLING: [&str; 18] = [
    "init", "join", "reset", "renew", "upgrade", "copy", "remove", "write", "set", "replace",
    "append", "embed", "reboot", "stop", "start", "restart", "move", "power",
];

/// Whether what is compared after a step waits for the next one.
pub(super) fn waits(step_text: &str, kind: &str) -> bool {
    let end = step_text
        .find(|c: char| !c.is_alphabetic())
        .unwrap_or(step_text.len());
    UNSETTLING.contains(&&step_text[..end]) && kind != "command"
}

/// Whether a trace is of a real cluster.
pub(super) fn is_real(records: &[Record]) -> bool {
    matches!(records.first().map(|record| &record.entry),
        Some(Entry::Header(header)) if header.backend == "kind")
}

/// What a reader of a comparison must know about the machines of a real cluster: that a program in their images is not the
/// published one. What the other side says, too, is of the scenario and no remark.
#[must_use]
pub fn remarks<'a>(records: &'a [Record], other: &[Record]) -> Vec<&'a str> {
    if !is_real(records) {
        return Vec::new();
    }
    notes(records)
        .filter(|note| !notes(other).any(|said| said == *note))
        .collect()
}

fn notes(records: &[Record]) -> impl Iterator<Item = &str> {
    records.iter().filter_map(|record| match &record.entry {
        Entry::Event(event) if event.kind == EventKind::Note && event.subject == "cluster" => {
            Some(event.text.as_str())
        }
        _ => None,
    })
}

/// A trace with what can be compared with a real cluster.
pub(super) fn project(records: &[Record]) -> Vec<Record> {
    records
        .iter()
        .filter_map(|record| match &record.entry {
            Entry::Observation(seen) => comparable(seen).map(|seen| Record {
                seq: record.seq,
                at: record.at,
                entry: Entry::Observation(seen),
            }),
            _ => Some(record.clone()),
        })
        .collect()
}

fn comparable(seen: &Observation) -> Option<Observation> {
    let Value::Exact(value) = &seen.value else {
        return (seen.kind != "kubelet").then(|| seen.clone());
    };
    let path = seen.subject.rsplit_once('@').map_or("", |(path, _)| path);
    let value = match (seen.kind.as_str(), seen.aspect.as_str()) {
        ("edge", _) => without_words(value),
        ("certificate", _) if !concerns(path) => return None,
        ("certificate", "facts") => certificate(path, value),
        ("file", _) if !concerns(path) => return None,
        ("file", _) => file(path, value),
        ("csr", "approved" | "issued") | ("kubelet", _) => return None,
        // A kubelet whose request is not answered posts another; how often depends on the length of the hops.
        ("csr", "pending") => json!(value.as_u64().is_some_and(|count| count > 0)),
        ("process", "state") if ["starting", "crashed"].iter().any(|state| value == state) => {
            json!("not serving")
        }
        ("process", "state") if value == "stopping" => json!("running"),
        ("command", "exitCode") => value.clone(),
        ("command", _) if !seen.subject.starts_with("kubeadm@") => return None,
        ("command", _) => json!(without_internet(&without_tokens(&without_headers(
            value.as_str().unwrap_or_default()
        )))),
        _ => value.clone(),
    };
    Some(Observation {
        value: Value::Exact(value),
        ..seen.clone()
    })
}

/// Whether a file is one that both sides must have alike.
fn concerns(path: &str) -> bool {
    let below = [
        "/etc/kubernetes/",
        "/var/lib/kubelet/pki/",
        "/root/.kube/config",
    ];
    let dated = path.contains("/kubelet-client-2") || path.contains("/kubelet-server-2");
    below.iter().any(|dir| path.starts_with(dir))
        && !dated
        && path != "/etc/kubernetes/manifests"
        && !path.starts_with("/etc/kubernetes/tmp")
}

fn without_words(value: &Json) -> Json {
    let mut value = value.clone();
    if let Some(outcome) = value.as_object_mut() {
        outcome.remove("text");
    }
    value
}

fn certificate(path: &str, value: &Json) -> Json {
    let mut value = value.clone();
    if let Some(facts) = value.as_object_mut()
        && path.ends_with("/kubelet.crt")
    {
        // The kubelet's own certificate is named after the second in which it was made.
        for key in ["subject", "issuer", "commonName"] {
            facts.remove(key);
        }
    }
    value
}

fn file(path: &str, value: &Json) -> Json {
    let mut value = value.clone();
    if let Some(state) = value.as_object_mut() {
        if path.contains("manifests") || !path.ends_with(".conf") {
            state.remove("text");
        }
        if let Some(text) = state.get_mut("text").filter(|text| text.is_string()) {
            *text = json!(without_tokens(text.as_str().unwrap_or_default()));
        }
        if path.ends_with("-current.pem") && state.contains_key("symlink") {
            state.insert("symlink".to_owned(), json!("a dated file"));
        }
    }
    value
}

/// klog lines without time, process and place.
fn without_headers(text: &str) -> String {
    text.lines()
        .map(|line| {
            let bytes = line.as_bytes();
            let klog = bytes.len() > 20
                && matches!(bytes[0], b'I' | b'W' | b'E' | b'F')
                && bytes[1..5].iter().all(u8::is_ascii_digit);
            let body = line.split_once("] ").filter(|_| klog);
            body.map_or(line, |(_, message)| message).to_owned() + "\n"
        })
        .collect()
}

/// A text without what kubeadm says when it asks the internet for the newest version, and gets no answer.
fn without_internet(text: &str) -> String {
    const SAID: [&str; 2] = [
        "could not fetch a Kubernetes version from the internet",
        "falling back to the local client version",
    ];
    text.split_inclusive('\n')
        .filter(|line| !SAID.iter().any(|said| line.starts_with(said)))
        .collect()
}

/// A text with a word in the place of each bootstrap token.
fn without_tokens(text: &str) -> String {
    let drawn = |word: &str, length: usize| {
        word.len() == length
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    text.split_inclusive(char::is_whitespace)
        .map(|word| {
            let bare = word.trim_end();
            match bare.split_once('.') {
                Some((id, secret)) if drawn(id, 6) && drawn(secret, 16) => {
                    format!("<token>{}", &word[bare.len()..])
                }
                _ => word.to_owned(),
            }
        })
        .collect()
}

/// Whether two outcomes are those of an API server that waits for etcd, ends, and waits for its next start.
pub(super) fn comes_and_goes(first: &Json, second: &Json) -> bool {
    let waits = |outcome: &Json| {
        ["unreachable", "backend"]
            .iter()
            .any(|class| outcome["failing"] == *class)
            && outcome.get("partial").is_none()
    };
    waits(first) && waits(second)
}

/// The process that an edge ends at, where a client asks the API server of its own node and no balancer.
pub(super) fn own_api_server(edge: &str) -> Option<String> {
    let (client, node) = edge.strip_suffix(" -> kube-apiserver")?.split_once('@')?;
    ["kubelet", "kube-controller-manager", "kube-scheduler"]
        .contains(&client)
        .then(|| format!("kube-apiserver@{node}"))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the library is read from disk")]
mod tests {
    use super::*;

    #[test]
    fn every_step_that_changes_a_file_or_stops_something_may_settle_and_no_other() {
        use crate::scenario::{Action, load};
        let mut told = std::collections::BTreeSet::new();
        for entry in glob("scenarios") {
            let text = std::fs::read_to_string(&entry).unwrap();
            for scenario in load(&entry.display().to_string(), &text).unwrap() {
                for step in &scenario.steps {
                    let settles = match &step.action {
                        Action::Init { .. }
                        | Action::Join { .. }
                        | Action::Reset(_)
                        | Action::Renew { .. }
                        | Action::Upgrade(_)
                        | Action::Copy { .. }
                        | Action::Remove { .. }
                        | Action::Edit(_)
                        | Action::Reboot(_)
                        | Action::Stop(_)
                        | Action::Start(_)
                        | Action::Restart(_)
                        | Action::MoveManifests(_)
                        | Action::Dormant { .. }
                        | Action::ServingApprover(None) => true,
                        Action::Note(_) => continue,
                        _ => false,
                    };
                    let text = step.action.describe();
                    assert_eq!(waits(&text, "process"), settles, "{text}");
                    told.extend(
                        text.split([' ', ','])
                            .next()
                            .filter(|_| settles)
                            .map(str::to_owned),
                    );
                }
            }
        }
        let words: std::collections::BTreeSet<_> =
            UNSETTLING.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(told, words, "a word that no scenario says");
    }

    /// Every scenario below a directory.
    fn glob(directory: &str) -> Vec<std::path::PathBuf> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(glob(path.to_str().unwrap()));
            } else if path.extension().is_some_and(|end| end == "yaml") {
                found.push(path);
            }
        }
        found
    }

    #[test]
    fn what_is_special_about_a_real_cluster_is_remarked_and_nothing_of_a_simulated_one() {
        let text = "apiVersion: certdrill/v1\nkind: Scenario\nmetadata: { name: x, title: x }\nspec:\n  cluster: { version: v1.36.3, \
                    start: 2026-01-01T00:00:00Z, nodes: { controlPlane: 1 } }\n  steps: [{ walk: 1m }]\n";
        let scenario = crate::scenario::load("x.yaml", text).unwrap().remove(0);
        let mut records = crate::run::play(&scenario, &crate::run::PlayOptions { seed: 0 }).records;
        let event = records.iter().find_map(|record| match &record.entry {
            Entry::Event(event) => Some(Record {
                entry: Entry::Event(super::super::trace::Event {
                    kind: EventKind::Note,
                    subject: "cluster".to_owned(),
                    text: "kube-apiserver was built with a stub".to_owned(),
                    ..event.clone()
                }),
                ..record.clone()
            }),
            _ => None,
        });
        records.push(event.unwrap());
        assert!(remarks(&records, &[]).is_empty());
        let same = records.clone();
        if let Entry::Header(header) = &mut records[0].entry {
            header.backend = "kind".to_owned();
        }
        assert_eq!(
            remarks(&records, &[]),
            ["kube-apiserver was built with a stub"]
        );
        assert!(remarks(&records, &same).is_empty());
    }

    #[test]
    fn a_server_that_waits_for_etcd_comes_and_goes() {
        let failing = |class: &str| json!({ "failing": class });
        assert!(comes_and_goes(&failing("unreachable"), &failing("backend")));
        assert!(!comes_and_goes(
            &failing("unreachable"),
            &failing("clientCertificate")
        ));
        assert!(!comes_and_goes(&json!("ok"), &failing("backend")));
        let partial = json!({ "failing": "backend", "partial": [2, 3] });
        assert!(!comes_and_goes(&failing("unreachable"), &partial));
        let own = own_api_server("kubelet@cp3 -> kube-apiserver");
        assert_eq!(own.as_deref(), Some("kube-apiserver@cp3"));
        for others in ["admin@cp3 -> kube-apiserver", "kubelet@cp3 -> etcd", "x"] {
            assert_eq!(own_api_server(others), None, "{others}");
        }
    }

    #[test]
    fn a_token_is_printed_on_both_sides_and_no_other_word_is_one() {
        assert_eq!(
            without_tokens("abcdef.0123456789abcdef\n"),
            without_tokens("q3r5t7.zyxwvutsrqponmlk\n")
        );
        for text in [
            "cp1.example.org is up\n",
            "a.b\n",
            "Abcdef.0123456789abcdef",
        ] {
            assert_eq!(without_tokens(text), text);
        }
    }

    #[test]
    fn files_of_others_are_not_compared_and_manifests_without_their_text() {
        let seen = |kind: &str, subject: &str, value: Json| Observation {
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            aspect: "state".to_owned(),
            value: Value::Exact(value),
        };
        let text = json!({ "file": "0600", "text": "x" });
        assert_eq!(
            comparable(&seen("file", "/kubeadm.yaml@cp1", text.clone())),
            None
        );
        let manifest = seen(
            "file",
            "/etc/kubernetes/manifests/etcd.yaml@cp1",
            text.clone(),
        );
        assert_eq!(
            comparable(&manifest).unwrap().value,
            Value::Exact(json!({ "file": "0600" }))
        );
        let conf = seen("file", "/etc/kubernetes/admin.conf@cp1", text);
        assert_eq!(comparable(&conf).unwrap().value, conf.value);
        let edge = seen(
            "edge",
            "a -> b",
            json!({ "failing": "unreachable", "text": "x" }),
        );
        assert_eq!(
            comparable(&edge).unwrap().value,
            Value::Exact(json!({ "failing": "unreachable" }))
        );
    }
}
