//! What follows from a change: reloads, edges, and everything that is scheduled because of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::mechanism::Mechanism;
use super::node::{
    DiskCertificate, FileSource, KUBELET_PKI, KubeletState, Loaded, PodState, STATIC_PODS,
};
use super::world::World;
use crate::fs::{FileType, MemoryTree, Tree};
use crate::kubeadm::profile::components;
use crate::pki::Certificate;
use crate::run::trace::{EventKind, Weight};
use crate::scenario::{Component, HealthCheck};
use crate::time::{SignedDuration, Timestamp, shift};

/// Rounds after which a world that does not come to rest is a defect of the model.
const ROUNDS_MAX: u32 = 32;

impl World {
    /// Brings everything that needs no time into agreement.
    pub(super) fn settle(&mut self) {
        if self.is_real() {
            self.write_to_reality();
            return;
        }
        self.catch_up();
        for round in 0.. {
            debug_assert!(round < ROUNDS_MAX, "the world does not come to rest");
            if round >= ROUNDS_MAX {
                break;
            }
            let mut changed = false;
            for node in 0..self.nodes.len() {
                changed |= self.notice_files(node);
                self.report_ends(node);
            }
            changed |= self.judge_edges();
            changed |= self.judge_quorum();
            self.follow_leases();
            self.follow_unelected();
            self.follow_requests();
            self.follow_kubelets();
            self.follow_pods();
            self.follow_health();
            self.follow_conditions();
            if !changed {
                break;
            }
        }
        self.note_state();
    }

    /// The next instant, on the axis of timers, at which a certificate begins or ends somewhere.
    pub(super) fn next_boundary(&self) -> Option<Timestamp> {
        let mut next: Option<Timestamp> = None;
        let clocks: Vec<(SignedDuration, Timestamp)> = (0..self.nodes.len())
            .map(|node| (self.nodes[node].offset, self.wall(node)))
            .collect();
        let mut consider = |node: Option<usize>, certificate: &Certificate| {
            let (offset, now) =
                node.map_or((SignedDuration::ZERO, self.now()), |node| clocks[node]);
            for edge in [
                certificate.not_before(),
                // Valid through its last second: the next one is the first that is not.
                shift(certificate.not_after(), SignedDuration::from_secs(1)),
            ] {
                if edge > now {
                    let at = self.clock.ticks_at(shift(edge, -offset));
                    next = Some(next.map_or(at, |known| known.min(at)));
                }
            }
        };
        let verified = self.spec.load_balancer.health_check == HealthCheck::HttpsVerified;
        for (index, node) in self.nodes.iter().enumerate() {
            // A load balancer that verifies has a clock of its own, a correct one.
            if verified && let Some(process) = node.process(Component::ApiServer) {
                let serving = process.pair(components::Slot::Serving);
                if let Some(pair) = serving {
                    consider(None, &pair.certificate);
                }
            }
            for entry in node.on_disk.values() {
                consider(Some(index), &entry.certificate);
            }
            if !node.powered {
                continue;
            }
            for current in [&node.kubelet.current, &node.kubelet.serving.current]
                .into_iter()
                .flatten()
            {
                consider(Some(index), &current.certificate);
            }
            for component in STATIC_PODS {
                let Some(process) = node.process(component) else {
                    continue;
                };
                for loaded in process.loaded.values() {
                    match loaded {
                        Loaded::Pair(pair) => consider(Some(index), &pair.certificate),
                        Loaded::Roots(roots) => {
                            roots
                                .certificates
                                .iter()
                                .for_each(|ca| consider(Some(index), ca));
                        }
                        Loaded::Config(config) => {
                            if let Some(pair) = &config.credential {
                                consider(Some(index), &pair.certificate);
                            }
                            config
                                .roots
                                .certificates
                                .iter()
                                .for_each(|ca| consider(Some(index), ca));
                        }
                        Loaded::Key => {}
                    }
                }
            }
            for edge in self
                .edges
                .iter()
                .filter(|edge| edge.id.client_node == index)
            {
                for (_, pair) in self.shown_on(edge.id) {
                    consider(Some(index), &pair.certificate);
                    // The other end judges it by its own clock.
                    if let Some(server) = edge.id.server_node {
                        consider(Some(server), &pair.certificate);
                    }
                }
            }
        }
        next
    }

