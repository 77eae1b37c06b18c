//! The part of a trace that the page's script draws, written small: each text once, instants as milliseconds from
//! the start of the cluster.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::report::RunTrace;
use crate::run::state::{CertificateState, RequestOutcome, StateChange};
use crate::run::trace::{Entry, Event, EventKind, Weight};
use crate::time::Timestamp;

/// Output of a command or a log beyond this is cut: it stands whole in the trace.
const DETAIL_BYTES_MAX: usize = 6 << 10;

/// The data of one run, as JSON that may stand in a `<script>`.
pub(super) fn json(trace: RunTrace<'_>) -> String {
    let mut writer = Writer {
        start: trace.header().start,
        ..Writer::default()
    };
    let mut records = Vec::new();
    for record in trace.records() {
        let Some(entry) = writer.entry(&record.entry) else {
            continue;
        };
        records.push(json!([
            writer.millis(record.at),
            record.seq,
            entry.0,
            entry.1
        ]));
    }
    let data = json!({
        "start": writer.start.as_millisecond(),
        "backend": trace.header().backend,
        "nodes": trace.header().nodes,
        "strings": writer.strings,
        "certificates": writer.certificates,
        "records": records,
    });
    // Nothing in it may end the element it stands in.
    data.to_string().replace('<', "\\u003c")
}

#[derive(Default)]
struct Writer {
    start: Timestamp,
    strings: Vec<String>,
    known: HashMap<String, usize>,
    certificates: Vec<Value>,
    known_certificates: HashMap<String, usize>,
}

impl Writer {
    fn millis(&self, at: Timestamp) -> i64 {
        at.as_millisecond() - self.start.as_millisecond()
    }

    fn text(&mut self, text: &str) -> usize {
        if let Some(&index) = self.known.get(text) {
            return index;
        }
        let index = self.strings.len();
        self.strings.push(text.to_owned());
        self.known.insert(text.to_owned(), index);
        index
    }

    fn optional(&mut self, text: Option<&str>) -> Value {
        text.map_or(Value::Null, |text| json!(self.text(text)))
    }

    fn certificate(&mut self, certificate: Option<&CertificateState>) -> Value {
        let Some(one) = certificate else {
            return Value::Null;
        };
        let key = format!("{} {} {}", one.serial, one.subject, one.issuer);
        if let Some(&index) = self.known_certificates.get(&key) {
            return json!(index);
        }
        let index = self.certificates.len();
        let row = json!([
            one.serial,
            self.text(&one.subject),
            self.text(&one.issuer),
            self.millis(one.not_before),
            self.millis(one.not_after),
        ]);
        self.certificates.push(row);
        self.known_certificates.insert(key, index);
        json!(index)
    }

    fn entry(&mut self, entry: &Entry) -> Option<(&'static str, Value)> {
        match entry {
            Entry::Step(step) => Some((
                "step",
                json!([step.index, step.line, self.text(&step.text)]),
            )),
            Entry::Event(event) => self.event(event).map(|value| ("event", value)),
            Entry::Expectation(one) => Some((
                "judged",
                json!([
                    u8::from(one.passed),
                    self.text(&one.form),
                    self.text(&one.expected),
                    self.text(cut(&one.seen)),
                    self.text(&one.subject),
                    one.line,
                    one.cause,
                ]),
            )),
            // Time that passes after the last event is part of the run.
            Entry::Verdict(_) => Some(("end", Value::Null)),
            Entry::State(change) => Some(("state", self.state(change))),
            _ => None,
        }
    }

    fn event(&mut self, event: &Event) -> Option<Value> {
        // One line tells of all certificates that ended together; the lanes show each.
        if event.kind == EventKind::CertificateExpired && event.weight == Weight::Detail {
            return None;
        }
        let weight = match event.weight {
            Weight::Detail => 0,
            Weight::Normal => 1,
            Weight::Trouble => 2,
        };
        let kind = serde_json::to_value(event.kind).ok()?;
        Some(json!([
            weight,
            kind.as_str().map(|kind| self.text(kind)),
            self.optional(event.node.as_deref()),
            self.text(&event.subject),
            self.text(cut(&event.text)),
            self.optional(event.detail.as_deref().map(cut)),
            event.cause,
        ]))
    }

    fn state(&mut self, change: &StateChange) -> Value {
        let mut out = serde_json::Map::new();
        let mut put = |key: &str, rows: Vec<Value>| {
            if !rows.is_empty() {
                out.insert(key.to_owned(), Value::Array(rows));
            }
        };
        put(
            "n",
            change
                .nodes
                .iter()
                .map(|one| {
                    json!([
                        self.text(&one.node),
                        self.text(&one.version),
                        one.ahead,
                        one.powered,
                        one.ready
                    ])
                })
                .collect(),
        );
        put(
            "c",
            change
                .certificates
                .iter()
                .map(|one| {
                    json!([
                        self.text(&one.node),
                        self.text(&one.path),
                        self.certificate(one.certificate.as_ref())
                    ])
                })
                .collect(),
        );
        put(
            "l",
            change
                .loaded
                .iter()
                .map(|one| {
                    json!([
                        self.text(&one.process),
                        self.text(&one.slot),
                        self.text(&one.path),
                        self.certificate(one.certificate.as_ref())
                    ])
                })
                .collect(),
        );
        put(
            "p",
            change
                .processes
                .iter()
                .map(|one| json!([self.text(&one.process), self.text(&one.state), one.number]))
                .collect(),
        );
        put(
            "e",
            change
                .edges
                .iter()
                .map(|one| {
                    json!([
                        self.text(&one.edge),
                        self.outcome(&one.fresh),
                        self.outcome(&one.held)
                    ])
                })
                .collect(),
        );
        put(
            "q",
            change
                .requests
                .iter()
                .map(|one| {
                    json!([
                        self.text(&one.request),
                        self.text(&one.username),
                        self.text(&one.state),
                        self.millis(one.created),
                        self.text(&one.signer)
                    ])
                })
                .collect(),
        );
        put(
            "k",
            change
                .expiration
                .iter()
                .map(|one| {
                    json!([
                        self.text(&one.node),
                        one.exit_code,
                        one.long_durations,
                        self.text(&one.stdout),
                        self.text(&one.stderr)
                    ])
                })
                .collect(),
        );
        Value::Object(out)
    }

    fn outcome(&mut self, outcome: &RequestOutcome) -> Value {
        json!([
            self.text(&outcome.is),
            self.optional(outcome.class.as_deref()),
            self.optional(outcome.text.as_deref())
        ])
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(DETAIL_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = "é".repeat(super::DETAIL_BYTES_MAX);
        assert_eq!(cut(&text).len(), super::DETAIL_BYTES_MAX);
        assert_eq!(cut("short"), "short");
    }
}
