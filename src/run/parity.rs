//! Two traces of one scenario, compared observation by observation.
//!
//! Observations are aligned by step, kind, subject and aspect. A trace writes a value down when it changes,
//! so both are read as the state they describe: after each step, whatever either of them wrote down in that
//! step is compared.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::trace::{Entry, Observation, Record, Value, VerdictEntry};
use super::{closeness, real_parity};
use crate::time::Timestamp;

/// What may differ, and why. There is nothing else.
///
/// Keys, serial numbers and signatures are in no observation, and the wall clock of a real kubeadm stands still
/// while it runs, so that no date needs a tolerance.
pub const TOLERANCES: [Tolerance; 3] = [
    Tolerance {
        name: "no-init-system",
        line: Some("no supported init system detected"),
        why: "a node of the world has systemd; the place where a real kubeadm runs has no init system, and \
              kubeadm says so",
    },
    Tolerance {
        name: "log-header",
        line: None,
        why: "the process id and the source line in the header of a log line change with every process and \
              every build; observations leave them out",
    },
    Tolerance {
        name: "map-order",
        line: None,
        why: "kubeadm up to 1.18 walks a Go map for its warnings about missing validators, so that a real one prints \
              them in another order from run to run; all of them must be there",
    },
];

/// Something in which two sides may differ.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// Its name.
    pub name: &'static str,
    /// A line of a command's output that one side may print: text of it, in small letters.
    pub line: Option<&'static str>,
    /// Why it does not matter.
    pub why: &'static str,
}

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparison {
    /// Values that were compared and values that could not be, by kind of observation.
    pub kinds: BTreeMap<String, Count>,
    /// Values that differ, in the order of the steps.
    pub differences: Vec<Difference>,
}

/// Numbers of one kind of observation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Both sides gave a value.
    pub compared: u32,
    /// A side could not see it, or did not say.
    pub not_compared: u32,
}

/// A value that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Number of the step, 0 for what is before the first.
    pub step: u32,
    /// Line of the step in the scenario; `None` before the first.
    pub line: Option<u32>,
    /// The step in words.
    pub step_text: String,
    /// Kind of the observation.
    pub kind: String,
    /// What it is a fact of.
    pub subject: String,
    /// The aspect.
    pub aspect: String,
    /// The value on the first side.
    pub first: String,
    /// The value on the second side.
    pub second: String,
}

impl Comparison {
    /// How many values were compared.
    #[must_use]
    pub fn compared(&self) -> u32 {
        self.kinds.values().map(|count| count.compared).sum()
    }

    /// Nothing differs, and as much was compared as a scenario wants.
    #[must_use]
    pub fn agrees(&self, compared_min: u32) -> bool {
        self.differences.is_empty() && self.compared() >= compared_min
    }

    /// How many could not be.
    #[must_use]
    pub fn not_compared(&self) -> u32 {
        self.kinds.values().map(|count| count.not_compared).sum()
    }
}

pub(super) type Key = (String, String, String);

/// The state a trace describes after each of its steps.
struct Told<'a> {
    steps: Vec<Step<'a>>,
    verdict: Option<&'a VerdictEntry>,
}

struct Step<'a> {
    text: &'a str,
    line: Option<u32>,
    /// When its last observation was made.
    at: Timestamp,
    index: u32,
    /// Every value known after the step. Commands of a step are numbered.
    state: BTreeMap<Key, &'a Value>,
    /// What the step wrote down.
    written: BTreeSet<Key>,
}

