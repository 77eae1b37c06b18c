//! What configuration files of kubeadm and the kubelet say about certificates.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::pki::yaml;

/// Settings that are kept: the file's kind, the field, the name it gets.
const KEPT: &[(&str, &[&str], &str)] = &[
    (
        "ClusterConfiguration",
        &["kubernetesVersion"],
        "kubeadm.kubernetesVersion",
    ),
    (
        "ClusterConfiguration",
        &["controlPlaneEndpoint"],
        "kubeadm.controlPlaneEndpoint",
    ),
    (
        "ClusterConfiguration",
        &["certificatesDir"],
        "kubeadm.certificatesDir",
    ),
    (
        "ClusterConfiguration",
        &["encryptionAlgorithm"],
        "kubeadm.encryptionAlgorithm",
    ),
    (
        "ClusterConfiguration",
        &["certificateValidityPeriod"],
        "kubeadm.certificateValidityPeriod",
    ),
    (
        "ClusterConfiguration",
        &["caCertificateValidityPeriod"],
        "kubeadm.caCertificateValidityPeriod",
    ),
    (
        "KubeletConfiguration",
        &["rotateCertificates"],
        "kubelet.rotateCertificates",
    ),
    (
        "KubeletConfiguration",
        &["serverTLSBootstrap"],
        "kubelet.serverTLSBootstrap",
    ),
    (
        "KubeletConfiguration",
        &["staticPodPath"],
        "kubelet.staticPodPath",
    ),
    (
        "KubeletConfiguration",
        &["tlsCertFile"],
        "kubelet.tlsCertFile",
    ),
    (
        "KubeletConfiguration",
        &["authentication", "x509", "clientCAFile"],
        "kubelet.clientCAFile",
    ),
];

/// Adds what a file says; a file that says nothing of the kind adds nothing.
pub(super) fn read(text: &[u8], settings: &mut BTreeMap<String, String>) {
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    for document in text.split("\n---") {
        let Ok(document) = yaml::parse(document.as_bytes()) else {
            continue;
        };
        let kind = document.value.get("kind").and_then(Value::as_str);
        for (of, fields, name) in KEPT {
            if kind != Some(*of) {
                continue;
            }
            let found = fields
                .iter()
                .try_fold(&document.value, |value, field| value.get(field));
            let found = match found {
                Some(Value::String(text)) => text.clone(),
                Some(value @ (Value::Bool(_) | Value::Number(_))) => value.to_string(),
                _ => continue,
            };
            settings.insert((*name).to_owned(), found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_is_read_and_tokens_are_not() {
        let mut settings = BTreeMap::new();
        read(
            b"kind: InitConfiguration\nbootstrapTokens: [{token: abcdef.0123456789abcdef}]\n---\nkind: ClusterConfiguration\ncontrolPlaneEndpoint: lb:6443\n---\nkind: KubeletConfiguration\nserverTLSBootstrap: true\n",
            &mut settings,
        );
        assert_eq!(settings["kubeadm.controlPlaneEndpoint"], "lb:6443");
        assert_eq!(settings["kubelet.serverTLSBootstrap"], "true");
        assert_eq!(settings.len(), 2);
    }
}
