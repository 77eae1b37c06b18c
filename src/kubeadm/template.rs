//! The part of Go's `text/template` that people use on this output: fields, `len`, `index`,
//! `range`, `if`/`else`, comparison, `printf` with `%s %d %v`, quoted text.

use serde_json::Value;

type Result<T> = std::result::Result<T, String>;

#[derive(Debug)]
enum Node {
    Text(String),
    Value(Vec<String>),
    Range(Vec<String>, Vec<Node>),
    If(Vec<String>, Vec<Node>, Vec<Node>),
}

/// Renders a template over an object.
///
/// # Errors
/// When the template uses something that is not understood here.
pub(super) fn render(template: &str, value: &Value) -> Result<String> {
    let mut rest = template;
    let (nodes, end) = parse(&mut rest).map_err(|error| {
        format!("error parsing template {template}, template: output:1: {error}")
    })?;
    if let Some(end) = end {
        return Err(format!(
            "error parsing template {template}, template: output:1: unexpected {{{{{end}}}}}"
        ));
    }
    let mut out = String::new();
    execute(&nodes, value, &mut out)
        .map_err(|error| format!("error executing template {template:?}: {error}"))?;
    Ok(out)
}

/// Nodes up to `end` or `else` (which is returned) or the end of the text.
fn parse(rest: &mut &str) -> Result<(Vec<Node>, Option<String>)> {
    let mut nodes = Vec::new();
    while let Some(open) = rest.find("{{") {
        let close = rest[open..].find("}}").ok_or("unclosed action")? + open;
        let mut text = &rest[..open];
        let mut action = &rest[open + 2..close];
        let mut tail = &rest[close + 2..];
        if let Some(trimmed) = action.strip_prefix("- ") {
            text = text.trim_end();
            action = trimmed;
        }
        if let Some(trimmed) = action.strip_suffix(" -") {
            tail = tail.trim_start();
            action = trimmed;
        }
        if !text.is_empty() {
            nodes.push(Node::Text(text.to_owned()));
        }
        *rest = tail;
        let words = words(action.trim())?;
        match words.first().map(String::as_str) {
            None => return Err("missing value for command".to_owned()),
            Some("end" | "else") => return Ok((nodes, Some(words[0].clone()))),
            Some("range") => {
                let (body, end) = parse(rest)?;
                if end.as_deref() != Some("end") {
                    return Err("unexpected EOF".to_owned());
                }
                nodes.push(Node::Range(words[1..].to_vec(), body));
            }
            Some("if") => {
                let (yes, end) = parse(rest)?;
                let no = match end.as_deref() {
                    Some("end") => Vec::new(),
                    Some("else") => {
                        let (no, end) = parse(rest)?;
                        if end.as_deref() != Some("end") {
                            return Err("unexpected EOF".to_owned());
                        }
                        no
                    }
                    _ => return Err("unexpected EOF".to_owned()),
                };
                nodes.push(Node::If(words[1..].to_vec(), yes, no));
            }
            Some(_) => nodes.push(Node::Value(words)),
        }
    }
    if !rest.is_empty() {
        nodes.push(Node::Text((*rest).to_owned()));
        *rest = "";
    }
    Ok((nodes, None))
}

fn words(action: &str) -> Result<Vec<String>> {
    let mut out = Vec::new();
    let mut rest = action;
    while !rest.is_empty() {
        if rest.starts_with('"') {
            let end = rest[1..].find('"').ok_or("unterminated quoted string")? + 2;
            out.push(rest[..end].to_owned());
            rest = rest[end..].trim_start();
            continue;
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let word = &rest[..end];
        if word.contains(['|', '(', ')', '$']) {
            return Err(format!("{word:?} is not supported by certdrill"));
        }
        out.push(word.to_owned());
        rest = rest[end..].trim_start();
    }
    Ok(out)
}

fn execute(nodes: &[Node], dot: &Value, out: &mut String) -> Result<()> {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Value(words) => out.push_str(&show(&evaluate(words, dot)?)),
            Node::Range(words, body) => match evaluate(words, dot)? {
                Value::Array(items) => {
                    for item in &items {
                        execute(body, item, out)?;
                    }
                }
                Value::Null => {}
                other => return Err(format!("range can't iterate over {other}")),
            },
            Node::If(words, yes, no) => {
                let branch = if truth(&evaluate(words, dot)?) {
                    yes
                } else {
                    no
                };
                execute(branch, dot, out)?;
            }
        }
    }
    Ok(())
}

