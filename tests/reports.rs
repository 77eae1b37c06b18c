//! Reports for machines are what their readers accept.

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

use schema::mistakes;

const SCENARIOS: &str = "apiVersion: certdrill/v1
kind: Scenario
metadata: { name: green, title: A new cluster works }
spec:
  cluster: { version: v1.36.3, keyAlgorithm: ECDSA-P256 }
  steps:
    - walk: 1d
    - expect: { edge: \"user@cp1 -> apiserver\", is: ok }
---
apiVersion: certdrill/v1
kind: Scenario
metadata: { name: red, title: Nobody renews }
spec:
  matrix: { day: [366, 400] }
  cluster: { version: v1.36.3, keyAlgorithm: ECDSA-P256 }
  steps:
    - walk: to day {day}
    - expect: { edge: \"user@cp1 -> apiserver\", is: ok }
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

struct Written {
    folder: TempDir,
    output: Output,
}

impl Written {
    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.text(name)).unwrap()
    }
}

fn certdrill(folder: &Path, args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certdrill"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CERTDRILL_") || name.starts_with("GITHUB_") || name.starts_with("CI_")
        {
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

/// The scenarios one a file, and every report of their runs.
fn written() -> Written {
    let folder = TempDir::new().unwrap();
    for (index, text) in SCENARIOS.split("---\n").enumerate() {
        fs::write(folder.path().join(format!("{index}.yaml")), text).unwrap();
    }
    let args = [
        "run",
        ".",
        "--seed=7",
        "--report-junit=junit.xml",
        "--report-json=report.json",
        "--report-sarif=report.sarif",
        "--report-tap=report.tap",
        "--report-html=report.html",
    ];
    let output = certdrill(folder.path(), &args, &[]);
    assert_eq!(output.status.code(), Some(100));
    Written { folder, output }
}

#[test]
fn the_json_report_fits_its_published_schema() {
    let written = written();
    let report = written.json("report.json");
    let published = include_str!("../docs/report.schema.json");
    assert_eq!(
        published,
        certdrill::report::summary::schema(),
        "run `cargo run -- schema report > docs/report.schema.json`"
    );
    let schema: Value = serde_json::from_str(published).unwrap();
    let mistakes = mistakes(&schema, &schema, &report, "report");
    assert!(mistakes.is_empty(), "{mistakes:#?}");
    // A schema that takes everything would say nothing.
    for (pointer, value) in [
        ("/runs/0/outcome", Value::from("green")),
        ("/runs/0/id", Value::from(3)),
        ("/counts", serde_json::json!({})),
        ("/runs/0", serde_json::json!({ "unknown": 1 })),
    ] {
        let mut broken = report.clone();
        *broken.pointer_mut(pointer).unwrap() = value;
        assert!(
            !schema::mistakes(&schema, &schema, &broken, "report").is_empty(),
            "{pointer}"
        );
    }

    let counts = &report["counts"];
    for (name, count) in [
        ("passed", 1),
        ("failed", 2),
        ("infrastructure", 1),
        ("notRun", 1),
    ] {
        assert_eq!(counts[name], count, "{name}: {counts}");
    }
    let red = report["runs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|run| run["id"] == "red/day=366")
        .unwrap();
    assert_eq!(red["failures"][0]["line"], 9);
    assert_eq!(red["failures"][0]["day"], 366.0);
    assert_eq!(red["played"]["seed"], 7);
    let cause = red["failures"][0]["causes"][0]["text"].as_str().unwrap();
    assert!(
        cause.contains("user@cp1 -> kube-apiserver fails"),
        "{cause}"
    );
}

#[test]
fn the_sarif_log_has_what_readers_need() {
    let log = written().json("report.sarif");
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(run["tool"]["driver"]["name"], "certdrill");
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 3, "two failures, one without verdict");
    for result in results {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let place = &result["locations"][0]["physicalLocation"];
        assert!(place["artifactLocation"]["uri"].is_string());
        if result["ruleId"] == "expectation" {
            assert_eq!(place["region"]["startLine"], 9);
            assert!(place["region"]["startColumn"].as_u64().unwrap() > 0);
        }
    }
    let fingerprints: std::collections::BTreeSet<String> = results
        .iter()
        .map(|result| result["partialFingerprints"].to_string())
        .collect();
    assert_eq!(fingerprints.len(), 3, "each finding is another one");
    let notes = &run["invocations"][0]["toolExecutionNotifications"];
    assert_eq!(notes.as_array().unwrap().len(), 1, "{notes}");
}

#[test]
fn junit_is_what_strict_readers_accept() {
    let written = written();
    let xml = written.text("junit.xml");
    assert!(
        xml.contains("<property name=\"seed\" value=\"7\"/>"),
        "{xml}"
    );
    let required = std::env::var("CERTDRILL_REQUIRE")
        .is_ok_and(|list| list.split(',').any(|one| one == "xmllint"));
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/schemas/junit.xsd");
    let checked = Command::new("xmllint")
        .args(["--noout", "--schema", schema])
        .arg(written.folder.path().join("junit.xml"))
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
fn tap_has_a_plan_a_point_for_each_run_and_a_skip() {
    let written = written();
    let tap = written.text("report.tap");
    assert!(tap.starts_with("TAP version 14\n1..5\n"), "{tap}");
    let points: Vec<&str> = tap
        .lines()
        .filter(|line| line.starts_with("ok ") || line.starts_with("not ok "))
        .collect();
    assert_eq!(points.len(), 5, "{tap}");
    let skipped = points
        .iter()
        .filter(|line| line.contains(" # SKIP "))
        .count();
    let failed = points
        .iter()
        .filter(|line| line.starts_with("not ok"))
        .count();
    assert_eq!((skipped, failed), (1, 3), "{tap}");
    // What goes to standard output is the same, and nothing else.
    let output = certdrill(
        written.folder.path(),
        &["run", ".", "--seed=7", "--format=tap"],
        &[],
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), tap);
    assert!(!written.output.stdout.is_empty());
}

#[test]
fn github_gets_ten_annotations_and_everything_in_the_summary() {
    let folder = TempDir::new().unwrap();
    let many = "apiVersion: certdrill/v1
kind: Scenario
metadata: { name: many, title: Many failures }
spec:
  matrix: { day: [366, 367, 368, 369, 370, 371, 372, 373, 374, 375, 376, 377] }
  cluster: { version: v1.36.3, keyAlgorithm: ECDSA-P256 }
  steps:
    - walk: to day {day}
    - expect: { edge: \"user@cp1 -> apiserver\", is: ok }
";
    fs::write(folder.path().join("many.yaml"), many).unwrap();
    let summary = folder.path().join("summary.md");
    fs::write(&summary, "of another step\n").unwrap();
    let environment = [("GITHUB_STEP_SUMMARY", summary.to_str().unwrap())];
    let args = ["run", "many.yaml", "--format=github"];
    let output = certdrill(folder.path(), &args, &environment);
    assert_eq!(output.status.code(), Some(100));
    let text = String::from_utf8(output.stdout).unwrap();
    let commands: Vec<&str> = text.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!(commands.len(), 10, "{text}");
    assert!(
        commands[0].starts_with(
            "::error file=many.yaml,line=9,col=17,title=many/day=366%3A failed::expected "
        ),
        "{}",
        commands[0]
    );
    assert!(commands[9].contains("3 more findings"), "{}", commands[9]);
    let written = fs::read_to_string(&summary).unwrap();
    assert!(
        written.starts_with("of another step\n"),
        "others' words stay"
    );
    assert!(written.contains("day=377"), "{written}");

    let missing = [("GITHUB_STEP_SUMMARY", "/nowhere/summary.md")];
    let output = certdrill(folder.path(), &args, &missing);
    assert_eq!(
        output.status.code(),
        Some(110),
        "a report could not be written"
    );
}

#[test]
fn shards_are_disjoint_and_together_everything() {
    let folder = TempDir::new().unwrap();
    for (index, text) in SCENARIOS.split("---\n").enumerate() {
        fs::write(folder.path().join(format!("{index}.yaml")), text).unwrap();
    }
    let ids = |shard: &str, environment: &[(&str, &str)]| -> Vec<String> {
        let args = ["list", ".", "--format=json", "--shard", shard];
        let output = certdrill(folder.path(), &args, environment);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| {
                let run: Value = serde_json::from_str(line).unwrap();
                run["id"].as_str().unwrap().to_owned()
            })
            .collect()
    };
    let whole = ids("1/1", &[]);
    let mut shares: Vec<String> = (1..=3)
        .flat_map(|share| ids(&format!("{share}/3"), &[]))
        .collect();
    shares.sort();
    let mut sorted = whole.clone();
    sorted.sort();
    assert_eq!(shares, sorted);
    assert_eq!(whole.len(), 5);
    assert_eq!(
        ids("auto/3", &[("JOB_COMPLETION_INDEX", "0")]),
        ids("1/3", &[])
    );
    assert_eq!(ids("auto/3", &[("CI_NODE_INDEX", "3")]), ids("3/3", &[]));
    for (shard, code) in [("0/3", 2), ("4/3", 2), ("auto/3", 2), ("x", 2), ("7/9", 4)] {
        let output = certdrill(folder.path(), &["list", ".", "--shard", shard], &[]);
        assert_eq!(output.status.code(), Some(code), "{shard}");
    }
}

#[test]
fn a_report_that_cannot_be_written_leaves_no_half_and_exits_110() {
    let folder = TempDir::new().unwrap();
    fs::write(
        folder.path().join("0.yaml"),
        SCENARIOS.split("---\n").next().unwrap(),
    )
    .unwrap();
    for option in ["json", "sarif", "tap", "html", "junit"] {
        let option = format!("--report-{option}=missing/report");
        let output = certdrill(folder.path(), &["run", "0.yaml", &option], &[]);
        assert_eq!(output.status.code(), Some(110), "{option}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("cannot write missing/report"), "{said}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{option}");
    }
}
