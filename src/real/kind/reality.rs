//! What the world asks of a real cluster.

use std::path::Path;
use std::time::Duration;

use super::agent::{Edit, Order, encode};
use super::clock::Life;
use super::node::Container;
use super::wait::pause;
use super::{Kind, bring_up, clock, image, kubelet_seen, node, picture, reuse};
use crate::cluster::{
    EngineError, FileChange, KUBELET_CURRENT, KUBELET_PKI, Look, NodePlan, Picture, Reality,
    SERVING_CURRENT,
};
use crate::fs::{MemoryTree, Tree as _};
use crate::kubeadm::{CommandOutput, Version};
use crate::pki::Certificate;
use crate::scenario::{ApproverPolicy, Component, ImageSource};
use crate::time::{SignedDuration, Timestamp, shift};

/// How long a hop takes at least, in wall time: processes do what came due.
const HOP_TAKES: SignedDuration = SignedDuration::from_millis(350);

/// What is so short is waited for: moving the clocks would take as long.
const LIVED_THROUGH: SignedDuration = SignedDuration::from_millis(1_200);

/// How much longer is waited for each further node, where everybody's timers run: keep-alives of every connection were due,
/// and each must be answered before the next hop.
const NODE_PAUSE: Duration = Duration::from_millis(200);

