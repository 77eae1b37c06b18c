//! How node containers become a cluster.

use std::net::IpAddr;
use std::time::Duration;

use super::Kind;
use super::agent::{Content, Edit, Order};
use super::audit;
use super::balancer::Balancer;
use super::clock::{Ahead, HARMLESS};
use super::leases::ELECTED;
use super::member::Member;
use super::node::{CERTDRILL, CLOCK, Container, NodeSpec, OWN_LABEL, own_program};
use super::wait::until;
use crate::cluster::{BOOTSTRAP_TOKEN, EngineError, NodePlan, RequestState};
use crate::kubeadm::profile::kubelet::{FAIL_CGROUP_V1, IN_USER_NAMESPACE};
use crate::kubeadm::{CommandOutput, Version};
use crate::time::{SignedDuration, shift};

/// What a machine in a container cannot satisfy: kind ignores the same and more.
const IGNORED: &str =
    "SystemVerification,Swap,NumCPU,Mem,FileContent--proc-sys-net-bridge-bridge-nf-call-iptables";
/// At an upgrade: images that are not there (CoreDNS) need not be.
pub(super) const IGNORED_AT_UPGRADE: &str =
    "SystemVerification,ImagePull,CoreDNSUnsupportedPlugins,CoreDNSMigration";
/// Looks at a boot.
const BOOT_LOOKS: u32 = 600;
const BOOT_LOOK_EVERY: Duration = Duration::from_millis(100);
/// Looks at Nodes, eight virtual seconds apart.
const READY_LOOKS: u32 = 60;
/// Looks at leaders and requests.
const CONTROLLER_LOOKS: u32 = 20;
const CONTROLLER_LOOK_EVERY: Duration = Duration::from_millis(500);
/// Files that a control plane shares with those that join.
const SHARED: [&str; 7] = [
    "ca.crt",
    "ca.key",
    "front-proxy-ca.crt",
    "front-proxy-ca.key",
    "sa.key",
    "sa.pub",
    "etcd/ca.crt",
];
const OF_STACKED_ETCD: [&str; 1] = ["etcd/ca.key"];
const OF_EXTERNAL_ETCD: [&str; 2] = ["apiserver-etcd-client.crt", "apiserver-etcd-client.key"];

impl Kind {
    /// Makes the machines.
    pub(super) fn make_machines(&mut self, plan: &[NodePlan]) -> Result<(), EngineError> {
        self.engine = super::Containers::find()?;
        super::clean::goes_with_us(Some((self.engine.clone(), self.name.clone())));
        self.make_network(plan)?;
        let hosts: Vec<(String, IpAddr)> = plan
            .iter()
            .map(|node| (node.name.clone(), node.address))
            .chain(
                plan.first()
                    .and_then(|node| node.load_balancer)
                    .map(|(address, name)| (name.to_owned(), address)),
            )
            .collect();
        for node in plan {
            let image = self.options.image_of(node.version);
            let spec = NodeSpec {
                cluster: &self.name,
                network: &self.name,
                hostname: &node.name,
                address: node.address,
                role: role(node),
                image: &image,
                hosts: &hosts,
            };
            // An engine that has a registry fetches what it lacks.
            let created = Container::create(&self.engine, &spec);
            let container = created.map_err(|error| {
                if super::has_image(&self.engine, &image) {
                    return error;
                }
                EngineError {
                    help: super::where_from(&self.engine, &image, node.version),
                    ..error
                }
            })?;
            self.nodes.push(Member::new(container, node.clone()));
        }
        if let Some((address, _)) = plan.first().and_then(|node| node.load_balancer) {
            let servers: Vec<IpAddr> = plan
                .iter()
                .filter(|node| node.control_plane)
                .map(|node| node.address)
                .collect();
            self.balancer = Some(Balancer::start(
                &self.engine,
                &self.name,
                address,
                &servers,
            )?);
        }
        let program = own_program()?;
        self.ahead = Ahead::at(self.start);
        let clock = self.clock_text(SignedDuration::ZERO);
        self.everywhere(|member| {
            let container = &member.container;
            container.put(&equipment(&program, &clock))?;
            container.start()?;
            wait_for_boot(container)
        })?;
        self.find_out_about_clocks()?;
        self.everywhere(|member| {
            let container = &member.container;
            container.must(INSTALL)?;
            wait_for_boot(container)?;
            give_network(container, member.plan.address)
        })?;
        Ok(())
    }

