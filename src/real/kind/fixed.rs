//! How time passes where no clock can be moved, because ptrace is forbidden in node containers.
//!
//! The machines keep the present. What is short is waited for. In what is long, certificates become older instead (`aging.rs`):
//! while every machine is off, or while nothing comes due that a running cluster would do. Whatever else would have to be lived
//! through gives no verdict, and says what it was.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Kind;
use super::agent::{Edit, FILE_BYTES_MAX, Order, Report, encode};
use super::aging::Aging;
use super::ask::kubectl;
use super::clock::{Ahead, Life};
use super::faces::AgingError;
use super::member::Member;
use super::node::{CLOCK, Container, Taken, clock_file};
use super::picture::MANIFESTS;
use super::wait::pause;
use crate::cluster::csr::is_over;
use crate::cluster::{BOOTSTRAP_CONF, EngineError, RequestState};
use crate::fs::Tree as _;
use crate::kubeadm::CommandOutput;
use crate::kubeadm::profile::components::LOOPBACK_DAYS;
use crate::pki::Certificate;
use crate::real::warp::clock_file::FIXED;
use crate::real::warp::{FORBIDDEN, machine_time};
use crate::scenario::Component;
use crate::time::{SignedDuration, Timestamp, shift, span};

/// What is waited for, at most.
const WAITED_MAX: SignedDuration = SignedDuration::from_mins(10);
/// Before something long passes: Nodes become NotReady after 50 s, leases of leaders run out after 15.
const SETTLES_IN: SignedDuration = SignedDuration::from_secs(75);
/// Between two looks of who approves.
const LOOK: SignedDuration = SignedDuration::from_secs(5);
/// Where certificates and the keys that sign them are.
const ROOTS: [&str; 3] = ["/etc/kubernetes", "/var/lib/kubelet/pki", "/root/.kube"];

/// A cluster whose machines keep the present.
#[derive(Debug)]
pub(super) struct Fixed {
    aging: Aging,
    /// Its machines, as they are, and where each has its certificates.
    machines: Vec<(Container, String)>,
    /// Why.
    reason: String,
    /// How often time had leapt when the last bootstrap token was made.
    token: AtomicUsize,
    /// How much of it processes have not lived through that run: what they have loaded is so much too young.
    skipped: Mutex<SignedDuration>,
}

impl Fixed {
    /// Has an agent do something, both in the words of the world.
    pub fn order(
        &self,
        order: &Order,
        send: impl FnOnce(&Order) -> Result<Report, EngineError>,
    ) -> Result<Report, EngineError> {
        let order = self.turned(|aging| aging.order(order))?;
        let report = send(&order)?;
        self.turned(|aging| aging.report(&report))
    }

    /// Where a key is missing it is looked for on every machine.
    fn turned<T>(
        &self,
        mut turn: impl FnMut(&Aging) -> Result<T, AgingError>,
    ) -> Result<T, EngineError> {
        let turned = match turn(&self.aging) {
            Err(AgingError::Signer(_)) => {
                self.look_for_keys();
                turn(&self.aging)
            }
            turned => turned,
        };
        turned.map_err(|error| self.no_clock(&error.to_string()))
    }

    /// What cannot be played, and why.
    fn no_clock(&self, what: &str) -> EngineError {
        EngineError {
            message: format!("{what}; and no clock can be moved here: {}", self.reason),
            help: "allow ptrace in privileged containers of this machine (no seccomp profile that forbids it, kernel.yama.ptrace_scope \
                   below 3); what is played without it: docs/real-clusters.md"
                .to_owned(),
        }
    }

    /// For how long processes have not lived through what passed.
    fn skipped(&self) -> SignedDuration {
        *self.skipped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_for_keys(&self) {
        for (machine, directory) in &self.machines {
            // What is not found is told by who wants it.
            for file in machine.take(directory).unwrap_or_default() {
                self.aging.faces().learn(&file.path, &file.content);
            }
        }
    }
}

impl Kind {
    /// Whether the machines keep the present.
    pub(super) fn is_fixed(&self) -> bool {
        self.fixed.is_some()
    }

