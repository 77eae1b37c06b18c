//! Machines of a real cluster: made, taken over, joined and reset.

use super::World;
use super::reality::NodePlan;
use super::reset::NO_CONFIGURATION;
use crate::fs::Tree;
use crate::kubeadm::CommandOutput;
use crate::run::trace::{EventKind, Weight};

impl World {
    /// Makes real machines for a scenario that sets the cluster up itself. Nothing in a simulated world.
    ///
    /// # Errors
    /// When the configuration does not fit the version.
    pub fn prepare(&mut self) -> Result<(), super::ClusterError> {
        if self.is_real() {
            let plan = self.plans()?;
            if self.really(|reality| reality.prepare(&plan)).is_some() {
                self.look_at_reality(false);
            }
        }
        Ok(())
    }

    /// What of its specification a real cluster cannot have.
    #[must_use]
    pub fn not_for_real(&self) -> Option<&'static str> {
        let spec = &self.spec;
        let wanted = spec.load_balancer != Default::default();
        (wanted && self.is_real()).then_some("options of the load balancer")
    }

    fn plans(&self) -> Result<Vec<NodePlan>, super::ClusterError> {
        (0..self.nodes.len()).map(|node| self.plan(node)).collect()
    }

    /// `kubeadm init` and `join` on real machines.
    pub(super) fn create_really(&mut self) -> Result<(), super::ClusterError> {
        let plan = self.plans()?;
        if let Some(Some(found)) = self.really(|reality| reality.adopt(&plan)) {
            self.is_there_already(found);
            return Ok(());
        }
        self.write_to_reality();
        if let Some(policy) = self.serving_approver {
            self.really(|reality| reality.install_approver(Some(policy)));
        }
        let done = self.really(|reality| reality.create(&plan));
        match done {
            None => {
                return Err(super::ClusterError::NotUp {
                    what: "a real cluster".to_owned(),
                    node: self.nodes[0].name.clone(),
                    limit: "its time".to_owned(),
                });
            }
            Some(Err(output)) => {
                return Err(super::ClusterError::Command {
                    args: "init".to_owned(),
                    node: self.nodes[0].name.clone(),
                    exit_code: output.exit_code,
                    stderr: output.stderr,
                });
            }
            // What made the cluster is the last command of the first machine, as it is in the simulation.
            Some(Ok(init)) => {
                self.learn_certificate_key(&init.stdout);
                self.nodes[0].last_output = Some(init);
            }
        }
        for node in &mut self.nodes {
            if self.spec.join_later.contains(&node.name) {
                continue;
            }
            node.ready = (!node.only_etcd()).then_some(false);
            node.etcd_member = node.etcd;
        }
        self.look_at_reality(false);
        self.connect_nodes();
        self.look_at_reality(true);
        Ok(())
    }

    /// What is special about the images of real machines is in the report: whoever reads a verdict must know what gave it.
    pub(super) fn remark_on_machines(&mut self) {
        let remarks = self.really(|reality| reality.remarks());
        for remark in remarks.into_iter().flatten() {
            self.record(
                EventKind::Note,
                Weight::Normal,
                None,
                "cluster",
                remark,
                None,
            );
        }
    }

    /// `kubeadm join` on a real machine.
    pub(super) fn join_really(&mut self, node: usize, key: Option<&str>) -> CommandOutput {
        let output = self.run_really(|reality| reality.join(node, key));
        if output.exit_code != 0 {
            self.look_at_reality(true);
        }
        // A kubelet that was started writes it, and lives on where kubeadm has given up.
        let started = Tree::exists(&self.nodes[node].tree, super::node::KUBELET_CONF);
        if output.exit_code == 0 || started {
            let machine = &mut self.nodes[node];
            machine.reset = false;
            machine.ready = Some(false);
            machine.etcd_member = machine.control_plane && machine.etcd;
            self.connect_nodes();
            self.look_at_reality(true);
        }
        output
    }

    /// `kubeadm reset --force` on a real machine.
    pub(super) fn reset_really(&mut self, node: usize) -> CommandOutput {
        let version = self.nodes[node].version;
        let args = ["reset", "--force"].map(str::to_owned);
        let output = self.run_really(|reality| reality.kubeadm(node, version, &args));
        if output.exit_code == 0 {
            let machine = &mut self.nodes[node];
            machine.reset = true;
            // Without the cluster's configuration it does not tell the other members.
            machine.etcd_member &= output.stderr.contains(NO_CONFIGURATION);
        }
        self.command_ran(node, "kubeadm", "reset --force", &output);
        output
    }

    /// Machines of a cluster that was there before take the places of those that were planned.
    fn is_there_already(&mut self, found: Vec<NodePlan>) {
        for (node, plan) in self.nodes.iter_mut().zip(found) {
            node.name = plan.name;
            node.address = plan.address;
            node.ready = Some(false);
            node.etcd_member = node.control_plane;
        }
        self.look_at_reality(false);
        self.connect_nodes();
        self.look_at_reality(true);
    }

    /// The machine that scenarios call `cp2` or `w1`, where machines have names of their own.
    pub(super) fn place_of(&self, name: &str) -> Option<usize> {
        let (control_plane, number) = match name.strip_prefix("cp") {
            Some(number) => (true, number),
            None => (false, name.strip_prefix('w')?),
        };
        let number: usize = number.parse().ok()?;
        self.nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.control_plane == control_plane && !node.only_etcd())
            .nth(number.checked_sub(1)?)
            .map(|(index, _)| index)
    }
}
