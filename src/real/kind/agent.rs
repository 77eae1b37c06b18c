//! What certdrill does inside a node container: it changes files, reads files, processes and logs, does TLS
//! handshakes, and runs commands, all at the node's time.
//!
//! The agent is certdrill itself (`certdrill node-agent`), started through the container engine below the
//! node's launcher, so that its clock is the node's. It reads an [`Order`] from standard input and writes a
//! [`Report`] to standard output. It decides nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::agent_logs::logs;
use super::audit::{self, Named};
use super::handshake::{self, Handshake, Shown};
use super::wait::Attempts;

/// How often an etcd without a leader is asked: the longest of elections that nothing disturbs takes two seconds, and each answer
/// is late where a read waits for a quorum.
const ELECTION: Attempts = Attempts {
    max: 8,
    between: Duration::from_millis(500),
    within: Duration::from_secs(6),
};
/// A request is tried again so soon, if it failed sooner than this: a connection that was just closed fails one.
const BETWEEN_REQUESTS: Duration = Duration::from_millis(300);
const QUICK: Duration = Duration::from_secs(3);

/// What is wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Files to change, first of all.
    pub changes: Vec<Edit>,
    /// Files and directories to read.
    pub roots: Vec<String>,
    /// Where reading of each log goes on: bytes of a file, or a cursor of the journal.
    pub logs: Option<BTreeMap<String, String>>,
    /// Handshakes to do.
    pub handshakes: Vec<(String, Handshake)>,
    /// Plain HTTP requests: an address and a path.
    pub plain: Vec<(String, String, String)>,
    /// Commands to run, all at once.
    pub commands: Vec<(String, Program)>,
    /// From where on the API server's audit log is read.
    pub audit: Option<u64>,
    /// Whether it is asked how often the kubelet was started again.
    pub restarts: bool,
}

/// A change to a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Edit {
    /// Removes a path and what is below it.
    Remove(String),
    /// Makes a directory.
    Dir(String, u32),
    /// Writes a file: path, mode, owner, group, content in base64.
    File(String, u32, u32, u32, String),
    /// Makes a symlink: path, target.
    Link(String, String),
}

/// A command.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Program {
    /// Program and arguments. `{kubeconfig}` stands for a file with the content below.
    pub words: Vec<String>,
    /// Content of a file that is made for the time of the command, in base64.
    pub kubeconfig: Option<String>,
    /// Wall seconds after which it is ended.
    pub limit_s: u64,
    /// How often it is tried until it succeeds: a connection that was just closed fails one request.
    pub attempts: u32,
    /// Not run where this holds: its answer is that of another command.
    pub same_as: Option<SameAs>,
}

/// A command that asks the same as another one where two files hold the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SameAs {
    /// The other command.
    pub id: String,
    /// The two files.
    pub files: (String, String),
}

/// What was found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The node's wall clock, in nanoseconds since 1970.
    pub now_ns: i64,
    /// Files that were read.
    pub files: Vec<FileFound>,
    /// Processes that matter.
    pub processes: Vec<ProcessFound>,
    /// New lines by log, and where to go on.
    pub logs: BTreeMap<String, (Vec<String>, String)>,
    /// Handshakes.
    pub handshakes: BTreeMap<String, Shown>,
    /// Plain HTTP: status and body.
    pub plain: BTreeMap<String, (u16, String)>,
    /// Commands.
    pub commands: BTreeMap<String, Ended>,
    /// Certificates that the API server's audit log names, and how long it is.
    pub audit: Option<(Vec<Named>, u64)>,
    /// How often systemd has started the kubelet again, where that was asked for and there is systemd.
    pub kubelet_restarts: Option<u64>,
    /// A change that could not be made.
    pub trouble: Option<String>,
}

/// A file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileFound {
    /// Its path.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// What it is.
    pub what: Content,
}

/// What a file is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Content {
    /// A directory.
    Dir,
    /// A file with this content in base64.
    File(String),
    /// A symlink to this.
    Link(String),
}

/// A process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessFound {
    /// Name of its program.
    pub name: String,
    /// Its number in the node.
    pub pid: u32,
    /// Its start in clock ticks since the machine's, so that a number used again is noticed.
    pub start_ticks: u64,
    /// Seconds that it has lived in, by the machine's clock.
    pub age_s: f64,
}

/// How a command ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// Exit code; 124 when it was ended for being late.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Programs that are looked for among the processes.
pub const PROGRAMS: [&str; 5] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
];

/// Reads an order from standard input, carries it out and writes the report to standard output.
///
/// # Errors
/// When the order cannot be read or the report cannot be written.
pub fn serve() -> io::Result<()> {
    let order: Order = serde_json::from_reader(io::stdin().lock())?;
    serde_json::to_writer(io::stdout().lock(), &carry_out(&order))?;
    Ok(())
}

