//! Points in time inside certificates: whole seconds, read as Go reads them.

use super::der::{self, tag};
use crate::time::Timestamp;

/// Reads a UTCTime; seconds since 1970.
pub(super) fn parse_utc(text: &[u8]) -> Option<i64> {
    // With seconds first, then the form without, which Go tolerates.
    let (digits, zone) = split(text, 12).or_else(|| split(text, 10))?;
    let year = i64::from(digits[0]);
    // Go's two-digit years are 1969..2068; X.509 puts 50..68 into the last century.
    let year = if year >= 50 { 1900 + year } else { 2000 + year };
    seconds(year, &digits[1..], zone)
}

/// Reads a GeneralizedTime; seconds since 1970.
pub(super) fn parse_generalized(text: &[u8]) -> Option<i64> {
    let (digits, zone) = split(text, 14)?;
    let year = i64::from(digits[0]) * 100 + i64::from(digits[1]);
    seconds(year, &digits[2..], zone)
}

/// Pairs of digits, and the zone's offset in seconds.
fn split(text: &[u8], length: usize) -> Option<(Vec<u8>, i64)> {
    let (digits, zone) = text.split_at_checked(length)?;
    let digits: Vec<u8> = digits
        .chunks_exact(2)
        .map(|pair| {
            pair.iter()
                .all(u8::is_ascii_digit)
                .then(|| (pair[0] - b'0') * 10 + pair[1] - b'0')
        })
        .collect::<Option<_>>()?;
    let offset = match zone {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), rest @ ..] if rest.len() == 4 => {
            if !rest.iter().all(u8::is_ascii_digit) {
                return None;
            }
            let number = |at: usize| i64::from((rest[at] - b'0') * 10 + rest[at + 1] - b'0');
            let (hours, minutes) = (number(0), number(2));
            if hours > 24 || minutes >= 60 || hours == 0 && minutes == 0 {
                return None;
            }
            let offset = hours * 3600 + minutes * 60;
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    Some((digits, offset))
}

fn seconds(year: i64, rest: &[u8], offset: i64) -> Option<i64> {
    let at = |index: usize| i64::from(rest.get(index).copied().unwrap_or(0));
    let (month, day, hour, minute, second) = (at(0), at(1), at(2), at(3), at(4));
    let valid = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    valid.then(|| {
        days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset
    })
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970 of a date in the proleptic Gregorian calendar.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// A date and time of day, from seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// Year.
    pub year: i64,
    /// 1 to 12.
    pub month: i64,
    /// 1 to 31.
    pub day: i64,
    /// 0 to 23.
    pub hour: i64,
    /// 0 to 59.
    pub minute: i64,
    /// 0 to 59.
    pub second: i64,
}

impl Civil {
    /// The UTC date and time of an instant.
    #[must_use]
    pub fn from_unix(seconds: i64) -> Self {
        let days = seconds.div_euclid(86_400) + 719_468;
        let of_day = seconds.rem_euclid(86_400);
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let month = if shifted < 10 {
            shifted + 3
        } else {
            shifted - 9
        };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * shifted + 2) / 5 + 1,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
        }
    }
}

/// An instant as Go's `time.RFC3339` prints it in UTC.
#[must_use]
pub fn rfc3339(seconds: i64) -> String {
    let t = Civil::from_unix(seconds);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        t.year, t.month, t.day, t.hour, t.minute, t.second
    )
}

/// An instant as a [`Timestamp`], held at what one can be.
pub(super) fn timestamp(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// A `Time` as Go writes it: UTCTime for 1950 to 2049, else GeneralizedTime.
pub(super) fn encode(seconds: i64) -> Option<Vec<u8>> {
    let t = Civil::from_unix(seconds);
    let rest = format!(
        "{:02}{:02}{:02}{:02}{:02}Z",
        t.month, t.day, t.hour, t.minute, t.second
    );
    match t.year {
        1950..=2049 => Some(der::element(
            tag::UTC_TIME,
            format!("{:02}{rest}", t.year % 100).as_bytes(),
        )),
        0..=9999 => Some(der::element(
            tag::GENERALIZED_TIME,
            format!("{:04}{rest}", t.year).as_bytes(),
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_go_reads_them() {
        assert_eq!(parse_utc(b"700101000000Z"), Some(0));
        assert_eq!(parse_utc(b"7001010000Z"), Some(0));
        assert_eq!(parse_utc(b"500101000000Z"), Some(-631_152_000));
        assert_eq!(parse_utc(b"491231235959Z"), Some(2_524_607_999));
        assert_eq!(parse_utc(b"700101010000+0100"), Some(0));
        assert_eq!(parse_utc(b"700101000000+0000"), None);
        assert_eq!(parse_utc(b"700230000000Z"), None);
        assert_eq!(parse_utc(b"70010100000Z"), None);
        assert_eq!(parse_generalized(b"20500101000000Z"), Some(2_524_608_000));
        assert_eq!(parse_generalized(b"20500101000000.5Z"), None);
        assert_eq!(parse_generalized(b"99991231235959Z"), Some(253_402_300_799));
    }

    #[test]
    fn times_survive_a_round_trip() {
        for seconds in [-1, 0, 951_782_400, 2_524_607_999, 2_524_608_000] {
            let encoded = encode(seconds).unwrap();
            let parse = if encoded[0] == tag::UTC_TIME {
                parse_utc
            } else {
                parse_generalized
            };
            assert_eq!(parse(&encoded[2..]), Some(seconds));
        }
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(encode(2_524_607_999).unwrap()[0], tag::UTC_TIME);
        assert_eq!(encode(2_524_608_000).unwrap()[0], tag::GENERALIZED_TIME);
    }
}
