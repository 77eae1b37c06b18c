//! Scalars of the format: what one word or number may be, and what to say when it is not.

mod words;

pub(crate) use words::{AllEdges, ApiVersion, Approver, Kind, MetricsServer, Pending, ShownBy};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::decode::{Decode, Problems, expected};
use super::node::{Node, Value};
use super::problem::{Problem, listed, nearest};
use super::select;
use super::{Nodes, Passage, Position, Target};
use crate::kubeadm::Version;
use crate::kubeadm::certlist::{CA_NAMES, RENEWED};
use crate::time::{SignedDuration, Timestamp, span};

/// A scalar and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) at: Position,
}

/// Why a text is not what it should be, and what to write instead.
pub(super) struct Complaint {
    message: String,
    help: Option<String>,
}

impl Complaint {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
        }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl From<select::SelectError> for Complaint {
    fn from(error: select::SelectError) -> Self {
        let help = error.help();
        Self {
            message: error.to_string(),
            help,
        }
    }
}

/// What can be read from the text of a scalar.
pub(super) trait Scalar: Sized {
    /// What it is, with article: `a length of time`.
    const WHAT: &'static str;

    fn parse(text: &str) -> Result<Self, Complaint>;

    fn schema() -> Schema {
        json_schema!({ "type": "string" })
    }
}

impl<T: Scalar> Decode for At<T> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Value::Scalar(text) = &node.value else {
            return problems.push(expected(T::WHAT, node));
        };
        match T::parse(text) {
            Ok(value) => Some(Self { value, at: node.at }),
            Err(complaint) => {
                let mut problem = Problem::new(node.at, complaint.message);
                problem.help = complaint.help;
                problems.push(problem)
            }
        }
    }
}

impl<T: Scalar> JsonSchema for At<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::WHAT.into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        T::schema()
    }
}

/// A matrix key in braces may stand wherever a scalar may.
pub(super) const PLACEHOLDER: &str = r"\{[A-Za-z][A-Za-z0-9_-]*\}";

impl Scalar for String {
    const WHAT: &'static str = "text";

    fn parse(text: &str) -> Result<Self, Complaint> {
        Ok(text.to_owned())
    }

    fn schema() -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

impl Scalar for bool {
    const WHAT: &'static str = "true or false";

    fn parse(text: &str) -> Result<Self, Complaint> {
        match text {
            "true" | "True" | "TRUE" => Ok(true),
            "false" | "False" | "FALSE" => Ok(false),
            _ => Err(Complaint::new(format!(
                "expected true or false, found `{text}`"
            ))),
        }
    }

    fn schema() -> Schema {
        json_schema!({ "anyOf": [{ "type": "boolean" }, { "type": "string", "pattern": PLACEHOLDER }] })
    }
}

macro_rules! integers {
    ($($type:ty: $what:literal;)*) => {$(
        impl Scalar for $type {
            const WHAT: &'static str = $what;

            fn parse(text: &str) -> Result<Self, Complaint> {
                text.parse().map_err(|_| {
                    Complaint::new(format!("expected {}, found `{text}`", Self::WHAT))
                })
            }

            fn schema() -> Schema {
                json_schema!({ "anyOf": [{ "type": "integer" }, { "type": "string", "pattern": PLACEHOLDER }] })
            }
        }
    )*};
}
integers! {
    i32: "a whole number";
    u32: "a whole number, 0 or more";
    u64: "a whole number, 0 or more";
}

impl Scalar for SignedDuration {
    const WHAT: &'static str = "a length of time such as 300d, 20s or 1d12h";

    fn parse(text: &str) -> Result<Self, Complaint> {
        span::parse(text).map_err(|error| Complaint::new(error.to_string()))
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "examples": ["300d", "20s", "1d12h"] })
    }
}

/// A length of time that is more than nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Forward(pub(crate) SignedDuration);

impl Scalar for Forward {
    const WHAT: &'static str = SignedDuration::WHAT;

    fn parse(text: &str) -> Result<Self, Complaint> {
        let span = SignedDuration::parse(text)?;
        if span.is_positive() {
            Ok(Self(span))
        } else {
            Err(Complaint::new(format!("`{text}` is not more than nothing"))
                .help("to set clocks back, use `stepBack: 10m` or `skew: { nodes: \"@cp1\", by: -10m }`"))
        }
    }

    fn schema() -> Schema {
        SignedDuration::schema()
    }
}

impl Scalar for Timestamp {
    const WHAT: &'static str = "an instant such as 2026-01-01T00:00:00Z";

    fn parse(text: &str) -> Result<Self, Complaint> {
        text.parse().map_err(|_| {
            Complaint::new(format!("`{text}` is not an instant"))
                .help("write it in UTC, as 2026-01-01T00:00:00Z")
        })
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "examples": ["2026-01-01T00:00:00Z"] })
    }
}

