//! One run of kubeadm: the version it is, the machine it runs on, what it has printed so far.

use std::collections::BTreeSet;

use super::profile::Profile;
use super::{Machine, Version};
use crate::fs::Tree;
use crate::pki::{Certificate, KeyAlgorithm, PrivateKey, x509_time};
use crate::time::Timestamp;

/// A klog warning from a source file, with its header.
#[must_use]
pub fn klog_warning(now: Timestamp, source: &str, text: &str) -> String {
    let t = x509_time::Civil::from_unix(now.as_second());
    let micros = now.subsec_nanosecond() / 1000;
    format!(
        "W{:02}{:02} {:02}:{:02}:{:02}.{micros:06} {:>7} {source}] {}\n",
        t.month,
        t.day,
        t.hour,
        t.minute,
        t.second,
        1,
        text.strip_suffix('\n').unwrap_or(text)
    )
}

/// A running kubeadm.
pub struct Process<'a, 'm> {
    /// What its version does.
    pub profile: Profile,
    /// The machine it runs on.
    pub machine: &'a mut Machine<'m>,
    /// Standard output so far.
    pub stdout: String,
    /// Standard error so far.
    pub stderr: String,
    /// Labels whose validity was looked at already: the warning comes once each.
    period_checked: BTreeSet<String>,
}

impl<'a, 'm> Process<'a, 'm> {
    /// A process that has just started.
    pub fn new(version: Version, machine: &'a mut Machine<'m>) -> Self {
        Self {
            profile: Profile::of(version),
            machine,
            stdout: String::new(),
            stderr: String::new(),
            period_checked: BTreeSet::new(),
        }
    }

    /// The machine's files.
    pub fn tree(&self) -> &dyn Tree {
        self.machine.tree
    }

    /// The machine's files, to change them.
    pub fn tree_mut(&mut self) -> &mut dyn Tree {
        self.machine.tree
    }

    /// The time the process started.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.machine.now
    }

    /// Prints a line.
    pub fn print(&mut self, line: impl AsRef<str>) {
        self.stdout.push_str(line.as_ref());
        self.stdout.push('\n');
    }

    /// A klog warning from a source file.
    pub fn warn(&mut self, source: &str, text: &str) {
        self.stderr += &klog_warning(self.now(), source, text);
    }

    /// Warns once per label when a certificate is outside its validity.
    pub fn check_period(&mut self, label: &str, certificate: &Certificate) {
        if !self.period_checked.insert(label.to_owned()) {
            return;
        }
        if let Some(what) = self.period_problem(certificate) {
            let period = format!(
                "NotBefore: {}, NotAfter: {}",
                go_time(certificate.not_before_unix()),
                go_time(certificate.not_after_unix())
            );
            self.warn(
                "certs.go:474",
                &format!(
                    "WARNING: could not validate bounds for certificate {label}: {what}: {period}"
                ),
            );
        }
    }

    /// What is wrong with a certificate's validity now.
    #[must_use]
    pub fn period_problem(&self, certificate: &Certificate) -> Option<&'static str> {
        let nanos = self.now().as_nanosecond();
        if nanos < i128::from(certificate.not_before_unix()) * 1_000_000_000 {
            Some("the certificate is not valid yet")
        } else if nanos > i128::from(certificate.not_after_unix()) * 1_000_000_000 {
            Some("the certificate has expired")
        } else {
            None
        }
    }

    /// A new key for a certificate.
    pub fn new_key(&mut self, stream: &str, algorithm: KeyAlgorithm) -> PrivateKey {
        self.machine.keys.key(stream, algorithm)
    }

    /// A new serial number for a certificate.
    pub fn new_serial(&mut self, stream: &str) -> u64 {
        self.machine.keys.serial(stream)
    }
}

/// An instant as Go prints a UTC `time.Time`.
fn go_time(seconds: i64) -> String {
    let text = x509_time::rfc3339(seconds);
    let (date, time) = text.split_at(10);
    format!("{date} {} +0000 UTC", &time[1..9])
}
