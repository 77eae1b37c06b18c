//! `certdrill explain`: who holds a certificate, who renews it, what a request or a kubelet waits for.

use std::path::Path;

use streams::{certdrill, expect_exit, folder, stdout};

#[path = "beside/streams.rs"]
mod streams;

#[test]
fn explain_says_which_certificate_ended_who_holds_it_and_what_helps() {
    let scenario = "scenarios/docs/year-long-expiry.yaml";
    let explain = |rest: &[&str]| {
        let mut args = vec!["explain", scenario, "--include", "*v1.36.3*"];
        args.extend_from_slice(rest);
        certdrill(Path::new(env!("CARGO_MANIFEST_DIR")), &args)
    };
    let edge = explain(&[
        "--at",
        "366d",
        "--edge",
        "controller-manager@cp1 -> apiserver",
    ]);
    assert_eq!(edge.status.code(), Some(0));
    let text = String::from_utf8_lossy(&edge.stdout);
    for part in [
        "ended 1d ago",
        "renew apiserver,",
        "renew controller-manager.conf,",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let kubelet = explain(&["--at", "day 200", "--kubelet", "w1"]);
    let text = String::from_utf8_lossy(&kubelet.stdout);
    assert!(text.contains("drawn between 70 and 90"), "{text}");
    assert!(
        text.contains("2026-07-20T00:00:00Z (day 200.000)"),
        "{text}"
    );
    assert_eq!(explain(&["--kubelet", "w9"]).status.code(), Some(4));
    assert_eq!(
        explain(&["--at", "soon", "--kubelet", "w1"]).status.code(),
        Some(2)
    );
    assert_eq!(explain(&[]).status.code(), Some(2));
}

/// A scenario in which a kubelet asks for a serving certificate, and one is approved.
const SERVING: &str = "apiVersion: certdrill/v1
kind: Scenario
metadata: { name: serving, title: Kubelets ask for serving certificates }
spec:
  cluster:
    version: v1.36.3
    keyAlgorithm: ECDSA-P256
    nodes: { controlPlane: 1, worker: 1 }
    serverTLSBootstrap: true
  steps:
    - walk: 10m
    - approve: { of: '@w1', signer: kubernetes.io/kubelet-serving }
    - walk: 30d
    - expect: { edge: 'admin@cp1 -> apiserver', is: ok }
";

/// What an explanation says below a heading, lines joined.
fn facts(text: &str, heading: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("  ") else {
            inside = false;
            continue;
        };
        if !rest.starts_with(' ') {
            inside = rest.starts_with(&format!("{heading} "));
            if inside {
                found.push(rest[heading.len()..].trim().to_owned());
            }
        } else if inside && let Some(last) = found.last_mut() {
            *last += &format!(" {}", rest.trim());
        }
    }
    found
}

