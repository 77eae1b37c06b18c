//! For a CI system: a difference is a failure, a side that broke an error, a side that could not be played a skip.

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus};

use super::{Case, Ending, Outcome, Sides, replay_command, text};
use crate::report::junit::{TEXT_BYTES_MAX, document, named, properties};
use crate::run::trace::Header;

/// The report: one suite for each scenario file, one case for each run.
///
/// # Errors
/// When the XML cannot be written, which a string never causes.
pub fn report(cases: &[Case<'_>], sides: Sides<'_>) -> Result<String, quick_junit::SerializeError> {
    let tested = cases.iter().map(|case| (case.file, test_case(case, sides)));
    document(tested, |file| {
        let of = cases.iter().filter(|case| case.file == file);
        let headers: Vec<&Header> = of.filter_map(|case| case.outcome.header()).collect();
        properties(&headers, "between", |_| sides.names.join(","))
    })
}

fn test_case(case: &Case<'_>, sides: Sides<'_>) -> TestCase {
    let reason = case.outcome.reason().unwrap_or_default();
    let replay = case
        .outcome
        .header()
        .map(|header| replay_command(header, sides));
    let not_good = |kind: NonSuccessKind, name: &str, message: &str, told: String| {
        let mut status = TestCaseStatus::non_success(kind);
        status.set_type(name);
        status.set_message(message);
        status.set_description(told);
        status
    };
    let status = match (&case.outcome, case.outcome.ending()) {
        (_, Ending::Agree) => TestCaseStatus::success(),
        (_, Ending::NotRun) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(reason);
            status
        }
        (Outcome::Compared { comparison, .. }, _) => {
            let mut message = reason.clone();
            if let Some(first) = comparison.differences.first() {
                message = format!(
                    "{reason}, first in step {} ({}): {} {} {}",
                    first.step, first.step_text, first.kind, first.subject, first.aspect
                );
            }
            let told = failure(case, sides, &reason, replay.as_deref());
            not_good(NonSuccessKind::Failure, "divergence", &message, told)
        }
        _ => {
            let told = failure(case, sides, &reason, replay.as_deref());
            not_good(NonSuccessKind::Error, "infrastructure", &reason, told)
        }
    };
    let mut tested = named(case.id, status);
    if let (Some(header), Some(replay)) = (case.outcome.header(), replay) {
        let [first, second] = sides.names;
        let numbers = match case.outcome {
            Outcome::Compared { comparison, .. } => format!(
                "{} values compared, {} could not be\n",
                comparison.compared(),
                comparison.not_compared()
            ),
            _ => String::new(),
        };
        tested.set_system_out(format!(
            "{}, {first} against {second}, seed {}\n{numbers}{replay}\n",
            header.version, header.seed
        ));
    }
    tested
}

/// Every difference that there is room for, and how to see it again.
fn failure(case: &Case<'_>, sides: Sides<'_>, reason: &str, replay: Option<&str>) -> String {
    let mut told = format!("{}: {reason}\n", case.id);
    if let Outcome::Compared { comparison, .. } = case.outcome {
        let mut left_out = 0;
        for difference in &comparison.differences {
            let one = text::difference(difference, sides.names);
            if left_out > 0 || told.len() + one.len() > TEXT_BYTES_MAX {
                left_out += 1;
            } else {
                told.push_str(&one);
            }
        }
        if left_out > 0 {
            told.push_str(&format!("and {left_out} more\n"));
        }
    }
    if let Some(replay) = replay {
        told.push_str(&format!("replay: {replay}\n"));
    }
    told
}
