//! Where the nodes of a cluster stand in time.

use std::time::Duration;

use crate::real::warp;
use crate::time::{SignedDuration, Timestamp, shift};

/// How long what a hop set off may take, in wall time.
pub(super) const SETTLE_MAX: Duration = Duration::from_secs(3);
/// The longest hop.
const HOP_MAX: SignedDuration = SignedDuration::from_hours(90 * 24);
/// The kubelet draws its deadline between 70 and 90 % of a certificate's life (`certificate_manager.go`,
/// nextRotationDeadline). From there on hops are short parts of that life, so that it renews when it is due, and not when
/// it is long over.
const DUE_PERCENT: i32 = 70;
const HOP_WHEN_DUE_PERCENT: i32 = 4;
/// A certificate that lives for minutes does not make a walk endless.
const HOP_WHEN_DUE_MIN: SignedDuration = SignedDuration::from_mins(1);
/// The last hour of a walk is lived in hops that become shorter, in which every process' timers run: leases of 15 s,
/// Node conditions of 40 s and the hourly looks of cleaners come due in their order.
const LANDING_S: [i64; 6] = [2_400, 900, 180, 60, 40, 20];

/// Leaders renew their lease every 2 s and give up what has not been answered within 10 s of their own time: a longer hop
/// that falls into a request ends them. After this one, which is too short for that, all of them renew at once, and then
/// not for 2 s.
pub(super) const IN_STEP: SignedDuration = SignedDuration::from_secs(3);
/// Whoever was in step is so no longer, in wall time.
pub(super) const IN_STEP_FOR: Duration = Duration::from_millis(1_500);
/// A hop that ends no request.
pub(super) const HARMLESS: SignedDuration = SignedDuration::from_secs(8);

/// What somebody gives a cluster that he has mended is lived in short hops: much comes due one after the other. A kubelet asks again
/// (after 32 s), a controller-manager takes a lease that was left behind (15 s), approves and signs, the kubelet takes it into use.
const SHORT: SignedDuration = SignedDuration::from_mins(3);
const SHORT_HOP: SignedDuration = SignedDuration::from_secs(40);

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

    /// So far.
    #[must_use]
    pub fn by(offset: SignedDuration) -> Self {
        Self(offset)
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

/// The kubelet probes a container every ten seconds and ends it after eight failures: a longer hop is one probe, however long
/// it is.
const PROBE: SignedDuration = SignedDuration::from_secs(10);
/// Until it has ended, with its grace period, and was started again.
const PROBES: usize = 13;

/// An API server's own timers run at the machine's pace, and it asks its etcd for two seconds: a probe takes as long, whatever
/// the kubelet's clock says.
pub(super) const PROBE_TAKES: Duration = Duration::from_millis(2_600);

/// The hops at the beginning of a walk, at most, in which a container that is not healthy is found so, and ended.
pub(super) fn probed(span: SignedDuration) -> impl Iterator<Item = SignedDuration> {
    let fit = usize::try_from(span.as_secs() / PROBE.as_secs()).unwrap_or(0);
    std::iter::repeat_n(PROBE, PROBES.min(fit))
}

/// How a walk is divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// Short hops at the beginning of a long walk. Everyone's timers run.
    pub take_off: Vec<SignedDuration>,
    /// What is between, in hops as long as can be. Only the first one moves the timers of controller-manager and scheduler:
    /// a hop that falls into the second in which one of them renews its lease would end it, and the new process would have
    /// read its kubeconfig anew. It moves theirs, too, so that what they have put off for hours or days (tokens and
    /// certificate keys that end) comes due.
    pub stretch: SignedDuration,
    /// Hops that become shorter, at the end. Everyone's timers run.
    pub landing: Vec<SignedDuration>,
}

impl Walk {
    /// Over a span of time.
    #[must_use]
    pub fn over(span: SignedDuration) -> Self {
        let seconds = SignedDuration::from_secs;
        let landing_total = seconds(LANDING_S.iter().sum());
        let mut left = span;
        let mut take_off = Vec::new();
        if span > landing_total * 2 {
            take_off = TAKE_OFF_S.map(seconds).to_vec();
            left -= seconds(TAKE_OFF_S.iter().sum());
        }
        let stretch = (left - landing_total).max(SignedDuration::ZERO);
        left -= stretch;
        let mut landing = Vec::new();
        while span <= SHORT && left > SHORT_HOP {
            landing.push(SHORT_HOP);
            left -= SHORT_HOP;
        }
        for (place, &by) in LANDING_S.iter().enumerate() {
            let shorter = LANDING_S[place + 1..].iter().sum::<i64>();
            while left >= seconds(by + shorter) {
                landing.push(seconds(by));
                left -= seconds(by);
            }
        }
        if left.is_positive() {
            landing.push(left);
        }
        Self {
            take_off,
            stretch,
            landing,
        }
    }
}

/// The life of a certificate that its holder renews before it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Its NotBefore.
    pub from: Timestamp,
    /// Its NotAfter.
    pub to: Timestamp,
}