impl Scalar for Version {
    const WHAT: &'static str = "a Kubernetes version such as v1.36.3";

    fn parse(text: &str) -> Result<Self, Complaint> {
        let version: Self = text.parse().map_err(|_| {
            let complaint = Complaint::new(format!("`{text}` is not a Kubernetes version"));
            match format!("{text}.0").parse::<Self>() {
                Ok(with_patch) => complaint.help(format!(
                    "the patch counts here: write it out, for example {with_patch}"
                )),
                Err(_) => complaint.help("write it as v1.36.3"),
            }
        })?;
        if version.major == 1 && version >= Version::OLDEST_HISTORIC {
            Ok(version)
        } else {
            Err(
                Complaint::new(format!("unknown version {version}")).help(format!(
                    "certdrill knows kubeadm from {} on, and a little of it from {} on",
                    Version::OLDEST,
                    Version::OLDEST_HISTORIC
                )),
            )
        }
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "examples": ["v1.36.3"] })
    }
}

impl Scalar for Nodes {
    const WHAT: &'static str = "a node selector such as @cp1, @cp*, @w* or @all";

    fn parse(text: &str) -> Result<Self, Complaint> {
        Ok(select::nodes(text)?)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "examples": ["@cp1", "@cp*", "@w*", "@all", "@cp1,cp2"] })
    }
}

impl Scalar for Target {
    const WHAT: &'static str = "a process and nodes such as kubelet@cp1";

    fn parse(text: &str) -> Result<Self, Complaint> {
        Ok(select::process(text)?)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "examples": ["kubelet@cp1", "kube-apiserver@cp*", "control-plane@cp1"] })
    }
}

/// `kubelet@cp1 -> apiserver`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EdgeText {
    pub(crate) client: Target,
    pub(crate) server: Target,
}

impl Scalar for EdgeText {
    const WHAT: &'static str = "an edge such as kubelet@cp1 -> apiserver";

    fn parse(text: &str) -> Result<Self, Complaint> {
        let (client, server) = text
            .split_once("->")
            .or_else(|| text.split_once('→'))
            .ok_or_else(|| {
                Complaint::new(format!("`{text}` is not an edge"))
                    .help("write client -> server, for example kubelet@cp1 -> apiserver")
            })?;
        Ok(Self {
            client: select::endpoint(client)?,
            server: select::endpoint(server)?,
        })
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "examples": ["kubelet@cp1 -> apiserver", "apiserver@cp1 -> etcd@cp1"] })
    }
}

/// The two ends of an edge written as `kubelet@cp1 -> apiserver`.
///
/// # Errors
/// With a sentence when it is not an edge, and with what to write instead.
pub fn edge(text: &str) -> Result<(Target, Target), (String, Option<String>)> {
    match EdgeText::parse(text) {
        Ok(edge) => Ok((edge.client, edge.server)),
        Err(complaint) => Err((complaint.message, complaint.help)),
    }
}

/// An instant written as such, as `day 255.5`, or as a length of time after `start`.
#[must_use]
pub fn instant(text: &str, start: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(instant) = <Timestamp as Scalar>::parse(text) {
        return Some(instant);
    }
    let passage = Passage::parse(text)
        .or_else(|_| Passage::parse(&format!("to {text}")))
        .ok()?;
    Some(match passage {
        Passage::For(span) | Passage::SinceStart(span) => crate::time::shift(start, span),
        Passage::Until(instant) => instant,
    })
}

/// An absolute path inside a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodePath(pub(crate) String);

impl Scalar for NodePath {
    const WHAT: &'static str = "an absolute path of a node";

    fn parse(text: &str) -> Result<Self, Complaint> {
        if text.starts_with('/') && !text.contains('\0') {
            Ok(Self(text.to_owned()))
        } else {
            Err(Complaint::new(format!("`{text}` is not an absolute path"))
                .help("paths are those of the node, for example /etc/kubernetes/pki/apiserver.crt"))
        }
    }
}

/// `cp1:/etc/kubernetes/admin.conf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) nodes: Nodes,
    pub(crate) path: String,
}

impl Scalar for Place {
    const WHAT: &'static str = "a node and a path such as cp1:/etc/kubernetes/admin.conf";

    fn parse(text: &str) -> Result<Self, Complaint> {
        let (nodes, path) = text.split_once(":/").ok_or_else(|| {
            Complaint::new(format!("`{text}` is not a node and a path"))
                .help("write it as cp1:/etc/kubernetes/admin.conf")
        })?;
        Ok(Self {
            nodes: select::nodes(nodes)?,
            path: format!("/{path}"),
        })
    }
}

/// Permission bits as `chmod` takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mode(pub(crate) u32);

