//! Walks a rebuilt world to its horizon and writes down what breaks.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::plan::Occasion;
use crate::cluster::{KubeletState, Outcome, STATIC_PODS, World};
use crate::fs::Tree as _;
use crate::run::trace::{Entry, Event, EventKind, Record, Weight};
use crate::scenario::Component;
use crate::time::{SignedDuration, Timestamp};

/// What heals within this long is a restart, not a break.
const PASSING: SignedDuration = SignedDuration::from_mins(20);
/// Consequences that are listed by name.
const CHAIN_MAX: usize = 8;

/// Something that breaks.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Break {
    /// When, in true time.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// It is broken when the capture was taken.
    pub already: bool,
    /// When it works again, where it does before the horizon.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
    /// On which node it begins.
    pub node: String,
    /// What happens first.
    pub cause: String,
    /// What follows, each with the words that are logged.
    pub consequences: Vec<Consequence>,
}

/// What follows from a break.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Consequence {
    /// An edge (`kubelet@cp1 -> kube-apiserver`) or a process.
    pub what: String,
    /// The words users see.
    pub text: String,
}

/// What became of a world.
#[derive(Debug, Clone, PartialEq)]
pub struct Future {
    /// What breaks, in order of time.
    pub breaks: Vec<Break>,
    /// Commands of the plan that failed.
    pub refused: Vec<(Timestamp, String)>,
}

/// Walks a world through its occasions to an instant.
///
/// `watch` is told before each of them how much of the time has passed, in parts of a thousand.
pub fn play(
    world: &mut World,
    occasions: &[Occasion],
    end: Timestamp,
    watch: &dyn Fn(u32),
) -> Future {
    let start = world.now();
    let whole = end.duration_since(start).as_secs().max(1);
    let mut breaks = already_broken(world);
    let first = world.records.len();
    let mut refused = Vec::new();
    for occasion in occasions {
        let wait = occasion.at.duration_since(world.now());
        if wait.is_positive() {
            world.walk(wait);
        }
        let at = world.now();
        let passed = at.duration_since(start).as_secs() * 1_000 / whole;
        watch(u32::try_from(passed).unwrap_or(0).min(1_000));
        refused.extend(
            occasion
                .act
                .happen(world)
                .into_iter()
                .map(|said| (at, said)),
        );
        if world.broken.is_some() {
            break;
        }
    }
    let rest = end.duration_since(world.now());
    if rest.is_positive() {
        world.walk(rest);
    }
    let known: Vec<String> = breaks
        .iter()
        .flat_map(|found| found.consequences.iter().map(|it| it.what.clone()))
        .collect();
    breaks.extend(broken_later(&world.records, first, &known));
    for found in &mut breaks {
        found.already |= found.at <= start;
    }
    Future { breaks, refused }
}

