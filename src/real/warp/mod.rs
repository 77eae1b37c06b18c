//! Time warp: an unmodified program that sees another time.
//!
//! Programs read the clock through the kernel's vDSO, a page that each process has a private copy of. A
//! process is stopped right after its `exec`, that page's `clock_gettime`, `gettimeofday` and `time` are
//! overwritten with a routine that makes the real system call and adds an offset, and it runs on. It costs a
//! system call for each reading of the clock and nothing else. No privilege is needed beyond tracing one's
//! own child; neither the machine's clock nor any other process notices.
//!
//! Not moved: file times, a program that makes the system call itself ([`check`] tells), and programs
//! that a moved program starts, unless they are followed.

#![expect(
    clippy::disallowed_methods,
    reason = "processes of the machine are looked at and their clocks are read"
)]

mod follow;
#[expect(
    unsafe_code,
    reason = "machine code for another process, and two system calls that no crate wraps safely"
)]
mod raw;
mod routine;
mod running;
mod vdso;

use std::process::{Child, Command};

use nix::sys::ptrace;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::time::{SignedDuration, Timestamp};
use routine::{MAGIC, MAGIC_AT, MASK_AT, TIMERS_AT, WALL_AT, jump, words};
use vdso::{Memory, Vdso};

pub use follow::{Checked, Followed, check, follow};
pub use running::set;

/// How a process's clocks differ from the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offsets {
    /// Its wall clocks.
    pub wall: Wall,
    /// What is added to its monotonic clocks, so that its timers come due.
    pub timers: SignedDuration,
}

/// What a process's wall clock shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wall {
    /// The machine's time and this much more.
    Ahead(SignedDuration),
    /// Always the same instant.
    Still(Timestamp),
}

impl Offsets {
    /// A wall clock that runs, shifted.
    #[must_use]
    pub fn ahead(span: SignedDuration) -> Self {
        Self {
            wall: Wall::Ahead(span),
            timers: SignedDuration::ZERO,
        }
    }

    /// A wall clock that stands still; timers run.
    #[must_use]
    pub fn still(at: Timestamp) -> Self {
        Self {
            wall: Wall::Still(at),
            timers: SignedDuration::ZERO,
        }
    }
}

/// Why a clock cannot be moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WarpError {
    /// This processor or operating system is not known.
    #[error("the clock of a process can be moved on Linux, x86-64 and aarch64, only")]
    Platform,
    /// The program cannot be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// There is no such process.
    #[error("there is no process {pid}")]
    NoProcess {
        /// Its id.
        pid: i32,
    },
    /// The kernel does not let us.
    #[error("cannot {what} of process {pid}: {source}")]
    Refused {
        /// The process.
        pid: i32,
        /// What was tried.
        what: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The process has no vDSO that is understood.
    #[error("process {pid} has no vDSO with clock functions that could be replaced")]
    NoVdso {
        /// The process.
        pid: i32,
    },
    /// The vDSO's functions are too short for what takes their place.
    #[error("the vDSO of this kernel is built otherwise: {what} has only {bytes} bytes")]
    Short {
        /// The function.
        what: &'static str,
        /// Its length.
        bytes: u64,
    },
    /// A 32-bit program.
    #[error("process {pid} is a 32-bit program; only 64-bit programs can be moved in time")]
    Not64Bit {
        /// The process.
        pid: i32,
    },
    /// The shift is too long.
    #[error("the shift does not fit: clocks can be moved between the years 1678 and 2262")]
    OutOfRange,
}

impl WarpError {
    fn of_process(pid: i32, what: &str, source: std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::NotFound => Self::NoProcess { pid },
            _ if source.raw_os_error() == Some(nix::libc::ESRCH) => Self::NoProcess { pid },
            _ => Self::Refused {
                pid,
                what: what.to_owned(),
                source,
            },
        }
    }

    fn errno(pid: Pid, what: &str, errno: nix::errno::Errno) -> Self {
        Self::of_process(pid.as_raw(), what, errno.into())
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Platform => {
                "use another machine, or libfaketime for programs that link libc dynamically"
            }
            Self::Start { .. } => "give a program that can be run here",
            Self::NoProcess { .. } => "look at the process ids again",
            Self::Refused { .. } => {
                "tracing must be allowed: not by a seccomp profile without ptrace, not beyond \
                 kernel.yama.ptrace_scope=1 (2 needs CAP_SYS_PTRACE), and not with the kernel option \
                 proc_mem.force_override=never; for a process of another user be root"
            }
            Self::NoVdso { .. } | Self::Short { .. } => {
                "a kernel booted with vdso=0 gives programs none; report the kernel version if it is another one"
            }
            Self::Not64Bit { .. } => "use the 64-bit build of the program",
            Self::OutOfRange => "choose a time between 1678 and 2262",
        }
    }
}

