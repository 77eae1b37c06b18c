//! What did not hold: what was expected, what was seen, when, where, why, and how to repeat it.

use annotate_snippets::{AnnotationKind, Group, Level, Snippet};

use super::human::Layout;
use super::paint::Ink;
use super::timeline::{claim, day, instant};
use super::wrap::wrap;
use super::{RunTrace, Style};
use crate::run::trace::{Entry, Header, Judgement, Record};
use crate::scenario::Position;

/// Causes of causes are followed this far.
const CAUSES_MAX: usize = 4;
/// Lines of a cause's output that are shown.
const DETAIL_LINES_MAX: usize = 12;

/// The command that repeats one run.
#[must_use]
pub fn replay_command(header: &Header) -> String {
    let backend = match header.backend.as_str() {
        "sim" => String::new(),
        other => format!(" --backend {other}"),
    };
    format!(
        "certdrill run {}{backend}{}",
        quoted(&header.file),
        selected(header)
    )
}

/// The options that select this run and no other, with its seed.
pub(super) fn selected(header: &Header) -> String {
    let set: String = header
        .set
        .iter()
        .map(|(key, value)| format!(" --set {}", quoted(&format!("{key}={value}"))))
        .collect();
    format!(
        "{set} --seed {} --include {}",
        header.seed,
        quoted(&crate::scenario::run_id(&header.scenario, &header.variant)),
    )
}

/// Quoted for a shell if it must be.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The block for one expectation that does not hold.
pub(super) fn block(
    trace: RunTrace<'_>,
    record: &Record,
    judgement: &Judgement,
    source: Option<&str>,
    layout: &Layout,
) -> String {
    let mut facts = Facts {
        layout,
        text: String::new(),
    };
    let header = trace.header();
    facts.add("expected", &claim(judgement), Some(Ink::Good));
    facts.add("seen", &judgement.seen, Some(Ink::Bad));
    facts.add("when", &when(header, record), None);
    facts.add("where", &judgement.subject, None);
    causes(trace, judgement, &mut facts);
    facts.source(header, judgement, source);
    facts.add_unbroken("replay", &replay_command(header));
    if let Some(reference) = &header.reference {
        facts.add_unbroken("upstream", reference);
    }
    facts.text
}

fn when(header: &Header, record: &Record) -> String {
    format!(
        "{} UTC, {} of the cluster",
        instant(record.at),
        day(header.start, record.at)
    )
}

/// The event that brought the seen state about, and what caused that.
fn causes(trace: RunTrace<'_>, judgement: &Judgement, facts: &mut Facts<'_>) {
    let mut label = "cause";
    for Cause {
        record,
        node,
        text,
        detail,
    } in chain(trace, judgement)
    {
        let node = node.map_or_else(String::new, |node| format!("{node}: "));
        let text = format!(
            "{} ({}) {node}{text}",
            instant(record.at),
            day(trace.header().start, record.at)
        );
        facts.add(label, &text, None);
        if label == "cause"
            && let Some(detail) = detail
        {
            facts.detail(detail);
        }
        label = "";
    }
}

/// An event or step that something follows from.
pub(super) struct Cause<'t> {
    /// Its record.
    pub record: &'t Record,
    /// Where it happened.
    pub node: Option<&'t str>,
    /// One line.
    pub text: &'t str,
    /// Its output.
    pub detail: Option<&'t str>,
}

/// What brought the seen state about, what caused that, and so on.
pub(super) fn chain<'t>(trace: RunTrace<'t>, judgement: &Judgement) -> Vec<Cause<'t>> {
    let mut next = judgement.cause;
    let mut causes = Vec::new();
    while causes.len() < CAUSES_MAX
        && let Some(record) = next.and_then(|seq| trace.record(seq))
    {
        let (node, text, detail, cause) = match &record.entry {
            Entry::Event(event) => (
                event.node.as_deref(),
                event.text.as_str(),
                event.detail.as_deref(),
                event.cause,
            ),
            Entry::Step(step) => (None, step.text.as_str(), None, None),
            _ => break,
        };
        causes.push(Cause {
            record,
            node,
            text,
            detail,
        });
        // Causes come before their effects; a trace from elsewhere may say otherwise.
        next = cause.filter(|cause| *cause < record.seq);
    }
    causes
}

