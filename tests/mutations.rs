//! Every certificate of a cluster matters: another issuer, usage, name or date must break the edge it serves.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

use certdrill::cluster::{EdgeId, Outcome, Spec, World};
use certdrill::fs::Tree;
use certdrill::pki::{Certificate, ExtKeyUsage, KeyAlgorithm, PrivateKey, Template, issue};
use certdrill::scenario::Component;
use certdrill::time::{SignedDuration, Timestamp, shift};

const PKI: &str = "/etc/kubernetes/pki";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mutation {
    /// The same certificate again: the control, which must break nothing.
    None,
    Issuer,
    Usage,
    Name,
    Ended,
    NotBegun,
}

/// A certificate, the CA that signs it, the process to restart, and an edge that it serves.
struct Case {
    name: &'static str,
    ca: &'static str,
    restart: Component,
    edge: fn(&EdgeId) -> bool,
    has_name: bool,
}

const CASES: [Case; 6] = [
    Case {
        name: "apiserver",
        ca: "ca",
        restart: Component::ApiServer,
        edge: |id| id.client == Component::Scheduler && id.client_node == 0,
        has_name: true,
    },
    Case {
        name: "apiserver-etcd-client",
        ca: "etcd/ca",
        restart: Component::ApiServer,
        edge: |id| {
            id.client == Component::ApiServer && id.server == Component::Etcd && id.client_node == 0
        },
        has_name: false,
    },
    Case {
        name: "apiserver-kubelet-client",
        ca: "ca",
        restart: Component::ApiServer,
        edge: |id| {
            id.client == Component::ApiServer
                && id.server == Component::Kubelet
                && id.client_node == 0
        },
        has_name: false,
    },
    Case {
        name: "front-proxy-client",
        ca: "front-proxy-ca",
        restart: Component::ApiServer,
        edge: |id| {
            id.client == Component::ApiServer
                && id.server == Component::Extension
                && id.client_node == 0
        },
        has_name: false,
    },
    Case {
        name: "etcd/server",
        ca: "etcd/ca",
        restart: Component::Etcd,
        edge: |id| {
            id.client == Component::ApiServer && id.server == Component::Etcd && id.client_node == 0
        },
        has_name: true,
    },
    Case {
        name: "etcd/peer",
        ca: "etcd/ca",
        restart: Component::Etcd,
        edge: |id| id.client == Component::Etcd && id.server_node == Some(0),
        has_name: true,
    },
];

#[test]
fn flipping_issuer_usage_name_or_date_flips_the_edge() {
    let mut flipped = 0;
    for case in &CASES {
        for mutation in [
            Mutation::None,
            Mutation::Issuer,
            Mutation::Usage,
            Mutation::Name,
            Mutation::Ended,
            Mutation::NotBegun,
        ] {
            if mutation == Mutation::Name && !case.has_name {
                continue;
            }
            let mut world = cluster();
            mutate(&mut world, case, mutation);
            // kube-apiserver needs its etcd to start; its edge is judged by what it reloads by itself.
            if case.restart == Component::Etcd {
                world.kill_pod(0, Component::Etcd);
            }
            world.walk(SignedDuration::from_secs(5));
            let edges: Vec<_> = world
                .edges
                .iter()
                .filter(|edge| (case.edge)(&edge.id))
                .collect();
            assert!(!edges.is_empty(), "{} serves an edge", case.name);
            for edge in edges {
                let works = edge.fresh == Outcome::Ok;
                assert_eq!(
                    works,
                    mutation == Mutation::None,
                    "{} with {mutation:?}: {} is {:?}",
                    case.name,
                    world.edge_name(edge.id),
                    edge.fresh
                );
                flipped += u32::from(!works);
            }
        }
    }
    assert!(flipped >= 25, "{flipped} edges were flipped");
}

fn cluster() -> World {
    let mut world = World::new(Spec {
        control_planes: 3,
        workers: 0,
        key_algorithm: Some(KeyAlgorithm::EcdsaP256),
        seed: 3,
        ..Spec::of("v1.36.3".parse().unwrap())
    });
    world.create_cluster().unwrap();
    world
}

fn mutate(world: &mut World, case: &Case, mutation: Mutation) {
    let now: Timestamp = world.now();
    let tree = &mut world.nodes[0].tree;
    let path = format!("{PKI}/{}", case.name);
    let old = first(&tree.read(&format!("{path}.crt")).unwrap());
    let ca = match (mutation, case.ca) {
        (Mutation::Issuer, "ca") => "etcd/ca",
        (Mutation::Issuer, _) => "ca",
        (_, own) => own,
    };
    let issuer = first(&tree.read(&format!("{PKI}/{ca}.crt")).unwrap());
    let issuer_key = PrivateKey::from_pem(&tree.read(&format!("{PKI}/{ca}.key")).unwrap()).unwrap();
    let usages = match (
        mutation,
        old.ext_key_usages().contains(&ExtKeyUsage::ServerAuth),
    ) {
        (Mutation::Usage, true) => vec![ExtKeyUsage::ClientAuth],
        (Mutation::Usage, false) => vec![ExtKeyUsage::ServerAuth],
        _ => old.ext_key_usages().to_vec(),
    };
    let named = mutation != Mutation::Name;
    let (not_before, not_after) = match mutation {
        Mutation::Ended => (old.not_before(), shift(now, SignedDuration::from_secs(-60))),
        Mutation::NotBegun => (shift(now, SignedDuration::from_hours(1)), old.not_after()),
        _ => (old.not_before(), old.not_after()),
    };
    let template = Template {
        common_name: old.common_name().to_owned(),
        organizations: old.organizations().to_vec(),
        dns_names: if named {
            old.dns_names().to_vec()
        } else {
            vec!["elsewhere".to_owned()]
        },
        ip_addresses: if named {
            old.ip_addresses().to_vec()
        } else {
            Vec::new()
        },
        ext_key_usages: usages,
        not_before,
        not_after,
        serial: 42,
        ..Template::default()
    };
    let new = issue::sign(&template, old.spki_der(), &issuer, &issuer_key).unwrap();
    tree.write(&format!("{path}.crt"), new.to_pem().as_bytes(), 0o644)
        .unwrap();
    world.touched();
}

fn first(pem: &[u8]) -> Certificate {
    Certificate::parse_pem_certs(pem).unwrap().remove(0)
}
