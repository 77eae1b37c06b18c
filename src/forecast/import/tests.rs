//! Pastes as they come, and texts that are none.

use proptest::prelude::*;

use super::*;
use crate::run::trace::Verdict;
use crate::run::{PlayOptions, play};
use crate::scenario;

/// Imports, lints without a warning, and plays; returns the scenario.
#[track_caller]
fn works(text: &str, hints: &Hints) -> String {
    let yaml = import(text, hints).unwrap();
    let scenarios = scenario::load("imported.yaml", &yaml)
        .unwrap_or_else(|errors| panic!("{}\n{yaml}", errors.render(scenario::Style::Plain, 120)));
    let warnings = scenario::lint(&scenarios);
    assert!(warnings.is_empty(), "{warnings:?}\n{yaml}");
    for one in &scenarios {
        let run = play(one, &PlayOptions { seed: 0 });
        assert_eq!(
            run.verdict,
            Verdict::Passed,
            "{:#?}\n{yaml}",
            run.records.last()
        );
    }
    yaml
}

const TABLE: &str = "\
[root@master ~]# kubeadm certs check-expiration
[check-expiration] Reading configuration from the cluster...
[check-expiration] FYI: You can look at this config file with 'kubectl -n kube-system get cm kubeadm-config -o yaml'

CERTIFICATE                EXPIRES                  RESIDUAL TIME   CERTIFICATE AUTHORITY   EXTERNALLY MANAGED
admin.conf                 Dec 30, 2020 23:36 UTC   364d            ca                      no
apiserver                  Dec 30, 2020 23:36 UTC   364d            ca                      no
apiserver-etcd-client      Dec 30, 2020 23:36 UTC   364d            etcd-ca                 no
apiserver-kubelet-client   Dec 30, 2020 23:36 UTC   364d            ca                      no
controller-manager.conf    Dec 30, 2020 23:36 UTC   364d            ca                      no
etcd-healthcheck-client    Dec 30, 2020 23:36 UTC   364d            etcd-ca                 no
etcd-peer                  Dec 30, 2020 23:36 UTC   364d            etcd-ca                 no
etcd-server                Dec 30, 2020 23:36 UTC   364d            etcd-ca                 no
front-proxy-client         Dec 30, 2020 23:36 UTC   364d            front-proxy-ca          no
scheduler.conf             Dec 30, 2020 23:36 UTC   364d            ca                      no

CERTIFICATE AUTHORITY   EXPIRES                  RESIDUAL TIME   EXTERNALLY MANAGED
ca                      Dec 28, 2029 23:36 UTC   9y              no
etcd-ca                 Dec 28, 2029 23:36 UTC   9y              no
front-proxy-ca          Dec 28, 2029 23:36 UTC   9y              no
";

#[test]
fn the_documentations_own_table() {
    let yaml = works(TABLE, &Hints::default());
    assert!(yaml.contains("version: v1.28.15"), "{yaml}");
    assert!(
        yaml.contains("apiserver: { notAfter: 2020-12-30T23:36:00Z }"),
        "{yaml}"
    );
    assert!(yaml.contains("front-proxy-ca: 9y"), "{yaml}");
    // The prompt is understood, nothing is left over.
    assert!(!yaml.contains("mean nothing"), "{yaml}");
}

#[test]
fn one_table_without_trailing_blanks_between_logs() {
    let text = "\
W0131 10:20:30.123456    1234 validation.go:28] Cannot validate kube-proxy config
Mär 12 09:00:00 node kubelet[123]: E0312 certificate has expired
CERTIFICATE EXPIRES RESIDUAL TIME EXTERNALLY MANAGED
apiserver Jun 01, 2026 10:00 UTC 12h no
etcd-server May 01, 2026 10:00 UTC <invalid> no
> etcd-peer May 01, 2026 10:00 UTC <invalid> no
something else entirely
";
    let yaml = works(text, &Hints::default());
    assert!(yaml.contains("version: v1.16.15"), "{yaml}");
    assert!(
        yaml.contains("etcd-server: <invalid>") && yaml.contains("apiserver: 12h"),
        "{yaml}"
    );
    assert!(yaml.contains("#   something else entirely"), "{yaml}");
    assert!(yaml.contains("has ended"), "{yaml}");
}

