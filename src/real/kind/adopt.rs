//! Taking over a cluster that the kind CLI made: `--kind-cluster NAME`.
//!
//! Nodes get certdrill as those that it makes itself, and every process in them is started anew once, through the
//! launcher. The cluster stays when the scenario is over, at the time that it has then.

use std::net::IpAddr;

use super::Kind;
use super::bring_up::{INSTALL, equipment, wait_for_boot};
use super::member::Member;
use super::node::{CLOCK, CLUSTER_LABEL, Container, ROLE_LABEL, own_program};
use crate::cluster::{EngineError, NodePlan};
use crate::kubeadm::Version;
use crate::time::SignedDuration;

/// Ends every container of a node, so that all of them start through the launcher. The kubelet does that.
const START_ANEW: &str = r"set -e
systemctl stop kubelet
for task in $(ctr -n k8s.io tasks ls -q); do ctr -n k8s.io tasks kill -s SIGKILL $task || true; done
";

impl Kind {
    /// Takes over the nodes of a cluster, in the places of those that are planned; gives the plan with their names and
    /// addresses.
    pub(super) fn take_over(
        &mut self,
        cluster: &str,
        plan: &[NodePlan],
    ) -> Result<Vec<NodePlan>, EngineError> {
        if plan
            .iter()
            .any(|node| node.joins_later || node.upload_certs)
        {
            return Err(EngineError {
                message: format!(
                    "the cluster {cluster} is there with all of its nodes, and the scenario wants `joinLater` or `uploadCerts`"
                ),
                help: "play it without --kind-cluster: certdrill makes such a cluster itself"
                    .to_owned(),
            });
        }
        if plan.iter().any(NodePlan::only_etcd) {
            return Err(EngineError {
                message: format!(
                    "kind makes no external etcd, so the cluster {cluster} has none, and the scenario wants one"
                ),
                help: "play it without --kind-cluster: certdrill makes such a cluster itself"
                    .to_owned(),
            });
        }
        self.engine = super::Containers::find()?;
        cluster.clone_into(&mut self.name);
        let found = self.members_of(cluster)?;
        let planned = |control_plane| {
            plan.iter()
                .filter(|node| node.control_plane == control_plane)
                .count()
        };
        let there = |role: &str| found.iter().filter(|(_, its)| its == role).count();
        let (control_planes, workers) = (there("control-plane"), there("worker"));
        if (control_planes, workers) != (planned(true), planned(false)) {
            return Err(EngineError {
                message: format!(
                    "the cluster {cluster} has {control_planes} control planes and {workers} workers, and the scenario \
                     wants {} and {}",
                    planned(true),
                    planned(false)
                ),
                help: "write the cluster's own numbers into the scenario's `cluster.nodes`"
                    .to_owned(),
            });
        }
        let mut taken = Vec::new();
        for (node, (name, _)) in plan.iter().zip(&found) {
            let node = self.described(node, name)?;
            self.nodes.push(Member::new(
                Container::named(&self.engine, name.clone()),
                node.clone(),
            ));
            taken.push(node);
        }
        self.was_never_moved()?;
        let program = own_program()?;
        let clock = self.clock_text(SignedDuration::ZERO);
        self.everywhere(|member| member.container.put(&equipment(&program, &clock)))?;
        self.find_out_about_clocks()?;
        self.everywhere(|member| {
            let container = &member.container;
            container.must(START_ANEW)?;
            container.must(INSTALL)?;
            wait_for_boot(container)?;
            container.must("systemctl start kubelet")
        })?;
        for member in &mut self.nodes {
            member.kubelet_wanted = true;
        }
        self.wait_for_nodes()?;
        Ok(taken)
    }

    /// A cluster that was taken over before is at another time, and what it holds would be from the future.
    fn was_never_moved(&self) -> Result<(), EngineError> {
        let moved =
            self.everywhere(|member| member.container.shell(&format!("test -e {CLOCK}")))?;
        if moved.iter().all(|output| output.exit_code != 0) {
            return Ok(());
        }
        Err(EngineError {
            message: format!(
                "the cluster {} was moved in time by a scenario before",
                self.name
            ),
            help: "one scenario takes over a cluster: `kind delete cluster` it and create another"
                .to_owned(),
        })
    }

    /// Containers of a cluster and their roles: control planes first, each kind in kind's order.
    fn members_of(&self, cluster: &str) -> Result<Vec<(String, String)>, EngineError> {
        let filter = format!("label={CLUSTER_LABEL}={cluster}");
        let format = format!("{{{{.Names}}}} {{{{.Label \"{ROLE_LABEL}\"}}}}");
        let lines = self
            .engine
            .run(&["ps", "--filter", &filter, "--format", &format])?;
        let mut found: Vec<(String, String)> = lines
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter(|(_, role)| matches!(*role, "control-plane" | "worker"))
            .map(|(name, role)| (name.to_owned(), role.to_owned()))
            .collect();
        if found.is_empty() {
            return Err(EngineError {
                message: format!("no cluster {cluster} runs"),
                help: "`kind get clusters` names those that there are; `kind create cluster --name NAME` makes one"
                    .to_owned(),
            });
        }
        // kind numbers from the second on: worker, worker2, ..., worker10.
        found.sort_by_key(|(name, role)| (role != "control-plane", name.len(), name.clone()));
        Ok(found)
    }

    /// A planned node with what is known of a container.
    fn described(&self, planned: &NodePlan, name: &str) -> Result<NodePlan, EngineError> {
        let container = Container::named(&self.engine, name.to_owned());
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
        let addresses = self.engine.run(&["inspect", "--format", format, name])?;
        let address: IpAddr = addresses
            .split_whitespace()
            .next()
            .and_then(|one| one.parse().ok())
            .ok_or_else(|| EngineError {
                message: format!("{name} has no IPv4 address"),
                help: "certdrill needs a node's IPv4 address in one network".to_owned(),
            })?;
        let version = container.must("kubeadm version -o short")?;
        let version: Version = version.trim().parse().map_err(|_| EngineError {
            message: format!("{name} has a kubeadm of an odd version: {}", version.trim()),
            help: "certdrill knows released versions".to_owned(),
        })?;
        if version != planned.version {
            return Err(EngineError {
                message: format!(
                    "{name} has kubeadm {version}, and the scenario wants {}",
                    planned.version
                ),
                help: format!(
                    "write `version: {version}` into the scenario's `cluster`, or make the cluster from \
                     kindest/node:{}",
                    planned.version
                ),
            });
        }
        Ok(NodePlan {
            // kind gives a node its container's name.
            name: name.to_owned(),
            address,
            ..planned.clone()
        })
    }
}
