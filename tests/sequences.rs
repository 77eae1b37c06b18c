//! The model against the real kubeadm over sequences that nobody thought of: whatever is done to a node, both
//! must say and leave the same after each step.
//!
//! A sequence is a scenario. One in which the two differ shrinks to the shortest that still does and is written
//! to `target/parity/`, ready to be committed. `PARITY_SEQUENCES` is the number for each version (3 unless said
//! otherwise; `ci/parity.sh` runs 30, `ci/parity.sh long` as many as you like), `PARITY_SEED` another start.

#![expect(
    clippy::disallowed_methods,
    reason = "a test writes what it found and stops where something is missing"
)]

use certdrill::cluster::Model;
use certdrill::real::engines::Engines;
use certdrill::real::kubeadm::Binary;
use certdrill::run::parity::{Comparison, compare};
use certdrill::run::{PlayOptions, play_with};
use certdrill::scenario;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// Versions, and what they can be upgraded to with a binary that CI has.
const VERSIONS: [(&str, &str, Option<&str>); 2] = [
    ("v1.28.15", "kubeadm.k8s.io/v1beta3", None),
    ("v1.36.3", "kubeadm.k8s.io/v1beta4", Some("v1.37.2")),
];
const CERTIFICATES: [&str; 10] = [
    "apiserver",
    "apiserver-kubelet-client",
    "apiserver-etcd-client",
    "front-proxy-client",
    "etcd/server",
    "etcd/peer",
    "etcd/healthcheck-client",
    "ca",
    "front-proxy-ca",
    "etcd/ca",
];
const RENEWABLE: [&str; 11] = [
    "all",
    "apiserver",
    "apiserver-kubelet-client",
    "apiserver-etcd-client",
    "front-proxy-client",
    "etcd-server",
    "etcd-peer",
    "etcd-healthcheck-client",
    "admin.conf",
    "controller-manager.conf",
    "scheduler.conf",
];
const KUBECONFIGS: [&str; 3] = ["admin", "controller-manager", "scheduler"];
const GARBAGE: [&str; 5] = [
    "",
    "garbage",
    "-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n",
    "-----BEGIN RSA PRIVATE KEY-----\\nAAAA\\n-----END RSA PRIVATE KEY-----\\n",
    "apiVersion: v1\\nkind: Config\\n",
];

