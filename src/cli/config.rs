//! The configuration file: defaults for options, and `certdrill config show`.
//!
//! Keys are the long names of options. What stands below the name of a command is for that command only. The
//! command line and the environment win.

#![expect(
    clippy::disallowed_methods,
    reason = "the configuration file is read here"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use serde_json::Value;

use super::{Exit, Output, output};
use crate::scenario::{self, Position, Problem};

/// Read where `CERTDRILL_CONFIG` names no other file.
const DEFAULT: &str = ".certdrill.yaml";
/// Commands with a command line that is not certdrill's own, or in which a forgotten setting would be dangerous.
const WITHOUT: [&str; 5] = ["kubeadm", "warp", "engines", "config", "help"];

/// What to do with the configuration.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// Show every option of a command, its value, and where that comes from.
    Show {
        /// The command.
        #[arg(value_name = "COMMAND", default_value = "run")]
        command: String,
    },
}

/// What the file says: values by command and option.
#[derive(Debug, Clone, Default)]
pub(super) struct Config {
    path: Option<PathBuf>,
    /// Its text, for carets.
    text: String,
    /// Where each key stands.
    places: BTreeMap<Vec<String>, Position>,
    /// Values by option, for every command.
    everywhere: BTreeMap<String, Vec<String>>,
    /// Values by command and option.
    sections: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl Config {
    /// Reads the file that the environment names, or the one in this directory.
    ///
    /// # Errors
    /// With a message, when there is one that cannot be used.
    pub(super) fn of_this_directory() -> Result<Self, String> {
        // What takes nothing from it must not fail because of it.
        let command = std::env::args().nth(1).unwrap_or_default();
        if WITHOUT.contains(&command.as_str()) && command != "config" {
            return Ok(Self::default());
        }
        let named = std::env::var_os("CERTDRILL_CONFIG").map(PathBuf::from);
        let path = match named {
            // Set to nothing: no file at all.
            Some(path) if path.as_os_str().is_empty() => return Ok(Self::default()),
            Some(path) => path,
            None if Path::new(DEFAULT).is_file() => PathBuf::from(DEFAULT),
            None => return Ok(Self::default()),
        };
        let text = std::fs::read_to_string(&path).map_err(|error| {
            format!(
                "error: {} cannot be read: {error}\n  help: CERTDRILL_CONFIG names another file; set to nothing, none is read",
                path.display()
            )
        })?;
        Self::parse(path, text)
    }

    fn parse(path: PathBuf, text: String) -> Result<Self, String> {
        let mut config = Self {
            path: Some(path),
            text,
            ..Self::default()
        };
        if config
            .text
            .lines()
            .all(|line| line.trim().is_empty() || line.trim().starts_with('#'))
        {
            return Ok(config);
        }
        let told = |problem: Box<Problem>| config.shown(&problem);
        let tree: BTreeMap<String, Value> = scenario::document(&config.text).map_err(told)?;
        config.places = scenario::places(&config.text).map_err(told)?;
        for (key, value) in tree {
            match value {
                Value::Object(section) => {
                    let mut options = BTreeMap::new();
                    for (option, value) in section {
                        let words =
                            words(&value).ok_or_else(|| config.no_value(&[&key, &option]))?;
                        options.insert(option, words);
                    }
                    config.sections.insert(key, options);
                }
                value => {
                    let words = words(&value).ok_or_else(|| config.no_value(&[&key]))?;
                    config.everywhere.insert(key, words);
                }
            }
        }
        Ok(config)
    }

    /// A mistake in the file, with its line.
    fn shown(&self, problem: &Problem) -> String {
        let path = self.path.as_deref().unwrap_or(Path::new(DEFAULT));
        problem.render_discreetly(
            &path.display().to_string(),
            &self.text,
            output::stderr_style(),
            output::width(),
        )
    }

    fn at(&self, path: &[&str]) -> Position {
        let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
        self.places.get(&path).copied().unwrap_or_default()
    }

    fn no_value(&self, path: &[&str]) -> String {
        let key = path.last().copied().unwrap_or_default();
        self.shown(
            &Problem::new(
                self.at(path),
                format!("`{key}` must be a value or a list of values"),
            )
            .help("leave the line out where the default is meant"),
        )
    }

    /// Where the file gives a value to an option of a command: `.certdrill.yaml, line 3`.
    pub(super) fn place(&self, command: &str, option: &str) -> Option<String> {
        let section = self.sections.get(command);
        let path = if section.is_some_and(|one| one.contains_key(option)) {
            vec![command, option]
        } else if self.everywhere.contains_key(option) {
            vec![option]
        } else {
            return None;
        };
        Some(format!(
            "{}, line {}",
            self.path.as_ref()?.display(),
            self.at(&path).line
        ))
    }

    /// The same without what it says about an option of a command.
    pub(super) fn without(&self, command: &str, option: &str) -> Self {
        let mut other = self.clone();
        other.everywhere.remove(option);
        if let Some(section) = other.sections.get_mut(command) {
            section.remove(option);
        }
        other
    }

    /// Makes the values the defaults of a command line.
    ///
    /// # Errors
    /// With a message, where a key is no command and no option.
    pub(super) fn apply(&self, mut command: clap::Command) -> Result<clap::Command, String> {
        let names: Vec<String> = command
            .get_subcommands()
            .map(|one| one.get_name().to_owned())
            .filter(|name| !WITHOUT.contains(&name.as_str()))
            .collect();
        let mut known: Vec<String> = Vec::new();
        for name in &names {
            let Some(found) = command.find_subcommand(name) else {
                continue;
            };
            let options: Vec<String> = found
                .get_arguments()
                .filter_map(|arg| arg.get_long().map(str::to_owned))
                .collect();
            for option in self.sections.get(name).into_iter().flat_map(BTreeMap::keys) {
                if !options.contains(option) {
                    return Err(self.unknown(
                        &[name, option],
                        &format!("option of `{name}`"),
                        &options,
                    ));
                }
            }
            known.extend(options);
            command = command.mut_subcommand(name, |one| self.defaults(one));
        }
        // An option may have the name of a command: a mapping is always for a command.
        if let Some(key) = self.sections.keys().find(|key| !names.contains(key)) {
            return Err(self.unknown(&[key], "option or command", &names));
        }
        if let Some(key) = self.everywhere.keys().find(|key| !known.contains(key)) {
            known.extend(names);
            return Err(self.unknown(&[key], "option or command", &known));
        }
        Ok(command)
    }

    fn unknown(&self, path: &[&str], what: &str, known: &[String]) -> String {
        let key = path.last().copied().unwrap_or_default();
        let help = scenario::nearest(key, known.iter().map(String::as_str)).map_or_else(
            || "`certdrill config show` lists what there is".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        self.shown(&Problem::new(self.at(path), format!("`{key}` is no {what}")).help(help))
    }

    fn defaults(&self, command: clap::Command) -> clap::Command {
        let name = command.get_name().to_owned();
        command.mut_args(|arg| {
            let Some(words) = arg.get_long().and_then(|long| self.get(&name, long, &arg)) else {
                return arg;
            };
            // A command line lives as long as the process.
            let words: Vec<&'static str> = words
                .iter()
                .map(|word| &*Box::leak(word.clone().into_boxed_str()))
                .collect();
            arg.default_values(words)
        })
    }

    /// The values of an option of a command.
    fn get(&self, command: &str, option: &str, arg: &clap::Arg) -> Option<&Vec<String>> {
        if let Some(words) = self.sections.get(command).and_then(|one| one.get(option)) {
            return Some(words);
        }
        let words = self.everywhere.get(option)?;
        // `format: github` is for the commands that know it.
        let possible = arg.get_possible_values();
        let fits = |word: &String| {
            possible.is_empty() || possible.iter().any(|one| one.matches(word, false))
        };
        words.iter().all(fits).then_some(words)
    }
}

/// Values as they would stand on a command line; none for nothing and for mappings.
fn words(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Number(number) => Some(vec![number.to_string()]),
        Value::Bool(flag) => Some(vec![flag.to_string()]),
        Value::Array(items) => items
            .iter()
            .map(words)
            .collect::<Option<Vec<_>>>()
            .map(|lists| lists.concat()),
        Value::Null | Value::Object(_) => None,
    }
}

/// Shows what is in force. `command` has the defaults of the file already.
pub(super) fn run(
    action: &Action,
    command: &clap::Command,
    config: &Config,
    output: &mut Output,
) -> Exit {
    let Action::Show { command: name } = action;
    let names = || {
        command
            .get_subcommands()
            .map(clap::Command::get_name)
            .filter(|name| !WITHOUT.contains(name))
    };
    let Some(found) = command
        .find_subcommand(name)
        .filter(|one| names().any(|name| name == one.get_name()))
    else {
        let help = scenario::nearest(name, names()).map_or_else(
            || names().collect::<Vec<_>>().join(", "),
            |near| format!("did you mean `{near}`?"),
        );
        output::complain(&format!(
            "error: `{name}` takes nothing from a configuration\n  help: {help}"
        ));
        return Exit::Usage;
    };
    let relaxed = found.clone().mut_args(|arg| arg.required(false));
    let matches = match relaxed.try_get_matches_from([name.as_str()]) {
        Ok(matches) => matches,
        Err(error) => {
            output::complain(&error.to_string());
            return Exit::Usage;
        }
    };
    let file = match &config.path {
        Some(path) => path.display().to_string(),
        None => format!("no configuration file ({DEFAULT}, or CERTDRILL_CONFIG)"),
    };
    output.text(&format!("{file}\n"));
    let shown: Vec<&clap::Arg> = found
        .get_arguments()
        .filter(|arg| arg.get_long().is_some_and(|long| long != "help"))
        .collect();
    let width = shown
        .iter()
        .filter_map(|arg| arg.get_long())
        .map(str::len)
        .max()
        .unwrap_or(0);
    for arg in shown {
        let long = arg.get_long().unwrap_or_default();
        let id = arg.get_id().as_str();
        let values: Vec<String> = matches
            .get_raw(id)
            .into_iter()
            .flatten()
            .map(|value| value.to_string_lossy().into_owned())
            .collect();
        let origin = match matches.value_source(id) {
            Some(ValueSource::EnvVariable) => arg
                .get_env()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            Some(ValueSource::DefaultValue) if config.get(name, long, arg).is_some() => {
                file.clone()
            }
            Some(ValueSource::DefaultValue) => "default".to_owned(),
            _ => "not set".to_owned(),
        };
        output.text(&format!(
            "  {long:<width$}  {:<24} {origin}\n",
            values.join(" ")
        ));
    }
    Exit::Success
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _};

