//! What a scenario cannot do with a historic version, of which only little is known.

use super::{At, Problems};
use crate::kubeadm::Version;
use crate::kubeadm::profile::historic::{HELP, MARK, RENEW};
use crate::scenario::problem::Problem;
use crate::scenario::{Action, Backend, Cluster, LoadBalancer, Step};

/// Finds what is not known of a scenario's version.
pub(super) fn problems(
    version: &At<Version>,
    cluster: &Cluster,
    backends: &[Backend],
    steps: &[Step],
    problems: &mut Problems,
) {
    for step in steps {
        if let Action::Upgrade(upgrade) = &step.action
            && upgrade.to.is_historic()
        {
            let text = format!("an upgrade to {} is not known: {MARK}", upgrade.to);
            problems.push::<()>(Problem::new(step.at, text).help(HELP));
        }
    }
    let value = version.value;
    if !value.is_historic() {
        return;
    }
    if !backends.contains(&Backend::Sim) {
        let text = format!("{value} is a historic version ({MARK}): it is played on sim only");
        problems.push::<()>(
            Problem::new(version.at, text).help("add `sim` to `backends`, or take a later version"),
        );
    }
    if let Some(what) = setting(cluster) {
        let text = format!("{what} of {value} is not known: it is a historic version, {MARK}");
        problems.push::<()>(Problem::new(version.at, text).help(HELP));
    }
    for step in steps {
        if !is_known(&step.action, value) {
            let text = format!(
                "what this step does in {value} is not known: it is a historic version, {MARK}"
            );
            problems.push::<()>(Problem::new(step.at, text).help(HELP));
        }
    }
}

/// The first setting of a cluster that is not known.
fn setting(cluster: &Cluster) -> Option<&'static str> {
    [
        (cluster.control_planes != 1, "a second control plane"),
        (cluster.etcd > 0, "an external etcd"),
        (
            cluster.load_balancer != LoadBalancer::default(),
            "`loadBalancer`",
        ),
        (cluster.join_later.is_some(), "`joinLater`"),
        (cluster.upload_certs, "`uploadCerts`"),
        (cluster.key_algorithm.is_some(), "`encryptionAlgorithm`"),
        (
            cluster.certificate_validity.is_some() || cluster.ca_validity.is_some(),
            "a validity period",
        ),
        (cluster.certificates_dir.is_some(), "`certificatesDir`"),
        (cluster.server_tls_bootstrap, "`serverTLSBootstrap`"),
        (cluster.metrics_server.is_some(), "`metricsServer`"),
        (cluster.serving_approver.is_some(), "`servingApprover`"),
        (cluster.bare, "`bare`"),
    ]
    .into_iter()
    .find_map(|(set, what)| set.then_some(what))
}

/// Whether a step is known. A command line is looked at when it is run.
fn is_known(action: &Action, version: Version) -> bool {
    match action {
        Action::Renew { .. } | Action::CheckExpiration { .. } => !RENEW.at(version).is_empty(),
        Action::Walk(_)
        | Action::Jump(_)
        | Action::StepBack(_)
        | Action::Skew { .. }
        | Action::Dormant { .. }
        | Action::Kubeadm { .. }
        | Action::Restart(_)
        | Action::Stop(_)
        | Action::Start(_)
        | Action::Reboot(_)
        | Action::MoveManifests(_)
        | Action::Edit(_)
        | Action::Remove { .. }
        | Action::Copy { .. }
        | Action::Note(_)
        | Action::Expect(_)
        | Action::ExpectFailure { .. } => true,
        Action::Init { .. }
        | Action::Join { .. }
        | Action::Reset(_)
        | Action::Issue(_)
        | Action::Upgrade(_)
        | Action::Kubectl { .. }
        | Action::Decide { .. }
        | Action::RequestCertificate(_)
        | Action::ServingApprover(_)
        | Action::EditConfigMap { .. }
        | Action::Exec { .. }
        | Action::Apply { .. }
        | Action::Image { .. } => false,
    }
}
