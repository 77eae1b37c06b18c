//! certdrill in the place of runc: every container's program begins at its node's time.
//!
//! `runc create` leaves a process of runc's that waits; `runc start` lets it execute the container's program. That
//! is where it is warped, from outside: nothing in the container changes, neither its arguments nor its mounts, and
//! a seccomp filter has nothing to refuse. `runc exec` (exec probes, `kubectl exec`) is followed until it ends, which
//! it does when the program runs, if it is detached as container managers do it. Everything else is passed on; `runc run`
//! is refused, because it would start a program at the machine's time.
//!
//! One program gets something besides: where a node has a directory [`AUDIT`] with a policy, `runc create` gives
//! kube-apiserver that directory and the flags that write its audit log there, unless it has such flags of its own.
//! Kubernetes does not see it: the bundle is made from the manifest, and the manifest stays as it is.

#![expect(
    clippy::disallowed_methods,
    reason = "runc's state is in files, and runc is a program"
)]

use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use super::clock_file::ClockFile;
use super::{Ending, Trace, WarpError, When, platform};

/// The clock file unless `CERTDRILL_CLOCK` names another.
pub const CLOCK: &str = "/var/lib/certdrill/clock";
/// Where a node's API server finds its audit policy (`policy.yaml`) and writes its audit log (`log`).
pub const AUDIT: &str = "/var/lib/certdrill/audit";
/// Flags of runc that are followed by a value, before the command.
const WITH_VALUE: [&str; 5] = ["log", "log-format", "root", "criu", "rootless"];
/// Where runc keeps its state unless it is told.
const ROOT: &str = "/run/runc";

/// Does what runc would do with these arguments. Returns only for `start` and `exec`, or on an error, which is then in the log
/// that runc was to write, too: there a container manager looks for the reason.
///
/// # Errors
/// When the real runc is not found, or a container cannot be started at its node's time. It does not run then.
pub fn instead(args: &[OsString]) -> Result<ExitStatus, WarpError> {
    let call = Call::read(args);
    let done = pass_on(&call, args);
    if let (Err(error), Some(log)) = (&done, &call.log) {
        // Standard error has it anyway.
        let _ = tell(error, log, call.json);
    }
    done
}

fn pass_on(call: &Call, args: &[OsString]) -> Result<ExitStatus, WarpError> {
    let runc = real()?;
    let mut command = Command::new(&runc);
    command.args(args);
    let clock = std::env::var_os("CERTDRILL_CLOCK").map_or_else(|| CLOCK.into(), PathBuf::from);
    let when = When::By(ClockFile::new(&clock));
    let id = match &call.verb {
        Verb::Start(_) | Verb::Exec if when.is_fixed()? => {
            return Err(super::become_it(&mut command));
        }
        Verb::Start(id) => id,
        Verb::Exec => return follow(&mut command, &when),
        Verb::Run => {
            return Err(WarpError::Container(
                "certdrill stands in the place of runc, and `runc run` is not supported there: use create and start"
                    .to_owned(),
            ));
        }
        Verb::Create(_) | Verb::Other => {
            if let Verb::Create(bundle) = &call.verb {
                have_audited(bundle, Path::new(AUDIT))?;
            }
            return Err(super::become_it(&mut command));
        }
    };
    let state = call.root.join(id).join("state.json");
    let text = match std::fs::read(&state) {
        // There is no such container, which runc says in its own words.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let program = runc.into_os_string();
            return command
                .status()
                .map_err(|source| WarpError::Command { program, source });
        }
        text => text.map_err(|error| error.to_string()),
    };
    let pid = text
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
    // Before anything is let go: a clock file that cannot be used is told while the container still waits.
    let (_, offsets) = when.now()?;
    platform::check(offsets)?;
    platform::at_next_program(pid, &mut command, &when)
}

