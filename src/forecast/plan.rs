//! What happens to a cluster while it is forecast: nothing, upgrades, renewals by cron, restarts.

use serde::{Deserialize, Serialize};

use crate::cluster::{UpgradeOptions, World};
use crate::kubeadm::Version;
use crate::scenario::{self, Problem};
use crate::time::{SignedDuration, Timestamp, shift, span};

/// More than this is no plan.
const OCCASIONS_MAX: usize = 5_000;
/// How long a restart is given.
const RESTART_LIMIT: SignedDuration = SignedDuration::from_mins(5);

/// A plan as people write it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// `certdrill/v1`.
    pub api_version: String,
    /// `Plan`.
    pub kind: String,
    /// What happens, in any order.
    pub steps: Vec<Step>,
}

/// One thing that happens, once or again and again.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// An instant.
    #[serde(default)]
    pub at: Option<Timestamp>,
    /// A length of time after the capture: `90d`.
    #[serde(default)]
    pub after: Option<String>,
    /// It repeats: `30d`.
    #[serde(default)]
    pub every: Option<String>,
    /// `kubeadm upgrade apply` on the first control plane, `upgrade node` on the others.
    #[serde(default)]
    pub upgrade: Option<Upgrade>,
    /// `kubeadm certs renew all`.
    #[serde(default)]
    pub renew: Option<Renew>,
    /// A restart.
    #[serde(default)]
    pub restart: Option<Restart>,
}

/// An upgrade.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Upgrade {
    /// The version to upgrade to.
    pub to: String,
    /// Nodes in their order; all, control planes first, unless said otherwise.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// `--certificate-renewal`.
    #[serde(default)]
    pub certificate_renewal: Option<bool>,
}

/// A renewal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Renew {
    /// Nodes; every control plane unless said otherwise.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// Restart the control plane's static Pods afterwards.
    #[serde(default)]
    pub restart: bool,
}

/// A restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Restart {
    /// Nodes; all unless said otherwise.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// What is restarted.
    #[serde(default)]
    pub what: What,
}

/// What is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// The whole machine.
    #[default]
    Machine,
    /// The kubelet.
    Kubelet,
    /// The static Pods of the control plane.
    ControlPlane,
}

/// Why a plan cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// It is no YAML of this shape, at a place of its text.
    #[error("this is not a plan: line {}: {}", .0.at.line, .0.message)]
    Format(Box<Problem>),
    /// It is another file.
    #[error(
        "this is {kind:?} of {api_version:?}, and a plan is \"Plan\" of {:?}",
        super::capture::API_VERSION
    )]
    Kind {
        /// What it says.
        kind: String,
        /// What it says.
        api_version: String,
    },
    /// A step is wrong.
    #[error("step {step}: {what}")]
    Step {
        /// Number, from 1.
        step: usize,
        /// What.
        what: String,
    },
    /// It repeats without end.
    #[error("this plan has more than {OCCASIONS_MAX} occasions before the horizon")]
    TooMany,
}

/// Something that happens at an instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Occasion {
    /// When.
    pub at: Timestamp,
    /// What.
    pub act: Act,
}

/// What happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// An upgrade.
    Upgrade {
        /// To which version.
        to: Version,
        /// Which nodes, in order.
        nodes: Vec<String>,
        /// `--certificate-renewal`.
        certificate_renewal: Option<bool>,
    },
    /// A renewal of everything.
    Renew {
        /// Which nodes.
        nodes: Vec<String>,
        /// Whether static Pods are restarted.
        restart: bool,
    },
    /// A restart.
    Restart {
        /// Which nodes.
        nodes: Vec<String>,
        /// What.
        what: What,
    },
    /// New copies of admin.conf for users, where they have one. No plan has this: it is a remedy.
    CopyAdminConf,
    /// What renews an external etcd. No plan has this: it is a remedy.
    RenewEtcd(Vec<super::remedy::Order>),
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let plan: Self = scenario::document(text).map_err(PlanError::Format)?;
        if plan.kind != "Plan" || plan.api_version != super::capture::API_VERSION {
            return Err(PlanError::Kind {
                kind: plan.kind,
                api_version: plan.api_version,
            });
        }
        Ok(plan)
    }

    /// Every machine restarts, one after the other, each month: what a cluster lives through anyway.
    #[must_use]
    pub fn restarts() -> Self {
        let machines = Step {
            after: Some("1h".to_owned()),
            every: Some("30d".to_owned()),
            restart: Some(Restart {
                nodes: Vec::new(),
                what: What::Machine,
            }),
            ..Step::default()
        };
        Self {
            steps: vec![machines],
            ..Self::default()
        }
    }

    /// Everything that happens between two instants, in order.
    ///
    /// # Errors
    /// When a step names no time, no or two things, a node that is not there, or no version.
    pub fn occasions(
        &self,
        start: Timestamp,
        end: Timestamp,
        names: &[String],
    ) -> Result<Vec<Occasion>, PlanError> {
        let mut out = Vec::new();
        for (index, step) in self.steps.iter().enumerate() {
            let wrong = |what: String| PlanError::Step {
                step: index + 1,
                what,
            };
            let length = |text: &str| {
                span::parse(text)
                    .ok()
                    .filter(SignedDuration::is_positive)
                    .ok_or_else(|| wrong(format!("{text:?} is no length of time such as 30d")))
            };
            let every = step.every.as_deref().map(length).transpose()?;
            let mut at = match (step.at, step.after.as_deref(), every) {
                (Some(at), None, _) => at,
                (None, Some(after), _) => shift(start, length(after)?),
                (None, None, Some(every)) => shift(start, every),
                _ => return Err(wrong("say when: `at`, `after` or `every`".to_owned())),
            };
            let act = step.act().map_err(wrong)?;
            if let Some(unknown) = act.nodes().iter().find(|name| !names.contains(name)) {
                let help = scenario::nearest(unknown, names.iter().map(String::as_str))
                    .map_or_else(
                        || format!("the captured ones are {}", names.join(", ")),
                        |near| format!("did you mean {near:?}?"),
                    );
                return Err(wrong(format!("there is no node {unknown:?}: {help}")));
            }
            if at < start && every.is_none() {
                return Err(wrong(format!(
                    "{at} is before the capture, which was taken at {start}"
                )));
            }
            while at <= end {
                if at >= start {
                    out.push(Occasion {
                        at,
                        act: act.clone(),
                    });
                }
                if out.len() > OCCASIONS_MAX {
                    return Err(PlanError::TooMany);
                }
                match every {
                    Some(every) => at = shift(at, every),
                    None => break,
                }
            }
        }
        out.sort_by_key(|occasion| occasion.at);
        Ok(out)
    }
}

