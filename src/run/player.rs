//! Takes the steps of a scenario one after the other and judges what they expect.

use std::collections::BTreeMap;

use serde_json::json;

use super::Run;

use super::trace::{
    Entry, FORMAT, Header, Judgement, Observation, StepEntry, Value, Verdict, VerdictEntry,
};
use crate::check::{Marks, Seen, look};
use crate::cluster::{Outcome, Spec, World};
use crate::kubeadm;
use crate::scenario::{Action, Expectation, Scenario};
use crate::time::{SignedDuration, Timestamp, shift};

pub(super) struct Player<'a> {
    pub scenario: &'a Scenario,
    pub world: World,
    pub marks: Marks,
    expectations: u32,
    failures: u32,
    first_failure: Option<String>,
    /// Expectations that must always hold and have not failed yet.
    always: Vec<&'a Expectation>,
    /// Those that must come to hold, each until it did.
    eventually: Vec<(&'a Expectation, Timestamp)>,
    sometimes: Vec<&'a Expectation>,
    observed: BTreeMap<(String, String), Value>,
}

impl<'a> Player<'a> {
    pub fn new(scenario: &'a Scenario, seed: u64) -> Self {
        let cluster = &scenario.cluster;
        let world = World::new(Spec {
            version: cluster.version,
            start: cluster.start,
            control_planes: cluster.control_planes,
            workers: cluster.workers,
            key_algorithm: cluster.key_algorithm,
            certificate_validity: cluster.certificate_validity,
            ca_validity: cluster.ca_validity,
            seed,
        });
        Self {
            scenario,
            marks: Marks::default(),
            expectations: 0,
            failures: 0,
            first_failure: None,
            always: scenario.always.iter().collect(),
            eventually: scenario
                .eventually
                .iter()
                .map(|one| (&one.expectation, shift(cluster.start, one.within)))
                .collect(),
            sometimes: scenario.sometimes.iter().collect(),
            observed: BTreeMap::new(),
            world,
        }
    }

    pub fn play(mut self) -> Run {
        self.write_header();
        if !self.scenario.cluster.bare
            && let Err(error) = self.world.create_cluster()
        {
            return self.end(
                Verdict::Infrastructure,
                Some(format!("the cluster does not come up: {error}")),
            );
        }
        self.mark_processes();
        self.mark_serials();
        for (index, step) in self.scenario.steps.iter().enumerate() {
            if !matches!(
                step.action,
                Action::Expect(_) | Action::ExpectFailure { .. }
            ) {
                self.world.push(Entry::Step(StepEntry {
                    index: index as u32 + 1,
                    line: step.at.line,
                    text: step.action.describe(),
                }));
            }
            if let Err(error) = self.take(step) {
                return self.end(Verdict::Infrastructure, Some(error));
            }
            self.follow();
            if !matches!(
                step.action,
                Action::Expect(_) | Action::ExpectFailure { .. }
            ) {
                self.observe();
            }
        }
        self.judge_what_is_left();
        match self.failures {
            0 => self.end(Verdict::Passed, None),
            _ => {
                let reason = self.first_failure.clone();
                self.end(Verdict::Failed, reason)
            }
        }
    }

    /// Lets time pass and looks at what must always or eventually hold after every event.
    pub fn pass(&mut self, span: SignedDuration) {
        if self.always.is_empty() && self.eventually.is_empty() && self.sometimes.is_empty() {
            self.world.walk(span);
            return;
        }
        let target = shift(self.world.clock.ticks(), span);
        loop {
            let left = target.duration_since(self.world.clock.ticks());
            let events = self.world.events;
            let more = self.world.wait(left, |world| world.events > events);
            self.follow();
            if !more {
                return;
            }
        }
    }

    /// Waits until something is so; looks at the always-conditions at the end.
    pub fn wait(&mut self, limit: SignedDuration, done: impl FnMut(&World) -> bool) -> bool {
        let became = self.world.wait(limit, done);
        self.follow();
        became
    }

    /// Judges an expectation of a step.
    pub fn expect(&mut self, expectation: &Expectation) {
        let seen = look(&mut self.world, &expectation.matcher, &self.marks);
        self.judge(expectation, "expect", seen, None);
    }

    /// Judges a negative control: the expectation must not hold, for the reason that is given.
    pub fn expect_failure(&mut self, expectation: &Expectation, because: Option<&str>) {
        let seen = look(&mut self.world, &expectation.matcher, &self.marks);
        let named = because.is_none_or(|text| seen.seen.contains(text));
        let negated = Seen {
            holds: !seen.holds && named,
            expected: match because {
                Some(text) => format!("not: {}; because of {text:?}", seen.expected),
                None => format!("not: {}", seen.expected),
            },
            ..seen
        };
        self.judge(expectation, "expectFailure", negated, None);
    }