    /// Text of a node's clock file.
    pub(super) fn clock_text(&self, skew: SignedDuration) -> String {
        if self.is_fixed() {
            FIXED.to_owned()
        } else {
            clock_file(self.ahead.offset() + skew)
        }
    }

    /// Tries whether something can be started at another time in every node, and fixes their clocks where that is forbidden.
    pub(super) fn find_out_about_clocks(&mut self) -> Result<(), EngineError> {
        let found = self.everywhere(|member| why_not_moved(&member.container))?;
        let Some(reason) = found.into_iter().flatten().next() else {
            return Ok(());
        };
        // Certificates have whole seconds.
        let ahead = SignedDuration::from_secs(self.ahead.offset().as_secs());
        self.ahead = Ahead::by(ahead);
        let fixed = Arc::new(Fixed {
            aging: Aging::new(machine_time(), ahead),
            machines: self
                .nodes
                .iter()
                .map(|member| {
                    let directory = member.plan.certificates_dir.clone();
                    (member.container.clone(), directory)
                })
                .collect(),
            reason,
            token: 0.into(),
            skipped: Mutex::default(),
        });
        for member in &mut self.nodes {
            member.container.fixed = Some(Arc::clone(&fixed));
        }
        self.fixed = Some(fixed);
        let text = FIXED.as_bytes();
        self.everywhere(|member| member.container.put(&[(CLOCK, 0o644, text)]))?;
        Ok(())
    }

    /// What a reader of the verdict must know.
    pub(super) fn remark_on_clocks(&self) -> Option<String> {
        let fixed = self.fixed.as_ref()?;
        Some(format!(
            "no clock was moved: {}. Where more than {} passed, the cluster's own CAs signed every certificate again with \
             earlier dates, while all machines were off or nothing came due; bootstrap tokens and other objects did not become older",
            fixed.reason,
            span::display(WAITED_MAX)
        ))
    }

    /// Refuses what needs a clock that moves.
    pub(super) fn must_move(&self, what: &str) -> Result<(), EngineError> {
        self.fixed
            .as_ref()
            .map_or(Ok(()), |fixed| Err(fixed.no_clock(what)))
    }

    /// Refuses a join by a token that would have ended, or with a key of certificates that would.
    pub(super) fn tokens_must_be_new(&self, with_key: bool) -> Result<(), EngineError> {
        let Some(fixed) = &self.fixed else {
            return Ok(());
        };
        let leaps = fixed.aging.faces().leaps();
        let made = fixed.token.load(Ordering::Relaxed);
        if leaps != made || with_key && leaps > 0 {
            return Err(fixed.no_clock(
                "bootstrap tokens and uploaded certificates do not become older, so that a join with them tells nothing",
            ));
        }
        Ok(())
    }

    /// A bootstrap token was made.
    pub(super) fn note_token(&self) {
        if let Some(fixed) = &self.fixed {
            let leaps = fixed.aging.faces().leaps();
            fixed.token.store(leaps, Ordering::Relaxed);
        }
    }

    /// Input of a command, as its machine dates certificates.
    pub(super) fn to_machine(&self, input: &[u8]) -> Result<Vec<u8>, EngineError> {
        let Some(fixed) = &self.fixed else {
            return Ok(input.to_owned());
        };
        let turned = fixed.turned(|aging| aging.faces().held(input))?;
        Ok(turned.unwrap_or_else(|| input.to_owned()))
    }

    /// What a command said, by the world's time.
    pub(super) fn to_world(&self, mut output: CommandOutput) -> Result<CommandOutput, EngineError> {
        if let Some(fixed) = &self.fixed {
            fixed.turned(|aging| aging.output(&mut output))?;
        }
        Ok(output)
    }

    /// The world's time of an instant that a machine has written down.
    pub(super) fn instant_seen(&self, of_machine: Timestamp) -> Timestamp {
        let fixed = self.fixed.as_ref();
        fixed.map_or(of_machine, |fixed| fixed.aging.faces().instant(of_machine))
    }

