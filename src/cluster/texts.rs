//! What components print when a request fails. Each text is written here and nowhere else.

use super::topology::API_PORT;
use crate::kubeadm::Version;
use crate::kubeadm::profile::components::{
    AUTHENTICATION_ERROR_IS_STRUCTURED, AUTHENTICATION_NAMES_CERTIFICATE, LEADER_LOCK,
    LOCK_ERROR_IS_STRUCTURED, NAMES_CURRENT_TIME, NAMES_VERIFICATION,
};
use crate::kubeadm::profile::etcd::{
    RefusalLog, etcd_names_current_time, etcd_refusal_log, etcd_verification_words,
};
use crate::pki::{Certificate, VerifyError, VerifyErrorKind};
use crate::scenario::Component;

/// The client does not accept the server's certificate.
#[must_use]
pub fn server_rejected(
    client: Component,
    version: Version,
    server: Component,
    name: &str,
    error: &VerifyError,
) -> String {
    let tls = unverified(client, version, error);
    match (client, server) {
        (Component::Admin | Component::User, _) => {
            format!("Unable to connect to the server: {tls}")
        }
        (Component::ControllerManager | Component::Scheduler, _) => {
            lease(client, version, &format!("{name}:{API_PORT}"), &tls)
        }
        (Component::Kubelet, _) => node_lease(&format!("{name}:{API_PORT}"), &tls),
        // `[::1]` on machines with IPv6 (`apiserver/pkg/server/config_selfclient.go`).
        (Component::ApiServer, Component::ApiServer) => format!(
            "pods is forbidden: Get \"https://localhost:{API_PORT}/api/v1/namespaces/default/limitranges\": {tls}"
        ),
        (Component::ApiServer, Component::Etcd) => etcd_dial(&etcd_authority(name), &tls),
        (Component::Etcd, _) => peer_probe(&tls),
        _ => tls,
    }
}

/// What Go says that cannot verify a server.
#[must_use]
pub fn unverified(client: Component, version: Version, error: &VerifyError) -> String {
    let x509 = x509(client, version, error);
    let named = match client {
        Component::Etcd => return format!("{}{x509}", etcd_verification_words(version)[0]),
        // Of no version of Kubernetes; those of today are built with newer Go.
        Component::MetricsServer => true,
        _ => *NAMES_VERIFICATION.at(version),
    };
    if named {
        format!("tls: failed to verify certificate: {x509}")
    } else {
        x509
    }
}

/// What the Go that a component is built with says of a certificate.
fn x509(component: Component, version: Version, error: &VerifyError) -> String {
    let timed = match component {
        Component::Etcd => etcd_names_current_time(version),
        // Of no version of Kubernetes; those of today are built with newer Go.
        Component::MetricsServer | Component::Extension => true,
        _ => *NAMES_CURRENT_TIME.at(version),
    };
    if timed {
        error.to_string()
    } else {
        error.without_current_time()
    }
}

/// The server does not accept the client's certificate.
#[must_use]
pub fn client_rejected(
    client: Component,
    version: Version,
    server: Component,
    name: &str,
    error: &VerifyError,
) -> String {
    match (client, server) {
        (Component::Admin | Component::User, _) => {
            "error: You must be logged in to the server (Unauthorized)".to_owned()
        }
        (Component::ControllerManager | Component::Scheduler, _) => {
            lock_error(client, version, "Unauthorized")
        }
        (Component::Kubelet, _) => {
            "\"Failed to ensure lease exists, will retry\" err=\"Unauthorized\"".to_owned()
        }
        (Component::ApiServer, Component::Etcd) => etcd_dial(&etcd_authority(name), &alert(error)),
        (Component::Etcd, _) => peer_probe(&alert(error)),
        (Component::ApiServer, Component::Kubelet) => {
            // What kubectl logs says, and what kubectl exec does.
            "error: You must be logged in to the server (the server has asked for the client to provide credentials); \
             error: unable to upgrade connection: Unauthorized"
                .to_owned()
        }
        (Component::ApiServer, Component::Extension) => {
            format!(
                "Unauthorized (x509: client certificate of the aggregator was refused: {error})"
            )
        }
        _ => "Unauthorized".to_owned(),
    }
}

/// What a server of a version logs when it refuses a client's certificate.
#[must_use]
pub fn refusal_logged(
    client: Component,
    server: Component,
    version: Version,
    shown: &Certificate,
    error: &VerifyError,
) -> Option<String> {
    match server {
        Component::ApiServer => Some(unauthenticated(version, shown, error)),
        Component::Etcd => {
            let [_, words] = etcd_verification_words(version);
            let x509 = x509(server, version, error);
            Some(etcd_refuses(client, version, &format!("{words}{x509}")))
        }
        _ => None,
    }
}