#[test]
fn a_missing_file_and_a_table_where_all_has_ended() {
    let text = "CERTIFICATE EXPIRES RESIDUAL TIME CERTIFICATE AUTHORITY EXTERNALLY MANAGED\n\
                apiserver May 02, 2026 10:00 UTC <invalid> ca no\n\
                etcd-peer May 01, 2026 10:00 UTC <invalid> etcd-ca no\n\
                !MISSING! scheduler.conf\n";
    let yaml = works(text, &Hints::default());
    assert!(
        yaml.contains("paths: [/etc/kubernetes/scheduler.conf]"),
        "{yaml}"
    );
    assert!(yaml.contains("until 2026-05-03T10:00:02Z"), "{yaml}");
}

#[test]
fn the_table_of_every_version_comes_back() {
    use crate::cluster::{Spec, World};
    use crate::time::SignedDuration;
    for version in ["v1.16.15", "v1.17.17", "v1.28.15", "v1.34.4", "v1.37.2"] {
        for days in [1, 200, 364, 370] {
            let mut world = World::new(Spec {
                start: "2026-03-01T07:08:09Z".parse().unwrap(),
                seed: 3,
                ..Spec::of(version.parse().unwrap())
            });
            world.create_cluster().unwrap();
            world.walk(SignedDuration::from_hours(24 * days));
            let hints = Hints {
                version: Some(version.parse().unwrap()),
                ..Hints::default()
            };
            let printed = world.check_expiration(0).stdout;
            let yaml = works(&printed, &hints);
            for line in printed.lines().filter(|line| line.contains(" UTC ")) {
                let words: Vec<&str> = line.split_whitespace().collect();
                assert!(
                    yaml.contains(&format!("          {}: {}\n", words[0], words[6])),
                    "{version} day {days}: {line}\n{yaml}"
                );
            }
        }
    }
}

#[test]
fn json_and_yaml_say_it_to_the_second() {
    use crate::cluster::{Spec, World};
    let mut world = World::new(Spec {
        start: "2026-03-01T07:08:09Z".parse().unwrap(),
        seed: 3,
        ..Spec::of("v1.36.3".parse().unwrap())
    });
    world.create_cluster().unwrap();
    for format in ["json", "yaml"] {
        let args = ["certs", "check-expiration", "-o", format].map(str::to_owned);
        let printed = world.kubeadm(0, &args).stdout;
        let text = format!("$ kubeadm certs check-expiration -o {format}\n{printed}\n$ exit\n");
        let yaml = works(&text, &Hints::default());
        assert!(yaml.contains("to the second"), "{yaml}");
        assert!(
            yaml.contains("super-admin.conf: { notAfter: 2027-03-01T07:0"),
            "{yaml}"
        );
    }
    let minimal = "{\"certificates\":[{\"name\":\"apiserver\",\"expirationDate\":\"2027-01-01T00:00:00Z\",\"residualTime\":86400}]}";
    assert!(works(minimal, &Hints::default()).contains("2026-12-31T00:00:00Z"));
}

