//! `certdrill replay`: repeat a recorded run and compare it record by record.

#![expect(clippy::disallowed_methods, reason = "a trace is read from a file")]

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::files;
use super::play::difference;
use super::{Exit, Output, output};
use crate::report::{RunTrace, jsonl};
use crate::run::PlayOptions;
use crate::run::trace::{Entry, Header, Record};
use crate::scenario::{self, Scenario};

/// Arguments of `certdrill replay`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A trace that `certdrill run --format json` wrote.
    #[arg(value_name = "TRACE", env = "CERTDRILL_TRACE")]
    trace: PathBuf,
    /// The scenario file, if it is not where the trace says.
    #[arg(long, value_name = "FILE", env = "CERTDRILL_SCENARIO")]
    scenario: Option<PathBuf>,
}

/// Repeats every run of the trace.
pub(super) fn run(args: &Args, output: &mut Output) -> Exit {
    if let Err(exit) = files::named([&args.trace]) {
        return exit;
    }
    let traces = match read(&args.trace) {
        Ok(traces) => traces,
        Err(reason) => {
            output::complain(&format!("error: {} {reason}", args.trace.display()));
            return Exit::Invalid;
        }
    };
    let mut exit = Exit::Success;
    for records in traces {
        match repeat(&records, args, output) {
            Exit::Success => {}
            worse => {
                if exit == Exit::Success {
                    exit = worse;
                }
            }
        }
    }
    exit
}

fn read(path: &Path) -> Result<Vec<Vec<Record>>, String> {
    let file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    jsonl::read(&mut BufReader::new(file)).map_err(|error| error.to_string())
}

fn repeat(recorded: &[Record], args: &Args, output: &mut Output) -> Exit {
    let Some(trace) = RunTrace::new(recorded) else {
        return Exit::Invalid;
    };
    let header = trace.header();
    let id = trace.id();
    if header.backend != "sim" {
        output::complain(&format!(
            "error: {id}: played on {}, which cannot be repeated here",
            header.backend
        ));
        return Exit::Infrastructure;
    }
    let scenario = match find(header, &id, args) {
        Ok(scenario) => scenario,
        Err(message) => {
            output::complain(&message);
            return Exit::Invalid;
        }
    };
    let version = env!("CARGO_PKG_VERSION");
    if header.certdrill != version {
        output::complain(&format!(
            "warning: {id}: recorded by certdrill {}, repeated by {version}",
            header.certdrill
        ));
    }
    let again = crate::run::play(&scenario, &PlayOptions { seed: header.seed });
    match difference(&comparable(recorded), &comparable(&again.records)) {
        None => {
            output.text(&format!(
                "✓ same {id}: {} records, seed {}\n",
                recorded.len(),
                header.seed
            ));
            Exit::Success
        }
        Some(difference) => {
            output.text(&format!(
                "✗ differs {id}: at record {}\n  recorded  {}\n  now       {}\n",
                difference.index, difference.first, difference.second
            ));
            Exit::NonDeterminism
        }
    }
}

/// Records without what may rightly differ: the place of the file, the version of certdrill.
fn comparable(records: &[Record]) -> Vec<Record> {
    let mut records = records.to_vec();
    if let Some(Entry::Header(header)) = records.first_mut().map(|record| &mut record.entry) {
        header.file.clear();
        header.certdrill.clear();
    }
    records
}

fn find(header: &Header, id: &str, args: &Args) -> Result<Scenario, String> {
    let path = args
        .scenario
        .clone()
        .unwrap_or_else(|| PathBuf::from(&header.file));
    let name = path.display().to_string();
    let text = files::read(&path).map_err(|reason| {
        format!("error: {name} {reason}\n  help: --scenario FILE says where it is now")
    })?;
    let set = header
        .set
        .iter()
        .map(|(key, value)| (key.clone(), vec![value.clone()]))
        .collect();
    let scenarios = scenario::load_with(&name, &text, &set)
        .map_err(|errors| errors.render(output::stderr_style(), output::width()))?;
    scenarios
        .into_iter()
        .find(|scenario| scenario.id() == id)
        .ok_or_else(|| format!("error: {name} has no run {id} any more"))
}
