//! Capture as people run it: no key leaves the machine, and archives never escape.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test lays out files and stops where something is missing"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use certdrill::pki::der::{Reader, tag};
use certdrill::pki::{Kubeconfig, Source, pem};

#[path = "beside/cluster.rs"]
mod cluster;
#[path = "beside/command.rs"]
mod command;

use command::{certdrill, disks, ended, text};

const TOKEN: &str = "abcdef.0123456789abcdef";

/// Every private key below a directory: the PEM text it stands in.
fn keys_below(dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            keys_below(&path, found);
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        if let Ok(config) = Kubeconfig::parse(&bytes)
            && let Source::Data(key) = config.client_key()
        {
            found.push(String::from_utf8(key).unwrap());
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Some(begin) = text
            .find("-----BEGIN")
            .filter(|_| text.contains("PRIVATE KEY-----"))
        {
            found.push(text[begin..].to_owned());
        }
    }
}

/// The numbers of a key that nobody may see.
fn secrets(pem_text: &str) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for block in pem::blocks(pem_text.as_bytes()) {
        let mut body = Reader(&block.bytes).read(tag::SEQUENCE).unwrap();
        match block.kind.as_str() {
            "RSA PRIVATE KEY" => {
                let mut numbers = Vec::new();
                while let Some(number) = body.integer() {
                    numbers.push(number.to_vec());
                }
                // Version, modulus and exponent are public.
                out.extend(numbers.split_off(3));
            }
            "EC PRIVATE KEY" => {
                body.int64().unwrap();
                out.push(body.read(tag::OCTET_STRING).unwrap().0.to_vec());
            }
            _ => {}
        }
    }
    out
}

/// Whether a text holds any part of a key: raw, in hexadecimal, in base64 at any offset, or a line of its PEM.
fn leaks(text: &[u8], keys: &[String]) -> Option<String> {
    let holds = |part: &[u8]| memchr::memmem::find(text, part).is_some();
    let base64 = base64::engine::general_purpose::STANDARD;
    for key in keys {
        for line in key
            .lines()
            .filter(|line| line.len() == 64 && !key.contains("CERTIFICATE"))
        {
            if holds(line.as_bytes()) {
                return Some(format!("a line of PEM: {line}"));
            }
        }
        // A kubeconfig holds base64 of PEM.
        let doubled = base64.encode(key);
        if !key.contains("CERTIFICATE") && holds(&doubled.as_bytes()[60..100]) {
            return Some("base64 of PEM".to_owned());
        }
        for secret in secrets(key) {
            for window in secret.chunks(12).filter(|window| window.len() == 12) {
                let hex: String = window.iter().map(|byte| format!("{byte:02x}")).collect();
                if holds(window) || holds(hex.as_bytes()) || holds(hex.to_uppercase().as_bytes()) {
                    return Some("bytes of a key".to_owned());
                }
            }
            for offset in 0..3 {
                let Some(part) = secret.get(offset..offset + 24) else {
                    continue;
                };
                // 24 bytes are 32 characters without padding.
                if holds(base64.encode(part).as_bytes()) {
                    return Some("base64 of a key".to_owned());
                }
            }
        }
    }
    None
}