impl Reality for Kind {
    fn name(&self) -> &'static str {
        "kind"
    }

    fn prepare(&mut self, plan: &[NodePlan]) -> Result<(), EngineError> {
        // Its addresses are wanted.
        reuse::let_go();
        self.make_machines(plan)
    }

    fn create(
        &mut self,
        plan: &[NodePlan],
    ) -> Result<Result<CommandOutput, CommandOutput>, EngineError> {
        let bare = self.nodes.is_empty();
        if bare {
            if self.take_kept(plan)? {
                self.made = true;
                return Ok(Ok(CommandOutput::default()));
            }
            self.make_machines(plan)?;
        }
        let made = self.bring_up()?;
        // Where kubeadm has failed, too: whoever wants to keep it wants to see why.
        self.made = true;
        if bare && made.is_ok() && self.options.reuse && !self.is_fixed() {
            self.save(plan)?;
        }
        Ok(made)
    }

    fn adopt(&mut self, plan: &[NodePlan]) -> Result<Option<Vec<NodePlan>>, EngineError> {
        match self.options.adopt.clone() {
            Some(cluster) => self.take_over(&cluster, plan).map(Some),
            None => Ok(None),
        }
    }

    fn remarks(&mut self) -> Result<Vec<String>, EngineError> {
        let said = self.everywhere(|member| {
            // Most images have none.
            let script = "if [ -e /kind/remarks ]; then cat /kind/remarks; fi";
            member.container.must(script)
        })?;
        let mut remarks: Vec<String> = said
            .iter()
            .flat_map(|text| text.lines().map(str::to_owned))
            .chain(self.remark_on_clocks())
            .collect();
        remarks.sort();
        remarks.dedup();
        Ok(remarks)
    }

    fn write(&mut self, node: usize, changes: &[FileChange]) -> Result<(), EngineError> {
        let member = &mut self.nodes[node];
        let mut edits = Vec::new();
        for change in changes {
            let path = match change {
                FileChange::Removed(path) => {
                    edits.push(Edit::Remove(path.clone()));
                    path
                }
                FileChange::Dir(path, mode) => {
                    edits.push(Edit::Dir(path.clone(), *mode));
                    path
                }
                FileChange::File {
                    path,
                    mode,
                    owner,
                    content,
                } => {
                    edits.push(Edit::File(
                        path.clone(),
                        *mode,
                        owner.0,
                        owner.1,
                        encode(content),
                    ));
                    path
                }
                FileChange::Symlink(path, target) => {
                    edits.push(Edit::Link(path.clone(), target.clone()));
                    path
                }
            };
            if !picture::ROOTS.iter().any(|root| path.starts_with(root)) {
                member.written.push(path.clone());
            }
        }
        let order = Order {
            changes: edits,
            ..Order::default()
        };
        member.container.order(&order).map(drop)
    }

    fn look(&mut self, what: Look<'_>) -> Result<Picture, EngineError> {
        self.picture(what)
    }

    fn live(&mut self, span: SignedDuration) -> Result<(), EngineError> {
        if self.is_fixed() {
            return self.live_by_the_machine(span);
        }
        let mut due = self.ahead.now();
        let end = shift(due, span);
        let mut span = span;
        if self.is_any_unhealthy()? {
            for by in clock::probed(span) {
                due = shift(due, by);
                let began = std::time::Instant::now();
                self.reach(due, true)?;
                pause(clock::PROBE_TAKES.saturating_sub(began.elapsed()));
                if !self.is_any_unhealthy()? {
                    break;
                }
            }
            due = due.max(self.ahead.now());
            span = end.duration_since(due).max(SignedDuration::ZERO);
        }
        let walk = clock::Walk::over(span);
        for by in walk.take_off {
            due = shift(due, by);
            self.reach(due, true)?;
        }
        let stretched = shift(due, walk.stretch);
        let mut lives = self.lives();
        let mut first = true;
        while due < stretched {
            if lives.iter().any(|life| life.is_due(due)) {
                lives = self.lives_now()?;
            }
            let by = clock::longest(due, &lives).min(stretched.duration_since(due));
            due = shift(due, by);
            self.reach(due, std::mem::take(&mut first))?;
        }
        for by in walk.landing {
            due = shift(due, by);
            self.reach(due, true)?;
        }
        Ok(())
    }

    fn outlast(&mut self, span: SignedDuration) -> Result<(), EngineError> {
        let due = shift(self.ahead.now(), span);
        self.reach(due, false)
    }

    fn step(&mut self, by: SignedDuration) -> Result<(), EngineError> {
        self.must_move("a wall clock cannot step")?;
        self.hop(by, false, true)
    }

    fn skew(&mut self, node: usize, offset: SignedDuration) -> Result<(), EngineError> {
        self.must_move("a wall clock cannot be wrong")?;
        let member = &mut self.nodes[node];
        let by = offset - member.skew;
        member
            .container
            .move_clocks(by, false, &[], Duration::ZERO)?;
        member.skew = offset;
        Ok(())
    }

    fn power(&mut self, node: usize, on: bool) -> Result<(), EngineError> {
        let clock = self.clock_text(self.nodes[node].skew);
        let member = &mut self.nodes[node];
        if on {
            member
                .container
                .put(&[(node::CLOCK, 0o644, clock.as_bytes())])?;
            member.container.start()?;
            member.powered = true;
            member.kubelet_wanted = true;
            bring_up::wait_for_boot(&member.container)
        } else {
            member.container.kill()?;
            member.powered = false;
            member.kubelet = kubelet_seen::KubeletSeen::default();
            Ok(())
        }
    }

    fn kubelet(&mut self, node: usize, run: bool) -> Result<(), EngineError> {
        let member = &mut self.nodes[node];
        let verb = if run { "start" } else { "stop" };
        member
            .container
            .must(&format!("systemctl {verb} kubelet"))?;
        member.kubelet_wanted = run;
        member.kubelet = kubelet_seen::KubeletSeen::default();
        Ok(())
    }

    fn end_process(&mut self, node: usize, component: Component) -> Result<(), EngineError> {
        let member = &self.nodes[node];
        let report = member.container.order(&Order::default())?;
        for process in report
            .processes
            .iter()
            .filter(|process| process.name == component.name())
        {
            // It may have ended by itself.
            member
                .container
                .shell(&format!("kill -KILL {}", process.pid))?;
        }
        Ok(())
    }

    fn run(
        &mut self,
        node: usize,
        command: &[String],
        input: &[u8],
    ) -> Result<CommandOutput, EngineError> {
        let member = &mut self.nodes[node];
        member.watch_paths_of(command);
        let input = self.to_machine(input)?;
        let output = self.nodes[node].container.run(command, &input)?;
        self.to_world(output)
    }

    fn give(&mut self, node: usize, directory: &Path) -> Result<(), EngineError> {
        self.spoiled = true;
        self.must_move("a script of the scenario's own sees the time of the machine")?;
        self.nodes[node].container.give(directory, "/scenario")
    }

    fn load_image(
        &mut self,
        nodes: &[usize],
        image: &ImageSource,
    ) -> Result<Result<(), String>, EngineError> {
        let containers: Vec<&Container> = nodes
            .iter()
            .map(|&node| &self.nodes[node].container)
            .collect();
        image::load(&self.engine, &containers, image)
    }

    fn join(
        &mut self,
        node: usize,
        certificate_key: Option<&str>,
    ) -> Result<CommandOutput, EngineError> {
        self.spoiled = true;
        self.tokens_must_be_new(certificate_key.is_some())?;
        let output = self.join_with(node, certificate_key)?;
        let output = self.to_world(output)?;
        let member = &mut self.nodes[node];
        member.joined |= output.exit_code == 0;
        // It starts the kubelet before it can fail at what comes later.
        let active = member.container.shell("systemctl is-active kubelet")?;
        member.kubelet_wanted = active.stdout.trim() == "active" || output.exit_code == 0;
        member.kubelet = kubelet_seen::KubeletSeen::default();
        Ok(output)
    }

    fn install_approver(&mut self, policy: Option<ApproverPolicy>) -> Result<(), EngineError> {
        self.approver = policy;
        Ok(())
    }

    fn kubeadm(
        &mut self,
        node: usize,
        version: Version,
        args: &[String],
    ) -> Result<CommandOutput, EngineError> {
        if args.first().is_some_and(|word| word == "join") {
            self.tokens_must_be_new(true)?;
        }
        let member = &self.nodes[node];
        if version != member.plan.version {
            let there = format!("test -x /kind/versions/{version}/kubeadm");
            if member.container.shell(&there)?.exit_code != 0 {
                return Err(EngineError {
                    message: format!(
                        "the image of {} holds no kubeadm {version}",
                        member.container.name
                    ),
                    help: format!(
                        "ci/cluster/images.sh {} {version} makes one with both",
                        member.plan.version
                    ),
                });
            }
            // Images of a version to come lie beside its programs, where the node's image has them.
            member.container.must(&format!(
                "cd /kind/versions/{version} && if [ -e images.tar ] && ! [ -e /run/certdrill-{version} ]; then \
                 ctr -n k8s.io images import images.tar >/dev/null && touch /run/certdrill-{version}; fi"
            ))?;
        }
        self.nodes[node].watch_paths_of(args);
        let member = &self.nodes[node];
        let mut words = vec![member.container.kubeadm(version, member.plan.version)];
        words.extend(args.iter().cloned());
        if args.first().is_some_and(|word| word == "upgrade") {
            words.push(format!(
                "--ignore-preflight-errors={}",
                bring_up::IGNORED_AT_UPGRADE
            ));
        }
        let output = self.nodes[node].container.run(&words, &[])?;
        let output = self.to_world(output)?;
        match args {
            [reset, ..] if reset == "reset" => {
                self.spoiled = true;
                let member = &mut self.nodes[node];
                member.joined = false;
                member.kubelet_wanted = false;
                member.kubelet = kubelet_seen::KubeletSeen::default();
            }
            [token, create, ..]
                if token == "token" && create == "create" && output.exit_code == 0 =>
            {
                output.stdout.trim().clone_into(&mut self.token);
                self.note_token();
            }
            _ => {}
        }
        Ok(output)
    }
}

