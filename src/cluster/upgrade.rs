//! `kubeadm upgrade apply` and `upgrade node`: the engine renews, the world's kubelet restarts.
//!
//! After `K/phases/upgrade/staticpods.go`: etcd, then kube-apiserver, controller-manager, scheduler; each
//! only if its manifest differs; certificates before the manifest; admin.conf and super-admin.conf last.

use super::mechanism::Mechanism;
use super::world::World;
use crate::fs::Tree;
use crate::kubeadm::profile::Profile;
use crate::kubeadm::profile::etcd::etcd_tag;
use crate::kubeadm::profile::upgrade::{
    APPLY_FAILS_WITH, ETCD_FOLLOWS_APISERVER, FRAME, MOVE_TEXT, MoveText, NODE_RENEWS_BY_DEFAULT,
    PATIENCE, PHASE_FAILED, SPLIT_ADMIN, SplitAdmin,
};
use crate::kubeadm::renewal::Renewal;
use crate::kubeadm::upgrade::{self, Begun, Configured};
use crate::kubeadm::{CommandOutput, Version, certlist, error_as_printed};
use crate::run::observe;
use crate::run::trace::{Entry, EventKind, Weight};
use crate::scenario::Component;
use crate::time::SignedDuration;

/// How long kubeadm waits for a component (`UpgradeManifests` timeout).
const COMPONENT_LIMIT: SignedDuration = SignedDuration::from_mins(5);

/// What a person gives `kubeadm upgrade`.
#[derive(Debug, Clone, Copy)]
pub struct UpgradeOptions<'a> {
    /// The version to go to; the kubeadm binary of that version is used.
    pub to: Version,
    /// `apply` on the first node, `node` on the others.
    pub apply: bool,
    /// `--certificate-renewal`.
    pub certificate_renewal: Option<bool>,
    /// `--etcd-upgrade`.
    pub etcd_upgrade: Option<bool>,
    /// `--config`: an `UpgradeConfiguration` on the node.
    pub config: Option<&'a str>,
}

impl UpgradeOptions<'_> {
    /// The flags that a configuration stands for, without dashes.
    fn flags(&self) -> Vec<(&'static str, bool)> {
        [
            ("certificate-renewal", self.certificate_renewal),
            ("etcd-upgrade", self.etcd_upgrade),
        ]
        .into_iter()
        .filter_map(|(flag, value)| Some((flag, value?)))
        .collect()
    }
}

/// Output while it grows.
#[derive(Default)]
struct Lines {
    stdout: String,
}

impl Lines {
    fn say(&mut self, line: impl AsRef<str>) {
        self.stdout.push_str(line.as_ref());
        self.stdout.push('\n');
    }
}

impl World {
    /// Runs `kubeadm upgrade` on a node. Time passes as components restart.
    ///
    /// # Errors
    /// With a sentence where the file of [`UpgradeOptions::config`] asks for what is not simulated.
    pub fn upgrade(
        &mut self,
        node: usize,
        options: UpgradeOptions<'_>,
    ) -> Result<CommandOutput, String> {
        let args = upgrade_args(options);
        let command = args.join(" ");
        let before = self.nodes[node].version;
        // The kubeadm package of the new version is installed first, as the documentation asks.
        self.nodes[node].version = options.to;
        if self.is_real() {
            return Ok(self.upgrade_really(node, &args, options.to));
        }
        let (begun, said) = self.begin_upgrade(node, options)?;
        if self.backend() != "sim" {
            // It needs a live kubelet to wait for, and that is simulated here.
            let text = format!(
                "upgrade: the order of components and the manifests are the model's; every renewal is done by the \
                 real kubeadm {}",
                options.to
            );
            let subject = self.nodes[node].name.clone();
            self.record(
                EventKind::Note,
                Weight::Normal,
                Some(node),
                &subject,
                text,
                None,
            );
        }
        let mut lines = Lines::default();
        let (exit_code, stderr) = match begun {
            Err(code) => {
                self.nodes[node].version = before;
                (code, said)
            }
            Ok(options) => match self.upgrade_steps(node, before, options, &mut lines) {
                Ok(()) => (0, said),
                Err(error) => (1, said + &error_as_printed(&error, options.to)),
            },
        };
        let output = CommandOutput {
            exit_code,
            stdout: lines.stdout,
            stderr,
        };
        let subject = format!("kubeadm@{}", self.nodes[node].name);
        let weight = if exit_code == 0 {
            Weight::Normal
        } else {
            Weight::Trouble
        };
        let seq = self.record(
            EventKind::CommandRan,
            weight,
            Some(node),
            &subject,
            format!("kubeadm {command} (exit {exit_code})"),
            Some(format!("{}{}", output.stdout, output.stderr)),
        );
        self.cause = Some(seq);
        for seen in observe::command(&subject, &command, &output) {
            self.push(Entry::Observation(seen));
        }
        self.nodes[node].last_output = Some(output.clone());
        self.touched();
        Ok(output)
    }

