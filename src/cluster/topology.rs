//! Which edges there are, and who stands at their ends.

use std::sync::Arc;

use super::edge::{
    ClientSide, Edge, EdgeId, Failure, FailureClass, Outcome, ServerSide, authenticate, connect,
};
use super::files::ClientConfig;
use super::node::USER_CONF;
use super::rbac::{Permission, Requestor};
use super::texts;
use super::world::World;
use crate::fs::Tree;
use crate::kubeadm::profile::components::Slot;
use crate::scenario::Component;

/// Host name of the load balancer in front of several control planes.
pub const LOAD_BALANCER: &str = "lb.certdrill.test";
/// The port API servers listen on.
pub const API_PORT: u16 = 6443;

/// A client of an API server, as it stands.
pub(super) struct ApiClient {
    /// Where it runs.
    pub node: usize,
    pub config: Arc<ClientConfig>,
    pub side: ClientSide,
}

impl World {
    /// Makes the edges of the machines that are part of the cluster.
    pub(super) fn connect_nodes(&mut self) {
        let mut ids = Vec::new();
        let members: Vec<usize> = (0..self.nodes.len())
            .filter(|&node| self.nodes[node].ready.is_some())
            .collect();
        let control_planes: Vec<usize> = members
            .iter()
            .copied()
            .filter(|&node| self.nodes[node].control_plane)
            .collect();
        let api = |client, client_node| EdgeId {
            client,
            client_node,
            server: Component::ApiServer,
            server_node: None,
        };
        let etcds: Vec<usize> = (0..self.nodes.len())
            .filter(|&node| {
                self.nodes[node].etcd
                    && (self.nodes[node].only_etcd() || self.nodes[node].ready.is_some())
            })
            .collect();
        for &node in &control_planes {
            ids.extend(self.etcd_of(node).into_iter().map(|etcd| EdgeId {
                client: Component::ApiServer,
                client_node: node,
                server: Component::Etcd,
                server_node: Some(etcd),
            }));
        }
        for &node in &etcds {
            for &other in etcds.iter().filter(|&&other| other != node) {
                ids.push(EdgeId {
                    client: Component::Etcd,
                    client_node: node,
                    server: Component::Etcd,
                    server_node: Some(other),
                });
            }
        }
        for &node in &control_planes {
            ids.push(api(Component::ControllerManager, node));
            ids.push(api(Component::Scheduler, node));
            ids.push(api(Component::Admin, node));
            if self.nodes[node].tree.exists(USER_CONF) {
                ids.push(api(Component::User, node));
            }
            for &other in &members {
                ids.push(EdgeId {
                    client: Component::ApiServer,
                    client_node: node,
                    server: Component::Kubelet,
                    server_node: Some(other),
                });
            }
            ids.push(EdgeId {
                client: Component::ApiServer,
                client_node: node,
                server: Component::ApiServer,
                server_node: Some(node),
            });
            ids.push(EdgeId {
                client: Component::ApiServer,
                client_node: node,
                server: Component::Extension,
                server_node: None,
            });
        }
        for &node in &members {
            ids.push(api(Component::Kubelet, node));
        }
        if self.spec.metrics_server.is_some()
            && let Some(runs_on) = self.metrics_server_node()
        {
            // A worker that joins later takes the Pod over from the first control plane.
            self.edges.retain(|edge| {
                edge.id.client != Component::MetricsServer || edge.id.client_node == runs_on
            });
            ids.extend(members.iter().map(|&node| EdgeId {
                client: Component::MetricsServer,
                client_node: runs_on,
                server: Component::Kubelet,
                server_node: Some(node),
            }));
        }
        // etcd first: what stands behind an API server decides what it can answer.
        ids.sort_by_key(|id| {
            let rank = match (id.client, id.server) {
                (Component::Etcd, _) => 0,
                (_, Component::Etcd) => 1,
                _ => 2,
            };
            (rank, *id)
        });
        for id in ids {
            if !self.edges.iter().any(|edge| edge.id == id) {
                self.edges.push(Edge::new(id));
            }
        }
        self.edges.sort_by_key(|edge| {
            let rank = match (edge.id.client, edge.id.server) {
                (Component::Etcd, _) => 0,
                (_, Component::Etcd) => 1,
                _ => 2,
            };
            (rank, edge.id)
        });
    }

    /// The name of an edge: `kubelet@cp1 -> kube-apiserver`.
    #[must_use]
    pub fn edge_name(&self, id: EdgeId) -> String {
        let client = format!("{}@{}", id.client.name(), self.nodes[id.client_node].name);
        match id.server_node {
            Some(node) => format!("{client} -> {}@{}", id.server.name(), self.nodes[node].name),
            None => format!("{client} -> {}", id.server.name()),
        }
    }

