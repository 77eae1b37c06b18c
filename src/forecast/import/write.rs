//! Writes the scenario.

use std::fmt::Write as _;

use super::clock::{self, Instant};
use super::requested::{self, Requested};
use super::trial::Trial;
use super::{Hints, ImportError, Paste, Row};
use crate::kubeadm::profile::Profile;
use crate::kubeadm::{Version, human_duration, short_human_duration};
use crate::time::{SignedDuration, Timestamp, shift};

/// From the cluster's start to the instant of the paste: everything has come up, or failed, by then.
const SETTLES_IN: SignedDuration = SignedDuration::from_mins(10);
const UNPLAYABLE: &str = "this cluster does not come to such a list";
/// Lines of the paste are cut here.
const COMMENT_MAX: usize = 160;

/// Makes a scenario of what was understood.
pub(super) fn scenario(paste: &Paste, hints: &Hints, trial: &Trial) -> Result<String, ImportError> {
    let (version, why) = version(paste, hints);
    let long = Profile::of(version).long_durations;
    let mut requested = requested::plan(paste);
    if trial.without_requests() {
        let rows = paste.requests.iter();
        requested = Requested {
            nodes: requested.nodes,
            left_out: rows.map(|row| (row.line.clone(), UNPLAYABLE)).collect(),
            ..Requested::default()
        };
    }
    let lead = requested.lead.max(SETTLES_IN);
    let fallback = || Instant {
        at: hints.at.unwrap_or_else(|| {
            let start = "2026-01-01T00:00:00Z".parse();
            shift(start.unwrap_or(Timestamp::UNIX_EPOCH), lead)
        }),
        how: "nothing says it".to_owned(),
    };
    let now = clock::find(&paste.rows, long, hints.at).unwrap_or_else(fallback);
    let start = shift(now.at, -lead);
    in_range(start, "the cluster's start")?;
    let mut rows: Vec<&Row> = Vec::new();
    for row in &paste.rows {
        if let Some(end) = row.not_after {
            in_range(end, &row.name)?;
        }
        rows.push(row);
    }
    let known = |name: &str| {
        name == "kubelet"
            || matches!(name, "ca" | "etcd-ca" | "front-proxy-ca")
            || crate::kubeadm::certlist::managed(&Profile::of(version), false)
                .iter()
                .any(|managed| managed.name() == name)
            || name == "super-admin.conf" && Profile::of(version).super_admin
    };
    let (playable, strange): (Vec<&Row>, Vec<&Row>) =
        rows.into_iter().partition(|row| known(&row.name));

    let mut assumed = vec![
        format!("The version is {why}."),
        format!("The output was made at {}: {}.", now.at, now.how),
        format!(
            "{} control plane{}; names, addresses, keys and signers are those of kubeadm init.",
            if requested.nodes.0 == 1 {
                "One".to_owned()
            } else {
                requested.nodes.0.to_string()
            },
            if requested.nodes.0 == 1 { "" } else { "s" }
        ),
        "Every process was restarted: what it holds in memory is what the files say.".to_owned(),
    ];
    if playable
        .iter()
        .any(|row| row.not_after.is_some() && row.not_before.is_none())
    {
        assumed.push("Where no first second of validity was given, a certificate began a year before its end (a CA ten).".to_owned());
    }
    if playable.iter().any(|row| row.minutes) {
        assumed.push(
            "Tables show minutes: each certificate ends with the first second of its minute."
                .to_owned(),
        );
    }
    if paste.external {
        assumed.push("EXTERNALLY MANAGED says yes somewhere: remove the key of that CA with a `remove` step to play that.".to_owned());
    }
    assumed.append(&mut requested.assumed);
    for row in &strange {
        assumed.push(format!(
            "kubeadm {version} has no {}: its row is left out.",
            row.name
        ));
    }
    let mut out = String::new();
    out += "# Imported from pasted output. What had to be assumed:\n";
    for line in &assumed {
        let _ = writeln!(out, "#   - {}", comment(line));
    }
    if !paste.requests.is_empty() {
        out += "# Requests that were pasted:\n";
        for row in &paste.requests {
            let left_out = requested
                .left_out
                .iter()
                .find(|(line, _)| *line == row.line);
            let why =
                left_out.map_or_else(String::new, |(_, why)| format!("   (not played: {why})"));
            let _ = writeln!(out, "#   {}{why}", comment(&row.line));
        }
        if paste.requests_left_out > 0 {
            let _ = writeln!(out, "#   and {} more", paste.requests_left_out);
        }
    }
    if !paste.unknown.is_empty() {
        out += "# Lines that mean nothing to certdrill:\n";
        for line in &paste.unknown {
            let _ = writeln!(out, "#   {}", comment(line));
        }
        if paste.unknown_left_out > 0 {
            let _ = writeln!(
                out,
                "#   and {} more, which are left out",
                paste.unknown_left_out
            );
        }
    }
    let name = hints.name.clone().unwrap_or_else(|| "imported".to_owned());
    let _ = write!(
        out,
        "apiVersion: certdrill/v1\nkind: Scenario\nmetadata:\n  name: {name}\n  title: Imported from pasted output\n  \
         tags: [imported]\nspec:\n  backends: [sim, kubeadm]\n  cluster:\n    version: {version}\n    start: {start}\n    \
         nodes: {{ controlPlane: {}, worker: {} }}\n",
        requested.nodes.0, requested.nodes.1
    );
    for line in &requested.cluster {
        let _ = writeln!(out, "    {line}");
    }
    certificates(&playable, now.at, &mut out);
    steps(&playable, &now, long, &requested, &mut out);
    expected_requests(&requested, trial, &mut out);
    Ok(out)
}

