//! Kubeconfigs as client-go's `clientcmd` loads, changes and writes them.
//!
//! Unknown fields are lost, other users and contexts are kept, entries are sorted by name.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::kubeconfig_error::{KubeconfigError, decode_base64};
use super::{pem, yaml};

/// What client-go keeps of a kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kubeconfig {
    /// Clusters by name.
    pub clusters: BTreeMap<String, Entry>,
    /// Contexts by name.
    pub contexts: BTreeMap<String, Entry>,
    /// Users by name.
    pub users: BTreeMap<String, Entry>,
    /// Name of the current context; may be empty or name nothing.
    pub current_context: String,
    preferences: Map<String, Value>,
    extensions: Option<Value>,
}

/// A cluster, context or user: its known fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry(Map<String, Value>);

/// Types of fields.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Bytes,
    Flag,
    Texts,
    Exec,
    Other,
}

type Fields = &'static [(&'static str, Kind)];

const CLUSTER: Fields = &[
    ("server", Kind::Text),
    ("tls-server-name", Kind::Text),
    ("insecure-skip-tls-verify", Kind::Flag),
    ("certificate-authority", Kind::Text),
    ("certificate-authority-data", Kind::Bytes),
    ("proxy-url", Kind::Text),
    ("disable-compression", Kind::Flag),
    ("extensions", Kind::Other),
];

const USER: Fields = &[
    ("client-certificate", Kind::Text),
    ("client-certificate-data", Kind::Bytes),
    ("client-key", Kind::Text),
    ("client-key-data", Kind::Bytes),
    ("token", Kind::Text),
    ("tokenFile", Kind::Text),
    ("as", Kind::Text),
    ("as-uid", Kind::Text),
    ("as-groups", Kind::Texts),
    ("as-user-extra", Kind::Other),
    ("username", Kind::Text),
    ("password", Kind::Text),
    ("auth-provider", Kind::Other),
    ("exec", Kind::Exec),
    ("extensions", Kind::Other),
];

const CONTEXT: Fields = &[
    ("cluster", Kind::Text),
    ("user", Kind::Text),
    ("namespace", Kind::Text),
    ("extensions", Kind::Other),
];

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What client-go keeps of a credential plugin, with what it fills in.
fn exec_plugin(exec: &Map<String, Value>) -> Value {
    let text = |name: &str| exec.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut out = Map::new();
    out.insert("command".to_owned(), json!(text("command")));
    for list in ["args", "env"] {
        out.insert(list.to_owned(), exec.get(list).cloned().unwrap_or_default());
    }
    let provides = exec.get("provideClusterInfo") == Some(&Value::Bool(true));
    out.insert("provideClusterInfo".to_owned(), json!(provides));
    let mode = match (text("interactiveMode"), text("apiVersion")) {
        ("", "client.authentication.k8s.io/v1beta1" | "client.authentication.k8s.io/v1alpha1") => {
            "IfAvailable"
        }
        (mode, _) => mode,
    };
    for (name, value) in [
        ("apiVersion", text("apiVersion")),
        ("installHint", text("installHint")),
        ("interactiveMode", mode),
    ] {
        if !value.is_empty() {
            out.insert(name.to_owned(), json!(value));
        }
    }
    Value::Object(out)
}

impl Entry {
    fn read(
        value: &Value,
        fields: Fields,
        path: &str,
        go_type: &'static str,
    ) -> Result<Self, KubeconfigError> {
        let map = match value {
            Value::Null => return Ok(Self::default()),
            Value::Object(map) => map,
            other => return Err(wrong(other, path, go_type)),
        };
        let mut out = Map::new();
        for &(name, kind) in fields {
            let Some(value) = map.get(name).filter(|value| !value.is_null()) else {
                continue;
            };
            let field = format!("{path}.{name}");
            match (kind, value) {
                (Kind::Text, Value::String(text)) if text.is_empty() => continue,
                (Kind::Flag, Value::Bool(false)) => continue,
                (Kind::Text, Value::String(_))
                | (Kind::Flag, Value::Bool(true))
                | (Kind::Texts, Value::Array(_))
                | (Kind::Other, _) => {}
                (Kind::Exec, Value::Object(exec)) => {
                    out.insert(name.to_owned(), exec_plugin(exec));
                    continue;
                }
                (Kind::Exec, other) => return Err(wrong(other, &field, "v1.ExecConfig")),
                (Kind::Bytes, Value::String(text)) => {
                    let bytes = decode_base64(text).map_err(|offset| KubeconfigError::Base64 {
                        offset,
                        field: name,
                        text: text.clone(),
                    })?;
                    if !bytes.is_empty() {
                        let text = pem::STANDARD.encode(bytes);
                        out.insert(name.to_owned(), Value::String(text));
                    }
                    continue;
                }
                (Kind::Text, other) => return Err(wrong(other, &field, "string")),
                (Kind::Bytes, other) => return Err(wrong(other, &field, "[]uint8")),
                (Kind::Flag, other) => return Err(wrong(other, &field, "bool")),
                (Kind::Texts, other) => return Err(wrong(other, &field, "[]string")),
            }
            out.insert(name.to_owned(), value.clone());
        }
        Ok(Self(out))
    }

