//! Scenario files: finding and reading them.

#![expect(
    clippy::disallowed_methods,
    reason = "scenario files are read here and nowhere else"
)]

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{Exit, output};
use crate::scenario::{self, FILE_BYTES_MAX, Scenario, Values};

/// Directories are searched this deep.
const DEPTH_MAX: usize = 16;
/// More files than this are not a library of scenarios.
const FILES_MAX: usize = 10_000;

/// Where scenarios are looked for when no path is given.
const DEFAULT: &str = "scenarios";

/// A scenario file and what it holds.
#[derive(Debug)]
pub(super) struct ScenarioFile {
    /// As given, or below a directory that was given.
    pub(super) path: String,
    /// Its text.
    pub(super) text: String,
    /// One for each variant.
    pub(super) scenarios: Vec<Scenario>,
}

/// Reads every scenario below the paths. Mistakes are told on standard error, all of them.
pub(super) fn load(paths: &[PathBuf], values: &Values) -> Result<Vec<ScenarioFile>, Exit> {
    let files = find(paths)?;
    let mut loaded = Vec::new();
    let mut mistakes = 0;
    for path in files {
        let name = path
            .strip_prefix(".")
            .unwrap_or(&path)
            .display()
            .to_string();
        let text = match read(&path) {
            Ok(text) => text,
            Err(reason) => {
                output::complain(&format!("error: {name} {reason}\n"));
                mistakes += 1;
                continue;
            }
        };
        match scenario::load_with(&name, &text, values) {
            Ok(scenarios) => loaded.push(ScenarioFile {
                path: name,
                text,
                scenarios,
            }),
            Err(errors) => {
                let rendered = errors.render(output::stderr_style(), output::width());
                output::complain(&format!("{rendered}\n"));
                mistakes += errors.problems.len();
            }
        }
    }
    if mistakes > 0 {
        let plural = if mistakes == 1 { "" } else { "s" };
        output::complain(&format!(
            "certdrill: {mistakes} mistake{plural}; nothing was played"
        ));
        return Err(Exit::Invalid);
    }
    Ok(loaded)
}

/// That a file which was named can be opened; if not, that is told. A command line that names one is wrong.
pub(super) fn named<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<(), Exit> {
    for path in paths {
        if path.as_os_str() == "-" {
            continue;
        }
        // What is no file - a pipe, a process substitution - can be opened once only, by whoever reads it.
        let found = fs::metadata(path);
        let opened = match &found {
            Ok(metadata) if metadata.is_file() => File::open(path).map(drop),
            _ => found.map(drop),
        };
        if let Err(error) = opened {
            let help = similar(path).map_or_else(String::new, |near| {
                format!("\n  help: did you mean `{near}`?")
            });
            output::complain(&format!("error: {}: {error}{help}", path.display()));
            return Err(Exit::Usage);
        }
    }
    Ok(())
}

/// Reads a text file that is not too large. Of a key no line is shown: it is refused before anybody looks for a mistake in it.
pub(super) fn read(path: &Path) -> Result<String, String> {
    const PEM: &str = "-----BEGIN ";
    let text = read_any(path)?;
    if text.trim_start().starts_with(PEM) {
        return Err(
            "begins as a certificate or a key does, which no scenario and no list of values is"
                .to_owned(),
        );
    }
    Ok(text)
}

fn read_any(path: &Path) -> Result<String, String> {
    let cannot = |error: io::Error| format!("cannot be read: {error}");
    let file = File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(format!(
            "is larger than {FILE_BYTES_MAX} bytes, which no scenario is"
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        format!(
            "is not text in UTF-8: byte {} does not belong to a character",
            error.utf8_error().valid_up_to()
        )
    })
}

/// The files that the paths stand for, sorted below each directory, each once.
fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Exit> {
    let default = [PathBuf::from(DEFAULT)];
    let given = if paths.is_empty() {
        &default[..]
    } else {
        paths
    };
    let mut files = Vec::new();
    for path in given {
        let metadata = fs::metadata(path).map_err(|error| {
            let hint = if paths.is_empty() {
                ": name the files or directories to play".to_owned()
            } else {
                let help = similar(path)
                    .map(|near| format!("did you mean `{near}`?"))
                    .or_else(|| super::init::copied(path))
                    .unwrap_or_else(|| {
                        "name files or directories of scenarios; `certdrill init` makes a first one"
                            .to_owned()
                    });
                format!("\n  help: {help}")
            };
            output::complain(&format!("error: {}: {error}{hint}", path.display()));
            Exit::Usage
        })?;
        if metadata.is_dir() {
            search(path, 0, &mut files).map_err(|(path, error)| {
                output::complain(&format!("error: {}: {error}", path.display()));
                Exit::Usage
            })?;
        } else {
            files.push(path.clone());
        }
    }
    let mut once = Vec::with_capacity(files.len());
    for file in files {
        if !once.contains(&file) {
            once.push(file);
        }
    }
    Ok(once)
}

/// A file that one may have meant: beside the path, or of that name below `scenarios/`.
fn similar(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_string_lossy().into_owned();
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut candidates: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| folder.join(entry.file_name()))
        .collect();
    // What cannot be searched holds nothing that is meant.
    let _ = search(Path::new(DEFAULT), 0, &mut candidates);
    let bare = wanted.trim_end_matches(".yaml");
    let stem = |path: &PathBuf| {
        path.file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
    };
    let stems: Vec<String> = candidates.iter().filter_map(stem).collect();
    let near = scenario::nearest(
        bare,
        stems
            .iter()
            .map(String::as_str)
            .filter(|stem| may_be_meant(bare, stem)),
    )?;
    let found = candidates
        .iter()
        .find(|one| stem(one).as_deref() == Some(near))?;
    Some(
        found
            .strip_prefix(".")
            .unwrap_or(found)
            .display()
            .to_string(),
    )
}

/// Short names are near to everything, and another number is another thing: of an issue, of a version.
fn may_be_meant(wanted: &str, there: &str) -> bool {
    const LETTERS_MIN: usize = 3;
    let digits = |text: &str| -> String { text.chars().filter(char::is_ascii_digit).collect() };
    let shorter = wanted.chars().count().min(there.chars().count());
    shorter >= LETTERS_MIN && strsim::damerau_levenshtein(&digits(wanted), &digits(there)) <= 1
}

/// Adds the scenario files below a directory. Symlinks to directories are not followed: they may lead
/// round in a circle.
fn search(
    folder: &Path,
    depth: usize,
    files: &mut Vec<PathBuf>,
) -> Result<(), (PathBuf, io::Error)> {
    let told = |error| (folder.to_owned(), error);
    let mut entries = fs::read_dir(folder)
        .and_then(Iterator::collect::<io::Result<Vec<_>>>)
        .map_err(told)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type().map_err(told)?.is_dir() {
            if depth >= DEPTH_MAX {
                let reason = format!("directories are searched {DEPTH_MAX} levels deep");
                return Err((path, io::Error::other(reason)));
            }
            search(&path, depth + 1, files)?;
        } else if is_yaml(&path) && path.is_file() {
            if files.len() >= FILES_MAX {
                let reason = format!("more than {FILES_MAX} files");
                return Err((path, io::Error::other(reason)));
            }
            files.push(path);
        }
    }
    Ok(())
}

fn is_yaml(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "yaml" || extension == "yml")
}
