//! For GitHub Actions: annotations at the steps whose values differ, and the rest in the step's summary.

use super::{Case, Counts, Ending, Outcome, Sides, replay_command, summary, text};
use crate::report::github::{Finding, bounded, commands, not_run, section};

/// Differences of one step that are written out.
const STEP_DIFFERENCES_MAX: usize = 8;

/// Workflow commands for at most ten findings, and a notice that says how many more there are.
#[must_use]
pub fn annotations(cases: &[Case<'_>], sides: Sides<'_>) -> String {
    let found: Vec<Finding> = cases
        .iter()
        .flat_map(|case| findings(case, sides))
        .collect();
    commands(&found)
}

/// Markdown for `$GITHUB_STEP_SUMMARY`: every finding.
#[must_use]
pub fn step_summary(cases: &[Case<'_>], sides: Sides<'_>) -> String {
    let Counts {
        agree,
        differ,
        no_verdict,
        not_run,
        differences,
    } = summary(cases, sides).counts;
    let counts = [
        (agree, "agree"),
        (differ, "differ"),
        (no_verdict, "without verdict"),
        (not_run, "not run"),
        (differences, "differences"),
    ];
    bounded(&counts, cases.iter().map(|case| block(case, sides)))
}

fn block(case: &Case<'_>, sides: Sides<'_>) -> String {
    match case.outcome.ending() {
        Ending::Agree => String::new(),
        Ending::NotRun => not_run(case.id, &case.outcome.reason().unwrap_or_default()),
        Ending::Differ | Ending::NoVerdict => {
            let header = case.outcome.header();
            let replay = header.map(|header| replay_command(header, sides));
            section(case.id, &findings(case, sides), replay.as_deref())
        }
    }
}

/// One for each step with differences.
fn findings(case: &Case<'_>, sides: Sides<'_>) -> Vec<Finding> {
    let word = match case.outcome.ending() {
        Ending::Agree | Ending::NotRun => return Vec::new(),
        Ending::Differ => "differs",
        Ending::NoVerdict => "no verdict",
    };
    let finding = |line: Option<u32>, message: String| Finding {
        file: case.file.to_owned(),
        place: line.map(|line| (line, 1)),
        title: format!("{}: {word}", case.id),
        message,
    };
    let steps = match &case.outcome {
        Outcome::Compared { comparison, .. } => comparison.differences.as_slice(),
        _ => &[],
    };
    if steps.is_empty() {
        let reason = case.outcome.reason().unwrap_or_default();
        return vec![finding(None, reason)];
    }
    let steps = steps.chunk_by(|a, b| a.step == b.step && a.line == b.line);
    steps
        .map(|differences| {
            let mut message: String = differences
                .iter()
                .take(STEP_DIFFERENCES_MAX)
                .map(|one| text::difference(one, sides.names))
                .collect();
            if differences.len() > STEP_DIFFERENCES_MAX {
                let more = differences.len() - STEP_DIFFERENCES_MAX;
                message.push_str(&format!("and {more} more of this step\n"));
            }
            finding(differences[0].line, message.trim_end().to_owned())
        })
        .collect()
}