/// Compares two traces.
#[must_use]
pub fn compare(first: &[Record], second: &[Record]) -> Comparison {
    let real = real_parity::is_real(first) || real_parity::is_real(second);
    let projected = real.then(|| [first, second].map(real_parity::project));
    let (first, second) = match &projected {
        Some([first, second]) => (told(first), told(second)),
        None => (told(first), told(second)),
    };
    let mut comparison = Comparison::default();
    let steps = first.steps.len().max(second.steps.len());
    let mut deferred: BTreeSet<Key> = BTreeSet::new();
    for at in 0..steps {
        let (a, b) = match (first.steps.get(at), second.steps.get(at)) {
            (Some(a), Some(b)) => (a, b),
            (a, b) => {
                // One side stopped early: that is a difference by itself, and nothing more can be said.
                let (step, line, text) = a
                    .or(b)
                    .map_or((0, None, ""), |step| (step.index, step.line, step.text));
                let word = |there: bool| if there { "played" } else { "not played" }.to_owned();
                comparison.differences.push(Difference {
                    step,
                    line,
                    step_text: text.to_owned(),
                    kind: "step".to_owned(),
                    subject: "scenario".to_owned(),
                    aspect: "played".to_owned(),
                    first: word(a.is_some()),
                    second: word(b.is_some()),
                });
                break;
            }
        };
        let waiting = std::mem::take(&mut deferred);
        let due: BTreeSet<&Key> = a.written.union(&b.written).chain(&waiting).collect();
        for key in due {
            if real && at + 1 < steps && real_parity::waits(a.text, &key.0) {
                deferred.insert(key.clone());
                continue;
            }
            let count = comparison.kinds.entry(key.0.clone()).or_default();
            let (left, right) = (a.state.get(key), b.state.get(key));
            let args = (key.0.clone(), key.1.clone(), "args".to_owned());
            let command = match a.state.get(&args) {
                Some(Value::Exact(args)) if key.0 == "command" => args.as_str(),
                _ => None,
            };
            let agreement = match (left, right) {
                (Some(Value::Exact(left)), Some(Value::Exact(right)))
                    if real
                        && waits_for_etcd(&a.state, &key.1)
                        && waits_for_etcd(&b.state, &key.1)
                        && real_parity::comes_and_goes(left, right) =>
                {
                    Agreement::Same
                }
                (Some(Value::Exact(left)), Some(Value::Exact(right)))
                    if real && closeness::close(key, command, a.at, left, right) =>
                {
                    Agreement::Same
                }
                (left, right) => agree(left.copied(), right.copied()),
            };
            match agreement {
                Agreement::Same => count.compared += 1,
                Agreement::CannotSay => count.not_compared += 1,
                Agreement::Different => {
                    count.compared += 1;
                    comparison.differences.push(Difference {
                        step: a.index,
                        line: a.line,
                        step_text: a.text.to_owned(),
                        kind: key.0.clone(),
                        subject: key.1.clone(),
                        aspect: key.2.clone(),
                        first: shown(left.copied()),
                        second: shown(right.copied()),
                    });
                }
            }
        }
    }
    let verdict = |told: &Told<'_>| told.verdict.map(|entry| entry.verdict);
    if verdict(&first) != verdict(&second) {
        let word = |entry: Option<&VerdictEntry>| {
            entry.map_or_else(String::new, |entry| match entry.reason.as_deref() {
                Some(reason) => format!("{:?}: {reason}", entry.verdict),
                None => format!("{:?}", entry.verdict),
            })
        };
        comparison.differences.push(Difference {
            step: first.steps.last().map_or(0, |step| step.index),
            line: first.steps.last().and_then(|step| step.line),
            step_text: "the end".to_owned(),
            kind: "verdict".to_owned(),
            subject: "scenario".to_owned(),
            aspect: "verdict".to_owned(),
            first: word(first.verdict),
            second: word(second.verdict),
        });
    }
    comparison
}

/// Whether the API server of the node that a client asks does not serve.
fn waits_for_etcd(state: &BTreeMap<Key, &Value>, edge: &str) -> bool {
    let mut servers = state.iter().filter(|(key, _)| {
        key.0 == "process" && key.1.starts_with("kube-apiserver@") && key.2 == "state"
    });
    let server = match real_parity::own_api_server(edge) {
        Some(own) => servers.find(|(key, _)| key.1 == own),
        // Where there is one, whoever asks gets to it.
        None if edge.ends_with(" -> kube-apiserver") => {
            servers.next().filter(|_| servers.next().is_none())
        }
        None => None,
    };
    matches!(server, Some((_, Value::Exact(state))) if state == "not serving")
}