    use super::super::{Cli, Command};
    use super::*;

    fn applied(text: &str) -> Result<clap::Command, String> {
        Config::parse("c.yaml".into(), text.to_owned())?.apply(Cli::command())
    }

    #[test]
    fn the_file_gives_defaults_and_the_command_line_wins() {
        let command = applied("seed: 7\nrun:\n  jobs: 3\n").unwrap();
        let run = |args: &[&str]| {
            let matches = command.clone().try_get_matches_from(args).unwrap();
            match Cli::from_arg_matches(&matches).unwrap().command {
                Command::Run(args) => format!("{args:?}"),
                _ => panic!("another command"),
            }
        };
        let plain = run(&["certdrill", "run"]);
        assert!(
            plain.contains("seed: 7") && plain.contains("jobs: Some(3)"),
            "{plain}"
        );
        assert!(run(&["certdrill", "run", "--seed", "9"]).contains("seed: 9"));
    }

    #[test]
    fn what_is_unknown_is_told() {
        for (text, said) in [
            ("sede: 7", "did you mean `seed`?"),
            ("run: { job: 1 }", "did you mean `jobs`?"),
            ("rnu: { jobs: 1 }", "did you mean `run`?"),
            ("kubeadm: { at: now }", "is no option or command"),
            ("seed:", "must be a value"),
        ] {
            let message = applied(text).unwrap_err();
            assert!(message.contains(said), "{text}: {message}");
            assert!(message.contains("--> c.yaml:1:"), "{text}: {message}");
        }
        applied("# nothing\n").unwrap();
        // The other commands do not know this format.
        applied("format: github").unwrap();
    }
}
