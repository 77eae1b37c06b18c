//! `certdrill init`: a scenario to start from.

use std::path::{Path, PathBuf};

use super::{Exit, Output, output};
use crate::scenario;

const TEMPLATE: &str = include_str!("template.yaml");
/// The library: name (`incidents/kubeadm-1753`) and text of each scenario.
pub(super) const LIBRARY: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/library.rs"));

/// Scripts that scenarios of the library run, by their path in it.
const SCRIPTS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/scripts.rs"));

/// Arguments of `certdrill init`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// File to write; `-` for standard output [default: my-rotation.yaml, or the name of what is copied].
    #[arg(value_name = "FILE", env = "CERTDRILL_FILE")]
    file: Option<PathBuf>,
    /// Copy a scenario of the library: by its name (incidents/kubeadm-1753), by the issue (kubeadm#1753, or its address), or
    /// by a row of list --coverage (S1).
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
    let base = base(name);
    let file = args
        .file
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{base}.yaml")));
    let text = &if args.from.is_some() {
        with_living_schema(text, &file)
    } else {
        text.to_owned()
    };
    if file == Path::new("-") {
        output.text(text);
        for (script, _) in scripts_of(name, text) {
            output::complain(&format!(
                "note: it runs {script}, which is not printed; give a file, and both are written"
            ));
        }
        return Exit::Success;
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut files = vec![(file.clone(), text.as_str())];
    files.extend(
        scripts_of(name, text)
            .into_iter()
            .map(|(script, text)| (folder.join(script), text)),
    );
    if let Some((there, _)) = files.iter().find(|(file, _)| file.exists() && !args.force) {
        output::complain(&format!(
            "error: {} exists\n  help: name another file, or overwrite it with --force",
            there.display()
        ));
        return Exit::Usage;
    }
    for (file, text) in &files {
        let shown = file.display();
        if let Err(error) = output::write_file(file, text).and_then(|()| output::executable(file)) {
            output::complain(&format!("error: cannot write {shown}: {error}"));
            return Exit::ReportNotWritten;
        }
        output.text(&format!("wrote {shown}\n"));
    }
    output.text(&format!("  certdrill run {}\n", file.display()));
    Exit::Success
}

