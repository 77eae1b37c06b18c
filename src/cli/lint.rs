//! `certdrill lint`: mistakes and what is probably not meant, without playing.

use super::files::ScenarioFile;
use super::pick::Selection;
use super::{Exit, Output};
use crate::scenario;

/// Arguments of `certdrill lint`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Exit with 3 if there are warnings.
    #[arg(long, env = "CERTDRILL_DENY_WARNINGS")]
    deny_warnings: bool,
}

/// Looks at what is selected.
pub(super) fn run(args: &Args, output: &mut Output) -> Exit {
    let files = match args.selection.load() {
        Ok(files) => files,
        Err(exit) => return exit,
    };
    let picked = match args.selection.pick(&files) {
        Ok(picked) => picked,
        Err(exit) => return exit,
    };
    let mut warnings = 0;
    let mut seen = 0;
    for file in &files {
        let selected = picked.iter().any(|picked| std::ptr::eq(picked.file, file));
        if !selected {
            continue;
        }
        seen += 1;
        for warning in scenario::lint(&file.scenarios) {
            let text = warning.render(&file.path, &file.text, output.style(), output.width());
            output.text(&format!("{text}\n\n"));
            warnings += 1;
        }
    }
    for (name, first, second) in same_names(&files) {
        output.text(&format!(
            "warning: `{name}` is the name of two scenarios [name-twice]\n  --> {first}\n  --> {second}\n\n"
        ));
        warnings += 1;
    }
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    output.text(&format!(
        "{seen} file{}: {warnings} warning{}\n",
        plural(seen),
        plural(warnings)
    ));
    if warnings > 0 && args.deny_warnings {
        Exit::Invalid
    } else {
        Exit::Success
    }
}

/// Names that two files share: `--include` could not tell their runs apart.
fn same_names(files: &[ScenarioFile]) -> Vec<(&str, &str, &str)> {
    let mut found = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let Some(name) = file
            .scenarios
            .first()
            .map(|scenario| scenario.name.as_str())
        else {
            continue;
        };
        let before = files[..index]
            .iter()
            .find(|other| other.scenarios.iter().any(|scenario| scenario.name == name));
        if let Some(before) = before {
            found.push((name, before.path.as_str(), file.path.as_str()));
        }
    }
    found
}