    /// The real command, with the real kubeadm of the new version. `--ignore-preflight-errors`, which a reality may add,
    /// stands beside `--config` in every version.
    fn upgrade_really(&mut self, node: usize, args: &[String], to: Version) -> CommandOutput {
        let output = self.run_really(|reality| reality.kubeadm(node, to, args));
        self.command_ran(node, "kubeadm", &args.join(" "), &output);
        output
    }

    /// Takes options from a configuration. The inner error is an exit code, the text what standard error holds by then.
    fn begin_upgrade<'a>(
        &mut self,
        node: usize,
        options: UpgradeOptions<'a>,
    ) -> Result<(Result<UpgradeOptions<'a>, i32>, String), String> {
        let Some(path) = options.config else {
            return Ok((Ok(options), String::new()));
        };
        let flags: Vec<&str> = options.flags().into_iter().map(|(flag, _)| flag).collect();
        let given = Configured {
            apply: options.apply,
            path,
            flags: &flags,
        };
        let (begun, said) = self
            .with_engine(node, |_, mut call| {
                Ok(upgrade::begin(call.version, &mut call.machine, given))
            })?
            .map_err(|beyond| format!("{}: {beyond}", self.nodes[node].name))?;
        let begun = match begun {
            Begun::Ends(code) => Err(code),
            Begun::Goes(part) => Ok(UpgradeOptions {
                certificate_renewal: Some(part.certificate_renewal),
                etcd_upgrade: Some(part.etcd_upgrade),
                ..options
            }),
        };
        Ok((begun, said))
    }

    fn upgrade_steps(
        &mut self,
        node: usize,
        before: Version,
        options: UpgradeOptions<'_>,
        lines: &mut Lines,
    ) -> Result<(), String> {
        let to = options.to;
        let frame = FRAME.at(to);
        let quoted = format!("{:?}", to.to_string());
        self.cluster_answers(node)?;
        if options.apply {
            lines.say(frame.chosen.replace("{}", &quoted));
            let cluster = self.cluster_version().unwrap_or(before);
            if let Some(error) = skew_error(cluster, to) {
                self.nodes[node].version = before;
                return Err(format!(
                    "{}\n\n\t- {error}\n\nPlease fix the misalignments highlighted above and try upgrading again",
                    frame.invalid
                ));
            }
            lines.say(frame.upgrading.replace("{}", &quoted));
        }
        if self.nodes[node].control_plane {
            self.upgrade_static_pods(node, options, lines)
                .map_err(|error| {
                    let lead = if options.apply {
                        *APPLY_FAILS_WITH.at(to)
                    } else {
                        PHASE_FAILED
                    };
                    format!("{lead}: {error}")
                })?;
        }
        // The kubelet's configuration comes anew from the ConfigMap; the kubelet reads it when it next starts.
        self.write_kubelet_config(node)
            .map_err(|error| error.to_string())?;
        if options.apply {
            self.set_cluster_version(to);
            self.bindings_of_upgrade(to);
            self.split_admin(node, to)?;
            lines.say(frame.success.replace("{}", &quoted));
        }
        Ok(())
    }

    /// `createSuperAdminKubeConfig` of 1.29 (`K/phases/upgrade/postupgrade.go`): a new admin.conf with fewer rights, and
    /// super-admin.conf with the old ones.
    fn split_admin(&mut self, node: usize, to: Version) -> Result<(), String> {
        let rule = *SPLIT_ADMIN.at(to);
        let key = self.nodes[node].pki("ca.key");
        let fatal =
            |reason: &str| format!("[upgrade/postupgrade] FATAL post-upgrade error: {reason}");
        match (rule, self.nodes[node].tree.read(&key)) {
            (SplitAdmin::No, _) | (SplitAdmin::IfKey, Err(_)) => return Ok(()),
            (SplitAdmin::NeedsKey, Err(error)) => {
                return Err(fatal(&format!(
                    "the CA files do not exist, please run `kubeadm init phase certs ca` to generate it: failed to load key: couldn't load the private key file {key}: {error}"
                )));
            }
            (_, Ok(_)) => {}
        }
        for name in ["admin", "super-admin"] {
            // A file that is not there is none that has to go.
            let _ = self.nodes[node]
                .tree
                .remove(&format!("/etc/kubernetes/{name}.conf"));
            let line = format!("init phase kubeconfig {name} --config /kubeadm.yaml");
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let output = self.kubeadm_quietly(node, &args);
            if output.exit_code != 0 {
                return Err(fatal(output.stderr.trim_end()));
            }
        }
        self.touched();
        Ok(())
    }

    /// Upgrade talks to the API server and to etcd: it cannot rescue a cluster that has already ended.
    fn cluster_answers(&self, node: usize) -> Result<(), String> {
        // A worker has no admin.conf: there kubeadm takes the kubelet's.
        let component = if self.nodes[node].control_plane {
            Component::Admin
        } else {
            Component::Kubelet
        };
        let client = self
            .api_client(component, node)
            .map_err(|failure| format!("[upgrade] FATAL: {}", failure.text))?
            .ok_or_else(|| "[upgrade] FATAL: failed to load admin kubeconfig".to_owned())?;
        let backends = self.backends(&client.config.host, client.node);
        let mut last = "connection refused".to_owned();
        for backend in backends {
            match self.request(&client, backend) {
                Ok(()) => return Ok(()),
                Err(failure) => last = failure.text,
            }
        }
        Err(format!(
            "error execution phase preflight: couldn't create a Kubernetes client or reach the cluster: {last}"
        ))
    }

    fn upgrade_static_pods(
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
            let equal = !differs(self, component);
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

    fn cluster_version(&self) -> Option<Version> {
        self.config_maps
            .get("kubeadm-config")?
            .get("ClusterConfiguration")?
            .lines()
            .find_map(|line| line.strip_prefix("kubernetesVersion: "))?
            .parse()
            .ok()
    }

    fn set_cluster_version(&mut self, to: Version) {
        let Some(text) = self
            .config_maps
            .get_mut("kubeadm-config")
            .and_then(|data| data.get_mut("ClusterConfiguration"))
        else {
            return;
        };
        let api = *crate::kubeadm::profile::upgrade::CONFIG_API.at(to);
        *text = text
            .lines()
            .map(|line| {
                if line.starts_with("kubernetesVersion: ") {
                    format!("kubernetesVersion: {to}\n")
                } else if line.starts_with("apiVersion: ") {
                    format!("apiVersion: {api}\n")
                } else {
                    format!("{line}\n")
                }
            })
            .collect();
    }
}

