//! Linux on x86-64 and aarch64: the parts of the warp and how they are put together.

mod find;
mod launch;
mod memory;
mod next_program;
mod patch;
mod stop;
mod supervise;
#[expect(
    unsafe_code,
    reason = "ptrace, signal masks and foreign machine code have no safe form; nothing else is in here"
)]
mod sys;
#[cfg(test)]
mod tests;
mod trace;
mod vdso;

use std::collections::BTreeSet;
use std::process::{Child, Command};

use nix::libc;

use super::{Ending, Findings, Offsets, Trace, WarpError, When};
use crate::time::{SignedDuration, Timestamp};

use find::Found;
use patch::State;

pub(in crate::real::warp) use next_program::at_next_program;
pub(in crate::real::warp) use supervise::{die_by, run};

pub(super) fn spawn(command: &mut Command, offsets: Offsets) -> Result<Child, WarpError> {
    let held = launch::start(command, offsets, None)?;
    Ok(held.release())
}

pub(super) fn show(pid: u32) -> Result<Option<Offsets>, WarpError> {
    let found = Found::in_process(pid)?;
    match found.state() {
        State::Untouched => Ok(None),
        State::Warped { offsets, .. } => Ok(Some(Offsets::from_nanoseconds(offsets))),
        State::OtherLayout(layout) => Err(WarpError::Layout { pid, layout }),
    }
}

pub(super) fn set_all(
    pids: &[u32],
    choose: &(dyn Fn(u32, Offsets) -> Offsets + Sync),
) -> Result<(), WarpError> {
    let pids: BTreeSet<u32> = pids.iter().copied().collect();
    let mut list = |held: &BTreeSet<u32>| Ok(pids.difference(held).copied().collect());
    let choose = |pid, before: Option<Offsets>| Some(choose(pid, before.unwrap_or_default()));
    by_a_thread(&mut list, Absent::Refuse, &choose).map(drop)
}

pub(super) fn move_listed(list: List<'_>, choose: Choose<'_>) -> Result<usize, WarpError> {
    by_a_thread(list, Absent::PassOver, choose)
}

/// Whether a process carries a patch; `None` for those that have ended, may not be looked at or have no clock to patch.
pub(super) fn is_warped(pid: u32) -> Result<Option<bool>, WarpError> {
    let found = match Found::at_once(pid) {
        Ok(Some(found)) => found,
        Ok(None) | Err(_) => return Ok(None),
    };
    match found.state() {
        State::Untouched => Ok(Some(false)),
        State::Warped { .. } => Ok(Some(true)),
        State::OtherLayout(layout) => Err(WarpError::Layout { pid, layout }),
    }
}

/// Refuses offsets that are too large for the patch.
pub(super) fn check(offsets: Offsets) -> Result<(), WarpError> {
    offsets.nanoseconds().map(drop)
}

/// Processes to be changed beside those that are held already.
type List<'l> = &'l mut (dyn FnMut(&BTreeSet<u32>) -> Result<Vec<u32>, WarpError> + Send);
/// New offsets from those in force; `None` is not warped, or stays as it is.
type Choose<'c> = &'c (dyn Fn(u32, Option<Offsets>) -> Option<Offsets> + Sync);

/// A process that is listed and not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Absent {
    Refuse,
    PassOver,
}

/// A thread of its own: the kernel frees whatever it still traces when it ends, however it ends.
fn by_a_thread(list: List<'_>, absent: Absent, choose: Choose<'_>) -> Result<usize, WarpError> {
    std::thread::scope(|scope| {
        scope
            .spawn(move || set_stopped(list, absent, choose))
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Stops all, until no other one is listed, looks at all, and only then changes the first one.
fn set_stopped(list: List<'_>, absent: Absent, choose: Choose<'_>) -> Result<usize, WarpError> {
    let passed_over = |error: &WarpError| {
        absent == Absent::PassOver
            && matches!(
                error,
                WarpError::NoProcess { .. } | WarpError::NoVdso { .. }
            )
    };
    let mut held = BTreeSet::new();
    let mut stopped = Vec::new();
    loop {
        let new = list(&held)?;
        if new.is_empty() {
            break;
        }
        for pid in new {
            match stop::stop(pid) {
                Ok(process) => {
                    held.insert(pid);
                    stopped.push(process);
                }
                Err(error) if passed_over(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
    let mut moves = Vec::new();
    for process in &stopped {
        match plan(process, choose) {
            Ok(found) => moves.extend(found),
            Err(error) if passed_over(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let mut done: Vec<&Planned<'_>> = Vec::new();
    for planned in &moves {
        let Planned { process, found, .. } = planned;
        match found.write(process.some_thread(), planned.after) {
            Ok(()) => done.push(planned),
            // Killed meanwhile: it sees no time any more.
            Err(WarpError::NoProcess { .. }) => {}
            Err(error) => {
                for planned in done {
                    // The same words were just written.
                    let _ = planned
                        .found
                        .write(planned.process.some_thread(), planned.before);
                }
                return Err(error);
            }
        }
    }
    let count = done.len();
    drop(moves);
    for process in stopped {
        process.release();
    }
    Ok(count)
}

/// What is to be written into a process.
#[derive(Debug)]
struct Planned<'s> {
    process: &'s stop::Stopped,
    found: Found,
    before: [i64; 3],
    after: [i64; 3],
}

fn plan<'s>(
    process: &'s stop::Stopped,
    choose: Choose<'_>,
) -> Result<Option<Planned<'s>>, WarpError> {
    let pid = process.pid();
    let found = Found::in_process(pid)?;
    let before = match found.state() {
        State::Untouched => None,
        State::Warped { offsets, .. } => Some(Offsets::from_nanoseconds(offsets)),
        State::OtherLayout(layout) => return Err(WarpError::Layout { pid, layout }),
    };
    let Some(after) = choose(pid, before) else {
        return Ok(None);
    };
    let untouched = before.is_none();
    let before = before.unwrap_or_default();
    if after.timers < before.timers {
        let by = before.timers.saturating_sub(after.timers);
        return Err(WarpError::Backwards { pid, by });
    }
    let (before, after) = (before.nanoseconds()?, after.nanoseconds()?);
    if untouched {
        process.leave(&found.in_the_way())?;
    }
    Ok(Some(Planned {
        process,
        found,
        before,
        after,
    }))
}

/// Refuses to start something whose timers' clock would be before the boot of the machine.
fn check_start(offsets: Offsets) -> Result<[i64; 3], WarpError> {
    let (seconds, _) = sys::machine_clock(libc::CLOCK_MONOTONIC);
    if SignedDuration::from_secs(seconds - 1)
        .saturating_add(offsets.timers)
        .is_negative()
    {
        return Err(WarpError::Backwards {
            pid: 0,
            by: -offsets.timers,
        });
    }
    offsets.nanoseconds()
}

pub(super) fn machine_time() -> Timestamp {
    let (seconds, nanoseconds) = sys::machine_clock(libc::CLOCK_REALTIME);
    Timestamp::new(seconds, nanoseconds as i32).unwrap_or(Timestamp::MAX)
}

/// A failed call, in words; `ESRCH` is a process that is gone, and what was refused is told with the reason.
fn failed(what: &'static str, pid: u32, source: impl Into<std::io::Error>) -> WarpError {
    let source = source.into();
    match source.raw_os_error() {
        Some(libc::ESRCH) => WarpError::NoProcess { pid },
        Some(libc::EPERM | libc::EACCES) => WarpError::Forbidden {
            subject: format!("process {pid}"),
            reason: launch::refusal(Some(pid)),
            source,
        },
        _ => WarpError::System { what, pid, source },
    }
}
