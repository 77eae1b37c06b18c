//! Real clusters in node containers, moved in time: the backend `kind`.
//!
//! Containers are made as kind makes them (image, labels, volumes, a network), so that kind's own commands work on
//! them. Inside, kubeadm makes the cluster from the same configuration that the simulation uses. Every process is
//! started through certdrill's launcher (the kubelet and containerd by their services, static Pods by a wrapper
//! around runc, commands by the agent), so that all of them live at the world's virtual time.
//!
//! | file | what it holds |
//! |---|---|
//! | `engine.rs` | the container engine |
//! | `node.rs` | a node container |
//! | `member.rs` | what is remembered of a node |
//! | `reality.rs` | what the world asks of the cluster |
//! | `bring_up.rs` | how nodes become a cluster |
//! | `adopt.rs` | taking over a cluster that kind made |
//! | `external_etcd.rs` | an etcd on machines of its own |
//! | `balancer.rs` | the load balancer in front of several control planes |
//! | `clock.rs` | the hops of a walk |
//! | `leases.rs` | whose timers stand still in a hop |
//! | `fixed.rs`, `aging.rs`, `faces.rs` | how time passes where no clock can be moved |
//! | `embedded.rs`, `times.rs` | certificates and instants in texts |
//! | `agent.rs`, `agent_logs.rs`, `handshake.rs` | what runs inside a node |
//! | `audit.rs` | which certificates the API servers were shown |
//! | `picture.rs`, `api.rs` | from what agents and the API report to what the world knows |
//! | `approver.rs` | who decides on serving certificates |
//! | `image.rs` | images that a scenario brings |
//! | `reuse.rs` | clusters that several scenarios share |
//! | `kubelet_seen.rs` | whether a kubelet lives or ends at each start |
//! | `wait.rs` | waiting for real things |
//! | `ask.rs` | how each edge is asked for |
//! | `answer.rs` | what an answer means |

#![expect(
    clippy::disallowed_methods,
    reason = "real clusters: real processes, files and waiting"
)]

mod adopt;
pub mod agent;
mod agent_logs;
mod aging;
mod answer;
mod api;
mod approver;
mod ask;
mod audit;
mod balancer;
mod bring_up;
pub mod clean;
mod clock;
mod embedded;
mod engine;
mod external_etcd;
mod faces;
mod fixed;
pub mod handshake;
mod image;
mod kubelet_seen;
mod leases;
mod member;
mod node;
mod picture;
mod reality;
pub mod reuse;
mod times;
mod wait;

use std::collections::BTreeMap;
use std::sync::Arc;

use agent::Report;
use balancer::Balancer;
use clock::Ahead;
pub use engine::Containers;
use fixed::Fixed;
use member::Member;

use crate::cluster::{BOOTSTRAP_TOKEN, EngineError};
use crate::kubeadm::Version;
use crate::scenario::ApproverPolicy;
use crate::time::Timestamp;

/// A cluster in node containers.
#[derive(Debug)]
pub struct Kind {
    options: Options,
    engine: Containers,
    /// Name of the cluster and of its network.
    name: String,
    start: Timestamp,
    ahead: Ahead,
    nodes: Vec<Member>,
    balancer: Option<Balancer>,
    /// A network was made.
    network: bool,
    made: bool,
    /// It was saved when it had come up.
    saved: Option<reuse::Saved>,
    /// A script may have changed anything, or a machine has joined or left.
    spoiled: bool,
    /// The last bootstrap token that kubeadm printed.
    token: String,
    /// How someone decides on serving certificates.
    approver: Option<ApproverPolicy>,
    /// How time passes where no clock can be moved.
    fixed: Option<Arc<Fixed>>,
    /// When everyone's timers were moved last, and everyone has done what came due.
    hopped: Option<std::time::Instant>,
}

