//! Go's `text/template` over the printed object.
//!
//! What is left out (see [`parse`](self::parse) and `functions.rs`) is refused by name.

mod functions;
mod node;
mod parse;

use serde_json::Value;

use super::gofmt;
use node::{Branch, Command, Kind, Node, Pipe, Word};

/// A template that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    text: String,
    nodes: Vec<Node>,
}

/// How an execution ended that failed: what was printed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Standard output.
    pub printed: String,
    /// The error.
    pub error: String,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// In Go's words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let nodes = parse::parse(text)
            .map_err(|error| format!("error parsing template {text}, {error}"))?;
        Ok(Self {
            text: text.to_owned(),
            nodes,
        })
    }

    /// What it prints for an object.
    ///
    /// # Errors
    /// When it does not fit the object.
    pub fn render(&self, value: &Value, missing_keys_allowed: bool) -> Result<String, Broken> {
        let mut execution = Execution {
            template: &self.text,
            missing_keys_allowed,
            variables: vec![(String::new(), Some(value.clone()))],
            out: String::new(),
            steps: 0,
        };
        match execution.nodes(&self.nodes, &Some(value.clone())) {
            Ok(_) => Ok(execution.out),
            Err(error) => Err(Broken {
                printed: format!(
                    "{}Error executing template: {error}. Printing more information for debugging the template:\n\ttemplate was:\n\t\t{}\n\traw data was:\n\t\t{value}\n\tobject given to template engine was:\n\t\t{}\n\n",
                    execution.out,
                    self.text,
                    gofmt::value(value),
                ),
                error: format!(
                    "error executing template {}: {error}",
                    gofmt::quoted(&self.text)
                ),
            }),
        }
    }
}

/// A value, or Go's "no value" where there is none.
type Val = Option<Value>;
type Outcome<T> = Result<T, String>;

/// Ranges in ranges of ranges end here.
const STEPS_MAX: usize = 1_000_000;

#[derive(Debug, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

struct Execution<'t> {
    template: &'t str,
    missing_keys_allowed: bool,
    variables: Vec<(String, Val)>,
    out: String,
    steps: usize,
}

