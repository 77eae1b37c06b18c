//! Which client certificates the API server was shown: `credential-id` in its audit log.
//!
//! kube-apiserver names the certificate that it authenticated in the user's extra fields
//! (`authentication.kubernetes.io/credential-id: X509SHA256=...`, staging/src/k8s.io/apiserver/pkg/authentication/request/x509).
//! So a running kubelet, controller-manager or scheduler says which one it has *loaded*, whatever its files say. The
//! log is switched on from outside, by certdrill in the place of runc ([`crate::real::warp::runc`]): no manifest is edited.
//! A version that does not name credentials leaves it empty, and nothing is claimed then.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::agent_logs::tail;
use super::picture::identity;
use super::{Kind, Reports};
use crate::real::warp::runc::AUDIT;
use crate::scenario::Component;
use crate::time::{SignedDuration, Timestamp, shift};

/// Requests of those whose certificates are asked for, without their content.
pub const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted, Panic]
rules:
- level: Metadata
  users: [\"system:kube-controller-manager\", \"system:kube-scheduler\"]
- level: Metadata
  userGroups: [\"system:nodes\"]
- level: None
";
const CREDENTIAL: &str = "authentication.kubernetes.io/credential-id";

/// A certificate that a user showed last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Named {
    /// The user's name in the cluster.
    pub user: String,
    /// Address that the request came from.
    pub source: String,
    /// SHA-256 of the certificate, in hexadecimal.
    pub sha256: String,
    /// When the request arrived, in the node's time.
    pub at: Timestamp,
}

/// What the audit log of a node's API server has said so far.
#[derive(Debug, Default)]
pub(super) struct Audited {
    /// How much of it was read.
    pub read: u64,
    /// The last certificate of each user at each address, at true time.
    named: Vec<Named>,
}

impl Audited {
    /// Takes what is new, from a node whose clock is ahead by `skew`.
    pub fn take(&mut self, (new, read): (Vec<Named>, u64), skew: SignedDuration) {
        self.read = read;
        for mut named in new {
            named.at = shift(named.at, -skew);
            self.named
                .retain(|known| (&known.user, &known.source) != (&named.user, &named.source));
            self.named.push(named);
        }
    }

    /// Everything so far is of another life.
    pub fn forget(&mut self, read: u64) {
        *self = Self {
            read,
            named: Vec::new(),
        };
    }

    /// What a user showed, from one address or from any.
    pub fn of<'s>(
        &'s self,
        user: &'s str,
        source: Option<&'s str>,
    ) -> impl Iterator<Item = &'s Named> {
        self.named.iter().filter(move |named| {
            named.user == user && source.is_none_or(|source| named.source == source)
        })
    }
}

impl Kind {
    /// Takes what API servers have written down, and since when processes live.
    pub(super) fn take_audits(&mut self, reports: &mut Reports) {
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
    pub(super) fn kubelet_showed(&self, node: usize) -> Option<([u8; 32], Timestamp)> {
        let member = &self.nodes[node];
        let since = *member.lives_since.get(&member.kubelet.living?)?;
        let user = format!("system:node:{}", member.plan.name);
        let last = self
            .nodes
            .iter()
            .flat_map(|one| one.audited.of(&user, None))
            .filter(|named| named.at >= since)
            .max_by_key(|named| named.at)?;
        Some((self.fingerprint_seen(bytes(&last.sha256)?), last.at))
    }

    /// The certificate that a component showed last. Its user is the same on every node; it asks from its own address.
    pub(super) fn component_showed(
        &self,
        node: usize,
        component: Component,
        id: u64,
    ) -> Option<[u8; 32]> {
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
        Some(self.fingerprint_seen(bytes(&last.sha256)?))
    }
}

/// What a node's API server has named since `from` bytes of its log, and how long the log is now.
pub(super) fn named_since(from: u64) -> (Vec<Named>, u64) {
    let path = Path::new(AUDIT).join("log");
    // A log that has become shorter was begun anew.
    let length = std::fs::metadata(&path).map_or(0, |found| found.len());
    let (lines, end) = tail(&path, if length < from { 0 } else { from });
    (latest(lines.iter().map(String::as_str)), end)
}

/// The last certificate of each user at each address.
fn latest<'l>(lines: impl Iterator<Item = &'l str>) -> Vec<Named> {
    let mut found: BTreeMap<(String, String), Named> = BTreeMap::new();
    for named in lines.filter_map(named) {
        let key = (named.user.clone(), named.source.clone());
        match found.get(&key) {
            Some(known) if known.at > named.at => {}
            _ => {
                found.insert(key, named);
            }
        }
    }
    found.into_values().collect()
}