/// How clusters are made.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Leave containers and network behind, and say how to look inside.
    pub keep: bool,
    /// Take over this cluster of the kind CLI instead of making one.
    pub adopt: Option<String>,
    /// Scenarios that want the same cluster share it, each from its beginning.
    pub reuse: bool,
    /// Image of the nodes; `kindest/node:<version>` unless given.
    pub image: Option<String>,
}

impl Options {
    /// The image of a node.
    #[must_use]
    pub fn image_of(&self, version: Version) -> String {
        self.image
            .clone()
            .unwrap_or_else(|| format!("kindest/node:{version}"))
    }

    /// Why no cluster of a version can be made on this machine, and what to do.
    #[must_use]
    pub fn lacks(&self, version: Version) -> Option<(String, String)> {
        let engine = match Containers::find() {
            Ok(engine) => engine,
            Err(error) => return Some((error.message, error.help)),
        };
        // A cluster that is there was made from something.
        if self.adopt.is_some() {
            return None;
        }
        let image = self.image_of(version);
        if has_image(&engine, &image) {
            return None;
        }
        Some((
            format!("there is no image {image}"),
            where_from(&engine, &image, version),
        ))
    }
}

fn has_image(engine: &Containers, image: &str) -> bool {
    engine.run(&["image", "inspect", image]).is_ok()
}

/// Where an image of a node comes from.
fn where_from(engine: &Containers, image: &str, version: Version) -> String {
    format!(
        "{} pull {image}, or build a stand-in: ci/cluster/images.sh {version}",
        engine.program()
    )
}

/// The second it is, by this machine's clock.
#[must_use]
pub fn present() -> Timestamp {
    let now = crate::real::warp::machine_time();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

impl Kind {
    /// A cluster that does not exist yet; it begins to live at an instant.
    #[must_use]
    pub fn new(options: Options, start: Timestamp) -> Self {
        Self {
            name: format!("certdrill-{}", std::process::id()),
            options,
            engine: Containers::default(),
            start,
            ahead: Ahead::at(start),
            nodes: Vec::new(),
            balancer: None,
            network: false,
            made: false,
            saved: None,
            spoiled: false,
            token: BOOTSTRAP_TOKEN.to_owned(),
            approver: None,
            fixed: None,
            hopped: None,
        }
    }

    /// Does something with every node that has power, at once.
    fn everywhere<T: Send>(
        &self,
        act: impl Fn(&Member) -> Result<T, EngineError> + Sync,
    ) -> Result<Vec<T>, EngineError> {
        std::thread::scope(|scope| {
            let act = &act;
            let threads: Vec<_> = self
                .nodes
                .iter()
                .filter(|member| member.powered)
                .map(|member| scope.spawn(move || act(member)))
                .collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread.join().unwrap_or_else(|_| {
                        Err(EngineError {
                            message: "a thread panicked".to_owned(),
                            help: "this is a defect of certdrill: please report it".to_owned(),
                        })
                    })
                })
                .collect()
        })
    }

    /// Removes containers and network.
    fn remove(&mut self) {
        if self.options.reuse && self.keep_for_the_next() {
            return;
        }
        clean::goes_with_us(None);
        if self.options.adopt.is_some() || self.options.keep && self.made {
            return;
        }
        std::thread::scope(|scope| {
            for member in &self.nodes {
                // What is left is found by its label: `certdrill clean`.
                scope.spawn(|| self.engine.remove(&member.container.name));
            }
        });
        self.nodes.clear();
        if let Some(balancer) = self.balancer.take() {
            let _ = self
                .engine
                .run(&["rm", "--force", "--volumes", &balancer.name]);
        }
        if std::mem::take(&mut self.network) {
            let _ = self.engine.run(&["network", "rm", &self.name]);
        }
    }
}

impl Drop for Kind {
    fn drop(&mut self) {
        self.remove();
    }
}

/// What the agents of the nodes reported, by the node's place.
type Reports = BTreeMap<usize, Report>;