    /// Looks at a node's files where they changed: what processes reload, static Pods, the list of certificates.
    fn notice_files(&mut self, node: usize) -> bool {
        let generation = self.nodes[node].tree.generation();
        if self.nodes[node].seen == Some(generation) {
            return false;
        }
        self.nodes[node].seen = Some(generation);
        self.list_certificates(node);
        if self.nodes[node].powered {
            self.reload(node);
            self.sync_manifests(node);
            self.kubelet_files_changed(node);
        }
        true
    }

    pub(super) fn list_certificates(&mut self, node: usize) {
        let before = std::mem::take(&mut self.nodes[node].on_disk);
        let tree = &self.nodes[node].tree;
        let mut found = Vec::new();
        let certificates_dir = self.nodes[node].certificates_dir.as_str();
        let etcd_dir = self.nodes[node].pki("etcd");
        for dir in [
            certificates_dir,
            &etcd_dir,
            "/etc/kubernetes",
            KUBELET_PKI,
            "/root/.kube",
        ] {
            for entry in tree.read_dir(dir).unwrap_or_default() {
                let path = crate::fs::join(dir, &entry.name);
                let wanted = entry.file_type == FileType::File
                    && (path.ends_with(".crt")
                        || path.ends_with(".conf")
                        || path.ends_with(".pem")
                        || path == super::node::USER_CONF);
                if !wanted {
                    continue;
                }
                let Ok(content) = tree.content(&path) else {
                    continue;
                };
                let known = before
                    .get(&path)
                    .filter(|known| Arc::ptr_eq(&known.content, &content));
                let certificate = match known {
                    Some(known) => Some(known.certificate.clone()),
                    None => self.first_certificate(tree, &path),
                };
                if let Some(certificate) = certificate {
                    found.push((path, certificate, content));
                }
            }
        }
        for (path, certificate, content) in found {
            let expired = before
                .get(&path)
                .is_some_and(|known| known.expired && known.certificate.der() == certificate.der());
            self.nodes[node].on_disk.insert(
                path,
                DiskCertificate {
                    certificate,
                    content,
                    expired,
                },
            );
        }
    }

    /// The certificate that a file of a node holds first, or embeds as a kubeconfig's client certificate.
    #[must_use]
    pub fn certificate_in(&self, node: usize, path: &str) -> Option<Certificate> {
        self.first_certificate(&self.nodes[node].tree, path)
    }

    /// The certificate a file holds, or embeds as a kubeconfig's client certificate.
    pub(super) fn first_certificate(&self, tree: &MemoryTree, path: &str) -> Option<Certificate> {
        if path.ends_with(".crt") || path.ends_with(".pem") {
            let content = tree.content(path).ok()?;
            return Certificate::parse_pem_certs(&content)
                .ok()?
                .into_iter()
                .next();
        }
        let config = self.files.client_config(tree, path).ok()?;
        (config.embedded).then(|| {
            config
                .credential
                .as_ref()
                .map(|pair| pair.certificate.clone())
        })?
    }

