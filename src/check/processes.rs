//! Expectations about processes: whether they run, what they logged, what they hold in memory.

use std::sync::Arc;

use super::facts::Conditions;
use super::{Marks, Seen};
use crate::cluster::{Credential, KubeletState, Loaded, PodPhase, World};
use crate::fs::Tree;
use crate::kubeadm::profile::components::Slot;
use crate::pki::Certificate;
use crate::scenario::{Component, Matcher, ProcessState};

pub(super) fn look(
    world: &World,
    matcher: &Matcher,
    marks: &Marks,
    component: Component,
    node: usize,
) -> Seen {
    let Matcher::Process {
        state,
        log,
        log_without,
        restarted,
        loaded_is_on_disk,
        ..
    } = matcher
    else {
        unreachable!("only processes come here");
    };
    let machine = &world.nodes[node];
    let subject = format!("{}@{}", component.name(), machine.name);
    let mut conditions = Conditions::default();
    let now = if component == Component::Kubelet {
        match machine.kubelet.state {
            KubeletState::Running => ProcessState::Running,
            KubeletState::Exited => ProcessState::Exited,
            KubeletState::Stopped => ProcessState::Stopped,
        }
    } else {
        match world.pod_phase(node, component) {
            PodPhase::Running | PodPhase::Stopping => ProcessState::Running,
            PodPhase::Crashed | PodPhase::Starting => ProcessState::Exited,
            PodPhase::Absent => ProcessState::Stopped,
        }
    };
    let word = |state: ProcessState| match state {
        ProcessState::Running => "running",
        ProcessState::Exited => "exited",
        ProcessState::Stopped => "stopped",
    };
    if let Some(wanted) = state {
        conditions.add(
            now == *wanted,
            word(*wanted).to_owned(),
            word(now).to_owned(),
        );
    }
    let lines = machine.logs.get(&component).cloned().unwrap_or_default();
    let tail = || {
        let last: Vec<&str> = lines
            .iter()
            .rev()
            .take(3)
            .rev()
            .map(String::as_str)
            .collect();
        if last.is_empty() {
            "an empty log".to_owned()
        } else {
            format!("a log that ends with {:?}", last.join(" / "))
        }
    };
    if let Some(text) = log {
        let found = lines.iter().any(|line| line.contains(text.as_str()));
        conditions.add(found, format!("a log with {text:?}"), tail());
    }
    if let Some(text) = log_without {
        let found = lines.iter().any(|line| line.contains(text.as_str()));
        conditions.add(!found, format!("a log without {text:?}"), tail());
    }
    if let Some(wanted) = restarted {
        let id = machine.process_id(component);
        let before = marks.processes.get(&(node, component)).copied().flatten();
        let is_new = id.is_some() && id != before;
        let say = |new| {
            if new {
                "another process"
            } else {
                "the same process"
            }
        };
        let seen = if id.is_none() {
            "no process"
        } else {
            say(is_new)
        };
        conditions.add(
            is_new == *wanted && id.is_some(),
            say(*wanted).to_owned(),
            seen.to_owned(),
        );
    }
    if let Some((path, wanted)) = loaded_is_on_disk {
        // The kubelet's are symlinks to dated files.
        let real = machine
            .tree
            .read_link(path)
            .unwrap_or_else(|_| path.clone());
        let loaded = loaded_serials(world, component, node, path);
        let disk = match &loaded {
            Some(Held::Bundle(_)) => machine
                .tree
                .read(path)
                .ok()
                .and_then(|pem| Certificate::parse_pem_certs(&pem).ok())
                .map(|all| Held::Bundle(all.iter().map(Certificate::serial_hex).collect())),
            _ => machine
                .on_disk
                .get(&real)
                .map(|entry| Held::One(entry.certificate.serial_hex())),
        };
        let same = disk.is_some() && disk == loaded;
        let say = |same| {
            if same {
                "holds what is on disk"
            } else {
                "holds something older than the disk"
            }
        };
        conditions.add(
            same == *wanted && loaded.is_some(),
            format!("{} in {path}", say(*wanted)),
            if loaded.is_some() {
                say(same).to_owned()
            } else {
                format!("does not hold {path}")
            },
        );
    }
    conditions.done(subject)
}

/// Serial numbers of what a process holds from a file.
#[derive(PartialEq)]
enum Held {
    /// A certificate of its own.
    One(String),
    /// CAs it trusts, in the order of the file.
    Bundle(Vec<String>),
}

fn loaded_serials(world: &World, component: Component, node: usize, path: &str) -> Option<Held> {
    let machine = &world.nodes[node];
    let one = |pair: &Arc<Credential>| Held::One(pair.certificate.serial_hex());
    if component == Component::Kubelet {
        let serves = path.ends_with("/kubelet.crt") || path.contains("/kubelet-server-");
        let held = if serves {
            &machine.kubelet.serving.current
        } else {
            &machine.kubelet.current
        };
        return held.as_ref().map(one);
    }
    let process = machine.process(component)?;
    process
        .files
        .iter()
        .filter(|(_, source)| source.path() == path)
        .find_map(|(slot, _)| match process.loaded.get(slot)? {
            Loaded::Pair(pair) => Some(one(pair)),
            Loaded::Config(config) => config.credential.as_ref().map(one),
            Loaded::Roots(roots) => Some(Held::Bundle(
                roots
                    .certificates
                    .iter()
                    .map(Certificate::serial_hex)
                    .collect(),
            )),
            Loaded::Key => None,
        })
        // The signer's files are read by rules of their own.
        .or_else(|| match process.loaded.get(&Slot::Signer)? {
            Loaded::Pair(pair) if pair.file == path => Some(one(pair)),
            _ => None,
        })
}
