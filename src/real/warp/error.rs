//! Why clocks could not be shifted.

use std::ffi::OsString;
use std::io;

use crate::time::{SignedDuration, span};

/// How [`WarpError::Forbidden`] begins: another process than that which tells of it may look for these words.
pub(crate) const FORBIDDEN: &str = "may not trace";

/// Why a process could not be started, warped or looked at. The source says what the system answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WarpError {
    /// The command could not be started, warped or not.
    #[error("cannot start {}", program.display())]
    Command {
        /// What was to be executed.
        program: OsString,
        /// Why; `NotFound` and `PermissionDenied` as the standard library tells them.
        #[source]
        source: io::Error,
    },

    /// The system does not let this process trace the other one.
    #[error("{FORBIDDEN} {subject}{reason}")]
    Forbidden {
        /// Which process.
        subject: String,
        /// What forbids it, as far as can be seen: begins with `: ` or is empty.
        reason: String,
        /// The answer.
        #[source]
        source: io::Error,
    },

    /// There is no such process, or it ended meanwhile.
    #[error("there is no process {pid}, or it has ended")]
    NoProcess {
        /// Its number.
        pid: u32,
    },

    /// `/proc` is not mounted, or belongs to another PID namespace.
    #[error("/proc does not show this PID namespace")]
    Proc,

    /// A program whose clock certdrill cannot shift.
    #[error("process {pid} is not a 64-bit program of this machine's own kind")]
    Foreign {
        /// Its number.
        pid: u32,
    },

    /// The kernel gave the process no vDSO.
    #[error("process {pid} has no vDSO: it reads its clocks by system calls")]
    NoVdso {
        /// Its number.
        pid: u32,
    },

    /// The vDSO is not as expected.
    #[error("the vDSO of process {pid} cannot be patched: {what}")]
    Vdso {
        /// Its number.
        pid: u32,
        /// What is not as expected.
        what: String,
    },

    /// Warped by a certdrill with another layout.
    #[error("process {pid} was warped by another version of certdrill (layout {layout})")]
    Layout {
        /// Its number.
        pid: u32,
        /// The layout it has.
        layout: u32,
    },

    /// More than 292 years.
    #[error("a shift of {} is too far: 292 years are the most", span::display(*.span))]
    TooFar {
        /// How far it was to be.
        span: SignedDuration,
    },

    /// The clock that timers run on would go back, which no program expects.
    #[error("the timers' clock of process {pid} would go back by {}", span::display(*.by))]
    Backwards {
        /// Its number; 0 for a command that was not started yet.
        pid: u32,
        /// How far.
        by: SignedDuration,
    },

    /// A thread did not stop in time.
    #[error("thread {tid} of process {pid} does not stop")]
    Stuck {
        /// The process.
        pid: u32,
        /// The thread.
        tid: i32,
    },

    /// A clock file cannot be used.
    #[error("the clock file {}: {what}", path.display())]
    Clock {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        what: String,
    },

    /// A container could not be started at its node's time.
    #[error("a container cannot be started at its node's time: {0}")]
    Container(String),

    /// A system call failed for which there is no better word.
    #[error("cannot {what} process {pid}")]
    System {
        /// What was to be done.
        what: &'static str,
        /// With which process.
        pid: u32,
        /// The answer.
        #[source]
        source: io::Error,
    },

    /// Neither Linux on x86-64 nor on aarch64.
    #[error("the time warp works on Linux on x86-64 and aarch64 only")]
    Platform,
}

impl WarpError {
    /// What to do next.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Command { .. } => "check the spelling, PATH and the permissions of the file",
            Self::Forbidden { .. } => {
                "run as the same user or as root; in a container allow ptrace (--cap-add SYS_PTRACE, or a seccomp profile that permits it); end other tracers (strace, gdb, certdrill warp --follow)"
            }
            Self::NoProcess { .. } => "look for its number with ps or pgrep",
            Self::Proc => "mount it: mount -t proc proc /proc",
            Self::Foreign { .. } => "use a 64-bit build of the program",
            Self::NoVdso { .. } => {
                "boot the kernel without vdso=0; gVisor and similar sandboxes cannot be warped"
            }
            Self::Vdso { .. } => "report it with the output of: uname -a",
            Self::Layout { .. } => "start the process again with this certdrill",
            Self::TooFar { .. } => "take a time nearer to now",
            Self::Backwards { .. } => {
                "move the wall clock alone (leave --timers out), or start the process again"
            }
            Self::Stuck { .. } => {
                "try again when it does not wait for a device or for a child that was just forked"
            }
            Self::Clock { .. } => "write it with: echo 'wall +370d' > FILE",
            Self::Container(_) => "look at the container runtime's log",
            Self::System { .. } => "see whether the process still runs, then try again",
            Self::Platform => "run certdrill in a Linux virtual machine or container",
        }
    }
}
