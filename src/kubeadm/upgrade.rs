//! Parts of `kubeadm upgrade`: how it begins with a configuration (`K/cmd/upgrade`), and one renewal
//! (`K/phases/upgrade/staticpods.go`). Which certificates a component has: [`super::certlist::names_of_component`].

use super::config::UpgradePart;
use super::failure::{Context as _, Failure, FailureKind, Result as KubeadmResult};
use super::process::Process;
use super::profile::upgrade_config::{CONFIG_BESIDE_YES, CONFIG_FATAL, CONFIG_FLAG, ConfigFlag};
use super::renewal::Renewal;
use super::{Machine, Version, cmd};

/// The command line of an upgrade that is given a configuration.
#[derive(Debug, Clone, Copy)]
pub struct Configured<'a> {
    /// `upgrade apply`, with `--yes`; else `upgrade node`.
    pub apply: bool,
    /// `--config`.
    pub path: &'a str,
    /// Other flags that are given, without dashes.
    pub flags: &'a [&'a str],
}

/// How it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// It goes on as the file says.
    Goes(UpgradePart),
    /// It ends with this exit code.
    Ends(i32),
}

/// What a file asks for that is left to the real kubeadm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Beyond {
    /// The file of old versions.
    #[error(
        "--config of `upgrade apply` replaces the cluster's configuration in kubeadm {0}, which is not simulated; \
         an UpgradeConfiguration is read from v1.30 on"
    )]
    ClusterConfiguration(Version),
    /// A field of the file.
    #[error("`{field}` of the UpgradeConfiguration {path} is not simulated")]
    Field {
        /// The file.
        path: String,
        /// The field, with the part it stands in.
        field: String,
    },
}

/// Loads the configuration of an upgrade. The text is what standard error holds then.
///
/// # Errors
/// When it asks for what is not simulated.
pub fn begin(
    version: Version,
    machine: &mut Machine<'_>,
    given: Configured<'_>,
) -> Result<(Begun, String), Beyond> {
    if given.apply && *CONFIG_FLAG.at(version) == ConfigFlag::Cluster {
        return Err(Beyond::ClusterConfiguration(version));
    }
    let mut process = Process::new(version, machine);
    match load(&mut process, given) {
        Ok(UpgradePart {
            beyond: Some(field),
            ..
        }) => {
            let part = if given.apply { "apply" } else { "node" };
            let field = if field.contains('.') {
                field.to_owned()
            } else {
                format!("{part}.{field}")
            };
            Err(Beyond::Field {
                path: given.path.to_owned(),
                field,
            })
        }
        Ok(part) => Ok((Begun::Goes(part), process.stderr)),
        Err(failure) => {
            let code = cmd::end(&mut process, &failure);
            Ok((Begun::Ends(code), process.stderr))
        }
    }
}

fn load(process: &mut Process<'_, '_>, given: Configured<'_>) -> KubeadmResult<UpgradePart> {
    let version = process.profile.version;
    if *CONFIG_FLAG.at(version) == ConfigFlag::Cluster {
        return Err(Failure {
            kind: FailureKind::Usage(["kubeadm", "upgrade", "node"].map(str::to_owned).to_vec()),
            ..Failure::new("unknown flag: --config")
        });
    }
    let mut mixed = given.flags.to_vec();
    if given.apply && !*CONFIG_BESIDE_YES.at(version) {
        mixed.push("yes");
    }
    if !mixed.is_empty() {
        mixed.sort_unstable();
        return Err(Failure::new(format!(
            "can not mix '--config' with arguments [{}]",
            mixed.join(" ")
        )));
    }
    let loaded = process.load_upgrade_configuration(given.path);
    let loaded = match CONFIG_FATAL.at(version) {
        Some(words) if given.apply => loaded.context(words),
        _ => loaded,
    }?;
    Ok(if given.apply {
        loaded.apply
    } else {
        loaded.node
    })
}

