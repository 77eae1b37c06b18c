//! Subjects and names of new certificates, from the configuration.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::certlist::{CLUSTER_ADMINS, ConfigFile, Leaf, MASTERS, Names};
use super::config::{Etcd, InitConfiguration, first_address, is_san, parse_host_port};
use super::failure::{Context as _, Failure, Result};
use super::process::Process;
use super::renewal::CertConfig;
use crate::pki::{ExtKeyUsage, Template};

impl Process<'_, '_> {
    /// What a new leaf is to say.
    ///
    /// # Errors
    /// When a name cannot be made from the configuration.
    pub(super) fn leaf_config(
        &mut self,
        leaf: &Leaf,
        config: &InitConfiguration,
    ) -> Result<CertConfig> {
        let mut template = Template {
            ext_key_usages: leaf.usages.to_vec(),
            organizations: self.leaf_organizations(leaf),
            ..Template::default()
        };
        match leaf.names {
            Names::Fixed(name) => template.common_name = name.to_owned(),
            Names::ApiServer => {
                template.common_name = "kube-apiserver".to_owned();
                self.api_server_names(config, &mut template)?;
            }
            Names::EtcdServer | Names::EtcdPeer => {
                template.common_name = match (self.profile.etcd_names.common_names, leaf.names) {
                    (Some((server, _)), Names::EtcdServer) => server.to_owned(),
                    (Some((_, peer)), _) => peer.to_owned(),
                    (None, _) => config.node_name.clone(),
                };
                self.etcd_names(leaf.names, config, &mut template);
                if leaf.names == Names::EtcdServer && !self.profile.etcd_names.server_is_client {
                    template.ext_key_usages = vec![ExtKeyUsage::ServerAuth];
                }
            }
        }
        Ok(CertConfig {
            template,
            stream: self.stream(leaf.name),
        })
    }

    fn leaf_organizations(&self, leaf: &Leaf) -> Vec<String> {
        let organization = match leaf.name {
            "apiserver-kubelet-client" => self.profile.kubelet_client_o,
            "apiserver-etcd-client" | "etcd-healthcheck-client"
                if !self.profile.etcd_clients_without_o =>
            {
                Some(MASTERS)
            }
            _ => None,
        };
        organization.into_iter().map(str::to_owned).collect()
    }

    fn api_server_names(
        &mut self,
        config: &InitConfiguration,
        template: &mut Template,
    ) -> Result<()> {
        let cluster = &config.cluster;
        let subnet = cluster.service_subnet.split(',').next().unwrap_or_default();
        let virtual_ip = first_address(subnet).ok_or_else(|| {
            Failure::new(format!(
                "unable to get first IP address from the given CIDR: {}: invalid CIDR address: {subnet}",
                cluster.service_subnet
            ))
        })?;
        template.dns_names = [
            config.node_name.as_str(),
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
        ]
        .map(str::to_owned)
        .to_vec();
        template
            .dns_names
            .push(format!("kubernetes.default.svc.{}", cluster.dns_domain));
        template.ip_addresses = vec![virtual_ip, config.advertise_address];
        if !cluster.control_plane_endpoint.is_empty() {
            let (host, _) = parse_host_port(&cluster.control_plane_endpoint).context(format!(
                "error parsing cluster controlPlaneEndpoint {:?}",
                cluster.control_plane_endpoint
            ))?;
            match host.parse::<IpAddr>() {
                Ok(ip) => template.ip_addresses.push(ip),
                Err(_) => template.dns_names.push(host),
            }
        }
        self.add_sans(&cluster.api_server_sans, "apiserver.crt", template);
        Ok(())
    }

    fn etcd_names(&mut self, names: Names, config: &InitConfiguration, template: &mut Template) {
        let known = self.profile.etcd_names;
        let localhost = (
            "localhost".to_owned(),
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        );
        let (node, address) = (config.node_name.clone(), config.advertise_address);
        (template.dns_names, template.ip_addresses) = match names {
            Names::EtcdPeer if !known.peer_has_localhost => (vec![node], vec![address]),
            Names::EtcdServer if !known.server_has_node => (vec![localhost.0], vec![localhost.1]),
            Names::EtcdServer if !known.server_has_address => {
                (vec![node, localhost.0], vec![localhost.1, localhost.2])
            }
            _ => (
                vec![node, localhost.0],
                vec![address, localhost.1, localhost.2],
            ),
        };
        if let Etcd::Local {
            server_sans,
            peer_sans,
        } = &config.cluster.etcd
        {
            let (sans, file) = match names {
                Names::EtcdPeer => (peer_sans, "etcd/peer.crt"),
                _ => (server_sans, "etcd/server.crt"),
            };
            self.add_sans(sans, file, template);
        }
    }

    fn add_sans(&mut self, sans: &[String], file: &str, template: &mut Template) {
        for san in sans {
            if let Ok(ip) = san.parse::<IpAddr>() {
                template.ip_addresses.push(ip);
            } else if is_san(san) {
                template.dns_names.push(san.clone());
            } else {
                let text = format!(
                    "[certificates] WARNING: '{san}' was not added to the '{file}' SAN, because it is not a valid IP or RFC-1123 compliant DNS entry"
                );
                if self.profile.san_warning_in_log {
                    self.warn("pki_helpers.go:421", &text);
                } else {
                    self.print(text);
                }
            }
        }
    }

    /// What the client certificate of a new kubeconfig is to say.
    pub(super) fn client_config(&self, file: &ConfigFile, node_name: &str) -> CertConfig {
        let organization = match file.name {
            "admin.conf" if self.profile.super_admin => Some(CLUSTER_ADMINS),
            "admin.conf" | "super-admin.conf" => Some(MASTERS),
            "kubelet.conf" => Some("system:nodes"),
            _ => None,
        };
        CertConfig {
            template: Template {
                common_name: common_name(file, node_name),
                organizations: organization.into_iter().map(str::to_owned).collect(),
                ext_key_usages: vec![ExtKeyUsage::ClientAuth],
                ..Template::default()
            },
            stream: self.stream(file.name),
        }
    }
}

/// CN (and user name) of a kubeconfig.
pub(super) fn common_name(file: &ConfigFile, node_name: &str) -> String {
    if file.name == "kubelet.conf" {
        format!("{}{node_name}", file.common_name)
    } else {
        file.common_name.to_owned()
    }
}
