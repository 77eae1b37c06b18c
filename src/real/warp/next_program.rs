//! Waiting for a process that somebody else started to execute its next program, and warping that.

#![expect(
    clippy::disallowed_methods,
    reason = "threads are listed in /proc, and a deadline needs a clock that runs"
)]

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
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
/// How long threads may take to be let go.
const LETS_GO_WITHIN: Duration = Duration::from_secs(5);

/// Traces a process, runs a command that makes it execute a program (`runc start`), and warps that program before
/// its first instruction. Gives how the command ended; when that is a success, the program is warped.
///
/// To be called by a program that does nothing else: every child of the calling process is collected.
///
/// # Errors
/// When the process cannot be traced: the command is not run then. When its program cannot be warped, or none is
/// executed although the command succeeded: it is killed then. A process that ended by itself is no error.
pub(in crate::real::warp) fn at_next_program(
    pid: u32,
    command: &mut Command,
    when: &When,
) -> Result<ExitStatus, WarpError> {
    let mut traced = seize(pid)?;
    let program = command.get_program().to_owned();
    let child = match command.spawn() {
        Ok(child) => child.id() as i32,
        Err(source) => {
            let_go(traced, when);
            return Err(WarpError::Command { program, source });
        }
    };
    let mut ended: Option<(ExitStatus, Instant)> = None;
    loop {
        if let Some((status, at)) = ended {
            if !status.success() || traced.is_empty() {
                // It was not let go on, or ended without executing anything: either is the command's to tell.
                let_go(traced, when);
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
            traced.retain(|tid| sys::send(*tid, 0).is_ok());
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        if tid == child {
            ended = match event {
                Event::Exited(code) => {
                    Some((ExitStatus::from_raw(i32::from(code) << 8), Instant::now()))
                }
                Event::Killed(signal) => Some((ExitStatus::from_raw(signal), Instant::now())),
                Event::Stopped(..) => ended,
            };
            continue;
        }
        if let Event::Stopped(_, libc::PTRACE_EVENT_EXEC) = event {
            let warped = warp(tid, when);
            let status = match ended {
                Some((status, _)) => Ok(status),
                None => await_command(child),
            };
            return warped.and(status);
        }
        note(tid, event, &mut traced);
    }
}

/// Warps a program that was just executed, and lets it run; kills it when it cannot be warped.
fn warp(tid: i32, when: &When) -> Result<(), WarpError> {
    // Held until it is let go: whoever moves a node leaves out what somebody traces.
    let lock = when.now();
    let warped = match &lock {
        Ok((_, offsets)) => {
            Found::at_exec(tid as u32).and_then(|found| found.write(tid, offsets.nanoseconds()?))
        }
        Err(_) => Ok(()),
    };
    if lock.is_err() || warped.is_err() {
        // Fails when it was killed already.
        let _ = sys::send(tid, libc::SIGKILL);
    }
    let _ = sys::resume(tid, Resume::Detach, 0);
    lock.map(drop).and(warped)
}

/// Something that happens before a program is executed.
fn note(tid: i32, event: Event, traced: &mut BTreeSet<i32>) {
    match event {
        Event::Exited(_) | Event::Killed(_) => {
            traced.remove(&tid);
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

/// Stops tracing threads that did not execute anything: they would be killed when this process ends.
fn let_go(mut traced: BTreeSet<i32>, when: &When) {
    // Fails for a thread that has ended.
    traced.retain(|tid| ptrace::interrupt(Pid::from_raw(*tid)).is_ok());
    let deadline = Instant::now() + LETS_GO_WITHIN;
    while !traced.is_empty() && Instant::now() < deadline {
        let Ok(Some((tid, event))) = sys::wait(-1, libc::WNOHANG) else {
            traced.retain(|tid| sys::send(*tid, 0).is_ok());
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        match event {
            Event::Exited(_) | Event::Killed(_) => {}
            // Only if the command failed although it had let the process go on. It is killed when it cannot be warped.
            Event::Stopped(_, libc::PTRACE_EVENT_EXEC) => {
                let _ = warp(tid, when);
            }
            Event::Stopped(_, libc::PTRACE_EVENT_CLONE) => {
                // The new thread stops by itself.
                if let Ok(new) = ptrace::getevent(Pid::from_raw(tid)) {
                    traced.insert(new as i32);
                }
                let _ = sys::resume(tid, Resume::Detach, 0);
            }
            Event::Stopped(signal, event) => {
                let signal = if event == 0 { signal } else { 0 };
                let _ = sys::resume(tid, Resume::Detach, signal);
            }
        }
        traced.remove(&tid);
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
