//! How certdrill ends.

use std::process::ExitCode;

/// The exit codes of certdrill. They are part of its interface: a CI job may rely on them.
///
/// 101 is left alone: it is what a panic of a Rust program gives. certdrill turns a panic into
/// [`Exit::Internal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Exit {
    /// Everything passed.
    Success = 0,
    /// A bug in certdrill.
    Internal = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A scenario, a trace or the configuration is invalid.
    Invalid = 3,
    /// Nothing was selected, so nothing was shown. Never green.
    NothingSelected = 4,
    /// Two runs with the same seed differ.
    NonDeterminism = 5,
    /// A scenario failed.
    Failed = 100,
    /// A time limit was reached.
    TimeLimit = 102,
    /// Two backends disagree.
    Diverged = 103,
    /// Something outside the subject is missing or broken; there is no verdict.
    Infrastructure = 104,
    /// A report could not be written.
    ReportNotWritten = 110,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
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

Every option can also be given as an environment variable: --seed as CERTDRILL_SEED.";
