//! Reports of one made-up run: the kubelet of an old init node a year later.

use std::collections::BTreeMap;

use super::human::Layout;
use super::*;
use crate::run::trace::*;
use crate::time::{SignedDuration, Timestamp};

const SOURCE: &str = include_str!("../scenario/illustration.yaml");

struct Sample {
    records: Vec<Record>,
    start: Timestamp,
}

impl Sample {
    fn push(&mut self, seconds: i64, entry: Entry) -> u64 {
        let seq = self.records.len() as u64;
        let at = self.start + SignedDuration::from_secs(seconds);
        self.records.push(Record { seq, at, entry });
        seq
    }

    fn step(&mut self, seconds: i64, line: u32, text: &str) {
        let index = line;
        let text = text.to_owned();
        self.push(seconds, Entry::Step(StepEntry { index, line, text }));
    }

    fn event(
        &mut self,
        seconds: i64,
        kind: EventKind,
        weight: Weight,
        text: &str,
        cause: Option<u64>,
    ) -> u64 {
        self.push(
            seconds,
            Entry::Event(Event {
                kind,
                weight,
                node: Some("cp1".to_owned()),
                subject: "kubelet".to_owned(),
                text: text.to_owned(),
                detail: (weight == Weight::Trouble).then(|| "E0205 bootstrap.go:265] part of the existing bootstrap client certificate in /etc/kubernetes/kubelet.conf is expired: 2027-01-01 00:00:00 +0000 UTC\nF0205 server.go:274] failed to run Kubelet".to_owned()),
                cause,
            }),
        )
    }

    fn expectation(
        &mut self,
        seconds: i64,
        needle: &str,
        expected: &str,
        seen: &str,
        cause: Option<u64>,
    ) {
        let offset = SOURCE.find(needle).unwrap();
        let line = SOURCE[..offset].matches('\n').count() as u32 + 1;
        let column = (offset - SOURCE[..offset].rfind('\n').unwrap()) as u32;
        self.push(
            seconds,
            Entry::Expectation(Judgement {
                line,
                column,
                span: (offset, needle.len()),
                form: "expect".to_owned(),
                expected: expected.to_owned(),
                seen: seen.to_owned(),
                subject: "kubelet on cp1".to_owned(),
                passed: cause.is_none(),
                cause,
            }),
        );
    }
}

const DAY: i64 = 86_400;

fn sample() -> Vec<Record> {
    let mut s = Sample {
        records: Vec::new(),
        start: "2026-01-01T00:00:00Z".parse().unwrap(),
    };
    s.push(
        0,
        Entry::Header(Header {
            format: FORMAT.to_owned(),
            certdrill: "0.1.0".to_owned(),
            scenario: "kubelet-conf-embedded".to_owned(),
            title: "kubelet.conf of a pre-1.17 init node keeps its first certificate".to_owned(),
            file: "scenarios/incidents/kubelet-conf.yaml".to_owned(),
            reference: Some("https://github.com/kubernetes/kubeadm/issues/1753".to_owned()),
            variant: BTreeMap::from([("version".to_owned(), "v1.17.17".to_owned())]),
            set: BTreeMap::new(),
            backend: "sim".to_owned(),
            seed: 7,
            version: "v1.17.17".to_owned(),
            start: s.start,
            nodes: vec!["cp1".to_owned(), "w1".to_owned()],
            warnings: vec!["kubelet rotation: it changed after v1.16.15 and by v1.17.0; which side is not known".to_owned()],
        }),
    );
    s.step(0, 19, "walk 300d");
    s.event(
        0,
        EventKind::KubeletDeadline,
        Weight::Detail,
        "rotation is due on day 256.4",
        None,
    );
    s.event(
        256 * DAY + 11_487,
        EventKind::KubeletRotated,
        Weight::Normal,
        "kubelet rotated its client certificate; kubelet-client-current.pem points to kubelet-client-2026-09-14-03-11-27.pem now",
        None,
    );
    s.step(300 * DAY, 20, "expect kubelet@cp1 -> kube-apiserver is ok");
    s.expectation(
        300 * DAY,
        "edge: \"kubelet@cp1 -> apiserver\"",
        "kubelet@cp1 -> kube-apiserver is ok",
        "ok",
        None,
    );
    s.step(300 * DAY, 21, "walk 100d");
    let expired = s.event(
        365 * DAY,
        EventKind::CertificateExpired,
        Weight::Normal,
        "the certificate in kubelet.conf expired",
        None,
    );
    s.step(400 * DAY, 22, "restart kubelet@cp1");
    let exited = s.event(
        400 * DAY + 3,
        EventKind::ProcessEnded,
        Weight::Trouble,
        "kubelet exited: its bootstrap certificate is expired",
        Some(expired),
    );
    s.step(400 * DAY + 3, 26, "expect kubelet@cp1 is running");
    s.expectation(
        400 * DAY + 3,
        "kubelet@cp1: { state: running }",
        "kubelet@cp1 is running",
        "exited, logged \"part of the existing bootstrap client certificate in /etc/kubernetes/kubelet.conf is expired\"",
        Some(exited),
    );
    s.push(
        400 * DAY + 3,
        Entry::Verdict(VerdictEntry {
            verdict: Verdict::Failed,
            reason: None,
            machine_failed: false,
            expectations: 2,
            events: 41,
            virtual_seconds: 400 * DAY + 3,
        }),
    );
    s.records
}