#[test]
fn no_byte_of_a_key_and_no_token_leaves_the_process() {
    // RSA keys from kubeadm, ECDSA keys from the kubelets.
    let folder = disks("v1.30.0", 1, 1);
    let cp1 = folder.path().join("cp1");
    // What people also have there: a token, a password, a key among certificates, a PKCS#8 key, keys in odd places.
    fs::write(
        cp1.join("etc/kubernetes/bootstrap-kubelet.conf"),
        format!("apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{{name: a, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{token: {TOKEN}, password: hunter2hunter2}}}}]\n"),
    )
    .unwrap();
    let key = fs::read_to_string(cp1.join("etc/kubernetes/pki/apiserver.key")).unwrap();
    let crt = fs::read_to_string(cp1.join("etc/kubernetes/pki/apiserver.crt")).unwrap();
    fs::write(
        cp1.join("etc/kubernetes/pki/both.crt"),
        format!("{key}{crt}# {key}"),
    )
    .unwrap();
    fs::write(
        cp1.join("etc/kubernetes/admin-broken.conf"),
        format!("users: [{{ {key}"),
    )
    .unwrap();
    fs::write(cp1.join("etc/kubernetes/pki/notes.txt"), &key).unwrap();
    fs::write(
        cp1.join("etc/kubernetes/kubeadm-config.yaml"),
        format!(
            "kind: InitConfiguration\nbootstrapTokens: [{{token: {TOKEN}}}]\ncertificateKey: {}\n",
            "ab".repeat(32)
        ),
    )
    .unwrap();
    let mut keys = Vec::new();
    keys_below(folder.path(), &mut keys);
    assert!(keys.len() > 15);
    assert!(
        leaks(key.as_bytes(), &keys).is_some(),
        "the search finds what is there"
    );
    let hex: String = secrets(&key)[0]
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    assert!(leaks(hex.as_bytes(), &keys).is_some());

    let capture = certdrill(
        folder.path(),
        &[
            "capture",
            "--node",
            "cp1=cp1",
            "--node",
            "w1=w1",
            "--at",
            "2026-01-02T00:00:00Z",
            "-o",
            "c.yaml",
        ],
        None,
    );
    ended(&capture, 0);
    let printed = certdrill(
        folder.path(),
        &["capture", "cp1", "w1", "--at", "2026-01-02T00:00:00Z"],
        None,
    );
    ended(&printed, 0);
    let file = fs::read(folder.path().join("c.yaml")).unwrap();
    let forecasts = ["table", "json", "html"].map(|format| {
        certdrill(
            folder.path(),
            &["forecast", "c.yaml", "--format", format],
            None,
        )
    });
    let mut everything = vec![file.clone()];
    for output in forecasts.iter().chain([&capture, &printed]) {
        everything.push(output.stdout.clone());
        everything.push(output.stderr.clone());
    }
    for seen in &everything {
        assert_eq!(leaks(seen, &keys), None);
        let seen = String::from_utf8_lossy(seen);
        for secret in [TOKEN, "hunter2hunter2", "PRIVATE KEY", &"ab".repeat(32)] {
            assert!(!seen.contains(secret), "{secret}");
        }
    }
    // It says that they were there, and that each is the right one.
    let file = String::from_utf8(file).unwrap();
    assert!(file.contains("withheld:") && file.contains("- token"));
    assert!(file.contains("belongsTo:"));
}

#[test]
fn a_directory_an_archive_and_an_archive_on_standard_input_give_one_capture() {
    let folder = disks("v1.36.3", 1, 0);
    let tar = |flag: &str, name: &str| {
        let made = Command::new("tar")
            .args([
                "-C",
                "cp1",
                flag,
                name,
                "etc/kubernetes",
                "var/lib/kubelet",
                "root/.kube",
                "kubeadm.yaml",
            ])
            .current_dir(folder.path())
            .status()
            .unwrap();
        assert!(made.success());
    };
    tar("-cf", "cp1.tar");
    tar("-czf", "cp1.tar.gz");
    let at = ["--at", "2026-01-02T00:00:00Z"];
    let capture = |source: &str, input: Option<&[u8]>| {
        let node = format!("cp1={source}");
        let output = certdrill(
            folder.path(),
            &["capture", "--node", &node, at[0], at[1]],
            input,
        );
        ended(&output, 0);
        String::from_utf8(output.stdout).unwrap()
    };
    let plain = capture("cp1", None);
    let file = fs::read(folder.path().join("cp1.tar.gz")).unwrap();
    assert_eq!(plain, capture("cp1.tar", None));
    assert_eq!(plain, capture("cp1.tar.gz", None));
    assert_eq!(plain, capture("-", Some(&file)));
    // What is cut off or no archive is refused, with a word on how to make one.
    for input in [&file[..file.len() / 2], b"nonsense"] {
        let output = certdrill(folder.path(), &["capture", "--node", "cp1=-"], Some(input));
        ended(&output, 104);
        assert!(text(&output).contains("tar -C / -czf"), "{}", text(&output));
    }
}

