//! Static Pods in an upgrade, and what becomes of them where it fails.
//!
//! After `K/phases/upgrade/staticpods.go`: etcd, then kube-apiserver, controller-manager, scheduler; each
//! only if its manifest differs; certificates before the manifest; admin.conf and super-admin.conf last.

use super::mechanism::Mechanism;
use super::upgrade::{Lines, UpgradeOptions};
use super::world::World;
use crate::fs::Tree;
use crate::kubeadm::profile::Profile;
use crate::kubeadm::profile::etcd::etcd_tag;
use crate::kubeadm::profile::upgrade::{
    ETCD_FOLLOWS_APISERVER, MOVE_TEXT, MoveText, NODE_RENEWS_BY_DEFAULT, PATIENCE,
};
use crate::kubeadm::renewal::Renewal;
use crate::kubeadm::{Version, certlist};
use crate::scenario::Component;
use crate::time::SignedDuration;

/// How long kubeadm waits for a component (`UpgradeManifests` timeout).
const COMPONENT_LIMIT: SignedDuration = SignedDuration::from_mins(5);

impl World {
    /// Upgrades the static Pods of a control plane.
    pub(super) fn upgrade_static_pods(
        &mut self,
        node: usize,
        options: UpgradeOptions<'_>,
        lines: &mut Lines,
    ) -> Result<(), String> {
        let to = options.to;
        let default = options.apply
            || *NODE_RENEWS_BY_DEFAULT.at(to)
            || !self.has(Mechanism::NodeRenewalDefault);
        let given = options
            .certificate_renewal
            .filter(|_| self.has(Mechanism::RenewalFlag));
        let renew = given.unwrap_or(default) && self.has(Mechanism::UpgradeRenews);
        let fresh = |world: &World, component| world.new_manifest(node, component, to);
        let differs = |world: &World, component| {
            world.nodes[node]
                .tree
                .read(&World::manifest_path(component))
                .map_or(true, |current| {
                    current != fresh(world, component).as_bytes()
                })
        };
        let wall = self.wall(node);
        let stamp = jiff::fmt::strtime::format("%Y-%m-%d-%H-%M-%S", wall).unwrap_or_default();
        let backup = format!("/etc/kubernetes/tmp/kubeadm-backup-manifests-{stamp}");
        // Go's `os.MkdirTemp` (`K/constants/constants.go CreateTempDir`).
        let number = (self.random.unit("upgrade/directory") * f64::from(u32::MAX)) as u32;
        lines.say(format!(
            "[upgrade/staticpods] Writing new Static Pod manifests to \"/etc/kubernetes/tmp/kubeadm-upgraded-manifests{number}\""
        ));
        // What is put back if something goes wrong.
        let mut begun: Vec<Component> = Vec::new();
        let external_etcd = !self.nodes[node].etcd;
        for &component in self.nodes[node].static_pods() {
            if component == Component::Etcd && options.etcd_upgrade == Some(false) {
                continue;
            }
            if component == Component::Etcd && self.etcd_is_newer(node, to) {
                lines.say(format!(
                    "[upgrade/etcd] Non fatal issue encountered during upgrade: the desired etcd version {:?} is older than the currently installed. Skipping etcd upgrade",
                    etcd_tag(to)
                ));
                continue;
            }
            let name = component.name();
            lines.say(format!(
                "[upgrade/staticpods] Preparing for {name:?} upgrade"
            ));
            begun.push(component);
            let equal = !differs(self, component) && self.has(Mechanism::EqualManifests);
            let dragged = component == Component::Etcd
                && differs(self, Component::ApiServer)
                && *ETCD_FOLLOWS_APISERVER.at(to);
            if equal && !dragged {
                lines.say(format!(
                    "[upgrade/staticpods] Current and new manifests of {name} are equal, skipping upgrade"
                ));
                continue;
            }
            if renew {
                for certificate in certlist::names_of_component(component.name(), external_etcd) {
                    lines.say(format!(
                        "[upgrade/staticpods] Renewing {certificate} certificate"
                    ));
                    if let Err(error) = self.renew_for_upgrade(node, certificate, lines) {
                        let error =
                            format!("failed to renew certificates for component {name:?}: {error}");
                        return Err(self.roll_back(node, &backup, &begun, error, lines));
                    }
                }
            }
            let manifest = World::manifest_path(component);
            let saved = format!("{backup}/{name}.yaml");
            lines.say(match (equal && renew, MOVE_TEXT.at(to)) {
                (true, _) => format!(
                    "[upgrade/staticpods] Restarting the {name} static pod and backing up its manifest to {saved:?}"
                ),
                (false, MoveText::Moving) => format!(
                    "[upgrade/staticpods] Moving new manifest to {manifest:?} and backing up old manifest to {saved:?}"
                ),
                (false, MoveText::Moved) => format!(
                    "[upgrade/staticpods] Moved new manifest to {manifest:?} and backed up old manifest to {saved:?}"
                ),
            });
            let old = self.nodes[node].process_id(component);
            let new = fresh(self, component);
            if let Err(error) = self.swap_manifest(node, &manifest, &saved, &new) {
                return Err(self.roll_back(node, &backup, &begun, error.to_string(), lines));
            }
            lines.say("[upgrade/staticpods] Waiting for the kubelet to restart the component");
            lines.say(format!("[upgrade/staticpods] {}", PATIENCE.at(to)));
            // The mirror Pod's hash must change, then the Pod must come up. With equal manifests only the latter.
            let up = self.wait(COMPONENT_LIMIT, |world| {
                world.nodes[node]
                    .process_id(component)
                    .is_some_and(|id| equal || Some(id) != old)
            });
            if !up {
                let error = "timed out waiting for the condition".to_owned();
                return Err(self.roll_back(node, &backup, &begun, error, lines));
            }
            self.walk(SignedDuration::from_secs(5));
            lines.say(format!(
                "[upgrade/staticpods] Component {name:?} upgraded successfully!"
            ));
        }
        if renew {
            let super_admin = Profile::of(to).super_admin
                && self.nodes[node]
                    .tree
                    .exists("/etc/kubernetes/super-admin.conf");
            for name in ["admin.conf", "super-admin.conf"] {
                if name == "super-admin.conf" && !super_admin {
                    continue;
                }
                if let Err(error) = self.renew_for_upgrade(node, name, lines) {
                    let error = format!("failed to upgrade the {name} certificates: {error}");
                    return Err(self.put_back(node, &backup, &begun, false, error));
                }
            }
        }
        Ok(())
    }

