//! Reports: consumers of the trace. They read it and nothing else; the text of the scenario is given to
//! them only to show the line a failure is about.

pub mod compared;
pub(crate) mod document;
mod failure;
pub mod github;
pub mod html;
pub mod human;
pub mod jsonl;
pub mod junit;
mod paint;
pub mod sarif;
pub mod summary;
pub mod tap;
#[cfg(test)]
mod tests;
mod timeline;
pub(crate) mod wrap;

pub use failure::replay_command;
pub use paint::Style;

use crate::run::trace::{Entry, Header, Judgement, Record, Verdict, VerdictEntry};

/// The trace of one run, as reports look at it.
#[derive(Debug, Clone, Copy)]
pub struct RunTrace<'r> {
    records: &'r [Record],
    header: &'r Header,
}

impl<'r> RunTrace<'r> {
    /// A trace that begins with its header; `None` for anything else.
    #[must_use]
    pub fn new(records: &'r [Record]) -> Option<Self> {
        match &records.first()?.entry {
            Entry::Header(header) => Some(Self { records, header }),
            _ => None,
        }
    }

    /// What is needed to repeat the run.
    #[must_use]
    pub fn header(&self) -> &'r Header {
        self.header
    }

    /// Every record.
    #[must_use]
    pub fn records(&self) -> &'r [Record] {
        self.records
    }

    /// What the run is called: name and values of the matrix.
    #[must_use]
    pub fn id(&self) -> String {
        crate::scenario::run_id(&self.header.scenario, &self.header.variant)
    }

    /// How it ended; a trace that breaks off says nothing about its subject.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict_entry()
            .map_or(Verdict::Infrastructure, |entry| entry.verdict)
    }

    fn verdict_entry(&self) -> Option<&'r VerdictEntry> {
        self.records
            .iter()
            .rev()
            .find_map(|record| match &record.entry {
                Entry::Verdict(verdict) => Some(verdict),
                _ => None,
            })
    }

    /// Why it did not pass, in a sentence.
    fn reason(&self) -> String {
        let first = self.failures().next().map(|(_, judgement)| judgement);
        self.verdict_entry()
            .and_then(|entry| entry.reason.clone())
            .or_else(|| {
                first.map(|judgement| {
                    format!("expected {}, seen {}", judgement.expected, judgement.seen)
                })
            })
            .unwrap_or_else(|| "the trace breaks off before its end".to_owned())
    }

    /// Expectations that do not hold.
    fn failures(&self) -> impl Iterator<Item = (&'r Record, &'r Judgement)> {
        self.records
            .iter()
            .filter_map(|record| match &record.entry {
                Entry::Expectation(judgement) if !judgement.passed => Some((record, judgement)),
                _ => None,
            })
    }

    /// The record of that number.
    fn record(&self, seq: u64) -> Option<&'r Record> {
        let guess = usize::try_from(seq)
            .ok()
            .and_then(|index| self.records.get(index));
        match guess {
            Some(record) if record.seq == seq => Some(record),
            _ => self.records.iter().find(|record| record.seq == seq),
        }
    }
}

/// What became of one selected run.
#[derive(Debug, Clone, Copy)]
pub enum Case<'c> {
    /// It was played.
    Played {
        /// Its trace.
        trace: RunTrace<'c>,
        /// Text of the scenario file.
        source: Option<&'c str>,
    },
    /// It was not.
    NotRun {
        /// File of the scenario.
        file: &'c str,
        /// What the run is called.
        id: &'c str,
        /// Why not.
        reason: &'c str,
    },
}

impl Case<'_> {
    /// File of the scenario.
    #[must_use]
    pub fn file(&self) -> &str {
        match self {
            Self::Played { trace, .. } => &trace.header().file,
            Self::NotRun { file, .. } => file,
        }
    }

    /// What the run is called.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Played { trace, .. } => trace.id(),
            Self::NotRun { id, .. } => (*id).to_owned(),
        }
    }
}
