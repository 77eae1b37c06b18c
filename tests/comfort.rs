//! What makes certdrill pleasant: beginning, looking, configuring, stopping.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "files and processes are what these tests are about, and they may stop at what they did not expect"
)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certdrill"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CERTDRILL_") {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).env("NO_COLOR", "1");
    command
}

fn certdrill(folder: &Path, args: &[&str]) -> Output {
    command(folder).args(args).output().unwrap()
}

/// Standard output of a command that must succeed.
fn said(folder: &Path, args: &[&str]) -> String {
    let output = certdrill(folder, args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Exit code and standard error.
fn refused(folder: &Path, args: &[&str]) -> (i32, String) {
    let output = certdrill(folder, args);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), stderr)
}

const RED: &str = "apiVersion: certdrill/v1
kind: Scenario
metadata: { name: red, title: Nobody renews }
spec:
  matrix: { day: [366, 367, 368, 369] }
  cluster: { version: v1.36.3, keyAlgorithm: ECDSA-P256 }
  steps:
    - walk: to day {day}
    - expect: { edge: \"user@cp1 -> apiserver\", is: ok }
";

#[test]
fn init_writes_a_scenario_that_passes_and_overwrites_nothing() {
    let folder = TempDir::new().unwrap();
    said(folder.path(), &["init"]);
    said(folder.path(), &["run", "my-rotation.yaml"]);
    said(
        folder.path(),
        &["lint", "--deny-warnings", "my-rotation.yaml"],
    );
    let (code, message) = refused(folder.path(), &["init"]);
    assert_eq!(code, 2, "{message}");
    assert!(message.contains("--force"), "{message}");
    said(folder.path(), &["init", "--from", "incidents/kubeadm-1753"]);
    let copied = fs::read_to_string(folder.path().join("kubeadm-1753.yaml")).unwrap();
    // All of it, and a schema that can be had where the copy is.
    let library = include_str!("../scenarios/incidents/kubeadm-1753.yaml");
    let (schema, rest) = library.split_once('\n').unwrap();
    assert!(schema.ends_with("$schema=../schema.json") && copied.ends_with(rest));
    assert!(!copied.contains("../schema.json"), "{copied}");
    let schema = said(folder.path(), &["schema"]);
    let path = copied
        .split("$schema=")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap();
    fs::write(folder.path().join("schema.json"), schema).unwrap();
    assert!(folder.path().join(path).is_file(), "{path}");
    assert_eq!(
        said(folder.path(), &["init", "--from", "kubeadm-1753", "-"]),
        copied
    );
    assert!(said(folder.path(), &["init", "--list"]).contains("incidents/kubeadm-1753"));
    let (code, message) = refused(folder.path(), &["init", "--from", "kubeadm-1754"]);
    assert_eq!(code, 2);
    assert!(message.contains("did you mean"), "{message}");
}

#[test]
fn show_tells_a_scenario_and_a_trace() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("red.yaml"), RED).unwrap();
    let shown = said(
        folder.path(),
        &["show", "red.yaml", "--include", "red/day=367"],
    );
    assert!(shown.contains("walk to day 367"), "{shown}");
    assert!(!shown.contains("366"), "{shown}");
    let output = certdrill(
        folder.path(),
        &["run", "red.yaml", "--include=*367", "--format=json"],
    );
    fs::write(folder.path().join("trace.jsonl"), &output.stdout).unwrap();
    let shown = said(
        folder.path(),
        &["show", "trace.jsonl", "--report-html=page.html"],
    );
    assert!(shown.contains("✗ failed red/day=367"), "{shown}");
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(page.contains("red/day=367"));
    assert_eq!(refused(folder.path(), &["show", "nothing.yaml"]).0, 2);
    assert_eq!(
        refused(folder.path(), &["show", "red.yaml", "--include=x"]).0,
        4
    );
}