#[test]
fn openssl_in_its_forms() {
    let dump = "\
# for c in /etc/kubernetes/pki/*.crt; do echo $c; openssl x509 -noout -dates -in $c; done
/etc/kubernetes/pki/apiserver.crt
notBefore=Jan  1 00:00:00 2026 GMT
notAfter=Jan  1 00:00:00 2027 GMT
/etc/kubernetes/pki/etcd/server.crt
notBefore=Jan  1 00:00:00 2026 GMT
notAfter=Mar  5 01:02:03 2026 GMT
Certificate:
    Data:
        Version: 3 (0x2)
        Issuer: CN = kubernetes
        Validity
            Not Before: Jan  1 00:00:00 2026 GMT
            Not After : Feb  3 04:05:06 2027 GMT
        Subject: O = system:masters, CN = kube-apiserver-kubelet-client
        X509v3 extensions:
            X509v3 Extended Key Usage:
                TLS Web Client Authentication
";
    let yaml = works(dump, &Hints::default());
    assert!(
        yaml.contains(
            "apiserver: { notBefore: 2026-01-01T00:00:00Z, notAfter: 2027-01-01T00:00:00Z }"
        ),
        "{yaml}"
    );
    assert!(
        yaml.contains(
            "etcd-server: { notBefore: 2026-01-01T00:00:00Z, notAfter: 2026-03-05T01:02:03Z }"
        ),
        "{yaml}"
    );
    assert!(yaml.contains("apiserver-kubelet-client: { notBefore: 2026-01-01T00:00:00Z, notAfter: 2027-02-03T04:05:06Z }"), "{yaml}");
    let nameless = "subject=CN = somebody\nnotAfter=Mar  5 01:02:03 2026 GMT\nsubject=CN = kube-apiserver\nnotAfter=Mar  5 01:02:03 2026 GMT\n";
    let yaml = works(
        nameless,
        &Hints {
            at: Some("2026-04-01T00:00:00Z".parse().unwrap()),
            ..Hints::default()
        },
    );
    assert!(
        yaml.contains("nothing says which file") && yaml.contains("apiserver: <invalid>"),
        "{yaml}"
    );
}

/// What is expected of requests.
fn expected(yaml: &str) -> Vec<&str> {
    yaml.lines()
        .map(str::trim)
        .filter_map(|line| line.strip_prefix("- { csr: "))
        .collect()
}

#[test]
fn a_node_that_has_joined_waits_for_its_serving_certificate() {
    let text = "\
[jane@laptop ~]$ kubectl get csr
NAME        AGE   SIGNERNAME                                    REQUESTOR                 REQUESTEDDURATION   CONDITION
csr-9wvgt   3m    kubernetes.io/kubelet-serving                 system:node:worker-1      <none>              Pending
csr-lz97v   4m    kubernetes.io/kube-apiserver-client-kubelet   system:bootstrap:ab12cd   <none>              Approved,Issued
[jane@laptop ~]$
";
    let yaml = works(text, &Hints::default());
    for line in [
        "    serverTLSBootstrap: true",
        "    joinLater: \"@w1\"",
        "    - join: \"@w1\"",
        "#   csr-9wvgt  3m  kubernetes.io/kubelet-serving  system:node:worker-1  <none>  Pending",
    ] {
        assert!(yaml.lines().any(|one| one == line), "{line}\n{yaml}");
    }
    assert!(yaml.contains("worker-1 is w1"), "{yaml}");
    assert_eq!(
        expected(&yaml),
        [
            "{ of: \"@w1\", signer: kubernetes.io/kube-apiserver-client-kubelet, pending: 0, issued: 1 } }",
            "{ of: \"@w1\", signer: kubernetes.io/kubelet-serving, pending: 1 } }"
        ],
        "{yaml}"
    );
    assert!(!yaml.contains("Not so in this cluster"), "{yaml}");
}

#[test]
fn kubelets_that_nobody_approves_ask_again_and_again() {
    // kubernetes#73356: one request every quarter of an hour.
    let text = "\
NAME        AGE     REQUESTOR            CONDITION
csr-24ffn   31m     system:node:master   Pending
csr-2kkbd   16m     system:node:master   Pending
csr-58k2w   68s     system:node:master   Pending
csr-6bpg5   20m     system:node:node-1   Pending
csr-7wzbt   5m12s   system:node:node-1   Pending
";
    let yaml = works(text, &Hints::default());
    assert!(yaml.contains("version: v1.17.17"), "{yaml}");
    assert!(yaml.contains("names no signer"), "{yaml}");
    assert_eq!(
        expected(&yaml),
        [
            "{ of: \"@cp1\", signer: kubernetes.io/kubelet-serving, pending: 3 } }",
            "{ of: \"@w1\", signer: kubernetes.io/kubelet-serving, pending: 2 } }"
        ],
        "{yaml}"
    );
}