#[test]
fn symlinks_of_a_directory_never_lead_outside() {
    let folder = disks("v1.36.3", 1, 0);
    fs::write(folder.path().join("outside.crt"), "outside of the tree").unwrap();
    let pki = folder.path().join("cp1/etc/kubernetes/pki");
    std::os::unix::fs::symlink("../../../../outside.crt", pki.join("up.crt")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("outside.crt"), pki.join("absolute.crt"))
        .unwrap();
    std::os::unix::fs::symlink(".", pki.join("loop")).unwrap();
    let output = certdrill(folder.path(), &["capture", "cp1"], None);
    ended(&output, 0);
    assert!(!text(&output).contains("outside of the tree"));
    assert!(text(&output).contains("deeper than any PKI"));
}

#[test]
fn node_containers_of_a_kind_cluster_are_reached_through_the_container_engine() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = disks("v1.36.3", 1, 1);
    // It plays docker: two nodes and a load balancer, each a directory.
    let docker = folder.path().join("docker");
    fs::write(
        &docker,
        "#!/bin/sh\ncase \"$1\" in\nps) [ \"$3\" = label=io.x-k8s.kind.cluster=mine ] && printf 'w1\\ncp1\\nmine-external-load-balancer\\n'; exit 0 ;;\nexec) cd \"$2\" && shift 4 && eval \"$(printf %s \"$1\" | sed 's#cd /#cd .#')\" ;;\nesac\n",
    )
    .unwrap();
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
    let engine = docker.to_str().unwrap();
    let output = certdrill(
        folder.path(),
        &[
            "capture",
            "--kind",
            "mine",
            "--container-engine",
            engine,
            "-o",
            "kind.yaml",
        ],
        None,
    );
    ended(&output, 0);
    assert!(
        text(&output).contains("cp1 (control plane, v1.36.3)"),
        "{}",
        text(&output)
    );
    assert!(text(&output).contains("w1 (worker"), "{}", text(&output));
    let none = certdrill(
        folder.path(),
        &["capture", "--kind", "other", "--container-engine", engine],
        None,
    );
    ended(&none, 104);
    assert!(
        text(&none).contains("no running kind cluster"),
        "{}",
        text(&none)
    );
}

#[test]
fn garbage_is_captured_as_a_finding_and_never_a_panic() {
    let folder = disks("v1.36.3", 1, 0);
    let kubernetes = folder.path().join("cp1/etc/kubernetes");
    let crt = fs::read(kubernetes.join("pki/apiserver.crt")).unwrap();
    for (file, content) in [
        ("pki/apiserver.crt", &crt[..crt.len() / 2]),
        ("pki/ca.key", b"\xff\xfe\x00"),
        ("pki/sa.pub", b""),
        (
            "pki/etcd/ca.crt",
            b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        ),
        ("scheduler.conf", b"apiVersion: v1\nclusters: 7\n"),
        ("manifests/etcd.yaml", b"- - -"),
    ] {
        fs::write(kubernetes.join(file), content).unwrap();
    }
    let captured = certdrill(folder.path(), &["capture", "cp1", "-o", "c.yaml"], None);
    ended(&captured, 0);
    let output = certdrill(
        folder.path(),
        &["forecast", "c.yaml", "--fail-within", "1d"],
        None,
    );
    ended(&output, 100);
    let seen = text(&output);
    for file in [
        "pki/apiserver.crt",
        "sa.pub",
        "etcd/ca.crt",
        "manifests/etcd.yaml",
    ] {
        assert!(seen.contains(file), "{file}: {seen}");
    }
}
