//! Waiting for real things, on the machine's own clock. Unit tests have a clock that stands until somebody waits.

use std::time::Duration;
#[cfg(not(test))]
use std::time::Instant;

#[cfg(test)]
use mock_instant::thread_local::Instant;

/// How often something is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempts {
    /// Altogether.
    pub max: u32,
    /// Wall time between two.
    pub between: Duration,
    /// It is not tried again once so much wall time has passed: what took long will take as long again.
    pub within: Duration,
}

impl Attempts {
    /// Does something until it is good, and gives what came of it last.
    pub fn of<T>(self, mut act: impl FnMut() -> T, is_good: impl Fn(&T) -> bool) -> T {
        let begun = Instant::now();
        let mut done = act();
        for _ in 1..self.max {
            if is_good(&done) || begun.elapsed() > self.within {
                break;
            }
            pause(self.between);
            done = act();
        }
        done
    }
}

/// Looks until there is something to be seen, so many times and with so much wall time between two looks.
pub(super) fn until<T, E>(
    looks: u32,
    every: Duration,
    mut look: impl FnMut() -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    for number in 1..=looks {
        let seen = look()?;
        if seen.is_some() {
            return Ok(seen);
        }
        if number < looks {
            pause(every);
        }
    }
    Ok(None)
}

/// Waits on the machine's own clock.
#[cfg(not(test))]
pub fn pause(span: Duration) {
    let end = Instant::now() + span;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        std::thread::sleep(left);
    }
}

/// Moves the clock that stands.
#[cfg(test)]
pub fn pause(span: Duration) {
    mock_instant::thread_local::MockClock::advance(span);
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    const TRIED: Attempts = Attempts {
        max: 4,
        between: Duration::from_millis(300),
        within: Duration::from_secs(3),
    };

    /// What attempts that take so long give, the first good one being of this number: how many there were, and what time passed.
    fn tried(takes: Duration, good: u32) -> (u32, Duration) {
        let begun = Instant::now();
        let mut count = 0;
        let last = TRIED.of(
            || {
                pause(takes);
                count += 1;
                count
            },
            |number| *number == good,
        );
        assert_eq!(last, count);
        (count, begun.elapsed())
    }

    #[test]
    fn what_fails_at_once_is_tried_again_and_what_takes_long_is_not() {
        let ms = Duration::from_millis;
        assert_eq!(tried(ms(10), 1), (1, ms(10)));
        assert_eq!(tried(ms(10), 3), (3, ms(10 * 3 + 300 * 2)));
        assert_eq!(tried(ms(10), 9), (4, ms(10 * 4 + 300 * 3)));
        assert_eq!(tried(ms(3_001), 9), (1, ms(3_001)));
        // The second one begins in time, and is the last.
        assert_eq!(tried(ms(2_900), 9), (2, ms(2_900 * 2 + 300)));
    }

    #[test]
    fn a_deadline_is_a_number_of_looks() {
        let every = Duration::from_millis(100);
        let waited = |there_at: u32| {
            let begun = Instant::now();
            let mut looks = 0;
            let seen = until(600, every, || {
                looks += 1;
                Ok::<_, Infallible>((looks == there_at).then_some(looks))
            });
            (seen.unwrap(), begun.elapsed())
        };
        assert_eq!(waited(1), (Some(1), Duration::ZERO));
        assert_eq!(waited(31), (Some(31), Duration::from_secs(3)));
        // Nobody waits after the last look.
        assert_eq!(waited(601), (None, Duration::from_millis(59_900)));
        let broken = until(600, every, || Err::<Option<()>, _>("broken"));
        assert_eq!(broken, Err("broken"));
    }
}
