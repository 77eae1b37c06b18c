//! Moving everything that lives on a node.

#![expect(
    clippy::disallowed_methods,
    reason = "processes are listed in /proc"
)]

use super::clock_file::ClockFile;
use super::{Offsets, WarpError, set_each, show};
use crate::time::SignedDuration;

/// How often the list of processes is made anew because one of them ended.
const LISTS_MAX: u32 = 10;

/// How a node is moved.
#[derive(Debug, Clone, Default)]
pub struct Move {
    /// How far its wall clocks go.
    pub by: SignedDuration,
    /// The clocks that timers run on go as far.
    pub timers: bool,
    /// Names (as the kernel keeps them, at most 15 characters) of processes whose timers stay.
    pub wall_only: Vec<String>,
    /// Names of processes that are moved although nothing started them warped: they get the node's offset.
    pub also: Vec<String>,
}

/// Moves every warped process that `/proc` shows, all at once, and the clock file with them. Gives their number.
///
/// Processes that somebody else traces (`certdrill warp --follow`) and those that were never warped stay where they
/// are.
///
/// # Errors
/// When a process cannot be moved; then none was, and the file is as before.
pub fn move_node(clock: &ClockFile, how: &Move) -> Result<usize, WarpError> {
    let mut file = clock.alone()?;
    let wall = file.wall().saturating_add(how.by);
    for _ in 1..LISTS_MAX {
        match move_listed(how, wall) {
            Err(WarpError::NoProcess { .. } | WarpError::NoVdso { .. }) => {}
            Ok(count) => {
                file.set(wall)?;
                return Ok(count);
            }
            Err(error) => return Err(error),
        }
    }
    let count = move_listed(how, wall)?;
    file.set(wall)?;
    Ok(count)
}

fn move_listed(how: &Move, wall: SignedDuration) -> Result<usize, WarpError> {
    let (mut pids, mut wall_only, mut also) = (Vec::new(), Vec::new(), Vec::new());
    for entry in std::fs::read_dir("/proc").map_err(|_| WarpError::Proc)? {
        let Some(pid) = entry
            .ok()
            .and_then(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        else {
            continue;
        };
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let name = name.trim_end().to_owned();
        if how.also.contains(&name) {
            also.push(pid);
            pids.push(pid);
            continue;
        }
        // Kernel threads and what has just ended have no vDSO.
        if !matches!(show(pid), Ok(Some(_))) || traced(pid) {
            continue;
        }
        if !how.timers || how.wall_only.contains(&name) {
            wall_only.push(pid);
        }
        pids.push(pid);
    }
    set_each(&pids, |pid, before| {
        if also.contains(&pid) {
            return Offsets { wall, ..before };
        }
        Offsets {
            wall: before.wall.saturating_add(how.by),
            timers: if wall_only.contains(&pid) {
                before.timers
            } else {
                before.timers.saturating_add(how.by)
            },
            still: before.still,
        }
    })?;
    Ok(pids.len())
}

fn traced(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/status"))
        .unwrap_or_default()
        .lines()
        .any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
}
