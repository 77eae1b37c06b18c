//! What commands say to `--help`: the texts of the real kubeadm, recorded by `ci/record-help.py`.
//!
//! A version of which nothing was recorded speaks as the one before it, and about commands that that one did not
//! have, as the one after it.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::super::Version;

static TEXTS: &str = include_str!("help.txt");

/// A text, and the versions that speak so.
type Recorded = (Vec<Version>, &'static str);

/// The texts of each command, by its path, each with the versions that speak so. They are looked at with every command line.
static SECTIONS: LazyLock<HashMap<&str, Vec<Recorded>>> = LazyLock::new(|| {
    let texts = TEXTS.strip_suffix('\n').unwrap_or(TEXTS);
    texts
        .split("\n@@ ")
        .filter_map(|section| section.split_once("\n@@= "))
        .map(|(path, section)| {
            let texts = section.split("\n@@= ").filter_map(|text| {
                let (versions, text) = text.split_once('\n')?;
                let versions = versions.split(' ').filter_map(|word| word.parse().ok());
                Some((versions.collect(), text))
            });
            (path, texts.collect())
        })
        .collect()
});

/// The help of a command. The path begins with `kubeadm`.
pub(super) fn help(path: &str, version: Version) -> Option<String> {
    let Some(text) = variant(path, version) else {
        // Between two recorded versions a command came to `alpha certs`, and left it with the others.
        let later = path.replace("kubeadm alpha certs", "kubeadm certs");
        return (later != path)
            .then(|| help(&later, version))?
            .map(|text| text.replace("kubeadm certs", "kubeadm alpha certs"));
    };
    let shared = variant("@GLOBAL", version).unwrap_or_default();
    Some(format!("{}\n", text.replace("@GLOBAL", shared)))
}

/// The help from its usage on.
pub(super) fn usage(path: &str, version: Version) -> Option<String> {
    let text = help(path, version)?;
    let at = text.find("Usage:\n")?;
    Some(text[at..].to_owned())
}

/// The commands that a group lists, hidden ones left out.
pub(super) fn listed(path: &str, version: Version) -> impl Iterator<Item = &'static str> {
    let text = variant(path, version).unwrap_or_default();
    let (_, list) = text
        .split_once("\nAvailable Commands:\n")
        .unwrap_or_default();
    list.lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
}

/// The text of a command that fits a version best.
fn variant(path: &str, version: Version) -> Option<&'static str> {
    let mut before: Option<(Version, &str)> = None;
    let mut after: Option<(Version, &str)> = None;
    for (versions, text) in SECTIONS.get(path)? {
        for &recorded in versions {
            let same_minor = (recorded.major, recorded.minor) == (version.major, version.minor);
            if recorded <= version || same_minor {
                if before.is_none_or(|(best, _)| recorded > best) {
                    before = Some((recorded, text));
                }
            } else if after.is_none_or(|(best, _)| recorded < best) {
                after = Some((recorded, text));
            }
        }
    }
    before.or(after).map(|(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::super::super::profile::Profile;
    use super::super::cobra::Command;
    use super::super::tree;
    use super::*;

    #[test]
    fn every_command_of_every_version_has_a_text() {
        fn look(command: &Command, path: &str, version: Version, missing: &mut Vec<String>) {
            if !command.foreign && help(path, version).is_none() {
                missing.push(format!("{version} {path}"));
            }
            for child in &command.children {
                look(child, &format!("{path} {}", child.name), version, missing);
            }
        }
        let mut missing = Vec::new();
        for minor in 15..40 {
            let version = Version::new(minor, 3);
            let root = tree::root(&Profile::of(version));
            look(&root, "kubeadm", version, &mut missing);
        }
        assert_eq!(missing, Vec::<String>::new());
    }

    /// The flags of a usage.
    fn flags(text: &str) -> Vec<String> {
        let (_, list) = text.split_once("\nFlags:\n").unwrap_or_default();
        let mut names: Vec<String> = list
            .lines()
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_once("--")?.1.split(' ').next())
            .map(str::to_owned)
            .filter(|name| name != "help")
            .collect();
        names.sort();
        names
    }

    #[test]
    fn flags_are_those_that_help_lists() {
        fn look(command: &Command, path: &str, version: Version, wrong: &mut Vec<String>) {
            if command.children.is_empty() && !command.foreign && path != "kubeadm help" {
                let told = flags(&help(path, version).unwrap_or_default());
                let mut known: Vec<&str> = command.flags.iter().map(|flag| flag.name).collect();
                known.sort_unstable();
                if told != known {
                    wrong.push(format!("{version} {path}: {known:?}, not {told:?}"));
                }
            }
            for child in &command.children {
                look(child, &format!("{path} {}", child.name), version, wrong);
            }
        }
        let mut wrong = Vec::new();
        for version in [
            "v1.15.12", "v1.16.15", "v1.17.17", "v1.28.15", "v1.34.4", "v1.35.4", "v1.36.3",
            "v1.37.2",
        ] {
            let version: Version = version.parse().unwrap();
            let root = tree::root(&Profile::of(version));
            look(&root, "kubeadm", version, &mut wrong);
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn a_version_between_two_speaks_as_the_one_before() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        let text = |at: &str| help("kubeadm init phase", version(at)).unwrap();
        assert_eq!(text("v1.30.1"), text("v1.28.15"));
        assert_ne!(text("v1.30.1"), text("v1.34.4"));
        // The recorded patch release speaks for its minor release.
        assert_eq!(text("v1.28.0"), text("v1.28.15"));
        assert!(help("kubeadm certs renew super-admin.conf", version("v1.29.0")).is_some());
        assert!(help("kubeadm nosuch", version("v1.36.3")).is_none());
    }
}
