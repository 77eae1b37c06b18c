//! How time passes where no clock can be moved, because ptrace is forbidden in node containers.
//!
//! The machines keep the present. What is short is waited for. In what is long, certificates become older instead (`aging.rs`):
//! while every machine is off, or while nothing comes due that a running cluster would do. Whatever else would have to be lived
//! through gives no verdict, and says what it was.

use std::sync::Arc;
use std::time::Duration;

use super::Kind;
use super::agent::{Edit, Order, Report, encode};
use super::aging::{Aging, AgingError};
use super::ask::kubectl;
use super::clock::{Ahead, Life};
use super::node::{CLOCK, Container, Taken, clock_file};
use super::wait::pause;
use crate::cluster::csr::is_over;
use crate::cluster::{EngineError, RequestState};
use crate::kubeadm::CommandOutput;
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
    /// Its machines, as they are.
    machines: Vec<Container>,
    /// Why.
    reason: String,
    /// How often time had leapt when the last bootstrap token was made.
    token: std::sync::atomic::AtomicUsize,
}

impl Fixed {
    /// Has an agent do something, both in the words of the world.
    pub fn order(
        &self,
        order: &Order,
        send: impl FnOnce(&Order) -> Result<Report, EngineError>,
    ) -> Result<Report, EngineError> {
        let order = self.turned(|aging| aging.order(order))?;
        let mut report = send(&order)?;
        self.turned(|aging| aging.report(&mut report))?;
        Ok(report)
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
        turned.map_err(|error| no_clock(&format!("{error}")))
    }

