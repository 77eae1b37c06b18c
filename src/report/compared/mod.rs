//! What `verify` found: one scenario on two sides, value by value.
//!
//! The JSON document is made here, with a published schema of its own; [`junit`] and [`github`] say the same in other
//! words.

pub mod github;
pub mod junit;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

pub use text::difference;

use super::document;
use super::failure::{quoted, selected};
use crate::run::parity::{Comparison, Count, Difference};
use crate::run::trace::Header;

/// The version of the format.
pub const FORMAT: &str = "certdrill.verify/v1";

/// The two sides of every comparison.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'s> {
    /// Their backends.
    pub names: [&'s str; 2],
    /// Further words of the command line that decide what is played, as they were given: `--engine FILE`.
    pub options: &'s [String],
}

/// One selected run.
#[derive(Debug, Clone, Copy)]
pub struct Case<'c> {
    /// File of the scenario.
    pub file: &'c str,
    /// What the run is called.
    pub id: &'c str,
    /// What came of it.
    pub outcome: Outcome<'c>,
}

/// What came of one selected run.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'c> {
    /// Both sides were played and compared.
    Compared {
        /// How the first side was played.
        header: &'c Header,
        /// What was found.
        comparison: &'c Comparison,
        /// So many values the scenario wants to be compared.
        compared_min: u32,
    },
    /// A side says nothing about the subject.
    NoVerdict {
        /// How the first side was played.
        header: &'c Header,
        /// Why.
        reason: &'c str,
    },
    /// It could not be played on a side.
    NotRun {
        /// Why not.
        reason: &'c str,
    },
}

/// What was compared and what was found.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Summary {
    /// The version of this format: `certdrill.verify/v1`.
    pub format: String,
    /// Version of certdrill.
    pub certdrill: String,
    /// Backend of the first side.
    pub first: String,
    /// Backend of the second side.
    pub second: String,
    /// How many runs ended how.
    pub counts: Counts,
    /// Every selected run.
    pub runs: Vec<RunSummary>,
}

/// How many runs ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Counts {
    /// Nothing differs, and enough was compared.
    pub agree: u32,
    /// Values differ, or too few were compared.
    pub differ: u32,
    /// A side says nothing about the subject.
    pub no_verdict: u32,
    /// A side could not be played.
    pub not_run: u32,
    /// Values that differ, of all runs.
    pub differences: u32,
}

/// How a comparison ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Ending {
    /// Nothing differs, and enough was compared.
    Agree,
    /// Values differ, or too few were compared.
    Differ,
    /// A side says nothing about the subject.
    NoVerdict,
    /// A side could not be played.
    NotRun,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct RunSummary {
    /// Name and values of the matrix.
    pub id: String,
    /// File of the scenario.
    pub file: String,
    /// How it ended.
    pub outcome: Ending,
    /// Why, for all that do not agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is known of a run that was played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub played: Option<PlayedSummary>,
    /// How much was compared, where both sides have a verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<ComparedSummary>,
    /// Values that differ, in the order of the steps.
    pub differences: Vec<DifferenceSummary>,
}

/// Facts of a run that was played.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct PlayedSummary {
    /// `metadata.name`.
    pub scenario: String,
    /// `metadata.title`.
    pub title: String,
    /// Link to documentation or issue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Values of the matrix.
    pub variant: BTreeMap<String, String>,
    /// Version of Kubernetes at the start.
    pub version: String,
    /// Seed of every random stream.
    pub seed: u64,
    /// The command that repeats it.
    pub replay: String,
}

/// How much was compared.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct ComparedSummary {
    /// Values that both sides gave.
    pub values: u32,
    /// Values that a side could not see, or did not say.
    pub not_compared: u32,
    /// The scenario wants at least so many values (`comparedAtLeast`).
    pub at_least: u32,
    /// The same by kind of observation.
    pub kinds: BTreeMap<String, KindSummary>,
}

/// Numbers of one kind of observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct KindSummary {
    /// Values that both sides gave.
    pub values: u32,
    /// Values that a side could not see, or did not say.
    pub not_compared: u32,
}

/// A value that differs.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct DifferenceSummary {
    /// Number of the step, 0 for what is before the first.
    pub step: u32,
    /// The step in words.
    pub step_text: String,
    /// Line of the step in the file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Kind of the observation: `certificate`, `edge`, `command`, ...
    pub kind: String,
    /// What it is a fact of.
    pub subject: String,
    /// Which fact.
    pub aspect: String,
    /// The value on the first side.
    pub first: String,
    /// The value on the second side.
    pub second: String,
}

