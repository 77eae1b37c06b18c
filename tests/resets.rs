//! What `kubeadm reset` deletes, what it leaves, and who can join again.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

use certdrill::cluster::{KubeletState, Spec, World};
use certdrill::fs::Tree as _;
use certdrill::kubeadm::Version;
use certdrill::pki::KeyAlgorithm;
use certdrill::scenario::{CertificateKey, Component};
use certdrill::time::SignedDuration;

fn world(version: Version) -> World {
    let mut world = World::new(Spec {
        control_planes: 3,
        workers: 1,
        key_algorithm: (version >= Version::new(31, 0)).then_some(KeyAlgorithm::EcdsaP256),
        upload_certs: true,
        ..Spec::of(version)
    });
    world.create_cluster().unwrap();
    world
}

fn members(world: &World) -> usize {
    world.nodes.iter().filter(|node| node.etcd_member).count()
}

fn run(world: &mut World, line: &str) {
    let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let output = world.kubeadm(0, &args);
    assert_eq!(output.exit_code, 0, "{line}: {}", output.stderr);
}

const SAID: &str = r#"[reset] Reading configuration from the "kubeadm-config" ConfigMap in namespace "kube-system"...
[reset] Use 'kubeadm init phase upload-config kubeadm --config your-config-file' to re-upload it.
[preflight] Running pre-flight checks
[reset] Deleted contents of the etcd data directory: /var/lib/etcd
[reset] Stopping the kubelet service
[reset] Unmounting mounted directories in "/var/lib/kubelet"
[reset] Deleting contents of directories: [/etc/kubernetes/manifests /var/lib/kubelet /etc/kubernetes/pki]
[reset] Deleting files: [/etc/kubernetes/admin.conf /etc/kubernetes/super-admin.conf /etc/kubernetes/kubelet.conf /etc/kubernetes/bootstrap-kubelet.conf /etc/kubernetes/controller-manager.conf /etc/kubernetes/scheduler.conf]

The reset process does not perform cleanup of CNI plugin configuration,
network filtering rules and kubeconfig files.

For information on how to perform this cleanup manually, please see:
    https://k8s.io/docs/reference/setup-tools/kubeadm/kubeadm-reset/

"#;

#[test]
fn a_control_plane_is_reset_and_joins_again() {
    for version in [Version::new(28, 15), Version::new(36, 3)] {
        let mut world = world(version);
        let before = world.nodes[1]
            .tree
            .read("/etc/kubernetes/pki/apiserver.crt");
        let output = world.reset(1).unwrap();
        assert_eq!((output.exit_code, output.stderr.as_str()), (0, ""));
        if version == Version::new(36, 3) {
            assert_eq!(output.stdout, SAID);
        }
        assert_eq!(members(&world), 2);
        assert_eq!(world.quorum, Some(true));
        let node = &world.nodes[1];
        assert_eq!(node.kubelet.state, KubeletState::Stopped);
        assert!(node.process(Component::ApiServer).is_none());
        for dir in ["manifests", "pki"] {
            let dir = format!("/etc/kubernetes/{dir}");
            assert!(node.tree.read_dir(&dir).unwrap().is_empty(), "{dir}");
        }
        assert!(node.tree.read_dir("/var/lib/kubelet").unwrap().is_empty());
        assert!(!node.tree.exists("/etc/kubernetes/admin.conf"));

        // Its Node is still Ready, and nobody else may have that name.
        let output = world.join_by_token(1, &CertificateKey::Last);
        assert_eq!(output.exit_code, 1);
        assert!(
            output.stderr.contains("error execution phase kubelet-start: a Node with name \"cp2\" and status \"Ready\" already exists in the cluster. You must delete the existing Node or change the name of this new joining Node\n"),
            "{}",
            output.stderr
        );
        world.reset(1).unwrap();
        world.walk(SignedDuration::from_mins(2));
        assert_eq!(world.nodes[1].ready, Some(false));

        run(&mut world, "token create");
        run(&mut world, "init phase upload-certs --upload-certs");
        let output = world.join_by_token(1, &CertificateKey::Last);
        assert_eq!(output.exit_code, 0, "{version}: {}", output.stderr);
        world.walk(SignedDuration::from_mins(2));
        assert_eq!(members(&world), 3);
        assert_eq!(world.nodes[1].ready, Some(true));
        assert!(world.edges.iter().all(|edge| edge.fresh.is_ok()));
        let after = world.nodes[1]
            .tree
            .read("/etc/kubernetes/pki/apiserver.crt");
        assert_ne!(before, after);
    }
}

#[test]
fn with_an_ended_admin_conf_etcd_goes_on_counting_the_member() {
    let mut world = world(Version::new(28, 15));
    world.walk(SignedDuration::from_hours(24 * 366));
    // The others are renewed, and everything of theirs is started anew.
    for node in [0, 2] {
        let args = ["certs", "renew", "all"].map(str::to_owned);
        assert_eq!(world.kubeadm(node, &args).exit_code, 0);
    }
    for component in [
        Component::Etcd,
        Component::ApiServer,
        Component::ControllerManager,
        Component::Scheduler,
    ] {
        for node in [0, 2] {
            world.kill_pod(node, component);
        }
        world.walk(SignedDuration::from_mins(2));
    }
    let output = world.reset(1).unwrap();
    assert_eq!(output.exit_code, 0);
    assert!(
        output.stderr.contains(
            "reset.go] [reset] Unable to fetch the kubeadm-config ConfigMap from cluster: "
        ),
        "{}",
        output.stderr
    );
    assert_eq!(members(&world), 3);
    world.walk(SignedDuration::from_mins(2));
    run(&mut world, "token create");
    run(&mut world, "init phase upload-certs --upload-certs");
    let output = world.join_by_token(1, &CertificateKey::Last);
    assert!(
        output.stderr.starts_with("error execution phase check-etcd: etcd cluster is not healthy: failed to dial endpoint https://10.0.0.11:2379 with maintenance client: context deadline exceeded\n"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_worker_has_nothing_to_ask_the_cluster() {
    let mut world = world(Version::new(36, 3));
    let output = world.reset(3).unwrap();
    assert_eq!(output.exit_code, 0);
    assert!(
        output
            .stdout
            .starts_with("[preflight] Running pre-flight checks\n"),
        "{}",
        output.stdout
    );
    assert!(
        output
            .stderr
            .contains("No kubeadm config, using etcd pod spec")
    );
    world.walk(SignedDuration::from_mins(2));
    run(&mut world, "token create");
    let output = world.join_by_token(3, &CertificateKey::Last);
    assert_eq!(output.exit_code, 0, "{}", output.stderr);
    world.walk(SignedDuration::from_mins(2));
    assert_eq!(world.nodes[3].ready, Some(true));
}

#[test]
fn what_was_not_read_is_not_made_up() {
    let mut world = world(Version::new(22, 17));
    let error = world.reset(1).unwrap_err();
    assert!(error.contains("known from v1.28.0 on"), "{error}");
}
