//! Version differences as data: behaviours, each with the versions that have it and the evidence.
//!
//! Any version from 1.15 on is composed from these facts, never from a "nearest" version.

pub mod components;
pub mod kubelet;
pub mod upgrade;

use super::Version;

/// One behaviour that differs between versions.
#[derive(Debug)]
pub struct Behaviour<T: 'static> {
    /// What differs, in a few words.
    pub name: &'static str,
    /// The first rule whose range holds a version decides.
    pub rules: &'static [Rule<T>],
}

/// What a range of versions does.
#[derive(Debug)]
pub struct Rule<T: 'static> {
    /// First version of the range.
    pub from: Version,
    /// First version after the range; `None` for "and later".
    pub until: Option<Version>,
    /// What these versions do.
    pub value: T,
    /// Where this is known from: a recorded run, a source file, an issue.
    pub evidence: &'static str,
    /// Last version before `from` that is known to behave otherwise, where versions in between
    /// were never looked at.
    pub not_checked_after: Option<Version>,
}

impl<T> Behaviour<T> {
    /// What a version does.
    ///
    /// # Panics
    /// Never for versions from 1.15 on: a test holds every table to covering them.
    #[must_use]
    pub fn at(&self, version: Version) -> &T {
        &self.rule(version).value
    }

    /// The rule that decides for a version: the first that holds it, else the oldest.
    ///
    /// # Panics
    /// When the table is empty.
    #[must_use]
    pub fn rule(&self, version: Version) -> &Rule<T> {
        self.rules
            .iter()
            .find(|rule| rule.holds(version))
            .or_else(|| self.rules.last())
            .expect("a behaviour has at least one rule")
    }

    /// A sentence when it is not known which side of a boundary a version is on.
    #[must_use]
    pub fn uncertainty(&self, version: Version) -> Option<String> {
        self.rules.iter().find_map(|rule| {
            let known = rule.not_checked_after?;
            (version > known && version < rule.from).then(|| {
                format!(
                    "{}: it changed after {known} and by {}; which side {version} is on was not checked",
                    self.name, rule.from
                )
            })
        })
    }
}

impl<T> Rule<T> {
    fn holds(&self, version: Version) -> bool {
        self.from <= version && self.until.is_none_or(|until| version < until)
    }
}