/// Does what is wanted.
#[must_use]
pub fn carry_out(order: &Order) -> Report {
    let mut report = Report::default();
    for edit in &order.changes {
        if let Err(error) = change(edit) {
            report.trouble = Some(format!("{edit:?}: {error}").chars().take(400).collect());
            return report;
        }
    }
    let (same, own): (Vec<_>, Vec<_>) = order.commands.iter().partition(|(_, program)| {
        program
            .same_as
            .as_ref()
            .is_some_and(|same| order.commands.iter().any(|(id, _)| *id == same.id) && is_so(same))
    });
    std::thread::scope(|scope| {
        let commands: Vec<_> = own
            .into_iter()
            .map(|(id, program)| (id, scope.spawn(|| persist(program))))
            .collect();
        let handshakes: Vec<_> = order
            .handshakes
            .iter()
            .map(|(id, wanted)| (id, scope.spawn(|| handshake::try_it(wanted))))
            .collect();
        for (id, address, path) in &order.plain {
            if let Some(answer) = settled(address, path) {
                report.plain.insert(id.clone(), answer);
            }
        }
        for (id, thread) in handshakes {
            if let Ok(shown) = thread.join() {
                report.handshakes.insert(id.clone(), shown);
            }
        }
        for (id, thread) in commands {
            if let Ok(ended) = thread.join() {
                report.commands.insert(id.clone(), ended);
            }
        }
    });
    for (id, program) in same {
        let other = program.same_as.as_ref().map(|same| &same.id);
        if let Some(ended) = other.and_then(|other| report.commands.get(other)).cloned() {
            report.commands.insert(id.clone(), ended);
        }
    }
    // Files and processes come last: they are what the answers above were given with, or newer.
    for root in &order.roots {
        read(Path::new(root), &mut report.files);
    }
    report.processes = processes();
    if order.restarts {
        report.kubelet_restarts = kubelet_restarts();
    }
    report.audit = order.audit.map(audit::named_since);
    if let Some(from) = &order.logs {
        report.logs = logs(from);
    }
    report.now_ns = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
        });
    report
}

fn is_so(same: &SameAs) -> bool {
    let read = |path: &String| fs::read(path).ok();
    let (one, other) = (read(&same.files.0), read(&same.files.1));
    one.is_some() && one == other
}

/// What a health check says. Members of etcd elect a leader within one or two seconds: until then it is not lost, whether it says
/// that there is none, that it has changed, or that a read took too long.
fn settled(address: &str, path: &str) -> Option<(u16, String)> {
    ELECTION.of(
        || handshake::plain_get(address, path).ok(),
        |answer| answer.as_ref().is_none_or(|(status, _)| *status == 200),
    )
}

fn change(edit: &Edit) -> io::Result<()> {
    match edit {
        Edit::Remove(path) => {
            let gone = match fs::symlink_metadata(path) {
                Ok(found) if found.is_dir() => fs::remove_dir_all(path),
                Ok(_) => fs::remove_file(path),
                Err(error) => Err(error),
            };
            match gone {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                other => other,
            }
        }
        Edit::Dir(path, mode) => {
            fs::create_dir_all(path)?;
            fs::set_permissions(path, fs::Permissions::from_mode(*mode))
        }
        Edit::File(path, mode, uid, gid, content) => {
            let content = decode(content)?;
            // Written where it belongs, as an editor or cp does: links are followed. A manifest must not be seen
            // half written: it is moved into its place.
            let manifest = path.contains("/manifests/");
            let target = if manifest {
                let name = path.rsplit('/').next().unwrap_or("file");
                format!("/var/lib/certdrill/{name}")
            } else {
                path.clone()
            };
            if let Some(parent) = Path::new(&target).parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&target, &content)?;
            fs::set_permissions(&target, fs::Permissions::from_mode(*mode))?;
            chown(&target, Some(*uid), Some(*gid))?;
            if manifest && fs::rename(&target, path).is_err() {
                // Another file system: under a name that the kubelet does not look at, then renamed.
                let beside = match path.rsplit_once('/') {
                    Some((dir, name)) => format!("{dir}/.{name}.certdrill"),
                    None => return Err(io::ErrorKind::InvalidInput.into()),
                };
                fs::copy(&target, &beside)?;
                fs::rename(&beside, path)?;
                fs::remove_file(&target)?;
            }
            Ok(())
        }
        Edit::Link(path, target) => {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            symlink(target, path)
        }
    }
}

/// No certificate, key, kubeconfig or manifest is as large; the copy of etcd's data that an upgrade leaves below
/// `/etc/kubernetes/tmp` is, and takes seconds at every look.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 20;

