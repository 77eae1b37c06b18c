//! Where a run is played, and whether that is possible on this machine.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use clap::ValueEnum;

use crate::cluster::{Engine, Model};
use crate::kubeadm::Version;
use crate::kubeadm::profile::historic;
use crate::real::engines::Engines;
use crate::real::kind::Kind;
use crate::real::kubeadm::Binary;
use crate::real::memory::Memory;
use crate::real::scratch::Interrupt;
use crate::real::{scratch, site};
use crate::run::{PlayOptions, Run};
use crate::scenario::{Action, Backend, Scenario};

/// A backend, as it is named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum BackendArg {
    /// Everything simulated but X.509.
    Sim,
    /// The real kubeadm in a simulated world.
    Kubeadm,
    /// A real cluster in node containers.
    Kind,
}

impl BackendArg {
    /// The backend in scenarios.
    pub(super) fn backend(self) -> Backend {
        match self {
            BackendArg::Sim => Backend::Sim,
            BackendArg::Kubeadm => Backend::Kubeadm,
            BackendArg::Kind => Backend::Kind,
        }
    }

    /// Its name.
    pub(super) fn word(self) -> &'static str {
        match self {
            BackendArg::Sim => "sim",
            BackendArg::Kubeadm => "kubeadm",
            BackendArg::Kind => "kind",
        }
    }
}

/// Why a scenario for real clusters alone is not played by itself.
pub(super) const NO_KIND: &str =
    "it is played on a real cluster when that is asked for: --backend kind (docs/real-clusters.md)";

/// Where a run is played.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// In the simulation.
    Sim,
    /// With real kubeadm binaries.
    Kubeadm(Binary),
    /// On a real cluster in node containers.
    Kind(crate::real::kind::Options),
}

impl Stage {
    /// With the real kubeadm binaries of `engines`.
    pub(super) fn kubeadm(engines: Engines) -> Self {
        let binary = Binary::new(engines);
        Self::Kubeadm(match std::env::current_exe() {
            Ok(certdrill) => binary.with_launcher(certdrill),
            // Only scripts need it, and they say so.
            Err(_) => binary,
        })
    }

    /// As it is, with a memory of commands where real binaries run.
    pub(super) fn remembering(self, memory: &Memory) -> Self {
        match self {
            Self::Kubeadm(binary) => Self::Kubeadm(binary.remembering(memory.clone())),
            other => other,
        }
    }

    /// Plays a scenario there.
    pub(super) fn play(&self, scenario: &Scenario, options: &PlayOptions) -> Run {
        /// Clusters have fixed addresses: one at a time.
        static ONE: Mutex<()> = Mutex::new(());
        match self {
            Stage::Kind(kind) => {
                let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
                if kind.adopt.is_some() {
                    // A cluster that is there lives now.
                    let mut scenario = scenario.clone();
                    scenario.cluster.start = crate::real::kind::present();
                    let cluster = Kind::new(kind.clone(), scenario.cluster.start);
                    return crate::run::play_really(&scenario, options, Box::new(cluster));
                }
                let cluster = Kind::new(kind.clone(), scenario.cluster.start);
                crate::run::play_really(scenario, options, Box::new(cluster))
            }
            Stage::Sim | Stage::Kubeadm(_) => {
                crate::run::play_with(scenario, options, self.engine())
            }
        }
    }

    /// What executes kubeadm there.
    pub(super) fn engine(&self) -> Box<dyn Engine> {
        match self {
            Stage::Sim | Stage::Kind(_) => Box::new(Model),
            Stage::Kubeadm(binary) => Box::new(binary.clone()),
        }
    }
}

/// Gets this process ready for real binaries: it must be able to give them places of their own. To be called
/// before any thread is started. Signals end the process and leave nothing behind.
pub(super) fn prepare<'s>(stages: impl IntoIterator<Item = &'s Stage>) -> Result<(), String> {
    become_able(stages)?;
    scratch::remove_on_signals()
        .map_err(|error| format!("error: signals cannot be caught: {error}"))
}

/// As [`prepare`], but the first signal only asks to stop.
pub(super) fn prepare_to_stop<'s>(
    stages: impl IntoIterator<Item = &'s Stage>,
) -> Result<Interrupt, String> {
    become_able(stages)?;
    scratch::stop_on_signals().map_err(|error| format!("error: signals cannot be caught: {error}"))
}

fn become_able<'s>(stages: impl IntoIterator<Item = &'s Stage>) -> Result<(), String> {
    let real = stages
        .into_iter()
        .any(|stage| matches!(stage, Stage::Kubeadm(_)));
    if real {
        site::become_root().map_err(|error| {
            format!(
                "error: the backend kubeadm needs root or a user namespace, and this machine gives none: {error}\n  \
                 help: run certdrill as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, \
                 kernel.apparmor_restrict_unprivileged_userns=0)"
            )
        })?;
    }
    Ok(())
}

/// The engines of this machine, or one that is named.
pub(super) fn engines(named: Option<&PathBuf>) -> Engines {
    let engines = Engines::of_this_machine();
    match named {
        Some(path) => engines.with_binary(path.clone()),
        None => engines,
    }
}

/// Why a run is not for a backend.
pub(super) fn excludes(scenario: &Scenario, backend: BackendArg) -> Option<String> {
    if scenario.backends.contains(&backend.backend()) {
        return None;
    }
    let version = scenario.cluster.version;
    Some(match historic::notice(version) {
        Some(notice) => format!("{notice}; it is played on sim only"),
        None => format!("its backends do not include {}", backend.word()),
    })
}

/// Why a scenario cannot be played with real kubeadm binaries here, and what to do.
pub(super) fn lacks(scenario: &Scenario, engines: &Engines) -> Option<(String, String)> {
    versions(scenario)
        .into_iter()
        .find_map(|version| engines.find(version).err())
        .map(|error| (error.to_string(), error.help()))
}

/// Every version of kubeadm that a scenario runs.
pub(super) fn versions(scenario: &Scenario) -> BTreeSet<Version> {
    let upgrades = scenario.steps.iter().filter_map(|step| match &step.action {
        Action::Upgrade(upgrade) => Some(upgrade.to),
        _ => None,
    });
    upgrades.chain([scenario.cluster.version]).collect()
}

/// Whether the environment says that a backend must not be skipped (`CERTDRILL_REQUIRE=kubeadm,kind`).
pub(super) fn required(backend: Backend) -> bool {
    let word = match backend {
        Backend::Sim => "sim",
        Backend::Kubeadm => "kubeadm",
        Backend::Kind => "kind",
    };
    std::env::var("CERTDRILL_REQUIRE").is_ok_and(|list| list.split(',').any(|one| one == word))
}
