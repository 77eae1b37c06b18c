//! The world's API servers, served to a real process: TLS with the certificates they have loaded, their
//! authentication, and the objects that kubeadm reads.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, ServerConfig, ServerConnection, SignatureScheme,
    StreamOwned,
};
use serde_json::{Value, json};

use crate::cluster::{ApiServer, Identity, Surroundings};

/// The port API servers listen on.
const PORT: u16 = 6443;
/// More than any request of kubeadm.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// An address that is listened on.
pub struct Endpoint {
    listener: TcpListener,
    /// Servers in the order in which they are tried: a load balancer has several.
    servers: Vec<Arc<Served>>,
}

struct Served {
    server: ApiServer,
    tls: Arc<ServerConfig>,
}

/// Listens for every API server and for the load balancer. The calling thread must be in the place where
/// they are to be reached.
///
/// # Errors
/// When an address cannot be listened on or a server's key cannot be used.
pub fn listen(surroundings: &Surroundings) -> io::Result<Vec<Endpoint>> {
    let served = surroundings
        .api_servers
        .iter()
        .map(|server| {
            Ok(Arc::new(Served {
                server: server.clone(),
                tls: tls_config(server)?,
            }))
        })
        .collect::<io::Result<Vec<_>>>()?;
    let mut endpoints = Vec::new();
    for one in &served {
        endpoints.push(Endpoint {
            listener: bind(one.server.address)?,
            servers: vec![Arc::clone(one)],
        });
    }
    if let Some((address, _)) = surroundings.load_balancer
        && !surroundings.balanced.is_empty()
    {
        // Servers that can do their work come first, as the model takes any that works.
        let mut servers = served.clone();
        servers.retain(|one| surroundings.balanced.contains(&one.server.address));
        servers.sort_by_key(|one| !(one.server.storage_works && one.server.in_date()));
        endpoints.push(Endpoint {
            listener: bind(address)?,
            servers,
        });
    }
    Ok(endpoints)
}

impl Endpoint {
    /// Serves until the listener is shut down.
    pub fn serve(&self, surroundings: &Surroundings) {
        std::thread::scope(|scope| {
            while let Ok((stream, _)) = self.listener.accept() {
                let Some(served) = self.servers.first() else {
                    return;
                };
                scope.spawn(move || {
                    // A client that goes away in the middle of a request is no concern of the server's.
                    let _ = converse(served, surroundings, stream);
                });
            }
        });
    }

    /// Ends [`Endpoint::serve`]: Linux wakes an `accept` whose listener is shut down.
    pub fn stop(&self) {
        use std::os::fd::AsRawFd as _;
        // It fails only if it was stopped before.
        let _ =
            nix::sys::socket::shutdown(self.listener.as_raw_fd(), nix::sys::socket::Shutdown::Both);
    }
}

fn bind(address: IpAddr) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::new(address, PORT))
}

fn tls_config(server: &ApiServer) -> io::Result<Arc<ServerConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = server
        .chain()
        .into_iter()
        .map(CertificateDer::from)
        .collect();
    let key = PrivateKeyDer::from_pem_slice(server.key_pem())
        .map_err(|error| io::Error::other(format!("the serving key of an API server: {error}")))?;
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_client_cert_verifier(Arc::new(AskOnly { provider }))
        .with_single_cert(chain, key)
        .map_err(io::Error::other)?;
    Ok(Arc::new(config))
}