    /// What the machines' clocks show.
    pub(super) fn instant_of_nodes(&self) -> Timestamp {
        if self.is_fixed() {
            machine_time()
        } else {
            self.ahead.now()
        }
    }

    /// The fingerprint that the world sees for one of a machine.
    pub(super) fn fingerprint_seen(&self, of_machine: [u8; 32]) -> [u8; 32] {
        let fixed = self.fixed.as_ref();
        fixed.map_or(of_machine, |fixed| {
            fixed.aging.faces().fingerprint(of_machine)
        })
    }

    /// Lets time pass.
    pub(super) fn live_by_the_machine(&mut self, span: SignedDuration) -> Result<(), EngineError> {
        let Some(fixed) = self.fixed.clone() else {
            return Ok(());
        };
        if !self.nodes.iter().any(|member| member.powered) {
            self.nothing_else_may_end(&fixed, span)?;
            self.grow_older(&fixed, span)?;
            // Whatever starts now reads what it finds.
            *fixed.skipped.lock().unwrap_or_else(PoisonError::into_inner) = SignedDuration::ZERO;
            return Ok(());
        }
        if span <= WAITED_MAX {
            if fixed.skipped().is_positive() {
                self.no_date_may_come(&fixed, span)?;
            }
            return self.wait(span);
        }
        self.wait(SETTLES_IN)?;
        let rest = span - SETTLES_IN;
        self.nothing_may_come_due(&fixed, rest)?;
        self.nothing_else_may_end(&fixed, rest)?;
        self.grow_older(&fixed, rest)?;
        *fixed.skipped.lock().unwrap_or_else(PoisonError::into_inner) += rest;
        Ok(())
    }

    fn wait(&self, span: SignedDuration) -> Result<(), EngineError> {
        let end = shift(machine_time(), span);
        loop {
            let left = end.duration_since(machine_time());
            if !left.is_positive() {
                return Ok(());
            }
            pause(left.min(LOOK).try_into().unwrap_or(Duration::ZERO));
            self.approve()?;
        }
    }

    /// Refuses to let a running cluster become older where it would have done something meanwhile.
    fn nothing_may_come_due(
        &mut self,
        fixed: &Fixed,
        rest: SignedDuration,
    ) -> Result<(), EngineError> {
        let refused = |what: String| {
            let passes = span::display(rest);
            Err(fixed.no_clock(&format!(
                "{passes} cannot pass for a running cluster: {what}"
            )))
        };
        if let Some(ill) = self.what_is_ill()? {
            return refused(format!("{ill}, and who knows what it does meanwhile"));
        }
        let loopback = |member: &Member| *LOOPBACK_DAYS.at(member.plan.version);
        let days = self.nodes.iter().map(loopback).min().unwrap_or(0);
        // It is as old as the process: that it was started before this began is in the day.
        let lives = SignedDuration::from_hours(24 * (days - 1));
        if fixed.skipped().saturating_add(rest) > lives {
            return refused("a kube-apiserver's certificate for itself would end".to_owned());
        }
        let requests = self.requests()?.map(|(_, listed)| listed);
        let waits = |request: &crate::cluster::Request| request.state() == RequestState::Pending;
        if requests.iter().flatten().any(|(_, one)| waits(one)) {
            return refused("a request that waits would be posted again".to_owned());
        }
        self.no_date_may_come(fixed, rest)
    }

    /// What does not run as it is meant to.
    fn what_is_ill(&mut self) -> Result<Option<String>, EngineError> {
        let order = Order {
            roots: vec![MANIFESTS.to_owned()],
            ..Order::default()
        };
        let found = self.everywhere(|member| {
            let report = member.container.order(&order)?;
            let name = &member.plan.name;
            let pods = if member.kubelet_wanted {
                member.pods_missing(&report)
            } else {
                Vec::new()
            };
            let has_server = report
                .processes
                .iter()
                .any(|one| one.name == Component::ApiServer.name());
            Ok(if member.kubelet_wanted && !member.kubelet.runs() {
                Some(format!("the kubelet of {name} does not run"))
            } else if let Some(pod) = pods.first() {
                Some(format!("{} of {name} does not run", pod.name()))
            } else if has_server && member.is_ill()? {
                Some(format!("kube-apiserver of {name} is not healthy"))
            } else {
                None
            })
        })?;
        Ok(found.into_iter().flatten().next())
    }

