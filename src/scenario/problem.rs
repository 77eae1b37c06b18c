//! What is wrong with a scenario file, where, and what to write instead.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::Position;

/// One mistake in a scenario file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub at: Position,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// A few words beside the caret.
    pub label: Option<String>,
    /// What to write instead.
    pub help: Option<String>,
    /// Another place that belongs to it, with a few words.
    pub other: Option<(Position, String)>,
    /// The rule that found it, for warnings of `lint`.
    pub rule: Option<&'static str>,
}

impl Problem {
    /// A mistake at a place.
    pub(crate) fn new(at: Position, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
            label: None,
            help: None,
            other: None,
            rule: None,
        }
    }

    /// With words beside the caret.
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// With what to write instead.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With another place that belongs to it.
    pub(crate) fn other(mut self, at: Position, label: impl Into<String>) -> Self {
        self.other = Some((at, label.into()));
        self
    }

    /// The problem as a person reads it: message, `--> file:line:column`, the line, a caret, help.
    /// `width` is the number of columns there are.
    #[must_use]
    pub fn render(&self, file: &str, source: &str, style: Style, width: usize) -> String {
        let level = if self.rule.is_some() {
            Level::WARNING
        } else {
            Level::ERROR
        };
        let title = match self.rule {
            Some(rule) => format!("{} [{rule}]", self.message),
            None => self.message.clone(),
        };
        let mut snippet = Snippet::source(source).path(file).fold(true).annotation(
            AnnotationKind::Primary
                .span(self.at.range(source))
                .label(self.label.as_deref()),
        );
        if let Some((at, label)) = &self.other {
            snippet = snippet.annotation(
                AnnotationKind::Context
                    .span(at.range(source))
                    .label(label.as_str()),
            );
        }
        let mut group: Group<'_> = level.primary_title(&title).element(snippet);
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help));
        }
        style.renderer(width).render(&[group])
    }
}

/// What a text has that may be shown to nobody: whoever names the wrong file must not find a key in a log.
const SECRETS: [&str; 4] = ["PRIVATE KEY", "-key-data", "token", "password"];

impl Problem {
    /// As [`Problem::render`], without any line of the file.
    #[must_use]
    pub fn render_place(&self, file: &str) -> String {
        let Position { line, column, .. } = self.at;
        let help = match &self.help {
            Some(help) => format!("\n  help: {help}"),
            None => String::new(),
        };
        format!("error: {}\n --> {file}:{line}:{column}{help}", self.message)
    }

    /// As [`Problem::render`], without lines where the file may have secrets in it.
    #[must_use]
    pub fn render_discreetly(
        &self,
        file: &str,
        source: &str,
        style: Style,
        width: usize,
    ) -> String {
        if SECRETS.iter().any(|secret| source.contains(secret)) {
            self.render_place(file)
        } else {
            self.render(file, source, style, width)
        }
    }
}

/// Colours or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// No escape sequences.
    #[default]
    Plain,
    /// ANSI colours.
    Coloured,
}

impl Style {
    /// A renderer of source snippets.
    pub(crate) fn renderer(self, width: usize) -> Renderer {
        match self {
            Self::Plain => Renderer::plain(),
            Self::Coloured => Renderer::styled(),
        }
        .term_width(width)
    }
}

impl Position {
    /// The bytes it covers, held inside `source`.
    #[must_use]
    pub fn range(&self, source: &str) -> std::ops::Range<usize> {
        let start = floor(source, self.offset);
        let end = floor(source, self.offset.saturating_add(self.len)).max(start);
        start..end
    }
}

fn floor(source: &str, offset: usize) -> usize {
    let mut offset = offset.min(source.len());
    while !source.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// Everything that is wrong with one scenario file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {}", summary(.problems))]
pub struct ScenarioErrors {
    /// The file as given.
    pub file: String,
    /// Its text, for carets.
    pub source_text: String,
    /// The mistakes in the order of the file; at least one.
    pub problems: Vec<Problem>,
}

impl ScenarioErrors {
    /// Every problem as a person reads it.
    #[must_use]
    pub fn render(&self, style: Style, width: usize) -> String {
        self.problems
            .iter()
            .map(|problem| problem.render(&self.file, &self.source_text, style, width))
            .collect::<Vec<_>>()
            .join("\n\n")
    }
}

fn summary(problems: &[Problem]) -> String {
    match problems {
        [only] => format!("{}:{}: {}", only.at.line, only.at.column, only.message),
        [first, rest @ ..] => format!(
            "{}:{}: {} (and {} more)",
            first.at.line,
            first.at.column,
            first.message,
            rest.len()
        ),
        [] => "invalid".to_owned(),
    }
}

/// The candidate that `text` was probably meant to be.
pub(crate) fn nearest<'c>(
    text: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let lower = text.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count().max(3) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `did you mean …?`, or the list of what there is.
pub(crate) fn suggest<'c>(
    text: &str,
    candidates: impl IntoIterator<Item = &'c str> + Clone,
) -> String {
    match nearest(text, candidates.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", listed(candidates)),
    }
}

/// `a`, `b`, `c`.
pub(crate) fn listed<'c>(names: impl IntoIterator<Item = &'c str>) -> String {
    names
        .into_iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
