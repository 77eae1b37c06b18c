//! Plays many runs at once and hands their results over in order.

#![expect(
    clippy::disallowed_methods,
    reason = "the time a run takes is shown to the person who waits; it is in no trace"
)]

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
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
    /// Which run a thread takes next.
    pub(super) order: Order,
}

/// Which run a thread takes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The next one that is planned.
    Next,
    /// One of the file that the thread has begun: runs of a file begin alike, and what one thread plays after the other
    /// can do again what was done.
    Together,
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
    let queue = Queue::new(planned, options.order);
    let failed = AtomicUsize::new(0);
    let interrupted = || options.interrupt.is_some_and(Interrupt::is_set);
    std::thread::scope(|scope| {
        let (sender, results) = mpsc::channel();
        for _ in 0..options.jobs.get().min(planned.len()) {
            let (sender, queue, failed) = (sender.clone(), &queue, &failed);
            scope.spawn(move || {
                let mut mine = None;
                while let Some(index) = queue.take(&mut mine) {
                    let planned = &planned[index];
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

/// Runs that nobody has taken yet, in groups.
struct Queue {
    groups: Mutex<Vec<Group>>,
    order: Order,
}

struct Group {
    left: Range<usize>,
    begun: bool,
}

impl Queue {
    fn new(planned: &[Planned<'_>], order: Order) -> Self {
        let of_one_file = |a: &Planned<'_>, b: &Planned<'_>| {
            order == Order::Next || std::ptr::eq(a.picked.file, b.picked.file)
        };
        Self::of(planned.chunk_by(of_one_file).map(<[_]>::len), order)
    }

    /// Groups of these sizes, one after the other.
    fn of(sizes: impl IntoIterator<Item = usize>, order: Order) -> Self {
        let mut first = 0;
        let groups = sizes.into_iter().map(|size| {
            let left = first..first + size;
            first = left.end;
            Group { left, begun: false }
        });
        Self {
            groups: Mutex::new(groups.collect()),
            order,
        }
    }

    /// The next run for a thread whose group is `mine`: of that one; else of one that nobody has begun; else, so that no
    /// thread is idle, the last of the one with most of them left.
    fn take(&self, mine: &mut Option<usize>) -> Option<usize> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = mine.and_then(|mine| groups[mine].left.next()) {
            return Some(index);
        }
        *mine = groups.iter().position(|group| !group.begun);
        if let Some(mine) = *mine {
            groups[mine].begun = true;
            return groups[mine].left.next();
        }
        let largest = groups.iter_mut().max_by_key(|group| group.left.len())?;
        match self.order {
            Order::Next => largest.left.next(),
            Order::Together => largest.left.next_back(),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_a_file_stay_with_the_thread_that_began_it_until_a_thread_would_be_idle() {
        let queue = Queue::of([3, 4], Order::Together);
        let (mut one, mut other) = (None, None);
        assert_eq!(queue.take(&mut one), Some(0));
        assert_eq!(queue.take(&mut other), Some(3));
        assert_eq!(queue.take(&mut one), Some(1));
        assert_eq!(queue.take(&mut one), Some(2));
        assert_eq!(queue.take(&mut one), Some(6), "the other's last");
        assert_eq!(queue.take(&mut other), Some(4));
        assert_eq!(queue.take(&mut one), Some(5));
        assert_eq!(queue.take(&mut other), None);
        assert_eq!(queue.take(&mut one), None);
    }

    #[test]
    fn runs_are_taken_in_order_where_nothing_speaks_against_it() {
        let queue = Queue::of([4], Order::Next);
        let (mut one, mut other) = (None, None);
        let taken = [
            queue.take(&mut one),
            queue.take(&mut other),
            queue.take(&mut one),
            queue.take(&mut other),
            queue.take(&mut one),
        ];
        assert_eq!(taken, [Some(0), Some(1), Some(2), Some(3), None]);
        assert_eq!(Queue::of([], Order::Next).take(&mut None), None);
    }
}
