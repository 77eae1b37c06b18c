//! A machine with a small PKI of the engine's own making, and its kubeadm.

use certdrill::fs::{MemoryTree, Tree as _};
use certdrill::kubeadm::{CommandOutput, Machine, Version, run};
use certdrill::pki::PoolKeys;

/// A configuration that says something about everything.
pub const CONFIG: &str = "apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: 10.0.0.10, bindPort: 6443}
nodeRegistration: {name: cp1, kubeletExtraArgs: [{name: cert-dir, value: /x}]}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.36.3
encryptionAlgorithm: ECDSA-P256
certificateValidityPeriod: 100h
apiServer: {certSANs: [a.example, 10.1.1.1]}
etcd: {local: {serverCertSANs: [x], peerCertSANs: ['*.y']}}
networking: {serviceSubnet: 10.96.0.0/12, dnsDomain: cluster.local}
";

/// Runs kubeadm.
pub fn kubeadm(version: &str, tree: &mut MemoryTree, args: &[String]) -> CommandOutput {
    run(
        version.parse::<Version>().expect("a version"),
        args,
        &mut Machine {
            tree,
            now: "2026-09-17T12:00:00Z".parse().expect("a time"),
            hostname: "cp1".into(),
            host_address: "10.0.0.10".parse().expect("an address"),
            keys: &mut PoolKeys::new(1),
            cluster: None,
        },
    )
}

/// A tree with everything, made once.
pub fn healthy() -> MemoryTree {
    static TREE: std::sync::OnceLock<MemoryTree> = std::sync::OnceLock::new();
    TREE.get_or_init(|| {
        let mut tree = MemoryTree::new();
        tree.write("/kubeadm.yaml", CONFIG.as_bytes(), 0o644)
            .expect("an empty tree can be written");
        for phase in ["certs", "kubeconfig"] {
            let args = ["init", "phase", phase, "all", "--config", "/kubeadm.yaml"];
            let output = kubeadm("v1.36.3", &mut tree, &args.map(str::to_owned));
            assert_eq!(output.exit_code, 0, "{output:?}");
        }
        tree
    })
    .clone()
}
