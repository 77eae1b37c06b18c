//! How far a node's clock is off, as far as its files show it.

use super::capture::Node;
use crate::pki::Certificate;
use crate::time::{SignedDuration, Timestamp};

/// kube-controller-manager sets NotBefore back by this (`pkg/controller/certificates/authority`).
const BACKDATE_S: i64 = 300;
/// Zones of the world are apart by whole quarters of an hour.
const ZONE_STEP_S: i64 = 900;
/// What request, approval and polling take is no skew.
const TOLERATED_S: i64 = 60;

/// How far a node's clock is ahead of the controller-manager's, from its newest kubelet certificate: the node's
/// clock named the file, the controller-manager's wrote NotBefore. The name is in the node's local time, so that
/// only a skew below seven minutes shows.
#[must_use]
pub fn estimate(node: &Node) -> Option<SignedDuration> {
    let (path, _) = node
        .files
        .iter()
        .filter(|(path, _)| dated(path).is_some())
        .next_back()?;
    let certificate: Certificate = node.certificates(path).into_iter().next()?;
    // Only what a controller-manager signed: a kubelet also stores the pair that kubelet.conf came with. kubeadm's
    // serial numbers have 63 bits, the controller-manager's 128.
    if certificate.serial_bits() <= 64 {
        return None;
    }
    let named = dated(path)?.as_second();
    let issued = certificate.not_before_unix() + BACKDATE_S;
    let apart = (named - issued + ZONE_STEP_S / 2).rem_euclid(ZONE_STEP_S) - ZONE_STEP_S / 2;
    (apart.abs() > TOLERATED_S).then(|| SignedDuration::from_secs(apart))
}

/// The time in `kubelet-client-2026-01-31-10-20-30.pem`, read as if it were UTC.
fn dated(path: &str) -> Option<Timestamp> {
    let name = path
        .strip_prefix("/var/lib/kubelet/pki/kubelet-client-")?
        .strip_suffix(".pem")?;
    let parts: Vec<&str> = name.split('-').collect();
    let [year, month, day, hour, minute, second] = parts[..] else {
        return None;
    };
    format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")
        .parse()
        .ok()
}
