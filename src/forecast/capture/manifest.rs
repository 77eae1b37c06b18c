//! A static Pod's manifest: its image and the flags that concern certificates.

use serde_json::Value;

use super::Manifest;
use crate::pki::yaml;

/// Flags that are kept. Everything else a manifest holds (environment, volumes, admission settings) is left out.
const FLAGS: &[&str] = &[
    "advertise-address",
    "authentication-kubeconfig",
    "authorization-kubeconfig",
    "bind-address",
    "cert-dir",
    "cert-file",
    "client-ca-file",
    "client-cert-auth",
    "cluster-signing-cert-file",
    "cluster-signing-duration",
    "cluster-signing-key-file",
    "controllers",
    "etcd-cafile",
    "etcd-certfile",
    "etcd-keyfile",
    "etcd-servers",
    "experimental-cluster-signing-duration",
    "key-file",
    "kubeconfig",
    "kubelet-certificate-authority",
    "kubelet-client-certificate",
    "kubelet-client-key",
    "leader-elect",
    "listen-client-urls",
    "listen-peer-urls",
    "peer-cert-file",
    "peer-client-cert-auth",
    "peer-key-file",
    "peer-trusted-ca-file",
    "proxy-client-cert-file",
    "proxy-client-key-file",
    "requestheader-client-ca-file",
    "root-ca-file",
    "secure-port",
    "service-account-key-file",
    "service-account-private-key-file",
    "service-account-signing-key-file",
    "tls-cert-file",
    "tls-private-key-file",
    "trusted-ca-file",
];

/// Reads a manifest. `None`: it is no Pod with a container.
pub(super) fn read(text: &[u8]) -> Option<Manifest> {
    let value = yaml::parse(text).ok()?.value;
    let containers = value.get("spec")?.get("containers")?.as_array()?;
    let container = containers.first()?;
    let words = ["command", "args"]
        .into_iter()
        .filter_map(|field| container.get(field)?.as_array())
        .flatten()
        .filter_map(Value::as_str);
    let mut manifest = Manifest {
        component: container.get("name")?.as_str()?.to_owned(),
        image: container
            .get("image")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        ..Manifest::default()
    };
    for word in words {
        let Some((name, value)) = word
            .strip_prefix("--")
            .and_then(|flag| flag.split_once('='))
        else {
            continue;
        };
        if FLAGS.contains(&name) {
            let value = if name == "etcd-servers" {
                value
                    .split(',')
                    .map(super::kubeconfig::without_password)
                    .collect::<Vec<_>>()
                    .join(",")
            } else {
                value.to_owned()
            };
            manifest.flags.insert(name.to_owned(), value);
        }
    }
    Some(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_concern_certificates_are_kept_and_no_others() {
        let manifest = read(b"spec:\n  containers:\n  - name: kube-apiserver\n    image: registry.k8s.io/kube-apiserver:v1.36.3\n    command: [kube-apiserver, --advertise-address=10.0.0.10, --token-auth-file=/secret, --etcd-servers=https://u:p@127.0.0.1:2379]\n    env: [{name: PASSWORD, value: s3cret}]\n").unwrap();
        assert_eq!(manifest.flags["advertise-address"], "10.0.0.10");
        assert_eq!(manifest.flags["etcd-servers"], "https://127.0.0.1:2379");
        assert_eq!(manifest.flags.len(), 2);
        assert!(read(b"kind: Pod").is_none() && read(b"\xff").is_none());
    }
}
