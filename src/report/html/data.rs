//! The part of a trace that the page's script draws, written small: each text once on a page, instants as milliseconds
//! since the one before, all of it compressed. The script has the other half of this (`unpack` and `read`).

use std::collections::HashMap;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde_json::{Value, json};

use crate::report::RunTrace;
use crate::run::state::{CertificateState, RequestOutcome, StateChange};
use crate::run::trace::{Entry, Event, EventKind, Weight};
use crate::time::Timestamp;

/// Output of a command or a log beyond this is cut: it stands whole in the trace.
const DETAIL_BYTES_MAX: usize = 6 << 10;

/// JSON that stands in an element of the page.
pub(super) struct Packed {
    /// Deflated (RFC 1951), in Base64: nothing in it can end the element it stands in.
    pub(super) text: String,
    /// Its length in bytes when it is unpacked.
    pub(super) bytes: usize,
}

fn packed(data: &Value) -> Packed {
    let json = data.to_string();
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let deflated = encoder
        .write_all(json.as_bytes())
        .and_then(|()| encoder.finish())
        .unwrap_or_default();
    Packed {
        text: STANDARD.encode(deflated),
        bytes: json.len(),
    }
}

/// The texts of a page: its runs have most of them in common.
#[derive(Default)]
pub(super) struct Texts {
    strings: Vec<String>,
    known: HashMap<String, usize>,
}

impl Texts {
    /// The data of one run, which names texts by their number.
    pub(super) fn run(&mut self, trace: RunTrace<'_>) -> Packed {
        let mut writer = Writer {
            texts: self,
            start: trace.header().start,
            strings: Vec::new(),
            own: HashMap::new(),
            certificates: Vec::new(),
            known_certificates: HashMap::new(),
        };
        let mut records = Vec::new();
        let (mut at, mut seq) = (0, 0);
        for record in trace.records() {
            let Some(entry) = writer.entry(&record.entry) else {
                continue;
            };
            let now = writer.millis(record.at);
            records.push(json!([now - at, record.seq - seq, entry.0, entry.1]));
            (at, seq) = (now, record.seq);
        }
        packed(&json!({
            "start": writer.start.as_millisecond(),
            "backend": trace.header().backend,
            "nodes": trace.header().nodes,
            "strings": writer.strings,
            "certificates": writer.certificates,
            "records": records,
        }))
    }

    /// The texts themselves.
    pub(super) fn packed(&self) -> Packed {
        packed(&json!(self.strings))
    }

    fn number(&mut self, text: &str) -> usize {
        if let Some(&number) = self.known.get(text) {
            return number;
        }
        let number = self.strings.len();
        self.strings.push(text.to_owned());
        self.known.insert(text.to_owned(), number);
        number
    }
}

struct Writer<'t> {
    texts: &'t mut Texts,
    start: Timestamp,
    /// Numbers of the texts that this run has.
    strings: Vec<usize>,
    own: HashMap<usize, usize>,
    certificates: Vec<Value>,
    known_certificates: HashMap<String, usize>,
}

impl Writer<'_> {
    fn millis(&self, at: Timestamp) -> i64 {
        at.as_millisecond() - self.start.as_millisecond()
    }

    fn text(&mut self, text: &str) -> usize {
        let number = self.texts.number(text);
        let next = self.strings.len();
        let index = *self.own.entry(number).or_insert(next);
        if index == next {
            self.strings.push(number);
        }
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
    use std::io::Read as _;

    use super::*;

    fn unpacked(packed: &Packed) -> Value {
        let bytes = STANDARD.decode(&packed.text).unwrap();
        let mut json = String::new();
        flate2::read::DeflateDecoder::new(bytes.as_slice())
            .read_to_string(&mut json)
            .unwrap();
        assert_eq!(json.len(), packed.bytes);
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn runs_of_a_page_have_their_texts_in_common() {
        let text = "apiVersion: certdrill/v1\nkind: Scenario\nmetadata: { name: x, title: X }\nspec:\n  cluster: { version: \
                    v1.36.3, keyAlgorithm: ECDSA-P256 }\n  steps:\n    - walk: 1d\n";
        let scenario = crate::scenario::load("x.yaml", text).unwrap().remove(0);
        let run = crate::run::play(&scenario, &crate::run::PlayOptions { seed: 0 });
        let trace = RunTrace::new(&run.records).unwrap();
        let mut texts = Texts::default();
        let first = unpacked(&texts.run(trace));
        let count = texts.strings.len();
        let second = unpacked(&texts.run(trace));
        assert_eq!(first, second);
        assert_eq!(texts.strings.len(), count);
        assert_eq!(unpacked(&texts.packed()).as_array().unwrap().len(), count);
        // Every number is that of a text, and instants add up.
        let numbers = first["strings"].as_array().unwrap();
        assert!(
            numbers
                .iter()
                .all(|number| number.as_u64() < Some(count as u64))
        );
        let records = first["records"].as_array().unwrap();
        let seqs: u64 = records
            .iter()
            .map(|record| record[1].as_u64().unwrap())
            .sum();
        assert_eq!(seqs, run.records.last().unwrap().seq);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = "é".repeat(super::DETAIL_BYTES_MAX);
        assert_eq!(cut(&text).len(), super::DETAIL_BYTES_MAX);
        assert_eq!(cut("short"), "short");
    }
}