    /// Judges the exit code of a step's command.
    pub fn expect_exit(&mut self, expectation: &Expectation, node: usize, wanted: i32) {
        let name = self.world.nodes[node].name.clone();
        let output = self.world.nodes[node]
            .last_output
            .clone()
            .unwrap_or_default();
        let seen = Seen {
            holds: output.exit_code == wanted,
            subject: format!("kubeadm@{name}"),
            expected: format!("the command on {name} ends with exit code {wanted}"),
            seen: format!(
                "exit code {}\n{}{}",
                output.exit_code, output.stdout, output.stderr
            )
            .trim_end()
            .to_owned(),
            cause: None,
        };
        self.judge(expectation, "command", seen, None);
    }

    /// Judges anything that a step itself needs: a process that must come up, a file that must be there.
    pub fn require(
        &mut self,
        expectation: &Expectation,
        subject: &str,
        expected: String,
        seen: String,
        holds: bool,
    ) {
        let seen = Seen {
            holds,
            subject: subject.to_owned(),
            expected,
            seen,
            cause: None,
        };
        self.judge(expectation, "step", seen, None);
    }

    /// Remembers processes, to tell later which were restarted.
    pub fn mark_processes(&mut self) {
        use crate::scenario::Component::{ApiServer, ControllerManager, Etcd, Kubelet, Scheduler};
        self.marks.processes.clear();
        for node in 0..self.world.nodes.len() {
            for component in [Etcd, ApiServer, ControllerManager, Scheduler, Kubelet] {
                let id = self.world.nodes[node].process_id(component);
                self.marks.processes.insert((node, component), id);
            }
        }
    }

    /// Remembers serial numbers, to tell later what was renewed.
    pub fn mark_serials(&mut self) {
        self.marks.serials = (0..self.world.nodes.len())
            .flat_map(|node| {
                self.world.nodes[node]
                    .on_disk
                    .iter()
                    .map(move |(path, entry)| {
                        ((node, path.clone()), entry.certificate.serial_hex())
                    })
            })
            .collect();
    }

    fn follow(&mut self) {
        let mut broken = Vec::new();
        let world = &mut self.world;
        let marks = &self.marks;
        self.always.retain(|expectation| {
            let seen = look(world, &expectation.matcher, marks);
            let holds = seen.holds;
            if !holds {
                broken.push((*expectation, seen));
            }
            holds
        });
        self.sometimes
            .retain(|expectation| !look(world, &expectation.matcher, marks).holds);
        let now = world.now();
        let mut reached = Vec::new();
        let mut late = Vec::new();
        self.eventually.retain(|(expectation, deadline)| {
            let seen = look(world, &expectation.matcher, marks);
            if now > *deadline {
                late.push((
                    *expectation,
                    Seen {
                        holds: false,
                        ..seen
                    },
                ));
                false
            } else if seen.holds {
                reached.push((*expectation, seen));
                false
            } else {
                true
            }
        });
        for (expectation, seen) in broken {
            self.judge(expectation, "always", seen, None);
        }
        for (expectation, seen) in reached.into_iter().chain(late) {
            self.judge(expectation, "eventually", seen, None);
        }
    }

    fn judge_what_is_left(&mut self) {
        for expectation in std::mem::take(&mut self.always) {
            let seen = look(&mut self.world, &expectation.matcher, &self.marks);
            self.judge(expectation, "always", seen, None);
        }
        for (expectation, _) in std::mem::take(&mut self.eventually) {
            let seen = look(&mut self.world, &expectation.matcher, &self.marks);
            let note = "the scenario ended before it held";
            self.judge(
                expectation,
                "eventually",
                Seen {
                    holds: false,
                    ..seen
                },
                Some(note),
            );
        }
        let never = std::mem::take(&mut self.sometimes);
        for expectation in &self.scenario.sometimes {
            let seen = look(&mut self.world, &expectation.matcher, &self.marks);
            let held = !never.iter().any(|left| std::ptr::eq(*left, expectation));
            let note = (!held).then_some("it held at no moment of this run");
            self.judge(
                expectation,
                "sometimes",
                Seen {
                    holds: held,
                    ..seen
                },
                note,
            );
        }
    }

    fn judge(&mut self, expectation: &Expectation, form: &str, seen: Seen, note: Option<&str>) {
        self.expectations += 1;
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
        if !judgement.passed {
            self.failures += 1;
            if self.first_failure.is_none() {
                self.first_failure = Some(format!(
                    "expected {}; seen: {}",
                    judgement.expected, judgement.seen
                ));
            }
        }
        self.world.push(Entry::Expectation(judgement));
    }

