//! The command line: one file per sub-command.

mod capture;
mod config;
mod coverage;
mod doctor;
mod engines;
mod exit;
mod explain;
mod files;
mod forecast;
mod import;
mod init;
mod kind;
mod kubeadm;
mod lint;
mod list;
mod origin;
mod output;
mod pick;
mod play;
mod progress;
mod replay;
mod reports;
mod run;
mod schema;
mod shell;
mod show;
mod stage;
mod verify;
mod warp;

use std::panic::PanicHookInfo;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub use exit::Exit;

use output::Output;

/// Rehearse certificate rotation of kubeadm clusters on a clock that you control.
#[derive(Debug, Parser)]
#[command(name = "certdrill", version = env!("CERTDRILL_LONG_VERSION"), after_help = exit::HELP, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play scenarios and judge what is seen.
    Run(run::Args),
    /// Write a scenario to start from, or a copy of one of the library.
    Init(init::Args),
    /// Show a scenario as it is understood, or a trace as a timeline.
    Show(show::Args),
    /// Repeat a recorded run and compare it record by record.
    Replay(replay::Args),
    /// List the runs that scenarios and their matrices make.
    List(list::Args),
    /// Say why a certificate, an edge, a kubelet or a request is as it is at an instant of a run.
    Explain(explain::Args),
    /// Look for mistakes in scenarios without playing them.
    Lint(lint::Args),
    /// Print the JSON Schema of the scenario format, of a report or of a forecast.
    Schema(schema::Args),
    /// Play scenarios on two backends and compare what is seen.
    Verify(verify::Args),
    /// Write down the public parts of a cluster's PKI: no key leaves the machine.
    Capture(capture::Args),
    /// Say what will break in a captured cluster, when, and what to do about it.
    Forecast(forecast::Args),
    /// Make a scenario of a pasted table: of dates, or of requests.
    Import(import::Args),
    /// Say what works on this machine, what is missing, and how to get it.
    Doctor(doctor::Args),
    /// The real kubeadm binaries on this machine.
    #[command(subcommand)]
    Engines(engines::Action),
    /// Run kubeadm's certificate commands on a directory tree, at any time, as any version.
    Kubeadm(kubeadm::KubeadmArgs),
    /// Run any command at another time, or move a running process.
    Warp(warp::WarpArgs),
    /// Remove containers and networks that a certdrill left behind.
    Clean(kind::CleanArgs),
    /// What runs inside the nodes of a real cluster.
    #[command(hide = true)]
    NodeAgent,
    /// The configuration file.
    #[command(subcommand)]
    Config(config::Action),
    /// Print completions for a shell.
    Completions(shell::CompletionsArgs),
    /// Print or write man pages.
    Man(shell::ManArgs),
}

/// What stands for a switch in the environment may be 1, 0, yes, no or nothing, as CI systems write it.
fn with_switches(command: clap::Command) -> clap::Command {
    command
        .mut_args(|arg| match arg.get_action() {
            clap::ArgAction::SetTrue => arg.value_parser(clap::builder::FalseyValueParser::new()),
            _ => arg,
        })
        .mut_subcommands(with_switches)
}

/// A number that is not zero.
fn at_least_one(text: &str) -> Result<std::num::NonZeroUsize, String> {
    text.parse()
        .map_err(|_| "write a whole number from 1 on".to_owned())
}

/// Parses the arguments, runs the command and says how it ended.
#[must_use]
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(internal_error));
    // In the place of runc, in a node of a real cluster.
    if let Some(code) = warp::in_the_place_of_runc() {
        return code;
    }
    let config = match config::Config::of_this_directory() {
        Ok(config) => config,
        Err(message) => {
            output::complain(&message);
            return Exit::Invalid.into();
        }
    };
    let mut command = match config.apply(with_switches(Cli::command())) {
        Ok(command) => command,
        Err(message) => {
            output::complain(&message);
            return Exit::Invalid.into();
        }
    };
    let args: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let parsed = command
        .try_get_matches_from_mut(&args)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed.map_err(|error| error.format(&mut command)) {
        Ok(cli) => cli,
        Err(mut error) => {
            let exit = if error.use_stderr() {
                origin::tell(&mut error, &config, &args)
            } else {
                Exit::Success
            };
            // Help and version end here too; where nobody reads them, there is nothing to tell.
            let _ = error.print();
            return exit.into();
        }
    };
    let mut output = Output::new();
    let exit = match &cli.command {
        Command::Run(args) => run::run(args, &mut output),
        Command::Init(args) => init::run(args, &mut output),
        Command::Show(args) => show::run(args, &mut output),
        Command::Doctor(args) => doctor::run(args, &mut output),
        Command::Config(action) => config::run(action, &command, &config, &mut output),
        Command::Completions(args) => shell::completions(args, &mut output),
        Command::Man(args) => shell::man(args, &mut output),
        Command::Replay(args) => replay::run(args, &mut output),
        Command::List(args) => list::run(args, &mut output),
        Command::Explain(args) => explain::run(args, &mut output),
        Command::Lint(args) => lint::run(args, &mut output),
        Command::Schema(args) => schema::run(args, &mut output),
        Command::Verify(args) => verify::run(args, &mut output),
        Command::Capture(args) => capture::run(args, &mut output),
        Command::Forecast(args) => forecast::run(args, &mut output),
        Command::Import(args) => import::run(args, &mut output),
        Command::Engines(action) => engines::run(action, &mut output),
        // The exit code is kubeadm's own.
        Command::Kubeadm(args) => return on_a_tree(args),
        // The exit code is the command's own.
        Command::Warp(args) => return warp::run(args, output),
        Command::Clean(args) => kind::clean_up(args, &mut output),
        Command::NodeAgent => return kind::node_agent(),
    };
    crate::real::kind::reuse::let_go();
    output.finish(exit).into()
}

