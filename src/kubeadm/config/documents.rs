//! Splitting a configuration file into documents by kind.

use serde_json::Value;

use super::super::failure::{Failure, Result};
use super::super::profile::Profile;
use crate::pki::yaml;

/// One document of a configuration file.
#[derive(Debug, Clone)]
pub(super) struct Document {
    /// API group.
    pub group: String,
    /// API version within the group.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// The whole document.
    pub value: Value,
    /// Keys that stand twice.
    pub duplicates: Vec<(usize, String)>,
}

impl Document {
    /// `group/version`.
    pub fn group_version(&self) -> String {
        format!("{}/{}", self.group, self.version)
    }

    /// As Go prints the type with `%#v`.
    pub fn go_syntax(&self) -> String {
        format!(
            "schema.GroupVersionKind{{Group:{:?}, Version:{:?}, Kind:{:?}}}",
            self.group, self.version, self.kind
        )
    }

    /// As Go prints the type with `%v`.
    pub fn display(&self) -> String {
        format!("{}/{}, Kind={}", self.group, self.version, self.kind)
    }
}

/// Splits a file at `---` lines and reads each part's kind, sorted as kubeadm goes through them.
pub(super) fn split(text: &[u8], profile: &Profile) -> Result<Vec<Document>> {
    let mut out: Vec<Document> = Vec::new();
    let mut twice = Vec::new();
    for part in parts(text) {
        if part.is_empty() {
            break;
        }
        let document = interpret(part, profile)?;
        if out.iter().any(|known| known.kind == document.kind) {
            twice.push(format!(
                "invalid configuration: kind {:?} is specified twice in YAML file",
                document.kind
            ));
            continue;
        }
        out.push(document);
    }
    match twice.as_slice() {
        [] => {}
        [one] => return Err(Failure::new(one.clone())),
        many => return Err(Failure::new(format!("[{}]", many.join(", ")))),
    }
    out.sort_by_key(Document::display);
    Ok(out)
}

/// Documents between `---` lines; empty ones between others are kept out as Go's reader does.
fn parts(text: &[u8]) -> Vec<&[u8]> {
    let mut out = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at < text.len() {
        let end = text[at..]
            .iter()
            .position(|&byte| byte == b'\n')
            .map_or(text.len(), |length| at + length + 1);
        let line = &text[at..end];
        let is_separator =
            line.starts_with(b"---") && line[3..].iter().all(|byte| byte.is_ascii_whitespace());
        if is_separator {
            if at > start {
                out.push(&text[start..at]);
            }
            start = end;
        }
        at = end;
    }
    if start < text.len() {
        out.push(&text[start..]);
    }
    out
}

fn interpret(text: &[u8], profile: &Profile) -> Result<Document> {
    let unreadable = |error: String| {
        let converting = format!("error converting YAML to JSON: {error}");
        Failure::new(if profile.kind_words {
            format!("could not interpret GroupVersionKind; unmarshal error: {converting}")
        } else {
            converting
        })
    };
    let parsed = yaml::parse(text).map_err(unreadable)?;
    let wrong = |found: &str, field: &str, wanted: &str| {
        let words = format!(
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go {field} of type {wanted}"
        );
        Failure::new(if profile.kind_words {
            format!("could not interpret GroupVersionKind; unmarshal error: {words}")
        } else {
            words
        })
    };
    let object = match &parsed.value {
        Value::Null => return Err(mandatory("", "", "")),
        Value::Object(object) => object,
        Value::String(_) => return Err(wrong("string", "value", "struct")),
        Value::Array(_) => return Err(wrong("array", "value", "struct")),
        Value::Bool(_) => return Err(wrong("bool", "value", "struct")),
        Value::Number(_) => return Err(wrong("number", "value", "struct")),
    };
    let text_of = |field: &str| match object.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(value)) => value.to_string(),
        _ => String::new(),
    };
    let (api_version, kind) = (text_of("apiVersion"), text_of("kind"));
    let (group, version) = match api_version.split_once('/') {
        Some((group, version)) => (group.to_owned(), version.to_owned()),
        None => (String::new(), api_version),
    };
    if group.is_empty() || version.is_empty() || kind.is_empty() {
        return Err(mandatory(&group, &version, &kind));
    }
    Ok(Document {
        group,
        version,
        kind,
        value: parsed.value,
        duplicates: parsed.duplicates,
    })
}

fn mandatory(group: &str, version: &str, kind: &str) -> Failure {
    Failure::new(format!(
        "invalid configuration for GroupVersionKind {group}/{version}, Kind={kind}: kind and apiVersion is mandatory information that must be specified"
    ))
}
