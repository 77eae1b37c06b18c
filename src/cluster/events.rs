//! Events: what comes due, and how a world moves from one to the next.
//!
//! Between two events nothing is computed. An event is a timer, or the next second at which a certificate somewhere
//! begins or ends.

use super::kubelet::Due;
use super::picture::Pace;
use super::world::World;
use crate::scenario::Component;
use crate::time::{SignedDuration, Timestamp, shift};

/// Looks at the world once, at an instant.
pub(super) struct Probe {
    at: Timestamp,
    look: Box<dyn FnOnce(&World)>,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Probe({})", self.at)
    }
}

/// Looks at the world after every event.
pub(super) struct Watcher(Box<dyn FnMut(&mut World)>);

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watcher")
    }
}

/// Something that comes due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// systemd starts a kubelet.
    KubeletStart { node: usize, id: u64 },
    /// A certificate manager's deadline or next attempt.
    Rotate(Due),
    /// A kubelet has been without certificate for five minutes.
    KubeletStranded { node: usize, id: u64 },
    /// The controller-manager approves a request.
    Approve { request: usize },
    /// An installed approver decides about a request.
    Decide { request: usize },
    /// The controller-manager signs a request.
    Issue { request: usize },
    /// A kubelet receives its certificate.
    Deliver { request: usize },
    /// A static Pod's new process serves.
    PodUp {
        node: usize,
        component: Component,
        epoch: u64,
    },
    /// A static Pod's old process is gone.
    PodGone {
        node: usize,
        component: Component,
        epoch: u64,
    },
    /// The kubelet starts a crashed container again.
    PodRetry {
        node: usize,
        component: Component,
        epoch: u64,
    },
    /// kube-apiserver's health check finds its loopback certificate at its end.
    LoopbackEnds { node: usize, process: u64 },
    /// kube-apiserver's health check has failed for long.
    Unhealthy {
        node: usize,
        process: u64,
        since: Timestamp,
    },
    /// A leader could not renew its lease for its renew deadline.
    LeaseLost { component: Component, process: u64 },
    /// A bootstrap token is over, or the one that what is uploaded hangs on.
    TokenEnds,
    /// A lease has run out: another candidate may take it.
    Elect { component: Component },
    /// A node's heartbeats were missing (or came back) for long enough.
    Condition {
        node: usize,
        epoch: u64,
        ready: bool,
    },
}

impl World {
    /// Has something look at the world after every event from now on.
    pub fn watch(&mut self, watcher: impl FnMut(&mut World) + 'static) {
        self.watcher = Some(Watcher(Box::new(watcher)));
    }

    /// Has a real walk make stops at which the world is looked at.
    pub fn stop_for_looks(&mut self, wanted: bool) {
        self.watched = wanted;
    }

    /// Has something look at the world once, when true time reaches an instant.
    pub fn probe(&mut self, at: Timestamp, look: impl FnOnce(&World) + 'static) {
        self.probe = Some(Probe {
            at,
            look: Box::new(look),
        });
    }

    fn probe_if_reached(&mut self, ticks: Timestamp) {
        let due = self
            .probe
            .as_ref()
            .is_some_and(|probe| self.clock.ticks_at(probe.at) <= ticks);
        if due && let Some(probe) = self.probe.take() {
            let at = self.clock.ticks_at(probe.at).max(self.clock.ticks());
            self.clock.run_to(at);
            self.settle();
            (probe.look)(self);
        }
    }

    /// Lets time pass for everything that runs: the movement `walk`.
    pub fn walk(&mut self, span: SignedDuration) {
        let target = shift(self.clock.ticks(), span);
        if self.is_real() {
            self.live_until(target, |_| false, Pace::Through);
            return;
        }
        self.run_until(target, |_| false);
    }

    /// Lets time pass until something is so, at most for `limit`. Says whether it became so.
    pub fn wait(&mut self, limit: SignedDuration, done: impl FnMut(&World) -> bool) -> bool {
        self.wait_at(Pace::UntilUp, limit, done)
    }

    /// As [`World::wait`], for something that ends.
    pub fn wait_until_gone(
        &mut self,
        limit: SignedDuration,
        done: impl FnMut(&World) -> bool,
    ) -> bool {
        self.wait_at(Pace::UntilGone, limit, done)
    }

    fn wait_at(
        &mut self,
        pace: Pace,
        limit: SignedDuration,
        done: impl FnMut(&World) -> bool,
    ) -> bool {
        let target = shift(self.clock.ticks(), limit);
        if self.is_real() {
            return self.live_until(target, done, pace);
        }
        self.run_until(target, done)
    }

    /// Schedules a timer after a length of time.
    pub(super) fn after(&mut self, span: SignedDuration, timer: Timer) {
        self.queue.push(shift(self.clock.ticks(), span), timer);
    }

    fn run_until(&mut self, target: Timestamp, mut done: impl FnMut(&World) -> bool) -> bool {
        self.settle();
        loop {
            if done(self) {
                return true;
            }
            let boundary = self.next_boundary();
            let timer = self.queue.next_at();
            let next = match (boundary, timer) {
                (Some(a), Some(b)) => a.min(b),
                (Some(a), None) | (None, Some(a)) => a,
                (None, None) => break,
            };
            if next > target {
                break;
            }
            // What comes at that very instant has come.
            self.probe_if_reached(shift(next, SignedDuration::from_nanos(-1)));
            self.clock.run_to(next.max(self.clock.ticks()));
            self.events += 1;
            self.cause = None;
            if let Some((_, timer)) = self.queue.pop_until(next) {
                self.handle(timer);
            }
            self.settle();
            self.look();
        }
        self.cause = None;
        self.probe_if_reached(target);
        self.clock.run_to(target);
        self.settle();
        done(self)
    }

    pub(super) fn look(&mut self) {
        if let Some(mut watcher) = self.watcher.take() {
            (watcher.0)(self);
            self.watcher = Some(watcher);
        }
    }

    fn handle(&mut self, timer: Timer) {
        match timer {
            Timer::KubeletStart { node, id } => {
                if self.nodes[node].kubelet.id == id && self.nodes[node].powered {
                    self.start_kubelet(node);
                }
            }
            Timer::Rotate(due) => self.rotate(due),
            Timer::KubeletStranded { node, id } => self.kubelet_stranded(node, id),
            Timer::Approve { request } => self.approve_automatically(request),
            Timer::Decide { request } => self.decide(request),
            Timer::Issue { request } => self.issue(request),
            Timer::Deliver { request } => self.deliver(request),
            Timer::PodUp {
                node,
                component,
                epoch,
            } => self.pod_up(node, component, epoch),
            Timer::PodGone {
                node,
                component,
                epoch,
            } => self.pod_gone(node, component, epoch),
            Timer::PodRetry {
                node,
                component,
                epoch,
            } => self.pod_retry(node, component, epoch),
            Timer::LoopbackEnds { node, process } => self.loopback_ends(node, process),
            Timer::Unhealthy {
                node,
                process,
                since,
            } => self.health_fails(node, process, since),
            Timer::LeaseLost { component, process } => self.lease_lost(component, process),
            Timer::TokenEnds => self.clean_tokens(),
            Timer::Elect { component } => self.elect(component),
            Timer::Condition { node, epoch, ready } => self.set_condition(node, epoch, ready),
        }
    }
}