impl Kind {
    /// Brings every clock to an instant and lets what came due be done.
    pub(super) fn reach(&mut self, due: Timestamp, everyone: bool) -> Result<(), EngineError> {
        let in_step = self
            .hopped
            .is_some_and(|at| at.elapsed() < clock::IN_STEP_FOR);
        if everyone && !in_step && due.duration_since(self.ahead.now()) > clock::HARMLESS {
            self.hop(clock::IN_STEP, true, true)?;
        }
        let left = due.duration_since(self.ahead.now());
        if left > LIVED_THROUGH {
            self.hop(left - HOP_TAKES, true, everyone)?;
            if everyone {
                pause(NODE_PAUSE * u32::try_from(self.nodes.len() - 1).unwrap_or(0));
            }
        }
        self.approve()?;
        // Where there is none the wait above was long enough.
        let left = due.duration_since(self.ahead.now());
        pause(left.try_into().unwrap_or(Duration::ZERO));
        Ok(())
    }

    /// The certificates that kubelets rotate, as they were when the nodes were last looked at.
    fn lives(&self) -> Vec<Life> {
        self.nodes
            .iter()
            .filter(|member| member.powered)
            .flat_map(|member| lives(&member.tree, member.skew))
            .collect()
    }

    /// The same as they are now.
    pub(super) fn lives_now(&self) -> Result<Vec<Life>, EngineError> {
        let order = Order {
            roots: vec![KUBELET_PKI.to_owned()],
            ..Order::default()
        };
        let found = self.everywhere(|member| {
            let report = member.container.order(&order)?;
            Ok(lives(&picture::tree(&report), member.skew))
        })?;
        Ok(found.into_iter().flatten().collect())
    }
}

/// The certificates of a node's kubelet that it may rotate, by true time.
fn lives(tree: &MemoryTree, skew: SignedDuration) -> Vec<Life> {
    [KUBELET_CURRENT, SERVING_CURRENT]
        .iter()
        .filter_map(|path| {
            let pem = tree.read(path).ok()?;
            let certificate = Certificate::parse_pem_certs(&pem)
                .ok()?
                .into_iter()
                .next()?;
            Some(Life {
                from: shift(certificate.not_before(), -skew),
                to: shift(certificate.not_after(), -skew),
            })
        })
        .collect()
}