/// A panic is a bug in certdrill and says nothing about the cluster, so it must not look like a verdict.
fn internal_error(info: &PanicHookInfo<'_>) {
    let message = info
        .payload()
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| info.payload().downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    let place = info
        .location()
        .map_or_else(String::new, |place| format!(" at {place}"));
    let tracker = match env!("CARGO_PKG_REPOSITORY") {
        "" => "the issue tracker of certdrill".to_owned(),
        repository => format!("{repository}/issues"),
    };
    output::complain(&format!(
        "internal error: {message}{place}\n\
         This is a bug in certdrill {} and says nothing about your cluster.\n\
         Please report it to {tracker} with the lines above, the command line and the scenario file.",
        env!("CARGO_PKG_VERSION"),
    ));
    crate::real::scratch::remove_all();
    // Not an unwinding thread: its partners would wait for a run that never comes.
    std::process::exit(i32::from(Exit::Internal.code()));
}

/// Runs the engine on a directory. Refusals of certdrill itself are 2 and 3, everything else is kubeadm's.
fn on_a_tree(args: &kubeadm::KubeadmArgs) -> ExitCode {
    match kubeadm::run(args) {
        Ok(code) => u8::try_from(code).map_or(Exit::Internal.into(), ExitCode::from),
        Err(error) => {
            let mut text = format!("error: {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                text += &format!(": {cause}");
                source = cause.source();
            }
            output::complain(&format!("{text}\n  help: {}", error.hint()));
            error.exit().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const CHILD: &str = "CERTDRILL_TEST_PANICS";

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_is_an_environment_variable() {
        // Dangerous when they are forgotten in the environment, or of one call only.
        const WITHOUT: [&str; 6] = [
            "help",
            "version",
            "allow-real-root",
            "seed",
            "backend",
            "pid",
        ];
        let mut seen = 0;
        let mut left: Vec<(String, clap::Command)> = vec![(String::new(), Cli::command())];
        while let Some((path, command)) = left.pop() {
            for arg in command.get_arguments() {
                let Some(long) = arg.get_long() else { continue };
                let Some(name) = arg.get_env() else {
                    // What `explain` is asked is of one call, too.
                    let excused = WITHOUT.contains(&long)
                        || path.contains(" warp ")
                        || path.contains(" explain ");
                    assert!(excused, "{path} --{long} has no environment variable");
                    continue;
                };
                let wanted = format!("CERTDRILL_{}", long.to_uppercase().replace('-', "_"));
                assert_eq!(name, wanted.as_str(), "{path}");
                seen += 1;
            }
            for one in command.get_subcommands() {
                left.push((format!("{path} {} ", one.get_name()), one.clone()));
            }
        }
        assert!(seen > 40, "{seen}");
    }

    #[test]
    fn what_stands_below_a_help_is_laid_out_for_80_columns() {
        const COLUMNS: usize = 80;
        let text = |line: &str| !line.is_empty() && !line.starts_with(' ');
        let mut seen = 0;
        let mut left = vec![Cli::command()];
        while let Some(command) = left.pop() {
            let help = command
                .get_after_help()
                .map_or_else(String::new, ToString::to_string);
            let lines: Vec<&str> = help.lines().collect();
            for (index, line) in lines.iter().enumerate() {
                // A paragraph that is one line is wrapped well; anything else would be torn.
                let beside = |at: Option<usize>| {
                    at.and_then(|at| lines.get(at)).is_some_and(|one| text(one))
                };
                let alone = text(line) && !beside(index.checked_sub(1)) && !beside(Some(index + 1));
                assert!(
                    alone || line.chars().count() <= COLUMNS,
                    "{}: {line}",
                    command.get_name()
                );
            }
            seen += usize::from(!help.is_empty());
            left.extend(command.get_subcommands().cloned());
        }
        assert!(seen >= 8, "{seen}");
    }

    #[test]
    fn options_stand_below_the_heading_that_they_belong_to() {
        let command = Cli::command();
        for name in ["run", "verify", "show"] {
            for arg in command.find_subcommand(name).unwrap().get_arguments() {
                let Some(long) = arg.get_long() else { continue };
                let heading = arg.get_help_heading();
                assert_eq!(
                    heading == Some("Reports"),
                    long.starts_with("report-"),
                    "{name} --{long}: {heading:?}"
                );
            }
        }
    }

    #[test]
    fn a_panic_exits_1_and_says_what_to_report() {
        // A hook belongs to a whole process, so a child of this test panics.
        if std::env::var_os(CHILD).is_some() {
            std::panic::set_hook(Box::new(internal_error));
            panic!("the sky falls");
        }
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "cli::tests::a_panic_exits_1_and_says_what_to_report",
            ])
            .arg("--nocapture")
            .env(CHILD, "1")
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.contains("internal error: the sky falls at src/cli/mod.rs"),
            "{stderr}"
        );
        assert!(stderr.contains("Please report it"), "{stderr}");
    }
}