/// Has an API server write its audit log, if `audit` holds a policy for it.
fn have_audited(bundle: &Path, audit: &Path) -> Result<(), WarpError> {
    let policy = audit.join("policy.yaml");
    if !policy.is_file() {
        return Ok(());
    }
    let path = bundle.join("config.json");
    let broken = |error: &dyn std::fmt::Display| {
        WarpError::Container(format!("{}: {error}", path.display()))
    };
    let text = match std::fs::read(&path) {
        // runc says in its own words that there is no such bundle.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        text => text.map_err(|error| broken(&error))?,
    };
    let mut config: serde_json::Value =
        serde_json::from_slice(&text).map_err(|error| broken(&error))?;
    let directory = audit.to_string_lossy();
    let Some(args) = config
        .pointer_mut("/process/args")
        .and_then(|args| args.as_array_mut())
    else {
        return Ok(());
    };
    let words: Vec<&str> = args.iter().filter_map(|arg| arg.as_str()).collect();
    let apiserver = words
        .first()
        .is_some_and(|program| program.rsplit('/').next() == Some("kube-apiserver"));
    if !apiserver || words.iter().any(|word| word.starts_with("--audit-")) {
        return Ok(());
    }
    args.extend([
        format!("--audit-policy-file={}", policy.display()).into(),
        format!("--audit-log-path={directory}/log").into(),
        "--audit-log-maxsize=100".into(),
        "--audit-log-maxbackup=1".into(),
    ]);
    let mount = serde_json::json!({
        "destination": directory, "source": directory, "type": "bind", "options": ["rbind", "rw"],
    });
    match config
        .pointer_mut("/mounts")
        .and_then(|all| all.as_array_mut())
    {
        Some(mounts) => mounts.push(mount),
        None => return Ok(()),
    }
    // In one piece, or not at all.
    let new = bundle.join(".config.json.certdrill");
    std::fs::write(&new, config.to_string())
        .and_then(|()| std::fs::rename(&new, &path))
        .map_err(|error| broken(&error))
}

/// Runs `runc exec` with everything that it starts at the node's time.
fn follow(command: &mut Command, when: &When) -> Result<ExitStatus, WarpError> {
    let (ending, findings) = platform::run(command, when, Trace::Insist)?;
    if !findings.outside.is_empty() {
        return Err(WarpError::Container(findings.outside.join("; ")));
    }
    Ok(ExitStatus::from_raw(match ending {
        Ending::Exited(code) => i32::from(code) << 8,
        Ending::Killed(signal) => signal,
    }))
}

/// What runc is to do, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verb {
    /// Make a container from this bundle.
    Create(PathBuf),
    /// Start this container.
    Start(OsString),
    Exec,
    Run,
    Other,
}

/// What matters of a command line.
#[derive(Debug, PartialEq, Eq)]
struct Call {
    /// The directory of runc's state.
    root: PathBuf,
    /// Where runc writes what goes wrong.
    log: Option<PathBuf>,
    /// As JSON.
    json: bool,
    verb: Verb,
}

impl Call {
    /// Go's rules: one dash or two, the value behind `=` or in the next argument.
    fn read(args: &[OsString]) -> Self {
        let mut call = Self {
            root: ROOT.into(),
            log: None,
            json: false,
            verb: Verb::Other,
        };
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            let text = arg.to_string_lossy();
            let Some(flag) = text.strip_prefix('-') else {
                call.verb = match &*text {
                    "start" => rest
                        .find(|arg| !arg.as_encoded_bytes().starts_with(b"-"))
                        .map_or(Verb::Other, |id| Verb::Start(id.clone())),
                    "create" => Verb::Create(bundle(&mut rest)),
                    "exec" => Verb::Exec,
                    "run" => Verb::Run,
                    _ => Verb::Other,
                };
                break;
            };
            let flag = flag.strip_prefix('-').unwrap_or(flag);
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, value.into()),
                None if WITH_VALUE.contains(&flag) => match rest.next() {
                    Some(value) => (flag, value.clone()),
                    None => break,
                },
                None => continue,
            };
            match name {
                "root" => call.root = value.into(),
                "log" => call.log = Some(value.into()),
                "log-format" => call.json = value == "json",
                _ => {}
            }
        }
        call
    }
}

/// The bundle of a `create`: the working directory unless it is told.
fn bundle<'a>(rest: &mut impl Iterator<Item = &'a OsString>) -> PathBuf {
    while let Some(arg) = rest.next() {
        let text = arg.to_string_lossy();
        let flag = text.trim_start_matches('-');
        match flag.split_once('=') {
            Some(("bundle" | "b", path)) => return path.into(),
            None if text.starts_with('-') && matches!(flag, "bundle" | "b") => {
                return rest.next().map_or_else(|| ".".into(), PathBuf::from);
            }
            _ => {}
        }
    }
    ".".into()
}

