//! `certdrill verify`: play scenarios on two backends and compare what is seen.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::ValueEnum;

use super::kind::KindArgs;
use super::pick::{Picked, Selection};
use super::play::{self, Options, Order, Planned, Played};
use super::stage::{self, BackendArg, Stage};
use super::{Exit, Output, output, reports};
use crate::real::memory::Memory;
use crate::report::compared::{self, Outcome, Sides};
use crate::report::html::{self, Item};
use crate::report::{Case, RunTrace};
use crate::run::parity::{self, Comparison, Count};
use crate::run::real_parity;
use crate::run::trace::{Entry, Header, Record, Verdict, VerdictEntry};

/// Differences of one run that are shown without `--verbose`.
const SHOWN_MAX: usize = 12;

/// Arguments of `certdrill verify`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Two builds of kubeadm, compared:\n  certdrill verify --between kubeadm,kubeadm --engine OLD --engine NEW"
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
    #[arg(long, short, value_parser = super::at_least_one, env = "CERTDRILL_JOBS")]
    jobs: Option<NonZeroUsize>,
    /// Run every command of the real kubeadm, even one that another run gave before, on the same files at the same instant.
    #[arg(long, env = "CERTDRILL_AFRESH")]
    afresh: bool,
    /// What goes to standard output.
    #[arg(long, value_enum, default_value = "human", env = "CERTDRILL_FORMAT")]
    format: Format,
    /// Show every difference and the numbers of each run.
    #[arg(long, short, env = "CERTDRILL_VERBOSE")]
    verbose: bool,
    #[command(flatten)]
    kind: KindArgs,
    #[command(flatten)]
    reports: ReportArgs,
}

/// Where reports are written.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Reports")]
struct ReportArgs {
    /// Write a JUnit XML report: a difference is a failure, a side that broke an error.
    #[arg(long, value_name = "FILE", env = "CERTDRILL_REPORT_JUNIT")]
    report_junit: Option<PathBuf>,
    /// Write a JSON document with every difference (`certdrill schema verify`).
    #[arg(long, value_name = "FILE", env = "CERTDRILL_REPORT_JSON")]
    report_json: Option<PathBuf>,
    /// Write a page with the timelines of both sides: one file that needs no network.
    #[arg(long, value_name = "FILE", env = "CERTDRILL_REPORT_HTML")]
    report_html: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for each run, and what differs.
    Human,
    /// Annotations for GitHub Actions, too; every finding also goes to the step's summary.
    Github,
}

/// What came of one run.
struct Result<'f> {
    picked: Picked<'f>,
    /// How the first side was played.
    header: Option<Box<Header>>,
    /// What is special about the machines.
    remarks: Vec<String>,
    came: Came,
}

enum Came {
    Compared(Comparison, Option<Box<[Vec<Record>; 2]>>),
    /// A side says nothing about the subject.
    NoVerdict(String),
    NotRun(NotRun),
}

const INTERRUPTED: &str = "it was interrupted";

impl<'f> Result<'f> {
    fn not_run(picked: Picked<'f>, why: NotRun) -> Self {
        Self {
            picked,
            header: None,
            remarks: Vec::new(),
            came: Came::NotRun(why),
        }
    }

    fn agrees(&self) -> bool {
        matches!(&self.came, Came::Compared(comparison, _)
            if comparison.agrees(self.picked.scenario.compared_min))
    }