    /// Makes the external etcd, if there is to be one; runs `kubeadm init` and `join`.
    pub(super) fn bring_up(&mut self) -> Result<Result<CommandOutput, CommandOutput>, EngineError> {
        for member in &mut self.nodes {
            member.kubelet_wanted = member.joined || member.plan.only_etcd();
        }
        if let Err(output) = self.make_external_etcd()? {
            return Ok(Err(output));
        }
        let init = match self.init()? {
            Ok(output) => output,
            Err(output) => return Ok(Err(output)),
        };
        for node in 1..self.nodes.len() {
            if !self.nodes[node].joined {
                continue;
            }
            self.share_by_hand(node)?;
            let output = self.join_with(node, None)?;
            if output.exit_code != 0 {
                return Ok(Err(output));
            }
        }
        self.wait_for_nodes()?;
        Ok(Ok(init))
    }

    fn make_network(&mut self, plan: &[NodePlan]) -> Result<(), EngineError> {
        let Some(IpAddr::V4(address)) = plan.first().map(|node| node.address) else {
            return Err(EngineError {
                message: "the nodes of a real cluster need IPv4 addresses".to_owned(),
                help: "this is a defect of certdrill: please report it".to_owned(),
            });
        };
        let [a, b, c, _] = address.octets();
        let subnet = format!("{a}.{b}.{c}.0/24");
        let label = format!("{OWN_LABEL}={}", std::process::id());
        self.engine
            .run(&[
                "network", "create", "--driver", "bridge", "--subnet", &subnet, "--label", &label,
                &self.name,
            ])
            .map_err(|error| EngineError {
                message: error.message,
                help: format!(
                    "nodes have the addresses of the simulation: {subnet} must be free on this machine (another \
                     cluster of certdrill? `certdrill clean`)"
                ),
            })?;
        self.network = true;
        Ok(())
    }

    fn init(&mut self) -> Result<Result<CommandOutput, CommandOutput>, EngineError> {
        let member = &self.nodes[0];
        let container = &member.container;
        let settings = kubelet_settings(container, member.plan.version)?;
        let config = with_settings(&member.plan.configuration, &settings);
        container.put(&[("/kubeadm.yaml", 0o644, config.as_bytes())])?;
        let upload = if member.plan.upload_certs {
            " --upload-certs"
        } else {
            ""
        };
        let words = format!(
            "kubeadm init --config /kubeadm.yaml{upload} --ignore-preflight-errors={IGNORED}"
        );
        let output = container.run(&split(&words), &[])?;
        if output.exit_code != 0 {
            return Ok(Err(output));
        }
        container
            .must("mkdir -p /root/.kube && cp /etc/kubernetes/admin.conf /root/.kube/config")?;
        Ok(Ok(output))
    }

    /// The documented way by hand: what control planes share is copied to one that joins.
    fn share_by_hand(&self, node: usize) -> Result<(), EngineError> {
        let (first, member) = (&self.nodes[0], &self.nodes[node]);
        let plan = &member.plan;
        if !plan.control_plane {
            return Ok(());
        }
        // The key of an external etcd's CA stays there; control planes share its client's pair instead.
        let shared = SHARED.iter().chain(if plan.etcd {
            &OF_STACKED_ETCD[..]
        } else {
            &OF_EXTERNAL_ETCD[..]
        });
        let names: Vec<&str> = shared.copied().collect();
        let dir = plan.certificates_dir.as_str();
        carry((&first.container, dir), (&member.container, dir), &names)
    }

