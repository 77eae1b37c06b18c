//! A failed step of kubeadm: its message, wrapped as Go wraps errors, and how the process ends.

use crate::fs::{Errno, FsError};

/// Why a command fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The whole message.
    pub text: String,
    /// The errno at the root, where the root is a file operation.
    pub errno: Option<Errno>,
    /// How many times the root was wrapped.
    pub depth: usize,
    /// How the process ends.
    pub kind: FailureKind,
}

/// How a failed process ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureKind {
    /// An ordinary error.
    Error,
    /// The configuration was refused (exit status 3 before the statuses were unified).
    Validation,
    /// The command line was refused; old versions print the usage of this command.
    Usage(Vec<String>),
    /// The process crashes (exit status 2).
    Panic,
}

/// Result of a step.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// An error with a message.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            errno: None,
            depth: 0,
            kind: FailureKind::Error,
        }
    }

    /// A nil pointer that kubeadm follows.
    #[must_use]
    pub fn nil_pointer() -> Self {
        Self {
            kind: FailureKind::Panic,
            ..Self::new("runtime error: invalid memory address or nil pointer dereference")
        }
    }

    /// The error with words in front, as `errors.Wrap`.
    #[must_use]
    pub fn wrap(mut self, text: impl AsRef<str>) -> Self {
        if self.kind != FailureKind::Panic {
            self.text = format!("{}: {}", text.as_ref(), self.text);
            self.depth += 1;
        }
        self
    }

    /// Whether the root is a missing file, as `os.IsNotExist` of the cause.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.errno == Some(Errno::NotFound)
    }
}

impl From<FsError> for Failure {
    fn from(error: FsError) -> Self {
        Self {
            errno: Some(error.errno),
            ..Self::new(error.to_string())
        }
    }
}

/// Adds [`Failure::wrap`] to results.
pub trait Context<T> {
    /// Puts words in front of an error.
    fn context(self, text: impl AsRef<str>) -> Result<T>;
}

impl<T, E: Into<Failure>> Context<T> for std::result::Result<T, E> {
    fn context(self, text: impl AsRef<str>) -> Result<T> {
        self.map_err(|error| error.into().wrap(text))
    }
}
