//! Which runs are wanted: `--include`, `--exclude`.

use std::path::PathBuf;

use super::files::ScenarioFile;
use super::{Exit, files, output};
use crate::scenario::{Scenario, Values};

/// Paths and filters, shared by the sub-commands that select runs.
#[derive(Debug, clap::Args)]
pub(super) struct Selection {
    /// Scenario files, and directories that are searched for *.yaml and *.yml [default: scenarios].
    #[arg(env = "CERTDRILL_PATHS", value_delimiter = ':')]
    paths: Vec<PathBuf>,
    /// Only runs with this name, id or tag; `*` stands for any characters. Can be repeated.
    #[arg(
        long,
        value_name = "PATTERN",
        env = "CERTDRILL_INCLUDE",
        value_delimiter = ';'
    )]
    include: Vec<String>,
    /// No runs with this name, id or tag. Can be repeated.
    #[arg(
        long,
        value_name = "PATTERN",
        env = "CERTDRILL_EXCLUDE",
        value_delimiter = ';'
    )]
    exclude: Vec<String>,
    /// Play the matrix with other values: `--set version=v1.34.4,v1.36.3`. Can be repeated.
    #[arg(long, value_name = "KEY=VALUES", env = "CERTDRILL_SET", value_delimiter = ';', value_parser = setting)]
    set: Vec<(String, Vec<String>)>,
    /// Other values for the matrix from a YAML file: a mapping of keys to lists. `--set` wins.
    #[arg(long, value_name = "FILE", env = "CERTDRILL_VALUES")]
    values: Option<PathBuf>,
    /// Only every Nth run, from the Ith on: `2/8`. `auto/8` takes the index of a Kubernetes Indexed Job
    /// (JOB_COMPLETION_INDEX) or of a GitLab parallel job (CI_NODE_INDEX).
    #[arg(long, value_name = "I/N", env = "CERTDRILL_SHARD")]
    shard: Option<Shard>,
}

/// `key=value,value`.
fn setting(text: &str) -> Result<(String, Vec<String>), String> {
    let (key, values) = text
        .split_once('=')
        .ok_or("write KEY=VALUE, for example version=v1.36.3")?;
    let values = values.split(',').map(|one| one.trim().to_owned()).collect();
    Ok((key.trim().to_owned(), values))
}

/// A share of the runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shard {
    /// From 1.
    index: usize,
    count: usize,
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (index, count) = text
            .split_once('/')
            .ok_or("write I/N, for example 1/4, or auto/4")?;
        let count = count
            .parse()
            .ok()
            .filter(|&count| count > 0)
            .ok_or_else(|| format!("`{count}` is no number of shares"))?;
        let index = if index == "auto" {
            automatic_index()?
        } else {
            index
                .parse()
                .map_err(|_| format!("`{index}` is no number of a share"))?
        };
        if index == 0 || index > count {
            return Err(format!("share {index} is not between 1 and {count}"));
        }
        Ok(Self { index, count })
    }
}

/// The index that the environment gives, from 1.
fn automatic_index() -> Result<usize, String> {
    let number = |name: &str| {
        std::env::var(name).ok().map(|text| {
            text.parse::<usize>()
                .map_err(|_| format!("{name} is `{text}`, which is no number"))
        })
    };
    // Kubernetes counts from 0, GitLab from 1.
    match (number("JOB_COMPLETION_INDEX"), number("CI_NODE_INDEX")) {
        (Some(index), _) => index.map(|index| index + 1),
        (None, Some(index)) => index,
        (None, None) => Err("neither JOB_COMPLETION_INDEX nor CI_NODE_INDEX is set".to_owned()),
    }
}

/// A run that was selected, and its file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Picked<'f> {
    pub(super) file: &'f ScenarioFile,
    pub(super) scenario: &'f Scenario,
}

impl Selection {
    /// One file, and which of its runs.
    pub(super) fn of(path: PathBuf, include: Option<String>) -> Self {
        Self {
            set: Vec::new(),
            values: None,
            shard: None,
            paths: vec![path],
            include: include.into_iter().collect(),
            exclude: Vec::new(),
        }
    }