/// Adds an error to a log as runc writes it.
fn tell(error: &WarpError, log: &Path, json: bool) -> std::io::Result<()> {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message += &format!(": {cause}");
        source = cause.source();
    }
    let message = format!("certdrill: {message} ({})", error.help());
    let now = super::machine_time();
    let line = if json {
        serde_json::json!({ "level": "error", "msg": message, "time": format!("{now:.0}") })
            .to_string()
    } else {
        format!("time=\"{now:.0}\" level=error msg={message:?}")
    };
    let mut file = File::options().create(true).append(true).open(log)?;
    // One write, because others append to it, too.
    file.write_all(format!("{line}\n").as_bytes())
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
    let usual = [
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/bin",
        "/sbin",
        "/bin",
    ]
    .map(|dir| Path::new(dir).join("runc"));
    beside
        .into_iter()
        .chain(usual)
        .find(|path| std::fs::canonicalize(path).is_ok_and(|real| Some(&real) != own.as_ref()))
        .ok_or_else(|| WarpError::Container("there is no runc".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(line: &str) -> Call {
        let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        Call::read(&args)
    }

    #[test]
    fn start_is_told_from_everything_else() {
        let containerd = "--root /run/containerd/runc/k8s.io --log /x/log.json --log-format json --systemd-cgroup start abc";
        assert_eq!(
            call(containerd),
            Call {
                root: "/run/containerd/runc/k8s.io".into(),
                log: Some("/x/log.json".into()),
                json: true,
                verb: Verb::Start("abc".into()),
            }
        );
        for (line, root) in [
            ("start abc", ROOT),
            ("--debug start abc", ROOT),
            ("--root=/r start abc", "/r"),
            ("-root /r start abc", "/r"),
            ("--root /r --rootless auto start abc", "/r"),
        ] {
            let call = call(line);
            assert_eq!(call.root, Path::new(root), "{line}");
            assert_eq!(call.verb, Verb::Start("abc".into()), "{line}");
        }
        for other in ["--log start state abc", "--version", "start", "--root", ""] {
            assert_eq!(call(other).verb, Verb::Other, "{other}");
        }
        assert_eq!(call("--root /r exec --process /p start").verb, Verb::Exec);
        assert_eq!(call("run --bundle /b start").verb, Verb::Run);
        for create in [
            "--root /run/x create --bundle /b start",
            "create --pid-file /p --bundle=/b x",
            "create -b /b x",
        ] {
            assert_eq!(call(create).verb, Verb::Create("/b".into()), "{create}");
        }
        assert_eq!(call("create x").verb, Verb::Create(".".into()));
    }

    #[test]
    fn an_api_server_gets_an_audit_log_and_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let (bundle, audit) = (dir.path().join("bundle"), dir.path().join("audit"));
        std::fs::create_dir(&bundle).unwrap();
        let path = bundle.join("config.json");
        let with = |args: &[&str]| {
            let config = serde_json::json!({ "process": { "args": args }, "mounts": [] });
            std::fs::write(&path, config.to_string()).unwrap();
            have_audited(&bundle, &audit).unwrap();
            let after: serde_json::Value =
                serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            (after != config).then_some(after)
        };
        let apiserver = ["kube-apiserver", "--secure-port=6443"];
        assert_eq!(with(&apiserver), None, "there is no policy");
        std::fs::create_dir(&audit).unwrap();
        std::fs::write(audit.join("policy.yaml"), "x").unwrap();
        let config = with(&apiserver).unwrap();
        let log = format!("--audit-log-path={}/log", audit.display());
        let args = config["process"]["args"].as_array().unwrap();
        assert_eq!(args[1], "--secure-port=6443");
        assert!(args.iter().any(|arg| arg == &log), "{args:?}");
        assert_eq!(config["mounts"][0]["source"], audit.to_str().unwrap());
        assert_eq!(with(&["etcd", "--name=x"]), None);
        assert_eq!(with(&["kube-apiserver", "--audit-log-path=/mine"]), None);
        std::fs::remove_file(&path).unwrap();
        have_audited(&bundle, &audit).unwrap();
    }

    #[test]
    fn what_went_wrong_is_in_the_log_as_runc_writes_it() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let error = WarpError::Container("a \"reason\"".to_owned());
        tell(&error, &log, true).unwrap();
        tell(&error, &log, true).unwrap();
        let text = std::fs::read_to_string(&log).unwrap();
        assert_eq!(text.lines().count(), 2);
        for line in text.lines() {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(entry["level"], "error");
            assert!(entry["msg"].as_str().unwrap().contains("a \"reason\""));
            let time: crate::time::Timestamp = entry["time"].as_str().unwrap().parse().unwrap();
            assert!(time <= crate::real::warp::machine_time());
        }
        tell(&error, &log, false).unwrap();
        let text = std::fs::read_to_string(&log).unwrap();
        let last = text.lines().last().unwrap();
        assert!(last.contains("level=error msg=\"certdrill: "), "{last}");
    }
}
