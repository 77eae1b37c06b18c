//! YAML as kubeadm's libraries read and write it: go-yaml v2 behind `sigs.k8s.io/yaml`.
//!
//! What a plain scalar means is YAML 1.1 there (`yes` is true, `0644` is octal), and the first
//! document is the only one that is read.

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError};
use serde_json::{Map, Number, Value};

pub use super::yaml_emit::emit;

/// Deeper than this nothing is read: protects the stack from hostile input.
const DEPTH_MAX: usize = 100;
/// Values an alias may multiply into.
const NODES_MAX: usize = 200_000;

/// What was read, besides the value.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The value as JSON.
    pub value: Value,
    /// Keys that stand twice in one mapping: line (from 1) and key. Only strict readers mind.
    pub duplicates: Vec<(usize, String)>,
}

/// Reads the first document.
///
/// # Errors
/// `yaml: line 2: ...` in go-yaml's form; the wording follows it where the parsers agree.
pub fn parse(text: &[u8]) -> Result<Document, String> {
    let text = std::str::from_utf8(text).map_err(|error| {
        let lead = text.get(error.valid_up_to()).copied().unwrap_or_default();
        let what = match lead {
            0xc2..=0xf4 if error.error_len().is_none() => "incomplete UTF-8 octet sequence",
            0xc2..=0xf4 => "invalid trailing UTF-8 octet",
            _ => "invalid leading UTF-8 octet",
        };
        format!("yaml: {what}")
    })?;
    if text.chars().any(|c| {
        (c < ' ' && !matches!(c, '\t' | '\n' | '\r'))
            || matches!(c, '\u{7f}' | '\u{fffe}' | '\u{ffff}')
    }) {
        return Err("yaml: control characters are not allowed".to_owned());
    }
    let mut builder = Builder {
        parser: Parser::new_from_str(text),
        anchors: BTreeMap::new(),
        duplicates: Vec::new(),
        nodes: 0,
        source: text,
    };
    let value = builder.document()?;
    Ok(Document {
        value,
        duplicates: builder.duplicates,
    })
}

struct Builder<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: BTreeMap<usize, (Value, usize)>,
    duplicates: Vec<(usize, String)>,
    nodes: usize,
    source: &'a str,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, usize), String> {
        loop {
            match self.parser.next_event() {
                None => return Ok((Event::StreamEnd, 0)),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok((event, span))) => return Ok((event, span.start.line())),
                Some(Err(error)) => return Err(wording(&error, self.source)),
            }
        }
    }

    fn document(&mut self) -> Result<Value, String> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(Value::Null),
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                (event, line) => {
                    let value = self.node(event, line, 0)?;
                    // A document is only good when its end is reached.
                    self.next()?;
                    return Ok(value);
                }
            }
        }
    }

    fn count(&mut self, more: usize) -> Result<(), String> {
        self.nodes += more;
        if self.nodes > NODES_MAX {
            return Err("yaml: document contains excessive aliasing".to_owned());
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'a>, line: usize, depth: usize) -> Result<Value, String> {
        if depth > DEPTH_MAX {
            return Err("yaml: exceeded max depth of 10000".to_owned());
        }
        self.count(1)?;
        let before = self.nodes;
        let (value, anchor) = match event {
            Event::Alias(id) => {
                let (value, size) = self
                    .anchors
                    .get(&id)
                    .cloned()
                    .ok_or_else(|| "yaml: unknown anchor referenced".to_owned())?;
                self.count(size)?;
                (value, 0)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag
                    .as_ref()
                    .and_then(|tag| tag.core_suffix().map(str::to_owned));
                (scalar(&text, style, tag.as_deref(), line)?, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, line) => items.push(self.node(event, line, depth + 1)?),
                    }
                }
                (Value::Array(items), anchor)
            }
            Event::MappingStart(_, anchor, _) => (self.mapping(depth)?, anchor),
            other => return Err(format!("yaml: unexpected {other:?}")),
        };
        if anchor > 0 {
            let size = self.nodes - before + 1;
            self.anchors.insert(anchor, (value.clone(), size));
        }
        Ok(value)
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, String> {
        let mut map = Map::new();
        let mut merged = Map::new();
        loop {
            let (event, line) = match self.next()? {
                (Event::MappingEnd, _) => break,
                found => found,
            };
            let is_merge = matches!(
                &event,
                Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<"
            );
            let key = self.node(event, line, depth + 1)?;
            let (event, value_line) = self.next()?;
            let value = self.node(event, value_line, depth + 1)?;
            if is_merge {
                merge(&mut merged, value)?;
                continue;
            }
            let key = key_text(key)?;
            if map.insert(key.clone(), value).is_some() {
                self.duplicates.push((line, key));
            }
        }
        for (key, value) in merged {
            map.entry(key).or_insert(value);
        }
        Ok(Value::Object(map))
    }
}

