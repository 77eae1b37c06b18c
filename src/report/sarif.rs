//! For tools that show findings at their place in a file: SARIF 2.1.0.

use serde_json::{Value, json};

use super::Case;
use super::summary::{Ending, FailureSummary, RunSummary, summary};

/// What a result is about: the id, a name and a sentence.
const RULES: [(&str, &str, &str); 3] = [
    (
        "expectation",
        "ExpectationDoesNotHold",
        "An expectation of a scenario does not hold.",
    ),
    (
        "divergence",
        "BackendsDisagree",
        "Two backends disagree about a scenario.",
    ),
    (
        "infrastructure",
        "NoVerdict",
        "A scenario could not be judged: the reason lies outside of its subject.",
    ),
];

/// The report: a result for each expectation that does not hold, and for each run without verdict.
#[must_use]
pub fn report(cases: &[Case<'_>]) -> String {
    let summary = summary(cases);
    let results: Vec<Value> = summary.runs.iter().flat_map(results).collect();
    let notifications: Vec<Value> = summary
        .runs
        .iter()
        .filter(|run| run.outcome == Ending::NotRun)
        .map(|run| {
            let reason = run.reason.as_deref().unwrap_or_default();
            json!({
                "level": "note",
                "message": { "text": format!("{} was not run: {reason}", run.id) },
                "locations": [location(&run.file, None)],
            })
        })
        .collect();
    let rules: Vec<Value> = RULES
        .iter()
        .map(|(id, name, text)| json!({ "id": id, "name": name, "shortDescription": { "text": text } }))
        .collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "certdrill",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "invocations": [{
                "executionSuccessful": summary.counts.infrastructure == 0,
                "toolExecutionNotifications": notifications,
            }],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    let mut text = serde_json::to_string_pretty(&log).unwrap_or_default();
    text.push('\n');
    text
}

fn results(run: &RunSummary) -> Vec<Value> {
    let rule = match run.outcome {
        Ending::Passed | Ending::NotRun => return Vec::new(),
        Ending::Failed => 0,
        Ending::Diverged => 1,
        Ending::Infrastructure => 2,
    };
    if run.failures.is_empty() || rule == 2 {
        let reason = run.reason.as_deref().unwrap_or("no reason is known");
        return vec![result(run, rule, None, reason.to_owned())];
    }
    let told = run.failures.iter().map(|failure| {
        let text = format!(
            "expected {}; seen {} (at {}, {})",
            failure.expected, failure.seen, failure.at, failure.subject
        );
        result(run, rule, Some(failure), text)
    });
    told.collect()
}

fn result(run: &RunSummary, rule: usize, failure: Option<&FailureSummary>, text: String) -> Value {
    let related: Vec<Value> = failure
        .map(|failure| failure.causes.as_slice())
        .unwrap_or_default()
        .iter()
        .map(|cause| {
            let node = cause.node.as_deref().map(|node| format!("{node}: "));
            let text = format!("{} {}{}", cause.at, node.unwrap_or_default(), cause.text);
            json!({ "message": { "text": text } })
        })
        .collect();
    let line = failure.map_or(1, |failure| failure.line);
    let mut value = json!({
        "ruleId": RULES[rule].0,
        "ruleIndex": rule,
        "level": "error",
        "message": { "text": format!("{}: {text}", run.id) },
        "locations": [location(&run.file, failure)],
        // The same finding of another run has the same fingerprint: its text may name a time.
        "partialFingerprints": { "certdrill/run-and-line": format!("{}:{line}", run.id) },
        "properties": { "run": run.id, "replay": run.played.as_ref().map(|played| &played.replay) },
    });
    if !related.is_empty() {
        value["relatedLocations"] = Value::Array(related);
    }
    value
}

fn location(file: &str, failure: Option<&FailureSummary>) -> Value {
    let mut physical = json!({ "artifactLocation": { "uri": uri(file) } });
    if let Some(failure) = failure {
        physical["region"] = json!({ "startLine": failure.line, "startColumn": failure.column });
    }
    json!({ "physicalLocation": physical })
}

/// A path as a URI reference.
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let mut out = if path.starts_with('/') {
        "file://".to_owned()
    } else {
        String::new()
    };
    for byte in path.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn paths_become_uris() {
        assert_eq!(super::uri("a b/c.yaml"), "a%20b/c.yaml");
        assert_eq!(super::uri("/x/ü"), "file:///x/%C3%BC");
    }
}
