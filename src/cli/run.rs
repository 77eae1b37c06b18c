//! `certdrill run`: play scenarios and judge what is seen.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use super::kind::KindArgs;
use super::pick::{Picked, Selection};
use super::play::{self, Options, Order, Planned, Played};
use super::reports::ReportArgs;
use super::stage::{self, BackendArg, NO_KIND, Stage};
use super::{Exit, Output, output, reports};
use crate::report::human::{self, Layout};
use crate::report::{Case, RunTrace, Style, github, jsonl, replay_command, tap};
use crate::run::trace::{Entry, Header, Verdict};
use crate::scenario::Backend;

/// Arguments of `certdrill run`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Where scenarios are played [default: sim; what sim cannot play, with the real kubeadm if there is one].
    #[arg(long, value_enum, env = "CERTDRILL_BACKEND")]
    backend: Option<BackendArg>,
    /// On the backend kubeadm: the binary to run, whatever version a scenario names.
    #[arg(long, value_name = "FILE", env = "CERTDRILL_ENGINE")]
    engine: Option<PathBuf>,
    /// Seed of every random stream.
    #[arg(long, default_value_t = 0, env = "CERTDRILL_SEED")]
    seed: u64,
    /// How many runs are played at once [default: the number of cores].
    #[arg(long, short, value_parser = super::at_least_one, env = "CERTDRILL_JOBS")]
    jobs: Option<NonZeroUsize>,
    /// What goes to standard output.
    #[arg(long, value_enum, default_value = "human", env = "CERTDRILL_FORMAT")]
    format: Format,
    /// Play everything twice and compare the traces.
    #[arg(long, env = "CERTDRILL_CHECK_DETERMINISM")]
    check_determinism: bool,
    /// Show events of little weight, observations and command output too.
    #[arg(long, short, env = "CERTDRILL_VERBOSE")]
    verbose: bool,
    /// Start no more runs after the first that does not pass.
    #[arg(long, env = "CERTDRILL_FAIL_FAST", conflicts_with = "max_fail")]
    fail_fast: bool,
    /// Start no more runs after this many that do not pass.
    #[arg(long, value_name = "N", value_parser = super::at_least_one, env = "CERTDRILL_MAX_FAIL")]
    max_fail: Option<NonZeroUsize>,
    /// List the N runs that took longest.
    #[arg(long, value_name = "N", env = "CERTDRILL_SLOWEST", num_args = 0..=1, default_missing_value = "10")]
    slowest: Option<usize>,
    /// One line for a run that passes, instead of its timeline; so it is where more than 24 are played, unless --verbose.
    #[arg(long, env = "CERTDRILL_FAILURES_ONLY")]
    failures_only: bool,
    #[command(flatten)]
    kind: KindArgs,
    #[command(flatten)]
    reports: ReportArgs,
}

/// Where more runs are played nobody reads the timelines of those that pass.
const TIMELINES_MAX: usize = 24;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A timeline for a person.
    Human,
    /// The trace, one JSON record a line.
    Json,
    /// Annotations for GitHub Actions; every finding also goes to the step's summary.
    Github,
    /// A TAP stream, version 14.
    Tap,
}

/// One selected run and what became of it.
struct Outcome<'f> {
    picked: Picked<'f>,
    played: Played,
    took: Duration,
}

/// A run that is not played, and why.
struct NotPlayed<'f> {
    picked: Picked<'f>,
    reason: String,
    /// Something is missing on this machine that must not be.
    demanded: bool,
}

const FAILED_BEFORE: &str = "others did not pass before it (--fail-fast, --max-fail)";
const INTERRUPTED: &str = "it was interrupted";

/// Plays what is selected.
pub(super) fn run(args: &Args, output: &mut Output) -> Exit {
    if let Some(message) = args.kind.misplaced(false, args.backend) {
        output::complain(message);
        return Exit::Usage;
    }
    let files = match args.selection.load() {
        Ok(files) => files,
        Err(exit) => return exit,
    };
    let picked = match args.selection.pick(&files) {
        Ok(picked) => picked,
        Err(exit) => return exit,
    };
    let (planned, elsewhere) = plan(picked, args);
    for one in &elsewhere {
        output::complain(&format!(
            "not run: {}: {}",
            one.picked.scenario.id(),
            one.reason
        ));
    }
    let demanded = elsewhere.iter().any(|one| one.demanded);
    if planned.is_empty() {
        let backend = args.backend.map_or("sim", BackendArg::word);
        output::complain(&format!(
            "error: none of the selected runs can be played on {backend}"
        ));
        return if demanded {
            Exit::Infrastructure
        } else {
            Exit::NothingSelected
        };
    }
    let many = planned.len() > TIMELINES_MAX;
    let interrupt = match stage::prepare_to_stop(planned.iter().map(|one| &one.stage)) {
        Ok(interrupt) => interrupt,
        Err(message) => {
            output::complain(&message);
            return Exit::Infrastructure;
        }
    };
    let options = Options {
        interrupt: Some(interrupt),
        seed: args.seed,
        jobs: args
            .jobs
            .unwrap_or_else(|| std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)),
        failures_max: args
            .max_fail
            .or(args.fail_fast.then_some(NonZeroUsize::MIN)),
        check_determinism: args.check_determinism,
        order: Order::Next,
    };
    let mut outcomes = Vec::with_capacity(planned.len());
    let took = play::all(&planned, options, |index, played, took| {
        let outcome = Outcome {
            picked: planned[index].picked,
            played,
            took,
        };
        show(&outcome, many, args, output);
        outcomes.push(outcome);
    });
    summary(&outcomes, elsewhere.len(), took, args, output);
    if !report(args, &outcomes, &elsewhere, output) {
        return Exit::ReportNotWritten;
    }
    if let Some(signal) = interrupt.signal() {
        return Exit::Interrupted(signal);
    }
    match exit(&outcomes) {
        Exit::Success if demanded => Exit::Infrastructure,
        exit => exit,
    }
}

