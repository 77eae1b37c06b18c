//! What is allowed but probably not meant: warnings, each with the id of its rule.

use super::{
    Action, Component, Counts, Expectation, Matcher, Nodes, Passage, Position, Problem, Scenario,
    Target,
};
use crate::kubeadm::Version;

/// The newest minor whose behaviour was recorded.
const NEWEST: Version = Version::new(37, u16::MAX);

/// Warnings about the variants of one file, each once, in the order of the file.
#[must_use]
pub fn lint(scenarios: &[Scenario]) -> Vec<Problem> {
    let mut warnings = Vec::new();
    for scenario in scenarios {
        Linter {
            scenario,
            warnings: &mut warnings,
        }
        .all();
    }
    nothing_expected(scenarios, &mut warnings);
    control_missing(scenarios, &mut warnings);
    warnings.sort_by(|a: &Problem, b| (a.at.offset, &a.message).cmp(&(b.at.offset, &b.message)));
    warnings.dedup();
    warnings
}

fn warning(at: Position, rule: &'static str, message: impl Into<String>) -> Problem {
    let mut problem = Problem::new(at, message);
    problem.rule = Some(rule);
    problem
}

/// A step after which nothing is looked at cannot make the scenario fail. That some variants look at
/// nothing is in order.
fn nothing_expected(scenarios: &[Scenario], warnings: &mut Vec<Problem>) {
    let tails: Vec<&[super::Step]> = scenarios.iter().map(unwatched_tail).collect();
    let first = tails
        .iter()
        .flat_map(|tail| tail.iter())
        .filter(|step| !matches!(step.action, Action::Note(_)))
        .find(|step| {
            scenarios.iter().zip(&tails).all(|(scenario, tail)| {
                let there = |steps: &[super::Step]| steps.iter().any(|other| other.at == step.at);
                there(tail) || !there(&scenario.steps)
            })
        });
    if let Some(step) = first {
        warnings.push(
            warning(
                step.at,
                "nothing-expected",
                "nothing is expected after this step, so it cannot fail",
            )
            .help("add an `expect` behind it, or `always` under `spec`"),
        );
    }
}

/// The steps behind the last expectation.
fn unwatched_tail(scenario: &Scenario) -> &[super::Step] {
    if !scenario.always.is_empty() || !scenario.eventually.is_empty() {
        return &[];
    }
    let last = scenario.steps.iter().rposition(|step| {
        matches!(
            step.action,
            Action::Expect(_) | Action::ExpectFailure { .. }
        )
    });
    &scenario.steps[last.map_or(0, |last| last + 1)..]
}

/// A scenario that shows a fix must also show that something fails without.
fn control_missing(scenarios: &[Scenario], warnings: &mut Vec<Problem>) {
    let mut without = scenarios
        .iter()
        .filter(|scenario| {
            scenario
                .variant
                .get("fix")
                .is_some_and(|fix| matches!(fix.as_str(), "no" | "none" | "false" | "off"))
        })
        .peekable();
    let Some(first) = without.peek() else { return };
    let at = first
        .steps
        .first()
        .map_or_else(Position::default, |step| step.at);
    let red = without.any(|scenario| {
        scenario.steps.iter().any(|step| match &step.action {
            Action::ExpectFailure { .. } => true,
            Action::Expect(expectation) => is_red(&expectation.matcher),
            _ => false,
        })
    });
    if !red {
        warnings.push(
            warning(
                at,
                "no-control",
                "nothing is expected to go wrong without the fix, so the fix shows nothing",
            )
            .help(
                "add an `expectFailure`, or an `expect` of what fails, for the variant without it",
            ),
        );
    }
}

struct Linter<'s> {
    scenario: &'s Scenario,
    warnings: &'s mut Vec<Problem>,
}

