//! The reports of `verify` are what their readers accept.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "files and processes are what these tests are about, and they may stop at what they did not expect"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

#[path = "beside/schema.rs"]
mod schema;

/// One that agrees, one of which too little is compared, one without a verdict on both sides, one that cannot be
/// played.
const SCENARIOS: &str = "apiVersion: certdrill/v1
kind: Scenario
metadata: { name: same, title: A new cluster works }
spec:
  cluster: { version: v1.36.3, keyAlgorithm: ECDSA-P256 }
  steps:
    - walk: 1d
    - expect: { edge: \"user@cp1 -> apiserver\", is: ok }
---
apiVersion: certdrill/v1
kind: Scenario
metadata: { name: thin, title: Wants more than there is }
spec:
  comparedAtLeast: 100000
  cluster: { version: \"{version}\", keyAlgorithm: ECDSA-P256 }
  matrix: { version: [v1.36.3] }
  steps:
    - walk: 1d
---
apiVersion: certdrill/v1
kind: Scenario
metadata: { name: unsupported, title: Such a cluster does not come up }
spec:
  cluster: { version: v1.16.15, keyAlgorithm: ECDSA-P256 }
  steps:
    - walk: 1d
---
apiVersion: certdrill/v1
kind: Scenario
metadata: { name: elsewhere, title: Needs a real cluster }
spec:
  backends: [kind]
  cluster: { version: v1.36.3 }
  steps:
    - expect: { edges: all, is: ok }
";

fn certdrill(folder: &Path, args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certdrill"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CERTDRILL_") || name.starts_with("GITHUB_") {
            command.env_remove(&*name);
        }
    }
    command
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .envs(environment.iter().copied())
        .args(args)
        .output()
        .unwrap()
}

fn scenarios() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (index, text) in SCENARIOS.split("---\n").enumerate() {
        fs::write(folder.path().join(format!("{index}.yaml")), text).unwrap();
    }
    folder
}

fn verified(more: &[&str], environment: &[(&str, &str)]) -> (TempDir, Output) {
    let folder = scenarios();
    let args = ["verify", ".", "--between=sim,sim", "--seed=7"];
    let output = certdrill(folder.path(), &[&args, more].concat(), environment);
    assert_eq!(
        output.status.code(),
        Some(103),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (folder, output)
}

const REPLAY: &str =
    "certdrill verify 1.yaml --between sim,sim --seed 7 --include thin/version=v1.36.3";

#[test]
fn the_json_report_fits_its_published_schema() {
    let (folder, _) = verified(&["--report-json=verify.json"], &[]);
    let text = fs::read_to_string(folder.path().join("verify.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let published = include_str!("../docs/verify.schema.json");
    assert_eq!(
        published,
        certdrill::report::compared::schema(),
        "run `cargo run -- schema verify > docs/verify.schema.json`"
    );
    let words: Value = serde_json::from_str(published).unwrap();
    let mistakes = schema::mistakes(&words, &words, &report, "report");
    assert!(mistakes.is_empty(), "{mistakes:#?}");
    // A schema that takes everything would say nothing.
    for (pointer, value) in [
        ("/runs/0/outcome", Value::from("passed")),
        ("/runs/0/id", Value::from(3)),
        ("/counts", serde_json::json!({})),
        ("/runs/0", serde_json::json!({ "unknown": 1 })),
    ] {
        let mut broken = report.clone();
        *broken.pointer_mut(pointer).unwrap() = value;
        assert!(
            !schema::mistakes(&words, &words, &broken, "report").is_empty(),
            "{pointer}"
        );
    }

    assert_eq!(report["format"], "certdrill.verify/v1");
    assert_eq!(
        (&report["first"], &report["second"]),
        (&"sim".into(), &"sim".into())
    );
    for (name, count) in [
        ("agree", 1),
        ("differ", 1),
        ("noVerdict", 1),
        ("notRun", 1),
        ("differences", 0),
    ] {
        assert_eq!(
            report["counts"][name], count,
            "{name}: {}",
            report["counts"]
        );
    }
    let run = |id: &str| {
        let runs = report["runs"].as_array().unwrap();
        runs.iter().find(|run| run["id"] == id).unwrap()
    };
    let thin = run("thin/version=v1.36.3");
    assert_eq!(thin["outcome"], "differ");
    assert_eq!(thin["compared"]["atLeast"], 100_000);
    assert_eq!(thin["played"]["replay"], REPLAY);
    assert!(thin["compared"]["kinds"]["certificate"]["values"].as_u64() > Some(10));
    assert!(run("same")["reason"].is_null());
    assert!(
        run("unsupported")["reason"]
            .as_str()
            .unwrap()
            .contains("v1.16.15")
    );
    let reason = run("elsewhere")["reason"].as_str().unwrap();
    assert!(reason.contains("backends do not include sim"), "{reason}");
}

#[test]
fn junit_has_failures_errors_and_skips_and_is_what_strict_readers_accept() {
    let (folder, _) = verified(&["--report-junit=junit.xml"], &[]);
    let path = folder.path().join("junit.xml");
    let xml = fs::read_to_string(&path).unwrap();
    assert!(
        xml.contains("tests=\"4\" failures=\"1\" errors=\"1\""),
        "{xml}"
    );
    for word in [
        "<failure message=\"",
        "type=\"divergence\"",
        "<error message=\"",
        "type=\"infrastructure\"",
        "<skipped message=\"its backends do not include sim\"",
        "<property name=\"between\" value=\"sim,sim\"/>",
        "<property name=\"seed\" value=\"7\"/>",
        REPLAY,
    ] {
        assert!(xml.contains(word), "{word}: {xml}");
    }
    let required = std::env::var("CERTDRILL_REQUIRE")
        .is_ok_and(|list| list.split(',').any(|one| one == "xmllint"));
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/schemas/junit.xsd");
    let checked = Command::new("xmllint")
        .args(["--noout", "--schema", schema])
        .arg(path)
        .output();
    match checked {
        Ok(output) => assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => {
            assert!(!required, "xmllint: {error}");
            eprintln!("skipped: xmllint is not here");
        }
    }
}

#[test]
fn github_gets_annotations_and_the_steps_summary() {
    let summary = tempfile::NamedTempFile::new().unwrap();
    let environment = [("GITHUB_STEP_SUMMARY", summary.path().to_str().unwrap())];
    let (_folder, output) = verified(&["--format=github"], &environment);
    let text = String::from_utf8(output.stdout).unwrap();
    let commands: Vec<&str> = text.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!(commands.len(), 2, "{text}");
    assert!(
        commands
            .iter()
            .any(|one| one
                .starts_with("::error file=1.yaml,title=thin/version=v1.36.3%3A differs::")),
        "{text}"
    );
    let written = fs::read_to_string(summary.path()).unwrap();
    assert!(
        written.starts_with("### certdrill: 1 agree, 1 differ, 1 without verdict, 1 not run\n"),
        "{written}"
    );
    assert!(written.contains(REPLAY), "{written}");
}

#[test]
fn a_report_that_cannot_be_written_is_told() {
    let folder = scenarios();
    for report in ["--report-junit", "--report-json", "--report-html"] {
        let file = format!("{report}=/nowhere/report");
        let args = ["verify", "0.yaml", "--between=sim,sim", file.as_str()];
        let output = certdrill(folder.path(), &args, &[]);
        assert_eq!(output.status.code(), Some(110), "{report}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("cannot write /nowhere/report"), "{told}");
    }
}
