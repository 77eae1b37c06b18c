//! `-o`: JSON, YAML, KYAML, jsonpath and Go templates over the printed object.

use serde_json::Value;

use super::failure::{Context as _, Failure, Result};
use super::jsonpath::JsonPath;
use super::process::Process;
use super::template::Template;
use crate::pki::yaml;

/// An output format.
#[derive(Debug, Clone, PartialEq)]
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
    JsonPath {
        /// The template.
        path: JsonPath,
        /// Whether what it finds is printed as JSON lists.
        as_json: bool,
        /// `--allow-missing-template-keys`.
        missing_keys_allowed: bool,
    },
    /// A Go template.
    GoTemplate {
        /// The template.
        template: Template,
        /// `--allow-missing-template-keys`.
        missing_keys_allowed: bool,
    },
}

impl Process<'_, '_> {
    /// The format that `-o` asks for.
    ///
    /// # Errors
    /// When there is no such format, or a template is missing or cannot be read.
    pub(super) fn output_format(&self, text: &str, missing_keys_allowed: bool) -> Result<Format> {
        let construct = "could not construct output printer";
        let (name, argument) = match text.split_once('=') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let template = || {
            argument
                .filter(|argument| !argument.is_empty())
                .map(str::to_owned)
                .ok_or_else(|| {
                    Failure::new("template format specified but no template given").wrap(construct)
                })
        };
        let file = || -> Result<String> {
            let path = template()?;
            let bytes = self
                .tree()
                .read(&path)
                .map_err(|error| Failure::new(format!("error reading --template {path}, {error}")))
                .context(construct)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let jsonpath = |text: &str, as_json| {
            Ok(Format::JsonPath {
                path: JsonPath::parse(text)
                    .map_err(Failure::new)
                    .context(construct)?,
                as_json,
                missing_keys_allowed,
            })
        };
        let go_template = |text: String| {
            Ok(Format::GoTemplate {
                template: Template::parse(&text)
                    .map_err(Failure::new)
                    .context(construct)?,
                missing_keys_allowed,
            })
        };
        match (name, argument) {
            ("" | "text", None) => Ok(Format::Text),
            ("json", None) => Ok(Format::Json),
            ("yaml", None) => Ok(Format::Yaml),
            ("kyaml", None) if self.profile.kyaml => Ok(Format::Kyaml),
            ("jsonpath", _) => jsonpath(&template()?, false),
            ("jsonpath-as-json", _) => jsonpath(&template()?, true),
            ("jsonpath-file", _) => jsonpath(&file()?, false),
            ("go-template" | "template", _) => go_template(template()?),
            ("go-template-file" | "templatefile", _) => go_template(file()?),
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

/// Renders an object into `out`. A template that does not fit the object leaves what it had printed until then.
///
/// # Errors
/// When a template does not fit it.
pub(super) fn render(value: &Value, format: &Format, out: &mut String) -> Result<()> {
    let text = match format {
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
        Format::JsonPath {
            path,
            as_json,
            missing_keys_allowed,
        } => path
            .render(value, *missing_keys_allowed, *as_json)
            .map_err(Failure::new)?,
        Format::GoTemplate {
            template,
            missing_keys_allowed,
        } => match template.render(value, *missing_keys_allowed) {
            Ok(text) => text,
            Err(broken) => {
                out.push_str(&broken.printed);
                return Err(Failure::new(broken.error));
            }
        },
    };
    out.push_str(&text);
    Ok(())
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
