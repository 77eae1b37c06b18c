//! What a disk that fails leaves behind, and whether the next run repairs it.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

use certdrill::fs::{Errno, MemoryTree, Tree as _};
use certdrill::kubeadm::{CommandOutput, Machine, Version, run};
use certdrill::pki::{Certificate, PoolKeys, PrivateKey};

const KEY: &str = "/etc/kubernetes/pki/apiserver.key";
const CERTIFICATE: &str = "/etc/kubernetes/pki/apiserver.crt";
const ADMIN: &str = "/etc/kubernetes/admin.conf";

fn kubeadm(tree: &mut MemoryTree, line: &str, seed: u64) -> CommandOutput {
    let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
    run(
        "v1.36.3".parse::<Version>().unwrap(),
        &args,
        &mut Machine {
            tree,
            now: "2026-09-17T12:00:00Z".parse().unwrap(),
            hostname: "cp1".into(),
            host_address: "10.0.0.10".parse().unwrap(),
            keys: &mut PoolKeys::new(seed),
            cluster: None,
        },
    )
}

fn healthy() -> MemoryTree {
    let mut tree = MemoryTree::new();
    for phase in ["certs", "kubeconfig"] {
        let output = kubeadm(&mut tree, &format!("init phase {phase} all"), 1);
        assert_eq!(output.exit_code, 0, "{output:?}");
    }
    tree
}

fn renew(tree: &mut MemoryTree, name: &str, seed: u64) -> CommandOutput {
    kubeadm(
        tree,
        &format!("certs renew {name} --kubeconfig /nosuch"),
        seed,
    )
}

fn pair_matches(tree: &MemoryTree) -> bool {
    let certificate = Certificate::parse_pem_certs(&tree.read(CERTIFICATE).unwrap()).unwrap();
    PrivateKey::from_pem(&tree.read(KEY).unwrap())
        .is_ok_and(|key| key.spki_der() == certificate[0].spki_der())
}

fn assert_repaired(tree: &mut MemoryTree) {
    tree.faults = certdrill::fs::Faults::default();
    assert_eq!(renew(tree, "apiserver", 3).exit_code, 0);
    assert!(pair_matches(tree));
}

fn message(output: &CommandOutput) -> &str {
    output.stderr.lines().next().unwrap()
}

#[test]
fn an_unwritable_certificate_leaves_a_new_key_beside_the_old_certificate() {
    let mut tree = healthy();
    let old = tree.read(CERTIFICATE).unwrap();
    tree.faults
        .unwritable
        .insert(CERTIFICATE.into(), Errno::NotPermitted);
    let output = renew(&mut tree, "apiserver", 2);
    assert_eq!(output.exit_code, 1);
    assert_eq!(
        message(&output),
        "error: failed to write new certificate apiserver: unable to write certificate to file /etc/kubernetes/pki/apiserver.crt: open /etc/kubernetes/pki/apiserver.crt: operation not permitted"
    );
    assert_eq!(tree.read(CERTIFICATE).unwrap(), old);
    assert!(!pair_matches(&tree));
    assert_repaired(&mut tree);
}

#[test]
fn a_full_disk_cuts_the_key_short() {
    let mut tree = healthy();
    tree.faults.bytes_left = Some(1024);
    let output = renew(&mut tree, "apiserver", 2);
    assert_eq!(
        message(&output),
        "error: failed to write new certificate apiserver: couldn't write key: unable to write private key to file /etc/kubernetes/pki/apiserver.key: write /etc/kubernetes/pki/apiserver.key: no space left on device"
    );
    assert_eq!(tree.read(KEY).unwrap().len(), 1024);
    assert_repaired(&mut tree);
}

#[test]
fn a_kubeconfig_that_was_cut_short_stays_broken() {
    let mut tree = healthy();
    tree.faults.bytes_left = Some(2000);
    let output = renew(&mut tree, "admin.conf", 2);
    assert_eq!(
        message(&output),
        "error: write /etc/kubernetes/admin.conf: no space left on device"
    );
    tree.faults.bytes_left = None;
    for line in ["certs renew admin.conf", "certs check-expiration"] {
        let output = kubeadm(&mut tree, &format!("{line} --kubeconfig /nosuch"), 3);
        assert_eq!(output.exit_code, 1);
        let text = message(&output);
        assert!(
            text.starts_with("error: failed to load kubeConfig file /etc/kubernetes/admin.conf: "),
            "{text}"
        );
    }
    assert_eq!(tree.read(ADMIN).unwrap().len(), 2000);
}

#[test]
fn a_read_only_disk_changes_nothing() {
    let mut tree = healthy();
    let before = tree.generation();
    tree.faults.read_only = true;
    let output = renew(&mut tree, "all", 2);
    assert_eq!(
        message(&output),
        "error: open /etc/kubernetes/admin.conf: read-only file system"
    );
    assert_eq!(tree.generation(), before);
}

#[test]
fn a_process_killed_between_key_and_certificate_is_repaired_by_the_next() {
    let mut tree = healthy();
    tree.faults.writes_until_kill = Some(1);
    renew(&mut tree, "apiserver", 2);
    assert!(!pair_matches(&tree));
    assert_repaired(&mut tree);
}

#[test]
fn renewing_everything_stops_at_the_first_failure_and_rolls_nothing_back() {
    let mut tree = healthy();
    let before = tree.clone();
    tree.faults.unwritable.insert(
        "/etc/kubernetes/pki/apiserver-kubelet-client.key".into(),
        Errno::Io,
    );
    let output = renew(&mut tree, "all", 2);
    assert_eq!(output.exit_code, 1);
    assert_eq!(output.stdout.lines().count(), 3, "{}", output.stdout);
    let changed = |path: &str| before.read(path).unwrap() != tree.read(path).unwrap();
    assert!(changed(ADMIN) && changed(CERTIFICATE));
    assert!(!changed("/etc/kubernetes/pki/etcd/server.crt"));
    assert!(!changed("/etc/kubernetes/scheduler.conf"));
}
