//! Node selectors (`@cp*`), processes (`kubelet@cp1`) and the ends of edges.

use std::fmt;

use super::problem::{listed, nearest};
use super::{Component, Nodes, Target};

/// A selector that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SelectError {
    #[error("`{0}` is not a node selector")]
    Selector(String),
    #[error("unknown component `{0}`")]
    Component(String),
    #[error("`{0}` does not say on which nodes")]
    Nodeless(String),
    #[error("`{0}` is not a process: it is a client that connects anew for each request")]
    NotProcess(String),
}

impl SelectError {
    pub(super) fn help(&self) -> Option<String> {
        Some(match self {
            Self::Selector(_) => {
                "use @cp1, @w2, @etcd1, @cp*, @w*, @etcd* or @all; several are separated by commas".to_owned()
            }
            Self::Component(name) => match nearest(name, NAMES.iter().map(|(name, _)| *name)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "components are {}",
                    listed(
                        Component::ALL
                            .iter()
                            .map(|component| component.name())
                            .chain(["control-plane"])
                    )
                ),
            },
            Self::Nodeless(name) => format!("write for example {name}@cp1 or {name}@*"),
            Self::NotProcess(_) => {
                "processes are etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubelet"
                    .to_owned()
            }
        })
    }
}

const NAMES: [(&str, Component); 13] = [
    ("metrics-server", Component::MetricsServer),
    ("etcd", Component::Etcd),
    ("kube-apiserver", Component::ApiServer),
    ("apiserver", Component::ApiServer),
    ("kube-controller-manager", Component::ControllerManager),
    ("controller-manager", Component::ControllerManager),
    ("kube-scheduler", Component::Scheduler),
    ("scheduler", Component::Scheduler),
    ("kubelet", Component::Kubelet),
    ("admin", Component::Admin),
    ("user", Component::User),
    ("extension", Component::Extension),
    ("aggregator", Component::Extension),
];

/// How many machines of each kind a cluster has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Control planes.
    pub control_planes: u32,
    /// Workers.
    pub workers: u32,
    /// Machines of an external etcd.
    pub etcd: u32,
}

/// What stands for "all static Pods".
const CONTROL_PLANE: &str = "control-plane";

impl Component {
    /// Every component.
    pub const ALL: [Self; 9] = [
        Self::Etcd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Kubelet,
        Self::Admin,
        Self::User,
        Self::Extension,
        Self::MetricsServer,
    ];

    /// Its name as Kubernetes writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::Admin => "admin",
            Self::User => "user",
            Self::Extension => "extension",
            Self::MetricsServer => "metrics-server",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.component.map_or(CONTROL_PLANE, Component::name);
        match self.nodes.0.as_str() {
            "*" => f.write_str(name),
            nodes => write!(f, "{name}@{nodes}"),
        }
    }
}

impl Nodes {
    /// Every node, or for the server of an edge "wherever the client's configuration points".
    #[must_use]
    pub fn any() -> Self {
        Self("*".to_owned())
    }

    /// The names it stands for in a cluster of that size, in the cluster's order and each once. A name
    /// that the cluster does not have is part of the answer too, at the end.
    #[must_use]
    pub fn names(&self, counts: Counts) -> Vec<String> {
        let all: Vec<String> = [
            ("cp", counts.control_planes),
            ("w", counts.workers),
            ("etcd", counts.etcd),
        ]
        .into_iter()
        .flat_map(|(kind, count)| (1..=count).map(move |number| format!("{kind}{number}")))
        .collect();
        let parts: Vec<&str> = self.0.split(',').map(str::trim).collect();
        let chosen = |name: &str| {
            parts.iter().any(|part| match *part {
                "*" | "all" => true,
                "cp*" => name.starts_with("cp"),
                "w*" => name.starts_with('w'),
                "etcd*" => name.starts_with("etcd"),
                exact => exact == name,
            })
        };
        let mut names: Vec<String> = all.iter().filter(|name| chosen(name)).cloned().collect();
        for part in parts {
            let single = part.ends_with(|c: char| c.is_ascii_digit());
            if single && !names.iter().any(|name| name == part) {
                names.push(part.to_owned());
            }
        }
        names
    }
}

