//! Programs that a warped program executes, and the check.

use std::fs;
use std::process::Command;

use crate::tools::*;

#[test]
fn programs_that_a_script_executes_are_warped_when_followed() {
    let script = "date +%s; sh -c 'date +%s'; (exec date +%s); $(command -v env) date +%s | cat; exec date +%s";
    let run = |options: &[&str]| {
        let mut command = certdrill(&["--offset", "+500d"]);
        command.args(options).args(["--", "sh", "-c", script]);
        let text = printed(&mut command);
        text.lines()
            .map(|line| days_off(|| line.to_owned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(&["--follow"]), [500; 5]);
    assert_eq!(run(&["--follow", "--check"]), [500; 5]);
    // The script itself is warped, what it executes is not.
    assert_eq!(run(&[]), [0; 5]);
}

#[test]
fn a_followed_process_can_be_stopped_and_continued() {
    let script = "sleep 1000 & p=$!
        kill -STOP $p; until grep -q 'State:.[tT]' /proc/$p/status; do :; done
        kill -CONT $p; until grep -q 'State:.S' /proc/$p/status; do :; done
        kill $p; wait $p; echo $?";
    let mut command = certdrill(&["--offset", "+5d", "--follow", "--", "bash", "-c", script]);
    assert_eq!(printed(&mut command), "143");
}

#[test]
fn a_warp_inside_a_warp_counts_from_the_machines_time() {
    let mut command = certdrill(&["--offset", "+100d", "--"]);
    command.arg(env!("CARGO_BIN_EXE_certdrill"));
    command.args(["warp", "--at", "2035-01-01", "--", "date", "-u", "+%F"]);
    assert_eq!(printed(&mut command), "2035-01-01");
    // One that is followed is traced, and cannot trace.
    let mut command = certdrill(&["--offset", "+100d", "--follow", "--"]);
    command.arg(env!("CARGO_BIN_EXE_certdrill"));
    command.args(["warp", "--offset", "1d", "--", "date"]);
    let (code, _, stderr) = outcome(&mut command);
    assert_eq!(code, Some(104));
    assert!(
        stderr.contains("traces certdrill and its children"),
        "{stderr}"
    );
    assert!(stderr.contains("help:"), "{stderr}");
}

#[test]
fn a_check_finds_programs_that_do_not_honour_the_shifted_clock() {
    let run =
        |program: &[&str]| outcome(certdrill(&["--offset", "+9d", "--check", "--"]).args(program));
    let (code, _, stderr) = run(&["date"]);
    assert_eq!(code, Some(0));
    assert!(stderr.contains("gave the shifted time"), "{stderr}");
    let (code, _, stderr) = run(&["sh", "-c", "date; exit 3"]);
    assert_eq!(code, Some(104));
    assert!(stderr.contains("add --follow"), "{stderr}");
    if tool("cc").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let build = |name: &str, code: &str| {
        let (source, program) = (dir.path().join(format!("{name}.c")), dir.path().join(name));
        fs::write(&source, code).unwrap();
        let mut compiler = Command::new("cc");
        compiler.arg("-static").arg(&source).arg("-o").arg(&program);
        assert!(compiler.status().unwrap().success());
        program.to_str().unwrap().to_owned()
    };
    let raw = build(
        "raw",
        "#include <sys/syscall.h>\n#include <time.h>\n#include <unistd.h>\nint main(void) {
        struct timespec t; for (int i = 0; i < 3; i++) syscall(SYS_clock_gettime, 0, &t); return 6; }",
    );
    let (code, _, stderr) = run(&[&raw]);
    assert_eq!(code, Some(104));
    assert!(
        stderr.contains("error: 3 readings of the clock went round the vDSO"),
        "{stderr}"
    );
    let (code, _, stderr) = run(&[&build("none", "int main(void) { return 6; }")]);
    assert_eq!(code, Some(6));
    assert!(
        stderr.contains("did not read a shifted clock at all"),
        "{stderr}"
    );
    let honest = "#include <time.h>\nint main(void) { return time(0) == 0; }";
    let (code, _, stderr) = run(&[&build("static", honest)]);
    assert_eq!(code, Some(0), "a static program has a vDSO, too: {stderr}");
}