#[test]
fn users_and_their_requests_in_every_state() {
    let text = "\
$ kubectl get csr -o wide --show-labels
NAME   AGE   SIGNERNAME                            REQUESTOR          REQUESTEDDURATION   CONDITION         LABELS
old    45m   kubernetes.io/kube-apiserver-client   jane               24h                 Approved,Issued   team=a
bad    30m   kubernetes.io/kube-apiserver-client   kubernetes-admin   <none>              Approved,Failed   <none>
no     20m   kubernetes.io/kube-apiserver-client   kubernetes-admin   <none>              Denied            <none>
open   55m   kubernetes.io/kube-apiserver-client   oidc:Jane Doe      60m                 Pending           <none>
mine   10m   example.com/mine                      kubernetes-admin   <none>              Approved          <none>
";
    let yaml = works(text, &Hints::default());
    assert_eq!(
        expected(&yaml),
        [
            "{ signer: example.com/mine, pending: 0, approved: 1 } }",
            "{ signer: kubernetes.io/kube-apiserver-client, pending: 1, denied: 1, failed: 1, issued: 1 } }"
        ],
        "{yaml}"
    );
    assert!(yaml.contains("expirationSeconds: 86400"), "{yaml}");
    assert!(
        yaml.contains("by kubernetes-admin, under the common name"),
        "{yaml}"
    );
}

#[test]
fn kubelets_whose_rotation_nobody_approves() {
    let text = "\
NAME        AGE   SIGNERNAME                                    REQUESTOR         CONDITION
csr-9wvgt   12m   kubernetes.io/kube-apiserver-client-kubelet   system:node:w1    Pending
csr-abcde   12m   kubernetes.io/kube-apiserver-client-kubelet   system:node:w2    Pending
";
    let yaml = works(text, &Hints::default());
    assert!(yaml.contains("version: v1.20.15"), "{yaml}");
    assert_eq!(
        yaml.matches("kubectl: delete clusterrolebinding").count(),
        1
    );
    assert_eq!(
        expected(&yaml),
        [
            "{ of: \"@w1\", signer: kubernetes.io/kube-apiserver-client-kubelet, pending: 1 } }",
            "{ of: \"@w2\", signer: kubernetes.io/kube-apiserver-client-kubelet, pending: 1 } }"
        ],
        "{yaml}"
    );
}

#[test]
fn requests_that_no_cluster_has_are_told() {
    let text = "\
NAME   AGE   SIGNERNAME                      REQUESTOR         REQUESTEDDURATION   CONDITION
odd    45m   kubernetes.io/kubelet-serving   jane              <none>              Approved,Issued
mine   10m   example.com/mine                kubernetes-admin  <none>              Approved,Issued
";
    let yaml = works(text, &Hints::default());
    assert!(
        yaml.contains("(not played: such certificates are for nodes"),
        "{yaml}"
    );
    // Nobody plays that signer here.
    assert!(
        yaml.contains("# Not so in this cluster, which has"),
        "{yaml}"
    );
    assert!(
        yaml.contains("#   { csr: { signer: example.com/mine, pending: 0, issued: 1 } }"),
        "{yaml}"
    );
}

#[test]
fn a_table_of_dates_and_a_table_of_requests_in_one_paste() {
    let text = format!(
        "{TABLE}\nroot@master:~# kubectl get csr\nNAME   AGE   REQUESTOR   CONDITION\n\
         csr-24ffn   31m   system:node:master   Pending\n"
    );
    let yaml = works(&text, &Hints::default());
    assert!(
        yaml.contains("apiserver: { notAfter: 2020-12-30T23:36:00Z }"),
        "{yaml}"
    );
    assert!(yaml.contains("          apiserver: 364d\n"), "{yaml}");
    assert!(yaml.contains("serverTLSBootstrap: true"), "{yaml}");
    assert!(!yaml.contains("mean nothing"), "{yaml}");
}

