//! Starting a command and holding it before its first instruction.

#![expect(
    clippy::disallowed_methods,
    reason = "/proc tells why tracing is forbidden"
)]

use std::fs::File;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::libc;
use rustix::pipe::{PipeFlags, pipe_with};

use super::find::Found;
use super::sys::{self, Resume};
use super::{Offsets, WarpError, check_start, failed};

/// A warped process that has not run its first instruction, traced by this thread.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) child: Child,
    pub(super) found: Found,
}

impl Held {
    pub(super) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Lets it run.
    pub(super) fn release(self) -> Child {
        self.let_run();
        self.child
    }

    /// Lets it run and keeps the handle.
    pub(super) fn let_run(&self) {
        // It may have been killed meanwhile, which whoever waits for it will see.
        let _ = sys::resume(self.pid(), Resume::Detach, 0);
    }
}

/// Starts a command and warps it. It gets the signal mask that is given, or else the one it would have had.
///
/// The standard library returns from `spawn` when the child executes the command, which closes a pipe. The child,
/// being traced, stops with SIGTRAP right after that.
pub(super) fn start(
    command: &mut Command,
    offsets: Offsets,
    mask: Option<u64>,
) -> Result<Held, WarpError> {
    let offsets = check_start(offsets)?;
    let program = command.get_program().to_owned();
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
        .map_err(|error| failed("make a pipe for", std::process::id(), error))?;
    let armed = Arc::new(AtomicBool::new(true));
    sys::trace_before_exec(command, writer, Arc::clone(&armed));
    let spawned = command.spawn();
    // The command may be started again without a warp.
    armed.store(false, Ordering::Relaxed);
    let report = sys::report(&File::from(reader));
    let mut child = match (spawned, report) {
        (Ok(child), _) => child,
        (Err(source), Some((sys::REFUSED, _))) => {
            return Err(WarpError::Forbidden {
                subject: format!("{}, a child of this process", program.display()),
                reason: refusal(None),
                source,
            });
        }
        (Err(source), _) => return Err(WarpError::Command { program, source }),
    };
    let before = report.map_or(0, |(_, before)| before);
    match warp(child.id(), offsets, mask.unwrap_or(before)) {
        Ok(found) => Ok(Held { child, found }),
        Err(error) => {
            // Nothing of it may run at the wrong time. Both fail only when it has ended already.
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
    }
}

fn warp(pid: u32, offsets: [i64; 3], mask: u64) -> Result<Found, WarpError> {
    let tid = pid as i32;
    // Bounded: the stop is the next thing that happens, unless somebody stops it first.
    loop {
        let stops = sys::stops(tid).map_err(|error| failed("wait for", pid, error))?;
        if !stops {
            return Err(WarpError::NoProcess { pid });
        }
        match sys::wait(tid, 0).map_err(|error| failed("wait for", pid, error))? {
            Some((_, sys::Event::Stopped(libc::SIGTRAP, _))) => break,
            Some((_, sys::Event::Stopped(signal, _))) => {
                sys::resume(tid, Resume::Continue, signal)
                    .map_err(|error| failed("continue", pid, error))?;
            }
            _ => return Err(WarpError::NoProcess { pid }),
        }
    }
    let found = Found::at_exec(pid)?;
    found.write(tid, offsets)?;
    sys::set_signal_mask(tid, mask)
        .map_err(|error| failed("set the signal mask of", pid, error))?;
    Ok(found)
}

/// What forbids tracing, as far as can be seen.
pub(super) fn refusal(pid: Option<u32>) -> String {
    let status = |of: &str, key: &str| {
        std::fs::read_to_string(format!("/proc/{of}/status"))
            .ok()?
            .lines()
            .find_map(|line| Some(line.strip_prefix(key)?.trim().to_owned()))
    };
    if let Some(pid) = pid
        && let Some(tracer) = status(&pid.to_string(), "TracerPid:").filter(|tracer| tracer != "0")
    {
        return format!(": process {tracer} is tracing it already");
    }
    if pid.is_none()
        && let Some(tracer) = status("self", "TracerPid:").filter(|tracer| tracer != "0")
    {
        return format!(": process {tracer} traces certdrill and its children");
    }
    let yama = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    match yama.trim() {
        "1" if pid.is_some() => {
            return ": kernel.yama.ptrace_scope is 1, which allows a process to trace its children only".to_owned();
        }
        "2" => return ": kernel.yama.ptrace_scope is 2, which wants CAP_SYS_PTRACE".to_owned(),
        "3" => return ": kernel.yama.ptrace_scope is 3, which forbids all tracing".to_owned(),
        _ => {}
    }
    match status("self", "Seccomp:").as_deref() {
        Some("2") => ": a seccomp filter is in force, which may forbid ptrace".to_owned(),
        _ if pid.is_some() => ": it belongs to another user, or has more privileges".to_owned(),
        _ => String::new(),
    }
}
