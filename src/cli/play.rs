//! Plays many runs at once and hands their results over in order.

#![expect(
    clippy::disallowed_methods,
    reason = "the time a run takes is shown to the person who waits; it is in no trace"
)]

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::real::scratch::Interrupt;

use super::pick::Picked;
use super::progress::Progress;
use super::stage::Stage;
use crate::run::trace::Verdict;
use crate::run::{PlayOptions, Run};

/// How runs are played.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    /// Somebody wants it to stop: no more runs are started.
    pub(super) interrupt: Option<Interrupt>,
    pub(super) seed: u64,
    pub(super) jobs: NonZeroUsize,
    /// Runs that may fail before no more are started; `None` for any number.
    pub(super) failures_max: Option<NonZeroUsize>,
    pub(super) check_determinism: bool,
}

/// What came of one selected run.
#[derive(Debug)]
pub(super) enum Played {
    /// It was played.
    Done(Run),
    /// It was played twice with different results.
    Unsteady(Run, Difference),
    /// It was left out because as many as may fail failed before.
    LeftOut,
    /// It was left out, or its result is worth nothing, because somebody wanted to stop.
    Interrupted,
}

/// The first record in which two traces differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) index: usize,
    pub(super) first: String,
    pub(super) second: String,
}

/// A run and where it is played.
#[derive(Debug, Clone)]
pub(super) struct Planned<'f> {
    pub(super) picked: Picked<'f>,
    pub(super) stage: Stage,
}

/// Compares two traces.
pub(super) fn difference(
    first: &[crate::run::trace::Record],
    second: &[crate::run::trace::Record],
) -> Option<Difference> {
    let text = |record: Option<&crate::run::trace::Record>| {
        record.map_or_else(
            || "(the trace has ended)".to_owned(),
            |record| serde_json::to_string(record).unwrap_or_default(),
        )
    };
    (0..first.len().max(second.len()))
        .find(|index| first.get(*index) != second.get(*index))
        .map(|index| Difference {
            index,
            first: text(first.get(index)),
            second: text(second.get(index)),
        })
}

/// Plays the runs on threads of their own; `each` gets the results, and the time each took, in the order of
/// `planned`. Returns the time it took altogether.
pub(super) fn all(
    planned: &[Planned<'_>],
    options: Options,
    mut each: impl FnMut(usize, Played, Duration),
) -> Duration {
    let progress = Progress::of_things(planned.len() as u64);
    let next = AtomicUsize::new(0);
    let failed = AtomicUsize::new(0);
    let interrupted = || options.interrupt.is_some_and(Interrupt::is_set);
    std::thread::scope(|scope| {
        let (sender, results) = mpsc::channel();
        for _ in 0..options.jobs.get().min(planned.len()) {
            let (sender, next, failed) = (sender.clone(), &next, &failed);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(planned) = planned.get(index) else {
                        return;
                    };
                    let begun = Instant::now();
                    let enough = options
                        .failures_max
                        .is_some_and(|most| failed.load(Ordering::Relaxed) >= most.get());
                    let played = if interrupted() {
                        Played::Interrupted
                    } else if enough {
                        Played::LeftOut
                    } else {
                        one(planned, options)
                    };
                    // A signal ends real processes too: that says nothing about the subject.
                    let spoilt = interrupted()
                        && !matches!(&played, Played::Done(run) if run.verdict == Verdict::Passed);
                    let played = if spoilt { Played::Interrupted } else { played };
                    let passed =
                        matches!(&played, Played::Done(run) if run.verdict == Verdict::Passed);
                    if !passed {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                    let took = begun.elapsed();
                    if sender.send((index, played, took)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut early = std::collections::BTreeMap::new();
        let mut due = 0;
        for (done, (index, played, took)) in (1..).zip(results) {
            progress.set(done);
            early.insert(index, (played, took));
            while let Some((played, took)) = early.remove(&due) {
                progress.message(planned[due].picked.scenario.name.clone());
                progress.aside(|| each(due, played, took));
                due += 1;
            }
        }
    });
    progress.finish()
}

fn one(planned: &Planned<'_>, options: Options) -> Played {
    let play = || {
        let play_options = PlayOptions { seed: options.seed };
        planned.stage.play(planned.picked.scenario, &play_options)
    };
    let run = play();
    // A real process is repeated, not reproduced.
    if options.check_determinism && matches!(planned.stage, Stage::Sim) {
        let again = play();
        if let Some(difference) = difference(&run.records, &again.records) {
            return Played::Unsteady(run, difference);
        }
    }
    Played::Done(run)
}
