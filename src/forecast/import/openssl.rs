//! `openssl x509 -text`, `-dates`, `-enddate`, with or without `-subject`, one certificate after the other.

use super::{Paste, Row};
use crate::time::Timestamp;

/// Subjects that kubeadm gives, and its names for them.
const SUBJECTS: [(&str, &str); 12] = [
    ("kube-apiserver-kubelet-client", "apiserver-kubelet-client"),
    ("kube-apiserver-etcd-client", "apiserver-etcd-client"),
    ("kube-etcd-healthcheck-client", "etcd-healthcheck-client"),
    ("front-proxy-client", "front-proxy-client"),
    ("kube-apiserver", "apiserver"),
    ("kubernetes-super-admin", "super-admin.conf"),
    ("kubernetes-admin", "admin.conf"),
    ("system:kube-controller-manager", "controller-manager.conf"),
    ("system:kube-scheduler", "scheduler.conf"),
    ("front-proxy-ca", "front-proxy-ca"),
    ("etcd-ca", "etcd-ca"),
    ("kubernetes", "ca"),
];

/// Files below `/etc/kubernetes`, and kubeadm's names for them.
const FILES: [(&str, &str); 11] = [
    ("etcd/server.crt", "etcd-server"),
    ("etcd/peer.crt", "etcd-peer"),
    ("etcd/healthcheck-client.crt", "etcd-healthcheck-client"),
    ("etcd/ca.crt", "etcd-ca"),
    ("apiserver-etcd-client.crt", "apiserver-etcd-client"),
    ("apiserver-kubelet-client.crt", "apiserver-kubelet-client"),
    ("front-proxy-client.crt", "front-proxy-client"),
    ("front-proxy-ca.crt", "front-proxy-ca"),
    ("kubelet-client-current.pem", "kubelet"),
    ("apiserver.crt", "apiserver"),
    ("ca.crt", "ca"),
];

/// What is known of a certificate so far.
#[derive(Default)]
struct Open {
    file: Option<&'static str>,
    subject: Option<String>,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
    lines: Vec<String>,
    server: bool,
    client: bool,
}

/// Takes certificates out of a text and returns what is around them.
pub(super) fn read(text: &str, paste: &mut Paste) -> String {
    if !text.contains("notAfter=") && !text.contains("Not After") {
        return text.to_owned();
    }
    let mut rest = String::new();
    let mut open = Open::default();
    let mut inside = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed == "Certificate:" || trimmed.starts_with("-----BEGIN CERTIFICATE") {
            close(&mut open, paste);
            inside = true;
        }
        let named = FILES
            .iter()
            .find(|(file, _)| trimmed.contains(file) && !trimmed.contains("URI:"))
            .map(|(_, name)| *name);
        if let Some(name) = named {
            close(&mut open, paste);
            open.file = Some(name);
            inside = false;
            continue;
        }
        if let Some(date) = field(trimmed, &["notBefore=", "Not Before:", "Not Before :"]) {
            if open.not_before.is_some() || open.not_after.is_some() {
                close(&mut open, paste);
            }
            open.not_before = timestamp(date);
        } else if let Some(date) = field(trimmed, &["notAfter=", "Not After :", "Not After:"]) {
            if open.not_after.is_some() {
                close(&mut open, paste);
            }
            open.not_after = timestamp(date);
            if open.not_after.is_none() {
                open.lines.push(line.to_owned());
            }
        } else if let Some(subject) = field(trimmed, &["subject=", "Subject:"]) {
            // `-subject -dates` prints the subject first, `-dates -subject` last.
            if open.subject.is_some() {
                close(&mut open, paste);
            }
            open.subject = common_name(subject);
        } else if inside || trimmed.starts_with("issuer=") || trimmed.starts_with("serial=") {
            open.client |= trimmed.contains("TLS Web Client Authentication");
            open.server |= trimmed.contains("TLS Web Server Authentication");
        } else {
            rest.push_str(line);
            rest.push('\n');
        }
        if trimmed.starts_with("-----END CERTIFICATE") {
            inside = false;
        }
    }
    close(&mut open, paste);
    rest
}

fn field<'l>(line: &'l str, names: &[&str]) -> Option<&'l str> {
    names.iter().find_map(|name| line.strip_prefix(name))
}

/// `CN = kube-apiserver`, `/CN=kube-apiserver`, `O = system:nodes, CN = system:node:w1`.
fn common_name(subject: &str) -> Option<String> {
    let at = subject.rfind("CN")?;
    let value = subject[at + 2..]
        .trim_start()
        .strip_prefix('=')?
        .trim_start();
    let end = value.find([',', '/', '+']).unwrap_or(value.len());
    Some(value[..end].trim().to_owned())
}

/// `Jan  2 15:04:05 2026 GMT`.
fn timestamp(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let words: Vec<&str> = text.split_whitespace().collect();
    let [month, day, time, year, "GMT"] = words[..] else {
        // `-dateopt iso_8601`.
        return words.join("T").replace("TZ", "Z").parse().ok();
    };
    let month = MONTHS.iter().position(|known| *known == month)? + 1;
    let day: u8 = day.parse().ok()?;
    let year: u16 = year.parse().ok()?;
    format!("{year:04}-{month:02}-{day:02}T{time}Z")
        .parse()
        .ok()
}

/// The certificate is complete: it becomes a row, or comments where nobody can tell which it is.
fn close(open: &mut Open, paste: &mut Paste) {
    let known = std::mem::take(open);
    let Some(not_after) = known.not_after else {
        // A file's name before its dates is no certificate yet.
        open.file = known.file.filter(|_| known.subject.is_none());
        paste.unknown.extend(known.lines);
        return;
    };
    let by_subject = known.subject.as_ref().and_then(|subject| {
        SUBJECTS
            .iter()
            .find(|(cn, _)| cn == subject)
            .map(|(_, name)| *name)
            .or_else(|| subject.starts_with("system:node:").then_some("kubelet"))
    });
    match known.file.or(by_subject) {
        Some(name) => paste.rows.push(Row {
            name: name.to_owned(),
            not_after: Some(not_after),
            not_before: known.not_before,
            residual: None,
            residual_s: None,
            minutes: false,
        }),
        None => {
            paste.nameless += 1;
            paste.unknown.push(format!(
            "a certificate of {:?} that is valid until {not_after}: nothing says which file it is from",
            known.subject.unwrap_or_default()
            ));
        }
    }
}
