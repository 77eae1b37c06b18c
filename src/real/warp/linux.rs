//! Linux on x86-64 and aarch64: the parts of the warp and how they are put together.

mod find;
mod launch;
mod memory;
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

mod next_program;

pub(in crate::real::warp) use next_program::at_next_program;

use std::process::{Child, Command};

use nix::libc;

use super::{Ending, Findings, Offsets, Trace, WarpError, When};
use crate::time::{SignedDuration, Timestamp};

use find::Found;
use patch::State;

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
    let mut pids = pids.to_vec();
    pids.sort_unstable();
    pids.dedup();
    // A thread of its own: the kernel frees whatever it still traces when it ends, however it ends.
    std::thread::scope(|scope| {
        scope
            .spawn(|| set_stopped(&pids, choose))
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Stops all, looks at all, and only then changes the first one.
fn set_stopped(
    pids: &[u32],
    choose: &(dyn Fn(u32, Offsets) -> Offsets + Sync),
) -> Result<(), WarpError> {
    let stopped: Vec<stop::Stopped> = pids
        .iter()
        .map(|pid| stop::stop(*pid))
        .collect::<Result<_, _>>()?;
    let mut moves = Vec::new();
    for process in &stopped {
        let pid = process.pid();
        let found = Found::in_process(pid)?;
        let before = match found.state() {
            State::Untouched => Offsets::default(),
            State::Warped { offsets, .. } => Offsets::from_nanoseconds(offsets),
            State::OtherLayout(layout) => return Err(WarpError::Layout { pid, layout }),
        };
        let after = choose(pid, before);
        if after.timers < before.timers {
            let by = before.timers.saturating_sub(after.timers);
            return Err(WarpError::Backwards { pid, by });
        }
        moves.push((process, found, after.nanoseconds()?));
    }
    for (process, found, _) in &moves {
        if matches!(found.state(), State::Untouched) {
            process.leave(&found.in_the_way())?;
        }
    }
    for (process, found, offsets) in &moves {
        found.write(process.some_thread(), *offsets)?;
    }
    drop(moves);
    for process in stopped {
        process.release();
    }
    Ok(())
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
