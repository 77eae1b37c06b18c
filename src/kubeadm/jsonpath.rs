//! The part of client-go's jsonpath that people use on this output: fields, indices, `[*]`,
//! `range`/`end`, filters that compare a field, quoted text.

use serde_json::Value;

type Result<T> = std::result::Result<T, String>;

#[derive(Debug)]
enum Node {
    Text(String),
    Path(Vec<Step>),
    Range(Vec<Step>, Vec<Node>),
}

#[derive(Debug)]
enum Step {
    Field(String),
    Wildcard,
    Index(i64),
    Filter {
        field: Vec<String>,
        operator: String,
        wanted: Value,
    },
}

/// Renders a template over an object. A field that is not there is nothing, as by default
/// (`--allow-missing-template-keys`).
///
/// # Errors
/// When the template is not understood.
pub(super) fn render(template: &str, value: &Value) -> Result<String> {
    let mut out = String::new();
    execute(&read(template)?, value, &mut out).map_err(|error| executing(template, &error))?;
    Ok(out)
}

/// What a template finds, as a list (`jsonpath-as-json`).
///
/// # Errors
/// When the template is not understood.
pub(super) fn find(template: &str, value: &Value) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for node in read(template)? {
        if let Node::Path(steps) = node {
            let values = walk(&steps, value).map_err(|error| executing(template, &error))?;
            found.extend(values.into_iter().cloned());
        }
    }
    Ok(found)
}

fn read(template: &str) -> Result<Vec<Node>> {
    let mut rest = template;
    parse(&mut rest, false).map_err(|error| format!("error parsing jsonpath {template}, {error}"))
}

fn executing(template: &str, error: &str) -> String {
    format!("error executing jsonpath {template:?}: Error executing template: {error}")
}

fn parse(rest: &mut &str, inside_range: bool) -> Result<Vec<Node>> {
    let mut nodes = Vec::new();
    loop {
        let Some(open) = rest.find('{') else {
            if inside_range {
                return Err("not enough end to close range".to_owned());
            }
            if !rest.is_empty() {
                nodes.push(Node::Text((*rest).to_owned()));
            }
            *rest = "";
            return Ok(nodes);
        };
        if open > 0 {
            nodes.push(Node::Text(rest[..open].to_owned()));
        }
        let close = closing(&rest[open..]).ok_or("unclosed action")? + open;
        let action = rest[open + 1..close].trim();
        *rest = &rest[close + 1..];
        if action == "end" {
            if inside_range {
                return Ok(nodes);
            }
            return Err("not in range, nothing to end".to_owned());
        }
        if let Some(path) = action.strip_prefix("range ") {
            let steps = parse_path(path.trim())?;
            nodes.push(Node::Range(steps, parse(rest, true)?));
        } else if let Some(text) = quoted(action)? {
            nodes.push(Node::Text(text));
        } else {
            nodes.push(Node::Path(parse_path(action)?));
        }
    }
}

/// Where the brace that opens the text is closed; braces in quotes do not count.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '}') => return Some(at),
            _ => {}
        }
    }
    None
}

fn quoted(action: &str) -> Result<Option<String>> {
    let body = match action.as_bytes() {
        [b'"', .., b'"'] | [b'\'', .., b'\''] if action.len() >= 2 => &action[1..action.len() - 1],
        _ => return Ok(None),
    };
    let mut out = String::new();
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match chars.next() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some(other) => other,
            None => return Err("invalid syntax".to_owned()),
        });
    }
    Ok(Some(out))
}

fn parse_path(text: &str) -> Result<Vec<Step>> {
    let text = text.strip_prefix(['$', '@']).unwrap_or(text);
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('.') {
            let end = tail.find(['.', '[']).unwrap_or(tail.len());
            match &tail[..end] {
                "" if tail.starts_with('[') || tail.is_empty() => {}
                "" => return Err("recursive descent is not supported by certdrill".to_owned()),
                "*" => steps.push(Step::Wildcard),
                name => steps.push(Step::Field(name.to_owned())),
            }
            rest = &tail[end..];
        } else if let Some(tail) = rest.strip_prefix('[') {
            let end = tail.find(']').ok_or("unterminated array")?;
            steps.push(parse_bracket(tail[..end].trim())?);
            rest = &tail[end + 1..];
        } else if steps.is_empty() {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            steps.push(Step::Field(rest[..end].to_owned()));
            rest = &rest[end..];
        } else {
            return Err(format!("unrecognized character in action: {rest}"));
        }
    }
    Ok(steps)
}