/// The command line of an upgrade.
#[must_use]
pub fn upgrade_line(options: UpgradeOptions<'_>) -> String {
    upgrade_args(options).join(" ")
}

/// Its words. A version on the command line wins over one in a configuration.
fn upgrade_args(options: UpgradeOptions<'_>) -> Vec<String> {
    let mut args = if options.apply {
        vec![
            "upgrade".to_owned(),
            "apply".to_owned(),
            options.to.to_string(),
            "-y".to_owned(),
        ]
    } else {
        vec!["upgrade".to_owned(), "node".to_owned()]
    };
    args.extend(options.config.map(|path| format!("--config={path}")));
    args.extend(
        options
            .flags()
            .into_iter()
            .map(|(flag, value)| format!("--{flag}={value}")),
    );
    args
}

/// `K/phases/upgrade/policy.go`: one minor version at a time.
fn skew_error(cluster: Version, to: Version) -> Option<String> {
    let new = format!("{:?}", to.to_string());
    if to.minor > cluster.minor + 1 {
        return Some(format!(
            "Specified version to upgrade to {new} is too high; kubeadm can upgrade only 1 minor version at a time"
        ));
    }
    if to.minor + 1 < cluster.minor {
        return Some(format!(
            "Specified version to downgrade to {new} is too low; kubeadm can downgrade only 1 minor version at a time"
        ));
    }
    None
}

fn tag_numbers(tag: &str) -> Vec<u32> {
    tag.split(['.', '-'])
        .map(|part| part.parse().unwrap_or(0))
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::run::trace::Verdict;
    use crate::run::{PlayOptions, Run, play};

    fn played(configuration: &str, expectations: &str) -> Run {
        let text = format!(
            "apiVersion: certdrill/v1\nkind: Scenario\nmetadata: {{ name: lab, title: A lab }}\nspec:\n  backends: [sim]\n  cluster:\n    \
             version: v1.36.3\n    start: 2026-01-01T00:00:00Z\n    nodes: {{ controlPlane: 3 }}\n  steps:\n    - walk: 100d\n    \
             - edit: {{ nodes: \"@cp*\", path: /root/u.yaml, content: \"apiVersion: kubeadm.k8s.io/v1beta4\\nkind: UpgradeConfiguration\\n{configuration}\" }}\n    \
             - upgrade: {{ to: v1.37.2, config: /root/u.yaml }}\n    - expect: {{ edges: all, is: ok }}\n{expectations}"
        );
        let scenario = crate::scenario::load("lab.yaml", &text).unwrap();
        play(&scenario[0], &PlayOptions { seed: 0 })
    }

    #[test]
    fn the_first_control_plane_obeys_apply_and_the_others_node() {
        let run = played(
            "node:\\n  certificateRenewal: false\\n",
            "    - expect: { certificate: apiserver, nodes: \"@cp1\", renewed: true }\n    \
             - expect: { certificate: apiserver, nodes: \"@cp2,cp3\", renewed: false }\n",
        );
        assert_eq!(run.verdict, Verdict::Passed, "{:?}", run.records.last());
        let run = played(
            "apply:\\n  etcdUpgrade: false\\n",
            "    - expect: { process: etcd@cp1, restarted: false }\n    - expect: { process: etcd@cp2, restarted: true }\n",
        );
        assert_eq!(run.verdict, Verdict::Passed, "{:?}", run.records.last());
    }

    #[test]
    fn a_file_that_asks_for_more_is_no_verdict_about_the_cluster() {
        let run = played("apply:\\n  dryRun: true\\n", "");
        assert_eq!(run.verdict, Verdict::Infrastructure);
        assert!(format!("{:?}", run.records.last()).contains(
            "cp1: `apply.dryRun` of the UpgradeConfiguration /root/u.yaml is not simulated"
        ));
    }
}
