//! Other files of certdrill: plans, captures, the configuration. They are read strictly, and a mistake is told as in a
//! scenario: with its place and what was probably meant.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::Position;
use super::node::{self, Node, Value};
use super::problem::{Problem, suggest};

/// Reads a document of one type.
///
/// # Errors
/// With the first mistake.
pub(crate) fn document<T: DeserializeOwned>(text: &str) -> Result<T, Box<Problem>> {
    serde_saphyr::from_str(text).map_err(|error| yaml(text, &error))
}

/// As [`document`], from JSON.
///
/// # Errors
/// With the first mistake.
pub(crate) fn json<T: DeserializeOwned>(text: &str) -> Result<T, Box<Problem>> {
    serde_json::from_str(text).map_err(|error| {
        let place = |number: usize| u32::try_from(number).unwrap_or(0);
        let (line, column) = (place(error.line()), place(error.column()));
        let at = Position {
            line,
            column,
            offset: node::offset_of(text, line, column),
            len: 0,
        };
        let said = error.to_string();
        // The place is shown.
        let said = said.split(" at line ").next().unwrap_or_default();
        let names: Vec<&str> = said.split('`').skip(1).step_by(2).collect();
        Box::new(match (said.split('`').next(), names.as_slice()) {
            (Some("unknown field "), [name, known @ ..]) => unknown(at, "key", name, known),
            (Some("unknown variant "), [name, known @ ..]) => unknown(at, "value", name, known),
            _ => Problem::new(at, said),
        })
    })
}

fn yaml(text: &str, error: &serde_saphyr::Error) -> Box<Problem> {
    use serde_saphyr::Error::{SerdeUnknownField, SerdeUnknownVariant};
    let error = error.without_snippet();
    let at = error
        .location()
        .map_or_else(Position::default, |location| node::position(location, text));
    Box::new(match error {
        SerdeUnknownField {
            field, expected, ..
        } => unknown(at, "key", field, expected),
        SerdeUnknownVariant {
            variant, expected, ..
        } => unknown(at, "value", variant, expected),
        other => Problem::new(at, node::said(other)),
    })
}

fn unknown(at: Position, what: &str, name: &str, known: &[&str]) -> Problem {
    Problem::new(at, format!("unknown {what} `{name}`")).help(suggest(name, known.iter().copied()))
}

/// Where each key of a document stands, by its path: `["run", "jobs"]`.
///
/// # Errors
/// When it is no YAML.
pub(crate) fn places(text: &str) -> Result<BTreeMap<Vec<String>, Position>, Box<Problem>> {
    let mut found = BTreeMap::new();
    let mut left: Vec<(Vec<String>, Node)> = vec![(Vec::new(), node::parse(text)?)];
    while let Some((path, node)) = left.pop() {
        let Value::Map(entries) = node.value else {
            continue;
        };
        for (key, value) in entries {
            let path = [path.as_slice(), &[key.text]].concat();
            found.insert(path.clone(), key.at);
            left.push((path, value));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read is looked at")]
    struct Thing {
        name: String,
        colour: Option<Colour>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    enum Colour {
        Red,
        Green,
    }

    #[test]
    fn mistakes_have_a_place_and_a_suggestion() {
        for (text, line, message, help) in [
            (
                "name: a\ncolor: red\n",
                2,
                "unknown key `color`",
                "did you mean `colour`?",
            ),
            (
                "name: a\ncolour: gren\n",
                2,
                "unknown value `gren`",
                "did you mean `green`?",
            ),
            (
                "name: a\nweight: 1\n",
                2,
                "unknown key `weight`",
                "known here: `name`, `colour`",
            ),
        ] {
            let problem = document::<Thing>(text).unwrap_err();
            assert_eq!(problem.at.line, line, "{problem:?}");
            assert_eq!(problem.message, message);
            assert_eq!(problem.help.as_deref(), Some(help));
        }
        let problem = json::<Thing>("{\n\"name\": \"a\",\n\"color\": 1}").unwrap_err();
        assert_eq!(
            (problem.at.line, problem.message.as_str()),
            (3, "unknown key `color`")
        );
        assert_eq!(problem.help.as_deref(), Some("did you mean `colour`?"));
        document::<Thing>("name: a\ncolour: red\n").unwrap();
    }

    #[test]
    fn keys_have_places() {
        let places = places("seed: 7\nrun:\n  jobs: 3\n").unwrap();
        let line = |path: &[&str]| {
            let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
            places[&path].line
        };
        assert_eq!(
            [line(&["seed"]), line(&["run"]), line(&["run", "jobs"])],
            [1, 2, 3]
        );
    }
}
