//! What the processes of a real machine have loaded, from what was seen of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::World;
use super::node::{KubeletState, Loaded, PodState, Process, Rotation, files_of};
use super::reality::Seen;
use crate::fs::Tree as _;
use crate::kubeadm::profile::components::Slot;
use crate::pki::Certificate;
use crate::run::trace::{EventKind, Weight};
use crate::scenario::Component;
use crate::time::{IN_FILE_NAMES, SignedDuration, Timestamp, from_form};

/// A kubelet closes its connections when it has a new certificate; requests that were under way show the old one.
const TAKEN_INTO_USE: SignedDuration = SignedDuration::from_mins(5);

impl World {
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

    pub(super) fn take_kubelet(
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

    pub(super) fn take_process(&mut self, node: usize, component: Component, seen: Option<&Seen>) {
        let path = Self::manifest_path(component);
        let manifest = self.nodes[node].tree.content(&path).ok();
        let machine = &self.nodes[node];
        let unused = machine.ready.is_none() && !machine.only_etcd();
        if seen.is_none() && unused && !machine.pods.contains_key(&component) {
            // A machine that is in no cluster yet.
            return;
        }
        let before = self.nodes[node]
            .process(component)
            .map(|process| process.id);
        let was_there = (self.nodes[node].pods.get(&component))
            .is_some_and(|pod| !matches!(pod.state, PodState::Absent));
        let state = match seen {
            // Nobody has started it yet: the kubelet does not run.
            None if !was_there && self.nodes[node].kubelet.state != KubeletState::Running => {
                PodState::Absent
            }
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
                    credential: Some(pair),
                    ..(*config).clone()
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
    pub(super) fn pair_on_disk(
        &self,
        node: usize,
        shown: &Certificate,
    ) -> Option<Arc<super::Credential>> {
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
}

/// When a kubelet wrote a file of a name with a date, on its node's clock.
fn dated(path: &str) -> Option<Timestamp> {
    let stamp = path
        .rsplit('/')
        .next()?
        .strip_prefix("kubelet-client-")?
        .strip_suffix(".pem")?;
    from_form(IN_FILE_NAMES, stamp)
}
