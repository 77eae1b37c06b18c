//! Commands on damaged trees.

use super::machine::{healthy, kubeadm};
use certdrill::fs::Tree as _;

/// A file is replaced, then a command runs: it ends with an exit status of kubeadm's and writes nothing elsewhere.
pub fn command(version: &str, line: &str, file: &str, content: &[u8]) {
    let mut tree = healthy();
    tree.write(file, content, 0o600)
        .expect("a file can be replaced");
    let prefix = if version < "v1.20" && line.starts_with("certs") {
        "alpha "
    } else {
        ""
    };
    let line = format!("{prefix}{line} --config /kubeadm.yaml");
    let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let output = kubeadm(version, &mut tree, &args);
    assert!((0..=3).contains(&output.exit_code), "{output:?}");
    for path in tree.paths() {
        assert!(
            path.starts_with("/etc") || path == "/kubeadm.yaml",
            "{path}"
        );
    }
}
