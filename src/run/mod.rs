//! Plays a scenario on a backend, collects the trace, decides the verdict.

mod brought;
pub mod closeness;
mod edits;
pub mod observe;
pub mod parity;
mod player;
pub mod real_parity;
mod requests;
pub mod state;
mod steps;
pub mod trace;
mod watch;

use std::cell::RefCell;
use std::rc::Rc;

use player::Stage;
use trace::{Record, Verdict};

use crate::check::explain::{Explanation, Subject, explain, known};
use crate::cluster::{Engine, Mechanism, Model, Reality, World};
use crate::scenario::Scenario;
use crate::time::Timestamp;

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

/// An answer to a question about a run.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The instant it speaks of.
    pub at: Timestamp,
    /// The run reached the instant that was asked for.
    pub reached: bool,
    /// What there is to say; empty where the subject names nothing.
    pub found: Vec<Explanation>,
    /// Then: what there is of its kind.
    pub known: Vec<String>,
}

/// Plays one variant of a scenario and explains a subject at an instant, or at its end.
#[must_use]
pub fn ask(
    scenario: &Scenario,
    options: &PlayOptions,
    at: Option<Timestamp>,
    subject: &Subject,
) -> Asked {
    let mut player = player::Player::new(scenario, options.seed, Stage::Simulated(Box::new(Model)));
    let seen = Rc::new(RefCell::new(None));
    if let Some(at) = at {
        let (seen, subject) = (Rc::clone(&seen), subject.clone());
        player.world.probe(at, move |world| {
            *seen.borrow_mut() = Some(answer(world, &subject, true));
        });
    }
    let world = player.play_for_the_world();
    seen.take()
        .unwrap_or_else(|| answer(&world, subject, at.is_none()))
}

fn answer(world: &World, subject: &Subject, reached: bool) -> Asked {
    let found = explain(world, subject);
    let known = if found.is_empty() {
        known(world, subject)
    } else {
        Vec::new()
    };
    Asked {
        at: world.now(),
        reached,
        found,
        known,
    }
}

/// Plays one variant of a scenario in a world that lacks a mechanism. For tests: the scenario must fail.
#[must_use]
pub fn play_without(scenario: &Scenario, options: &PlayOptions, mechanism: Mechanism) -> Run {
    let mut player = player::Player::new(scenario, options.seed, Stage::Simulated(Box::new(Model)));
    player.world.disable(mechanism);
    player.play()
}

/// Plays one variant of a scenario in a simulated world whose kubeadm is `engine`.
#[must_use]
pub fn play_with(scenario: &Scenario, options: &PlayOptions, engine: Box<dyn Engine>) -> Run {
    player::Player::new(scenario, options.seed, Stage::Simulated(engine)).play()
}

/// Plays one variant of a scenario on a real cluster.
#[must_use]
pub fn play_really(scenario: &Scenario, options: &PlayOptions, reality: Box<dyn Reality>) -> Run {
    player::Player::new(scenario, options.seed, Stage::Real(reality)).play()
}
