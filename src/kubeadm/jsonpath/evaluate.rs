//! Walking an object along a template, as client-go's `util/jsonpath/jsonpath.go`.

use serde_json::Value;

use super::super::gofmt;
use super::parse::{Node, Param, Result};

/// Something that a template found.
#[derive(Debug, Clone)]
pub(super) enum Found<'a> {
    /// A part of the object.
    Part(&'a Value),
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// What an empty range gives to its body.
    Nothing,
}

impl<'a> Found<'a> {
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Part(Value::Null) => "null".to_owned(),
            Self::Part(value @ (Value::Array(_) | Value::Object(_))) => {
                let mut out = String::new();
                gofmt::json(value, "", 0, &mut out);
                out
            }
            Self::Part(Value::Number(number)) => gofmt::float(number.as_f64().unwrap_or_default()),
            Self::Part(value) => gofmt::value(value),
            Self::Text(text) => text.clone(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => gofmt::float(*number),
            Self::Bool(value) => value.to_string(),
            Self::Nothing => "<no value>".to_owned(),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Part(value) => (*value).clone(),
            Self::Text(text) => Value::from(text.as_str()),
            Self::Int(number) => Value::from(*number),
            Self::Float(number) => Value::from(*number),
            Self::Bool(value) => Value::from(*value),
            Self::Nothing => Value::Null,
        }
    }

    fn list(&self) -> Option<&'a [Value]> {
        match self {
            Self::Part(Value::Array(items)) => Some(items),
            _ => None,
        }
    }

    /// The name of its type in Go.
    fn type_name(&self) -> &'static str {
        match self {
            Self::Part(Value::Object(_)) => "map[string]interface {}",
            Self::Part(Value::Array(_)) => "[]interface {}",
            Self::Part(Value::String(_)) | Self::Text(_) => "string",
            Self::Part(Value::Bool(_)) | Self::Bool(_) => "bool",
            Self::Part(Value::Number(_)) | Self::Float(_) => "float64",
            Self::Int(_) => "int",
            Self::Part(Value::Null) | Self::Nothing => "nil",
        }
    }

    /// Elements of a list or a map; the bytes of a text.
    fn children(&self) -> Vec<Found<'a>> {
        match self {
            Self::Part(Value::Array(items)) => items.iter().map(Found::Part).collect(),
            Self::Part(Value::Object(map)) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by_key(|(key, _)| *key);
                entries
                    .into_iter()
                    .map(|(_, value)| Found::Part(value))
                    .collect()
            }
            Self::Part(Value::String(text)) => bytes(text),
            Self::Text(text) => bytes(text),
            _ => Vec::new(),
        }
    }

    /// What it is as one side of a comparison.
    fn operand(&self) -> Operand<'_> {
        match self {
            Self::Part(Value::Bool(value)) | Self::Bool(value) => Operand::Bool(*value),
            Self::Part(Value::Number(number)) => {
                Operand::Float(number.as_f64().unwrap_or_default())
            }
            Self::Part(Value::String(text)) | Self::Text(text) => Operand::Text(text),
            Self::Int(number) => Operand::Int(*number),
            Self::Float(number) => Operand::Float(*number),
            Self::Part(_) | Self::Nothing => Operand::Other,
        }
    }
}

fn bytes<'a>(text: &str) -> Vec<Found<'a>> {
    text.bytes().map(|byte| Found::Int(byte.into())).collect()
}

enum Operand<'a> {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    Other,
}

/// One run of a template, with client-go's count of ranges.
pub(super) struct Evaluation<'n> {
    nodes: &'n [Node],
    missing_keys_allowed: bool,
    begin_range: usize,
    in_range: usize,
    end_range: usize,
    last_end: Option<usize>,
}

impl<'n> Evaluation<'n> {
    pub(super) fn new(nodes: &'n [Node], missing_keys_allowed: bool) -> Self {
        Self {
            nodes,
            missing_keys_allowed,
            begin_range: 0,
            in_range: 0,
            end_range: 0,
            last_end: None,
        }
    }

