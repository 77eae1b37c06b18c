//! Forecasts of clusters whose future is known.

mod elsewhere;
mod kept;
mod progress;

use super::capture::{Capture, Node};
use super::outlook::{Options, Outlook, forecast};
use super::plan::Plan;
use super::rebuild::rebuild;
use super::rules::lab::{Lab, PKI};
use super::show;
use crate::cluster::{KUBELET_CURRENT, Model, Spec, World};
use crate::fs::Tree as _;
use crate::pki::{Certificate, KeyAlgorithm};
use crate::time::SignedDuration;

const KUBELET_CONF: &str = "/etc/kubernetes/kubelet.conf";

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

fn look(nodes: &[Node], horizon: i64, plan: Option<&str>) -> Outlook {
    let options = Options {
        horizon: days(horizon),
        plan: plan.map(|steps| {
            Plan::parse(&format!(
                "apiVersion: certdrill/v1\nkind: Plan\nsteps:\n{steps}"
            ))
            .unwrap()
        }),
    };
    forecast(nodes, &options, &|| Box::new(Model)).unwrap()
}

fn world_of(nodes: &[Node]) -> World {
    rebuild(nodes, Box::new(Model)).unwrap().world
}

/// Every certificate and key of a node in words that do not depend on the keys themselves.
fn shape(nodes: &[Node]) -> String {
    let mut out = String::new();
    for node in nodes {
        let all: Vec<(String, Certificate)> = node
            .files
            .iter()
            .flat_map(|(path, file)| {
                let own = super::capture::parse_all(&file.certificates);
                let config = file.kubeconfig.iter().flat_map(|config| {
                    let users = config.users.values().map(|user| &user.certificates);
                    let clusters = config.clusters.values().map(|cluster| &cluster.authority);
                    users
                        .chain(clusters)
                        .flat_map(|pems| super::capture::parse_all(pems))
                });
                own.into_iter()
                    .chain(config)
                    .map(|certificate| (path.clone(), certificate))
                    .collect::<Vec<_>>()
            })
            .collect();
        for (path, certificate) in &all {
            let signers: Vec<&str> = all
                .iter()
                .filter(|(_, other)| certificate.is_signed_by(other))
                .map(|(path, _)| path.as_str())
                .collect();
            out += &format!(
                "{} {path} {:?} {:?} {:?} {:?} {} {} {} {:?} {:?} signed by {signers:?}\n",
                node.name,
                certificate.common_name(),
                certificate.organizations(),
                certificate.dns_names(),
                certificate.ip_addresses(),
                certificate.not_before(),
                certificate.not_after(),
                certificate.serial_hex(),
                certificate.key_usage(),
                certificate.ext_key_usages(),
            );
        }
        for (path, file) in &node.files {
            out += &format!(
                "{} {path} {} {:?} {:?}\n",
                node.name, file.mode, file.key, file.link
            );
            for user in file
                .kubeconfig
                .iter()
                .flat_map(|config| config.users.values())
            {
                out += &format!("  {:?} {:?}\n", user.key, user.certificate_file);
            }
        }
    }
    out
}

#[test]
fn a_rebuilt_cluster_has_the_same_shape_and_other_keys() {
    for (version, broken) in [("v1.36.3", false), ("v1.36.3", true), ("v1.16.15", true)] {
        let mut lab = Lab::new(version, 2, 1);
        if broken {
            // A pair that does not belong together, a bundle, a foreign CA, garbage, open modes.
            let other = lab.text("cp1", &format!("{PKI}/front-proxy-ca.key"));
            lab.write("cp2", &format!("{PKI}/ca.key"), &other);
            let bundle = lab.text("cp1", &format!("{PKI}/etcd/ca.crt")) + &lab.other_ca();
            lab.write("cp1", &format!("{PKI}/etcd/ca.crt"), &bundle);
            let foreign = lab.other_ca();
            lab.write("w1", &format!("{PKI}/ca.crt"), &foreign);
            lab.write("cp2", &format!("{PKI}/apiserver.key"), "garbage");
            lab.tree("cp1")
                .set_mode(&format!("{PKI}/sa.key"), 0o644)
                .unwrap();
        }
        let before = lab.captured();
        // The world has run for a moment; only what nobody touched is compared.
        let world = world_of(&before);
        let after = Lab {
            at: lab.at,
            ..Lab::of_world(&world, lab.version)
        }
        .captured();
        let untouched = |nodes: &[Node], others: &[Node]| {
            let mut nodes = nodes.to_vec();
            for (node, other) in nodes.iter_mut().zip(others) {
                node.files.retain(|path, _| other.files.contains_key(path));
            }
            shape(&nodes)
        };
        assert_eq!(
            untouched(&before, &after),
            untouched(&after, &before),
            "{version}"
        );
        let (old, new) = (
            before[0].certificates(&format!("{PKI}/ca.crt")),
            after[0].certificates(&format!("{PKI}/ca.crt")),
        );
        assert_ne!(old[0].spki_der(), new[0].spki_der());
    }
}