impl Outcome<'_> {
    fn ending(&self) -> Ending {
        match self {
            Self::Compared {
                comparison,
                compared_min,
                ..
            } if comparison.agrees(*compared_min) => Ending::Agree,
            Self::Compared { .. } => Ending::Differ,
            Self::NoVerdict { .. } => Ending::NoVerdict,
            Self::NotRun { .. } => Ending::NotRun,
        }
    }

    fn header(&self) -> Option<&Header> {
        match self {
            Self::Compared { header, .. } | Self::NoVerdict { header, .. } => Some(*header),
            Self::NotRun { .. } => None,
        }
    }

    /// Why it does not agree.
    fn reason(&self) -> Option<String> {
        match self {
            Self::Compared {
                comparison,
                compared_min,
                ..
            } => {
                let compared = comparison.compared();
                let differ = comparison.differences.len();
                if differ > 0 {
                    let verb = if differ == 1 { "differs" } else { "differ" };
                    Some(format!("{differ} of {compared} values {verb}"))
                } else if compared < *compared_min {
                    Some(format!(
                        "{compared} values compared; the scenario wants at least {compared_min}"
                    ))
                } else {
                    None
                }
            }
            Self::NoVerdict { reason, .. } | Self::NotRun { reason } => Some((*reason).to_owned()),
        }
    }
}

/// The command that compares one run again.
#[must_use]
pub fn replay_command(header: &Header, sides: Sides<'_>) -> String {
    let [first, second] = sides.names;
    let options: String = sides
        .options
        .iter()
        .map(|word| format!(" {}", quoted(word)))
        .collect();
    format!(
        "certdrill verify {} --between {first},{second}{options}{}",
        quoted(&header.file),
        selected(header)
    )
}

/// The outcome of the comparisons.
#[must_use]
pub fn summary(cases: &[Case<'_>], sides: Sides<'_>) -> Summary {
    let runs: Vec<RunSummary> = cases.iter().map(|case| run(case, sides)).collect();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let count = |ending: Ending| number(runs.iter().filter(|run| run.outcome == ending).count());
    Summary {
        format: FORMAT.to_owned(),
        certdrill: env!("CARGO_PKG_VERSION").to_owned(),
        first: sides.names[0].to_owned(),
        second: sides.names[1].to_owned(),
        counts: Counts {
            agree: count(Ending::Agree),
            differ: count(Ending::Differ),
            no_verdict: count(Ending::NoVerdict),
            not_run: count(Ending::NotRun),
            differences: number(runs.iter().map(|run| run.differences.len()).sum()),
        },
        runs,
    }
}

/// The document, as text.
#[must_use]
pub fn report(cases: &[Case<'_>], sides: Sides<'_>) -> String {
    document::text(&summary(cases, sides))
}

/// The schema as it is published in `docs/verify.schema.json`.
#[must_use]
pub fn schema() -> String {
    document::schema::<Summary>("certdrill comparison", "verify")
}

fn run(case: &Case<'_>, sides: Sides<'_>) -> RunSummary {
    let (compared, differences) = match &case.outcome {
        Outcome::Compared {
            comparison,
            compared_min,
            ..
        } => (
            Some(compared(comparison, *compared_min)),
            comparison.differences.iter().map(differing).collect(),
        ),
        Outcome::NoVerdict { .. } | Outcome::NotRun { .. } => (None, Vec::new()),
    };
    RunSummary {
        id: case.id.to_owned(),
        file: case.file.to_owned(),
        outcome: case.outcome.ending(),
        reason: case.outcome.reason(),
        played: case.outcome.header().map(|header| PlayedSummary {
            scenario: header.scenario.clone(),
            title: header.title.clone(),
            reference: header.reference.clone(),
            variant: header.variant.clone(),
            version: header.version.clone(),
            seed: header.seed,
            replay: replay_command(header, sides),
        }),
        compared,
        differences,
    }
}

fn compared(comparison: &Comparison, at_least: u32) -> ComparedSummary {
    let kinds = comparison.kinds.iter().map(|(kind, count)| {
        let Count {
            compared,
            not_compared,
        } = *count;
        let numbers = KindSummary {
            values: compared,
            not_compared,
        };
        (kind.clone(), numbers)
    });
    ComparedSummary {
        values: comparison.compared(),
        not_compared: comparison.not_compared(),
        at_least,
        kinds: kinds.collect(),
    }
}

fn differing(difference: &Difference) -> DifferenceSummary {
    DifferenceSummary {
        step: difference.step,
        step_text: difference.step_text.clone(),
        line: difference.line,
        kind: difference.kind.clone(),
        subject: difference.subject.clone(),
        aspect: difference.aspect.clone(),
        first: difference.first.clone(),
        second: difference.second.clone(),
    }
}
