//! Directories for a while: only for their owner, and gone afterwards - at the end, after an error, on a
//! panic and on a signal.

#![expect(clippy::disallowed_methods, reason = "directories of the machine")]

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Directories that exist now.
static ALIVE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A directory with mode 0700 that is removed when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    /// Makes one where temporary files belong (`TMPDIR`).
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn new() -> io::Result<Self> {
        let prefix = format!("certdrill-{}-", std::process::id());
        // tempfile makes it with mode 0700.
        let dir = tempfile::Builder::new().prefix(&prefix).tempdir()?;
        if let Ok(mut alive) = ALIVE.lock() {
            alive.insert(dir.path().to_owned());
        }
        Ok(Self { dir })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Ok(mut alive) = ALIVE.lock() {
            alive.remove(self.dir.path());
        }
    }
}

/// Removes every directory that still exists: for a process that is about to end without unwinding.
pub fn remove_all() {
    // A lock that a panic poisoned still guards a good list.
    let alive = match ALIVE.lock() {
        Ok(mut alive) => std::mem::take(&mut *alive),
        Err(poisoned) => std::mem::take(&mut *poisoned.into_inner()),
    };
    for dir in alive {
        // Nobody is left to tell.
        let _ = std::fs::remove_dir_all(dir);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_scratch_directory_is_private_and_goes() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().to_owned();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        drop(scratch);
        assert!(!path.exists());
    }
}
