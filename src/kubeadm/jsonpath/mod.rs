//! client-go's jsonpath (`util/jsonpath`) over the printed object.
//!
//! Numbers of the object are floating point numbers, as `encoding/json` reads them: a whole number in a filter
//! cannot be compared with one, and large ones are printed with an exponent. Where Go walks a map in random order,
//! keys are walked in order.

mod evaluate;
mod parse;

use serde_json::Value;

use super::gofmt;
use evaluate::{Evaluation, Found};

/// A template that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath {
    text: String,
    nodes: Vec<parse::Node>,
}

impl JsonPath {
    /// Reads a template.
    ///
    /// # Errors
    /// In client-go's words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let nodes = parse::parse(text)
            .map_err(|error| format!("error parsing jsonpath {text}, {error}"))?;
        Ok(Self {
            text: text.to_owned(),
            nodes,
        })
    }

    /// What it prints for an object: as text, or as a JSON list for each part.
    ///
    /// # Errors
    /// When it does not fit the object.
    pub fn render(
        &self,
        value: &Value,
        missing_keys_allowed: bool,
        as_json: bool,
    ) -> Result<String, String> {
        let results = Evaluation::new(&self.nodes, missing_keys_allowed)
            .run(value)
            .map_err(|error| self.executing(&error, value))?;
        let mut out = String::new();
        for results in &results {
            if as_json {
                let list = results.iter().map(Found::to_json).collect();
                gofmt::json(&Value::Array(list), "    ", 0, &mut out);
                out.push('\n');
                continue;
            }
            let texts: Vec<String> = results.iter().map(Found::to_text).collect();
            out.push_str(&texts.join(" "));
        }
        Ok(out)
    }

    fn executing(&self, error: &str, value: &Value) -> String {
        let text = &self.text;
        format!(
            "error executing jsonpath {}: Error executing template: {error}. Printing more information for debugging the template:\n\ttemplate was:\n\t\t{text}\n\tobject given to jsonpath engine was:\n\t\t{}\n\n\n",
            gofmt::quoted(text),
            gofmt::syntax(value),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(template: &str) -> Result<String, String> {
        let value = json!({"certificates": [
            {"name": "a", "residualTime": 5}, {"name": "b", "residualTime": 5_000_000, "caName": "ca"}
        ]});
        JsonPath::parse(template)?.render(&value, true, false)
    }

    #[test]
    fn the_forms_people_use() {
        for (template, text) in [
            ("{.certificates[*].name}", "a b"),
            ("{.certificates[-1].name}!", "b!"),
            ("{.certificates[*]['name','caName']}", "a b ca"),
            ("{..name}", "a b"),
            ("{.certificates[0:2:1].residualTime}", "5 5e+06"),
            (
                "{range .certificates[*]}{.name}{\"\\t\"}{.residualTime}{\"\\n\"}{end}.",
                "a\t5\nb\t5e+06\n.",
            ),
            ("{.certificates[?(@.residualTime<10.0)].name}", "a"),
            ("{.certificates[?(@.caName)].name}", "b"),
            ("{.certificates[0]}", "{\"name\":\"a\",\"residualTime\":5}"),
            ("{.nosuch}", ""),
        ] {
            assert_eq!(render(template), Ok(text.into()), "{template}");
        }
    }

    #[test]
    fn what_is_refused() {
        for (template, words) in [
            ("{.x", "unclosed action"),
            ("{.certificates[x]}", "invalid array index x"),
            ("{end}", "not in range, nothing to end"),
            (
                "{.certificates[?(@.residualTime<10)]}",
                "incompatible types for comparison",
            ),
            (
                "{.certificates[7]}",
                "array index out of bounds: index 7, length 2",
            ),
        ] {
            let error = render(template).unwrap_err();
            assert!(error.contains(words), "{template}: {error}");
        }
    }
}
