//! Where the nodes of a cluster stand in time.

use crate::real::warp;
use crate::time::{SignedDuration, Timestamp, shift};

/// Longest hop of a walk. The kubelet draws its deadline between 70 and 90 % of a certificate's life: a hop of 15
/// days cannot pass over what it has to do.
const HOP_MAX: SignedDuration = SignedDuration::from_hours(15 * 24);
/// The last hour of a walk is lived in hops that become shorter, in which every process' timers run: leases of 15 s,
/// Node conditions of 40 s and the hourly looks of cleaners come due in their order.
const LANDING_S: [i64; 6] = [2_400, 900, 180, 60, 40, 20];

/// A long walk begins with these, in which everyone's timers run: a lease that somebody left behind runs out, and who
/// takes it leads from then on.
const TAKE_OFF_S: [i64; 3] = [20, 20, 20];

/// How far the nodes' true time is ahead of the machine's.
#[derive(Debug, Clone, Copy)]
pub struct Ahead(SignedDuration);

impl Ahead {
    /// So that it is an instant now.
    #[must_use]
    pub fn at(instant: Timestamp) -> Self {
        Self(instant.duration_since(warp::machine_time()))
    }

    /// True virtual time.
    #[must_use]
    pub fn now(self) -> Timestamp {
        shift(warp::machine_time(), self.0)
    }

    /// The offset.
    #[must_use]
    pub fn offset(self) -> SignedDuration {
        self.0
    }

    /// Moves it.
    pub fn add(&mut self, by: SignedDuration) {
        self.0 = self.0.saturating_add(by);
    }
}

/// One hop of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hop {
    /// How far.
    pub by: SignedDuration,
    /// Timers of controller-manager and scheduler run, too.
    pub everyone: bool,
}

/// The hops that make a walk.
///
/// Long stretches move the timers of all but controller-manager and scheduler: a hop that falls into the second in
/// which one of them renews its lease would end it, and the new process would have read its kubeconfig anew. The first one
/// moves theirs, too, so that what they have put off for hours or days (tokens and certificate keys that end) comes due.
#[must_use]
pub fn hops(span: SignedDuration) -> Vec<Hop> {
    let landing: Vec<SignedDuration> = LANDING_S
        .iter()
        .map(|&seconds| SignedDuration::from_secs(seconds))
        .collect();
    let landing_total = SignedDuration::from_secs(LANDING_S.iter().sum());
    let mut hops = Vec::new();
    let mut left = span;
    if span > landing_total * 2 {
        for seconds in TAKE_OFF_S {
            let by = SignedDuration::from_secs(seconds);
            hops.push(Hop { by, everyone: true });
            left -= by;
        }
    }
    let mut first = true;
    while left > landing_total {
        let by = (left - landing_total).min(HOP_MAX);
        hops.push(Hop {
            by,
            everyone: std::mem::take(&mut first),
        });
        left -= by;
    }
    for by in landing {
        let rest: SignedDuration = SignedDuration::from_secs(5);
        if left < by + rest {
            continue;
        }
        hops.push(Hop { by, everyone: true });
        left -= by;
    }
    while left > SignedDuration::from_secs(20) {
        let by = left.min(SignedDuration::from_secs(15));
        hops.push(Hop { by, everyone: true });
        left -= by;
    }
    if left.is_positive() {
        hops.push(Hop {
            by: left,
            everyone: true,
        });
    }
    hops
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_add_up_and_are_never_too_long() {
        for seconds in [1, 2, 30, 61, 300, 3_600, 86_400, 86_400 * 30, 86_400 * 365] {
            let span = SignedDuration::from_secs(seconds);
            let hops = hops(span);
            let total = hops
                .iter()
                .fold(SignedDuration::ZERO, |sum, hop| sum + hop.by);
            assert_eq!(total, span, "{seconds} s");
            assert!(
                hops.iter()
                    .all(|hop| hop.by <= HOP_MAX && hop.by.is_positive())
            );
        }
    }

    #[test]
    fn the_last_hour_runs_everyones_timers() {
        let hops = hops(SignedDuration::from_hours(24 * 300));
        let far = hops.iter().position(|hop| hop.by == HOP_MAX).unwrap();
        assert!(hops[far].everyone && hops[far + 1..].iter().any(|hop| !hop.everyone));
        let landing: Vec<&Hop> = hops[far + 1..].iter().filter(|hop| hop.everyone).collect();
        let total = landing
            .iter()
            .fold(SignedDuration::ZERO, |sum, hop| sum + hop.by);
        assert!(total >= SignedDuration::from_mins(58), "{total:?}");
        assert!(
            landing
                .iter()
                .all(|hop| hop.by <= SignedDuration::from_mins(40))
        );
    }
}
