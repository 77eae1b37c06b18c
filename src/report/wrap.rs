//! Wrapping at blanks only: a path that is broken cannot be copied.

use std::borrow::Cow;

use textwrap::{Options, WordSeparator, WordSplitter};

/// Fewer columns than this are treated as this many.
const COLUMNS_MIN: usize = 24;

/// The lines of a text of at most `width` columns.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<Cow<'_, str>> {
    textwrap::wrap(
        text,
        Options::new(width.max(COLUMNS_MIN))
            .word_separator(WordSeparator::AsciiSpace)
            .word_splitter(WordSplitter::NoHyphenation)
            .break_words(false),
    )
}
