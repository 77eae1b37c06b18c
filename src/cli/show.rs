//! `certdrill show`: a scenario as it is understood, or a trace as a timeline.

#![expect(clippy::disallowed_methods, reason = "a trace is read from a file")]

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use super::pick::matches;
use super::reports::ReportArgs;
use super::{Exit, Output, files, output};
use crate::kubeadm::profile::historic;
use crate::report::human::{self, Layout};
use crate::report::{Case, RunTrace, jsonl};
use crate::run::trace::Record;
use crate::scenario::{self, Scenario};

/// Arguments of `certdrill show`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A scenario file, or a trace that `certdrill run --format json` wrote.
    #[arg(value_name = "FILE", env = "CERTDRILL_FILE")]
    file: PathBuf,
    /// Only runs with this name, id or tag; `*` stands for any characters.
    #[arg(
        long,
        value_name = "PATTERN",
        env = "CERTDRILL_INCLUDE",
        value_delimiter = ';'
    )]
    include: Vec<String>,
    /// Of a trace: events of little weight, observations and command output too.
    #[arg(long, short, env = "CERTDRILL_VERBOSE")]
    verbose: bool,
    #[command(flatten)]
    reports: ReportArgs,
}

/// Shows it.
pub(super) fn run(args: &Args, output: &mut Output) -> Exit {
    let name = args.file.display().to_string();
    match is_trace(&args.file) {
        Err(reason) => {
            output::complain(&format!("error: {name} cannot be read: {reason}"));
            Exit::Usage
        }
        Ok(true) => trace(args, &name, output),
        Ok(false) => scenarios(args, &name, output),
    }
}

/// A trace begins with a record, which no scenario does.
fn is_trace(path: &Path) -> std::io::Result<bool> {
    let mut start = [0; 64];
    let count = File::open(path)?.read(&mut start)?;
    Ok(start[..count].starts_with(b"{\"seq\":"))
}

fn trace(args: &Args, name: &str, output: &mut Output) -> Exit {
    let runs = File::open(&args.file)
        .map_err(|error| format!("cannot be read: {error}"))
        .and_then(|file| jsonl::read(&mut BufReader::new(file)).map_err(|error| error.to_string()));
    let runs: Vec<Vec<Record>> = match runs {
        Ok(runs) => runs,
        Err(reason) => {
            output::complain(&format!("error: {name} {reason}"));
            return Exit::Invalid;
        }
    };
    let layout = Layout {
        style: output.style(),
        width: output.width(),
        verbose: args.verbose,
    };
    let wanted = |trace: &RunTrace<'_>| {
        let id = trace.id();
        args.include.is_empty() || args.include.iter().any(|one| super::pick::glob(one, &id))
    };
    let traces: Vec<RunTrace<'_>> = runs
        .iter()
        .filter_map(|records| RunTrace::new(records))
        .filter(wanted)
        .collect();
    if traces.is_empty() {
        output::complain(&format!("error: no run of {name} fits"));
        return Exit::NothingSelected;
    }
    for trace in &traces {
        output.text(&format!("{}\n", human::run(*trace, None, &layout)));
    }
    let cases: Vec<Case<'_>> = traces
        .into_iter()
        .map(|trace| Case::Played {
            trace,
            source: None,
        })
        .collect();
    if args.reports.write(&cases) {
        Exit::Success
    } else {
        Exit::ReportNotWritten
    }
}

fn scenarios(args: &Args, name: &str, output: &mut Output) -> Exit {
    let text = match files::read(&args.file) {
        Ok(text) => text,
        Err(reason) => {
            output::complain(&format!("error: {name} {reason}"));
            return Exit::Invalid;
        }
    };
    let scenarios = match scenario::load(name, &text) {
        Ok(scenarios) => scenarios,
        Err(errors) => {
            let rendered = errors.render(output::stderr_style(), output::width());
            output::complain(&rendered);
            return Exit::Invalid;
        }
    };
    let wanted = |scenario: &&Scenario| {
        args.include.is_empty() || args.include.iter().any(|one| matches(scenario, one))
    };
    let shown: Vec<&Scenario> = scenarios.iter().filter(wanted).collect();
    if shown.is_empty() {
        output::complain(&format!("error: no run of {name} fits"));
        return Exit::NothingSelected;
    }
    for scenario in shown {
        output.text(&resolved(scenario));
    }
    Exit::Success
}

/// A scenario with its defaults and the values of its matrix.
fn resolved(scenario: &Scenario) -> String {
    let cluster = &scenario.cluster;
    let mut text = format!("{}\n{}\n", scenario.id(), scenario.title);
    let mut fact = |label: &str, value: String| {
        if !value.is_empty() {
            text.push_str(&format!("  {label:<10} {value}\n"));
        }
    };
    fact("reference", scenario.reference.clone().unwrap_or_default());
    fact("tags", scenario.tags.join(", "));
    let backends: Vec<String> = scenario
        .backends
        .iter()
        .map(|backend| format!("{backend:?}").to_lowercase())
        .collect();
    fact("backends", backends.join(", "));
    if let Some(notice) = historic::notice(cluster.version) {
        fact("warning", notice);
    }
    fact(
        "cluster",
        format!(
            "{} from {}: {} control plane(s), {} worker(s){}{}",
            cluster.version,
            cluster.start,
            cluster.control_planes,
            cluster.workers,
            match cluster.etcd {
                0 => String::new(),
                count => format!(", external etcd of {count}"),
            },
            if cluster.bare { ", bare" } else { "" }
        ),
    );
    for step in &scenario.steps {
        text.push_str(&format!(
            "  line {:>4}  {}\n",
            step.at.line,
            step.action.describe()
        ));
    }
    for (label, expectations) in [
        ("always", scenario.always.iter().collect::<Vec<_>>()),
        (
            "eventually",
            scenario
                .eventually
                .iter()
                .map(|one| &one.expectation)
                .collect(),
        ),
        ("sometimes", scenario.sometimes.iter().collect()),
    ] {
        for one in expectations {
            text.push_str(&format!(
                "  line {:>4}  {label}: {}\n",
                one.at.line,
                one.matcher.describe()
            ));
        }
    }
    text.push('\n');
    text
}
