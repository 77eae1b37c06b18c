//! Each form of an expectation, as a matcher.

use crate::scenario::decode::Problems;
use crate::scenario::problem::Problem;
use crate::scenario::raw::{Body, OneOrMany, ProcessFacts};
use crate::scenario::scalar::{At, Range};
use crate::scenario::{
    CertificateSays, Connection, EdgeExpectation, Matcher, Nodes, Position, Target,
};

/// The matcher for what was written.
pub(super) fn matcher(body: Body, at: Position, problems: &mut Problems) -> Option<Matcher> {
    let matcher = match body {
        Body::Edge(edge) => {
            let text = plain(edge.text);
            let is = match (edge.is, &text) {
                (Some(is), _) => is.value,
                (None, Some(_)) => EdgeExpectation::Failing,
                (None, None) => {
                    return problems.push(
                        Problem::new(at, "this expectation does not say what must be seen")
                            .help("add `is: ok`, `is: failing`, `is: partial` or `is: absent`"),
                    );
                }
            };
            if text.is_some() && matches!(is, EdgeExpectation::Ok | EdgeExpectation::Absent) {
                return problems.push(
                    Problem::new(at, "`text` is the text of a failure, but none is expected")
                        .help("remove `text`, or write `is: failing`"),
                );
            }
            Matcher::Edge {
                client: edge.edge.value.client,
                server: edge.edge.value.server,
                connection: edge
                    .connection
                    .map_or(Connection::Fresh, |connection| connection.value),
                is,
                text,
            }
        }
        Body::Edges(edges) => Matcher::AllEdges { is: edges.is.value },
        Body::Process(process) => process_matcher(
            process.process.value,
            ProcessFacts {
                state: process.state,
                log: process.log,
                log_without: process.log_without,
                restarted: process.restarted,
                loaded: process.loaded,
            },
        ),
        Body::OfProcess(target, facts) => process_matcher(target.value, facts),
        Body::Certificate(certificate) => {
            let days = certificate
                .days_left
                .map_or(Range::default(), |days| days.value);
            let age_days_max = match certificate.age_days {
                Some(At {
                    value: Range { min: None, max },
                    ..
                }) => max,
                Some(age) => {
                    return problems.push(
                        Problem::new(age.at, "an age is compared with a maximum only")
                            .help("write for example ageDays: \"<= 1\""),
                    );
                }
                None => None,
            };
            Matcher::Certificate {
                nodes: control_planes(certificate.nodes),
                name: certificate.certificate.value.0,
                exists: plain(certificate.exists),
                valid: plain(certificate.valid),
                days_left_min: days.min,
                days_left_max: days.max,
                renewed: plain(certificate.renewed),
                age_days_max,
                count: plain(certificate.count),
                says: CertificateSays {
                    common_name: plain(certificate.common_name),
                    organizations: certificate.organization.map(|names| texts(Some(names))),
                    names: texts(certificate.names),
                    names_without: texts(certificate.names_without),
                    signed_by: certificate.signed_by.map(|path| path.value.0),
                    key_algorithm: plain(certificate.key_algorithm),
                    not_before: plain(certificate.not_before),
                    not_after: plain(certificate.not_after),
                    in_file: plain(certificate.in_file),
                },
            }
        }
        Body::Output(output) => Matcher::Output {
            nodes: output.nodes.value,
            exit_code: plain(output.exit_code),
            stdout: texts(output.stdout),
            stdout_without: texts(output.stdout_without),
            stderr: texts(output.stderr),
        },
        Body::Residual(residual) => Matcher::Residual {
            nodes: control_planes(residual.nodes),
            rows: residual.residual.0,
        },
        Body::File(file) => Matcher::File {
            nodes: file.nodes.value,
            path: file.file.value.0,
            exists: plain(file.exists),
            contains: plain(file.contains),
            without: plain(file.without),
            mode: file.mode.map(|mode| mode.value.0),
            link: plain(file.link),
        },
        Body::Etcd(etcd) => Matcher::Etcd {
            quorum: plain(etcd.facts.quorum),
            members: plain(etcd.facts.members),
        },
        Body::Node(node) => Matcher::Node {
            nodes: node.nodes.value,
            ready: node.ready.value,
        },
        Body::Csr(csr) => {
            let facts = csr.facts;
            let listed = facts.listed.map_or(Range::default(), |listed| listed.value);
            let bound = |bound: Option<f64>| bound.map(|number| number as u32);
            Matcher::Requests {
                of: plain(facts.of),
                signer: plain(facts.signer),
                pending: plain(facts.pending),
                approved: plain(facts.approved),
                denied: plain(facts.denied),
                failed: plain(facts.failed),
                issued: plain(facts.issued),
                issued_min: plain(facts.issued_min),
                listed_min: bound(listed.min),
                listed_max: bound(listed.max),
                message: plain(facts.message),
            }
        }
        Body::Verify(verify) => {
            let accepted = verify.accepted.value;
            if let Some(text) = verify.text.as_ref().filter(|_| accepted) {
                return problems.push(
                    Problem::new(
                        text.at,
                        "`text` is the text of a refusal, but none is expected",
                    )
                    .help("remove `text`, or write `accepted: false`"),
                );
            }
            Matcher::Verify {
                nodes: verify.nodes.value,
                path: verify.path.value.0,
                ca: verify
                    .ca
                    .map_or_else(|| "/etc/kubernetes/pki/ca.crt".to_owned(), |ca| ca.value.0),
                server: verify.shown_by.is_none_or(|shown| shown.value.0),
                name: plain(verify.name),
                accepted,
                text: plain(verify.text),
            }
        }
    };
    match missing_facts(&matcher) {
        Some(facts) => problems.push(
            Problem::new(at, "this expectation does not say what must be seen")
                .help(format!("add one of {facts}")),
        ),
        None => Some(matcher),
    }
}

