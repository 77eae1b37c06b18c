//! The `certdrill` binary: parse, dispatch, exit code.

use std::process::ExitCode;

/// Worlds are many small objects: a fifth of a run was spent in malloc, and most of it in musl's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    certdrill::cli::main()
}
