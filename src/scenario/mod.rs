//! The scenario format: Kubernetes-shaped YAML, strict, with source positions.
//!
//! [`load`] reads the text of one file and gives one [`Scenario`] for each variant of its matrix, or
//! every mistake in the file at once:
//!
//! ```
//! let text = "
//! apiVersion: certdrill/v1
//! kind: Scenario
//! metadata: { name: one-year, title: Nobody renews }
//! spec:
//!   matrix: { version: [v1.16.15, v1.36.3] }
//!   cluster: { version: \"{version}\" }
//!   steps:
//!     - walk: 366d
//!     - expect: { edge: user -> apiserver, is: failing }
//! ";
//! let scenarios = certdrill::scenario::load("one-year.yaml", text).unwrap();
//! assert_eq!(scenarios[0].id(), "one-year/version=v1.16.15");
//!
//! let errors = certdrill::scenario::load("typo.yaml", &text.replace("walk", "wlak")).unwrap_err();
//! assert_eq!(errors.problems[0].message, "unknown step `wlak`");
//! assert_eq!(errors.problems[0].help.as_deref(), Some("did you mean `walk`?"));
//! ```

mod decode;
mod describe;
mod document;
mod kubectl;
mod lint;
mod node;
mod problem;
mod raw;
mod reference;
mod resolve;
mod rows;
mod scalar;
mod schema;
mod select;
#[cfg(test)]
mod tests;
mod types;

use std::collections::BTreeMap;

pub use kubectl::{KubectlCommand, MODELLED as KUBECTL_MODELLED};
pub use lint::lint;
pub use problem::{Problem, ScenarioErrors, Style};
pub use reference::reference;
pub use rows::{ROWS, Row};
pub use scalar::{edge, instant};
pub use schema::schema;
pub use select::Counts;
pub use types::*;

pub(crate) use document::{document, json, places};
pub(crate) use problem::nearest;

use decode::{Decode, Problems};
use node::{Node, Value};

/// Longer files are refused. The longest scenario of the library has a few kilobytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;
/// More variants of one file are refused.
pub const VARIANTS_MAX: usize = 256;

/// Reads the text of a scenario file: one scenario for each variant of its matrix, in the order in
/// which the matrix is written. `file` is only used in messages.
///
/// # Errors
/// Every mistake in the file, with its place. Hostile input is a mistake too: it never panics.
pub fn load(file: &str, text: &str) -> Result<Vec<Scenario>, ScenarioErrors> {
    load_with(file, text, &Values::new())
}

/// Values for keys of a matrix, in place of those in a file.
pub type Values = BTreeMap<String, Vec<String>>;

/// As [`load`], with other values for keys of the matrix. A key that the matrix does not have changes nothing.
///
/// # Errors
/// As [`load`]; a value that fits nowhere is a mistake at the place where it stands in.
pub fn load_with(file: &str, text: &str, values: &Values) -> Result<Vec<Scenario>, ScenarioErrors> {
    let mut problems = Problems::default();
    let scenarios = read(file, text, values, &mut problems);
    let problems = problems.into_sorted();
    match scenarios {
        Some(scenarios) if problems.is_empty() => Ok(scenarios),
        _ => Err(ScenarioErrors {
            file: file.to_owned(),
            source_text: text.to_owned(),
            problems,
        }),
    }
}

/// Reads values for keys of a matrix: a mapping of names to lists, as under `matrix:` of a scenario.
///
/// # Errors
/// Every mistake in the file, with its place.
pub fn values(file: &str, text: &str) -> Result<Values, ScenarioErrors> {
    let mut problems = Problems::default();
    let matrix = match node::parse(text) {
        Ok(tree) => raw::Matrix::decode(&tree, &mut problems),
        Err(problem) => problems.push(*problem),
    };
    let problems = problems.into_sorted();
    match matrix {
        Some(matrix) if problems.is_empty() => Ok(matrix
            .axes
            .into_iter()
            .map(|(key, values)| (key, values.into_iter().map(|one| one.value).collect()))
            .collect()),
        _ => Err(ScenarioErrors {
            file: file.to_owned(),
            source_text: text.to_owned(),
            problems,
        }),
    }
}

