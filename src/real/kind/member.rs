//! A node of the cluster and what is remembered of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::agent::Report;
use super::node::Container;
use super::picture::{MANIFESTS, ROOTS};
use super::{audit, kubelet_seen};
use crate::cluster::{NodePlan, STATIC_PODS};
use crate::scenario::Component;
use crate::time::{SignedDuration, Timestamp};

/// Where users keep files.
const USERS: [&str; 5] = ["/root/", "/tmp/", "/home/", "/opt/", "/srv/"];

/// A node.
#[derive(Debug)]
pub(super) struct Member {
    pub container: Container,
    pub plan: NodePlan,
    /// How far its wall clock is ahead of true time.
    pub skew: SignedDuration,
    pub powered: bool,
    /// It is part of the cluster.
    pub joined: bool,
    /// The kubelet is meant to run.
    pub kubelet_wanted: bool,
    /// Its kubelet was seen to live for long enough, or to end again and again.
    pub kubelet: kubelet_seen::KubeletSeen,
    /// Its files as they were last seen.
    pub tree: crate::fs::MemoryTree,
    /// Static Pods that ran when it was last looked at.
    pub ran: Vec<Component>,
    /// Its API server runs and says that it is not healthy.
    pub unhealthy: bool,
    /// Paths outside the usual directories that were written to.
    pub written: Vec<String>,
    /// How far logs were read.
    pub logs: BTreeMap<String, String>,
    /// Kubeconfigs of components as they were when their process was first seen.
    pub kubeconfigs: BTreeMap<(Component, u64), Arc<[u8]>>,
    /// How far its API server's audit log was read, and whom that has named.
    pub audited: audit::Audited,
    /// True virtual time since which a process lives at least.
    pub lives_since: BTreeMap<u64, Timestamp>,
}

impl Member {
    pub fn new(container: Container, plan: NodePlan) -> Self {
        Self {
            container,
            joined: !plan.joins_later && !plan.only_etcd(),
            plan,
            skew: SignedDuration::ZERO,
            powered: true,
            // Before kubeadm has written its configuration there is none.
            kubelet_wanted: false,
            kubelet: kubelet_seen::KubeletSeen::default(),
            tree: crate::fs::MemoryTree::new(),
            ran: Vec::new(),
            unhealthy: false,
            written: Vec::new(),
            logs: BTreeMap::new(),
            kubeconfigs: BTreeMap::new(),
            audited: audit::Audited::default(),
            lives_since: BTreeMap::new(),
        }
    }

    /// What a command may write is looked at from now on: every path that it names where users keep files.
    pub fn watch_paths_of(&mut self, command: &[String]) {
        let words = command
            .iter()
            .flat_map(|word| word.split([' ', '\n', '=', '\'', '"', ';']));
        for word in words {
            let users = USERS.iter().any(|dir| word.starts_with(dir));
            if users
                && !ROOTS.iter().any(|root| word.starts_with(root))
                && !self.written.iter().any(|known| known == word)
            {
                self.written.push(word.trim_end_matches('/').to_owned());
            }
        }
    }

    /// Static Pods that have a manifest and no process. One that ends again and again has none most of the time.
    pub fn pods_missing(&self, report: &Report) -> Vec<Component> {
        let missing = STATIC_PODS.iter().copied().filter(|component| {
            let path = format!("{MANIFESTS}/{}.yaml", component.name());
            report.files.iter().any(|file| file.path == path) && !runs(report, *component)
        });
        missing.collect()
    }

    /// Notes which static Pods ran when they were looked at.
    pub fn note_pods(&mut self, report: &Report) {
        let ran = STATIC_PODS.iter().copied();
        self.ran = ran.filter(|one| runs(report, *one)).collect();
    }
}

fn runs(report: &Report, component: Component) -> bool {
    let mut processes = report.processes.iter();
    processes.any(|process| process.name == component.name())
}
