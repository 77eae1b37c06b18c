//! The real kubeadm as the engine of a simulated world.
//!
//! For each command the node's tree is laid out in a directory of its own, the binary of the node's version
//! runs there (`--rootfs`) at the node's virtual time, in a place with the node's name and network, with the
//! world's API servers listening; then the tree is read back. The wall clock that the binary sees stands
//! still, as it does for the model: what it writes is dated with the instant at which it was started.

#![expect(
    clippy::disallowed_methods,
    reason = "a real process is started, and it is really waited for"
)]

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::dir::DirTree;
use super::engines::{EngineFile, Engines};
use super::memory::Memory;
use super::scratch::Scratch;
use super::{api_server, script, site, warp};
use crate::cluster::{Call, Engine, EngineError, Model, Surroundings};
use crate::fs::mirror;
use crate::kubeadm::renewal::Renewal;
use crate::kubeadm::{CommandOutput, Machine, Version};
use crate::time::Timestamp;

/// Wall seconds after which a command is ended. The slowest seen is `init phase certs all` on a busy machine, 6 s.
const COMMAND_LIMIT: Duration = Duration::from_secs(180);
/// Files that the place needs and the node's tree does not have.
const ADDED: [&str; 2] = ["/proc", "/etc/hosts"];
const DEFECT: &str = "this is a defect of certdrill: please report it";
pub(super) const PATH: &str =
    "/opt/certdrill/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where a renewal of `upgrade` finds the cluster's configuration.
const UPGRADE_CONFIG: &str = "/etc/kubernetes/certdrill-upgrade.yaml";

/// Real kubeadm binaries, at virtual time.
#[derive(Debug, Clone)]
pub struct Binary {
    engines: Engines,
    /// A certdrill, to follow what a script starts (`certdrill warp --follow`).
    launcher: Option<PathBuf>,
    /// Commands that were run before are not run again.
    memory: Option<Memory>,
}

impl Binary {
    /// Runs the binaries that `engines` finds.
    #[must_use]
    pub fn new(engines: Engines) -> Self {
        Self {
            engines,
            launcher: None,
            memory: None,
        }
    }

    /// Does again what a command of kubeadm did before on the same files, at the same instant, in the same surroundings,
    /// instead of running it. Scripts are always run.
    #[must_use]
    pub fn remembering(mut self, memory: Memory) -> Self {
        self.memory = Some(memory);
        self
    }

    /// Where the binaries are.
    #[must_use]
    pub fn engines(&self) -> &Engines {
        &self.engines
    }

    /// Lets scripts run, too, with this certdrill as their parent.
    #[must_use]
    pub fn with_launcher(mut self, certdrill: PathBuf) -> Self {
        self.launcher = Some(certdrill);
        self
    }

    fn engine(&self, version: Version) -> Result<EngineFile, EngineError> {
        self.engines.find(version).map_err(|error| EngineError {
            message: error.to_string(),
            help: error.help(),
        })
    }

    fn execute(
        &self,
        call: &mut Call<'_, '_>,
        args: &[String],
    ) -> Result<CommandOutput, EngineError> {
        let engine = self.engine(call.version)?;
        let surroundings = call.world.surroundings(call.node);
        let run = |machine: &mut Machine<'_>| {
            on_machine(machine, &surroundings, &[], |place| {
                let mut command = Command::new(&engine.path);
                command.arg("--rootfs").arg(place.root).args(args);
                place.run(&surroundings, || {
                    let offsets = warp::Offsets::still_at(place.now);
                    warp::spawn(bare(&mut command), offsets).map_err(|error| EngineError {
                        message: format!(
                            "{} cannot be run at virtual time: {error}",
                            engine.path.display()
                        ),
                        help: error.help().to_string(),
                    })
                })
            })
        };
        let machine = &mut call.machine;
        match &self.memory {
            Some(memory) => memory.once(machine, &surroundings, &engine.path, args, run),
            None => run(machine),
        }
    }
}

