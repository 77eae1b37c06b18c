//! `when:` - the variants of the matrix that a step or an expectation is for.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::OneOrMany;
use crate::kubeadm::Version;
use crate::scenario::decode::{Decode, Fields, Problems};
use crate::scenario::node::{Key, Node};
use crate::scenario::problem::{Problem, suggest};
use crate::scenario::scalar::At;

/// The key that compares the cluster's version at the start.
pub(crate) const VERSION: &str = "version";

/// Conditions that must all hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct When(Vec<(Key, Vec<At<String>>)>);

impl Decode for When {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let fields = Fields::of(node, "a mapping such as { version: \"<1.17\" }", problems)?;
        let before = problems.len();
        let mut conditions = Vec::new();
        for (key, value) in fields.entries() {
            if let Some(values) = OneOrMany::<At<String>>::decode(value, problems) {
                conditions.push((key.clone(), values.0));
            }
        }
        (problems.len() == before).then_some(Self(conditions))
    }
}

impl JsonSchema for When {
    fn schema_name() -> Cow<'static, str> {
        "When".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let value = json_schema!({ "type": ["string", "number", "boolean"] });
        json_schema!({
            "description": "Only for these variants of the matrix; `version` compares the version at the start.",
            "type": "object",
            "additionalProperties": {
                "anyOf": [value, { "type": "array", "items": value }],
            },
            "examples": [{ "version": "<1.17" }],
        })
    }
}

/// Whether a step or expectation is for this variant. No condition is for every variant. A value that the matrix does not have is
/// a mistake: what stands under it would never be played, and nobody would miss it.
pub(crate) fn holds(
    when: Option<&When>,
    variant: &BTreeMap<String, String>,
    axes: &[(String, Vec<At<String>>)],
    start: Version,
    problems: &mut Problems,
) -> bool {
    let Some(When(conditions)) = when else {
        return true;
    };
    let mut all = true;
    for (key, values) in conditions {
        let any = if key.text == VERSION {
            any_version(values, start, problems)
        } else if let Some(actual) = variant.get(&key.text) {
            for value in values.iter().filter(|value| value.value != *actual) {
                let known = axes.iter().filter(|(name, _)| *name == key.text);
                let known = known.flat_map(|(_, known)| known.iter().map(|one| one.value.as_str()));
                if !known.clone().any(|one| one == value.value) {
                    problems.push::<()>(
                        Problem::new(
                            value.at,
                            format!("`{}` is no value of `{}`", value.value, key.text),
                        )
                        .help(suggest(&value.value, known)),
                    );
                }
            }
            values.iter().any(|value| value.value == *actual)
        } else {
            let known: Vec<&str> = variant
                .keys()
                .map(String::as_str)
                .filter(|name| *name != VERSION)
                .chain([VERSION])
                .collect();
            problems.push::<()>(
                Problem::new(key.at, format!("`{}` is no key of the matrix", key.text))
                    .help(suggest(&key.text, known)),
            );
            true
        };
        all &= any;
    }
    all
}

fn any_version(values: &[At<String>], start: Version, problems: &mut Problems) -> bool {
    let mut any = false;
    for value in values {
        match matches_version(&value.value, start) {
            Some(matches) => any |= matches,
            None => problems
                .push(
                    Problem::new(
                        value.at,
                        format!("`{}` is not a comparison of versions", value.value),
                    )
                    .help("write \"<1.17\", \">=1.34.2\", \">=1.17 <1.20\" or \"1.16\""),
                )
                .unwrap_or(()),
        }
    }
    any
}

/// Comparisons separated by blanks must all hold: `>=1.17 <1.20`.
fn matches_version(text: &str, start: Version) -> Option<bool> {
    let mut comparisons = text.split_whitespace().peekable();
    comparisons.peek()?;
    let mut all = true;
    for comparison in comparisons {
        let split = comparison
            .find(|c: char| c == 'v' || c.is_ascii_digit())
            .unwrap_or(comparison.len());
        let (operator, number) = comparison.split_at(split);
        let (low, has_patch) = match number.parse::<Version>() {
            Ok(version) => (version, true),
            Err(_) => (format!("{number}.0").parse().ok()?, false),
        };
        // `1.17` means every v1.17.x.
        let high = if has_patch {
            low
        } else {
            Version {
                patch: u16::MAX,
                ..low
            }
        };
        all &= match operator {
            "<" => start < low,
            "<=" => start <= high,
            ">" => start > high,
            ">=" => start >= low,
            "" | "=" | "==" => low <= start && start <= high,
            "!=" => !(low <= start && start <= high),
            _ => return None,
        };
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_without_patch_means_the_whole_minor() {
        let start = Version::new(16, 15);
        for (text, expected) in [
            ("<1.17", true),
            ("<=1.16", true),
            (">1.16", false),
            ("1.16", true),
            ("v1.16.15", true),
            ("=1.16.14", false),
            (">=1.15 <1.17", true),
            ("!=1.16", false),
        ] {
            assert_eq!(matches_version(text, start), Some(expected), "{text}");
        }
        for text in ["", "~1.16", "<", "1", "<1.16 or so"] {
            assert_eq!(matches_version(text, start), None, "{text}");
        }
    }
}
