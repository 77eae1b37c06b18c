//! Bytes that nobody checked: nothing panics, nothing grows without bound, nothing is written
//! outside of where kubeadm writes.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

#[path = "hostile/arguments.rs"]
mod arguments;
#[path = "hostile/commands.rs"]
mod commands;
#[path = "hostile/kubeconfig.rs"]
mod kubeconfig;
#[path = "hostile/machine.rs"]
mod machine;
#[path = "hostile/pem_der.rs"]
mod pem_der;

use certdrill::fs::Tree as _;
use certdrill::pki::{KeyAlgorithm, decode_base64, pem, pool_key, request, yaml};
use machine::{CONFIG, healthy};
use proptest::prelude::*;

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
    pem_der::pem_der(bytes);
    kubeconfig::kubeconfig(bytes);
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
        commands::command(version, command, file, &bytes);
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
        arguments::arguments(minor, &words);
    }
}