#[test]
fn explain_says_of_a_certificate_who_uses_renews_and_signed_it() {
    let folder = folder(&[("serving.yaml", SERVING)]);
    let explain = |subject: &str| {
        let args = [
            "explain",
            "serving.yaml",
            "--at",
            "20d",
            "--certificate",
            subject,
        ];
        let output = certdrill(folder.path(), &args);
        expect_exit(&output, 0);
        stdout(&output)
    };
    let text = explain("apiserver@cp1");
    assert!(
        text.contains("apiserver on cp1: valid until 2027-01-01T00:00:"),
        "{text}"
    );
    assert_eq!(
        facts(&text, "file"),
        ["/etc/kubernetes/pki/apiserver.crt"],
        "{text}"
    );
    assert_eq!(facts(&text, "subject"), ["CN=kube-apiserver"], "{text}");
    assert_eq!(facts(&text, "issuer"), ["kubernetes"], "{text}");
    let users = facts(&text, "used by");
    assert!(
        users.contains(&"kubelet@w1 -> kube-apiserver".to_owned()),
        "{text}"
    );
    let renewers = facts(&text, "who renews it");
    assert!(
        renewers[0].starts_with("kubeadm certs renew apiserver on this node"),
        "{text}"
    );
    // A path is as good as kubeadm's name.
    assert_eq!(
        facts(&explain("/etc/kubernetes/pki/apiserver.crt@cp1"), "subject"),
        ["CN=kube-apiserver"]
    );
    let text = explain("kubelet@w1");
    assert_eq!(
        facts(&text, "subject"),
        ["CN=system:node:w1, O=system:nodes"],
        "{text}"
    );
    assert!(
        facts(&text, "who renews it")[0].contains("the kubelet, at 70 to 90 %"),
        "{text}"
    );

    // A CA has rows of its own: what it signed, and that kubeadm does not renew it.
    let text = explain("ca@cp1");
    let signed = facts(&text, "has signed");
    for path in [
        "/etc/kubernetes/pki/apiserver.crt",
        "/etc/kubernetes/admin.conf",
    ] {
        assert!(
            signed.iter().any(|one| one.starts_with(path)),
            "{path}: {text}"
        );
    }
    assert!(
        !text.contains("etcd/server.crt"),
        "etcd's CA signed it: {text}"
    );
    assert!(
        facts(&text, "who renews it")[0].contains("kubeadm renews no CA"),
        "{text}"
    );
    assert!(facts(&text, "rule")[0].contains("ten years"), "{text}");
    let signed = facts(&explain("etcd-ca@cp1"), "has signed");
    assert!(
        signed.iter().any(|one| one.contains("etcd/server.crt")),
        "{signed:?}"
    );
}

#[test]
fn explain_says_of_a_request_what_it_waits_for_and_of_a_kubelet_when_it_asks_again() {
    let folder = folder(&[("serving.yaml", SERVING)]);
    let explain = |at: &str, subject: [&str; 2]| {
        let args = [&["explain", "serving.yaml", "--at", at], &subject[..]].concat();
        let output = certdrill(folder.path(), &args);
        expect_exit(&output, 0);
        stdout(&output)
    };
    let waiting = explain("5m", ["--kubelet", "w1"]);
    let rotation = facts(&waiting, "serving rotation");
    let csr = rotation[0]
        .strip_prefix("waits for ")
        .and_then(|rest| rest.split_once(" (Pending)"))
        .unwrap_or_else(|| panic!("{waiting}"))
        .0;
    assert!(
        facts(&waiting, "serves with")[0].starts_with("nothing: "),
        "{waiting}"
    );
    let text = explain("5m", ["--csr", csr]);
    assert!(text.contains(&format!("{csr} is Pending")), "{text}");
    assert_eq!(
        facts(&text, "signer"),
        ["kubernetes.io/kubelet-serving"],
        "{text}"
    );
    assert_eq!(facts(&text, "posted by"), ["system:node:w1"], "{text}");
    assert_eq!(facts(&text, "asks for"), ["CN=system:node:w1"], "{text}");
    assert!(
        facts(&text, "why")[0].contains("nobody approves it by itself"),
        "{text}"
    );

    // Approved: a certificate, and a deadline that was drawn for it.
    let served = explain("2h", ["--kubelet", "w1"]);
    assert!(
        facts(&served, "serves with")[0].starts_with("CN=system:node:w1"),
        "{served}"
    );
    let deadline = &facts(&served, "serving deadline")[0];
    let (_, rest) = deadline.split_once("): ").unwrap();
    let share: f64 = rest.split(" %").next().unwrap().parse().unwrap();
    assert!((70.0..90.0).contains(&share), "{deadline}");
    assert!(
        facts(&served, "serving rotation")[0].starts_with("waits for its deadline"),
        "{served}"
    );
    // The control plane's kubelet was not approved.
    assert!(facts(&explain("2h", ["--kubelet", "cp1"]), "serving deadline").is_empty());
}
