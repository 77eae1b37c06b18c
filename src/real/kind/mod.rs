//! Real clusters in node containers, moved in time: the backend `kind`.
//!
//! Containers are made as kind makes them (image, labels, volumes, a network), so that kind's own commands work on
//! them. Inside, kubeadm makes the cluster from the same configuration that the simulation uses. Every process is
//! started through certdrill's launcher (the kubelet and containerd by their services, static Pods by a wrapper
//! around runc, commands by the agent), so that all of them live at the world's virtual time.
//!
//! | file | what it holds |
//! |---|---|
//! | `engine.rs` | the container engine |
//! | `node.rs` | a node container |
//! | `bring_up.rs` | how nodes become a cluster |
//! | `adopt.rs` | taking over a cluster that kind made |
//! | `balancer.rs` | the load balancer in front of several control planes |
//! | `clock.rs` | the hops of a walk |
//! | `agent.rs`, `agent_logs.rs`, `handshake.rs` | what runs inside a node |
//! | `audit.rs` | which certificates the API servers were shown |
//! | `picture.rs` | from what agents report to what the world knows |
//! | `image.rs` | images that a scenario brings |
//! | `reuse.rs` | clusters that several scenarios share |
//! | `kubelet_seen.rs` | whether a kubelet lives or ends at each start |
//! | `ask.rs` | how each edge is asked for, and what an answer means |

#![expect(
    clippy::disallowed_methods,
    reason = "real clusters: real processes, files and waiting"
)]

mod adopt;
pub mod agent;
mod agent_logs;
mod ask;
mod audit;
mod balancer;
mod bring_up;
pub mod clean;
mod clock;
mod engine;
pub mod handshake;
mod image;
mod kubelet_seen;
mod node;
mod picture;
pub mod reuse;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent::{Edit, Order, Report, encode, pause};
use balancer::Balancer;
use clock::Ahead;
pub use engine::Containers;
use node::Container;

use crate::cluster::{EngineError, FileChange, Look, NodePlan, Picture, Reality};
use crate::kubeadm::{CommandOutput, Version};
use crate::scenario::{Component, ImageSource};
use crate::time::{SignedDuration, Timestamp, shift};

/// How long processes get between two hops, in wall time: requests are answered, a kubelet gets its certificate.
const HOP_PAUSE: Duration = Duration::from_millis(900);

/// What is so short is waited for: moving the clocks would take as long.
const LIVED_THROUGH: SignedDuration = SignedDuration::from_millis(1_200);

/// How much longer that is for each further node, where everybody's timers run.
const NODE_PAUSE: Duration = Duration::from_millis(500);

/// A leader renews its lease every two seconds.
const FRESH: SignedDuration = SignedDuration::from_secs(6);

/// Where users keep files.
const USERS: [&str; 5] = ["/root/", "/tmp/", "/home/", "/opt/", "/srv/"];

/// A cluster in node containers.
#[derive(Debug)]
pub struct Kind {
    options: Options,
    engine: Containers,
    /// Name of the cluster and of its network.
    name: String,
    start: Timestamp,
    ahead: Ahead,
    nodes: Vec<Member>,
    balancer: Option<Balancer>,
    /// A network was made.
    network: bool,
    made: bool,
    /// It was saved when it had come up.
    saved: Option<reuse::Saved>,
    /// A script may have changed anything, or a machine has joined or left.
    spoiled: bool,
    /// The last bootstrap token that kubeadm printed.
    token: String,
}

/// How clusters are made.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Leave containers and network behind, and say how to look inside.
    pub keep: bool,
    /// Take over this cluster of the kind CLI instead of making one.
    pub adopt: Option<String>,
    /// Scenarios that want the same cluster share it, each from its beginning.
    pub reuse: bool,
    /// Image of the nodes; `kindest/node:<version>` unless given.
    pub image: Option<String>,
}

impl Options {
    /// The image of a node.
    #[must_use]
    pub fn image_of(&self, version: Version) -> String {
        self.image
            .clone()
            .unwrap_or_else(|| format!("kindest/node:{version}"))
    }

    /// Why no cluster of a version can be made on this machine, and what to do.
    #[must_use]
    pub fn lacks(&self, version: Version) -> Option<(String, String)> {
        let engine = match Containers::find() {
            Ok(engine) => engine,
            Err(error) => return Some((error.message, error.help)),
        };
        // A cluster that is there was made from something.
        if self.adopt.is_some() {
            return None;
        }
        let image = self.image_of(version);
        if engine.run(&["image", "inspect", &image]).is_ok() {
            return None;
        }
        let help = format!(
            "{} pull {image}, or build a stand-in: ci/cluster/images.sh {version}",
            engine.program()
        );
        Some((format!("there is no image {image}"), help))
    }
}

