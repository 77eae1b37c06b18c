//! kubeadm on a node of the world.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::edge::ClientSide;
use super::engine::{Call, Engine, EngineError, Model};
use super::rbac::Requestor;
use super::reality::Reality;
use super::topology::ApiClient;
use super::world::World;
use crate::fs::MemoryTree;
use crate::kubeadm::profile::Profile;
use crate::kubeadm::profile::historic::RENEW;
use crate::kubeadm::{ApiError, ClusterReader, CommandOutput, Machine};
use crate::pki::PoolKeys;
use crate::run::observe;
use crate::run::trace::{Entry, EventKind, Weight};
use crate::scenario::{Component, ImageSource};
use crate::time::SignedDuration;

/// What a `renew all` or an init phase takes on a real machine.
const COMMAND_TAKES: SignedDuration = SignedDuration::from_secs(1);

impl World {
    /// Runs a kubeadm command on a node as the node's version would, and lets its second pass.
    pub fn kubeadm(&mut self, node: usize, args: &[String]) -> CommandOutput {
        let output = match self.token_command(node, args) {
            Some(output) => output,
            None => self.kubeadm_quietly(node, args),
        };
        self.command_ran(node, "kubeadm", &args.join(" "), &output);
        output
    }

    /// Runs a shell script on a node, where the engine can. `file` is the scenario it stands in.
    pub fn exec(&mut self, node: usize, script: &str, file: &str) -> CommandOutput {
        let output = if self.is_real() {
            self.exec_really(node, script, file)
        } else {
            self.with_engine(node, |engine, call| engine.exec(call, script, file))
                .unwrap_or_else(not_run)
        };
        self.command_ran(node, "sh", script.trim(), &output);
        output
    }

    /// The script finds the scenario's directory at `/scenario`, as on the backend kubeadm.
    fn exec_really(&mut self, node: usize, script: &str, file: &str) -> CommandOutput {
        let directory = directory_of(file);
        let command = ["sh", "-ec", script].map(str::to_owned);
        self.run_really(|reality| {
            if let Some(directory) = directory {
                reality.give(node, &directory)?;
            }
            reality.run(node, &command, &[])
        })
    }

    /// `kubectl apply` on a real cluster.
    ///
    /// # Errors
    /// With a sentence where there is none.
    pub fn apply(&mut self, node: usize, label: &str, objects: &[u8]) -> Result<(), String> {
        if !self.is_real() {
            return Err("objects are applied to real clusters only".to_owned());
        }
        let output = self.kubectl_really(node, &["apply", "-f", "-"], objects);
        self.command_ran(node, "kubectl", &format!("apply -f {label}"), &output);
        Ok(())
    }

    /// Loads a container image into nodes of a real cluster.
    ///
    /// # Errors
    /// With a sentence where there is no such image, or no real cluster.
    pub fn load_image(&mut self, nodes: &[usize], image: &ImageSource) -> Result<(), String> {
        if !self.is_real() {
            return Err("images are loaded into real clusters only".to_owned());
        }
        match self.really(|reality| reality.load_image(nodes, image)) {
            Some(Err(why)) => return Err(why),
            // The world says what broke.
            None => return Ok(()),
            Some(Ok(())) => {}
        }
        let (ImageSource::Engine(name) | ImageSource::Archive(name)) = image;
        for &node in nodes {
            let text = format!("image {name} loaded");
            self.record(
                EventKind::Note,
                Weight::Normal,
                Some(node),
                name,
                text,
                None,
            );
        }
        Ok(())
    }

    /// Has something run on a real machine, whose files it may change.
    pub(super) fn run_really(
        &mut self,
        run: impl FnOnce(&mut dyn Reality) -> Result<CommandOutput, EngineError>,
    ) -> CommandOutput {
        self.write_to_reality();
        let output = self.really(run);
        if output.is_some() {
            self.look_at_reality(false);
        }
        output.unwrap_or_else(|| not_run("it could not be run".to_owned()))
    }

    /// Writes a command down and lets the second pass that it takes; a real one has taken its own time.
    pub(super) fn command_ran(
        &mut self,
        node: usize,
        program: &str,
        line: &str,
        output: &CommandOutput,
    ) {
        let subject = format!("{program}@{}", self.nodes[node].name);
        let weight = if output.exit_code == 0 {
            Weight::Normal
        } else {
            Weight::Trouble
        };
        let seq = self.record(
            EventKind::CommandRan,
            weight,
            Some(node),
            &subject,
            format!("{program} {line} (exit {})", output.exit_code),
            Some(format!("{}{}", output.stdout, output.stderr)),
        );
        self.cause = Some(seq);
        for seen in observe::command(&subject, line, output) {
            self.push(Entry::Observation(seen));
        }
        self.nodes[node].last_output = Some(output.clone());
        if !self.is_real() {
            self.walk(COMMAND_TAKES);
        }
    }

    /// As [`World::kubeadm`], but leaves no event and takes no time.
    pub(super) fn kubeadm_quietly(&mut self, node: usize, args: &[String]) -> CommandOutput {
        if self.lacks_any() {
            return self.kubeadm_lacking(node, args);
        }
        self.run_engine(node, args)
    }

    pub(super) fn run_engine(&mut self, node: usize, args: &[String]) -> CommandOutput {
        if self.is_real() {
            let version = self.nodes[node].version;
            let output = self.run_really(|reality| reality.kubeadm(node, version, args));
            self.learn_certificate_key(&output.stdout);
            return output;
        }
        self.with_engine(node, |engine, call| engine.run(call, args))
            .unwrap_or_else(not_run)
    }

