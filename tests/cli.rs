//! The command line as a script sees it: what goes to which stream, and the exit code.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "these tests are about files and processes, and may stop at what they did not expect"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

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

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn certdrill(folder: &Path, args: &[&str]) -> Output {
    certdrill_with(folder, args, &[])
}

fn certdrill_with(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certdrill"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CERTDRILL_") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(folder)
        .env("COLUMNS", "100")
        .env("NO_COLOR", "1")
        .envs(env.iter().copied())
        .args(args)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
fn expect_exit(output: &Output, code: i32) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "stdout:\n{}\nstderr:\n{}",
        stdout(output),
        stderr(output)
    );
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
    let said = stdout(&output)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
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
    let said = stdout(&output)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
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

#[test]
fn explain_says_which_certificate_ended_who_holds_it_and_what_helps() {
    let scenario = "scenarios/docs/year-long-expiry.yaml";
    let explain = |rest: &[&str]| {
        let mut args = vec!["explain", scenario, "--include", "*v1.36.3*"];
        args.extend_from_slice(rest);
        certdrill(Path::new(env!("CARGO_MANIFEST_DIR")), &args)
    };
    let edge = explain(&[
        "--at",
        "366d",
        "--edge",
        "controller-manager@cp1 -> apiserver",
    ]);
    assert_eq!(edge.status.code(), Some(0));
    let text = String::from_utf8_lossy(&edge.stdout);
    for part in [
        "ended 1d ago",
        "renew apiserver,",
        "renew controller-manager.conf,",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let kubelet = explain(&["--at", "day 200", "--kubelet", "w1"]);
    let text = String::from_utf8_lossy(&kubelet.stdout);
    assert!(text.contains("drawn between 70 and 90"), "{text}");
    assert!(
        text.contains("2026-07-20T00:00:00Z (day 200.000)"),
        "{text}"
    );
    assert_eq!(explain(&["--kubelet", "w9"]).status.code(), Some(4));
    assert_eq!(
        explain(&["--at", "soon", "--kubelet", "w1"]).status.code(),
        Some(2)
    );
    assert_eq!(explain(&[]).status.code(), Some(2));
}

/// A scenario in which a kubelet asks for a serving certificate, and one is approved.
const SERVING: &str = "apiVersion: certdrill/v1
kind: Scenario
metadata: { name: serving, title: Kubelets ask for serving certificates }
spec:
  cluster:
    version: v1.36.3
    keyAlgorithm: ECDSA-P256
    nodes: { controlPlane: 1, worker: 1 }
    serverTLSBootstrap: true
  steps:
    - walk: 10m
    - approve: { of: '@w1', signer: kubernetes.io/kubelet-serving }
    - walk: 30d
    - expect: { edge: 'admin@cp1 -> apiserver', is: ok }
";

/// What an explanation says below a heading, lines joined.
fn facts(text: &str, heading: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("  ") else {
            inside = false;
            continue;
        };
        if !rest.starts_with(' ') {
            inside = rest.starts_with(&format!("{heading} "));
            if inside {
                found.push(rest[heading.len()..].trim().to_owned());
            }
        } else if inside && let Some(last) = found.last_mut() {
            *last += &format!(" {}", rest.trim());
        }
    }
    found
}

