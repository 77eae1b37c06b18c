//! The `certdrill` binary: parse, dispatch, exit code.

use std::process::ExitCode;

/// Worlds are many small objects: with the C library's allocator a fifth of a run was spent in malloc.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    certdrill::cli::main()
}