/// kube-apiserver asks for a certificate and looks at it with each request, not in the handshake.
#[derive(Debug)]
struct AskOnly {
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AskOnly {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Answers requests on a connection until the client closes it.
fn converse(served: &Served, surroundings: &Surroundings, stream: TcpStream) -> io::Result<()> {
    let connection = ServerConnection::new(Arc::clone(&served.tls)).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut pending = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut pending)? {
        let shown: Vec<Vec<u8>> = stream
            .conn
            .peer_certificates()
            .unwrap_or_default()
            .iter()
            .map(|certificate| certificate.to_vec())
            .collect();
        let identity = served.server.authenticate(&shown);
        let (code, body) = answer(&request, &identity, &served.server, surroundings);
        let body = body.to_string();
        write!(
            stream,
            "HTTP/1.1 {code} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            reason_phrase(code),
            body.len(),
        )?;
        stream.flush()?;
    }
    Ok(())
}

/// What of a request decides about its answer.
struct Request {
    method: String,
    path: String,
    /// `labelSelector` and `fieldSelector`.
    selectors: Vec<Selector>,
}

/// One requirement of a selector: `component=etcd`, `spec.nodeName=cp1`.
struct Selector {
    /// Of labels, not of fields.
    label: bool,
    key: String,
    value: String,
}

impl Selector {
    fn all_of(query: &str) -> Vec<Self> {
        let decode = |text: &str| {
            text.replace("%3D", "=")
                .replace("%2C", ",")
                .replace("%2F", "/")
        };
        let parameters = query.split('&').filter_map(|pair| pair.split_once('='));
        parameters
            .filter(|(name, _)| ["labelSelector", "fieldSelector"].contains(name))
            .flat_map(|(name, value)| {
                let label = name == "labelSelector";
                decode(value)
                    .split(',')
                    .filter_map(|one| one.split_once('='))
                    .map(|(key, value)| Self {
                        label,
                        key: key.to_owned(),
                        value: value.trim_start_matches('=').to_owned(),
                    })
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    fn fits(&self, object: &Value) -> bool {
        let found = if self.label {
            object["metadata"]["labels"].get(&self.key)
        } else {
            object.pointer(&format!("/{}", self.key.replace('.', "/")))
        };
        found.and_then(Value::as_str) == Some(&self.value)
    }
}

fn read_request(stream: &mut impl Read, pending: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let malformed = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Request::new(&mut headers);
        let parsed = head
            .parse(pending)
            .map_err(|error| malformed(&error.to_string()))?;
        if let httparse::Status::Complete(body_at) = parsed {
            let length = head
                .headers
                .iter()
                .find(|header| header.name.eq_ignore_ascii_case("content-length"))
                .and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse().ok())
                .unwrap_or(0_usize);
            if length > REQUEST_BYTES_MAX {
                return Err(malformed("the request is too long"));
            }
            if pending.len() >= body_at + length {
                let target = head.path.unwrap_or_default();
                let (path, query) = target.split_once('?').unwrap_or((target, ""));
                let request = Request {
                    method: head.method.unwrap_or_default().to_owned(),
                    path: path.to_owned(),
                    selectors: Selector::all_of(query),
                };
                pending.drain(..body_at + length);
                return Ok(Some(request));
            }
        }
        if pending.len() > REQUEST_BYTES_MAX {
            return Err(malformed("the request is too long"));
        }
        let mut chunk = [0; 8192];
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(None),
            Ok(count) => pending.extend_from_slice(&chunk[..count]),
            // A client that exits closes its connection without a farewell.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

fn reason_phrase(code: u16) -> &'static str {
    match code {
        200 => "OK",
        201 => "Created",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        _ => "Internal Server Error",
    }
}

fn status(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    (code, body)
}

fn answer(
    request: &Request,
    identity: &Identity,
    server: &ApiServer,
    surroundings: &Surroundings,
) -> (u16, Value) {
    let (name, groups) = match identity {
        Identity::Refused => return status(401, "Unauthorized", "Unauthorized"),
        Identity::Anonymous => (
            "system:anonymous",
            vec!["system:unauthenticated".to_owned()],
        ),
        Identity::User { name, groups } => {
            let mut groups = groups.clone();
            groups.push("system:authenticated".to_owned());
            (name.as_str(), groups)
        }
    };
    let parts: Vec<&str> = request
        .path
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    if parts == ["version"] {
        let version = server.version;
        return (
            200,
            json!({
                "major": "1", "minor": version.minor.to_string(), "gitVersion": version.to_string(),
                "gitCommit": "", "gitTreeState": "clean", "buildDate": "", "goVersion": "",
                "compiler": "gc", "platform": "linux/amd64",
            }),
        );
    }
    if parts.last() == Some(&"selfsubjectreviews") && request.method == "POST" {
        // Clients send it empty, as JSON or as protobuf; the answer does not depend on it.
        let review = json!({
            "kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {},
            "status": { "userInfo": { "username": name, "groups": groups } },
        });
        return (201, review);
    }
    if !surroundings.lets_read(name, &groups) {
        let message = format!(
            "{} is forbidden: User {name:?} cannot get resource",
            request.path
        );
        return status(403, "Forbidden", &message);
    }
    if !server.storage_works {
        return status(500, "InternalError", "etcdserver: request timed out");
    }
    let found = match parts.as_slice() {
        ["api", "v1", "namespaces", "kube-system", "configmaps", name] => {
            config_map(name, surroundings)
        }
        ["api", "v1", "nodes", name] => surroundings
            .machines
            .iter()
            .find(|machine| machine.is_node && machine.name == *name)
            .map(node_object),
        ["api", "v1", "nodes"] => Some(list(
            "NodeList",
            surroundings
                .machines
                .iter()
                .filter(|machine| machine.is_node)
                .map(node_object)
                .collect(),
        )),
        ["api", "v1", "namespaces", "kube-system", "pods"] => {
            let mut pods = pods(surroundings);
            pods.retain(|pod| request.selectors.iter().all(|selector| selector.fits(pod)));
            Some(list("PodList", pods))
        }
        ["api", "v1", "namespaces", "kube-system", "pods", name] => pods(surroundings)
            .into_iter()
            .find(|pod| pod["metadata"]["name"] == **name),
        [
            "apis",
            "certificates.k8s.io",
            "v1",
            "certificatesigningrequests",
        ] => Some(list("CertificateSigningRequestList", Vec::new())),
        _ => None,
    };
    match found {
        Some(object) => (200, object),
        None => {
            let name = parts.last().copied().unwrap_or_default();
            let kind = parts.iter().rev().nth(1).copied().unwrap_or_default();
            status(404, "NotFound", &format!("{kind} {name:?} not found"))
        }
    }
}

fn config_map(name: &str, surroundings: &Surroundings) -> Option<Value> {
    let known = surroundings.config_maps.get(name);
    let data: BTreeMap<String, String> = match (known, name) {
        (Some(data), _) => data.clone(),
        (None, "kube-proxy") => [(
            "config.conf".to_owned(),
            "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
                .to_owned(),
        )]
        .into(),
        _ => return None,
    };
    Some(json!({
        "kind": "ConfigMap", "apiVersion": "v1",
        "metadata": { "name": name, "namespace": "kube-system" },
        "data": data,
    }))
}

fn node_object(machine: &crate::cluster::MachineFacts) -> Value {
    json!({
        "kind": "Node", "apiVersion": "v1",
        "metadata": {
            "name": machine.name,
            "annotations": { "kubeadm.alpha.kubernetes.io/cri-socket": "unix:///run/containerd/containerd.sock" },
        },
        "spec": {},
        "status": {
            "addresses": [{ "type": "InternalIP", "address": machine.address.to_string() }],
            "nodeInfo": { "kubeletVersion": machine.version.to_string() },
        },
    })
}

/// Mirror Pods of the control planes; kubeadm reads endpoints from their annotations.
fn pods(surroundings: &Surroundings) -> Vec<Value> {
    let mut pods = Vec::new();
    for machine in surroundings
        .machines
        .iter()
        .filter(|machine| machine.is_node && machine.control_plane)
    {
        let own_address = SocketAddr::new(machine.address, PORT);
        let etcd_url = format!("https://{}", SocketAddr::new(machine.address, 2379));
        for (component, annotation, value) in [
            (
                "kube-apiserver",
                "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint",
                own_address.to_string(),
            ),
            (
                "etcd",
                "kubeadm.kubernetes.io/etcd.advertise-client-urls",
                etcd_url,
            ),
        ] {
            if component == "etcd" && !machine.etcd {
                continue;
            }
            pods.push(json!({
                "kind": "Pod", "apiVersion": "v1",
                "metadata": {
                    "name": format!("{component}-{}", machine.name), "namespace": "kube-system",
                    "labels": { "component": component, "tier": "control-plane" },
                    "annotations": {
                        "kubernetes.io/config.source": "file", "kubernetes.io/config.hash": "0",
                        annotation: value,
                    },
                },
                "spec": { "nodeName": machine.name, "containers": [] },
                "status": { "phase": "Running", "podIP": machine.address.to_string(), "hostIP": machine.address.to_string() },
            }));
        }
    }
    pods
}

fn list(kind: &str, items: Vec<Value>) -> Value {
    json!({ "kind": kind, "apiVersion": "v1", "metadata": {}, "items": items })
}
