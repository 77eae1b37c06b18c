//! The shortcut that judges edges agrees with full TLS handshakes at virtual time.
//!
//! The same certificates that a simulated process holds in memory are given to rustls, on both sides, with
//! clocks that show the nodes' virtual time.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

use std::sync::Arc;

use certdrill::cluster::{Loaded, Outcome, Spec, World};
use certdrill::fs::Tree;
use certdrill::kubeadm::profile::components::Slot;
use certdrill::pki::{Certificate, KeyAlgorithm, Kubeconfig, PrivateKey, Source};
use certdrill::scenario::Component;
use certdrill::time::{SignedDuration, Timestamp};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

/// One end of a handshake.
struct End {
    chain: Vec<Certificate>,
    key: PrivateKey,
    roots: Vec<Certificate>,
    at: Timestamp,
}

#[derive(Debug)]
struct VirtualClock(Timestamp);

impl TimeProvider for VirtualClock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            seconds,
        )))
    }
}

#[test]
fn handshakes_agree_with_the_shortcut_on_every_day_that_matters() {
    let mut world = World::new(Spec {
        control_planes: 3,
        workers: 1,
        key_algorithm: Some(KeyAlgorithm::EcdsaP256),
        seed: 7,
        ..Spec::of("v1.36.3".parse().unwrap())
    });
    world.create_cluster().unwrap();
    let mut compared = 0;
    compared += compare(&world);
    world.walk(SignedDuration::from_hours(24 * 300));
    compared += compare(&world);
    // A node whose clock is ahead: it rejects before the others do.
    world.skew(1, SignedDuration::from_hours(24 * 100));
    compared += compare(&world);
    world.skew(1, SignedDuration::ZERO);
    world.walk(SignedDuration::from_hours(24 * 66));
    compared += compare(&world);
    assert!(
        compared >= 4 * 15,
        "only {compared} handshakes were compared"
    );
}

#[test]
fn handshakes_agree_where_certificates_are_wrong() {
    // A peer certificate of another node, a server certificate without its address, a foreign CA.
    let mut world = World::new(Spec {
        control_planes: 3,
        workers: 0,
        key_algorithm: Some(KeyAlgorithm::EcdsaP256),
        seed: 8,
        ..Spec::of("v1.36.3".parse().unwrap())
    });
    world.create_cluster().unwrap();
    for name in ["apiserver", "etcd/server"] {
        for end in ["crt", "key"] {
            let path = format!("/etc/kubernetes/pki/{name}.{end}");
            let content = world.nodes[0].tree.read(&path).unwrap();
            world.nodes[1].tree.write(&path, &content, 0o600).unwrap();
        }
    }
    let foreign = world.nodes[2]
        .tree
        .read("/etc/kubernetes/pki/front-proxy-ca.crt")
        .unwrap();
    world.nodes[2]
        .tree
        .write("/etc/kubernetes/pki/ca.crt", &foreign, 0o644)
        .unwrap();
    world.touched();
    world.walk(SignedDuration::from_secs(1));
    let wrong = world
        .edges
        .iter()
        .filter(|edge| matches!(edge.fresh, Outcome::Failing(_)))
        .count();
    assert!(wrong >= 2, "the damage is seen on {wrong} edges");
    assert!(compare(&world) >= 15);
}

/// Plays a handshake for every edge whose ends are both processes with certificates. Says how many.
fn compare(world: &World) -> usize {
    let mut compared = 0;
    for edge in &world.edges {
        let id = edge.id;
        let Some((client, server, name)) = ends(world, id) else {
            continue;
        };
        let plays = handshake(&client, &server, &name);
        let judged = match &edge.fresh {
            Outcome::Ok => true,
            Outcome::Failing(_) => false,
            _ => continue,
        };
        assert_eq!(
            plays.is_ok(),
            judged,
            "{} at {}: rustls says {plays:?}, the shortcut {:?}",
            world.edge_name(id),
            world.now(),
            edge.fresh
        );
        compared += 1;
    }
    compared
}