fn read(file: &str, text: &str, values: &Values, problems: &mut Problems) -> Option<Vec<Scenario>> {
    if text.len() > FILE_BYTES_MAX {
        return problems.push(Problem::new(
            Position::default(),
            format!(
                "the file has {} bytes; a scenario has at most {FILE_BYTES_MAX}",
                text.len()
            ),
        ));
    }
    let tree = match node::parse(text) {
        Ok(tree) => tree,
        Err(problem) => return problems.push(*problem),
    };
    if tree.value == Value::Null {
        return problems.push(
            Problem::new(tree.at, "the file is empty")
                .help("a scenario begins with `apiVersion: certdrill/v1` and `kind: Scenario`"),
        );
    }
    let mut scenarios = Vec::new();
    let mut complete = true;
    for variant in variants(&tree, text, values, problems)? {
        let mut node = tree.clone();
        if !variant.is_empty() {
            node.each_text(&mut |text| substitute(text, &variant));
        }
        let scenario = raw::Document::decode(&node, problems)
            .and_then(|document| resolve::scenario(document, file, &variant, problems));
        match scenario {
            Some(mut scenario) => {
                scenario.set = variant;
                scenario.set.retain(|key, _| values.contains_key(key));
                scenarios.push(scenario);
            }
            None => complete = false,
        }
    }
    complete.then_some(scenarios)
}

/// Every combination of the matrix; one empty variant without a matrix.
fn variants(
    tree: &Node,
    text: &str,
    given: &Values,
    problems: &mut Problems,
) -> Option<Vec<BTreeMap<String, String>>> {
    let matrix = child(tree, "spec").and_then(|spec| child(spec, "matrix"));
    let mut variants = vec![BTreeMap::new()];
    let Some(matrix) = matrix else {
        return Some(variants);
    };
    let matrix = raw::Matrix::decode(matrix, problems)?;
    for (name, values) in &matrix.axes {
        let values: Vec<String> = match given.get(name) {
            Some(given) => {
                // Where conditions alone read it, another value would leave out what stands under them.
                let is_put_in = name == raw::VERSION || text.contains(&format!("{{{name}}}"));
                let known = values.iter().map(|one| one.value.as_str());
                for other in given.iter().filter(|_| !is_put_in) {
                    if !known.clone().any(|one| one == other) {
                        problems.push::<()>(
                            Problem::new(
                                matrix.at,
                                format!(
                                    "`{other}`, given from outside, is no value of `{name}`, which is read by conditions alone"
                                ),
                            )
                            .help(problem::suggest(other, known.clone())),
                        );
                    }
                }
                given.clone()
            }
            None => values.iter().map(|one| one.value.clone()).collect(),
        };
        if variants.len().saturating_mul(values.len()) > VARIANTS_MAX {
            return problems.push(
                Problem::new(
                    matrix.at,
                    format!("the matrix has more than {VARIANTS_MAX} variants"),
                )
                .help("split the scenario into several files"),
            );
        }
        variants = variants
            .iter()
            .flat_map(|variant| {
                values.iter().map(move |value| {
                    let mut next = variant.clone();
                    next.insert(name.clone(), value.clone());
                    next
                })
            })
            .collect();
    }
    Some(variants)
}

fn child<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    match &node.value {
        Value::Map(entries) => entries
            .iter()
            .find(|(key, _)| key.text == name)
            .map(|(_, value)| value),
        _ => None,
    }
}

/// Puts the values of a variant where `{key}` stands. Other braces stay: files contain them too.
fn substitute(text: &mut String, variant: &BTreeMap<String, String>) {
    if !text.contains('{') {
        return;
    }
    for (key, value) in variant {
        let placeholder = format!("{{{key}}}");
        if text.contains(&placeholder) {
            *text = text.replace(&placeholder, value);
        }
    }
}

impl Scenario {
    /// What a run is called: the name, and for a matrix its values, `name/version=v1.36.3`. Selects
    /// exactly this run with `--include`.
    #[must_use]
    pub fn id(&self) -> String {
        run_id(&self.name, &self.variant)
    }
}

/// What the run of a scenario's variant is called.
pub(crate) fn run_id(name: &str, variant: &BTreeMap<String, String>) -> String {
    let values: Vec<String> = variant
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if values.is_empty() {
        name.to_owned()
    } else {
        format!("{name}/{}", values.join(","))
    }
}
