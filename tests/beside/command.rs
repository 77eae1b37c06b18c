//! certdrill as people call it, in a folder with the disks of a cluster.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::cluster;

/// A cluster's disks, laid out as directories of a folder.
pub fn disks(version: &str, control_planes: u32, workers: u32) -> TempDir {
    let folder = TempDir::new().unwrap();
    cluster::disks(folder.path(), version, control_planes, workers);
    folder
}

pub fn certdrill(folder: &Path, args: &[&str], input: Option<&[u8]>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certdrill"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CERTDRILL_") && name != "CERTDRILL_ENGINES" {
            command.env_remove(name);
        }
    }
    let mut child = command
        .current_dir(folder)
        .env("COLUMNS", "100")
        .env("NO_COLOR", "1")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that refuses early does not read its input.
    let _ = stdin.write_all(input.unwrap_or_default());
    drop(stdin);
    child.wait_with_output().unwrap()
}

pub fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[track_caller]
pub fn ended(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", text(output));
}
