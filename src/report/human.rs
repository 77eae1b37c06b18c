//! For a person: the timeline in virtual time, then the verdict.

use super::paint::{Ink, Style};
use super::wrap::wrap;
use super::{RunTrace, failure, timeline};
use crate::run::trace::Verdict;
use crate::time::{SignedDuration, span};

/// How it is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Colours or none.
    pub style: Style,
    /// Columns there are.
    pub width: usize,
    /// Events of little weight, observations and command output too.
    pub verbose: bool,
}

/// Everything about one run. `source` is the text of its scenario file.
#[must_use]
pub fn run(trace: RunTrace<'_>, source: Option<&str>, layout: &Layout) -> String {
    format!(
        "{}{}\n{}",
        heading(trace, layout),
        timeline::timeline(trace, layout),
        verdict(trace, source, layout)
    )
}

fn heading(trace: RunTrace<'_>, layout: &Layout) -> String {
    let header = trace.header();
    let mut text = format!("{}\n", Ink::Strong.on(layout.style, &trace.id()));
    let nodes = match header.nodes.len() {
        1 => "1 node".to_owned(),
        count => format!("{count} nodes"),
    };
    let facts = format!(
        "{} · {nodes} · {} · seed {}",
        header.version, header.backend, header.seed
    );
    for line in wrap(&header.title, layout.width) {
        text.push_str(&line);
        text.push('\n');
    }
    text.push_str(&Ink::Faint.on(layout.style, &facts));
    text.push('\n');
    for warning in &header.warnings {
        for line in wrap(&format!("warning: {warning}"), layout.width) {
            text.push_str(&Ink::Unsure.on(layout.style, &line));
            text.push('\n');
        }
    }
    text
}

/// The verdict alone, with a block for each expectation that does not hold.
#[must_use]
pub fn verdict(trace: RunTrace<'_>, source: Option<&str>, layout: &Layout) -> String {
    let (mark, word, ink) = match trace.verdict() {
        Verdict::Passed => ("✓", "passed", Ink::Good),
        Verdict::Failed => ("✗", "failed", Ink::Bad),
        Verdict::Diverged => ("✗", "diverged", Ink::Bad),
        Verdict::Infrastructure => ("?", "no verdict", Ink::Unsure),
    };
    let mut text = format!(
        "{} {}",
        ink.on(layout.style, &format!("{mark} {word}")),
        trace.id()
    );
    match trace.verdict_entry() {
        Some(entry) => {
            let lived = span::display(SignedDuration::from_secs(entry.virtual_seconds));
            text.push_str(&format!(
                "\n  {} · {lived} of virtual time · {}\n",
                counted(u64::from(entry.expectations), "expectation"),
                counted(entry.events, "event")
            ));
            if let Some(reason) = &entry.reason {
                for line in wrap(reason, layout.width.saturating_sub(2)) {
                    text.push_str(&format!("  {line}\n"));
                }
            }
        }
        None => text.push_str("\n  the trace breaks off before its end\n"),
    }
    for (record, judgement) in trace.failures() {
        text.push('\n');
        text.push_str(&failure::block(trace, record, judgement, source, layout));
    }
    text
}

/// `1 event`, `3 events`.
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
