//! How each edge is asked for; what an answer means is in `answer`.

use super::agent::{Order, Program, SameAs, encode};
use super::handshake::Handshake;
use super::{Kind, leases};
use crate::cluster::{ADMIN_CONF, EdgeId, KUBELET_CONF, KUBELET_CURRENT, LOOPBACK, USER_CONF};
use crate::fs::{MemoryTree, Tree as _};
use crate::pki::{Kubeconfig, Source};
use crate::scenario::Component;

/// Where kubelets listen.
pub(super) const KUBELET_PORT: u16 = 10_250;
/// Where etcd serves its clients.
const ETCD_PORT: u16 = 2_379;
/// Wall seconds that a request may take.
const LIMIT_S: u64 = 10;
/// kubectl's own limit.
const TIMEOUT: &str = "--request-timeout=6s";

/// What each node is to be asked so that edges are known.
pub(super) fn questions(kind: &Kind, edges: &[EdgeId], orders: &mut [Order]) {
    for &edge in edges {
        let node = edge.client_node;
        let member = &kind.nodes[node];
        if !member.powered {
            continue;
        }
        let id = id_of(edge);
        let pki = &member.plan.certificates_dir;
        match (edge.client, edge.server, edge.server_node) {
            (client, Component::ApiServer, None) => {
                if let Some(program) = api_request(kind, client, node) {
                    // Behind a load balancer every server gets its turn.
                    let times = if member.plan.load_balancer.is_some()
                        && matches!(client, Component::Admin | Component::User)
                    {
                        2 * control_planes(kind)
                    } else {
                        1
                    };
                    for number in 0..times {
                        let mut program = program.clone();
                        if times > 1 {
                            // Tried again it would meet another server.
                            program.attempts = 1;
                        }
                        // A user's kubeconfig is a copy of admin.conf, mostly.
                        if client == Component::User {
                            let admin = EdgeId {
                                client: Component::Admin,
                                ..edge
                            };
                            program.same_as = Some(SameAs {
                                id: format!("{}/{number}", id_of(admin)),
                                files: (ADMIN_CONF.to_owned(), USER_CONF.to_owned()),
                            });
                        }
                        orders[node]
                            .commands
                            .push((format!("{id}/{number}"), program));
                    }
                }
            }
            (Component::ApiServer, Component::Etcd, Some(_)) => orders[node].handshakes.push((
                id,
                Handshake {
                    address: format!("{}:{ETCD_PORT}", etcd_host(kind, edge)),
                    pair: Some((
                        format!("{pki}/apiserver-etcd-client.crt"),
                        format!("{pki}/apiserver-etcd-client.key"),
                    )),
                    path: "/health".to_owned(),
                },
            )),
            (Component::Etcd, Component::Etcd, Some(other)) => orders[node].handshakes.push((
                id,
                Handshake {
                    address: format!("{}:2380", kind.nodes[other].plan.address),
                    pair: Some((
                        format!("{pki}/etcd/peer.crt"),
                        format!("{pki}/etcd/peer.key"),
                    )),
                    path: "/version".to_owned(),
                },
            )),
            (Component::MetricsServer, Component::Kubelet, Some(other)) => {
                orders[node].handshakes.push((
                    id,
                    Handshake {
                        address: format!("{}:{KUBELET_PORT}", kind.nodes[other].plan.address),
                        pair: None,
                        path: "/metrics/resource".to_owned(),
                    },
                ));
            }
            (Component::ApiServer, Component::Kubelet, Some(other)) => {
                let server = format!("--server=https://{}:6443", member.plan.address);
                let path = format!(
                    "/api/v1/nodes/{}/proxy/healthz",
                    kind.nodes[other].plan.name
                );
                orders[node].commands.push((
                    id,
                    kubectl(&[
                        &format!("--kubeconfig={ADMIN_CONF}"),
                        &server,
                        TIMEOUT,
                        "get",
                        "--raw",
                        &path,
                    ]),
                ));
            }
            _ => {}
        }
    }
}

/// The host at which an API server, or another member, finds a member of etcd: the one beside it is its own.
pub(super) fn etcd_host(kind: &Kind, edge: EdgeId) -> String {
    match (edge.client, edge.server_node) {
        (Component::ApiServer, Some(node)) if node == edge.client_node => LOOPBACK.to_owned(),
        (_, Some(node)) => kind.nodes[node].plan.address.to_string(),
        (_, None) => LOOPBACK.to_owned(),
    }
}

/// A key for the answers.
pub(super) fn id_of(edge: EdgeId) -> String {
    format!(
        "{}@{}>{}@{}",
        edge.client.name(),
        edge.client_node,
        edge.server.name(),
        edge.server_node.map_or(-1, |node| node as i64)
    )
}

