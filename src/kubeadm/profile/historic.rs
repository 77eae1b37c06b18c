//! What is known of 1.10 to 1.14, from source and issues, without a recorded run.
//!
//! The incidents of those years need a few commands and components of them. Everything else is refused, where a scenario is
//! read ([`crate::scenario`]) or where a command is run ([`crate::kubeadm::historic`]).

use super::{Behaviour, Rule};
use crate::kubeadm::Version;

/// What a historic version is marked with.
pub const MARK: &str = "from source and issues, no recorded run";

/// What to do where a historic version is not known.
pub const HELP: &str = "docs/limits.md tells what is known of 1.10 to 1.14; versions from v1.15.0 on have recorded runs";

/// What every run of a historic version says once.
#[must_use]
pub fn notice(version: Version) -> Option<String> {
    version
        .is_historic()
        .then(|| format!("{version} is a historic version: {MARK}"))
}

/// A rule whose boundaries were read in the source of both neighbours.
const fn rule<T>(from: u16, until: u16, value: T, evidence: &'static str) -> Rule<T> {
    Rule {
        from: Version::new(from, 0),
        until: Some(Version::new(until, 0)),
        value,
        evidence,
        not_checked_after: None,
    }
}

/// The commands above `renew`; none where there is no renewal.
pub static RENEW: Behaviour<&[&str]> = Behaviour {
    name: "where renewal is in the command line",
    rules: &[
        rule(
            13,
            15,
            &["alpha", "certs"],
            "K/cmd/alpha/certs.go of 1.13.12 and 1.14.10",
        ),
        rule(
            12,
            13,
            &["alpha", "phase", "certs"],
            "K/cmd/phases/certs.go and certs/renew.go of 1.12.5",
        ),
        rule(10, 12, &[], "no renewal in K of 1.10.5 and 1.11.10"),
    ],
};

/// `alpha phase certs NAME` looks at a certificate that is there, and makes one that is not.
pub static CERTIFICATE_PHASES: Behaviour<bool> = Behaviour {
    name: "alpha phase certs",
    rules: &[
        rule(11, 15, false, "not looked at"),
        rule(
            10,
            11,
            true,
            "K/cmd/phases/certs.go and K/phases/certs/certs.go of 1.10.5",
        ),
    ],
};

/// `alpha phase kubeconfig NAME` makes a kubeconfig that is not there.
pub static CONFIG_PHASES: Behaviour<bool> = Behaviour {
    name: "alpha phase kubeconfig",
    rules: &[
        rule(13, 15, false, "not looked at"),
        rule(
            12,
            13,
            true,
            "K/cmd/phases/kubeconfig.go and K/phases/kubeconfig/kubeconfig.go of 1.12.5",
        ),
        rule(10, 12, false, "not looked at"),
    ],
};

/// What kubeadm prints about commands that it does not have.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// Groups that answer a command they do not have with their help and exit code 0, so `check-expiration`.
    pub groups: &'static [(&'static [&'static str], &'static str)],
    /// The usage of `renew`, after the name of a certificate that it does not know.
    pub renew: &'static str,
}

/// See [`Words`]; `None` where they were not looked at.
pub static WORDS: Behaviour<Option<Words>> = Behaviour {
    name: "words about commands that came later",
    rules: &[
        rule(
            14,
            15,
            Some(Words {
                groups: &[(&["alpha", "certs"], include_str!("historic/certs-1.14.txt"))],
                renew: include_str!("historic/renew-1.14.txt"),
            }),
            "a kubeadm built from the sources of 1.14.10",
        ),
        rule(13, 14, None, "not looked at"),
        rule(
            12,
            13,
            Some(Words {
                groups: &[
                    (
                        &["alpha", "phase", "certs"],
                        include_str!("historic/phase-certs-1.12.txt"),
                    ),
                    (&["alpha", "certs"], include_str!("historic/alpha-1.12.txt")),
                ],
                renew: include_str!("historic/renew-1.12.txt"),
            }),
            "a kubeadm built from the sources of 1.12.5",
        ),
        rule(10, 12, None, "not looked at"),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_covers_every_historic_version() {
        for minor in 10..15 {
            let version = Version::new(minor, 5);
            assert!(version.is_historic());
            assert!(RENEW.rule(version).from <= version);
            assert!(CERTIFICATE_PHASES.rule(version).from <= version);
            assert!(CONFIG_PHASES.rule(version).from <= version);
            assert!(WORDS.rule(version).from <= version);
        }
        assert!(!Version::new(9, 9).is_historic());
        assert!(!Version::OLDEST.is_historic());
        assert_eq!(notice(Version::OLDEST), None);
    }

    #[test]
    fn renewal_came_with_1_12_and_moved_with_1_13() {
        let line = |minor| RENEW.at(Version::new(minor, 1)).join(" ");
        assert_eq!(line(10), "");
        assert_eq!(line(11), "");
        assert_eq!(line(12), "alpha phase certs");
        assert_eq!(line(13), "alpha certs");
        assert_eq!(line(14), "alpha certs");
    }
}