/// The second it is, by this machine's clock.
#[must_use]
pub fn present() -> Timestamp {
    let now = crate::real::warp::machine_time();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// A node of the cluster and what is remembered of it.
#[derive(Debug)]
struct Member {
    container: Container,
    plan: NodePlan,
    /// How far its wall clock is ahead of true time.
    skew: SignedDuration,
    powered: bool,
    /// It is part of the cluster.
    joined: bool,
    /// The kubelet is meant to run.
    kubelet_wanted: bool,
    /// Its kubelet was seen to live for long enough, or to end again and again.
    kubelet: kubelet_seen::KubeletSeen,
    /// Its files as they were last seen.
    tree: crate::fs::MemoryTree,
    /// Paths outside the usual directories that were written to.
    written: Vec<String>,
    /// How far logs were read.
    logs: BTreeMap<String, String>,
    /// Kubeconfigs of components as they were when their process was first seen.
    kubeconfigs: BTreeMap<(Component, u64), Arc<[u8]>>,
    /// How far its API server's audit log was read, and whom that has named.
    audited: audit::Audited,
    /// True virtual time since which a process lives at least.
    lives_since: BTreeMap<u64, Timestamp>,
}

impl Member {
    fn new(container: Container, plan: NodePlan) -> Self {
        Self {
            container,
            joined: !plan.joins_later,
            plan,
            skew: SignedDuration::ZERO,
            powered: true,
            // Before kubeadm has written its configuration there is none.
            kubelet_wanted: false,
            kubelet: kubelet_seen::KubeletSeen::default(),
            tree: crate::fs::MemoryTree::new(),
            written: Vec::new(),
            logs: BTreeMap::new(),
            kubeconfigs: BTreeMap::new(),
            audited: audit::Audited::default(),
            lives_since: BTreeMap::new(),
        }
    }
}

impl Member {
    /// What a command may write is looked at from now on: every path that it names where users keep files.
    fn watch_paths_of(&mut self, command: &[String]) {
        let words = command
            .iter()
            .flat_map(|word| word.split([' ', '\n', '=', '\'', '"', ';']));
        for word in words {
            let users = USERS.iter().any(|dir| word.starts_with(dir));
            if users
                && !picture::ROOTS.iter().any(|root| word.starts_with(root))
                && !self.written.iter().any(|known| known == word)
            {
                self.written.push(word.trim_end_matches('/').to_owned());
            }
        }
    }
}

impl Kind {
    /// A cluster that does not exist yet; it begins to live at an instant.
    #[must_use]
    pub fn new(options: Options, start: Timestamp) -> Self {
        Self {
            name: format!("certdrill-{}", std::process::id()),
            options,
            engine: Containers::default(),
            start,
            ahead: Ahead::at(start),
            nodes: Vec::new(),
            balancer: None,
            network: false,
            made: false,
            saved: None,
            spoiled: false,
            token: bring_up::TOKEN.to_owned(),
        }
    }

    /// Does something with every node that has power, at once.
    fn everywhere<T: Send>(
        &self,
        act: impl Fn(&Member) -> Result<T, EngineError> + Sync,
    ) -> Result<Vec<T>, EngineError> {
        std::thread::scope(|scope| {
            let act = &act;
            let threads: Vec<_> = self
                .nodes
                .iter()
                .filter(|member| member.powered)
                .map(|member| scope.spawn(move || act(member)))
                .collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread.join().unwrap_or_else(|_| {
                        Err(EngineError {
                            message: "a thread panicked".to_owned(),
                            help: "this is a defect of certdrill: please report it".to_owned(),
                        })
                    })
                })
                .collect()
        })
    }

    fn hop(&mut self, by: SignedDuration, timers: bool, everyone: bool) -> Result<(), EngineError> {
        let still = match (timers, everyone) {
            (true, true) => self.candidates()?,
            (true, false) => {
                vec![node::ELECTED.map(|(process, _)| process).to_vec(); self.nodes.len()]
            }
            (false, _) => vec![Vec::new(); self.nodes.len()],
        };
        let still: BTreeMap<&str, &Vec<&str>> = self
            .nodes
            .iter()
            .map(|member| member.container.name.as_str())
            .zip(&still)
            .collect();
        self.everywhere(|member| {
            let still = still[member.container.name.as_str()];
            member.container.move_clocks(by, timers, still)
        })?;
        self.ahead.add(by);
        Ok(())
    }

    /// For each node the processes that wait for a leader elsewhere. Their timers stand still while the leader's run:
    /// in a hop longer than a lease one of them would take it over before its holder can renew it, and that ends. Where
    /// nobody has renewed a lease just now, everybody's timers run, and somebody takes it.
    fn candidates(&self) -> Result<Vec<Vec<&'static str>>, EngineError> {
        let mut still = vec![Vec::new(); self.nodes.len()];
        let control_planes = |member: &&Member| member.plan.control_plane && member.joined;
        if self.nodes.iter().filter(control_planes).count() < 2 {
            return Ok(still);
        }
        let now = self.ahead.now();
        for member in self.nodes.iter().filter(control_planes) {
            if !member.powered {
                continue;
            }
            let words = ask::kubectl(&[
                "--kubeconfig=/etc/kubernetes/admin.conf",
                "--request-timeout=3s",
                "get",
                "leases",
                "-n",
                "kube-system",
                "-o",
                "json",
            ])
            .words;
            let output = member.container.run(&words, &[])?;
            if output.exit_code != 0 {
                continue;
            }
            for (process, holder) in picture::renewed_since(&output.stdout, shift(now, -FRESH)) {
                for (place, member) in self.nodes.iter().enumerate() {
                    if member.plan.name != holder {
                        still[place].push(process);
                    }
                }
            }
            break;
        }
        Ok(still)
    }

    /// Removes containers and network.
    fn remove(&mut self) {
        if self.options.reuse && self.keep_for_the_next() {
            return;
        }
        clean::goes_with_us(None);
        if self.options.adopt.is_some() || self.options.keep && self.made {
            return;
        }
        for member in self.nodes.drain(..) {
            // What is left is found by its label: `certdrill clean`.
            let _ = self.engine.remove(&member.container.name);
        }
        if let Some(balancer) = self.balancer.take() {
            let _ = self
                .engine
                .run(&["rm", "--force", "--volumes", &balancer.name]);
        }
        if std::mem::take(&mut self.network) {
            let _ = self.engine.run(&["network", "rm", &self.name]);
        }
    }
}

