//! Certificate signing requests of a world: what is made up for is what would have happened, and what kubectl prints.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

use certdrill::cluster::{Request, RequestState, Spec, World};
use certdrill::kubeadm::Version;
use certdrill::pki::KeyAlgorithm;
use certdrill::scenario::{ApproverPolicy, KubectlCommand};
use certdrill::time::SignedDuration;
use proptest::prelude::*;

fn spec(version: Version, seed: u64) -> Spec {
    Spec {
        workers: 1,
        server_tls_bootstrap: true,
        seed,
        ..Spec::of(version)
    }
}

fn world(version: Version, seed: u64, change: impl FnOnce(&mut Spec)) -> World {
    let mut spec = spec(version, seed);
    change(&mut spec);
    let mut world = World::new(spec);
    world.create_cluster().unwrap();
    world
}

const NEW: Version = Version::new(36, 3);

/// Everything of the listed requests that someone could see.
fn listed(world: &World) -> Vec<(String, String, String, String)> {
    let seen = |request: &Request| {
        let conditions: Vec<String> = request
            .conditions
            .iter()
            .map(|one| format!("{} {} {}", one.kind.word(), one.reason, one.updated))
            .collect();
        (
            request.name.clone(),
            request.created.to_string(),
            request.column(),
            conditions.join(","),
        )
    };
    world.listed_requests().into_iter().map(seen).collect()
}

fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whoever looks every now and then sees at the end what one sees who looks once.
    #[test]
    fn what_is_made_up_for_does_not_depend_on_who_looks(
        seed in 0_u64..1000,
        looks in prop::collection::vec(1_i64..200_000, 0..40),
        denying in any::<bool>(),
    ) {
        let policy = denying.then_some(ApproverPolicy::Denying);
        let mut one = world(NEW, seed, |spec| spec.serving_approver = policy);
        let mut other = world(NEW, seed, |spec| spec.serving_approver = policy);
        let total: i64 = looks.iter().sum::<i64>() + 100_000;
        one.walk(SignedDuration::from_secs(total));
        for look in &looks {
            other.walk(SignedDuration::from_secs(*look));
            other.touched();
        }
        other.walk(SignedDuration::from_secs(100_000));
        prop_assert_eq!(listed(&one), listed(&other));
        prop_assert!(!listed(&one).is_empty());
    }
}

#[test]
fn a_year_of_requests_that_nobody_signs_costs_few_events() {
    let mut world = world(NEW, 3, |_| {});
    let before = world.events;
    world.walk(hours(24 * 250));
    assert!(
        world.events - before < 50,
        "{} events in 250 days",
        world.events - before
    );
    // One every 928 s for a day and what the hourly cleaner has not got to yet, on each of two nodes.
    let listed = listed(&world).len();
    assert!((2 * 92..=2 * 98).contains(&listed), "{listed} requests");
}