/// What does not work when the world begins.
fn already_broken(world: &World) -> Vec<Break> {
    let mut groups: BTreeMap<(Kind, usize), Vec<Consequence>> = BTreeMap::new();
    let down: Vec<bool> = world
        .nodes
        .iter()
        .map(|node| node.kubelet.state != KubeletState::Running)
        .collect();
    for (index, node) in world.nodes.iter().enumerate() {
        if down[index] {
            let log = node.logs.get(&Component::Kubelet).map(|lines| {
                // It says so at each start.
                let mut said: Vec<&str> = lines.iter().map(String::as_str).collect();
                said.dedup();
                said.join(" / ")
            });
            groups
                .entry((Kind::Down, index))
                .or_default()
                .push(Consequence {
                    what: format!("kubelet@{}", node.name),
                    text: log.unwrap_or_else(|| "it does not run".to_owned()),
                });
        }
    }
    for (index, node) in world.nodes.iter().enumerate() {
        for component in STATIC_PODS {
            let wanted = node.tree.exists(&World::manifest_path(component));
            if !wanted || node.process(component).is_some() || down[index] {
                continue;
            }
            let log = node.logs.get(&component).and_then(|lines| lines.last());
            groups
                .entry((Kind::Down, index))
                .or_default()
                .push(Consequence {
                    what: format!("{}@{}", component.name(), node.name),
                    text: log.map_or_else(|| "it does not run".to_owned(), Clone::clone),
                });
        }
    }
    for edge in &world.edges {
        let failure = match &edge.fresh {
            Outcome::Failing(failure) | Outcome::Partial { failure, .. } => failure,
            Outcome::Ok | Outcome::Absent => continue,
        };
        // What cannot reach a node whose kubelet does not run is a consequence there.
        let ends = [Some(edge.id.client_node), edge.id.server_node];
        let lame = ends.into_iter().flatten().find(|&node| down[node]);
        let group = match (lame, edge.id.client) {
            (Some(node), _) => (Kind::Down, node),
            (None, Component::User) => (Kind::User, edge.id.client_node),
            (None, _) => (Kind::Edge, edge.id.client_node),
        };
        groups.entry(group).or_default().push(Consequence {
            what: world.edge_name(edge.id),
            text: failure.text.clone(),
        });
    }
    groups
        .into_iter()
        .map(|((_, node), consequences)| Break {
            at: world.now(),
            already: true,
            until: None,
            node: world.nodes[node].name.clone(),
            cause: format!(
                "{} does not work: {}",
                consequences
                    .first()
                    .map_or("it", |first| first.what.as_str()),
                consequences.first().map_or("", |first| first.text.as_str())
            ),
            consequences,
        })
        .collect()
}

/// What is told first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A process does not run.
    Down,
    /// A connection fails.
    Edge,
    /// A user's own kubeconfig.
    User,
}

/// Whether an event is something that breaks.
fn breaks(event: &Event) -> bool {
    match event.kind {
        EventKind::EdgeFailed => true,
        EventKind::ProcessEnded | EventKind::CsrChanged | EventKind::EtcdQuorum => {
            event.weight == Weight::Trouble
        }
        _ => false,
    }
}

/// When a broken subject works again.
fn healed(records: &[Record], from: usize, broken: &Event) -> Option<Timestamp> {
    records[from + 1..]
        .iter()
        .find_map(|record| {
            let Entry::Event(event) = &record.entry else {
                return None;
            };
            let heals = match broken.kind {
                EventKind::EdgeFailed => event.kind == EventKind::EdgeRestored,
                EventKind::ProcessEnded => event.kind == EventKind::ProcessStarted,
                EventKind::EtcdQuorum => {
                    event.kind == EventKind::EtcdQuorum && event.weight < Weight::Trouble
                }
                // A request that was refused is not signed later.
                _ => false,
            };
            (heals && event.subject == broken.subject).then_some(record.at)
        })
        .into_iter()
        .chain(client_restarted(records, from, broken))
        .min()
}

/// An edge whose client was restarted and that does not fail again is not reported as restored: there was no edge
/// in between.
fn client_restarted(records: &[Record], from: usize, broken: &Event) -> Option<Timestamp> {
    let (client, _) = broken.subject.split_once(" -> ")?;
    let (index, restarted) = records
        .iter()
        .enumerate()
        .skip(from + 1)
        .find(|(_, record)| {
            matches!(&record.entry, Entry::Event(event)
            if event.kind == EventKind::ProcessStarted && event.subject == client)
        })?;
    let fails_again = records[index..].iter().any(|record| {
        record.at.duration_since(restarted.at) < PASSING
            && matches!(&record.entry, Entry::Event(event)
                if event.kind == EventKind::EdgeFailed && event.subject == broken.subject)
    });
    (!fails_again).then_some(restarted.at)
}

