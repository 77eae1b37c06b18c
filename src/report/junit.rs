//! For a CI system: JUnit XML. What the scenario is about is a failure, what is not its fault an error.
//!
//! Strict readers (the xUnit plugin of Jenkins checks its schema) take properties of suites only, so what belongs to
//! one run stands in its `system-out`.

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::human::{self, Layout};
use super::{Case, RunTrace, Style, replay_command};
use crate::run::trace::{Header, Verdict};

/// Text about one run beyond this is cut.
pub(super) const TEXT_BYTES_MAX: usize = 64 << 10;

/// The report: one suite for each scenario file, one case for each run.
///
/// # Errors
/// When the XML cannot be written, which a string never causes.
pub fn report(cases: &[Case<'_>]) -> Result<String, quick_junit::SerializeError> {
    let tested = cases.iter().map(|case| (case.file(), test_case(case)));
    document(tested, |file| {
        let of = cases.iter().filter(|case| case.file() == file);
        let headers: Vec<&Header> = of
            .filter_map(|case| match case {
                Case::Played { trace, .. } => Some(trace.header()),
                Case::NotRun { .. } => None,
            })
            .collect();
        properties(&headers, "backend", |header| header.backend.clone())
    })
}

/// One suite for each file, with the properties it has.
pub(super) fn document<'c>(
    cases: impl IntoIterator<Item = (&'c str, TestCase)>,
    properties: impl Fn(&str) -> Vec<Property>,
) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("certdrill");
    let mut suites: Vec<TestSuite> = Vec::new();
    for (file, case) in cases {
        let same = suites.iter().position(|suite| suite.name.as_str() == file);
        let index = same.unwrap_or_else(|| {
            suites.push(TestSuite::new(file));
            suites.len() - 1
        });
        suites[index].add_test_case(case);
    }
    for suite in &mut suites {
        let told = properties(suite.name.as_str());
        suite.add_properties(told);
    }
    report.add_test_suites(suites);
    report
        .to_string()
        .map(|xml| without_skipped_at_the_top(&xml))
}

/// What the runs of a suite were played with, and where.
pub(super) fn properties(
    headers: &[&Header],
    place: &str,
    value: impl Fn(&Header) -> String,
) -> Vec<Property> {
    let told = [
        property("seed", headers, |header| header.seed.to_string()),
        property("version", headers, |header| header.version.clone()),
        property(place, headers, value),
        property("certdrill", headers, |header| header.certdrill.clone()),
    ];
    told.into_iter().flatten().collect()
}

/// One of them; several values with commas between.
fn property(
    name: &str,
    headers: &[&Header],
    value: impl Fn(&Header) -> String,
) -> Option<Property> {
    let mut values: Vec<String> = Vec::new();
    for header in headers {
        let value = value(header);
        if !values.contains(&value) {
            values.push(value);
        }
    }
    (!values.is_empty()).then(|| Property::new(name, values.join(",")))
}

/// The first element counts skipped tests in an attribute that is no part of the usual schema.
fn without_skipped_at_the_top(xml: &str) -> String {
    let Some((head, rest)) = xml.split_once("<testsuites ") else {
        return xml.to_owned();
    };
    let (tag, rest) = rest.split_once('>').unwrap_or((rest, ""));
    let kept: Vec<&str> = tag
        .split(' ')
        .filter(|attribute| !attribute.starts_with("skipped="))
        .collect();
    format!("{head}<testsuites {}>{rest}", kept.join(" "))
}

fn test_case(case: &Case<'_>) -> TestCase {
    match case {
        Case::NotRun { id, reason, .. } => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(*reason);
            named(id, status)
        }
        Case::Played { trace, source } => played(*trace, *source),
    }
}

pub(super) fn named(id: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(id, status);
    case.set_classname(id.split('/').next().unwrap_or(id));
    case
}

fn played(trace: RunTrace<'_>, source: Option<&str>) -> TestCase {
    let layout = Layout {
        style: Style::Plain,
        width: 100,
        verbose: false,
    };
    let reason = trace.reason();
    let kind = match trace.verdict() {
        Verdict::Passed => None,
        Verdict::Failed => Some((NonSuccessKind::Failure, "expectation")),
        Verdict::Diverged => Some((NonSuccessKind::Failure, "divergence")),
        Verdict::Infrastructure => Some((NonSuccessKind::Error, "infrastructure")),
    };
    let status = kind.map_or_else(TestCaseStatus::success, |(kind, name)| {
        let mut status = TestCaseStatus::non_success(kind);
        status.set_type(name);
        status.set_message(reason);
        status.set_description(cut(&human::run(trace, source, &layout)));
        status
    });
    let mut case = named(&trace.id(), status);
    let header = trace.header();
    case.set_system_out(format!(
        "{} on {}, seed {}\n{}\n",
        header.version,
        header.backend,
        header.seed,
        replay_command(header)
    ));
    case
}

/// The end of a long text, which holds the verdict.
fn cut(text: &str) -> &str {
    let mut start = text.len().saturating_sub(TEXT_BYTES_MAX);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}
