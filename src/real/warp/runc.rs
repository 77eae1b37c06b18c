//! certdrill in the place of runc: every container's program begins at its node's time.
//!
//! `runc create` leaves a process of runc's that waits; `runc start` lets it execute the container's program. That
//! is where it is warped, from outside: nothing in the container changes, neither its arguments nor its mounts, and
//! a seccomp filter has nothing to refuse. Everything else is passed on. Programs that `runc exec` starts (exec
//! probes, `kubectl exec`) stay on the machine's time: kubeadm's static Pods have none.

#![expect(
    clippy::disallowed_methods,
    reason = "runc's state is in files, and runc is a program"
)]

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use super::clock_file::ClockFile;
use super::{WarpError, When, platform};

/// The clock file unless `CERTDRILL_CLOCK` names another.
pub const CLOCK: &str = "/var/lib/certdrill/clock";
/// Flags of runc that are followed by a value, before the command.
const WITH_VALUE: [&str; 5] = ["--log", "--log-format", "--root", "--criu", "--rootless"];
/// Where runc keeps its state unless it is told.
const ROOT: &str = "/run/runc";

/// Does what runc would do with these arguments. Returns only for `start`, or on an error.
///
/// # Errors
/// When the real runc is not found, or a container cannot be started at its node's time. It does not run then.
pub fn instead(args: &[OsString]) -> Result<ExitStatus, WarpError> {
    let runc = real()?;
    let mut command = Command::new(&runc);
    command.args(args);
    let Some((root, id)) = start_of(args) else {
        // Only an error comes back.
        let source = command.exec();
        let program = runc.into_os_string();
        return Err(WarpError::Command { program, source });
    };
    let state = root.join(&id).join("state.json");
    let pid = std::fs::read(&state)
        .map_err(|error| error.to_string())
        .and_then(|text| {
            serde_json::from_slice::<serde_json::Value>(&text).map_err(|error| error.to_string())
        })
        .and_then(|state| {
            state["init_process_pid"]
                .as_u64()
                .and_then(|pid| u32::try_from(pid).ok())
                .ok_or_else(|| "it names no process".to_owned())
        })
        .map_err(|error| WarpError::Container(format!("{}: {error}", state.display())))?;
    let clock = std::env::var_os("CERTDRILL_CLOCK").map_or_else(|| CLOCK.into(), PathBuf::from);
    let when = When::By(ClockFile::new(&clock));
    // Before anything is let go: a missing clock file is told while the container still waits.
    drop(when.now()?);
    platform::at_next_program(pid, &mut command, &when)
}

/// The directory of runc's state and the container's name, of `start`.
fn start_of(args: &[OsString]) -> Option<(PathBuf, String)> {
    let mut root = PathBuf::from(ROOT);
    let mut rest = args.iter().map(|arg| arg.to_string_lossy());
    while let Some(arg) = rest.next() {
        if let Some((name, value)) = arg.split_once('=') {
            if name == "--root" {
                root = value.into();
            }
        } else if WITH_VALUE.contains(&arg.as_ref()) {
            let value = rest.next()?;
            if arg == "--root" {
                root = value.as_ref().into();
            }
        } else if !arg.starts_with('-') {
            let id = rest.find(|arg| !arg.starts_with('-'))?;
            return (arg == "start").then(|| (root, id.into_owned()));
        }
    }
    None
}

/// The real runc: beside certdrill in `real/`, or the first one on the usual paths that is not certdrill.
fn real() -> Result<PathBuf, WarpError> {
    if let Some(named) = std::env::var_os("CERTDRILL_RUNC") {
        return Ok(named.into());
    }
    let own = std::env::current_exe().and_then(std::fs::canonicalize).ok();
    let beside = own
        .as_deref()
        .and_then(Path::parent)
        .map(|dir| dir.join("real/runc"));
    let usual = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .map(|dir| Path::new(dir).join("runc"));
    beside
        .into_iter()
        .chain(usual)
        .find(|path| {
            std::fs::canonicalize(path).is_ok_and(|real| Some(&real) != own.as_ref())
        })
        .ok_or_else(|| WarpError::Container("there is no runc".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(line: &str) -> Option<(PathBuf, String)> {
        let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        start_of(&args)
    }

    #[test]
    fn start_is_told_from_everything_else() {
        let containerd = "--root /run/containerd/runc/k8s.io --log /x/log.json --log-format json --systemd-cgroup start abc";
        assert_eq!(
            start(containerd),
            Some(("/run/containerd/runc/k8s.io".into(), "abc".to_owned()))
        );
        assert_eq!(start("start abc"), Some((ROOT.into(), "abc".to_owned())));
        assert_eq!(start("--root=/r start abc"), Some(("/r".into(), "abc".to_owned())));
        for other in [
            "--root /run/x create --bundle /b start",
            "--log start state abc",
            "exec --process /p start",
            "--version",
            "start",
            "",
        ] {
            assert_eq!(start(other), None, "{other}");
        }
    }
}
