//! Clusters whose etcd or whose certificates are elsewhere.

use super::{Lab, Outlook, PKI, Spec, World, days, look, shape, world_of};
use crate::fs::Tree as _;
use crate::kubeadm::Version;
use crate::pki::KeyAlgorithm;
use crate::time::shift;

const CUSTOM: &str = "/etc/kubernetes/custom";

fn lab(change: impl FnOnce(&mut Spec)) -> Lab {
    let version = Version::new(36, 3);
    let mut spec = Spec {
        control_planes: 2,
        workers: 1,
        key_algorithm: Some(KeyAlgorithm::EcdsaP256),
        ..Spec::of(version)
    };
    change(&mut spec);
    let mut world = World::new(spec);
    world.create_cluster().unwrap();
    world.walk(days(1));
    Lab::of_world(&world, version)
}

#[test]
fn an_external_etcd_is_forecast_with_its_machines() {
    let nodes = lab(|spec| spec.etcd = 3).captured();
    let world = world_of(&nodes);
    assert_eq!(world.quorum, Some(true));
    assert!(world.edges.iter().all(|edge| edge.fresh.is_ok()));
    assert_eq!(
        shape(&Lab::of_world(&world, Version::new(36, 3)).captured()),
        shape(&nodes)
    );
    // A yearly renewal of the control planes does not reach etcd.
    let outlook = look(&nodes, 400, Some("- after: 300d\n  renew: {}\n"));
    assert_eq!(outlook.not_played, None);
    let said = |what: &str| {
        outlook.breaks.iter().any(|found| {
            found
                .consequences
                .iter()
                .any(|one| one.what.contains(what) && one.text.contains("expired"))
        })
    };
    assert!(
        said("kube-apiserver@cp1 -> etcd@etcd1"),
        "{:#?}",
        outlook.breaks
    );
    assert!(said("etcd@etcd1 -> etcd@etcd2"), "{:#?}", outlook.breaks);
}

/// What a forecast tells to do on a node, in order.
fn commands(outlook: &Outlook, node: &str) -> Vec<String> {
    outlook
        .remedies
        .iter()
        .filter(|remedy| remedy.node == node)
        .flat_map(|remedy| remedy.commands.iter().cloned())
        .collect()
}

#[test]
fn an_external_etcd_is_renewed_where_the_key_of_its_ca_is() {
    let nodes = lab(|spec| spec.etcd = 3).captured();
    let outlook = look(&nodes, 400, None);
    assert!(!outlook.breaks.is_empty());
    let keeper = commands(&outlook, "etcd1");
    let place = |command: &str| keeper.iter().position(|line| line == command);
    let made = "kubeadm init phase certs etcd-server --config /tmp/10.0.0.21/kubeadmcfg.yaml";
    let copied = "scp /tmp/10.0.0.21/pki/etcd/* etcd2:/etc/kubernetes/pki/etcd/";
    let client = "scp /tmp/apiserver/pki/apiserver-etcd-client.* cp2:/etc/kubernetes/pki/";
    assert!(place(made).is_some(), "{keeper:#?}");
    assert!(place(made) < place(copied) && place(copied) < place(client));
    let member = commands(&outlook, "etcd2");
    assert_eq!(member[0], "mv /etc/kubernetes/manifests/etcd.yaml /root/");
    let replay = outlook.replay.unwrap();
    assert!(replay.cured, "{replay:#?}");
}

#[test]
fn an_external_etcd_that_has_ended_is_cured_at_once() {
    let mut lab = lab(|spec| spec.etcd = 3);
    let ended = lab.days(-1);
    for node in ["etcd1", "etcd2", "etcd3"] {
        lab.copy("etcd1", node, &format!("{PKI}/etcd/ca.key"));
        for base in ["server", "peer", "healthcheck-client"] {
            lab.issue(node, &format!("etcd/{base}"), "etcd/ca", |template| {
                template.not_before = shift(ended, -days(365));
                template.not_after = ended;
            });
        }
    }
    let nodes = lab.captured();
    let outlook = look(&nodes, 60, None);
    assert!(
        outlook
            .findings
            .iter()
            .any(|it| it.rule == "expired" && it.node == "etcd3"),
        "{:#?}",
        outlook.findings
    );
    assert!(outlook.breaks.iter().any(|found| found.already));
    assert_eq!(outlook.remedies[0].node, "etcd1");
    assert_eq!(outlook.remedies[0].by, None);
    let replay = outlook.replay.unwrap();
    assert!(replay.cured, "{replay:#?}");
}

#[test]
fn an_external_etcd_of_a_foreign_ca_is_signed_again_elsewhere() {
    let mut lab = lab(|spec| spec.etcd = 3);
    lab.tree("etcd1")
        .remove(&format!("{PKI}/etcd/ca.key"))
        .unwrap();
    let outlook = look(&lab.captured(), 400, None);
    let member = commands(&outlook, "etcd3");
    let base = "/etc/kubernetes/pki/etcd/peer";
    assert!(
        member.contains(&format!(
            "openssl x509 -x509toreq -copy_extensions copyall -in {base}.crt -key {base}.key -out {base}.csr"
        )),
        "{member:#?}"
    );
    let replay = outlook.replay.unwrap();
    assert!(replay.cured, "{replay:#?}");
}

#[test]
fn an_external_etcd_whose_machines_were_not_captured_is_not_played() {
    let mut nodes = lab(|spec| spec.etcd = 3).captured();
    nodes.retain(|node| node.name != "etcd2");
    let why = look(&nodes, 60, None).not_played.unwrap();
    assert!(
        why.contains("https://10.0.0.21:2379 is on no captured machine"),
        "{why}"
    );
}

#[test]
fn certificates_in_another_directory_are_renewed_there() {
    let lab = lab(|spec| spec.certificates_dir = Some(CUSTOM.to_owned()));
    let nodes = lab.captured();
    assert_eq!(nodes[0].certificates_dir(), CUSTOM);
    let world = world_of(&nodes);
    assert!(world.edges.iter().all(|edge| edge.fresh.is_ok()));
    assert!(!world.nodes[0].tree.exists("/etc/kubernetes/pki"));
    let outlook = look(&nodes, 400, None);
    assert_eq!(outlook.not_played, None);
    assert!(!outlook.breaks.is_empty());
    let renewal = format!("kubeadm certs renew all --cert-dir {CUSTOM}");
    assert!(
        outlook
            .remedies
            .iter()
            .any(|remedy| remedy.commands.contains(&renewal)),
        "{:#?}",
        outlook.remedies
    );
    let replay = outlook.replay.unwrap();
    assert!(replay.cured, "{replay:#?}");
}

#[test]
fn certificates_outside_of_what_is_captured_are_not_played() {
    let mut lab = lab(|_| {});
    for name in ["kube-apiserver", "kube-controller-manager", "etcd"] {
        let path = format!("/etc/kubernetes/manifests/{name}.yaml");
        let text = lab.text("cp1", &path);
        lab.write(
            "cp1",
            &path,
            &text.replace("/etc/kubernetes/pki", "/srv/pki"),
        );
    }
    let why = look(&lab.captured(), 60, None).not_played.unwrap();
    assert!(
        why.contains("/srv/pki, which a capture does not hold"),
        "{why}"
    );
}
