//! What the kubelet does to a kube-apiserver whose health check fails for long: it starts it anew.
//!
//! `/livez` asks etcd (`apiserver/pkg/server/options/etcd.go`, a check that is part of `/healthz`, `/livez` and `/readyz`), so an API
//! server without etcd, or whose etcd has no leader, is ended by the probe that kubeadm writes into its manifest
//! (`K/util/staticpod/utils.go`) although there is nothing wrong with it. It cannot start again before etcd answers. In
//! versions that look at it, `/livez` fails at the end of the certificate for its connection to itself, too.

use super::events::Timer;
use super::mechanism::Mechanism;
use super::node::KubeletState;
use super::world::World;
use crate::run::trace::{EventKind, Weight};
use crate::scenario::Component;
use crate::time::Timestamp;

/// kubeadm's liveness probe: eight failures, ten seconds apart. The first comes within ten seconds.
const FAILS_AFTER_MS: (i64, i64) = (70_000, 82_000);

/// Why a health check fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unhealthy {
    /// etcd does not answer.
    Etcd,
    /// The certificate for its connection to itself has ended.
    Loopback,
}

impl World {
    /// Puts the end of API servers whose health check has just begun to fail on the clock, and forgets it where it is well.
    pub(super) fn follow_health(&mut self) {
        if !self.has(Mechanism::Liveness) {
            return;
        }
        for node in 0..self.nodes.len() {
            let process = self.nodes[node].process_id(Component::ApiServer);
            let (Some(process), Some(_)) = (process, self.is_unhealthy(node)) else {
                self.unhealthy.remove(&node);
                continue;
            };
            if self.unhealthy.contains_key(&node) {
                continue;
            }
            let since = self.clock.ticks();
            self.unhealthy.insert(node, since);
            let (min, max) = FAILS_AFTER_MS;
            let wait = self.random.between("pod/liveness", min, max);
            let timer = Timer::Unhealthy {
                node,
                process,
                since,
            };
            self.after(wait, timer);
        }
    }

    /// What a kubelet that runs finds of the API server beside it.
    fn is_unhealthy(&self, node: usize) -> Option<Unhealthy> {
        let machine = &self.nodes[node];
        let process = machine.process_id(Component::ApiServer)?;
        if machine.kubelet.state != KubeletState::Running {
            return None;
        }
        if self.loopback_over.get(&node) == Some(&process) {
            return Some(Unhealthy::Loopback);
        }
        let etcd = self.behind(node, Component::Admin);
        etcd.is_err().then_some(Unhealthy::Etcd)
    }

    /// The health check has failed for long enough.
    pub(super) fn health_fails(&mut self, node: usize, process: u64, since: Timestamp) {
        let same = self.nodes[node].process_id(Component::ApiServer) == Some(process)
            && self.unhealthy.get(&node) == Some(&since);
        let Some(why) = self.is_unhealthy(node).filter(|_| same) else {
            return;
        };
        self.unhealthy.remove(&node);
        // The kubelet's words are those of an Event. It logs nothing by default.
        let (component, kind, text) = match why {
            Unhealthy::Etcd => (
                Component::Kubelet,
                EventKind::Note,
                "kube-apiserver finds no etcd and says so to the kubelet: Container kube-apiserver failed liveness probe, will be restarted",
            ),
            Unhealthy::Loopback => (
                Component::ApiServer,
                EventKind::ProcessLogged,
                "livez check failed: [-]loopback-serving-certificate failed: loopback serving certificate is expired",
            ),
        };
        if kind == EventKind::ProcessLogged {
            self.log_line(node, component, text);
        }
        let subject = format!("{}@{}", component.name(), self.nodes[node].name);
        let seq = self.record(
            kind,
            Weight::Trouble,
            Some(node),
            &subject,
            text.to_owned(),
            None,
        );
        self.cause = Some(seq);
        self.stop_pod(node, Component::ApiServer);
    }
}

#[cfg(test)]
mod tests {
    use crate::run::trace::{Entry, EventKind};
    use crate::run::{PlayOptions, play};
    use crate::scenario::load;

    /// When an API server is asked to stop after its etcd has gone, in seconds, for a seed.
    fn asked_to_stop_after(seed: u64, then: &str) -> Option<i64> {
        let text = format!(
            "apiVersion: certdrill/v1\nkind: Scenario\nmetadata: {{ name: x, title: x }}\nspec:\n  cluster: {{ version: v1.36.3, \
             start: 2026-01-01T00:00:00Z, nodes: {{ controlPlane: 1 }} }}\n  steps:\n  - walk: 2m\n  - stop: etcd@cp1\n{then}  - walk: 5m\n"
        );
        let scenario = load("x.yaml", &text).unwrap().remove(0);
        let run = play(&scenario, &PlayOptions { seed });
        let at = |kind: EventKind, of: &str, text: &str| {
            run.records.iter().find_map(|record| match &record.entry {
                Entry::Event(event)
                    if event.kind == kind && event.subject == of && event.text.contains(text) =>
                {
                    Some(record.at)
                }
                _ => None,
            })
        };
        let gone = at(EventKind::ProcessEnded, "etcd@cp1", "")?;
        let asked = at(EventKind::ProcessStopping, "kube-apiserver@cp1", "")?;
        Some(asked.duration_since(gone).as_secs())
    }

    #[test]
    fn an_api_server_without_etcd_is_ended_by_its_health_check() {
        for seed in 0..20 {
            let after = asked_to_stop_after(seed, "").unwrap();
            assert!((70..=82).contains(&after), "{after} s with seed {seed}");
        }
        // An etcd that is back in time is forgiven.
        let back = "  - walk: 50s\n  - start: etcd@cp1\n";
        assert_eq!(asked_to_stop_after(1, back), None);
    }
}
