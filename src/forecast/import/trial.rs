//! A trial of what was written: a cluster of one's own may not do what another did.

use std::collections::BTreeMap;

use crate::run::trace::{Entry, Verdict};
use crate::run::{PlayOptions, play};
use crate::scenario;

/// It is played at most so many times.
const TRIALS_MAX: u32 = 4;

/// What earlier trials have shown.
#[derive(Debug, Default)]
pub(super) struct Trial {
    played: u32,
    /// Expectations that do not hold, as they were written, and what is seen instead.
    refuted: BTreeMap<String, String>,
    /// The steps that make requests cannot be played.
    without_requests: bool,
}

impl Trial {
    /// What is seen instead of an expectation.
    pub(super) fn refuted(&self, expectation: &str) -> Option<&str> {
        self.refuted.get(expectation).map(String::as_str)
    }

    /// Whether requests are to be left to comments.
    pub(super) fn without_requests(&self) -> bool {
        self.without_requests
    }

    /// Plays a scenario. Says whether it has to be written anew.
    pub(super) fn learns_from(&mut self, yaml: &str) -> bool {
        if self.without_requests {
            return false;
        }
        self.played += 1;
        if self.played == TRIALS_MAX {
            self.without_requests = true;
            return true;
        }
        let Ok(scenarios) = scenario::load("imported.yaml", yaml) else {
            self.without_requests = true;
            return true;
        };
        let lines: Vec<&str> = yaml.lines().collect();
        let mut learned = false;
        for one in &scenarios {
            let run = play(one, &PlayOptions { seed: 0 });
            let mut explained = false;
            for record in &run.records {
                let Entry::Expectation(judgement) = &record.entry else {
                    continue;
                };
                if judgement.passed {
                    continue;
                }
                let line = usize::try_from(judgement.line).unwrap_or(0);
                let written = line.checked_sub(1).and_then(|index| lines.get(index));
                // Expectations of requests stand in one line each.
                let Some(written) = written
                    .and_then(|line| line.trim().strip_prefix("- "))
                    .filter(|line| line.starts_with("{ csr:"))
                else {
                    continue;
                };
                self.refuted
                    .insert(written.to_owned(), judgement.seen.clone());
                explained = true;
            }
            if run.verdict != Verdict::Passed {
                self.without_requests |= !explained;
                learned = true;
            }
        }
        learned
    }
}
