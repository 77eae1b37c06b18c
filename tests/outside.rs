//! Outside opinions: OpenSSL on what the engine writes, and the real kubeadm and the engine on each other's trees.
//!
//! Needs `openssl`, and for the second half real kubeadms (`ci/build-kubeadm.sh`); what is missing is told, and
//! is a failure when `CERTDRILL_REQUIRE` lists it.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test lays out real trees and stops where something is missing"
)]

#[path = "beside/disk.rs"]
mod disk;
#[path = "beside/engine.rs"]
mod engine;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use certdrill::fs::{MemoryTree, Tree as _};
use certdrill::kubeadm::{CommandOutput, Machine, Version, run};
use certdrill::pki::{Certificate, Kubeconfig, PoolKeys, Source};
use certdrill::time::Timestamp;
use disk::{lay_out, paths};
use engine::{engine, missing};

/// A version with what its configuration files say.
#[derive(Clone, Copy)]
struct Setup {
    version: &'static str,
    api: &'static str,
    /// A line of the ClusterConfiguration.
    extra: &'static str,
}

const fn setup(version: &'static str, api: &'static str, extra: &'static str) -> Setup {
    Setup {
        version,
        api,
        extra,
    }
}

const SETUPS: [Setup; 10] = [
    setup("v1.15.12", "v1beta2", ""),
    setup("v1.16.15", "v1beta2", ""),
    setup("v1.17.17", "v1beta2", ""),
    setup("v1.28.15", "v1beta3", ""),
    setup(
        "v1.28.15",
        "v1beta3",
        "featureGates: {PublicKeysECDSA: true}",
    ),
    setup("v1.34.4", "v1beta4", ""),
    setup("v1.35.4", "v1beta4", ""),
    setup("v1.35.4", "v1beta4", "encryptionAlgorithm: ECDSA-P256"),
    setup("v1.36.3", "v1beta4", "encryptionAlgorithm: ECDSA-P384"),
    setup("v1.37.2", "v1beta4", ""),
];

impl Setup {
    fn configuration(self) -> String {
        format!(
            "apiVersion: kubeadm.k8s.io/{0}
kind: InitConfiguration
localAPIEndpoint: {{advertiseAddress: 10.0.0.10, bindPort: 6443}}
nodeRegistration: {{name: cp1, criSocket: /x}}
---
apiVersion: kubeadm.k8s.io/{0}
kind: ClusterConfiguration
kubernetesVersion: {1}
apiServer: {{certSANs: [api.example, 192.0.2.7, '2001:db8::1']}}
etcd: {{local: {{serverCertSANs: [etcd.example], peerCertSANs: [192.0.2.8]}}}}
{2}
",
            self.api, self.version, self.extra
        )
    }

    fn line(self, words: &str) -> Vec<String> {
        let old = self.version < "v1.20" && words.starts_with("certs");
        let line = format!(
            "{}{words} --config /kubeadm.yaml",
            if old { "alpha " } else { "" }
        );
        line.split(' ').map(str::to_owned).collect()
    }

    fn ours(self, tree: &mut MemoryTree, words: &str, seed: u64, at: Timestamp) -> CommandOutput {
        let output = run(
            self.version.parse::<Version>().unwrap(),
            &self.line(words),
            &mut Machine {
                tree,
                now: at,
                hostname: "cp1".into(),
                host_address: "10.0.0.10".parse().unwrap(),
                keys: &mut PoolKeys::new(seed),
                cluster: None,
            },
        );
        assert_eq!(output.exit_code, 0, "{} {words}: {output:?}", self.version);
        output
    }

