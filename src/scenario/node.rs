//! YAML as a tree that keeps what was written where.
//!
//! serde-saphyr reads the text; this tree sits between it and the format so that *every* mistake of a
//! file is reported at once, which a derived `Deserialize` cannot do: it stops at the first.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Location, Spanned};

use super::Position;
use super::problem::Problem;

/// Nesting beyond this is refused; a scenario needs nine levels.
const DEPTH_MAX: usize = 32;
/// Nodes beyond this, aliases expanded, are refused.
const NODES_MAX: usize = 200_000;

/// A YAML node and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Nothing: `key:` or `null`.
    Null,
    /// A scalar as it was written: `yes`, `0600` and `1.10` keep their spelling.
    Scalar(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the file, duplicates included.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) at: Position,
    pub(super) text: String,
}

impl Node {
    /// What this is, in a sentence: `found a list`.
    pub(super) fn what(&self) -> Cow<'static, str> {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Scalar(text) => format!("`{}`", clip(text)).into(),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
        }
    }

    /// Calls `change` for every scalar below, itself included; keys too.
    pub(super) fn each_text(&mut self, change: &mut impl FnMut(&mut String)) {
        match &mut self.value {
            Value::Null => {}
            Value::Scalar(text) => change(text),
            Value::List(items) => items.iter_mut().for_each(|item| item.each_text(change)),
            Value::Map(entries) => {
                for (key, value) in entries {
                    change(&mut key.text);
                    value.each_text(change);
                }
            }
        }
    }
}

/// The first forty characters of the first line of a text.
pub(super) fn clip(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let mut clipped: String = line.chars().take(40).collect();
    if clipped.len() < text.trim_end().len() {
        clipped.push('…');
    }
    clipped
}

/// Reads one YAML document.
pub(super) fn parse(text: &str) -> Result<Node, Box<Problem>> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_aliases: 1_000,
            max_anchors: 1_000,
        },
        // Reported by the decoder, which can say where the first one is.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Merge,
        // `fix: [yes, no]` is text.
        strict_booleans: true,
        with_snippet: false,
    };
    let mut node: Node = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| yaml_problem(text, &error))?;
    restore(&mut node, text);
    Ok(node)
}

fn yaml_problem(text: &str, error: &serde_saphyr::Error) -> Box<Problem> {
    let error = error.without_snippet();
    let at = error
        .location()
        .map_or_else(Position::default, |location| position(location, text));
    Box::new(Problem::new(
        at,
        format!("this is not readable YAML: {}", said(error)),
    ))
}

/// What serde-saphyr says, without the place: that is shown by the caret, and a second one in words would only confuse.
pub(super) fn said(error: &serde_saphyr::Error) -> String {
    let mut message = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
    if let Some(end) = message.find(" at line ") {
        message.truncate(end);
    }
    match message.strip_prefix("error: ") {
        Some(rest) => rest.to_owned(),
        None => message,
    }
}

/// Where a location of serde-saphyr is, with its bytes held inside the text.
pub(super) fn position(location: Location, text: &str) -> Position {
    let line = u32::try_from(location.line()).unwrap_or(0);
    let column = u32::try_from(location.column()).unwrap_or(0);
    let span = location.span();
    let offset = span
        .byte_offset()
        .and_then(|offset| usize::try_from(offset).ok())
        .unwrap_or_else(|| offset_of(text, line, column));
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let len = span
        .byte_len()
        .and_then(|len| usize::try_from(len).ok())
        .unwrap_or(0)
        .min(text.len() - offset);
    Position {
        line,
        column,
        offset,
        len,
    }
}

pub(super) fn offset_of(text: &str, line: u32, column: u32) -> usize {
    let mut offset = 0;
    for (index, content) in text.split_inclusive('\n').enumerate() {
        if index + 1 == line as usize {
            let before = content.chars().take(column.saturating_sub(1) as usize);
            return offset + before.map(char::len_utf8).sum::<usize>();
        }
        offset += content.len();
    }
    text.len()
}