/// Starts a command whose clocks are moved from its first instruction on. Programs that it starts in turn
/// see the machine's time.
///
/// # Errors
/// When it does not start or its clock cannot be moved; then it does not run.
pub fn spawn(command: &mut Command, offsets: Offsets) -> Result<Child, WarpError> {
    let (mut child, pid) = spawn_stopped(command)?;
    let moved = patch(pid.as_raw(), offsets).and_then(|()| {
        ptrace::detach(pid, None).map_err(|errno| WarpError::errno(pid, "let go", errno))
    });
    if let Err(error) = moved {
        // It never ran, so nothing is lost; it may be gone already.
        let _ = child.kill();
        let _ = child.wait();
        return Err(error);
    }
    Ok(child)
}

/// Starts a command that is stopped at its `exec`, traced by this thread.
fn spawn_stopped(command: &mut Command) -> Result<(Child, Pid), WarpError> {
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        return Err(WarpError::Platform);
    }
    raw::trace_at_exec(command);
    let program = || command_name(command);
    let name = program();
    let child = command.spawn().map_err(|source| WarpError::Start {
        program: name,
        source,
    })?;
    let pid = Pid::from_raw(child.id().cast_signed());
    match waitpid(pid, None) {
        Ok(WaitStatus::Stopped(..)) => Ok((child, pid)),
        Ok(_) => Err(WarpError::NoProcess { pid: pid.as_raw() }),
        Err(errno) => Err(WarpError::errno(pid, "wait for the start", errno)),
    }
}

fn command_name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

/// The offsets in force in a process; `None` where its clock was never moved.
///
/// # Errors
/// When there is no such process or it may not be looked at.
pub fn show(pid: i32) -> Result<Option<Offsets>, WarpError> {
    let memory = Memory::open(pid, false)?;
    let vdso = Vdso::of(pid, &memory)?;
    in_force(&memory, &vdso)
}

fn in_force(memory: &Memory, vdso: &Vdso) -> Result<Option<Offsets>, WarpError> {
    let base = vdso.clock_gettime.start;
    let word = |at: usize| memory.word(base + at as u64).map(u64::cast_signed);
    if word(MAGIC_AT)? != MAGIC.cast_signed() {
        return Ok(None);
    }
    let wall = word(WALL_AT)?;
    Ok(Some(Offsets {
        wall: if word(MASK_AT)? == 0 {
            Timestamp::from_nanosecond(i128::from(wall))
                .map_or(Wall::Ahead(SignedDuration::ZERO), Wall::Still)
        } else {
            Wall::Ahead(SignedDuration::from_nanos(wall))
        },
        timers: SignedDuration::from_nanos(word(TIMERS_AT)?),
    }))
}

/// Writes the routine into a process none of whose threads runs, or moves it again.
fn patch(pid: i32, offsets: Offsets) -> Result<(), WarpError> {
    let memory = Memory::open(pid, true)?;
    let vdso = Vdso::of(pid, &memory)?;
    if in_force(&memory, &vdso)?.is_some() {
        return move_again(&memory, &vdso, offsets);
    }
    let routine = raw::routine();
    let code = routine.with(offsets).ok_or(WarpError::OutOfRange)?;
    let base = vdso.clock_gettime.start;
    let fits = |range: &std::ops::Range<u64>, what, needed: usize| {
        let bytes = range.end - range.start;
        if bytes < needed as u64 {
            Err(WarpError::Short { what, bytes })
        } else {
            Ok(())
        }
    };
    fits(&vdso.clock_gettime, "clock_gettime", code.len())?;
    let mut jumps = Vec::new();
    for (range, what, entry) in [
        (&vdso.gettimeofday, "gettimeofday", routine.gettimeofday),
        (&vdso.time, "time", routine.time),
    ] {
        if let Some(range) = range {
            let jump = jump(range.start, base + entry as u64).ok_or(WarpError::OutOfRange)?;
            fits(range, what, jump.len())?;
            jumps.push((range.start, jump));
        }
    }
    memory.write(base, &code)?;
    for (at, jump) in jumps {
        memory.write(at, &jump)?;
    }
    Ok(())
}

/// Each offset is one aligned store: no thread ever reads half of one.
fn move_again(memory: &Memory, vdso: &Vdso, offsets: Offsets) -> Result<(), WarpError> {
    for (at, word) in words(offsets).ok_or(WarpError::OutOfRange)? {
        memory.write(vdso.clock_gettime.start + at as u64, &word.to_le_bytes())?;
    }
    Ok(())
}
