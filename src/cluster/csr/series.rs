//! Requests of a kubelet that nobody signs.
//!
//! A kubelet waits a quarter of an hour for its certificate and then posts another request, for ever: about 93 a
//! day. Between two events of the world nothing can become of them, so they are not put on the clock. When an
//! event comes, those that would have been posted by then are made up for: those that the cleaner would have
//! left are objects like any other, with a name and a time of their own. Their keys are drawn when something is
//! signed. Where no cleaner works only the newest [`KEPT_MAX`] are made; a real API server would hold them all.

use super::{Condition, Origin, Request, RequestState};
use crate::cluster::kubelet::Manager;
use crate::cluster::node::{KubeletState, Rotation};
use crate::cluster::world::World;
use crate::kubeadm::profile::kubelet::UNSIGNED;
use crate::run::trace::{EventKind, Weight};
use crate::scenario::Component;
use crate::time::{SignedDuration, Timestamp, shift};

/// How long a kubelet waits for a certificate (`certificate_manager.go certificateWaitTimeout`).
pub(in crate::cluster) const WAIT: SignedDuration = SignedDuration::from_mins(15);
/// Attempts with exponential back-off before it polls.
pub(in crate::cluster) const BACKOFF_STEPS: u32 = 5;
/// How often it polls then, in seconds.
pub(in crate::cluster) const POLL_S: i64 = 32;
/// Objects that are made up for at most, of one manager at one event.
const KEPT_MAX: i64 = 150;

/// When attempt number `attempt + 1` begins, if that with number `attempt` began at `start` and lasted `length`.
///
/// Five attempts with pauses of 2, 4, 8 and 16 s, then a poll every 32 s: ticks that fall into a running attempt
/// are lost. The jitter of a tenth is left out.
#[must_use]
pub(in crate::cluster) fn next_attempt(
    attempt: u32,
    start: Timestamp,
    length: SignedDuration,
) -> Timestamp {
    if attempt < BACKOFF_STEPS {
        return shift(start, length + SignedDuration::from_secs(1 << attempt));
    }
    let ticks = if attempt == BACKOFF_STEPS {
        // The poll begins when the fifth attempt has failed.
        return shift(start, length + SignedDuration::from_secs(POLL_S));
    } else {
        length.as_secs() / POLL_S + 1
    };
    shift(start, SignedDuration::from_secs(ticks * POLL_S))
}

impl World {
    /// Posts the requests that kubelets would have posted since the last event.
    pub(in crate::cluster) fn catch_up(&mut self) {
        for node in 0..self.nodes.len() {
            if !self.nodes[node].powered || self.nodes[node].kubelet.state != KubeletState::Running
            {
                continue;
            }
            for manager in Manager::ALL {
                self.catch_up_manager(node, manager);
            }
        }
        self.clean_requests();
    }

    fn catch_up_manager(&mut self, node: usize, manager: Manager) {
        let Rotation::Waiting {
            request,
            attempts,
            blocked: false,
        } = self.nodes[node].kubelet.rotation(manager)
        else {
            return;
        };
        if self.requests[request].state() == RequestState::Issued {
            return;
        }
        let length = self.lasts(request);
        let now = self.clock.ticks();
        let mut attempt = attempts;
        let mut start = self.requests[request].created_ticks;
        let mut next = next_attempt(attempt, start, length);
        if next > now {
            return;
        }
        // The last look of the cleaner decides which of them are still there.
        let keep_from = self.last_look().map(|look| {
            let open = SignedDuration::from_hours(if length == WAIT { 24 } else { 1 });
            shift(look, -open)
        });
        let mut kept: Vec<(u32, Timestamp)> = Vec::new();
        while next <= now {
            attempt = attempt.saturating_add(1);
            start = next;
            next = next_attempt(attempt, start, length);
            // Far in the past nothing is left: whole periods are skipped.
            let far = keep_from.map_or(
                shift(now, -SignedDuration::from_secs(KEPT_MAX * 1_000)),
                |from| from,
            );
            if attempt > BACKOFF_STEPS && next < far {
                let period = next.duration_since(start);
                let skipped = far.duration_since(next).as_secs() / period.as_secs();
                attempt = attempt.saturating_add(skipped as u32);
                start = shift(start, SignedDuration::from_secs(skipped * period.as_secs()));
                next = shift(start, period);
            }
            kept.push((attempt, start));
        }
        let stays = |at: Timestamp| keep_from.is_none_or(|from| at >= from);
        let template = self.requests[request].clone();
        if attempts == 1 {
            self.say_unsigned(node, manager, &template.name);
        }
        let last = kept.len() - 1;
        let first = kept.len().saturating_sub(KEPT_MAX as usize);
        let mut newest = request;
        for (index, (attempt, at)) in kept.into_iter().enumerate().skip(first) {
            if index == last || stays(at) {
                newest = self.repeat(&template, node, manager, attempt, at);
            }
        }
        let kubelet = &mut self.nodes[node].kubelet;
        kubelet.set_rotation(
            manager,
            Rotation::Waiting {
                request: newest,
                attempts: attempt,
                blocked: false,
            },
        );
    }