fn human(records: &[Record], width: usize, verbose: bool) -> String {
    let layout = Layout {
        style: Style::Plain,
        width,
        verbose,
    };
    human::run(RunTrace::new(records).unwrap(), Some(SOURCE), &layout)
}

#[test]
fn a_failure_tells_the_whole_story_in_80_columns() {
    let text = human(&sample(), 80, false);
    for line in text.lines().filter(|line| !line.contains("replay")) {
        assert!(textwrap::core::display_width(line) <= 80, "{line}");
    }
    insta::assert_snapshot!(text, @r#"
    kubelet-conf-embedded/version=v1.17.17
    kubelet.conf of a pre-1.17 init node keeps its first certificate
    v1.17.17 · 2 nodes · sim · seed 7
    warning: kubelet rotation: it changed after v1.16.15 and by v1.17.0; which side
    is not known
    ── walk 300d ─────────────────────────────────────────────────────────── line 19
    2026-09-14 03:11:27   +256d  cp1   kubelet rotated its client certificate;
                                       kubelet-client-current.pem points to
                                       kubelet-client-2026-09-14-03-11-27.pem now
    2026-10-28 00:00:00   +300d      ✓ kubelet@cp1 -> kube-apiserver is ok
    ── walk 100d ─────────────────────────────────────────────────────────── line 21
    2027-01-01 00:00:00   +365d  cp1   the certificate in kubelet.conf expired
    ── restart kubelet@cp1 ───────────────────────────────────────────────── line 22
    2027-02-05 00:00:03   +400d  cp1 ! kubelet exited: its bootstrap certificate is
                                       expired
    2027-02-05 00:00:03   +400d      ✗ kubelet@cp1 is running

    ✗ failed kubelet-conf-embedded/version=v1.17.17
      2 expectations · 400d of virtual time · 41 events

      expected  kubelet@cp1 is running
      seen      exited, logged "part of the existing bootstrap client certificate in
                /etc/kubernetes/kubelet.conf is expired"
      when      2027-02-05 00:00:03 UTC, day 400 of the cluster
      where     kubelet on cp1
      cause     2027-02-05 00:00:03 (day 400) cp1: kubelet exited: its bootstrap
                certificate is expired
                │ E0205 bootstrap.go:265] part of the existing bootstrap client
                │ certificate in /etc/kubernetes/kubelet.conf is expired: 2027-01-01
                │ 00:00:00 +0000 UTC
                │ F0205 server.go:274] failed to run Kubelet
                2027-01-01 00:00:00 (day 365) cp1: the certificate in kubelet.conf
                expired

        --> scenarios/incidents/kubelet-conf.yaml:26:9
         |
      26 |         kubelet@cp1: { state: running }
         |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

      replay    certdrill run scenarios/incidents/kubelet-conf.yaml --seed 7 --include kubelet-conf-embedded/version=v1.17.17
      upstream  https://github.com/kubernetes/kubeadm/issues/1753
    "#);
}

