//! Writes the scenario.

use std::fmt::Write as _;

use super::clock::{self, Instant};
use super::{Hints, ImportError, Paste, Row};
use crate::kubeadm::profile::Profile;
use crate::kubeadm::{Version, human_duration, short_human_duration};
use crate::time::{SignedDuration, Timestamp, shift};

/// From the cluster's start to the instant of the paste: everything has come up, or failed, by then.
const SETTLES_IN: SignedDuration = SignedDuration::from_mins(10);
/// Lines of the paste are cut here.
const COMMENT_MAX: usize = 160;

/// Makes a scenario of what was understood.
pub(super) fn scenario(paste: &Paste, hints: &Hints) -> Result<String, ImportError> {
    let (version, why) = version(paste, hints);
    let long = Profile::of(version).long_durations;
    let fallback = Instant {
        at: hints
            .at
            .or_else(|| "2026-01-01T00:10:00Z".parse().ok())
            .unwrap_or(Timestamp::UNIX_EPOCH),
        how: "nothing says it".to_owned(),
    };
    let now = clock::find(&paste.rows, long, hints.at).unwrap_or(fallback);
    let start = shift(now.at, -SETTLES_IN);
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
        "One control plane; names, addresses, keys and signers are those of kubeadm init."
            .to_owned(),
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
        out += "# Requests that were pasted (the scenario does not have them yet):\n";
        for line in &paste.requests {
            let _ = writeln!(out, "#   {}", comment(line));
        }
    }
    if !paste.unknown.is_empty() {
        out += "# Lines that mean nothing to certdrill:\n";
        for line in &paste.unknown {
            let _ = writeln!(out, "#   {}", comment(line));
        }
    }
    let name = hints.name.clone().unwrap_or_else(|| "imported".to_owned());
    let _ = write!(
        out,
        "apiVersion: certdrill/v1\nkind: Scenario\nmetadata:\n  name: {name}\n  title: Imported from pasted output\n  \
         tags: [imported]\nspec:\n  backends: [sim, kubeadm]\n  cluster:\n    version: {version}\n    start: {start}\n    \
         nodes: {{ controlPlane: 1, worker: {} }}\n",
        paste.nodes.len().clamp(0, 20).saturating_sub(1)
    );
    certificates(&playable, now.at, &mut out);
    steps(&playable, &now, long, &mut out);
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

fn steps(rows: &[&Row], now: &Instant, long: bool, out: &mut String) {
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
        *out += "    # Nothing that was pasted can be expected of a new cluster yet; say here what was seen.\n    - expect: { etcd: { quorum: true } }\n";
        return;
    }
    *out += "    # The table as it was pasted.\n    - expect:\n        residual:\n";
    for (name, printed) in expected {
        let _ = writeln!(out, "          {name}: {printed}");
    }
    *out += "        nodes: \"@cp1\"\n    # Go on with what was done, and what was seen then.\n";
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
    } else if !paste.rows.is_empty() && !paste.ca_column && paste.rows.iter().all(|row| row.minutes)
    {
        (
            Version::new(16, 15),
            "it is one of those whose table does not name the CA (before 1.17)",
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
