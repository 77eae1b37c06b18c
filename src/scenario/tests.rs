//! What people see when they get the format wrong, and that nothing they write makes certdrill fall over.

mod mistakes;

use proptest::prelude::*;

use super::*;

const EVERYTHING: &str = include_str!("everything.yaml");

fn with(steps: &str) -> String {
    format!(
        "apiVersion: certdrill/v1\nkind: Scenario\nmetadata:\n  name: mistake\n  title: A mistake\nspec:\n  cluster:\n    version: v1.36.3\n  steps:\n{steps}"
    )
}

fn errors(text: &str) -> String {
    load("mistake.yaml", text)
        .expect_err("a mistake must be reported")
        .render(Style::Plain, 100)
}

fn loaded(text: &str) -> Vec<Scenario> {
    load("good.yaml", text).unwrap_or_else(|errors| panic!("{}", errors.render(Style::Plain, 100)))
}

fn steps(scenario: &Scenario) -> Vec<String> {
    scenario
        .steps
        .iter()
        .map(|step| step.action.describe())
        .collect()
}

#[test]
fn steps_of_real_clusters_say_what_they_do() {
    let text = with(
        "    - exec: ./own.sh\n    - image: own:1\n    - image: { archive: own.tar, nodes: \"@w*\" }\n    - apply: \
         own.txt\n    - apply: { manifest: \"kind: List\", nodes: \"@cp2\", exitCode: 1 }\n",
    )
    .replace("spec:\n", "spec:\n  backends: [kind]\n");
    assert_eq!(
        steps(&loaded(&text)[0]),
        [
            "exec ./own.sh on cp1",
            "load image own:1 into all",
            "load images of own.tar into w*",
            "apply own.txt on cp1",
            "apply a manifest on cp2, which exits 1",
        ]
    );
}

#[test]
fn the_illustration_of_the_design_is_a_scenario() {
    let scenarios = loaded(include_str!("illustration.yaml"));
    let [old, new] = scenarios.as_slice() else {
        panic!("{scenarios:?}")
    };
    assert_eq!(old.id(), "kubelet-conf-embedded/version=v1.16.15");
    assert_eq!(
        old.backends,
        [Backend::Sim, Backend::Kubeadm, Backend::Kind]
    );
    assert_eq!((old.cluster.control_planes, old.cluster.workers), (1, 1));
    assert_eq!(
        steps(old),
        [
            "walk 300d",
            "expect kubelet@cp1 -> kube-apiserver is ok",
            "walk 100d",
            "restart kubelet@cp1",
            "expect kubelet@cp1 is exited and logged \"part of the existing bootstrap client certificate\"",
        ]
    );
    assert_eq!(steps(new)[4], "expect kubelet@cp1 is running");
}