#[test]
fn doctor_says_what_is_missing_and_fails_only_when_it_is_wanted() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_str().unwrap();
    let doctor = |args: &[&str]| {
        let output = command(folder.path())
            .env("CERTDRILL_ENGINES", path)
            .env("PATH", path)
            .arg("doctor")
            .args(args)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), text)
    };
    let (code, text) = doctor(&[]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("✓ sim") && text.contains("✗ kubeadm"),
        "{text}"
    );
    assert!(text.contains("not here"), "{text}");
    assert_eq!(doctor(&["--backend=sim"]).0, 0);
    assert_eq!(doctor(&["--backend=kubeadm"]).0, 104);
    assert_eq!(doctor(&["--backend=kind"]).0, 104);
}

#[test]
fn shells_and_man_get_theirs() {
    let folder = TempDir::new().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = said(folder.path(), &["completions", shell]);
        assert!(text.contains("report-html"), "{shell}");
        // What certdrill runs in nodes by itself is nothing to be offered.
        assert!(!text.contains("node-agent"), "{shell}");
    }
    assert!(said(folder.path(), &["man"]).contains(".TH certdrill"));
    said(folder.path(), &["man", "pages"]);
    assert!(folder.path().join("pages/certdrill-run.1").is_file());
    for page in fs::read_dir(folder.path().join("pages")).unwrap() {
        let page = page.unwrap().path();
        let text = fs::read_to_string(&page).unwrap();
        let named =
            text.contains("node\\-agent") || page.display().to_string().contains("node-agent");
        assert!(!named, "{}", page.display());
    }
    assert!(
        said(folder.path(), &["--version"])
            .starts_with(concat!("certdrill ", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn the_matrix_takes_other_values_and_the_run_can_be_repeated() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("red.yaml"), RED).unwrap();
    let ids = |args: &[&str]| said(folder.path(), &[&["list", "red.yaml"], args].concat());
    let listed = ids(&["--set", "day=400,401"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(listed.contains("red/day=401"), "{listed}");
    fs::write(folder.path().join("values.yaml"), "day: [500, 501, 502]\n").unwrap();
    assert_eq!(ids(&["--values=values.yaml"]).lines().count(), 3);
    assert_eq!(
        ids(&["--values=values.yaml", "--set=day=9"])
            .lines()
            .count(),
        1
    );
    let (code, message) = refused(folder.path(), &["run", "red.yaml", "--set", "dai=1"]);
    assert_eq!(code, 2, "{message}");
    assert!(message.contains("did you mean `day`?"), "{message}");

    let output = certdrill(folder.path(), &["run", "red.yaml", "--set=day=400"]);
    assert_eq!(output.status.code(), Some(100));
    let text = String::from_utf8(output.stdout).unwrap();
    let replay = text.lines().last().unwrap().trim();
    assert_eq!(
        replay,
        "certdrill run red.yaml --set day=400 --seed 0 --include red/day=400"
    );
    let words: Vec<&str> = replay.split(' ').skip(1).collect();
    assert_eq!(certdrill(folder.path(), &words).status.code(), Some(100));
    let output = certdrill(
        folder.path(),
        &["run", "red.yaml", "--set=day=400", "--format=json"],
    );
    fs::write(folder.path().join("trace.jsonl"), &output.stdout).unwrap();
    said(folder.path(), &["replay", "trace.jsonl"]);
}

#[test]
fn a_file_that_is_not_there_is_looked_for() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("scenarios")).unwrap();
    fs::write(folder.path().join("scenarios/red.yaml"), RED).unwrap();
    fs::write(folder.path().join("first.yaml"), RED).unwrap();
    for (wrong, right) in [("frist.yaml", "first.yaml"), ("rad", "scenarios/red.yaml")] {
        let (code, message) = refused(folder.path(), &["run", wrong]);
        assert_eq!(code, 2);
        assert!(
            message.contains(&format!("did you mean `{right}`?")),
            "{message}"
        );
    }
}

#[test]
fn the_configuration_is_used_and_shown_with_its_origin() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("red.yaml"), RED).unwrap();
    fs::write(
        folder.path().join(".certdrill.yaml"),
        "seed: 7\nrun: { report-json: out.json }\n",
    )
    .unwrap();
    certdrill(folder.path(), &["run", "red.yaml"]);
    let text = fs::read_to_string(folder.path().join("out.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["runs"][0]["played"]["seed"], 7);
    let shown = command(folder.path())
        .env("CERTDRILL_JOBS", "3")
        .args(["config", "show"])
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let line = |option: &str| {
        let found = shown
            .lines()
            .find(|line| line.trim_start().starts_with(option));
        found
            .unwrap_or_else(|| panic!("{shown}"))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("seed"), "seed 7 .certdrill.yaml");
    assert_eq!(line("jobs"), "jobs 3 CERTDRILL_JOBS");
    assert_eq!(line("format"), "format human default");
    fs::write(folder.path().join(".certdrill.yaml"), "sede: 7\n").unwrap();
    let (code, message) = refused(folder.path(), &["run", "red.yaml"]);
    assert_eq!(code, 3, "{message}");
    assert!(message.contains("did you mean `seed`?"), "{message}");
    // Somebody else's command line does not care.
    let (_, message) = refused(
        folder.path(),
        &[
            "kubeadm", "--rootfs", ".", "--as", "v1.36.3", "--", "version",
        ],
    );
    assert!(!message.contains("sede"), "{message}");
}

#[test]
fn after_so_many_failures_nothing_more_is_played() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("red.yaml"), RED).unwrap();
    let args = [
        "run",
        "red.yaml",
        "--jobs=1",
        "--max-fail=2",
        "--slowest=1",
        "--report-json=out.json",
    ];
    let output = certdrill(folder.path(), &args);
    assert_eq!(output.status.code(), Some(100));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        text.lines().skip_while(|line| *line != "slowest:").count(),
        2,
        "{text}"
    );
    let report: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("out.json")).unwrap()).unwrap();
    assert_eq!(report["counts"]["failed"], 2);
    assert_eq!(report["counts"]["notRun"], 2);
    let (code, message) = refused(
        folder.path(),
        &["run", "red.yaml", "--max-fail=2", "--fail-fast"],
    );
    assert_eq!(code, 2, "{message}");
}