/// Renews one certificate with the cluster's configuration, as upgrade does: a missing one is an error.
///
/// # Errors
/// With kubeadm's text.
pub fn renew(
    version: Version,
    machine: &mut Machine<'_>,
    name: &str,
    cluster_configuration: &str,
) -> Result<Renewal, String> {
    let mut process = Process::new(version, machine);
    let config = process
        .configuration_from(cluster_configuration.as_bytes())
        .map_err(|failure| failure.text)?;
    process
        .renew_using_local_ca(name, &config.cluster)
        .map_err(|failure| failure.text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{MemoryTree, Tree as _};
    use crate::pki::PoolKeys;
    use crate::time::Timestamp;

    const HEAD: &str = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: UpgradeConfiguration\n";
    const CLUSTER: &str = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n";
    const KUBELET: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";
    const V36: Version = Version::new(36, 3);

    fn begun(
        version: Version,
        apply: bool,
        flags: &[&str],
        text: &str,
    ) -> Result<(Begun, String), Beyond> {
        let mut tree = MemoryTree::new();
        tree.create_dir_all("/root", 0o700).unwrap();
        tree.write("/root/u.yaml", text.as_bytes(), 0o600).unwrap();
        let path = if text.is_empty() {
            "/root/nosuch.yaml"
        } else {
            "/root/u.yaml"
        };
        begin(
            version,
            &mut Machine {
                tree: &mut tree,
                now: Timestamp::UNIX_EPOCH,
                hostname: "cp1".to_owned(),
                host_address: [10, 0, 0, 10].into(),
                keys: &mut PoolKeys::new(0),
                cluster: None,
            },
            Configured { apply, path, flags },
        )
    }

    /// The exit code and what is printed, without the headers of warnings.
    fn ends(version: Version, apply: bool, flags: &[&str], text: &str) -> (i32, String) {
        let (begun, said) = begun(version, apply, flags, text).unwrap();
        let Begun::Ends(code) = begun else {
            panic!("it goes on: {said}");
        };
        (code, plain(&said))
    }

    fn plain(said: &str) -> String {
        said.lines()
            .filter(|line| !line.starts_with("To see the stack trace"))
            .map(|line| {
                line.split_once("] ")
                    .filter(|_| line.starts_with('W'))
                    .map_or(line, |(_, rest)| rest)
            })
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn goes(text: &str, apply: bool) -> (bool, bool, String) {
        let (begun, said) = begun(V36, apply, &[], text).unwrap();
        let Begun::Goes(part) = begun else {
            panic!("it ends: {said}");
        };
        (part.certificate_renewal, part.etcd_upgrade, plain(&said))
    }

    #[test]
    fn each_command_has_its_part_and_renews_where_nothing_is_said() {
        let text = format!(
            "{HEAD}apply: {{ certificateRenewal: false }}\nnode: {{ etcdUpgrade: false }}\n"
        );
        assert_eq!(goes(&text, true), (false, true, String::new()));
        assert_eq!(goes(&text, false), (true, false, String::new()));
        assert_eq!(goes(HEAD, true), (true, true, String::new()));
    }

    #[test]
    fn a_misspelt_field_is_a_warning_and_the_default_holds() {
        let text = format!(
            "{HEAD}apply:\n  zertificateRenewal: false\n  certificaterenewal: false\nnode:\n  etcd: 1\ncertificateRenewal: false\ntimeouts:\n  x: 1\n"
        );
        let (renews, _, said) = goes(&text, true);
        assert!(renews);
        // As v1.36.3 printed it.
        assert_eq!(
            said,
            "error unmarshaling configuration schema.GroupVersionKind{Group:\"kubeadm.k8s.io\", Version:\"v1beta4\", Kind:\"UpgradeConfiguration\"}: strict decoding error: unknown field \"apply.certificaterenewal\", unknown field \"apply.zertificateRenewal\", unknown field \"certificateRenewal\", unknown field \"node.etcd\", unknown field \"timeouts.x\""
        );
        let (renews, _, said) = goes(
            &format!("{HEAD}apply:\n  certificateRenewal: false\n  certificateRenewal: true\n"),
            true,
        );
        assert!(renews);
        assert!(
            said.ends_with("strict decoding error: yaml: unmarshal errors:\n  line 5: key \"certificateRenewal\" already set in map"),
            "{said}"
        );
    }

    /// As v1.36.3 printed them.
    #[test]
    fn what_is_refused_is_refused_in_kubeadms_words() {
        let strict = "error unmarshaling configuration schema.GroupVersionKind{Group:\"kubeadm.k8s.io\", Version:\"v1beta4\", Kind:\"UpgradeConfiguration\"}: ";
        let json = |of: &str| {
            format!("{strict}json: cannot unmarshal {of}\nerror: json: cannot unmarshal {of}")
        };
        for (text, said) in [
            (
                String::new(),
                "error: unable to load config from file \"/root/nosuch.yaml\": open /root/nosuch.yaml: no such file or directory".to_owned(),
            ),
            (
                CLUSTER.to_owned(),
                "[config] WARNING: Ignored configuration document with GroupVersionKind kubeadm.k8s.io/v1beta4, Kind=ClusterConfiguration\n\
                 error: no UpgradeConfiguration found in the supplied config".to_owned(),
            ),
            (
                KUBELET.to_owned(),
                "[config] WARNING: Ignored configuration document with GroupVersionKind kubelet.config.k8s.io/v1beta1, Kind=KubeletConfiguration\n\
                 error: no UpgradeConfiguration found in the supplied config".to_owned(),
            ),
            (
                format!("{HEAD}---\n{HEAD}"),
                "error: invalid configuration: kind \"UpgradeConfiguration\" is specified twice in YAML file".to_owned(),
            ),
            (
                "a: b\n".to_owned(),
                "error: invalid configuration for GroupVersionKind /, Kind=: kind and apiVersion is mandatory information that must be specified".to_owned(),
            ),
            (
                HEAD.replace("kubeadm.k8s.io/v1beta4", "example.com/v1"),
                "unknown configuration schema.GroupVersionKind{Group:\"example.com\", Version:\"v1\", Kind:\"UpgradeConfiguration\"}\n\
                 error: no kind \"UpgradeConfiguration\" is registered for version \"example.com/v1\" in scheme \"pkg/runtime/scheme.go:111\"".to_owned(),
            ),
            (
                HEAD.replace("v1beta4", "v1beta3"),
                "your configuration file uses a deprecated API spec: \"kubeadm.k8s.io/v1beta3\" (kind: \"UpgradeConfiguration\"). Please use 'kubeadm config migrate --old-config old-config-file --new-config new-config-file', which will write the new, similar spec using a newer API version.\n\
                 unknown configuration schema.GroupVersionKind{Group:\"kubeadm.k8s.io\", Version:\"v1beta3\", Kind:\"UpgradeConfiguration\"}\n\
                 error: no kind \"UpgradeConfiguration\" is registered for version \"kubeadm.k8s.io/v1beta3\" in scheme \"pkg/runtime/scheme.go:111\"".to_owned(),
            ),
            (
                format!("{HEAD}apply: 3\n"),
                json("number into Go struct field UpgradeConfiguration.apply of type v1beta4.UpgradeApplyConfiguration"),
            ),
            (
                format!("{HEAD}apply:\n  certificateRenewal: \"false\"\n"),
                json("string into Go struct field UpgradeApplyConfiguration.apply.certificateRenewal of type bool"),
            ),
            (
                format!("{HEAD}apply:\n  patches: {{ directory: rel }}\n  imagePullPolicy: Sometimes\n"),
                "error: [apply.patches.directory: Invalid value: \"rel\": path is not absolute, apply.imagePullPolicy: Invalid value: \"Sometimes\": invalid pull policy]".to_owned(),
            ),
            (
                format!("{HEAD}timeouts:\n  upgradeManifests: abc\n"),
                format!("{strict}time: invalid duration \"abc\"\nerror: time: invalid duration \"abc\""),
            ),
        ] {
            assert_eq!(ends(V36, true, &[], &text), (1, said), "{text}");
        }
        let mixed = ends(V36, true, &["etcd-upgrade", "certificate-renewal"], HEAD);
        assert_eq!(
            mixed.1,
            "error: can not mix '--config' with arguments [certificate-renewal etcd-upgrade]"
        );
    }

    #[test]
    fn versions_differ() {
        let (v30, v30_14) = (Version::new(30, 0), Version::new(30, 14));
        let (v31, v32) = (Version::new(31, 0), Version::new(32, 0));
        let yes = ends(v30, true, &[], HEAD).1;
        assert_eq!(yes, "can not mix '--config' with arguments [yes]");
        assert!(begun(v30, false, &[], HEAD).is_ok());
        assert!(matches!(
            begun(v30_14, true, &[], HEAD),
            Ok((Begun::Goes(_), _))
        ));
        let missing = "unable to load config from file \"/root/nosuch.yaml\": open /root/nosuch.yaml: no such file or directory";
        let fatal = format!("[upgrade/upgrade config] FATAL: {missing}");
        assert!(ends(v31, true, &[], "").1.ends_with(&fatal));
        assert!(!ends(v31, false, &[], "").1.contains("FATAL"));
        assert!(!ends(v32, true, &[], "").1.contains("FATAL"));
        // Before the fix of kubeadm#3161.
        assert_eq!(ends(v32, false, &[], KUBELET).0, 2);
        assert!(
            matches!(begun(v32, true, &[], CLUSTER), Ok((Begun::Goes(part), _)) if part.certificate_renewal)
        );
        assert_eq!(ends(Version::new(32, 3), false, &[], KUBELET).0, 1);
        let old = ends(
            Version::new(37, 2),
            true,
            &[],
            &HEAD.replace("v1beta4", "v1beta3"),
        )
        .1;
        assert!(old.starts_with("error: your configuration file uses an old API spec"));
        // Before UpgradeConfiguration.
        let v29 = Version::new(29, 5);
        assert_eq!(ends(v29, false, &[], HEAD).1, "unknown flag: --config");
        let usage = ends(Version::new(16, 15), false, &[], HEAD).1;
        assert!(
            usage.starts_with(
                "Error: unknown flag: --config\nUsage:\n  kubeadm upgrade node [flags]"
            )
        );
        assert_eq!(
            begun(v29, true, &[], HEAD),
            Err(Beyond::ClusterConfiguration(v29))
        );
    }

    #[test]
    fn what_is_not_simulated_is_said() {
        let text = format!("{HEAD}node: {{ skipPhases: [kubelet-config] }}\n");
        assert_eq!(
            begun(V36, false, &[], &text).unwrap_err().to_string(),
            "`node.skipPhases` of the UpgradeConfiguration /root/u.yaml is not simulated"
        );
        assert!(begun(V36, true, &[], &text).is_ok());
    }
}
