//! `certdrill capture`: the public parts of a cluster's PKI, into one file.

#![expect(
    clippy::disallowed_methods,
    reason = "archives are read here, and a capture says when it was taken"
)]

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Exit, Output, output};
use crate::forecast::capture::{Archive, Capture, Node, TreePlace, node};
use crate::kubeadm::Version;
use crate::real::dir::DirTree;
use crate::time::Timestamp;

const HELP: &str = "\
What a capture holds: certificates, kubeconfigs without keys, tokens and
passwords, symlinks, modes, flags of static Pods and settings that concern
certificates, and of each private key only which certificate it belongs to.
Keys never leave this process. The file can be shown to anybody who may know the
cluster's names and addresses.

Examples:
  this host:
    certdrill capture -o cluster.yaml
  two nodes of one cluster:
    certdrill capture --node cp1=/mnt/cp1 --node w1=w1.tar.gz -o cluster.yaml
  a node without certdrill:
    ssh root@cp1 tar -C / -cz etc/kubernetes var/lib/kubelet/pki |
      certdrill capture --node cp1=- -o cp1.yaml
  the node containers of a kind cluster:
    certdrill capture --kind my-cluster -o cluster.yaml";

/// Arguments of `certdrill capture`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// Directories that hold etc/kubernetes, tar archives (gzipped or not), or - for an archive on standard input;
    /// this host's / where nothing is given.
    #[arg(value_name = "PATH", env = "CERTDRILL_PATHS")]
    paths: Vec<PathBuf>,
    /// A node of the cluster and where its files are. The name counts where the files do not tell it.
    #[arg(long, value_name = "NAME=PATH", value_parser = named, env = "CERTDRILL_NODE")]
    node: Vec<(String, PathBuf)>,
    /// The node containers of a kind cluster.
    #[arg(long, value_name = "CLUSTER", num_args = 0..=1, default_missing_value = "kind", env = "CERTDRILL_KIND")]
    kind: Option<String>,
    /// Program that reaches the containers of --kind.
    #[arg(
        long,
        value_name = "PROGRAM",
        default_value = "docker",
        env = "CERTDRILL_CONTAINER_ENGINE"
    )]
    container_engine: String,
    /// Kubernetes version, where manifests do not tell it.
    #[arg(long, value_name = "VERSION", env = "CERTDRILL_KUBERNETES_VERSION")]
    kubernetes_version: Option<Version>,
    /// When the files were as they are; now unless said otherwise.
    #[arg(long, value_name = "TIME", value_parser = super::warp::parse_time, env = "CERTDRILL_AT")]
    at: Option<Timestamp>,
    /// File to write; standard output unless said otherwise.
    #[arg(short, long, value_name = "FILE", env = "CERTDRILL_OUTPUT")]
    output: Option<PathBuf>,
}

fn named(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => {
            Ok((name.to_owned(), PathBuf::from(path)))
        }
        _ => Err("write it as cp1=/path/to/its/files".to_owned()),
    }
}

/// Captures what is asked for.
pub(super) fn run(args: &Args, output: &mut Output) -> Exit {
    let capture = match collect(args) {
        Ok(nodes) => Capture::new(nodes),
        Err(error) => {
            output::complain(&error);
            return Exit::Infrastructure;
        }
    };
    for node in &capture.nodes {
        for unread in &node.unread {
            output::complain(&format!("warning: {}: not captured: {unread}", node.name));
        }
    }
    if capture.nodes.iter().all(|node| node.version.is_none()) {
        output::complain(
            "warning: nothing tells the Kubernetes version; a forecast needs it. Capture a control plane with its \
             manifests, or say it here: --kubernetes-version v1.36.3",
        );
    }
    let text = match capture.to_yaml() {
        Ok(text) => text,
        Err(error) => {
            output::complain(&format!("error: {error}"));
            return Exit::Internal;
        }
    };
    let Some(path) = &args.output else {
        output.text(&text);
        return Exit::Success;
    };
    if let Err(error) = output::write_file(path, &text) {
        output::complain(&format!("error: cannot write {}: {error}", path.display()));
        return Exit::ReportNotWritten;
    }
    for node in &capture.nodes {
        output.text(&format!("{}\n", summary(node)));
    }
    output.text(&format!(
        "{} holds no private key. Next: certdrill forecast {}\n",
        path.display(),
        path.display()
    ));
    Exit::Success
}

fn summary(node: &Node) -> String {
    let certificates: usize = node
        .files
        .values()
        .map(|file| {
            file.certificates.len()
                + file.kubeconfig.as_ref().map_or(0, |config| {
                    config
                        .users
                        .values()
                        .map(|user| user.certificates.len())
                        .sum()
                })
        })
        .sum();
    let keys = node
        .files
        .values()
        .filter(|file| {
            file.key.is_some()
                || file
                    .kubeconfig
                    .as_ref()
                    .is_some_and(|config| config.users.values().any(|user| user.key.is_some()))
        })
        .count();
    format!(
        "{} ({}{}): {} files, {certificates} certificates, {keys} private keys looked at and left out",
        node.name,
        if node.control_plane {
            "control plane"
        } else {
            "worker"
        },
        node.version
            .as_ref()
            .map_or_else(String::new, |version| format!(", {version}")),
        node.files.len(),
    )
}

