//! Static Pod manifests: what of them decides whether an upgrade finds a difference.
//!
//! A simulated manifest holds the image and the certificate flags. Two of them are equal when kubeadm's
//! would be, as far as that depends on the version.

use super::Version;
use super::profile::etcd::etcd_tag;
use super::profile::upgrade::REGISTRY;
use crate::scenario::Component;

/// What of a cluster stands in its manifests.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The node's advertise address.
    pub address: &'a str,
    /// `certificatesDir` of the cluster.
    pub certificates_dir: &'a str,
    /// The key of the cluster's CA is kept elsewhere: the controller-manager then gets empty signing files
    /// (`K/phases/controlplane/manifests.go`).
    pub external_ca: bool,
    /// `controllerManager.extraArgs`.
    pub controller_manager_args: &'a [(String, String)],
    /// `etcd.external.endpoints`; none where etcd runs beside the API server.
    pub etcd_endpoints: &'a [String],
}

/// The manifest of a static Pod as kubeadm of a version writes it.
#[must_use]
pub fn static_pod(component: Component, version: Version, facts: Facts<'_>) -> String {
    let name = component.name();
    let registry = REGISTRY.at(version);
    let tag = match component {
        Component::Etcd => etcd_tag(version).to_owned(),
        _ => version.to_string(),
    };
    let command: String = flags(component, facts)
        .iter()
        .map(|flag| format!("    - --{flag}\n"))
        .collect();
    let address = facts.address;
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  annotations:\n    kubeadm.kubernetes.io/{name}.advertise-address.endpoint: {address}\n  labels:\n    component: {name}\n    tier: control-plane\n  name: {name}\n  namespace: kube-system\nspec:\n  containers:\n  - command:\n    - {name}\n{command}    image: {registry}/{name}:{tag}\n    name: {name}\n  hostNetwork: true\n"
    )
}

/// The value of a flag in a manifest's command.
#[must_use]
pub fn flag<'m>(manifest: &'m str, name: &str) -> Option<&'m str> {
    manifest.lines().find_map(|line| {
        let argument = line.trim().strip_prefix("- ")?;
        let (key, value) = unquoted(argument).strip_prefix("--")?.split_once('=')?;
        (key == name).then_some(value)
    })
}

/// A manifest with a flag set: changed where it stands, else added after the command's last flag. `None` where
/// the manifest has no command with flags.
#[must_use]
pub fn with_flag(manifest: &str, name: &str, value: &str) -> Option<String> {
    let mut lines: Vec<String> = manifest.lines().map(str::to_owned).collect();
    let is_flag = |line: &String| {
        line.trim()
            .strip_prefix("- ")
            .is_some_and(|argument| unquoted(argument).starts_with("--"))
    };
    let last = lines.iter().rposition(is_flag)?;
    let indent = lines[last].len() - lines[last].trim_start().len();
    let new = format!("{:indent$}- --{name}={value}", "");
    let known = lines.iter().position(|line| {
        line.trim()
            .strip_prefix("- ")
            .and_then(|argument| unquoted(argument).strip_prefix("--"))
            .is_some_and(|flag| flag.split('=').next() == Some(name))
    });
    match known {
        Some(at) => lines[at] = new,
        None => lines.insert(last + 1, new),
    }
    Some(lines.join("\n") + "\n")
}

fn unquoted(argument: &str) -> &str {
    argument.trim_matches(['"', '\''])
}

