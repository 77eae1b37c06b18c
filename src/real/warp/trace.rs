//! Staying with a command and what it starts: warping what they execute, counting how they read clocks.

#![expect(
    clippy::disallowed_methods,
    reason = "names of programs are in /proc, and a deadline needs a clock that runs"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;

use super::find::Found;
use super::launch::Held;
use super::patch::State;
use super::stop::is_stop;
use super::sys::{self, Event, Resume, SystemCall};
use super::{Findings, Offsets, Trace, WarpError, When, failed};
use crate::time::SignedDuration;

/// How long the remaining processes may take to be let go when the command has ended.
const RELEASE_MAX: Duration = Duration::from_secs(2);
/// `PTRACE_O_TRACESYSGOOD` sets this in the signal of a stop at a system call.
const AT_SYSTEM_CALL: i32 = libc::SIGTRAP | 0x80;

/// Everything that is traced, by thread, each with where its patch stands.
#[derive(Debug)]
pub(super) struct Tracer {
    when: When,
    /// What the command itself began with.
    offsets: Offsets,
    trace: Trace,
    threads: BTreeMap<i32, Option<Range<u64>>>,
    /// Threads that were seen before the one that made them told so.
    early: BTreeSet<i32>,
    pub(super) findings: Findings,
}

impl Tracer {
    /// Takes over a held command and lets it run.
    ///
    /// It was traced since before its execution in the old way, in which a tracer cannot leave stopped processes
    /// stopped. So it is let go into a stop (SIGSTOP) and seized there.
    pub(super) fn adopt(
        held: &Held,
        when: When,
        offsets: Offsets,
        trace: Trace,
    ) -> Result<Self, WarpError> {
        let pid = held.pid();
        let fail = |what| move |error: std::io::Error| failed(what, pid as u32, error);
        sys::resume(pid, Resume::Detach, libc::SIGSTOP).map_err(fail("stop"))?;
        sys::wait(pid, libc::WUNTRACED).map_err(fail("wait for"))?;
        let mut options = Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC
            // Without certdrill the next program would silently run at the machine's time.
            | Options::PTRACE_O_EXITKILL;
        if trace.checks() {
            options |= Options::PTRACE_O_TRACESYSGOOD;
        }
        ptrace::seize(Pid::from_raw(pid), options).map_err(|error| fail("trace")(error.into()))?;
        let tracer = Self {
            when,
            offsets,
            trace,
            threads: BTreeMap::from([(pid, Some(held.found.code()))]),
            early: BTreeSet::new(),
            findings: Findings::default(),
        };
        // Seizing turns the stop into one that is told.
        if let Some((tid, event)) = sys::wait(pid, 0).map_err(fail("wait for"))? {
            if !matches!(event, Event::Stopped(..)) {
                return Err(WarpError::NoProcess { pid: pid as u32 });
            }
            sys::send(pid, libc::SIGCONT).map_err(fail("continue"))?;
            tracer.go_on(tid, 0);
        }
        Ok(tracer)
    }

    /// Takes note of something that happened, and lets the thread go on.
    pub(super) fn handle(&mut self, tid: i32, event: Event) {
        match event {
            Event::Exited(_) | Event::Killed(_) => {
                self.threads.remove(&tid);
                self.early.remove(&tid);
            }
            Event::Stopped(..) if !self.threads.contains_key(&tid) => {
                self.early.insert(tid);
            }
            Event::Stopped(signal, event) if is_stop(event) => {
                let group = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
                if group.contains(&signal) {
                    // Fails when it was killed.
                    let _ = sys::resume(tid, Resume::Listen, 0);
                } else {
                    self.go_on(tid, 0);
                }
            }
            Event::Stopped(AT_SYSTEM_CALL, _) => {
                if let Ok(Some(call)) = sys::system_call(tid) {
                    self.count(tid, &call);
                }
                self.go_on(tid, 0);
            }
            Event::Stopped(
                _,
                libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE,
            ) => {
                self.born(tid);
                self.go_on(tid, 0);
            }
            Event::Stopped(_, libc::PTRACE_EVENT_EXEC) => {
                self.executed(tid);
                self.go_on(tid, 0);
            }
            Event::Stopped(signal, 0) => self.go_on(tid, signal),
            Event::Stopped(..) => self.go_on(tid, 0),
        }
    }

    fn go_on(&self, tid: i32, signal: i32) {
        let how = if self.trace.checks() {
            Resume::ToSystemCall
        } else {
            Resume::Continue
        };
        // Fails for a thread that was killed, whose end is told next.
        let _ = sys::resume(tid, how, signal);
    }

    fn born(&mut self, parent: i32) {
        let Ok(child) = ptrace::getevent(Pid::from_raw(parent)) else {
            return;
        };
        let child = child as i32;
        let code = self.threads.get(&parent).cloned().flatten();
        self.threads.insert(child, code);
        if self.early.remove(&child) {
            self.go_on(child, 0);
        }
    }

