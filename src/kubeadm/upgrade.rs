//! What `kubeadm upgrade` renews: `renewCertsByComponent` of `K/phases/upgrade/staticpods.go`.

use super::process::Process;
use super::renewal::Renewal;
use super::{Machine, Version};
use crate::scenario::Component;

/// Certificates that are renewed before a component's manifest is replaced, in kubeadm's order, with local
/// etcd. kubelet.conf is never among them.
#[must_use]
pub fn certificates_of(component: Component) -> &'static [&'static str] {
    match component {
        Component::Etcd => &["etcd-server", "etcd-peer", "etcd-healthcheck-client"],
        Component::ApiServer => &[
            "apiserver",
            "apiserver-kubelet-client",
            "front-proxy-client",
            "apiserver-etcd-client",
        ],
        Component::ControllerManager => &["controller-manager.conf"],
        Component::Scheduler => &["scheduler.conf"],
        _ => &[],
    }
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
