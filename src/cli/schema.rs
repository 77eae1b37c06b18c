//! `certdrill schema`: the JSON Schemas of what is read and written.

use clap::ValueEnum;

use super::{Exit, Output};

/// Arguments of `certdrill schema`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which schema.
    #[arg(value_enum, default_value = "scenario")]
    of: Of,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Of {
    /// Scenario files.
    Scenario,
    /// What `run --report-json` writes.
    Report,
}

/// Prints the schema.
pub(super) fn run(args: &Args, output: &mut Output) -> Exit {
    output.text(&match args.of {
        Of::Scenario => crate::scenario::schema(),
        Of::Report => crate::report::summary::schema(),
    });
    Exit::Success
}
