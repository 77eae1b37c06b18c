//! For a TAP consumer: version 14, one test point for each run.

use super::Case;
use super::summary::{Ending, RunSummary, summary};

/// The report. What is not run is skipped; what has no verdict is not ok, and its diagnostics say so.
#[must_use]
pub fn report(cases: &[Case<'_>]) -> String {
    let runs = summary(cases).runs;
    let mut text = format!("TAP version 14\n1..{}\n", runs.len());
    for (index, run) in runs.iter().enumerate() {
        let number = index + 1;
        let id = escaped(&run.id);
        match run.outcome {
            Ending::Passed => text.push_str(&format!("ok {number} - {id}\n")),
            Ending::NotRun => {
                let reason = run.reason.as_deref().unwrap_or_default();
                let reason = escaped(reason.lines().next().unwrap_or_default());
                text.push_str(&format!("ok {number} - {id} # SKIP {reason}\n"));
            }
            Ending::Failed | Ending::Diverged | Ending::Infrastructure => {
                text.push_str(&format!("not ok {number} - {id}\n{}", diagnostics(run)));
            }
        }
    }
    text
}

/// A YAML block below a test point.
fn diagnostics(run: &RunSummary) -> String {
    let kind = match run.outcome {
        Ending::Diverged => "divergence",
        Ending::Infrastructure => "infrastructure",
        _ => "expectation",
    };
    let mut text = format!("  ---\n  kind: {kind}\n  file: {}\n", quoted(&run.file));
    if let Some(reason) = &run.reason {
        text.push_str(&format!("  message: {}\n", quoted(reason)));
    }
    if let Some(played) = &run.played {
        text.push_str(&format!("  replay: {}\n", quoted(&played.replay)));
    }
    if !run.failures.is_empty() {
        text.push_str("  failures:\n");
    }
    for failure in &run.failures {
        text.push_str(&format!(
            "    - line: {}\n      at: {}\n      expected: {}\n      seen: {}\n",
            failure.line,
            failure.at,
            quoted(&failure.expected),
            quoted(&failure.seen)
        ));
    }
    text.push_str("  ...\n");
    text
}

/// A JSON string is a YAML string.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// `#` begins a directive, `\` escapes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('#', "\\#")
}
