//! `certdrill doctor`: what works on this machine, what is missing, and how to get it.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use super::init::LIBRARY;
use super::stage::{self, BackendArg};
use super::{Exit, Output};
use crate::kubeadm::Version;
use crate::real::engines::Engines;
use crate::real::kind::Containers;
use crate::real::{site, warp};
use crate::scenario::{self, Backend};

/// Arguments of `certdrill doctor`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Exit with 104 unless this backend works here. Can be repeated.
    #[arg(long, value_enum, env = "CERTDRILL_BACKEND", value_delimiter = ',')]
    backend: Vec<BackendArg>,
}

/// How something is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Works,
    Partly,
    Missing,
}

struct Finding {
    name: &'static str,
    health: Health,
    text: String,
    help: Option<String>,
}

/// Looks.
pub(super) fn run(args: &Args, output: &mut Output) -> Exit {
    let sim = Finding {
        name: "sim",
        health: Health::Works,
        text: "needs nothing".to_owned(),
        help: None,
    };
    let warp = warp();
    let kubeadm = kubeadm(&warp);
    let kind = kind();
    output.text(&format!(
        "certdrill {}\n\nbackends\n",
        env!("CERTDRILL_LONG_VERSION")
    ));
    for finding in [&sim, &kubeadm, &kind] {
        output.text(&told(finding));
    }
    output.text("\ntools\n");
    for finding in tools(warp) {
        output.text(&told(&finding));
    }
    let wanted =
        |backend: BackendArg| args.backend.contains(&backend) || stage::required(backend.backend());
    let lacking = (wanted(BackendArg::Kubeadm) && kubeadm.health != Health::Works)
        || (wanted(BackendArg::Kind) && kind.health != Health::Works);
    if lacking {
        Exit::Infrastructure
    } else {
        Exit::Success
    }
}

fn told(finding: &Finding) -> String {
    let mark = match finding.health {
        Health::Works => '✓',
        Health::Partly => '~',
        Health::Missing => '✗',
    };
    let mut text = format!("  {mark} {:<10} {}\n", finding.name, finding.text);
    if let Some(help) = &finding.help {
        text.push_str(&format!("    {:<10} {help}\n", "help:"));
    }
    text
}

/// Whether real kubeadm binaries can be run here, and which there are.
fn kubeadm(warp: &Finding) -> Finding {
    let finding = |health, text: String, help: Option<String>| Finding {
        name: "kubeadm",
        health,
        text,
        help,
    };
    if let Err(error) = site::become_root() {
        return finding(
            Health::Missing,
            format!("needs root or a user namespace, and this machine gives none: {error}"),
            Some(
                "run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1)"
                    .to_owned(),
            ),
        );
    }
    if warp.health == Health::Missing {
        return finding(
            Health::Missing,
            "no process can be started at another time here: see warp".to_owned(),
            None,
        );
    }
    let engines = Engines::of_this_machine();
    let found: Vec<String> = engines
        .list()
        .iter()
        .map(|engine| engine.version.to_string())
        .collect();
    let missing: Vec<String> = wanted_versions()
        .into_iter()
        .filter(|version| engines.find(*version).is_err())
        .map(|version| version.to_string())
        .collect();
    let there = format!("binaries: {}", found.join(", "));
    let Some(first) = missing.first() else {
        return finding(Health::Works, there, None);
    };
    let help = format!(
        "certdrill engines install {first}   (builds it with Go; --from FILE keeps one you have)"
    );
    if found.is_empty() {
        let text = format!(
            "no binary in {} and none on PATH",
            engines.cache().display()
        );
        return finding(Health::Missing, text, Some(help));
    }
    finding(
        Health::Partly,
        format!("{there}; the library also wants {}", missing.join(", ")),
        Some(help),
    )
}

/// Whether real clusters can be made here: an engine that answers, and images of nodes.
fn kind() -> Finding {
    let finding = |health, text: String, help: Option<String>| Finding {
        name: "kind",
        health,
        text,
        help,
    };
    let engine = match Containers::find() {
        Ok(engine) => engine,
        Err(error) => return finding(Health::Missing, error.message, Some(error.help)),
    };
    let program = engine.program();
    match engine.run(&["image", "ls", "--format", "{{.Tag}}", "kindest/node"]) {
        Err(error) => finding(Health::Missing, error.message, Some(error.help)),
        Ok(tags) if tags.is_empty() => finding(
            Health::Missing,
            format!("{program} answers; it has no image kindest/node"),
            Some(format!(
                "{program} pull kindest/node:VERSION of your scenario; without a registry: ci/cluster/images.sh"
            )),
        ),
        Ok(tags) => {
            let versions: Vec<&str> = tags.lines().collect();
            let text = format!("{program}, with kindest/node of {}", versions.join(", "));
            finding(Health::Works, text, None)
        }
    }
}

/// Versions that scenarios of the library play with a real kubeadm.
fn wanted_versions() -> BTreeSet<Version> {
    LIBRARY
        .iter()
        .filter_map(|(name, text)| scenario::load(name, text).ok())
        .flatten()
        .filter(|scenario| scenario.backends.contains(&Backend::Kubeadm))
        .flat_map(|scenario| stage::versions(&scenario))
        .collect()
}

/// Whether a process can be started at another time here: tried, since whether a process may trace its child depends on more
/// than can be read somewhere (seccomp, Yama, other tracers).
fn warp() -> Finding {
    let tried = std::env::current_exe()
        .map_err(|error| (error.to_string(), None))
        .and_then(|certdrill| {
            let mut command = Command::new(certdrill);
            command
                .arg("--version")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let offsets = warp::Offsets::still_at(warp::machine_time());
            let started = warp::spawn(&mut command, offsets)
                .map_err(|error| (error.to_string(), Some(error.help().to_owned())));
            started.and_then(|mut child| child.wait().map_err(|error| (error.to_string(), None)))
        });
    let (health, text, help) = match tried {
        Ok(status) if status.success() => (
            Health::Works,
            "a process was started at another time; `certdrill warp --check` tries a program of yours".to_owned(),
            None,
        ),
        Ok(status) => (
            Health::Missing,
            format!("a process that was started at another time ended with {status}"),
            None,
        ),
        Err((text, help)) => (Health::Missing, text, help),
    };
    Finding {
        name: "warp",
        health,
        text,
        help,
    }
}

fn tools(warp: Finding) -> Vec<Finding> {
    let tool = |name: &'static str, arg: &str, what: &str| {
        let said = Command::new(name)
            .arg(arg)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()
            .filter(|output| output.status.success())
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        match said {
            Some(text) => Finding {
                name,
                health: Health::Works,
                text: text.lines().next().unwrap_or_default().to_owned(),
                help: None,
            },
            None => Finding {
                name,
                health: Health::Missing,
                text: format!("not here: {what}"),
                help: None,
            },
        }
    };
    vec![
        warp,
        tool("go", "version", "builds kubeadm for `engines install`"),
        tool("openssl", "version", "scripts of `exec:` steps may use it"),
    ]
}
