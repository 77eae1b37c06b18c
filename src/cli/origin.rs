//! Where a value that was refused came from, when it did not stand on the command line.

use std::ffi::OsString;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue};

use super::config::Config;
use super::{Cli, Exit, with_switches};

/// Adds to an error of the command line that a value came from the environment or from the configuration file. Says how
/// certdrill ends then.
pub(super) fn tell(error: &mut clap::Error, config: &Config, args: &[OsString]) -> Exit {
    let mut exit = Exit::Usage;
    let mut tips = match error.remove(ContextKind::Suggested) {
        Some(ContextValue::StyledStrs(tips)) => tips,
        _ => Vec::new(),
    };
    for found in origins(error, config, args) {
        tips.push(found.words().into());
        if matches!(found, Origin::File { .. }) {
            exit = Exit::Invalid;
        }
    }
    if !tips.is_empty() {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
    exit
}

#[derive(Debug, PartialEq, Eq)]
enum Origin {
    /// An argument and the variable that gave it.
    Environment { arg: String, variable: String },
    /// An argument and the place that gave it.
    File { arg: String, place: String },
}

impl Origin {
    fn words(&self) -> String {
        match self {
            Self::Environment { arg, variable } => {
                format!("what is given for {arg} comes from the environment: {variable}")
            }
            Self::File { arg, place } => {
                format!("what is given for {arg} comes from the configuration: {place}")
            }
        }
    }
}

/// Whatever makes this error go away, or another one, when it says nothing.
fn origins(error: &clap::Error, config: &Config, args: &[OsString]) -> Vec<Origin> {
    let named = named(error);
    if named.is_empty() {
        return Vec::new();
    }
    let mut command = Cli::command();
    command.build();
    let mut path: Vec<String> = Vec::new();
    let mut at = &command;
    for arg in args.iter().skip(1) {
        let Some(found) = arg.to_str().and_then(|name| at.find_subcommand(name)) else {
            break;
        };
        path.push(found.get_name().to_owned());
        at = found;
    }
    let Some(section) = path.first() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for arg in at.get_arguments() {
        if !named.contains(&arg.to_string()) {
            continue;
        }
        let long = arg.get_long().unwrap_or_default();
        let shown = arg
            .get_long()
            .map_or_else(|| arg.to_string(), |long| format!("--{long}"));
        let Ok(silent) = config
            .without(section, long)
            .apply(with_switches(Cli::command()))
        else {
            continue;
        };
        let again = silenced(silent, &path, arg.get_id().as_str())
            .try_get_matches_from(args)
            .err();
        let same = |other: &clap::Error| {
            (other.kind(), other.to_string()) == (error.kind(), error.to_string())
        };
        if again.as_ref().is_some_and(same) {
            continue;
        }
        let variable = arg
            .get_env()
            .filter(|name| std::env::var_os(name).is_some());
        if let Some(name) = variable {
            found.push(Origin::Environment {
                arg: shown,
                variable: name.to_string_lossy().into_owned(),
            });
        } else if let Some(place) = config.place(section, long) {
            found.push(Origin::File { arg: shown, place });
        }
    }
    found
}

/// The arguments that an error is about.
fn named(error: &clap::Error) -> Vec<String> {
    [ContextKind::InvalidArg, ContextKind::PriorArg]
        .into_iter()
        .filter_map(|kind| error.get(kind))
        .flat_map(|value| match value {
            ContextValue::String(one) => vec![one.clone()],
            ContextValue::Strings(several) => several.clone(),
            _ => Vec::new(),
        })
        .collect()
}

/// The command line without the variable of one argument.
fn silenced(command: clap::Command, path: &[String], id: &str) -> clap::Command {
    match path {
        [] => command.mut_arg(id, |arg| arg.env(None::<&'static str>)),
        [first, rest @ ..] => command.mut_subcommand(first, |one| silenced(one, rest, id)),
    }
}
