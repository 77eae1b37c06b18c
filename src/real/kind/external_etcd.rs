//! An etcd on machines of its own, made as documented under "Set up a High Availability etcd cluster with kubeadm": a kubelet
//! that runs alone on each of them keeps a static Pod, every certificate is made on the first machine and carried to
//! the others, and the key of the CA stays there. The simulation does the same (`cluster/external_etcd.rs`).

use std::time::Duration;

use super::Kind;
use super::agent::{Edit, Order};
use super::bring_up::{carry, kubelet_settings, split};
use super::node::Container;
use super::wait::until;
use crate::cluster::{ETCD_CERTIFICATES, ETCD_FOR_CONTROL_PLANES, EngineError, NodePlan, PKI};
use crate::kubeadm::CommandOutput;
use crate::kubeadm::profile::kubelet::RUNTIME_IN_CONFIG;

/// Where a kubelet that runs alone has its configuration.
const KUBELET_CONFIG: &str = "/var/lib/certdrill/kubelet.yaml";
/// Looks at the health of etcd.
const HEALTH_LOOKS: u32 = 240;
const HEALTH_LOOK_EVERY: Duration = Duration::from_millis(500);

impl Kind {
    fn etcd_machines(&self) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|&node| self.nodes[node].plan.only_etcd())
            .collect()
    }

    /// Makes it, if there is to be one, and gives the first control plane what it needs of it. Inside is what a kubeadm
    /// said that failed.
    pub(super) fn make_external_etcd(&mut self) -> Result<Result<(), CommandOutput>, EngineError> {
        let machines = self.etcd_machines();
        let Some(&first) = machines.first() else {
            return Ok(Ok(()));
        };
        for &node in &machines {
            let config = self.nodes[node].plan.configuration.as_bytes();
            let files: [(&str, u32, &[u8]); 1] = [("/kubeadm.yaml", 0o644, config)];
            self.nodes[node].container.put(&files)?;
        }
        let on_first = &self.nodes[first].container;
        if let Err(output) = phase(on_first, "certs etcd-ca", "/kubeadm.yaml")? {
            return Ok(Err(output));
        }
        // The first machine comes last: what is made for it stays.
        for &node in machines.iter().rev() {
            let plan = &self.nodes[node].plan;
            // Not below /tmp: the engine cannot copy to what is mounted there.
            let config = format!("/root/{}.yaml", plan.address);
            on_first.put(&[(&config, 0o644, plan.configuration.as_bytes())])?;
            for (name, _) in ETCD_CERTIFICATES {
                if let Err(output) = phase(on_first, &format!("certs {name}"), &config)? {
                    return Ok(Err(output));
                }
            }
            if node != first {
                hand_over(on_first, &self.nodes[node].container)?;
            }
        }
        for &node in &machines {
            let member = &self.nodes[node];
            if let Err(output) = phase(&member.container, "etcd local", "/kubeadm.yaml")? {
                return Ok(Err(output));
            }
        }
        for &node in &machines {
            let member = &self.nodes[node];
            start_kubelet(&member.container, &member.plan)?;
        }
        for &node in &machines {
            wait_for_health(&self.nodes[node].container)?;
        }
        let control_plane = &self.nodes[0];
        let dir = control_plane.plan.certificates_dir.as_str();
        carry(
            (on_first, PKI),
            (&control_plane.container, dir),
            &ETCD_FOR_CONTROL_PLANES,
        )?;
        Ok(Ok(()))
    }
}

/// `kubeadm init phase`.
fn phase(
    container: &Container,
    what: &str,
    config: &str,
) -> Result<Result<(), CommandOutput>, EngineError> {
    let words = split(&format!("kubeadm init phase {what} --config {config}"));
    let output = container.run(&words, &[])?;
    Ok(if output.exit_code == 0 {
        Ok(())
    } else {
        Err(output)
    })
}

/// Moves what was made on the first machine to the one it was made for. The CA's key stays.
fn hand_over(first: &Container, other: &Container) -> Result<(), EngineError> {
    let made: Vec<String> = ETCD_CERTIFICATES
        .iter()
        .flat_map(|(_, base)| ["crt", "key"].map(|kind| format!("{base}.{kind}")))
        .collect();
    let names: Vec<&str> = made
        .iter()
        .map(String::as_str)
        .chain(["etcd/ca.crt"])
        .collect();
    carry((first, PKI), (other, PKI), &names)?;
    let order = Order {
        changes: made
            .iter()
            .map(|name| Edit::Remove(format!("{PKI}/{name}")))
            .collect(),
        ..Order::default()
    };
    first.order(&order).map(drop)
}

/// A kubelet that knows no API server. The unit of kind's images waits for a file that kubeadm writes; nobody writes it here.
fn start_kubelet(container: &Container, plan: &NodePlan) -> Result<(), EngineError> {
    let settings = kubelet_settings(container, plan.version)?;
    let endpoint = "unix:///run/containerd/containerd.sock";
    let (in_config, flags) = if *RUNTIME_IN_CONFIG.at(plan.version) {
        (
            format!("containerRuntimeEndpoint: {endpoint}\n"),
            String::new(),
        )
    } else {
        (
            String::new(),
            format!(" --container-runtime=remote --container-runtime-endpoint={endpoint}"),
        )
    };
    let config = format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nauthentication:\n  anonymous:\n    \
         enabled: false\n  webhook:\n    enabled: false\nauthorization:\n  mode: AlwaysAllow\naddress: 127.0.0.1\n\
         staticPodPath: /etc/kubernetes/manifests\n{in_config}{settings}"
    );
    let unit = format!(
        "[Unit]\nConditionPathExists=\n[Service]\nExecStart=\nExecStart=/usr/bin/kubelet --config={KUBELET_CONFIG}{flags}\n"
    );
    container.put(&[
        (KUBELET_CONFIG, 0o644, config.as_bytes()),
        (
            "/etc/systemd/system/kubelet.service.d/20-etcd-service-manager.conf",
            0o644,
            unit.as_bytes(),
        ),
    ])?;
    container
        .must("systemctl daemon-reload && systemctl restart kubelet")
        .map(drop)
}

fn wait_for_health(container: &Container) -> Result<(), EngineError> {
    let question = Order {
        plain: vec![(
            "etcd".to_owned(),
            "127.0.0.1:2381".to_owned(),
            "/health".to_owned(),
        )],
        ..Order::default()
    };
    let healthy = until(HEALTH_LOOKS, HEALTH_LOOK_EVERY, || {
        let report = container.order(&question)?;
        let answer = report.plain.get("etcd");
        Ok(answer.filter(|(status, _)| *status == 200).map(drop))
    })?;
    if healthy.is_some() {
        return Ok(());
    }
    let log = container
        .shell("journalctl -u kubelet -n 20 --no-pager --output cat")
        .map(|output| output.stdout)
        .unwrap_or_default();
    Err(EngineError {
        message: format!(
            "the etcd of {} does not become healthy; its kubelet said last: {}",
            container.name,
            log.trim()
        ),
        help: "look into the node: certdrill run --keep leaves it running".to_owned(),
    })
}