/// Reads `@cp1`, `cp1`, `@cp*`, `@all`, `@cp1,w2`.
pub(super) fn nodes(text: &str) -> Result<Nodes, SelectError> {
    let error = || SelectError::Selector(text.trim().to_owned());
    let parts: Vec<&str> = text
        .split(',')
        .map(|part| part.trim())
        .map(|part| part.strip_prefix('@').unwrap_or(part))
        .collect();
    if parts.iter().all(|part| is_selector(part)) {
        Ok(Nodes(parts.join(",")))
    } else {
        Err(error())
    }
}

fn is_selector(part: &str) -> bool {
    let numbered = |rest: &str| {
        (1..=4).contains(&rest.len())
            && rest.bytes().all(|b| b.is_ascii_digit())
            && !rest.starts_with('0')
    };
    matches!(part, "all" | "*" | "cp*" | "w*" | "etcd*")
        || part.strip_prefix("cp").is_some_and(numbered)
        || part.strip_prefix("etcd").is_some_and(numbered)
        || part.strip_prefix('w').is_some_and(numbered)
}

/// Reads `kubelet@cp1`, `control-plane@cp*`: something that can be stopped and looked at.
pub(super) fn process(text: &str) -> Result<Target, SelectError> {
    let text = text.trim();
    let (name, on) = text.split_once('@').ok_or_else(|| match component(text) {
        Ok(_) => SelectError::Nodeless(text.to_owned()),
        Err(error) => error,
    })?;
    let component = component(name.trim())?;
    if matches!(
        component,
        Some(Component::Admin | Component::User | Component::MetricsServer)
    ) {
        return Err(SelectError::NotProcess(name.trim().to_owned()));
    }
    Ok(Target {
        component,
        nodes: nodes(on)?,
    })
}

/// Reads one end of an edge: `kubelet@cp1`, `apiserver`.
pub(super) fn endpoint(text: &str) -> Result<Target, SelectError> {
    let text = text.trim();
    let (name, on) = match text.split_once('@') {
        Some((name, on)) => (name.trim(), nodes(on)?),
        None => (text, Nodes::any()),
    };
    match component(name)? {
        Some(component) => Ok(Target {
            component: Some(component),
            nodes: on,
        }),
        None => Err(SelectError::Component(name.to_owned())),
    }
}

fn component(name: &str) -> Result<Option<Component>, SelectError> {
    if name == CONTROL_PLANE {
        return Ok(None);
    }
    NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, component)| Some(*component))
        .ok_or_else(|| SelectError::Component(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_stand_for_nodes_in_order() {
        let counts = Counts {
            control_planes: 3,
            workers: 2,
            etcd: 1,
        };
        let names = |text| nodes(text).unwrap().names(counts);
        assert_eq!(names("@all"), ["cp1", "cp2", "cp3", "w1", "w2", "etcd1"]);
        assert_eq!(names("@etcd*"), ["etcd1"]);
        assert_eq!(names("@cp*"), ["cp1", "cp2", "cp3"]);
        assert_eq!(names("@w2, cp1"), ["cp1", "w2"]);
        assert_eq!(names("cp7"), ["cp7"]);
        assert!(nodes("@master1").is_err());
        assert!(nodes("").is_err());
        assert!(nodes("cp0").is_err());
    }

    #[test]
    fn processes_need_nodes_and_edges_do_not() {
        assert!(process("kubelet").is_err());
        assert_eq!(process("control-plane@cp1").unwrap().component, None);
        assert!(process("user@cp1").is_err());
        assert_eq!(endpoint(" apiserver ").unwrap().nodes, Nodes::any());
    }
}