    /// Refuses what running processes would do, or would no longer be able to, at a date: they have loaded certificates that are
    /// younger than the time that passed.
    fn no_date_may_come(&self, fixed: &Fixed, rest: SignedDuration) -> Result<(), EngineError> {
        let now = self.ahead.now();
        let then = shift(now, rest);
        let refused = |what: String| {
            let passes = span::display(rest);
            Err(fixed.no_clock(&format!(
                "{passes} cannot pass for a running cluster: {what} meanwhile"
            )))
        };
        let renews = |life: &Life| life.comes_due_until(then) && now < life.to;
        if let Some(life) = self.lives_now()?.into_iter().find(renews) {
            let end = life.to;
            return refused(format!(
                "a kubelet would renew its certificate that ends at {end:.0}"
            ));
        }
        let ends = |one: &Certificate| now <= one.not_after() && one.not_after() < then;
        // Whether it is in a file or loaded by a process that nobody has restarted.
        if let Some(one) = fixed.aging.faces().certificates().into_iter().find(ends) {
            let (name, end) = (one.common_name(), one.not_after());
            return refused(format!("a certificate of {name} would end, at {end:.0},"));
        }
        Ok(())
    }

    /// Refuses to let something end that does not become older with certificates on disks.
    fn nothing_else_may_end(&self, fixed: &Fixed, span: SignedDuration) -> Result<(), EngineError> {
        let now = self.ahead.now();
        let then = shift(now, span);
        let seen = fixed.aging.faces().certificates();
        let ends =
            |one: &&Certificate| one.is_ca() && now <= one.not_after() && one.not_after() < then;
        if let Some(one) = seen.iter().find(ends) {
            return Err(fixed.no_clock(&format!(
                "the CA {} would end, at {:.0}, and copies of it in objects of the API do not become older",
                one.common_name(),
                one.not_after()
            )));
        }
        let mut members = self.nodes.iter();
        if let Some(member) = members.find(|member| member.tree.exists(BOOTSTRAP_CONF)) {
            return Err(fixed.no_clock(&format!(
                "the kubelet of {} holds a bootstrap token, and tokens do not become older",
                member.plan.name
            )));
        }
        Ok(())
    }

    /// Makes every certificate older by a span, on every machine.
    fn grow_older(&mut self, fixed: &Fixed, by: SignedDuration) -> Result<(), EngineError> {
        let by = SignedDuration::from_secs(by.as_secs());
        let mut seen = Vec::new();
        for member in &self.nodes {
            let mut files = Vec::new();
            for file in certificate_files(member)? {
                let text = fixed.turned(|aging| aging.faces().seen(&file.path, &file.content))?;
                files.extend(text.map(|content| Taken { content, ..file }));
            }
            seen.push(files);
        }
        fixed.aging.faces().leap(machine_time(), by);
        self.ahead.add(by);
        for (member, mut files) in self.nodes.iter().zip(seen) {
            for file in &mut files {
                if let Some(text) = fixed.turned(|aging| aging.faces().held(&file.content))? {
                    file.content = text;
                }
            }
            if files.is_empty() {
            } else if member.powered {
                write_in_place(&member.container, &files)?;
            } else {
                member.container.put_back(&files)?;
            }
        }
        Ok(())
    }

