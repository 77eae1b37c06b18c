//! What an expectation asks that nobody can see on a real cluster.

use super::select::edges_between;
use crate::cluster::World;
use crate::scenario::{Connection, Matcher};

/// Why a real cluster gives no answer to an expectation; `None` where it does, and always in a simulated world.
#[must_use]
pub fn blind(world: &World, matcher: &Matcher) -> Option<String> {
    if !world.is_real() {
        return None;
    }
    match matcher {
        Matcher::Edge {
            client,
            server,
            connection,
            ..
        } => {
            if *connection == Connection::Held {
                return Some("nobody sees into the open connection of a process".to_owned());
            }
            edges_between(world, client, server)
                .find_map(|edge| world.unseen(edge.id))
                .map(str::to_owned)
        }
        Matcher::Requests { .. } if world.api_is_silent() => {
            Some("no API server gives an answer".to_owned())
        }
        _ => None,
    }
}
