//! The functions of templates. `call`, `html`, `js`, `slice` and `urlquery` are refused.
//!
//! Go has whole numbers of two types here, `int` for those of a template and `int64` for those of the object. They
//! behave the same and are not told apart: an error that names the type of a number says `int64`.

use serde_json::Value;

use super::super::gofmt;
use super::{Val, truth};

type Result<T> = std::result::Result<T, String>;

/// Calls a function other than `and` and `or`.
pub(super) fn call(name: &str, values: &[Val]) -> Result<Val> {
    let wanted = |count: usize| {
        if values.len() == count {
            return Ok(());
        }
        Err(format!(
            "wrong number of args for {name}: want {count} got {}",
            values.len()
        ))
    };
    Ok(Some(match name {
        "len" => {
            wanted(1)?;
            Value::from(match &values[0] {
                Some(Value::Array(items)) => items.len(),
                Some(Value::Object(map)) => map.len(),
                Some(Value::String(text)) => text.len(),
                None | Some(Value::Null) => return Err("len of nil pointer".to_owned()),
                Some(other) => return Err(format!("len of type {}", type_name(other))),
            })
        }
        "index" => {
            if values.is_empty() {
                return Err("wrong number of args for index: want at least 1 got 0".to_owned());
            }
            return index(values);
        }
        "not" => {
            wanted(1)?;
            Value::from(!truth(&values[0]))
        }
        "eq" => {
            let [one, others @ ..] = values else {
                return Err("wrong number of args for eq: want at least 1 got 0".to_owned());
            };
            if others.is_empty() {
                return Err("missing argument for comparison".to_owned());
            }
            let mut found = false;
            for other in others {
                found |= equal(one, other)?;
            }
            Value::from(found)
        }
        "ne" | "lt" | "le" | "gt" | "ge" => {
            wanted(2)?;
            let (one, other) = (&values[0], &values[1]);
            Value::from(match name {
                "ne" => !equal(one, other)?,
                "lt" => less(one, other)?,
                "le" => less(one, other)? || equal(one, other)?,
                "gt" => !(less(one, other)? || equal(one, other)?),
                _ => !less(one, other)?,
            })
        }
        "print" => {
            let mut out = String::new();
            for (at, value) in values.iter().enumerate() {
                let text = |value: &Val| matches!(value, Some(Value::String(_)));
                if at > 0 && !text(value) && !text(&values[at - 1]) {
                    out.push(' ');
                }
                out.push_str(&argument(value));
            }
            Value::from(out)
        }
        "println" => {
            let texts: Vec<String> = values.iter().map(argument).collect();
            Value::from(texts.join(" ") + "\n")
        }
        "printf" => {
            let [Some(Value::String(format)), rest @ ..] = values else {
                return Err("wrong type for value; expected string".to_owned());
            };
            Value::from(printf(format, rest)?)
        }
        "exists" => Value::from(
            index(values).is_ok_and(|value| value.is_some_and(|value| !value.is_null())),
        ),
        "base64decode" => {
            wanted(1)?;
            let Some(Value::String(text)) = &values[0] else {
                return Err("wrong type for value; expected string".to_owned());
            };
            let bytes = crate::pki::decode_base64(text)
                .map_err(|error| format!("base64 decode failed: {error}"))?;
            Value::from(String::from_utf8_lossy(&bytes))
        }
        other => return Err(format!("{other} is not supported by certdrill")),
    }))
}

/// `%v` of a value.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => {
            gofmt::float(number.as_f64().unwrap_or_default())
        }
        other => gofmt::value(other),
    }
}

fn argument(value: &Val) -> String {
    value.as_ref().map_or_else(|| "<nil>".to_owned(), plain)
}

/// The name of a value's type in Go.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn index(values: &[Val]) -> Result<Val> {
    let Some((item, keys)) = values.split_first() else {
        return Ok(None);
    };
    let mut item = match item {
        None | Some(Value::Null) => return Err("index of untyped nil".to_owned()),
        Some(item) => item.clone(),
    };
    for key in keys {
        item = match (item, key) {
            (Value::Array(items), Some(Value::Number(number))) if number.is_i64() => {
                let at = number.as_i64().unwrap_or_default();
                let found = usize::try_from(at).ok().and_then(|at| items.get(at));
                found
                    .cloned()
                    .ok_or_else(|| format!("index out of range: {at}"))?
            }
            (Value::Object(mut map), Some(Value::String(key))) => {
                map.swap_remove(key).unwrap_or_default()
            }
            (Value::Array(_), None | Some(Value::Null)) => {
                return Err("cannot index slice/array with nil".to_owned());
            }
            (Value::Array(_), Some(key)) => {
                return Err(format!(
                    "cannot index slice/array with type {}",
                    type_name(key)
                ));
            }
            (Value::Object(_), Some(key)) => {
                return Err(format!(
                    "value has type {}; should be string",
                    type_name(key)
                ));
            }
            (Value::Object(_), None) => {
                return Err("value is nil; should be of type string".to_owned());
            }
            (Value::Null, _) => return Err("index of nil pointer".to_owned()),
            (other, _) => return Err(format!("can't index item of type {}", type_name(&other))),
        };
    }
    Ok(Some(item))
}