#[test]
fn every_key_of_the_format_is_read() {
    let scenarios = loaded(EVERYTHING);
    let ids: Vec<String> = scenarios.iter().map(Scenario::id).collect();
    assert_eq!(
        ids,
        [
            "everything/fix=yes,version=v1.34.4",
            "everything/fix=no,version=v1.34.4",
            "everything/fix=yes,version=v1.36.3",
            "everything/fix=no,version=v1.36.3",
        ]
    );
    assert_eq!(scenarios[3].title, "Every key of the format, on v1.36.3");
    insta::assert_debug_snapshot!(steps(&scenarios[3]), @r#"
    [
        "make the CA \"ACME root\" as /root/acme/root.crt on cp1",
        "make a certificate for \"server\" with /root/acme/root.key as /root/acme/server.crt on cp1",
        "sign /root/csr/apiserver.csr with /root/acme/root.key as /root/csr/apiserver.crt on cp1",
        "make the CA \"kubernetes\" as /etc/kubernetes/pki/ca.crt on cp1",
        "init",
        "init, which exits 1",
        "a remark",
        "walk 300d",
        "walk until 2027-01-01T00:00:00Z",
        "walk to day 400.5",
        "jump 370d",
        "step back 10m",
        "skew cp2 by -6m",
        "power all off for 400d",
        "power cp2 off for 400d",
        "renew apiserver on cp1",
        "renew no-such-certificate on cp1, which exits 3",
        "check expiration on cp1",
        "check expiration on cp*",
        "join cp3",
        "join w2 without certificate key, which exits 1",
        "join cp3 with the first certificate key, which exits 1",
        "join cp3 with a certificate key of its own, which exits 1",
        "reset cp3",
        "upgrade all to v1.36.3",
        "upgrade cp* to v1.37.2 --certificate-renewal=false --etcd-upgrade=false, which exits 1",
        "upgrade cp* to v1.37.2 --config=/root/upgrade.yaml",
        "kubeadm certs renew all on cp1",
        "kubeadm kubeconfig user --org system:nodes > /root/new.conf on cp1, which exits 1",
        "kubectl get csr on cp1",
        "kubectl delete clusterrolebinding kubeadm:node-autoapprove-certificate-rotation on cp2, which exits 1",
        "approve pending requests",
        "approve pending requests for kubernetes.io/kubelet-serving of w1",
        "deny pending requests",
        "deny pending requests of w*",
        "request a certificate of kubernetes.io/kubelet-serving as system:node:w1 for cp1, cp1.example, 10.0.0.10 with w1:/etc/kubernetes/kubelet.conf, which exits 1",
        "remove the approver of serving certificates",
        "edit kubelet of ConfigMap kubelet-config",
        "edit kubelet of ConfigMap kubelet-config",
        "edit ClusterConfiguration of ConfigMap kubeadm-config",
        "restart kubelet@cp1",
        "stop control-plane@cp1",
        "start control-plane@cp1",
        "reboot cp2",
        "move all manifests away for 20s and back on cp1",
        "move the manifest of kube-apiserver away for 20s and back on cp1",
        "move all manifests away and back on cp1, until restarted",
        "move all manifests away on cp1",
        "move all manifests back on cp1",
        "write /etc/motd on cp1",
        "set client-certificate-data in /etc/kubernetes/kubelet.conf on cp1",
        "chmod 0600 /etc/kubernetes/admin.conf on cp1",
        "set --cluster-signing-cert-file=/etc/kubernetes/pki/signing.crt in /etc/kubernetes/manifests/kube-controller-manager.yaml on cp1",
        "write /etc/kubernetes/pki/ca.crt on cp* from /root/new/ca.crt, /root/old/ca.crt",
        "embed /etc/kubernetes/pki/ca.crt, /root/admin.crt, /root/admin.key in /etc/kubernetes/admin.conf on cp1",
        "replace \"a\" in /etc/kubernetes/manifests/kube-controller-manager.yaml on cp1",
        "append \"serverTLSBootstrap: true\" to /var/lib/kubelet/config.yaml on w1",
        "remove /etc/kubernetes/pki/apiserver.crt on cp1",
        "copy cp1:/etc/kubernetes/admin.conf to cp2:/root/.kube/config",
        "expect kubelet@cp1 -> kube-apiserver is ok",
        "expect the open connection of kube-apiserver@cp1 -> etcd@cp1 is failing with \"certificate has expired\"",
        "expect every edge is ok",
        "expect kubelet@cp1 is running and logged \"a\" and did not log \"b\" and was restarted and has not loaded what /a holds",
        "expect kubelet@cp1 is exited and logged \"part of the existing bootstrap client certificate\"",
        "expect certificate apiserver on cp1 exists and is valid and has at least 300 days left and was renewed and is at most 1 days old and was issued 2 times so far",
        "expect certificate apiserver on cp* has CN kube-apiserver, O [], names cp1, 10.0.0.10, no name of cp2, the signature of /etc/kubernetes/pki/ca.crt, a key of Rsa2048, notBefore 2026-01-01T00:00:00Z, notAfter 2027-01-01T00:00:00Z, 1 in its file",
        "expect certificate /var/lib/kubelet/pki/kubelet.crt on cp* has 1 to 30 days left",
        "expect the last command on cp1 exited 0 and printed \"a\" and printed \"b\" and did not print \"c\" and printed to stderr \"d\"",
        "expect RESIDUAL TIME on cp1 is 364d for every row, <invalid> for apiserver",
        "expect /etc/motd on cp1 exists and contains \"a\" and does not contain \"b\" and has mode 0644 and is a link to /etc/issue",
        "expect etcd has a quorum and has 3 members that answer",
        "expect node w1 is Ready",
        "expect the CSR API has 0 pending requests and has issued at least 1",
        "expect the CSR API for w1 and kubernetes.io/kubelet-serving has 1 approved and unsigned requests and has 2 denied requests and has 3 failed requests and has 4 issued requests and lists at least 5 and lists at most 6 and says \"a\"",
        "expect /root/mine.pem on w1 is refused as that of client cp1 with \"a\"",
        "expect metrics-server@w1 -> kubelet@cp1 is ok",
        "expect it to fail that user@cp1 -> kube-apiserver is ok, because \"certificate has expired\"",
    ]
    "#);
}

#[test]
fn positions_point_at_what_was_written() {
    let scenarios = loaded(EVERYTHING);
    for step in &scenarios[0].steps {
        let written = &EVERYTHING[step.at.range(EVERYTHING)];
        let line = EVERYTHING.lines().nth(step.at.line as usize - 1).unwrap();
        assert!(line.contains(written), "{written:?} is not in {line:?}");
        assert_eq!(line.find(written).unwrap() + 1, step.at.column as usize);
    }
}

#[test]
fn the_same_slip_in_every_variant_is_told_once() {
    let text = EVERYTHING.replace("- walk: 300d", "- wlak: 300d");
    assert_eq!(load("x.yaml", &text).unwrap_err().problems.len(), 1);
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let text = with(concat!(
        "    - expect: { edge: \"etcd -> apiserver\", is: ok }\n",
        "    - expect: { node: \"@w1\", ready: true }\n",
        "    - expectFailure: { edges: all, is: ok }\n",
        "    - restart: kubelet@cp2\n",
    ));
    let warnings: Vec<String> = lint(&loaded(&text))
        .iter()
        .map(|warning| warning.render("x.yaml", &text, Style::Plain, 100))
        .collect();
    insta::assert_snapshot!(warnings.join("\n\n"), @r#"
    warning: etcd never connects to kube-apiserver [unknown-edge]
      --> x.yaml:10:17
       |
    10 |     - expect: { edge: "etcd -> apiserver", is: ok }
       |                 ^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: edges are kubelet, controller-manager, scheduler, admin, user, extension -> apiserver; apiserver -> itself, etcd, kubelet, extension; etcd -> etcd; metrics-server -> kubelet

    warning: the cluster has no node w1 [no-such-node]
      --> x.yaml:11:17
       |
    11 |     - expect: { node: "@w1", ready: true }
       |                 ^^^^^^^^^^^
       |
       = help: its nodes are cp1

    warning: this control accepts any failure, also one for the wrong reason [failure-without-because]
      --> x.yaml:12:24
       |
    12 |     - expectFailure: { edges: all, is: ok }
       |                        ^^^^^^^^^^
       |
       = help: add `because:` with text that must be part of what is seen

    warning: nothing is expected after this step, so it cannot fail [nothing-expected]
      --> x.yaml:13:7
       |
    13 |     - restart: kubelet@cp2
       |       ^^^^^^^^^^^^^^^^^^^^
       |
       = help: add an `expect` behind it, or `always` under `spec`

    warning: the cluster has no node cp2 [no-such-node]
      --> x.yaml:13:7
       |
    13 |     - restart: kubelet@cp2
       |       ^^^^^^^^^^^^^^^^^^^^
       |
       = help: its nodes are cp1
    "#);
}

#[test]
fn a_fix_without_a_control_is_a_warning() {
    let text = with("    - walk: 1d\n    - expect: { edges: all, is: ok }\n")
        .replace("spec:\n", "spec:\n  matrix: { fix: [yes, no] }\n");
    let rules: Vec<_> = lint(&loaded(&text)).iter().map(|w| w.rule).collect();
    assert_eq!(rules, [Some("no-control")]);
}

#[test]
fn too_much_is_refused() {
    let long = format!(
        "{}# {}",
        with("    - walk: 1d\n"),
        "x".repeat(FILE_BYTES_MAX)
    );
    assert!(errors(&long).contains("a scenario has at most 1048576"));
    let axis = format!("[{}]", "a, ".repeat(20));
    let many = with("    - walk: 1d\n").replace(
        "spec:\n",
        &format!("spec:\n  matrix: {{ a: {axis}, b: {axis} }}\n"),
    );
    assert!(errors(&many).contains("more than 256 variants"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_an_answer_and_not_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&bytes);
        if let Err(errors) = load("any.yaml", &text) {
            prop_assert!(!errors.problems.is_empty());
            let _ = errors.render(Style::Coloured, 80);
        }
    }

    #[test]
    fn any_change_to_a_file_is_an_answer_and_not_a_panic(
        cut in 0..EVERYTHING.len(),
        len in 0..40_usize,
        insert in "[ -~\\n\\t]{0,6}|[{}\\[\\]:,&*!|>'\"%@-]{1,4}|\\PC{1,3}",
    ) {
        let end = (cut + len).min(EVERYTHING.len());
        prop_assume!(EVERYTHING.is_char_boundary(cut) && EVERYTHING.is_char_boundary(end));
        let text = format!("{}{insert}{}", &EVERYTHING[..cut], &EVERYTHING[end..]);
        match load("changed.yaml", &text) {
            Ok(scenarios) => {
                for warning in lint(&scenarios) {
                    let _ = warning.render("changed.yaml", &text, Style::Plain, 80);
                }
            }
            Err(errors) => {
                prop_assert!(!errors.problems.is_empty());
                let _ = errors.render(Style::Plain, 80);
            }
        }
    }
}
