//! A node container: how it is made, reached and moved in time.

use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::agent::{Order, Report};
use super::engine::Containers;
use super::fixed::Fixed;
use crate::cluster::EngineError;
use crate::kubeadm::{CommandOutput, Version};
use crate::time::SignedDuration;

/// Where certdrill lies in a node.
pub(super) const CERTDRILL: &str = "/usr/local/lib/certdrill/certdrill";
/// The file that says how far a node's wall clock is ahead of the machine's. On a volume, so that it outlives a
/// restart of the container.
pub(super) const CLOCK: &str = "/var/lib/certdrill/clock";
/// Label with the cluster's name, as kind sets it.
pub(super) const CLUSTER_LABEL: &str = "io.x-k8s.kind.cluster";
/// Label with the node's role, as kind sets it.
pub(super) const ROLE_LABEL: &str = "io.x-k8s.kind.role";
/// Label of everything that certdrill makes.
pub(super) const OWN_LABEL: &str = "dev.certdrill.owner";
/// Processes whose timers never run faster than the machine's, by the name the kernel keeps: their clients for etcd
/// would find connections idle for half an hour, close them, and show their certificates anew.
const WALL_ONLY: [&str; 2] = ["kube-apiserver", "etcd"];

/// Shims are started by containerd, not by a launcher. They say when a container has ended.
const SHIMS: &str = "containerd-shim";

/// A node container.
#[derive(Debug, Clone)]
pub(super) struct Container {
    /// The engine it runs in.
    pub engine: Containers,
    /// The container's name.
    pub name: String,
    /// How it is talked to where no clock can be moved.
    pub fixed: Option<Arc<Fixed>>,
}

/// A file that was taken out of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    pub path: String,
    pub mode: u32,
    pub owner: (u32, u32),
    pub content: Vec<u8>,
}

/// A file that goes into a container.
struct Put<'f> {
    path: &'f str,
    mode: u32,
    owner: (u32, u32),
    content: &'f [u8],
}

/// What a node container is made from.
#[derive(Debug)]
pub(super) struct NodeSpec<'a> {
    pub cluster: &'a str,
    pub network: &'a str,
    pub hostname: &'a str,
    pub address: IpAddr,
    /// Its role, as kind names roles.
    pub role: &'static str,
    pub image: &'a str,
    /// The machine's names and addresses, for /etc/hosts.
    pub hosts: &'a [(String, IpAddr)],
}

impl Container {
    /// Makes a node container as kind would and puts certdrill into it; it is not started yet.
    pub fn create(engine: &Containers, spec: &NodeSpec<'_>) -> Result<Self, EngineError> {
        let name = format!("{}-{}", spec.cluster, spec.hostname);
        let address = spec.address.to_string();
        let labels = [
            format!("{CLUSTER_LABEL}={}", spec.cluster),
            format!("{ROLE_LABEL}={}", spec.role),
            format!("{OWN_LABEL}={}", std::process::id()),
        ];
        let hosts: Vec<String> = spec
            .hosts
            .iter()
            .map(|(name, address)| format!("--add-host={name}:{address}"))
            .collect();
        let mut args = vec!["create", "--name", &name, "--hostname", spec.hostname];
        for label in &labels {
            args.extend(["--label", label]);
        }
        args.extend(hosts.iter().map(String::as_str));
        args.extend([
            "--net",
            spec.network,
            "--ip",
            &address,
            "--privileged",
            "--security-opt",
            "seccomp=unconfined",
            "--security-opt",
            "apparmor=unconfined",
            "--tmpfs",
            "/tmp",
            "--tmpfs",
            "/run",
            "--volume",
            "/var",
            "--volume",
            "/lib/modules:/lib/modules:ro",
            "--cgroupns=private",
            "--init=false",
            "--tty",
            "--env",
            "KUBECONFIG=/etc/kubernetes/admin.conf",
            spec.image,
        ]);
        engine.run(&args)?;
        Ok(Self::named(engine, name))
    }

    /// A container that is there.
    pub fn named(engine: &Containers, name: String) -> Self {
        Self {
            engine: engine.clone(),
            name,
            fixed: None,
        }
    }

    /// Puts files of root's into the container, running or not.
    pub fn put(&self, files: &[(&str, u32, &[u8])]) -> Result<(), EngineError> {
        self.put_all(files.iter().map(|&(path, mode, content)| Put {
            path,
            mode,
            owner: (0, 0),
            content,
        }))
    }