    fn real(self, binary: &Path, root: &Path, words: &str) -> String {
        let output = Command::new(binary)
            .arg("--rootfs")
            .arg(root)
            .args(self.line(words))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{} {words}: {}",
            self.version,
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Only the configuration.
    fn bare(self) -> MemoryTree {
        let mut tree = MemoryTree::new();
        tree.write("/kubeadm.yaml", self.configuration().as_bytes(), 0o644)
            .unwrap();
        tree
    }

    /// A tree of the engine's own making.
    fn made(self, seed: u64, at: Timestamp) -> MemoryTree {
        let mut tree = self.bare();
        self.ours(&mut tree, "init phase certs all", seed, at);
        self.ours(&mut tree, "init phase kubeconfig all", seed, at);
        tree
    }

    fn name(self) -> String {
        format!("{} {}", self.version, self.extra)
    }
}

fn openssl(args: &[&str], input: &[u8]) -> std::process::Output {
    let mut child = Command::new("openssl")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not want its input closes it.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn openssl_is_here() -> bool {
    let here = Command::new("openssl").arg("version").output().is_ok();
    if !here {
        missing("openssl", "install openssl, which judges certificates here");
    }
    here
}

/// The certificate of a file: the file itself, or what a kubeconfig embeds.
fn certificate(content: &[u8]) -> Option<Vec<u8>> {
    if content.starts_with(b"-----BEGIN CERTIFICATE-----") {
        return Some(content.to_vec());
    }
    match Kubeconfig::parse(content).ok()?.client_certificate() {
        Source::Data(data) if !data.is_empty() => Some(data),
        _ => None,
    }
}

const PKI: &str = "etc/kubernetes/pki";
/// Files, the CA they come from, and what they are used for.
const USES: [(&str, &str, &[&str]); 11] = [
    ("pki/apiserver.crt", "ca", &["sslserver"]),
    ("pki/apiserver-kubelet-client.crt", "ca", &["sslclient"]),
    ("pki/apiserver-etcd-client.crt", "etcd/ca", &["sslclient"]),
    (
        "pki/front-proxy-client.crt",
        "front-proxy-ca",
        &["sslclient"],
    ),
    (
        "pki/etcd/server.crt",
        "etcd/ca",
        &["sslserver", "sslclient"],
    ),
    ("pki/etcd/peer.crt", "etcd/ca", &["sslserver", "sslclient"]),
    ("pki/etcd/healthcheck-client.crt", "etcd/ca", &["sslclient"]),
    ("admin.conf", "ca", &["sslclient"]),
    ("kubelet.conf", "ca", &["sslclient"]),
    ("controller-manager.conf", "ca", &["sslclient"]),
    ("scheduler.conf", "ca", &["sslclient"]),
];

#[test]
fn openssl_accepts_every_certificate_for_its_use_and_for_no_other() {
    if !openssl_is_here() {
        return;
    }
    let mut judged = 0;
    for setup in SETUPS {
        let at = Timestamp::now();
        let mut tree = setup.made(3, at);
        for round in ["made", "renewed"] {
            if round == "renewed" {
                setup.ours(&mut tree, "certs renew all", 4, at);
            }
            let dir = tempfile::tempdir().unwrap();
            lay_out(&tree, dir.path());
            let verify = |file: &[u8], ca: &str, purpose: &str, more: &[&str]| {
                let ca = dir.path().join(PKI).join(format!("{ca}.crt"));
                let mut args = vec!["verify", "-x509_strict", "-purpose", purpose, "-CAfile"];
                args.push(ca.to_str().unwrap());
                args.extend(more);
                openssl(&args, file)
            };
            for (file, ca, uses) in USES {
                let what = format!("{} {file}, {round}", setup.name());
                let content = tree.read(&format!("/etc/kubernetes/{file}")).unwrap();
                let found = certificate(&content).unwrap();
                for purpose in ["sslserver", "sslclient"] {
                    let output = verify(&found, ca, purpose, &[]);
                    assert_eq!(
                        output.status.success(),
                        uses.contains(&purpose),
                        "{what} as {purpose}: {output:?}"
                    );
                    judged += 1;
                }
                let stranger = if ca == "etcd/ca" { "ca" } else { "etcd/ca" };
                let output = verify(&found, stranger, uses[0], &[]);
                assert!(!output.status.success(), "{what} under {stranger}");
            }
            let apiserver = tree.read("/etc/kubernetes/pki/apiserver.crt").unwrap();
            for (name, is_in) in [
                ("kubernetes.default.svc.cluster.local", true),
                ("api.example", true),
                ("cp1", true),
                ("cp2", false),
            ] {
                let output = verify(&apiserver, "ca", "sslserver", &["-verify_hostname", name]);
                assert_eq!(output.status.success(), is_in, "{name}: {output:?}");
            }
            for (address, is_in) in [
                ("10.96.0.1", true),
                ("2001:db8::1", true),
                ("10.0.0.10", true),
                ("10.0.0.11", false),
            ] {
                let output = verify(&apiserver, "ca", "sslserver", &["-verify_ip", address]);
                assert_eq!(output.status.success(), is_in, "{address}: {output:?}");
            }
        }
    }
    println!("openssl judged {judged} certificates");
}

/// What `openssl x509 -text` says, but for key, serial number, key identifiers, signature and dates.
fn text(pem: &[u8]) -> String {
    let output = openssl(&["x509", "-noout", "-text"], pem);
    assert!(output.status.success(), "{output:?}");
    let shown = String::from_utf8(output.stdout).unwrap();
    let mut out = String::new();
    for line in shown.lines() {
        let words = line.trim();
        let hex = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
        if words.contains(':') && words.bytes().all(hex) || words.starts_with("keyid:") {
            continue;
        }
        let line = match words.split_once(':') {
            Some((head @ ("Serial Number" | "Not Before" | "Not After "), _)) => head,
            _ => line,
        };
        out.push_str(line);
        out.push('\n');
    }
    out
}

#[test]
fn certificates_say_what_those_of_the_real_kubeadm_say() {
    if !openssl_is_here() {
        return;
    }
    for setup in SETUPS {
        let Some(binary) = engine(setup.version) else {
            if setup.version == "v1.35.4" {
                missing("kubeadm", "build one with ci/build-kubeadm.sh v1.35.4");
            }
            continue;
        };
        let dir = tempfile::tempdir().unwrap();
        let mut tree = setup.bare();
        lay_out(&tree, dir.path());
        for step in [
            "init phase certs all",
            "init phase kubeconfig all",
            "certs renew all",
        ] {
            setup.ours(&mut tree, step, 5, Timestamp::now());
            setup.real(&binary, dir.path(), step);
            let on_disk = paths(dir.path());
            let mut compared = 0;
            for path in tree.paths() {
                let Some(ours) = tree.read(&path).ok().as_deref().and_then(certificate) else {
                    continue;
                };
                let real = certificate(&on_disk[&path].content).unwrap();
                let what = format!("{} {path} after {step}", setup.name());
                assert_eq!(text(&ours), text(&real), "{what}");
                let (ours, real) = (parse(&ours), parse(&real));
                for (one, other) in [
                    (ours.not_before(), real.not_before()),
                    (ours.not_after(), real.not_after()),
                ] {
                    let apart = (one.as_second() - other.as_second()).abs();
                    assert!(apart < 60, "{what}: {one} and {other}");
                }
                compared += 1;
            }
            assert!(compared >= 10, "{}: {compared}", setup.name());
        }
        if setup.version >= "v1.17" {
            let pem = "/var/lib/kubelet/pki/kubelet-client-current.pem";
            tree.create_dir_all("/var/lib/kubelet/pki", 0o755).unwrap();
            tree.write(pem, b"", 0o600).unwrap();
            std::fs::create_dir_all(dir.path().join("var/lib/kubelet/pki")).unwrap();
            std::fs::write(dir.path().join(&pem[1..]), "").unwrap();
            let step = "init phase kubelet-finalize all";
            let ours = setup.ours(&mut tree, step, 5, Timestamp::now()).stdout;
            assert_eq!(ours, setup.real(&binary, dir.path(), step));
        }
    }
}

fn parse(pem: &[u8]) -> Certificate {
    Certificate::parse_pem_certs(pem).unwrap().remove(0)
}

#[test]
fn each_reads_and_renews_the_trees_of_the_other() {
    for setup in SETUPS {
        let Some(binary) = engine(setup.version) else {
            if setup.version == "v1.35.4" {
                missing("kubeadm", "build one with ci/build-kubeadm.sh v1.35.4");
            }
            continue;
        };
        let name = setup.name();
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        // Ours, read by the real one; then renewed by it and read by both.
        let mut ours = setup.made(6, Timestamp::now());
        lay_out(&ours, first.path());
        let check = |tree: &mut MemoryTree| {
            setup
                .ours(tree, "certs check-expiration", 7, Timestamp::now())
                .stdout
        };
        let real = setup.real(&binary, first.path(), "certs check-expiration");
        assert_eq!(check(&mut ours), real, "{name}");
        let renewed = setup.real(&binary, first.path(), "certs renew all");
        let real = setup.real(&binary, first.path(), "certs check-expiration");
        assert_eq!(check(&mut loaded(first.path())), real, "{name}");
        // The real one's, read and renewed by us, then read by it.
        lay_out(&setup.bare(), second.path());
        setup.real(&binary, second.path(), "init phase certs all");
        setup.real(&binary, second.path(), "init phase kubeconfig all");
        let mut tree = loaded(second.path());
        let real = setup.real(&binary, second.path(), "certs check-expiration");
        assert_eq!(check(&mut tree), real, "{name}");
        let output = setup.ours(&mut tree, "certs renew all", 8, Timestamp::now());
        assert_eq!(output.stdout, renewed, "{name}");
        let third = tempfile::tempdir().unwrap();
        lay_out(&tree, third.path());
        let real = setup.real(&binary, third.path(), "certs check-expiration");
        assert_eq!(check(&mut tree), real, "{name}");
    }
}

/// A directory of plain files as a tree in memory.
fn loaded(root: &Path) -> MemoryTree {
    let mut tree = MemoryTree::new();
    for (path, found) in paths(root) {
        if found.kind == "dir" {
            tree.create_dir_all(&path, found.mode).unwrap();
        } else {
            tree.write(&path, &found.content, found.mode).unwrap();
        }
    }
    tree
}