    /// A text field; empty when there is none.
    #[must_use]
    pub fn text(&self, field: &str) -> &str {
        self.0
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// A binary field, decoded; empty when there is none.
    #[must_use]
    pub fn data(&self, field: &str) -> Vec<u8> {
        decode_base64(self.text(field)).unwrap_or_default()
    }

    /// Sets a text field; an empty text removes it.
    pub fn set_text(&mut self, field: &str, text: &str) {
        if text.is_empty() {
            self.0.remove(field);
        } else {
            self.0
                .insert(field.to_owned(), Value::String(text.to_owned()));
        }
    }

    /// Sets a binary field; no bytes remove it.
    pub fn set_data(&mut self, field: &str, bytes: &[u8]) {
        self.set_text(field, &pem::STANDARD.encode(bytes));
    }

    /// Has a user's certificate and key in a file instead of embedded: as a kubelet's that rotates them.
    pub fn point_at(&mut self, file: &str) {
        for name in ["client-certificate", "client-key"] {
            self.set_data(&format!("{name}-data"), &[]);
            self.set_text(name, file);
        }
    }

    /// Names of the fields that are set, in alphabetical order.
    #[must_use]
    pub fn fields(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.0.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    fn write(&self, always: &[&str]) -> Value {
        let mut out = self.0.clone();
        for field in always {
            out.entry((*field).to_owned()).or_insert_with(|| json!(""));
        }
        Value::Object(out)
    }
}

fn wrong(found: &Value, field: &str, wanted: &'static str) -> KubeconfigError {
    KubeconfigError::Type {
        found: go_kind(found),
        field: field.to_owned(),
        wanted,
    }
}

impl Kubeconfig {
    /// A kubeconfig with one cluster, user and context, as kubeadm creates them.
    #[must_use]
    pub fn new(cluster: &str, user: &str, server: &str, ca_pem: &[u8]) -> Self {
        let context = format!("{user}@{cluster}");
        let mut out = Self {
            current_context: context.clone(),
            ..Self::default()
        };
        let mut entry = Entry::default();
        entry.set_text("server", server);
        entry.set_data("certificate-authority-data", ca_pem);
        out.clusters.insert(cluster.to_owned(), entry);
        let mut entry = Entry::default();
        entry.set_text("cluster", cluster);
        entry.set_text("user", user);
        out.contexts.insert(context, entry);
        out.users.insert(user.to_owned(), Entry::default());
        out
    }

    /// Loads a kubeconfig; an empty file is an empty configuration.
    ///
    /// # Errors
    /// When client-go would not load it.
    pub fn parse(text: &[u8]) -> Result<Self, KubeconfigError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        remembered(text, || Self::parse_anew(text))
    }

    fn parse_anew(text: &[u8]) -> Result<Self, KubeconfigError> {
        let value = yaml::parse(text).map_err(KubeconfigError::Yaml)?.value;
        let map = match value {
            Value::Null => Map::new(),
            Value::Object(map) => map,
            other => return Err(KubeconfigError::NotAMapping(go_kind(&other))),
        };
        let head = |field: &'static str, default: &str| match map.get(field) {
            None | Some(Value::Null) => Ok(default.to_owned()),
            Some(Value::String(text)) if text.is_empty() => Ok(default.to_owned()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(other) => Err(KubeconfigError::VersionKind {
                found: go_kind(other),
                field,
            }),
        };
        let version = head("apiVersion", "v1")?;
        let kind = head("kind", "Config")?;
        if version != "v1" && version != "__internal" || kind != "Config" {
            return Err(KubeconfigError::OtherKind { kind, version });
        }
        let current_context = match map.get("current-context") {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => return Err(wrong(other, "Config.current-context", "string")),
        };
        Ok(Self {
            clusters: entries(&map, "clusters", "cluster", "Cluster", CLUSTER)?,
            users: entries(&map, "users", "user", "AuthInfo", USER)?,
            contexts: entries(&map, "contexts", "context", "Context", CONTEXT)?,
            current_context,
            preferences: match map.get("preferences") {
                Some(Value::Object(preferences)) => preferences
                    .iter()
                    .filter(|(name, _)| matches!(name.as_str(), "colors" | "extensions"))
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect(),
                _ => Map::new(),
            },
            extensions: map.get("extensions").filter(|it| !it.is_null()).cloned(),
        })
    }

    /// Writes the kubeconfig as clientcmd does. `with_preferences`: versions up to client-go 0.33
    /// write an empty `preferences: {}`.
    #[must_use]
    pub fn to_yaml(&self, with_preferences: bool) -> String {
        let list = |entries: &BTreeMap<String, Entry>, field: &str, always: &[&str]| {
            if entries.is_empty() {
                return Value::Null;
            }
            let items = entries
                .iter()
                .map(|(name, entry)| json!({"name": name, field: entry.write(always)}))
                .collect();
            Value::Array(items)
        };
        let mut out = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": list(&self.clusters, "cluster", &["server"]),
            "contexts": list(&self.contexts, "context", &["cluster", "user"]),
            "users": list(&self.users, "user", &[]),
            "current-context": self.current_context,
        });
        if with_preferences || !self.preferences.is_empty() {
            out["preferences"] = Value::Object(self.preferences.clone());
        }
        if let Some(extensions) = &self.extensions {
            out["extensions"] = extensions.clone();
        }
        yaml::emit(&out)
    }

    /// Forgets fields that a client-go does not know yet.
    pub fn forget_fields(&mut self, unknown: &[&str]) {
        for entry in self.clusters.values_mut().chain(self.users.values_mut()) {
            for field in unknown {
                entry.0.remove(*field);
            }
        }
    }

    /// The current context.
    #[must_use]
    pub fn context(&self) -> Option<&Entry> {
        self.contexts.get(&self.current_context)
    }

    /// The cluster of the current context.
    #[must_use]
    pub fn cluster(&self) -> Option<&Entry> {
        self.clusters.get(self.context()?.text("cluster"))
    }

    /// The user of the current context.
    #[must_use]
    pub fn user(&self) -> Option<&Entry> {
        self.users.get(self.context()?.text("user"))
    }

    /// The cluster of the current context, to change it.
    pub fn cluster_mut(&mut self) -> Option<&mut Entry> {
        let name = self.context()?.text("cluster").to_owned();
        self.clusters.get_mut(&name)
    }

    /// The user of the current context, to change it.
    pub fn user_mut(&mut self) -> Option<&mut Entry> {
        let name = self.context()?.text("user").to_owned();
        self.users.get_mut(&name)
    }

    /// Server URL of the current context; empty when there is none.
    #[must_use]
    pub fn server(&self) -> &str {
        self.cluster().map_or("", |cluster| cluster.text("server"))
    }

    /// CA certificates of the current context: embedded data, or a file's path.
    #[must_use]
    pub fn certificate_authority(&self) -> Source {
        Source::of(self.cluster(), "certificate-authority")
    }

    /// Client certificate of the current context.
    #[must_use]
    pub fn client_certificate(&self) -> Source {
        Source::of(self.user(), "client-certificate")
    }

    /// Client key of the current context.
    #[must_use]
    pub fn client_key(&self) -> Source {
        Source::of(self.user(), "client-key")
    }
}

