//! `certdrill schema`: the JSON Schemas of what is read and written.

use clap::ValueEnum;

use super::{Exit, Output, output};

/// Arguments of `certdrill schema`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which schema.
    #[arg(value_enum, default_value = "scenario")]
    of: Of,
    /// A page of Markdown that tells every field, instead of the schema. Of scenarios only.
    #[arg(long, env = "CERTDRILL_MARKDOWN")]
    markdown: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Of {
    /// Scenario files.
    Scenario,
    /// What `run --report-json` writes.
    Report,
    /// What `verify --report-json` writes.
    Verify,
    /// What `forecast --format json` writes.
    Forecast,
}

/// Prints the schema.
pub(super) fn run(args: &Args, output: &mut Output) -> Exit {
    if args.markdown && !matches!(args.of, Of::Scenario) {
        output::complain(
            "error: there is a page for scenarios only\n  help: without --markdown the schema of a report or a forecast is printed",
        );
        return Exit::Usage;
    }
    output.text(&match args.of {
        Of::Scenario if args.markdown => crate::scenario::reference(),
        Of::Scenario => crate::scenario::schema(),
        Of::Report => crate::report::summary::schema(),
        Of::Verify => crate::report::compared::schema(),
        Of::Forecast => crate::forecast::outlook::schema(),
    });
    Exit::Success
}
