//! Static Pod manifests: what of them decides whether an upgrade finds a difference.
//!
//! A simulated manifest holds the image and the certificate flags. Two of them are equal when kubeadm's
//! would be, as far as that depends on the version.

use super::Version;
use super::profile::etcd::etcd_tag;
use super::profile::upgrade::REGISTRY;
use crate::scenario::Component;

/// What the configuration and the node decide about manifests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// The CA's key is elsewhere: the controller-manager is given no files to sign with
    /// (`K/phases/controlplane/manifests.go`).
    pub external_ca: bool,
    /// `controllerManager.extraArgs`.
    pub controller_manager_args: &'a [(String, String)],
}

/// The manifest of a static Pod as kubeadm of a version writes it.
#[must_use]
pub fn static_pod(
    component: Component,
    version: Version,
    address: &str,
    options: Options<'_>,
) -> String {
    let name = component.name();
    let registry = REGISTRY.at(version);
    let tag = match component {
        Component::Etcd => etcd_tag(version).to_owned(),
        _ => version.to_string(),
    };
    let flags: &[&str] = match component {
        Component::Etcd => &[
            "--cert-file=/etc/kubernetes/pki/etcd/server.crt",
            "--client-cert-auth=true",
            "--key-file=/etc/kubernetes/pki/etcd/server.key",
            "--peer-cert-file=/etc/kubernetes/pki/etcd/peer.crt",
            "--peer-client-cert-auth=true",
            "--peer-key-file=/etc/kubernetes/pki/etcd/peer.key",
            "--peer-trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt",
            "--trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt",
        ],
        Component::ApiServer => &[
            "--client-ca-file=/etc/kubernetes/pki/ca.crt",
            "--etcd-cafile=/etc/kubernetes/pki/etcd/ca.crt",
            "--etcd-certfile=/etc/kubernetes/pki/apiserver-etcd-client.crt",
            "--etcd-keyfile=/etc/kubernetes/pki/apiserver-etcd-client.key",
            "--kubelet-client-certificate=/etc/kubernetes/pki/apiserver-kubelet-client.crt",
            "--kubelet-client-key=/etc/kubernetes/pki/apiserver-kubelet-client.key",
            "--proxy-client-cert-file=/etc/kubernetes/pki/front-proxy-client.crt",
            "--proxy-client-key-file=/etc/kubernetes/pki/front-proxy-client.key",
            "--requestheader-client-ca-file=/etc/kubernetes/pki/front-proxy-ca.crt",
            "--tls-cert-file=/etc/kubernetes/pki/apiserver.crt",
            "--tls-private-key-file=/etc/kubernetes/pki/apiserver.key",
        ],
        Component::ControllerManager => &[
            "--cluster-signing-cert-file=/etc/kubernetes/pki/ca.crt",
            "--cluster-signing-key-file=/etc/kubernetes/pki/ca.key",
            "--controllers=*,bootstrapsigner,tokencleaner",
            "--kubeconfig=/etc/kubernetes/controller-manager.conf",
            "--leader-elect=true",
        ],
        _ => &[
            "--kubeconfig=/etc/kubernetes/scheduler.conf",
            "--leader-elect=true",
        ],
    };
    let mut flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
    if component == Component::ControllerManager {
        if options.external_ca {
            flags[0] = "--cluster-signing-cert-file=".to_owned();
            flags[1] = "--cluster-signing-key-file=".to_owned();
        }
        for (name, value) in options.controller_manager_args {
            let prefix = format!("--{name}=");
            flags.retain(|flag| !flag.starts_with(&prefix));
            flags.push(format!("{prefix}{value}"));
        }
        flags.sort();
    }
    let command: String = flags.iter().map(|flag| format!("    - {flag}\n")).collect();
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  annotations:\n    kubeadm.kubernetes.io/{name}.advertise-address.endpoint: {address}\n  labels:\n    component: {name}\n    tier: control-plane\n  name: {name}\n  namespace: kube-system\nspec:\n  containers:\n  - command:\n    - {name}\n{command}    image: {registry}/{name}:{tag}\n    name: {name}\n  hostNetwork: true\n"
    )
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

    #[test]
    fn equal_versions_make_equal_manifests_and_patches_differ_where_the_tag_does() {
        let manifest = |component, patch| {
            static_pod(
                component,
                Version::new(36, patch),
                "10.0.0.10",
                Options::default(),
            )
        };
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
            "10.0.0.10",
            Options {
                external_ca: true,
                controller_manager_args: &args,
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
        let manifest = static_pod(
            Component::Scheduler,
            Version::new(36, 3),
            "10.0.0.10",
            Options::default(),
        );
        assert_eq!(
            image_version(manifest.as_bytes()),
            Some(Version::new(36, 3))
        );
        let etcd = static_pod(
            Component::Etcd,
            Version::new(36, 3),
            "10.0.0.10",
            Options::default(),
        );
        assert_eq!(image_version(etcd.as_bytes()), None);
    }
}
