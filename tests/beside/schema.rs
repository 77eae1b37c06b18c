//! A validator for the JSON Schemas that are published here.

use serde_json::Value;

/// Where a value does not fit a schema. Knows the words that this schema is written in, and no others.
pub(crate) fn mistakes(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let Some(words) = schema.as_object() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (word, argument) in words {
        match word.as_str() {
            "$ref" => {
                let target = argument.as_str().unwrap().trim_start_matches('#');
                found.extend(mistakes(root, root.pointer(target).unwrap(), value, at));
            }
            "type" => {
                let is = |name: &Value| match name.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    "null" => value.is_null(),
                    "boolean" => value.is_boolean(),
                    other => panic!("type {other}"),
                };
                let fits = argument
                    .as_array()
                    .map_or_else(|| is(argument), |names| names.iter().any(is));
                if !fits {
                    found.push(format!("{at}: {value} is not {argument}"));
                }
            }
            "required" => {
                for key in argument.as_array().unwrap() {
                    if value.get(key.as_str().unwrap()).is_none() {
                        found.push(format!("{at}: {key} is missing"));
                    }
                }
            }
            "properties" => {
                for (key, part) in argument.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        found.extend(mistakes(root, part, value, &format!("{at}.{key}")));
                    }
                }
            }
            "additionalProperties" => {
                let known = words.get("properties").and_then(Value::as_object);
                for (key, part) in value.as_object().into_iter().flatten() {
                    if known.is_some_and(|known| known.contains_key(key)) {
                        continue;
                    }
                    if *argument == Value::Bool(false) {
                        found.push(format!("{at}: {key} is unknown"));
                    } else {
                        found.extend(mistakes(root, argument, part, &format!("{at}.{key}")));
                    }
                }
            }
            "items" => {
                for (index, one) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(mistakes(root, argument, one, &format!("{at}[{index}]")));
                }
            }
            "enum" => {
                if !argument.as_array().unwrap().contains(value) {
                    found.push(format!("{at}: {value} is none of {argument}"));
                }
            }
            "const" => {
                if argument != value {
                    found.push(format!("{at}: {value} is not {argument}"));
                }
            }
            "oneOf" | "anyOf" | "allOf" => {
                let parts = argument.as_array().unwrap();
                let fit = parts
                    .iter()
                    .filter(|part| mistakes(root, part, value, at).is_empty())
                    .count();
                let good = match word.as_str() {
                    "oneOf" => fit == 1,
                    "anyOf" => fit > 0,
                    _ => fit == parts.len(),
                };
                if !good {
                    found.push(format!("{at}: {value} fits {fit} of {word}"));
                }
            }
            "minimum" => {
                if value
                    .as_f64()
                    .is_some_and(|number| number < argument.as_f64().unwrap())
                {
                    found.push(format!("{at}: {value} is below {argument}"));
                }
            }
            "$schema" | "title" | "description" | "$comment" | "definitions" | "format"
            | "default" => {}
            other => panic!("the schema has a word that this test does not know: {other}"),
        }
    }
    found
}
