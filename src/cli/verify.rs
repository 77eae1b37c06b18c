//! `certdrill verify`: play scenarios on two backends and compare what is seen.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::kind::KindArgs;
use super::pick::{Picked, Selection};
use super::play::{self, Options, Planned, Played};
use super::stage::{self, BackendArg, Stage};
use super::{Exit, Output, output, reports};
use crate::report::html::{self, Item};
use crate::report::{Case, RunTrace};
use crate::run::parity::{self, Comparison, Count, Difference};
use crate::run::trace::{Entry, Record, Verdict, VerdictEntry};

/// Differences of one run that are shown without `--verbose`.
const SHOWN_MAX: usize = 12;

/// Arguments of `certdrill verify`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Two builds of kubeadm are compared with\n  certdrill verify scenarios/ --between \
                        kubeadm,kubeadm --engine OLD --engine NEW"
)]
pub(super) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// The two backends.
    #[arg(long, value_enum, value_delimiter = ',', num_args = 1.., default_value = "sim,kubeadm",
          env = "CERTDRILL_BETWEEN")]
    between: Vec<BackendArg>,
    /// The binary of a side that runs kubeadm, whatever version a scenario names. Given twice: of the first, of
    /// the second.
    #[arg(
        long,
        value_name = "FILE",
        env = "CERTDRILL_ENGINE",
        value_delimiter = ','
    )]
    engine: Vec<PathBuf>,
    /// Seed of every random stream.
    #[arg(long, default_value_t = 0, env = "CERTDRILL_SEED")]
    seed: u64,
    /// How many runs are played at once [default: the number of cores].
    #[arg(long, short, env = "CERTDRILL_JOBS")]
    jobs: Option<NonZeroUsize>,
    /// Write a page with the timelines of both sides: one file that needs no network.
    #[arg(long, value_name = "FILE", env = "CERTDRILL_REPORT_HTML")]
    report_html: Option<PathBuf>,
    #[command(flatten)]
    kind: KindArgs,
    /// Show every difference and the numbers of each run.
    #[arg(long, short, env = "CERTDRILL_VERBOSE")]
    verbose: bool,
}

/// What came of one run.
enum Result<'f> {
    Compared(Picked<'f>, Comparison, Option<Box<[Vec<Record>; 2]>>),
    /// A side says nothing about the subject.
    NoVerdict(Picked<'f>, String),
    NotRun(Picked<'f>, NotRun),
}

impl<'f> Result<'f> {
    fn picked(&self) -> Picked<'f> {
        match self {
            Result::Compared(picked, ..)
            | Result::NoVerdict(picked, _)
            | Result::NotRun(picked, _) => *picked,
        }
    }
}

/// Why a run is not compared.
struct NotRun {
    reason: String,
    /// Something is missing on this machine; else the scenario does not want it.
    missing: bool,
}

/// Plays and compares.
pub(super) fn run(args: &Args, output: &mut Output) -> Exit {
    let &[first, second] = args.between.as_slice() else {
        output::complain("error: --between takes two backends, for example sim,kubeadm");
        return Exit::Usage;
    };
    let stages = match stages(args, first, second) {
        Ok(stages) => stages,
        Err(message) => {
            output::complain(&message);
            return Exit::Usage;
        }
    };
    let files = match args.selection.load() {
        Ok(files) => files,
        Err(exit) => return exit,
    };
    let picked = match args.selection.pick(&files) {
        Ok(picked) => picked,
        Err(exit) => return exit,
    };
    let mut results = Vec::new();
    let mut planned = Vec::new();
    for picked in picked {
        match cannot(picked, [first, second], &stages) {
            Some(reason) => results.push(Result::NotRun(picked, reason)),
            None => planned.extend(stages.iter().map(|stage| Planned {
                picked,
                stage: stage.clone(),
            })),
        }
    }
    let options = Options {
        seed: args.seed,
        jobs: args
            .jobs
            .unwrap_or_else(|| std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)),
        failures_max: None,
        interrupt: None,
        check_determinism: false,
    };
    let sides = [first.word(), second.word()];
    for result in &results {
        output.text(&told(result, sides, args));
    }
    let mut waiting: Option<Vec<Record>> = None;
    if let Err(message) = stage::prepare(&stages) {
        output::complain(&message);
        return Exit::Infrastructure;
    }
    let took = play::all(&planned, options, |index, played, _| {
        let (Played::Done(run) | Played::Unsteady(run, _)) = played else {
            return;
        };
        let Some(left) = waiting.take() else {
            waiting = Some(run.records);
            return;
        };
        let picked = planned[index].picked;
        let result = match without_verdict(&left, &run.records) {
            Some(reason) => Result::NoVerdict(picked, reason),
            None => {
                let comparison = parity::compare(&left, &run.records);
                // Traces are large: kept for the page only.
                let traces = (args.report_html.is_some()).then(|| Box::new([left, run.records]));
                Result::Compared(picked, comparison, traces)
            }
        };
        output.text(&told(&result, sides, args));
        results.push(result);
    });
    let text = summary(&results, sides);
    output.text(&format!("{text} ({:.1} s)\n", took.as_secs_f64()));
    if let Some(path) = &args.report_html
        && !reports::write(path, Ok(page(&results)))
    {
        return Exit::ReportNotWritten;
    }
    exit(&results, [first, second])
}

