//! Tables of `kubeadm certs check-expiration` and `kubectl get csr`, between prompts and logs.

use super::{Paste, Row, UNKNOWN_MAX, requests};
use crate::kubeadm::Version;
use crate::kubeadm::certlist::{CA_NAMES, RENEWED};
use crate::time::Timestamp;

/// Whether `check-expiration` shows this name, or people expect it to.
fn is_shown(name: &str) -> bool {
    RENEWED.contains(&name) || CA_NAMES.contains(&name) || name == "kubelet.conf"
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Reads every line.
pub(super) fn read(text: &str, paste: &mut Paste) {
    for line in text.lines() {
        let line = plain(line);
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.is_empty() {
            continue;
        }
        let understood = header(&line, paste)
            || requests::header(&line, paste)
            || row(&words, paste)
            || missing(&words, paste)
            || requests::row(&words, paste)
            || said(&line, paste);
        if understood {
            continue;
        }
        if paste.unknown.len() < UNKNOWN_MAX {
            paste.unknown.push(line);
        } else {
            paste.unknown_left_out += 1;
        }
    }
}

/// Without the sequences that colour a terminal.
pub(super) fn colourless(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '\u{1b}' {
            out.push(c);
        } else if rest.peek() == Some(&'[') {
            // CSI ... letter
            rest.by_ref().find(char::is_ascii_alphabetic);
        }
    }
    out
}

/// Without control characters and Markdown's table bars.
fn plain(line: &str) -> String {
    let mut out = String::new();
    for c in line.chars() {
        match c {
            '\t' | '|' | '\u{a0}' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out.trim().to_owned()
}

fn header(line: &str, paste: &mut Paste) -> bool {
    let table = line.contains("EXPIRES") && line.contains("CERTIFICATE");
    paste.ca_table |= table && line.starts_with("CERTIFICATE AUTHORITY");
    if table && line.starts_with("CERTIFICATE ") && !line.starts_with("CERTIFICATE AUTHORITY") {
        paste.ca_column |= line.contains("CERTIFICATE AUTHORITY");
    }
    table
}

/// `apiserver   Dec 30, 2020 23:36 UTC   364d   ca   no`, with anything before it.
fn row(words: &[&str], paste: &mut Paste) -> bool {
    let Some((at, not_after)) = words
        .windows(5)
        .enumerate()
        .find_map(|(index, window)| Some((index, date(window)?)))
    else {
        return false;
    };
    let Some(name) = at
        .checked_sub(1)
        .map(|before| words[before])
        .filter(|name| is_shown(name))
    else {
        return false;
    };
    let after = &words[at + 5..];
    paste.external |= after.iter().skip(1).any(|word| *word == "yes");
    paste.rows.push(Row {
        name: name.to_owned(),
        not_after: Some(not_after),
        not_before: None,
        residual: after
            .first()
            .filter(|word| is_residual(word))
            .map(|word| (*word).to_owned()),
        residual_s: None,
        minutes: true,
    });
    true
}

fn date(words: &[&str]) -> Option<Timestamp> {
    let [month, day, year, time, zone] = words else {
        return None;
    };
    let month = MONTHS.iter().position(|known| known == month)? + 1;
    let day: u8 = day.strip_suffix(',')?.parse().ok()?;
    let year: u16 = year.parse().ok()?;
    (*zone == "UTC").then_some(())?;
    format!("{year:04}-{month:02}-{day:02}T{time}:00Z")
        .parse()
        .ok()
}

fn is_residual(word: &str) -> bool {
    word == "<invalid>" || crate::time::span::parse(word).is_ok()
}

/// `!MISSING! super-admin.conf`.
fn missing(words: &[&str], paste: &mut Paste) -> bool {
    let Some(name) = words
        .windows(2)
        .find(|pair| pair[0] == "!MISSING!" && is_shown(pair[1]))
        .map(|pair| pair[1])
    else {
        return false;
    };
    paste.rows.push(Row {
        name: name.to_owned(),
        not_after: None,
        not_before: None,
        residual: None,
        residual_s: None,
        minutes: false,
    });
    true
}

/// Commands and messages that say something without being a row.
fn said(line: &str, paste: &mut Paste) -> bool {
    if let Some(version) = line.split(['"', ' ', ',', ':', '=']).find_map(|word| {
        let version: Version = word.strip_prefix('v')?.parse().ok()?;
        (version.major == 1).then_some(version)
    }) {
        paste.version.get_or_insert(version);
    }
    if line.contains("kubeadm alpha certs") {
        paste.alpha = true;
    }
    // What is typed, and what kubeadm says before its tables.
    let words: Vec<&str> = line.split_whitespace().collect();
    let requests = words.windows(2).any(|pair| {
        pair[0] == "get" && (pair[1] == "csr" || pair[1].starts_with("certificatesigningrequest"))
    });
    // A prompt at which nothing was typed.
    let idle = words.len() <= 3 && line.ends_with(['$', '#']);
    requests
        || idle
        || line.contains("check-expiration")
        || line.starts_with("[check-expiration]")
        || line.contains("FYI: You can look at this config file")
}
