//! Clusters that several scenarios share: `--reuse`.
//!
//! A cluster that has come up is saved: the files of kubeadm, kubelet and etcd on each node, and the instant. The next
//! scenario that wants the same cluster gets it back as it was then, with its clocks, instead of a new one. A scenario that
//! runs a script of its own may have changed anything: its cluster is not kept.

use std::sync::{Mutex, PoisonError};

use super::Kind;
use super::agent::Order;
use super::bring_up::wait_for_boot;
use super::node::CLOCK;
use crate::cluster::{EngineError, NodePlan};
use crate::fs::MemoryTree;
use crate::time::{SignedDuration, Timestamp};

/// The cluster that waits for a scenario. There is one at a time, because its addresses are fixed.
static KEPT: Mutex<Option<Kind>> = Mutex::new(None);

/// What components find when they start: somebody else's leases run out, Nodes report.
const FINDS_ITSELF: SignedDuration = SignedDuration::from_mins(1);

/// What a saved cluster is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Saved {
    plan: Vec<NodePlan>,
    start: Timestamp,
    image: Option<String>,
    /// True virtual time when it was saved.
    at: Timestamp,
}

/// Ends every container and waits until none runs.
const HALT: &str = r#"systemctl stop kubelet
for look in $(seq 100); do
  tasks=$(ctr -n k8s.io tasks ls | awk '$3 == "RUNNING" { print $1 }')
  [ -n "$tasks" ] || break
  for task in $tasks; do ctr -n k8s.io tasks kill -s SIGKILL "$task" || true; done
  sleep 0.1
done
[ -z "$tasks" ]
"#;

const SAVE: &str = r#"mkdir -p /root/.kube /var/lib/etcd
tar -C / --one-file-system --exclude=var/lib/kubelet/pods -cf /var/lib/certdrill/saved.tar \
  etc/kubernetes var/lib/kubelet var/lib/etcd root/.kube
"#;

/// What is known of containers goes, too: the runtime would take those of a later time for newer ones.
const RESTORE: &str = r#"for container in $(ctr -n k8s.io containers ls -q); do
  ctr -n k8s.io tasks rm -f "$container" >/dev/null 2>&1 || true
  ctr -n k8s.io containers rm "$container"
done
systemctl stop containerd
awk '$2 ~ "^/var/lib/kubelet/" { print $2 }' /proc/mounts | sort -r | xargs -r umount
rm -rf /etc/kubernetes /var/lib/kubelet /var/lib/etcd /root/.kube /var/log/pods /var/log/containers
tar -C / -xf /var/lib/certdrill/saved.tar
"#;

impl Kind {
    /// Takes the cluster that is kept, if it is one like this, as it was when it was saved. Any other goes.
    pub(super) fn take_kept(&mut self, plan: &[NodePlan]) -> Result<bool, EngineError> {
        let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut kept) = kept else {
            return Ok(false);
        };
        let fits = self.options.reuse
            && kept.saved.as_ref().is_some_and(|saved| {
                saved.plan == plan && saved.start == self.start && saved.image == self.options.image
            });
        if !fits {
            return Ok(false);
        }
        self.engine = kept.engine.clone();
        self.name = std::mem::take(&mut kept.name);
        self.nodes = std::mem::take(&mut kept.nodes);
        self.balancer = kept.balancer.take();
        self.network = std::mem::take(&mut kept.network);
        self.saved = kept.saved.take();
        drop(kept);
        super::clean::goes_with_us(Some((self.engine.clone(), self.name.clone())));
        if self.restore().is_err() {
            // The last scenario left it in a state that cannot be undone: a new one is made.
            self.saved = None;
            self.remove();
            super::clean::goes_with_us(Some((self.engine.clone(), self.name.clone())));
            return Ok(false);
        }
        Ok(true)
    }

    /// Remembers the cluster as it is.
    pub(super) fn save(&mut self, plan: &[NodePlan]) -> Result<(), EngineError> {
        self.everywhere(|member| {
            member
                .container
                .must(&format!("set -e\n{HALT}{SAVE}systemctl start kubelet"))
        })?;
        self.saved = Some(Saved {
            plan: plan.to_vec(),
            start: self.start,
            image: self.options.image.clone(),
            at: self.ahead.now(),
        });
        self.come_back()
    }

    fn restore(&mut self) -> Result<(), EngineError> {
        let Some(saved) = self.saved.clone() else {
            return Ok(());
        };
        for member in &mut self.nodes {
            if !member.powered {
                member.container.start()?;
                wait_for_boot(&member.container)?;
                member.powered = true;
            }
        }
        self.everywhere(|member| member.container.must(&format!("set -e\n{HALT}{RESTORE}")))?;
        self.ahead = super::Ahead::at(saved.at);
        let clock = self.clock_text(SignedDuration::ZERO);
        let logs = self.everywhere(|member| {
            let container = &member.container;
            container.put(&[(CLOCK, 0o644, clock.as_bytes())])?;
            container.must("systemctl start containerd")?;
            wait_for_boot(container)?;
            // What the last scenario's processes have logged is nobody's news.
            let order = Order {
                logs: Some(member.logs.clone()),
                audit: Some(member.audited.read),
                ..Order::default()
            };
            let report = container.order(&order)?;
            container.must("systemctl start kubelet")?;
            Ok((report.logs, report.audit.map_or(0, |(_, end)| end)))
        })?;
        for (member, (ends, audited)) in self.nodes.iter_mut().zip(logs) {
            member.audited.forget(audited);
            member.logs = ends.into_iter().map(|(log, (_, end))| (log, end)).collect();
            member.skew = SignedDuration::ZERO;
            member.kubelet_wanted = true;
            member.kubelet = super::kubelet_seen::KubeletSeen::default();
            member.tree = MemoryTree::new();
            member.kubeconfigs.clear();
            for path in std::mem::take(&mut member.written) {
                member.container.must(&format!("rm -rf '{path}'"))?;
            }
        }
        self.come_back()
    }

    fn come_back(&mut self) -> Result<(), EngineError> {
        self.wait_for_nodes()?;
        crate::cluster::Reality::live(self, FINDS_ITSELF)
    }

    /// At the end of a scenario: keeps the cluster for the next one, if it may be kept.
    pub(super) fn keep_for_the_next(&mut self) -> bool {
        if self.saved.is_none() || self.spoiled {
            return false;
        }
        let mut kept = Kind::new(super::Options::default(), self.start);
        kept.engine = self.engine.clone();
        kept.name = std::mem::take(&mut self.name);
        kept.nodes = std::mem::take(&mut self.nodes);
        kept.balancer = self.balancer.take();
        kept.network = std::mem::take(&mut self.network);
        kept.saved = self.saved.take();
        kept.made = true;
        *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        true
    }
}

/// Removes the cluster that is kept for another scenario, when there is none to come.
pub fn let_go() {
    drop(KEPT.lock().unwrap_or_else(PoisonError::into_inner).take());
}