impl Execution<'_> {
    /// An error at a place, with what stands there.
    fn error(&self, at: usize, context: &str, text: &str) -> String {
        let before = &self.template[..at];
        let line = before.matches('\n').count() + 1;
        let column = at - before.rfind('\n').map_or(0, |end| end + 1);
        format!("template: output:{line}:{column}: executing \"output\" at <{context}>: {text}")
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Val) -> Outcome<Flow> {
        for node in nodes {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err("the template does too much for certdrill".to_owned());
            }
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Action(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    if pipe.variables.is_empty() {
                        self.out.push_str(&shown(&value));
                    }
                }
                Node::Break => return Ok(Flow::Break),
                Node::Continue => return Ok(Flow::Continue),
                Node::Branch {
                    kind,
                    pipe,
                    body,
                    otherwise,
                } => {
                    let known = self.variables.len();
                    let flow = match kind {
                        Branch::Range => self.range(pipe, body, otherwise, dot)?,
                        Branch::If | Branch::With => {
                            let value = self.pipe(pipe, dot)?;
                            match (truth(&value), kind) {
                                (true, Branch::With) => self.nodes(body, &value)?,
                                (true, _) => self.nodes(body, dot)?,
                                (false, _) => self.nodes(otherwise, dot)?,
                            }
                        }
                    };
                    self.variables.truncate(known);
                    if flow != Flow::On {
                        return Ok(flow);
                    }
                }
            }
        }
        Ok(Flow::On)
    }

    fn range(
        &mut self,
        pipe: &Pipe,
        body: &[Node],
        otherwise: &[Node],
        dot: &Val,
    ) -> Outcome<Flow> {
        let value = self.value(pipe, dot)?;
        let entries: Vec<(Value, Value)> = match &value {
            Some(Value::Array(items)) => items
                .iter()
                .enumerate()
                .map(|(at, item)| (Value::from(at), item.clone()))
                .collect(),
            Some(Value::Object(map)) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by_key(|(key, _)| *key);
                let own =
                    |(key, value): (&String, &Value)| (Value::from(key.as_str()), value.clone());
                entries.into_iter().map(own).collect()
            }
            Some(Value::Number(number)) if number.is_i64() => {
                let end = number.as_i64().unwrap_or_default().min(STEPS_MAX as i64);
                (0..end)
                    .map(|at| (Value::from(at), Value::from(at)))
                    .collect()
            }
            None | Some(Value::Null) => Vec::new(),
            Some(other) => {
                let text = format!("range can't iterate over {}", gofmt::value(other));
                return Err(self.error_at(pipe, &text));
            }
        };
        if entries.is_empty() {
            return self.nodes(otherwise, dot);
        }
        for (key, item) in entries {
            let known = self.variables.len();
            match pipe.variables.as_slice() {
                [one] => self.set(one, Some(item.clone()), pipe.assigns),
                [one, other] => {
                    self.set(one, Some(key), pipe.assigns);
                    self.set(other, Some(item.clone()), pipe.assigns);
                }
                _ => {}
            }
            let flow = self.nodes(body, &Some(item))?;
            self.variables.truncate(known);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn error_at(&self, pipe: &Pipe, text: &str) -> String {
        let shown: Vec<String> = pipe.commands.iter().map(command_text).collect();
        let at = pipe.commands[0].words[0].at;
        self.error(at, &shown.join(" | "), text)
    }

    fn set(&mut self, name: &str, value: Val, assigns: bool) {
        let found = self
            .variables
            .iter_mut()
            .rev()
            .find(|(known, _)| known == name);
        match found {
            Some((_, place)) if assigns => *place = value,
            _ => self.variables.push((name.to_owned(), value)),
        }
    }

    /// The value of a pipe, which its variables take.
    fn pipe(&mut self, pipe: &Pipe, dot: &Val) -> Outcome<Val> {
        let value = self.value(pipe, dot)?;
        for name in &pipe.variables {
            self.set(name, value.clone(), pipe.assigns);
        }
        Ok(value)
    }

    fn value(&mut self, pipe: &Pipe, dot: &Val) -> Outcome<Val> {
        let mut last = None;
        for command in &pipe.commands {
            let value = self.command(command, dot, last.take())?;
            // What is nil in an interface is no value any more.
            last = Some(value.filter(|value| !value.is_null()));
        }
        Ok(last.flatten())
    }

    /// Runs a command. `last` is the result of the one before it in the pipe.
    fn command(&mut self, command: &Command, dot: &Val, last: Option<Val>) -> Outcome<Val> {
        let (first, arguments) = command
            .words
            .split_first()
            .ok_or("missing value for command")?;
        if let Kind::Function(name) = &first.kind {
            if name == "and" || name == "or" {
                return self.logic(name == "and", arguments, dot, last);
            }
            let mut values = Vec::new();
            for word in arguments {
                values.push(self.word(word, dot)?);
            }
            values.extend(last);
            return functions::call(name, &values).map_err(|text| {
                let text = match text.strip_prefix("wrong number") {
                    Some(_) => text,
                    None => format!("error calling {name}: {text}"),
                };
                self.error(first.at, &command_text(command), &text)
            });
        }
        if arguments.is_empty() && last.is_none() {
            if first.kind == Kind::Nil {
                return Err(self.error(first.at, "nil", "nil is not a command"));
            }
            return self.word(first, dot);
        }
        let text = match &first.kind {
            Kind::Field(names) => {
                let name = names.last().map_or("", String::as_str);
                format!("{name} is not a method but has arguments")
            }
            _ => format!("can't give argument to non-function {}", first.text),
        };
        Err(self.error(first.at, &first.text, &text))
    }

    fn logic(&mut self, and: bool, words: &[Word], dot: &Val, last: Option<Val>) -> Outcome<Val> {
        let mut value = None;
        for word in words {
            value = self.word(word, dot)?;
            if truth(&value) != and {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn word(&mut self, word: &Word, dot: &Val) -> Outcome<Val> {
        Ok(match &word.kind {
            Kind::Dot => dot.clone(),
            Kind::Nil => Some(Value::Null),
            Kind::Bool(value) => Some(Value::from(*value)),
            Kind::Int(number) => Some(Value::from(*number)),
            Kind::Float(number) => Some(Value::from(*number)),
            Kind::Text(text) => Some(Value::from(text.as_str())),
            Kind::Field(names) => self.fields(word, dot.clone(), names)?,
            Kind::Variable(name, names) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                let value = found.and_then(|(_, value)| value.clone());
                self.fields(word, value, names)?
            }
            Kind::Pipe(pipe, names) => {
                let value = self.pipe(pipe, dot)?;
                self.fields(word, value, names)?
            }
            Kind::Function(name) => functions::call(name, &[]).map_err(|text| {
                self.error(
                    word.at,
                    &word.text,
                    &format!("error calling {name}: {text}"),
                )
            })?,
        })
    }

    fn fields(&self, word: &Word, value: Val, names: &[String]) -> Outcome<Val> {
        let mut value = value;
        for name in names {
            value = match value {
                None if self.missing_keys_allowed => None,
                None => {
                    let text = format!("nil data; no entry for key {}", gofmt::quoted(name));
                    return Err(self.error(word.at, &word.text, &text));
                }
                Some(Value::Object(mut map)) => match map.swap_remove(name) {
                    None if !self.missing_keys_allowed => {
                        let text = format!("map has no entry for key {}", gofmt::quoted(name));
                        return Err(self.error(word.at, &word.text, &text));
                    }
                    found => found,
                },
                Some(Value::Null) => {
                    let text = format!("nil pointer evaluating interface {{}}.{name}");
                    return Err(self.error(word.at, &word.text, &text));
                }
                Some(_) => {
                    let text = format!("can't evaluate field {name} in type interface {{}}");
                    return Err(self.error(word.at, &word.text, &text));
                }
            };
        }
        Ok(value)
    }
}

fn command_text(command: &Command) -> String {
    let words: Vec<&str> = command
        .words
        .iter()
        .map(|word| word.text.as_str())
        .collect();
    words.join(" ")
}

fn truth(value: &Val) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(value)) => *value,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
    }
}

