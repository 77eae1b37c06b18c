//! `kubeadm certs check-expiration -o json` and `-o yaml`.

use serde_json::Value;

use super::{Paste, Row};
use crate::pki::yaml;
use crate::time::Timestamp;

/// Takes structured output out of a text and returns what is around it.
pub(super) fn read(text: &str, paste: &mut Paste) -> String {
    for (before, document, after) in candidates(text) {
        let Ok(parsed) = yaml::parse(document.as_bytes()) else {
            continue;
        };
        let value = parsed.value;
        let certificates = value.get("certificates").and_then(Value::as_array);
        let Some(certificates) = certificates else {
            continue;
        };
        let authorities = value
            .get("certificateAuthorities")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        let rows: Vec<Row> = certificates
            .iter()
            .chain(authorities)
            .filter_map(row)
            .collect();
        if rows.is_empty() {
            continue;
        }
        paste.ca_column = true;
        paste.external |= certificates
            .iter()
            .any(|it| it.get("externallyManaged") == Some(&Value::Bool(true)));
        paste.rows.extend(rows);
        return format!("{before}\n{after}");
    }
    text.to_owned()
}

/// Pieces of the text that may be a document: from the first brace to the last, and from the first line of YAML on.
fn candidates(text: &str) -> Vec<(&str, &str, &str)> {
    let mut out = Vec::new();
    if let (Some(begin), Some(end)) = (text.find('{'), text.rfind('}'))
        && begin < end
    {
        out.push((&text[..begin], &text[begin..=end], &text[end + 1..]));
    }
    for key in ["apiVersion:", "certificateAuthorities:", "certificates:"] {
        let begin = text
            .match_indices(key)
            .map(|(at, _)| at)
            .find(|&at| at == 0 || text.as_bytes()[at - 1] == b'\n');
        if let Some(begin) = begin {
            // The document ends where a line is no YAML of it: a prompt, a new command.
            let document = &text[begin..];
            let end = document
                .split_inclusive('\n')
                .scan(0, |at, line| {
                    let here = *at;
                    *at += line.len();
                    Some((here, line))
                })
                .find(|(_, line)| {
                    !line.trim().is_empty()
                        && !line.starts_with([' ', '-'])
                        && !line.contains(": ")
                        && !line.trim_end().ends_with(':')
                })
                .map_or(document.len(), |(at, _)| at);
            out.push((&text[..begin], &document[..end], &document[end..]));
        }
    }
    out
}

fn row(value: &Value) -> Option<Row> {
    let name = value.get("name")?.as_str()?.to_owned();
    if crate::check::certificate_path(&name, crate::cluster::PKI)
        .starts_with("/etc/kubernetes/pki//")
        || name.contains('/')
    {
        return None;
    }
    let missing = value.get("missing") == Some(&Value::Bool(true));
    let not_after: Option<Timestamp> = value
        .get("expirationDate")
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok());
    if not_after.is_none() && !missing {
        return None;
    }
    Some(Row {
        name,
        not_after: not_after.filter(|_| !missing),
        not_before: None,
        residual: None,
        residual_s: value
            .get("residualTime")
            .and_then(Value::as_i64)
            .filter(|_| !missing),
        minutes: false,
    })
}
