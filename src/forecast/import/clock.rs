//! The instant at which a paste was made: RESIDUAL TIME and EXPIRES together leave little room.

use super::Row;
use crate::kubeadm::{human_duration, short_human_duration};
use crate::time::{SignedDuration, Timestamp, shift, span};

/// Where nothing bounds the instant, it is this long after what is known.
const A_DAY_S: i64 = 24 * 3600;
/// Longest residual time that is looked at: 400 years.
const LONGEST_S: i64 = 400 * 365 * A_DAY_S;

/// Seconds, both included.
type Interval = (i64, i64);

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Instant {
    /// The instant.
    pub at: Timestamp,
    /// How it was found, for the scenario's comments.
    pub how: String,
}

/// Finds the instant at which as many rows as possible say what they say. `long`: the form of residual times.
pub(super) fn find(rows: &[Row], long: bool, given: Option<Timestamp>) -> Option<Instant> {
    if let Some(at) = given {
        return Some(Instant {
            at,
            how: "given on the command line".to_owned(),
        });
    }
    // JSON and YAML say it to the second.
    let exact = rows.iter().find_map(|row| {
        let residual = row
            .residual_s
            .filter(|residual| *residual > 0 && *residual < LONGEST_S)?;
        Some(shift(row.not_after?, SignedDuration::from_secs(-residual)))
    });
    if let Some(at) = exact {
        return Some(Instant {
            at,
            how: "from expirationDate and residualTime, to the second".to_owned(),
        });
    }
    let intervals: Vec<Interval> = rows.iter().filter_map(|row| interval(row, long)).collect();
    if intervals.is_empty() {
        return without_residual(rows);
    }
    // The instant that most rows agree with lies between two ends of intervals.
    let mut ends: Vec<i64> = intervals
        .iter()
        .flat_map(|&(from, to)| [from, to])
        .collect();
    ends.sort_unstable();
    ends.dedup();
    let agree = |at: i64| {
        intervals
            .iter()
            .filter(|(from, to)| (*from..=*to).contains(&at))
            .count()
    };
    let mut best: (usize, i64, i64) = (0, 0, 0);
    let pairs = ends.windows(2).map(|pair| (pair[0], pair[1]));
    for (from, to) in pairs.chain(ends.iter().map(|&end| (end, end))) {
        let middle = from + (to - from) / 2;
        let count = agree(middle);
        if count > best.0 || count == best.0 && to - from > best.2 - best.1 {
            best = (count, from, to);
        }
    }
    let (_, from, to) = best;
    if to - from > 60 * A_DAY_S {
        let ended = rows.iter().all(|row| {
            row.residual
                .as_deref()
                .is_none_or(|text| text.starts_with('<'))
        });
        return Some(Instant {
            at: Timestamp::from_second(from + A_DAY_S).ok()?,
            how: if ended {
                "only what has ended tells it; a day after the last end".to_owned()
            } else {
                let room = span::display(SignedDuration::from_secs(to - from));
                format!(
                    "EXPIRES and RESIDUAL TIME leave room for {room}; this is a day after its beginning"
                )
            },
        });
    }
    let at = Timestamp::from_second(from + (to - from) / 2).ok()?;
    let room = span::display(SignedDuration::from_secs(to - from));
    Some(Instant {
        at,
        how: format!(
            "from EXPIRES and RESIDUAL TIME, which leave room for {room}; this is the middle"
        ),
    })
}

/// Instants at which a row prints its residual time.
fn interval(row: &Row, long: bool) -> Option<Interval> {
    let end = row.not_after?.as_second();
    let text = row.residual.as_deref()?;
    if text == "<invalid>" {
        // Ended, nobody knows for how long.
        return Some((end + 2, end + 10 * 365 * A_DAY_S));
    }
    let print = if long {
        human_duration
    } else {
        short_human_duration
    };
    let low = span::parse(text).ok()?.as_secs();
    if !(0..LONGEST_S).contains(&low) || print(low) != text {
        return None;
    }
    // What is printed changes once and for ever.
    let (mut same, mut other) = (low, low + 2 * 365 * A_DAY_S);
    while other - same > 1 {
        let middle = same + (other - same) / 2;
        if print(middle) == text {
            same = middle;
        } else {
            other = middle;
        }
    }
    Some((end - same, end - low))
}

/// Dates alone: a day after the youngest certificate was made, or a day before the first one ends.
fn without_residual(rows: &[Row]) -> Option<Instant> {
    let begin = rows.iter().filter_map(|row| row.not_before).max();
    let end = rows.iter().filter_map(|row| row.not_after).min();
    let (at, how) = match (begin, end) {
        (Some(begin), _) => (
            shift(begin, SignedDuration::from_secs(A_DAY_S)),
            "nothing says it; a day after the youngest certificate was made",
        ),
        (None, Some(end)) => (
            shift(end, SignedDuration::from_secs(-A_DAY_S)),
            "nothing says it; a day before the first certificate ends",
        ),
        (None, None) => return None,
    };
    Some(Instant {
        at,
        how: format!("{how}. Give --at to say otherwise"),
    })
}
