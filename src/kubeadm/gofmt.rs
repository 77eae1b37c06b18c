//! JSON values as Go prints them: `%v`, `%#v` and `encoding/json`.

use serde_json::Value;

/// `%v` of a value; numbers as they are.
pub(super) fn value(value: &Value) -> String {
    plain(value, &|number| number.to_string())
}

/// `%v` of a value whose numbers are floating point numbers.
pub(super) fn floats(value: &Value) -> String {
    plain(value, &|number| float(number.as_f64().unwrap_or_default()))
}

fn plain(value: &Value, number: &dyn Fn(&serde_json::Number) -> String) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => number(value),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| plain(item, number)).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries: Vec<String> = entries
                .into_iter()
                .map(|(key, value)| format!("{key}:{}", plain(value, number)))
                .collect();
            format!("map[{}]", entries.join(" "))
        }
    }
}

/// `%#v` of a value whose numbers are floating point numbers.
pub(super) fn syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(syntax).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries: Vec<String> = entries
                .into_iter()
                .map(|(key, value)| format!("{}:{}", quoted(key), syntax(value)))
                .collect();
            format!("map[string]interface {{}}{{{}}}", entries.join(", "))
        }
        other => floats(other),
    }
}

/// `%v` of a floating point number.
pub(super) fn float(number: f64) -> String {
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// `%q` of a text.
pub(super) fn quoted(text: &str) -> String {
    let mut out = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The text between quotes, with Go's escapes undone.
pub(super) fn unquote(text: &str, quote: char) -> Option<String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c == quote {
            return None;
        }
        if c != '\\' {
            out.extend(c.to_string().bytes());
            continue;
        }
        let escape = rest.chars().next()?;
        rest = &rest[escape.len_utf8()..];
        let mut number = |digits: usize, radix: u32| {
            let text = rest.get(..digits)?;
            rest = &rest[digits..];
            u32::from_str_radix(text, radix).ok()
        };
        match escape {
            'a' => out.push(7),
            'b' => out.push(8),
            'f' => out.push(12),
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            'v' => out.push(11),
            '\\' => out.push(b'\\'),
            'x' => out.push(u8::try_from(number(2, 16)?).ok()?),
            'u' => out.extend(char::from_u32(number(4, 16)?)?.to_string().bytes()),
            'U' => out.extend(char::from_u32(number(8, 16)?)?.to_string().bytes()),
            '0'..='7' => {
                let digits = u32::from(escape) - u32::from('0');
                out.push(u8::try_from(digits * 64 + number(2, 8)?).ok()?);
            }
            c if c == quote => out.extend(c.to_string().bytes()),
            _ => return None,
        }
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

/// `encoding/json` of a value: keys in order, indented unless the indent is empty.
pub(super) fn json(value: &Value, indent: &str, depth: usize, out: &mut String) {
    let line = |depth: usize, out: &mut String| {
        if !indent.is_empty() {
            out.push('\n');
            out.push_str(&indent.repeat(depth));
        }
    };
    match value {
        Value::Object(map) if !map.is_empty() => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (at, (key, value)) in entries.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                line(depth + 1, out);
                out.push_str(&string(key));
                out.push_str(if indent.is_empty() { ":" } else { ": " });
                json(value, indent, depth + 1, out);
            }
            line(depth, out);
            out.push('}');
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (at, value) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                line(depth + 1, out);
                json(value, indent, depth + 1, out);
            }
            line(depth, out);
            out.push(']');
        }
        Value::String(text) => out.push_str(&string(text)),
        other => out.push_str(&other.to_string()),
    }
}

/// A JSON string, with what HTML would take amiss escaped.
fn string(text: &str) -> String {
    Value::from(text)
        .to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_an_exponent_as_in_go() {
        for (number, text) in [
            (0.0, "0"),
            (-3.0, "-3"),
            (0.5, "0.5"),
            (123_456.0, "123456"),
            (1_234_567.0, "1.234567e+06"),
            (-31_535_972.0, "-3.1535972e+07"),
            (0.00001, "1e-05"),
            (1e21, "1e+21"),
        ] {
            assert_eq!(float(number), text);
        }
    }
}
