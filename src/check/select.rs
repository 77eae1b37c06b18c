//! Node selectors as kinder spells them: `@all`, `@cp*`, `@cp1`, `@w*`.

use crate::cluster::{STATIC_PODS, World};
use crate::scenario::{Component, Nodes, Target};

/// Indices of the nodes a selector names, in the order of the world.
#[must_use]
pub fn select(world: &World, nodes: &Nodes) -> Vec<usize> {
    let patterns: Vec<&str> = nodes
        .0
        .split(',')
        .map(|part| part.trim().trim_start_matches('@'))
        .collect();
    (0..world.nodes.len())
        .filter(|&node| patterns.iter().any(|pattern| matches(pattern, &world.nodes[node].name)))
        .collect()
}

/// The processes a target names.
#[must_use]
pub fn targets(world: &World, target: &Target) -> Vec<(Component, usize)> {
    let mut found = Vec::new();
    for node in select(world, &target.nodes) {
        match target.component {
            Some(component) => found.push((component, node)),
            None => found.extend(STATIC_PODS.iter().map(|&component| (component, node))),
        }
    }
    found
}

fn matches(pattern: &str, name: &str) -> bool {
    if matches!(pattern, "all" | "*" | "") {
        return true;
    }
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => {
            name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn selectors() {
        assert!(matches("all", "w1"));
        assert!(matches("cp*", "cp2"));
        assert!(!matches("cp*", "w1"));
        assert!(matches("cp1", "cp1"));
        assert!(!matches("cp1", "cp11"));
    }
}