    fn look_for_keys(&self) {
        for machine in &self.machines {
            // What is not found is told by who wants it.
            for file in machine.take(ROOTS[0]).unwrap_or_default() {
                self.aging.learn(&file.path, &file.content);
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
                .map(|member| member.container.clone())
                .collect(),
            reason,
            token: 0.into(),
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
        if self.is_fixed() {
            return Err(no_clock(what));
        }
        Ok(())
    }

    /// Refuses a join by a token that would have ended, or with a key of certificates that would.
    pub(super) fn tokens_must_be_new(&self, with_key: bool) -> Result<(), EngineError> {
        let Some(fixed) = &self.fixed else {
            return Ok(());
        };
        let leaps = fixed.aging.leaps();
        let made = fixed.token.load(std::sync::atomic::Ordering::Relaxed);
        if leaps != made || with_key && leaps > 0 {
            return Err(no_clock(
                "bootstrap tokens and uploaded certificates do not become older, so that a join with them tells nothing",
            ));
        }
        Ok(())
    }

    /// A bootstrap token was made.
    pub(super) fn note_token(&self) {
        if let Some(fixed) = &self.fixed {
            let leaps = fixed.aging.leaps();
            fixed
                .token
                .store(leaps, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Input of a command, as its machine dates certificates.
    pub(super) fn to_machine(&self, input: &[u8]) -> Result<Vec<u8>, EngineError> {
        let Some(fixed) = &self.fixed else {
            return Ok(input.to_owned());
        };
        let turned = fixed.turned(|aging| aging.held(input))?;
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
        fixed.map_or(of_machine, |fixed| fixed.aging.instant(of_machine))
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
        fixed.map_or(of_machine, |fixed| fixed.aging.fingerprint(of_machine))
    }

    /// Lets time pass.
    pub(super) fn live_by_the_machine(&mut self, span: SignedDuration) -> Result<(), EngineError> {
        if !self.nodes.iter().any(|member| member.powered) {
            self.no_authority_may_end(span)?;
            return self.grow_older(span);
        }
        if span <= WAITED_MAX {
            return self.wait(span);
        }
        self.wait(SETTLES_IN)?;
        let rest = span - SETTLES_IN;
        self.nothing_may_come_due(rest)?;
        self.grow_older(rest)
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
    fn nothing_may_come_due(&mut self, rest: SignedDuration) -> Result<(), EngineError> {
        let Some(fixed) = self.fixed.clone() else {
            return Ok(());
        };
        let passes = span::display(rest);
        let now = self.ahead.now();
        let then = shift(now, rest);
        let refused = |what: String| {
            Err(no_clock(&format!(
                "{passes} cannot pass for a running cluster: {what} meanwhile"
            )))
        };
        if self.is_any_unhealthy()? {
            return refused("an API server that is not healthy would be ended".to_owned());
        }
        let renews = |life: &Life| life.comes_due_until(then) && now < life.to;
        if let Some(life) = self.lives_now()?.into_iter().find(renews) {
            let end = life.to;
            return refused(format!(
                "a kubelet would renew its certificate that ends at {end:.0}"
            ));
        }
        let ends = |one: &Certificate| now <= one.not_after() && one.not_after() < then;
        // Whether it is in a file or loaded by a process that nobody has restarted.
        if let Some(one) = fixed.aging.certificates().into_iter().find(ends) {
            let (name, end) = (one.common_name(), one.not_after());
            return refused(format!("a certificate of {name} would end, at {end:.0}"));
        }
        let requests = self.requests()?.map(|(_, listed)| listed);
        let waits = |request: &crate::cluster::Request| request.state() == RequestState::Pending;
        if requests.iter().flatten().any(|(_, one)| waits(one)) {
            return refused("a request that waits would be posted again".to_owned());
        }
        Ok(())
    }

    /// Refuses to let the end of a CA pass over machines that are off: objects of the API hold copies of it, which stay young.
    fn no_authority_may_end(&self, span: SignedDuration) -> Result<(), EngineError> {
        let Some(fixed) = &self.fixed else {
            return Ok(());
        };
        let now = self.ahead.now();
        let then = shift(now, span);
        let seen = fixed.aging.certificates();
        let ends =
            |one: &&Certificate| one.is_ca() && now <= one.not_after() && one.not_after() < then;
        match seen.iter().find(ends) {
            None => Ok(()),
            Some(one) => Err(no_clock(&format!(
                "the CA {} would end, at {:.0}, and copies of it in objects of the API do not become older",
                one.common_name(),
                one.not_after()
            ))),
        }
    }

    /// Makes every certificate older by a span, on every machine.
    fn grow_older(&mut self, by: SignedDuration) -> Result<(), EngineError> {
        let Some(fixed) = self.fixed.clone() else {
            return Ok(());
        };
        let by = SignedDuration::from_secs(by.as_secs());
        let mut seen = Vec::new();
        for member in &self.nodes {
            let mut files = Vec::new();
            for file in certificate_files(member)? {
                let text = fixed.turned(|aging| aging.seen(&file.path, &file.content))?;
                files.extend(text.map(|content| Taken { content, ..file }));
            }
            seen.push(files);
        }
        fixed.aging.leap(machine_time(), by);
        self.ahead.add(by);
        for (member, mut files) in self.nodes.iter().zip(seen) {
            for file in &mut files {
                if let Some(text) = fixed.turned(|aging| aging.held(&file.content))? {
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
        if fixed.aging.leaps() == 0 {
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
fn certificate_files(member: &super::Member) -> Result<Vec<Taken>, EngineError> {
    let dir = &member.plan.certificates_dir;
    let mut roots: Vec<&str> = ROOTS.to_vec();
    let more = std::iter::once(dir)
        .chain(&member.written)
        .map(String::as_str);
    for root in more {
        if !roots.iter().any(|known| root.starts_with(known)) {
            roots.push(root);
        }
    }
    let mut found = Vec::new();
    for root in roots {
        found.extend(member.container.take(root)?);
    }
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

fn no_clock(what: &str) -> EngineError {
    EngineError {
        message: format!("{what}; and no clock can be moved here, because ptrace is forbidden in node containers"),
        help: "allow ptrace to privileged containers of this machine; what can be played without it is in docs/real-clusters.md"
            .to_owned(),
    }
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
