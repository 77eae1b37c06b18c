//! The command line: one file per sub-command.

pub mod kubeadm;

use std::process::ExitCode;

/// Parses the arguments, runs the command and says how it ended.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
