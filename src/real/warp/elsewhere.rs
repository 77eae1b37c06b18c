//! Platforms on which clocks cannot be shifted: everything says so.

#![expect(
    clippy::disallowed_methods,
    reason = "the machine's time is what is asked for"
)]

use std::collections::BTreeSet;
use std::process::{Child, Command};

use super::{Ending, Findings, Offsets, Trace, WarpError, When};
use crate::time::Timestamp;

pub(super) fn spawn(_: &mut Command, _: Offsets) -> Result<Child, WarpError> {
    Err(WarpError::Platform)
}

pub(super) fn run(_: &mut Command, _: &When, _: Trace) -> Result<(Ending, Findings), WarpError> {
    Err(WarpError::Platform)
}

pub(super) fn die_by(signal: i32) -> ! {
    std::process::exit(128 + signal)
}

pub(super) fn set_all(
    _: &[u32],
    _: &(dyn Fn(u32, Offsets) -> Offsets + Sync),
) -> Result<(), WarpError> {
    Err(WarpError::Platform)
}

pub(super) fn move_listed(
    _: &mut (dyn FnMut(&BTreeSet<u32>) -> Result<Vec<u32>, WarpError> + Send),
    _: &(dyn Fn(u32, Option<Offsets>) -> Option<Offsets> + Sync),
) -> Result<usize, WarpError> {
    Err(WarpError::Platform)
}

pub(super) fn is_warped(_: u32) -> Result<Option<bool>, WarpError> {
    Err(WarpError::Platform)
}

pub(super) fn check(_: Offsets) -> Result<(), WarpError> {
    Err(WarpError::Platform)
}

pub(super) fn at_next_program(
    _: u32,
    _: &mut Command,
    _: &When,
) -> Result<std::process::ExitStatus, WarpError> {
    Err(WarpError::Platform)
}

pub(super) fn show(_: u32) -> Result<Option<Offsets>, WarpError> {
    Err(WarpError::Platform)
}

pub(super) fn machine_time() -> Timestamp {
    Timestamp::now()
}