#[test]
fn requests_that_nobody_signs_are_posted_as_often_as_a_kubelet_posts_them() {
    let mut world = world(NEW, 1, |_| {});
    world.walk(hours(20));
    let node = world.node_named("w1").unwrap();
    let mut times: Vec<_> = world
        .listed_requests()
        .iter()
        .filter(|request| request.node() == node && request.state() == RequestState::Pending)
        .map(|request| request.created)
        .collect();
    times.sort();
    let gaps: Vec<i64> = times
        .windows(2)
        .map(|pair| pair[1].duration_since(pair[0]).as_secs())
        .collect();
    // The back-off of the second, third, ... attempt, then the poll of 32 s; the very first attempt met no API server.
    assert!(gaps.iter().all(|gap| (902..=932).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().skip(5).all(|gap| *gap == 928), "{gaps:?}");
}

#[test]
fn the_cleaner_needs_a_controller_manager() {
    use certdrill::scenario::Component::ControllerManager;
    let mut world = world(NEW, 1, |_| {});
    world.walk(hours(2));
    let manifest = World::manifest_path(ControllerManager);
    use certdrill::fs::Tree;
    world.nodes[0].tree.remove(&manifest).unwrap();
    world.touched();
    world.walk(hours(30));
    let oldest = world.listed_requests().iter().map(|one| one.created).min();
    let age = world.now().duration_since(oldest.unwrap());
    assert!(age > hours(29), "the oldest is {age:?} old");
}

#[test]
fn kubectl_prints_the_columns_of_its_version() {
    let table = |version| {
        let mut world = world(version, 5, |spec| {
            spec.key_algorithm = None;
            spec.workers = 0;
        });
        world.walk(SignedDuration::from_secs(90));
        world.request_table(0, &[])
    };
    insta::assert_snapshot!(table(Version::new(17, 17)), @r#"
    NAME        AGE    REQUESTOR         CONDITION
    csr-hjhtz   117s   system:node:cp1   Pending
    csr-m8gmc   2m     system:node:cp1   Approved,Issued
    csr-z756p   2m     system:node:cp1   Pending
    "#);
    insta::assert_snapshot!(table(Version::new(21, 14)), @r#"
    NAME        AGE    SIGNERNAME                                    REQUESTOR         CONDITION
    csr-hjhtz   117s   kubernetes.io/kubelet-serving                 system:node:cp1   Pending
    csr-m8gmc   2m     kubernetes.io/kube-apiserver-client-kubelet   system:node:cp1   Approved,Issued
    csr-z756p   2m     kubernetes.io/kubelet-serving                 system:node:cp1   Pending
    "#);
    insta::assert_snapshot!(table(NEW), @r#"
    NAME        AGE    SIGNERNAME                                    REQUESTOR         REQUESTEDDURATION   CONDITION
    csr-hjhtz   117s   kubernetes.io/kubelet-serving                 system:node:cp1   <none>              Pending
    csr-m8gmc   2m     kubernetes.io/kube-apiserver-client-kubelet   system:node:cp1   <none>              Approved,Issued
    csr-z756p   2m     kubernetes.io/kubelet-serving                 system:node:cp1   <none>              Pending
    "#);
}

#[test]
fn kubectl_fails_as_the_edge_of_its_kubeconfig_does() {
    let mut world = world(NEW, 5, |spec| {
        spec.workers = 0;
        spec.key_algorithm = Some(KeyAlgorithm::EcdsaP256);
    });
    let get = KubectlCommand::GetRequests(Vec::new());
    assert_eq!(world.kubectl(0, &get, "get csr").exit_code, 0);
    world.role_bindings.remove("kubeadm:cluster-admins");
    let forbidden = world.kubectl(0, &get, "get csr");
    assert_eq!(forbidden.exit_code, 1);
    assert_eq!(
        forbidden.stderr,
        "Error from server (Forbidden): certificatesigningrequests.certificates.k8s.io is forbidden: User \
         \"kubernetes-admin\" cannot list resource \"certificatesigningrequests\" in API group \"certificates.k8s.io\" at \
         the cluster scope\n"
    );
    world.walk(hours(24 * 366));
    let late = world.kubectl(0, &get, "get csr");
    assert!(
        late.stderr.contains("certificate has expired"),
        "{}",
        late.stderr
    );
    assert_eq!(late.stdout, "");
}

#[test]
fn deciding_twice_and_both_ways_is_told() {
    let mut world = world(NEW, 5, |spec| spec.workers = 0);
    world.walk(SignedDuration::from_secs(60));
    let name = world
        .listed_requests()
        .into_iter()
        .find(|one| one.state() == RequestState::Pending)
        .unwrap()
        .name
        .clone();
    let decide = |approve| KubectlCommand::Decide {
        names: vec![name.clone()],
        approve,
    };
    let deny = world.kubectl(0, &decide(false), "certificate deny");
    assert_eq!(
        deny.stdout,
        format!("certificatesigningrequest.certificates.k8s.io/{name} denied\n")
    );
    assert_eq!(
        world
            .kubectl(0, &decide(false), "certificate deny")
            .exit_code,
        0
    );
    let both = world.kubectl(0, &decide(true), "certificate approve");
    assert_eq!(
        both.stderr,
        format!("error: certificate signing request {name:?} is already Denied\n")
    );
    let missing = KubectlCommand::DeleteRequests(vec!["csr-none".to_owned()]);
    assert_eq!(
        world.kubectl(0, &missing, "delete csr csr-none").stderr,
        "Error from server (NotFound): certificatesigningrequests.certificates.k8s.io \"csr-none\" not found\n"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Under a strict approver no kubelet's credential leads to a certificate for a foreign name.
    #[test]
    fn a_strict_approver_signs_for_nobody_elses_name(
        names in prop::collection::vec("[a-z]{1,3}[0-9]?", 0..3),
        addresses in prop::collection::vec(any::<[u8; 4]>(), 0..3),
    ) {
        let mut world = world(NEW, 1, |spec| spec.serving_approver = Some(ApproverPolicy::Strict));
        let node = world.node_named("w1").unwrap();
        let own = world.nodes[node].address;
        let wanted = certdrill::scenario::RequestCertificate {
            node: certdrill::scenario::Nodes("w1".to_owned()),
            kubeconfig: "/etc/kubernetes/kubelet.conf".to_owned(),
            signer: "kubernetes.io/kubelet-serving".to_owned(),
            common_name: "system:node:w1".to_owned(),
            organizations: vec!["system:nodes".to_owned()],
            dns_names: names.clone(),
            ip_addresses: addresses.iter().map(|&bytes| bytes.into()).collect(),
            usages: vec!["digital signature".to_owned(), "server auth".to_owned()],
            expiration_seconds: None,
            save_to: None,
            exit_code: 0,
        };
        prop_assert_eq!(world.request_by_hand(node, &wanted).exit_code, 0);
        let posted = world.requests.last().unwrap();
        let only_own = names.iter().all(|name| name == "w1")
            && wanted.ip_addresses.iter().all(|address| *address == own)
            && !(names.is_empty() && addresses.is_empty());
        prop_assert_eq!(posted.certificate.is_some(), only_own);
    }
}
