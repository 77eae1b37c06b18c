//! Expectations: whether a world is as a scenario says.

mod blind;
mod certificates;
mod edges;
pub mod explain;
mod facts;
pub mod invariants;
mod processes;
mod requests;
mod select;

use std::collections::BTreeMap;

pub use blind::blind;
pub use certificates::certificate_path;
pub use select::{select, targets};

use crate::cluster::World;
use crate::run::trace::Entry;
use crate::scenario::{Component, Matcher};

/// What an expectation is compared with besides the world itself.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    /// Processes at the beginning of the last step that restarts something.
    pub processes: BTreeMap<(usize, Component), Option<u64>>,
    /// Serial numbers at the beginning of the last step that runs kubeadm, by node and path.
    pub serials: BTreeMap<(usize, String), String>,
}

/// How an expectation stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whether it holds.
    pub holds: bool,
    /// What it is about.
    pub subject: String,
    /// What was expected, in words.
    pub expected: String,
    /// What is seen, in words.
    pub seen: String,
    /// Record that brought it about.
    pub cause: Option<u64>,
}

/// Looks at a world. Where several nodes are named all must match; the first that does not is reported.
pub fn look(world: &mut World, matcher: &Matcher, marks: &Marks) -> Seen {
    let mut seen = match matcher {
        Matcher::Edge { .. } | Matcher::AllEdges { .. } => edges::look(world, matcher),
        _ => facts::look(world, matcher, marks),
    };
    if !seen.holds && seen.cause.is_none() {
        seen.cause = last_event(world, &seen.subject);
    }
    seen
}

/// The last thing that happened to a subject.
fn last_event(world: &World, subject: &str) -> Option<u64> {
    world
        .records
        .iter()
        .rev()
        .find_map(|record| match &record.entry {
            Entry::Event(event) if event.subject == subject => Some(record.seq),
            _ => None,
        })
}

/// The first that does not hold, else the last.
fn all(seen: Vec<Seen>, nothing: &str) -> Seen {
    let fallback = Seen {
        holds: false,
        subject: nothing.to_owned(),
        expected: format!("{nothing} to exist"),
        seen: "no node, process or edge matches".to_owned(),
        cause: None,
    };
    let failing = seen.iter().find(|one| !one.holds).cloned();
    failing
        .or_else(|| seen.into_iter().last())
        .unwrap_or(fallback)
}
