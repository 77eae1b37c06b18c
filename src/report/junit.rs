//! For a CI system: JUnit XML. What the scenario is about is a failure, what is not its fault an error.

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::human::{self, Layout};
use super::{Case, RunTrace, Style};
use crate::run::trace::Verdict;

/// Text about one run beyond this is cut.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// The report: one suite for each scenario file, one case for each run.
///
/// # Errors
/// When the XML cannot be written, which a string never causes.
pub fn report(cases: &[Case<'_>]) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("certdrill");
    let mut suites: Vec<TestSuite> = Vec::new();
    for case in cases {
        let same = suites
            .iter()
            .position(|suite| suite.name.as_str() == case.file());
        let index = same.unwrap_or_else(|| {
            suites.push(TestSuite::new(case.file()));
            suites.len() - 1
        });
        suites[index].add_test_case(test_case(case));
    }
    report.add_test_suites(suites);
    report.to_string()
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

fn named(id: &str, status: TestCaseStatus) -> TestCase {
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
    let first = trace.failures().next().map(|(_, judgement)| judgement);
    let reason = trace
        .verdict_entry()
        .and_then(|entry| entry.reason.clone())
        .or_else(|| {
            first.map(|judgement| {
                format!("expected {}, seen {}", judgement.expected, judgement.seen)
            })
        })
        .unwrap_or_else(|| "the trace breaks off before its end".to_owned());
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
    case.add_properties([
        Property::new("seed", header.seed.to_string()),
        Property::new("version", header.version.as_str()),
        Property::new("backend", header.backend.as_str()),
        Property::new("certdrill", header.certdrill.as_str()),
    ]);
    if let Some(entry) = trace.verdict_entry() {
        case.set_assertions(usize::try_from(entry.expectations).unwrap_or(usize::MAX));
    }
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
