//! Small real disks with faults.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What fills a disk; no part of the tree.
pub const FILLER: &str = "/filler";

/// A small disk of its own; everything mounted on it goes with it.
pub struct Disk {
    root: tempfile::TempDir,
    held: Option<Child>,
}

fn mount(args: &[&str], at: &Path) -> bool {
    Command::new("mount")
        .args(args)
        .arg(at)
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

impl Disk {
    /// A mount of a mebibyte, if this process may mount.
    pub fn new() -> Option<Self> {
        let root = tempfile::tempdir().unwrap();
        mount(
            &["-t", "tmpfs", "-o", "size=1m,mode=0755", "tmpfs"],
            root.path(),
        )
        .then_some(Self { root, held: None })
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// Where a path of the tree is.
    pub fn at(&self, path: &str) -> PathBuf {
        self.path().join(path.trim_start_matches('/'))
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        std::fs::write(self.at(FILLER), vec![0; 2 << 20]).unwrap_err();
    }

    /// Makes the whole disk read-only.
    pub fn read_only(&self) {
        assert!(mount(&["-o", "remount,ro"], self.path()));
    }

    /// Makes one file read-only by mounting it on itself.
    pub fn protect(&self, path: &str) {
        let file = self.at(path);
        assert!(mount(&["--bind", file.to_str().unwrap()], &file));
        assert!(mount(&["-o", "remount,bind,ro"], &file));
    }

    /// Makes whoever opens a file for writing wait, until the holder is dropped or 45 seconds are over: a lease.
    pub fn hold(&mut self, path: &str) {
        let program = "import fcntl, signal, sys, time
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = open(sys.argv[1])
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
print('held', flush=True)
time.sleep(60)";
        let mut child = Command::new("python3")
            .args(["-c", program])
            .arg(self.at(path))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut said)
            .unwrap();
        assert_eq!(said, "held\n");
        self.held = Some(child);
    }

    /// Ends every fault; `protected` may have been made read-only.
    pub fn repair(&mut self, protected: &str) {
        if let Some(mut child) = self.held.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        while Command::new("umount")
            .arg(self.at(protected))
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
        {}
        assert!(mount(&["-o", "remount,rw"], self.path()));
        let _ = std::fs::remove_file(self.at(FILLER));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(child) = &mut self.held {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = Command::new("umount")
            .args(["--lazy", "--recursive"])
            .arg(self.path())
            .status();
    }
}