/// Puts exact places and the written spelling of scalars into a tree that has just been read.
///
/// serde-saphyr tells numbers, booleans and text apart; a scenario does not want to know that
/// `1.10` is a number. A mark at the front of such a scalar says that its spelling is in the text.
fn restore(node: &mut Node, text: &str) {
    match &mut node.value {
        Value::Null => {}
        Value::Scalar(scalar) => {
            if let Some(rest) = scalar.strip_prefix(RESPELL) {
                let (place, fallback) = rest.split_once(RESPELL).unwrap_or(("", rest));
                let written = place.split_once(' ').and_then(|(offset, len)| {
                    let offset: usize = offset.parse().ok()?;
                    let len: usize = len.parse().ok()?;
                    text.get(offset..offset.checked_add(len)?)
                });
                *scalar = match written.map(str::trim) {
                    Some(written) if !written.is_empty() && !written.starts_with(['"', '\'']) => {
                        written.to_owned()
                    }
                    _ => fallback.to_owned(),
                };
            }
        }
        Value::List(items) => items.iter_mut().for_each(|item| restore(item, text)),
        Value::Map(entries) => {
            for (key, value) in entries {
                clamp(&mut key.at, text);
                restore(value, text);
            }
        }
    }
    clamp(&mut node.at, text);
}

/// Holds a place inside the text and, for what spans lines, on its first line.
fn clamp(at: &mut Position, text: &str) {
    at.offset = at.offset.min(text.len());
    while !text.is_char_boundary(at.offset) {
        at.offset -= 1;
    }
    let rest = &text[at.offset..];
    let line_end = rest.find('\n').unwrap_or(rest.len());
    let line = rest[..line_end].trim_end();
    at.len = at.len.max(1).min(line.len());
    while at.len > 0 && !rest.is_char_boundary(at.len) {
        at.len += 1;
    }
}

/// A mark that no scalar of a file begins with: YAML forbids the character, and where an escape
/// smuggles it in, it is dropped.
const RESPELL: char = '\u{1}';

fn raw_position(location: &Location) -> Position {
    let span = location.span();
    let number = |value: Option<u64>| value.and_then(|v| usize::try_from(v).ok()).unwrap_or(0);
    Position {
        line: u32::try_from(location.line()).unwrap_or(0),
        column: u32::try_from(location.column()).unwrap_or(0),
        offset: number(span.byte_offset()),
        len: number(span.byte_len()),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        let mut value = spanned.value;
        if let Value::Scalar(text) = &mut value
            && let Some(fallback) = text.strip_prefix(RESPELL)
        {
            let defined = raw_position(&spanned.defined);
            *text = format!(
                "{RESPELL}{} {}{RESPELL}{fallback}",
                defined.offset, defined.len
            );
        }
        Ok(Self {
            at: raw_position(&spanned.referenced),
            value,
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl ValueVisitor {
    fn respell<E>(fallback: impl fmt::Display) -> Result<Value, E> {
        Ok(Value::Scalar(format!("{RESPELL}{fallback}")))
    }
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Self::respell(value)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Self::respell(value)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Self::respell(value)
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Self::respell(value)
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Self::respell(value)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Self::respell(value)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Scalar(value.trim_start_matches(RESPELL).to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            if entries.len() >= NODES_MAX {
                return Err(A::Error::custom("a mapping has too many keys"));
            }
            let key = Key {
                at: raw_position(&key.referenced),
                text: key.value,
            };
            entries.push((key, access.next_value()?));
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(yaml: &str) -> String {
        match parse(yaml).unwrap().value {
            Value::Scalar(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn scalars_keep_their_spelling() {
        for written in [
            "1.10",
            "0600",
            "yes",
            "v1.36.3",
            "2026-01-01T00:00:00Z",
            "1e3",
        ] {
            assert_eq!(scalar(written), written);
        }
        assert_eq!(scalar("true"), "true");
        assert_eq!(scalar("\"0600\""), "0600");
        assert_eq!(parse("~").unwrap().value, Value::Null);
    }

    #[test]
    fn places_are_exact() {
        let text = "a:\n  é: [1, two]\n";
        let Value::Map(entries) = parse(text).unwrap().value else {
            panic!()
        };
        let Value::Map(inner) = &entries[0].1.value else {
            panic!()
        };
        let Value::List(items) = &inner[0].1.value else {
            panic!()
        };
        let two = items[1].at;
        assert_eq!((two.line, two.column), (2, 10));
        assert_eq!(&text[two.offset..two.offset + two.len], "two");
        let key = inner[0].0.at;
        assert_eq!(&text[key.offset..key.offset + key.len], "é");
    }

    #[test]
    fn bombs_are_refused() {
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for level in 1..9 {
            let previous = format!("*a{},", level - 1).repeat(9);
            bomb.push_str(&format!("a{level}: &a{level} [{previous}]\n"));
        }
        assert!(parse(&bomb).is_err());
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&"- ".repeat(100_000)).is_err());
        assert!(parse("a: 1\n---\nb: 2\n").is_err());
    }
}