    /// What each part of the template finds.
    pub(super) fn run<'a>(mut self, value: &'a Value) -> Result<Vec<Vec<Found<'a>>>> {
        self.find(0, &Found::Part(value))
    }

    fn find<'a>(&mut self, first: usize, data: &Found<'a>) -> Result<Vec<Vec<Found<'a>>>> {
        let mut out = Vec::new();
        let mut at = first;
        while at < self.nodes.len() {
            let node = &self.nodes[at];
            let results = self.walk(vec![data.clone()], node)?;
            if self.end_range > 0 && self.end_range <= self.in_range {
                self.end_range -= 1;
                self.last_end = Some(at);
                break;
            }
            if self.begin_range == 0 {
                out.push(results);
                at += 1;
                continue;
            }
            self.begin_range -= 1;
            self.in_range += 1;
            if results.is_empty() {
                // Only to see where the range ends.
                self.find(at + 1, &Found::Nothing)?;
            }
            for result in &results {
                out.extend(self.find(at + 1, result)?);
            }
            self.in_range -= 1;
            if let Some(end) = self.last_end.filter(|end| *end > at) {
                at = end;
            }
            at += 1;
        }
        Ok(out)
    }

    fn walk<'a>(&mut self, input: Vec<Found<'a>>, node: &Node) -> Result<Vec<Found<'a>>> {
        match node {
            Node::List(nodes) => self.walk_all(input, nodes),
            Node::Text(text) => Ok(vec![Found::Text(text.clone())]),
            Node::Field(name) => self.field(&input, name),
            Node::Array(params) => array(&input, *params),
            Node::Filter {
                left,
                right,
                operator,
            } => self.filter(&input, left, right, operator),
            Node::Int(number) => Ok(input.iter().map(|_| Found::Int(*number)).collect()),
            Node::Float(number) => Ok(input.iter().map(|_| Found::Float(*number)).collect()),
            Node::Bool(value) => Ok(input.iter().map(|_| Found::Bool(*value)).collect()),
            Node::Wildcard => Ok(input.iter().flat_map(Found::children).collect()),
            Node::Recursive => {
                let mut out = Vec::new();
                input.iter().for_each(|value| descend(value, &mut out));
                Ok(out)
            }
            Node::Union(parts) => {
                let mut out = Vec::new();
                for part in parts {
                    out.extend(self.walk_all(input.clone(), part)?);
                }
                Ok(out)
            }
            Node::Identifier(name) => match name.as_str() {
                "range" => {
                    self.begin_range += 1;
                    Ok(input)
                }
                "end" if self.in_range > 0 => {
                    self.end_range += 1;
                    Ok(Vec::new())
                }
                "end" => Err("not in range, nothing to end".to_owned()),
                other => Err(format!("unrecognized identifier {other}")),
            },
        }
    }

    fn walk_all<'a>(&mut self, input: Vec<Found<'a>>, nodes: &[Node]) -> Result<Vec<Found<'a>>> {
        nodes
            .iter()
            .try_fold(input, |input, node| self.walk(input, node))
    }

    fn field<'a>(&self, input: &[Found<'a>], name: &str) -> Result<Vec<Found<'a>>> {
        let out: Vec<Found<'a>> = input
            .iter()
            .filter_map(|value| match value {
                Found::Part(Value::Object(map)) => map.get(name).map(Found::Part),
                _ => None,
            })
            .collect();
        if out.is_empty() && !input.is_empty() && !self.missing_keys_allowed {
            return Err(format!("{name} is not found"));
        }
        Ok(out)
    }

    fn filter<'a>(
        &mut self,
        input: &[Found<'a>],
        left: &[Node],
        right: &[Node],
        operator: &str,
    ) -> Result<Vec<Found<'a>>> {
        let mut out = Vec::new();
        for value in input {
            let items = value.list().ok_or_else(|| {
                let shown = match value {
                    Found::Part(value) => gofmt::floats(value),
                    other => other.to_text(),
                };
                format!("{shown} is not array or slice and cannot be filtered")
            })?;
            for item in items {
                let item = Found::Part(item);
                let lefts = self.walk_all(vec![item.clone()], left);
                if operator == "exists" {
                    if lefts.is_ok_and(|lefts| !lefts.is_empty()) {
                        out.push(item);
                    }
                    continue;
                }
                let Some(one) = only(&lefts?)? else { continue };
                let rights = self.walk_all(vec![item.clone()], right)?;
                let Some(other) = only(&rights)? else {
                    continue;
                };
                if compare(operator, &one, &other)? {
                    out.push(item);
                }
            }
        }
        Ok(out)
    }
}

