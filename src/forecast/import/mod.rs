//! Import: a scenario from what people paste into an issue.
//!
//! `lines` understands lines, `clock` finds the instant at which they are all true, `requested` what brings requests about, `write` makes
//! a scenario of them, and `trial` plays it: what does not come out as it was pasted is kept as a comment.
//! What is not understood is kept as a comment, too, and what had to be assumed is said.

mod clock;
mod lines;
mod openssl;
mod requested;
mod requests;
mod structured;
mod trial;
mod write;

use requests::{Columns, Request};
use trial::Trial;

use crate::kubeadm::Version;
use crate::time::Timestamp;

/// More lines than this are no paste.
pub const BYTES_MAX: usize = 4 << 20;
/// Comments of unknown lines that a scenario carries.
const UNKNOWN_MAX: usize = 200;

/// What is known besides the paste.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// Version of kubeadm.
    pub version: Option<Version>,
    /// When the output was made.
    pub at: Option<Timestamp>,
    /// `metadata.name`.
    pub name: Option<String>,
}

/// Why nothing can be made of a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Nothing in it is understood.
    #[error(
        "nothing in this text is a table of kubeadm certs check-expiration, its JSON or YAML, a certificate as openssl \
         shows it, or a table of kubectl get csr"
    )]
    Nothing,
    /// There are certificates, and nothing says whose.
    #[error(
        "{0} of the certificates that openssl shows here could be of any file: put a line with its path before each, such as \
         /etc/kubernetes/pki/etcd/server.crt"
    )]
    Nameless(usize),
    /// Larger than any paste.
    #[error("this text is larger than 4 MiB")]
    Size,
    /// No instant can be found that a cluster could be at.
    #[error("these dates are outside what certdrill can play: {0}")]
    Dates(String),
}

/// A row of what was pasted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// kubeadm's name.
    pub name: String,
    /// End of validity; `None`: the file is missing.
    pub not_after: Option<Timestamp>,
    /// Begin of validity, where it is said.
    pub not_before: Option<Timestamp>,
    /// RESIDUAL TIME as printed.
    pub residual: Option<String>,
    /// Residual time in seconds, from JSON and YAML.
    pub residual_s: Option<i64>,
    /// Dates are whole minutes: seconds were not printed.
    pub minutes: bool,
}

/// Everything that was understood.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Paste {
    /// Certificates and CAs.
    pub rows: Vec<Row>,
    /// Requests of `kubectl get csr`.
    pub requests: Vec<Request>,
    /// How many more there were.
    pub requests_left_out: usize,
    /// Columns of that table, where its heading was pasted.
    pub request_columns: Option<Columns>,
    /// Nodes that requests name.
    pub nodes: Vec<String>,
    /// Lines that mean nothing here.
    pub unknown: Vec<String>,
    /// How many more there were.
    pub unknown_left_out: usize,
    /// The table has a column for the CA.
    pub ca_column: bool,
    /// There is a table of CAs.
    pub ca_table: bool,
    /// Certificates that openssl shows, and nothing says which files they are from.
    pub nameless: usize,
    /// `kubeadm alpha certs` was typed.
    pub alpha: bool,
    /// A CA signed elsewhere, by the EXTERNALLY MANAGED column.
    pub external: bool,
    /// A version that stands in the text.
    pub version: Option<Version>,
}

/// Makes a scenario of a text.
///
/// # Errors
/// See [`ImportError`].
pub fn import(text: &str, hints: &Hints) -> Result<String, ImportError> {
    if text.len() > BYTES_MAX {
        return Err(ImportError::Size);
    }
    let mut paste = Paste::default();
    let text = lines::colourless(text);
    let rest = structured::read(&text, &mut paste);
    let rest = openssl::read(&rest, &mut paste);
    lines::read(&rest, &mut paste);
    // The last word on a certificate counts: people paste before and after.
    let mut rows: Vec<Row> = Vec::new();
    for row in paste.rows.drain(..) {
        match rows.iter_mut().find(|known| known.name == row.name) {
            Some(known) => *known = row,
            None => rows.push(row),
        }
    }
    paste.rows = rows;
    if paste.rows.is_empty() && paste.requests.is_empty() && paste.nameless > 0 {
        return Err(ImportError::Nameless(paste.nameless));
    }
    if paste.rows.is_empty() && paste.requests.is_empty() {
        return Err(ImportError::Nothing);
    }
    let mut trial = Trial::default();
    loop {
        let yaml = write::scenario(&paste, hints, &trial)?;
        // Dates need no trial: the instant was chosen so that they agree.
        if paste.requests.is_empty() || !trial.learns_from(&yaml) {
            return Ok(yaml);
        }
    }
}

#[cfg(test)]
mod tests;
