//! `certdrill kubeadm`: the engine on a real directory.

use std::ffi::OsString;
use std::process::ExitCode;

use super::{Exit, output};

/// Arguments of `certdrill kubeadm`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What kubeadm would get.
    #[arg(last = true)]
    args: Vec<OsString>,
}

/// Runs the command; the exit code is kubeadm's.
pub(super) fn run(args: &Args) -> ExitCode {
    output::complain(&format!(
        "error: the engine is not part of this build ({} arguments)",
        args.args.len()
    ));
    Exit::Infrastructure.into()
}
