//! `certdrill schema`: the JSON Schema of the scenario format.

use super::{Exit, Output};

/// Prints the schema.
pub(super) fn run(output: &mut Output) -> Exit {
    output.text(&crate::scenario::schema());
    Exit::Success
}
