//! A world that is a picture of a real cluster: what is done to it is done there, and what is seen there fills it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::edge::{EdgeId, Outcome};
use super::engine::EngineError;
use super::node::{KubeletState, Loaded, PodState, Process, Rotation, STATIC_PODS, files_of};
use super::reality::{Answer, ApiPicture, Look, NodePicture, NodePlan, Reality, Seen, changes};
use super::world::World;
use crate::fs::{MemoryTree, Tree, mirror};
use crate::kubeadm::CommandOutput;
use crate::kubeadm::profile::components::Slot;
use crate::pki::Certificate;
use crate::run::trace::{EventKind, Weight};
use crate::scenario::Component;
use crate::time::{SignedDuration, Timestamp};

/// Wall time between two looks while something is waited for, as virtual time that passes.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(1);
/// Longest stretch of a walk without a look where a scenario watches.
const WATCHED_STRIDE: SignedDuration = SignedDuration::from_hours(24 * 20);

/// A kubelet closes its connections when it has a new certificate; requests that were under way show the old one.
const TAKEN_INTO_USE: SignedDuration = SignedDuration::from_mins(5);

/// What the world knows of the reality behind it.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Files as they are on the machines.
    trees: Vec<MemoryTree>,
    /// Edges that cannot be seen, and why.
    unseen: BTreeMap<EdgeId, String>,
    /// Something was done since the last thorough look.
    stale: bool,
    /// Names of every request that was ever listed.
    requests: BTreeSet<String>,
    /// The API gave no answer at the last thorough look.
    api_silent: bool,
    /// The certificate that a component showed an API server, as SHA-256.
    showed: BTreeMap<(usize, Component), [u8; 32]>,
}

impl World {
    /// Machines of a real cluster, which do not exist yet.
    #[must_use]
    pub fn real(spec: super::Spec, reality: Box<dyn Reality>) -> Self {
        let mut world = Self::new(spec);
        world.known.trees = vec![MemoryTree::new(); world.nodes.len()];
        world.reality = Some(reality);
        world
    }

    /// Whether there is a real cluster behind this world.
    #[must_use]
    pub fn is_real(&self) -> bool {
        self.reality.is_some()
    }

    /// Why the state of an edge is not known.
    #[must_use]
    pub fn unseen(&self, edge: EdgeId) -> Option<&str> {
        self.known.unseen.get(&edge).map(String::as_str)
    }

    /// Whether what the API says (Nodes, requests) is older than the rest, because it gives no answer.
    #[must_use]
    pub fn api_is_silent(&self) -> bool {
        self.known.api_silent
    }

