//! ConfigMaps of `kube-system` in a real cluster, for steps that edit them.

use std::collections::BTreeMap;

use super::world::World;
use crate::kubeadm::CommandOutput;

const NAMESPACE: [&str; 2] = ["--namespace", "kube-system"];

impl World {
    /// Reads every ConfigMap of a real cluster into the world. Nothing in a simulated one, where they are.
    ///
    /// # Errors
    /// With what kubectl said.
    pub fn read_config_maps(&mut self) -> Result<(), String> {
        if !self.is_real() {
            return Ok(());
        }
        let output = self.kubectl_quietly(&["get", "configmaps", "--output", "json"]);
        if output.exit_code != 0 {
            return Err(output.stderr);
        }
        let list: serde_json::Value = serde_json::from_str(&output.stdout)
            .map_err(|error| format!("kubectl gives no JSON: {error}"))?;
        for item in list["items"].as_array().into_iter().flatten() {
            let Some(name) = item["metadata"]["name"].as_str() else {
                continue;
            };
            let data: BTreeMap<String, String> =
                serde_json::from_value(item["data"].clone()).unwrap_or_default();
            self.config_maps.insert(name.to_owned(), data);
        }
        Ok(())
    }

    /// Writes a value of a ConfigMap to a real cluster. Nothing in a simulated one.
    ///
    /// # Errors
    /// With what kubectl said.
    pub fn write_config_map(&mut self, name: &str, key: &str) -> Result<(), String> {
        if !self.is_real() {
            return Ok(());
        }
        // What is not there was not changed.
        let Some(value) = self.config_maps.get(name).and_then(|data| data.get(key)) else {
            return Ok(());
        };
        let patch = serde_json::json!({ "data": { key: value } }).to_string();
        let args = [
            "patch",
            "configmap",
            name,
            "--type",
            "merge",
            "--patch",
            &patch,
        ];
        let output = self.kubectl_quietly(&args);
        if output.exit_code == 0 {
            Ok(())
        } else {
            Err(output.stderr)
        }
    }

    /// kubectl on the first control plane, without an event.
    fn kubectl_quietly(&mut self, args: &[&str]) -> CommandOutput {
        self.kubectl_really(0, &[&NAMESPACE, args].concat(), &[])
    }
}
