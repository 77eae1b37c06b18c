//! A command whose descendants are traced: to move their clocks too, or to see whether a program honours a
//! moved clock at all.

use std::collections::BTreeMap;
use std::ops::Range;
use std::process::Command;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::vdso::{Memory, Vdso};
use super::{Offsets, WarpError, patch, raw, spawn_stopped};

/// How a followed command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// With an exit code.
    Exited(i32),
    /// By a signal.
    Signaled(i32),
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// How the command ended.
    pub end: Followed,
    /// Readings of a wall clock through the replaced functions.
    pub shifted: u64,
    /// Readings of a wall clock by a system call of the program's own: they give the machine's time.
    pub bypassed: u64,
}

/// Starts a command and moves its clocks and those of everything it starts, through `fork` and `exec`. Waits
/// for it. `started` gets its process id. Must be called on a thread that has no other children to wait for.
///
/// # Errors
/// When it does not start or its clock cannot be moved.
pub fn follow(
    command: &mut Command,
    offsets: Offsets,
    started: impl FnOnce(i32),
) -> Result<Followed, WarpError> {
    let options = Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC;
    let mut tracer = Tracer::start(command, offsets, options, started)?;
    tracer.run()
}

/// Runs a command with a moved clock and counts its readings of the wall clock: those that are shifted, and
/// those that go round the vDSO. Slow, since every system call stops.
///
/// # Errors
/// As [`follow`].
pub fn check(
    command: &mut Command,
    offsets: Offsets,
    started: impl FnOnce(i32),
) -> Result<Checked, WarpError> {
    let options =
        Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_TRACESYSGOOD;
    let mut tracer = Tracer::start(command, offsets, options, started)?;
    tracer.count = true;
    let end = tracer.run()?;
    Ok(Checked {
        end,
        shifted: tracer.shifted,
        bypassed: tracer.bypassed,
    })
}

struct Tracer {
    main: Pid,
    offsets: Offsets,
    /// Every system call stops, and readings of the clock are counted.
    count: bool,
    shifted: u64,
    bypassed: u64,
    /// Addresses of each thread's vDSO.
    vdso: BTreeMap<Pid, Range<u64>>,
    /// Threads between the beginning and the end of a system call.
    inside: BTreeMap<Pid, bool>,
}

impl Tracer {
    fn start(
        command: &mut Command,
        offsets: Offsets,
        options: Options,
        started: impl FnOnce(i32),
    ) -> Result<Self, WarpError> {
        let (_, main) = spawn_stopped(command)?;
        let refused = |what: &'static str| move |errno| WarpError::errno(main, what, errno);
        patch(main.as_raw(), offsets).inspect_err(|_| {
            // It never ran; it may be gone already.
            let _ = kill(main, Signal::SIGKILL);
            let _ = waitpid(main, None);
        })?;
        // Traced as from its first day, it would not stay stopped on Ctrl-Z: seize it instead.
        ptrace::detach(main, Signal::SIGSTOP).map_err(refused("let go"))?;
        waitpid(main, Some(WaitPidFlag::WUNTRACED)).map_err(refused("wait"))?;
        ptrace::seize(main, options).map_err(refused("trace it"))?;
        let tracer = Self {
            main,
            offsets,
            count: false,
            shifted: 0,
            bypassed: 0,
            vdso: BTreeMap::new(),
            inside: BTreeMap::new(),
        };
        kill(main, Signal::SIGCONT).map_err(refused("continue"))?;
        started(main.as_raw());
        Ok(tracer)
    }

    /// Serves stops until the command has ended.
    fn run(&mut self) -> Result<Followed, WarpError> {
        loop {
            let status = match waitpid(None, Some(WaitPidFlag::__WALL)) {
                Ok(status) => status,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(WarpError::errno(self.main, "wait", errno)),
            };
            match status {
                WaitStatus::Exited(pid, code) if pid == self.main => {
                    return Ok(Followed::Exited(code));
                }
                WaitStatus::Signaled(pid, signal, _) if pid == self.main => {
                    return Ok(Followed::Signaled(signal as i32));
                }
                WaitStatus::PtraceEvent(pid, signal, event) => self.event(pid, signal, event)?,
                WaitStatus::PtraceSyscall(pid) => {
                    self.system_call(pid);
                    self.resume(pid, None);
                }
                WaitStatus::Stopped(pid, signal) => self.resume(pid, Some(signal)),
                _ => {}
            }
        }
    }

    fn event(&mut self, pid: Pid, signal: Signal, event: i32) -> Result<(), WarpError> {
        if event == libc::PTRACE_EVENT_EXEC {
            self.vdso.remove(&pid);
            // The old program's other threads are gone, and `pid` is the whole process.
            patch(pid.as_raw(), self.offsets)?;
        }
        let stopping = matches!(
            signal,
            Signal::SIGSTOP | Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU
        );
        if event == libc::PTRACE_EVENT_STOP && stopping {
            // A group stop: it lasts until somebody sends SIGCONT. A thread that died needs nothing.
            let _ = raw::listen(pid);
        } else {
            self.resume(pid, None);
        }
        Ok(())
    }

    fn resume(&self, pid: Pid, signal: Option<Signal>) {
        // A thread may have been killed in the meantime; its end is reported by itself.
        let _ = if self.count {
            ptrace::syscall(pid, signal)
        } else {
            ptrace::cont(pid, signal)
        };
    }

    /// Counts a reading of the wall clock.
    #[cfg(target_arch = "x86_64")]
    fn system_call(&mut self, thread: Pid) {
        let inside = self.inside.entry(thread).or_default();
        *inside = !*inside;
        if !*inside {
            return;
        }
        let Ok(registers) = ptrace::getregs(thread) else {
            return;
        };
        let wall = match i64::try_from(registers.orig_rax).unwrap_or(-1) {
            libc::SYS_clock_gettime => matches!(registers.rdi, 0 | 5 | 11),
            libc::SYS_gettimeofday => registers.rdi != 0,
            libc::SYS_time => true,
            _ => false,
        };
        if !wall {
            return;
        }
        if !self.vdso.contains_key(&thread)
            && let Ok(memory) = Memory::open(thread.as_raw(), false)
            && let Ok(vdso) = Vdso::of(thread.as_raw(), &memory)
        {
            self.vdso.insert(thread, vdso.range);
        }
        match self.vdso.get(&thread) {
            Some(range) if range.contains(&registers.rip) => self.shifted += 1,
            _ => self.bypassed += 1,
        }
    }

    /// Not known how on this processor.
    #[cfg(not(target_arch = "x86_64"))]
    fn system_call(&mut self, _: Pid) {}
}
