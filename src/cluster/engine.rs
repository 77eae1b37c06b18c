//! What executes kubeadm on a node of the world: the model in this crate, or something outside it.

use std::fmt::Debug;

use super::command::ApiView;
use super::world::World;
use crate::kubeadm::renewal::Renewal;
use crate::kubeadm::{self, CommandOutput, Machine, Version};

/// Something that is outside the subject failed: there is nothing to judge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    /// What, where and why.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// One kubeadm command on one node.
pub struct Call<'a, 'm> {
    /// The world around the node; the node's tree and the world's keys are with `machine` meanwhile.
    pub world: &'a World,
    /// Index of the node.
    pub node: usize,
    /// The kubeadm that is installed there.
    pub version: Version,
    /// The machine as kubeadm finds it.
    pub machine: Machine<'m>,
}

/// What executes kubeadm.
pub trait Engine: Debug {
    /// The backend's name in traces: `sim`, `kubeadm`.
    fn backend(&self) -> &'static str;

    /// Runs a command line, without the word `kubeadm`.
    ///
    /// # Errors
    /// When the command could not be run at all.
    fn run(&mut self, call: Call<'_, '_>, args: &[String]) -> Result<CommandOutput, EngineError>;

    /// Renews one certificate as `kubeadm upgrade` does, with the cluster's configuration: a missing
    /// certificate is an error. The inner error is kubeadm's text.
    ///
    /// # Errors
    /// When the renewal could not be tried at all.
    fn renew(
        &mut self,
        call: Call<'_, '_>,
        certificate: &str,
        cluster_configuration: &str,
    ) -> Result<Result<Renewal, String>, EngineError>;

    /// Runs a shell script on the node. `file` is the scenario it stands in.
    ///
    /// # Errors
    /// When the script could not be run at all.
    fn exec(
        &mut self,
        call: Call<'_, '_>,
        script: &str,
        file: &str,
    ) -> Result<CommandOutput, EngineError>;
}

/// The engine of this crate.
#[derive(Debug, Clone, Copy, Default)]
pub struct Model;

impl Engine for Model {
    fn backend(&self) -> &'static str {
        "sim"
    }

    fn run(&mut self, call: Call<'_, '_>, args: &[String]) -> Result<CommandOutput, EngineError> {
        let mut view = ApiView {
            world: call.world,
            node: call.node,
        };
        let machine = call.machine;
        let mut machine = Machine {
            tree: &mut *machine.tree,
            now: machine.now,
            hostname: machine.hostname,
            host_address: machine.host_address,
            keys: &mut *machine.keys,
            cluster: Some(&mut view),
        };
        if !call.version.is_historic() {
            return Ok(kubeadm::run(call.version, args, &mut machine));
        }
        kubeadm::historic::run(call.version, args, &mut machine).map_err(|error| EngineError {
            message: error.to_string(),
            help: kubeadm::profile::historic::HELP.to_owned(),
        })
    }

    fn renew(
        &mut self,
        mut call: Call<'_, '_>,
        certificate: &str,
        cluster_configuration: &str,
    ) -> Result<Result<Renewal, String>, EngineError> {
        Ok(kubeadm::upgrade::renew(
            call.version,
            &mut call.machine,
            certificate,
            cluster_configuration,
        ))
    }

    fn exec(&mut self, _: Call<'_, '_>, _: &str, _: &str) -> Result<CommandOutput, EngineError> {
        Err(EngineError {
            message: "the simulation cannot run a script".to_owned(),
            help: "play the scenario with --backend kubeadm".to_owned(),
        })
    }
}
