//! Port 10250 of kubelets: what they show there, and a metrics-server that asks.

use super::edge::{ClientSide, Failure, FailureClass, ServerSide, connect};
use super::texts;
use super::world::World;
use crate::scenario::Component;

impl World {
    /// A kubelet's side of a handshake on port 10250.
    pub(super) fn kubelet_serves(
        &self,
        client: Component,
        server: usize,
    ) -> Result<ServerSide, Failure> {
        let authority = format!("{}:10250", self.nodes[server].address);
        let Some(kubelet) = self.kubelet_side(server) else {
            let text = match client {
                Component::MetricsServer => texts::scrape(
                    &self.nodes[server].name,
                    &authority,
                    &texts::refused(&authority, self.nodes[server].powered),
                ),
                _ => texts::unreachable(
                    Component::Extension,
                    self.nodes[server].version,
                    &authority,
                    self.nodes[server].powered,
                ),
            };
            return Err(Failure::new(FailureClass::Unreachable, text));
        };
        if kubelet.credential.is_none() {
            return Err(Failure {
                class: FailureClass::ServerCertificate,
                text: texts::kubelet_without_certificate(
                    client,
                    &self.nodes[server].name,
                    &authority,
                ),
                server_log: Some(texts::NO_SERVING_CERTIFICATE.to_owned()),
                one_of_several: false,
            });
        }
        Ok(kubelet)
    }

    /// The machine that the metrics-server's Pod runs on: the first worker, else the first control plane.
    pub(super) fn metrics_server_node(&self) -> Option<usize> {
        let member = |node: &usize| self.nodes[*node].ready.is_some();
        let mut members = (0..self.nodes.len()).filter(member);
        let first = members.next()?;
        Some(
            (0..self.nodes.len())
                .filter(member)
                .find(|&node| !self.nodes[node].control_plane)
                .unwrap_or(first),
        )
    }

    /// A metrics-server asks a kubelet. It shows a token, which the kubelet has the API server review; it checks
    /// the kubelet's certificate with the cluster's CA unless it runs with `--kubelet-insecure-tls`.
    pub(super) fn scrape(&self, client: usize, server: usize) -> Option<Result<(), Failure>> {
        let verifies = self.spec.metrics_server?;
        if !self.nodes[client].powered
            || self.nodes[client].kubelet.state != super::node::KubeletState::Running
        {
            return None;
        }
        let kubelet = match self.kubelet_serves(Component::MetricsServer, server) {
            Ok(kubelet) => kubelet,
            Err(failure) => return Some(Err(failure)),
        };
        let name = &self.nodes[server].name;
        let address = self.nodes[server].address.to_string();
        let roots = verifies
            .then(|| {
                self.files
                    .roots(&self.nodes[0].tree, &self.nodes[0].pki("ca.crt"))
                    .ok()
            })
            .flatten();
        let handshake = connect(
            &self.verifications,
            &ClientSide {
                component: Component::MetricsServer,
                version: self.nodes[client].version,
                roots,
                credential: None,
                name: address.clone(),
                at: self.wall(client),
            },
            &ServerSide {
                client_roots: None,
                ..kubelet
            },
        );
        let authority = format!("{address}:10250");
        Some(match handshake {
            Err(failure) => Err(Failure {
                text: texts::scrape(name, &authority, &failure.text),
                ..failure
            }),
            Ok(()) if !self.edge_works(super::kubelet::kubelet_edge(server)) => Err(Failure::new(
                FailureClass::Backend,
                texts::scrape_unauthorized(name),
            )),
            Ok(()) => Ok(()),
        })
    }
}
