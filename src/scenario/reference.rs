//! Every step, expectation and field of the format as Markdown, made from the JSON Schema and so from the types.

use std::fmt::Write as _;

use serde_json::Value;

/// The page as it is published in `docs/reference.md`.
#[must_use]
pub fn reference() -> String {
    let schema: Value = serde_json::from_str(&super::schema()).unwrap_or_default();
    let mut page = Page {
        schema: &schema,
        text: "# Every field\n\n<!-- Written by `certdrill schema --markdown`; do not edit. -->\n\n\
               A value in quotes may hold `{key}`, where `key` is one of the matrix. Mistakes are told with their place and \
               with what was probably meant, so trying is cheap: `certdrill lint FILE`.\n"
            .to_owned(),
    };
    for (name, title) in [
        ("Metadata", "`metadata`"),
        ("Spec", "`spec`"),
        ("Cluster", "`spec.cluster`"),
    ] {
        let _ = write!(page.text, "\n## {title}\n\n");
        page.fields(&schema["definitions"][name], 0);
    }
    page.text
        .push_str("\n## Steps\n\nOne step has one of these keys, and perhaps `when`.\n");
    let steps = schema["definitions"]["Step"]["properties"].as_object();
    for (key, part) in steps.into_iter().flatten() {
        let _ = write!(page.text, "\n### `{key}`\n\n");
        page.whole(part);
    }
    page.text.push_str(
        "\n## Expectations\n\nUnder `expect`, `expectFailure`, `always`, `eventually` and `sometimes`.\n",
    );
    let forms = schema["definitions"]["Expectation"]["anyOf"].as_array();
    for form in forms.into_iter().flatten() {
        let key = form["required"][0].as_str().map_or_else(
            || "a process".to_owned(),
            |required| format!("`{required}`"),
        );
        let _ = write!(page.text, "\n### {key}\n\n{}\n\n", words(form));
        page.fields(form, 0);
    }
    page.text.push_str("\n## `when`\n\n");
    page.whole(&schema["definitions"]["When"]);
    page.text
}

struct Page<'s> {
    schema: &'s Value,
    text: String,
}

impl Page<'_> {
    /// A value with its description, what it may be, and its fields.
    fn whole(&mut self, part: &Value) {
        let description = words(part);
        if !description.is_empty() {
            let _ = writeln!(self.text, "{description}\n");
        }
        let shape = self.shape(part);
        if !shape.is_empty() {
            let _ = writeln!(self.text, "{shape}\n");
        }
        for object in self.objects(part) {
            self.fields(&object, 0);
        }
    }

    /// A list of the fields of a mapping.
    fn fields(&mut self, object: &Value, depth: usize) {
        let required = object["required"].as_array().cloned().unwrap_or_default();
        for (key, part) in object["properties"].as_object().into_iter().flatten() {
            if key == "when" {
                continue;
            }
            let must = if required.iter().any(|one| one == key) {
                " (required)"
            } else {
                ""
            };
            let shape = self.shape(part);
            let shape = if shape.is_empty() {
                shape
            } else {
                format!(" {shape}")
            };
            let indent = "  ".repeat(depth);
            let _ = writeln!(self.text, "{indent}- `{key}`{must}: {}{shape}", words(part));
            // The steps and expectations have places of their own.
            if depth < 2 && !matches!(key.as_str(), "steps" | "always" | "sometimes" | "cluster") {
                for inner in self.objects(part) {
                    self.fields(&inner, depth + 1);
                }
            }
        }
        for (pattern, part) in object["patternProperties"]
            .as_object()
            .into_iter()
            .flatten()
        {
            let indent = "  ".repeat(depth);
            let _ = writeln!(
                self.text,
                "{indent}- a key like `{pattern}`: {}",
                words(part)
            );
            for inner in self.objects(part) {
                self.fields(&inner, depth + 1);
            }
        }
    }

    fn resolved<'v>(&'v self, part: &'v Value) -> &'v Value {
        part["$ref"]
            .as_str()
            .and_then(|target| self.schema.pointer(target.trim_start_matches('#')))
            .unwrap_or(part)
    }

    /// The mappings a value may be.
    fn objects(&self, part: &Value) -> Vec<Value> {
        let part = self.resolved(part);
        if part["properties"].is_object() || part["patternProperties"].is_object() {
            return vec![part.clone()];
        }
        ["anyOf", "allOf", "oneOf"]
            .iter()
            .filter_map(|key| part[key].as_array())
            .flatten()
            // An expectation is described once.
            .filter(|one| one["$ref"] != "#/definitions/Expectation")
            .flat_map(|one| self.objects(one))
            .collect()
    }

    /// Examples and words that a value may be.
    fn shape(&self, part: &Value) -> String {
        let mut examples = Vec::new();
        let mut choices = Vec::new();
        self.collect(part, &mut examples, &mut choices);
        let quoted = |list: &[String]| {
            let list: Vec<String> = list.iter().map(|one| format!("`{one}`")).collect();
            list.join(", ")
        };
        match (choices.is_empty(), examples.is_empty()) {
            (false, _) => format!("One of {}.", quoted(&choices)),
            (true, false) => format!("For example {}.", quoted(&examples)),
            (true, true) => String::new(),
        }
    }

    fn collect(&self, part: &Value, examples: &mut Vec<String>, choices: &mut Vec<String>) {
        let plain = |one: &Value| match one {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        for (key, list) in [("examples", &mut *examples), ("enum", &mut *choices)] {
            for one in part[key].as_array().into_iter().flatten() {
                let text = plain(one);
                if !list.contains(&text) {
                    list.push(text);
                }
            }
        }
        for key in ["anyOf", "allOf", "oneOf"] {
            for one in part[key].as_array().into_iter().flatten() {
                if one["$ref"].is_null() {
                    self.collect(one, examples, choices);
                }
            }
        }
        if part["items"]["$ref"].is_null() && part["items"].is_object() {
            self.collect(&part["items"], examples, choices);
        }
    }
}

fn words(part: &Value) -> &str {
    part["description"].as_str().unwrap_or_default().trim()
}