#[test]
fn wide_terminals_and_details() {
    insta::assert_snapshot!(human(&sample(), 200, true), @r#"
    kubelet-conf-embedded/version=v1.17.17
    kubelet.conf of a pre-1.17 init node keeps its first certificate
    v1.17.17 · 2 nodes · sim · seed 7
    warning: kubelet rotation: it changed after v1.16.15 and by v1.17.0; which side is not known
    ── walk 300d ─────────────────────────────────────────────────────────────────────────────── line 19
    2026-01-01 00:00:00     +0s  cp1   rotation is due on day 256.4
    2026-09-14 03:11:27   +256d  cp1   kubelet rotated its client certificate; kubelet-client-current.pem points to kubelet-client-2026-09-14-03-11-27.pem now
    2026-10-28 00:00:00   +300d      ✓ kubelet@cp1 -> kube-apiserver is ok
    ── walk 100d ─────────────────────────────────────────────────────────────────────────────── line 21
    2027-01-01 00:00:00   +365d  cp1   the certificate in kubelet.conf expired
    ── restart kubelet@cp1 ───────────────────────────────────────────────────────────────────── line 22
    2027-02-05 00:00:03   +400d  cp1 ! kubelet exited: its bootstrap certificate is expired
          │ E0205 bootstrap.go:265] part of the existing bootstrap client certificate in /etc/kubernetes/kubelet.conf is expired: 2027-01-01 00:00:00 +0000 UTC
          │ F0205 server.go:274] failed to run Kubelet
    2027-02-05 00:00:03   +400d      ✗ kubelet@cp1 is running

    ✗ failed kubelet-conf-embedded/version=v1.17.17
      2 expectations · 400d of virtual time · 41 events

      expected  kubelet@cp1 is running
      seen      exited, logged "part of the existing bootstrap client certificate in /etc/kubernetes/kubelet.conf is expired"
      when      2027-02-05 00:00:03 UTC, day 400 of the cluster
      where     kubelet on cp1
      cause     2027-02-05 00:00:03 (day 400) cp1: kubelet exited: its bootstrap certificate is expired
                │ E0205 bootstrap.go:265] part of the existing bootstrap client certificate in /etc/kubernetes/kubelet.conf is expired: 2027-01-01 00:00:00 +0000 UTC
                │ F0205 server.go:274] failed to run Kubelet
                2027-01-01 00:00:00 (day 365) cp1: the certificate in kubelet.conf expired

        --> scenarios/incidents/kubelet-conf.yaml:26:9
         |
      26 |         kubelet@cp1: { state: running }
         |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

      replay    certdrill run scenarios/incidents/kubelet-conf.yaml --seed 7 --include kubelet-conf-embedded/version=v1.17.17
      upstream  https://github.com/kubernetes/kubeadm/issues/1753
    "#);
}

#[test]
fn colours_only_colour() {
    let records = sample();
    let layout = Layout {
        style: Style::Coloured,
        width: 80,
        verbose: true,
    };
    let coloured = human::run(RunTrace::new(&records).unwrap(), Some(SOURCE), &layout);
    assert!(coloured.contains('\u{1b}'));
    assert_eq!(
        anstream::adapter::strip_str(&coloured).to_string(),
        human(&records, 80, true)
    );
}

#[test]
fn without_the_text_of_the_scenario_the_place_is_still_told() {
    let records = sample();
    let layout = Layout {
        style: Style::Plain,
        width: 80,
        verbose: false,
    };
    for source in [None, Some("something else")] {
        let text = human::run(RunTrace::new(&records).unwrap(), source, &layout);
        assert!(
            text.contains("--> scenarios/incidents/kubelet-conf.yaml:26:9"),
            "{text}"
        );
    }
}

