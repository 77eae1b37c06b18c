//! The engine against the real binary, run side by side now: versions for which nothing was recorded.
//!
//! `ci/build-kubeadm.sh v1.35.4` builds a binary. Inputs are the trees and command lines of the recordings of
//! a neighbouring version. Without a binary the test says so; with `CERTDRILL_REQUIRE=kubeadm` it fails then.
//! `DIFFERENTIAL_CASES=all` runs every input instead of a sample.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test lays out real trees and stops where something is missing"
)]

#[path = "conformance/corpus.rs"]
mod corpus;
#[path = "beside/disk.rs"]
mod disk;
#[path = "beside/engine.rs"]
mod engine;
#[path = "conformance/texts.rs"]
mod texts;

use std::path::Path;
use std::process::Command;

use certdrill::fs::{FileType, MemoryTree, Tree};
use certdrill::kubeadm::{CommandOutput, Machine, Version, run};
use certdrill::pki::{Certificate, KeySource, Kubeconfig, PoolKeys, Source};
use certdrill::time::Timestamp;
use corpus::{Case, Corpus};
use disk::{lay_out, paths};
use engine::{engine, missing};

/// The version to run, and the one whose recordings lend the inputs.
const PAIRS: [(&str, &str); 1] = [("v1.35.4", "v1.34.4")];
const SAMPLE: usize = 60;

#[test]
fn the_engine_does_what_an_unrecorded_version_does() {
    let all = std::env::var("DIFFERENTIAL_CASES").is_ok_and(|cases| cases == "all");
    for (version, lender) in PAIRS {
        let Some(binary) = engine(version) else {
            let hint = format!("build one with ci/build-kubeadm.sh {version}, and be root");
            missing("kubeadm", &hint);
            continue;
        };
        let path = corpus::files()
            .into_iter()
            .find(|path| path.to_string_lossy().contains(lender))
            .unwrap();
        let corpus = Corpus::read(&path);
        assert_eq!(corpus.version, lender);
        // Inputs whose outcome hangs on the recorded second, on the machine, or on a random order are left out.
        let mut cases: Vec<&Case> = corpus
            .cases
            .iter()
            .filter(|case| !["time", "durations", "noconfig"].contains(&case.family.as_str()))
            .filter(|case| {
                !["exact-second", "random-order", "no-config", "panic"]
                    .iter()
                    .any(|tag| case.has_tag(tag))
            })
            .collect();
        if !all {
            let mut draw = PoolKeys::new(35);
            while cases.len() > SAMPLE {
                let at = draw.serial("sample") as usize % cases.len();
                cases.swap_remove(at);
            }
        }
        let mut wrong = Vec::new();
        for case in &cases {
            let notes = compare(&binary, version, &corpus, case);
            if !notes.is_empty() {
                wrong.push(format!(
                    "## {} {}\n{}",
                    case.id,
                    case.args.join(" "),
                    notes.join("\n")
                ));
            }
        }
        println!(
            "{version}: {} of {} inputs agree",
            cases.len() - wrong.len(),
            cases.len()
        );
        assert!(wrong.is_empty(), "{version}:\n{}", wrong.join("\n\n"));
    }
}

fn compare(binary: &Path, version: &str, corpus: &Corpus, case: &Case) -> Vec<String> {
    let before = corpus.tree(case);
    let dir = tempfile::tempdir().unwrap();
    lay_out(&before, dir.path());
    let now = Timestamp::now();
    let real = Command::new(binary)
        .arg("--rootfs")
        .arg(dir.path())
        .args(&case.args)
        .output()
        .unwrap();
    let mut tree = before.clone();
    let mut keys = PoolKeys::new(1);
    let ours = run(
        version.parse::<Version>().unwrap(),
        &case.args,
        &mut Machine {
            tree: &mut tree,
            now,
            hostname: case.node_name.clone(),
            host_address: "10.0.0.10".parse().unwrap(),
            keys: &mut keys,
            cluster: None,
        },
    );
    let recorded = Recorded {
        exit_code: real.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&real.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&real.stderr).into_owned(),
    };
    let mut notes = outputs(case, &recorded, &ours);
    notes.extend(trees(&before, &tree, dir.path()));
    notes
}