/// kubectl with arguments.
pub(super) fn kubectl(args: &[&str]) -> Program {
    Program {
        words: std::iter::once("kubectl")
            .chain(args.iter().copied())
            .map(str::to_owned)
            .collect(),
        kubeconfig: None,
        limit_s: LIMIT_S,
        attempts: 2,
        same_as: None,
    }
}

fn control_planes(kind: &Kind) -> usize {
    kind.nodes
        .iter()
        .filter(|member| member.plan.control_plane)
        .count()
}

/// A request that a client makes all the time, with its credentials: those it has loaded, where it reads them once.
fn api_request(kind: &Kind, client: Component, node: usize) -> Option<Program> {
    let member = &kind.nodes[node];
    let (config, path) = match client {
        Component::Admin => (ADMIN_CONF, "/api/v1/nodes?limit=1".to_owned()),
        Component::User => (USER_CONF, "/api/v1/nodes?limit=1".to_owned()),
        Component::Kubelet => (
            KUBELET_CONF,
            format!(
                "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{}",
                member.plan.name
            ),
        ),
        Component::ControllerManager | Component::Scheduler => (
            "{kubeconfig}",
            leases::lock_path(member.plan.version, client),
        ),
        _ => return None,
    };
    let config_arg = format!("--kubeconfig={config}");
    let mut program = kubectl(&[&config_arg, TIMEOUT, "get", "--raw", &path]);
    if client == Component::Kubelet
        && let Some(own) = of_its_own(&member.tree)
    {
        program.words[1] = "--kubeconfig={kubeconfig}".to_owned();
        program.kubeconfig = Some(encode(own.as_bytes()));
    }
    if config == "{kubeconfig}" {
        let loaded = member
            .kubeconfigs
            .iter()
            .filter(|((component, _), _)| *component == client)
            .max_by_key(|((_, process), _)| *process)?;
        program.kubeconfig = Some(encode(loaded.1));
    }
    Some(program)
}

/// What a kubelet asks with where its kubeconfig names another certificate: kubelet.conf of a cluster that kubeadm made before
/// 1.17 embeds the first one for ever (kubeadm#1753), and a kubelet that rotates uses what is in its own store.
fn of_its_own(tree: &MemoryTree) -> Option<String> {
    let mut conf = Kubeconfig::parse(&tree.read(KUBELET_CONF).ok()?).ok()?;
    let config = tree.read("/var/lib/kubelet/config.yaml").ok()?;
    let rotates = String::from_utf8_lossy(&config).contains("rotateCertificates: true");
    if !rotates
        || !tree.exists(KUBELET_CURRENT)
        || !matches!(conf.client_certificate(), Source::Data(_))
    {
        return None;
    }
    conf.user_mut()?.point_at(KUBELET_CURRENT);
    Some(conf.to_yaml(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubelet_that_rotates_uses_its_own_store() {
        let tree = |conf: &str, config: &str, current: bool| {
            let mut tree = MemoryTree::new();
            for dir in ["/etc/kubernetes", "/var/lib/kubelet/pki"] {
                tree.create_dir_all(dir, 0o755).unwrap();
            }
            for (path, text) in [
                ("/etc/kubernetes/kubelet.conf", conf),
                ("/var/lib/kubelet/config.yaml", config),
            ] {
                tree.write(path, text.as_bytes(), 0o600).unwrap();
            }
            if current {
                tree.write(KUBELET_CURRENT, b"pem", 0o600).unwrap();
            }
            tree
        };
        let conf = |user: &str| {
            format!(
                "current-context: a\ncontexts:\n- name: a\n  context: {user_named}\nusers:\n- name: k\n  user: {user}\n",
                user_named = "{ cluster: c, user: k }"
            )
        };
        let embedded = conf("{ client-certificate-data: YQ==, client-key-data: YQ== }");
        let rotates = "rotateCertificates: true";
        let own = of_its_own(&tree(&embedded, rotates, true)).unwrap();
        let user = Kubeconfig::parse(own.as_bytes()).unwrap();
        let current = Source::File(KUBELET_CURRENT.to_owned());
        assert_eq!(user.client_certificate(), current);
        assert_eq!(user.client_key(), current);
        for other in [
            tree(&embedded, rotates, false),
            tree(&embedded, "rotateCertificates: false", true),
            tree(
                &conf("{ client-certificate: /a, client-key: /a }"),
                rotates,
                true,
            ),
            MemoryTree::new(),
        ] {
            assert_eq!(of_its_own(&other), None);
        }
    }
}