#[derive(Debug, Clone)]
enum Operation {
    Walk(&'static str),
    Skew(&'static str),
    Renew(&'static str),
    CheckExpiration,
    Remove(&'static str, &'static str),
    RemoveKubeconfig(&'static str),
    Damage(&'static str, &'static str, &'static str),
    DamageKubeconfig(&'static str, &'static str),
    Swap(&'static str, &'static str),
    ChangeAuthority(&'static str, &'static str),
    Configure(&'static str),
    InitCertificate(&'static str),
    InitKubeconfig(&'static str),
    Upgrade(bool),
    RestartKubelet,
}

impl Operation {
    fn yaml(&self, api: &str, version: &str, next: Option<&str>) -> String {
        let step = |step: String| format!("    - {step}\n");
        let edit = |path: String, content: &str| {
            step(format!(
                "edit: {{ nodes: \"@cp1\", path: {path}, content: \"{content}\" }}"
            ))
        };
        let kubeadm = |args: String| step(format!("kubeadm: {{ nodes: \"@cp1\", args: {args} }}"));
        match self {
            Self::Walk(span) => step(format!("walk: {span}")),
            Self::Skew(by) => step(format!("skew: {{ nodes: \"@cp1\", by: {by} }}")),
            Self::Renew(name) => step(format!("renew: {{ nodes: \"@cp1\", name: {name} }}")),
            Self::CheckExpiration => step("checkExpiration: \"@cp1\"".to_owned()),
            Self::Remove(name, ending) => step(format!(
                "remove: {{ nodes: \"@cp1\", paths: [/etc/kubernetes/pki/{name}.{ending}] }}"
            )),
            Self::RemoveKubeconfig(name) => step(format!(
                "remove: {{ nodes: \"@cp1\", paths: [/etc/kubernetes/{name}.conf] }}"
            )),
            Self::Damage(name, ending, content) => {
                edit(format!("/etc/kubernetes/pki/{name}.{ending}"), content)
            }
            Self::DamageKubeconfig(name, content) => {
                edit(format!("/etc/kubernetes/{name}.conf"), content)
            }
            Self::Swap(from, to) => step(format!(
                "copy: {{ from: \"cp1:/kept/{from}.crt\", to: \"@cp1:/etc/kubernetes/pki/{to}.crt\" }}"
            )),
            Self::ChangeAuthority(file, phase) => {
                step(format!(
                    "remove: {{ nodes: \"@cp1\", paths: [/etc/kubernetes/pki/{file}.crt, /etc/kubernetes/pki/{file}.key] }}"
                )) + &kubeadm(format!("init phase certs {phase} --config /kubeadm.yaml"))
            }
            Self::Configure(extra) => edit(
                "/kubeadm.yaml".to_owned(),
                &format!(
                    "apiVersion: {api}\\nkind: InitConfiguration\\nlocalAPIEndpoint:\\n  advertiseAddress: 10.0.0.10\\n\
                     nodeRegistration:\\n  name: cp1\\n---\\napiVersion: {api}\\nkind: ClusterConfiguration\\n\
                     kubernetesVersion: {version}\\n{extra}"
                ),
            ),
            Self::InitCertificate(phase) => {
                kubeadm(format!("init phase certs {phase} --config /kubeadm.yaml"))
            }
            Self::InitKubeconfig(phase) => kubeadm(format!(
                "init phase kubeconfig {phase} --config /kubeadm.yaml"
            )),
            Self::Upgrade(renewal) => step(format!(
                "upgrade: {{ to: {}, certificateRenewal: {renewal} }}",
                next.unwrap_or(version)
            )),
            Self::RestartKubelet => step("restart: kubelet@cp1".to_owned()),
        }
    }
}

fn operation() -> impl Strategy<Value = Operation> {
    use prop::sample::select;
    let ending = || select(&["crt", "key"][..]);
    let configurations = [
        "apiServer:\\n  certSANs: [api.example.test, 203.0.113.7]\\n",
        "controlPlaneEndpoint: api.example.test:6443\\n",
        "networking:\\n  serviceSubnet: 10.200.0.0/16\\n  dnsDomain: example.test\\n",
        "certificatesDir: /etc/kubernetes/other\\n",
        "clusterName: other\\n",
    ];
    prop_oneof![
        3 => select(&["1h", "30d", "200d", "366d"][..]).prop_map(Operation::Walk),
        1 => select(&["6m", "3d", "-2h"][..]).prop_map(Operation::Skew),
        4 => select(&RENEWABLE[..]).prop_map(Operation::Renew),
        2 => Just(Operation::CheckExpiration),
        2 => (select(&CERTIFICATES[..]), ending()).prop_map(|(name, end)| Operation::Remove(name, end)),
        1 => select(&KUBECONFIGS[..]).prop_map(Operation::RemoveKubeconfig),
        2 => (select(&CERTIFICATES[..]), ending(), select(&GARBAGE[..]))
            .prop_map(|(name, end, content)| Operation::Damage(name, end, content)),
        1 => (select(&KUBECONFIGS[..]), select(&GARBAGE[..]))
            .prop_map(|(name, content)| Operation::DamageKubeconfig(name, content)),
        1 => (select(&CERTIFICATES[..7]), select(&CERTIFICATES[..]))
            .prop_map(|(from, to)| Operation::Swap(from, to)),
        1 => select(&[("ca", "ca"), ("front-proxy-ca", "front-proxy-ca"), ("etcd/ca", "etcd-ca")][..])
            .prop_map(|(file, phase)| Operation::ChangeAuthority(file, phase)),
        1 => select(configurations.to_vec()).prop_map(Operation::Configure),
        2 => select(&["all", "apiserver", "etcd-server", "apiserver-etcd-client", "sa"][..])
            .prop_map(Operation::InitCertificate),
        1 => select(&["all", "admin", "scheduler", "kubelet"][..]).prop_map(Operation::InitKubeconfig),
        1 => any::<bool>().prop_map(Operation::Upgrade),
        1 => Just(Operation::RestartKubelet),
    ]
}

fn scenario_of(operations: &[Operation], version: &str, api: &str, next: Option<&str>) -> String {
    let mut text = format!(
        "apiVersion: certdrill/v1\nkind: Scenario\nmetadata:\n  name: sequence\n  title: A sequence in which model \
         and kubeadm {version} differ\nspec:\n  backends: [sim, kubeadm]\n  cluster: {{ version: {version} }}\n  steps:\n"
    );
    // Certificates as init made them, for steps that put one in the place of another.
    for name in &CERTIFICATES[..7] {
        if operations
            .iter()
            .any(|operation| matches!(operation, Operation::Swap(from, _) if from == name))
        {
            text += &format!(
                "    - edit: {{ nodes: \"@cp1\", path: /kept/{name}.crt, content: \"\" }}\n    \
                 - copy: {{ from: \"cp1:/etc/kubernetes/pki/{name}.crt\", to: \"@cp1:/kept/{name}.crt\" }}\n"
            );
        }
    }
    for operation in operations {
        text += &operation.yaml(api, version, next);
    }
    text
}

fn compared(text: &str, engines: &Engines) -> Comparison {
    let scenarios =
        scenario::load("sequence.yaml", text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
    let options = PlayOptions { seed: 7 };
    let model = play_with(&scenarios[0], &options, Box::new(Model));
    let real = play_with(
        &scenarios[0],
        &options,
        Box::new(Binary::new(engines.clone())),
    );
    compare(&model.records, &real.records)
}

#[test]
fn model_and_kubeadm_agree_after_every_step_of_any_sequence() {
    let required = std::env::var("CERTDRILL_REQUIRE").is_ok_and(|list| list.contains("kubeadm"));
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap())
    };
    let cases = u32::try_from(number("PARITY_SEQUENCES", 3)).unwrap();
    let seed = number("PARITY_SEED", 5);
    let engines = Engines::of_this_machine();
    std::thread::scope(|scope| {
        for (version, api, next) in VERSIONS {
            let engines = &engines;
            let missing = [Some(version), next]
                .into_iter()
                .flatten()
                .find_map(|version| engines.find(version.parse().unwrap()).err());
            if let Some(error) = missing {
                assert!(!required, "{error}");
                println!("skipped: {error}");
                continue;
            }
            if !rustix::process::getuid().is_root() {
                assert!(!required, "a place of its own for kubeadm needs root");
                println!("skipped: not root");
                continue;
            }
            scope.spawn(move || {
                let mut bytes = [0; 32];
                bytes[..8].copy_from_slice(&seed.to_le_bytes());
                let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
                let config = Config {
                    cases,
                    failure_persistence: None,
                    max_shrink_iters: 60,
                    ..Config::default()
                };
                let steps = std::cell::Cell::new(0);
                let values = std::cell::Cell::new(0);
                let mut runner = TestRunner::new_with_rng(config, rng);
                let result = runner.run(&prop::collection::vec(operation(), 1..7), |operations| {
                    let text = scenario_of(&operations, version, api, next);
                    let comparison = compared(&text, engines);
                    steps.set(steps.get() + operations.len());
                    values.set(values.get() + comparison.compared());
                    if let Some(first) = comparison.differences.first() {
                        return Err(TestCaseError::fail(format!("{first:#?}")));
                    }
                    Ok(())
                });
                match result {
                    Ok(()) => println!(
                        "{version}: {cases} sequences, {} steps, {} values compared, none differs",
                        steps.get(),
                        values.get()
                    ),
                    Err(TestError::Fail(why, operations)) => {
                        let text = scenario_of(&operations, version, api, next);
                        let dir =
                            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/parity");
                        std::fs::create_dir_all(&dir).unwrap();
                        let file = dir.join(format!("sequence-{version}.yaml"));
                        std::fs::write(&file, &text).unwrap();
                        panic!("{version}: {why}\n\n{text}\nwritten to {}", file.display());
                    }
                    Err(error) => panic!("{version}: {error}"),
                }
            });
        }
    });
}
