//! Expectations about edges.

use super::select::edges_between;
use super::{Seen, all};
use crate::cluster::{Edge, Outcome, World};
use crate::scenario::{Connection, EdgeExpectation, Matcher};

pub(super) fn look(world: &World, matcher: &Matcher) -> Seen {
    match matcher {
        Matcher::AllEdges { is } => {
            let seen = world
                .edges
                .iter()
                .filter(|edge| edge.fresh != Outcome::Absent && world.unseen(edge.id).is_none())
                .map(|edge| judge(world, edge, Connection::Fresh, *is, None))
                .collect();
            all(seen, "edges of the cluster")
        }
        Matcher::Edge {
            client,
            server,
            connection,
            is,
            text,
        } => {
            let seen: Vec<Seen> = edges_between(world, client, server)
                .map(|edge| judge(world, edge, *connection, *is, text.as_deref()))
                .collect();
            all(seen, "the edge")
        }
        _ => unreachable!("only edges come here"),
    }
}

fn judge(
    world: &World,
    edge: &Edge,
    connection: Connection,
    is: EdgeExpectation,
    text: Option<&str>,
) -> Seen {
    let name = world.edge_name(edge.id);
    let (word, outcome) = match connection {
        Connection::Fresh => ("fresh", edge.fresh.clone()),
        Connection::Held => (
            "held",
            match &edge.held {
                None => Outcome::Absent,
                Some(held) => held.failure.clone().map_or(Outcome::Ok, Outcome::Failing),
            },
        ),
    };
    let state = matches!(
        (is, &outcome),
        (EdgeExpectation::Ok, Outcome::Ok)
            | (EdgeExpectation::Failing, Outcome::Failing(_))
            | (EdgeExpectation::Partial, Outcome::Partial { .. })
            | (EdgeExpectation::Absent, Outcome::Absent)
    );
    let says = text.is_none_or(|text| {
        outcome
            .failure()
            .is_some_and(|failure| failure.text.contains(text))
    });
    let wanted = match is {
        EdgeExpectation::Ok => "ok",
        EdgeExpectation::Failing => "failing",
        EdgeExpectation::Partial => "partial",
        EdgeExpectation::Absent => "absent",
    };
    Seen {
        holds: state && says,
        expected: match text {
            Some(text) => format!("{name} ({word}) is {wanted} with {text:?}"),
            None => format!("{name} ({word}) is {wanted}"),
        },
        seen: words(&outcome),
        subject: name,
        cause: edge.cause,
    }
}

/// An outcome in words.
fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Absent => "absent".to_owned(),
        Outcome::Ok => "ok".to_owned(),
        Outcome::Partial {
            working,
            total,
            failure,
        } => format!(
            "partial, {working} of {total} work; the others: {}",
            failure.text
        ),
        Outcome::Failing(failure) => format!("failing: {}", failure.text),
    }
}