    /// Says once of each certificate on disk that it has ended.
    fn report_ends(&mut self, node: usize) {
        let now = self.wall(node);
        let ended: Vec<(String, Timestamp)> = self.nodes[node]
            .on_disk
            .iter()
            .filter(|(_, entry)| !entry.expired && now > entry.certificate.not_after())
            .map(|(path, entry)| (path.clone(), entry.certificate.not_after()))
            .collect();
        if ended.is_empty() {
            return;
        }
        // Nothing but time ends a certificate.
        self.cause = None;
        // The kubelet leaves its old dated files behind: their end means nothing.
        let current = self.nodes[node]
            .tree
            .read_link(super::node::KUBELET_CURRENT)
            .unwrap_or_default();
        let mut matters = Vec::new();
        for (path, not_after) in ended {
            if let Some(entry) = self.nodes[node].on_disk.get_mut(&path) {
                entry.expired = true;
            }
            if !path.starts_with(KUBELET_PKI) || path == current {
                matters.push(path.clone());
            }
            let text = format!("{path} has ended (valid until {not_after})");
            self.record(
                EventKind::CertificateExpired,
                Weight::Detail,
                Some(node),
                &path,
                text,
                None,
            );
        }
        let Some(first) = matters.first().cloned() else {
            return;
        };
        let text = match matters.len() {
            1 => format!("a certificate on disk has ended: {first}"),
            count => {
                let names: Vec<&str> = matters.iter().map(|path| short(path)).collect();
                format!(
                    "{count} certificates on disk have ended: {}",
                    names.join(", ")
                )
            }
        };
        let seq = self.record(
            EventKind::CertificateExpired,
            Weight::Trouble,
            Some(node),
            &first,
            text,
            None,
        );
        self.cause = Some(seq);
    }

    /// Running processes take in what their version reloads by itself.
    fn reload(&mut self, node: usize) {
        for component in STATIC_PODS {
            let Some(process) = self.nodes[node].process(component) else {
                continue;
            };
            let version = process.version;
            let mut taken = Vec::new();
            for (slot, source) in &process.files {
                let slot = *slot;
                let rule = if component == Component::Etcd && slot == components::Slot::Serving {
                    components::etcd_serving_reloads()
                } else {
                    components::reloads(slot)
                };
                if !*rule.at(version) && self.has(Mechanism::StaleMemory) {
                    continue;
                }
                // A pair that does not belong together, or garbage, is passed over: the old one stays in use.
                let Ok(loaded) = self.load(node, source) else {
                    continue;
                };
                if !same(process.loaded.get(&slot), &loaded) {
                    taken.push((slot, source.clone(), loaded));
                }
            }
            let mut files: Vec<&str> = taken.iter().map(|(_, source, _)| source.path()).collect();
            let signer = self.reloaded_signer(node, component);
            if signer.is_some() {
                files.push("the signer's CA");
            }
            if files.is_empty() {
                continue;
            }
            let text = format!("takes into use without a restart: {}", files.join(", "));
            let subject = format!("{}@{}", component.name(), self.nodes[node].name);
            self.record(
                EventKind::ProcessReloaded,
                Weight::Detail,
                Some(node),
                &subject,
                text,
                None,
            );
            if let Some(pod) = self.nodes[node].pods.get_mut(&component)
                && let PodState::Running(process) | PodState::Stopping(process) = &mut pod.state
            {
                for (slot, _, loaded) in taken {
                    process.loaded.insert(slot, loaded);
                }
                if let Some(signer) = signer {
                    process.loaded.insert(components::Slot::Signer, signer);
                }
            }
        }
    }

    /// The signer's CA as its files are now, where a running controller-manager takes it into use. Files that do not
    /// belong together are passed over; several certificates are not, and fail when something is to be signed.
    fn reloaded_signer(&self, node: usize, component: Component) -> Option<Loaded> {
        let process = self.nodes[node]
            .process(component)
            .filter(|_| component == Component::ControllerManager)?;
        let held = process.pair(components::Slot::Signer)?;
        if !*components::reloads(components::Slot::Signer).at(process.version) {
            return None;
        }
        let flags = &process.flags;
        let tree = &self.nodes[node].tree;
        let pair = self
            .files
            .pair(tree, &flags.cert_file, &flags.key_file)
            .ok()?;
        (!Arc::ptr_eq(&pair, held)).then_some(Loaded::Pair(pair))
    }

