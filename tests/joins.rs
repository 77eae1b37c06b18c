//! What `--upload-certs` keeps for two hours is deleted by kube-controller-manager, and by nobody else.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

use certdrill::cluster::{Spec, World};
use certdrill::fs::Tree as _;
use certdrill::kubeadm::Version;
use certdrill::pki::KeyAlgorithm;
use certdrill::scenario::{CertificateKey, Component};
use certdrill::time::SignedDuration;

const GONE: &str = "Secret \"kubeadm-certs\" was not found";

fn world() -> World {
    world_of(Version::new(36, 3))
}

fn world_of(version: Version) -> World {
    let mut world = World::new(Spec {
        control_planes: 2,
        key_algorithm: (version >= Version::new(31, 0)).then_some(KeyAlgorithm::EcdsaP256),
        upload_certs: true,
        join_later: vec!["cp2".to_owned()],
        ..Spec::of(version)
    });
    world.create_cluster().unwrap();
    world
}

fn joins(world: &mut World) -> (i32, String) {
    joins_with(world, &CertificateKey::Last)
}

fn joins_with(world: &mut World, key: &CertificateKey) -> (i32, String) {
    let output = world.join_by_token(1, key);
    (output.exit_code, output.stderr)
}

fn controller_manager() -> String {
    World::manifest_path(Component::ControllerManager)
}

#[test]
fn a_join_in_time_gets_the_keys_of_the_first_control_plane() {
    let mut world = world();
    world.walk(SignedDuration::from_mins(119));
    assert_eq!(joins(&mut world), (0, String::new()));
    let key = |node: usize, name| world.nodes[node].tree.read(&world.nodes[node].pki(name));
    for name in ["ca.key", "front-proxy-ca.key", "etcd/ca.key", "sa.key"] {
        assert_eq!(key(1, name).unwrap(), key(0, name).unwrap(), "{name}");
    }
    let mode = |name| {
        let path = world.nodes[1].pki(name);
        world.nodes[1].tree.metadata(&path).unwrap().mode
    };
    assert_eq!((mode("ca.key"), mode("ca.crt")), (0o600, 0o644));
}

#[test]
fn after_two_hours_the_controller_manager_has_deleted_it() {
    let mut world = world();
    world.walk(SignedDuration::from_mins(121));
    let (exit_code, stderr) = joins(&mut world);
    assert_eq!(exit_code, 1);
    assert!(stderr.contains(GONE), "{stderr}");
}

#[test]
fn without_a_controller_manager_nobody_deletes_it() {
    for (version, expected) in [
        // The kubelet waits for a certificate that nobody signs.
        (Version::new(28, 15), 1),
        // The new control plane is whole before the kubelet asks: its own controller-manager signs.
        (Version::new(36, 3), 0),
    ] {
        let mut world = world_of(version);
        world.nodes[0].tree.remove(&controller_manager()).unwrap();
        world.touched();
        world.walk(SignedDuration::from_hours(5));
        let (exit_code, stderr) = joins(&mut world);
        assert_eq!(exit_code, expected, "{version}: {stderr}");
        assert!(!stderr.contains(GONE), "{stderr}");
        assert!(world.nodes[1].tree.exists("/etc/kubernetes/pki/ca.key"));
    }
}

#[test]
fn a_step_of_the_clock_shows_when_a_controller_manager_begins_to_lead() {
    let mut world = world();
    world.step_clocks(SignedDuration::from_hours(5));
    world.walk(SignedDuration::from_mins(1));
    let mut restarted = self::world();
    restarted.step_clocks(SignedDuration::from_hours(5));
    restarted.kill_pod(0, Component::ControllerManager);
    restarted.walk(SignedDuration::from_mins(1));
    assert_eq!(joins(&mut world), (0, String::new()));
    let (exit_code, stderr) = joins(&mut restarted);
    assert_eq!(exit_code, 1);
    assert!(stderr.contains(GONE), "{stderr}");
}

#[test]
fn a_day_later_the_token_is_gone_too() {
    let mut world = world();
    world.walk(SignedDuration::from_hours(25));
    let (exit_code, stderr) = joins(&mut world);
    assert_eq!(exit_code, 1);
    assert!(
        stderr.contains(
            "could not find a JWS signature in the cluster-info ConfigMap for token ID \"abcdef\""
        ),
        "{stderr}"
    );
    for line in ["token create", "init phase upload-certs --upload-certs"] {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        assert_eq!(world.kubeadm(0, &args).exit_code, 0, "{line}");
    }
    assert_eq!(joins(&mut world), (0, String::new()));
}

#[test]
fn the_key_of_an_older_upload_opens_nothing() {
    let mut world = world();
    let upload = "init phase upload-certs --upload-certs";
    let args: Vec<String> = upload.split_whitespace().map(str::to_owned).collect();
    assert_eq!(world.kubeadm(0, &args).exit_code, 0);
    let wrong = "error: error execution phase control-plane-prepare/download-certs: error downloading certs: error decoding secret data with provided key: cipher: message authentication failed";
    for key in [
        CertificateKey::First,
        CertificateKey::Literal("0f".repeat(32)),
    ] {
        let (exit_code, stderr) = joins_with(&mut world, &key);
        assert_eq!(exit_code, 1);
        assert_eq!(stderr.lines().next(), Some(wrong));
        assert!(!world.nodes[1].tree.exists("/etc/kubernetes/pki/ca.key"));
    }
    assert_eq!(joins(&mut world), (0, String::new()));
}