impl Life {
    /// Whether it may be renewed by now, and has not ended.
    #[must_use]
    pub fn is_due(self, now: Timestamp) -> bool {
        self.due() <= now && now < self.to
    }

    /// Whether it may be renewed at an instant or before it.
    #[must_use]
    pub fn comes_due_until(self, instant: Timestamp) -> bool {
        self.due() <= instant
    }

    fn due(self) -> Timestamp {
        shift(self.from, self.share(DUE_PERCENT))
    }

    fn share(self, percent: i32) -> SignedDuration {
        self.to.duration_since(self.from) / 100 * percent
    }
}

/// How far a hop may go that begins at an instant while these certificates live: not past what a kubelet has to do.
#[must_use]
pub fn longest(now: Timestamp, lives: &[Life]) -> SignedDuration {
    lives.iter().fold(HOP_MAX, |longest, life| {
        let before = life.due().duration_since(now);
        longest.min(if before.is_positive() {
            before
        } else if life.is_due(now) {
            life.share(HOP_WHEN_DUE_PERCENT).max(HOP_WHEN_DUE_MIN)
        } else {
            // It has ended: whoever holds it renews nothing any more.
            HOP_MAX
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_parts_of_a_walk_add_up() {
        for seconds in [1, 2, 30, 61, 300, 3_600, 7_200, 86_400, 86_400 * 365] {
            let span = SignedDuration::from_secs(seconds);
            let walk = Walk::over(span);
            let hops = walk.take_off.iter().chain(&walk.landing);
            assert!(hops.clone().all(|by| by.is_positive()));
            let total = hops.fold(walk.stretch, |sum, by| sum + *by);
            assert_eq!(total, span, "{seconds} s");
        }
    }

    #[test]
    fn ten_minutes_are_a_few_hops() {
        for (minutes, hops) in [(1, 2), (2, 4), (3, 5), (5, 4), (10, 7), (60, 6)] {
            let walk = Walk::over(SignedDuration::from_mins(minutes));
            assert_eq!(walk.landing.len(), hops, "{minutes} min: {walk:?}");
            assert!(walk.landing.is_sorted_by(|one, next| one >= next));
            assert!(*walk.landing.last().unwrap() <= SignedDuration::from_secs(20));
        }
    }

    #[test]
    fn the_last_hour_runs_everyones_timers() {
        let walk = Walk::over(SignedDuration::from_hours(24 * 300));
        let total = walk
            .landing
            .iter()
            .fold(SignedDuration::ZERO, |sum, by| sum + *by);
        assert!(total >= SignedDuration::from_mins(58), "{total:?}");
        assert!(
            walk.landing
                .iter()
                .all(|by| *by <= SignedDuration::from_mins(40))
        );
    }

    proptest! {
        /// A kubelet that renews as soon as it can after the deadline that it drew never lets its certificate end, and
        /// is late by a small part of its life only.
        #[test]
        fn no_hop_passes_over_a_renewal(
            hours in 1_i64..24 * 400,
            since in 0_i64..60,
            drawn in 70_i64..=90,
            days in 1_i64..1_000,
        ) {
            let length = SignedDuration::from_hours(hours);
            let mut now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 500);
            let end = now + SignedDuration::from_hours(24 * days);
            let from = now - length / 100 * i32::try_from(since).unwrap();
            let mut life = Life { from, to: from + length };
            for _ in 0..20_000 {
                if now >= end {
                    break;
                }
                let by = longest(now, &[life]).min(end.duration_since(now));
                prop_assert!(by.is_positive());
                now += by;
                prop_assert!(now < life.to, "{life:?} has ended");
                let deadline = life.from + length / 100 * i32::try_from(drawn).unwrap();
                if now >= deadline {
                    let late = now.duration_since(deadline);
                    let allowed = (length / 100 * HOP_WHEN_DUE_PERCENT).max(HOP_WHEN_DUE_MIN);
                    prop_assert!(late <= allowed, "late by {late:?}");
                    life = Life { from: now, to: now + length };
                }
            }
        }
    }

    #[test]
    fn a_container_that_is_not_healthy_is_probed_often_enough_to_be_ended() {
        let hops = |seconds| probed(SignedDuration::from_secs(seconds)).count();
        assert_eq!([hops(9), hops(20), hops(3_600)], [0, 2, PROBES]);
        let total = PROBE * i32::try_from(PROBES).unwrap();
        // Eight failures, and the grace period of a static Pod.
        assert!(total >= SignedDuration::from_secs(8 * 10 + 30), "{total:?}");
    }

    #[test]
    fn what_has_ended_holds_nothing_up() {
        let at = |hours: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours);
        let life = Life {
            from: at(0),
            to: at(1_000),
        };
        assert_eq!(longest(at(0), &[life]), SignedDuration::from_hours(700));
        assert_eq!(longest(at(700), &[life]), SignedDuration::from_hours(40));
        assert_eq!(longest(at(1_000), &[life]), HOP_MAX);
        assert_eq!(longest(at(0), &[]), HOP_MAX);
    }
}
