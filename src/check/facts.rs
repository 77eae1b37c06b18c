//! Expectations about certificates, processes, files, commands, etcd, Nodes and requests.

use super::{Marks, Seen, all, certificates, processes, requests, select, targets};
use crate::cluster::World;
use crate::fs::Tree;
use crate::scenario::{Component, Matcher, Nodes};

pub(super) fn look(world: &mut World, matcher: &Matcher, marks: &Marks) -> Seen {
    match matcher {
        Matcher::Process { target, .. } => {
            let seen = targets(world, target)
                .into_iter()
                .map(|(component, node)| processes::look(world, matcher, marks, component, node))
                .collect();
            all(seen, "the process")
        }
        Matcher::Certificate { nodes, .. } => {
            each(world, nodes, "the certificate", |world, node| {
                certificates::look(world, matcher, marks, node)
            })
        }
        Matcher::Output { nodes, .. } => each(world, nodes, "the command", |world, node| {
            output(world, matcher, node)
        }),
        Matcher::Residual { nodes, rows } => {
            let seen = select(world, nodes)
                .into_iter()
                .flat_map(|node| residual(world, node, rows))
                .collect();
            all(seen, "the row")
        }
        Matcher::File { nodes, .. } => each(world, nodes, "the file", |world, node| {
            file(world, matcher, node)
        }),
        Matcher::Node { nodes, ready } => each(world, nodes, "the Node", |world, node| {
            let word = |ready| if ready { "Ready" } else { "NotReady" };
            let name = &world.nodes[node].name;
            Seen {
                holds: world.nodes[node].ready == Some(*ready),
                subject: name.clone(),
                expected: format!("Node {name} is {}", word(*ready)),
                seen: world.nodes[node]
                    .ready
                    .map_or("not part of the cluster", word)
                    .to_owned(),
                cause: None,
            }
        }),
        Matcher::Etcd { quorum, members } => etcd(world, *quorum, *members),
        Matcher::Requests { .. } => requests::look(world, matcher),
        Matcher::Verify { nodes, .. } => each(world, nodes, "the file", |world, node| {
            requests::verify(world, matcher, node)
        }),
        Matcher::Edge { .. } | Matcher::AllEdges { .. } => {
            unreachable!("edges are judged elsewhere")
        }
    }
}

fn each(world: &World, nodes: &Nodes, nothing: &str, one: impl Fn(&World, usize) -> Seen) -> Seen {
    let seen = select(world, nodes)
        .into_iter()
        .map(|node| one(world, node))
        .collect();
    all(seen, nothing)
}

/// Collects conditions of one expectation: each with what is expected and what is seen.
#[derive(Default)]
pub(super) struct Conditions {
    expected: Vec<String>,
    seen: Vec<String>,
    failed: bool,
}

impl Conditions {
    pub(super) fn add(&mut self, holds: bool, expected: String, seen: String) {
        self.failed |= !holds;
        self.expected.push(expected);
        if !self.seen.contains(&seen) {
            self.seen.push(seen);
        }
    }

    pub(super) fn done(self, subject: String) -> Seen {
        Seen {
            holds: !self.failed,
            expected: format!("{subject}: {}", self.expected.join(", ")),
            seen: self.seen.join(", "),
            subject,
            cause: None,
        }
    }
}

fn output(world: &World, matcher: &Matcher, node: usize) -> Seen {
    let Matcher::Output {
        exit_code,
        stdout,
        stdout_without,
        stderr,
        ..
    } = matcher
    else {
        unreachable!("only output comes here");
    };
    let subject = format!("kubeadm@{}", world.nodes[node].name);
    let mut conditions = Conditions::default();
    let Some(last) = &world.nodes[node].last_output else {
        conditions.add(
            false,
            "a command".to_owned(),
            "no command ran here".to_owned(),
        );
        return conditions.done(subject);
    };
    if let Some(wanted) = exit_code {
        conditions.add(
            last.exit_code == *wanted,
            format!("exit code {wanted}"),
            format!("exit code {}", last.exit_code),
        );
    }
    let show = |text: &str| {
        let text = text.trim_end();
        if text.is_empty() {
            "nothing".to_owned()
        } else {
            format!("\n{text}")
        }
    };
    for text in stdout {
        conditions.add(
            last.stdout.contains(text.as_str()),
            format!("stdout with {text:?}"),
            format!("stdout: {}", show(&last.stdout)),
        );
    }
    for text in stdout_without {
        conditions.add(
            !last.stdout.contains(text.as_str()),
            format!("stdout without {text:?}"),
            format!("stdout: {}", show(&last.stdout)),
        );
    }
    for text in stderr {
        conditions.add(
            last.stderr.contains(text.as_str()),
            format!("stderr with {text:?}"),
            format!("stderr: {}", show(&last.stderr)),
        );
    }
    conditions.done(subject)
}