#[test]
fn what_the_model_prints_comes_back() {
    use crate::cluster::{Spec, World};
    use crate::time::SignedDuration;
    for version in ["v1.17.17", "v1.20.15", "v1.36.3"] {
        let mut world = World::new(Spec {
            server_tls_bootstrap: true,
            ..Spec::of(version.parse().unwrap())
        });
        world.create_cluster().unwrap();
        world.walk(SignedDuration::from_mins(100));
        let printed = world.request_table(0, &[]);
        let pending = printed.matches("Pending").count();
        let yaml = works(&printed, &Hints::default());
        let wanted = format!("pending: {pending} }} }}");
        assert!(
            expected(&yaml).iter().any(|one| one.ends_with(&wanted)),
            "{version}\n{printed}\n{yaml}"
        );
    }
}

#[test]
fn a_table_of_cas_alone_is_of_a_version_that_has_one() {
    let text = "CERTIFICATE AUTHORITY   EXPIRES                  RESIDUAL TIME   EXTERNALLY MANAGED\n\
                ca                      May 29, 2036 00:00 UTC   9y              no\n\
                etcd-ca                 May 29, 2036 00:00 UTC   9y              no\n";
    let yaml = import(text, &Hints::default()).unwrap();
    assert!(!yaml.contains("version: v1.16"), "{yaml}");
    assert!(yaml.contains("leave room for 36"), "{yaml}");
    assert!(!yaml.contains("only what has ended"), "{yaml}");
}

#[test]
fn a_certificate_of_no_file_is_asked_for_it() {
    let dates = "notBefore=Jan  1 00:00:00 2026 GMT\nnotAfter=Jan  1 00:00:00 2027 GMT\n";
    let error = import(dates, &Hints::default()).unwrap_err();
    assert_eq!(error, ImportError::Nameless(1));
    // Colours are around the subject.
    let coloured = format!("\u{1b}[31msubject=CN=kube-apiserver\u{1b}[0m\n{dates}");
    assert!(
        import(&coloured, &Hints::default())
            .unwrap()
            .contains("apiserver")
    );
}

#[test]
fn lines_that_are_left_out_are_counted() {
    let noise = |lines: usize| -> String { (0..lines).map(|n| format!("I{n} noise\n")).collect() };
    let yaml = import(&(noise(203) + TABLE), &Hints::default()).unwrap();
    assert!(
        yaml.contains("#   I199 noise\n#   and 3 more, which are left out\n"),
        "{yaml}"
    );
    assert!(!yaml.contains("I200 noise"));
    let yaml = import(&(noise(200) + TABLE), &Hints::default()).unwrap();
    assert!(
        yaml.contains("#   I199 noise\n") && !yaml.contains("left out"),
        "{yaml}"
    );
}

#[test]
fn garbage_is_refused() {
    for text in [
        "",
        "hello\nworld",
        "{}",
        "apiVersion: v1\nkind: Pod\n",
        "apiserver tomorrow",
    ] {
        assert_eq!(
            import(text, &Hints::default()),
            Err(ImportError::Nothing),
            "{text:?}"
        );
    }
    let far = TABLE.replace("2020", "0001").replace("2029", "9999");
    assert!(matches!(
        import(&far, &Hints::default()),
        Err(ImportError::Dates(_))
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,400}") {
        let _ = import(&text, &Hints::default());
    }

    #[test]
    fn no_change_to_a_table_makes_it_panic_or_write_what_cannot_be_loaded(
        cuts in proptest::collection::vec((0..TABLE.len(), "\\PC{0,8}"), 1..6)
    ) {
        let mut text = TABLE.to_owned();
        for (at, piece) in cuts {
            let at = (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            text.insert_str(at, &piece);
        }
        if let Ok(yaml) = import(&text, &Hints::default()) {
            let loaded = scenario::load("x.yaml", &yaml);
            prop_assert!(loaded.is_ok(), "{yaml}");
        }
    }
}
