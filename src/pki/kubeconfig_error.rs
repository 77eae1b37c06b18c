//! Why client-go cannot load a kubeconfig, in its words.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::yaml;

/// Where client-go's scheme was made, as its errors name it.
pub const SCHEME: &str = "pkg/runtime/scheme.go:111";

/// Why a kubeconfig cannot be loaded, in client-go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KubeconfigError {
    /// Not YAML.
    #[error("{0}")]
    Yaml(String),
    /// Neither a mapping nor empty.
    #[error(
        "couldn't get version/kind; json parse error: json: cannot unmarshal {0} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}"
    )]
    NotAMapping(&'static str),
    /// `apiVersion` or `kind` is not a string.
    #[error(
        "couldn't get version/kind; json parse error: json: cannot unmarshal {found} into Go struct field .{field} of type string"
    )]
    VersionKind {
        /// What was found.
        found: &'static str,
        /// `apiVersion` or `kind`.
        field: &'static str,
    },
    /// Another kind of object, or another version.
    #[error("no kind {kind:?} is registered for version {version:?} in scheme \"{SCHEME}\"")]
    OtherKind {
        /// Its kind.
        kind: String,
        /// Its version.
        version: String,
    },
    /// A field has the wrong type.
    #[error("json: cannot unmarshal {found} into Go struct field {field} of type {wanted}")]
    Type {
        /// What was found.
        found: &'static str,
        /// The field as `encoding/json` names it.
        field: String,
        /// The Go type.
        wanted: &'static str,
    },
    /// Base64 that is none.
    #[error("illegal base64 data at input byte {offset}")]
    Base64 {
        /// Where it goes wrong.
        offset: usize,
        /// The field.
        field: &'static str,
        /// What it holds.
        text: String,
    },
    /// A name that stands twice.
    #[error(
        "error converting *[]Named{kind} into *map[string]*api.{kind}: duplicate name {name:?} in list"
    )]
    Duplicate {
        /// `Cluster`, `AuthInfo` or `Context`.
        kind: &'static str,
        /// The name.
        name: String,
    },
}

impl KubeconfigError {
    /// The error in the words of the JSON parser that client-go had before 0.23, which shows the
    /// surroundings in the JSON that the file was turned into. Other errors keep their words.
    #[must_use]
    pub fn old_wording(&self, file: &[u8]) -> String {
        let Self::Base64 { field, text, .. } = self else {
            return self.to_string();
        };
        let json = yaml::parse(file)
            .map(|document| go_json(&document.value))
            .unwrap_or_default();
        let quoted = format!("{field:?}:{}", go_json(&Value::String(text.clone())));
        let head = json.find(&quoted).map_or(0, |at| at + quoted.len());
        let around = |reach: usize| {
            let start = head.saturating_sub(reach);
            let end = (head + reach).min(json.len());
            json.get(start..end).unwrap_or_default()
        };
        let path = match *field {
            "certificate-authority-data" => {
                "v1.Config.Clusters: []v1.NamedCluster: v1.NamedCluster.Cluster: v1.Cluster.CertificateAuthorityData"
            }
            "client-key-data" => {
                "v1.Config.AuthInfos: []v1.NamedAuthInfo: v1.NamedAuthInfo.AuthInfo: v1.AuthInfo.ClientKeyData"
            }
            _ => {
                "v1.Config.AuthInfos: []v1.NamedAuthInfo: v1.NamedAuthInfo.AuthInfo: v1.AuthInfo.ClientCertificateData"
            }
        };
        format!(
            "{path}: decode base64: {self}, error found in #{} byte of ...|{}|..., bigger context ...|{}|...",
            head.min(10),
            around(10),
            around(50)
        )
    }
}

/// A value as Go's `encoding/json` writes it: keys sorted, no blanks, HTML's characters escaped.
fn go_json(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_unstable();
            let entries: Vec<String> = keys
                .into_iter()
                .map(|key| {
                    let name = go_json(&Value::String(key.clone()));
                    format!("{name}:{}", go_json(&map[key]))
                })
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_json).collect();
            format!("[{}]", items.join(","))
        }
        other => other
            .to_string()
            .replace('<', "\\u003c")
            .replace('>', "\\u003e")
            .replace('&', "\\u0026"),
    }
}

/// Decodes as Go's `base64.StdEncoding`: line ends are skipped, the error is the offset of the first
/// character that is out of place.
///
/// # Errors
/// The offset of the illegal byte.
pub fn decode_base64(text: &str) -> Result<Vec<u8>, usize> {
    // What is laxer in Go, and where an error is, is found below.
    if let Ok(decoded) = STANDARD.decode(text) {
        return Ok(decoded);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3);
    let value = |byte: u8| {
        Some(match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        })
    };
    let is_line_end = |byte: u8| matches!(byte, b'\n' | b'\r');
    let mut at = 0;
    loop {
        let mut quantum = [0u8; 4];
        let mut count = 0;
        while count < 4 {
            let Some(&byte) = bytes.get(at) else {
                return if count == 0 { Ok(out) } else { Err(at - count) };
            };
            at += 1;
            if is_line_end(byte) {
                continue;
            }
            if let Some(value) = value(byte) {
                quantum[count] = value;
                count += 1;
                continue;
            }
            if byte != b'=' || count < 2 {
                return Err(at - 1);
            }
            if count == 2 {
                while bytes.get(at).copied().is_some_and(is_line_end) {
                    at += 1;
                }
                match bytes.get(at) {
                    None => return Err(bytes.len()),
                    Some(b'=') => at += 1,
                    Some(_) => return Err(at - 1),
                }
            }
            while bytes.get(at).copied().is_some_and(is_line_end) {
                at += 1;
            }
            if at < bytes.len() {
                return Err(at);
            }
            out.push(quantum[0] << 2 | quantum[1] >> 4);
            if count == 3 {
                out.push(quantum[1] << 4 | quantum[2] >> 2);
            }
            return Ok(out);
        }
        out.push(quantum[0] << 2 | quantum[1] >> 4);
        out.push(quantum[1] << 4 | quantum[2] >> 2);
        out.push(quantum[2] << 6 | quantum[3]);
    }
}
