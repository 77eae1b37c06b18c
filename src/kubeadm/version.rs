use std::fmt;
use std::str::FromStr;

/// A Kubernetes version, `v1.36.3`. Pre-release and build parts are not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// `1` in `v1.36.3`.
    pub major: u16,
    /// `36` in `v1.36.3`.
    pub minor: u16,
    /// `3` in `v1.36.3`.
    pub patch: u16,
}

/// A text that is not a Kubernetes version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a Kubernetes version: write it as v1.36.3")]
pub struct VersionError(pub String);

impl Version {
    /// The oldest version whose behaviour is known from recorded runs.
    pub const OLDEST: Self = Self::new(15, 0);

    /// The oldest version of the historic profile, see [`profile::historic`](super::profile::historic).
    pub const OLDEST_HISTORIC: Self = Self::new(10, 0);

    /// `v1.minor.patch`.
    #[must_use]
    pub const fn new(minor: u16, patch: u16) -> Self {
        Self {
            major: 1,
            minor,
            patch,
        }
    }

    /// Whether what is known of the version is from source and issues, without a recorded run.
    #[must_use]
    pub fn is_historic(self) -> bool {
        (Self::OLDEST_HISTORIC..Self::OLDEST).contains(&self)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || VersionError(text.to_owned());
        let body = text.strip_prefix('v').unwrap_or(text);
        let mut numbers = body.split('.').map(|part| {
            let canonical = part == "0" || !part.starts_with('0');
            (canonical && part.bytes().all(|b| b.is_ascii_digit()))
                .then(|| part.parse::<u16>().ok())
                .flatten()
        });
        let mut next = || numbers.next().flatten().ok_or_else(error);
        let version = Self {
            major: next()?,
            minor: next()?,
            patch: next()?,
        };
        match numbers.next() {
            None => Ok(version),
            Some(_) => Err(error()),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.major, self.minor, self.patch)
    }
}
