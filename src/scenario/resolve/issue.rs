//! `issue`: a certificate that is made without kubeadm.

use super::super::decode::Problems;
use super::super::problem::Problem;
use super::super::raw::{self, OneOrMany};
use super::super::scalar::At;
use super::or;
use crate::pki::KeyAlgorithm;
use crate::scenario::{Issue, Position};
use crate::time::SignedDuration;

/// What kubeadm gives a leaf and a CA (`K/constants/constants.go`).
const LEAF_HOURS: i64 = 8_760;
const CA_HOURS: i64 = 87_600;
const BACKDATE: SignedDuration = SignedDuration::from_mins(5);

pub(super) fn issue(written: raw::Issue, problems: &mut Problems) -> Option<Issue> {
    let before = problems.len();
    let set = |flag: &Option<At<bool>>| flag.as_ref().is_some_and(|flag| flag.value);
    let ca = set(&written.ca);
    let texts = |list: Option<OneOrMany<At<String>>>| {
        let list = list.map(|list| list.0).unwrap_or_default();
        list.into_iter().map(|text| text.value).collect()
    };
    let mut refuse = |at: Position, message: &str, help: &str| {
        problems.push::<()>(Problem::new(at, message).help(help));
    };
    if let Some(request) = &written.request {
        if written.signer.is_none() {
            refuse(
                request.at,
                "nobody signs this request",
                "name a `signer`: the path of a CA without .crt",
            );
        }
        if written.common_name.is_some()
            || written.organization.is_some()
            || written.names.is_some()
            || written.key_algorithm.is_some()
            || written.key.is_some()
        {
            refuse(
                request.at,
                "a request brings its own subject, names and key",
                "leave out `commonName`, `organization`, `names`, `key` and `keyAlgorithm`",
            );
        }
    } else if written.common_name.is_none() {
        refuse(
            written.path.at,
            "this certificate has no name",
            "give a `commonName`, or a `request` to sign",
        );
    }
    if let Some(chain) = written.chain.as_ref().filter(|chain| chain.value)
        && written.signer.is_none()
    {
        refuse(
            chain.at,
            "a certificate that signs itself has no chain",
            "leave `chain` out or name a `signer`",
        );
    }
    let chain = set(&written.chain);
    let hours = if ca { CA_HOURS } else { LEAF_HOURS };
    let usages = written.usages.map(|list| list.0).unwrap_or_default();
    let issue = Issue {
        nodes: or(written.nodes, "cp1"),
        path: written.path.value.0,
        signer: written.signer.map(|signer| signer.value.0),
        request: written.request.map(|request| request.value.0),
        key: written.key.map(|key| key.value.0),
        common_name: written.common_name.map(|name| name.value),
        organizations: texts(written.organization),
        names: texts(written.names),
        usages: usages.into_iter().map(|usage| usage.value).collect(),
        ca,
        key_algorithm: written
            .key_algorithm
            .map_or(KeyAlgorithm::Rsa2048, |algorithm| algorithm.value),
        validity: written
            .validity
            .map_or(SignedDuration::from_hours(hours), |span| span.value.0),
        backdate: written.backdate.map_or(BACKDATE, |span| span.value.0),
        chain,
    };
    (problems.len() == before).then_some(issue)
}