fn broken_later(records: &[Record], first: usize, known: &[String]) -> Vec<Break> {
    let mut out: Vec<(u64, Break)> = Vec::new();
    let mut seen: Vec<String> = known.to_vec();
    for index in first..records.len() {
        let record = &records[index];
        let Entry::Event(event) = &record.entry else {
            continue;
        };
        if !breaks(event) || seen.contains(&event.subject) {
            continue;
        }
        let until = healed(records, index, event);
        if until.is_some_and(|until| until.duration_since(record.at) < PASSING) {
            continue;
        }
        seen.push(event.subject.clone());
        let root = root_of(records, index);
        let consequence = Consequence {
            what: event.subject.clone(),
            text: event.text.clone(),
        };
        let open = out
            .iter_mut()
            .find(|(seq, found)| *seq == root.seq && record.at.duration_since(found.at) < PASSING);
        if let Some((_, found)) = open {
            found.consequences.push(consequence);
            found.until = found.until.max(until);
            continue;
        }
        let Entry::Event(cause) = &root.entry else {
            continue;
        };
        out.push((
            root.seq,
            Break {
                at: record.at,
                already: false,
                until,
                node: cause
                    .node
                    .clone()
                    .or_else(|| event.node.clone())
                    .unwrap_or_else(|| "cluster".to_owned()),
                cause: cause.text.clone(),
                consequences: vec![consequence],
            },
        ));
    }
    gather(out.into_iter().map(|(_, found)| found).collect())
}

/// A kubelet that does not start takes the Pods of its node with it, and those others elsewhere: one break, told by
/// the kubelet.
fn gather(breaks: Vec<Break>) -> Vec<Break> {
    let lame = |found: &Break| {
        found
            .consequences
            .first()
            .is_some_and(|first| first.what.starts_with("kubelet@") && first.text == found.cause)
    };
    let by_itself = |found: &Break| {
        found
            .consequences
            .first()
            .is_some_and(|first| first.text == found.cause)
    };
    let (leaders, others): (Vec<Break>, Vec<Break>) = breaks.into_iter().partition(lame);
    let mut out = leaders;
    let mut kept = Vec::new();
    for other in others {
        let leader = out
            .iter_mut()
            .find(|leader| leader.at.duration_since(other.at).abs() < PASSING && by_itself(&other));
        match leader {
            Some(leader) => {
                leader.at = leader.at.min(other.at);
                leader.consequences.extend(other.consequences);
            }
            None => kept.push(other),
        }
    }
    out.extend(kept);
    out.sort_by_key(|found| found.at);
    out
}

/// The event that began the chain which led to a record.
fn root_of(records: &[Record], index: usize) -> &Record {
    let mut at = index;
    // A chain is as long as the trace at most; links lead backwards.
    while let Entry::Event(event) = &records[at].entry {
        let Some(cause) = event.cause.and_then(|seq| usize::try_from(seq).ok()) else {
            break;
        };
        if cause >= at || !matches!(records[cause].entry, Entry::Event(_)) {
            break;
        }
        at = cause;
    }
    &records[at]
}

impl Break {
    /// What fails, by name: `kubelet@cp1 -> kube-apiserver`. Empty where the cause says it.
    #[must_use]
    pub fn subjects(&self) -> String {
        let mut names: Vec<&str> = self
            .consequences
            .iter()
            .filter(|it| it.text != self.cause)
            .map(|it| it.what.as_str())
            .collect();
        let more = names.len().saturating_sub(CHAIN_MAX);
        names.truncate(CHAIN_MAX);
        let mut text = names.join(", ");
        if more > 0 {
            text += &format!(" and {more} more");
        }
        text
    }

    /// What somebody sees of it: an administrator's words before those in logs.
    #[must_use]
    pub fn words(&self) -> Option<&str> {
        let seen = self
            .consequences
            .iter()
            .find(|it| it.what.starts_with("admin@"))
            .or_else(|| self.consequences.first())?;
        let text = seen
            .text
            .strip_prefix(&seen.what)
            .and_then(|rest| rest.strip_prefix(" fails: "))
            .unwrap_or(&seen.text);
        (!self.cause.contains(text)).then_some(text)
    }
}
