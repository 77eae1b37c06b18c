//! Kubeconfigs and YAML.

use certdrill::pki::{Kubeconfig, yaml};

/// What is read and written again is read as the same.
pub fn kubeconfig(bytes: &[u8]) {
    let _ = yaml::parse(bytes);
    if let Ok(config) = Kubeconfig::parse(bytes) {
        let text = config.to_yaml(true);
        let again = Kubeconfig::parse(text.as_bytes()).expect("what is written can be read");
        assert_eq!(again, config, "{text}");
    }
}
