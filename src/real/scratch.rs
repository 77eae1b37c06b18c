//! Directories for a while: only for their owner, and gone afterwards - at the end, after an error, on a
//! panic, on a signal, and after a kill as soon as another certdrill makes one.

#![expect(clippy::disallowed_methods, reason = "directories of the machine")]

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, Once};
use std::time::Duration;

/// Directories that exist now.
static ALIVE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The time in which a process that was asked to stop does so by itself.
const GRACE: Duration = Duration::from_secs(10);
/// How their names begin; the process id follows.
const PREFIX: &str = "certdrill-";
/// Leftovers of others are looked for once.
static SWEPT: Once = Once::new();

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
        SWEPT.call_once(sweep);
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let dir = tempfile::Builder::new()
            .prefix(&prefix)
            .permissions(Permissions::from_mode(0o700))
            .tempdir()?;
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
    #[cfg(target_os = "linux")]
    super::kind::clean::remove_own();
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

/// Ends this process on SIGINT, SIGTERM and SIGHUP, with nothing left behind. For a program that plays
/// scenarios; what it has started ends with its places.
///
/// # Errors
/// When signals cannot be caught.
pub fn remove_on_signals() -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            if let Some(signal) = signals.forever().next() {
                // Runs that end because of this must not be told as if they had failed.
                let _silence = (std::io::stdout().lock(), std::io::stderr().lock());
                remove_all();
                // As a shell tells that a signal ended a program.
                std::process::exit(128 + signal);
            }
        })?;
    Ok(())
}

/// Whether somebody wants this process to stop.
#[derive(Debug, Clone, Copy)]
pub struct Interrupt(&'static AtomicI32);

impl Interrupt {
    /// Whether a signal came.
    #[must_use]
    pub fn is_set(self) -> bool {
        self.signal().is_some()
    }

    /// The signal that came.
    #[must_use]
    pub fn signal(self) -> Option<i32> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(signal),
        }
    }
}

/// The first signal that came.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// As [`remove_on_signals`], but the first signal only asks to stop, so that what is there so far can be written.
/// The process ends at the second one, or when it has not ended by itself ten seconds later.
///
/// # Errors
/// When signals cannot be caught.
pub fn stop_on_signals() -> io::Result<Interrupt> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let end = |signal: i32| {
        let _silence = (std::io::stdout().lock(), std::io::stderr().lock());
        remove_all();
        std::process::exit(128 + signal);
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut coming = signals.forever();
            if let Some(signal) = coming.next() {
                SIGNAL.store(signal, Ordering::Relaxed);
                std::thread::spawn(move || {
                    std::thread::sleep(GRACE);
                    end(signal);
                });
            }
            if let Some(signal) = coming.next() {
                end(signal);
            }
        })?;
    Ok(Interrupt(&SIGNAL))
}

/// Removes what a certdrill that was killed has left behind.
fn sweep() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| {
            name.strip_prefix(PREFIX)?
                .split('-')
                .next()?
                .parse::<u32>()
                .ok()
        });
        let dead = owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
        if dead && Path::new("/proc/self").exists() {
            // Somebody else's, or in use after all: not ours to remove.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
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
