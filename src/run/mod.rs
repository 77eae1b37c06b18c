//! Plays a scenario on a backend, collects the trace, decides the verdict.

pub mod observe;
pub mod parity;
mod player;
pub mod state;
mod steps;
pub mod trace;
mod watch;

use trace::{Record, Verdict};

use crate::cluster::{Engine, Mechanism, Model};
use crate::scenario::Scenario;

/// How a scenario is played.
#[derive(Debug, Clone, Copy)]
pub struct PlayOptions {
    /// Seed of every random stream.
    pub seed: u64,
}

/// A run: its trace and its verdict.
#[derive(Debug, Clone)]
pub struct Run {
    /// The trace, from the header to the verdict.
    pub records: Vec<Record>,
    /// How it ended.
    pub verdict: Verdict,
}

/// Plays one variant of a scenario on the simulated backend.
///
/// A run is a pure function of the scenario and the seed.
#[must_use]
pub fn play(scenario: &Scenario, options: &PlayOptions) -> Run {
    play_with(scenario, options, Box::new(Model))
}

/// Plays one variant of a scenario in a world that lacks a mechanism. For tests: the scenario must fail.
#[must_use]
pub fn play_without(scenario: &Scenario, options: &PlayOptions, mechanism: Mechanism) -> Run {
    let mut player = player::Player::new(scenario, options.seed, Box::new(Model));
    player.world.disable(mechanism);
    player.play()
}

/// Plays one variant of a scenario in a simulated world whose kubeadm is `engine`.
#[must_use]
pub fn play_with(scenario: &Scenario, options: &PlayOptions, engine: Box<dyn Engine>) -> Run {
    player::Player::new(scenario, options.seed, engine).play()
}