impl Engine for Binary {
    fn backend(&self) -> &'static str {
        "kubeadm"
    }

    fn run(
        &mut self,
        mut call: Call<'_, '_>,
        args: &[String],
    ) -> Result<CommandOutput, EngineError> {
        self.execute(&mut call, args)
    }

    fn renew(
        &mut self,
        mut call: Call<'_, '_>,
        certificate: &str,
        cluster_configuration: &str,
    ) -> Result<Result<Renewal, String>, EngineError> {
        let tree_error = |error: crate::fs::FsError| EngineError {
            message: format!("the node's tree cannot be prepared: {error}"),
            help: DEFECT.to_owned(),
        };
        let tree = &mut *call.machine.tree;
        tree.write(UPGRADE_CONFIG, cluster_configuration.as_bytes(), 0o600)
            .map_err(tree_error)?;
        let group: &[&str] = if crate::kubeadm::profile::Profile::of(call.version).certs_group {
            &["certs"]
        } else {
            &["alpha", "certs"]
        };
        let args: Vec<String> = group
            .iter()
            .chain(&["renew", certificate, "--config", UPGRADE_CONFIG])
            .map(|&word| word.to_owned())
            .collect();
        let output = self.execute(&mut call, &args)?;
        call.machine
            .tree
            .remove(UPGRADE_CONFIG)
            .map_err(tree_error)?;
        if output.exit_code == 0 && output.stdout.contains("MISSING! ") {
            // An upgrade does not look first, as this command does: what it says instead is known from the sources only.
            return Model.renew(call, certificate, cluster_configuration);
        }
        Ok(if output.exit_code != 0 {
            Err(output.stderr.trim_end().to_owned())
        } else if output.stdout.contains("can't be renewed") {
            Ok(Renewal::External)
        } else {
            Ok(Renewal::Renewed)
        })
    }

    fn exec(
        &mut self,
        mut call: Call<'_, '_>,
        script: &str,
        file: &str,
    ) -> Result<CommandOutput, EngineError> {
        let launcher = self.launcher.as_ref().ok_or_else(|| EngineError {
            message: "scripts run below `certdrill warp --follow`, and no certdrill is known"
                .to_owned(),
            help: "give Binary::with_launcher the path of a certdrill".to_owned(),
        })?;
        let engine = self.engine(call.version)?;
        let surroundings = call.world.surroundings(call.node);
        on_machine(
            &mut call.machine,
            &surroundings,
            &script::MOUNTED,
            |place| {
                place.run(&surroundings, || {
                    let programs = script::Programs {
                        kubeadm: &engine.path,
                        launcher,
                        tools: &self.engines.tools(),
                    };
                    script::start(place, &programs, script, file)
                })
            },
        )
    }
}