/// kube-apiserver asks two authenticators, that of its aggregators first and that of clients then, and logs what differs of
/// their errors (`apiserver/pkg/authentication/request/x509/x509.go`, `apimachinery/pkg/util/errors`).
fn unauthenticated(version: Version, shown: &Certificate, error: &VerifyError) -> String {
    let hex = |bytes: &[u8]| {
        let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        pairs.join(":")
    };
    let x509 = x509(Component::ApiServer, version, error);
    let first = match error.kind() {
        // Times are looked at before the issuer, what the certificate may be used for after it.
        VerifyErrorKind::Expired | VerifyErrorKind::NotYetValid => x509.clone(),
        _ => "x509: certificate signed by unknown authority".to_owned(),
    };
    let second = if *AUTHENTICATION_NAMES_CERTIFICATE.at(version) {
        format!(
            "verifying certificate SN={}, SKID={}, AKID={} failed: {x509}",
            shown.serial_decimal(),
            hex(shown.subject_key_id()),
            hex(shown.authority_key_id())
        )
    } else {
        x509
    };
    let both = if first == second {
        first
    } else {
        format!("[{first}, {second}]")
    };
    if *AUTHENTICATION_ERROR_IS_STRUCTURED.at(version) {
        format!("\"Unable to authenticate the request\" err={both:?}")
    } else {
        format!("Unable to authenticate the request due to an error: {both}")
    }
}

/// etcd logs which connection it refused and why. The port that the client had is not simulated.
fn etcd_refuses(client: Component, version: Version, error: &str) -> String {
    let message = match (etcd_refusal_log(version), client) {
        (RefusalLog::Text, _) => {
            return format!("embed: rejected connection from … (error {error:?}, …)");
        }
        (RefusalLog::Json, _) => "rejected connection",
        (RefusalLog::JsonOfEndpoint, Component::Etcd) => "rejected connection on peer endpoint",
        (RefusalLog::JsonOfEndpoint, _) => "rejected connection on client endpoint",
    };
    format!("{{\"level\":\"warn\",…,\"msg\":{message:?},…,\"error\":{error:?}}}")
}

/// The client has no certificate to show.
#[must_use]
pub fn anonymous(client: Component, server: Component, name: &str) -> String {
    match (client, server) {
        (Component::Kubelet, _) => node_lease(
            name,
            "leases.coordination.k8s.io is forbidden: User \"system:anonymous\" cannot get resource \"leases\" in API group \"coordination.k8s.io\" in the namespace \"kube-node-lease\"",
        ),
        (Component::ApiServer | Component::Etcd, Component::Etcd) => {
            "remote error: tls: certificate required".to_owned()
        }
        _ => "Forbidden: User \"system:anonymous\" cannot get path \"/\"".to_owned(),
    }
}

/// An API server knows the client and does not let it (`apimachinery/pkg/api/errors NewForbidden`).
#[must_use]
pub fn forbidden(client: Component, version: Version, user: &str) -> String {
    match client {
        Component::Admin | Component::User => {
            kubectl_forbidden(user, "list", "nodes", "", "at the cluster scope")
        }
        Component::Kubelet => format!(
            "\"Failed to ensure lease exists, will retry\" err=\"leases.coordination.k8s.io is forbidden: User \\\"{user}\\\" cannot get resource \\\"leases\\\" in API group \\\"coordination.k8s.io\\\" in the namespace \\\"kube-node-lease\\\"\""
        ),
        _ => lock_error(client, version, &lock_forbidden(client, version, user)),
    }
}

/// As [`forbidden`], for a request of kubectl's. `scope` is `at the cluster scope` or `in the namespace "..."`.
#[must_use]
pub fn kubectl_forbidden(
    user: &str,
    verb: &str,
    resource: &str,
    group: &str,
    scope: &str,
) -> String {
    let full = if group.is_empty() {
        resource.to_owned()
    } else {
        format!("{resource}.{group}")
    };
    format!(
        "Error from server (Forbidden): {full} is forbidden: User {user:?} cannot {verb} resource {resource:?} in API group {group:?} {scope}"
    )
}

/// A kubelet knows kube-apiserver and does not let it (`pkg/kubelet/server/server.go`), as kubectl shows it.
#[must_use]
pub fn kubelet_forbids(user: &str) -> String {
    format!(
        "Error from server (Forbidden): Forbidden (user={user}, verb=get, resource=nodes, subresource(s)=[proxy])"
    )
}

