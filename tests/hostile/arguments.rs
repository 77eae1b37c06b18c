//! Command lines.

use super::machine::{healthy, kubeadm};

/// Any command line ends with an exit status of kubeadm's.
pub fn arguments(minor: u16, words: &[String]) {
    let mut tree = healthy();
    let output = kubeadm(&format!("v1.{minor}.9"), &mut tree, words);
    assert!((0..=3).contains(&output.exit_code), "{words:?}: {output:?}");
}