#[test]
fn what_ci_systems_write_for_a_switch_is_understood() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("red.yaml"), RED).unwrap();
    let played = |value: &str| {
        let output = command(folder.path())
            .args(["run", "red.yaml", "--jobs", "1", "--failures-only"])
            .env("CERTDRILL_FAIL_FAST", value)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(100), "{value:?}");
        String::from_utf8(output.stdout)
            .unwrap()
            .matches("\u{2717} failed")
            .count()
    };
    for value in ["1", "yes", "true"] {
        assert_eq!(played(value), 1, "{value:?}");
    }
    for value in ["0", "no", "false", ""] {
        assert_eq!(played(value), 4, "{value:?}");
    }
    let (code, stderr) = refused(folder.path(), &["run", "red.yaml", "--max-fail", "0"]);
    assert_eq!(code, 2);
    assert!(
        stderr.contains("write a whole number from 1 on"),
        "{stderr}"
    );
}

#[test]
fn import_overwrites_nothing() {
    let folder = TempDir::new().unwrap();
    let paste = "CERTIFICATE  EXPIRES                  RESIDUAL TIME   CERTIFICATE AUTHORITY   EXTERNALLY MANAGED\n\
                 apiserver    Jun 01, 2026 10:00 UTC   12h             ca                      no\n";
    fs::write(folder.path().join("paste.txt"), paste).unwrap();
    let args = ["import", "paste.txt", "-o", "mine.yaml"];
    said(folder.path(), &args);
    fs::write(folder.path().join("mine.yaml"), "# mine\n").unwrap();
    let (code, stderr) = refused(folder.path(), &args);
    assert_eq!(code, 2);
    assert!(stderr.contains("mine.yaml exists"), "{stderr}");
    let kept = fs::read_to_string(folder.path().join("mine.yaml")).unwrap();
    assert_eq!(kept, "# mine\n");
    said(
        folder.path(),
        &["import", "paste.txt", "-o", "mine.yaml", "--force"],
    );
}