struct Recorded {
    exit_code: i32,
    stdout: String,
    stderr: String,
}

fn outputs(case: &Case, real: &Recorded, ours: &CommandOutput) -> Vec<String> {
    let mut notes = Vec::new();
    if real.exit_code != ours.exit_code {
        notes.push(format!(
            "exit {} not {}: {}",
            ours.exit_code, real.exit_code, real.stderr
        ));
    }
    let as_recorded = Case {
        rc: real.exit_code,
        stdout: real.stdout.clone(),
        stderr: real.stderr.clone(),
        ..clone(case)
    };
    if !texts::stdout_agrees(&as_recorded, &ours.stdout) {
        notes.push(format!("stdout:\n{}-- not:\n{}", ours.stdout, real.stdout));
    }
    if !texts::stderr_agrees(&as_recorded, &ours.stderr) {
        notes.push(format!("stderr:\n{}-- not:\n{}", ours.stderr, real.stderr));
    }
    notes
}

fn clone(case: &Case) -> Case {
    serde_json::from_value(serde_json::json!({
        "id": case.id, "family": case.family, "at": case.at, "args": case.args, "nodeName": case.node_name,
        "tags": case.tags, "before": { "base": null, "remove": [], "overlay": null }, "rc": 0, "stdout": "",
        "stderr": "", "after": case.after,
    }))
    .unwrap()
}

/// Compares what became of both trees: paths, kinds, modes, links, which contents changed, and what the
/// changed certificates say.
fn trees(before: &MemoryTree, ours: &MemoryTree, real: &Path) -> Vec<String> {
    let mut notes = Vec::new();
    let on_disk = paths(real);
    let in_memory: Vec<String> = ours.paths();
    for path in on_disk.keys().filter(|path| !in_memory.contains(path)) {
        notes.push(format!("{path}: only the real kubeadm makes it"));
    }
    for path in &in_memory {
        let Some(found) = on_disk.get(path) else {
            notes.push(format!("{path}: only we make it"));
            continue;
        };
        let metadata = ours.symlink_metadata(path).unwrap();
        let kind = match metadata.file_type {
            FileType::Dir => "dir",
            FileType::Symlink => "symlink",
            _ => "file",
        };
        if kind != found.kind || (kind != "symlink" && metadata.mode != found.mode) {
            notes.push(format!(
                "{path}: {kind} {:o}, not {} {:o}",
                metadata.mode, found.kind, found.mode
            ));
        }
        if kind != "file" {
            continue;
        }
        let (old, our, real) = (
            before.read(path).ok(),
            ours.read(path).unwrap(),
            &found.content,
        );
        let (we_changed, it_changed) = (old.as_ref() != Some(&our), old.as_ref() != Some(real));
        if we_changed != it_changed {
            notes.push(format!(
                "{path}: changed by {}",
                if we_changed {
                    "us alone"
                } else {
                    "the real one alone"
                }
            ));
        } else if we_changed && saying(&our) != saying(real) {
            notes.push(format!(
                "{path}: {:?}, not {:?}",
                saying(&our),
                saying(real)
            ));
        }
    }
    notes
}

/// What a file's certificates say, apart from key, serial number and the second of issue.
fn saying(content: &[u8]) -> Option<Vec<String>> {
    let pem = match Kubeconfig::parse(content)
        .ok()
        .map(|config| config.client_certificate())
    {
        Some(Source::Data(data)) => data,
        _ => content.to_vec(),
    };
    let certificates = Certificate::parse_pem_certs(&pem).ok()?;
    Some(
        certificates
            .iter()
            .map(|certificate| {
                let quarter = |at: Timestamp| (at.as_second() + 450) / 900;
                format!(
                    "{:02x?} {:?} {:?} {:?} {} {} {}",
                    certificate.subject_der(),
                    certificate.dns_names(),
                    certificate.ip_addresses(),
                    certificate.ext_key_usages(),
                    certificate.is_ca(),
                    quarter(certificate.not_before()),
                    quarter(certificate.not_after()),
                )
            })
            .collect(),
    )
}
