//! The world's time: what timers run on, and what wall clocks show.

use crate::time::{SignedDuration, Timestamp, shift};

/// True time and the time that timers run on.
///
/// A walk moves both. A jump moves true time alone: wall clocks step, timers do not notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Start of the cluster plus all time that timers have seen.
    ticks: Timestamp,
    /// How far jumps have moved the wall clocks beyond that.
    stepped: SignedDuration,
}

impl Clock {
    /// A clock that starts at an instant.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self {
            ticks: start,
            stepped: SignedDuration::ZERO,
        }
    }

    /// True virtual time: what a correct wall clock shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        shift(self.ticks, self.stepped)
    }

    /// The axis of timers. Only differences mean something.
    #[must_use]
    pub fn ticks(&self) -> Timestamp {
        self.ticks
    }

    /// When timers will show what a correct wall clock shows at `wall`.
    #[must_use]
    pub fn ticks_at(&self, wall: Timestamp) -> Timestamp {
        shift(wall, -self.stepped)
    }

    /// Lets time pass until timers show `ticks`.
    pub fn run_to(&mut self, ticks: Timestamp) {
        debug_assert!(ticks >= self.ticks, "timers never run backwards");
        self.ticks = self.ticks.max(ticks);
    }

    /// Takes over what a real clock shows. Timers there are not followed one by one.
    pub fn set(&mut self, now: Timestamp) {
        self.ticks = self.ticks_at(now);
    }

    /// Steps every wall clock.
    pub fn step(&mut self, by: SignedDuration) {
        self.stepped = self.stepped.saturating_add(by);
    }
}
