//! Takes the steps of a scenario one after the other and judges what they expect.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::Run;
use super::observe::Observer;
use super::trace::{Entry, FORMAT, Header, StepEntry, Verdict, VerdictEntry};
use super::watch::Watch;
use crate::check::{Seen, invariants};
use crate::cluster::{Engine, EngineError, Reality, Spec, World};
use crate::kubeadm;
use crate::kubeadm::profile::historic::{self, MARK};
use crate::scenario::{Action, Counts, Expectation, Scenario, Step};

/// What a scenario is played on.
pub(super) enum Stage {
    /// A simulated world, with something that runs kubeadm.
    Simulated(Box<dyn Engine>),
    /// A real cluster.
    Real(Box<dyn Reality>),
}

pub(super) struct Player<'a> {
    pub scenario: &'a Scenario,
    pub world: World,
    watch: Rc<RefCell<Watch>>,
    observer: Observer,
}

impl<'a> Player<'a> {
    pub fn new(scenario: &'a Scenario, seed: u64, stage: Stage) -> Self {
        let cluster = &scenario.cluster;
        let spec = Spec {
            version: cluster.version,
            start: cluster.start,
            control_planes: cluster.control_planes,
            workers: cluster.workers,
            etcd: cluster.etcd,
            load_balancer: cluster.load_balancer,
            join_later: cluster.join_later.as_ref().map_or_else(Vec::new, |nodes| {
                nodes.names(Counts {
                    control_planes: cluster.control_planes,
                    workers: cluster.workers,
                    etcd: cluster.etcd,
                })
            }),
            upload_certs: cluster.upload_certs,
            key_algorithm: cluster.key_algorithm,
            certificate_validity: cluster.certificate_validity,
            ca_validity: cluster.ca_validity,
            certificates_dir: cluster.certificates_dir.clone(),
            controller_manager_args: cluster.controller_manager_args.clone(),
            server_tls_bootstrap: cluster.server_tls_bootstrap,
            metrics_server: cluster.metrics_server,
            serving_approver: cluster.serving_approver,
            seed,
        };
        let mut world = match stage {
            Stage::Simulated(engine) => World::with(spec, engine),
            Stage::Real(reality) => World::real(spec, reality),
        };
        world.stop_for_looks(
            !(scenario.always.is_empty()
                && scenario.eventually.is_empty()
                && scenario.sometimes.is_empty()),
        );
        Self {
            scenario,
            watch: Rc::new(RefCell::new(Watch::new(scenario))),
            observer: Observer::default(),
            world,
        }
    }

    pub fn play(mut self) -> Run {
        let End {
            verdict,
            reason,
            machine_failed,
        } = self.go();
        self.close(verdict, reason, machine_failed)
    }

    /// Plays, and gives the world as it is at the end.
    pub fn play_for_the_world(mut self) -> World {
        self.go();
        self.world
    }

