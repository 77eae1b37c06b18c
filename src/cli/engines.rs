//! `certdrill engines`: the real kubeadm binaries on this machine.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Exit, Output, output};
use crate::kubeadm::Version;
use crate::real::engines::{EngineFile, EngineFileError, Engines};

/// What to do with engines.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// List the kubeadm binaries that certdrill finds.
    List,
    /// Keep a kubeadm in the cache: a binary you have, or one built from the published Go modules.
    Install {
        /// The version, as v1.36.3.
        #[arg(value_name = "VERSION")]
        version: Version,
        /// Keep this binary instead of building one.
        #[arg(long, value_name = "FILE", env = "CERTDRILL_FROM")]
        from: Option<PathBuf>,
    },
    /// Print where the kubeadm of a version is.
    Path {
        /// The version, as v1.36.3.
        #[arg(value_name = "VERSION")]
        version: Version,
    },
}

/// Does it.
pub(super) fn run(action: &Action, output: &mut Output) -> Exit {
    let engines = Engines::of_this_machine();
    let found = match action {
        Action::List => return list(&engines, output),
        Action::Install {
            version,
            from: Some(file),
        } => engines.keep(*version, file),
        Action::Install {
            version,
            from: None,
        } => match engines.find(*version) {
            Err(EngineFileError::NotFound { .. }) => engines.build(*version),
            found => found,
        },
        Action::Path { version } => engines.find(*version),
    };
    match found {
        Ok(engine) => {
            output.text(&format!("{}\n", engine.path.display()));
            Exit::Success
        }
        Err(error) => {
            output::complain(&format!("error: {error}\n  help: {}", error.help()));
            Exit::Infrastructure
        }
    }
}

fn list(engines: &Engines, output: &mut Output) -> Exit {
    let found = engines.list();
    if found.is_empty() {
        output::complain(&format!(
            "no kubeadm on PATH and none in {}\n  help: `certdrill engines install v1.36.3` builds one where Go \
             is installed; with `--from FILE` it keeps one you have",
            engines.cache().display()
        ));
        return Exit::NothingSelected;
    }
    let line = |engine: &EngineFile| {
        let version = engine.version.to_string();
        format!(
            "{version:<10} {:<6} {}\n",
            engine.origin.word(),
            engine.path.display()
        )
    };
    output.text(&found.iter().map(line).collect::<String>());
    Exit::Success
}