/// The runs side by side, those that differ first.
fn page(results: &[Result<'_>]) -> String {
    let ids: Vec<String> = results
        .iter()
        .map(|result| result.picked().scenario.id())
        .collect();
    let mut items: Vec<(bool, Item<'_>)> = Vec::new();
    for (result, id) in results.iter().zip(&ids) {
        let not_run = |reason| {
            let file = result.picked().file.path.as_str();
            Item::Run(Case::NotRun { file, id, reason })
        };
        let item = match result {
            Result::Compared(picked, comparison, Some(traces)) => {
                let [first, second] = &**traces;
                let (Some(first), Some(second)) = (RunTrace::new(first), RunTrace::new(second))
                else {
                    continue;
                };
                let agree = comparison.differences.is_empty() && !too_few(picked, comparison);
                Item::Pair {
                    first,
                    second,
                    comparison,
                    agree,
                    source: Some(&picked.file.text),
                }
            }
            Result::Compared(..) => continue,
            Result::NoVerdict(_, reason) => not_run(reason.as_str()),
            Result::NotRun(_, why) => not_run(why.reason.as_str()),
        };
        items.push((!matches!(item, Item::Pair { agree: false, .. }), item));
    }
    items.sort_by_key(|(later, _)| *later);
    let items: Vec<Item<'_>> = items.into_iter().map(|(_, item)| item).collect();
    html::page(&items)
}

/// Where each side is played.
fn stages(
    args: &Args,
    first: BackendArg,
    second: BackendArg,
) -> std::result::Result<[Stage; 2], String> {
    let mut binaries = args.engine.iter();
    let sides = [first, second].map(|side| side == BackendArg::Kubeadm);
    let takers = sides.iter().filter(|&&takes| takes).count();
    if args.engine.len() > takers {
        return Err(format!(
            "error: {} binaries are given, and {takers} side(s) run kubeadm: --between {},{}",
            args.engine.len(),
            first.word(),
            second.word()
        ));
    }
    // One binary for two sides stands for the second: the first is what the scenario names.
    let mut skip = takers.saturating_sub(args.engine.len());
    Ok([first, second].map(|side| {
        match side {
            BackendArg::Sim => return Stage::Sim,
            BackendArg::Kind => return Stage::Kind(args.kind.options()),
            BackendArg::Kubeadm => {}
        }
        if skip > 0 {
            skip -= 1;
            return Stage::Kubeadm(stage::engines(None));
        }
        Stage::Kubeadm(stage::engines(binaries.next()))
    }))
}

/// Why a run cannot be compared.
fn cannot(picked: Picked<'_>, sides: [BackendArg; 2], stages: &[Stage; 2]) -> Option<NotRun> {
    for (side, stage) in sides.iter().zip(stages) {
        if !picked.scenario.backends.contains(&side.backend()) {
            return Some(NotRun {
                reason: format!("its backends do not include {}", side.word()),
                missing: false,
            });
        }
        if let Stage::Kubeadm(engines) = stage
            && let Some((reason, help)) = stage::lacks(picked.scenario, engines)
        {
            return Some(NotRun {
                reason: format!("{reason}\n  help: {help}"),
                missing: true,
            });
        }
        if let Stage::Kind(options) = stage
            && let Some((reason, help)) = options.lacks(picked.scenario.cluster.version)
        {
            return Some(NotRun {
                reason: format!("{reason}\n  help: {help}"),
                missing: true,
            });
        }
    }
    None
}

/// Why two runs say nothing about the subject. A cluster that comes up on one side only is a difference.
fn without_verdict(first: &[Record], second: &[Record]) -> Option<String> {
    let ends = [first, second].map(|records| match records.last().map(|record| &record.entry) {
        Some(Entry::Verdict(entry)) if entry.verdict == Verdict::Infrastructure => Some(entry),
        _ => None,
    });
    let reason = |entry: &VerdictEntry| entry.reason.clone().unwrap_or_default();
    let broken = ends
        .into_iter()
        .flatten()
        .find(|entry| entry.machine_failed);
    match (broken, ends) {
        (Some(entry), _) | (None, [Some(entry), Some(_)]) => Some(reason(entry)),
        _ => None,
    }
}

fn told(result: &Result<'_>, sides: [&str; 2], args: &Args) -> String {
    let (picked, comparison) = match result {
        Result::NotRun(picked, why) => {
            return format!("not run    {}: {}\n", picked.scenario.id(), why.reason);
        }
        Result::NoVerdict(picked, reason) => {
            return format!("no verdict {}\n  {reason}\n", picked.scenario.id());
        }
        Result::Compared(picked, comparison, _) => (picked, comparison),
    };
    let id = picked.scenario.id();
    let numbers = format!(
        "{} compared, {} could not be",
        comparison.compared(),
        comparison.not_compared()
    );
    let mut text = if !comparison.differences.is_empty() {
        format!(
            "differ     {id}: {} of {numbers}\n",
            comparison.differences.len()
        )
    } else if too_few(picked, comparison) {
        format!(
            "too few    {id}: {numbers}; the scenario wants at least {}\n",
            picked.scenario.compared_min
        )
    } else {
        format!("agree      {id}: {numbers}\n")
    };
    if args.verbose {
        text.push_str(&kinds(&comparison.kinds));
    }
    let shown = if args.verbose { usize::MAX } else { SHOWN_MAX };
    for difference in comparison.differences.iter().take(shown) {
        text.push_str(&one(difference, sides));
    }
    if comparison.differences.len() > shown {
        text.push_str(&format!(
            "  and {} more: --verbose shows them\n",
            comparison.differences.len() - shown
        ));
    }
    text
}

fn one(difference: &Difference, sides: [&str; 2]) -> String {
    let width = sides.iter().map(|side| side.len()).max().unwrap_or(0);
    let mut text = format!(
        "  step {} ({}): {} {} {}\n",
        difference.step,
        difference.step_text,
        difference.kind,
        difference.subject,
        difference.aspect
    );
    let lines = (difference.first.lines().count()).max(difference.second.lines().count());
    if lines > 1 {
        // Of long texts only the lines that differ.
        let (first, second): (Vec<_>, Vec<_>) = (
            difference.first.lines().collect(),
            difference.second.lines().collect(),
        );
        for line in first.iter().filter(|line| !second.contains(line)) {
            text.push_str(&format!("    {:width$} {line}\n", sides[0]));
        }
        for line in second.iter().filter(|line| !first.contains(line)) {
            text.push_str(&format!("    {:width$} {line}\n", sides[1]));
        }
        if first.iter().all(|line| second.contains(line))
            && second.iter().all(|line| first.contains(line))
        {
            text.push_str("    the same lines in another order or number\n");
        }
    } else {
        text.push_str(&format!("    {:width$} {}\n", sides[0], difference.first));
        text.push_str(&format!("    {:width$} {}\n", sides[1], difference.second));
    }
    text
}

fn kinds(kinds: &BTreeMap<String, Count>) -> String {
    kinds
        .iter()
        .map(|(kind, count)| {
            format!(
                "    {kind:<12} {:>6} compared {:>6} could not be\n",
                count.compared, count.not_compared
            )
        })
        .collect()
}

fn summary(results: &[Result<'_>], sides: [&str; 2]) -> String {
    let mut total: BTreeMap<String, Count> = BTreeMap::new();
    let mut differences = 0;
    let (mut agree, mut differ, mut not_run, mut without) = (0, 0, 0, 0);
    for result in results {
        match result {
            Result::NotRun(..) => not_run += 1,
            Result::NoVerdict(..) => without += 1,
            Result::Compared(picked, comparison, _) => {
                for (kind, count) in &comparison.kinds {
                    let sum = total.entry(kind.clone()).or_default();
                    sum.compared += count.compared;
                    sum.not_compared += count.not_compared;
                }
                differences += comparison.differences.len();
                if comparison.differences.is_empty() && !too_few(picked, comparison) {
                    agree += 1;
                } else {
                    differ += 1;
                }
            }
        }
    }
    let mut text = format!(
        "\n{} against {}, by kind of observation:\n",
        sides[0], sides[1]
    );
    text.push_str(&kinds(&total));
    text.push_str(&format!("{agree} agree, {differ} differ"));
    for (count, what) in [(without, "without verdict"), (not_run, "not run")] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text.push_str(&format!("; {differences} differences"));
    text
}

fn too_few(picked: &Picked<'_>, comparison: &Comparison) -> bool {
    comparison.compared() < picked.scenario.compared_min
}

fn exit(results: &[Result<'_>], sides: [BackendArg; 2]) -> Exit {
    let diverged = results.iter().any(|result| {
        matches!(result, Result::Compared(picked, comparison, _)
            if !comparison.differences.is_empty() || too_few(picked, comparison))
    });
    let broken = results
        .iter()
        .any(|result| matches!(result, Result::NoVerdict(..)));
    let missing = results
        .iter()
        .any(|result| matches!(result, Result::NotRun(_, why) if why.missing));
    let compared = results
        .iter()
        .any(|result| matches!(result, Result::Compared(..)));
    let demanded = missing && sides.iter().any(|side| stage::required(side.backend()));
    if diverged {
        Exit::Diverged
    } else if broken || demanded {
        Exit::Infrastructure
    } else if compared {
        Exit::Success
    } else if missing {
        // Asked for and impossible: that is no success, and says nothing about the subject.
        Exit::Infrastructure
    } else {
        Exit::NothingSelected
    }
}