fn named(line: &str) -> Option<Named> {
    let event: Json = serde_json::from_str(line).ok()?;
    let sha256 = event["user"]["extra"][CREDENTIAL]
        .as_array()?
        .iter()
        .find_map(|one| one.as_str()?.strip_prefix("X509SHA256="))?;
    Some(Named {
        user: event["user"]["username"].as_str()?.to_owned(),
        source: event["sourceIPs"][0].as_str()?.to_owned(),
        sha256: sha256.to_owned(),
        at: event["requestReceivedTimestamp"].as_str()?.parse().ok()?,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn event(user: &str, source: &str, id: &str, at: &str) -> String {
        serde_json::json!({
            "kind": "Event",
            "user": { "username": user, "extra": { CREDENTIAL: [id] } },
            "sourceIPs": [source],
            "requestReceivedTimestamp": at,
        })
        .to_string()
    }

    #[test]
    fn a_clock_that_is_ahead_makes_no_request_newer() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let named = |user: &str, source: &str, sha256: &str, time: &str| Named {
            user: user.to_owned(),
            source: source.to_owned(),
            sha256: sha256.to_owned(),
            at: at(time),
        };
        let mut audited = Audited::default();
        let first = named("k", "10.0.0.10", "aa", "2027-01-01T01:00:00Z");
        let other = named("k", "10.0.0.11", "bb", "2027-01-01T01:00:00Z");
        audited.take((vec![first, other], 100), SignedDuration::from_hours(1));
        let newer = named("k", "10.0.0.10", "cc", "2027-01-01T01:00:05Z");
        audited.take((vec![newer], 200), SignedDuration::from_hours(1));
        assert_eq!(audited.read, 200);
        let from_one: Vec<_> = audited.of("k", Some("10.0.0.10")).collect();
        assert_eq!(from_one.len(), 1);
        assert_eq!(from_one[0].sha256, "cc");
        assert_eq!(from_one[0].at, at("2027-01-01T00:00:05Z"));
        assert_eq!(audited.of("k", None).count(), 2);
        assert_eq!(audited.of("another", None).count(), 0);
        audited.forget(300);
        assert_eq!((audited.read, audited.of("k", None).count()), (300, 0));
    }

    #[test]
    fn digits_are_bytes_or_nothing() {
        assert_eq!(bytes(&"0f".repeat(32)), Some([15; 32]));
        for wrong in ["", "0f", &"0g".repeat(32), &"0f".repeat(33)] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_last_certificate_of_each_user_at_each_address_counts() {
        let kubelet = "system:node:cp1";
        let lines = [
            event(
                kubelet,
                "10.0.0.10",
                "X509SHA256=aa",
                "2027-01-01T00:00:00.000001Z",
            ),
            event(
                kubelet,
                "10.0.0.10",
                "X509SHA256=bb",
                "2027-01-01T00:00:02.000000Z",
            ),
            // Written later, and older: the end of a watch.
            event(
                kubelet,
                "10.0.0.10",
                "X509SHA256=aa",
                "2027-01-01T00:00:01.000000Z",
            ),
            event(
                "system:kube-scheduler",
                "10.0.0.11",
                "X509SHA256=cc",
                "2027-01-01T00:00:00.000000Z",
            ),
            event(
                "someone",
                "10.0.0.11",
                "JTI=1",
                "2027-01-01T00:00:00.000000Z",
            ),
            "{ half a li".to_owned(),
            serde_json::json!({ "user": { "username": "before 1.32" } }).to_string(),
        ];
        let found = latest(lines.iter().map(String::as_str));
        let short: Vec<_> = found
            .iter()
            .map(|named| (named.user.as_str(), named.sha256.as_str()))
            .collect();
        assert_eq!(short, [("system:kube-scheduler", "cc"), (kubelet, "bb")]);
    }
}
