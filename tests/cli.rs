//! The command line as a script sees it: what goes to which stream, and the exit code.

#![expect(
    clippy::disallowed_methods,
    reason = "these tests are about files and processes, and may stop at what they did not expect"
)]

use std::fs;
use std::process::{Command, Output, Stdio};

use streams::{certdrill, certdrill_with, expect_exit, folder, stderr, stdout};

#[path = "beside/streams.rs"]
mod streams;

const GREEN: &str = "apiVersion: certdrill/v1
kind: Scenario
metadata: { name: green, title: A new cluster works, tags: [quick] }
spec:
  cluster: { version: v1.36.3, keyAlgorithm: ECDSA-P256 }
  steps:
    - walk: 1d
    - expect: { edge: \"user@cp1 -> apiserver\", is: ok }
";

const RED: &str = "apiVersion: certdrill/v1
kind: Scenario
metadata: { name: red, title: Nobody renews and it is expected to work, reference: https://example.test/1 }
spec:
  matrix: { day: [366, 400] }
  cluster: { version: v1.36.3, keyAlgorithm: ECDSA-P256 }
  steps:
    - walk: to day {day}
    - expect: { edge: \"user@cp1 -> apiserver\", is: ok }
";

const ELSEWHERE: &str = "apiVersion: certdrill/v1
kind: Scenario
metadata: { name: elsewhere, title: Needs a real cluster }
spec:
  backends: [kind]
  cluster: { version: v1.36.3 }
  steps:
    - expect: { edges: all, is: ok }
";

/// Standard output without its line breaks.
fn said(output: &Output) -> String {
    let words: Vec<String> = stdout(output)
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    words.join(" ")
}

#[test]
fn a_run_that_passes_exits_0_with_a_timeline() {
    let folder = folder(&[("s/green.yaml", GREEN)]);
    let output = certdrill(folder.path(), &["run", "s"]);
    expect_exit(&output, 0);
    let text = stdout(&output);
    assert!(text.contains("── walk 1d"), "{text}");
    assert!(text.contains("✓ passed green"), "{text}");
    assert!(text.contains("1 run in"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours outside a terminal");
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_run_that_fails_exits_100_and_its_replay_command_fails_too() {
    let folder = folder(&[("s/red.yaml", RED), ("s/green.yaml", GREEN)]);
    let output = certdrill(folder.path(), &["run", "s", "--seed", "3"]);
    expect_exit(&output, 100);
    let text = stdout(&output);
    assert!(
        text.contains("3 runs in") && text.contains("1 passed, 2 failed"),
        "{text}"
    );
    assert!(text.contains("--> s/red.yaml:9:17"), "{text}");
    let replay = "certdrill run s/red.yaml --seed 3 --include red/day=400";
    assert!(text.contains(replay), "{text}");
    let args: Vec<&str> = replay.split(' ').skip(1).collect();
    let again = certdrill(folder.path(), &args);
    expect_exit(&again, 100);
    assert!(stdout(&again).contains("1 run in"), "{}", stdout(&again));
}

#[test]
fn nothing_selected_is_never_green() {
    let folder = folder(&[("s/green.yaml", GREEN), ("real/elsewhere.yaml", ELSEWHERE)]);
    fs::create_dir(folder.path().join("empty")).unwrap();
    for args in [
        &["run", "empty"][..],
        &["run", "s", "--include", "blue"],
        &["run", "s", "--exclude", "quick"],
        &["run", "real"],
        &["list", "s", "--include", "blue"],
        &["lint", "empty"],
    ] {
        expect_exit(&certdrill(folder.path(), args), 4);
    }
    let near = certdrill(folder.path(), &["run", "s", "--include", "gren"]);
    assert!(
        stderr(&near).contains("did you mean `green`?"),
        "{}",
        stderr(&near)
    );
}

#[test]
fn a_scenario_for_another_backend_is_not_run_and_not_passed() {
    let folder = folder(&[("s/green.yaml", GREEN), ("s/elsewhere.yaml", ELSEWHERE)]);
    let output = certdrill(folder.path(), &["run", "s", "--report-junit", "r.xml"]);
    expect_exit(&output, 0);
    assert!(
        stdout(&output).contains("1 passed, 1 not run"),
        "{}",
        stdout(&output)
    );
    assert!(
        stderr(&output).contains("not run: elsewhere"),
        "{}",
        stderr(&output)
    );
    let report = fs::read_to_string(folder.path().join("r.xml")).unwrap();
    assert!(report.contains("skipped=\"1\""), "{report}");
    // On a machine without the engine that is named.
    let output = certdrill_with(
        folder.path(),
        &["run", "s", "--backend", "kind"],
        &[("CERTDRILL_CONTAINERS", "/nowhere/docker")],
    );
    expect_exit(&output, 104);
    let said = said(&output);
    assert!(
        said.contains("no container engine answers: /nowhere/docker"),
        "{said}"
    );
}

#[test]
fn no_privileged_container_is_made_on_another_machine() {
    use std::os::unix::fs::PermissionsExt as _;
    // An engine that notes what it is asked.
    let engine =
        "#!/bin/sh\necho \"$*\" >>asked\n[ \"$1\" = context ] && echo ssh://build.example.com\n";
    let folder = folder(&[("s/elsewhere.yaml", ELSEWHERE), ("engine", engine)]);
    let engine = folder.path().join("engine");
    fs::set_permissions(&engine, fs::Permissions::from_mode(0o755)).unwrap();
    let output = certdrill_with(
        folder.path(),
        &["run", "s", "--backend", "kind"],
        &[("CERTDRILL_CONTAINERS", engine.to_str().unwrap())],
    );
    expect_exit(&output, 104);
    let said = said(&output);
    assert!(
        said.contains("works on another machine, ssh://build.example.com"),
        "{said}"
    );
    let asked = fs::read_to_string(folder.path().join("asked")).unwrap();
    assert!(
        asked
            .lines()
            .all(|line| line.starts_with("context inspect")),
        "{asked}"
    );
}

#[test]
fn invalid_input_exits_3_tells_every_mistake_and_plays_nothing() {
    let folder = folder(&[
        ("s/green.yaml", GREEN),
        ("s/typo.yaml", &GREEN.replace("walk", "wlak")),
        ("s/other.yml", "kind: ConfigMap\n"),
    ]);
    fs::write(folder.path().join("s/binary.yaml"), b"a: \xff\xfe").unwrap();
    let output = certdrill(folder.path(), &["run", "s", "--report-junit", "r.xml"]);
    expect_exit(&output, 3);
    assert_eq!(stdout(&output), "");
    let text = stderr(&output);
    for part in [
        "s/typo.yaml:7:7",
        "did you mean `walk`?",
        "s/other.yml",
        "s/binary.yaml is not text in UTF-8: byte 3",
        "nothing was played",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(!folder.path().join("r.xml").exists());
}

#[test]
fn usage_errors_exit_2() {
    let folder = folder(&[]);
    for args in [
        &[][..],
        &["run", "--sed", "3"],
        &["run", "--seed", "three"],
        &["run", "--jobs", "0"],
        &["run", "no/such/path"],
        &["run"],
        &["play"],
    ] {
        expect_exit(&certdrill(folder.path(), args), 2);
    }
    let missing = certdrill(folder.path(), &["run", "no/such/path"]);
    let help = "help: name files or directories of scenarios";
    assert!(stderr(&missing).contains(help), "{}", stderr(&missing));
    for args in [&["--help"][..], &["run", "--help"], &["--version"]] {
        expect_exit(&certdrill(folder.path(), args), 0);
    }
}

#[test]
fn every_option_is_an_environment_variable_too() {
    let folder = folder(&[("green.yaml", GREEN)]);
    let output = Command::new(env!("CARGO_BIN_EXE_certdrill"))
        .current_dir(folder.path())
        .args(["run", "green.yaml"])
        .env("CERTDRILL_SEED", "77")
        .env("CERTDRILL_FORMAT", "json")
        .output()
        .unwrap();
    expect_exit(&output, 0);
    assert!(stdout(&output).contains("\"seed\":77"));
}

#[test]
fn a_trace_is_byte_identical_and_replays() {
    let folder = folder(&[("red.yaml", RED)]);
    let args = ["run", "red.yaml", "--format", "json", "--seed", "5"];
    let first = certdrill(folder.path(), &args);
    let second = certdrill(folder.path(), &[&args[..], &["--jobs", "1"]].concat());
    expect_exit(&first, 100);
    assert!(
        first.stdout == second.stdout,
        "two traces with one seed differ"
    );
    assert!(stderr(&first).contains("2 failed"), "{}", stderr(&first));
    for line in stdout(&first).lines() {
        serde_json::from_str::<certdrill::run::trace::Record>(line).unwrap();
    }
    let trace = folder.path().join("trace.jsonl");
    fs::write(&trace, &first.stdout).unwrap();
    let replayed = certdrill(folder.path(), &["replay", "trace.jsonl"]);
    expect_exit(&replayed, 0);
    assert!(stdout(&replayed).contains("✓ same red/day=366"));
    fs::write(&trace, stdout(&first).replace("\"seed\":5", "\"seed\":6")).unwrap();
    let differs = certdrill(folder.path(), &["replay", "trace.jsonl"]);
    expect_exit(&differs, 5);
    assert!(stdout(&differs).contains("✗ differs red/day=366: at record"));
    for text in ["", "not a trace\n", "{\"seq\":0}\n"] {
        fs::write(&trace, text).unwrap();
        expect_exit(&certdrill(folder.path(), &["replay", "trace.jsonl"]), 3);
    }
    expect_exit(&certdrill(folder.path(), &["replay", "absent.jsonl"]), 2);
}

#[test]
fn determinism_can_be_checked() {
    let folder = folder(&[("green.yaml", GREEN)]);
    let output = certdrill(
        folder.path(),
        &[
            "run",
            "green.yaml",
            "--check-determinism",
            "--failures-only",
        ],
    );
    expect_exit(&output, 0);
    assert!(!stdout(&output).contains("── walk"), "{}", stdout(&output));
}

#[test]
fn a_report_that_cannot_be_written_exits_110_and_leaves_nothing_behind() {
    let folder = folder(&[("green.yaml", GREEN)]);
    let output = certdrill(
        folder.path(),
        &[
            "run",
            "green.yaml",
            "--report-junit",
            "no/such/folder/r.xml",
        ],
    );
    expect_exit(&output, 110);
    let reason = "error: cannot write no/such/folder/r.xml: No such file";
    assert!(stderr(&output).contains(reason), "{}", stderr(&output));
    let names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["green.yaml"]);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = folder(&[("green.yaml", GREEN)]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_certdrill"))
        .current_dir(folder.path())
        .args(["run", "green.yaml", "--verbose"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    expect_exit(&output, 0);
    assert_eq!(stderr(&output), "");
}

#[test]
fn list_and_lint_do_not_play() {
    let folder = folder(&[("red.yaml", RED), ("green.yaml", GREEN)]);
    let output = certdrill(folder.path(), &["list", "."]);
    expect_exit(&output, 0);
    let listed: Vec<String> = stdout(&output)
        .lines()
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect();
    assert_eq!(listed, ["green", "red/day=366", "red/day=400"]);
    let json = certdrill(folder.path(), &["list", ".", "--format", "json"]);
    for line in stdout(&json).lines() {
        let run: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(run["version"], "v1.36.3");
    }
    let clean = certdrill(folder.path(), &["lint", ".", "--deny-warnings"]);
    expect_exit(&clean, 0);
    fs::write(folder.path().join("twice.yaml"), GREEN).unwrap();
    let twice = certdrill(folder.path(), &["lint", ".", "--deny-warnings"]);
    expect_exit(&twice, 3);
    assert!(
        stdout(&twice).contains("[name-twice]"),
        "{}",
        stdout(&twice)
    );
}

#[test]
fn the_schema_is_printed() {
    let folder = folder(&[]);
    let output = certdrill(folder.path(), &["schema"]);
    expect_exit(&output, 0);
    assert_eq!(stdout(&output), certdrill::scenario::schema());
}

#[test]
fn the_scenario_of_the_readme_passes() {
    let readme = include_str!("../README.md");
    let begin = readme.find("```yaml\n").unwrap() + "```yaml\n".len();
    let end = begin + readme[begin..].find("```").unwrap();
    let folder = folder(&[("readme.yaml", &readme[begin..end])]);
    let output = certdrill(folder.path(), &["run", "readme.yaml"]);
    expect_exit(&output, 0);
    assert!(stdout(&output).contains("2 passed"), "{}", stdout(&output));
}