#[test]
fn a_rebuilt_cluster_prints_the_same_table() {
    let lab = Lab::new("v1.36.3", 1, 0);
    let mut original = World::new(Spec {
        key_algorithm: Some(KeyAlgorithm::EcdsaP256),
        seed: 7,
        ..Spec::of(lab.version)
    });
    original.create_cluster().unwrap();
    let wait = lab.at.duration_since(original.now()) + SignedDuration::from_mins(3);
    original.walk(wait);
    let mut again = world_of(&lab.captured());
    again.walk(SignedDuration::from_secs(90));
    let (first, second) = (original.check_expiration(0), again.check_expiration(0));
    assert_eq!(first.exit_code, 0);
    assert_eq!(first.stdout, second.stdout);
}

#[test]
fn a_sound_cluster_breaks_when_its_certificates_end_and_renewals_cure_it() {
    let lab = Lab::new("v1.36.3", 1, 1);
    let outlook = look(&lab.captured(), 400, None);
    let first = &outlook.breaks[0];
    assert_eq!(first.at.to_string(), "2027-01-01T00:00:01Z");
    assert!(
        first.cause.contains("certificates on disk have ended"),
        "{first:?}"
    );
    assert!(
        outlook.replay.as_ref().unwrap().cured,
        "{:#?}",
        outlook.replay
    );
    assert!(outlook.fails_within(days(30)).is_none());
    assert_eq!(outlook.fails_within(days(370)), Some(first.at));
    let text = show::table(&outlook, 80);
    assert!(text.contains("kubeadm certs renew all"), "{text}");
    assert!(show::html(&outlook).contains("<h2>What will break</h2>"));
    // Within its first months nothing happens at all.
    let near = look(&lab.captured(), 100, None);
    assert!(
        near.breaks.is_empty() && near.breaks_with_restarts.is_empty() && near.remedies.is_empty()
    );
}

#[test]
fn a_restart_breaks_what_no_end_of_validity_shows() {
    // Every certificate is valid far beyond the horizon; only a key is not the one of its certificate.
    let mut lab = Lab::new("v1.36.3", 1, 0);
    let other = lab.text("cp1", &format!("{PKI}/front-proxy-client.key"));
    lab.write(
        "cp1",
        &format!("{PKI}/apiserver-kubelet-client.key"),
        &other,
    );
    let nodes = lab.captured();
    let outlook = look(&nodes, 100, None);
    let earliest = outlook
        .breaks
        .iter()
        .chain(&outlook.breaks_with_restarts)
        .map(|found| found.at)
        .min();
    assert!(earliest.is_some(), "{outlook:#?}");
    assert!(
        outlook
            .findings
            .iter()
            .any(|finding| finding.rule == "key-mismatch")
    );
    assert!(outlook.replay.unwrap().cured);
}

#[test]
fn etcd_members_that_cannot_start_count_for_its_quorum() {
    let mut lab = Lab::new("v1.36.3", 3, 0);
    for node in ["cp2", "cp3"] {
        let other = lab.text(node, &format!("{PKI}/front-proxy-client.key"));
        lab.write(node, &format!("{PKI}/etcd/server.key"), &other);
    }
    let outlook = look(&lab.captured(), 10, None);
    // No API server comes up, not even beside the member that is in order.
    let broken: Vec<&str> = outlook
        .breaks
        .iter()
        .filter(|found| found.already)
        .flat_map(|found| &found.consequences)
        .map(|it| it.what.as_str())
        .collect();
    for what in ["kube-apiserver@cp1", "admin@cp1 -> kube-apiserver"] {
        assert!(broken.contains(&what), "{what}: {broken:#?}");
    }
}