fn certificates(rows: &[&Row], now: Timestamp, out: &mut String) {
    let dated: Vec<(&Row, Timestamp)> = rows
        .iter()
        .filter_map(|row| Some((*row, row.not_after?)))
        .collect();
    if dated.is_empty() {
        return;
    }
    *out += "    certificates:\n";
    for (row, end) in dated {
        let from = row
            .not_before
            .filter(|from| *from <= end)
            .map_or_else(String::new, |from| format!("notBefore: {from}, "));
        let remark = if end < now { "   # has ended" } else { "" };
        let _ = writeln!(
            out,
            "      {}: {{ {from}notAfter: {end} }}{remark}",
            row.name
        );
    }
}

fn steps(rows: &[&Row], now: &Instant, long: bool, requested: &Requested, out: &mut String) {
    *out += "  steps:\n";
    let missing: Vec<&str> = rows
        .iter()
        .filter(|row| row.not_after.is_none())
        .map(|row| row.name.as_str())
        .collect();
    if !missing.is_empty() {
        let paths: Vec<String> = missing
            .iter()
            .map(|name| crate::check::certificate_path(name, crate::cluster::PKI))
            .collect();
        let _ = writeln!(
            out,
            "    - remove: {{ nodes: \"@cp1\", paths: [{}] }}",
            paths.join(", ")
        );
    }
    for event in &requested.events {
        let _ = writeln!(out, "    - walk: until {}", shift(now.at, -event.before));
        for step in &event.steps {
            let _ = writeln!(out, "    - {step}");
        }
    }
    let _ = writeln!(out, "    - walk: until {}", now.at);
    let print = if long {
        human_duration
    } else {
        short_human_duration
    };
    let mut expected = Vec::new();
    let mut differs = Vec::new();
    for row in rows {
        let Some(end) = row.not_after else { continue };
        // The kubelet's own certificate is in no table.
        if row.name == "kubelet" {
            continue;
        }
        // kubeadm counts whole seconds, and an instant here is one.
        let seconds = end.as_second() - now.at.as_second();
        let printed = print(seconds);
        match &row.residual {
            Some(residual) if *residual != printed => differs.push((row, residual, printed)),
            _ => expected.push((row.name.as_str(), printed)),
        }
    }
    for (row, residual, printed) in &differs {
        let _ = writeln!(
            out,
            "    # {} was pasted with {residual}, which does not agree with the other rows: at this time it is {printed}.",
            row.name
        );
    }
    if expected.is_empty() {
        if !requested.expected.is_empty() {
            return;
        }
        *out += "    # Nothing that was pasted can be expected of a new cluster yet; say here what was seen.\n    - expect: { etcd: { quorum: true } }\n";
        return;
    }
    *out += "    # The table as it was pasted.\n    - expect:\n        residual:\n";
    for (name, printed) in expected {
        let _ = writeln!(out, "          {name}: {printed}");
    }
    *out += "        nodes: \"@cp1\"\n    # Go on with what was done, and what was seen then.\n";
}

