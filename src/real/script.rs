//! A user's own script on a node of the world.
//!
//! The node's tree is `/`. From this machine come the programs (`/usr` and what belongs to it, read-only), `/dev`
//! and `/proc`; `kubeadm` is the binary of the node's version, and the directory of the scenario is at
//! `/scenario`. Mounts are seen by the script alone and are gone with it. Everything it starts sees the node's
//! time.

#![expect(
    clippy::disallowed_methods,
    reason = "directories of the machine are mounted into a place of their own"
)]

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::kubeadm::{Place, bare};
use crate::cluster::{EngineError, directory_of};

/// What a script finds beside the node's own tree; never read back.
pub(super) const MOUNTED: [&str; 20] = [
    "/bin",
    "/dev",
    "/etc/alternatives",
    "/etc/group",
    "/etc/ld.so.cache",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/ssl",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/proc",
    "/run",
    "/sbin",
    "/scenario",
    "/sys",
    "/tmp",
    "/usr",
];
/// Those that are this machine's.
const SHARED: [&str; 13] = [
    "/bin",
    "/dev",
    "/etc/alternatives",
    "/etc/group",
    "/etc/ld.so.cache",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/ssl",
    "/lib",
    "/lib32",
    "/lib64",
    "/sbin",
    "/usr",
];

/// Programs that a script finds first, in `/opt/certdrill/bin`.
pub(super) struct Programs<'a> {
    /// The kubeadm of the node's version.
    pub(super) kubeadm: &'a Path,
    /// A certdrill, below which the script runs.
    pub(super) launcher: &'a Path,
    /// A directory with others; it need not be there.
    pub(super) tools: &'a Path,
}

/// Starts a script. The calling thread stands on the node already, and is of no use for anything else
/// afterwards: its `/` is the node's.
///
/// # Errors
/// When the place cannot be furnished or the script does not start.
pub(super) fn start(
    place: &Place<'_>,
    programs: &Programs<'_>,
    script: &str,
    file: &str,
) -> Result<Child, EngineError> {
    enter(place.root, programs, file).map_err(|error| EngineError {
        message: format!("cannot furnish a place for a script: {error}"),
        help: "it takes mounts: run certdrill as root, or where user namespaces are allowed"
            .to_owned(),
    })?;
    let mut command = Command::new("/opt/certdrill/bin/certdrill");
    command
        .args([
            "warp",
            "--follow",
            "--at",
            &place.now.to_string(),
            "--",
            "/bin/sh",
            "-ec",
            script,
        ])
        .current_dir("/");
    bare(&mut command).spawn().map_err(|error| EngineError {
        message: format!("the shell of a script does not start: {error}"),
        help: "scripts need /bin/sh on this machine".to_owned(),
    })
}

fn enter(root: &Path, programs: &Programs<'_>, file: &str) -> io::Result<()> {
    let scenario = directory_of(file);
    // The calling thread alone gets these mounts and this root.
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    for path in SHARED {
        let target = inside(root, path);
        let Ok(metadata) = fs::symlink_metadata(path) else {
            continue;
        };
        if target.symlink_metadata().is_ok() {
            // The node has its own.
            continue;
        }
        if metadata.is_symlink() {
            symlink(fs::read_link(path)?, &target)?;
            continue;
        }
        share(Path::new(path), &target, metadata.is_dir())?;
    }
    let bin = inside(root, "/opt/certdrill/bin");
    fs::create_dir_all(&bin)?;
    share(programs.kubeadm, &bin.join("kubeadm"), false)?;
    share(programs.launcher, &bin.join("certdrill"), false)?;
    if let Ok(tools) = fs::read_dir(programs.tools) {
        for tool in tools {
            let tool = tool?;
            share(&tool.path(), &bin.join(tool.file_name()), false)?;
        }
    }
    if let Some(dir) = scenario {
        share(&dir, &inside(root, "/scenario"), true)?;
    }
    for path in ["/proc", "/tmp", "/run"] {
        fs::create_dir_all(inside(root, path))?;
    }
    mount(
        Some("/proc"),
        &inside(root, "/proc"),
        none,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        none,
    )?;
    mount(
        Some("tmpfs"),
        &inside(root, "/tmp"),
        Some("tmpfs"),
        MsFlags::empty(),
        none,
    )?;
    nix::unistd::chroot(root)?;
    nix::unistd::chdir("/")?;
    Ok(())
}

fn inside(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Shows a file or directory at another place, read-only.
fn share(from: &Path, to: &Path, directory: bool) -> io::Result<()> {
    if directory {
        fs::create_dir_all(to)?;
    } else {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::File::create(to)?;
    }
    let none = None::<&str>;
    let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(from), to, none, bind, none)?;
    // Devices must stay writable.
    if from != Path::new("/dev") {
        let again = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(none, to, none, again, none)?;
    }
    Ok(())
}