struct Facts<'l> {
    layout: &'l Layout,
    text: String,
}

/// Columns before a fact's text.
const INDENT: usize = 12;

impl Facts<'_> {
    fn add(&mut self, label: &str, text: &str, ink: Option<Ink>) {
        let room = self.layout.width.saturating_sub(INDENT);
        let wrapped: Vec<String> = text
            .lines()
            .flat_map(|line| wrap(line, room))
            .map(|line| line.into_owned())
            .collect();
        for (index, line) in wrapped.iter().enumerate() {
            let label = if index == 0 { label } else { "" };
            self.line(label, line, ink);
        }
    }

    /// A command or link stays in one line so that it can be copied.
    fn add_unbroken(&mut self, label: &str, text: &str) {
        self.line(label, text, None);
    }

    fn line(&mut self, label: &str, text: &str, ink: Option<Ink>) {
        let style = self.layout.style;
        let text = ink.map_or_else(|| text.to_owned(), |ink| ink.on(style, text));
        let label = Ink::Strong.on(style, &format!("  {label:<10}"));
        self.text.push_str(&label);
        self.text.push_str(&text);
        self.text.push('\n');
    }

    fn detail(&mut self, detail: &str) {
        let lines: Vec<&str> = detail.lines().collect();
        let left_out = lines.len().saturating_sub(DETAIL_LINES_MAX);
        let room = self.layout.width.saturating_sub(INDENT + 2);
        for line in lines.iter().take(DETAIL_LINES_MAX) {
            for part in wrap(line, room) {
                self.line("", &format!("│ {part}"), Some(Ink::Faint));
            }
        }
        if left_out > 0 {
            self.line("", &format!("│ … {left_out} more lines"), Some(Ink::Faint));
        }
    }

    /// The line of the scenario with a caret, or only its place where the text is not at hand.
    fn source(&mut self, header: &Header, judgement: &Judgement, source: Option<&str>) {
        match snippet(header, judgement, source, self.layout) {
            Some(drawn) => {
                self.text.push('\n');
                for line in drawn.lines() {
                    self.text.push_str(&format!("  {}", line.trim_end()));
                    self.text.push('\n');
                }
                self.text.push('\n');
            }
            None => {
                let place = format!("{}:{}:{}", header.file, judgement.line, judgement.column);
                self.text.push_str(&format!("   --> {place}\n"));
            }
        }
    }
}

/// The line of the scenario with a caret; `None` where the text is not at hand or another one.
pub(super) fn snippet(
    header: &Header,
    judgement: &Judgement,
    source: Option<&str>,
    layout: &Layout,
) -> Option<String> {
    let (offset, len) = judgement.span;
    let end = offset.saturating_add(len);
    let source = source.filter(|source| {
        source.is_char_boundary(offset) && source.is_char_boundary(end) && end <= source.len()
    })?;
    let at = Position {
        line: judgement.line,
        column: judgement.column,
        offset,
        len,
    };
    let snippet = Snippet::source(source)
        .path(header.file.as_str())
        .annotation(AnnotationKind::Primary.span(at.range(source)));
    let group = Group::with_level(Level::ERROR).element(snippet);
    Some(renderer(layout).render(&[group]).clone())
}

fn renderer(layout: &Layout) -> annotate_snippets::Renderer {
    let renderer = match layout.style {
        Style::Plain => annotate_snippets::Renderer::plain(),
        Style::Coloured => annotate_snippets::Renderer::styled(),
    };
    renderer.term_width(layout.width)
}
