//! What is looked at all the time: `always`, `eventually`, `sometimes`, and the list of what was judged.

use std::collections::{BTreeMap, BTreeSet};

use super::trace::{Entry, EventKind, Judgement, Weight};
use crate::check::invariants::{self, Identity, Invariants};
use crate::check::{Marks, Seen, blind, look};
use crate::cluster::World;
use crate::scenario::{Action, Expectation, Invariant, Matcher, Position, Scenario, Step};
use crate::time::{Timestamp, shift};

/// Expectations that are judged after every event, and the judgements so far.
#[derive(Debug)]
pub(super) struct Watch {
    pub marks: Marks,
    /// Must always hold and have not failed yet.
    always: Vec<Expectation>,
    /// Must come to hold before a deadline and have not yet.
    eventually: Vec<(Expectation, Timestamp)>,
    /// Must hold at least once, and whether they did.
    sometimes: Vec<(Expectation, bool)>,
    invariants: Invariants,
    opt_out: BTreeMap<Invariant, String>,
    /// Each invariant is reported once.
    reported: BTreeSet<Invariant>,
    /// The step that is being taken.
    step: Position,
    judged: u32,
    first_failure: Option<String>,
}

impl Watch {
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            marks: Marks::default(),
            always: scenario.always.clone(),
            eventually: scenario
                .eventually
                .iter()
                .map(|one| {
                    let deadline = shift(scenario.cluster.start, one.within);
                    (one.expectation.clone(), deadline)
                })
                .collect(),
            sometimes: scenario
                .sometimes
                .iter()
                .map(|expectation| (expectation.clone(), false))
                .collect(),
            invariants: Invariants::default(),
            opt_out: scenario.opt_out.clone(),
            reported: BTreeSet::new(),
            step: Position::default(),
            judged: 0,
            first_failure: None,
        }
    }

    /// A step begins.
    pub fn begin(&mut self, step: &Step) {
        self.step = step.at;
        self.invariants.rolling = matches!(
            step.action,
            Action::Renew { .. }
                | Action::Restart(_)
                | Action::MoveManifests(_)
                | Action::Upgrade(_)
                | Action::Kubeadm { .. }
                | Action::Exec { .. }
        );
    }

    /// A renewal is over: nothing may have got another identity.
    pub fn renewed(&mut self, world: &mut World, before: &BTreeMap<(usize, String), Identity>) {
        let broken = invariants::identity_kept(world, before);
        self.report(world, broken);
    }

    /// Writes broken invariants down, each once.
    fn report(&mut self, world: &mut World, broken: Vec<(Invariant, Seen)>) {
        for (invariant, mut seen) in broken {
            if self.opt_out.contains_key(&invariant) || !self.reported.insert(invariant) {
                continue;
            }
            seen.expected = format!("{} (invariant {})", seen.expected, invariant.word());
            let own = Expectation {
                at: self.step,
                matcher: Matcher::Etcd {
                    quorum: None,
                    members: None,
                },
            };
            self.judge(world, &own, "invariant", seen, None);
        }
    }

    /// How many expectations were judged.
    pub fn judged(&self) -> u32 {
        self.judged
    }

    /// What failed first.
    pub fn first_failure(&self) -> Option<String> {
        self.first_failure.clone()
    }

    pub fn look(&self, world: &mut World, expectation: &Expectation) -> Seen {
        look(world, &expectation.matcher, &self.marks)
    }

    /// Says that an expectation cannot be judged here, where that is so.
    pub fn pass_over(&self, world: &mut World, expectation: &Expectation) -> bool {
        let Some(reason) = blind(world, &expectation.matcher) else {
            return false;
        };
        let text = format!("line {}: not judged: {reason}", expectation.at.line);
        world.record(EventKind::Note, Weight::Normal, None, "note", text, None);
        true
    }

    /// Looks once. An `always` that fails is judged and not looked at again.
    pub fn follow(&mut self, world: &mut World) {
        let broken = self.invariants.follow(world);
        self.report(world, broken);
        for expectation in std::mem::take(&mut self.always) {
            let seen = self.look(world, &expectation);
            if seen.holds || blind(world, &expectation.matcher).is_some() {
                self.always.push(expectation);
            } else {
                self.judge(world, &expectation, "always", seen, None);
            }
        }
        let now = world.now();
        for (expectation, deadline) in std::mem::take(&mut self.eventually) {
            let seen = self.look(world, &expectation);
            if blind(world, &expectation.matcher).is_some() {
                self.eventually.push((expectation, deadline));
            } else if now > deadline {
                let note = format!("it did not hold before {deadline}");
                let late = Seen {
                    holds: false,
                    ..seen
                };
                self.judge(world, &expectation, "eventually", late, Some(&note));
            } else if seen.holds {
                self.judge(world, &expectation, "eventually", seen, None);
            } else {
                self.eventually.push((expectation, deadline));
            }
        }
        for (expectation, held) in &mut self.sometimes {
            *held |= look(world, &expectation.matcher, &self.marks).holds;
        }
    }

    /// The scenario is over: judges what is left.
    pub fn close(&mut self, world: &mut World) {
        for expectation in std::mem::take(&mut self.always) {
            if self.pass_over(world, &expectation) {
                continue;
            }
            let seen = self.look(world, &expectation);
            self.judge(world, &expectation, "always", seen, None);
        }
        for (expectation, _) in std::mem::take(&mut self.eventually) {
            if self.pass_over(world, &expectation) {
                continue;
            }
            let seen = self.look(world, &expectation);
            let never = Seen {
                holds: false,
                ..seen
            };
            let note = Some("the scenario ended before it held");
            self.judge(world, &expectation, "eventually", never, note);
        }
        for (expectation, held) in std::mem::take(&mut self.sometimes) {
            if !held && self.pass_over(world, &expectation) {
                continue;
            }
            let seen = self.look(world, &expectation);
            let note = (!held).then_some("it held at no moment of this run");
            self.judge(
                world,
                &expectation,
                "sometimes",
                Seen {
                    holds: held,
                    ..seen
                },
                note,
            );
        }
    }

    /// Writes a judgement into the trace.
    pub fn judge(
        &mut self,
        world: &mut World,
        expectation: &Expectation,
        form: &str,
        seen: Seen,
        note: Option<&str>,
    ) {
        self.judged += 1;
        let judgement = Judgement {
            line: expectation.at.line,
            column: expectation.at.column,
            span: (expectation.at.offset, expectation.at.len),
            form: form.to_owned(),
            expected: seen.expected,
            seen: match note {
                Some(note) => format!("{} ({note})", seen.seen),
                None => seen.seen,
            },
            subject: seen.subject,
            passed: seen.holds,
            cause: seen.cause,
        };
        if !judgement.passed && self.first_failure.is_none() {
            self.first_failure = Some(format!(
                "expected {}; seen: {}",
                judgement.expected, judgement.seen
            ));
        }
        world.push(Entry::Expectation(judgement));
    }
}
