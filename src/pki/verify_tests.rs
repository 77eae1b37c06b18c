use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};

use super::*;
use crate::time::Timestamp;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const BEGIN: &str = "2026-01-01T00:00:00Z";
const END: &str = "2027-01-01T00:00:00Z";

fn key(index: usize) -> PrivateKey {
    pool_key(KeyAlgorithm::EcdsaP256, index).unwrap()
}

fn ca(name: &str, index: usize) -> Certificate {
    issue::self_signed_ca(name, &key(index), at(BEGIN), at("2036-01-01T00:00:00Z"), 1).unwrap()
}

fn template(name: &str) -> Template {
    Template {
        common_name: name.into(),
        not_before: at(BEGIN),
        not_after: at(END),
        ..Template::default()
    }
}

fn server(issuer: &Certificate, issuer_key: usize) -> Certificate {
    let template = Template {
        dns_names: vec!["cp1".into(), "*.cluster.local".into()],
        ip_addresses: vec!["10.0.0.1".parse().unwrap()],
        ext_key_usages: vec![ExtKeyUsage::ServerAuth],
        ..template("kube-apiserver")
    };
    issue::sign(&template, key(9).spki_der(), issuer, &key(issuer_key)).unwrap()
}

fn text(result: Result<(), VerifyError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn the_last_second_is_valid_and_a_nanosecond_later_is_not() {
    let root = ca("kubernetes", 0);
    let leaf = server(&root, 0);
    let check = |at| {
        verify(
            &leaf,
            &[],
            std::slice::from_ref(&root),
            Usage::Server,
            None,
            at,
        )
    };
    assert_eq!(check(at(END)), Ok(()));
    let error = check(at("2027-01-01T00:00:00.000000001Z")).unwrap_err();
    assert_eq!(error.kind(), VerifyErrorKind::Expired);
    assert_eq!(
        error.to_string(),
        "x509: certificate has expired or is not yet valid: current time 2027-01-01T00:00:00Z is after 2027-01-01T00:00:00Z"
    );
    assert_eq!(check(at(BEGIN)), Ok(()));
    assert_eq!(
        text(check(at("2025-12-31T23:59:59.9Z"))),
        "x509: certificate has expired or is not yet valid: current time 2025-12-31T23:59:59Z is before 2026-01-01T00:00:00Z"
    );
}

#[test]
fn a_window_reaches_from_boundary_to_boundary() {
    let root = ca("kubernetes", 0);
    let leaf = server(&root, 0);
    let roots = [root];
    let window = |at| verify_window(&leaf, &[], &roots, Usage::Server, None, at);
    let inside = window(at("2026-06-01T00:00:00Z"));
    assert_eq!(inside.result, Ok(()));
    assert_eq!(
        (inside.valid_from, inside.valid_until),
        (at(BEGIN), at(END))
    );
    let after = window(at("2028-01-01T00:00:00Z"));
    assert_eq!(after.valid_from, at("2027-01-01T00:00:00.000000001Z"));
    assert_eq!(after.valid_until, at("2036-01-01T00:00:00Z"));
    let error = after.result.unwrap_err().at(at("2029-01-01T00:00:00Z"));
    assert!(error.to_string().contains("current time 2029-01-01"));
}

#[test]
fn names_are_judged_by_sans_alone() {
    let root = ca("kubernetes", 0);
    let leaf = server(&root, 0);
    let roots = [root.clone()];
    let check = |name: &str| {
        verify(
            &leaf,
            &[],
            &roots,
            Usage::Server,
            Some(&ServerName::new(name)),
            at(END),
        )
    };
    assert_eq!(check("CP1"), Ok(()));
    assert_eq!(check("a.cluster.local"), Ok(()));
    assert_eq!(check("10.0.0.1"), Ok(()));
    assert_eq!(
        text(check("a.b.cluster.local")),
        "x509: certificate is valid for cp1, *.cluster.local, not a.b.cluster.local"
    );
    assert_eq!(
        text(check("10.0.0.2")),
        "x509: certificate is valid for 10.0.0.1, not 10.0.0.2"
    );
    let bare = issue::sign(&template("cp1"), key(9).spki_der(), &root, &key(0)).unwrap();
    let error = verify_hostname(&bare, &ServerName::new("cp1"));
    assert_eq!(
        text(error),
        "x509: certificate relies on legacy Common Name field, use SANs instead"
    );
    assert_eq!(
        text(verify_hostname(&bare, &ServerName::new("10.0.0.1"))),
        "x509: cannot validate certificate for 10.0.0.1 because it doesn't contain any IP SANs"
    );
}

#[test]
fn a_swapped_ca_gives_gos_hint() {
    let (old, new) = (ca("kubernetes", 0), ca("kubernetes", 1));
    let leaf = server(&old, 0);
    assert_eq!(
        text(verify(&leaf, &[], &[new], Usage::Any, None, at(END))),
        "x509: certificate signed by unknown authority (possibly because of \"x509: ECDSA verification failure\" while trying to verify candidate authority certificate \"kubernetes\")"
    );
    let other = ca("etcd-ca", 2);
    assert_eq!(
        text(verify(&leaf, &[], &[other], Usage::Any, None, at(END))),
        "x509: certificate signed by unknown authority"
    );
}

#[test]
fn usage_is_checked_along_the_chain() {
    let root = ca("kubernetes", 0);
    let leaf = server(&root, 0);
    let check = |usage| {
        verify(
            &leaf,
            &[],
            std::slice::from_ref(&root),
            usage,
            None,
            at(END),
        )
    };
    assert_eq!(check(Usage::Server), Ok(()));
    assert_eq!(check(Usage::Any), Ok(()));
    let error = check(Usage::Client).unwrap_err();
    assert_eq!(error.kind(), VerifyErrorKind::IncompatibleUsage);
    let limited = Template {
        is_ca: true,
        key_usage: KeyUsage::CERT_SIGN,
        ext_key_usages: vec![ExtKeyUsage::ClientAuth],
        ..template("middle")
    };
    let middle = issue::sign(&limited, key(3).spki_der(), &root, &key(0)).unwrap();
    let below = server(&middle, 3);
    let error = verify(
        &below,
        std::slice::from_ref(&middle),
        &[root],
        Usage::Server,
        None,
        at(END),
    );
    assert_eq!(error, Err(VerifyError::IncompatibleUsage));
}

#[test]
fn go_accepts_what_the_web_pki_does_not() {
    let root = ca("kubernetes", 0);
    let leaf = server(&root, 0);
    let now = at(END);
    // A leaf that is itself in the pool, and a CA as end entity.
    assert_eq!(
        verify(
            &leaf,
            &[],
            std::slice::from_ref(&leaf),
            Usage::Server,
            None,
            now
        ),
        Ok(())
    );
    assert_eq!(
        verify(
            &root,
            &[],
            std::slice::from_ref(&root),
            Usage::Server,
            None,
            now
        ),
        Ok(())
    );
    // An intermediate as trust anchor.
    let middle = Template {
        is_ca: true,
        key_usage: KeyUsage::CERT_SIGN,
        ..template("middle")
    };
    let middle = issue::sign(&middle, key(3).spki_der(), &root, &key(0)).unwrap();
    let below = server(&middle, 3);
    assert_eq!(
        verify(
            &below,
            &[],
            std::slice::from_ref(&middle),
            Usage::Server,
            None,
            now
        ),
        Ok(())
    );
    // An anchor's own end counts.
    let late = at("2036-06-01T00:00:00Z");
    let old = Template {
        not_after: at("2040-01-01T00:00:00Z"),
        ..template("old")
    };
    let old = issue::sign(&old, key(9).spki_der(), &root, &key(0)).unwrap();
    let error = verify(&old, &[], &[root], Usage::Any, None, late).unwrap_err();
    assert_eq!(error.kind(), VerifyErrorKind::Expired);
}

#[test]
fn a_leaf_as_issuer_is_refused() {
    let root = ca("kubernetes", 0);
    let leaf = server(&root, 0);
    let below = issue::sign(&template("below"), key(4).spki_der(), &leaf, &key(9)).unwrap();
    assert_eq!(
        text(verify(&below, &[], &[leaf], Usage::Any, None, at(END))),
        "x509: certificate signed by unknown authority (possibly because of \"x509: invalid signature: parent certificate cannot sign this kind of certificate\" while trying to verify candidate authority certificate \"kube-apiserver\")"
    );
}

/// Where the two agree by design, they must agree in fact.
#[test]
fn webpki_agrees_on_ordinary_chains() {
    let (root, other) = (ca("kubernetes", 0), ca("kubernetes", 1));
    let leaf = server(&root, 0);
    for roots in [&root, &other] {
        for usage in [Usage::Server, Usage::Client] {
            for now in [BEGIN, END, "2025-06-01T00:00:00Z", "2028-01-01T00:00:00Z"] {
                for name in ["cp1", "x.cluster.local", "nosuch", "10.0.0.1", "10.0.0.9"] {
                    let ours = verify(
                        &leaf,
                        &[],
                        std::slice::from_ref(roots),
                        usage,
                        Some(&ServerName::new(name)),
                        at(now),
                    );
                    let theirs = webpki_verify(&leaf, roots, usage, name, at(now));
                    assert_eq!(ours.is_ok(), theirs, "{usage:?} {now} {name} {ours:?}");
                }
            }
        }
    }
}

fn webpki_verify(
    leaf: &Certificate,
    root: &Certificate,
    usage: Usage,
    name: &str,
    now: Timestamp,
) -> bool {
    let leaf = CertificateDer::from(leaf.der());
    let root = CertificateDer::from(root.der());
    let anchor = webpki::anchor_from_trusted_cert(&root).unwrap();
    let end_entity = webpki::EndEntityCert::try_from(&leaf).unwrap();
    let usage = match usage {
        Usage::Client => webpki::KeyUsage::client_auth(),
        _ => webpki::KeyUsage::server_auth(),
    };
    let time = UnixTime::since_unix_epoch(Duration::from_secs(now.as_second() as u64));
    let name = rustls_pki_types::ServerName::try_from(name).unwrap();
    end_entity
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[anchor],
            &[],
            time,
            usage,
            None,
            None,
        )
        .is_ok()
        && end_entity.verify_is_valid_for_subject_name(&name).is_ok()
}