/// Nothing listens at the other end, or the machine is off.
#[must_use]
pub fn unreachable(client: Component, version: Version, authority: &str, powered: bool) -> String {
    let reason = if powered {
        "connection refused"
    } else {
        "no route to host"
    };
    match client {
        Component::Admin | Component::User if powered => format!(
            "The connection to the server {authority} was refused - did you specify the right host or port?"
        ),
        Component::Admin | Component::User => {
            format!("Unable to connect to the server: dial tcp {authority}: connect: {reason}")
        }
        Component::ControllerManager | Component::Scheduler => lease(
            client,
            version,
            authority,
            &format!("dial tcp {authority}: connect: {reason}"),
        ),
        Component::Kubelet => node_lease(
            authority,
            &format!("dial tcp {authority}: connect: {reason}"),
        ),
        Component::ApiServer => etcd_dial(
            authority,
            &format!("dial tcp {authority}: connect: {reason}"),
        ),
        _ => format!("dial tcp {authority}: connect: {reason}"),
    }
}

/// The API server answers, etcd behind it does not.
#[must_use]
pub fn etcd_behind(client: Component, quorum: bool) -> String {
    let reason = if quorum {
        "context deadline exceeded"
    } else {
        "etcdserver: no leader"
    };
    match client {
        Component::Admin | Component::User => format!("Error from server: {reason}"),
        _ => reason.to_owned(),
    }
}

/// What a kubelet logs that has nothing to show (`pkg/kubelet/kubelet.go`).
pub const NO_SERVING_CERTIFICATE: &str = "no serving certificate available for the kubelet";

/// A kubelet ends the handshake because it has no certificate to show.
#[must_use]
pub fn kubelet_without_certificate(client: Component, node: &str, authority: &str) -> String {
    let alert = "remote error: tls: internal error";
    match client {
        Component::MetricsServer => scrape(node, authority, alert),
        _ => format!("Error from server: Get \"https://{authority}/containerLogs\": {alert}"),
    }
}

/// What a metrics-server logs that cannot ask a kubelet (`metrics-server/pkg/scraper`).
#[must_use]
pub fn scrape(node: &str, authority: &str, reason: &str) -> String {
    let error = format!("Get \"https://{authority}/metrics/resource\": {reason}");
    format!("\"Failed to scrape node\" err={error:?} node={node:?}")
}

/// A kubelet could not have the metrics-server's token reviewed.
#[must_use]
pub fn scrape_unauthorized(node: &str) -> String {
    let error = "request failed, status: \"401 Unauthorized\"";
    format!("\"Failed to scrape node\" err={error:?} node={node:?}")
}

/// A connection that is not taken, in the words of Go's net package.
#[must_use]
pub fn refused(authority: &str, powered: bool) -> String {
    let reason = if powered {
        "connection refused"
    } else {
        "no route to host"
    };
    format!("dial tcp {authority}: connect: {reason}")
}

/// An etcd member refuses a peer whose certificate does not carry the address it came from
/// (`etcd client/pkg/transport/listener_tls.go`): what the peer says, and what the member logs.
#[must_use]
pub fn peer_name_rejected(
    address: &str,
    version: Version,
    certificate: &Certificate,
) -> (String, String) {
    let names: Vec<String> = certificate
        .dns_names()
        .iter()
        .map(|name| format!("{name:?}"))
        .collect();
    let error = format!(
        "tls: {address:?} does not match any of DNSNames [{}]",
        names.join(" ")
    );
    (
        peer_probe(&error),
        etcd_refuses(Component::Etcd, version, &error),
    )
}

/// The alert a Go TLS server sends when it refuses a client certificate
/// (`crypto/tls/handshake_server.go processCertsFromClient`).
fn alert(error: &VerifyError) -> String {
    let name = match error.kind() {
        VerifyErrorKind::Expired | VerifyErrorKind::NotYetValid => "expired certificate",
        VerifyErrorKind::UnknownAuthority => "unknown certificate authority",
        _ => "bad certificate",
    };
    format!("remote error: tls: {name}")
}

/// A request for the lock that a leader holds.
fn lease(client: Component, version: Version, authority: &str, reason: &str) -> String {
    let (api, resource) = LEADER_LOCK.at(version);
    let component = client.name();
    let path = format!("{api}/namespaces/kube-system/{resource}/{component}");
    lock_error(
        client,
        version,
        &format!("Get \"https://{authority}{path}?timeout=5s\": {reason}"),
    )
}

/// What a component logs that cannot read its lock (`client-go/tools/leaderelection/leaderelection.go`).
fn lock_error(client: Component, version: Version, reason: &str) -> String {
    let lock = format!("kube-system/{}", client.name());
    if *LOCK_ERROR_IS_STRUCTURED.at(version) {
        format!("\"Error retrieving lease lock\" err={reason:?} lock={lock:?}")
    } else {
        format!("error retrieving resource lock {lock}: {reason}")
    }
}

