//! What each step does to the world.

use super::player::Player;
use crate::check::{select, targets};
use crate::cluster::{ClusterError, PodState, UpgradeOptions, World};
use crate::fs::{FsError, Tree};
use crate::scenario::{
    Action, Component, Expectation, Matcher, MoveManifests, Nodes, Passage, Step, Target, Upgrade,
};
use crate::time::{SignedDuration, shift};

/// How long a step waits for a process.
const PROCESS_LIMIT: SignedDuration = SignedDuration::from_mins(5);
/// Where `stop:` keeps a static Pod's manifest.
const STOPPED: &str = "/etc/kubernetes/stopped-manifests";
/// Where `moveManifests:` keeps them.
const MOVED: &str = "/etc/kubernetes/moved-manifests";

impl Player<'_> {
    /// Takes one step.
    ///
    /// # Errors
    /// With a sentence when the step cannot be taken at all: that says nothing about the subject.
    pub fn take(&mut self, step: &Step) -> Result<(), String> {
        // What a step itself needs is judged at the step's own place in the file.
        let own = Expectation {
            at: step.at,
            matcher: Matcher::Etcd {
                quorum: None,
                members: None,
            },
        };
        match &step.action {
            Action::Walk(passage) => self.walk(*passage)?,
            Action::Jump(span) => self.world.step_clocks(*span),
            Action::StepBack(span) => self.world.step_clocks(-*span),
            Action::Skew { nodes, offset } => {
                for node in self.nodes(nodes)? {
                    self.world.skew(node, *offset);
                }
            }
            Action::Dormant { nodes, span } => self.sleep(nodes, *span)?,
            Action::Init { exit_code } => {
                self.init(*exit_code, &own)?;
                if *exit_code == 0 {
                    self.world_has_its_dates()?;
                }
            }
            Action::Join {
                nodes,
                certificate_key,
                exit_code,
            } => {
                for node in self.nodes(nodes)? {
                    self.may_join(node)?;
                    self.world.join_by_token(node, certificate_key);
                    self.expect_exit(&own, node, *exit_code);
                }
            }
            Action::Reset(nodes) => {
                for node in self.nodes(nodes)? {
                    self.world.reset(node)?;
                }
            }
            Action::Issue(issue) => {
                for node in self.nodes(&issue.nodes)? {
                    self.world
                        .issue_certificate(node, issue)
                        .map_err(|error| format!("on {}: {error}", self.world.nodes[node].name))?;
                    self.changed(node, &format!("{}.crt", issue.path), "issued");
                }
            }
            Action::Renew {
                nodes,
                name,
                exit_code,
            } => {
                self.mark_serials();
                for node in self.nodes(nodes)? {
                    let args = self.world.certs_command(node, &["renew", name]);
                    self.world.kubeadm(node, &args);
                    self.expect_exit(&own, node, exit_code.unwrap_or(0));
                }
            }
            Action::CheckExpiration { nodes } => {
                for node in self.nodes(nodes)? {
                    let args = self.world.certs_command(node, &["check-expiration"]);
                    self.world.kubeadm(node, &args);
                }
            }
            Action::Upgrade(upgrade) => self.upgrade(upgrade, &own)?,
            Action::Kubeadm {
                nodes,
                args,
                exit_code,
                stdout_to,
            } => {
                self.mark_serials();
                for node in self.nodes(nodes)? {
                    let output = self.world.kubeadm(node, args);
                    self.expect_exit(&own, node, *exit_code);
                    if let Some(path) = stdout_to {
                        self.world.nodes[node]
                            .tree
                            .write(path, output.stdout.as_bytes(), 0o600)
                            .map_err(|error| self.refused(node, &error))?;
                        self.world.touched();
                    }
                }
            }
            Action::Exec {
                nodes,
                run,
                exit_code,
            } => {
                self.mark_serials();
                for node in self.nodes(nodes)? {
                    self.world.exec(node, run, &self.scenario.file);
                    self.expect_exit(&own, node, *exit_code);
                }
            }
            Action::Apply {
                nodes,
                objects,
                exit_code,
            } => {
                self.apply(nodes, objects, *exit_code, &own)?;
            }
            Action::Image { nodes, source } => self.load_image(nodes, source)?,
            Action::Kubectl {
                nodes,
                command,
                line,
                exit_code,
            } => {
                for node in self.nodes(nodes)? {
                    self.world.kubectl(node, command, line);
                    self.expect_exit(&own, node, *exit_code);
                }
            }
            Action::Decide {
                approve,
                of,
                signer,
            } => self.decide(*approve, of.as_ref(), signer.as_deref(), &own)?,
            Action::RequestCertificate(request) => {
                for node in self.nodes(&request.node)? {
                    self.world.request_by_hand(node, request);
                    self.expect_exit(&own, node, request.exit_code);
                }
            }
            Action::ServingApprover(policy) => self.world.install_approver(*policy),
            Action::EditConfigMap { name, key, change } => {
                self.edit_config_map(name, key, change, &own)?;
            }
            Action::Restart(target) => self.restart(target, &own)?,
            Action::Stop(target) => self.stop(target, &own)?,
            Action::Start(target) => self.start(target, &own)?,
            Action::Reboot(nodes) => {
                self.mark_processes();
                let nodes = self.nodes(nodes)?;
                for &node in &nodes {
                    self.world.power_off(node);
                }
                self.world.walk(SignedDuration::from_secs(7));
                for node in nodes {
                    self.world.power_on(node);
                }
            }
            Action::MoveManifests(step) => self.move_manifests(step, &own)?,
            Action::Edit(edit) => self.edit(edit, &own)?,
            Action::Remove { nodes, paths } => {
                for node in self.nodes(nodes)? {
                    for path in paths {
                        let result = self.world.nodes[node].tree.remove_all(path);
                        result.map_err(|error| self.refused(node, &error))?;
                        self.changed(node, path, "removed");
                    }
                }
            }
            Action::Copy {
                from_node,
                from,
                to_nodes,
                to,
            } => {
                let source = *self
                    .nodes(from_node)?
                    .first()
                    .ok_or_else(|| "copy: no node to copy from".to_owned())?;
                let tree = &self.world.nodes[source].tree;
                let (content, mode) = tree
                    .read(from)
                    .and_then(|content| Ok((content, tree.metadata(from)?.mode)))
                    .map_err(|error| self.refused(source, &error))?;
                for node in self.nodes(to_nodes)? {
                    let tree = &mut self.world.nodes[node].tree;
                    let dir = to.rsplit_once('/').map_or("", |(dir, _)| dir);
                    let made = match dir {
                        "" => Ok(()),
                        dir => tree.create_dir_all(dir, 0o755),
                    };
                    let result = made.and_then(|()| tree.write(to, &content, mode));
                    result.map_err(|error| self.refused(node, &error))?;
                    self.changed(node, to, "copied");
                }
            }
            Action::Expect(expectation) => self.expect(expectation),
            Action::ExpectFailure {
                expectation,
                because,
            } => self.expect_failure(expectation, because.as_deref()),
            Action::Note(text) => {
                use super::trace::{EventKind, Weight};
                self.world.record(
                    EventKind::Note,
                    Weight::Normal,
                    None,
                    "note",
                    text.clone(),
                    None,
                );
            }
        }
        Ok(())
    }

    fn init(&mut self, wanted: i32, own: &Expectation) -> Result<(), String> {
        self.mark_serials();
        self.mark_processes();
        match self.world.create_cluster() {
            Ok(()) if wanted == 0 => Ok(()),
            Ok(()) => {
                let expected = format!("init ends with exit code {wanted}");
                let seen = "the cluster is up".to_owned();
                self.require(own, "init", expected, seen, false);
                Ok(())
            }
            Err(ClusterError::Command { node, .. }) if self.world.broken.is_none() => {
                if let Some(node) = self.world.node_named(&node) {
                    self.expect_exit(own, node, wanted);
                }
                Ok(())
            }
            // How kubeadm puts it depends on its version: that it ends with an error does not.
            Err(error @ ClusterError::NotUp { .. }) if self.world.broken.is_none() => {
                let expected = format!("init ends with exit code {wanted}");
                self.require(own, "init", expected, error.to_string(), wanted == 1);
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    pub(super) fn nodes(&self, nodes: &Nodes) -> Result<Vec<usize>, String> {
        let found = select(&self.world, nodes);
        if found.is_empty() {
            return Err(format!("no node is named by @{}", nodes.0));
        }
        Ok(found)
    }

    fn walk(&mut self, passage: Passage) -> Result<(), String> {
        let target = match passage {
            Passage::For(span) => shift(self.world.now(), span),
            Passage::Until(instant) => instant,
            Passage::SinceStart(span) => shift(self.scenario.cluster.start, span),
        };
        let span = target.duration_since(self.world.now());
        if span.is_negative() {
            return Err(format!(
                "it is already {}: time does not walk back to {target}",
                self.world.now()
            ));
        }
        self.world.walk(span);
        Ok(())
    }

    fn sleep(&mut self, nodes: &Nodes, span: SignedDuration) -> Result<(), String> {
        self.mark_processes();
        let nodes = self.nodes(nodes)?;
        for &node in &nodes {
            self.world.power_off(node);
        }
        self.world.walk(span);
        for node in nodes {
            self.world.power_on(node);
        }
        Ok(())
    }

    fn upgrade(&mut self, upgrade: &Upgrade, own: &Expectation) -> Result<(), String> {
        self.mark_serials();
        self.mark_processes();
        // kubeadm upgrades no machine of an external etcd: it is none of the cluster's.
        let mut nodes = self.nodes(&upgrade.nodes)?;
        nodes.retain(|&node| !self.world.nodes[node].only_etcd());
        if nodes.is_empty() {
            return Err(format!(
                "@{} is etcd's own machine: kubeadm upgrades none of those",
                upgrade.nodes.0
            ));
        }
        for (position, node) in nodes.into_iter().enumerate() {
            self.world.upgrade(
                node,
                UpgradeOptions {
                    to: upgrade.to,
                    apply: position == 0 && node == 0,
                    certificate_renewal: upgrade.certificate_renewal,
                    etcd_upgrade: upgrade.etcd_upgrade,
                    config: upgrade.config.as_deref(),
                },
            )?;
            self.expect_exit(own, node, upgrade.exit_code);
            // Leases of restarted components settle before the next node is taken.
            self.world.walk(SignedDuration::from_mins(1));
        }
        Ok(())
    }

    fn restart(&mut self, target: &Target, own: &Expectation) -> Result<(), String> {
        self.mark_processes();
        for (component, node) in self.targets(target)? {
            if component == Component::Kubelet {
                self.world.stop_kubelet(node);
                self.world.start_kubelet(node);
                self.world.touched();
                self.world.walk(SignedDuration::from_secs(2));
                continue;
            }
            let before = self.world.nodes[node].process_id(component);
            self.world.kill_pod(node, component);
            self.await_new(own, node, component, before);
        }
        Ok(())
    }

    fn stop(&mut self, target: &Target, own: &Expectation) -> Result<(), String> {
        self.mark_processes();
        for (component, node) in self.targets(target)? {
            if component == Component::Kubelet {
                self.world.stop_kubelet(node);
                self.world.touched();
                continue;
            }
            self.carry(node, component, STOPPED, false)?;
            let gone = self.world.wait_until_gone(PROCESS_LIMIT, |world| {
                world.nodes[node].process_id(component).is_none()
            });
            let name = format!("{}@{}", component.name(), self.world.nodes[node].name);
            self.require(
                own,
                &name,
                format!("{name} stops"),
                "it still runs".to_owned(),
                gone,
            );
        }
        Ok(())
    }

    fn start(&mut self, target: &Target, own: &Expectation) -> Result<(), String> {
        self.mark_processes();
        for (component, node) in self.targets(target)? {
            if component == Component::Kubelet {
                self.world.start_kubelet(node);
                self.world.touched();
                self.world.walk(SignedDuration::from_secs(2));
                continue;
            }
            self.carry(node, component, STOPPED, true)?;
            self.await_new(own, node, component, None);
        }
        Ok(())
    }

    fn move_manifests(&mut self, step: &MoveManifests, own: &Expectation) -> Result<(), String> {
        let nodes = self.nodes(&step.nodes)?;
        let mut pods: Vec<(usize, Component)> = Vec::new();
        for &node in &nodes {
            let of_node = match step.components.as_slice() {
                [] => self.world.nodes[node].static_pods(),
                some => some,
            };
            pods.extend(of_node.iter().map(|&component| (node, component)));
        }
        if !step.back {
            self.mark_processes();
            for &(node, component) in &pods {
                self.carry(node, component, MOVED, false)?;
            }
            if step.leave_out {
                return Ok(());
            }
            if step.until_restarted {
                let gone = self.world.wait_until_gone(PROCESS_LIMIT, |world| {
                    pods.iter()
                        .all(|&(node, component)| world.nodes[node].process(component).is_none())
                });
                let expected = "the old processes are gone".to_owned();
                self.require(
                    own,
                    "static Pods",
                    expected,
                    "some still run".to_owned(),
                    gone,
                );
            } else {
                self.world.walk(step.wait);
            }
        }
        for &(node, component) in &pods {
            self.carry(node, component, MOVED, true)?;
        }
        if step.until_restarted {
            let up = self.world.wait(PROCESS_LIMIT, |world| {
                pods.iter().all(|&(node, component)| {
                    matches!(
                        world.nodes[node].pods.get(&component).map(|pod| &pod.state),
                        Some(PodState::Running(_))
                    )
                })
            });
            let expected = "new processes run".to_owned();
            self.require(
                own,
                "static Pods",
                expected,
                "some do not run".to_owned(),
                up,
            );
        }
        Ok(())
    }

    fn targets(&self, target: &Target) -> Result<Vec<(Component, usize)>, String> {
        let found: Vec<_> = targets(&self.world, target)
            .into_iter()
            .filter(|&(component, node)| {
                component == Component::Kubelet
                    || self.world.nodes[node].static_pods().contains(&component)
            })
            .collect();
        if found.is_empty() {
            return Err(format!("no process is named by @{}", target.nodes.0));
        }
        Ok(found)
    }

    /// Moves a manifest out of the kubelet's directory, or back.
    fn carry(
        &mut self,
        node: usize,
        component: Component,
        aside: &str,
        back: bool,
    ) -> Result<(), String> {
        let manifest = World::manifest_path(component);
        let kept = format!("{aside}/{}.yaml", component.name());
        let tree = &mut self.world.nodes[node].tree;
        let moved = if back {
            tree.rename(&kept, &manifest)
        } else {
            tree.create_dir_all(aside, 0o700)
                .and_then(|()| tree.rename(&manifest, &kept))
        };
        moved.map_err(|error| self.refused(node, &error))?;
        let what = if back { "moved back" } else { "moved away" };
        use super::trace::{EventKind, Weight};
        // The step itself says it; the processes say what comes of it.
        let text = format!("{manifest} {what}");
        self.world.record(
            EventKind::FileChanged,
            Weight::Detail,
            Some(node),
            &manifest,
            text,
            None,
        );
        self.world.touched();
        Ok(())
    }

    fn await_new(
        &mut self,
        own: &Expectation,
        node: usize,
        component: Component,
        before: Option<u64>,
    ) {
        let up = self.world.wait(PROCESS_LIMIT, |world| {
            world.nodes[node]
                .process_id(component)
                .is_some_and(|id| Some(id) != before)
        });
        let name = format!("{}@{}", component.name(), self.world.nodes[node].name);
        let last = self.world.nodes[node]
            .logs
            .get(&component)
            .and_then(|log| log.last())
            .cloned()
            .unwrap_or_else(|| "it does not run".to_owned());
        self.require(own, &name, format!("{name} runs again"), last, up);
    }

    fn may_join(&self, node: usize) -> Result<(), String> {
        let machine = &self.world.nodes[node];
        if (machine.ready.is_some() && !machine.reset) || machine.only_etcd() {
            return Err(format!(
                "{} is no machine that can join: name it in the cluster's joinLater, or reset it first",
                machine.name
            ));
        }
        if machine.reset && machine.etcd_member && !self.world.stops_at_etcd(node) {
            return Err(format!(
                "etcd still counts {} as a member, because its reset could not remove it: certdrill does not know what etcd does with a member that comes back without its data",
                machine.name
            ));
        }
        Ok(())
    }

    pub(super) fn changed(&mut self, node: usize, path: &str, how: &str) {
        use super::trace::{EventKind, Weight};
        let text = format!("{path} {how}");
        self.world.record(
            EventKind::FileChanged,
            Weight::Normal,
            Some(node),
            path,
            text,
            None,
        );
        self.world.touched();
    }

    pub(super) fn refused(&self, node: usize, error: &FsError) -> String {
        format!("on {}: {error}", self.world.nodes[node].name)
    }
}
