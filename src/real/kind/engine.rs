//! The container engine, through its command line: `docker` or `podman`.
//!
//! kind drives engines the same way (`sigs.k8s.io/kind/pkg/cluster/internal/providers`), and so inherits what a
//! user has set up: DOCKER_HOST, contexts, rootless sockets, credentials.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::cluster::EngineError;

/// Nothing starts containers in the node any more, and what is starting one has done so.
const CALM: &str = "timeout 5 systemctl stop kubelet
for look in $(seq 30); do pgrep -x runc >/dev/null || break; sleep 0.1; done
";

/// What a runc left frozen that its caller had given up (a hop of the clocks is longer than any deadline) can be ended again.
const THAW: &str = r#"freezer=${FREEZER:-/sys/fs/cgroup/freezer}
[ ! -d "$freezer" ] || find "$freezer" -name freezer.state | while read -r state; do
  grep -q THAWED "$state" || echo THAWED >"$state"
done"#;

/// A container engine.
#[derive(Debug, Clone)]
pub struct Containers {
    program: String,
}

impl Default for Containers {
    fn default() -> Self {
        Self {
            program: "docker".to_owned(),
        }
    }
}

impl Containers {
    /// The engine that `CERTDRILL_CONTAINERS` names, else docker or podman, whichever answers.
    ///
    /// # Errors
    /// When none answers, or one works on another machine.
    pub fn find() -> Result<Self, EngineError> {
        let named = std::env::var("CERTDRILL_CONTAINERS").ok();
        let candidates = match &named {
            Some(name) => vec![name.as_str()],
            None => vec!["docker", "podman"],
        };
        let mut reasons = Vec::new();
        let mut elsewhere = None;
        for program in candidates {
            let engine = Self {
                program: program.to_owned(),
            };
            if let Err(error) = engine.must_be_here() {
                elsewhere = Some(error);
                continue;
            }
            match engine.run(&["version", "--format", "{{.Server.Version}}"]) {
                Ok(_) => return Ok(engine),
                Err(error) => reasons.push(error.message),
            }
        }
        if let Some(error) = elsewhere {
            return Err(error);
        }
        Err(EngineError {
            message: format!("no container engine answers: {}", reasons.join("; ")),
            help: "start Docker or Podman, or name one with CERTDRILL_CONTAINERS".to_owned(),
        })
    }

    /// Refuses an engine on another machine: privileged containers are not to be made where nobody expects them, and the time of
    /// the nodes is taken from this machine's.
    fn must_be_here(&self) -> Result<(), EngineError> {
        let asked = |args: &[&str]| self.run(args).ok();
        // What is no engine at all is told by its next command.
        let docker = asked(&[
            "context",
            "inspect",
            "--format",
            "{{.Endpoints.docker.Host}}",
        ]);
        let elsewhere = match docker {
            Some(host) => (!is_here(&host)).then_some(host),
            None => {
                let remote = ["info", "--format", "{{.Host.ServiceIsRemote}}"];
                let host = std::env::var("CONTAINER_HOST").unwrap_or_default();
                let named = if host.is_empty() {
                    "the service of its default connection"
                } else {
                    &host
                };
                (asked(&remote).as_deref() == Some("true") && (host.is_empty() || !is_here(&host)))
                    .then(|| named.to_owned())
            }
        };
        let Some(host) = elsewhere else {
            return Ok(());
        };
        Err(EngineError {
            message: format!(
                "{} works on another machine, {host}: certdrill makes privileged containers on its own machine only",
                self.program
            ),
            help: "unset DOCKER_HOST, choose a local context (`docker context use default`), or run certdrill over there"
                .to_owned(),
        })
    }

    /// Runs a command of the engine and gives its standard output.
    ///
    /// # Errors
    /// When it fails.
    pub fn run(&self, args: &[&str]) -> Result<String, EngineError> {
        let output = self.output(args, None)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        Err(self.failed(args, &output))
    }