    /// `kubeadm join` with the last token that was printed.
    pub(super) fn join_with(
        &self,
        node: usize,
        certificate_key: Option<&str>,
    ) -> Result<CommandOutput, EngineError> {
        let member = &self.nodes[node];
        let plan = &member.plan;
        let api = plan
            .configuration
            .lines()
            .find_map(|line| line.strip_prefix("apiVersion: "))
            .unwrap_or("kubeadm.k8s.io/v1beta4");
        let token = &self.token;
        let mut config = format!(
            "apiVersion: {api}\nkind: JoinConfiguration\ndiscovery:\n  bootstrapToken:\n    apiServerEndpoint: {}\n    \
             token: {token}\n    unsafeSkipCAVerification: true\nnodeRegistration:\n  name: {}\n",
            plan.endpoint, plan.name
        );
        if plan.control_plane {
            config += &format!(
                "controlPlane:\n  localAPIEndpoint:\n    advertiseAddress: {}\n    bindPort: 6443\n",
                plan.address
            );
            if let Some(key) = certificate_key {
                config += &format!("  certificateKey: {key:?}\n");
            }
        }
        let container = &member.container;
        container.put(&[("/kubeadm.yaml", 0o644, config.as_bytes())])?;
        let words =
            format!("kubeadm join --config /kubeadm.yaml --ignore-preflight-errors={IGNORED}");
        container.run(&split(&words), &[])
    }

    /// Waits until every Node is Ready.
    pub(super) fn wait_for_nodes(&mut self) -> Result<(), EngineError> {
        let count = self.nodes.iter().filter(|member| member.joined).count();
        let mut last = String::new();
        for _ in 0..READY_LOOKS {
            let output = self.nodes[0].container.run(
                &split("kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes --no-headers"),
                &[],
            )?;
            let ready = output
                .stdout
                .lines()
                .filter(|line| line.split_whitespace().nth(1) == Some("Ready"))
                .count();
            // A kubelet writes its lease some seconds after its Node.
            if ready == count && self.node_leases()? >= count {
                return self.wait_for_controllers();
            }
            last = format!("{}{}", output.stdout, output.stderr);
            // A kubelet looks whether its node is ready every ten seconds.
            let now = self.ahead.now();
            self.reach(shift(now, HARMLESS), true)?;
        }
        Err(EngineError {
            message: format!(
                "the nodes of the new cluster do not become Ready: {}",
                last.trim()
            ),
            help: "look into a node: certdrill run --keep leaves them running".to_owned(),
        })
    }

    /// Waits until controller-manager and scheduler lead and what kubelets asked for at their start has been answered. Where
    /// that stays undone, a cluster is meant to be so.
    fn wait_for_controllers(&self) -> Result<(), EngineError> {
        until(CONTROLLER_LOOKS, CONTROLLER_LOOK_EVERY, || {
            self.approve()?;
            let done = self.api(&[])?.is_some_and(|api| {
                api.leaders.len() == ELECTED.len()
                    && api
                        .requests
                        .iter()
                        // Nobody may be there to approve serving certificates.
                        .filter(|request| {
                            self.approver.is_some()
                                || !request.usages.iter().any(|one| one == "server auth")
                        })
                        .all(|request| {
                            !matches!(
                                request.state(),
                                RequestState::Pending | RequestState::Approved
                            )
                        })
            });
            Ok(done.then_some(()))
        })
        .map(drop)
    }

    fn node_leases(&self) -> Result<usize, EngineError> {
        let words = split(
            "kubectl --kubeconfig /etc/kubernetes/admin.conf get leases -n kube-node-lease --no-headers",
        );
        let output = self.nodes[0].container.run(&words, &[])?;
        Ok(output.stdout.lines().count())
    }
}

/// What every node gets: certdrill, the time, and what its API server is to write down.
pub(super) fn equipment<'a>(program: &'a [u8], clock: &'a str) -> [(&'a str, u32, &'a [u8]); 3] {
    const POLICY: &str = "/var/lib/certdrill/audit/policy.yaml";
    [
        (CERTDRILL, 0o755, program),
        (CLOCK, 0o644, clock.as_bytes()),
        (POLICY, 0o644, audit::POLICY.as_bytes()),
    ]
}

/// A node's role, in kind's words (`pkg/cluster/constants`).
fn role(node: &NodePlan) -> &'static str {
    if node.control_plane {
        "control-plane"
    } else if node.only_etcd() {
        "external-etcd"
    } else {
        "worker"
    }
}

