//! A kubeconfig without its keys, tokens and passwords: only what is on a list is kept.

use base64::Engine as _;
use serde_json::Value;
use zeroize::{Zeroize as _, Zeroizing};

use super::private::{Candidate, only, owner};
use super::{Cluster, Context, Kubeconfig, Pem, User};
use crate::pki::{pem, yaml};

/// What is known of a user besides the certificate; other fields are named, never kept.
const USER_KNOWN: [&str; 4] = [
    "client-certificate",
    "client-certificate-data",
    "client-key",
    "client-key-data",
];

/// Reads a kubeconfig. `None`: it is none that client-go could load.
pub(super) fn read(text: &[u8], candidates: &[Candidate]) -> Option<Kubeconfig> {
    let mut value = yaml::parse(text).ok()?.value;
    let parsed = extract(&value, candidates);
    forget(&mut value);
    parsed
}

/// Public keys of the client certificates of a kubeconfig.
pub(super) fn public_keys(text: &[u8]) -> Vec<Vec<u8>> {
    let Some(config) = read(text, &[]) else {
        return Vec::new();
    };
    config
        .users
        .values()
        .filter_map(|user| super::parse_all(&user.certificates).into_iter().next())
        .map(|certificate| certificate.spki_der().to_vec())
        .collect()
}

fn extract(value: &Value, candidates: &[Candidate]) -> Option<Kubeconfig> {
    let map = value.as_object()?;
    if !matches!(text(map.get("kind")).as_str(), "" | "Config") {
        return None;
    }
    let mut config = Kubeconfig {
        current_context: text(map.get("current-context")),
        ..Kubeconfig::default()
    };
    for (name, entry) in named(map.get("clusters"), "cluster") {
        let file = text(entry.get("certificate-authority"));
        config.clusters.insert(
            name,
            Cluster {
                server: without_password(&text(entry.get("server"))),
                authority: certificates(&data(entry.get("certificate-authority-data"))),
                authority_file: (!file.is_empty()).then_some(file),
            },
        );
    }
    for (name, entry) in named(map.get("contexts"), "context") {
        config.contexts.insert(
            name,
            Context {
                cluster: text(entry.get("cluster")),
                user: text(entry.get("user")),
            },
        );
    }
    for (name, entry) in named(map.get("users"), "user") {
        let file = |field| {
            let path = text(entry.get(field));
            (!path.is_empty()).then_some(path)
        };
        let key = data(entry.get("client-key-data"));
        config.users.insert(
            name,
            User {
                certificates: certificates(&data(entry.get("client-certificate-data"))),
                key: (!key.is_empty()).then(|| owner(&key, candidates)),
                certificate_file: file("client-certificate"),
                key_file: file("client-key"),
                withheld: entry
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(field, _)| field.clone())
                    .filter(|field| !USER_KNOWN.contains(&field.as_str()) && is_word(field))
                    .collect(),
            },
        );
    }
    Some(config)
}

/// Named entries: `- name: x` with the field beside it.
fn named<'v>(
    list: Option<&'v Value>,
    field: &'static str,
) -> impl Iterator<Item = (String, &'v Value)> {
    list.and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(move |entry| Some((text(entry.get("name")), entry.get(field)?)))
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn data(value: Option<&Value>) -> Zeroizing<Vec<u8>> {
    let compact: Zeroizing<Vec<u8>> = Zeroizing::new(
        value
            .and_then(Value::as_str)
            .unwrap_or_default()
            .bytes()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect(),
    );
    Zeroizing::new(
        base64::engine::general_purpose::STANDARD
            .decode(&*compact)
            .unwrap_or_default(),
    )
}

/// Certificates of a PEM text, written anew, so that nothing that stands between them is kept.
pub(super) fn certificates(text: &[u8]) -> Vec<Pem> {
    only(text, "CERTIFICATE")
        .iter()
        .map(|der| Pem(pem::encode("CERTIFICATE", der)))
        .collect()
}

/// A URL without `user:password@`, query and fragment.
pub(super) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url
            .split(['@', '?', '#'])
            .next_back()
            .unwrap_or_default()
            .to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or_default();
    let path = path.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

/// A field's name may be kept if it looks like one.
fn is_word(text: &str) -> bool {
    text.len() <= 40
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
}

/// Overwrites every text of a value.
fn forget(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(forget),
        Value::Object(map) => map.values_mut().for_each(forget),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lose_their_passwords() {
        for (url, kept) in [
            ("https://10.0.0.1:6443", "https://10.0.0.1:6443"),
            (
                "https://user:secret@lb:6443/api?token=x#y",
                "https://lb:6443/api",
            ),
            ("https://[fd00::1]:6443", "https://[fd00::1]:6443"),
        ] {
            assert_eq!(without_password(url), kept);
        }
    }

    #[test]
    fn tokens_and_passwords_are_named_and_not_kept() {
        let text = b"apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts:\n- name: a\n  context: {cluster: c, user: u}\nusers:\n- name: u\n  user:\n    token: s3cret-token\n    password: hunter2\n    exec: {command: vault, env: [{name: X, value: s3cret-env}]}\n";
        let config = read(text, &[]).unwrap();
        let out = format!("{config:?}");
        assert_eq!(
            config.user().unwrap().withheld,
            ["token", "password", "exec"]
        );
        assert!(!out.contains("s3cret") && !out.contains("hunter2"), "{out}");
    }
}
