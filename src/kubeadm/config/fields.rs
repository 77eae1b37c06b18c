//! Reading fields of a configuration document, and complaining as kubeadm does about others.

use serde_json::{Map, Value};

use super::super::failure::{Failure, Result};
use crate::time::SignedDuration;

/// An object of the configuration with the path that leads to it.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    map: Option<&'a Map<String, Value>>,
    go_type: &'static str,
    path: &'static str,
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl<'a> Fields<'a> {
    /// The document itself.
    pub fn top(value: &'a Value, go_type: &'static str) -> Self {
        Self {
            map: value.as_object(),
            go_type,
            path: "",
        }
    }

    fn wrong(&self, found: &Value, field: &str, wanted: &str) -> Failure {
        let path = if self.path.is_empty() {
            format!("{}.{field}", self.go_type)
        } else {
            format!("{}.{}.{field}", self.go_type, self.path)
        };
        Failure::new(format!(
            "json: cannot unmarshal {} into Go struct field {path} of type {wanted}",
            go_kind(found)
        ))
    }

    fn get(&self, field: &str) -> Option<&'a Value> {
        self.map?.get(field).filter(|value| !value.is_null())
    }

    /// A text; `None` when absent or empty.
    pub fn text(&self, field: &str) -> Result<Option<String>> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(other) => Err(self.wrong(other, field, "string")),
        }
    }

    /// A list of texts.
    pub fn texts(&self, field: &str) -> Result<Vec<String>> {
        match self.get(field) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| match item {
                    Value::String(text) => Ok(text.clone()),
                    Value::Null => Ok(String::new()),
                    other => Err(self.wrong(other, field, "string")),
                })
                .collect(),
            Some(other) => Err(self.wrong(other, field, "[]string")),
        }
    }

    /// A number that fits an `int32`.
    pub fn number(&self, field: &str) -> Result<Option<i64>> {
        match self.get(field) {
            None => Ok(None),
            Some(value @ Value::Number(number)) => number
                .as_i64()
                .map(Some)
                .ok_or_else(|| self.wrong(value, field, "int32")),
            Some(other) => Err(self.wrong(other, field, "int32")),
        }
    }

    /// A yes or no.
    pub fn flag(&self, field: &str) -> Result<Option<bool>> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(self.wrong(other, field, "bool")),
        }
    }

    /// A length of time in Go's form.
    pub fn duration(&self, field: &str) -> Result<Option<SignedDuration>> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => parse_duration(text).map(Some),
            Some(other) => Err(Failure::new(format!(
                "json: cannot unmarshal {} into Go value of type string",
                go_kind(other)
            ))),
        }
    }

    /// A nested object; `None` when absent.
    pub fn object(&self, field: &'static str, go_type: &'static str) -> Result<Option<Self>> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self {
                map: Some(map),
                go_type,
                path: "",
            })),
            Some(other) => Err(self.wrong(other, field, go_type)),
        }
    }

    /// A part of an `UpgradeConfiguration`, whose errors say the path; `None` when absent.
    pub fn part(&self, field: &'static str, go_type: &'static str) -> Result<Option<Self>> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self {
                map: Some(map),
                go_type,
                path: field,
            })),
            Some(other) => Err(self.wrong(other, field, &format!("v1beta4.{go_type}"))),
        }
    }

    /// An argument of a list of name/value pairs (v1beta4) or of a map (before).
    pub fn argument(&self, field: &str, name: &str) -> Option<String> {
        match self.get(field)? {
            Value::Object(map) => map.get(name)?.as_str().map(str::to_owned),
            Value::Array(items) => items
                .iter()
                .filter(|item| item.get("name").and_then(Value::as_str) == Some(name))
                .filter_map(|item| item.get("value")?.as_str())
                .next_back()
                .map(str::to_owned),
            _ => None,
        }
    }
}

/// Go's `time.ParseDuration`.
pub(in super::super) fn parse_duration(text: &str) -> Result<SignedDuration> {
    let invalid = || Failure::new(format!("time: invalid duration {text:?}"));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        if number.is_empty() || number == "." || number.matches('.').count() > 1 {
            return Err(invalid());
        }
        let letters = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, next) = tail.split_at(letters);
        if unit.is_empty() {
            return Err(Failure::new(format!(
                "time: missing unit in duration {text:?}"
            )));
        }
        let nanos: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            other => {
                return Err(Failure::new(format!(
                    "time: unknown unit {other:?} in duration {text:?}"
                )));
            }
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let whole: i128 = if whole.is_empty() {
            0
        } else {
            whole.parse().map_err(|_| invalid())?
        };
        total = total
            .checked_add(whole.checked_mul(nanos).ok_or_else(invalid)?)
            .ok_or_else(invalid)?;
        let mut scale = nanos;
        for digit in fraction.bytes().take(18) {
            scale /= 10;
            total += i128::from(digit - b'0') * scale;
        }
        if total > i128::from(i64::MAX) {
            return Err(invalid());
        }
        rest = next;
    }
    let nanos = if negative { -total } else { total };
    i64::try_from(nanos)
        .map(SignedDuration::from_nanos)
        .map_err(|_| invalid())
}

/// A length of time as Go prints it: `8760h0m0s`.
pub(super) fn show_duration(duration: SignedDuration) -> String {
    let nanos = duration.as_nanos();
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let trimmed = |value: u128, unit: u128, name: &str| {
        let fraction = format!("{:0width$}", value % unit, width = unit.ilog10() as usize);
        let fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() {
            format!("{}{name}", value / unit)
        } else {
            format!("{}.{fraction}{name}", value / unit)
        }
    };
    if nanos < 1_000 {
        return format!("{sign}{nanos}ns");
    }
    if nanos < 1_000_000 {
        return format!("{sign}{}", trimmed(nanos, 1_000, "µs"));
    }
    if nanos < 1_000_000_000 {
        return format!("{sign}{}", trimmed(nanos, 1_000_000, "ms"));
    }
    let seconds = trimmed(nanos % 60_000_000_000, 1_000_000_000, "s");
    let minutes = nanos / 60_000_000_000;
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_gos() {
        let show = |text: &str| parse_duration(text).map(show_duration);
        assert_eq!(show("8760h").as_deref(), Ok("8760h0m0s"));
        assert_eq!(show("-10m").as_deref(), Ok("-10m0s"));
        assert_eq!(show("1.5s").as_deref(), Ok("1.5s"));
        assert_eq!(show("0").as_deref(), Ok("0s"));
        assert_eq!(show("1h1ms").as_deref(), Ok("1h0m0.001s"));
        assert_eq!(
            show("abc").unwrap_err().text,
            "time: invalid duration \"abc\""
        );
        assert_eq!(
            show("1d").unwrap_err().text,
            "time: unknown unit \"d\" in duration \"1d\""
        );
        assert_eq!(
            show("10").unwrap_err().text,
            "time: missing unit in duration \"10\""
        );
    }
}