/// Where a kubeconfig has a certificate or key. Data goes before a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Embedded.
    Data(Vec<u8>),
    /// In a file.
    File(String),
    /// Nowhere.
    Absent,
}

impl Source {
    fn of(entry: Option<&Entry>, field: &str) -> Self {
        let Some(entry) = entry else {
            return Self::Absent;
        };
        let data = entry.data(&format!("{field}-data"));
        if !data.is_empty() {
            return Self::Data(data);
        }
        match entry.text(field) {
            "" => Self::Absent,
            path => Self::File(path.to_owned()),
        }
    }
}

fn entries(
    map: &Map<String, Value>,
    list: &str,
    field: &str,
    kind: &'static str,
    fields: Fields,
) -> Result<BTreeMap<String, Entry>, KubeconfigError> {
    let mut out = BTreeMap::new();
    let items = match map.get(list) {
        None | Some(Value::Null) => return Ok(out),
        Some(Value::Array(items)) => items,
        Some(other) => {
            let wanted = match kind {
                "Cluster" => "[]v1.NamedCluster",
                "AuthInfo" => "[]v1.NamedAuthInfo",
                _ => "[]v1.NamedContext",
            };
            return Err(wrong(other, &format!("Config.{list}"), wanted));
        }
    };
    for item in items {
        let item = match item {
            Value::Null => &Map::new(),
            Value::Object(item) => item,
            other => {
                let wanted = match kind {
                    "Cluster" => "v1.NamedCluster",
                    "AuthInfo" => "v1.NamedAuthInfo",
                    _ => "v1.NamedContext",
                };
                return Err(wrong(other, &format!("Config.{list}"), wanted));
            }
        };
        let name = match item.get("name") {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => {
                return Err(wrong(other, &format!("Named{kind}.{list}.name"), "string"));
            }
        };
        let go_type = match kind {
            "Cluster" => "v1.Cluster",
            "AuthInfo" => "v1.AuthInfo",
            _ => "v1.Context",
        };
        let value = item.get(field).unwrap_or(&Value::Null);
        let entry = Entry::read(value, fields, &format!("{kind}.{list}.{field}"), go_type)?;
        if out.insert(name.clone(), entry).is_some() {
            return Err(KubeconfigError::Duplicate { kind, name });
        }
    }
    Ok(out)
}