fn told(records: &[Record]) -> Told<'_> {
    let mut steps = vec![Step {
        text: "before the first step",
        line: None,
        at: Timestamp::UNIX_EPOCH,
        index: 0,
        state: BTreeMap::new(),
        written: BTreeSet::new(),
    }];
    let mut verdict = None;
    let mut commands: BTreeMap<(String, String), u32> = BTreeMap::new();
    for record in records {
        match &record.entry {
            Entry::Step(step) => {
                let state = steps.last().map(|last| last.state.clone());
                steps.push(Step {
                    text: &step.text,
                    line: Some(step.line),
                    at: record.at,
                    index: step.index,
                    state: state.unwrap_or_default(),
                    written: BTreeSet::new(),
                });
                commands.clear();
            }
            Entry::Observation(seen) => {
                if let Some(step) = steps.last_mut() {
                    let key = key(seen, &mut commands);
                    step.state.insert(key.clone(), &seen.value);
                    step.written.insert(key);
                    step.at = record.at;
                }
            }
            Entry::Verdict(entry) => verdict = Some(entry),
            _ => {}
        }
    }
    Told { steps, verdict }
}

/// Commands happen, they do not last: the second of a node in one step is another observation.
fn key(seen: &Observation, commands: &mut BTreeMap<(String, String), u32>) -> Key {
    let mut subject = seen.subject.clone();
    if seen.kind == "command" {
        let number = commands
            .entry((seen.subject.clone(), seen.aspect.clone()))
            .or_default();
        *number += 1;
        subject = format!("{subject} #{number}");
    }
    (seen.kind.clone(), subject, seen.aspect.clone())
}

enum Agreement {
    Same,
    Different,
    CannotSay,
}

fn agree(first: Option<&Value>, second: Option<&Value>) -> Agreement {
    let within = |exact: &Json, min: f64, max: f64| {
        exact
            .as_f64()
            .is_some_and(|value| min <= value && value <= max)
    };
    let same = match (first, second) {
        (Some(Value::Unobservable { .. }), _) | (_, Some(Value::Unobservable { .. })) => {
            return Agreement::CannotSay;
        }
        (Some(Value::Exact(Json::String(a))), Some(Value::Exact(Json::String(b)))) => {
            a == b || without_tolerated(a) == without_tolerated(b)
        }
        (Some(Value::Exact(a)), Some(Value::Exact(b))) => a == b,
        (Some(Value::Interval { min, max }), Some(Value::Exact(value)))
        | (Some(Value::Exact(value)), Some(Value::Interval { min, max })) => {
            within(value, *min, *max)
        }
        (Some(Value::Interval { min: a, max: b }), Some(Value::Interval { min: c, max: d })) => {
            a <= d && c <= b
        }
        (None, _) | (_, None) => false,
    };
    if same {
        Agreement::Same
    } else {
        Agreement::Different
    }
}

/// Part of the lines whose order is random in a real kubeadm (`K/componentconfigs/validation.go`).
const UNORDERED: &str = "no validator is available";

