//! The time warp: a process that sees another time than the machine.
//!
//! On Linux a program reads its clocks through the vDSO, a small shared object that the kernel maps into
//! every process. The mapping is private, so its code can be replaced in one process alone. The replacement
//! does the real system call and adds one offset to the wall clocks and another one to the clocks that timers
//! run on. It works on unmodified binaries, static ones included (kubeadm and everything else written in Go),
//! needs no privilege beyond tracing one's own child, and leaves the machine's clock alone.
//!
//! What it cannot move: programs that read clocks by raw system calls (`certdrill warp --check` finds them),
//! times that the kernel itself gives (of files, for example), and the clock of a program that a warped
//! program executes, unless it is followed ([`Trace::Follow`]).
//!
//! - [`spawn`] starts a command warped, [`set`] and [`set_all`] move running processes, [`show`] tells.
//! - [`run`] is what `certdrill warp` does: start, forward signals, wait, optionally follow and check.
//! - [`clock_file`], [`node`] and [`runc`] keep a whole machine in a container at one time: a file says which, whatever
//!   starts there takes it from the file, and a move changes the file and all processes at once. [`calm`] tells when what
//!   that set off is done.
//!
//! x86-64 is tested. For aarch64 the same is written down, but was never run on such a machine; of it only
//! the patched code was tried, under qemu.
//! Elsewhere every function returns [`WarpError::Platform`].

pub mod calm;
pub mod clock_file;
mod error;
pub mod node;
mod offsets;
pub mod runc;

#[cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
#[path = "linux.rs"]
mod platform;
#[cfg(not(all(
    target_os = "linux",
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
#[path = "elsewhere.rs"]
mod platform;

use std::process::{Child, Command};

use clock_file::{ClockFile, Locked};
pub(crate) use error::FORBIDDEN;
pub use error::WarpError;
pub use offsets::Offsets;

use crate::time::Timestamp;

/// Which time a command gets.
#[derive(Debug, Clone)]
pub enum When {
    /// This one.
    At(Offsets),
    /// The one that a file says at the moment at which a program is executed.
    By(ClockFile),
}

impl When {
    /// Whether nothing is to be warped at all: a clock file says that it is [fixed](clock_file::FIXED).
    pub(crate) fn is_fixed(&self) -> Result<bool, WarpError> {
        match self {
            Self::At(_) => Ok(false),
            Self::By(clock) => Ok(clock.shared()?.is_fixed()),
        }
    }

    /// The offsets, and a lock to hold until the program is warped.
    pub(crate) fn now(&self) -> Result<(Option<Locked>, Offsets), WarpError> {
        match self {
            Self::At(offsets) => Ok((None, *offsets)),
            Self::By(clock) => {
                let locked = clock.shared()?;
                let offsets = locked.offsets();
                Ok((Some(locked), offsets))
            }
        }
    }
}

/// What [`run`] does beside starting a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trace {
    /// Nothing: the command is warped, let go and waited for.
    #[default]
    Nothing,
    /// Programs that it executes, and those that its children execute, are warped, too.
    Follow,
    /// The same; a program that cannot be warped is killed.
    Insist,
    /// Readings of clocks are counted. What it executes is not warped, and told.
    Check,
    /// Both.
    FollowAndCheck,
}

impl Trace {
    /// Whether programs executed later are warped.
    #[must_use]
    pub fn follows(self) -> bool {
        matches!(self, Self::Follow | Self::Insist | Self::FollowAndCheck)
    }

    /// Whether readings are counted.
    #[must_use]
    pub fn checks(self) -> bool {
        matches!(self, Self::Check | Self::FollowAndCheck)
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It exited with this code.
    Exited(u8),
    /// This signal killed it.
    Killed(i32),
}

/// What tracing found out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// Readings of shifted clocks that gave the shifted time. Only counted when checking.
    pub honoured: u64,
    /// Readings of shifted clocks that went round the vDSO and gave the machine's time. Only counted when checking.
    pub around: u64,
    /// Programs that were executed and run on the machine's own clock, each with the reason.
    pub outside: Vec<String>,
    /// Threads that still ran when the command ended. They keep their clock until they execute something.
    pub left: usize,
}

/// Starts a command with shifted clocks. Clocks are shifted before its first instruction.
///
/// May be called from any thread of a program with many; it returns when the command runs. `pre_exec`
/// closures and all other settings of the command are kept. Neither children of the command that execute
/// something nor programs that it turns into are warped; children that only fork are.
///
/// No other thread of the caller may collect children that it does not know (`waitpid(-1, …)`) meanwhile.
///
/// # Errors
/// When the command cannot be started ([`WarpError::Command`]) or cannot be warped; then it is killed before
/// its first instruction.
pub fn spawn(command: &mut Command, offsets: Offsets) -> Result<Child, WarpError> {
    platform::spawn(command, offsets)
}

/// Starts a command, forwards signals to it, collects orphans, and waits until it ends.
///
/// Meant for a program that does nothing else: the signal mask of the calling thread is changed, and every child
/// of the process is collected. The calling thread should be the only one. By a clock file that is
/// [fixed](clock_file::FIXED) it becomes the command, and does not return.
///
/// # Errors
/// As [`spawn`].
pub fn run(
    command: &mut Command,
    when: &When,
    trace: Trace,
) -> Result<(Ending, Findings), WarpError> {
    if when.is_fixed()? {
        return Err(become_it(command));
    }
    platform::run(command, when, trace)
}

/// Turns this process into a command, without a warp. Only an error comes back.
fn become_it(command: &mut Command) -> WarpError {
    use std::os::unix::process::CommandExt as _;
    let source = command.exec();
    WarpError::Command {
        program: command.get_program().to_owned(),
        source,
    }
}

/// Ends this process by a signal, so that whoever waits for it sees that; with code 128 + signal where the
/// signal cannot kill (as PID 1).
pub fn die_by(signal: i32) -> ! {
    platform::die_by(signal)
}

/// Gives a running process these offsets. See [`set_all`].
///
/// # Errors
/// When the process cannot be stopped or warped.
pub fn set(pid: u32, offsets: Offsets) -> Result<(), WarpError> {
    set_all(&[pid], |_| offsets)
}

/// Gives running processes new offsets, all at once: while they change, every thread of all of them is stopped.
/// The closure gets the offsets in force. Processes that were not warped become so.
///
/// Threads that sleep in `epoll_wait` and similar calls are woken, so that they look at the clock again. A
/// sleep that the kernel itself counts (`nanosleep`) is not cut short.
///
/// # Errors
/// When a process is not there, cannot be stopped or warped, or its timers' clock would go back. Then no process was
/// moved. One that is killed while it is moved is no error.
pub fn set_all(pids: &[u32], choose: impl Fn(Offsets) -> Offsets + Sync) -> Result<(), WarpError> {
    platform::set_all(pids, &|_, before| choose(before))
}

/// The offsets of a running process; `None` when it was never warped.
///
/// # Errors
/// When its memory cannot be read.
pub fn show(pid: u32) -> Result<Option<Offsets>, WarpError> {
    platform::show(pid)
}

/// The machine's time, also when this process is warped itself.
#[must_use]
pub fn machine_time() -> Timestamp {
    platform::machine_time()
}
