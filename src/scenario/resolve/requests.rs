//! Steps about requests and other objects of the API.

use super::{or, selector, set_lines};
use crate::scenario::decode::Problems;
use crate::scenario::problem::Problem;
use crate::scenario::raw::{self, OneOrMany, Short};
use crate::scenario::scalar::{At, Pending};
use crate::scenario::{Action, Change, Position, RequestCertificate, kubectl as line};

pub(super) fn kubectl(
    written: Short<At<String>, raw::Kubectl>,
    problems: &mut Problems,
) -> Option<Action> {
    let split =
        |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    let (nodes, at, args, exit_code) = match written {
        Short::Short(line) => (selector("cp1"), line.at, split(&line.value), 0),
        Short::Long(kubectl) => (
            or(kubectl.nodes, "cp1"),
            kubectl
                .args
                .0
                .first()
                .map_or(Position::default(), |arg| arg.at),
            match kubectl.args.0.as_slice() {
                [line] => split(&line.value),
                list => list.iter().map(|arg| arg.value.clone()).collect(),
            },
            kubectl.exit_code.map_or(0, |code| code.value),
        ),
    };
    match line::parse(&args) {
        Ok(command) => Some(Action::Kubectl {
            nodes,
            command,
            line: args.join(" "),
            exit_code,
        }),
        Err(message) => problems.push(Problem::new(at, message)),
    }
}

pub(super) fn decide(written: Short<At<Pending>, raw::Decide>, approve: bool) -> Action {
    match written {
        Short::Short(_) => Action::Decide {
            approve,
            of: None,
            signer: None,
        },
        Short::Long(which) => Action::Decide {
            approve,
            of: which.of.map(|of| of.value),
            signer: which.signer.map(|signer| signer.value),
        },
    }
}

pub(super) fn request_certificate(
    written: raw::RequestCertificate,
    problems: &mut Problems,
) -> Option<Action> {
    let list = |texts: Option<OneOrMany<At<String>>>| -> Vec<String> {
        texts.map_or_else(Vec::new, |texts| {
            texts.0.into_iter().map(|text| text.value).collect()
        })
    };
    let before = problems.len();
    let mut ip_addresses = Vec::new();
    for text in written.ip_addresses.map_or_else(Vec::new, |list| list.0) {
        match text.value.parse() {
            Ok(address) => ip_addresses.push(address),
            Err(_) => {
                problems.push::<()>(Problem::new(
                    text.at,
                    format!("`{}` is not an IP address", text.value),
                ));
            }
        }
    }
    (problems.len() == before).then(|| {
        Action::RequestCertificate(Box::new(RequestCertificate {
            node: written.with.value.nodes,
            kubeconfig: written.with.value.path,
            signer: written.signer.value,
            common_name: written.common_name.value,
            organizations: list(written.organizations),
            dns_names: list(written.dns_names),
            ip_addresses,
            usages: list(Some(written.usages)),
            expiration_seconds: written
                .expiration_seconds
                .map(|seconds| i64::from(seconds.value)),
            save_to: written.save_to.map(|path| path.value.0),
            exit_code: written.exit_code.map_or(0, |code| code.value),
        }))
    })
}

pub(super) fn edit_config_map(
    written: raw::EditConfigMap,
    problems: &mut Problems,
) -> Option<Action> {
    let change = match (written.content, written.set_lines, written.append) {
        (Some(content), None, None) => Change::Content(content.value),
        (None, Some(lines), None) => set_lines(lines),
        (None, None, Some(text)) => Change::Append(text.value),
        _ => {
            return problems.push(
                Problem::new(written.name.at, "one edit makes one change")
                    .help("give one of `content`, `setLines` and `append`"),
            );
        }
    };
    Some(Action::EditConfigMap {
        name: written.name.value,
        key: written.key.value,
        change,
    })
}
