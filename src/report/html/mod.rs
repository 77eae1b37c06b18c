//! For a person with a browser: one file with everything in it, for an artifact store.
//!
//! The markup holds what must be readable anywhere and in print: verdicts, failures with their causes, differences.
//! The timeline is drawn by `report.js` from the data of the trace that stands in the page.

mod data;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::failure::{self, Cause};
use super::human::Layout;
use super::timeline::{claim, day, instant};
use super::{Case, RunTrace, Style, replay_command};
use crate::run::parity::{Comparison, Difference};
use crate::run::trace::{Header, Judgement, Record, Verdict};
use crate::time::{SignedDuration, span};

const STYLE: &str = include_str!("report.css");
const INFLATE: &str = include_str!("inflate.js");
const SCRIPT: &str = include_str!("report.js");
/// Nothing is loaded from anywhere, whatever a trace says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; \
                      form-action 'none'";
/// Differences of one pair of runs that are listed.
const DIFFERENCES_MAX: usize = 200;

/// A part of the page.
#[derive(Debug, Clone, Copy)]
pub enum Item<'p> {
    /// A run, or one that was not played.
    Run(Case<'p>),
    /// One scenario on two backends.
    Pair {
        /// The first side.
        first: RunTrace<'p>,
        /// The second side.
        second: RunTrace<'p>,
        /// What the comparison of the two found.
        comparison: &'p Comparison,
        /// The comparison is good: nothing differs, and enough was compared.
        agree: bool,
        /// Text of the scenario file.
        source: Option<&'p str>,
    },
}

impl Item<'_> {
    fn id(&self) -> String {
        match self {
            Item::Run(case) => case.id(),
            Item::Pair { first, .. } => first.id(),
        }
    }

    fn state(&self) -> State {
        match self {
            Item::Run(Case::NotRun { .. }) => State("skipped", "not run", "–"),
            Item::Run(Case::Played { trace, .. }) => state(trace.verdict()),
            Item::Pair { agree: true, .. } => State("good", "agree", "✓"),
            Item::Pair { .. } => State("bad", "differ", "✗"),
        }
    }
}

