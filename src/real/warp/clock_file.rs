//! A file that says what time it is on a node.
//!
//! Whatever starts a process at a node's time holds the file locked, shared, from reading it until the process is
//! warped; whoever moves the node holds it locked alone. So no process starts with an offset that a move has just
//! replaced, and none is missed by a move.

#![expect(
    clippy::disallowed_methods,
    reason = "a file is what launchers and movers have in common"
)]

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::{Offsets, WarpError};
use crate::time::{SignedDuration, span};

/// Text of a clock file where no process may be traced: whatever starts by it has the machine's time, and is not traced.
pub const FIXED: &str = "fixed\n";

/// A clock file.
#[derive(Debug, Clone)]
pub struct ClockFile {
    path: PathBuf,
}

/// Held while it exists; the offset of the wall clock does not change meanwhile.
#[derive(Debug)]
pub struct Locked {
    file: File,
    path: PathBuf,
    wall: SignedDuration,
    fixed: bool,
    /// Length of the text in it.
    bytes: usize,
}

impl ClockFile {
    /// The clock file at a path.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// Reads it for starting a process.
    ///
    /// # Errors
    /// When it is not there, cannot be read, or holds something else.
    pub fn shared(&self) -> Result<Locked, WarpError> {
        self.lock(FlockOperation::LockShared)
    }

    /// Reads it for moving processes.
    ///
    /// # Errors
    /// As [`ClockFile::shared`].
    pub fn alone(&self) -> Result<Locked, WarpError> {
        self.lock(FlockOperation::LockExclusive)
    }

    fn lock(&self, how: FlockOperation) -> Result<Locked, WarpError> {
        let wrong = |what: String| WarpError::Clock {
            path: self.path.clone(),
            what,
        };
        let mut file = self
            .lock_the_one_there_is(how)
            .map_err(|error| wrong(error.to_string()))?;
        let mut text = String::new();
        file.read_to_string(&mut text)
            .map_err(|error| wrong(error.to_string()))?;
        let fixed = text == FIXED;
        let wall = if fixed {
            SignedDuration::ZERO
        } else {
            parse(&text).map_err(wrong)?
        };
        Ok(Locked {
            file,
            path: self.path.clone(),
            wall,
            fixed,
            bytes: text.len(),
        })
    }

    /// Whoever copies another file to the path gives it another lock: the one that is there once it is locked counts.
    fn lock_the_one_there_is(&self, how: FlockOperation) -> std::io::Result<File> {
        loop {
            let file = File::options()
                .read(true)
                .write(how == FlockOperation::LockExclusive)
                .open(&self.path)?;
            match flock(&file, how) {
                Ok(()) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let which = |metadata: Metadata| (metadata.dev(), metadata.ino());
            if which(file.metadata()?) == which(std::fs::metadata(&self.path)?) {
                return Ok(file);
            }
        }
    }
}

impl Locked {
    /// How far the node's wall clock is ahead of the machine's.
    #[must_use]
    pub fn wall(&self) -> SignedDuration {
        self.wall
    }

    /// Whether the node has the machine's time and nothing in it is traced.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.fixed
    }

    /// What a new process gets: its timers begin with the machine's.
    #[must_use]
    pub fn offsets(&self) -> Offsets {
        Offsets::wall(self.wall)
    }

    /// Writes another offset. The file must be held [alone](ClockFile::alone).
    ///
    /// # Errors
    /// When it cannot be written, or is [fixed](FIXED).
    pub fn set(&mut self, wall: SignedDuration) -> Result<(), WarpError> {
        if self.fixed {
            return Err(WarpError::Clock {
                path: self.path.clone(),
                what: "it is fixed: nothing that was started by it may be moved".to_owned(),
            });
        }
        // In place, because the lock belongs to the file; one write of a text that is not shorter, so that somebody
        // who is killed here does not leave half of it.
        let text = format!("{:<1$}\n", format(wall).trim_end(), self.bytes.max(1) - 1);
        self.file
            .write_all_at(text.as_bytes(), 0)
            .map_err(|error| WarpError::Clock {
                path: self.path.clone(),
                what: error.to_string(),
            })?;
        (self.wall, self.bytes) = (wall, text.len());
        Ok(())
    }
}

/// The text of a clock file.
#[must_use]
pub fn format(wall: SignedDuration) -> String {
    format!("wall {}ms\n", wall.as_millis())
}

fn parse(text: &str) -> Result<SignedDuration, String> {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let value = body
        .strip_prefix("wall ")
        .filter(|value| !value.contains('\n'))
        .ok_or_else(|| format!("it holds {body:?} where `wall +370d` or the like belongs"))?;
    span::parse(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clock");
        std::fs::write(&path, "wall +370d\n").unwrap();
        let clock = ClockFile::new(&path);
        let days = |days: i64| SignedDuration::from_hours(24 * days);
        assert_eq!(clock.shared().unwrap().wall(), days(370));
        let mut held = clock.alone().unwrap();
        held.set(days(-2)).unwrap();
        drop(held);
        assert_eq!(clock.shared().unwrap().wall(), days(-2));
        let long = SignedDuration::from_millis(1_234_567_890_123);
        clock.alone().unwrap().set(long).unwrap();
        assert_eq!(clock.shared().unwrap().wall(), long);
        // Shorter than what is there.
        clock.alone().unwrap().set(days(0)).unwrap();
        assert_eq!(clock.shared().unwrap().wall(), days(0));
    }

    #[test]
    fn what_is_fixed_is_the_machines_time_and_stays_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clock");
        std::fs::write(&path, FIXED).unwrap();
        let clock = ClockFile::new(&path);
        let mut held = clock.alone().unwrap();
        assert!(held.is_fixed());
        assert_eq!(held.wall(), SignedDuration::ZERO);
        let error = held.set(SignedDuration::from_hours(1)).unwrap_err();
        assert!(error.to_string().contains("fixed"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), FIXED);
    }

    #[test]
    fn a_file_that_is_replaced_while_one_waits_is_not_the_one_that_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let (path, new) = (dir.path().join("clock"), dir.path().join("new"));
        std::fs::write(&path, "wall 1d\n").unwrap();
        std::fs::write(&new, "wall 2d\n").unwrap();
        let clock = ClockFile::new(&path);
        let held = clock.alone().unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| clock.shared().unwrap().wall());
            std::thread::sleep(std::time::Duration::from_millis(50));
            std::fs::rename(&new, &path).unwrap();
            drop(held);
            let two_days = SignedDuration::from_hours(48);
            assert_eq!(waiting.join().unwrap(), two_days);
        });
    }

    #[test]
    fn what_is_no_clock_file_is_refused() {
        for text in [
            "",
            "wall",
            "wall x",
            "370d\n",
            "wall 1d\nmore\n",
            "wall 1d\n2h\n",
            "wall 1d 2h\n",
            "wall 5\n",
            "Wall 1d\n",
            "wall -\n",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        let error = ClockFile::new(Path::new("/nowhere/clock"))
            .shared()
            .unwrap_err();
        assert!(error.to_string().contains("/nowhere/clock"), "{error}");
    }
}