#[test]
fn junit_tells_failure_error_and_skipped_apart() {
    let failed = sample();
    let mut passed = sample();
    passed.retain(|record| !matches!(&record.entry, Entry::Expectation(j) if !j.passed));
    if let Some(Entry::Verdict(entry)) = passed.last_mut().map(|record| &mut record.entry) {
        entry.verdict = Verdict::Passed;
    }
    let broken_off = &failed[..3];
    let played = |records| Case::Played {
        trace: RunTrace::new(records).unwrap(),
        source: Some(SOURCE),
    };
    let xml = junit::report(&[
        played(&passed),
        played(&failed),
        played(broken_off),
        Case::NotRun {
            file: "scenarios/real.yaml",
            id: "real",
            reason: "needs the backend kind",
        },
    ])
    .unwrap();
    // The story inside a failure is the human report's, tested above.
    let story = xml.find("type=\"expectation\">").unwrap();
    let end = story + xml[story..].find("</failure>").unwrap();
    let error = xml.find("type=\"infrastructure\">").unwrap();
    let error_end = error + xml[error..].find("</error>").unwrap();
    let short = format!(
        "{}…{}…{}",
        &xml[..story + 19],
        &xml[end..error + 22],
        &xml[error_end..]
    );
    insta::assert_snapshot!(short, @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="certdrill" tests="4" failures="1" errors="1">
        <testsuite name="scenarios/incidents/kubelet-conf.yaml" tests="3" skipped="0" errors="1" failures="1">
            <properties>
                <property name="seed" value="7"/>
                <property name="version" value="v1.17.17"/>
                <property name="backend" value="sim"/>
                <property name="certdrill" value="0.1.0"/>
            </properties>
            <testcase name="kubelet-conf-embedded/version=v1.17.17" classname="kubelet-conf-embedded">
                <system-out>v1.17.17 on sim, seed 7
    certdrill run scenarios/incidents/kubelet-conf.yaml --seed 7 --include kubelet-conf-embedded/version=v1.17.17
    </system-out>
            </testcase>
            <testcase name="kubelet-conf-embedded/version=v1.17.17" classname="kubelet-conf-embedded">
                <failure message="expected kubelet@cp1 is running, seen exited, logged &quot;part of the existing bootstrap client certificate in /etc/kubernetes/kubelet.conf is expired&quot;" type="expectation">…</failure>
                <system-out>v1.17.17 on sim, seed 7
    certdrill run scenarios/incidents/kubelet-conf.yaml --seed 7 --include kubelet-conf-embedded/version=v1.17.17
    </system-out>
            </testcase>
            <testcase name="kubelet-conf-embedded/version=v1.17.17" classname="kubelet-conf-embedded">
                <error message="the trace breaks off before its end" type="infrastructure">…</error>
                <system-out>v1.17.17 on sim, seed 7
    certdrill run scenarios/incidents/kubelet-conf.yaml --seed 7 --include kubelet-conf-embedded/version=v1.17.17
    </system-out>
            </testcase>
        </testsuite>
        <testsuite name="scenarios/real.yaml" tests="1" skipped="1" errors="0" failures="0">
            <testcase name="real" classname="real">
                <skipped message="needs the backend kind"/>
            </testcase>
        </testsuite>
    </testsuites>
    "#);
}

#[test]
fn a_trace_survives_being_written_and_read() {
    let records = sample();
    let mut text = Vec::new();
    jsonl::write(&records, &mut text).unwrap();
    jsonl::write(&records, &mut text).unwrap();
    let runs = jsonl::read(&mut text.as_slice()).unwrap();
    assert_eq!(runs, [records.clone(), records]);
}

#[test]
fn what_is_not_a_trace_is_refused() {
    for (text, message) in [
        ("", "does not begin with a header"),
        ("{}\n", "line 1 is not a record of a trace"),
        ("\u{0}\u{1}\n", "line 1 is not a record of a trace"),
    ] {
        let error = jsonl::read(&mut text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let mut text = Vec::new();
    jsonl::write(&sample(), &mut text).unwrap();
    let other = String::from_utf8(text)
        .unwrap()
        .replace("trace/v1", "trace/v9");
    let error = jsonl::read(&mut other.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("certdrill.trace/v9"), "{error}");
}

#[test]
fn the_replay_command_survives_a_shell() {
    let mut records = sample();
    if let Entry::Header(header) = &mut records[0].entry {
        header.file = "my scenarios/it's.yaml".to_owned();
    }
    let command = replay_command(RunTrace::new(&records).unwrap().header());
    assert_eq!(
        command,
        r"certdrill run 'my scenarios/it'\''s.yaml' --seed 7 --include kubelet-conf-embedded/version=v1.17.17"
    );
}