/// Decides where each run is played.
fn plan<'f>(picked: Vec<Picked<'f>>, args: &Args) -> (Vec<Planned<'f>>, Vec<NotPlayed<'f>>) {
    let engines = stage::engines(args.engine.as_ref());
    let mut planned = Vec::new();
    let mut elsewhere = Vec::new();
    for picked in picked {
        let can = |backend| picked.scenario.backends.contains(&backend);
        let not = |reason: String, demanded: bool| NotPlayed {
            picked,
            reason,
            demanded,
        };
        let excluded = args
            .backend
            .and_then(|backend| stage::excludes(picked.scenario, backend));
        let stage = match args.backend {
            _ if excluded.is_some() => Err(not(excluded.unwrap_or_default(), false)),
            // What is missing is told by the run itself: it was asked for.
            Some(BackendArg::Kubeadm) => Ok(Stage::kubeadm(engines.clone())),
            Some(BackendArg::Kind) => Ok(Stage::Kind(args.kind.options())),
            Some(BackendArg::Sim) => Ok(Stage::Sim),
            None if can(Backend::Sim) => Ok(Stage::Sim),
            None if can(Backend::Kubeadm) => match stage::lacks(picked.scenario, &engines) {
                None => Ok(Stage::kubeadm(engines.clone())),
                Some((reason, help)) => Err(not(
                    format!("{reason}\n  help: {help}"),
                    stage::required(Backend::Kubeadm),
                )),
            },
            None => Err(not(NO_KIND.to_owned(), stage::required(Backend::Kind))),
        };
        match stage {
            Ok(stage) => planned.push(Planned { picked, stage }),
            Err(one) => elsewhere.push(one),
        }
    }
    (planned, elsewhere)
}

fn show(outcome: &Outcome<'_>, many: bool, args: &Args, output: &mut Output) {
    let source = Some(outcome.picked.file.text.as_str());
    let (Played::Done(run) | Played::Unsteady(run, _)) = &outcome.played else {
        return;
    };
    match args.format {
        Format::Json => output.write(|mut out| jsonl::write(&run.records, &mut out)),
        Format::Github => {
            if let Some(trace) = RunTrace::new(&run.records) {
                let layout = Layout {
                    style: Style::Plain,
                    width: output.width(),
                    verbose: false,
                };
                let text = human::verdict(trace, None, &layout);
                output.text(text.split_inclusive('\n').next().unwrap_or_default());
            }
        }
        // Its plan comes first, and with it the number of runs.
        Format::Tap => {}
        Format::Human => {
            if let Some(trace) = RunTrace::new(&run.records) {
                let layout = Layout {
                    style: output.style(),
                    width: output.width(),
                    verbose: args.verbose,
                };
                let brief =
                    run.verdict == Verdict::Passed && (args.failures_only || many && !args.verbose);
                let text = if brief {
                    human::verdict(trace, source, &layout)
                } else {
                    format!("{}\n", human::run(trace, source, &layout))
                };
                output.text(&text);
            }
        }
    }
    if let Played::Unsteady(run, difference) = &outcome.played {
        let replay = header(&run.records).map_or_else(String::new, replay_command);
        output::complain(&format!(
            "error: {}: two runs with the same seed differ at record {}\n  first   {}\n  second  {}\n  replay  {replay} --check-determinism",
            outcome.picked.scenario.id(),
            difference.index,
            difference.first,
            difference.second,
        ));
    }
}

fn header(records: &[crate::run::trace::Record]) -> Option<&Header> {
    match &records.first()?.entry {
        Entry::Header(header) => Some(header),
        _ => None,
    }
}