    /// What a new handshake and request on an edge would give, now.
    #[must_use]
    pub fn fresh(&self, id: EdgeId) -> Outcome {
        if !self.nodes[id.client_node].powered {
            return Outcome::Absent;
        }
        match (id.client, id.server, id.server_node) {
            (_, Component::ApiServer, None) => match self.api_client(id.client, id.client_node) {
                Ok(Some(client)) => self.through(&client),
                Ok(None) => Outcome::Absent,
                Err(failure) => Outcome::Failing(failure),
            },
            (Component::ApiServer, Component::Etcd, Some(node)) => {
                self.pair_outcome(id, self.api_to_etcd(id.client_node, node))
            }
            (Component::Etcd, Component::Etcd, Some(node)) => {
                self.pair_outcome(id, self.etcd_peers(id.client_node, node))
            }
            (Component::ApiServer, Component::ApiServer, Some(node)) => {
                self.pair_outcome(id, self.loopback(node))
            }
            (Component::ApiServer, Component::Kubelet, Some(node)) => {
                self.pair_outcome(id, self.api_to_kubelet(id.client_node, node))
            }
            (Component::MetricsServer, Component::Kubelet, Some(node)) => {
                self.pair_outcome(id, self.scrape(id.client_node, node))
            }
            (Component::ApiServer, Component::Extension, None) => {
                self.pair_outcome(id, self.aggregator(id.client_node))
            }
            _ => Outcome::Absent,
        }
    }

    /// What a request on an open connection gives. etcd never looks at a certificate again; API servers and
    /// kubelets authenticate each request.
    #[must_use]
    pub(super) fn on_open_connection(
        &self,
        id: EdgeId,
        server_node: usize,
        credential: Option<&Arc<super::files::Credential>>,
    ) -> Option<Failure> {
        let client = ClientSide {
            component: id.client,
            version: self.nodes[id.client_node].version,
            roots: None,
            credential: credential.cloned(),
            name: self.nodes[server_node].address.to_string(),
            at: self.wall(id.client_node),
        };
        match id.server {
            // kube-apiserver shows itself a token.
            Component::ApiServer if id.client == Component::ApiServer => None,
            Component::ApiServer => {
                let server = self.api_server_side(server_node)?;
                authenticate(&self.verifications, &client, &server)
                    .err()
                    .or_else(|| self.authorize(&client).err())
                    .or_else(|| self.behind(server_node, id.client).err())
            }
            Component::Kubelet => {
                let server = self.kubelet_side(server_node)?;
                authenticate(&self.verifications, &client, &server)
                    .err()
                    .or_else(|| self.authorize_at_kubelet(&client).err())
            }
            _ => None,
        }
    }

    /// A client of the API server: `None` when its process does not run.
    pub(super) fn api_client(
        &self,
        component: Component,
        node: usize,
    ) -> Result<Option<ApiClient>, Failure> {
        let at = self.wall(node);
        let machine = &self.nodes[node];
        let (config, credential) = match component {
            Component::Kubelet => {
                if machine.kubelet.state != super::node::KubeletState::Running {
                    return Err(Failure::new(
                        FailureClass::NotRunning,
                        "the kubelet does not run".to_owned(),
                    ));
                }
                let Some(config) = machine.kubelet.config.clone() else {
                    return Ok(None);
                };
                // A certificate that has ended is not shown: the kubelet is nobody then.
                let credential = machine
                    .kubelet
                    .current
                    .clone()
                    .filter(|current| at <= current.not_after());
                (config, credential)
            }
            Component::ControllerManager | Component::Scheduler => {
                let Some(process) = machine.process(component) else {
                    return Ok(None);
                };
                let Some(config) = process.config().cloned() else {
                    return Ok(None);
                };
                let credential = config.credential.clone();
                (config, credential)
            }
            _ => {
                let path = if component == Component::User {
                    USER_CONF
                } else {
                    "/etc/kubernetes/admin.conf"
                };
                let config = self
                    .files
                    .client_config(&machine.tree, path)
                    .map_err(|error| {
                        Failure::new(FailureClass::Configuration, format!("error: {error}"))
                    })?;
                let credential = config.credential.clone();
                (config, credential)
            }
        };
        let side = ClientSide {
            component,
            version: self.nodes[node].version,
            roots: Some(Arc::clone(&config.roots)),
            credential,
            name: config.host.clone(),
            at,
        };
        Ok(Some(ApiClient { node, config, side }))
    }

