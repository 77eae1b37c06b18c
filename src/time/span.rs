//! Lengths of time as people write them in scenarios: `300d`, `1y`, `20s`, `1d12h`.

use super::SignedDuration;

/// Why a length of time cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// Nothing was written.
    #[error("a length of time is missing, for example 300d, 20s or 1d12h")]
    Empty,
    /// A number without unit, or a unit without number.
    #[error(
        "{0:?} is not a length of time: write a number and a unit, for example 300d, 20s or 1d12h"
    )]
    Malformed(String),
    /// A unit that certdrill does not know.
    #[error("unknown unit {0:?}: use ms, s, m, h, d, w or y (365 days)")]
    Unit(String),
    /// More than certdrill can count.
    #[error("{0:?} is too long")]
    TooLong(String),
}

/// Reads a length of time. `y` is 365 days, as in kubeadm's own output.
///
/// # Errors
/// When the text is not a sequence of numbers with units.
pub fn parse(text: &str) -> Result<SignedDuration, SpanError> {
    let text = text.trim();
    let (negative, body) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if body.is_empty() {
        return Err(SpanError::Empty);
    }
    let mut total_ms: i64 = 0;
    let mut rest = body;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(tail.len());
        let (unit, next) = tail.split_at(letters);
        if number.is_empty() || unit.is_empty() {
            return Err(SpanError::Malformed(text.to_owned()));
        }
        let value: f64 = number
            .parse()
            .map_err(|_| SpanError::Malformed(text.to_owned()))?;
        let unit_ms: f64 = match unit {
            "ms" => 1.0,
            "s" => 1_000.0,
            "m" => 60_000.0,
            "h" => 3_600_000.0,
            "d" => 86_400_000.0,
            "w" => 7.0 * 86_400_000.0,
            "y" => 365.0 * 86_400_000.0,
            other => return Err(SpanError::Unit(other.to_owned())),
        };
        let part = value * unit_ms;
        // 9,000 years: beyond that a timestamp cannot follow.
        if !(0.0..=2.9e14).contains(&part) {
            return Err(SpanError::TooLong(text.to_owned()));
        }
        total_ms = total_ms
            .checked_add(part.round() as i64)
            .ok_or_else(|| SpanError::TooLong(text.to_owned()))?;
        rest = next;
    }
    let span = SignedDuration::from_millis(total_ms);
    Ok(if negative { -span } else { span })
}

/// Writes a length of time with its two largest units: `255d12h`, `20s`, `1h5m`.
#[must_use]
pub fn display(span: SignedDuration) -> String {
    let sign = if span.is_negative() { "-" } else { "" };
    let mut ms = span.as_millis().unsigned_abs();
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut parts = Vec::new();
    for (unit, size) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ] {
        let count = ms / size;
        ms %= size;
        if count > 0 {
            parts.push(format!("{count}{unit}"));
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    format!("{sign}{}", parts.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_as_written() {
        assert_eq!(parse("300d"), Ok(SignedDuration::from_hours(7200)));
        assert_eq!(parse("1d12h"), Ok(SignedDuration::from_hours(36)));
        assert_eq!(parse("255.5d"), Ok(SignedDuration::from_hours(6132)));
        assert_eq!(parse("-5m"), Ok(SignedDuration::from_mins(-5)));
        assert_eq!(parse("12"), Err(SpanError::Malformed("12".into())));
        assert_eq!(parse("3 d"), Err(SpanError::Malformed("3 d".into())));
        assert_eq!(
            parse("3fortnights"),
            Err(SpanError::Unit("fortnights".into()))
        );
    }

    #[test]
    fn two_largest_units_are_shown() {
        assert_eq!(display(SignedDuration::from_hours(6132)), "255d12h");
        assert_eq!(display(SignedDuration::from_secs(20)), "20s");
        assert_eq!(display(SignedDuration::from_secs(-90)), "-1m30s");
    }
}
