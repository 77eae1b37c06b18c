//! How far clocks are shifted.

use super::WarpError;
use crate::time::{SignedDuration, Timestamp};

/// How far the clocks of a process are ahead of the machine's; negative is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offsets {
    /// Of the wall clocks: `CLOCK_REALTIME`, its `_COARSE` and `_ALARM` forms, `CLOCK_TAI`, `gettimeofday`, `time`.
    pub wall: SignedDuration,
    /// Of the clocks that timers run on: `CLOCK_MONOTONIC`, its `_RAW` and `_COARSE` forms, `CLOCK_BOOTTIME` and
    /// its `_ALARM` form. Must not become smaller in a running process. CPU time is never shifted.
    pub timers: SignedDuration,
    /// The wall clocks stand still: they always show 1970-01-01T00:00:00Z and [`Offsets::wall`]. Timers run.
    pub still: bool,
}

impl Offsets {
    /// The wall clocks alone, as when an operator sets the clock.
    #[must_use]
    pub fn wall(wall: SignedDuration) -> Self {
        Self {
            wall,
            ..Self::default()
        }
    }

    /// Wall clocks that stand still; timers run as ever.
    #[must_use]
    pub fn still_at(instant: Timestamp) -> Self {
        Self {
            wall: instant.duration_since(Timestamp::UNIX_EPOCH),
            still: true,
            ..Self::default()
        }
    }

    /// All clocks, as when time passes.
    #[must_use]
    pub fn all(by: SignedDuration) -> Self {
        Self {
            wall: by,
            timers: by,
            still: false,
        }
    }

    /// Both as nanoseconds, as the patched code wants them.
    #[cfg_attr(
        not(all(
            target_os = "linux",
            target_pointer_width = "64",
            any(target_arch = "x86_64", target_arch = "aarch64")
        )),
        expect(dead_code, reason = "nothing is patched there")
    )]
    pub(super) fn nanoseconds(self) -> Result<[i64; 3], WarpError> {
        let count = |span: SignedDuration| {
            i64::try_from(span.as_nanos()).map_err(|_| WarpError::TooFar { span })
        };
        Ok([
            count(self.wall)?,
            count(self.timers)?,
            i64::from(self.still),
        ])
    }

    #[cfg_attr(
        not(all(
            target_os = "linux",
            target_pointer_width = "64",
            any(target_arch = "x86_64", target_arch = "aarch64")
        )),
        expect(dead_code, reason = "nothing is patched there")
    )]
    pub(super) fn from_nanoseconds([wall, timers, still]: [i64; 3]) -> Self {
        Self {
            wall: SignedDuration::from_nanos(wall),
            timers: SignedDuration::from_nanos(timers),
            still: still != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_nanoseconds_up_to_292_years() {
        let offsets = Offsets {
            wall: SignedDuration::new(-1, -5),
            timers: SignedDuration::from_hours(292 * 365 * 24),
            still: true,
        };
        let counted = offsets.nanoseconds().unwrap();
        assert_eq!(counted[0], -1_000_000_005);
        assert_eq!(Offsets::from_nanoseconds(counted), offsets);
        let error = Offsets::wall(SignedDuration::from_hours(-293 * 366 * 24))
            .nanoseconds()
            .unwrap_err();
        assert!(matches!(error, WarpError::TooFar { .. }), "{error}");
    }
}
