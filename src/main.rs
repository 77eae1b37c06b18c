//! The `certdrill` binary: parse, dispatch, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    certdrill::cli::main()
}
