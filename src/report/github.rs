//! For GitHub Actions: annotations at the line of the scenario, and the rest in the step's summary.

use super::Case;
use super::summary::{Ending, RunSummary, summary};

/// GitHub shows this many annotations of a kind for a step.
const ANNOTATIONS_MAX: usize = 10;
/// A step's summary may be one MiB; this leaves room for others.
const SUMMARY_BYTES_MAX: usize = 768 << 10;

/// What an annotation says, and where it stands.
pub(super) struct Finding {
    pub(super) file: String,
    /// Line and column, from 1.
    pub(super) place: Option<(u32, u32)>,
    pub(super) title: String,
    pub(super) message: String,
}

/// Workflow commands for at most ten findings, and a notice that says how many more there are.
#[must_use]
pub fn annotations(cases: &[Case<'_>]) -> String {
    let found: Vec<Finding> = summary(cases).runs.iter().flat_map(findings).collect();
    commands(&found)
}

/// The workflow commands of at most ten findings.
pub(super) fn commands(found: &[Finding]) -> String {
    // The last one is kept for the notice.
    let shown = if found.len() > ANNOTATIONS_MAX {
        ANNOTATIONS_MAX - 1
    } else {
        found.len()
    };
    let mut text = String::new();
    for one in found.iter().take(shown) {
        let place = one.place.map_or_else(String::new, |(line, column)| {
            format!(",line={line},col={column}")
        });
        text.push_str(&format!(
            "::error file={}{place},title={}::{}\n",
            property(&one.file),
            property(&one.title),
            data(&one.message)
        ));
    }
    if found.len() > shown {
        text.push_str(&format!(
            "::error title=certdrill::{} more findings: see the summary of this step\n",
            found.len() - shown
        ));
    }
    text
}

/// Markdown for `$GITHUB_STEP_SUMMARY`: every finding.
#[must_use]
pub fn step_summary(cases: &[Case<'_>]) -> String {
    let summary = summary(cases);
    let counts = summary.counts;
    let counts = [
        (counts.passed, "passed"),
        (counts.failed, "failed"),
        (counts.diverged, "diverged"),
        (counts.infrastructure, "without verdict"),
        (counts.not_run, "not run"),
    ];
    bounded(&counts, summary.runs.iter().map(block))
}

/// The headline and as many blocks as there is room for.
pub(super) fn bounded(counts: &[(u32, &str)], blocks: impl IntoIterator<Item = String>) -> String {
    let told: Vec<String> = counts
        .iter()
        .enumerate()
        .filter(|(index, (count, _))| *index == 0 || *count > 0)
        .map(|(_, (count, what))| format!("{count} {what}"))
        .collect();
    let mut text = format!("### certdrill: {}\n\n", told.join(", "));
    let mut left_out = 0;
    for block in blocks {
        if text.len() + block.len() > SUMMARY_BYTES_MAX {
            left_out += usize::from(!block.is_empty());
        } else {
            text.push_str(&block);
        }
    }
    if left_out > 0 {
        text.push_str(&format!("{left_out} more runs are left out here.\n"));
    }
    text
}

fn block(run: &RunSummary) -> String {
    let found = findings(run);
    if found.is_empty() {
        return match (&run.reason, run.outcome) {
            (Some(reason), Ending::NotRun) => not_run(&run.id, reason),
            _ => String::new(),
        };
    }
    let replay = run.played.as_ref().map(|played| played.replay.as_str());
    section(&run.id, &found, replay)
}

/// One line of Markdown for what was not played.
pub(super) fn not_run(id: &str, reason: &str) -> String {
    let reason = reason.lines().next().unwrap_or_default();
    format!("- not run: `{id}`: {}\n", markdown(reason))
}

/// The Markdown of one run with findings.
pub(super) fn section(id: &str, found: &[Finding], replay: Option<&str>) -> String {
    let mut text = format!("\n#### {}\n\n", markdown(id));
    for one in found {
        let line = one
            .place
            .map_or_else(String::new, |(line, _)| format!(":{line}"));
        let message = one.message.replace("```", "'''");
        text.push_str(&format!(
            "`{}{line}`\n\n```text\n{message}\n```\n\n",
            one.file
        ));
    }
    if let Some(replay) = replay {
        text.push_str(&format!("```sh\n{replay}\n```\n"));
    }
    text
}

fn findings(run: &RunSummary) -> Vec<Finding> {
    let word = match run.outcome {
        Ending::Passed | Ending::NotRun => return Vec::new(),
        Ending::Failed => "failed",
        Ending::Diverged => "diverged",
        Ending::Infrastructure => "no verdict",
    };
    let title = format!("{}: {word}", run.id);
    if run.failures.is_empty() {
        return vec![Finding {
            file: run.file.clone(),
            place: None,
            title,
            message: run.reason.clone().unwrap_or_default(),
        }];
    }
    let failures = run.failures.iter().map(|failure| {
        let mut message = format!(
            "expected {}\nseen {}\nat {}, {}",
            failure.expected, failure.seen, failure.at, failure.subject
        );
        for cause in &failure.causes {
            let node = cause.node.as_deref().map(|node| format!("{node}: "));
            let node = node.unwrap_or_default();
            message.push_str(&format!("\nbecause {} {node}{}", cause.at, cause.text));
        }
        Finding {
            file: run.file.clone(),
            place: Some((failure.line, failure.column)),
            title: title.clone(),
            message,
        }
    });
    failures.collect()
}

/// The message of a workflow command.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A property of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

fn markdown(text: &str) -> String {
    let special = |c: char| "\\`*_{}[]<>#|".contains(c);
    text.chars().fold(String::new(), |mut out, c| {
        if special(c) {
            out.push('\\');
        }
        out.push(c);
        out
    })
}