#[test]
fn a_command_of_the_plan_that_fails_fails_the_gate() {
    let lab = Lab::new("v1.34.4", 1, 0);
    let skip = "- { at: 2026-02-01T00:00:00Z, upgrade: { to: v1.36.3 } }\n";
    let outlook = look(&lab.captured(), 100, Some(skip));
    assert!(
        outlook.refused[0].contains("Specified version to upgrade to \"v1.36.3\" is too high"),
        "{:?}",
        outlook.refused
    );
    assert_eq!(outlook.fails_within(days(29)), None);
    assert!(outlook.fails_within(days(31)).is_some());
}

#[test]
fn the_wrong_key_of_a_ca_shows_in_the_first_renewal() {
    let mut lab = Lab::new("v1.36.3", 2, 1);
    let other = lab.text("cp1", &format!("{PKI}/front-proxy-ca.key"));
    lab.write("cp1", &format!("{PKI}/ca.key"), &other);
    let outlook = look(
        &lab.captured(),
        100,
        Some("- { every: 30d, renew: { nodes: [cp1], restart: true } }\n"),
    );
    assert!(
        outlook.refused[0].contains("kubeadm certs renew all fails on cp1"),
        "{:?}",
        outlook.refused
    );
    // The key is still on the other control plane.
    assert!(
        outlook.remedies[0].commands[0].contains("scp cp2:/etc/kubernetes/pki/ca.key"),
        "{:?}",
        outlook.remedies
    );
    assert!(
        outlook.replay.as_ref().unwrap().cured,
        "{:#?}",
        outlook.replay
    );
}

#[test]
fn an_embedded_kubelet_conf_breaks_at_a_restart_and_is_cured() {
    let mut world = World::new(Spec {
        workers: 1,
        seed: 1,
        ..Spec::of("v1.16.15".parse().unwrap())
    });
    world.create_cluster().unwrap();
    // Operators who renew in time: what is in use is valid, and kubelet.conf has ended.
    world.walk(days(340));
    world.kubeadm(
        0,
        &["alpha".into(), "certs".into(), "renew".into(), "all".into()],
    );
    super::remedy::copy_admin_conf(&mut world, 0).unwrap();
    super::plan::restart_control_plane(&mut world, 0);
    world.walk(days(40));
    let nodes = Lab::of_world(&world, "v1.16.15".parse().unwrap()).captured();
    let outlook = look(&nodes, 100, None);
    assert!(
        outlook.breaks.is_empty(),
        "nothing fails while it runs: {:#?}",
        outlook.breaks
    );
    let latent = &outlook.breaks_with_restarts;
    assert!(
        latent.iter().any(|found| {
            found.cause.contains(
                "part of the existing bootstrap client certificate is expired: 2027-01-01",
            )
        }),
        "{latent:#?}"
    );
    assert!(
        outlook.replay.as_ref().unwrap().cured,
        "{:#?}",
        outlook.replay
    );
    assert_eq!(outlook.fails_within(days(1)), Some(outlook.from));
}

/// Nothing fails while the kubelet runs; it does not start again, and the commands give it what it lacks.
#[test]
fn a_node_without_kubelet_conf_breaks_at_a_restart_and_is_cured() {
    for missing in ["cp1", "w1"] {
        let mut lab = Lab::new("v1.36.3", 1, 1);
        lab.tree(missing).remove(KUBELET_CONF).unwrap();
        let outlook = look(&lab.captured(), 60, None);
        assert!(
            outlook.breaks_with_restarts.iter().any(|found| {
                let said = "stat /etc/kubernetes/bootstrap-kubelet.conf: no such file or directory";
                // The kubelet says so at each start, and the forecast once.
                found.node == missing && found.cause.matches(said).count() == 1
            }),
            "{missing}: {:#?} {:#?}",
            outlook.breaks,
            outlook.breaks_with_restarts
        );
        let replay = outlook.replay.as_ref().unwrap();
        assert!(replay.cured, "{replay:#?}");
    }
}

