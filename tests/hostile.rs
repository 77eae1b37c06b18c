//! Bytes that nobody checked: nothing panics, nothing grows without bound, nothing is written
//! outside of where kubeadm writes.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

use certdrill::fs::{MemoryTree, Tree as _};
use certdrill::kubeadm::{CommandOutput, Machine, Version, run};
use certdrill::pki::{
    Certificate, KeyAlgorithm, Kubeconfig, PoolKeys, PrivateKey, PublicKey, Request, Template,
    Usage, decode_base64, issue, pem, pool_key, request, verify, yaml,
};
use proptest::prelude::*;

fn kubeadm(version: &str, tree: &mut MemoryTree, args: &[String]) -> CommandOutput {
    run(
        version.parse::<Version>().unwrap(),
        args,
        &mut Machine {
            tree,
            now: "2026-09-17T12:00:00Z".parse().unwrap(),
            hostname: "cp1".into(),
            host_address: "10.0.0.10".parse().unwrap(),
            keys: &mut PoolKeys::new(1),
            cluster: None,
        },
    )
}

const CONFIG: &str = "apiVersion: kubeadm.k8s.io/v1beta4
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

/// A small PKI of the engine's own making, made once.
fn healthy() -> MemoryTree {
    static TREE: std::sync::OnceLock<MemoryTree> = std::sync::OnceLock::new();
    TREE.get_or_init(|| {
        let mut tree = MemoryTree::new();
        tree.write("/kubeadm.yaml", CONFIG.as_bytes(), 0o644)
            .unwrap();
        for phase in ["certs", "kubeconfig"] {
            let args = ["init", "phase", phase, "all", "--config", "/kubeadm.yaml"];
            let output = kubeadm("v1.36.3", &mut tree, &args.map(str::to_owned));
            assert_eq!(output.exit_code, 0, "{output:?}");
        }
        tree
    })
    .clone()
}

/// Seeds: one of everything that is parsed.
fn seeds() -> Vec<Vec<u8>> {
    let tree = healthy();
    let read = |path: &str| tree.read(path).unwrap();
    let key = pool_key(KeyAlgorithm::EcdsaP256, 0).unwrap();
    let name = certdrill::pki::Name {
        common_name: "x".into(),
        organizations: vec!["y".into()],
    };
    let csr = request::create(&name, &["a".into()], &[], &key).unwrap();
    vec![
        read("/etc/kubernetes/pki/ca.crt"),
        read("/etc/kubernetes/pki/apiserver.crt"),
        read("/etc/kubernetes/pki/apiserver.key"),
        read("/etc/kubernetes/admin.conf"),
        CONFIG.as_bytes().to_vec(),
        request::to_pem(&csr).into_bytes(),
        pem::decode(&read("/etc/kubernetes/pki/etcd/server.crt"))
            .unwrap()
            .0
            .bytes,
        csr,
        key.to_traditional_der(),
    ]
}

/// A seed with some bytes changed, cut, doubled or put in.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), any::<u8>(), 0..5u8);
    (
        any::<prop::sample::Index>(),
        prop::collection::vec(edit, 1..8),
    )
        .prop_map(|(seed, edits)| {
            let seeds = seeds();
            let mut bytes = seeds[seed.index(seeds.len())].clone();
            for (at, byte, kind) in edits {
                if bytes.is_empty() {
                    break;
                }
                let at = at.index(bytes.len());
                match kind {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    2 => bytes.truncate(at),
                    3 => bytes[at] ^= 1 << (byte % 8),
                    _ => {
                        let tail = bytes[at..].to_vec();
                        bytes.extend(tail);
                    }
                }
                bytes.truncate(1 << 16);
            }
            bytes
        })
}

