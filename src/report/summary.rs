//! For a program that wants the outcome and not the trace: one JSON document with a published schema.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::document;
use super::failure::{self, Cause};
use super::timeline::claim;
use super::{Case, RunTrace, replay_command};
use crate::run::trace::{Judgement, Record, Verdict};

/// The version of the format.
pub const FORMAT: &str = "certdrill.report/v1";

/// What was played and how it ended.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Summary {
    /// The version of this format: `certdrill.report/v1`.
    pub format: String,
    /// Version of certdrill.
    pub certdrill: String,
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
    /// Every expectation held.
    pub passed: u32,
    /// An expectation did not hold.
    pub failed: u32,
    /// Two backends disagree.
    pub diverged: u32,
    /// The run says nothing about the subject.
    pub infrastructure: u32,
    /// Not played.
    pub not_run: u32,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Ending {
    /// Every expectation held.
    Passed,
    /// An expectation did not hold.
    Failed,
    /// Two backends disagree.
    Diverged,
    /// The run says nothing about the subject.
    Infrastructure,
    /// Not played.
    NotRun,
}

impl From<Verdict> for Ending {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Passed => Self::Passed,
            Verdict::Failed => Self::Failed,
            Verdict::Diverged => Self::Diverged,
            Verdict::Infrastructure => Self::Infrastructure,
        }
    }
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
    /// Why, for all but passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is known of a run that was played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub played: Option<PlayedSummary>,
    /// Expectations that do not hold.
    pub failures: Vec<FailureSummary>,
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
    /// `sim` or `kubeadm`.
    pub backend: String,
    /// Version of Kubernetes at the start.
    pub version: String,
    /// Seed of every random stream.
    pub seed: u64,
    /// Names of the nodes.
    pub nodes: Vec<String>,
    /// Instant of the cluster's start, RFC 3339.
    pub start: String,
    /// Seconds of virtual time that were played.
    pub virtual_seconds: i64,
    /// Expectations that were judged.
    pub expectations: u32,
    /// What is not certain about this version's behaviour.
    pub warnings: Vec<String>,
    /// The command that repeats it.
    pub replay: String,
}

/// An expectation that does not hold.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct FailureSummary {
    /// Line in the file, from 1.
    pub line: u32,
    /// Column in the file, from 1.
    pub column: u32,
    /// `expect`, `expectFailure`, `always`, `eventually`, `sometimes`, `command` or `step`.
    pub form: String,
    /// What was expected.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// Node, process or edge it is about.
    pub subject: String,
    /// Virtual time, RFC 3339.
    pub at: String,
    /// Days since the cluster's start.
    pub day: f64,
    /// What brought it about, the nearest cause first.
    pub causes: Vec<CauseSummary>,
}

/// An event that something follows from.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct CauseSummary {
    /// Virtual time, RFC 3339.
    pub at: String,
    /// Node it happened on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// One line.
    pub text: String,
}

/// The outcome of the runs.
#[must_use]
pub fn summary(cases: &[Case<'_>]) -> Summary {
    let runs: Vec<RunSummary> = cases.iter().map(run).collect();
    let count = |ending: Ending| {
        let of = runs.iter().filter(|run| run.outcome == ending);
        u32::try_from(of.count()).unwrap_or(u32::MAX)
    };
    Summary {
        format: FORMAT.to_owned(),
        certdrill: env!("CARGO_PKG_VERSION").to_owned(),
        counts: Counts {
            passed: count(Ending::Passed),
            failed: count(Ending::Failed),
            diverged: count(Ending::Diverged),
            infrastructure: count(Ending::Infrastructure),
            not_run: count(Ending::NotRun),
        },
        runs,
    }
}

/// The document, as text.
#[must_use]
pub fn report(cases: &[Case<'_>]) -> String {
    document::text(&summary(cases))
}

/// The schema as it is published in `docs/report.schema.json`.
#[must_use]
pub fn schema() -> String {
    document::schema::<Summary>("certdrill report", "report")
}

fn run(case: &Case<'_>) -> RunSummary {
    let file = case.file().to_owned();
    let id = case.id();
    match case {
        Case::NotRun { reason, .. } => RunSummary {
            id,
            file,
            outcome: Ending::NotRun,
            reason: Some((*reason).to_owned()),
            played: None,
            failures: Vec::new(),
        },
        Case::Played { trace, .. } => {
            let verdict = trace.verdict();
            RunSummary {
                id,
                file,
                outcome: verdict.into(),
                reason: (verdict != Verdict::Passed).then(|| trace.reason()),
                played: Some(played(*trace)),
                failures: trace
                    .failures()
                    .map(|(record, judgement)| failure(*trace, record, judgement))
                    .collect(),
            }
        }
    }
}

fn played(trace: RunTrace<'_>) -> PlayedSummary {
    let header = trace.header();
    let entry = trace.verdict_entry();
    PlayedSummary {
        scenario: header.scenario.clone(),
        title: header.title.clone(),
        reference: header.reference.clone(),
        variant: header.variant.clone(),
        backend: header.backend.clone(),
        version: header.version.clone(),
        seed: header.seed,
        nodes: header.nodes.clone(),
        start: header.start.to_string(),
        virtual_seconds: entry.map_or(0, |entry| entry.virtual_seconds),
        expectations: entry.map_or(0, |entry| entry.expectations),
        warnings: header.warnings.clone(),
        replay: replay_command(header),
    }
}

fn failure(trace: RunTrace<'_>, record: &Record, judgement: &Judgement) -> FailureSummary {
    let start = trace.header().start;
    FailureSummary {
        line: judgement.line,
        column: judgement.column,
        form: judgement.form.clone(),
        expected: claim(judgement),
        seen: judgement.seen.clone(),
        subject: judgement.subject.clone(),
        at: record.at.to_string(),
        day: record.at.duration_since(start).as_secs_f64() / 86_400.0,
        causes: failure::chain(trace, judgement)
            .into_iter()
            .map(
                |Cause {
                     record, node, text, ..
                 }| CauseSummary {
                    at: record.at.to_string(),
                    node: node.map(str::to_owned),
                    text: text.to_owned(),
                },
            )
            .collect(),
    }
}
