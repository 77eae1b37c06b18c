//! For GitHub Actions: annotations at the line of the scenario, and the rest in the step's summary.

use super::Case;
use super::summary::{Ending, RunSummary, summary};

/// GitHub shows this many annotations of a kind for a step.
const ANNOTATIONS_MAX: usize = 10;
/// A step's summary may be one MiB; this leaves room for others.
const SUMMARY_BYTES_MAX: usize = 768 << 10;

/// A finding: file, line, column, title, message.
struct Finding {
    file: String,
    place: Option<(u32, u32)>,
    title: String,
    message: String,
}

/// Workflow commands for at most ten findings, and a notice that says how many more there are.
#[must_use]
pub fn annotations(cases: &[Case<'_>]) -> String {
    let found: Vec<Finding> = summary(cases).runs.iter().flat_map(findings).collect();
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
    let mut text = format!("### certdrill: {} passed", counts.passed);
    for (count, what) in [
        (counts.failed, "failed"),
        (counts.diverged, "diverged"),
        (counts.infrastructure, "without verdict"),
        (counts.not_run, "not run"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text.push_str("\n\n");
    let mut left_out = 0;
    for run in &summary.runs {
        let block = block(run);
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
            (Some(reason), Ending::NotRun) => {
                let reason = reason.lines().next().unwrap_or_default();
                format!("- not run: `{}`: {}\n", run.id, markdown(reason))
            }
            _ => String::new(),
        };
    }
    let mut text = format!("\n#### {}\n\n", markdown(&run.id));
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
    if let Some(played) = &run.played {
        text.push_str(&format!("```sh\n{}\n```\n", played.replay));
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
