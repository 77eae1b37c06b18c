//! Versions before 1.15: played in scenarios on sim, marked, and refused everywhere else.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test writes a scenario to a directory of its own, and ends where that cannot be done"
)]

use std::process::{Command, Output};

const MARK: &str = "v1.12.5 is a historic version: from source and issues, no recorded run";
const INCIDENT: &str = "scenarios/incidents/kubeadm-1361.yaml";
const ONE: &str = "kubeadm-1361/fix=no,version=v1.12.5";

fn certdrill(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_certdrill"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("NO_COLOR", "1")
        .env("COLUMNS", "200")
        .output()
        .unwrap()
}

/// Everything that is printed, with white space as one blank.
fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), b"\n", output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&text)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn played(steps: &str, cluster: &str) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("one.yaml");
    let text = format!(
        "apiVersion: certdrill/v1\nkind: Scenario\nmetadata: {{ name: one, title: One }}\nspec:\n  cluster: {{ {cluster} }}\n  steps:\n    - {steps}\n"
    );
    std::fs::write(&path, text).unwrap();
    certdrill(&["run", path.to_str().unwrap()])
}

#[test]
fn a_run_says_once_that_its_version_is_historic() {
    let run = certdrill(&["run", INCIDENT, "--include", ONE]);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert_eq!(said(&run).matches(MARK).count(), 1, "{}", said(&run));
    let shown = certdrill(&["show", INCIDENT, "--include", ONE]);
    assert_eq!(said(&shown).matches(MARK).count(), 1, "{}", said(&shown));
    let explained = certdrill(&[
        "explain",
        INCIDENT,
        "--include",
        ONE,
        "--edge",
        "admin@cp1 -> apiserver",
    ]);
    assert_eq!(
        said(&explained).matches(MARK).count(),
        1,
        "{}",
        said(&explained)
    );
    assert!(
        !said(&explained).contains("certs renew admin.conf"),
        "{}",
        said(&explained)
    );
    let trace = certdrill(&["run", INCIDENT, "--include", ONE, "--format", "json"]);
    assert_eq!(said(&trace).matches(MARK).count(), 1);
    let later = certdrill(&["run", INCIDENT, "--include", "*v1.15.12*"]);
    assert!(
        !said(&later).contains("historic version"),
        "{}",
        said(&later)
    );
}

#[test]
fn other_backends_refuse_it() {
    for backend in ["kubeadm", "kind"] {
        let run = certdrill(&["run", INCIDENT, "--include", ONE, "--backend", backend]);
        let text = said(&run);
        assert_ne!(run.status.code(), Some(0), "{text}");
        assert!(
            text.contains(&format!("{MARK}; it is played on sim only")),
            "{text}"
        );
    }
    let verified = certdrill(&["verify", INCIDENT, "--include", ONE]);
    let text = said(&verified);
    assert_ne!(verified.status.code(), Some(0), "{text}");
    assert!(
        text.contains(&format!("{MARK}; it is played on sim only")),
        "{text}"
    );
}

#[test]
fn what_is_not_known_is_refused_where_it_is_read() {
    for (step, cluster, what) in [
        (
            "upgrade: v1.13.12",
            "version: v1.12.5",
            "an upgrade to v1.13.12 is not known",
        ),
        (
            "upgrade: v1.16.15",
            "version: v1.12.5",
            "what this step does in v1.12.5 is not known",
        ),
        (
            "renew: all",
            "version: v1.11.10",
            "what this step does in v1.11.10 is not known",
        ),
        (
            "walk: 1d",
            "version: v1.12.5, nodes: { controlPlane: 3 }",
            "a second control plane of v1.12.5 is not known",
        ),
        ("walk: 1d", "version: v1.9.11", "unknown version v1.9.11"),
    ] {
        let run = played(step, cluster);
        assert_eq!(run.status.code(), Some(3), "{}", said(&run));
        assert!(said(&run).contains(what), "{}", said(&run));
    }
}

#[test]
fn a_command_that_is_not_known_gives_no_verdict() {
    let run = played("kubeadm: init phase certs all", "version: v1.14.10");
    let text = said(&run);
    assert_eq!(run.status.code(), Some(104), "{text}");
    assert!(
        text.contains("what `kubeadm init phase certs all` does in v1.14.10 is not known: it is a historic version"),
        "{text}"
    );
    assert!(text.contains("docs/limits.md"), "{text}");
}

#[test]
fn other_commands_do_not_take_it() {
    let engine = certdrill(&[
        "kubeadm", "--rootfs", "/nowhere", "--as", "v1.14.10", "--", "alpha", "certs", "renew",
        "all",
    ]);
    assert!(
        said(&engine).contains("v1.14.10 is not modelled"),
        "{}",
        said(&engine)
    );
    let import = certdrill(&["import", "--kubernetes-version", "v1.14.10", "Cargo.toml"]);
    assert_eq!(import.status.code(), Some(2), "{}", said(&import));
    assert!(
        said(&import).contains("v1.14.10 is older than v1.15.0"),
        "{}",
        said(&import)
    );
}