/// Class, word and mark of a verdict.
#[derive(Clone, Copy)]
struct State(&'static str, &'static str, &'static str);

fn state(verdict: Verdict) -> State {
    match verdict {
        Verdict::Passed => State("good", "passed", "✓"),
        Verdict::Failed => State("bad", "failed", "✗"),
        Verdict::Diverged => State("bad", "diverged", "✗"),
        Verdict::Infrastructure => State("unsure", "no verdict", "?"),
    }
}

/// The page.
#[must_use]
pub fn page(items: &[Item<'_>]) -> String {
    let states: Vec<State> = items.iter().map(Item::state).collect();
    let counts = ["bad", "unsure", "good", "skipped"].map(|class| {
        let of = states.iter().filter(|state| state.0 == class);
        (of.clone().next().map(|state| state.1), of.count(), class)
    });
    let told: Vec<(String, &str)> = counts
        .into_iter()
        .filter_map(|(word, count, class)| Some((format!("{count} {}", word?), class)))
        .collect();
    let summary: Vec<&str> = told.iter().map(|(text, _)| text.as_str()).collect();
    let title = format!("certdrill: {}", summary.join(", "));
    // What went wrong is open; so is a page of one run.
    let open = |state: &State| items.len() == 1 || state.0 == "bad" || state.0 == "unsure";
    let mut texts = data::Texts::default();
    let bodies: Vec<Markup> = items.iter().map(|item| body(item, &mut texts)).collect();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header.page {
                    h1 { "certdrill" }
                    p.counts {
                        @for (text, class) in &told { span.badge.(class) { (text) } " " }
                    }
                }
                @if items.len() > 1 {
                    nav aria-label="runs" {
                        ul {
                            @for (index, (item, state)) in items.iter().zip(&states).enumerate() {
                                li {
                                    a href=(format!("#run-{index}")) class=(state.0) {
                                        span.mark { (state.2) } " " (item.id())
                                    }
                                }
                            }
                        }
                    }
                }
                main {
                    @for (index, ((item, state), body)) in items.iter().zip(&states).zip(&bodies).enumerate() {
                        details.run id=(format!("run-{index}")) open[open(state)] {
                            summary {
                                span.badge.(state.0) { (state.2) " " (state.1) } " "
                                h2 { (item.id()) }
                            }
                            (body)
                        }
                    }
                }
                noscript { p { "The timelines are drawn by a script, which is switched off here." } }
                footer {
                    p { "certdrill " (env!("CARGO_PKG_VERSION")) ". Time is virtual, UTC. "
                        "Tables of check-expiration are those of the model at that instant." }
                }
                (block(Some("texts"), &texts.packed()))
                script { (PreEscaped(INFLATE)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
    .into_string()
}

/// Data for the script.
fn block(id: Option<&str>, data: &data::Packed) -> Markup {
    html! {
        script type="text/plain" id=[id] data-bytes=(data.bytes) { (PreEscaped(&data.text)) }
    }
}

fn body(item: &Item<'_>, texts: &mut data::Texts) -> Markup {
    match item {
        Item::Run(Case::NotRun { reason, .. }) => html! { p.reason { (reason) } },
        Item::Run(Case::Played { trace, source }) => html! {
            (facts(trace.header()))
            (outcome(*trace))
            (failures(*trace, *source))
            (timeline(&[*trace], texts))
        },
        Item::Pair {
            first,
            second,
            comparison,
            source,
            ..
        } => html! {
            (facts(first.header()))
            (differences(comparison, [first.header(), second.header()]))
            @for trace in [first, second] {
                @if trace.verdict() != Verdict::Passed {
                    h3 { (trace.header().backend) }
                    (outcome(*trace))
                    (failures(*trace, *source))
                }
            }
            (timeline(&[*first, *second], texts))
        },
    }
}

fn facts(header: &Header) -> Markup {
    html! {
        p.title { (header.title) }
        p.facts {
            (header.version) " · " (header.nodes.len()) " node" @if header.nodes.len() != 1 { "s" }
            " · " (header.backend) " · seed " (header.seed) " · " code { (header.file) }
            @if let Some(reference) = &header.reference {
                " · "
                @if reference.starts_with("https://") { a href=(reference) rel="noreferrer" { (reference) } }
                @else { (reference) }
            }
        }
        @for warning in &header.warnings { p.warning { "warning: " (warning) } }
    }
}

fn outcome(trace: RunTrace<'_>) -> Markup {
    let Some(entry) = trace.verdict_entry() else {
        return html! { p.reason { "the trace breaks off before its end" } };
    };
    let lived = span::display(SignedDuration::from_secs(entry.virtual_seconds));
    html! {
        p.facts {
            (entry.expectations) " expectations · " (lived) " of virtual time · " (entry.events) " events"
        }
        @if let Some(reason) = &entry.reason && trace.failures().next().is_none() {
            p.reason { (reason) }
        }
    }
}

fn failures(trace: RunTrace<'_>, source: Option<&str>) -> Markup {
    html! {
        @for (record, judgement) in trace.failures() {
            (one_failure(trace, record, judgement, source))
        }
    }
}

fn one_failure(
    trace: RunTrace<'_>,
    record: &Record,
    judgement: &Judgement,
    source: Option<&str>,
) -> Markup {
    let header = trace.header();
    let layout = Layout {
        style: Style::Plain,
        width: 100,
        verbose: false,
    };
    let causes = failure::chain(trace, judgement);
    let at = |record: &Record| {
        format!(
            "{} UTC, {}",
            instant(record.at),
            day(header.start, record.at)
        )
    };
    html! {
        section.failure {
            dl {
                dt { "expected" } dd.good { (claim(judgement)) }
                dt { "seen" } dd.bad { pre { (judgement.seen) } }
                dt { "when" } dd { button.go type="button" data-seq=(record.seq) { (at(record)) } }
                dt { "where" } dd { (judgement.subject) }
                @if !causes.is_empty() {
                    dt { "cause" }
                    dd {
                        ol.causes {
                            @for Cause { record, node, text, detail } in &causes {
                                li {
                                    button.go type="button" data-seq=(record.seq) { (at(record)) } " "
                                    @if let Some(node) = node { strong { (node) } ": " }
                                    (text)
                                    @if let Some(detail) = detail {
                                        details { summary { "output" } pre { (detail) } }
                                    }
                                }
                            }
                        }
                    }
                }
                dt { "replay" }
                dd { code.copy { (replay_command(header)) } " " button.copy type="button" { "copy" } }
            }
            @if let Some(drawn) = failure::snippet(header, judgement, source, &layout) {
                pre.source { (drawn) }
            } @else {
                p { code { (header.file) ":" (judgement.line) ":" (judgement.column) } }
            }
        }
    }
}

fn differences(comparison: &Comparison, sides: [&Header; 2]) -> Markup {
    let count = comparison.differences.len();
    html! {
        p.facts {
            (comparison.compared()) " values compared, " (comparison.not_compared())
            " could not be, " (count) " differ"
        }
        @if count > 0 {
            div.wide {
                table.cards {
                    thead { tr {
                        th { "step" } th { "value" }
                        @for side in sides { th { (side.backend) } }
                    } }
                    tbody {
                        @for Difference { step, step_text, kind, subject, aspect, first, second, .. }
                            in comparison.differences.iter().take(DIFFERENCES_MAX)
                        {
                            tr {
                                td data-label="step" { (step) " " (step_text) }
                                td data-label="value" { (kind) " " (subject) " " (aspect) }
                                td data-label=(sides[0].backend) { pre { (first) } }
                                td data-label=(sides[1].backend) { pre { (second) } }
                            }
                        }
                    }
                }
            }
            @if count > DIFFERENCES_MAX { p { "and " (count - DIFFERENCES_MAX) " more" } }
        }
    }
}

/// The place of a timeline, and the data of the runs it shows side by side.
fn timeline(runs: &[RunTrace<'_>], texts: &mut data::Texts) -> Markup {
    html! {
        div.view {
            @for trace in runs { (block(None, &texts.run(*trace))) }
        }
    }
}