impl Linter<'_> {
    fn all(&mut self) {
        self.bare_without_init();
        let scenario = self.scenario;
        for step in &scenario.steps {
            self.action(step.at, &step.action);
        }
        let beside = scenario
            .always
            .iter()
            .chain(&scenario.sometimes)
            .chain(scenario.eventually.iter().map(|item| &item.expectation));
        for expectation in beside {
            self.expectation(expectation);
        }
        if scenario.cluster.version > NEWEST {
            self.warn(
                Position::default(),
                "version-not-recorded",
                format!(
                    "no run of kubeadm {} was recorded; it is played as v1.{} was",
                    scenario.cluster.version, NEWEST.minor
                ),
            );
        }
    }

    fn warn(&mut self, at: Position, rule: &'static str, message: impl Into<String>) {
        self.warnings.push(warning(at, rule, message));
    }

    fn help(&mut self, help: impl Into<String>) {
        if let Some(last) = self.warnings.last_mut() {
            last.help = Some(help.into());
        }
    }

    fn bare_without_init(&mut self) {
        let scenario = self.scenario;
        let init = |action: &Action| match action {
            Action::Init { .. } => true,
            Action::Kubeadm { args, .. } => args.iter().any(|arg| arg == "init"),
            _ => false,
        };
        if scenario.cluster.bare && !scenario.steps.iter().any(|step| init(&step.action)) {
            self.warn(
                Position::default(),
                "bare-without-init",
                "the cluster starts bare and no step initialises it",
            );
        }
    }

    fn action(&mut self, at: Position, action: &Action) {
        match action {
            Action::Dormant { nodes, .. }
            | Action::Skew { nodes, .. }
            | Action::Renew { nodes, .. }
            | Action::CheckExpiration { nodes }
            | Action::Kubeadm { nodes, .. }
            | Action::Exec { nodes, .. }
            | Action::Apply { nodes, .. }
            | Action::Image { nodes, .. }
            | Action::Kubectl { nodes, .. }
            | Action::Reboot(nodes)
            | Action::Reset(nodes)
            | Action::Remove { nodes, .. } => self.nodes(at, nodes),
            Action::Upgrade(upgrade) => self.nodes(at, &upgrade.nodes),
            Action::Join { nodes, .. } => self.nodes(at, nodes),
            Action::MoveManifests(moved) => self.nodes(at, &moved.nodes),
            Action::Edit(edit) => self.nodes(at, &edit.nodes),
            Action::Issue(issue) => self.nodes(at, &issue.nodes),
            Action::Restart(target) | Action::Stop(target) | Action::Start(target) => {
                self.target(at, target);
            }
            Action::Copy {
                from_node,
                to_nodes,
                ..
            } => {
                self.nodes(at, from_node);
                self.nodes(at, to_nodes);
            }
            Action::Expect(expectation) => self.expectation(expectation),
            Action::ExpectFailure {
                expectation,
                because,
            } => {
                self.expectation(expectation);
                let many_reasons = matches!(
                    expectation.matcher,
                    Matcher::Edge { .. } | Matcher::AllEdges { .. }
                );
                if many_reasons && because.is_none() {
                    self.warn(
                        at,
                        "failure-without-because",
                        "this control accepts any failure, also one for the wrong reason",
                    );
                    self.help("add `because:` with text that must be part of what is seen");
                }
            }
            Action::Walk(Passage::Until(instant)) if *instant <= self.scenario.cluster.start => {
                self.warn(
                    at,
                    "walk-into-the-past",
                    "this instant is not after the cluster's start",
                );
            }
            Action::Decide { of, .. } => {
                if let Some(nodes) = of {
                    self.nodes(at, nodes);
                }
            }
            Action::RequestCertificate(request) => self.nodes(at, &request.node),
            Action::ServingApprover(_)
            | Action::EditConfigMap { .. }
            | Action::Walk(_)
            | Action::Jump(_)
            | Action::StepBack(_)
            | Action::Init { .. }
            | Action::Note(_) => {}
        }
    }

    fn expectation(&mut self, expectation: &Expectation) {
        let at = expectation.at;
        match &expectation.matcher {
            Matcher::Edge { client, server, .. } => {
                self.target(at, client);
                self.target(at, server);
                if !is_edge(client.component, server.component) {
                    self.warn(
                        at,
                        "unknown-edge",
                        format!("{client} never connects to {server}"),
                    );
                    self.help(format!("edges are {}", EDGES_TEXT));
                }
            }
            Matcher::Process { target, .. } => self.target(at, target),
            Matcher::Certificate { nodes, .. }
            | Matcher::Output { nodes, .. }
            | Matcher::Residual { nodes, .. }
            | Matcher::File { nodes, .. }
            | Matcher::Verify { nodes, .. }
            | Matcher::Node { nodes, .. } => self.nodes(at, nodes),
            Matcher::Requests { of, .. } => {
                if let Some(nodes) = of {
                    self.nodes(at, nodes);
                }
            }
            Matcher::AllEdges { .. } | Matcher::Etcd { .. } => {}
        }
    }

    fn nodes(&mut self, at: Position, nodes: &Nodes) {
        let names = nodes.names(self.size());
        let known = Nodes::any().names(self.size());
        for name in names.iter().filter(|name| !known.contains(name)) {
            self.warn(
                at,
                "no-such-node",
                format!("the cluster has no node {name}"),
            );
            self.help(format!("its nodes are {}", known.join(", ")));
        }
        if names.is_empty() {
            self.warn(
                at,
                "no-such-node",
                format!("no node of the cluster is a @{nodes}"),
            );
            self.help(format!("its nodes are {}", known.join(", ")));
        }
    }

    fn target(&mut self, at: Position, target: &Target) {
        self.nodes(at, &target.nodes);
        let everywhere = matches!(
            target.component,
            Some(
                Component::Kubelet | Component::Admin | Component::User | Component::MetricsServer
            )
        );
        let on_worker = target
            .nodes
            .names(self.size())
            .iter()
            .all(|name| name.starts_with('w'));
        if !everywhere && on_worker {
            self.warn(
                at,
                "no-such-process",
                format!("{target}: workers have no static Pods"),
            );
        }
    }

    fn size(&self) -> Counts {
        let cluster = &self.scenario.cluster;
        Counts {
            control_planes: cluster.control_planes,
            workers: cluster.workers,
            etcd: cluster.etcd,
        }
    }
}

