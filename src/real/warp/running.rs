//! Moving the clock of a process that runs already.

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::vdso::{Memory, Vdso, threads};
use super::{Offsets, WarpError, in_force, move_again, patch};
use crate::time::SignedDuration;

/// Rounds of looking for new threads: a process that makes threads faster than this is not caught.
const ROUNDS_MAX: u32 = 100;
/// Single steps after which a thread must have left the few instructions that are overwritten.
const STEPS_MAX: u32 = 10_000;

/// Moves a running process. One that was moved before gets new offsets, without being stopped; any other is
/// stopped while its vDSO is overwritten. When its timers move, every thread is woken once, so that what
/// sleeps looks at the clock again. Gives the offsets that were in force before.
///
/// # Errors
/// When there is no such process or it may not be traced. It runs on unchanged then.
pub fn set(pid: i32, offsets: Offsets) -> Result<Option<Offsets>, WarpError> {
    let memory = Memory::open(pid, true)?;
    let vdso = Vdso::of(pid, &memory)?;
    let before = in_force(&memory, &vdso)?;
    if before.is_some() {
        move_again(&memory, &vdso, offsets)?;
    } else {
        let mut stopped = Stopped::all(pid)?;
        stopped.leave(&vdso)?;
        patch(pid, offsets)?;
    }
    let timers = before.map_or(SignedDuration::ZERO, |before| before.timers);
    if timers != offsets.timers {
        // Stopping a thread ends its sleep in the kernel.
        drop(Stopped::all(pid)?);
    }
    Ok(before)
}

/// Threads that are stopped and traced by this thread; they run again when this is dropped.
struct Stopped {
    /// Each with the signal that must be given to it when it runs on.
    threads: Vec<(Pid, Option<Signal>)>,
}

impl Stopped {
    /// Stops every thread of a process.
    fn all(pid: i32) -> Result<Self, WarpError> {
        let mut stopped = Self {
            threads: Vec::new(),
        };
        for _ in 0..ROUNDS_MAX {
            let fresh: Vec<Pid> = threads(pid)?
                .into_iter()
                .map(Pid::from_raw)
                .filter(|thread| stopped.threads.iter().all(|(known, _)| known != thread))
                .collect();
            if fresh.is_empty() {
                return Ok(stopped);
            }
            for thread in fresh {
                match ptrace::seize(thread, Options::empty()) {
                    Ok(()) => {}
                    // It ended in the meantime.
                    Err(Errno::ESRCH) => continue,
                    Err(errno) => return Err(WarpError::errno(thread, "trace a thread", errno)),
                }
                match ptrace::interrupt(thread) {
                    Ok(()) => {}
                    Err(Errno::ESRCH) => continue,
                    Err(errno) => return Err(WarpError::errno(thread, "stop a thread", errno)),
                }
                match waitpid(thread, Some(WaitPidFlag::__WALL)) {
                    Ok(WaitStatus::PtraceEvent(..)) => stopped.threads.push((thread, None)),
                    // A signal came first; it is delivered when the thread runs on.
                    Ok(WaitStatus::Stopped(_, signal)) => {
                        stopped.threads.push((thread, Some(signal)));
                    }
                    _ => {}
                }
            }
        }
        Err(WarpError::Refused {
            pid,
            what: "catch every thread".to_owned(),
            source: std::io::Error::other("it starts threads faster than they can be stopped"),
        })
    }

    /// Lets threads that are inside the vDSO get out of it first: they may be in what is overwritten, or come
    /// back to it.
    fn leave(&mut self, vdso: &Vdso) -> Result<(), WarpError> {
        for (thread, pending) in &mut self.threads {
            let mut steps = 0;
            while let Some(at) = instruction(*thread)?
                && vdso.range.contains(&at)
            {
                steps += 1;
                if steps > STEPS_MAX {
                    return Err(WarpError::Refused {
                        pid: thread.as_raw(),
                        what: "leave the vDSO".to_owned(),
                        source: std::io::Error::other("a thread does not come out of it"),
                    });
                }
                ptrace::step(*thread, None)
                    .map_err(|errno| WarpError::errno(*thread, "step a thread", errno))?;
                match waitpid(*thread, Some(WaitPidFlag::__WALL)) {
                    Ok(WaitStatus::Stopped(_, Signal::SIGTRAP) | WaitStatus::PtraceEvent(..)) => {}
                    Ok(WaitStatus::Stopped(_, signal)) => *pending = Some(signal),
                    _ => break,
                }
            }
        }
        Ok(())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for (thread, pending) in &self.threads {
            // A thread that ended meanwhile needs nothing any more.
            let _ = ptrace::detach(*thread, *pending);
        }
    }
}

/// Where a stopped thread is.
#[cfg(target_arch = "x86_64")]
fn instruction(thread: Pid) -> Result<Option<u64>, WarpError> {
    match ptrace::getregs(thread) {
        Ok(registers) => Ok(Some(registers.rip)),
        Err(Errno::ESRCH) => Ok(None),
        Err(errno) => Err(WarpError::errno(thread, "read the registers", errno)),
    }
}

/// Where a stopped thread is.
#[cfg(not(target_arch = "x86_64"))]
fn instruction(thread: Pid) -> Result<Option<u64>, WarpError> {
    match ptrace::getregset::<ptrace::regset::NT_PRSTATUS>(thread) {
        Ok(registers) => Ok(Some(registers.pc)),
        Err(Errno::ESRCH) => Ok(None),
        Err(errno) => Err(WarpError::errno(thread, "read the registers", errno)),
    }
}
