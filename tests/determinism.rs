//! A run is a pure function of scenario and seed.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

use certdrill::report::jsonl;
use certdrill::run::{PlayOptions, Run, play, trace::Entry};
use certdrill::scenario::{self, Scenario};
use proptest::prelude::*;

const TEXT: &str = "
apiVersion: certdrill/v1
kind: Scenario
metadata: { name: determinism, title: Everything that draws random numbers }
spec:
  cluster: { version: v1.36.3, start: 2026-01-01T00:00:00Z, nodes: { controlPlane: 3, worker: 1 } }
  steps:
    - walk: 300d
    - renew: { nodes: '@cp1', name: all }
    - moveManifests: { nodes: '@cp1', wait: 20s }
    - reboot: '@cp2'
    - walk: 70d
    - skew: { nodes: '@w1', by: 6m }
    - jump: 1d
    - walk: 10d
";

fn scenario() -> Scenario {
    scenario::load("determinism.yaml", TEXT).unwrap().remove(0)
}

fn bytes(run: &Run) -> Vec<u8> {
    let mut out = Vec::new();
    jsonl::write(&run.records, &mut out).unwrap();
    out
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_does_not() {
    let scenario = scenario();
    let first = play(&scenario, &PlayOptions { seed: 1 });
    let second = play(&scenario, &PlayOptions { seed: 1 });
    assert!(
        bytes(&first) == bytes(&second),
        "two runs with seed 1 differ"
    );
    let other = play(&scenario, &PlayOptions { seed: 2 });
    assert!(bytes(&first) != bytes(&other), "the seed decides nothing");
}

#[test]
fn traces_carry_no_key() {
    let run = play(&scenario(), &PlayOptions { seed: 1 });
    let text = String::from_utf8(bytes(&run)).unwrap();
    assert!(!text.contains("PRIVATE KEY"));
    assert!(!text.contains("LS0tLS1CRUdJTi"), "no base64 of a PEM block");
}

#[test]
fn a_trace_is_read_back_as_it_was_written() {
    let run = play(&scenario(), &PlayOptions { seed: 1 });
    let read = jsonl::read(&mut bytes(&run).as_slice()).unwrap();
    assert_eq!(read, [run.records]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Whatever the seed, the kubelet rotates between 70 and 90 % of its certificate's life, and nothing of an
    /// idle healthy cluster fails before kubeadm's certificates end.
    #[test]
    fn an_idle_cluster_rotates_once_and_stays_healthy(seed in any::<u64>()) {
        let text = "
apiVersion: certdrill/v1
kind: Scenario
metadata: { name: idle, title: Idle }
spec:
  cluster: { version: v1.36.3, start: 2026-01-01T00:00:00Z, nodes: { controlPlane: 1, worker: 2 }, keyAlgorithm: ECDSA-P256 }
  steps:
    - walk: to day 255.4
    - expect: { certificate: kubelet, nodes: '@w*', count: 1 }
    - walk: to day 328.6
    - expect: { certificate: kubelet, nodes: '@w*', count: 2 }
    - walk: to day 364.9
  always:
    - { edges: all, is: ok }
    - { etcd: { quorum: true } }
";
        let scenario = scenario::load("idle.yaml", text).unwrap().remove(0);
        let run = play(&scenario, &PlayOptions { seed });
        let failures: Vec<_> = run
            .records
            .iter()
            .filter_map(|record| match &record.entry {
                Entry::Expectation(judged) if !judged.passed => Some(format!("{}: {}", judged.expected, judged.seen)),
                _ => None,
            })
            .collect();
        prop_assert!(failures.is_empty(), "{failures:?}");
    }
}