/// How many of what; on standard output for a person, on standard error beside a trace.
fn summary(
    outcomes: &[Outcome<'_>],
    elsewhere: usize,
    took: Duration,
    args: &Args,
    output: &mut Output,
) {
    let count = |wanted: fn(&Played) -> bool| {
        outcomes
            .iter()
            .filter(|outcome| wanted(&outcome.played))
            .count()
    };
    let verdicts = |verdict: Verdict| {
        outcomes
            .iter()
            .filter(
                |outcome| matches!(&outcome.played, Played::Done(run) if run.verdict == verdict),
            )
            .count()
    };
    let left_out =
        count(|played| matches!(played, Played::LeftOut | Played::Interrupted)) + elsewhere;
    let mut parts = vec![format!("{} passed", verdicts(Verdict::Passed))];
    for (count, what) in [
        (verdicts(Verdict::Failed), "failed"),
        (verdicts(Verdict::Diverged), "diverged"),
        (verdicts(Verdict::Infrastructure), "without verdict"),
        (
            count(|played| matches!(played, Played::Unsteady(..))),
            "not deterministic",
        ),
        (left_out, "not run"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    let played = outcomes.len() + elsewhere;
    let plural = if played == 1 { "" } else { "s" };
    let mut text = format!(
        "{played} run{plural} in {:.2} s: {}\n",
        took.as_secs_f64(),
        parts.join(", ")
    );
    let bad = outcomes.iter().filter_map(|outcome| match &outcome.played {
        Played::Done(run) | Played::Unsteady(run, _) if run.verdict != Verdict::Passed => {
            header(&run.records)
        }
        _ => None,
    });
    for header in bad {
        text.push_str(&format!("  {}\n", replay_command(header)));
    }
    if let Some(most) = args.slowest {
        text.push_str(&slowest(outcomes, most));
    }
    match args.format {
        Format::Human | Format::Github => output.text(&text),
        Format::Json | Format::Tap => output::complain(text.trim_end()),
    }
}

/// The runs that took longest.
fn slowest(outcomes: &[Outcome<'_>], most: usize) -> String {
    let mut played: Vec<&Outcome<'_>> = outcomes
        .iter()
        .filter(|outcome| matches!(outcome.played, Played::Done(_) | Played::Unsteady(..)))
        .collect();
    played.sort_by_key(|outcome| std::cmp::Reverse(outcome.took));
    let mut text = "slowest:\n".to_owned();
    for outcome in played.iter().take(most) {
        text.push_str(&format!(
            "  {:>8.3} s  {}\n",
            outcome.took.as_secs_f64(),
            outcome.picked.scenario.id()
        ));
    }
    text
}

/// Writes the reports. Says whether all could be.
fn report(
    args: &Args,
    outcomes: &[Outcome<'_>],
    elsewhere: &[NotPlayed<'_>],
    output: &mut Output,
) -> bool {
    let ids: Vec<String> = outcomes
        .iter()
        .map(|outcome| outcome.picked)
        .chain(elsewhere.iter().map(|one| one.picked))
        .map(|picked| picked.scenario.id())
        .collect();
    let played = outcomes.iter().map(|outcome| {
        let trace = match &outcome.played {
            Played::Done(run) | Played::Unsteady(run, _) => RunTrace::new(&run.records),
            Played::LeftOut | Played::Interrupted => None,
        };
        let why = match &outcome.played {
            Played::Interrupted => INTERRUPTED,
            _ => FAILED_BEFORE,
        };
        (outcome.picked, trace, why)
    });
    let not_played = elsewhere
        .iter()
        .map(|one| (one.picked, None, one.reason.as_str()));
    let cases: Vec<Case<'_>> = played
        .chain(not_played)
        .zip(&ids)
        .map(|((picked, trace, reason), id)| match trace {
            Some(trace) => Case::Played {
                trace,
                source: Some(&picked.file.text),
            },
            None => Case::NotRun {
                file: &picked.file.path,
                id,
                reason,
            },
        })
        .collect();
    let mut all = args.reports.write(&cases);
    match args.format {
        Format::Human | Format::Json => {}
        Format::Github => {
            output.text(&github::annotations(&cases));
            all &= reports::append_step_summary(&github::step_summary(&cases));
        }
        Format::Tap => output.text(&tap::report(&cases)),
    }
    all
}

/// The worst of what happened.
fn exit(outcomes: &[Outcome<'_>]) -> Exit {
    let any = |wanted: fn(&Played) -> bool| outcomes.iter().any(|outcome| wanted(&outcome.played));
    let ended = |played: &Played, verdict: Verdict| matches!(played, Played::Done(run) if run.verdict == verdict);
    let verdict = |verdict: Verdict| {
        outcomes
            .iter()
            .any(|outcome| ended(&outcome.played, verdict))
    };
    if any(|played| matches!(played, Played::Unsteady(..))) {
        Exit::NonDeterminism
    } else if verdict(Verdict::Failed) {
        Exit::Failed
    } else if verdict(Verdict::Diverged) {
        Exit::Diverged
    } else if verdict(Verdict::Infrastructure) {
        Exit::Infrastructure
    } else {
        Exit::Success
    }
}
