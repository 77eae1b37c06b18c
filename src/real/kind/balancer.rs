//! The load balancer in front of several control planes: the image that kind uses, configured as kind does
//! (`sigs.k8s.io/kind/pkg/cluster/internal/loadbalancer` v0.33.0): round robin, health checks that do not verify. One thing is
//! not as in kind: an API server that is not healthy gets no request, however few are. Envoy's default is to ask all of them
//! again once fewer than half are healthy (its panic threshold), which no other load balancer does.

use std::net::IpAddr;

use super::engine::Containers;
use super::node::{CLUSTER_LABEL, OWN_LABEL, ROLE_LABEL};
use crate::cluster::EngineError;

/// kind v0.33.0's load balancer.
pub(super) const IMAGE: &str = "envoyproxy/envoy:v1.36.2";
const PORT: u16 = 6443;

/// A running load balancer.
#[derive(Debug)]
pub(super) struct Balancer {
    /// The container's name.
    pub name: String,
}

impl Balancer {
    /// Starts it.
    pub fn start(
        engine: &Containers,
        cluster: &str,
        address: IpAddr,
        servers: &[IpAddr],
    ) -> Result<Self, EngineError> {
        let name = format!("{cluster}-external-load-balancer");
        let script = format!(
            "mkdir -p /home/envoy && cat > /home/envoy/envoy.yaml <<'END'\n{}\nEND\n\
             cat > /home/envoy/cds.yaml <<'END'\n{}\nEND\ncat > /home/envoy/lds.yaml <<'END'\n{}\nEND\n\
             while true; do envoy -c /home/envoy/envoy.yaml && break; sleep 1; done",
            bootstrap(cluster, &name),
            clusters(servers),
            listener()
        );
        let labels = [
            format!("{CLUSTER_LABEL}={cluster}"),
            format!("{ROLE_LABEL}=external-load-balancer"),
            format!("{OWN_LABEL}={}", std::process::id()),
        ];
        let address = address.to_string();
        let mut args = vec!["run", "--detach", "--name", &name, "--hostname", &name];
        for label in &labels {
            args.extend(["--label", label]);
        }
        args.extend([
            "--net", cluster, "--ip", &address, IMAGE, "bash", "-c", &script,
        ]);
        engine.run(&args)?;
        Ok(Self { name })
    }
}

fn bootstrap(cluster: &str, name: &str) -> String {
    format!(
        "node:\n  cluster: {cluster}\n  id: {name}\n\ndynamic_resources:\n  cds_config:\n    \
         resource_api_version: V3\n    path_config_source:\n      path: /home/envoy/cds.yaml\n  lds_config:\n    \
         resource_api_version: V3\n    path_config_source:\n      path: /home/envoy/lds.yaml"
    )
}

fn listener() -> String {
    format!(
        "resources:\n- \"@type\": type.googleapis.com/envoy.config.listener.v3.Listener\n  name: \
         listener_apiserver\n  address:\n    socket_address:\n      address: \"0.0.0.0\"\n      port_value: {PORT}\n  \
         filter_chains:\n  - filters:\n    - name: envoy.filters.network.tcp_proxy\n      typed_config:\n        \
         \"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy\n        \
         stat_prefix: ingress_tcp\n        cluster: kube_apiservers"
    )
}

fn clusters(servers: &[IpAddr]) -> String {
    let endpoints: String = servers
        .iter()
        .map(|address| {
            format!(
                "\n      - endpoint:\n          address:\n            socket_address:\n              address: \
                 {address}\n              port_value: {PORT}"
            )
        })
        .collect();
    format!(
        "resources:\n- \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster\n  name: kube_apiservers\n  \
         connect_timeout: 0.25s\n  type: STATIC\n  lb_policy: ROUND_ROBIN\n  common_lb_config:\n    healthy_panic_threshold:\n      \
         value: 0\n  health_checks:\n  - timeout: 3s\n    \
         interval: 2s\n    unhealthy_threshold: 2\n    healthy_threshold: 1\n    initial_jitter: 0s\n    \
         no_traffic_interval: 3s\n    http_health_check:\n      path: /healthz\n    \
         transport_socket_match_criteria:\n      tls_mode: \"true\"\n  transport_socket_matches:\n  - name: \
         \"health_check_tls\"\n    match:\n      tls_mode: \"true\"\n    transport_socket:\n      name: \
         envoy.transport_sockets.tls\n      typed_config:\n        \"@type\": \
         type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\n        \
         common_tls_context:\n          validation_context:\n            trust_chain_verification: \
         ACCEPT_UNTRUSTED\n  load_assignment:\n    cluster_name: kube_apiservers\n    endpoints:\n    - \
         lb_endpoints:{endpoints}"
    )
}