    /// Says once in a rotation that a request was not signed; the others are the same.
    fn say_unsigned(&mut self, node: usize, manager: Manager, name: &str) {
        let line = UNSIGNED.at(self.nodes[node].version);
        let line = line.replace("{}", manager.signer());
        self.log_line(node, Component::Kubelet, &line);
        let subject = format!("kubelet@{}", self.nodes[node].name);
        let text = format!(
            "{name} was not signed within {}: another request takes its place, and so on",
            crate::time::span::display(WAIT)
        );
        self.record(
            EventKind::ProcessLogged,
            Weight::Normal,
            Some(node),
            &subject,
            text,
            None,
        );
    }

    /// A request like another, some time later, with what became of that.
    fn repeat(
        &mut self,
        template: &Request,
        node: usize,
        manager: Manager,
        attempt: u32,
        at: Timestamp,
    ) -> usize {
        let later = at.duration_since(template.created_ticks);
        let moved = |wall: Timestamp| shift(wall, later);
        let conditions: Vec<Condition> = template
            .conditions
            .iter()
            // A person decided about that one request only.
            .filter(|one| !one.reason.starts_with("Kubectl"))
            .map(|one| Condition {
                updated: moved(one.updated),
                ..one.clone()
            })
            .collect();
        let name = self.request_name(node, manager, attempt);
        let mut asked = template.asked.clone();
        asked.spki.clear();
        let process = self.nodes[node].kubelet.id;
        let index = self.requests.len();
        self.requests.push(Request {
            name,
            asked,
            created: moved(template.created),
            created_ticks: at,
            conditions,
            key: None,
            scheduled: false,
            origin: Origin::Kubelet {
                node,
                process,
                manager,
            },
            ..template.clone()
        });
        if matches!(
            self.requests[index].state(),
            RequestState::Pending | RequestState::Approved
        ) {
            self.open_requests.push(index);
        }
        index
    }

    /// The name that the API server makes for an attempt: a function of the attempt, not of who looked before.
    pub(in crate::cluster) fn request_name(
        &self,
        node: usize,
        manager: Manager,
        attempt: u32,
    ) -> String {
        let kubelet = &self.nodes[node];
        let stream = format!(
            "csr/name/{}/{}/{}/{attempt}",
            kubelet.name,
            manager.word(),
            kubelet.kubelet.rotations(manager)
        );
        format!("csr-{}", self.random.suffix_once(&stream, 5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_follow_the_back_off_and_then_the_poll() {
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        let unsigned = |attempt, start| next_attempt(attempt, at(start), WAIT).as_second();
        assert_eq!(unsigned(1, 0), 902);
        assert_eq!(unsigned(4, 0), 916);
        assert_eq!(unsigned(5, 0), 932);
        // 15 min are 28.1 ticks: the 29th begins the next attempt.
        assert_eq!(unsigned(6, 0), 928);
        let second = SignedDuration::from_secs(1);
        assert_eq!(next_attempt(9, at(0), second).as_second(), 32);
    }
}
