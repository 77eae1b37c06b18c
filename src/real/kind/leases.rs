//! Who leads, and whose timers stand still in a hop.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Kind;
use super::api::items;
use super::ask::kubectl;
use super::clock::SETTLE_MAX;
use super::wait::pause;
use crate::cluster::EngineError;
use crate::kubeadm::Version;
use crate::kubeadm::profile::components::LEADER_LOCK;
use crate::scenario::Component;
use crate::time::{SignedDuration, Timestamp, shift};

/// A leader renews its lease every two seconds.
const FRESH: SignedDuration = SignedDuration::from_secs(6);
/// Those that elect a leader among them.
pub(super) const ELECTED: [Component; 2] = [Component::ControllerManager, Component::Scheduler];
/// The kernel keeps so much of a process' name (`TASK_COMM_LEN`).
const COMM_MAX: usize = 15;

/// Where a leader's record is as long as it is an annotation.
const ANNOTATION: &str = "/metadata/annotations/control-plane.alpha.kubernetes.io~1leader";

/// Names of processes by the node's name.
type Still = BTreeMap<String, Vec<&'static str>>;

impl Kind {
    /// Moves every clock, timers, too, if wanted: then those of controller-manager and scheduler only where `everyone` is. Ends
    /// when what came due is done. Where clocks are fixed it is waited for instead.
    pub(super) fn hop(
        &mut self,
        by: SignedDuration,
        timers: bool,
        everyone: bool,
    ) -> Result<(), EngineError> {
        if self.is_fixed() {
            pause(by.try_into().unwrap_or_default());
            return Ok(());
        }
        let still = match (timers, everyone) {
            (true, true) => self.candidates()?,
            (true, false) => self.all_still(),
            (false, _) => Still::new(),
        };
        self.everywhere(|member| {
            let still = still.get(&member.plan.name).map_or(&[][..], Vec::as_slice);
            member.container.move_clocks(by, timers, still, SETTLE_MAX)
        })?;
        self.ahead.add(by);
        // Leaders have renewed what came due, if theirs ran.
        self.hopped = (timers && everyone).then(std::time::Instant::now);
        Ok(())
    }

    fn all_still(&self) -> Still {
        let names = self.nodes.iter().map(|member| member.plan.name.clone());
        names
            .map(|name| (name, ELECTED.map(comm).to_vec()))
            .collect()
    }

    /// For each node the processes that wait for a leader elsewhere. Their timers stand still while the leader's run:
    /// in a hop longer than a lease one of them would take it over before its holder can renew it, and that ends. Where
    /// nobody has renewed a lease just now, everybody's timers run, and somebody takes it.
    fn candidates(&self) -> Result<Still, EngineError> {
        let mut still = Still::new();
        let control_planes = self
            .nodes
            .iter()
            .filter(|member| member.plan.control_plane && member.joined);
        if control_planes.clone().count() < 2 {
            return Ok(still);
        }
        let since = shift(self.ahead.now(), -FRESH);
        let get = kubectl(&[
            "--kubeconfig=/etc/kubernetes/admin.conf",
            "--request-timeout=3s",
            "get",
            "-n",
            "kube-system",
            "-o",
            "json",
        ]);
        for member in control_planes.filter(|member| member.powered) {
            let mut words = get.words.clone();
            words.push(locks(member.plan.version).to_owned());
            let output = member.container.run(&words, &[])?;
            let Ok(leases) = serde_json::from_str(&output.stdout) else {
                continue;
            };
            for (component, holder, renewed) in held(&leases) {
                let others = self
                    .nodes
                    .iter()
                    .filter(|member| renewed >= since && member.plan.name != holder);
                for member in others {
                    let names = still.entry(member.plan.name.clone()).or_default();
                    names.push(comm(component));
                }
            }
            break;
        }
        Ok(still)
    }
}

/// The resource that leaders hold.
pub(super) fn locks(version: Version) -> &'static str {
    LEADER_LOCK.at(version).1
}

/// Path of the object that the leader of a component holds.
pub(super) fn lock_path(version: Version, component: Component) -> String {
    let (api, resource) = LEADER_LOCK.at(version);
    format!(
        "{api}/namespaces/kube-system/{resource}/{}",
        component.name()
    )
}

/// Holders of the leases of those that elect a leader, by machine.
pub(super) fn leaders(leases: &Json) -> BTreeMap<Component, String> {
    held(leases)
        .map(|(component, holder, _)| (component, holder))
        .collect()
}

/// Each lease's component, the machine of its holder, and when it was renewed last.
fn held(leases: &Json) -> impl Iterator<Item = (Component, String, Timestamp)> {
    items(leases).filter_map(|item| {
        let name = item.pointer("/metadata/name")?.as_str()?;
        let component = ELECTED
            .into_iter()
            .find(|component| component.name() == name)?;
        let noted: Option<Json> = item
            .pointer(ANNOTATION)
            .and_then(Json::as_str)
            .and_then(|text| serde_json::from_str(text).ok());
        let record = noted.as_ref().or_else(|| item.get("spec"))?;
        // `cp1_0b1c...`
        let holder = record["holderIdentity"].as_str()?;
        let renewed = record["renewTime"].as_str()?.parse().ok()?;
        Some((component, holder.split('_').next()?.to_owned(), renewed))
    })
}

/// A component's name as the kernel keeps it.
fn comm(component: Component) -> &'static str {
    let name = component.name();
    name.get(..COMM_MAX).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_say_who_leads_and_since_when_he_is_silent() {
        let lease = |name: &str, holder: &str, renewed: &str| {
            serde_json::json!({
                "metadata": { "name": name },
                "spec": { "holderIdentity": holder, "renewTime": renewed },
            })
        };
        let leases = serde_json::json!({ "items": [
            lease("kube-controller-manager", "cp1_0b1c", "2027-01-01T00:00:02.000000Z"),
            lease("kube-scheduler", "cp3_77aa", "2027-01-01T00:00:00.000000Z"),
            lease("apiserver-x", "apiserver-x_1", "2027-01-01T00:00:00.000000Z"),
            { "metadata": { "name": "kube-scheduler" } },
        ] });
        let found: Vec<_> = held(&leases).collect();
        assert_eq!(found.len(), 2);
        assert!(found[0].2 > found[1].2);
        let expected = [
            (Component::ControllerManager, "cp1".to_owned()),
            (Component::Scheduler, "cp3".to_owned()),
        ];
        assert_eq!(leaders(&leases), BTreeMap::from(expected));
        assert_eq!(ELECTED.map(comm), ["kube-controller", "kube-scheduler"]);
    }

    #[test]
    fn before_leases_an_annotation_of_endpoints_says_it() {
        let old = Version::new(16, 15);
        assert_eq!(
            lock_path(old, Component::Scheduler),
            "/api/v1/namespaces/kube-system/endpoints/kube-scheduler"
        );
        assert_eq!(
            lock_path(Version::new(36, 3), Component::Scheduler),
            "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler"
        );
        let record = r#"{"holderIdentity":"cp1_0b1c","leaseDurationSeconds":15,"renewTime":"2027-01-01T00:00:02Z"}"#;
        let endpoints = serde_json::json!({ "items": [
            { "metadata": { "name": "kube-scheduler", "annotations": { "control-plane.alpha.kubernetes.io/leader": record } } },
            { "metadata": { "name": "kube-controller-manager" } },
        ] });
        let expected = [(Component::Scheduler, "cp1".to_owned())];
        assert_eq!(leaders(&endpoints), BTreeMap::from(expected));
    }
}