fn shown(value: &Val) -> String {
    match value {
        None | Some(Value::Null) => "<no value>".to_owned(),
        Some(value) => functions::plain(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(template: &str) -> Result<String, String> {
        let value = json!({"certificates": [
            {"name": "a", "missing": false, "left": 5}, {"name": "b", "missing": true, "left": 50}
        ]});
        Template::parse(template)?
            .render(&value, true)
            .map_err(|broken| broken.error)
    }

    #[test]
    fn the_forms_people_use() {
        for (template, text) in [
            ("{{len .certificates}}", "2"),
            (
                "{{range .certificates}}{{.name}}{{if .missing}}!{{else}}?{{end}}{{\"\\n\"}}{{end}}",
                "a?\nb!\n",
            ),
            ("{{.nosuch}}", "<no value>"),
            (
                "{{range .certificates}}{{printf \"%-3s|\" .name}}{{end}}",
                "a  |b  |",
            ),
            (
                "{{range $i, $c := .certificates}}{{$i}}{{$c.name}}{{end}}",
                "0a1b",
            ),
            ("{{(index .certificates 1).name | printf \"%q\"}}", "\"b\""),
            (
                "{{- /* nothing */ -}} {{with .certificates}}{{len .}}{{end}}",
                "2",
            ),
            (
                "{{range .certificates}}{{if and (not .missing) (lt .left 9)}}{{.name}}{{end}}{{end}}",
                "a",
            ),
            (
                "{{range .certificates}}{{if .missing}}{{break}}{{end}}{{.name}}{{end}}",
                "a",
            ),
            (
                "{{$n := 0}}{{range .certificates}}{{$n = .left}}{{end}}{{$n}}",
                "50",
            ),
        ] {
            assert_eq!(render(template), Ok(text.into()), "{template}");
        }
    }

    #[test]
    fn what_is_refused() {
        for (template, words) in [
            ("{{range .certificates}}", "unexpected EOF"),
            ("{{end}}", "unexpected {{end}}"),
            ("{{nosuch .x}}", "function \"nosuch\" not defined"),
            ("{{$x}}", "undefined variable \"$x\""),
            ("{{template \"x\"}}", "not supported by certdrill"),
            (
                "{{index .certificates 7}}",
                "<index .certificates 7>: error calling index: index out of range: 7",
            ),
        ] {
            let error = render(template).unwrap_err();
            assert!(error.contains(words), "{template}: {error}");
        }
    }
}
