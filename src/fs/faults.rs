//! What is wrong with a simulated disk: it is full, read-only, holds a protected file, or its writer is killed.

use std::collections::BTreeMap;

use super::{Errno, FsError};

/// What is wrong with the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// Bytes that can still be written before `ENOSPC`; `None` for a disk without end. What an overwritten file
    /// gives back is not counted: whoever sets this knows the blocks of the disk.
    pub bytes_left: Option<u64>,
    /// The whole tree refuses writes with `EROFS`.
    pub read_only: bool,
    /// Paths whose opening for writing fails (an immutable file gives `EPERM`).
    pub unwritable: BTreeMap<String, Errno>,
    /// Number of further writes that succeed before the writing process is killed; a killed process
    /// writes nothing more.
    pub writes_until_kill: Option<u32>,
}

impl Faults {
    /// Whether a path may be written now.
    pub(super) fn refuse(&self, op: &'static str, path: &str) -> Result<(), FsError> {
        if self.writes_until_kill == Some(0) || self.read_only {
            return Err(FsError::new(op, path, Errno::ReadOnly));
        }
        if let Some(&errno) = self.unwritable.get(path) {
            return Err(FsError::new(op, path, errno));
        }
        Ok(())
    }

    /// How many of `wanted` bytes still fit.
    pub(super) fn take_space(&mut self, wanted: usize) -> usize {
        match &mut self.bytes_left {
            None => wanted,
            Some(left) => {
                let taken = (*left).min(wanted as u64);
                *left -= taken;
                taken as usize
            }
        }
    }
}