    fn renew_for_upgrade(
        &mut self,
        node: usize,
        certificate: &str,
        lines: &mut Lines,
    ) -> Result<(), String> {
        let configuration = self
            .config_maps
            .get("kubeadm-config")
            .and_then(|data| data.get("ClusterConfiguration"))
            .cloned()
            .unwrap_or_default();
        let result = self.with_engine(node, |engine, call| {
            engine.renew(call, certificate, &configuration)
        })?;
        match result {
            Ok(Renewal::Renewed | Renewal::Missing) => Ok(()),
            Ok(Renewal::External) => {
                lines.say(format!(
                    "[upgrade/staticpods] External CA detected, {certificate} certificate can't be renewed"
                ));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn swap_manifest(
        &mut self,
        node: usize,
        manifest: &str,
        saved: &str,
        new: &str,
    ) -> Result<(), crate::fs::FsError> {
        let dir = saved
            .rsplit_once('/')
            .map_or("/", |(dir, _)| dir)
            .to_owned();
        let tree = &mut self.nodes[node].tree;
        tree.create_dir_all(&dir, 0o700)?;
        tree.rename(manifest, saved)?;
        // The kubelet sees the manifest go before it sees the new one come.
        self.touched();
        self.nodes[node]
            .tree
            .write(manifest, new.as_bytes(), 0o600)?;
        self.touched();
        Ok(())
    }

    /// The upgrade of the last component that was begun has failed (`rollbackOldManifests`, `performEtcdStaticPodUpgrade`).
    fn roll_back(
        &mut self,
        node: usize,
        backup: &str,
        begun: &[Component],
        error: String,
        lines: &mut Lines,
    ) -> String {
        let etcd = begun.last() == Some(&Component::Etcd);
        let text = self.put_back(node, backup, begun, etcd, error);
        if !etcd {
            return text;
        }
        lines.say(format!("[upgrade/etcd] Failed to upgrade etcd: {text}"));
        lines.say("[upgrade/etcd] Waiting for previous etcd to become available");
        self.wait(COMPONENT_LIMIT, |world| {
            world.nodes[node].process(Component::Etcd).is_some()
        });
        lines.say("[upgrade/etcd] Etcd was rolled back and is now available");
        format!(
            "fatal error when trying to upgrade the etcd cluster, rolled the state back to pre-upgrade state: {text}"
        )
    }

    /// Manifests come back, etcd's only where it is etcd that has failed; certificates and keys stay renewed. What was not
    /// moved away cannot be moved back, and that is told as well.
    fn put_back(
        &mut self,
        node: usize,
        backup: &str,
        begun: &[Component],
        etcd: bool,
        error: String,
    ) -> String {
        let mut errors = vec![error];
        for &component in begun {
            if component == Component::Etcd && !etcd {
                continue;
            }
            let saved = format!("{backup}/{}.yaml", component.name());
            let target = World::manifest_path(component);
            if self.nodes[node].tree.rename(&saved, &target).is_err() {
                errors.push(format!(
                    "rename {saved} {target}: no such file or directory"
                ));
            }
        }
        self.touched();
        let faced = match &errors[..] {
            [only] => only.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        format!(
            "couldn't upgrade control plane. kubeadm has tried to recover everything into the earlier state. Errors faced: {faced}"
        )
    }

    fn etcd_is_newer(&self, node: usize, to: Version) -> bool {
        let Ok(manifest) = self.nodes[node]
            .tree
            .read(&Self::manifest_path(Component::Etcd))
        else {
            return false;
        };
        let text = String::from_utf8_lossy(&manifest);
        let Some(current) = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("image: "))
        else {
            return false;
        };
        let current = current.rsplit_once(':').map_or("", |(_, tag)| tag);
        tag_numbers(current) > tag_numbers(etcd_tag(to))
    }
}

fn tag_numbers(tag: &str) -> Vec<u32> {
    tag.split(['.', '-'])
        .map(|part| part.parse().unwrap_or(0))
        .collect()
}
