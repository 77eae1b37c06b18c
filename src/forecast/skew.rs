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
    let (path, _) = node.files.iter().rfind(|(path, _)| dated(path).is_some())?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::capture::Pem;
    use crate::forecast::rules::lab::Lab;
    use crate::pki::{KeyAlgorithm, PrivateKey, Template, issue};
    use crate::time::shift;

    /// A node whose kubelet got a certificate at midnight by the controller-manager's clock and stored it at `named`.
    fn node(named: &str, serial_bits: u32) -> Node {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256);
        let midnight: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let template = Template {
            common_name: "system:node:w1".to_owned(),
            organizations: vec!["system:nodes".to_owned()],
            not_before: shift(midnight, SignedDuration::from_secs(-BACKDATE_S)),
            not_after: shift(midnight, SignedDuration::from_hours(8760)),
            serial: 7,
            ..Template::default()
        };
        let certificate = issue::self_signed(&template, &key).unwrap();
        // A serial number of 128 bits, as the controller-manager draws it: nobody looks at the signature here.
        let mut der = certificate.der().to_vec();
        let pem = if serial_bits > 64 {
            let at = der.windows(3).position(|it| it == [2, 1, 7]).unwrap();
            let mut serial = vec![2, 17, 0, 0x80];
            serial.extend([1; 15]);
            der.splice(at..at + 3, serial);
            for header in [0, 4] {
                let length = u16::from_be_bytes([der[header + 2], der[header + 3]]) + 16;
                der[header + 2..header + 4].copy_from_slice(&length.to_be_bytes());
            }
            crate::pki::pem::encode("CERTIFICATE", &der)
        } else {
            certificate.to_pem()
        };
        let mut node = Lab::new("v1.36.3", 1, 1).captured().remove(1);
        node.files.retain(|path, _| dated(path).is_none());
        let file = crate::forecast::capture::File {
            certificates: vec![Pem(pem)],
            ..Default::default()
        };
        node.files.insert(
            format!("/var/lib/kubelet/pki/kubelet-client-{named}.pem"),
            file,
        );
        node
    }

    #[test]
    fn only_minutes_show_and_zones_do_not() {
        for (named, serial_bits, seconds) in [
            ("2026-03-01-00-00-02", 128, None),
            ("2026-03-01-00-04-00", 128, Some(240)),
            ("2026-02-28-23-55-00", 128, Some(-300)),
            // A node in Kathmandu, two minutes early.
            ("2026-03-01-05-47-00", 128, Some(120)),
            // kubeadm made it: when it was stored says nothing.
            ("2026-03-01-00-04-00", 63, None),
            ("garbage", 128, None),
        ] {
            let found = estimate(&node(named, serial_bits));
            assert_eq!(found.map(|it| it.as_secs()), seconds, "{named}");
        }
    }
}
