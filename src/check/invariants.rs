//! Built-in invariants: what holds in every run unless a scenario opts out and says why.
//!
//! They catch two things: a procedure that breaks a cluster in a way nobody wrote an expectation for, and a model
//! that contradicts itself.

use std::collections::BTreeMap;

use super::Seen;
use crate::cluster::{EdgeId, KubeletState, Outcome, World};
use crate::kubeadm::Version;
use crate::kubeadm::certlist::LEAVES;
use crate::kubeadm::profile::Profile;
use crate::kubeadm::renewal::organizations_after;
use crate::pki::Certificate;
use crate::scenario::{Component, Invariant};
use crate::time::{SignedDuration, Timestamp};

/// What the invariants remember from event to event.
#[derive(Debug, Default)]
pub struct Invariants {
    /// Edges that worked at the last look.
    working: Vec<EdgeId>,
    /// Per node: since when (on the axis of timers) a due rotation could have been served.
    served_since: BTreeMap<usize, Timestamp>,
    /// Per node: the kubelet's certificate had ended at the last look.
    lost: BTreeMap<usize, bool>,
    had_quorum: bool,
    /// A step that renews or restarts is under way.
    pub rolling: bool,
}

/// A rotation that could be served for this long must have happened.
const SERVED_LONG_ENOUGH: SignedDuration = SignedDuration::from_hours(24);

impl Invariants {
    /// Looks at the world once; gives what is broken now and was not before.
    pub fn follow(&mut self, world: &World) -> Vec<(Invariant, Seen)> {
        let mut broken = Vec::new();
        self.edges(world, &mut broken);
        self.kubelets(world, &mut broken);
        self.quorum(world, &mut broken);
        broken
    }

    fn edges(&mut self, world: &World, broken: &mut Vec<(Invariant, Seen)>) {
        let mut working = Vec::with_capacity(self.working.len());
        for (position, edge) in world.edges.iter().enumerate() {
            if edge.fresh.is_ok() {
                working.push(edge.id);
                if let Some(certificate) = accepted_outside_validity(world, edge.id) {
                    broken.push((
                        Invariant::Validity,
                        Seen {
                            holds: false,
                            subject: world.edge_name(edge.id),
                            expected: "no certificate is accepted outside its validity".to_owned(),
                            seen: format!(
                                "{} is valid from {} until {} and was accepted at {}",
                                certificate.common_name(),
                                certificate.not_before(),
                                certificate.not_after(),
                                world.now()
                            ),
                            cause: edge.cause,
                        },
                    ));
                }
                continue;
            }
            let worked =
                self.working.get(position) == Some(&edge.id) || self.working.contains(&edge.id);
            let Outcome::Failing(failure) = &edge.fresh else {
                continue;
            };
            if worked && failure.class.is_about_certificates() && rests_on_valid(world, edge.id) {
                broken.push((
                    Invariant::ValidEdges,
                    Seen {
                        holds: false,
                        subject: world.edge_name(edge.id),
                        expected: format!(
                            "{} works, as its certificates are valid and those on disk",
                            world.edge_name(edge.id)
                        ),
                        seen: failure.text.clone(),
                        cause: edge.cause,
                    },
                ));
            }
        }
        self.working = working;
    }

    fn kubelets(&mut self, world: &World, broken: &mut Vec<(Invariant, Seen)>) {
        let ticks = world.clock.ticks();
        for (node, machine) in world.nodes.iter().enumerate() {
            let kubelet = &machine.kubelet;
            let now = world.wall(node);
            let due = kubelet.deadline.is_some_and(|deadline| now >= deadline);
            let serves = world.renews_kubelet(node)
                && machine.powered
                && kubelet.state == KubeletState::Running
                && world.edges.iter().any(|edge| {
                    edge.id.client == Component::Kubelet
                        && edge.id.client_node == node
                        && edge.effective().is_ok()
                });
            let ended = kubelet
                .current
                .as_ref()
                .is_some_and(|current| now > current.not_after());
            let before = self.lost.insert(node, ended);
            if ended
                && before == Some(false)
                && let Some(since) = self.served_since.get(&node)
                && ticks.duration_since(*since) >= SERVED_LONG_ENOUGH
            {
                broken.push((
                    Invariant::KubeletCertificate,
                    Seen {
                        holds: false,
                        subject: format!("kubelet@{}", machine.name),
                        expected: format!(
                            "the kubelet on {} has its certificate renewed: its rotation was due and could be served for {}",
                            machine.name,
                            crate::time::span::display(ticks.duration_since(*since))
                        ),
                        seen: "its certificate has ended".to_owned(),
                        cause: None,
                    },
                ));
            }
            if due && serves {
                self.served_since.entry(node).or_insert(ticks);
            } else if !ended {
                self.served_since.remove(&node);
            }
        }
    }

    fn quorum(&mut self, world: &World, broken: &mut Vec<(Invariant, Seen)>) {
        let has = world.quorum != Some(false);
        let lost = self.had_quorum && !has;
        self.had_quorum = has && world.quorum.is_some();
        if !lost || !self.rolling {
            return;
        }
        let members: Vec<usize> = (0..world.nodes.len())
            .filter(|&node| world.nodes[node].etcd_member)
            .collect();
        let sound = members
            .iter()
            .filter(|&&node| etcd_files_valid(world, node))
            .count();
        if members.len() < 3 || sound <= members.len() / 2 {
            return;
        }
        broken.push((
            Invariant::EtcdQuorum,
            Seen {
                holds: false,
                subject: "etcd".to_owned(),
                expected: "etcd keeps its quorum while nodes are renewed and restarted".to_owned(),
                seen: format!(
                    "it cannot elect a leader, though {sound} of {} members have valid certificates on disk",
                    members.len()
                ),
                cause: None,
            },
        ));
    }
}