#[test]
fn a_key_that_is_none_is_refused_before_or_after_the_download() {
    let short = CertificateKey::Literal("abcd".to_owned());
    let mut new = world();
    let output = new.join_by_token(1, &short);
    assert_eq!((output.exit_code, output.stdout.as_str()), (1, ""));
    assert!(
        output.stderr.starts_with(
            "error: controlPlane.certificateKey: Invalid value: \"abcd\": invalid certificate key size 2"
        ),
        "{}",
        output.stderr
    );
    // Only newer versions write `error: ` first, and look at the key before they begin.
    let mut old = world_of(Version::new(28, 15));
    let (_, stderr) = joins_with(&mut old, &short);
    assert!(
        stderr.starts_with("error execution phase control-plane-prepare/download-certs: error downloading certs: error decoding secret data with provided key: crypto/aes: invalid key size 2\n"),
        "{stderr}"
    );
}

/// Seen on a real cluster of 1.36.3: what control planes are made of is written before the Node is looked for.
#[test]
fn a_join_that_meets_its_own_node_leaves_what_it_wrote() {
    for (version, bootstrap_conf_stays) in
        [(Version::new(36, 3), true), (Version::new(28, 15), false)]
    {
        let mut world = world_of(version);
        assert_eq!(joins(&mut world), (0, String::new()));
        world.walk(SignedDuration::from_mins(2));
        world.reset(1).unwrap();
        let upload = "init phase upload-certs --upload-certs";
        let args: Vec<String> = upload.split_whitespace().map(str::to_owned).collect();
        assert_eq!(world.kubeadm(0, &args).exit_code, 0);
        let (exit_code, stderr) = joins(&mut world);
        assert_eq!(exit_code, 1, "{stderr}");
        assert!(
            stderr.contains("and status \"Ready\" already exists in the cluster"),
            "{stderr}"
        );
        let there = |path: &str| world.nodes[1].tree.exists(path);
        assert!(there("/etc/kubernetes/manifests/kube-apiserver.yaml"));
        assert!(!there("/etc/kubernetes/manifests/etcd.yaml"));
        assert_eq!(
            there("/etc/kubernetes/bootstrap-kubelet.conf"),
            bootstrap_conf_stays
        );
        // The next reset finds an admin.conf that works and nothing of the kubelet.
        let again = world.reset(1).unwrap();
        let warned = if bootstrap_conf_stays {
            r#"node "cp2" lacks annotation "kubeadm.alpha.kubernetes.io/cri-socket" and kubelet config file "/var/lib/kubelet/instance-config.yaml"; attempting auto-detection"#
        } else {
            "[reset] Unable to fetch the kubeadm-config ConfigMap from cluster: failed to get node registration: failed to get node name from kubelet config: open /etc/kubernetes/kubelet.conf: no such file or directory"
        };
        assert!(again.stderr.contains(warned), "{}", again.stderr);
    }
}

/// `K/util/error.go` of 1.33.9 and `K/util/errors/errors.go` of 1.34.4: one place for all commands.
#[test]
fn an_error_begins_with_the_word_from_1_34_on() {
    let hint = "x\nTo see the stack trace of this error execute with --v=5 or higher\n";
    for (minor, patch, printed) in [(33, 9, hint.to_owned()), (34, 4, format!("error: {hint}"))] {
        let version = Version::new(minor, patch);
        assert_eq!(certdrill::kubeadm::error_as_printed("x", version), printed);
    }
}

#[test]
fn a_token_lives_as_long_as_its_ttl_says() {
    let after = |ttl: &str, hours: i64| {
        let mut world = world();
        world.walk(SignedDuration::from_hours(25));
        let line = ["token", "create", "--ttl", ttl].map(str::to_owned);
        assert_eq!(world.kubeadm(0, &line).exit_code, 0);
        let line = ["init", "phase", "upload-certs", "--upload-certs"].map(str::to_owned);
        world.walk(SignedDuration::from_hours(hours));
        assert_eq!(world.kubeadm(0, &line).exit_code, 0);
        joins(&mut world)
    };
    assert_eq!(after("3h", 2), (0, String::new()));
    let (code, said) = after("1h", 2);
    assert!(
        code == 1 && said.contains("could not find a JWS signature"),
        "{said}"
    );
    assert_eq!(after("0", 100), (0, String::new()));
    let mut world = world();
    let line = ["token", "create", "--ttl=2x"].map(str::to_owned);
    let refused = world.kubeadm(0, &line);
    assert_eq!(refused.exit_code, 1);
    // As kubeadm 1.16.15 to 1.36.3 say it.
    let text =
        "invalid argument \"2x\" for \"--ttl\" flag: time: unknown unit \"x\" in duration \"2x\"";
    assert!(refused.stderr.contains(text), "{}", refused.stderr);
}
