//! The timeline: what happened, in virtual time.

use super::paint::Ink;
use super::wrap::wrap;
use super::{RunTrace, human::Layout};
use crate::run::trace::{Entry, Event, Judgement, Record, StepEntry, Weight};
use crate::time::{SignedDuration, Timestamp};

/// The timeline of a run, one line for each event that matters.
pub(super) fn timeline(trace: RunTrace<'_>, layout: &Layout) -> String {
    let node_width = trace
        .header()
        .nodes
        .iter()
        .map(|node| node.chars().count())
        .max()
        .unwrap_or(0);
    let mut page = Page {
        trace,
        layout,
        node_width,
        text: String::new(),
    };
    // A step's line waits for what follows: an expectation is one line with its result.
    let mut waiting: Option<&StepEntry> = None;
    for record in trace.records() {
        match &record.entry {
            Entry::Step(step) => {
                page.step(waiting.replace(step));
            }
            Entry::Event(event) => {
                if event.weight > Weight::Detail || layout.verbose {
                    page.step(waiting.take());
                    page.event(record.at, event);
                }
            }
            Entry::Expectation(judgement) => {
                if waiting.is_some_and(|step| is_of(judgement, step)) {
                    waiting = None;
                }
                page.step(waiting.take());
                if !judgement.passed || worth_a_line(judgement) || layout.verbose {
                    page.judgement(record, judgement);
                }
            }
            Entry::Observation(observation) if layout.verbose => {
                page.step(waiting.take());
                let value = serde_json::to_string(&observation.value).unwrap_or_default();
                let text = format!("{} {} = {value}", observation.subject, observation.aspect);
                page.line(record.at, "", ' ', &text, Some(Ink::Faint));
            }
            Entry::Header(_) | Entry::State(_) | Entry::Observation(_) | Entry::Verdict(_) => {}
        }
    }
    page.step(waiting);
    page.text
}

/// Whether a judgement that holds is worth a line: what a command or a step has to bring about, and what
/// holds all the time, is only told when it does not.
fn worth_a_line(judgement: &Judgement) -> bool {
    !matches!(judgement.form.as_str(), "always" | "command" | "step")
}

/// Whether a judgement is the result of the step before it.
fn is_of(judgement: &Judgement, step: &StepEntry) -> bool {
    matches!(judgement.form.as_str(), "expect" | "expectFailure")
        && step.text.starts_with("expect ")
}

/// What had to hold, in a clause.
pub(super) fn claim(judgement: &Judgement) -> String {
    let expected = judgement.expected.as_str();
    match judgement.form.as_str() {
        "expectFailure" => {
            let denied = expected.strip_prefix("not: ").unwrap_or(expected);
            format!("not so, as it should be: {denied}")
        }
        "always" => format!("always: {expected}"),
        "eventually" => format!("at some time: {expected}"),
        "sometimes" => format!("with some seed: {expected}"),
        _ => expected.to_owned(),
    }
}

struct Page<'p> {
    trace: RunTrace<'p>,
    layout: &'p Layout,
    node_width: usize,
    text: String,
}

impl Page<'_> {
    /// A separator with what the step does.
    fn step(&mut self, step: Option<&StepEntry>) {
        let Some(step) = step else { return };
        let place = format!(" line {}", step.line);
        let room = self.layout.width.saturating_sub(place.len() + 4).max(16);
        let lines = wrap(&step.text, room);
        for (index, line) in lines.iter().enumerate() {
            let line = if index == 0 {
                let fill = self
                    .layout
                    .width
                    .min(100)
                    .saturating_sub(4 + textwrap::core::display_width(line) + place.len());
                format!(
                    "{} {} {}{}",
                    Ink::Faint.on(self.layout.style, "──"),
                    Ink::Strong.on(self.layout.style, line),
                    Ink::Faint.on(self.layout.style, &"─".repeat(fill)),
                    Ink::Faint.on(self.layout.style, &place),
                )
            } else {
                format!("   {}", Ink::Strong.on(self.layout.style, line))
            };
            self.push(&line);
        }
    }

    fn event(&mut self, at: Timestamp, event: &Event) {
        let (mark, ink) = match event.weight {
            Weight::Trouble => ('!', Some(Ink::Bad)),
            Weight::Normal => (' ', None),
            Weight::Detail => (' ', Some(Ink::Faint)),
        };
        let node = event.node.as_deref().unwrap_or("");
        self.line(at, node, mark, &event.text, ink);
        if self.layout.verbose
            && let Some(detail) = &event.detail
        {
            self.detail(detail);
        }
    }

    fn judgement(&mut self, record: &Record, judgement: &Judgement) {
        let (mark, ink) = if judgement.passed {
            ('✓', Ink::Good)
        } else {
            ('✗', Ink::Bad)
        };
        self.line(record.at, "", mark, &claim(judgement), Some(ink));
    }

    /// `2026-09-14 03:11:27  +256d  cp1  text`, wrapped below itself.
    fn line(&mut self, at: Timestamp, node: &str, mark: char, text: &str, ink: Option<Ink>) {
        let style = self.layout.style;
        let start = self.trace.header().start;
        let when = format!("{}  {:>6}", instant(at), elapsed(start, at));
        let node_width = self.node_width;
        let indent = when.len() + 2 + node_width + 1;
        let room = self.layout.width.saturating_sub(indent + 2);
        for (index, part) in wrap(text, room).iter().enumerate() {
            let part = ink.map_or_else(|| part.to_string(), |ink| ink.on(style, part));
            let line = if index == 0 {
                let mark =
                    ink.map_or_else(|| mark.to_string(), |ink| ink.on(style, &mark.to_string()));
                format!(
                    "{}  {node:<node_width$} {mark} {part}",
                    Ink::Faint.on(style, &when)
                )
            } else {
                format!("{:indent$}  {part}", "")
            };
            self.push(&line);
        }
    }

    fn detail(&mut self, detail: &str) {
        let room = self.layout.width.saturating_sub(8);
        for line in detail.lines() {
            for part in wrap(line, room) {
                let line = Ink::Faint.on(self.layout.style, &format!("      │ {part}"));
                self.push(&line);
            }
        }
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

/// `2026-09-14 03:11:27`, UTC, whole seconds.
pub(super) fn instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Virtual time since the start in its largest unit: `+256d`, `+21s`.
pub(super) fn elapsed(start: Timestamp, at: Timestamp) -> String {
    let seconds = at.as_second().saturating_sub(start.as_second());
    let sign = if seconds < 0 { '-' } else { '+' };
    let seconds = seconds.unsigned_abs();
    match seconds {
        0..120 => format!("{sign}{seconds}s"),
        120..7_200 => format!("{sign}{}m", seconds / 60),
        7_200..86_400 => format!("{sign}{}h", seconds / 3_600),
        _ => format!("{sign}{}d", seconds / 86_400),
    }
}

/// `day 255.5`, to a thousandth.
pub(super) fn day(start: Timestamp, at: Timestamp) -> String {
    let span: SignedDuration = at.duration_since(start);
    let thousandths = (span.as_secs_f64() / 86.4).floor() / 1_000.0;
    format!("day {thousandths}")
}