    /// As reports look at it.
    fn case<'r>(&'r self, id: &'r str) -> compared::Case<'r> {
        let outcome = match (&self.came, self.header.as_deref()) {
            (Came::Compared(comparison, _), Some(header)) => Outcome::Compared {
                header,
                comparison,
                compared_min: self.picked.scenario.compared_min,
            },
            (Came::NoVerdict(reason), Some(header)) => Outcome::NoVerdict { header, reason },
            (Came::NotRun(why), _) => Outcome::NotRun {
                reason: &why.reason,
            },
            // A played run has a header.
            (Came::Compared(..) | Came::NoVerdict(_), None) => Outcome::NotRun {
                reason: "its trace has no beginning",
            },
        };
        compared::Case {
            file: &self.picked.file.path,
            id,
            outcome,
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
    if let Some(message) = args.kind.misplaced(true, None) {
        output::complain(message);
        return Exit::Usage;
    }
    let &[first, second] = args.between.as_slice() else {
        output::complain("error: --between takes two backends, for example sim,kubeadm");
        return Exit::Usage;
    };
    // Each side has its own: a binary that is compared with itself is run for both.
    let memories = [Memory::default(), Memory::default()];
    let stages = match stages(args, first, second) {
        Ok(stages) if args.afresh => stages,
        Ok([left, right]) => [
            left.remembering(&memories[0]),
            right.remembering(&memories[1]),
        ],
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
            Some(reason) => results.push(Result::not_run(picked, reason)),
            None => planned.extend(stages.iter().map(|stage| Planned {
                picked,
                stage: stage.clone(),
            })),
        }
    }
    let names = [first.word(), second.word()];
    let words = words(args);
    let sides = Sides {
        names,
        options: &words,
    };
    for result in &results {
        output.text(&told(result, sides, args));
    }
    let interrupt = match stage::prepare_to_stop(&stages) {
        Ok(interrupt) => interrupt,
        Err(message) => {
            output::complain(&message);
            return Exit::Infrastructure;
        }
    };
    let options = Options {
        seed: args.seed,
        jobs: args
            .jobs
            .unwrap_or_else(|| std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)),
        failures_max: None,
        interrupt: Some(interrupt),
        check_determinism: false,
        order: Order::Together,
    };
    // The two sides of a run come one after the other.
    let mut waiting: Option<Option<Vec<Record>>> = None;
    let took = play::all(&planned, options, |index, played, _| {
        let records = match played {
            Played::Done(run) | Played::Unsteady(run, _) => Some(run.records),
            Played::LeftOut | Played::Interrupted => None,
        };
        let Some(left) = waiting.take() else {
            waiting = Some(records);
            return;
        };
        let picked = planned[index].picked;
        let result = match (left, records) {
            (Some(left), Some(right)) => {
                compared(picked, left, right, args.reports.report_html.is_some())
            }
            _ => Result::not_run(
                picked,
                NotRun {
                    reason: INTERRUPTED.to_owned(),
                    missing: false,
                },
            ),
        };
        output.text(&told(&result, sides, args));
        results.push(result);
    });
    let text = summary(&results, names);
    output.text(&format!("{text} ({:.1} s)\n", took.as_secs_f64()));
    let (asked, again) = memories
        .iter()
        .map(Memory::counts)
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    if again > 0 {
        output.text(&format!(
            "{again} of {asked} commands were not run again: another run gave them on the same files at the same instant \
             (--afresh runs them all)\n"
        ));
    }
    if !report(args, &results, sides, output) {
        return Exit::ReportNotWritten;
    }
    if let Some(signal) = interrupt.signal() {
        return Exit::Interrupted(signal);
    }
    exit(&results, [first, second])
}

fn compared(
    picked: Picked<'_>,
    left: Vec<Record>,
    right: Vec<Record>,
    keep_traces: bool,
) -> Result<'_> {
    let header = RunTrace::new(&left).map(|trace| Box::new(trace.header().clone()));
    let remarks = [(&left, &right), (&right, &left)]
        .into_iter()
        .flat_map(|(records, other)| real_parity::remarks(records, other))
        .map(str::to_owned)
        .collect();
    let came = match without_verdict(&left, &right) {
        Some(reason) => Came::NoVerdict(reason),
        None => {
            let comparison = parity::compare(&left, &right);
            // Traces are large: kept for the page only.
            Came::Compared(comparison, keep_traces.then(|| Box::new([left, right])))
        }
    };
    Result {
        picked,
        header,
        remarks,
        came,
    }
}

/// What else of the command line decides what is played.
fn words(args: &Args) -> Vec<String> {
    let engines = args
        .engine
        .iter()
        .flat_map(|path| ["--engine".to_owned(), path.display().to_string()]);
    engines.chain(args.kind.words()).collect()
}