fn parse_everything(bytes: &[u8]) {
    let _ = PrivateKey::from_pem(bytes);
    let _ = PublicKey::parse_pem(bytes);
    let _ = Request::from_pem(bytes);
    let _ = Request::from_der(bytes);
    let _ = yaml::parse(bytes);
    if let Ok(config) = Kubeconfig::parse(bytes) {
        let text = config.to_yaml(true);
        let again = Kubeconfig::parse(text.as_bytes()).unwrap();
        assert_eq!(again, config, "{text}");
    }
    let mut certificates = Certificate::parse_pem_certs(bytes).unwrap_or_default();
    certificates.extend(Certificate::from_der(bytes));
    let key = pool_key(KeyAlgorithm::EcdsaP256, 1).unwrap();
    for certificate in &certificates {
        let now = certificate.not_after();
        let all = std::slice::from_ref(certificate);
        let _ = verify(certificate, all, all, Usage::Server, None, now);
        let _ = issue::sign(&Template::default(), key.spki_der(), certificate, &key);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_are_parsed_or_refused(bytes in mutated()) {
        parse_everything(&bytes);
    }

    #[test]
    fn random_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        parse_everything(&bytes);
    }

    #[test]
    fn random_text_is_parsed_or_refused(text in "[-a-z0-9:{}\\[\\],&*!|>'\"#%@ \n\t=/+.]{0,200}") {
        parse_everything(text.as_bytes());
        let _ = decode_base64(&text);
    }

    #[test]
    fn what_is_written_as_yaml_is_read_back(text in "\\PC{0,40}") {
        let value = serde_json::json!({"key": text, "list": [{"inner": text}]});
        let written = yaml::emit(&value);
        let read = yaml::parse(written.as_bytes()).map(|document| document.value);
        prop_assert_eq!(read, Ok(value), "{}", written);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// A file of the tree is damaged, then a command runs.
    #[test]
    fn commands_survive_damaged_trees(
        bytes in mutated(),
        file in 0..6usize,
        command in 0..5usize,
        version in 0..5usize,
    ) {
        let file = [
            "/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/ca.key",
            "/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/admin.conf",
            "/kubeadm.yaml", "/etc/kubernetes/pki/etcd/ca.crt",
        ][file];
        let command = [
            "certs check-expiration", "certs renew all", "certs renew apiserver",
            "init phase certs all", "init phase kubeconfig all",
        ][command];
        let version = ["v1.15.12", "v1.17.17", "v1.22.17", "v1.29.15", "v1.37.2"][version];
        let mut tree = healthy();
        tree.write(file, &bytes, 0o600).unwrap();
        let prefix = if version < "v1.20" && command.starts_with("certs") { "alpha " } else { "" };
        let line = format!("{prefix}{command} --config /kubeadm.yaml");
        let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let output = kubeadm(version, &mut tree, &args);
        prop_assert!((0..=3).contains(&output.exit_code));
        for path in tree.paths() {
            prop_assert!(path.starts_with("/etc") || path == "/kubeadm.yaml", "{path}");
        }
    }

    /// Any argument line gives an exit status.
    #[test]
    fn argument_lines_are_understood_or_refused(
        words in prop::collection::vec(
            prop_oneof![
                prop::sample::select(vec![
                    "certs", "alpha", "init", "phase", "renew", "all", "check-expiration", "kubeconfig",
                    "user", "--config", "/kubeadm.yaml", "--cert-dir", "-o", "json", "-ojson", "--", "-v=5",
                    "--csr-only", "--csr-dir=/csr", "-h", "--help", "apiserver", "sa", "generate-csr",
                    "-o", "jsonpath={.x[*]}", "go-template={{.x}}", "--kubeconfig=", "certificate-key",
                    "kubelet-finalize", "--client-name", "x", "--validity-period=1h",
                ]).prop_map(str::to_owned),
                "[-=a-z{}.\\[\\]*]{0,6}",
            ],
            0..7,
        ),
        minor in 15..38u16,
    ) {
        let mut tree = healthy();
        let output = kubeadm(&format!("v1.{minor}.9"), &mut tree, &words);
        prop_assert!((0..=3).contains(&output.exit_code));
    }
}