/// Whether an expectation is about something that went wrong.
fn is_red(matcher: &Matcher) -> bool {
    use super::{EdgeExpectation, ProcessState};
    match matcher {
        Matcher::Edge { is, .. } | Matcher::AllEdges { is } => *is != EdgeExpectation::Ok,
        Matcher::Process { state, .. } => {
            matches!(state, Some(ProcessState::Exited | ProcessState::Stopped))
        }
        Matcher::Certificate {
            valid,
            exists,
            renewed,
            ..
        } => [valid, exists, renewed]
            .iter()
            .any(|fact| **fact == Some(false)),
        Matcher::Output { exit_code, .. } => exit_code.is_some_and(|code| code != 0),
        Matcher::Residual { rows, .. } => rows.values().any(|time| time == "<invalid>"),
        Matcher::Etcd { quorum, .. } => *quorum == Some(false),
        Matcher::Node { ready, .. } => !ready,
        Matcher::Requests {
            pending,
            approved,
            denied,
            failed,
            ..
        } => [pending, approved, denied, failed]
            .iter()
            .any(|count| count.is_some_and(|count| count > 0)),
        Matcher::Verify { accepted, .. } => !accepted,
        Matcher::File { .. } => false,
    }
}

const EDGES_TEXT: &str = "kubelet, controller-manager, scheduler, admin, user, extension -> apiserver; \
     apiserver -> itself, etcd, kubelet, extension; etcd -> etcd; metrics-server -> kubelet";

fn is_edge(client: Option<Component>, server: Option<Component>) -> bool {
    use Component::{
        Admin, ApiServer, ControllerManager, Etcd, Extension, Kubelet, MetricsServer, Scheduler,
        User,
    };
    matches!(
        (client, server),
        (
            Some(Kubelet | ControllerManager | Scheduler | Admin | User | Extension),
            Some(ApiServer)
        ) | (
            Some(ApiServer),
            Some(ApiServer | Etcd | Kubelet | Extension)
        ) | (Some(Etcd), Some(Etcd))
            | (Some(MetricsServer), Some(Kubelet))
    )
}
