//! Colours, or none.

use anstyle::{AnsiColor, Effects, Style as Ansi};

pub use crate::scenario::Style;

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// Passed.
    Good,
    /// Failed, or trouble in the cluster.
    Bad,
    /// No verdict about the subject.
    Unsure,
    /// Headings and labels.
    Strong,
    /// What is there for completeness.
    Faint,
}

impl Ink {
    const fn ansi(self) -> Ansi {
        let style = Ansi::new();
        match self {
            Self::Good => style.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green))),
            Self::Bad => style.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red))),
            Self::Unsure => style.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow))),
            Self::Strong => style.effects(Effects::BOLD),
            Self::Faint => style.effects(Effects::DIMMED),
        }
    }

    /// The text in this ink, if there are colours at all.
    pub(super) fn on(self, style: Style, text: &str) -> String {
        match style {
            Style::Plain => text.to_owned(),
            Style::Coloured => {
                let ansi = self.ansi();
                format!("{ansi}{text}{ansi:#}")
            }
        }
    }
}