    /// Reads what a slot names.
    pub(super) fn load(&self, node: usize, source: &FileSource) -> Result<Loaded, String> {
        let tree = &self.nodes[node].tree;
        match source {
            FileSource::Pair(crt, key) => self.files.pair(tree, crt, key).map(Loaded::Pair),
            FileSource::Roots(path) => self.files.roots(tree, path).map(Loaded::Roots),
            FileSource::Config(path) => self.files.client_config(tree, path).map(Loaded::Config),
            FileSource::Key(path) => match tree.content(path) {
                Ok(pem) if pem.starts_with(b"-----BEGIN ") => Ok(Loaded::Key),
                Ok(_) => Err("data does not contain a valid RSA or ECDSA key".to_owned()),
                Err(error) => Err(error.to_string()),
            },
        }
    }

    /// etcd's quorum: the largest set of members that reach each other.
    fn judge_quorum(&mut self) -> bool {
        let members: Vec<usize> = (0..self.nodes.len())
            .filter(|&node| self.nodes[node].etcd_member)
            .collect();
        if members.is_empty() {
            return false;
        }
        let alive: Vec<usize> = members
            .iter()
            .copied()
            .filter(|&node| self.nodes[node].process(Component::Etcd).is_some())
            .collect();
        let linked = |a: usize, b: usize| {
            self.edges.iter().any(|edge| {
                edge.id.client == Component::Etcd
                    && ((edge.id.client_node == a && edge.id.server_node == Some(b))
                        || (edge.id.client_node == b && edge.id.server_node == Some(a)))
                    && edge.effective().is_ok()
            })
        };
        let largest: Vec<usize> = alive
            .iter()
            .map(|&from| {
                let mut reached = vec![from];
                let mut at = 0;
                while at < reached.len() {
                    let here = reached[at];
                    for &other in &alive {
                        if !reached.contains(&other) && linked(here, other) {
                            reached.push(other);
                        }
                    }
                    at += 1;
                }
                reached
            })
            .max_by_key(Vec::len)
            .unwrap_or_default();
        let quorum = largest.len() > members.len() / 2;
        let apart: BTreeSet<usize> = members
            .iter()
            .copied()
            .filter(|member| !largest.contains(member))
            .collect();
        let mut moved = self.etcd_apart != apart;
        self.etcd_apart = apart;
        if quorum {
            for &member in &largest {
                let process = self.nodes[member].process_id(Component::Etcd);
                moved |= self.etcd_serves.insert(member, process) != Some(process);
            }
        }
        if self.quorum == Some(quorum) {
            return moved;
        }
        let largest = largest.len();
        let first = self.quorum.is_none();
        self.quorum = Some(quorum);
        if !first {
            let text = format!(
                "etcd {} a leader: {largest} of {} members reach each other",
                if quorum { "has" } else { "cannot elect" },
                members.len()
            );
            let weight = if quorum {
                Weight::Normal
            } else {
                Weight::Trouble
            };
            self.record(EventKind::EtcdQuorum, weight, None, "etcd", text, None);
        }
        true
    }

    /// Kubelets notice that they have no certificate, or that they can try again.
    fn follow_kubelets(&mut self) {
        for node in 0..self.nodes.len() {
            let machine = &self.nodes[node];
            if machine.powered
                && machine.kubelet.state == KubeletState::Running
                && !machine.only_etcd()
            {
                self.follow_certificate_managers(node);
            }
        }
    }
}

fn same(held: Option<&Loaded>, now: &Loaded) -> bool {
    match (held, now) {
        (Some(Loaded::Pair(a)), Loaded::Pair(b)) => a.certificate.der() == b.certificate.der(),
        (Some(Loaded::Roots(a)), Loaded::Roots(b)) => Arc::ptr_eq(a, b),
        (Some(Loaded::Config(a)), Loaded::Config(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

/// A path without the directories that every reader knows.
fn short(path: &str) -> &str {
    path.strip_prefix("/etc/kubernetes/pki/")
        .or_else(|| path.strip_prefix("/etc/kubernetes/"))
        .unwrap_or(path)
}
