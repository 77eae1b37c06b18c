//! What is printed for `--help`, for groups without a sub-command and for unknown ones, beside every real kubeadm
//! that is there (`ci/build-kubeadm.sh`).

#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is missing"
)]

#[path = "beside/engine.rs"]
mod engine;

use std::path::Path;
use std::process::Command;

use certdrill::fs::MemoryTree;
use certdrill::kubeadm::{Machine, Version, run};
use certdrill::pki::PoolKeys;
use engine::{engine, missing};

/// One is built by `ci/engines.sh`; the others are used where they are.
const ALWAYS: &str = "v1.35.4";
const VERSIONS: [&str; 8] = [
    "v1.15.12", "v1.16.15", "v1.17.17", "v1.28.15", "v1.34.4", ALWAYS, "v1.36.3", "v1.37.2",
];

#[derive(Debug, PartialEq, Eq)]
struct Printed {
    exit_code: i32,
    stdout: String,
    stderr: String,
}

fn real(binary: &Path, words: &[&str]) -> Printed {
    let output = Command::new(binary).args(words).output().unwrap();
    Printed {
        exit_code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn ours(version: &str, words: &[&str]) -> Printed {
    let args: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    let output = run(
        version.parse::<Version>().unwrap(),
        &args,
        &mut Machine {
            tree: &mut MemoryTree::new(),
            now: "2026-09-17T12:00:00Z".parse().unwrap(),
            hostname: "cp1".into(),
            host_address: "10.0.0.10".parse().unwrap(),
            keys: &mut PoolKeys::new(1),
            cluster: None,
        },
    );
    Printed {
        exit_code: output.exit_code,
        stdout: output.stdout,
        stderr: output.stderr,
    }
}

/// Whether a command is one of those for certificates, leads to them, or is `upgrade`.
fn is_ours(path: &[String]) -> bool {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["init", "phase", phase, ..] => ["certs", "kubeconfig", "kubelet-finalize"].contains(phase),
        ["alpha", group, ..] => ["certs", "kubeconfig"].contains(group),
        ["upgrade", ..] => words.len() < 3,
        [] => true,
        [first, ..] => ["alpha", "certs", "help", "init", "kubeconfig"].contains(first),
    }
}

/// Every command below a path, by what the real kubeadm lists.
fn walk(binary: &Path, path: Vec<String>, out: &mut Vec<(Vec<String>, Printed)>) {
    let mut words: Vec<&str> = path.iter().map(String::as_str).collect();
    words.push("--help");
    let printed = real(binary, &words);
    let (_, list) = printed
        .stdout
        .split_once("\nAvailable Commands:\n")
        .unwrap_or_default();
    let children: Vec<Vec<String>> = list
        .lines()
        .take_while(|line| !line.is_empty())
        .map(|line| {
            let name = line.split_whitespace().next().unwrap();
            path.iter().cloned().chain([name.to_owned()]).collect()
        })
        .collect();
    out.push((path, printed));
    for child in children.into_iter().filter(|child| is_ours(child)) {
        walk(binary, child, out);
    }
}

#[test]
fn the_words_about_commands_are_those_of_the_real_kubeadm() {
    let mut wrong = Vec::new();
    let mut compared = 0;
    for version in VERSIONS {
        let Some(binary) = engine(version) else {
            if version == ALWAYS {
                missing("kubeadm", "build one with ci/build-kubeadm.sh v1.35.4");
            }
            continue;
        };
        let mut commands = Vec::new();
        walk(&binary, Vec::new(), &mut commands);
        assert!(commands.len() > 40, "{version}: {}", commands.len());
        let mut compare = |words: &[&str], real: Printed| {
            compared += 1;
            let mut ours = ours(version, words);
            let mut real = real;
            if version == "v1.15.12" && words == ["init", "--help"] {
                // It lists the phases of etcd's certificates in another order each time.
                for printed in [&mut ours, &mut real] {
                    let mut lines: Vec<&str> = printed.stdout.lines().collect();
                    lines.sort_unstable();
                    printed.stdout = lines.join("\n");
                }
            }
            if ours != real {
                wrong.push(format!(
                    "## {version} {words:?}: {ours:#?}\n-- not {real:#?}"
                ));
            }
        };
        for (path, printed) in commands {
            let words: Vec<&str> = path.iter().map(String::as_str).collect();
            let group = printed.stdout.contains("\nAvailable Commands:\n");
            compare(&[&words[..], &["--help"]].concat(), printed);
            // These do something of their own when they are called alone.
            let acts = matches!(words.as_slice(), ["init"] | ["upgrade", "apply" | "node"]);
            if group && !acts {
                for more in [&["-h"][..], &[], &["nosuch"]] {
                    let words = [&words[..], more].concat();
                    let printed = real(&binary, &words);
                    compare(&words, printed);
                }
            }
        }
        for words in [
            &["help"][..],
            &["help", "nosuch"],
            &["help", "init", "phase", "certs"],
            &["help", "upgrade", "nosuch"],
            &["alpha"],
            &["alpha", "--help"],
            &["alpha", "nosuch"],
            &["certs", "--nosuch"],
            &["init", "phase", "certs", "ca", "--nosuch"],
            &["init", "phase", "certs", "ca", "nosuch"],
            &["init", "phase", "nosuch", "--help"],
        ] {
            compare(words, real(&binary, words));
        }
    }
    println!("{compared} answers compared");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