/// Copies files below a directory of one node to a directory of another, with their modes.
pub(super) fn carry(
    (from, from_dir): (&Container, &str),
    (to, to_dir): (&Container, &str),
    names: &[&str],
) -> Result<(), EngineError> {
    let found = from.order(&Order {
        roots: names
            .iter()
            .map(|name| format!("{from_dir}/{name}"))
            .collect(),
        ..Order::default()
    })?;
    let mut changes = vec![Edit::Dir(to_dir.to_owned(), 0o755)];
    if names.iter().any(|name| name.starts_with("etcd/")) {
        changes.push(Edit::Dir(format!("{to_dir}/etcd"), 0o755));
    }
    changes.extend(found.files.into_iter().filter_map(|file| {
        let name = file.path.strip_prefix(from_dir)?;
        match file.what {
            Content::File(content) => Some(Edit::File(
                format!("{to_dir}{name}"),
                file.mode,
                0,
                0,
                content,
            )),
            _ => None,
        }
    }));
    let order = Order {
        changes,
        ..Order::default()
    };
    to.order(&order).map(drop)
}

/// Waits until a node's container runtime answers.
pub(super) fn wait_for_boot(container: &Container) -> Result<(), EngineError> {
    let mut last = String::new();
    let booted = until(BOOT_LOOKS, BOOT_LOOK_EVERY, || {
        let output =
            container.shell("ctr --address /run/containerd/containerd.sock version >/dev/null")?;
        last = output.stderr;
        Ok((output.exit_code == 0).then_some(()))
    })?;
    if booted.is_some() {
        return Ok(());
    }
    Err(EngineError {
        message: format!("{} does not boot: {}", container.name, last.trim()),
        help: "look at its output: docker logs; certdrill run --keep leaves it running".to_owned(),
    })
}

/// Puts the launcher in front of the kubelet and containerd, and certdrill in front of runc, whatever starts them.
/// A node that has been seen to before is left as it is.
pub(super) const INSTALL: &str = r#"set -e
lib=/usr/local/lib/certdrill
mkdir -p $lib/real /var/lib/certdrill
for program in kubelet containerd; do
  [ -e $lib/real/$program ] && continue
  path=$(command -v $program)
  mv "$path" $lib/real/$program
  # Below `certdrill warp --follow` it is moved already.
  cat > "$path" <<END
#!/bin/sh
grep -q '^TracerPid:.0$' /proc/self/status || exec $lib/real/$program "\$@"
exec $lib/certdrill warp --clock /var/lib/certdrill/clock -- $lib/real/$program "\$@"
END
  chmod 755 "$path"
done
if [ ! -e $lib/real/runc ]; then
  path=$(command -v runc)
  mv "$path" $lib/real/runc
  ln -s $lib/certdrill "$path"
fi
# systemd: that it is ready is said by a child of the launcher.
if [ -d /run/systemd/system ]; then
  mkdir -p /etc/systemd/system/containerd.service.d
  printf '[Service]\nNotifyAccess=all\n' > /etc/systemd/system/containerd.service.d/20-certdrill.conf
  systemctl daemon-reload
fi
systemctl restart containerd
"#;

/// Configures a Pod network where the image has none: kind's images leave that to an add-on, which the kind CLI applies, and
/// without it no Node is Ready. Their plugins give Pods addresses of their own node; nothing leads from node to node.
fn give_network(container: &Container, address: IpAddr) -> Result<(), EngineError> {
    let there = container.shell("ls /etc/cni/net.d 2>/dev/null")?;
    if !there.stdout.trim().is_empty() {
        return Ok(());
    }
    let number = match address {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(_) => 0,
    };
    let network = serde_json::json!({
        "cniVersion": "0.3.1",
        "name": "certdrill",
        "plugins": [{
            "type": "ptp",
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "dataDir": "/run/cni-ipam-state",
                "routes": [{ "dst": "0.0.0.0/0" }],
                "ranges": [[{ "subnet": format!("10.244.{number}.0/24") }]],
            },
            "mtu": 1500,
        }, {
            "type": "portmap",
            "capabilities": { "portMappings": true },
        }],
    });
    let text = network.to_string();
    container.put(&[(
        "/etc/cni/net.d/10-certdrill.conflist",
        0o644,
        text.as_bytes(),
    )])
}