/// The table of requests as it was pasted, as far as this cluster shows the same.
fn expected_requests(requested: &Requested, trial: &Trial, out: &mut String) {
    if requested.expected.is_empty() {
        return;
    }
    *out += "    # The requests as they were pasted.\n    - expect:\n";
    let mut held = 0;
    for line in &requested.expected {
        match trial.refuted(line) {
            None => {
                held += 1;
                let _ = writeln!(out, "        - {line}");
            }
            Some(seen) => {
                let _ = writeln!(
                    out,
                    "        # Not so in this cluster, which has {}:\n        #   {line}",
                    comment(seen)
                );
            }
        }
    }
    if held == 0 {
        *out += "        - { etcd: { quorum: true } }\n";
    }
}

/// A version that prints this.
fn version(paste: &Paste, hints: &Hints) -> (Version, String) {
    if let Some(version) = hints.version {
        return (version, "given on the command line".to_owned());
    }
    if let Some(version) = paste.version.filter(|version| *version >= Version::OLDEST) {
        return (version, format!("{version}, which stands in the text"));
    }
    let has = |name: &str| paste.rows.iter().any(|row| row.name == name);
    let two_units = paste.rows.iter().any(|row| {
        row.residual
            .as_ref()
            .is_some_and(|residual| residual.chars().filter(char::is_ascii_alphabetic).count() == 2)
    });
    let columns = paste.request_columns;
    let duration = paste.requests.iter().any(|row| row.duration.is_some());
    let (version, why) = if has("super-admin.conf") {
        (
            Version::new(36, 3),
            "it is one of those that have super-admin.conf (1.29 and later)",
        )
    } else if two_units {
        (
            Version::new(36, 3),
            "it is one of those that print two units of RESIDUAL TIME (1.31 and later)",
        )
    } else if paste.alpha {
        (
            Version::new(17, 17),
            "it is one of those that say kubeadm alpha certs (before 1.20)",
        )
    } else if !paste.rows.is_empty()
        && !paste.ca_column
        && !paste.ca_table
        && paste.rows.iter().all(|row| row.minutes)
    {
        (
            Version::new(16, 15),
            "it is one of those whose table does not name the CA (before 1.17)",
        )
    } else if paste.rows.is_empty() && columns.is_some_and(|columns| !columns.signer) {
        (
            Version::new(17, 17),
            "it is one of those whose kubectl names no signer (before 1.18)",
        )
    } else if paste.rows.is_empty() && columns.is_some_and(|columns| !columns.duration) && !duration
    {
        (
            Version::new(20, 15),
            "it is one of those whose kubectl shows no requested duration (before 1.22)",
        )
    } else {
        (
            Version::new(28, 15),
            "nothing says it, and it is one without super-admin.conf",
        )
    };
    (
        version,
        format!("not in the text. {version}: {why}; give --kubernetes-version to say otherwise"),
    )
}

fn in_range(at: Timestamp, what: &str) -> Result<(), ImportError> {
    let year = jiff::fmt::strtime::format("%Y", at)
        .ok()
        .and_then(|year| year.parse::<i32>().ok())
        .unwrap_or(0);
    if (1971..=2900).contains(&year) {
        Ok(())
    } else {
        Err(ImportError::Dates(format!("{what} at {at}")))
    }
}

/// A line for a comment: no control characters, not endless.
fn comment(line: &str) -> String {
    let clean: String = line
        .chars()
        .filter(|c| {
            !c.is_control()
                && !matches!(
                    c,
                    '\u{2028}' | '\u{2029}' | '\u{85}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
                )
        })
        .take(COMMENT_MAX)
        .collect();
    clean.trim_end().to_owned()
}