    /// Whether an API server has named the very client certificate that a component is believed to hold, so that it may be
    /// said to be loaded. Always so in a simulated world.
    ///
    /// # Errors
    /// Why it may not.
    pub fn client_certificate_is_seen(
        &self,
        node: usize,
        component: Component,
    ) -> Result<(), &'static str> {
        if !self.is_real() {
            return Ok(());
        }
        let showed = self.known.showed.get(&(node, component));
        let held = self.nodes[node]
            .process(component)
            .and_then(|process| process.config()?.credential.clone())
            .map(|held| held.certificate.fingerprint());
        match showed {
            None => Err("no API server has named its certificate since it started"),
            Some(showed) if held.as_ref() == Some(showed) => Ok(()),
            Some(_) => Err("it shows a certificate that is in no file"),
        }
    }

    /// Looks at everything, if something was done since the last time. Nothing in a simulated world.
    pub fn refresh(&mut self) {
        if self.is_real() && self.known.stale && self.broken.is_none() {
            self.look_at_reality(true);
        }
    }

    /// Has the reality do something. What cannot be done makes the world [`World::broken`].
    pub(super) fn really<T>(
        &mut self,
        act: impl FnOnce(&mut dyn Reality) -> Result<T, EngineError>,
    ) -> Option<T> {
        if self.broken.is_some() {
            return None;
        }
        self.known.stale = true;
        let reality = self.reality.as_mut()?;
        match act(reality.as_mut()) {
            Ok(value) => Some(value),
            Err(error) => {
                self.broken = Some(error);
                None
            }
        }
    }

    /// Writes what steps have changed to the machines.
    pub(super) fn write_to_reality(&mut self) {
        for node in 0..self.nodes.len() {
            let generation = self.nodes[node].tree.generation();
            if self.nodes[node].seen == Some(generation) {
                continue;
            }
            let changes = changes(&self.known.trees[node], &self.nodes[node].tree);
            if !changes.is_empty() {
                self.really(|reality| reality.write(node, &changes));
            }
            self.take_tree(node);
        }
    }

    /// From now on the machine's files are known to be those of the world.
    fn take_tree(&mut self, node: usize) {
        self.known.trees[node] = self.nodes[node].tree.clone();
        self.nodes[node].seen = Some(self.nodes[node].tree.generation());
        self.list_certificates(node);
    }

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
        [
            (spec.etcd > 0, "an external etcd"),
            (
                spec.load_balancer != Default::default(),
                "options of the load balancer",
            ),
            (spec.metrics_server.is_some(), "a metrics-server"),
            (
                spec.serving_approver.is_some(),
                "an approver of serving certificates",
            ),
        ]
        .into_iter()
        .find_map(|(wanted, what)| (wanted && self.is_real()).then_some(what))
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
            node.ready = Some(false);
            node.etcd_member = node.control_plane;
        }
        self.look_at_reality(false);
        self.connect_nodes();
        self.look_at_reality(true);
        Ok(())
    }

    /// `kubeadm join` on a real machine.
    pub(super) fn join_really(&mut self, node: usize, key: Option<&str>) -> CommandOutput {
        let output = self.run_really(|reality| reality.join(node, key));
        if output.exit_code == 0 {
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
            machine.etcd_member &= output.stderr.contains("No kubeadm config");
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

    /// Lets time pass until something is so, at most until `target` on the axis of timers.
    pub(super) fn live_until(
        &mut self,
        target: Timestamp,
        mut done: impl FnMut(&World) -> bool,
        waiting: bool,
    ) -> bool {
        self.write_to_reality();
        let watched = self.watched;
        loop {
            if self.broken.is_some() || done(self) {
                return self.broken.is_none();
            }
            let left = target.duration_since(self.clock.ticks());
            if !left.is_positive() {
                return false;
            }
            let mut span = if waiting { left.min(LOOK_AGAIN) } else { left };
            if watched && !waiting {
                span = span.min(WATCHED_STRIDE);
            }
            self.really(|reality| reality.live(span));
            self.events += 1;
            self.look_at_reality(!waiting && watched);
            if watched {
                self.look();
            }
            if !waiting && span == left {
                return done(self);
            }
        }
    }

    /// Copies what is seen of the machines into the world.
    pub(super) fn look_at_reality(&mut self, deep: bool) {
        let edges: Vec<EdgeId> = if deep {
            self.edges.iter().map(|edge| edge.id).collect()
        } else {
            Vec::new()
        };
        let Some(picture) = self.really(|reality| {
            reality.look(Look {
                edges: &edges,
                deep,
            })
        }) else {
            return;
        };
        self.known.stale = !deep;
        self.clock.set(picture.now);
        for (node, seen) in picture.nodes.into_iter().enumerate() {
            self.take_node(node, seen);
        }
        for (id, answer) in picture.edges {
            self.take_edge(id, answer);
        }
        if deep {
            self.known.api_silent = picture.api.is_none();
            if let Some(api) = picture.api {
                self.take_api(api);
            }
            let had_etcd = |node: &super::Node| node.pods.contains_key(&Component::Etcd);
            if let Some(quorum) = picture.quorum
                && self.nodes.iter().any(had_etcd)
                && self.quorum.replace(quorum).is_some_and(|was| was != quorum)
            {
                let verb = if quorum { "has" } else { "has no" };
                let weight = if quorum {
                    Weight::Normal
                } else {
                    Weight::Trouble
                };
                let text = format!("etcd {verb} quorum");
                self.record(EventKind::EtcdQuorum, weight, None, "etcd", text, None);
            }
        }
        self.note_state();
    }

    fn take_node(&mut self, node: usize, seen: NodePicture) {
        let mut tree = std::mem::take(&mut self.nodes[node].tree);
        // What is the same keeps its place in memory, so that nothing is parsed or written down twice.
        if let Err(error) = mirror(&seen.tree, &mut tree, &[]) {
            self.broken.get_or_insert(EngineError {
                message: format!(
                    "files of {} cannot be taken: {error}",
                    self.nodes[node].name
                ),
                help: "this is a defect of certdrill: please report it".to_owned(),
            });
        }
        self.nodes[node].tree = tree;
        self.take_tree(node);
        for (component, line) in seen.logs {
            self.log_line(node, component, &line);
        }
        self.take_kubelet(node, seen.kubelet, seen.kubelet_shows, seen.kubelet_showed);
        for component in STATIC_PODS {
            let process = seen.processes.get(&component);
            match process.and_then(|process| process.showed) {
                Some(showed) => self.known.showed.insert((node, component), showed),
                None => self.known.showed.remove(&(node, component)),
            };
            self.take_process(node, component, process);
        }
    }

    fn take_kubelet(
        &mut self,
        node: usize,
        (state, id): (KubeletState, u64),
        shows: Option<Certificate>,
        showed: Option<([u8; 32], Timestamp)>,
    ) {
        use super::node::{KUBELET_CONF, KUBELET_CURRENT};
        let tree = &self.nodes[node].tree;
        let config = self.files.client_config(tree, KUBELET_CONF).ok();
        let stored = self.files.pair(tree, KUBELET_CURRENT, KUBELET_CURRENT).ok();
        let bootstrap = tree.read(super::node::KUBELET_CONFIG).is_ok_and(|text| {
            String::from_utf8_lossy(&text)
                .lines()
                .any(|line| line.trim_end() == "serverTLSBootstrap: true")
        });
        let before = (self.nodes[node].kubelet.state, self.nodes[node].kubelet.id);
        let serving = shows.and_then(|certificate| self.pair_on_disk(node, &certificate));
        // A running kubelet writes the file when it takes a new one into use. Where an API server has seen another one
        // since that file was written, somebody else has written it.
        let stored = match showed {
            Some((showed, at)) if self.is_stale(stored.as_deref(), &showed, at, node) => {
                let before = self.nodes[node].kubelet.current.clone();
                before
                    .filter(|before| before.certificate.fingerprint() == showed)
                    .or_else(|| self.client_pair_on_disk(node, &showed))
                    .or(stored)
            }
            _ => stored,
        };
        let kubelet = &mut self.nodes[node].kubelet;
        let new = kubelet.id != id;
        let rotated = !new
            && matches!((&kubelet.current, &stored), (Some(a), Some(b))
                if a.certificate.der() != b.certificate.der());
        kubelet.state = state;
        kubelet.id = id;
        kubelet.rotation = Rotation::Idle;
        kubelet.serving.bootstrap = bootstrap;
        kubelet.serving.current = serving;
        if new || kubelet.config.is_none() {
            kubelet.config = config;
        }
        kubelet.current = match state {
            KubeletState::Running => stored,
            _ => None,
        };
        let name = self.nodes[node].name.clone();
        let subject = format!("kubelet@{name}");
        if rotated && let Some(current) = self.nodes[node].kubelet.current.clone() {
            let text = format!(
                "kubelet rotated its client certificate: valid until {}",
                current.not_after()
            );
            self.record(
                EventKind::KubeletRotated,
                Weight::Normal,
                Some(node),
                &subject,
                text,
                None,
            );
        }
        if (state, id) != before {
            self.say_process(node, &subject, "kubelet", state == KubeletState::Running);
        }
    }

    fn take_process(&mut self, node: usize, component: Component, seen: Option<&Seen>) {
        let path = Self::manifest_path(component);
        let manifest = self.nodes[node].tree.content(&path).ok();
        let machine = &self.nodes[node];
        if seen.is_none() && machine.ready.is_none() && !machine.pods.contains_key(&component) {
            // A machine that is in no cluster yet.
            return;
        }
        let before = self.nodes[node]
            .process(component)
            .map(|process| process.id);
        let state = match seen {
            None if manifest.is_some() && self.nodes[node].powered => PodState::Crashed,
            None => PodState::Absent,
            // It is there and does not answer yet.
            Some(seen) if seen.silent => PodState::Starting,
            Some(seen) => match self.process_seen(node, component, seen, manifest.as_deref()) {
                Some(process) => PodState::Running(process),
                None => PodState::Crashed,
            },
        };
        let pod = self.nodes[node].pods.entry(component).or_default();
        pod.state = state;
        pod.manifest = manifest.or(pod.manifest.take());
        let now = self.nodes[node]
            .process(component)
            .map(|process| process.id);
        if now != before {
            let subject = format!("{}@{}", component.name(), self.nodes[node].name);
            self.say_process(node, &subject, component.name(), now.is_some());
        }
    }

    fn say_process(&mut self, node: usize, subject: &str, name: &str, runs: bool) {
        let (kind, verb) = if runs {
            (EventKind::ProcessStarted, "started")
        } else {
            (EventKind::ProcessEnded, "does not run")
        };
        let text = format!("{name} {verb}");
        self.record(kind, Weight::Normal, Some(node), subject, text, None);
    }

    /// A process with what it holds: what its handshake shows, what it read at its start, and otherwise what
    /// its version reads again by itself.
    fn process_seen(
        &self,
        node: usize,
        component: Component,
        seen: &Seen,
        manifest: Option<&[u8]>,
    ) -> Option<Process> {
        use crate::kubeadm::profile::components;
        let pod = self.nodes[node].pods.get(&component);
        let same = match pod.map(|pod| &pod.state) {
            Some(PodState::Running(process) | PodState::Stopping(process)) => {
                (process.id == seen.id).then_some(process)
            }
            _ => None,
        };
        let manifest = manifest
            .or(pod.and_then(|pod| pod.manifest.as_deref()))
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())?;
        let files = match same {
            Some(process) => process.files.clone(),
            None => files_of(component, &manifest).ok()?,
        };
        let version = same.map_or(self.nodes[node].version, |process| process.version);
        let mut loaded: BTreeMap<Slot, Loaded> = same
            .map(|process| process.loaded.clone())
            .unwrap_or_default();
        for (slot, source) in &files {
            let rule = if component == Component::Etcd && *slot == Slot::Serving {
                components::etcd_serving_reloads()
            } else {
                components::reloads(*slot)
            };
            if (same.is_none() || *rule.at(version))
                && let Ok(now) = self.load(node, source)
            {
                loaded.insert(*slot, now);
            }
        }
        if let Some(shown) = &seen.shows
            && let Some(pair) = self.pair_on_disk(node, shown)
        {
            loaded.insert(Slot::Serving, Loaded::Pair(pair));
        }
        if let Some(bytes) = &seen.kubeconfig
            && let Ok(mut config) = self.files.client_config_of(bytes, &self.nodes[node].tree)
        {
            // What it shows to an API server is what it holds.
            if let Some(showed) = &seen.showed
                && (config.credential.as_ref())
                    .is_none_or(|held| held.certificate.fingerprint() != *showed)
                && let Some(pair) = self.client_pair_on_disk(node, showed)
            {
                config = Arc::new(super::files::ClientConfig {
                    host: config.host.clone(),
                    server: config.server.clone(),
                    roots: Arc::clone(&config.roots),
                    credential: Some(pair),
                    embedded: config.embedded,
                });
            }
            loaded.insert(Slot::Kubeconfig, Loaded::Config(config));
        }
        let flags = same.map(|process| Arc::clone(&process.flags));
        Some(Process {
            id: seen.id,
            started: seen.started,
            version,
            files,
            loaded,
            flags: flags.unwrap_or_default(),
            etcd_servers: super::node::etcd_servers(&manifest),
        })
    }

    /// Whether what a kubelet showed is not what its file holds, and was not shown before that file was written.
    fn is_stale(
        &self,
        stored: Option<&super::Credential>,
        showed: &[u8; 32],
        at: Timestamp,
        node: usize,
    ) -> bool {
        let Some(stored) = stored else {
            return true;
        };
        if stored.certificate.fingerprint() == *showed {
            return false;
        }
        // `kubelet-client-2027-01-01-00-00-00.pem`: a kubelet's own file is named by the second it was written in.
        let written = (self.nodes[node].tree)
            .read_link(super::node::KUBELET_CURRENT)
            .ok()
            .and_then(|target| dated(&target));
        written.is_none_or(|written| at.duration_since(written) > TAKEN_INTO_USE)
    }

    /// The certificate with this fingerprint that a file of a machine holds, with its key where that is in the same file.
    fn client_pair_on_disk(
        &self,
        node: usize,
        sha256: &[u8; 32],
    ) -> Option<Arc<super::Credential>> {
        let held = self.nodes[node].on_disk.values();
        let certificate = (held.map(|entry| &entry.certificate))
            .find(|certificate| certificate.fingerprint() == *sha256)?
            .clone();
        self.pair_on_disk(node, &certificate)
    }

    /// A certificate that a handshake showed, with its key where a file of the machine has both.
    fn pair_on_disk(&self, node: usize, shown: &Certificate) -> Option<Arc<super::Credential>> {
        let machine = &self.nodes[node];
        let path = machine
            .on_disk
            .iter()
            .find(|(_, entry)| entry.certificate.der() == shown.der())
            .map(|(path, _)| path.clone());
        if let Some(path) = &path {
            let key = path
                .strip_suffix(".crt")
                .map_or_else(|| path.clone(), |stem| format!("{stem}.key"));
            if let Ok(pair) = self.files.pair(&machine.tree, path, &key) {
                return Some(pair);
            }
        }
        // Its file is gone or replaced: the key is of no use to anyone here.
        Some(Arc::new(super::Credential {
            certificate: shown.clone(),
            intermediates: Vec::new(),
            file: path.unwrap_or_default(),
            key: super::files::KeyText(Arc::from(&b""[..])),
        }))
    }

    fn take_edge(&mut self, id: EdgeId, answer: Answer) {
        let Some(at) = self.edges.iter().position(|edge| edge.id == id) else {
            return;
        };
        match answer {
            Answer::Unseen(reason) => {
                // Nothing is claimed of it, not even what was so before.
                self.edges[at].fresh = Outcome::Absent;
                self.known.unseen.insert(id, reason);
            }
            Answer::Seen(outcome) => {
                self.known.unseen.remove(&id);
                if outcome.class() != self.edges[at].fresh.class() {
                    self.report_edge(at, &outcome);
                }
                self.edges[at].fresh = outcome;
            }
        }
    }

    fn take_api(&mut self, api: ApiPicture) {
        for node in 0..self.nodes.len() {
            let name = self.nodes[node].name.clone();
            let ready = api.ready.get(&name).copied();
            if let Some(now) = ready
                && self.nodes[node].ready != Some(now)
            {
                let word = if now { "Ready" } else { "NotReady" };
                let weight = if now { Weight::Normal } else { Weight::Trouble };
                let text = format!("Node {name} is {word}");
                self.record(
                    EventKind::NodeCondition,
                    weight,
                    Some(node),
                    &name,
                    text,
                    None,
                );
                self.nodes[node].ready = Some(now);
            }
        }
        for request in &mut self.requests {
            request.deleted = true;
        }
        for mut listed in api.requests {
            listed.cause = self.records.len().saturating_sub(1) as u64;
            let new = self.known.requests.insert(listed.name.clone());
            let name = listed.name.clone();
            let column = listed.column();
            let place = self.requests.iter().position(|one| one.name == name);
            let changed = place.is_none_or(|at| self.requests[at].column() != column);
            match place {
                Some(at) => self.requests[at] = listed,
                None => self.requests.push(listed),
            }
            if new || changed {
                let text = format!("request {name}: {column}");
                self.record(
                    EventKind::CsrChanged,
                    Weight::Detail,
                    None,
                    &name,
                    text,
                    None,
                );
            }
        }
        self.leaders = api
            .leaders
            .iter()
            .filter_map(|(component, holder)| {
                let node = self.node_named(holder)?;
                Some((*component, (node, self.nodes[node].process_id(*component)?)))
            })
            .collect();
    }
}

/// When a kubelet wrote a file of a name with a date, on its node's clock.
fn dated(path: &str) -> Option<Timestamp> {
    let stamp = path
        .rsplit('/')
        .next()?
        .strip_prefix("kubelet-client-")?
        .strip_suffix(".pem")?;
    jiff::fmt::strtime::parse("%Y-%m-%d-%H-%M-%S", stamp)
        .and_then(|parsed| parsed.to_datetime())
        .and_then(|civil| jiff::tz::TimeZone::UTC.to_timestamp(civil))
        .ok()
}