impl Drop for Kind {
    fn drop(&mut self) {
        self.remove();
    }
}

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
        self.made = made.is_ok();
        if bare && self.made && self.options.reuse {
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
        for hop in clock::hops(span) {
            // A pause passes virtual time, too.
            let passes = SignedDuration::try_from(HOP_PAUSE).unwrap_or_default();
            if hop.by <= LIVED_THROUGH {
                pause(hop.by.try_into().unwrap_or(HOP_PAUSE));
                continue;
            }
            if hop.by > passes {
                self.hop(hop.by - passes, true, hop.everyone)?;
            }
            pause(HOP_PAUSE);
            if hop.everyone {
                // Keep-alives of every connection were due: each must be answered before the next hop.
                pause(NODE_PAUSE * u32::try_from(self.nodes.len() - 1).unwrap_or(0));
            }
        }
        Ok(())
    }

    fn step(&mut self, by: SignedDuration) -> Result<(), EngineError> {
        self.hop(by, false, true)?;
        pause(HOP_PAUSE);
        Ok(())
    }

    fn skew(&mut self, node: usize, offset: SignedDuration) -> Result<(), EngineError> {
        let member = &mut self.nodes[node];
        let by = offset - member.skew;
        member.container.move_clocks(by, false, &[])?;
        member.skew = offset;
        Ok(())
    }

    fn power(&mut self, node: usize, on: bool) -> Result<(), EngineError> {
        let member = &mut self.nodes[node];
        if on {
            let ahead = self.ahead.offset() + member.skew;
            member
                .container
                .put(&[(node::CLOCK, 0o644, node::clock_file(ahead).as_bytes())])?;
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
        member.container.run(command, input)
    }

    fn give(&mut self, node: usize, directory: &Path) -> Result<(), EngineError> {
        self.spoiled = true;
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
        let output = self.join_with(node, certificate_key)?;
        let member = &mut self.nodes[node];
        member.joined |= output.exit_code == 0;
        // It starts the kubelet before it can fail at what comes later.
        let active = member.container.shell("systemctl is-active kubelet")?;
        member.kubelet_wanted = active.stdout.trim() == "active" || output.exit_code == 0;
        member.kubelet = kubelet_seen::KubeletSeen::default();
        Ok(output)
    }

    fn kubeadm(
        &mut self,
        node: usize,
        version: Version,
        args: &[String],
    ) -> Result<CommandOutput, EngineError> {
        let member = &self.nodes[node];
        if version != member.plan.version {
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
            }
            _ => {}
        }
        Ok(output)
    }
}

/// What the agents of the nodes reported, by the node's place.
type Reports = BTreeMap<usize, Report>;