/// The scripts beside a scenario of the library that it runs as `/scenario/NAME`.
fn scripts_of(name: &str, text: &str) -> Vec<(&'static str, &'static str)> {
    let folder = &name[..name.len() - base(name).len()];
    SCRIPTS
        .iter()
        .filter_map(|(path, content)| Some((path.strip_prefix(folder)?, *content)))
        .filter(|(script, _)| text.contains(&format!("/scenario/{script}")))
        .collect()
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

/// What tells an editor where the schema is.
const SCHEMA: &str = "# yaml-language-server: $schema=";

/// The text of the library for another place: its path of the schema leads nowhere from there.
fn with_living_schema(text: &str, file: &Path) -> String {
    let Some((path, rest)) = text
        .strip_prefix(SCHEMA)
        .and_then(|text| text.split_once('\n'))
    else {
        return text.to_owned();
    };
    let folder = file.parent().unwrap_or(Path::new(""));
    if file != Path::new("-") && folder.join(path).is_file() {
        return text.to_owned();
    }
    format!(
        "# certdrill schema > schema.json    beside this file, and an editor completes and checks it:\n{SCHEMA}./schema.json\n{rest}"
    )
}

/// How to get a scenario of the library that somebody names where a file is wanted.
pub(super) fn copied(path: &Path) -> Option<String> {
    let (name, _) = find(&path.to_string_lossy()).ok()?;
    Some(format!(
        "the library has it: certdrill init --from {name} writes {}.yaml",
        base(name)
    ))
}

/// A name of the library without its folder.
fn base(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// A scenario of the library: by its name with or without its folder, by its issue, by a row that it shows.
fn find(wanted: &str) -> Result<(&'static str, &'static str), String> {
    let plain = wanted
        .trim_start_matches("scenarios/")
        .trim_end_matches(".yaml");
    if let Some(&found) = LIBRARY.iter().find(|(name, _)| *name == plain) {
        return Ok(found);
    }
    let row = scenario::ROWS
        .iter()
        .find(|row| row.id.eq_ignore_ascii_case(plain));
    let issue = match row {
        Some(row) if !row.reference.is_empty() => issue(row.reference),
        _ => issue(plain),
    };
    // `incident/kubeadm-1753` is what one writes, too.
    let named = |text: &str| LIBRARY.iter().find(|(name, _)| base(name) == text).copied();
    if let Some(found) = named(base(plain)).or_else(|| named(&issue?)) {
        return Ok(found);
    }
    if let Some(row) = row {
        return shown(row);
    }
    let names = LIBRARY.iter().map(|(name, _)| *name);
    let near = scenario::nearest(plain, names.clone())
        .or_else(|| scenario::nearest(base(plain), names.map(base)));
    let help = near.map_or_else(
        || "`certdrill init --list` shows what there is".to_owned(),
        |near| format!("did you mean `{near}`? `certdrill init --list` shows what there is"),
    );
    Err(format!(
        "error: the library has no `{wanted}`\n  help: {help}"
    ))
}

/// `kubeadm-1753` for `kubeadm#1753`, `kubernetes/kubeadm#1753` and the address of the issue.
fn issue(text: &str) -> Option<String> {
    let text = text
        .trim_start_matches("https://github.com/")
        .replace("/issues/", "#")
        .replace("/pull/", "#");
    let (repository, number) = text.split_once('#')?;
    Some(format!("{}-{number}", base(repository)))
}

/// The scenario that shows a row, where it is one alone.
fn shown(row: &scenario::Row) -> Result<(&'static str, &'static str), String> {
    let claims = |text: &str| {
        scenario::load("", text).is_ok_and(|all| {
            all.iter()
                .any(|one| one.tags.iter().any(|tag| tag == row.id))
        })
    };
    let all: Vec<(&str, &str)> = LIBRARY
        .iter()
        .filter(|(_, text)| claims(text))
        .copied()
        .collect();
    match all.as_slice() {
        [only] => Ok(*only),
        several => Err(format!(
            "error: {} ({}) is shown by {} scenarios\n  help: name one of them: {}",
            row.id,
            row.what,
            several.len(),
            several
                .iter()
                .map(|(name, _)| *name)
                .collect::<Vec<_>>()
                .join(", ")
        )),
    }
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
        for name in [
            "S4",
            "s4",
            "kubeadm#1361",
            "kubernetes/kubeadm#1361",
            "https://github.com/kubernetes/kubeadm/issues/1361",
            "incident/kubeadm-1361",
        ] {
            assert_eq!(find(name).unwrap().0, "incidents/kubeadm-1361", "{name}");
        }
        let said = find("kubeadm-1754").unwrap_err();
        assert!(said.contains("did you mean"), "{said}");
        let said = find("D7").unwrap_err();
        assert!(
            said.contains("name one of them: ") && said.contains("docs/"),
            "{said}"
        );
    }

    #[test]
    fn every_incident_is_found_by_its_row_and_by_its_issue() {
        let incidents = scenario::ROWS
            .iter()
            .filter(|row| !row.reference.is_empty());
        let mut seen = 0;
        for row in incidents {
            let (name, text) = find(row.id).unwrap();
            assert_eq!(find(row.reference).unwrap().0, name);
            let scenarios = scenario::load(name, text).unwrap();
            assert!(scenarios[0].tags.iter().any(|tag| tag == row.id), "{name}");
            seen += 1;
        }
        assert_eq!(seen, 39);
    }

    #[test]
    fn scripts_come_with_the_scenario_that_runs_them() {
        let names = |wanted: &str| {
            let (name, text) = find(wanted).unwrap();
            let scripts = scripts_of(name, text);
            scripts
                .iter()
                .map(|(script, _)| *script)
                .collect::<Vec<_>>()
        };
        assert_eq!(names("features/own-script"), ["renew-if-due.sh"]);
        for tool in ["cfssl", "openssl"] {
            let script = format!("sign-with-{tool}.sh");
            assert_eq!(names(&format!("docs/csr-signed-by-{tool}")), [script]);
        }
        assert!(names("incidents/kubeadm-1753").is_empty());
        // A scenario of the library that runs what is not beside it could not be copied.
        for (name, text) in LIBRARY {
            let made = text.contains("/scenario/remedy.sh");
            assert!(
                !text.contains("/scenario/") || made || !scripts_of(name, text).is_empty(),
                "{name}"
            );
        }
    }

    #[test]
    fn a_copy_says_where_its_schema_comes_from() {
        let (_, text) = find("S4").unwrap();
        let copy = with_living_schema(text, Path::new("somewhere/mine.yaml"));
        assert!(text.starts_with(SCHEMA));
        assert!(
            copy.contains("$schema=./schema.json\n") && copy.starts_with("# certdrill schema > ")
        );
        assert!(!copy.contains("../schema.json"), "{copy}");
        let rest = |text: &str| text[text.find("# Affected").unwrap()..].to_owned();
        assert_eq!(rest(text), rest(&copy));
        // Within the library it is where it says.
        let inside = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/incidents/mine.yaml");
        assert_eq!(with_living_schema(text, &inside), text);
    }
}