fn without_tolerated(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text
        .lines()
        .filter(|line| {
            let line = line.to_lowercase();
            TOLERANCES
                .iter()
                .filter_map(|one| one.line)
                .all(|tolerated| !line.contains(tolerated))
        })
        .collect();
    for block in lines.chunk_by_mut(|a, b| a.contains(UNORDERED) && b.contains(UNORDERED)) {
        block.sort_unstable();
    }
    lines
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None => "(never seen)".to_owned(),
        Some(Value::Exact(Json::String(text))) => text.clone(),
        Some(Value::Exact(value)) => value.to_string(),
        Some(Value::Interval { min, max }) => format!("between {min} and {max}"),
        Some(Value::Unobservable { reason }) => format!("cannot be seen: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::run::trace::StepEntry;

    fn step(text: &str) -> Entry {
        Entry::Step(StepEntry {
            index: 1,
            line: 1,
            text: text.to_owned(),
        })
    }

    fn seen(kind: &str, subject: &str, value: Value) -> Entry {
        Entry::Observation(Observation {
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            aspect: "x".to_owned(),
            value,
        })
    }

    fn trace(entries: Vec<Entry>) -> Vec<Record> {
        entries
            .into_iter()
            .zip(0..)
            .map(|(entry, seq)| Record {
                seq,
                at: Timestamp::UNIX_EPOCH,
                entry,
            })
            .collect()
    }

    #[test]
    fn a_value_that_one_side_repeats_is_compared_with_what_the_other_said_before() {
        let exact = |value| Value::Exact(json!(value));
        let a = trace(vec![
            seen("edge", "e", exact(1)),
            step("s"),
            seen("edge", "e", exact(2)),
        ]);
        let b = trace(vec![seen("edge", "e", exact(1)), step("s")]);
        let found = compare(&a, &b);
        assert_eq!(found.kinds["edge"].compared, 2);
        let [difference] = found.differences.as_slice() else {
            panic!("{:?}", found.differences);
        };
        assert_eq!(
            (difference.first.as_str(), difference.second.as_str()),
            ("2", "1")
        );
        assert_eq!(compare(&a, &a).differences, []);
    }

    #[test]
    fn intervals_hold_values_and_what_cannot_be_seen_is_counted_apart() {
        let interval = Value::Interval { min: 1.0, max: 3.0 };
        let hidden = Value::Unobservable {
            reason: "dark".to_owned(),
        };
        let a = trace(vec![
            seen("k", "in", interval.clone()),
            seen("k", "out", interval),
            seen("k", "dark", hidden),
        ]);
        let b = trace(vec![
            seen("k", "in", Value::Exact(json!(2))),
            seen("k", "out", Value::Exact(json!(4))),
            seen("k", "dark", Value::Exact(json!(1))),
        ]);
        let found = compare(&a, &b);
        assert_eq!(
            found.kinds["k"],
            Count {
                compared: 2,
                not_compared: 1
            }
        );
        assert_eq!(found.differences.len(), 1);
        assert_eq!(found.differences[0].subject, "out");
    }

    #[test]
    fn a_side_that_says_less_differs() {
        let a = trace(vec![seen("file", "/x", Value::Exact(json!(1)))]);
        let found = compare(&a, &trace(vec![]));
        assert_eq!(found.differences[0].second, "(never seen)");
        let more = trace(vec![step("s")]);
        assert_eq!(compare(&more, &trace(vec![])).differences[0].kind, "step");
    }

    #[test]
    fn the_second_command_of_a_step_is_compared_with_the_second() {
        let command = |text| seen("command", "kubeadm@cp1", Value::Exact(json!(text)));
        let a = trace(vec![command("one"), command("two")]);
        let b = trace(vec![command("one"), command("three")]);
        let found = compare(&a, &b);
        assert_eq!(found.differences.len(), 1);
        assert_eq!(found.differences[0].subject, "kubeadm@cp1 #2");
    }

    #[test]
    fn an_api_server_is_the_one_that_is_asked_where_it_is_the_only_one() {
        let waiting = Value::Exact(json!("not serving"));
        let running = Value::Exact(json!("running"));
        let server = |node: &str| {
            let server = format!("kube-apiserver@{node}");
            ("process".to_owned(), server, "state".to_owned())
        };
        let one = BTreeMap::from([(server("cp1"), &waiting)]);
        let two = BTreeMap::from([(server("cp1"), &waiting), (server("cp2"), &running)]);
        for (edge, among_one, among_two) in [
            ("admin@cp1 -> kube-apiserver", true, false),
            ("kubelet@cp1 -> kube-apiserver", true, true),
            ("kubelet@cp2 -> kube-apiserver", false, false),
            ("kube-apiserver@cp1 -> etcd@cp1", false, false),
        ] {
            assert_eq!(waits_for_etcd(&one, edge), among_one, "{edge}");
            assert_eq!(waits_for_etcd(&two, edge), among_two, "{edge}");
        }
        assert!(!waits_for_etcd(
            &BTreeMap::from([(server("cp1"), &running)]),
            "admin@cp1 -> kube-apiserver"
        ));
    }

    #[test]
    fn warnings_of_a_go_map_may_come_in_any_order_and_must_all_be_there() {
        let a = "W validation.go Cannot validate kubelet config - no validator is available";
        let b = "W validation.go Cannot validate kube-proxy config - no validator is available";
        let text = |lines: &[&str]| Value::Exact(json!(lines.join("\n")));
        let same = |first: &[&str], second: &[&str]| {
            matches!(
                agree(Some(&text(first)), Some(&text(second))),
                Agreement::Same
            )
        };
        assert!(same(&[a, b, "x"], &[b, a, "x"]));
        assert!(!same(&[a, "x", b], &[b, "x", a]));
        assert!(!same(&[a, b], &[a]));
        assert!(!same(&["x", "y"], &["y", "x"]));
    }
}
