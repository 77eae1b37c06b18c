//! The cleaner: requests do not stay for ever (`pkg/controller/certificates/cleaner/cleaner.go`).
//!
//! It looks once an hour. Nothing changes between two events of the world, so its looks are not put on the
//! clock: the last one before an event is made up for when the event comes.

use super::{ConditionKind, Request};
use crate::cluster::managers::CSR_CLEANER;
use crate::cluster::world::World;
use crate::time::{SignedDuration, Timestamp, shift};

/// How often it looks.
const EVERY: SignedDuration = SignedDuration::from_hours(1);
/// How long decided requests stay.
const DECIDED: SignedDuration = SignedDuration::from_hours(1);
/// How long undecided and unsigned ones stay.
const OPEN: SignedDuration = SignedDuration::from_hours(24);

/// Whether the cleaner that looks at `now` deletes a request.
#[must_use]
pub fn is_over(request: &Request, now: Timestamp) -> bool {
    let older = |since: Timestamp, than| now.duration_since(since) > than;
    if request.conditions.is_empty() && older(request.created, OPEN) {
        return true;
    }
    request.conditions.iter().any(|one| match one.kind {
        ConditionKind::Denied | ConditionKind::Failed => older(one.updated, DECIDED),
        ConditionKind::Approved => match &request.certificate {
            Some(certificate) => older(one.updated, DECIDED) || now > certificate.not_after(),
            None => older(one.updated, OPEN),
        },
    })
}

impl World {
    /// The cleaner's last look before now, on the axis of timers, if it works.
    pub(in crate::cluster) fn last_look(&self) -> Option<Timestamp> {
        let since = self.controller(CSR_CLEANER)?.since?;
        let passed = self.clock.ticks().duration_since(since);
        let looks = passed.as_secs() / EVERY.as_secs();
        Some(shift(
            since,
            SignedDuration::from_secs(looks * EVERY.as_secs()),
        ))
    }

    /// Makes up for the cleaner's looks since the last event.
    pub(in crate::cluster) fn clean_requests(&mut self) {
        let Some(look) = self.last_look() else {
            return;
        };
        if self.cleaned_at == Some(look) {
            return;
        }
        self.cleaned_at = Some(look);
        let wall = shift(self.now(), look.duration_since(self.clock.ticks()));
        for request in 0..self.requests.len() {
            if !self.requests[request].deleted && is_over(&self.requests[request], wall) {
                self.delete_request(request);
                self.request_changed(
                    request,
                    "deleted by the cleaner",
                    crate::run::trace::Weight::Detail,
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Condition, Origin};
    use super::*;
    use crate::cluster::kubelet::Manager;

    fn request(conditions: &[(ConditionKind, i64)], created: i64) -> Request {
        let at = |hours: i64| Timestamp::from_second(hours * 3600).unwrap();
        Request {
            name: "csr-x".to_owned(),
            requestor: crate::cluster::rbac::Requestor::default(),
            signer: super::super::KUBELET_CLIENT.to_owned(),
            usages: Vec::new(),
            expiration_seconds: None,
            asked: crate::pki::Request {
                subject: crate::pki::Name::default(),
                dns_names: Vec::new(),
                ip_addresses: Vec::new(),
                spki: Vec::new(),
            },
            created: at(created),
            created_ticks: at(created),
            conditions: conditions
                .iter()
                .map(|&(kind, hours)| Condition {
                    kind,
                    reason: String::new(),
                    message: String::new(),
                    updated: at(hours),
                })
                .collect(),
            certificate: None,
            deleted: false,
            origin: Origin::Kubelet {
                node: 0,
                process: 1,
                manager: Manager::Client,
            },
            key: None,
            scheduled: false,
            refused_by: None,
            cause: 0,
        }
    }

    #[test]
    fn each_state_has_its_deadline() {
        use ConditionKind::{Approved, Denied, Failed};
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        for (conditions, seconds) in [
            (vec![], 24 * 3600),
            (vec![(Approved, 0)], 24 * 3600),
            (vec![(Denied, 0)], 3600),
            (vec![(Approved, 0), (Failed, 0)], 3600),
        ] {
            let one = request(&conditions, 0);
            assert!(!is_over(&one, at(seconds)), "{conditions:?}");
            assert!(is_over(&one, at(seconds + 1)), "{conditions:?}");
        }
    }

    #[test]
    fn an_issued_request_goes_an_hour_after_its_approval_or_when_its_certificate_ends() {
        let key = crate::pki::pool_key(crate::pki::KeyAlgorithm::EcdsaP256, 0).unwrap();
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        let ends =
            |end: i64| crate::pki::issue::self_signed_ca("x", &key, at(0), at(end), 1).unwrap();
        let mut one = request(&[(ConditionKind::Approved, 0)], 0);
        one.certificate = Some(ends(1_000_000));
        assert!(!is_over(&one, at(3600)));
        assert!(is_over(&one, at(3601)));
        one.certificate = Some(ends(600));
        assert!(!is_over(&one, at(600)));
        assert!(is_over(&one, at(601)));
    }
}
