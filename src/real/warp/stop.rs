//! A running process with all its threads stopped.

#![expect(
    clippy::disallowed_methods,
    reason = "threads are listed in /proc, and a deadline needs a clock that runs"
)]

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::ptrace;
use nix::unistd::Pid;

use super::sys::{self, Event, Resume};
use super::{WarpError, failed, find};

/// How long a thread may take to stop: far more than one that runs or sleeps needs.
const STOP_MAX: Duration = Duration::from_secs(5);
/// How many instructions a thread may need to leave the code that is overwritten. A system call is one.
const STEPS_MAX: usize = 100_000;
const EVENT_STOP: i32 = 128;

/// All threads of a process, stopped and traced by this thread, each with the signal to go on with.
#[derive(Debug)]
pub(super) struct Stopped {
    pid: u32,
    threads: BTreeMap<i32, i32>,
}

/// Stops all threads of a process. A thread may start others before it is stopped itself, so this repeats until
/// no new one is found.
pub(super) fn stop(pid: u32) -> Result<Stopped, WarpError> {
    find::check_proc(pid)?;
    let mut stopped = Stopped {
        pid,
        threads: BTreeMap::new(),
    };
    loop {
        let mut new = Vec::new();
        for tid in tasks(pid)? {
            if !stopped.threads.contains_key(&tid) && seize(pid, tid)? {
                new.push(tid);
            }
        }
        if new.is_empty() {
            break;
        }
        for tid in new {
            if let Some(signal) = wait_stop(pid, tid)? {
                stopped.threads.insert(tid, signal);
            }
        }
    }
    if stopped.threads.is_empty() {
        return Err(WarpError::NoProcess { pid });
    }
    Ok(stopped)
}

fn tasks(pid: u32) -> Result<Vec<i32>, WarpError> {
    let list =
        std::fs::read_dir(format!("/proc/{pid}/task")).map_err(|_| WarpError::NoProcess { pid })?;
    Ok(list
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect())
}

/// Whether a thread is traced now and will stop; false when it has ended.
fn seize(pid: u32, tid: i32) -> Result<bool, WarpError> {
    let thread = Pid::from_raw(tid);
    let result =
        ptrace::seize(thread, ptrace::Options::empty()).and_then(|()| ptrace::interrupt(thread));
    match result {
        Ok(()) => Ok(true),
        Err(nix::Error::ESRCH) => Ok(false),
        // The answer for a thread that has ended but was not collected, too.
        Err(nix::Error::EPERM) if matches!(scheduler_state(pid, tid), None | Some('Z' | 'X')) => {
            Ok(false)
        }
        Err(error) => Err(failed("stop", pid, error)),
    }
}

/// The letter in /proc/PID/task/TID/stat.
fn scheduler_state(pid: u32, tid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Waits until a thread stopped; returns the signal it is to go on with, or `None` when it ended.
fn wait_stop(pid: u32, tid: i32) -> Result<Option<i32>, WarpError> {
    let deadline = Instant::now() + STOP_MAX;
    let mut pause = Duration::from_micros(20);
    loop {
        match sys::wait(tid, libc::WNOHANG).map_err(|error| failed("wait for", pid, error))? {
            Some((_, Event::Stopped(signal, 0))) => return Ok(Some(signal)),
            Some((_, Event::Stopped(..))) => return Ok(Some(0)),
            Some(_) => return Ok(None),
            None if matches!(scheduler_state(pid, tid), None | Some('Z' | 'X')) => return Ok(None),
            None if Instant::now() > deadline => return Err(WarpError::Stuck { pid, tid }),
            None => {}
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}

impl Stopped {
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    #[cfg(test)]
    pub(super) fn threads(&self) -> Vec<i32> {
        self.threads.keys().copied().collect()
    }

    /// Any of the threads: they share their memory.
    pub(super) fn some_thread(&self) -> i32 {
        self.threads
            .keys()
            .next()
            .copied()
            .unwrap_or(self.pid as i32)
    }

    /// Lets each thread that stands in one of these ranges run, alone and by single instructions, until it is out.
    pub(super) fn leave(&self, ranges: &[Range<u64>]) -> Result<(), WarpError> {
        for tid in self.threads.keys() {
            self.step_out(*tid, ranges)?;
        }
        Ok(())
    }

    fn step_out(&self, tid: i32, ranges: &[Range<u64>]) -> Result<(), WarpError> {
        let mut late = Vec::new();
        for step in 0..=STEPS_MAX {
            let registers = sys::registers(tid)
                .map_err(|error| failed("read the registers of", self.pid, error))?;
            if !ranges.iter().any(|range| range.contains(&registers.pc)) {
                break;
            }
            if step == STEPS_MAX {
                return Err(WarpError::Stuck { pid: self.pid, tid });
            }
            // The signal it stopped for waits for the release. One that arrives meanwhile is sent again below.
            sys::resume(tid, Resume::Step, 0).map_err(|error| failed("step", self.pid, error))?;
            match wait_stop(self.pid, tid)? {
                None => break,
                Some(0 | libc::SIGTRAP) => {}
                Some(signal) => late.push(signal),
            }
        }
        for signal in late {
            // Only fails for a thread that has ended.
            let _ = sys::send_to_thread(self.pid as i32, tid, signal);
        }
        Ok(())
    }

    /// Lets all threads go on, each with the signal it stopped for.
    pub(super) fn release(self) {
        for (tid, signal) in self.threads {
            // Fails for a thread that was killed, for which there is nothing to do.
            let _ = sys::resume(tid, Resume::Detach, signal);
        }
    }
}

/// Whether an event says that a thread stopped for tracing or because its whole process was stopped.
pub(super) fn is_stop(event: i32) -> bool {
    event == EVENT_STOP
}