    /// Writes down what can be seen and has changed since it was last written down.
    fn observe(&mut self) {
        let mut facts = Vec::new();
        for edge in &self.world.edges {
            let subject = self.world.edge_name(edge.id);
            facts.push(("edge", subject.clone(), "fresh", state_of(&edge.fresh)));
            let held = match &edge.held {
                None => json!("absent"),
                Some(held) => match &held.failure {
                    None => json!("ok"),
                    Some(failure) => json!({ "failing": failure.class.word() }),
                },
            };
            facts.push(("edge", subject, "held", held));
        }
        for node in &self.world.nodes {
            for (path, entry) in &node.on_disk {
                let subject = format!("{path}@{}", node.name);
                facts.push((
                    "certificate",
                    subject,
                    "notAfter",
                    json!(entry.certificate.not_after().to_string()),
                ));
            }
            if let Some(current) = &node.kubelet.current {
                let subject = format!("kubelet@{}", node.name);
                facts.push((
                    "loaded",
                    subject,
                    "notAfter",
                    json!(current.not_after().to_string()),
                ));
            }
            let state = format!("{:?}", node.kubelet.state).to_lowercase();
            facts.push((
                "process",
                format!("kubelet@{}", node.name),
                "state",
                json!(state),
            ));
        }
        if let Some(quorum) = self.world.quorum {
            facts.push(("etcd", "etcd".to_owned(), "quorum", json!(quorum)));
        }
        for (kind, subject, aspect, value) in facts {
            self.note_fact(kind, subject, aspect, Value::Exact(value));
        }
        self.observe_deadlines();
        let admin = self.world.nodes.iter().any(|node| node.ready.is_some());
        if admin {
            let reason = "a kubectl call opens a connection of its own and closes it".to_owned();
            self.note_fact(
                "edge",
                "admin -> kube-apiserver".to_owned(),
                "held",
                Value::Unobservable { reason },
            );
        }
    }

    /// A rotation deadline is drawn by chance: what a backend can promise is the interval.
    fn observe_deadlines(&mut self) {
        let mut drawn = Vec::new();
        for node in &self.world.nodes {
            if let (Some(current), Some(_)) = (&node.kubelet.current, node.kubelet.deadline) {
                let from = current.certificate.not_before();
                let life = current.not_after().duration_since(from).as_secs_f64();
                let start = from.as_second() as f64;
                drawn.push((
                    format!("kubelet@{}", node.name),
                    Value::Interval {
                        min: start + 0.7 * life,
                        max: start + 0.9 * life,
                    },
                ));
            }
        }
        for (subject, value) in drawn {
            self.note_fact("kubelet", subject, "rotationDeadline", value);
        }
    }

    fn note_fact(&mut self, kind: &str, subject: String, aspect: &str, value: Value) {
        let key = (format!("{kind} {subject}"), aspect.to_owned());
        if self.observed.get(&key) == Some(&value) {
            return;
        }
        self.observed.insert(key, value.clone());
        self.world.push(Entry::Observation(Observation {
            kind: kind.to_owned(),
            subject,
            aspect: aspect.to_owned(),
            value,
        }));
    }

    fn write_header(&mut self) {
        let scenario = self.scenario;
        let version = scenario.cluster.version;
        let mut warnings = kubeadm::uncertainties(version);
        warnings.sort();
        warnings.dedup();
        let nodes = self
            .world
            .nodes
            .iter()
            .map(|node| node.name.clone())
            .collect();
        self.world.push(Entry::Header(Header {
            format: FORMAT.to_owned(),
            certdrill: env!("CARGO_PKG_VERSION").to_owned(),
            scenario: scenario.name.clone(),
            title: scenario.title.clone(),
            file: scenario.file.clone(),
            reference: scenario.reference.clone(),
            variant: scenario.variant.clone(),
            backend: "sim".to_owned(),
            seed: self.world.spec.seed,
            version: version.to_string(),
            start: scenario.cluster.start,
            nodes,
            warnings,
        }));
    }

    fn end(mut self, verdict: Verdict, reason: Option<String>) -> Run {
        let virtual_seconds = self
            .world
            .now()
            .duration_since(self.scenario.cluster.start)
            .as_secs();
        self.world.push(Entry::Verdict(VerdictEntry {
            verdict,
            reason,
            expectations: self.expectations,
            events: self.world.events,
            virtual_seconds,
        }));
        Run {
            records: self.world.records,
            verdict,
        }
    }
}

fn state_of(outcome: &Outcome) -> serde_json::Value {
    match outcome {
        Outcome::Absent => json!("absent"),
        Outcome::Ok => json!("ok"),
        Outcome::Partial {
            working,
            total,
            failure,
        } => {
            json!({ "partial": [working, total], "failing": failure.class.word(), "text": failure.text })
        }
        Outcome::Failing(failure) => {
            json!({ "failing": failure.class.word(), "text": failure.text })
        }
    }
}