    /// Puts files that were taken out of it back.
    pub fn put_back(&self, files: &[Taken]) -> Result<(), EngineError> {
        self.put_all(files.iter().map(|file| Put {
            path: &file.path,
            mode: file.mode,
            owner: file.owner,
            content: &file.content,
        }))
    }

    fn put_all<'f>(&self, mut files: impl Iterator<Item = Put<'f>>) -> Result<(), EngineError> {
        let mut archive = tar::Builder::new(Vec::new());
        let packed = files.try_for_each(|file| {
            let mut header = tar::Header::new_gnu();
            header.set_size(file.content.len() as u64);
            header.set_mode(file.mode);
            header.set_uid(file.owner.0.into());
            header.set_gid(file.owner.1.into());
            header.set_cksum();
            archive.append_data(&mut header, file.path.trim_start_matches('/'), file.content)
        });
        let bytes = packed
            .and_then(|()| archive.into_inner())
            .map_err(|error| EngineError {
                message: format!("files for {} cannot be packed: {error}", self.name),
                help: "this is a defect of certdrill: please report it".to_owned(),
            })?;
        let target = format!("{}:/", self.name);
        let args = ["cp", "-", target.as_str()];
        let output = self.engine.output(&args, Some(&bytes))?;
        if output.status.success() {
            Ok(())
        } else {
            Err(self.engine.failed(&args, &output))
        }
    }

    /// Files of a path in the container, running or not; none where there is no such path.
    pub fn take(&self, path: &str) -> Result<Vec<Taken>, EngineError> {
        let from = format!("{}:{path}", self.name);
        let args = ["cp", from.as_str(), "-"];
        let output = self.engine.output(&args, None)?;
        if !output.status.success() {
            // Neither engine says it in a way that is meant for programs.
            let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
            let is_missing = said.contains("could not find") || said.contains("no such file");
            return if is_missing {
                Ok(Vec::new())
            } else {
                Err(self.engine.failed(&args, &output))
            };
        }
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        unpack(&output.stdout, parent).map_err(|error| EngineError {
            message: format!(
                "what {} holds below {path} cannot be unpacked: {error}",
                self.name
            ),
            help: "look into the node: certdrill run --keep leaves it running".to_owned(),
        })
    }

    /// Starts it.
    pub fn start(&self) -> Result<(), EngineError> {
        self.engine.run(&["start", &self.name]).map(drop)
    }

    /// Takes its power away: no process is asked to stop.
    pub fn kill(&self) -> Result<(), EngineError> {
        self.engine.run(&["kill", &self.name]).map(drop)
    }

    /// Runs a shell script in it at the machine's time, for what has nothing to do with time.
    pub fn shell(&self, script: &str) -> Result<CommandOutput, EngineError> {
        let args = ["exec", self.name.as_str(), "sh", "-c", script];
        let output = self.engine.output(&args, None)?;
        Ok(told(&output))
    }

    /// As [`Container::shell`]; an exit code other than 0 is an error.
    pub fn must(&self, script: &str) -> Result<String, EngineError> {
        let output = self.shell(script)?;
        if output.exit_code == 0 {
            return Ok(output.stdout);
        }
        Err(EngineError {
            message: format!(
                "{script:?} failed in {} with {}: {}",
                self.name,
                output.exit_code,
                output.stderr.trim()
            ),
            help: "look into the node: certdrill run --keep leaves it running".to_owned(),
        })
    }

    /// Runs a program in it at the node's time, with a standard input if that is not empty.
    pub fn run(&self, words: &[String], input: &[u8]) -> Result<CommandOutput, EngineError> {
        let mut args = self.at_its_time();
        let input = (!input.is_empty()).then_some(input);
        if input.is_some() {
            args.insert(1, "-i");
        }
        args.extend(words.iter().map(String::as_str));
        Ok(told(&self.engine.output(&args, input)?))
    }

    /// Copies what a directory of the machine holds into it.
    pub fn give(&self, directory: &Path, target: &str) -> Result<(), EngineError> {
        let from = format!("{}/.", directory.display());
        let to = format!("{}:{target}", self.name);
        self.engine.run(&["cp", &from, &to]).map(drop)
    }

    /// Has the agent do something in it, by the world's time.
    pub fn order(&self, order: &Order) -> Result<Report, EngineError> {
        match &self.fixed {
            Some(fixed) => fixed.order(order, |order| self.order_as_it_is(order)),
            None => self.order_as_it_is(order),
        }
    }

    /// Has the agent do something in it, by the node's own time.
    pub fn order_as_it_is(&self, order: &Order) -> Result<Report, EngineError> {
        let broken = |what: String| EngineError {
            message: format!("certdrill's agent in {} failed: {what}", self.name),
            help: "look into the node: certdrill run --keep leaves it running".to_owned(),
        };
        let input = serde_json::to_vec(order).map_err(|error| broken(error.to_string()))?;
        let mut args = self.at_its_time();
        args.insert(1, "-i");
        args.extend([CERTDRILL, "node-agent"]);
        let output = self.engine.output(&args, Some(&input))?;
        if !output.status.success() {
            return Err(broken(
                String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            ));
        }
        let report: Report = serde_json::from_slice(&output.stdout)
            .map_err(|error| broken(format!("its report cannot be read: {error}")))?;
        match &report.trouble {
            Some(trouble) => Err(broken(format!("a file cannot be changed: {trouble}"))),
            None => Ok(report),
        }
    }

    /// `exec NODE certdrill warp --clock ... --`
    fn at_its_time(&self) -> Vec<&str> {
        vec![
            "exec", &self.name, CERTDRILL, "warp", "--clock", CLOCK, "--follow", "--",
        ]
    }

    /// Moves every process of the node, and whatever starts from now on: wall clocks, and timers except those of `still`. Then
    /// gives them the time to do what came due, as far as that does not take longer than `settle`.
    pub fn move_clocks(
        &self,
        by: SignedDuration,
        timers: bool,
        still: &[&str],
        settle: Duration,
    ) -> Result<(), EngineError> {
        let span = format!("{}ms", by.as_millis());
        let mut args = vec![
            "exec", &self.name, CERTDRILL, "warp", "move", "--clock", CLOCK, "--by", &span,
        ];
        args.extend(["--also", SHIMS]);
        let settle = format!("{}ms", settle.as_millis());
        args.extend(["--settle", &settle]);
        let names = WALL_ONLY
            .iter()
            .chain(still)
            .copied()
            .collect::<Vec<_>>()
            .join(",");
        if timers {
            args.extend(["--timers", "--wall-only-for", &names]);
        }
        let output = self.engine.output(&args, None)?;
        if output.status.success() {
            return Ok(());
        }
        Err(EngineError {
            message: format!(
                "the clocks of {} cannot be moved: {}",
                self.name,
                String::from_utf8_lossy(&output.stderr).trim()
            ),
            help:
                "node containers must be privileged, and ptrace must be allowed: `certdrill doctor`"
                    .to_owned(),
        })
    }

    /// Where its kubeadm of a version lies.
    pub fn kubeadm(&self, version: Version, own: Version) -> String {
        if version == own {
            "kubeadm".to_owned()
        } else {
            format!("/kind/versions/{version}/kubeadm")
        }
    }
}

/// The files of an archive whose names begin in a directory.
fn unpack(archive: &[u8], parent: &str) -> std::io::Result<Vec<Taken>> {
    let mut found = Vec::new();
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let header = entry.header();
        if !header.entry_type().is_file() {
            continue;
        }
        let (mode, owner) = (header.mode()? & 0o7777, (header.uid()?, header.gid()?));
        let path = format!("{parent}/{}", entry.path()?.to_string_lossy());
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        found.push(Taken {
            path,
            mode,
            owner: (owner.0 as u32, owner.1 as u32),
            content,
        });
    }
    Ok(found)
}

fn told(output: &std::process::Output) -> CommandOutput {
    CommandOutput {
        exit_code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Text of a clock file.
pub(super) fn clock_file(ahead: SignedDuration) -> String {
    format!("wall {}ms\n", ahead.as_millis())
}

/// The certdrill that goes into a node: this very program.
pub(super) fn own_program() -> Result<Vec<u8>, EngineError> {
    // Not by its name: another version may have been installed since this one was started.
    std::fs::read("/proc/self/exe").map_err(|error| EngineError {
        message: format!("certdrill's own program /proc/self/exe cannot be read: {error}"),
        help: "look whether /proc is mounted".to_owned(),
    })
}
