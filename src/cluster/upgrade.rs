//! `kubeadm upgrade apply` and `upgrade node`: the engine renews, the world's kubelet restarts.
//!
//! What it does with static Pods is in `upgrade_pods`.

use super::world::World;
use crate::fs::Tree;
use crate::kubeadm::profile::kubelet_config_name;
use crate::kubeadm::profile::upgrade::{
    APPLY_FAILS_WITH, CONFIG_API, FRAME, PHASE_FAILED, SPLIT_ADMIN, SplitAdmin,
};
use crate::kubeadm::upgrade::{self, Begun, Configured};
use crate::kubeadm::{CommandOutput, Version, error_as_printed};
use crate::run::observe;
use crate::run::trace::{Entry, EventKind, Weight};
use crate::scenario::Component;

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
pub(super) struct Lines {
    stdout: String,
}

impl Lines {
    pub(super) fn say(&mut self, line: impl AsRef<str>) {
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
        if options.apply {
            self.carry_kubelet_config(to);
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

    /// Name of the ConfigMap that holds the configuration of the cluster's kubelets now.
    pub(crate) fn kubelet_config_map(&self) -> String {
        kubelet_config_name(self.cluster_version().unwrap_or(self.spec.version))
    }

    /// What the cluster's kubelets are told goes into the ConfigMap that the new version reads, whatever its name. The old
    /// one stays, and is read by nobody (`K/phases/upgrade/postupgrade.go`, `kubeletphase.CreateConfigMap`).
    fn carry_kubelet_config(&mut self, to: Version) {
        let (from, to) = (self.kubelet_config_map(), kubelet_config_name(to));
        if from != to
            && let Some(data) = self.config_maps.get(&from).cloned()
        {
            self.config_maps.insert(to, data);
        }
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
        let api = *CONFIG_API.at(to);
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