#[test]
fn explain_says_of_a_certificate_who_uses_renews_and_signed_it() {
    let folder = folder(&[("serving.yaml", SERVING)]);
    let explain = |subject: &str| {
        let args = [
            "explain",
            "serving.yaml",
            "--at",
            "20d",
            "--certificate",
            subject,
        ];
        let output = certdrill(folder.path(), &args);
        expect_exit(&output, 0);
        stdout(&output)
    };
    let text = explain("apiserver@cp1");
    assert!(
        text.contains("apiserver on cp1: valid until 2027-01-01T00:00:"),
        "{text}"
    );
    assert_eq!(
        facts(&text, "file"),
        ["/etc/kubernetes/pki/apiserver.crt"],
        "{text}"
    );
    assert_eq!(facts(&text, "subject"), ["CN=kube-apiserver"], "{text}");
    assert_eq!(facts(&text, "issuer"), ["kubernetes"], "{text}");
    let users = facts(&text, "used by");
    assert!(
        users.contains(&"kubelet@w1 -> kube-apiserver".to_owned()),
        "{text}"
    );
    let renewers = facts(&text, "who renews it");
    assert!(
        renewers[0].starts_with("kubeadm certs renew apiserver on this node"),
        "{text}"
    );
    // A path is as good as kubeadm's name.
    assert_eq!(
        facts(&explain("/etc/kubernetes/pki/apiserver.crt@cp1"), "subject"),
        ["CN=kube-apiserver"]
    );
    let text = explain("kubelet@w1");
    assert_eq!(
        facts(&text, "subject"),
        ["CN=system:node:w1, O=system:nodes"],
        "{text}"
    );
    assert!(
        facts(&text, "who renews it")[0].contains("the kubelet, at 70 to 90 %"),
        "{text}"
    );

    // A CA has rows of its own: what it signed, and that kubeadm does not renew it.
    let text = explain("ca@cp1");
    let signed = facts(&text, "has signed");
    for path in [
        "/etc/kubernetes/pki/apiserver.crt",
        "/etc/kubernetes/admin.conf",
    ] {
        assert!(
            signed.iter().any(|one| one.starts_with(path)),
            "{path}: {text}"
        );
    }
    assert!(
        !text.contains("etcd/server.crt"),
        "etcd's CA signed it: {text}"
    );
    assert!(
        facts(&text, "who renews it")[0].contains("kubeadm renews no CA"),
        "{text}"
    );
    assert!(facts(&text, "rule")[0].contains("ten years"), "{text}");
    let signed = facts(&explain("etcd-ca@cp1"), "has signed");
    assert!(
        signed.iter().any(|one| one.contains("etcd/server.crt")),
        "{signed:?}"
    );
}

#[test]
fn explain_says_of_a_request_what_it_waits_for_and_of_a_kubelet_when_it_asks_again() {
    let folder = folder(&[("serving.yaml", SERVING)]);
    let explain = |at: &str, subject: [&str; 2]| {
        let args = [&["explain", "serving.yaml", "--at", at], &subject[..]].concat();
        let output = certdrill(folder.path(), &args);
        expect_exit(&output, 0);
        stdout(&output)
    };
    let waiting = explain("5m", ["--kubelet", "w1"]);
    let rotation = facts(&waiting, "serving rotation");
    let csr = rotation[0]
        .strip_prefix("waits for ")
        .and_then(|rest| rest.split_once(" (Pending)"))
        .unwrap_or_else(|| panic!("{waiting}"))
        .0;
    assert!(
        facts(&waiting, "serves with")[0].starts_with("nothing: "),
        "{waiting}"
    );
    let text = explain("5m", ["--csr", csr]);
    assert!(text.contains(&format!("{csr} is Pending")), "{text}");
    assert_eq!(
        facts(&text, "signer"),
        ["kubernetes.io/kubelet-serving"],
        "{text}"
    );
    assert_eq!(facts(&text, "posted by"), ["system:node:w1"], "{text}");
    assert_eq!(facts(&text, "asks for"), ["CN=system:node:w1"], "{text}");
    assert!(
        facts(&text, "why")[0].contains("nobody approves it by itself"),
        "{text}"
    );

    // Approved: a certificate, and a deadline that was drawn for it.
    let served = explain("2h", ["--kubelet", "w1"]);
    assert!(
        facts(&served, "serves with")[0].starts_with("CN=system:node:w1"),
        "{served}"
    );
    let deadline = &facts(&served, "serving deadline")[0];
    let (_, rest) = deadline.split_once("): ").unwrap();
    let share: f64 = rest.split(" %").next().unwrap().parse().unwrap();
    assert!((70.0..90.0).contains(&share), "{deadline}");
    assert!(
        facts(&served, "serving rotation")[0].starts_with("waits for its deadline"),
        "{served}"
    );
    // The control plane's kubelet was not approved.
    assert!(facts(&explain("2h", ["--kubelet", "cp1"]), "serving deadline").is_empty());
}