/// A capture of a part of a machine says nothing of what is not in it, and a forecast does not say that it is broken.
#[test]
fn a_kubelet_that_was_not_captured_is_not_called_broken() {
    for (node, gone, said) in [
        (
            "cp1",
            "/var/lib/kubelet/pki",
            "nothing of /var/lib/kubelet/pki",
        ),
        (
            "w1",
            "/var/lib/kubelet/pki",
            "nothing of /var/lib/kubelet/pki",
        ),
        ("w1", "/etc/kubernetes", "no kubeconfig of /etc/kubernetes"),
    ] {
        let mut lab = Lab::new("v1.36.3", 1, 1);
        if gone.starts_with("/var") {
            let conf = lab.tree(node).read(KUBELET_CONF).unwrap();
            let mut conf = crate::pki::Kubeconfig::parse(&conf).unwrap();
            conf.user_mut()
                .unwrap()
                .point_at(crate::cluster::KUBELET_CURRENT);
            lab.write(node, KUBELET_CONF, &conf.to_yaml(false));
        }
        lab.tree(node).remove_all(gone).unwrap();
        let outlook = look(&lab.captured(), 60, None);
        let why = outlook.not_played.as_ref().unwrap();
        assert!(why.starts_with(node) && why.contains(said), "{why}");
        assert!(outlook.breaks.is_empty() && outlook.breaks_with_restarts.is_empty());
    }
}

#[test]
fn a_kubelet_that_slept_is_repaired_by_the_recipe() {
    let mut world = World::new(Spec {
        workers: 1,
        key_algorithm: Some(KeyAlgorithm::EcdsaP256),
        seed: 1,
        ..Spec::of("v1.36.3".parse().unwrap())
    });
    world.create_cluster().unwrap();
    world.walk(days(200));
    world.kubeadm(0, &["certs".into(), "renew".into(), "all".into()]);
    super::plan::restart_control_plane(&mut world, 0);
    world.power_off(1);
    world.walk(days(200));
    let nodes = Lab::of_world(&world, "v1.36.3".parse().unwrap()).captured();
    let outlook = look(&nodes, 60, None);
    assert!(
        outlook.breaks[0].already && outlook.breaks[0].node == "w1",
        "{:#?}",
        outlook.breaks
    );
    let commands = &outlook
        .remedies
        .iter()
        .find(|remedy| remedy.node == "w1")
        .unwrap()
        .commands;
    assert!(
        commands.iter().any(|line| line.contains("kubeconfig user")),
        "{commands:?}"
    );
    assert!(
        outlook.replay.as_ref().unwrap().cured,
        "{:#?}",
        outlook.replay
    );
}

#[test]
fn upgrades_renew_and_without_renewal_they_do_not() {
    let lab = Lab::new("v1.36.2", 2, 1);
    let nodes = lab.captured();
    let plan = |more: &str| format!("- {{ after: 300d, upgrade: {{ to: v1.36.3{more} }} }}\n");
    let renewed = look(&nodes, 400, Some(&plan("")));
    assert!(renewed.refused.is_empty(), "{renewed:#?}");
    // All that is left is the administrator's old copy of admin.conf.
    assert!(
        renewed
            .breaks
            .iter()
            .all(|found| found.subjects() == "user@cp1 -> kube-apiserver")
    );
    assert_eq!(renewed.remedies.len(), 1);
    assert_eq!(
        renewed.remedies[0].commands,
        ["cp /etc/kubernetes/admin.conf /root/.kube/config"]
    );
    assert!(renewed.replay.as_ref().unwrap().cured);
    let kept = look(&nodes, 400, Some(&plan(", certificateRenewal: false")));
    assert_eq!(kept.breaks[0].at.to_string(), "2027-01-01T00:00:01Z");
}

#[test]
fn etcd_is_left_behind_by_patch_releases_before_1_31() {
    let lab = Lab::new("v1.30.1", 1, 0);
    let outlook = look(
        &lab.captured(),
        400,
        Some("- { after: 300d, upgrade: { to: v1.30.5 } }\n"),
    );
    assert!(
        outlook
            .findings
            .iter()
            .any(|finding| finding.rule == "etcd-not-renewed")
    );
    assert!(
        outlook.breaks[0].cause.contains("etcd/server.crt"),
        "{:#?}",
        outlook.breaks
    );
    assert!(outlook.replay.unwrap().cured);
}