#[test]
fn an_interrupted_run_writes_its_reports_and_exits_130() {
    let folder = TempDir::new().unwrap();
    let axis: Vec<String> = (1..=16).map(|n| n.to_string()).collect();
    let axis = axis.join(", ");
    let text = format!(
        "apiVersion: certdrill/v1
kind: Scenario
metadata: {{ name: many, title: Many runs }}
spec:
  matrix: {{ a: [{axis}], b: [{axis}] }}
  cluster: {{ version: v1.36.3, nodes: {{ controlPlane: 3 }} }}
  steps:
    - walk: 300d
    - reboot: '@cp*'
    - walk: 300d
"
    );
    fs::write(folder.path().join("many.yaml"), text).unwrap();
    let mut child = command(folder.path())
        .args([
            "run",
            "many.yaml",
            "--jobs=1",
            "--failures-only",
            "--report-json=out.json",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The first result has been told: it runs.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().map(Result::unwrap);
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130), "{first:?} {rest:?}");
    let report: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("out.json")).unwrap()).unwrap();
    let counts = &report["counts"];
    assert!(counts["passed"].as_u64().unwrap() >= 1, "{counts}");
    assert!(counts["notRun"].as_u64().unwrap() >= 1, "{counts}");
    assert_eq!(counts["failed"], 0, "{counts}");
    assert_eq!(report["runs"].as_array().unwrap().len(), 256);
}

#[test]
fn where_many_runs_pass_nobody_is_shown_their_timelines_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let timelines = |runs: usize, more: &[&str]| {
        let axis: Vec<String> = (0..runs).map(|number| number.to_string()).collect();
        let text = format!(
            "apiVersion: certdrill/v1
kind: Scenario
metadata: {{ name: many, title: Many runs }}
spec:
  matrix: {{ a: [{}] }}
  cluster: {{ version: v1.36.3 }}
  steps:
    - walk: 1h
",
            axis.join(", ")
        );
        fs::write(folder.path().join("many.yaml"), text).unwrap();
        let output = command(folder.path())
            .args(["run", "many.yaml"])
            .args(more)
            .output()
            .unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(&format!("{runs} passed")), "{text}");
        text.lines()
            .filter(|line| line.starts_with("── walk"))
            .count()
    };
    assert_eq!(timelines(24, &[]), 24);
    assert_eq!(timelines(24, &["--failures-only"]), 0);
    assert_eq!(timelines(25, &[]), 0);
    assert_eq!(timelines(25, &["--verbose"]), 25);
}

/// Whoever watches a terminal sees how far a long run is, and none of it stays.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_is_shown_how_far_it_is() {
    use std::io::Read as _;
    use std::os::fd::AsFd as _;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{Winsize, tcsetwinsize};

    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("many")).unwrap();
    let days: Vec<String> = (1..=250).map(|day| day.to_string()).collect();
    for number in 0..16 {
        let text = RED
            .replace("366, 367, 368, 369", &days.join(", "))
            .replace("name: red", &format!("name: red-{number}"));
        fs::write(folder.path().join(format!("many/{number}.yaml")), text).unwrap();
    }

    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let size = Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let shown_on = fs::OpenOptions::new()
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();
    tcsetwinsize(shown_on.as_fd(), size).unwrap();
    let mut command = command(folder.path());
    command
        .args(["run", "many", "--backend", "sim"])
        .env("TERM", "xterm")
        .env_remove("CI")
        .stdout(Stdio::null())
        .stderr(shown_on);
    let mut child = command.spawn().unwrap();
    // Its end of the terminal must be the only one.
    drop(command);

    let mut terminal = fs::File::from(terminal);
    let mut shown = String::new();
    let mut part = [0; 4096];
    let mut stopped = false;
    // When the last one who can write has ended, reading fails.
    while let Ok(count @ 1..) = terminal.read(&mut part) {
        shown.push_str(&String::from_utf8_lossy(&part[..count]));
        if !stopped && shown.contains("to go") {
            stopped = true;
            let pid = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        }
    }
    assert_eq!(child.wait().unwrap().code(), Some(130), "{shown:?}");
    assert!(shown.contains("/4000 "), "{shown:?}");
    let (_, after) = shown.rsplit_once("to go").unwrap();
    assert!(after.contains("\u{1b}[2K"), "it is wiped away: {after:?}");
}
