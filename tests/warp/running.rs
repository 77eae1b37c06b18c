//! Moving what runs.

use std::fs;
use std::io::{BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use crate::helper::*;
use crate::tools::*;
use certdrill::real::warp::{self, Offsets};
use certdrill::time::SignedDuration;

/// What all threads of a spinning helper read now, in days from the machine's time.
pub fn ask(child: &mut Child, lines: &mut impl std::io::BufRead) -> Vec<i64> {
    child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    let mut days = Vec::new();
    loop {
        let line = next_line(lines);
        match said(&line).first().map(String::as_str) {
            Some("done") => return days,
            Some(time) => days.push(days_off(|| time.to_owned())),
            None => {}
        }
    }
}

fn spinning() -> (Child, BufReader<std::process::ChildStdout>) {
    spinning_by(&mut helper_command("spin"))
}

/// A spinning helper that this command starts.
pub fn spinning_by(command: &mut Command) -> (Child, BufReader<std::process::ChildStdout>) {
    let (child, mut lines) = started(command);
    while !next_line(&mut lines).ends_with("> ready") {}
    (child, lines)
}

#[test]
fn threads_that_read_the_clock_all_the_time_survive_being_warped() {
    let wall = |days: i64| Offsets::wall(SignedDuration::from_secs(days * DAY));
    for round in 0..50 {
        let (mut child, mut lines) = spinning();
        assert_eq!(ask(&mut child, &mut lines), [0; 8]);
        assert_eq!(warp::show(child.id()).unwrap(), None);
        for days in [370 + round, -round, 5] {
            warp::set(child.id(), wall(days)).unwrap();
            assert_eq!(warp::show(child.id()).unwrap(), Some(wall(days)));
            assert_eq!(ask(&mut child, &mut lines), [days; 8]);
        }
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn several_processes_are_moved_and_shown_by_the_command_line() {
    let (mut one, mut one_lines) = spinning();
    let (mut two, mut two_lines) = spinning();
    let (first, second) = (one.id().to_string(), two.id().to_string());
    let run = |args: &[&str]| printed(certdrill(args).args(["--pid", &first, &second]));
    assert_eq!(
        run(&["show"]),
        format!("{first}: not warped\n{second}: not warped")
    );
    run(&["set", "--offset", "+30d"]);
    assert_eq!(ask(&mut one, &mut one_lines), [30; 8]);
    assert_eq!(ask(&mut two, &mut two_lines), [30; 8]);
    run(&["set", "--offset", "+31d", "--timers"]);
    let shown = run(&["show"]);
    assert!(shown.contains("wall +31d ("), "{shown}");
    assert!(shown.contains("timers +1d"), "{shown}");
    // Wall clocks may go back, timers may not, and then nobody is moved.
    let (code, _, stderr) =
        outcome(certdrill(&["set", "--offset", "+1d", "--timers"]).args(["--pid", &first]));
    assert_eq!(code, Some(2), "{stderr}");
    let (code, _, _) = outcome(certdrill(&["set", "--offset", "+1d"]).args([
        "--pid",
        &first,
        "--pid",
        "2147483647",
    ]));
    assert_eq!(code, Some(104));
    assert_eq!(ask(&mut one, &mut one_lines), [31; 8]);
    for mut child in [one, two] {
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn a_go_program_that_sleeps_wakes_when_its_timers_are_moved() {
    let Some(go) = tool("go")
        .or_else(|| Some(PathBuf::from("/usr/local/go/bin/go")).filter(|path| path.is_file()))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let code = "package main\nimport (\"fmt\"; \"time\")\nfunc main() {
        fmt.Println(\"ready\")\n start := time.Now()\n time.Sleep(100 * time.Hour)
        fmt.Println(int(time.Since(start).Hours()), time.Now().Unix()) }";
    fs::write(dir.path().join("main.go"), code).unwrap();
    let built = Command::new(go)
        .args(["build", "-o", "sleeper", "main.go"])
        .env("CGO_ENABLED", "0")
        .env("GO111MODULE", "off")
        .current_dir(dir.path())
        .status();
    assert!(built.unwrap().success());
    let (mut child, mut lines) = started(&mut Command::new(dir.path().join("sleeper")));
    // It has said that it is ready, and not that it sleeps: on a busy machine that comes later.
    std::thread::sleep(Duration::from_millis(500));
    for days in 1..=6 {
        let by = SignedDuration::from_secs(days * DAY);
        if warp::set(child.id(), Offsets::all(by)).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let line = next_line(&mut lines);
    let (hours, now) = line.split_once(' ').unwrap();
    assert!((100..=144).contains(&hours.parse().unwrap()), "{line}");
    let days = days_off(|| now.to_owned());
    assert!((5..=6).contains(&days), "{line}");
    match child.wait() {
        Ok(status) => assert!(status.success()),
        // It ended in the moment in which it was to be moved on: whoever traces a process learns of its end, and this test is its
        // parent, too, which does not learn it twice.
        Err(error) => assert_eq!(error.raw_os_error(), Some(nix::errno::Errno::ECHILD as i32)),
    }
}
