//! `certdrill list --coverage`: which rows are shown by which scenarios, and how those stand now.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use super::pick::Picked;
use super::play::{self, Options, Order, Planned, Played};
use super::stage::{self, BackendArg, NO_KIND, Stage};
use super::{Exit, Output, output};
use crate::real::memory::Memory;
use crate::run::trace::Verdict;
use crate::scenario::{Backend, ROWS, Row};

/// Runs of one scenario on one backend.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    passed: u32,
    failed: u32,
    /// Nothing can be said: the backend did not work, or lacks what the scenario needs.
    unknown: u32,
}

impl Tally {
    fn verdict(self) -> &'static str {
        match self {
            Tally { failed: 1.., .. } => "failed",
            Tally { unknown: 1.., .. } => "unknown",
            _ => "passed",
        }
    }
}

type Tallies = BTreeMap<(String, &'static str), Tally>;

/// Plays everything that is selected and prints a table of rows.
pub(super) fn run(
    picked: &[Picked<'_>],
    backends: &[BackendArg],
    json: bool,
    output: &mut Output,
) -> Exit {
    if backends.contains(&BackendArg::Kind) {
        output::complain(&format!("error: {NO_KIND}"));
        return Exit::Infrastructure;
    }
    let tallies = match play_all(picked, backends) {
        Ok(tallies) => tallies,
        Err(message) => {
            output::complain(&message);
            return Exit::Infrastructure;
        }
    };
    let text: String = if json {
        ROWS.iter()
            .map(|row| format!("{}\n", line_of_json(row, picked, &tallies)))
            .collect()
    } else {
        table(picked, &tallies, output)
    };
    output.text(&text);
    if tallies.values().any(|tally| tally.failed > 0) {
        Exit::Failed
    } else {
        Exit::Success
    }
}

fn play_all(picked: &[Picked<'_>], backends: &[BackendArg]) -> Result<Tallies, String> {
    let engines = stage::engines(None);
    let memory = Memory::default();
    let mut tallies = Tallies::new();
    let mut planned = Vec::new();
    for &backend in backends {
        let stage = match backend {
            BackendArg::Kubeadm => Stage::kubeadm(engines.clone()).remembering(&memory),
            _ => Stage::Sim,
        };
        for &picked in picked {
            if !picked.scenario.backends.contains(&backend.backend()) {
                continue;
            }
            let lacks =
                backend == BackendArg::Kubeadm && stage::lacks(picked.scenario, &engines).is_some();
            if lacks {
                let key = (picked.scenario.name.clone(), backend.word());
                tallies.entry(key).or_default().unknown += 1;
            } else {
                planned.push(Planned {
                    picked,
                    stage: stage.clone(),
                });
            }
        }
    }
    let stages: Vec<Stage> = planned
        .iter()
        .map(|planned| planned.stage.clone())
        .collect();
    stage::prepare(&stages)?;
    let options = Options {
        seed: 0,
        jobs: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        failures_max: None,
        interrupt: None,
        check_determinism: false,
        order: Order::Together,
    };
    play::all(&planned, options, |index, played, _| {
        let Planned { picked, stage } = &planned[index];
        let word = match stage {
            Stage::Sim => "sim",
            Stage::Kubeadm(_) => "kubeadm",
            Stage::Kind(_) => "kind",
        };
        let tally = tallies
            .entry((picked.scenario.name.clone(), word))
            .or_default();
        match played {
            Played::Done(run) if run.verdict == Verdict::Passed => tally.passed += 1,
            Played::Done(run) if run.verdict == Verdict::Failed => tally.failed += 1,
            _ => tally.unknown += 1,
        }
    });
    Ok(tallies)
}

/// Scenarios that carry a row's tag, by name, with their backends.
fn showing(row: &Row, picked: &[Picked<'_>]) -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut found: BTreeMap<String, BTreeSet<&'static str>> = BTreeMap::new();
    for picked in picked {
        if !picked.scenario.tags.iter().any(|tag| tag == row.id) {
            continue;
        }
        let backends = found.entry(picked.scenario.name.clone()).or_default();
        backends.extend(
            picked
                .scenario
                .backends
                .iter()
                .map(|backend| match backend {
                    Backend::Sim => "sim",
                    Backend::Kubeadm => "kubeadm",
                    Backend::Kind => "kind",
                }),
        );
    }
    found
}

fn line_of_json(row: &Row, picked: &[Picked<'_>], tallies: &Tallies) -> serde_json::Value {
    let scenarios: Vec<_> = showing(row, picked)
        .into_iter()
        .map(|(name, backends)| {
            let verdicts: BTreeMap<&str, &str> = backends
                .iter()
                .map(|&backend| {
                    let verdict = tallies
                        .get(&(name.clone(), backend))
                        .map_or("not run", |tally| tally.verdict());
                    (backend, verdict)
                })
                .collect();
            serde_json::json!({ "name": name, "backends": backends, "verdicts": verdicts })
        })
        .collect();
    serde_json::json!({
        "row": row.id,
        "what": row.what,
        "reference": row.reference,
        "scenarios": scenarios,
    })
}

fn table(picked: &[Picked<'_>], tallies: &Tallies, output: &Output) -> String {
    let mut text = String::new();
    let mut shown = 0;
    for row in ROWS {
        let mut title = format!("{:<4} {}", row.id, row.what);
        if !row.reference.is_empty() {
            title = format!("{title} ({})", row.reference);
        }
        text.push_str(&output.fit(&title));
        text.push('\n');
        let scenarios = showing(row, picked);
        if scenarios.is_empty() {
            text.push_str("       -  no scenario\n");
            continue;
        }
        shown += 1;
        for (name, backends) in scenarios {
            let verdicts: Vec<String> = backends
                .iter()
                .map(|&backend| match tallies.get(&(name.clone(), backend)) {
                    None => format!("{backend}: not run"),
                    Some(tally) => {
                        let runs = tally.passed + tally.failed + tally.unknown;
                        format!("{backend}: {} ({runs})", tally.verdict())
                    }
                })
                .collect();
            let line = format!("       {name:<34} {}", verdicts.join(", "));
            text.push_str(&output.fit(&line));
            text.push('\n');
        }
    }
    text.push_str(&format!("\n{shown} of {} rows are shown\n", ROWS.len()));
    text
}