fn residual(
    world: &mut World,
    node: usize,
    rows: &std::collections::BTreeMap<String, String>,
) -> Vec<Seen> {
    let printed = world.check_expiration(node);
    let subject = format!("check-expiration@{}", world.nodes[node].name);
    let table = residual_column(&printed.stdout);
    if table.is_empty() {
        return vec![Seen {
            holds: false,
            expected: format!("{subject}: a table"),
            seen: format!(
                "exit code {}: {}{}",
                printed.exit_code, printed.stdout, printed.stderr
            ),
            subject,
            cause: None,
        }];
    }
    let mut seen = Vec::new();
    for (row, wanted) in rows {
        let matching: Vec<&(String, String)> = table
            .iter()
            .filter(|(name, value)| {
                if row == "*" {
                    // CAs live longer, and a missing certificate has no residual time.
                    !matches!(name.as_str(), "ca" | "etcd-ca" | "front-proxy-ca")
                        && !value.is_empty()
                } else {
                    name == row
                }
            })
            .collect();
        let expected = format!("{subject}: RESIDUAL TIME of {row} is {wanted}");
        if matching.is_empty() {
            seen.push(Seen {
                holds: false,
                subject: subject.clone(),
                expected: expected.clone(),
                seen: format!("no such row in\n{}", printed.stdout),
                cause: None,
            });
        }
        for (name, value) in matching {
            seen.push(Seen {
                holds: value == wanted,
                subject: subject.clone(),
                expected: expected.clone(),
                seen: format!("{name}: {value}"),
                cause: None,
            });
        }
    }
    seen
}

/// Names and RESIDUAL TIME of both tables of `check-expiration`.
fn residual_column(stdout: &str) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let mut columns: Option<(usize, usize)> = None;
    for line in stdout.lines() {
        if line.starts_with("CERTIFICATE") {
            columns = line.find("RESIDUAL TIME").map(|start| {
                let rest = &line[start + "RESIDUAL TIME".len()..];
                let width = rest.len() - rest.trim_start().len();
                (start, start + "RESIDUAL TIME".len() + width)
            });
            continue;
        }
        let Some((start, end)) = columns else {
            continue;
        };
        let Some(name) = line
            .trim_start_matches("!MISSING! ")
            .split_whitespace()
            .next()
        else {
            continue;
        };
        let value = line
            .get(start..end.min(line.len()))
            .unwrap_or_default()
            .trim();
        rows.push((name.to_owned(), value.to_owned()));
    }
    rows
}

fn file(world: &World, matcher: &Matcher, node: usize) -> Seen {
    let Matcher::File {
        path,
        exists,
        contains,
        without,
        mode,
        link,
        ..
    } = matcher
    else {
        unreachable!("only files come here");
    };
    let machine = &world.nodes[node];
    let subject = format!("{path}@{}", machine.name);
    let mut conditions = Conditions::default();
    let there = machine.tree.symlink_metadata(path);
    if let Some(wanted) = exists {
        let say = |there| if there { "exists" } else { "does not exist" };
        conditions.add(
            there.is_ok() == *wanted,
            say(*wanted).to_owned(),
            say(there.is_ok()).to_owned(),
        );
    }
    let content = machine.tree.read(path);
    for (text, wanted) in [(contains, true), (without, false)] {
        let Some(text) = text else { continue };
        match &content {
            Ok(bytes) => {
                let found = String::from_utf8_lossy(bytes).contains(text.as_str());
                let say = |found| if found { "with" } else { "without" };
                conditions.add(
                    found == wanted,
                    format!("{} {text:?}", say(wanted)),
                    format!("{} {text:?}", say(found)),
                );
            }
            Err(error) => conditions.add(
                false,
                format!("content with or without {text:?}"),
                error.to_string(),
            ),
        }
    }
    if let Some(wanted) = mode {
        match machine.tree.metadata(path) {
            Ok(found) => conditions.add(
                found.mode == *wanted,
                format!("mode {wanted:04o}"),
                format!("mode {:04o}", found.mode),
            ),
            Err(error) => conditions.add(false, format!("mode {wanted:04o}"), error.to_string()),
        }
    }
    if let Some(wanted) = link {
        match machine.tree.read_link(path) {
            Ok(target) => conditions.add(
                target == *wanted,
                format!("a symlink to {wanted}"),
                format!("a symlink to {target}"),
            ),
            Err(error) => {
                conditions.add(false, format!("a symlink to {wanted}"), error.to_string())
            }
        }
    }
    conditions.done(subject)
}

fn etcd(world: &World, quorum: Option<bool>, members: Option<u32>) -> Seen {
    let mut conditions = Conditions::default();
    if let Some(wanted) = quorum {
        let has = world.quorum == Some(true);
        let say = |has| if has { "a quorum" } else { "no quorum" };
        conditions.add(has == wanted, say(wanted).to_owned(), say(has).to_owned());
    }
    if let Some(wanted) = members {
        let running = world
            .nodes
            .iter()
            .filter(|node| node.process(Component::Etcd).is_some())
            .count() as u32;
        conditions.add(
            running == wanted,
            format!("{wanted} members"),
            format!("{running} members"),
        );
    }
    conditions.done("etcd".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tables_of_check_expiration_are_read() {
        let text = "\
CERTIFICATE                EXPIRES                  RESIDUAL TIME   CERTIFICATE AUTHORITY   EXTERNALLY MANAGED
admin.conf                 Nov 24, 2027 10:14 UTC   364d            ca                      no      
!MISSING! super-admin.conf                                                                    

CERTIFICATE AUTHORITY   EXPIRES                  RESIDUAL TIME   EXTERNALLY MANAGED
ca                      Nov 21, 2036 10:09 UTC   9y              no      
";
        let rows = residual_column(text);
        assert_eq!(
            rows,
            [
                ("admin.conf".to_owned(), "364d".to_owned()),
                ("super-admin.conf".to_owned(), String::new()),
                ("ca".to_owned(), "9y".to_owned()),
            ]
        );
    }
}
