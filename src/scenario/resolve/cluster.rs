//! The cluster that a scenario starts with.

use super::raw;
use crate::kubeadm::profile::Profile;
use crate::scenario::decode::Problems;
use crate::scenario::problem::Problem;
use crate::scenario::scalar::At;
use crate::scenario::{Cluster, Dated, HealthCheck, LoadBalancer, Nodes};
use crate::time::Timestamp;

/// A cluster of more control planes than etcd is ever run with is a slip.
const CONTROL_PLANES_MAX: u32 = 9;
const WORKERS_MAX: u32 = 100;
/// 2026-01-01T00:00:00Z.
const START_SECOND: i64 = 1_767_225_600;

pub(super) fn cluster(written: &raw::Cluster, problems: &mut Problems) -> Cluster {
    let version = written.version.value;
    let nodes = written.nodes.as_ref();
    let control_planes = nodes.and_then(|nodes| nodes.control_plane.as_ref());
    let workers = nodes.and_then(|nodes| nodes.worker.as_ref());
    let etcd = nodes.and_then(|nodes| nodes.etcd.as_ref());
    for (count, range) in [
        (control_planes, 1..=CONTROL_PLANES_MAX),
        (workers, 0..=WORKERS_MAX),
        (etcd, 0..=CONTROL_PLANES_MAX),
    ] {
        if let Some(count) = count
            && !range.contains(&count.value)
        {
            problems.push::<()>(Problem::new(
                count.at,
                format!(
                    "{} nodes: certdrill plays {} to {}",
                    count.value,
                    range.start(),
                    range.end()
                ),
            ));
        }
    }
    for period in [&written.certificate_validity, &written.ca_validity]
        .into_iter()
        .flatten()
    {
        if !Profile::of(version).v1beta4 {
            problems.push::<()>(
                Problem::new(
                    period.at,
                    format!("kubeadm {version} has no setting for the validity of certificates"),
                )
                .help("it came with kubeadm.k8s.io/v1beta4 in v1.31.0"),
            );
        }
    }
    let period = |period: &Option<At<crate::scenario::scalar::Forward>>| {
        period.as_ref().map(|period| period.value.0)
    };
    Cluster {
        version,
        start: written.start.as_ref().map_or_else(
            || Timestamp::from_second(START_SECOND).unwrap_or(Timestamp::UNIX_EPOCH),
            |start| start.value,
        ),
        control_planes: control_planes.map_or(1, |count| count.value),
        workers: workers.map_or(0, |count| count.value),
        etcd: etcd.map_or(0, |count| count.value),
        load_balancer: load_balancer(
            written,
            control_planes.map_or(1, |count| count.value),
            problems,
        ),
        join_later: join_later(written, problems),
        upload_certs: written.upload_certs.as_ref().is_some_and(|set| set.value),
        key_algorithm: written.key_algorithm.as_ref().map(|key| key.value),
        certificate_validity: period(&written.certificate_validity),
        ca_validity: period(&written.ca_validity),
        certificates_dir: written
            .certificates_dir
            .as_ref()
            .map(|dir| dir.value.0.clone()),
        controller_manager_args: written
            .extra_args
            .as_ref()
            .and_then(|args| args.controller_manager.as_ref())
            .map_or_else(Vec::new, |args| args.0.clone()),
        server_tls_bootstrap: written
            .server_tls_bootstrap
            .as_ref()
            .is_some_and(|set| set.value),
        metrics_server: written.metrics_server.as_ref().map(|one| one.value.0),
        serving_approver: written
            .serving_approver
            .as_ref()
            .and_then(|one| one.value.0),
        bare: written.bare.as_ref().is_some_and(|bare| bare.value),
        certificates: dates(written, problems),
    }
}

fn load_balancer(
    written: &raw::Cluster,
    control_planes: u32,
    problems: &mut Problems,
) -> LoadBalancer {
    let Some(one) = &written.load_balancer else {
        return LoadBalancer::default();
    };
    let places = [
        one.sticky.as_ref().map(|sticky| sticky.at),
        one.health_check.as_ref().map(|check| check.at),
    ];
    if control_planes == 1
        && let Some(at) = places.into_iter().flatten().next()
    {
        problems.push::<()>(
            Problem::new(
                at,
                "there is no load balancer in front of one control plane",
            )
            .help("give the cluster more: `nodes: { controlPlane: 3 }`"),
        );
    }
    LoadBalancer {
        sticky: one.sticky.as_ref().is_some_and(|sticky| sticky.value),
        health_check: one
            .health_check
            .as_ref()
            .map_or_else(HealthCheck::default, |check| check.value),
    }
}

fn join_later(written: &raw::Cluster, problems: &mut Problems) -> Option<Nodes> {
    let nodes = written.join_later.as_ref()?;
    let fixed =
        |part: &str| matches!(part, "all" | "*" | "cp*" | "cp1") || part.starts_with("etcd");
    if nodes.value.0.split(',').any(fixed) {
        problems.push::<()>(
            Problem::new(
                nodes.at,
                "cp1 and machines of an etcd are there from the start",
            )
            .help("name control planes and workers: `joinLater: \"@cp3,w1\"`"),
        );
    }
    Some(nodes.value.clone())
}

/// Dates of the cluster's certificates, CAs first: what they signed is checked against them.
fn dates(written: &raw::Cluster, problems: &mut Problems) -> Vec<Dated> {
    let Some(dates) = &written.certificates else {
        return Vec::new();
    };
    let mut out: Vec<Dated> = Vec::new();
    for (name, validity) in &dates.entries {
        let not_before = validity.not_before.as_ref();
        if let Some(from) = not_before
            && from.value > validity.not_after.value
        {
            problems.push::<()>(Problem::new(
                from.at,
                format!("`{name}` would begin after its end"),
            ));
        }
        out.push(Dated {
            name: name.clone(),
            not_before: not_before.map(|from| from.value),
            not_after: validity.not_after.value,
        });
    }
    out.sort_by_key(|dated| !dated.name.ends_with("ca"));
    out
}
