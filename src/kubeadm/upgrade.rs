//! One renewal of `kubeadm upgrade` (`K/phases/upgrade/staticpods.go`). Which certificates a component has:
//! [`super::certlist::names_of_component`].

use super::process::Process;
use super::renewal::Renewal;
use super::{Machine, Version};

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
