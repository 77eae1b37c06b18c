//! Expectations about certificate signing requests, and about what a certificate would be accepted for.

use super::facts::Conditions;
use super::{Seen, select};
use crate::cluster::{Request, RequestState, World};
use crate::fs::Tree;
use crate::pki::{Certificate, ServerName, Usage, verify as verify_chain};
use crate::scenario::Matcher;

pub(super) fn look(world: &mut World, matcher: &Matcher) -> Seen {
    let Matcher::Requests {
        of,
        signer,
        pending,
        approved,
        denied,
        failed,
        issued,
        issued_min,
        listed_min,
        listed_max,
        message,
    } = matcher
    else {
        unreachable!("only requests come here");
    };
    world.touched();
    let nodes = of.as_ref().map(|nodes| select(world, nodes));
    let wanted = |request: &&Request| {
        nodes
            .as_ref()
            .is_none_or(|nodes| nodes.contains(&request.node()))
            && signer
                .as_ref()
                .is_none_or(|signer| request.signer == *signer)
    };
    let all: Vec<&Request> = world.requests.iter().filter(wanted).collect();
    let listed: Vec<&&Request> = all.iter().filter(|one| !one.deleted).collect();
    let mut conditions = Conditions::default();
    for (expected, state, word) in [
        (pending, RequestState::Pending, "pending"),
        (approved, RequestState::Approved, "approved and unsigned"),
        (denied, RequestState::Denied, "denied"),
        (failed, RequestState::Failed, "failed"),
        (issued, RequestState::Issued, "issued"),
    ] {
        let Some(expected) = expected else { continue };
        let count = listed.iter().filter(|one| one.state() == state).count() as u32;
        conditions.add(
            count == *expected,
            format!("{expected} {word}"),
            format!("{count} {word}"),
        );
    }
    if let Some(min) = issued_min {
        let issued = all.iter().filter(|one| one.certificate.is_some()).count() as u32;
        conditions.add(
            issued >= *min,
            format!("at least {min} issued so far"),
            format!("{issued} issued so far"),
        );
    }
    let count = listed.len() as u32;
    if let Some(min) = listed_min {
        conditions.add(
            count >= *min,
            format!("at least {min} listed"),
            format!("{count} listed"),
        );
    }
    if let Some(max) = listed_max {
        conditions.add(
            count <= *max,
            format!("at most {max} listed"),
            format!("{count} listed"),
        );
    }
    if let Some(text) = message {
        let said: Vec<String> = listed
            .iter()
            .flat_map(|one| &one.conditions)
            .map(|one| format!("{} ({}): {}", one.kind.word(), one.reason, one.message))
            .collect();
        let last = said
            .last()
            .cloned()
            .unwrap_or_else(|| "no condition".to_owned());
        conditions.add(
            said.iter().any(|one| one.contains(text.as_str())),
            format!("a condition with {text:?}"),
            last,
        );
    }
    conditions.done("certificate signing requests".to_owned())
}

/// Whether someone who trusts a CA file accepts the certificate of another, by the node's clock.
pub(super) fn verify(world: &World, matcher: &Matcher, node: usize) -> Seen {
    let Matcher::Verify {
        path,
        ca,
        server,
        name,
        accepted,
        text,
        ..
    } = matcher
    else {
        unreachable!("only verifications come here");
    };
    let tree = &world.nodes[node].tree;
    let read = |path: &str| {
        let bytes = tree.read(path).map_err(|error| error.to_string())?;
        Certificate::parse_pem_certs(&bytes).map_err(|error| format!("{path}: {error}"))
    };
    let outcome = read(path).and_then(|chain| {
        let roots = read(ca)?;
        let (leaf, rest) = chain
            .split_first()
            .ok_or_else(|| format!("{path} holds no certificate"))?;
        let usage = if *server {
            Usage::Server
        } else {
            Usage::Client
        };
        let name = name.as_deref().map(ServerName::new);
        verify_chain(leaf, rest, &roots, usage, name.as_ref(), world.wall(node))
            .map_err(|error| error.to_string())
    });
    let subject = format!("{path}@{}", world.nodes[node].name);
    let mut conditions = Conditions::default();
    let word = |accepted| if accepted { "accepted" } else { "refused" };
    let seen = match &outcome {
        Ok(()) => "accepted".to_owned(),
        Err(error) => format!("refused: {error}"),
    };
    conditions.add(
        outcome.is_ok() == *accepted,
        word(*accepted).to_owned(),
        seen.clone(),
    );
    if let Some(text) = text {
        conditions.add(
            outcome.is_err_and(|error| error.contains(text.as_str())),
            format!("with {text:?}"),
            seen,
        );
    }
    conditions.done(subject)
}