/// Lays a machine's tree out, lets something run there, and reads the tree back. Paths that `work` provides itself
/// and the node does not have are not read back.
fn on_machine(
    machine: &mut Machine<'_>,
    surroundings: &Surroundings,
    provided: &[&'static str],
    work: impl FnOnce(&Place<'_>) -> Result<Output, EngineError>,
) -> Result<CommandOutput, EngineError> {
    let local = |what: &str, error: &dyn std::fmt::Display| EngineError {
        message: format!("{what}: {error}"),
        help: "temporary directories need space and must be writable (TMPDIR)".to_owned(),
    };
    let scratch = Scratch::new().map_err(|error| local("cannot make a directory", &error))?;
    let mut dir = DirTree::open(scratch.path())
        .map_err(|error| local("cannot open a directory just made", &error))?;
    mirror(machine.tree, &mut dir, &[])
        .map_err(|error| local("cannot lay out the node's tree", &error))?;
    let added: Vec<&str> = ADDED
        .iter()
        .chain(provided)
        .copied()
        .filter(|path| machine.tree.symlink_metadata(path).is_err())
        .collect();
    furnish(scratch.path(), &added, surroundings)
        .map_err(|error| local("cannot complete the node's tree", &error))?;
    let output = work(&Place {
        hostname: machine.hostname.clone(),
        address: machine.host_address,
        now: machine.now,
        root: scratch.path(),
    })?;
    mirror(&dir, machine.tree, &added)
        .map_err(|error| local("cannot read the node's tree back", &error))?;
    Ok(CommandOutput {
        exit_code: exit_code(&output),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Where a process runs.
pub(super) struct Place<'a> {
    hostname: String,
    /// The machine's own address.
    address: IpAddr,
    /// What its wall clock shows.
    pub(super) now: Timestamp,
    /// What plays `/`.
    pub(super) root: &'a Path,
}

/// What a process on a machine finds besides the tree: names, and a route that says which address is its own.
fn furnish(root: &Path, added: &[&str], surroundings: &Surroundings) -> std::io::Result<()> {
    if added.contains(&"/etc/hosts") {
        let mut hosts = "127.0.0.1 localhost\n".to_owned();
        for machine in &surroundings.machines {
            hosts += &format!("{} {}\n", machine.address, machine.name);
        }
        if let Some((address, name)) = surroundings.load_balancer {
            hosts += &format!("{address} {name}\n");
        }
        fs::create_dir_all(root.join("etc"))?;
        fs::write(root.join("etc/hosts"), hosts)?;
    }
    if added.contains(&"/proc") {
        // kubeadm reads the default route here to find the host's address
        // (k8s.io/apimachinery/pkg/util/net/interface.go).
        fs::create_dir_all(root.join("proc/net"))?;
        fs::write(
            root.join("proc/net/route"),
            "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
             lo\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n",
        )?;
        fs::write(root.join("proc/net/ipv6_route"), "")?;
    }
    Ok(())
}

impl Place<'_> {
    /// Starts a process from a thread that stands where the node stands, with the world's API servers around
    /// it, and waits for it.
    pub(super) fn run(
        &self,
        surroundings: &Surroundings,
        start: impl FnOnce() -> Result<Child, EngineError> + Send,
    ) -> Result<Output, EngineError> {
        // The machine's own address comes first: it is the one kubeadm takes for the host's.
        let mut addresses = vec![self.address];
        let others = surroundings.machines.iter().map(|machine| machine.address);
        let balancer = surroundings.load_balancer.map(|(address, _)| address);
        addresses.extend(
            others
                .chain(balancer)
                .filter(|other| *other != self.address),
        );
        let failed = |message: String, help: &str| EngineError {
            message,
            help: help.to_owned(),
        };
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                site::enter(&self.hostname, &addresses).map_err(|error| {
                    failed(
                        format!("cannot give a process a network of its own: {error}"),
                        "run certdrill as root, or where user namespaces are allowed",
                    )
                })?;
                let endpoints = api_server::listen(surroundings).map_err(|error| {
                    failed(format!("cannot serve the simulated API: {error}"), DEFECT)
                })?;
                std::thread::scope(|scope| {
                    for endpoint in &endpoints {
                        scope.spawn(|| endpoint.serve(surroundings));
                    }
                    let output = start().and_then(wait);
                    for endpoint in &endpoints {
                        endpoint.stop();
                    }
                    output
                })
            });
            thread.join().unwrap_or_else(|_| {
                Err(failed(
                    "the thread that runs a command panicked".to_owned(),
                    DEFECT,
                ))
            })
        })
    }
}

/// A process sees nothing of the environment it is started from.
pub(super) fn bare(command: &mut Command) -> &mut Command {
    command
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/root")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
}

/// Waits for a process, but not for ever.
fn wait(child: Child) -> Result<Output, EngineError> {
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    std::thread::scope(|scope| {
        let (ended, over) = mpsc::channel::<()>();
        let watchdog = scope.spawn(move || {
            let late = over.recv_timeout(COMMAND_LIMIT) == Err(mpsc::RecvTimeoutError::Timeout);
            if late {
                // It may have ended by itself in this very moment.
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            }
            late
        });
        let output = child.wait_with_output();
        drop(ended);
        if watchdog.join().unwrap_or(false) {
            return Err(EngineError {
                message: format!(
                    "a command did not end within {} s and was ended",
                    COMMAND_LIMIT.as_secs()
                ),
                help: "a busy machine may need fewer runs at once (--jobs 1)".to_owned(),
            });
        }
        output.map_err(|error| EngineError {
            message: format!("the output of a command cannot be read: {error}"),
            help: DEFECT.to_owned(),
        })
    })
}

fn exit_code(output: &Output) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    let status = output.status;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
