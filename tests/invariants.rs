//! Built-in invariants are looked at in every run, and each of them can break.

use certdrill::cluster::Mechanism;
use certdrill::run::{PlayOptions, Run, play, play_without, trace::Entry, trace::Verdict};
use certdrill::scenario::{self, Scenario};

fn scenario(nodes: &str, rest: &str) -> Scenario {
    let text = format!(
        "apiVersion: certdrill/v1\nkind: Scenario\nmetadata: {{ name: invariants, title: Invariants }}\nspec:\n  cluster: {{ version: v1.36.3, start: 2026-01-01T00:00:00Z, nodes: {{ {nodes} }}, keyAlgorithm: ECDSA-P256 }}\n{rest}"
    );
    scenario::load("invariants.yaml", &text)
        .unwrap_or_else(|error| panic!("{error:?}"))
        .remove(0)
}

/// The invariants that a run reports as broken.
fn broken(run: &Run) -> Vec<String> {
    run.records
        .iter()
        .filter_map(|record| match &record.entry {
            Entry::Expectation(judged) if judged.form == "invariant" => {
                assert!(!judged.passed);
                let (_, name) = judged.expected.rsplit_once("(invariant ")?;
                Some(name.trim_end_matches(')').to_owned())
            }
            _ => None,
        })
        .collect()
}

const OPTIONS: PlayOptions = PlayOptions { seed: 3 };

#[test]
fn an_edge_that_breaks_with_valid_certificates_is_reported() {
    let steps = "  steps:\n    - copy: { from: 'cp1:/etc/kubernetes/pki/etcd/peer.crt', to: '@cp2:/etc/kubernetes/pki/etcd/peer.crt' }\n    - copy: { from: 'cp1:/etc/kubernetes/pki/etcd/peer.key', to: '@cp2:/etc/kubernetes/pki/etcd/peer.key' }\n";
    let run = play(&scenario("controlPlane: 3", steps), &OPTIONS);
    assert_eq!(broken(&run), ["validEdges"]);
    assert_eq!(run.verdict, Verdict::Failed);
    let excused =
        format!("  optOut: [{{ invariant: validEdges, because: names are wrong }}]\n{steps}");
    let run = play(&scenario("controlPlane: 3", &excused), &OPTIONS);
    assert_eq!(run.verdict, Verdict::Passed);
}

#[test]
fn a_certificate_that_is_accepted_after_its_end_is_reported() {
    let scenario = scenario("controlPlane: 1", "  steps:\n    - walk: 400d\n");
    assert_eq!(play(&scenario, &OPTIONS).verdict, Verdict::Passed);
    let run = play_without(&scenario, &OPTIONS, Mechanism::Expiry);
    assert_eq!(broken(&run), ["validity"]);
}

#[test]
fn a_renewal_that_changes_a_name_is_reported() {
    let scenario = scenario(
        "controlPlane: 1",
        "  steps:\n    - edit: { nodes: '@cp1', path: /own.yaml, content: \"apiVersion: kubeadm.k8s.io/v1beta4\\nkind: ClusterConfiguration\\nkubernetesVersion: v1.36.3\\napiServer: { certSANs: [other.example.com] }\\n\" }\n    - kubeadm: certs renew apiserver --config /own.yaml\n",
    );
    assert_eq!(play(&scenario, &OPTIONS).verdict, Verdict::Passed);
    // With the names of the ConfigMap instead of the certificate's, RSA or not: the invariant sees other names.
    let renamed = scenario_with_san();
    let run = play_without(&renamed, &OPTIONS, Mechanism::IdentityFromCertificate);
    assert_eq!(broken(&run), ["identity"]);
}

/// A cluster whose certificate was made with a name that its configuration no longer has.
fn scenario_with_san() -> Scenario {
    scenario(
        "controlPlane: 1",
        "  steps:\n    - edit: { nodes: '@cp1', path: /own.yaml, content: \"apiVersion: kubeadm.k8s.io/v1beta4\\nkind: ClusterConfiguration\\nkubernetesVersion: v1.36.3\\napiServer: { certSANs: [other.example.com] }\\n---\\napiVersion: kubeadm.k8s.io/v1beta4\\nkind: InitConfiguration\\nlocalAPIEndpoint: { advertiseAddress: 10.0.0.10 }\\nnodeRegistration: { name: cp1 }\\n\" }\n    - remove: { nodes: '@cp1', paths: [/etc/kubernetes/pki/apiserver.crt, /etc/kubernetes/pki/apiserver.key] }\n    - kubeadm: init phase certs apiserver --config /own.yaml\n    - renew: { nodes: '@cp1', name: apiserver }\n",
    )
}

#[test]
fn a_kubelet_that_loses_its_certificate_without_need_is_reported() {
    let steps = "  steps:\n    - walk: to day 300\n    - renew: { nodes: '@cp1', name: all }\n    - moveManifests: { nodes: '@cp1', untilRestarted: true }\n    - walk: to day 400\n";
    let scenario = scenario("controlPlane: 1, worker: 1", steps);
    assert_eq!(play(&scenario, &OPTIONS).verdict, Verdict::Passed);
    let run = play_without(&scenario, &OPTIONS, Mechanism::KubeletRotation);
    assert_eq!(broken(&run), ["kubeletCertificate"]);
}

#[test]
fn restarting_all_members_at_once_is_reported_and_one_after_the_other_is_not() {
    let at_once = play(
        &scenario(
            "controlPlane: 3",
            "  steps:\n    - moveManifests: { nodes: '@cp*', components: [etcd], untilRestarted: true }\n",
        ),
        &OPTIONS,
    );
    assert_eq!(broken(&at_once), ["etcdQuorum"]);
    let rolling = play(
        &scenario(
            "controlPlane: 3",
            "  steps:\n    - moveManifests: { nodes: '@cp1', components: [etcd], untilRestarted: true }\n    - moveManifests: { nodes: '@cp2', components: [etcd], untilRestarted: true }\n    - moveManifests: { nodes: '@cp3', components: [etcd], untilRestarted: true }\n",
        ),
        &OPTIONS,
    );
    assert_eq!(rolling.verdict, Verdict::Passed);
}
