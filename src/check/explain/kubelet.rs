//! Why a kubelet is as it is: its two certificates, when they rotate, and what its next start judges.

use super::{Explanation, held, life};
use crate::cluster::{KubeletState, Rotation, World};
use crate::pki::Certificate;
use crate::scenario::Component;
use crate::time::{Timestamp, span};

pub(super) fn explain_kubelet(world: &World, node: usize) -> Explanation {
    let machine = &world.nodes[node];
    let kubelet = &machine.kubelet;
    let now = world.wall(node);
    let state = match (machine.powered, kubelet.state) {
        (false, _) => "its machine is off",
        (_, KubeletState::Running) => "runs",
        (_, KubeletState::Stopped) => "is stopped",
        (_, KubeletState::Exited) => "ends at each start",
    };
    let mut facts = Vec::new();
    if let Some(current) = &kubelet.current {
        let certificate = &current.certificate;
        facts.push((
            "holds".to_owned(),
            held(world, node, &current.file, certificate),
        ));
        if let Some(deadline) = kubelet.deadline {
            facts.push(("deadline".to_owned(), drawn(certificate, deadline, now)));
        }
    }
    facts.push(("rotation".to_owned(), rotation(world, &kubelet.rotation)));
    facts.extend(serving(world, node));
    facts.push((
        "believes the API server".to_owned(),
        if kubelet.server_healthy {
            "responsive: it exits after five minutes without a certificate".to_owned()
        } else {
            "unresponsive: without a certificate it stays and logs that a restart may be necessary"
                .to_owned()
        },
    ));
    facts.push((
        "kubelet.conf".to_owned(),
        machine
            .on_disk
            .get("/etc/kubernetes/kubelet.conf")
            .map_or_else(
                || "names files that the kubelet rotates".to_owned(),
                |entry| {
                    format!(
                        "embeds a certificate that nobody rotates: {}. The next start judges this one (D8)",
                        life(&entry.certificate, now)
                    )
                },
            ),
    ));
    for line in machine
        .logs
        .get(&Component::Kubelet)
        .into_iter()
        .flatten()
        .rev()
        .take(2)
    {
        facts.push(("last log".to_owned(), line.clone()));
    }
    facts.push((
        "rule".to_owned(),
        "a start needs a kubelet.conf whose certificates are all unexpired, or a bootstrap kubeconfig, which kubeadm \
         removes after the join (D6, D7, D8)"
            .to_owned(),
    ));
    Explanation {
        title: format!("kubelet@{} {state}", machine.name),
        facts,
    }
}

/// What it serves with. Without `serverTLSBootstrap` that is a file, and nobody draws a deadline.
fn serving(world: &World, node: usize) -> Vec<(String, String)> {
    let serving = &world.nodes[node].kubelet.serving;
    let now = world.wall(node);
    let mut facts = Vec::new();
    match &serving.current {
        Some(current) => facts.push((
            "serves with".to_owned(),
            held(world, node, &current.file, &current.certificate),
        )),
        None if serving.bootstrap => facts.push((
            "serves with".to_owned(),
            "nothing: until its request is approved and signed, handshakes fail (D20)".to_owned(),
        )),
        None => {}
    }
    if !serving.bootstrap {
        if serving.current.is_some() {
            facts.push((
                "serving rotation".to_owned(),
                "none: with serverTLSBootstrap it would ask the cluster (D20, D21)".to_owned(),
            ));
        }
        return facts;
    }
    if let (Some(current), Some(deadline)) = (&serving.current, serving.deadline) {
        facts.push((
            "serving deadline".to_owned(),
            drawn(&current.certificate, deadline, now),
        ));
    }
    facts.push((
        "serving rotation".to_owned(),
        format!(
            "{}; nothing in Kubernetes approves such a request (D22)",
            rotation(world, &serving.rotation)
        ),
    ));
    facts
}

/// A deadline as a share of the certificate's life.
fn drawn(certificate: &Certificate, deadline: Timestamp, now: Timestamp) -> String {
    let whole = certificate
        .not_after()
        .duration_since(certificate.not_before());
    let lived = deadline.duration_since(certificate.not_before());
    let when = if deadline > now {
        format!("in {}", span::display(deadline.duration_since(now)))
    } else {
        format!("{} ago", span::display(now.duration_since(deadline)))
    };
    format!(
        "{deadline} ({when}): {:.2} % of {}, drawn between 70 and 90 %",
        lived.as_secs_f64() / whole.as_secs_f64() * 100.0,
        span::display(whole)
    )
}

fn rotation(world: &World, rotation: &Rotation) -> String {
    match *rotation {
        Rotation::Idle => "waits for its deadline".to_owned(),
        Rotation::Waiting { request, .. } => world.requests.get(request).map_or_else(
            || "waits for its request".to_owned(),
            |request| format!("waits for {} ({})", request.name, request.column()),
        ),
        Rotation::Retrying { attempts, .. } => {
            format!("could not post its request, {attempts} times so far")
        }
    }
}