fn flags(component: Component, facts: Facts<'_>) -> Vec<String> {
    let pki = facts.certificates_dir;
    let pair = |crt: &str, key: &str, base: &str| {
        [
            format!("{crt}={pki}/{base}.crt"),
            format!("{key}={pki}/{base}.key"),
        ]
    };
    let mut flags = Vec::new();
    match component {
        Component::Etcd => {
            flags.push("client-cert-auth=true".to_owned());
            flags.extend(pair("cert-file", "key-file", "etcd/server"));
            flags.push("peer-client-cert-auth=true".to_owned());
            flags.extend(pair("peer-cert-file", "peer-key-file", "etcd/peer"));
            flags.push(format!("peer-trusted-ca-file={pki}/etcd/ca.crt"));
            flags.push(format!("trusted-ca-file={pki}/etcd/ca.crt"));
        }
        Component::ApiServer => {
            flags.push(format!("client-ca-file={pki}/ca.crt"));
            flags.push(format!("etcd-cafile={pki}/etcd/ca.crt"));
            flags.extend(pair(
                "etcd-certfile",
                "etcd-keyfile",
                "apiserver-etcd-client",
            ));
            if !facts.etcd_endpoints.is_empty() {
                flags.push(format!("etcd-servers={}", facts.etcd_endpoints.join(",")));
            }
            flags.extend(pair(
                "kubelet-client-certificate",
                "kubelet-client-key",
                "apiserver-kubelet-client",
            ));
            flags.extend(pair(
                "proxy-client-cert-file",
                "proxy-client-key-file",
                "front-proxy-client",
            ));
            flags.push(format!(
                "requestheader-client-ca-file={pki}/front-proxy-ca.crt"
            ));
            flags.push(format!("service-account-key-file={pki}/sa.pub"));
            flags.push(format!("service-account-signing-key-file={pki}/sa.key"));
            flags.extend(pair("tls-cert-file", "tls-private-key-file", "apiserver"));
        }
        Component::ControllerManager => {
            let signing = ["cluster-signing-cert-file", "cluster-signing-key-file"];
            if facts.external_ca {
                flags.extend(signing.map(|flag| format!("{flag}=")));
            } else {
                flags.extend(pair(signing[0], signing[1], "ca"));
            }
            flags.push("controllers=*,bootstrapsigner,tokencleaner".to_owned());
            flags.push("kubeconfig=/etc/kubernetes/controller-manager.conf".to_owned());
            flags.push("leader-elect=true".to_owned());
            flags.push(format!("service-account-private-key-file={pki}/sa.key"));
            for (name, value) in facts.controller_manager_args {
                let prefix = format!("{name}=");
                flags.retain(|flag| !flag.starts_with(&prefix));
                flags.push(format!("{prefix}{value}"));
            }
            flags.sort();
        }
        _ => {
            flags.push("kubeconfig=/etc/kubernetes/scheduler.conf".to_owned());
            flags.push("leader-elect=true".to_owned());
        }
    }
    flags
}

/// The Kubernetes version in a manifest's image tag; `None` for etcd, whose tag is its own.
#[must_use]
pub fn image_version(manifest: &[u8]) -> Option<Version> {
    let text = std::str::from_utf8(manifest).ok()?;
    let image = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("image: "))?;
    image
        .rsplit_once(':')?
        .1
        .parse()
        .ok()
        .filter(|_| !image.contains("/etcd:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: Facts<'static> = Facts {
        address: "10.0.0.10",
        certificates_dir: "/etc/kubernetes/pki",
        external_ca: false,
        controller_manager_args: &[],
        etcd_endpoints: &[],
    };

    #[test]
    fn flags_are_read_changed_and_added() {
        let text = static_pod(Component::ControllerManager, Version::new(36, 3), FACTS);
        let name = "cluster-signing-cert-file";
        assert_eq!(flag(&text, name), Some("/etc/kubernetes/pki/ca.crt"));
        let changed = with_flag(&text, name, "/new.crt").unwrap();
        assert_eq!(flag(&changed, name), Some("/new.crt"));
        assert_eq!(changed.lines().count(), text.lines().count());
        let added = with_flag(&text, "v", "4").unwrap();
        assert_eq!(flag(&added, "v"), Some("4"));
        assert_eq!(added.lines().count(), text.lines().count() + 1);
        assert_eq!(with_flag("kind: Pod\n", "v", "4"), None);
        let external = Facts {
            external_ca: true,
            ..FACTS
        };
        let text = static_pod(Component::ControllerManager, Version::new(36, 3), external);
        assert_eq!(flag(&text, name), Some(""));
    }

    #[test]
    fn equal_versions_make_equal_manifests_and_patches_differ_where_the_tag_does() {
        let manifest = |component, patch| static_pod(component, Version::new(36, patch), FACTS);
        assert_eq!(
            manifest(Component::ApiServer, 3),
            manifest(Component::ApiServer, 3)
        );
        assert_ne!(
            manifest(Component::ApiServer, 3),
            manifest(Component::ApiServer, 4)
        );
        assert_eq!(manifest(Component::Etcd, 3), manifest(Component::Etcd, 4));
    }

    #[test]
    fn extra_arguments_replace_and_are_sorted_in() {
        let args = [
            ("controllers".to_owned(), "csrsigning".to_owned()),
            ("cluster-signing-duration".to_owned(), "24h".to_owned()),
        ];
        let manifest = static_pod(
            Component::ControllerManager,
            Version::new(36, 3),
            Facts {
                external_ca: true,
                controller_manager_args: &args,
                ..FACTS
            },
        );
        let flags: Vec<&str> = manifest
            .lines()
            .filter_map(|line| line.trim().strip_prefix("- --"))
            .collect();
        assert_eq!(
            flags[..4],
            [
                "cluster-signing-cert-file=",
                "cluster-signing-duration=24h",
                "cluster-signing-key-file=",
                "controllers=csrsigning",
            ]
        );
    }

    #[test]
    fn the_version_is_read_back() {
        let manifest = static_pod(Component::Scheduler, Version::new(36, 3), FACTS);
        assert_eq!(
            image_version(manifest.as_bytes()),
            Some(Version::new(36, 3))
        );
        let etcd = static_pod(Component::Etcd, Version::new(36, 3), FACTS);
        assert_eq!(image_version(etcd.as_bytes()), None);
    }
}
