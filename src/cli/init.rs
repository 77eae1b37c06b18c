//! `certdrill init`: a scenario to start from.

use std::path::{Path, PathBuf};

use super::{Exit, Output, output};
use crate::scenario;

const TEMPLATE: &str = include_str!("template.yaml");
/// The library: name (`incidents/kubeadm-1753`) and text of each scenario.
pub(super) const LIBRARY: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/library.rs"));

/// Arguments of `certdrill init`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// File to write; `-` for standard output [default: my-rotation.yaml, or the name of what is copied].
    #[arg(value_name = "FILE", env = "CERTDRILL_FILE")]
    file: Option<PathBuf>,
    /// Copy a scenario of the library, for example incidents/kubeadm-1753.
    #[arg(long, value_name = "NAME", env = "CERTDRILL_FROM")]
    from: Option<String>,
    /// List the library.
    #[arg(long, env = "CERTDRILL_LIST", conflicts_with_all = ["from", "file"])]
    list: bool,
    /// Overwrite the file if there is one.
    #[arg(long, env = "CERTDRILL_FORCE")]
    force: bool,
}

/// Writes it.
pub(super) fn run(args: &Args, output: &mut Output) -> Exit {
    if args.list {
        return list(output);
    }
    let (name, text) = match &args.from {
        None => ("my-rotation", TEMPLATE),
        Some(wanted) => match find(wanted) {
            Ok(found) => found,
            Err(message) => {
                output::complain(&message);
                return Exit::Usage;
            }
        },
    };
    let base = name.rsplit('/').next().unwrap_or(name);
    let file = args
        .file
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{base}.yaml")));
    if file == Path::new("-") {
        output.text(text);
        return Exit::Success;
    }
    let shown = file.display();
    if file.exists() && !args.force {
        output::complain(&format!(
            "error: {shown} exists\n  help: name another file, or overwrite it with --force"
        ));
        return Exit::Usage;
    }
    if let Err(error) = output::write_file(&file, text) {
        output::complain(&format!("error: cannot write {shown}: {error}"));
        return Exit::ReportNotWritten;
    }
    output.text(&format!("wrote {shown}\n  certdrill run {shown}\n"));
    Exit::Success
}

fn list(output: &mut Output) -> Exit {
    let width = LIBRARY
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0);
    for (name, text) in LIBRARY {
        let title = scenario::load(name, text)
            .ok()
            .and_then(|scenarios| scenarios.into_iter().next())
            .map_or_else(String::new, |scenario| scenario.title);
        let line = output.fit(&format!("{name:<width$}  {title}"));
        output.text(&format!("{line}\n"));
    }
    Exit::Success
}

/// A scenario of the library, by its name with or without its folder.
fn find(wanted: &str) -> Result<(&'static str, &'static str), String> {
    let wanted = wanted
        .trim_start_matches("scenarios/")
        .trim_end_matches(".yaml");
    let base = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
    // `incident/kubeadm-1753` is what one writes, too.
    let found = LIBRARY
        .iter()
        .find(|(name, _)| *name == wanted)
        .or_else(|| LIBRARY.iter().find(|(name, _)| base(name) == base(wanted)));
    if let Some(&(name, text)) = found {
        return Ok((name, text));
    }
    let names = LIBRARY.iter().map(|(name, _)| *name);
    let near = scenario::nearest(wanted, names.clone()).or_else(|| {
        let bases: Vec<&str> = names
            .clone()
            .map(|name| name.rsplit('/').next().unwrap_or(name))
            .collect();
        scenario::nearest(&base(wanted), bases)
    });
    let help = near.map_or_else(
        || "`certdrill init --list` shows what there is".to_owned(),
        |near| format!("did you mean `{near}`? `certdrill init --list` shows what there is"),
    );
    Err(format!(
        "error: the library has no `{wanted}`\n  help: {help}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_a_scenario_without_warnings_that_passes() {
        use crate::run::{PlayOptions, play, trace::Verdict};
        let scenarios = scenario::load("template.yaml", TEMPLATE).unwrap();
        assert_eq!(scenarios.len(), 2);
        assert!(scenario::lint(&scenarios).is_empty());
        for one in &scenarios {
            let run = play(one, &PlayOptions { seed: 0 });
            assert_eq!(run.verdict, Verdict::Passed, "{:?}", one.variant);
        }
    }

    #[test]
    fn the_library_is_found_by_every_name() {
        assert!(LIBRARY.len() > 10, "{}", LIBRARY.len());
        for name in [
            "incidents/kubeadm-1753",
            "incident/kubeadm-1753",
            "kubeadm-1753",
            "scenarios/incidents/kubeadm-1753.yaml",
        ] {
            assert_eq!(find(name).unwrap().0, "incidents/kubeadm-1753", "{name}");
        }
        let said = find("kubeadm-1754").unwrap_err();
        assert!(said.contains("did you mean"), "{said}");
    }
}