fn read(path: &Path, found: &mut Vec<FileFound>) {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return;
    };
    let kind = metadata.file_type();
    let what = if kind.is_dir() {
        Content::Dir
    } else if kind.is_symlink() {
        match fs::read_link(path) {
            Ok(target) => Content::Link(target.to_string_lossy().into_owned()),
            Err(_) => return,
        }
    } else if kind.is_file() && metadata.len() <= FILE_BYTES_MAX {
        match fs::read(path) {
            Ok(content) => Content::File(encode(&content)),
            Err(_) => return,
        }
    } else {
        return;
    };
    found.push(FileFound {
        path: path.to_string_lossy().into_owned(),
        mode: metadata.mode() & 0o7777,
        owner: (metadata.uid(), metadata.gid()),
        what,
    });
    if kind.is_dir() {
        let mut entries: Vec<_> = fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        entries.sort();
        for entry in entries {
            read(&entry, found);
        }
    }
}

fn kubelet_restarts() -> Option<u64> {
    let output = std::process::Command::new("systemctl")
        .args(["show", "--property", "NRestarts", "--value", "kubelet"])
        .output()
        .ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// The programs of [`PROGRAMS`] that run in this node.
fn processes() -> Vec<ProcessFound> {
    let uptime: f64 = fs::read_to_string("/proc/uptime")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(0.0);
    let ticks_per_s = rustix::param::clock_ticks_per_second() as f64;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let dir = entry.path();
        let Ok(program) = fs::read_link(dir.join("exe")) else {
            continue;
        };
        let name = program
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        if !PROGRAMS.contains(&name.as_str()) {
            continue;
        }
        let Some(start_ticks) = fs::read_to_string(dir.join("stat"))
            .ok()
            // The name in brackets may hold blanks.
            .and_then(|stat| {
                let rest = stat.rsplit_once(')')?.1.to_owned();
                rest.split_whitespace().nth(19)?.parse::<u64>().ok()
            })
        else {
            continue;
        };
        found.push(ProcessFound {
            name,
            pid,
            start_ticks,
            age_s: uptime - start_ticks as f64 / ticks_per_s,
        });
    }
    found.sort_by_key(|process| process.pid);
    found
}

fn persist(program: &Program) -> Ended {
    let attempts = Attempts {
        max: program.attempts,
        between: BETWEEN_REQUESTS,
        within: QUICK,
    };
    attempts.of(|| execute(program), |ended| ended.code == 0)
}

fn execute(program: &Program) -> Ended {
    let failed = |error: &dyn std::fmt::Display| Ended {
        code: 127,
        stdout: String::new(),
        stderr: error.to_string(),
    };
    let file = match &program.kubeconfig {
        None => None,
        Some(content) => {
            let written = decode(content).and_then(|content| {
                let mut file = tempfile::Builder::new()
                    .prefix("kubeconfig-")
                    .tempfile_in("/var/lib/certdrill")?;
                io::Write::write_all(&mut file, &content)?;
                Ok(file)
            });
            match written {
                Ok(file) => Some(file),
                Err(error) => return failed(&error),
            }
        }
    };
    let mut words = program.words.iter().map(|word| match &file {
        Some(file) => word.replace("{kubeconfig}", &file.path().to_string_lossy()),
        None => word.clone(),
    });
    let mut command = Command::new(words.next().unwrap_or_default());
    command
        .args(words)
        .env("HOME", "/root")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return failed(&error),
    };
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let stdout = scope.spawn(|| drain(out.as_mut()));
        let stderr = scope.spawn(|| drain(err.as_mut()));
        // Timers of this process may be moved with the node's clock: what counts is how often it looked.
        let mut looks_left = program.limit_s.saturating_mul(20);
        let code = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status.code().unwrap_or(-1),
                Ok(None) if looks_left > 0 => {
                    looks_left -= 1;
                    std::thread::sleep(Duration::from_millis(50));
                }
                _ => {
                    // It may have ended by itself in this very moment.
                    let _ = child.kill();
                    let _ = child.wait();
                    break 124;
                }
            }
        };
        Ended {
            code,
            stdout: stdout.join().unwrap_or_default(),
            stderr: stderr.join().unwrap_or_default(),
        }
    })
}

fn drain(from: Option<&mut impl io::Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        // What was read before an error is all there is.
        let _ = from.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Bytes as base64.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Base64 as bytes.
///
/// # Errors
/// When it is none.
pub fn decode(text: &str) -> io::Result<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_upgrade_keeps_of_etcds_data_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("apiserver.crt"), "certificate").unwrap();
        let data = fs::File::create(path("0.wal")).unwrap();
        data.set_len(FILE_BYTES_MAX + 1).unwrap();
        let mut found = Vec::new();
        read(folder.path(), &mut found);
        let names: Vec<&str> = found.iter().map(|file| file.path.as_str()).collect();
        let crt = path("apiserver.crt");
        assert_eq!(
            names,
            [folder.path().to_str().unwrap(), crt.to_str().unwrap()]
        );
    }
}