fn lock_forbidden(client: Component, version: Version, user: &str) -> String {
    let (api, resource) = LEADER_LOCK.at(version);
    let (full, group) = if api.starts_with("/apis/") {
        (
            format!("{resource}.coordination.k8s.io"),
            "coordination.k8s.io",
        )
    } else {
        ((*resource).to_owned(), "")
    };
    format!(
        "{full} {:?} is forbidden: User {user:?} cannot get resource {resource:?} in API group {group:?} in the namespace \"kube-system\"",
        client.name()
    )
}

fn node_lease(authority: &str, reason: &str) -> String {
    format!(
        "\"Failed to ensure lease exists, will retry\" err=\"Get \\\"https://{authority}/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases\\\": {reason}\""
    )
}

fn etcd_dial(authority: &str, reason: &str) -> String {
    format!(
        "grpc: addrConn.createTransport failed to connect to {{Addr: \"{authority}\"}}. Err: connection error: desc = \"transport: authentication handshake failed: {reason}\""
    )
}

/// A member of etcd takes the connection and says nothing.
#[must_use]
pub fn etcd_silent(authority: &str) -> String {
    etcd_dial(authority, "context deadline exceeded")
}

/// Host and port that etcd listens on for clients.
#[must_use]
pub fn etcd_authority(host: &str) -> String {
    format!("{host}:2379")
}

fn peer_probe(reason: &str) -> String {
    format!("prober detected unhealthy status: ROUND_TRIPPER_RAFT_MESSAGE: {reason}")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::pki::issue::self_signed_ca;
    use crate::pki::{KeyAlgorithm, PrivateKey};

    fn ca() -> Certificate {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256);
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (from, to) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
        self_signed_ca("kubernetes", &key, from, to, 4711).unwrap()
    }

    #[test]
    fn a_refused_client_is_logged_in_the_words_of_the_version() {
        let ca = ca();
        let end: Timestamp = "2027-01-02T00:00:00Z".parse().unwrap();
        let roots = std::slice::from_ref(&ca);
        let usage = crate::pki::Usage::Client;
        let error = crate::pki::verify(&ca, &[], roots, usage, None, end).unwrap_err();
        let logged = |minor, patch, server, client| {
            let version = Version::new(minor, patch);
            refusal_logged(client, server, version, &ca, &error).unwrap()
        };
        let api = |minor, patch| logged(minor, patch, Component::ApiServer, Component::Kubelet);
        let bare = "x509: certificate has expired or is not yet valid";
        let x509 =
            format!("{bare}: current time 2027-01-02T00:00:00Z is after 2027-01-01T00:00:00Z");
        assert_eq!(
            api(18, 20),
            format!("Unable to authenticate the request due to an error: {bare}")
        );
        assert_eq!(
            api(19, 16),
            format!("Unable to authenticate the request due to an error: {x509}")
        );
        let named = |text: &str| text.contains("verifying certificate SN=4711, SKID=");
        assert!(api(20, 15).starts_with("Unable to authenticate the request due to an error: ["));
        assert!(named(&api(20, 15)));
        let structured = "\"Unable to authenticate the request\" err=\"[";
        assert!(api(36, 3).starts_with(&format!("{structured}{x509}, verifying certificate SN=")));
        assert!(named(&api(36, 3)));
        let etcd = |minor, patch, client| logged(minor, patch, Component::Etcd, client);
        assert_eq!(
            etcd(17, 17, Component::ApiServer),
            format!(
                "embed: rejected connection from … (error \"tls: failed to verify client's certificate: {bare}\", …)"
            )
        );
        let of_client =
            |component, minor, patch| unverified(component, Version::new(minor, patch), &error);
        assert_eq!(of_client(Component::Kubelet, 18, 20), bare);
        assert_eq!(of_client(Component::Kubelet, 19, 0), x509);
        assert_eq!(of_client(Component::Kubelet, 14, 10), bare);
        // etcd's own version decides.
        assert_eq!(of_client(Component::Etcd, 21, 14), bare);
        assert_eq!(of_client(Component::Etcd, 22, 17), x509);
        assert!(of_client(Component::MetricsServer, 16, 15).ends_with(&x509));
        let line = etcd(36, 3, Component::Etcd);
        assert!(
            line.contains("\"msg\":\"rejected connection on peer endpoint\""),
            "{line}"
        );
        assert!(
            line.contains("\"error\":\"tls: failed to verify certificate: x509:"),
            "{line}"
        );
        let line = etcd(36, 3, Component::ApiServer);
        assert!(
            line.contains("rejected connection on client endpoint"),
            "{line}"
        );
    }
}