fn equal(one: &Val, other: &Val) -> Result<bool> {
    match (one, other) {
        (Some(Value::Number(one)), Some(Value::Number(other)))
            if one.is_f64() == other.is_f64() =>
        {
            Ok(one == other)
        }
        (Some(Value::String(one)), Some(Value::String(other))) => Ok(one == other),
        (Some(Value::Bool(one)), Some(Value::Bool(other))) => Ok(one == other),
        (None | Some(Value::Null), None | Some(Value::Null)) => Ok(true),
        (None | Some(Value::Null), _) | (_, None | Some(Value::Null)) => Ok(false),
        (Some(list @ (Value::Array(_) | Value::Object(_))), _)
        | (_, Some(list @ (Value::Array(_) | Value::Object(_)))) => Err(format!(
            "non-comparable type {}: {}",
            gofmt::value(list),
            type_name(list)
        )),
        (Some(one), Some(other)) => Err(incompatible(one, other)),
    }
}

fn incompatible(one: &Value, other: &Value) -> String {
    let (one, other) = (type_name(one), type_name(other));
    format!("incompatible types for comparison: {one} and {other}")
}

fn less(one: &Val, other: &Val) -> Result<bool> {
    match (one, other) {
        (Some(Value::Number(one)), Some(Value::Number(other)))
            if one.is_f64() == other.is_f64() =>
        {
            Ok(one.as_f64() < other.as_f64())
        }
        (Some(Value::String(one)), Some(Value::String(other))) => Ok(one < other),
        (Some(one), Some(other))
            if type_name(one) != type_name(other) && is_basic(one) && is_basic(other) =>
        {
            Err(incompatible(one, other))
        }
        _ => Err("invalid type for comparison".to_owned()),
    }
}

fn is_basic(value: &Value) -> bool {
    matches!(value, Value::Number(_) | Value::String(_) | Value::Bool(_))
}

/// `fmt.Sprintf` with the verbs `%s %d %v %q %t %%`, width, `-` and `0`.
fn printf(format: &str, values: &[Val]) -> Result<String> {
    let mut out = String::new();
    let mut rest = values.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let (mut left, mut zero, mut width) = (false, false, 0usize);
        let verb = loop {
            match chars.next() {
                Some('-') => left = true,
                Some('0') if width == 0 => zero = true,
                Some(digit) if digit.is_ascii_digit() => {
                    width = width * 10 + (digit as usize - '0' as usize);
                    if width > 10_000 {
                        return Err(
                            "a width of more than 10000 is not supported by certdrill".to_owned()
                        );
                    }
                }
                other => break other,
            }
        };
        let Some(verb) = verb else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        if !"sdvqt".contains(verb) {
            return Err(format!("%{verb} is not supported by certdrill"));
        }
        let Some(value) = rest.next() else {
            out.push_str(&format!("%!{verb}(MISSING)"));
            continue;
        };
        let text = match (verb, value) {
            ('v', value) => argument(value),
            (verb, None | Some(Value::Null)) => format!("%!{verb}(<nil>)"),
            ('s', Some(Value::String(text))) => text.clone(),
            ('q', Some(Value::String(text))) => gofmt::quoted(text),
            ('d', Some(Value::Number(number))) if !number.is_f64() => number.to_string(),
            ('t', Some(Value::Bool(value))) => value.to_string(),
            (_, Some(Value::Array(_) | Value::Object(_))) => {
                return Err(format!(
                    "%{verb} of a list or map is not supported by certdrill"
                ));
            }
            (verb, Some(value)) => format!("%!{verb}({}={})", type_name(value), plain(value)),
        };
        let missing = width.saturating_sub(text.chars().count());
        if left {
            out.push_str(&text);
            out.push_str(&" ".repeat(missing));
        } else if zero && matches!(value, Some(Value::Number(_))) && text.starts_with('-') {
            out.push_str(&format!("-{}{}", "0".repeat(missing), &text[1..]));
        } else {
            out.push_str(&(if zero { "0" } else { " " }).repeat(missing));
            out.push_str(&text);
        }
    }
    let more: Vec<String> = rest
        .map(|value| match value {
            Some(value) if !value.is_null() => format!("{}={}", type_name(value), plain(value)),
            _ => "<nil>".to_owned(),
        })
        .collect();
    if !more.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", more.join(", ")));
    }
    Ok(out)
}