impl Scalar for Mode {
    const WHAT: &'static str = "permission bits such as \"0600\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        match u32::from_str_radix(digits, 8) {
            Ok(bits) if bits <= 0o7777 && !digits.starts_with('+') => Ok(Self(bits)),
            _ => Err(Complaint::new(format!("`{text}` is not permission bits"))
                .help("write them in octal and in quotes, as \"0600\"")),
        }
    }

    fn schema() -> Schema {
        json_schema!({ "type": ["string", "integer"], "examples": ["0600"] })
    }
}

impl Scalar for Passage {
    const WHAT: &'static str =
        "a length of time (300d), an instant (until 2027-01-01T00:00:00Z) or a day (to day 255.5)";

    fn parse(text: &str) -> Result<Self, Complaint> {
        if let Some(instant) = text.strip_prefix("until ") {
            return Timestamp::parse(instant.trim()).map(Self::Until);
        }
        if let Some(day) = text.strip_prefix("to day ") {
            return SignedDuration::parse(&format!("{}d", day.trim()))
                .map(Self::SinceStart)
                .map_err(|_| {
                    Complaint::new(format!("`{text}` is not a day"))
                        .help("write it as: to day 255.5 (counted from the cluster's start)")
                });
        }
        Forward::parse(text).map(|span| Self::For(span.0))
    }

    fn schema() -> Schema {
        json_schema!({
            "type": "string",
            "examples": ["300d", "until 2027-01-01T00:00:00Z", "to day 255.5"],
        })
    }
}

/// `>= 300`, `<= 30` or `1..30`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Range {
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
}

impl Scalar for Range {
    const WHAT: &'static str = "a range such as \">= 300\", \"<= 30\" or \"1..30\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        let number = |text: &str| {
            text.trim()
                .parse::<f64>()
                .ok()
                .filter(|number| number.is_finite())
        };
        let range = if let Some(min) = text.strip_prefix(">=") {
            number(min).map(|min| (Some(min), None))
        } else if let Some(max) = text.strip_prefix("<=") {
            number(max).map(|max| (None, Some(max)))
        } else if let Some((min, max)) = text.split_once("..") {
            match (number(min), number(max)) {
                (Some(min), Some(max)) if min <= max => Some((Some(min), Some(max))),
                _ => None,
            }
        } else {
            None
        };
        range.map(|(min, max)| Self { min, max }).ok_or_else(|| {
            Complaint::new(format!("`{text}` is not a range"))
                .help("write \">= 300\", \"<= 30\" or \"1..30\"; days have fractions, so there is no \"exactly\"")
        })
    }
}

/// `certificate:`: a name of kubeadm's table, or a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateName(pub(crate) String);

/// Certificates that kubeadm and the kubelet keep, by kubeadm's names.
pub(super) const CERTIFICATES: [&str; 17] = {
    let mut names = [""; 17];
    let own = ["kubelet.conf", "kubelet", "kubelet-server"];
    let mut at = 0;
    while at < names.len() {
        names[at] = if at < RENEWED.len() {
            RENEWED[at]
        } else if at < RENEWED.len() + CA_NAMES.len() {
            CA_NAMES[at - RENEWED.len()]
        } else {
            own[at - RENEWED.len() - CA_NAMES.len()]
        };
        at += 1;
    }
    names
};

impl Scalar for CertificateName {
    const WHAT: &'static str = "a certificate such as apiserver or admin.conf, or an absolute path";

    fn parse(text: &str) -> Result<Self, Complaint> {
        if text.starts_with('/') || CERTIFICATES.contains(&text) {
            return Ok(Self(text.to_owned()));
        }
        let complaint = Complaint::new(format!("unknown certificate `{text}`"));
        Err(complaint.help(match nearest(text, CERTIFICATES) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "certificates are {}; or give an absolute path",
                listed(CERTIFICATES)
            ),
        }))
    }

    fn schema() -> Schema {
        json_schema!({ "anyOf": [
            { "enum": CERTIFICATES },
            { "type": "string", "pattern": "^/" },
            { "type": "string", "pattern": PLACEHOLDER },
        ] })
    }
}

/// Declares text that must satisfy a condition.
macro_rules! checked_text {
    ($type:ident, $what:literal, $valid:expr, $help:expr, $pattern:expr) => {
        impl $crate::scenario::scalar::Scalar for $type {
            const WHAT: &'static str = $what;

            fn parse(text: &str) -> Result<Self, $crate::scenario::scalar::Complaint> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    return Ok(Self(text.to_owned()));
                }
                Err($crate::scenario::scalar::Complaint::new(format!(
                    "`{text}` is not {}",
                    Self::WHAT
                ))
                .help($help))
            }

            fn schema() -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}
pub(super) use checked_text;