    fn go(&mut self) -> End {
        self.write_header();
        let version = self.scenario.cluster.version;
        if version.is_historic() && self.world.backend() != "sim" {
            return End::infrastructure(format!(
                "{version} is a historic version ({MARK}): it is played on sim only, not on {}",
                self.world.backend()
            ));
        }
        if let Some(what) = self.world.not_for_real() {
            return End::infrastructure(format!(
                "{what} is simulated only; leave kind out of the scenario's backends"
            ));
        }
        if self.scenario.cluster.bare
            && let Err(error) = self.world.prepare()
        {
            return End::infrastructure(error.to_string());
        }
        if !self.scenario.cluster.bare
            && let Err(error) = self.world.create_cluster()
        {
            if let Some(broken) = self.world.broken.take() {
                return End::broken(&broken);
            }
            let mut reason = format!(
                "the cluster does not come up: {}",
                error.to_string().trim_end()
            );
            if self.world.is_real() {
                reason += "\nhelp: --keep leaves its nodes: look there at df, journalctl -u kubelet and crictl ps -a";
            }
            return End::infrastructure(reason);
        }
        if !self.scenario.cluster.bare {
            // What made the cluster is no command of the scenario.
            for node in &mut self.world.nodes {
                node.last_output = None;
            }
            let dated = self.world_has_its_dates();
            if let Some(broken) = self.world.broken.take() {
                return End::broken(&broken);
            }
            if let Err(error) = dated {
                return End::infrastructure(error);
            }
        }
        self.world.note_state();
        self.mark_processes();
        self.mark_serials();
        let watch = Rc::clone(&self.watch);
        self.world
            .watch(move |world| watch.borrow_mut().follow(world));
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
            self.watch.borrow_mut().begin(step);
            let before = renews(&step.action).then(|| invariants::identities(&self.world));
            let taken = self.take(step);
            self.world.refresh();
            if let Some(before) = before {
                self.watch.borrow_mut().renewed(&mut self.world, &before);
            }
            if let Some(broken) = self.world.broken.take() {
                return End::broken(&broken);
            }
            if let Err(error) = taken {
                return End::infrastructure(error);
            }
            self.watch.borrow_mut().follow(&mut self.world);
            if !matches!(
                step.action,
                Action::Expect(_) | Action::ExpectFailure { .. }
            ) {
                self.observer.observe(&mut self.world);
            }
        }
        self.watch.borrow_mut().close(&mut self.world);
        let reason = self.watch.borrow().first_failure();
        let verdict = if reason.is_none() {
            Verdict::Passed
        } else {
            Verdict::Failed
        };
        End {
            verdict,
            reason,
            machine_failed: false,
        }
    }

    /// Judges an expectation of a step.
    pub fn expect(&mut self, expectation: &Expectation) {
        if self.passes_over(expectation) {
            return;
        }
        let seen = self.watch.borrow().look(&mut self.world, expectation);
        self.judge(expectation, "expect", seen);
    }

    fn passes_over(&mut self, expectation: &Expectation) -> bool {
        self.watch.borrow().pass_over(&mut self.world, expectation)
    }

    /// Judges a negative control: the expectation must not hold, for the reason that is given.
    pub fn expect_failure(&mut self, expectation: &Expectation, because: Option<&str>) {
        if self.passes_over(expectation) {
            return;
        }
        let seen = self.watch.borrow().look(&mut self.world, expectation);
        let named = because.is_none_or(|text| seen.seen.contains(text));
        let negated = Seen {
            holds: !seen.holds && named,
            expected: match because {
                Some(text) => format!("not: {}; because of {text:?}", seen.expected),
                None => format!("not: {}", seen.expected),
            },
            ..seen
        };
        self.judge(expectation, "expectFailure", negated);
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
        self.judge(expectation, "command", seen);
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
        self.judge(expectation, "step", seen);
    }

    /// Gives a new cluster's certificates the dates that the scenario wants.
    ///
    /// # Errors
    /// With a sentence, where a certificate is not there.
    pub fn world_has_its_dates(&mut self) -> Result<(), String> {
        let certificates = &self.scenario.cluster.certificates;
        if certificates.is_empty() {
            return Ok(());
        }
        self.world.redate(certificates)
    }

    /// Remembers processes, to tell later which were restarted.
    pub fn mark_processes(&mut self) {
        use crate::scenario::Component::{ApiServer, ControllerManager, Etcd, Kubelet, Scheduler};
        let mut processes = BTreeMap::new();
        for node in 0..self.world.nodes.len() {
            for component in [Etcd, ApiServer, ControllerManager, Scheduler, Kubelet] {
                let id = self.world.nodes[node].process_id(component);
                processes.insert((node, component), id);
            }
        }
        self.watch.borrow_mut().marks.processes = processes;
    }

    /// Remembers serial numbers, to tell later what was renewed.
    pub fn mark_serials(&mut self) {
        let serials = (0..self.world.nodes.len())
            .flat_map(|node| {
                self.world.nodes[node]
                    .on_disk
                    .iter()
                    .map(move |(path, entry)| {
                        ((node, path.clone()), entry.certificate.serial_hex())
                    })
            })
            .collect();
        self.watch.borrow_mut().marks.serials = serials;
    }

    fn judge(&mut self, expectation: &Expectation, form: &str, seen: Seen) {
        self.watch
            .borrow_mut()
            .judge(&mut self.world, expectation, form, seen, None);
    }

    fn write_header(&mut self) {
        let scenario = self.scenario;
        let version = scenario.cluster.version;
        let mut warnings = match historic::notice(version) {
            Some(notice) => vec![notice],
            None => kubeadm::uncertainties(version),
        };
        let comes_or_goes =
            |step: &Step| matches!(step.action, Action::Join { .. } | Action::Reset(_));
        if scenario.steps.iter().any(comes_or_goes) {
            warnings.extend(kubeadm::profile::joining::uncertainties(version));
        }
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
            set: scenario.set.clone(),
            backend: self.world.backend().to_owned(),
            seed: self.world.spec.seed,
            version: version.to_string(),
            start: scenario.cluster.start,
            nodes,
            warnings,
        }));
    }

    fn close(mut self, verdict: Verdict, reason: Option<String>, machine_failed: bool) -> Run {
        let virtual_seconds = self
            .world
            .now()
            .duration_since(self.scenario.cluster.start)
            .as_secs();
        self.world.push(Entry::Verdict(VerdictEntry {
            verdict,
            reason,
            machine_failed,
            expectations: self.watch.borrow().judged(),
            events: self.world.events,
            virtual_seconds,
        }));
        Run {
            records: self.world.records,
            verdict,
        }
    }
}

/// How a run ended.
struct End {
    verdict: Verdict,
    reason: Option<String>,
    machine_failed: bool,
}

impl End {
    fn infrastructure(reason: String) -> Self {
        Self {
            verdict: Verdict::Infrastructure,
            reason: Some(reason),
            machine_failed: false,
        }
    }

    fn broken(error: &EngineError) -> Self {
        Self {
            machine_failed: true,
            ..Self::infrastructure(reason_of(error))
        }
    }
}

/// Whether a step runs a renewal.
fn renews(action: &Action) -> bool {
    match action {
        Action::Renew { .. } | Action::Upgrade(_) => true,
        Action::Kubeadm { args, .. } => args.iter().any(|word| word == "renew"),
        _ => false,
    }
}

fn reason_of(error: &EngineError) -> String {
    format!("{}\nhelp: {}", error.message, error.help)
}
