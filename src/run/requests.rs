//! Steps about objects of the API: deciding about requests, editing ConfigMaps.

use super::edits::{append, set_lines};
use super::player::Player;
use super::trace::{EventKind, Weight};
use crate::cluster::RequestState;
use crate::scenario::{Change, Expectation, KubectlCommand, Nodes};

impl Player<'_> {
    /// `approve:` and `deny:`: kubectl on the first control plane, with the names of what is pending.
    pub(super) fn decide(
        &mut self,
        approve: bool,
        of: Option<&Nodes>,
        signer: Option<&str>,
        own: &Expectation,
    ) -> Result<(), String> {
        let nodes = of.map(|nodes| self.nodes(nodes)).transpose()?;
        self.world.touched();
        let names: Vec<String> = self
            .world
            .listed_requests()
            .into_iter()
            .filter(|request| {
                request.state() == RequestState::Pending
                    && nodes
                        .as_ref()
                        .is_none_or(|nodes| nodes.contains(&request.node()))
                    && signer.is_none_or(|signer| request.signer == signer)
            })
            .map(|request| request.name.clone())
            .collect();
        if names.is_empty() {
            let expected = "a pending request".to_owned();
            self.require(own, "requests", expected, "there is none".to_owned(), false);
            return Ok(());
        }
        let word = if approve { "approve" } else { "deny" };
        let line = format!("certificate {word} {}", names.join(" "));
        let command = KubectlCommand::Decide { names, approve };
        self.world.kubectl(0, &command, &line);
        self.expect_exit(own, 0, 0);
        Ok(())
    }

    pub(super) fn edit_config_map(
        &mut self,
        name: &str,
        key: &str,
        change: &Change,
        own: &Expectation,
    ) -> Result<(), String> {
        self.world.read_config_maps()?;
        // The kubelet's has the minor version in its name where kubeadm is old.
        let map = if name == "kubelet-config" {
            self.world.kubelet_config_map()
        } else {
            name.to_owned()
        };
        let mut found = false;
        let value = self
            .world
            .config_maps
            .get_mut(&map)
            .and_then(|data| data.get_mut(key));
        if let Some(value) = value {
            found = true;
            match change {
                Change::Content(content) => content.clone_into(value),
                Change::SetLines(lines) => {
                    let (changed, missing) = set_lines(value, lines);
                    *value = changed;
                    found &= missing.is_none();
                }
                Change::Append(text) => {
                    let mut bytes = std::mem::take(value).into_bytes();
                    append(&mut bytes, text);
                    *value = String::from_utf8_lossy(&bytes).into_owned();
                }
                _ => {
                    return Err("a ConfigMap is edited by lines".to_owned());
                }
            }
        }
        self.world.write_config_map(&map, key)?;
        let expected = format!("ConfigMap {map} with what is to be changed in {key:?}");
        if !found {
            self.require(own, &map, expected, "it has none".to_owned(), false);
        }
        self.world.record(
            EventKind::Note,
            Weight::Normal,
            None,
            &map,
            format!("ConfigMap {map} edited: {key}"),
            None,
        );
        Ok(())
    }
}
