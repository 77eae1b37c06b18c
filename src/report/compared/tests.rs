//! Reports of one made-up comparison.

use std::collections::BTreeMap;

use super::*;

fn header() -> Header {
    Header {
        format: crate::run::trace::FORMAT.to_owned(),
        certdrill: "0.0.0".to_owned(),
        scenario: "year".to_owned(),
        title: "A year".to_owned(),
        file: "my scenarios/year.yaml".to_owned(),
        reference: None,
        variant: BTreeMap::from([("version".to_owned(), "v1.36.3".to_owned())]),
        set: BTreeMap::from([("version".to_owned(), "v1.36.3".to_owned())]),
        backend: "kubeadm".to_owned(),
        seed: 3,
        version: "v1.36.3".to_owned(),
        start: "2026-01-01T00:00:00Z".parse().unwrap(),
        nodes: vec!["cp1".to_owned()],
        warnings: Vec::new(),
    }
}

fn difference(step: u32, aspect: &str, first: &str, second: &str) -> Difference {
    Difference {
        step,
        line: (step > 0).then_some(step + 10),
        step_text: "walk 300d".to_owned(),
        kind: "certificate".to_owned(),
        subject: "apiserver@cp1".to_owned(),
        aspect: aspect.to_owned(),
        first: first.to_owned(),
        second: second.to_owned(),
    }
}

fn comparison() -> Comparison {
    let count = Count {
        compared: 40,
        not_compared: 2,
    };
    let mut differences = vec![
        difference(1, "notAfter", "2027-01-01", "2027-01-02"),
        difference(1, "issuer", "a & b", "<c>"),
        difference(3, "text", "one\ntwo\nthree", "one\nzwei\nthree"),
    ];
    for step in 4..30 {
        differences.push(difference(step, "text", "x", "y"));
    }
    Comparison {
        kinds: BTreeMap::from([("certificate".to_owned(), count)]),
        differences,
    }
}

fn with<T>(look: impl FnOnce(&[Case<'_>], Sides<'_>) -> T) -> T {
    let (header, comparison) = (header(), comparison());
    let options = ["--engine".to_owned(), "/opt/old kubeadm".to_owned()];
    let sides = Sides {
        names: ["kubeadm", "kubeadm"],
        options: &options,
    };
    let case = |outcome| Case {
        file: "my scenarios/year.yaml",
        id: "year/version=v1.36.3",
        outcome,
    };
    let cases = [
        case(Outcome::Compared {
            header: &header,
            comparison: &comparison,
            compared_min: 1,
        }),
        case(Outcome::NoVerdict {
            header: &header,
            reason: "kubeadm v1.36.3 was killed",
        }),
    ];
    look(&cases, sides)
}

const REPLAY: &str = "certdrill verify 'my scenarios/year.yaml' --between kubeadm,kubeadm --engine '/opt/old kubeadm' \
                      --set version=v1.36.3 --seed 3 --include year/version=v1.36.3";

#[test]
fn the_document_has_every_value_of_both_sides() {
    let summary = with(summary);
    assert_eq!(summary.counts.differ, 1);
    assert_eq!(summary.counts.no_verdict, 1);
    assert_eq!(summary.counts.differences, 29);
    let run = &summary.runs[0];
    assert_eq!(run.reason.as_deref(), Some("29 of 40 values differ"));
    assert_eq!(run.played.as_ref().unwrap().replay, REPLAY);
    let first = &run.differences[0];
    assert_eq!((first.line, first.step), (Some(11), 1));
    assert_eq!(
        (first.first.as_str(), first.second.as_str()),
        ("2027-01-01", "2027-01-02")
    );
    assert_eq!(run.differences[2].second, "one\nzwei\nthree");
}

#[test]
fn junit_tells_differences_apart_from_what_broke() {
    let xml = with(junit::report).unwrap();
    for words in [
        "<failure message=\"29 of 40 values differ, first in step 1 (walk 300d): certificate apiserver@cp1 notAfter\" \
         type=\"divergence\">",
        "kubeadm (first)  2027-01-01\n  kubeadm (second) 2027-01-02",
        "kubeadm (second) &lt;c&gt;",
        "<error message=\"kubeadm v1.36.3 was killed\" type=\"infrastructure\">",
        "replay: certdrill verify",
        "40 values compared, 2 could not be",
    ] {
        assert!(xml.contains(words), "{words}: {xml}");
    }
}

#[test]
fn of_long_texts_the_lines_that_differ_are_shown() {
    let comparison = comparison();
    assert_eq!(
        super::difference(&comparison.differences[2], ["sim", "kubeadm"]),
        "step 3 (walk 300d): certificate apiserver@cp1 text\n  sim     two\n  kubeadm zwei\n"
    );
    let same = difference(1, "text", "a\nb", "b\na");
    assert!(super::difference(&same, ["sim", "kind"]).contains("another order"));
}

#[test]
fn github_gets_one_annotation_for_each_step_and_ten_at_most() {
    let text = with(github::annotations);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 10, "{text}");
    assert!(
        lines[0].starts_with(
            "::error file=my scenarios/year.yaml,line=11,col=1,title=year/version=v1.36.3%3A differs::step 1 "
        ),
        "{text}"
    );
    assert!(lines[0].contains("notAfter") && lines[0].contains("issuer"));
    // 28 steps and the run without a verdict, nine of which are shown.
    assert!(lines[9].contains("20 more findings"), "{text}");
    let summary = with(github::step_summary);
    assert!(
        summary
            .starts_with("### certdrill: 0 agree, 1 differ, 1 without verdict, 29 differences\n"),
        "{summary}"
    );
    assert!(summary.contains(REPLAY), "{summary}");
}