fn ends(world: &World, id: certdrill::cluster::EdgeId) -> Option<(End, End, String)> {
    let pair = |node: usize, component, slot| {
        let process = world.nodes[node].process(component)?;
        let pair = process.pair(slot)?;
        let key = pair.file.replace(".crt", ".key");
        Some((
            vec![pair.certificate.clone()],
            PrivateKey::from_pem(&world.nodes[node].tree.read(&key).ok()?).ok()?,
        ))
    };
    let roots = |node: usize, component, slot| {
        let process = world.nodes[node].process(component)?;
        Some(process.roots(slot)?.certificates.clone())
    };
    match (id.client, id.server, id.server_node) {
        (Component::ApiServer, Component::Etcd, Some(node)) => {
            let (chain, key) = pair(id.client_node, Component::ApiServer, Slot::EtcdClient)?;
            let (server_chain, server_key) = pair(node, Component::Etcd, Slot::Serving)?;
            Some((
                End {
                    chain,
                    key,
                    roots: roots(id.client_node, Component::ApiServer, Slot::EtcdCa)?,
                    at: world.wall(id.client_node),
                },
                End {
                    chain: server_chain,
                    key: server_key,
                    roots: roots(node, Component::Etcd, Slot::EtcdCa)?,
                    at: world.wall(node),
                },
                "127.0.0.1".to_owned(),
            ))
        }
        (Component::Etcd, Component::Etcd, Some(node)) => {
            let (chain, key) = pair(id.client_node, Component::Etcd, Slot::Peer)?;
            let (server_chain, server_key) = pair(node, Component::Etcd, Slot::Peer)?;
            Some((
                End {
                    chain,
                    key,
                    roots: roots(id.client_node, Component::Etcd, Slot::EtcdCa)?,
                    at: world.wall(id.client_node),
                },
                End {
                    chain: server_chain,
                    key: server_key,
                    roots: roots(node, Component::Etcd, Slot::EtcdCa)?,
                    at: world.wall(node),
                },
                world.nodes[node].address.to_string(),
            ))
        }
        (Component::ControllerManager | Component::Scheduler, Component::ApiServer, None) => {
            let process = world.nodes[id.client_node].process(id.client)?;
            let Some(Loaded::Config(config)) = process.loaded.get(&Slot::Kubeconfig) else {
                return None;
            };
            let credential = config.credential.as_ref()?;
            let text = world.nodes[id.client_node]
                .tree
                .read(&credential.file)
                .ok()?;
            let Source::Data(key) = Kubeconfig::parse(&text).ok()?.client_key() else {
                return None;
            };
            let node = (0..world.nodes.len())
                .find(|&node| world.nodes[node].address.to_string() == config.host)?;
            let (server_chain, server_key) = pair(node, Component::ApiServer, Slot::Serving)?;
            Some((
                End {
                    chain: vec![credential.certificate.clone()],
                    key: PrivateKey::from_pem(&key).ok()?,
                    roots: config.roots.certificates.clone(),
                    at: world.wall(id.client_node),
                },
                End {
                    chain: server_chain,
                    key: server_key,
                    roots: roots(node, Component::ApiServer, Slot::ClientCa)?,
                    at: world.wall(node),
                },
                config.host.clone(),
            ))
        }
        _ => None,
    }
}

/// A handshake in memory, both sides at their own virtual time, the client's certificate required.
fn handshake(client: &End, server: &End, name: &str) -> Result<(), rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let store = |roots: &[Certificate]| {
        let mut store = RootCertStore::empty();
        for root in roots {
            store
                .add(CertificateDer::from(root.der().to_vec()))
                .unwrap();
        }
        Arc::new(store)
    };
    let chain = |end: &End| {
        end.chain
            .iter()
            .map(|certificate| CertificateDer::from(certificate.der().to_vec()))
            .collect::<Vec<_>>()
    };
    let key = |end: &End| PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(end.key.to_pkcs8_der()));
    let client_config = ClientConfig::builder_with_details(
        Arc::clone(&provider),
        Arc::new(VirtualClock(client.at)),
    )
    .with_safe_default_protocol_versions()?
    .with_root_certificates(store(&client.roots))
    .with_client_auth_cert(chain(client), key(client))?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(store(&server.roots), Arc::clone(&provider))
            .build()
            .unwrap();
    let server_config =
        ServerConfig::builder_with_details(provider, Arc::new(VirtualClock(server.at)))
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain(server), key(server))?;
    let server_name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client_config), server_name)?;
    let mut server = ServerConnection::new(Arc::new(server_config))?;
    for _ in 0..20 {
        if !client.is_handshaking() && !server.is_handshaking() {
            return Ok(());
        }
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Err(rustls::Error::General(
        "the handshake does not end".to_owned(),
    ))
}