    /// Reads the files.
    pub(super) fn load(&self) -> Result<Vec<ScenarioFile>, Exit> {
        let values = self.values()?;
        let files = files::load(&self.paths, &values)?;
        let keys = || {
            files
                .iter()
                .flat_map(|file| &file.scenarios)
                .flat_map(|scenario| scenario.variant.keys())
                .map(String::as_str)
        };
        for key in values.keys() {
            if !keys().any(|known| known == key) {
                let help = crate::scenario::nearest(key, keys()).map_or_else(
                    || "`certdrill list` shows the runs with the keys of their matrix".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                output::complain(&format!(
                    "error: no scenario here has `{key}` in its matrix\n  help: {help}"
                ));
                return Err(Exit::Usage);
            }
        }
        Ok(files)
    }

    /// What is given for keys of matrices.
    fn values(&self) -> Result<Values, Exit> {
        let mut values = Values::new();
        if let Some(path) = &self.values {
            let name = path.display().to_string();
            let text = files::read(path).map_err(|reason| {
                output::complain(&format!("error: {name} {reason}"));
                Exit::Usage
            })?;
            values = crate::scenario::values(&name, &text).map_err(|errors| {
                let rendered = errors.render(output::stderr_style(), output::width());
                output::complain(&rendered);
                Exit::Invalid
            })?;
        }
        values.extend(self.set.iter().cloned());
        Ok(values)
    }

    /// The runs that the filters leave, in the order of files and variants.
    pub(super) fn pick<'f>(&self, files: &'f [ScenarioFile]) -> Result<Vec<Picked<'f>>, Exit> {
        let all: Vec<Picked<'f>> = files
            .iter()
            .flat_map(|file| {
                file.scenarios
                    .iter()
                    .map(move |scenario| Picked { file, scenario })
            })
            .collect();
        let wanted = |picked: &Picked<'_>| {
            let any = |patterns: &[String]| {
                patterns
                    .iter()
                    .any(|pattern| matches(picked.scenario, pattern))
            };
            (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
        };
        let picked: Vec<_> = all.iter().copied().filter(wanted).collect();
        if picked.is_empty() {
            self.explain(&all);
            return Err(Exit::NothingSelected);
        }
        let Some(shard) = self.shard else {
            return Ok(picked);
        };
        let total = picked.len();
        let share: Vec<_> = picked
            .into_iter()
            .skip(shard.index - 1)
            .step_by(shard.count)
            .collect();
        if share.is_empty() {
            output::complain(&format!(
                "error: share {} of {} is empty: {total} runs are selected\n  help: use at most {total} shares",
                shard.index, shard.count
            ));
            return Err(Exit::NothingSelected);
        }
        Ok(share)
    }

    fn explain(&self, all: &[Picked<'_>]) {
        let mut text = match all.len() {
            0 => "error: there are no scenarios here".to_owned(),
            1 => "error: the filters leave none of 1 run".to_owned(),
            count => format!("error: the filters leave none of {count} runs"),
        };
        for pattern in &self.include {
            let names = all.iter().flat_map(|picked| {
                std::iter::once(picked.scenario.name.as_str())
                    .chain(picked.scenario.tags.iter().map(String::as_str))
            });
            if !all.iter().any(|picked| matches(picked.scenario, pattern))
                && let Some(near) = crate::scenario::nearest(pattern, names)
            {
                text.push_str(&format!(
                    "\n  help: nothing matches `{pattern}`; did you mean `{near}`?"
                ));
            }
        }
        output::complain(&text);
    }
}

/// Whether a run has a name, id or tag.
pub(super) fn matches(scenario: &Scenario, pattern: &str) -> bool {
    let tags = scenario.tags.iter().map(String::as_str);
    glob(pattern, &scenario.id())
        || glob(pattern, &scenario.name)
        || tags.into_iter().any(|tag| glob(pattern, tag))
}

/// Whether the whole text fits a pattern in which `*` stands for any characters.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn patterns_fit_whole_names() {
        for (pattern, text, fits) in [
            ("ha", "ha", true),
            ("ha", "ha-one", false),
            ("ha*", "ha-one", true),
            ("*one", "ha-one", true),
            ("*v1.16*", "a/version=v1.16.15", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("*", "", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }
}
