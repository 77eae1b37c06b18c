//! How certdrill ends.

use std::process::ExitCode;

/// The exit codes of certdrill. They are part of its interface: a CI job may rely on them.
///
/// 101 is left alone: it is what a panic of a Rust program gives. certdrill turns a panic into
/// [`Exit::Internal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Exit {
    /// Everything passed.
    Success,
    /// A bug in certdrill.
    Internal,
    /// The command line is wrong.
    Usage,
    /// A scenario, a trace or the configuration is invalid.
    Invalid,
    /// Nothing was selected, so nothing was shown. Never green.
    NothingSelected,
    /// Two runs with the same seed differ.
    NonDeterminism,
    /// A scenario failed.
    Failed,
    /// A time limit was reached.
    TimeLimit,
    /// Two backends disagree.
    Diverged,
    /// Something outside the subject is missing or broken; there is no verdict.
    Infrastructure,
    /// A report could not be written.
    ReportNotWritten,
    /// This signal asked certdrill to stop: 128 and its number, as a shell has it. Reports are written.
    Interrupted(i32),
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Exit::Success => 0,
            Exit::Internal => 1,
            Exit::Usage => 2,
            Exit::Invalid => 3,
            Exit::NothingSelected => 4,
            Exit::NonDeterminism => 5,
            Exit::Failed => 100,
            Exit::TimeLimit => 102,
            Exit::Diverged => 103,
            Exit::Infrastructure => 104,
            Exit::ReportNotWritten => 110,
            // Signals that are caught have small numbers.
            Exit::Interrupted(signal) => 128 + (signal & 0x3f) as u8,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// For `--help`.
pub(super) const HELP: &str = "\
Exit codes:
  0    everything passed
  1    internal error: a bug in certdrill
  2    the command line is wrong
  3    a scenario, a trace or the configuration is invalid
  4    nothing was selected
  5    two runs with the same seed differ
  100  a scenario failed
  102  a time limit was reached
  103  two backends disagree
  104  something outside the subject is missing or broken: no verdict
  110  a report could not be written
  130  interrupted (128 and the signal); reports hold what was played before

Options can be environment variables, too: --seed as CERTDRILL_SEED. The help of
a command names each.";