impl Step {
    fn act(&self) -> Result<Act, String> {
        match (&self.upgrade, &self.renew, &self.restart) {
            (Some(upgrade), None, None) => Ok(Act::Upgrade {
                to: upgrade
                    .to
                    .parse()
                    .map_err(|error: crate::kubeadm::VersionError| error.to_string())?,
                nodes: upgrade.nodes.clone(),
                certificate_renewal: upgrade.certificate_renewal,
            }),
            (None, Some(renew), None) => Ok(Act::Renew {
                nodes: renew.nodes.clone(),
                restart: renew.restart,
            }),
            (None, None, Some(restart)) => Ok(Act::Restart {
                nodes: restart.nodes.clone(),
                what: restart.what,
            }),
            _ => Err("say one thing that happens: `upgrade`, `renew` or `restart`".to_owned()),
        }
    }
}

impl Act {
    fn nodes(&self) -> &[String] {
        match self {
            Act::Upgrade { nodes, .. } | Act::Renew { nodes, .. } | Act::Restart { nodes, .. } => {
                nodes
            }
            Act::CopyAdminConf | Act::RenewEtcd(_) => &[],
        }
    }

    /// In a few words.
    #[must_use]
    pub fn words(&self) -> String {
        let on = match self.nodes() {
            [] => String::new(),
            nodes => format!(" on {}", nodes.join(", ")),
        };
        match self {
            Act::Upgrade {
                to,
                certificate_renewal,
                ..
            } => format!(
                "upgrade to {to}{}{on}",
                match certificate_renewal {
                    Some(renewal) => format!(" with --certificate-renewal={renewal}"),
                    None => String::new(),
                }
            ),
            Act::Renew { restart, .. } => format!(
                "renew all{}{on}",
                if *restart {
                    ", restart the control plane"
                } else {
                    ""
                }
            ),
            Act::Restart { what, .. } => format!(
                "restart {}{on}",
                match what {
                    What::Machine => "machines",
                    What::Kubelet => "kubelets",
                    What::ControlPlane => "the control plane",
                }
            ),
            Act::CopyAdminConf => "copy admin.conf for users".to_owned(),
            Act::RenewEtcd(_) => "renew the external etcd".to_owned(),
        }
    }

