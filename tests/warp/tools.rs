//! What the tests are made of.

use std::io::BufReader;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use certdrill::real::warp::{self};

pub const DAY: i64 = 86_400;
/// What `time()` and whole seconds may be behind a clock with a finer tick.
pub const TOLERANCE_S: i64 = 2;

pub fn certdrill(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certdrill"));
    command.arg("warp").args(args);
    command
}

/// Runs it; returns the exit code, standard output and standard error.
pub fn outcome(command: &mut Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// What a command that succeeds prints.
pub fn printed(command: &mut Command) -> String {
    let (code, stdout, stderr) = outcome(command);
    assert_eq!(code, Some(0), "{stderr}");
    stdout.trim().to_owned()
}

pub fn machine_s() -> i64 {
    warp::machine_time().as_second()
}

/// Runs something that prints seconds since 1970, and tells how far they are from the machine's time.
pub fn days_off(read: impl FnOnce() -> String) -> i64 {
    let before = machine_s();
    let text = read();
    let after = machine_s();
    let seen: i64 = text.parse().unwrap_or_else(|_| panic!("{text:?}"));
    let off =
        (seen - before).div_euclid(DAY) + i64::from((seen - before).rem_euclid(DAY) > DAY / 2);
    let range = before + off * DAY - TOLERANCE_S..=after + off * DAY + TOLERANCE_S;
    assert!(range.contains(&seen), "{seen} is not in {range:?}");
    off
}

/// A tool that is on PATH, or a note that it is not.
pub fn tool(name: &str) -> Option<PathBuf> {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.or_else(|| missing(name))
}

pub fn missing(name: &str) -> Option<PathBuf> {
    let required = std::env::var("CERTDRILL_REQUIRE")
        .is_ok_and(|list| list.split(',').any(|item| item == name));
    assert!(!required, "{name} is missing");
    println!("skipped: {name} is missing");
    None
}

/// Set for a test that is run again by [`alone`].
const ALONE: &str = "CERTDRILL_WARP_ALONE";

/// Whether this is a PID namespace of a test's own: `warp move` moves everything that it sees, so it must see nothing
/// else. Outside of one the test is run again inside, or there is a note that it cannot be.
pub fn alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    if !rustix::process::getuid().is_root() || tool("unshare").is_none() {
        println!("skipped: not root, or no unshare");
        return false;
    }
    let output = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
        // Process 1 must collect orphans: runc waits until its container has gone.
        .args(["sh", "-c", "\"$@\"; exit $?", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    print!("{stdout}");
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(stdout.contains("1 passed"), "there is no {test}");
    false
}

/// The only child of a process.
pub fn child_of(pid: u32) -> u32 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.trim().parse().unwrap()
}

/// Starts it and waits until it has printed its first line.
pub fn started(command: &mut Command) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    next_line(&mut lines);
    (child, lines)
}

pub fn next_line(lines: &mut impl std::io::BufRead) -> String {
    let mut line = String::new();
    assert_ne!(lines.read_line(&mut line).unwrap(), 0, "it ended");
    line.trim().to_owned()
}

pub fn kill(child: &Child, signal: &str) {
    let status = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}