    /// Does the cleaner's work: objects do not become older, and it looks at their dates.
    pub(super) fn clean_requests(&self) -> Result<(), EngineError> {
        let Some(fixed) = &self.fixed else {
            return Ok(());
        };
        if fixed.aging.faces().leaps() == 0 {
            return Ok(());
        }
        let Some((node, listed)) = self.requests()? else {
            return Ok(());
        };
        let now = self.ahead.now();
        let over = listed.iter().filter(|(_, one)| is_over(one, now));
        let names: Vec<&str> = over.map(|(_, one)| one.name.as_str()).collect();
        if names.is_empty() || !self.has_controllers()? {
            return Ok(());
        }
        let mut args = vec![
            "--kubeconfig=/etc/kubernetes/admin.conf",
            "--request-timeout=8s",
            "delete",
            "certificatesigningrequests",
        ];
        args.extend(names);
        let order = Order {
            commands: vec![("clean".to_owned(), kubectl(&args))],
            ..Order::default()
        };
        self.nodes[node].container.order(&order).map(drop)
    }

    fn has_controllers(&self) -> Result<bool, EngineError> {
        let name = Component::ControllerManager.name();
        let reports = self.everywhere(|member| member.container.order(&Order::default()))?;
        let mut processes = reports.iter().flat_map(|report| &report.processes);
        Ok(processes.any(|process| process.name == name))
    }
}

/// Why nothing can be started at another time in a node, where tracing is forbidden.
fn why_not_moved(container: &Container) -> Result<Option<String>, EngineError> {
    let output = container.run(&["true".to_owned()], &[])?;
    let said = output.stderr.trim();
    match output.exit_code {
        0 => Ok(None),
        _ if said.contains(FORBIDDEN) => Ok(Some(format!(
            "ptrace is forbidden in {}{}",
            container.name,
            why(said)
        ))),
        _ => Err(EngineError {
            message: format!(
                "nothing in {} can be started at another time: {said}",
                container.name
            ),
            help: "clocks are moved with ptrace, in privileged containers: `certdrill doctor`"
                .to_owned(),
        }),
    }
}

/// What the launcher in a node says of the reason: `: a seccomp filter is in force, ...`.
fn why(said: &str) -> &str {
    let line = said.lines().next().unwrap_or_default();
    line.split_once("a child of this process")
        .map_or("", |(_, reason)| reason)
}

/// Files of a machine, running or not, in which certificates are.
fn certificate_files(member: &Member) -> Result<Vec<Taken>, EngineError> {
    let dir = &member.plan.certificates_dir;
    let mut roots: Vec<&str> = ROOTS.to_vec();
    let more = std::iter::once(dir)
        .chain(&member.written)
        .map(String::as_str);
    for root in more {
        let is_below = |known: &&str| Path::new(root).starts_with(known);
        if !roots.iter().any(is_below) {
            roots.push(root);
        }
    }
    let mut found = Vec::new();
    for root in roots {
        found.extend(member.container.take(root)?);
    }
    // A snapshot of etcd holds certificates, too, and a checksum.
    found.retain(|file| {
        file.content.len() as u64 <= FILE_BYTES_MAX && std::str::from_utf8(&file.content).is_ok()
    });
    Ok(found)
}

/// Writes files of a running machine where they are, as kubeadm does: what has one mounted sees it.
fn write_in_place(container: &Container, files: &[Taken]) -> Result<(), EngineError> {
    let changes = files
        .iter()
        .map(|file| {
            let (user, group) = file.owner;
            Edit::File(
                file.path.clone(),
                file.mode,
                user,
                group,
                encode(&file.content),
            )
        })
        .collect();
    let order = Order {
        changes,
        ..Order::default()
    };
    container.order_as_it_is(&order).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::warp::WarpError;

    #[test]
    fn the_reason_of_a_refusal_is_what_the_launcher_found() {
        let refused = WarpError::Forbidden {
            subject: "true, a child of this process".to_owned(),
            reason: ": a seccomp filter is in force".to_owned(),
            source: std::io::Error::other("x"),
        };
        let said = format!("error: {refused}: x\n  help: {}", refused.help());
        assert!(said.contains(FORBIDDEN), "{said}");
        assert_eq!(why(&said), ": a seccomp filter is in force: x");
        assert_eq!(why("error: may not trace"), "");
    }
}