/// Settings of the kubelet that a node in a container needs on this machine.
pub(super) fn kubelet_settings(
    container: &Container,
    version: Version,
) -> Result<String, EngineError> {
    let facts = container.must(
        "test -e /sys/fs/cgroup/cgroup.controllers && echo v2 || echo v1; \
         test -d /run/systemd/system && echo systemd || echo cgroupfs; \
         grep CapBnd /proc/self/status",
    )?;
    let v1 = facts.lines().any(|line| line == "v1");
    let driver = if facts.lines().any(|line| line == "systemd") {
        "systemd"
    } else {
        "cgroupfs"
    };
    let capabilities = facts
        .lines()
        .find_map(|line| line.strip_prefix("CapBnd:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(u64::MAX);
    /// Number of CAP_SYS_RESOURCE.
    const SYS_RESOURCE: u32 = 24;
    let mut text = format!(
        "cgroupDriver: {driver}\ncgroupRoot: /\nfailSwapOn: false\nimageGCHighThresholdPercent: 100\nevictionHard:\n  \
         nodefs.available: \"0%\"\n  nodefs.inodesFree: \"0%\"\n  imagefs.available: \"0%\"\n"
    );
    if v1 && *FAIL_CGROUP_V1.at(version) {
        text += "failCgroupV1: false\n";
    }
    if capabilities & (1 << SYS_RESOURCE) == 0 && *IN_USER_NAMESPACE.at(version) {
        text += "featureGates:\n  KubeletInUserNamespace: true\n";
    }
    Ok(text)
}

/// The configuration of the world with what a real machine needs besides.
fn with_settings(configuration: &str, kubelet: &str) -> String {
    let init = "kind: InitConfiguration\n";
    let token = format!("bootstrapTokens:\n- token: {BOOTSTRAP_TOKEN}\n");
    let mut text = configuration.replacen(init, &format!("{init}{token}"), 1);
    let head = "kind: KubeletConfiguration\n";
    if text.contains(head) {
        text = text.replacen(head, &format!("{head}{kubelet}"), 1);
    } else {
        text += &format!("---\napiVersion: kubelet.config.k8s.io/v1beta1\n{head}{kubelet}");
    }
    text
}

pub(super) fn split(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_the_roles_that_kind_knows() {
        let plan = |control_plane, etcd| NodePlan {
            name: "n".to_owned(),
            address: IpAddr::from([10, 0, 0, 10]),
            control_plane,
            etcd,
            version: Version::new(36, 3),
            endpoint: String::new(),
            load_balancer: None,
            certificates_dir: crate::cluster::PKI.to_owned(),
            joins_later: false,
            upload_certs: false,
            metrics_server: None,
            configuration: String::new(),
        };
        let roles = [(true, true), (true, false), (false, true), (false, false)]
            .map(|(control_plane, etcd)| role(&plan(control_plane, etcd)));
        let expected = ["control-plane", "control-plane", "external-etcd", "worker"];
        assert_eq!(roles, expected);
    }

    #[test]
    fn settings_join_a_kubelet_configuration_that_is_there() {
        let without = with_settings(
            "apiVersion: x\nkind: InitConfiguration\nlocal: 1\n",
            "a: 1\n",
        );
        assert!(without.contains("kind: InitConfiguration\nbootstrapTokens:\n- token: abcdef"));
        assert!(without.ends_with("kind: KubeletConfiguration\na: 1\n"));
        let with = with_settings(
            "kind: InitConfiguration\n---\nkind: KubeletConfiguration\nserverTLSBootstrap: true\n",
            "a: 1\n",
        );
        assert_eq!(with.matches("KubeletConfiguration").count(), 1);
        assert!(with.contains("kind: KubeletConfiguration\na: 1\nserverTLSBootstrap: true\n"));
    }
}