fn process_matcher(target: Target, facts: ProcessFacts) -> Matcher {
    Matcher::Process {
        target,
        state: plain(facts.state),
        log: plain(facts.log),
        log_without: plain(facts.log_without),
        restarted: plain(facts.restarted),
        loaded_is_on_disk: facts
            .loaded
            .map(|loaded| (loaded.file.value.0, loaded.on_disk.value)),
    }
}

/// What could be said, when nothing is: an expectation that cannot fail is none.
fn missing_facts(matcher: &Matcher) -> Option<&'static str> {
    match matcher {
        Matcher::Process {
            target: _,
            state: None,
            log: None,
            log_without: None,
            restarted: None,
            loaded_is_on_disk: None,
        } => Some("`state`, `log`, `logWithout`, `restarted`, `loaded`"),
        Matcher::Certificate {
            nodes: _,
            name: _,
            exists: None,
            valid: None,
            days_left_min: None,
            days_left_max: None,
            renewed: None,
            age_days_max: None,
            count: None,
            says,
        } if *says == CertificateSays::default() => Some(
            "`exists`, `valid`, `daysLeft`, `renewed`, `ageDays`, `count`, `commonName`, `organization`, `names`, \
             `namesWithout`, `signedBy`, `keyAlgorithm`, `notBefore`, `notAfter`, `inFile`",
        ),
        Matcher::Output {
            nodes: _,
            exit_code: None,
            stdout,
            stdout_without,
            stderr,
        } if stdout.is_empty() && stdout_without.is_empty() && stderr.is_empty() => {
            Some("`exitCode`, `stdout`, `stdoutWithout`, `stderr`")
        }
        Matcher::File {
            nodes: _,
            path: _,
            exists: None,
            contains: None,
            without: None,
            mode: None,
            link: None,
        } => Some("`exists`, `contains`, `without`, `mode`, `link`"),
        Matcher::Etcd {
            quorum: None,
            members: None,
        } => Some("`quorum`, `members`"),
        Matcher::Requests {
            of: _,
            signer: _,
            pending: None,
            approved: None,
            denied: None,
            failed: None,
            issued: None,
            issued_min: None,
            listed_min: None,
            listed_max: None,
            message: None,
        } => Some(
            "`pending`, `approved`, `denied`, `failed`, `issued`, `issuedMin`, `listed`, `message`",
        ),
        Matcher::Residual { rows, .. } if rows.is_empty() => Some("a row such as `\"*\": 364d`"),
        _ => None,
    }
}

fn plain<T>(scalar: Option<At<T>>) -> Option<T> {
    scalar.map(|scalar| scalar.value)
}

fn texts(written: Option<OneOrMany<At<String>>>) -> Vec<String> {
    written.map_or_else(Vec::new, |texts| {
        texts.0.into_iter().map(|text| text.value).collect()
    })
}

fn control_planes(nodes: Option<At<Nodes>>) -> Nodes {
    plain(nodes).unwrap_or_else(|| Nodes("cp*".to_owned()))
}
