//! `certdrill completions` and `certdrill man`: what shells and man read.

#![expect(clippy::disallowed_methods, reason = "man pages are written")]

use std::path::PathBuf;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, Exit, Output, output};

/// Arguments of `certdrill completions`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "For example:\n  certdrill completions bash > /etc/bash_completion.d/certdrill"
)]
pub(super) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum, env = "CERTDRILL_SHELL")]
    shell: Shell,
}

/// Arguments of `certdrill man`.
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Directory for one page of each command [default: the page of certdrill goes to standard output].
    #[arg(value_name = "DIR", env = "CERTDRILL_DIR")]
    dir: Option<PathBuf>,
}

/// The command line without what is hidden: generators of completions show it all the same.
fn for_people() -> clap::Command {
    let whole = Cli::command();
    let shown: Vec<clap::Command> = whole
        .get_subcommands()
        .filter(|one| !one.is_hide_set())
        .cloned()
        .collect();
    let mut command = clap::Command::new("certdrill")
        .version(env!("CERTDRILL_LONG_VERSION"))
        .after_help(super::exit::HELP)
        .subcommands(shown);
    if let Some(about) = whole.get_about() {
        command = command.about(about.clone());
    }
    command
}

/// Prints completions.
pub(super) fn completions(args: &CompletionsArgs, output: &mut Output) -> Exit {
    let mut command = for_people();
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "certdrill", &mut text);
    output.write(|out| out.write_all(&text));
    Exit::Success
}

/// Writes man pages.
pub(super) fn man(args: &ManArgs, output: &mut Output) -> Exit {
    let command = for_people();
    let written = match &args.dir {
        None => {
            let mut text = Vec::new();
            let rendered = clap_mangen::Man::new(command).render(&mut text);
            output.write(|out| out.write_all(&text));
            rendered
        }
        Some(dir) => {
            std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(command, dir))
        }
    };
    match written {
        Ok(()) => Exit::Success,
        Err(error) => {
            output::complain(&format!("error: man pages cannot be written: {error}"));
            Exit::ReportNotWritten
        }
    }
}