    /// Lets the engine work on a node as kubeadm finds it: its tree, its clock, its names, the world's keys.
    ///
    /// # Errors
    /// With a sentence, where the engine could not even try; the world is [`World::broken`] from then on.
    pub(super) fn with_engine<T>(
        &mut self,
        node: usize,
        work: impl for<'a> FnOnce(&mut dyn Engine, Call<'a, 'a>) -> Result<T, EngineError>,
    ) -> Result<T, String> {
        let mut tree = std::mem::take(&mut self.nodes[node].tree);
        let mut keys = std::mem::replace(&mut self.keys, PoolKeys::new(0));
        let mut engine = std::mem::replace(&mut self.engine, Box::new(Model));
        let call = Call {
            world: self,
            node,
            version: self.nodes[node].version,
            machine: Machine {
                tree: &mut tree,
                now: self.wall_for_commands(node),
                hostname: self.nodes[node].name.clone(),
                host_address: self.nodes[node].address,
                keys: &mut keys,
                cluster: None,
            },
        };
        let result = work(engine.as_mut(), call);
        self.engine = engine;
        self.keys = keys;
        self.nodes[node].tree = tree;
        result.map_err(|error| {
            let message = error.message.clone();
            self.broken.get_or_insert(error);
            message
        })
    }

    /// `certs ...` as a node's version spells it.
    #[must_use]
    pub fn certs_command(&self, node: usize, rest: &[&str]) -> Vec<String> {
        let version = self.nodes[node].version;
        let group: &[&str] = if version.is_historic() {
            RENEW.at(version)
        } else if Profile::of(version).certs_group {
            &["certs"]
        } else {
            &["alpha", "certs"]
        };
        group
            .iter()
            .chain(rest)
            .map(|&word| word.to_owned())
            .collect()
    }

    /// As [`World::check_expiration`], by the engine of this world even where a real cluster stands behind it.
    pub(super) fn check_expiration_here(&mut self, node: usize) -> CommandOutput {
        if !self.is_real() {
            return self.check_expiration(node);
        }
        let args = self.certs_command(node, &["check-expiration"]);
        self.with_engine(node, |engine, call| engine.run(call, &args))
            .unwrap_or_else(not_run)
    }

    /// What `check-expiration` would print now, without leaving a trace.
    #[must_use]
    pub fn check_expiration(&mut self, node: usize) -> CommandOutput {
        let args = self.certs_command(node, &["check-expiration"]);
        self.kubeadm_quietly(node, &args)
    }
}

/// The directory that a scenario stands in, which scripts find at `/scenario`.
#[must_use]
pub fn directory_of(scenario: &str) -> Option<PathBuf> {
    let file = PathBuf::from(scenario).canonicalize().ok()?;
    file.parent().map(Path::to_owned)
}

/// What is left where the engine could not even try.
fn not_run(message: String) -> CommandOutput {
    CommandOutput {
        exit_code: -1,
        stdout: String::new(),
        stderr: format!("{message}\n"),
    }
}

/// The API server as a command on a node meets it.
pub(super) struct ApiView<'a> {
    pub world: &'a World,
    pub node: usize,
}

impl ApiView<'_> {
    /// A request with the credentials of a kubeconfig.
    fn request(&self, kubeconfig: &[u8]) -> Result<(), ApiError> {
        // Only kubeconfigs that hold everything themselves get here: the tree is with the command.
        let config = self
            .world
            .files
            .client_config_of(kubeconfig, &MemoryTree::new())
            .map_err(ApiError)?;
        let node = config
            .credential
            .as_ref()
            .is_some_and(|shown| Requestor::of(&shown.certificate).is_node());
        let client = ApiClient {
            node: self.node,
            side: ClientSide {
                // Nodes may read what kubeadm reads.
                component: if node {
                    Component::Kubelet
                } else {
                    Component::Admin
                },
                version: self.world.nodes[self.node].version,
                roots: Some(Arc::clone(&config.roots)),
                credential: config.credential.clone(),
                name: config.host.clone(),
                at: self.world.wall(self.node),
            },
            config,
        };
        let backends = self.world.backends(&client.config.host, client.node);
        let mut last = ApiError("connection refused".to_owned());
        for node in backends {
            match self.world.request(&client, node) {
                Ok(()) => return Ok(()),
                Err(failure) => last = ApiError(failure.text),
            }
        }
        Err(last)
    }
}

impl ClusterReader for ApiView<'_> {
    fn config_map(
        &mut self,
        kubeconfig: &[u8],
        name: &str,
    ) -> Result<BTreeMap<String, String>, ApiError> {
        self.request(kubeconfig)?;
        self.world
            .config_maps
            .get(name)
            .cloned()
            .ok_or_else(|| ApiError(format!("configmaps \"{name}\" not found")))
    }

    fn node(&mut self, kubeconfig: &[u8], name: &str) -> Result<Option<IpAddr>, ApiError> {
        self.request(kubeconfig)?;
        let node = self
            .world
            .nodes
            .iter()
            .find(|node| node.name == name && node.ready.is_some())
            .ok_or_else(|| ApiError(format!("nodes \"{name}\" not found")))?;
        Ok(node.control_plane.then_some(node.address))
    }
}
