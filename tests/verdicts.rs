//! Expectations that do not hold fail the run, and say what was seen and when.

use certdrill::run::{
    PlayOptions, Run, play, trace::Entry, trace::Judgement, trace::Record, trace::Verdict,
};
use certdrill::scenario;

fn run(rest: &str) -> Run {
    let text = format!(
        "apiVersion: certdrill/v1\nkind: Scenario\nmetadata: {{ name: verdicts, title: Verdicts }}\nspec:\n  cluster: {{ version: v1.36.3, start: 2026-01-01T00:00:00Z, nodes: {{ controlPlane: 1 }}, keyAlgorithm: ECDSA-P256 }}\n{rest}"
    );
    let scenario = scenario::load("verdicts.yaml", &text)
        .unwrap_or_else(|error| panic!("{error:?}"))
        .remove(0);
    play(&scenario, &PlayOptions { seed: 5 })
}

fn failures(run: &Run) -> Vec<(&Record, &Judgement)> {
    run.records
        .iter()
        .filter_map(|record| match &record.entry {
            Entry::Expectation(judged) if !judged.passed => Some((record, judged)),
            _ => None,
        })
        .collect()
}

#[test]
fn an_always_that_breaks_is_reported_at_its_second() {
    let run = run(
        "  steps:\n    - walk: 400d\n  always:\n    - { edge: admin@cp1 -> apiserver, is: ok }\n",
    );
    assert_eq!(run.verdict, Verdict::Failed);
    let failures = failures(&run);
    assert_eq!(failures.len(), 1);
    let (record, judged) = failures[0];
    assert_eq!(record.at.to_string(), "2027-01-01T00:00:01Z");
    assert_eq!((judged.form.as_str(), judged.line), ("always", 9));
    assert!(
        judged.seen.contains("certificate has expired"),
        "{}",
        judged.seen
    );
    let cause = judged.cause.expect("an edge knows what broke it");
    assert!(matches!(run.records[cause as usize].entry, Entry::Event(_)));
}

#[test]
fn an_eventually_fails_when_its_deadline_passes_and_passes_when_it_held_before() {
    let late = run(
        "  steps:\n    - walk: 340d\n  eventually:\n    - within: 200d\n      expect: { certificate: kubelet, nodes: '@cp1', count: 2 }\n",
    );
    assert_eq!(late.verdict, Verdict::Failed);
    let in_time = run(
        "  steps:\n    - walk: 340d\n  eventually:\n    - within: 330d\n      expect: { certificate: kubelet, nodes: '@cp1', count: 2 }\n",
    );
    assert_eq!(in_time.verdict, Verdict::Passed);
    let too_short = run(
        "  steps:\n    - walk: 100d\n  eventually:\n    - within: 330d\n      expect: { certificate: kubelet, nodes: '@cp1', count: 2 }\n",
    );
    assert_eq!(too_short.verdict, Verdict::Failed, "it never held");
}

#[test]
fn a_sometimes_that_never_held_fails() {
    let never = run("  steps:\n    - walk: 10d\n  sometimes:\n    - { etcd: { quorum: false } }\n");
    assert_eq!(never.verdict, Verdict::Failed);
    let once = run(
        "  steps:\n    - stop: etcd@cp1\n    - start: etcd@cp1\n    - walk: 1d\n  sometimes:\n    - { etcd: { quorum: false } }\n",
    );
    assert_eq!(once.verdict, Verdict::Passed);
}

#[test]
fn a_negative_control_fails_when_nothing_is_wrong_or_something_else_is() {
    let fine = run("  steps:\n    - walk: 1d\n    - expectFailure: { edges: all, is: ok }\n");
    assert_eq!(fine.verdict, Verdict::Failed);
    let other = run(
        "  steps:\n    - stop: apiserver@cp1\n    - expectFailure: { edge: admin@cp1 -> apiserver, is: ok, because: certificate has expired }\n",
    );
    assert_eq!(other.verdict, Verdict::Failed);
    let named = run(
        "  steps:\n    - stop: apiserver@cp1\n    - expectFailure: { edge: admin@cp1 -> apiserver, is: ok, because: was refused }\n",
    );
    assert_eq!(named.verdict, Verdict::Passed);
}

#[test]
fn a_command_that_ends_otherwise_fails_the_step() {
    let run =
        run("  steps:\n    - kubeadm: { nodes: '@cp1', args: certs renew no-such-certificate }\n");
    assert_eq!(run.verdict, Verdict::Failed);
    assert_eq!(failures(&run)[0].1.form, "command");
}

#[test]
fn a_step_that_cannot_be_taken_says_nothing_about_the_subject() {
    let run = run("  steps:\n    - copy: { from: 'cp1:/no/such/file', to: '@cp1:/x' }\n");
    assert_eq!(run.verdict, Verdict::Infrastructure);
    let Some(Entry::Verdict(end)) = run.records.last().map(|record| &record.entry) else {
        panic!("a trace ends with its verdict");
    };
    let reason = end.reason.as_deref().unwrap();
    assert!(
        reason.contains("open /no/such/file: no such file or directory"),
        "{reason}"
    );
}
