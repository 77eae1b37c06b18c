//! Moving everything that lives on a node.

#![expect(clippy::disallowed_methods, reason = "processes are listed in /proc")]

use std::collections::BTreeSet;

use super::clock_file::ClockFile;
use super::{Offsets, WarpError, machine_time, platform};
use crate::time::{SignedDuration, Timestamp};

/// Where a node's wall clocks go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Far {
    /// So far from where they are.
    By(SignedDuration),
    /// Until its clock file says that it is this instant.
    To(Timestamp),
}

/// How a node is moved.
#[derive(Debug, Clone)]
pub struct Move {
    /// How far its wall clocks go.
    pub how_far: Far,
    /// The clocks that timers run on go as far.
    pub timers: bool,
    /// Names (as the kernel keeps them, at most 15 characters) of processes whose timers stay.
    pub wall_only: Vec<String>,
    /// Names of processes that are moved although nothing started them warped: they get the node's offset.
    pub also: Vec<String>,
}

/// What was moved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Moved {
    /// How many processes.
    pub processes: usize,
    /// Processes that stayed where they were because something traces them: `certdrill warp --follow`, strace. What
    /// the former executes from now on is at the node's new time.
    pub traced: BTreeSet<u32>,
}

/// Moves every warped process that `/proc` shows, all at once, and the clock file with them.
///
/// While the first one changes, every thread of all of them is stopped and none is left to be found: so a process that
/// a moved one forks is moved as well. Those that were never warped stay where they are. It is no error that a process
/// ends meanwhile.
///
/// # Errors
/// When a process cannot be moved; then none was, and the file is as before.
pub fn move_node(clock: &ClockFile, how: &Move) -> Result<Moved, WarpError> {
    let mut file = clock.alone()?;
    let before = file.wall();
    let by = match how.how_far {
        Far::By(by) => by,
        Far::To(instant) => instant
            .duration_since(machine_time())
            .saturating_sub(before),
    };
    // A clock file holds milliseconds, and what is running is to agree with what starts.
    let by = SignedDuration::from_millis(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
    let wall = before.saturating_add(by);
    // First, because it may fail; nobody reads it before the lock is given back.
    file.set(wall)?;
    let moved = move_listed(how, by, wall);
    if moved.is_err() {
        // What could be written is written back.
        let _ = file.set(before);
    }
    moved
}

fn move_listed(how: &Move, by: SignedDuration, wall: SignedDuration) -> Result<Moved, WarpError> {
    // Refused here also where nobody is to be moved: what is started next could not be.
    platform::check(Offsets::wall(wall))?;
    let mut traced = BTreeSet::new();
    let processes = platform::move_listed(
        &mut |held: &BTreeSet<u32>| {
            let mut found = Vec::new();
            for pid in pids()? {
                if held.contains(&pid) {
                    continue;
                }
                match platform::is_warped(pid)? {
                    Some(true) => {}
                    Some(false) if named(pid, &how.also) => {}
                    Some(false) | None => continue,
                }
                if is_traced(pid) {
                    traced.insert(pid);
                } else {
                    found.push((forked_only(pid), pid));
                }
            }
            // Who waits until its child executes something does not stop before: those that wait come first.
            found.sort_unstable();
            Ok(found.into_iter().map(|(_, pid)| pid).collect())
        },
        &|pid, before| match before {
            Some(before) if !named(pid, &how.also) => Some(Offsets {
                wall: before.wall.saturating_add(by),
                timers: if how.timers && !named(pid, &how.wall_only) {
                    before.timers.saturating_add(by)
                } else {
                    before.timers
                },
                still: before.still,
            }),
            // It executed something since it was found.
            None if !named(pid, &how.also) => None,
            before => Some(Offsets {
                wall,
                ..before.unwrap_or_default()
            }),
        },
    )?;
    Ok(Moved { processes, traced })
}

fn pids() -> Result<Vec<u32>, WarpError> {
    let entries = std::fs::read_dir("/proc").map_err(|_| WarpError::Proc)?;
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect())
}

fn named(pid: u32, names: &[String]) -> bool {
    !names.is_empty()
        && std::fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|name| names.iter().any(|wanted| wanted == name.trim_end()))
}

fn is_traced(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/status"))
        .unwrap_or_default()
        .lines()
        .any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
}

/// Whether it has executed nothing since it was forked.
fn forked_only(pid: u32) -> bool {
    /// `PF_FORKNOEXEC` in the flags, which are the seventh field after the name.
    const FORKED_ONLY: u32 = 0x40;
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| {
            let flags = stat.rsplit_once(") ")?.1.split(' ').nth(6)?;
            Some(flags.parse::<u32>().ok()? & FORKED_ONLY != 0)
        })
        .unwrap_or(false)
}
