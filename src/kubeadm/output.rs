//! `-o`: JSON, YAML, KYAML, jsonpath and Go templates over the printed object.

use serde_json::Value;

use super::failure::{Context as _, Failure, Result};
use super::process::Process;
use super::{jsonpath, template};
use crate::pki::yaml;

/// An output format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// A table.
    Text,
    /// JSON, indented by four.
    Json,
    /// YAML, keys sorted.
    Yaml,
    /// KYAML.
    Kyaml,
    /// A jsonpath template.
    JsonPath(String),
    /// What a jsonpath template finds, as a JSON list.
    JsonPathAsJson(String),
    /// A Go template.
    GoTemplate(String),
}

impl Process<'_, '_> {
    /// The format that `-o` asks for.
    ///
    /// # Errors
    /// When there is no such format, or a template is missing or cannot be read.
    pub(super) fn output_format(&self, text: &str) -> Result<Format> {
        let construct = "could not construct output printer";
        let (name, argument) = match text.split_once('=') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let template = |kind: &str| {
            argument
                .filter(|argument| !argument.is_empty())
                .map(str::to_owned)
                .ok_or_else(|| {
                    Failure::new(format!("{kind} format specified but no {kind} given"))
                        .wrap(construct)
                })
        };
        let file = |kind: &str| {
            let path = template(kind)?;
            let bytes = self
                .tree()
                .read(&path)
                .context(format!("error reading --template {path}"))
                .context(construct)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        match (name, argument) {
            ("" | "text", None) => Ok(Format::Text),
            ("json", None) => Ok(Format::Json),
            ("yaml", None) => Ok(Format::Yaml),
            ("kyaml", None) if self.profile.kyaml => Ok(Format::Kyaml),
            ("jsonpath", _) => template("template").map(Format::JsonPath),
            ("jsonpath-as-json", _) => template("template").map(Format::JsonPathAsJson),
            ("jsonpath-file", _) => file("template").map(Format::JsonPath),
            ("go-template" | "template", _) => template("template").map(Format::GoTemplate),
            ("go-template-file" | "templatefile", _) => file("template").map(Format::GoTemplate),
            _ => Err(Failure::new(format!(
                "unable to match a printer suitable for the output format {text:?}, allowed formats are: {}",
                self.allowed_formats()
            ))
            .wrap(construct)),
        }
    }

    fn allowed_formats(&self) -> &'static str {
        if self.profile.kyaml {
            "go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,kyaml,template,templatefile,text,yaml"
        } else {
            "go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,template,templatefile,text,yaml"
        }
    }
}

/// Renders an object.
///
/// # Errors
/// When a template does not fit it.
pub(super) fn render(value: &Value, format: &Format) -> Result<String> {
    Ok(match format {
        Format::Text => String::new(),
        Format::Json => {
            let mut out = String::new();
            json(value, 0, &mut out);
            out.push('\n');
            out
        }
        Format::Yaml => yaml::emit(value),
        Format::Kyaml => {
            let mut out = "---\n".to_owned();
            kyaml(value, 0, &mut out);
            out.push('\n');
            out
        }
        Format::JsonPath(text) => jsonpath::render(text, value).map_err(Failure::new)?,
        Format::JsonPathAsJson(text) => {
            let found = jsonpath::find(text, value).map_err(Failure::new)?;
            let mut out = String::new();
            json(&sorted(&Value::Array(found)), 0, &mut out);
            out.push('\n');
            out
        }
        Format::GoTemplate(text) => template::render(text, value).map_err(Failure::new)?,
    })
}

/// The value with the keys of every object in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries = entries
                .into_iter()
                .map(|(key, value)| (key.clone(), sorted(value)));
            Value::Object(entries.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

fn json(value: &Value, indent: usize, out: &mut String) {
    let pad = |depth: usize| "    ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push_str("{\n");
            for (index, (key, value)) in map.iter().enumerate() {
                out.push_str(&pad(indent + 1));
                out.push_str(&format!("{key:?}: "));
                json(value, indent + 1, out);
                out.push_str(if index + 1 < map.len() { ",\n" } else { "\n" });
            }
            out.push_str(&pad(indent));
            out.push('}');
        }
        Value::Array(items) if !items.is_empty() => {
            out.push_str("[\n");
            for (index, value) in items.iter().enumerate() {
                out.push_str(&pad(indent + 1));
                json(value, indent + 1, out);
                out.push_str(if index + 1 < items.len() { ",\n" } else { "\n" });
            }
            out.push_str(&pad(indent));
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

fn kyaml(value: &Value, indent: usize, out: &mut String) {
    let pad = |depth: usize| "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push_str("{\n");
            for (key, value) in map {
                out.push_str(&pad(indent + 1));
                out.push_str(key);
                out.push_str(": ");
                kyaml(value, indent + 1, out);
                out.push_str(",\n");
            }
            out.push_str(&pad(indent));
            out.push('}');
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (index, value) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                kyaml(value, indent, out);
            }
            out.push(']');
        }
        Value::Object(_) => out.push_str("{}"),
        Value::Array(_) => out.push_str("[]"),
        other => out.push_str(&other.to_string()),
    }
}