    /// A new program has a new vDSO.
    fn executed(&mut self, tid: i32) {
        let outcome = if self.trace.follows() {
            self.warp(tid).map_err(|error| error.to_string())
        } else {
            Err("executed without --follow".to_owned())
        };
        let code = match outcome {
            Ok(code) => Some(code),
            Err(reason) => {
                if self.trace == Trace::Insist {
                    // Fails when it was killed already.
                    let _ = sys::send(tid, libc::SIGKILL);
                }
                let name = std::fs::read_link(format!("/proc/{tid}/exe"));
                let name = name.map_or_else(
                    |_| format!("process {tid}"),
                    |path| path.display().to_string(),
                );
                self.findings.outside.push(format!("{name}: {reason}"));
                None
            }
        };
        self.threads.insert(tid, code);
    }

    fn warp(&self, tid: i32) -> Result<Range<u64>, WarpError> {
        let found = Found::at_exec(tid as u32)?;
        let (_lock, offsets) = self.when.now()?;
        found.write(tid, offsets.nanoseconds()?)?;
        Ok(found.code())
    }

    /// A reading of a shifted clock is right when the system call comes from the patch.
    fn count(&mut self, tid: i32, call: &SystemCall) {
        if !self.reads_shifted_clock(call) {
            return;
        }
        match self.threads.get(&tid) {
            Some(Some(code)) if code.contains(&call.instruction) => self.findings.honoured += 1,
            Some(Some(_)) => self.findings.around += 1,
            // Told once, when it was executed.
            _ => {}
        }
    }

    fn reads_shifted_clock(&self, call: &SystemCall) -> bool {
        /// `AUDIT_ARCH_I386`: a 64-bit program may make such calls, too.
        const I386: u32 = 0x4000_0003;
        let by_clock = || match call.argument {
            0 | 5 | 8 | 11 => !self.offsets.wall.is_zero(),
            1 | 4 | 6 | 7 | 9 => !self.offsets.timers.is_zero(),
            _ => false,
        };
        let wall = || !self.offsets.wall.is_zero();
        let number = call.number as i64;
        match call.architecture {
            // time, gettimeofday, clock_gettime, clock_gettime64
            I386 => match number {
                13 | 78 => wall(),
                265 | 403 => by_clock(),
                _ => false,
            },
            _ if number == libc::SYS_clock_gettime => by_clock(),
            _ if number == libc::SYS_gettimeofday => wall(),
            #[cfg(target_arch = "x86_64")]
            _ if number == libc::SYS_time => wall(),
            _ => false,
        }
    }

    /// Lets everything go that still runs. It keeps its shifted clock until it executes something.
    ///
    /// A clock file may have been moved since, which did not reach what was traced: that catches up, except for its
    /// timers. The lock is held until everything is let go, so that the next move does reach it.
    pub(super) fn release(mut self) -> Findings {
        let (_lock, wall) = match (&self.when, self.when.now()) {
            (When::By(_), Ok((lock, offsets))) => (lock, Some(offsets.wall)),
            _ => (None, None),
        };
        // One that waited for its parent's word is as good as the others.
        for tid in std::mem::take(&mut self.early) {
            let _ = sys::resume(tid, Resume::Detach, 0);
        }
        // Fails for a thread that has ended.
        self.threads
            .retain(|tid, _| ptrace::interrupt(Pid::from_raw(*tid)).is_ok());
        self.findings.left = self.threads.len();
        let deadline = Instant::now() + RELEASE_MAX;
        while !self.threads.is_empty() && Instant::now() < deadline {
            let Ok(Some((tid, event))) = sys::wait(-1, libc::WNOHANG) else {
                // Those of which nothing will be told any more.
                self.threads.retain(|tid, _| sys::send(*tid, 0).is_ok());
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            if let Event::Stopped(signal, event) = event {
                let signal = if event == 0 && signal != AT_SYSTEM_CALL {
                    signal
                } else {
                    0
                };
                if event == libc::PTRACE_EVENT_EXEC {
                    self.executed(tid);
                }
                let child = ptrace::getevent(Pid::from_raw(tid)).unwrap_or_default() as i32;
                let births = [
                    libc::PTRACE_EVENT_FORK,
                    libc::PTRACE_EVENT_VFORK,
                    libc::PTRACE_EVENT_CLONE,
                ];
                if births.contains(&event) {
                    // It stops by itself.
                    self.threads.insert(child, None);
                }
                if let Some(wall) = wall {
                    // Fails for one that was killed.
                    let _ = catch_up(tid, wall);
                }
                let _ = sys::resume(tid, Resume::Detach, signal);
            }
            self.threads.remove(&tid);
        }
        self.findings
    }
}

/// Gives the process of a stopped thread this offset, if it is warped by another one. One store, so that its other
/// threads may run.
fn catch_up(tid: i32, wall: SignedDuration) -> Result<(), WarpError> {
    let Some(found) = Found::at_once(tid as u32)? else {
        return Ok(());
    };
    if let State::Warped { offsets, .. } = found.state() {
        let before = Offsets::from_nanoseconds(offsets);
        if before.wall != wall {
            found.write(tid, Offsets { wall, ..before }.nanoseconds()?)?;
        }
    }
    Ok(())
}