fn collect(args: &Args) -> Result<Vec<Node>, String> {
    let at = args.at.unwrap_or_else(Timestamp::now);
    let version = args.kubernetes_version.map(|version| version.to_string());
    let mut nodes = Vec::new();
    let mut add = |place: Source, label: &str| {
        nodes.push(match &place {
            Source::Tree(tree) => node(&TreePlace(tree), label, version.as_deref(), at),
            Source::Archive(archive) => node(archive, label, version.as_deref(), at),
        });
    };
    let unnamed = args.paths.iter().map(|path| (label_of(path), path));
    let named = args.node.iter().map(|(name, path)| (name.clone(), path));
    let mut stdin_taken = false;
    for (label, path) in named.chain(unnamed) {
        if path.as_os_str() == "-" && std::mem::replace(&mut stdin_taken, true) {
            return Err(
                "error: standard input can be one node only\n  help: write the archives into files"
                    .to_owned(),
            );
        }
        add(open(path)?, &label);
    }
    if let Some(cluster) = &args.kind {
        for name in containers(&args.container_engine, cluster)? {
            add(container(&args.container_engine, &name)?, &name);
        }
    } else if args.node.is_empty() && args.paths.is_empty() {
        let root = Path::new("/");
        if !root.join("etc/kubernetes").exists() {
            return Err(
                "error: this host has no /etc/kubernetes\n  help: run this on a node, or name a directory or a tar \
                 archive of its files; see certdrill capture --help"
                    .to_owned(),
            );
        }
        add(open(root)?, "this-host");
    }
    let mut names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!(
            "error: two of these are called {:?} by their own files: a copy of one node's disk cannot be another node",
            twice[0]
        ));
    }
    Ok(nodes)
}

enum Source {
    Tree(DirTree),
    Archive(Archive),
}

/// A node's name where nothing else tells it: the file's name without its endings.
fn label_of(path: &Path) -> String {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let name = name.split('.').next().unwrap_or_default();
    match name {
        "" | "-" => "node".to_owned(),
        name => name.to_owned(),
    }
}

fn open(path: &Path) -> Result<Source, String> {
    let shown = path.display();
    if path.as_os_str() == "-" {
        return archive(std::io::stdin().lock(), "standard input");
    }
    if path.is_dir() {
        let tree = DirTree::open(path).map_err(|error| format!("error: {shown}: {error}"))?;
        if path.join("etc/kubernetes").symlink_metadata().is_err()
            && path.join("var/lib/kubelet").symlink_metadata().is_err()
        {
            return Err(format!(
                "error: {shown} holds neither etc/kubernetes nor var/lib/kubelet\n  help: name the directory that plays \
                 the node's /, not /etc/kubernetes itself"
            ));
        }
        return Ok(Source::Tree(tree));
    }
    let file = File::open(path).map_err(|error| format!("error: {shown}: {error}"))?;
    archive(BufReader::new(file), &shown.to_string())
}

fn archive(input: impl Read, name: &str) -> Result<Source, String> {
    Archive::read(input).map(Source::Archive).map_err(|error| {
        format!(
            "error: {name}: {error}\n  help: make it with: tar -C / -czf node.tar.gz etc/kubernetes var/lib/kubelet/pki \
             var/lib/kubelet/config.yaml"
        )
    })
}

/// Names of the node containers of a kind cluster.
fn containers(engine: &str, cluster: &str) -> Result<Vec<String>, String> {
    let filter = format!("label=io.x-k8s.kind.cluster={cluster}");
    let listed = Command::new(engine)
        .args(["ps", "--filter", &filter, "--format", "{{.Names}}"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("error: cannot run {engine}: {error}\n  help: name another one with --container-engine"))?;
    if !listed.status.success() {
        let said = String::from_utf8_lossy(&listed.stderr);
        let reason = match said.trim() {
            "" => listed.status.to_string(),
            said => said.to_owned(),
        };
        return Err(format!(
            "error: {engine} ps: {reason}\n  help: certdrill doctor tells whether a container engine answers; name another one with \
             --container-engine"
        ));
    }
    let mut names: Vec<String> = String::from_utf8_lossy(&listed.stdout)
        .lines()
        .map(str::trim)
        // A load balancer is a container of the cluster and no node.
        .filter(|name| !name.is_empty() && !name.ends_with("-external-load-balancer"))
        .map(str::to_owned)
        .collect();
    names.sort();
    if names.is_empty() {
        return Err(format!(
            "error: there is no running kind cluster {cluster:?}\n  help: {engine} ps --filter label=io.x-k8s.kind.cluster"
        ));
    }
    Ok(names)
}

fn container(engine: &str, name: &str) -> Result<Source, String> {
    // A worker has no manifests and a control plane no /root/.kube: what is missing is no error.
    const SCRIPT: &str = "cd / && tar -cf - $(ls -d etc/kubernetes var/lib/kubelet/pki var/lib/kubelet/config.yaml \
                          kind/kubeadm.conf kind/version etc/hostname root/.kube/config 2>/dev/null)";
    let mut child = Command::new(engine)
        .args(["exec", name, "sh", "-c", SCRIPT])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("error: cannot run {engine}: {error}"))?;
    let read = match child.stdout.take() {
        Some(stdout) => archive(BufReader::new(stdout), name),
        None => Err(format!("error: {engine} exec {name} gives no output")),
    };
    // Where the archive was refused the rest of it is not waited for.
    if read.is_err() {
        let _ = child.kill();
    }
    let status = child
        .wait()
        .map_err(|error| format!("error: {engine} exec {name}: {error}"))?;
    if read.is_ok() && !status.success() {
        return Err(format!("error: {engine} exec {name} ended with {status}"));
    }
    read
}