    /// Lets it happen. Says what a command answered when it failed.
    pub fn happen(&self, world: &mut World) -> Vec<String> {
        let mut failed = Vec::new();
        let all: Vec<usize> = (0..world.nodes.len()).collect();
        let nodes: Vec<usize> = match self.nodes() {
            [] => all,
            named => named
                .iter()
                .filter_map(|name| world.node_named(name))
                .collect(),
        };
        match self {
            Act::Upgrade {
                to,
                certificate_renewal,
                ..
            } => {
                // Machines of an external etcd are none that kubeadm upgrades.
                let nodes = nodes
                    .into_iter()
                    .filter(|&node| !world.nodes[node].only_etcd())
                    .collect::<Vec<_>>();
                for (place, node) in nodes.into_iter().enumerate() {
                    let output = world.upgrade(
                        node,
                        UpgradeOptions {
                            to: *to,
                            apply: place == 0,
                            certificate_renewal: *certificate_renewal,
                            etcd_upgrade: None,
                            config: None,
                        },
                    );
                    let why = match &output {
                        Ok(output) if output.exit_code == 0 => continue,
                        Ok(output) => &output.stderr,
                        Err(why) => why,
                    };
                    failed.push(format!(
                        "kubeadm upgrade to {to} fails on {}: {}",
                        world.nodes[node].name,
                        first_line(why)
                    ));
                    break;
                }
            }
            Act::Renew { restart, .. } => {
                for node in nodes {
                    if !world.nodes[node].control_plane {
                        continue;
                    }
                    let dir = super::remedy::cert_dir(&world.nodes[node].certificates_dir);
                    let rest: Vec<&str> = ["renew", "all"]
                        .into_iter()
                        .chain(dir.split_whitespace())
                        .collect();
                    let args = world.certs_command(node, &rest);
                    let output = world.kubeadm(node, &args);
                    if output.exit_code != 0 {
                        failed.push(format!(
                            "kubeadm certs renew all fails on {}: {}",
                            world.nodes[node].name,
                            first_line(&output.stderr)
                        ));
                    }
                    if *restart {
                        restart_control_plane(world, node);
                    }
                }
            }
            Act::RenewEtcd(orders) => {
                for order in orders {
                    failed.extend(
                        order
                            .apply(world)
                            .err()
                            .map(|error| format!("renewing etcd fails on {}: {error}", order.node)),
                    );
                }
            }
            Act::CopyAdminConf => {
                for node in nodes {
                    failed.extend(super::remedy::copy_admin_conf(world, node).err());
                }
            }
            Act::Restart { what, .. } => {
                for node in nodes {
                    match what {
                        What::Machine => {
                            world.power_off(node);
                            world.walk(SignedDuration::from_secs(30));
                            world.power_on(node);
                        }
                        What::Kubelet => restart_kubelet(world, node),
                        What::ControlPlane => restart_control_plane(world, node),
                    }
                    // One after the other, each given time to come back.
                    world.walk(RESTART_LIMIT);
                }
            }
        }
        failed
    }
}

/// `systemctl restart kubelet`.
pub fn restart_kubelet(world: &mut World, node: usize) {
    world.stop_kubelet(node);
    world.start_kubelet(node);
    world.touched();
}

/// Ends every static Pod's process; the kubelet starts them again.
pub fn restart_control_plane(world: &mut World, node: usize) {
    let pods = world.nodes[node].static_pods();
    for &component in pods {
        world.kill_pod(node, component);
    }
    world.touched();
    world.wait(RESTART_LIMIT, |world| {
        pods.iter()
            .all(|&component| world.nodes[node].process(component).is_some())
    });
}

/// The line that says what is wrong, without klog's and kubeadm's frames; and the list that it announces.
pub(super) fn first_line(stderr: &str) -> String {
    let mut lines = stderr.lines().map(str::trim).filter(|line| {
        !line.is_empty() && !line.starts_with("W") && !line.starts_with("To see the stack")
    });
    let first = lines.next().unwrap_or("no message");
    if !first.ends_with(':') {
        return first.to_owned();
    }
    std::iter::once(first)
        .chain(lines.filter(|line| line.starts_with('-') || line.starts_with("[ERROR ")))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occasions(text: &str) -> Result<Vec<Occasion>, PlanError> {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let end: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
        Plan::parse(&format!(
            "apiVersion: certdrill/v1\nkind: Plan\nsteps:\n{text}"
        ))?
        .occasions(start, end, &["cp1".to_owned()])
    }

    #[test]
    fn what_repeats_is_laid_out_in_order() {
        let plan = "- { every: 100d, renew: { nodes: [cp1], restart: true } }\n- { at: 2026-06-01T00:00:00Z, upgrade: { to: v1.36.3 } }\n";
        let found = occasions(plan).unwrap();
        let words: Vec<String> = found.iter().map(|occasion| occasion.act.words()).collect();
        assert_eq!(words[0], "renew all, restart the control plane on cp1");
        assert_eq!(words[1], "upgrade to v1.36.3");
        assert_eq!(words.len(), 4);
    }

    #[test]
    fn mistakes_are_said() {
        for (plan, said) in [
            ("- { renew: {} }\n", "say when"),
            ("- { after: 1d }\n", "say one thing"),
            (
                "- { after: 1d, renew: { nodes: [cp9] } }\n",
                "no node \"cp9\"",
            ),
            (
                "- { after: 1d, upgrade: { to: 36 } }\n",
                "Kubernetes version",
            ),
            (
                "- { at: 2020-01-01T00:00:00Z, renew: {} }\n",
                "before the capture",
            ),
            ("- { every: 1s, renew: {} }\n", "occasions"),
            ("- { evry: 1d, renew: {} }\n", "not a plan"),
        ] {
            let error = occasions(plan).unwrap_err().to_string();
            assert!(error.contains(said), "{plan}: {error}");
        }
    }
}