fn evaluate(words: &[String], dot: &Value) -> Result<Value> {
    let (first, arguments) = words.split_first().ok_or("missing value for command")?;
    let arguments = || {
        arguments
            .iter()
            .map(|word| operand(word, dot))
            .collect::<Result<Vec<Value>>>()
    };
    match first.as_str() {
        "len" => match arguments()?.first() {
            Some(Value::Array(items)) => Ok(Value::from(items.len())),
            Some(Value::Object(map)) => Ok(Value::from(map.len())),
            Some(Value::String(text)) => Ok(Value::from(text.len())),
            _ => Err("error calling len: len of untyped nil".to_owned()),
        },
        "index" => {
            let arguments = arguments()?;
            let mut value = arguments.first().cloned().unwrap_or_default();
            for key in arguments.iter().skip(1) {
                value = match (key, &value) {
                    (Value::Number(index), Value::Array(items)) => index
                        .as_u64()
                        .and_then(|index| items.get(index as usize))
                        .cloned()
                        .ok_or_else(|| {
                            format!("error calling index: index out of range: {index}")
                        })?,
                    (Value::String(key), Value::Object(map)) => {
                        map.get(key).cloned().unwrap_or_default()
                    }
                    _ => return Err("error calling index: can't index item".to_owned()),
                };
            }
            Ok(value)
        }
        "not" => Ok(Value::Bool(!arguments()?.first().is_some_and(truth))),
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" => compare(first, &arguments()?),
        "print" => Ok(Value::String(
            arguments()?.iter().map(show).collect::<String>(),
        )),
        "println" => Ok(Value::String(
            arguments()?.iter().map(show).collect::<Vec<_>>().join(" ") + "\n",
        )),
        "printf" => printf(&arguments()?),
        _ if words.len() == 1 => operand(first, dot),
        other => Err(format!("function {other:?} not defined")),
    }
}

fn compare(operator: &str, arguments: &[Value]) -> Result<Value> {
    let [one, other, ..] = arguments else {
        return Err(format!(
            "error calling {operator}: missing argument for comparison"
        ));
    };
    let ordering = match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64().partial_cmp(&other.as_f64()),
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        _ => None,
    };
    let holds = match operator {
        "eq" => one == other,
        "ne" => one != other,
        "lt" => ordering.is_some_and(std::cmp::Ordering::is_lt),
        "le" => ordering.is_some_and(std::cmp::Ordering::is_le),
        "gt" => ordering.is_some_and(std::cmp::Ordering::is_gt),
        _ => ordering.is_some_and(std::cmp::Ordering::is_ge),
    };
    Ok(Value::Bool(holds))
}

fn printf(arguments: &[Value]) -> Result<Value> {
    let (format, rest) = arguments
        .split_first()
        .ok_or("wrong number of args for printf")?;
    let format = format.as_str().unwrap_or_default();
    let mut out = String::new();
    let mut values = rest.iter();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('%') => out.push('%'),
            Some('s' | 'd' | 'v') => out.push_str(&values.next().map(show).unwrap_or_default()),
            other => {
                return Err(format!(
                    "printf verb %{} is not supported by certdrill",
                    other.map(String::from).unwrap_or_default()
                ));
            }
        }
    }
    Ok(Value::String(out))
}

fn operand(word: &str, dot: &Value) -> Result<Value> {
    if word == "." {
        return Ok(dot.clone());
    }
    if let Some(path) = word.strip_prefix('.') {
        let mut value = dot;
        for name in path.split('.') {
            value = value.get(name).unwrap_or(&Value::Null);
        }
        return Ok(value.clone());
    }
    if word.starts_with('"') {
        return serde_json::from_str(word).map_err(|_| "invalid syntax".to_owned());
    }
    match word {
        "true" => Ok(Value::Bool(true)),
        "false" => Ok(Value::Bool(false)),
        number => number
            .parse::<i64>()
            .map(Value::from)
            .map_err(|_| format!("function {number:?} not defined")),
    }
}

fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(show).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(map) => {
            let mut entries: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{key}:{}", show(value)))
                .collect();
            entries.sort_unstable();
            format!("map[{}]", entries.join(" "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_forms_people_use() {
        let value = json!({"certificates": [{"name": "a", "missing": false}, {"name": "b", "missing": true}]});
        let show = |template: &str| render(template, &value);
        assert_eq!(show("{{len .certificates}}"), Ok("2".into()));
        assert_eq!(
            show(
                "{{range .certificates}}{{.name}}{{if .missing}}!{{else}}?{{end}}{{\"\\n\"}}{{end}}"
            ),
            Ok("a?\nb!\n".into())
        );
        assert_eq!(show("{{.nosuch}}"), Ok("<no value>".into()));
        assert_eq!(
            show("{{range .certificates}}{{printf \"%s \" .name}}{{end}}"),
            Ok("a b ".into())
        );
        assert!(show("{{range .certificates}}").is_err());
        assert!(show("{{end}}").is_err());
        assert!(show("{{len}}").is_err());
    }
}