fn only<'a>(found: &[Found<'a>]) -> Result<Option<Found<'a>>> {
    match found {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        _ => Err("can only compare one element at a time".to_owned()),
    }
}

/// A value with everything below it that holds something, each before its content.
fn descend<'a>(value: &Found<'a>, out: &mut Vec<Found<'a>>) {
    let children = value.children();
    if !children.is_empty() {
        out.push(value.clone());
        children.iter().for_each(|child| descend(child, out));
    }
}

fn array<'a>(input: &[Found<'a>], params: [Param; 3]) -> Result<Vec<Found<'a>>> {
    let mut out = Vec::new();
    for value in input {
        if let Found::Part(Value::Null) = value {
            continue;
        }
        let items = value
            .list()
            .ok_or_else(|| format!("{} is not array or slice", value.type_name()))?;
        let length = items.len() as i64;
        let [from, to, step] = params;
        let first = if from.known { from.value } else { 0 };
        let first = if first < 0 {
            first.wrapping_add(length)
        } else {
            first
        };
        let end = if to.known { to.value } else { length };
        let end = if end < 0 || end == 0 && to.derived {
            end.wrapping_add(length)
        } else {
            end
        };
        if first == end {
            return Ok(out);
        }
        let outside = |index: i64| {
            Err(format!(
                "array index out of bounds: index {index}, length {length}"
            ))
        };
        if first >= length || first < 0 {
            return outside(first);
        }
        if end > length || end < 0 {
            return outside(end.wrapping_sub(1));
        }
        if first > end {
            return Err(format!(
                "starting index {first} is greater than ending index {end}"
            ));
        }
        if step.known && step.value <= 0 {
            return Err("step must be > 0".to_owned());
        }
        let step = if step.known { step.value as usize } else { 1 };
        let chosen = &items[first as usize..end as usize];
        out.extend(chosen.iter().step_by(step).map(Found::Part));
    }
    Ok(out)
}

/// Go's comparison of two values of one kind.
fn compare(operator: &str, one: &Found<'_>, other: &Found<'_>) -> Result<bool> {
    let ordering = match (one.operand(), other.operand()) {
        (Operand::Other, _) | (_, Operand::Other) => {
            return Err("invalid type for comparison".to_owned());
        }
        (Operand::Bool(one), Operand::Bool(other)) => {
            if !matches!(operator, "==" | "!=") {
                return Err("invalid type for comparison".to_owned());
            }
            Some(one.cmp(&other))
        }
        (Operand::Int(one), Operand::Int(other)) => Some(one.cmp(&other)),
        (Operand::Float(one), Operand::Float(other)) => one.partial_cmp(&other),
        (Operand::Text(one), Operand::Text(other)) => Some(one.cmp(other)),
        _ => return Err("incompatible types for comparison".to_owned()),
    };
    let is = |wanted: fn(std::cmp::Ordering) -> bool| ordering.is_some_and(wanted);
    match operator {
        "==" => Ok(is(std::cmp::Ordering::is_eq)),
        "!=" => Ok(!is(std::cmp::Ordering::is_eq)),
        "<" => Ok(is(std::cmp::Ordering::is_lt)),
        "<=" => Ok(is(std::cmp::Ordering::is_le)),
        ">" => Ok(is(std::cmp::Ordering::is_gt)),
        ">=" => Ok(is(std::cmp::Ordering::is_ge)),
        other => Err(format!("unrecognized filter operator {other}")),
    }
}