/// Writes the reports. Says whether all could be.
fn report(args: &Args, results: &[Result<'_>], sides: Sides<'_>, output: &mut Output) -> bool {
    let ids: Vec<String> = results
        .iter()
        .map(|result| result.picked.scenario.id())
        .collect();
    let cases: Vec<compared::Case<'_>> = results
        .iter()
        .zip(&ids)
        .map(|(result, id)| result.case(id))
        .collect();
    let files = &args.reports;
    let mut all = true;
    if let Some(path) = &files.report_junit {
        let xml = compared::junit::report(&cases, sides).map_err(|error| error.to_string());
        all &= reports::write(path, xml);
    }
    if let Some(path) = &files.report_json {
        all &= reports::write(path, Ok(compared::report(&cases, sides)));
    }
    if let Some(path) = &files.report_html {
        all &= reports::write(path, Ok(page(results)));
    }
    if args.format == Format::Github {
        output.text(&compared::github::annotations(&cases, sides));
        all &= reports::append_step_summary(&compared::github::step_summary(&cases, sides));
    }
    all
}

/// The runs side by side, those that differ first.
fn page(results: &[Result<'_>]) -> String {
    let ids: Vec<String> = results
        .iter()
        .map(|result| result.picked.scenario.id())
        .collect();
    let mut items: Vec<(bool, Item<'_>)> = Vec::new();
    for (result, id) in results.iter().zip(&ids) {
        let not_run = |reason| {
            let file = result.picked.file.path.as_str();
            Item::Run(Case::NotRun { file, id, reason })
        };
        let item = match &result.came {
            Came::Compared(comparison, Some(traces)) => {
                let [first, second] = &**traces;
                let (Some(first), Some(second)) = (RunTrace::new(first), RunTrace::new(second))
                else {
                    continue;
                };
                Item::Pair {
                    first,
                    second,
                    comparison,
                    agree: result.agrees(),
                    source: Some(&result.picked.file.text),
                }
            }
            Came::Compared(..) => continue,
            Came::NoVerdict(reason) => not_run(reason.as_str()),
            Came::NotRun(why) => not_run(why.reason.as_str()),
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
            return Stage::kubeadm(stage::engines(None));
        }
        Stage::kubeadm(stage::engines(binaries.next()))
    }))
}

/// Why a run cannot be compared.
fn cannot(picked: Picked<'_>, sides: [BackendArg; 2], stages: &[Stage; 2]) -> Option<NotRun> {
    for (side, stage) in sides.iter().zip(stages) {
        if let Some(reason) = stage::excludes(picked.scenario, *side) {
            return Some(NotRun {
                reason,
                missing: false,
            });
        }
        if let Stage::Kubeadm(binary) = stage
            && let Some((reason, help)) = stage::lacks(picked.scenario, binary.engines())
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

fn told(result: &Result<'_>, sides: Sides<'_>, args: &Args) -> String {
    let picked = result.picked;
    let id = picked.scenario.id();
    let comparison = match &result.came {
        Came::NotRun(why) => return format!("not run    {id}: {}\n", why.reason),
        Came::NoVerdict(reason) => return format!("no verdict {id}\n  {reason}\n"),
        Came::Compared(comparison, _) => comparison,
    };
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
    } else if !result.agrees() {
        format!(
            "too few    {id}: {numbers}; the scenario wants at least {}\n",
            picked.scenario.compared_min
        )
    } else {
        format!("agree      {id}: {numbers}\n")
    };
    for remark in &result.remarks {
        text.push_str(&format!("  note: {remark}\n"));
    }
    if args.verbose {
        text.push_str(&kinds(&comparison.kinds));
    }
    let shown = if args.verbose { usize::MAX } else { SHOWN_MAX };
    for difference in comparison.differences.iter().take(shown) {
        for line in compared::difference(difference, sides.names).lines() {
            text.push_str(&format!("  {line}\n"));
        }
    }
    if comparison.differences.len() > shown {
        text.push_str(&format!(
            "  and {} more: --verbose shows them\n",
            comparison.differences.len() - shown
        ));
    }
    if let Some(header) = result.header.as_deref().filter(|_| !result.agrees()) {
        let replay = compared::replay_command(header, sides);
        text.push_str(&format!("  replay: {replay}\n"));
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
        match &result.came {
            Came::NotRun(_) => not_run += 1,
            Came::NoVerdict(_) => without += 1,
            Came::Compared(comparison, _) => {
                for (kind, count) in &comparison.kinds {
                    let sum = total.entry(kind.clone()).or_default();
                    sum.compared += count.compared;
                    sum.not_compared += count.not_compared;
                }
                differences += comparison.differences.len();
                if result.agrees() {
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

fn exit(results: &[Result<'_>], sides: [BackendArg; 2]) -> Exit {
    let any = |wanted: fn(&Came) -> bool| results.iter().any(|result| wanted(&result.came));
    let compared = any(|came| matches!(came, Came::Compared(..)));
    let diverged = results
        .iter()
        .any(|result| matches!(result.came, Came::Compared(..)) && !result.agrees());
    let broken = any(|came| matches!(came, Came::NoVerdict(_)));
    let missing = any(|came| matches!(came, Came::NotRun(why) if why.missing));
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