fn merge(into: &mut Map<String, Value>, value: Value) -> Result<(), String> {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                into.entry(key).or_insert(value);
            }
            Ok(())
        }
        Value::Array(items) => items.into_iter().try_for_each(|item| merge(into, item)),
        _ => Err("yaml: map merge requires map or sequence of maps as the value".to_owned()),
    }
}

fn key_text(key: Value) -> Result<String, String> {
    match key {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Null => {
            Err("unsupported map key of type: %!s(<nil>), key: <nil>, value: <nil>".to_owned())
        }
        Value::Array(_) | Value::Object(_) => {
            Err("yaml: invalid map key: map[interface {}]interface {}{}".to_owned())
        }
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&str>, line: usize) -> Result<Value, String> {
    let resolved = match tag {
        None if style == ScalarStyle::Plain => resolve(text),
        None | Some("str" | "binary" | "timestamp") => Value::String(text.to_owned()),
        Some(wanted) => {
            let value = resolve(text);
            let fits = match wanted {
                "null" => value.is_null(),
                "bool" => value.is_boolean(),
                "int" => value.is_i64() || value.is_u64(),
                "float" => value.is_number(),
                _ => true,
            };
            if !fits {
                return Err(format!(
                    "yaml: line {line}: cannot decode !!str `{text}` as a !!{wanted}"
                ));
            }
            value
        }
    };
    Ok(resolved)
}

/// What a plain scalar means to go-yaml v2.
#[must_use]
pub fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Value::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    let string = || Value::String(text.to_owned());
    match text.as_bytes()[0] {
        b'.' => text
            .parse::<f64>()
            .ok()
            .and_then(Number::from_f64)
            .map_or_else(string, Value::Number),
        b'0'..=b'9' | b'+' | b'-' => number(&text.replace('_', "")).unwrap_or_else(string),
        _ => string(),
    }
}

fn number(text: &str) -> Option<Value> {
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = body.to_ascii_lowercase();
    let (digits, radix) = if let Some(rest) = lower.strip_prefix("0x") {
        (rest, 16)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (rest, 2)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (rest, 8)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (&lower[1..], 8)
    } else {
        (lower.as_str(), 10)
    };
    let is_integer = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    if is_integer && let Ok(value) = u64::from_str_radix(digits, radix) {
        if negative {
            let value = i64::try_from(-i128::from(value)).ok()?;
            return Some(Value::from(value));
        }
        return Some(Value::from(value));
    }
    let is_float = {
        let (mantissa, exponent) = match lower.split_once('e') {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (lower.as_str(), None),
        };
        let good_exponent = exponent.is_none_or(|exponent| {
            let digits = exponent.trim_start_matches(['+', '-']);
            exponent.len() - digits.len() <= 1
                && !digits.is_empty()
                && digits.bytes().all(|byte| byte.is_ascii_digit())
        });
        let good_mantissa = match mantissa.split_once('.') {
            Some(("", fraction)) => {
                !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit())
            }
            Some((whole, fraction)) => {
                !whole.is_empty()
                    && whole
                        .bytes()
                        .chain(fraction.bytes())
                        .all(|byte| byte.is_ascii_digit())
            }
            None => !mantissa.is_empty() && mantissa.bytes().all(|byte| byte.is_ascii_digit()),
        };
        good_exponent && good_mantissa
    };
    if !is_float {
        return None;
    }
    text.parse::<f64>()
        .ok()
        .and_then(Number::from_f64)
        .map(Value::Number)
}