/// What was parsed before in this thread. Every command of kubeadm reads every kubeconfig of its node, and few of them have changed
/// since the last one.
fn remembered(
    text: &[u8],
    parse: impl FnOnce() -> Result<Kubeconfig, KubeconfigError>,
) -> Result<Kubeconfig, KubeconfigError> {
    /// More than the nodes of one world have.
    const KEPT_MAX: usize = 64;
    thread_local! {
        static PARSED: RefCell<HashMap<Box<[u8]>, Kubeconfig>> = RefCell::default();
    }
    PARSED.with_borrow_mut(|known| {
        if let Some(config) = known.get(text) {
            return Ok(config.clone());
        }
        let config = parse()?;
        if known.len() >= KEPT_MAX {
            known.clear();
        }
        known.insert(Box::from(text), config.clone());
        Ok(config)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_current_user_changes_and_unknown_fields_go() {
        let text = "
apiVersion: v1
kind: Config
comment: lost
clusters:
- {name: kubernetes, cluster: {server: 'https://cp:6443', certificate-authority-data: YQ==, odd: 1}}
contexts:
- {name: a, context: {cluster: kubernetes, user: admin}}
- {name: b, context: {cluster: kubernetes, user: token}}
current-context: a
users:
- {name: token, user: {token: secret}}
- {name: admin, user: {client-certificate: x.crt}}
";
        let mut config = Kubeconfig::parse(text.as_bytes()).unwrap();
        assert_eq!(config.server(), "https://cp:6443");
        assert_eq!(config.certificate_authority(), Source::Data(b"a".to_vec()));
        assert_eq!(config.client_certificate(), Source::File("x.crt".into()));
        config
            .user_mut()
            .unwrap()
            .set_data("client-key-data", b"key");
        let text = config.to_yaml(false);
        assert!(!text.contains("odd") && !text.contains("comment"));
        assert!(text.contains("token: secret"));
        assert_eq!(Kubeconfig::parse(text.as_bytes()).unwrap(), config);
    }

    #[test]
    fn what_cannot_be_loaded_is_said_in_client_gos_words() {
        let error = |text: &str| Kubeconfig::parse(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            error("apiVersion: v1\nkind: Pod\n"),
            "no kind \"Pod\" is registered for version \"v1\" in scheme \"pkg/runtime/scheme.go:111\""
        );
        assert!(error("word").starts_with("couldn't get version/kind; json parse error"));
        assert_eq!(
            error("users: [{name: a, user: {client-key-data: 'YWJ!'}}]"),
            "illegal base64 data at input byte 3"
        );
        assert_eq!(Kubeconfig::parse(b"").unwrap(), Kubeconfig::default());
    }

    #[test]
    fn base64_offsets_are_gos() {
        assert_eq!(decode_base64("YWJj\nYQ=="), Ok(b"abca".to_vec()));
        assert_eq!(decode_base64("YWJjYW"), Err(4));
        assert_eq!(decode_base64("YQ=="), Ok(b"a".to_vec()));
        assert_eq!(decode_base64("YQ="), Err(3));
        assert_eq!(decode_base64("YQ==x"), Err(4));
        assert_eq!(decode_base64("*"), Err(0));
    }

    /// What somebody does with a kubeconfig is not seen by the next one who reads the same bytes.
    #[test]
    fn what_was_parsed_before_is_as_it_was() {
        for number in 0..200 {
            let text = format!(
                "current-context: c{}\nusers:\n- name: u\n  user: {{}}\n",
                number % 90
            );
            let mut config = Kubeconfig::parse(text.as_bytes()).unwrap();
            assert_eq!(config, Kubeconfig::parse_anew(text.as_bytes()).unwrap());
            config.users.clear();
            config.current_context.clear();
        }
    }
}
