//! What a capture keeps on its way through files and worlds, whatever is in it.

use super::*;

#[test]
fn a_capture_survives_the_way_through_its_file() {
    let capture = Capture::new(Lab::new("v1.36.3", 1, 1).captured());
    let yaml = capture.to_yaml().unwrap();
    assert_eq!(Capture::parse(&yaml).unwrap(), capture);
    let json = serde_json::to_string(&capture).unwrap();
    assert_eq!(Capture::parse(&json).unwrap(), capture);
    for wrong in [
        "",
        "a: [",
        "apiVersion: certdrill/v1\nkind: Scenario\n",
        "{}",
    ] {
        assert!(Capture::parse(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn kubeconfigs_that_point_to_files_are_kept_as_such() {
    let lab = Lab::new("v1.36.3", 1, 1);
    let nodes = lab.captured();
    let user = nodes[1]
        .file(KUBELET_CONF)
        .unwrap()
        .kubeconfig
        .as_ref()
        .unwrap()
        .user()
        .unwrap()
        .clone();
    assert_eq!(user.certificate_file.as_deref(), Some(KUBELET_CURRENT));
    assert!(user.key.is_none());
    assert!(nodes[1].file(KUBELET_CURRENT).unwrap().key.is_some());
}

#[test]
fn shapes_that_kubeadm_does_not_write_are_kept() {
    use crate::forecast::capture::{TreePlace, node};
    // A CA of Ed25519, a leaf with more names, usages and extensions than kubeadm writes; made by OpenSSL.
    let dir = tempfile::tempdir().unwrap();
    let script = "set -e\nopenssl req -x509 -newkey ed25519 -nodes -keyout ca.key -out ca.crt -subj '/C=DE/O=Example/OU=Trust/CN=kubernetes' -days 3650 2>/dev/null\n\
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-521 -nodes -keyout apiserver.key -out a.csr -subj '/O=a/O=b/CN=kube-apiserver' 2>/dev/null\n\
        printf 'subjectAltName=DNS:cp1,IP:10.0.0.10,URI:spiffe://x,email:a@b.c\\nextendedKeyUsage=serverAuth,1.3.6.1.5.5.7.3.17\\ncertificatePolicies=1.2.3.4\\nnameConstraints=critical,permitted;DNS:cp1\\n' > ext\n\
        openssl x509 -req -in a.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 100 -extfile ext -out apiserver.crt 2>/dev/null\n";
    let made = std::process::Command::new("sh")
        .args(["-c", script])
        .current_dir(dir.path())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no openssl that makes these");
        return;
    }
    let mut lab = Lab::new("v1.36.3", 1, 0);
    let disk = crate::real::dir::DirTree::open(dir.path()).unwrap();
    for file in ["ca.crt", "ca.key", "apiserver.crt", "apiserver.key"] {
        let bytes = disk.read(&format!("/{file}")).unwrap();
        lab.tree("cp1")
            .write(&format!("{PKI}/{file}"), &bytes, 0o600)
            .unwrap();
    }
    let before = node(
        &TreePlace(lab.tree("cp1")),
        "cp1",
        Some("v1.36.3"),
        "2026-01-02T00:00:00Z".parse().unwrap(),
    );
    let world = world_of(std::slice::from_ref(&before));
    let after = Lab::of_world(&world, lab.version).captured().remove(0);
    let path = format!("{PKI}/apiserver.crt");
    let (old, new) = (before.certificates(&path), after.certificates(&path));
    assert_eq!(
        (old[0].uris(), old[0].organizations()),
        (new[0].uris(), new[0].organizations())
    );
    assert_eq!(
        old[0].unknown_ext_key_usages(),
        new[0].unknown_ext_key_usages()
    );
    assert_eq!(old[0].subject_der(), new[0].subject_der());
    let ca = format!("{PKI}/ca.crt");
    assert!(old[0].is_signed_by(&before.certificates(&ca)[0]));
    assert!(new[0].is_signed_by(&after.certificates(&ca)[0]));
}

mod hostile {
    use proptest::prelude::*;

    use super::*;
    use crate::forecast::capture::{Archive, TreePlace, node};
    use crate::fs::MemoryTree;

    const FILES: [&str; 12] = [
        "/etc/kubernetes/pki/ca.crt",
        "/etc/kubernetes/pki/ca.key",
        "/etc/kubernetes/pki/apiserver.crt",
        "/etc/kubernetes/pki/sa.pub",
        "/etc/kubernetes/pki/etcd/peer.crt",
        "/etc/kubernetes/admin.conf",
        "/etc/kubernetes/kubelet.conf",
        "/etc/kubernetes/manifests/etcd.yaml",
        "/etc/kubernetes/manifests/kube-apiserver.yaml",
        "/etc/kubernetes/kubeadm-config.yaml",
        KUBELET_CURRENT,
        "/etc/hostname",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn no_content_of_files_makes_a_panic(
            changes in proptest::collection::vec((0..FILES.len(), proptest::collection::vec(any::<u8>(), 0..300), any::<bool>()), 1..5)
        ) {
            static LAB: std::sync::OnceLock<MemoryTree> = std::sync::OnceLock::new();
            let mut tree = LAB.get_or_init(|| Lab::new("v1.36.3", 1, 0).trees.remove(0).1).clone();
            for (file, bytes, cut) in changes {
                let mut content = tree.read(FILES[file]).unwrap_or_default();
                if cut {
                    let at = bytes.len().min(content.len());
                    content.splice(at..at, bytes);
                } else {
                    content = bytes;
                }
                tree.write(FILES[file], &content, 0o644).unwrap();
            }
            let found = node(&TreePlace(&tree), "cp1", Some("v1.36.3"), "2026-01-02T00:00:00Z".parse().unwrap());
            let yaml = Capture::new(vec![found.clone()]).to_yaml().unwrap();
            prop_assert_eq!(&Capture::parse(&yaml).unwrap().nodes[0], &found);
            let options = Options { horizon: days(60), plan: None };
            let _ = forecast(&[found], &options, &|| Box::new(Model));
        }

        #[test]
        fn no_archive_and_no_capture_makes_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _ = Archive::read(&bytes[..]);
            let _ = Capture::parse(&String::from_utf8_lossy(&bytes));
        }
    }
}