/// The parser's complaint in go-yaml's words: the two share an ancestor, so most texts agree.
fn wording(error: &ScanError, source: &str) -> String {
    let info = error.info().to_lowercase();
    let line = error.marker().line();
    if info.contains("anchor") {
        return alias_complaint(source, line);
    }
    // A complaint of the scanner names its line; one of the parser the line before, as go-yaml
    // counts from nought there.
    let (text, of_the_parser) = if info.contains("tab") {
        ("found a tab character that violates indentation", false)
    } else if info.contains("mapping values are not allowed") {
        ("mapping values are not allowed in this context", false)
    } else if info.contains("unclosed bracket '['") || info.contains("',' or ']'") {
        ("did not find expected ',' or ']'", true)
    } else if info.contains("unclosed bracket '{'") || info.contains("',' or '}'") {
        ("did not find expected ',' or '}'", true)
    } else if info.contains("simple key") || info.contains("expected ':'") {
        ("could not find expected ':'", false)
    } else if info.contains("end of stream") || info.contains("unclosed quote") {
        ("found unexpected end of stream", false)
    } else if info.contains("block mapping") || info.contains("key") {
        ("did not find expected key", true)
    } else if info.contains("block collection") || info.contains("'-'") {
        ("did not find expected '-' indicator", true)
    } else {
        ("found character that cannot start any token", false)
    };
    let line = match text {
        // The line that the tab begins.
        "found a tab character that violates indentation" => tab_line(source).unwrap_or(line),
        _ if of_the_parser => last_line(source).max(line.saturating_sub(1)),
        _ => line,
    };
    if line == 0 {
        format!("yaml: {text}")
    } else {
        format!("yaml: line {line}: {text}")
    }
}

fn tab_line(source: &str) -> Option<usize> {
    source
        .lines()
        .position(|line| line.trim_start_matches(' ').starts_with('\t'))
        .map(|index| index + 1)
}

/// Where an unclosed bracket is noticed: at the end.
fn last_line(source: &str) -> usize {
    source.matches('\n').count()
}

/// What go-yaml says about an alias in a line: its name is bad, or names nothing.
fn alias_complaint(source: &str, line: usize) -> String {
    let text = source.lines().nth(line.saturating_sub(1)).unwrap_or("");
    let after = text.split_once('*').map_or("", |(_, after)| after);
    let name: String = after
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        .collect();
    let next = after[name.len()..].chars().next();
    let ends_well = next.is_none_or(|c| c.is_whitespace() || "?:,]}%@`".contains(c));
    if name.is_empty() || !ends_well {
        return format!("yaml: line {line}: did not find expected alphabetic or numeric character");
    }
    format!("yaml: unknown anchor '{name}' referenced")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Value {
        parse(text.as_bytes()).unwrap().value
    }

    #[test]
    fn scalars_are_yaml_1_1() {
        assert_eq!(
            read("a: yes\nb: 0644\nc: 1_000\nd: '1'\ne: 1.5\nf: ~\ng: -3\nh: 2026-01-01\ni: 12e\n"),
            json!({"a": true, "b": 420, "c": 1000, "d": "1", "e": 1.5, "f": null, "g": -3,
                   "h": "2026-01-01", "i": "12e"})
        );
    }

    #[test]
    fn anchors_merge_and_duplicates() {
        let found = parse(b"a: &x {b: 1}\nc: {<<: *x, d: 2}\na: 3\n").unwrap();
        assert_eq!(found.value, json!({"a": 3, "c": {"b": 1, "d": 2}}));
        assert_eq!(found.duplicates, [(3, "a".to_owned())]);
    }

    #[test]
    fn hostile_input_ends() {
        let deep = "[".repeat(100_000);
        assert!(parse(deep.as_bytes()).is_err());
        let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for (one, two) in "abcdefgh".chars().zip("bcdefghi".chars()) {
            bomb.push_str(&format!(
                "{two}: &{two} [*{one},*{one},*{one},*{one},*{one},*{one},*{one},*{one},*{one}]\n"
            ));
        }
        assert!(parse(bomb.as_bytes()).unwrap_err().contains("aliasing"));
        assert!(parse(&[0xff, 0xfe]).is_err());
    }

    #[test]
    fn strings_are_quoted_as_go_yaml_quotes() {
        let value = json!({"a": "yes", "b": "x: y", "c": "plain", "d": "", "e": [], "f": null,
                           "g": [{"z": 1, "y": "1"}], "h": "a\nb\n", "i": "10:20"});
        assert_eq!(
            emit(&value),
            "a: \"yes\"\nb: 'x: y'\nc: plain\nd: \"\"\ne: []\nf: null\ng:\n- \"y\": \"1\"\n  z: 1\nh: |\n  a\n  b\ni: \"10:20\"\n"
        );
        assert_eq!(read(&emit(&value)), value);
    }
}