    /// Runs a command of the engine with something on its standard input.
    ///
    /// # Errors
    /// When it cannot be started; not when it fails.
    pub fn output(&self, args: &[&str], input: Option<&[u8]>) -> Result<Output, EngineError> {
        let cannot = |error: std::io::Error| EngineError {
            message: format!("{} cannot be run: {error}", self.program),
            help: "install Docker or Podman, or name one with CERTDRILL_CONTAINERS".to_owned(),
        };
        let mut child = Command::new(&self.program)
            .args(args)
            .stdin(if input.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(cannot)?;
        let pipe = child.stdin.take();
        std::thread::scope(|scope| {
            if let (Some(mut pipe), Some(input)) = (pipe, input) {
                // A command that ends without reading everything says why by itself.
                scope.spawn(move || drop(pipe.write_all(input)));
            }
            child.wait_with_output().map_err(cannot)
        })
    }

    /// Removes a container with its volumes.
    ///
    /// A node is calmed first: a runc that is killed while it holds a container of the node frozen leaves processes
    /// that nobody can end (cgroup v1).
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), EngineError> {
        // Where it does not run, or is no node, there is nothing to calm.
        let _ = self.output(&["exec", name, "sh", "-c", &format!("{CALM}{THAW}")], None);
        self.run(&["rm", "--force", "--volumes", name]).map(drop)
    }

    /// The error for a command that failed.
    #[must_use]
    pub fn failed(&self, args: &[&str], output: &Output) -> EngineError {
        let said = String::from_utf8_lossy(&output.stderr);
        EngineError {
            message: format!(
                "{} {} failed: {}",
                self.program,
                args.iter().take(3).copied().collect::<Vec<_>>().join(" "),
                said.trim()
            ),
            help: "`certdrill doctor` tells what this machine lacks".to_owned(),
        }
    }

    /// Name of its program.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }
}

/// Whether the address of an engine's service is on this machine.
fn is_here(host: &str) -> bool {
    let Some((scheme, rest)) = host.split_once("://") else {
        return true;
    };
    let name = rest.split('/').next().unwrap_or_default();
    let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
    match scheme {
        "unix" | "npipe" | "fd" => true,
        _ => matches!(name, "localhost" | "127.0.0.1" | "[::1]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_elsewhere_is_told_from_one_here() {
        for here in [
            "",
            "unix:///var/run/docker.sock",
            "unix:///run/user/1000/podman/podman.sock",
            "tcp://127.0.0.1:2375",
            "tcp://localhost:2376/",
            "tcp://[::1]:2375",
        ] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in [
            "tcp://10.0.0.7:2376",
            "tcp://docker:2375",
            "ssh://root@build.example.com",
            "ssh://localhost.example.com:22/run/podman.sock",
        ] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn what_is_frozen_is_thawed_however_deep_and_nothing_else_is_touched() {
        let root = tempfile::tempdir().unwrap();
        let state = |name: &str| root.path().join(name).join("freezer.state");
        for (name, text) in [
            ("a", "FROZEN\n"),
            ("a/b c", "FREEZING\n"),
            ("d", "THAWED\n"),
        ] {
            std::fs::create_dir_all(root.path().join(name)).unwrap();
            std::fs::write(state(name), text).unwrap();
        }
        let before = std::fs::metadata(state("d")).unwrap().modified().unwrap();
        for freezer in [root.path(), &root.path().join("cgroup v2 has none")] {
            let done = Command::new("sh")
                .args(["-c", THAW])
                .env("FREEZER", freezer)
                .status();
            assert!(done.unwrap().success());
        }
        for name in ["a", "a/b c", "d"] {
            assert_eq!(std::fs::read_to_string(state(name)).unwrap(), "THAWED\n");
        }
        let after = std::fs::metadata(state("d")).unwrap().modified().unwrap();
        assert_eq!(before, after);
    }
}
