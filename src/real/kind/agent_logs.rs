//! What has been written to logs since the last look, inside a node.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};

use super::agent::PROGRAMS;

/// Lines of one log that a report carries at most.
const LINES_MAX: usize = 400;
/// Where the kubelet's output goes where there is no journal.
const KUBELET_LOG: &str = "/var/log/kubelet.log";

/// New lines of the kubelet's log and of static Pods' logs, those that say something about trouble.
pub(super) fn logs(from: &BTreeMap<String, String>) -> BTreeMap<String, (Vec<String>, String)> {
    let mut found = BTreeMap::new();
    if Path::new(KUBELET_LOG).exists() {
        let at = from.get("kubelet").and_then(|text| text.parse().ok());
        let (lines, end) = tail(Path::new(KUBELET_LOG), at.unwrap_or(0));
        found.insert("kubelet".to_owned(), (lines, end.to_string()));
    } else if let Some(journal) = journal(from.get("kubelet")) {
        found.insert("kubelet".to_owned(), journal);
    }
    for entry in fs::read_dir("/var/log/pods")
        .into_iter()
        .flatten()
        .flatten()
    {
        for container in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
            let name = container.file_name().to_string_lossy().into_owned();
            if !PROGRAMS.contains(&name.as_str()) {
                continue;
            }
            for file in fs::read_dir(container.path())
                .into_iter()
                .flatten()
                .flatten()
            {
                let path = file.path();
                if path.extension().is_none_or(|end| end != "log") {
                    continue;
                }
                let key = format!("{name} {}", path.display());
                let at = from.get(&key).and_then(|text| text.parse().ok());
                let (lines, end) = tail(&path, at.unwrap_or(0));
                // `2027-01-01T00:00:00.1Z stderr F text`
                let lines = lines
                    .into_iter()
                    .map(|line| line.splitn(4, ' ').nth(3).unwrap_or(&line).to_owned())
                    .collect();
                found.insert(key, (lines, end.to_string()));
            }
        }
    }
    for (lines, _) in found.values_mut() {
        lines.retain(|line| tells(line));
        let first = lines.len().saturating_sub(LINES_MAX);
        lines.drain(..first);
    }
    found
}

pub(super) fn tail(path: &Path, from: u64) -> (Vec<String>, u64) {
    let mut text = Vec::new();
    let read = fs::File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(from))?;
        file.read_to_end(&mut text)
    });
    if read.is_err() {
        return (Vec::new(), from);
    }
    // The last line may still be written.
    let end = text
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    let lines = String::from_utf8_lossy(&text[..end])
        .lines()
        .map(str::to_owned)
        .collect();
    (lines, from + end as u64)
}

fn journal(cursor: Option<&String>) -> Option<(Vec<String>, String)> {
    let mut command = Command::new("journalctl");
    command.args(["-u", "kubelet", "-o", "cat", "--no-pager", "--show-cursor"]);
    if let Some(cursor) = cursor {
        command.arg(format!("--after-cursor={cursor}"));
    }
    let output = command.stderr(Stdio::null()).output().ok()?;
    let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect();
    let end = lines
        .iter()
        .rev()
        .find_map(|line| line.strip_prefix("-- cursor: "))
        .map(str::to_owned)
        .or_else(|| cursor.cloned())?;
    lines.retain(|line| !line.starts_with("-- "));
    Some((lines, end))
}

/// Whether a line of a log is of interest: errors and warnings, and what is said about certificates and leaders.
fn tells(line: &str) -> bool {
    let klog = line
        .as_bytes()
        .first()
        .is_some_and(|first| b"EFW".contains(first))
        && line.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    klog || [
        "x509",
        "certificate",
        "tls:",
        "leader",
        "Unauthorized",
        "\"warn\"",
        "\"error\"",
    ]
    .iter()
    .any(|word| line.contains(word))
}