#[test]
fn a_peer_certificate_of_another_node_is_made_anew() {
    let mut lab = Lab::new("v1.36.3", 3, 0);
    for (node, address) in [
        ("cp1", "10.0.0.10"),
        ("cp2", "10.0.0.11"),
        ("cp3", "10.0.0.12"),
    ] {
        let path = "/etc/kubernetes/manifests/kube-apiserver.yaml";
        let text = lab.text(node, path).replace(
            "    - --client-ca-file",
            &format!("    - --advertise-address={address}\n    - --client-ca-file"),
        );
        lab.write(node, path, &text);
    }
    for file in ["etcd/peer.crt", "etcd/peer.key"] {
        lab.copy("cp1", "cp3", &format!("{PKI}/{file}"));
    }
    let outlook = look(&lab.captured(), 60, None);
    assert!(outlook.breaks[0].already, "{:#?}", outlook.breaks);
    assert!(
        outlook.replay.as_ref().unwrap().cured,
        "{:#?}",
        outlook.replay
    );
}

#[test]
fn what_cannot_be_simulated_is_not_played() {
    let mut lab = Lab::new("v1.36.3", 1, 0);
    lab.tree("cp1")
        .remove("/etc/kubernetes/manifests/etcd.yaml")
        .unwrap();
    let outlook = look(&lab.captured(), 60, None);
    assert!(
        outlook
            .not_played
            .as_ref()
            .unwrap()
            .contains("external etcd")
    );
    assert!(outlook.breaks.is_empty() && outlook.replay.is_none());
    assert!(show::table(&outlook, 100).contains("Not known"));
}

#[test]
fn a_bundle_that_the_signer_refuses_breaks_at_a_restart_whatever_the_dates() {
    let mut lab = Lab::new("v1.36.3", 1, 1);
    let bundle = lab.text("cp1", &format!("{PKI}/ca.crt")) + &lab.other_ca();
    lab.write("cp1", &format!("{PKI}/ca.crt"), &bundle);
    let nodes = lab.captured();
    let outlook = look(&nodes, 60, None);
    assert!(
        nodes
            .iter()
            .flat_map(|node| node.files.values())
            .all(|file| {
                super::capture::parse_all(&file.certificates)
                    .iter()
                    .all(|certificate| certificate.not_after() > outlook.until)
            })
    );
    let all: Vec<_> = outlook
        .breaks
        .iter()
        .chain(&outlook.breaks_with_restarts)
        .collect();
    assert!(
        all.iter().any(|found| found
            .consequences
            .iter()
            .any(|it| it.text.contains("expected 1 certificate, found 2"))),
        "{outlook:#?}"
    );
    // What is to be done by hand is not replayed, and is not called cured.
    assert!(!outlook.replay.as_ref().unwrap().cured);
    assert!(show::table(&outlook, 400).contains("was not replayed"));
}

#[test]
fn a_signer_with_files_of_its_own_is_kept() {
    let mut lab = Lab::new("v1.36.3", 1, 1);
    let path = "/etc/kubernetes/manifests/kube-controller-manager.yaml";
    let manifest = lab
        .text("cp1", path)
        .replace("pki/ca.crt", "pki/signer.crt")
        .replace("pki/ca.key", "pki/signer.key");
    lab.write("cp1", path, &manifest);
    for ending in ["crt", "key"] {
        let text = lab.text("cp1", &format!("{PKI}/ca.{ending}"));
        lab.write("cp1", &format!("{PKI}/signer.{ending}"), &text);
    }
    let bundle = lab.text("cp1", &format!("{PKI}/ca.crt")) + &lab.other_ca();
    lab.write("cp1", &format!("{PKI}/ca.crt"), &bundle);
    let outlook = look(&lab.captured(), 60, None);
    assert!(
        outlook.breaks.is_empty() && outlook.breaks_with_restarts.is_empty(),
        "{outlook:#?}"
    );
    assert!(
        !outlook
            .findings
            .iter()
            .any(|finding| finding.rule == "ca-bundle")
    );
}