fn parse_bracket(inner: &str) -> Result<Step> {
    if inner == "*" {
        return Ok(Step::Wildcard);
    }
    if let Ok(index) = inner.parse() {
        return Ok(Step::Index(index));
    }
    if let Some(name) = quoted(inner)? {
        return Ok(Step::Field(name));
    }
    let condition = inner
        .strip_prefix("?(")
        .and_then(|condition| condition.strip_suffix(')'))
        .ok_or_else(|| format!("invalid array index {inner}"))?;
    let operator = ["==", "!=", ">=", "<=", ">", "<"]
        .into_iter()
        .find(|operator| condition.contains(operator))
        .ok_or_else(|| format!("unrecognized filter {condition}"))?;
    let (left, right) = condition
        .split_once(operator)
        .ok_or_else(|| format!("unrecognized filter {condition}"))?;
    let field = left
        .trim()
        .trim_start_matches('@')
        .trim_start_matches('.')
        .split('.')
        .map(str::to_owned)
        .collect();
    let right = right.trim();
    let wanted = match quoted(right)? {
        Some(text) => Value::String(text),
        None => serde_json::from_str(right).map_err(|_| format!("unrecognized value {right}"))?,
    };
    Ok(Step::Filter {
        field,
        operator: operator.to_owned(),
        wanted,
    })
}

fn execute(nodes: &[Node], value: &Value, out: &mut String) -> Result<()> {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Path(steps) => {
                let found: Vec<String> = walk(steps, value)?.into_iter().map(show).collect();
                out.push_str(&found.join(" "));
            }
            Node::Range(steps, body) => {
                for item in walk(steps, value)? {
                    execute(body, item, out)?;
                }
            }
        }
    }
    Ok(())
}

fn walk<'a>(steps: &[Step], value: &'a Value) -> Result<Vec<&'a Value>> {
    let mut current = vec![value];
    for step in steps {
        let mut next = Vec::new();
        for value in current {
            match step {
                Step::Field(name) => next.extend(value.get(name)),
                Step::Wildcard => match value {
                    Value::Array(items) => next.extend(items),
                    Value::Object(map) => next.extend(map.values()),
                    _ => {}
                },
                Step::Index(index) => {
                    let items = value
                        .as_array()
                        .ok_or_else(|| format!("{value} is not array or slice"))?;
                    let at = if *index < 0 {
                        index + items.len() as i64
                    } else {
                        *index
                    };
                    let found = usize::try_from(at).ok().and_then(|at| items.get(at));
                    next.push(found.ok_or_else(|| {
                        format!(
                            "array index out of bounds: index {index}, length {}",
                            items.len()
                        )
                    })?);
                }
                Step::Filter {
                    field,
                    operator,
                    wanted,
                } => {
                    let items = value
                        .as_array()
                        .ok_or_else(|| format!("{value} is not array or slice"))?;
                    next.extend(items.iter().filter(|item| {
                        let found = field.iter().try_fold(*item, |value, name| value.get(name));
                        found.is_some_and(|found| holds(found, operator, wanted))
                    }));
                }
            }
        }
        current = next;
    }
    Ok(current)
}

fn holds(found: &Value, operator: &str, wanted: &Value) -> bool {
    let ordering = match (found, wanted) {
        (Value::Number(one), Value::Number(other)) => one.as_f64().partial_cmp(&other.as_f64()),
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        _ => None,
    };
    match operator {
        "==" => found == wanted,
        "!=" => found != wanted,
        ">" => ordering.is_some_and(std::cmp::Ordering::is_gt),
        "<" => ordering.is_some_and(std::cmp::Ordering::is_lt),
        ">=" => ordering.is_some_and(std::cmp::Ordering::is_ge),
        _ => ordering.is_some_and(std::cmp::Ordering::is_le),
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_forms_people_use() {
        let value = json!({"certificates": [
            {"name": "a", "residualTime": 5}, {"name": "b", "residualTime": 50}
        ]});
        let show = |template: &str| render(template, &value);
        assert_eq!(show("{.certificates[*].name}"), Ok("a b".into()));
        assert_eq!(show("{.certificates[-1].name}!"), Ok("b!".into()));
        assert_eq!(
            show("{range .certificates[*]}{.name}{\"\\t\"}{.residualTime}{\"\\n\"}{end}"),
            Ok("a\t5\nb\t50\n".into())
        );
        assert_eq!(
            show("{.certificates[?(@.residualTime<10)].name}"),
            Ok("a".into())
        );
        assert_eq!(show("{.nosuch}"), Ok(String::new()));
        assert_eq!(
            find("{.certificates[0].name}", &value),
            Ok(vec![json!("a")])
        );
        assert!(show("{..name}").is_err());
        assert!(show("{range .certificates[*]}").is_err());
    }
}
