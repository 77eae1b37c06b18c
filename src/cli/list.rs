//! `certdrill list`: the runs that scenarios and their matrices make.

use clap::ValueEnum;

use super::pick::Selection;
use super::stage::BackendArg;
use super::{Exit, Output, coverage};
use crate::scenario::{Backend, Scenario};

/// Arguments of `certdrill list`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Which rows of the documentation and which reported incidents the scenarios show, and how they stand:
    /// everything selected is played.
    #[arg(long, env = "CERTDRILL_COVERAGE")]
    coverage: bool,
    /// Where `--coverage` plays.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "sim",
        env = "CERTDRILL_BACKEND"
    )]
    backend: Vec<BackendArg>,
    /// What goes to standard output.
    #[arg(long, value_enum, default_value = "human", env = "CERTDRILL_FORMAT")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table for a person.
    Human,
    /// One JSON object a line.
    Json,
}

/// Lists what is selected.
pub(super) fn run(args: &Args, output: &mut Output) -> Exit {
    let files = match args.selection.load() {
        Ok(files) => files,
        Err(exit) => return exit,
    };
    let picked = match args.selection.pick(&files) {
        Ok(picked) => picked,
        Err(exit) => return exit,
    };
    if args.coverage {
        let json = matches!(args.format, Format::Json);
        return coverage::run(&picked, &args.backend, json, output);
    }
    let ids: Vec<String> = picked.iter().map(|picked| picked.scenario.id()).collect();
    let id_width = ids.iter().map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    for (picked, id) in picked.iter().zip(&ids) {
        let scenario = picked.scenario;
        match args.format {
            Format::Human => {
                let line = format!("{id:<id_width$}  {}", scenario.title);
                text.push_str(&output.fit(&line));
            }
            Format::Json => text.push_str(&json(scenario, id).to_string()),
        }
        text.push('\n');
    }
    output.text(&text);
    Exit::Success
}

fn json(scenario: &Scenario, id: &str) -> serde_json::Value {
    let backends: Vec<&str> = scenario
        .backends
        .iter()
        .map(|backend| match backend {
            Backend::Sim => "sim",
            Backend::Kubeadm => "kubeadm",
            Backend::Kind => "kind",
        })
        .collect();
    serde_json::json!({
        "id": id,
        "name": scenario.name,
        "title": scenario.title,
        "file": scenario.file,
        "reference": scenario.reference,
        "tags": scenario.tags,
        "variant": scenario.variant,
        "version": scenario.cluster.version.to_string(),
        "backends": backends,
    })
}