/// What a certificate says about who it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity(Vec<String>);

impl Identity {
    /// Of a certificate. Order and repetition of names do not count.
    #[must_use]
    pub fn of(certificate: &Certificate) -> Self {
        let mut facts = vec![format!("CN={}", certificate.common_name())];
        facts.extend(
            certificate
                .organizations()
                .iter()
                .map(|name| format!("O={name}")),
        );
        facts.extend(
            certificate
                .dns_names()
                .iter()
                .map(|name| format!("DNS:{name}")),
        );
        facts.extend(
            certificate
                .ip_addresses()
                .iter()
                .map(|ip| format!("IP:{ip}")),
        );
        facts.extend(
            certificate
                .ext_key_usages()
                .iter()
                .map(|usage| format!("{usage:?}")),
        );
        facts.sort();
        facts.dedup();
        Self(facts)
    }

    /// After a renewal: the same, but where a version changes groups on purpose.
    fn renewed(&self, version: Version, path: &str) -> Self {
        let leaf = LEAVES
            .iter()
            .find(|leaf| path.ends_with(&format!("/{}.crt", leaf.base_name)));
        let Some(leaf) = leaf else {
            return self.clone();
        };
        let (groups, mut facts): (Vec<String>, Vec<String>) = self
            .0
            .iter()
            .cloned()
            .partition(|fact| fact.starts_with("O="));
        let groups: Vec<String> = groups
            .iter()
            .filter_map(|fact| Some(fact.strip_prefix("O=")?.to_owned()))
            .collect();
        let after = organizations_after(&Profile::of(version), leaf.name, &groups);
        facts.extend(after.iter().map(|group| format!("O={group}")));
        facts.sort();
        Self(facts)
    }
}

/// Identities of every certificate on disk that kubeadm renews, by node and path.
#[must_use]
pub fn identities(world: &World) -> BTreeMap<(usize, String), Identity> {
    let mut found = BTreeMap::new();
    for (node, machine) in world.nodes.iter().enumerate() {
        for (path, entry) in &machine.on_disk {
            if path.starts_with("/etc/kubernetes/") || path.starts_with(&machine.certificates_dir) {
                found.insert((node, path.clone()), Identity::of(&entry.certificate));
            }
        }
    }
    found
}

/// Certificates that a renewal gave another identity.
#[must_use]
pub fn identity_kept(
    world: &World,
    before: &BTreeMap<(usize, String), Identity>,
) -> Vec<(Invariant, Seen)> {
    let after = identities(world);
    let mut broken = Vec::new();
    for (key, old) in before {
        let Some(new) = after.get(key) else { continue };
        if new != old && *new != old.renewed(world.nodes[key.0].version, &key.1) {
            broken.push((
                Invariant::Identity,
                Seen {
                    holds: false,
                    subject: key.1.clone(),
                    expected: format!("the renewal keeps the identity of {}", key.1),
                    seen: format!("before: {}; after: {}", old.0.join(", "), new.0.join(", ")),
                    cause: None,
                },
            ));
        }
    }
    broken
}

/// A certificate that the other end checks, accepted although it is outside its validity there.
fn accepted_outside_validity(world: &World, id: EdgeId) -> Option<Certificate> {
    // A kubelet asks anew and a token needs no certificate while it joins.
    if id.client == Component::Kubelet && world.nodes[id.client_node].kubelet.bootstrapping {
        return None;
    }
    let judge = id.server_node.unwrap_or(id.client_node);
    world
        .client_certificates(id)
        .into_iter()
        .find(|certificate| {
            // With a load balancer in between any API server's clock may be the one that counts.
            let clocks: Vec<Timestamp> = if id.server_node.is_some() {
                vec![world.wall(judge)]
            } else {
                (0..world.nodes.len())
                    .filter(|&node| world.nodes[node].control_plane)
                    .map(|node| world.wall(node))
                    .collect()
            };
            clocks
                .iter()
                .all(|&at| at < certificate.not_before() || at > certificate.not_after())
        })
}

/// Whether everything an edge shows is valid at both ends and is what the disk holds.
fn rests_on_valid(world: &World, id: EdgeId) -> bool {
    let now = world.now();
    let shown = world.shown_certificates(id);
    !shown.is_empty()
        && shown.iter().all(|(node, file, certificate)| {
            let valid_at =
                |at: Timestamp| certificate.not_before() <= at && at <= certificate.not_after();
            let on_disk = world.nodes[*node]
                .on_disk
                .get(file)
                .is_none_or(|entry| entry.certificate.der() == certificate.der());
            let everywhere = (0..world.nodes.len()).all(|node| valid_at(world.wall(node)));
            valid_at(now) && everywhere && on_disk
        })
}

fn etcd_files_valid(world: &World, node: usize) -> bool {
    let now = world.wall(node);
    let machine = &world.nodes[node];
    ["etcd/peer.crt", "etcd/server.crt"].iter().all(|name| {
        machine
            .on_disk
            .get(&machine.pki(name))
            .is_some_and(|entry| {
                entry.certificate.not_before() <= now && now <= entry.certificate.not_after()
            })
    })
}
