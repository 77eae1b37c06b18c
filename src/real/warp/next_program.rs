//! Waiting for a process that somebody else started to execute its next program, and warping that.

#![expect(
    clippy::disallowed_methods,
    reason = "threads are listed in /proc, and a deadline needs a clock that runs"
)]

use std::collections::BTreeSet;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;

use super::find::Found;
use super::stop::is_stop;
use super::sys::{self, Event, Resume};
use super::{WarpError, When, failed};

/// How long a process may take to execute the program after the command that lets it go on has ended.
const EXECUTES_WITHIN: Duration = Duration::from_secs(20);

/// Traces a process, runs a command that makes it execute a program (`runc start`), and warps that program before
/// its first instruction. Gives how the command ended; when that is a success, the program is warped.
///
/// To be called by a program that does nothing else: every child of the calling process is collected.
///
/// # Errors
/// When the process cannot be traced or its program cannot be warped. The program is killed then.
pub(in crate::real::warp) fn at_next_program(
    pid: u32,
    command: &mut Command,
    when: &When,
) -> Result<ExitStatus, WarpError> {
    use std::os::unix::process::ExitStatusExt as _;
    let mut traced = seize(pid)?;
    let program = command.get_program().to_owned();
    let child = command
        .spawn()
        .map_err(|source| WarpError::Command { program, source })?;
    let child = child.id() as i32;
    let mut ended: Option<(ExitStatus, Instant)> = None;
    loop {
        if let Some((status, at)) = ended {
            if !status.success() {
                return Ok(status);
            }
            if at.elapsed() > EXECUTES_WITHIN {
                // Nothing of it may run at the wrong time. It fails when it has ended already.
                let _ = sys::send(pid as i32, libc::SIGKILL);
                return Err(WarpError::Container(
                    "its process does not execute a program".to_owned(),
                ));
            }
        }
        let flags = if ended.is_some() { libc::WNOHANG } else { 0 };
        let Some((tid, event)) =
            sys::wait(-1, flags).map_err(|error| failed("wait for", pid, error))?
        else {
            if traced.is_empty() {
                return Err(WarpError::NoProcess { pid });
            }
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        match event {
            Event::Exited(code) if tid == child => {
                let status = ExitStatus::from_raw(i32::from(code) << 8);
                ended = Some((status, Instant::now()));
            }
            Event::Killed(signal) if tid == child => {
                ended = Some((ExitStatus::from_raw(signal), Instant::now()));
            }
            Event::Exited(_) | Event::Killed(_) => {
                traced.remove(&tid);
                if tid == pid as i32 {
                    // It ended without executing anything: whoever asked for it is told by the command.
                    traced.clear();
                    if let Some((status, _)) = ended {
                        return Ok(status);
                    }
                }
            }
            Event::Stopped(_, libc::PTRACE_EVENT_EXEC) => {
                let warped = Found::at_exec(tid as u32).and_then(|found| {
                    let (_lock, offsets) = when.now()?;
                    found.write(tid, offsets.nanoseconds()?)
                });
                if let Err(error) = warped {
                    let _ = sys::send(tid, libc::SIGKILL);
                    let _ = sys::resume(tid, Resume::Detach, 0);
                    return Err(error);
                }
                let _ = sys::resume(tid, Resume::Detach, 0);
                return match ended {
                    Some((status, _)) => Ok(status),
                    None => await_command(child),
                };
            }
            Event::Stopped(
                _,
                libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE,
            ) => {
                if let Ok(new) = ptrace::getevent(Pid::from_raw(tid)) {
                    traced.insert(new as i32);
                }
                go_on(tid, 0);
            }
            Event::Stopped(signal, event) if is_stop(event) => {
                let group = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
                if group.contains(&signal) && traced.contains(&tid) {
                    let _ = sys::resume(tid, Resume::Listen, 0);
                } else {
                    go_on(tid, 0);
                }
            }
            Event::Stopped(signal, 0) => go_on(tid, signal),
            Event::Stopped(..) => go_on(tid, 0),
        }
    }
}

fn go_on(tid: i32, signal: i32) {
    // Fails for a thread that was killed, whose end is told next.
    let _ = sys::resume(tid, Resume::Continue, signal);
}

/// Every thread of a process, and those that they make.
fn seize(pid: u32) -> Result<BTreeSet<i32>, WarpError> {
    let options =
        Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_EXITKILL;
    let mut traced = BTreeSet::new();
    // A thread that is made while the list is read is traced by its maker, or is in the next list.
    loop {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))
            .map_err(|_| WarpError::NoProcess { pid })?;
        let new: Vec<i32> = tasks
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|tid| !traced.contains(tid))
            .collect();
        if new.is_empty() {
            return Ok(traced);
        }
        for tid in new {
            match ptrace::seize(Pid::from_raw(tid), options) {
                Ok(()) => {}
                // It was made by one that is traced, or has ended.
                Err(nix::errno::Errno::EPERM) if !traced.is_empty() => {}
                Err(nix::errno::Errno::ESRCH) => continue,
                Err(error) => return Err(failed("trace", pid, error)),
            }
            traced.insert(tid);
        }
    }
}

fn await_command(child: i32) -> Result<ExitStatus, WarpError> {
    use std::os::unix::process::ExitStatusExt as _;
    loop {
        match sys::wait(child, 0).map_err(|error| failed("wait for", child as u32, error))? {
            Some((_, Event::Exited(code))) => {
                return Ok(ExitStatus::from_raw(i32::from(code) << 8));
            }
            Some((_, Event::Killed(signal))) => return Ok(ExitStatus::from_raw(signal)),
            Some(_) => {}
            None => return Err(WarpError::NoProcess { pid: child as u32 }),
        }
    }
}