    /// A request of an API client wherever its configuration leads.
    fn through(&self, client: &ApiClient) -> Outcome {
        let backends = self.backends(&client.config.host, client.node);
        let authority = format!("{}:{API_PORT}", client.config.host);
        if backends.is_empty() {
            return Outcome::Failing(Failure::new(
                FailureClass::Unreachable,
                texts::unreachable(client.side.component, client.side.version, &authority, true),
            ));
        }
        let mut working = 0;
        let mut failure = None;
        for &node in &backends {
            match self.request(client, node) {
                Ok(()) => working += 1,
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            None => Outcome::Ok,
            Some(failure) if working > 0 => Outcome::Partial {
                working,
                total: backends.len() as u32,
                failure,
            },
            Some(failure) => Outcome::Failing(failure),
        }
    }

    /// A request of an API client to one API server, for its ordinary work.
    pub(super) fn request(&self, client: &ApiClient, node: usize) -> Result<(), Failure> {
        self.handshake(client, node)?;
        self.authorize(&client.side)?;
        self.behind(node, client.side.component)
    }

    /// As [`World::request`], for something that is not its ordinary work: what it may do is not asked.
    pub(super) fn reach(&self, client: &ApiClient, node: usize) -> Result<(), Failure> {
        self.handshake(client, node)?;
        self.behind(node, client.side.component)
    }

    fn handshake(&self, client: &ApiClient, node: usize) -> Result<(), Failure> {
        let Some(server) = self.api_server_side(node) else {
            let authority = format!("{}:{API_PORT}", client.config.host);
            return Err(Failure::new(
                FailureClass::Unreachable,
                texts::unreachable(
                    client.side.component,
                    client.side.version,
                    &authority,
                    self.nodes[node].powered,
                ),
            ));
        };
        connect(&self.verifications, &client.side, &server)
    }

    /// RBAC and the node authorizer of an API server, for an authenticated client.
    fn authorize(&self, client: &ClientSide) -> Result<(), Failure> {
        let Some(shown) = &client.credential else {
            return Ok(());
        };
        let who = Requestor::of(&shown.certificate);
        if self.may_work(client.component, &who) {
            return Ok(());
        }
        Err(Failure::new(
            FailureClass::Forbidden,
            texts::forbidden(client.component, client.version, &who.username),
        ))
    }

    /// A kubelet asks its API server whether a client may use its API (`pkg/kubelet/server/auth.go`). Answers are
    /// kept for minutes there; here they are not.
    fn authorize_at_kubelet(&self, client: &ClientSide) -> Result<(), Failure> {
        let Some(shown) = &client.credential else {
            return Ok(());
        };
        let who = Requestor::of(&shown.certificate);
        if self.allows(&who, Permission::KubeletApi) {
            return Ok(());
        }
        Err(Failure::new(
            FailureClass::Forbidden,
            texts::kubelet_forbids(&who.username),
        ))
    }

    fn api_server_side(&self, node: usize) -> Option<ServerSide> {
        let process = self.nodes[node].process(Component::ApiServer)?;
        Some(ServerSide {
            component: Component::ApiServer,
            version: self.nodes[node].version,
            credential: process.pair(Slot::Serving).cloned(),
            client_roots: process.roots(Slot::ClientCa).cloned(),
            client_name: None,
            at: self.wall(node),
        })
    }

    pub(super) fn kubelet_side(&self, node: usize) -> Option<ServerSide> {
        let machine = &self.nodes[node];
        if !machine.powered || machine.kubelet.state != super::node::KubeletState::Running {
            return None;
        }
        Some(ServerSide {
            component: Component::Kubelet,
            version: machine.version,
            credential: self.shown_by_kubelet(node),
            client_roots: machine.kubelet.client_ca.clone(),
            client_name: None,
            at: self.wall(node),
        })
    }

    fn pair_outcome(&self, id: EdgeId, result: Option<Result<(), Failure>>) -> Outcome {
        match result {
            None => Outcome::Absent,
            Some(Ok(())) => Outcome::Ok,
            Some(Err(failure)) => {
                debug_assert_ne!(id.server, Component::Admin, "nobody serves as admin");
                Outcome::Failing(failure)
            }
        }
    }

    fn api_to_kubelet(&self, client: usize, server: usize) -> Option<Result<(), Failure>> {
        let process = self.nodes[client].process(Component::ApiServer)?;
        let kubelet = match self.kubelet_serves(Component::ApiServer, server) {
            Ok(kubelet) => kubelet,
            Err(failure) => return Some(Err(failure)),
        };
        let side = ClientSide {
            component: Component::ApiServer,
            version: self.nodes[client].version,
            // kubeadm sets no --kubelet-certificate-authority: kube-apiserver takes whatever a kubelet shows.
            roots: None,
            credential: process.pair(Slot::KubeletClient).cloned(),
            name: self.nodes[server].address.to_string(),
            at: self.wall(client),
        };
        let result = connect(&self.verifications, &side, &kubelet);
        Some(result.and_then(|()| self.authorize_at_kubelet(&side)))
    }

    /// Whether an API server answers requests.
    pub(super) fn some_api_server_works(&self) -> bool {
        (0..self.nodes.len()).any(|node| {
            self.nodes[node].process(Component::ApiServer).is_some()
                && self.behind(node, Component::Admin).is_ok()
        })
    }

    /// The aggregator towards an extension API server that trusts what kube-apiserver published.
    fn aggregator(&self, client: usize) -> Option<Result<(), Failure>> {
        let process = self.nodes[client].process(Component::ApiServer)?;
        Some(connect(
            &self.verifications,
            &ClientSide {
                component: Component::ApiServer,
                version: self.nodes[client].version,
                roots: None,
                credential: process.pair(Slot::FrontProxyClient).cloned(),
                name: "extension-apiserver".to_owned(),
                at: self.wall(client),
            },
            &ServerSide {
                component: Component::Extension,
                version: self.nodes[client].version,
                credential: None,
                client_roots: process.roots(Slot::RequestHeaderCa).cloned(),
                client_name: None,
                at: self.now(),
            },
        ))
    }
}
