//! kubeadm's command line: from arguments to an exit status.

mod cobra;
mod help;
mod tree;

use super::certlist::{Ca, LEAVES, config_files, managed};
use super::config::{InitConfiguration, KUBERNETES_DIR, Overrides, parse_duration};
use super::create::CsrOptions;
use super::failure::{Context as _, Failure, FailureKind, Result};
use super::output::Format;
use super::process::Process;
use super::profile::{GroupStyle, Profile};
use super::{CommandOutput, Machine, Version};
use crate::time::shift;
use cobra::{Arguments, Command, Invocation};

/// Runs kubeadm: `args` is what follows the program's name.
pub fn run(version: Version, args: &[String], machine: &mut Machine<'_>) -> CommandOutput {
    let mut process = Process::new(version, machine);
    let root = tree::root(&process.profile);
    let global = tree::global_flags(&process.profile);
    let result = cobra::parse(&root, &global, args)
        .and_then(|invocation| execute(&mut process, &invocation, &root));
    let exit_code = match result {
        Ok(code) => code,
        Err(failure) => end(&mut process, &failure),
    };
    CommandOutput {
        exit_code,
        stdout: process.stdout,
        stderr: process.stderr,
    }
}

/// An error that ends a command, as kubeadm of a version prints it on standard error (`K/util/error.go`, `K/util/errors/errors.go`).
#[must_use]
pub fn error_as_printed(text: &str, version: Version) -> String {
    let profile = Profile::of(version);
    printed(text, profile.error_prefix, &profile)
}

/// Prints a failure as the version does; returns the exit status.
pub(super) fn end(process: &mut Process<'_, '_>, failure: &Failure) -> i32 {
    let profile = process.profile.clone();
    let err = &mut process.stderr;
    match &failure.kind {
        FailureKind::Panic => {
            err.push_str(&format!(
                "panic: {}\n[signal SIGSEGV: segmentation violation]\n",
                failure.text
            ));
            return 2;
        }
        FailureKind::Usage(path) if profile.usage_after_error => {
            err.push_str(&format!("Error: {}\n", failure.text));
            if path.len() > 1 {
                err.push_str(&help::usage(&path.join(" "), profile.version).unwrap_or_default());
                err.push('\n');
            } else {
                err.push_str("Run 'kubeadm --help' for usage.\n");
            }
            err.push_str(&printed(&failure.text, !profile.stack_trace_hint, &profile));
        }
        _ => err.push_str(&printed(&failure.text, profile.error_prefix, &profile)),
    }
    match failure.kind {
        FailureKind::Validation if !profile.error_prefix => 3,
        _ => 1,
    }
}

fn printed(text: &str, prefix: bool, profile: &Profile) -> String {
    let prefix = if prefix { "error: " } else { "" };
    let hint = if profile.stack_trace_hint {
        "To see the stack trace of this error execute with --v=5 or higher\n"
    } else {
        ""
    };
    format!("{prefix}{text}\n{hint}")
}

fn execute(
    process: &mut Process<'_, '_>,
    invocation: &Invocation<'_>,
    root: &Command,
) -> Result<i32> {
    let command = invocation.command();
    let full = invocation.full_name();
    let version = process.profile.version;
    let help = help::help(&full, version);
    // Where the root can be changed, whoever has the directory did so and took the flag away.
    if let Some(rootfs) = invocation
        .text("rootfs")
        .filter(|rootfs| !rootfs.is_empty())
        && !invocation.is_set("help")
    {
        let why = match process.tree().metadata(rootfs) {
            Err(error) => error.errno.to_string(),
            Ok(_) => "certdrill runs on one root here".to_owned(),
        };
        let text = format!("unable to chroot to {rootfs}: {why}");
        return Err(cobra::complaint(invocation, text));
    }
    if let (true, Some(help)) = (invocation.is_set("help"), &help) {
        process.stdout.push_str(help);
        return Ok(0);
    }
    if command.foreign {
        return Err(Failure::new(format!(
            "{full:?} is not run by certdrill, which runs kubeadm's commands for certificates and kubeconfigs"
        )));
    }
    if !command.children.is_empty() || command.name == "alpha" {
        return group(process, invocation, &help.unwrap_or_default());
    }
    if command.arguments == Arguments::Refused
        && let Some(first) = invocation.arguments.first()
    {
        let text = format!("unknown command {first:?} for {full:?}");
        return Err(cobra::complaint(invocation, text));
    }
    match invocation.names().as_slice() {
        ["certs", name] | ["alpha", "certs", name] => certs(process, invocation, name)?,
        ["certs", "renew", name] | ["alpha", "certs", "renew", name] => {
            renew(process, invocation, name)?;
        }
        ["init", "phase", group, name] => phase(process, invocation, group, name)?,
        ["kubeconfig", "user"] | ["alpha", "kubeconfig", "user"] => user(process, invocation)?,
        _ => topic(process, invocation, root),
    }
    Ok(0)
}

/// `kubeadm help`: the help of the command that its arguments name.
fn topic(process: &mut Process<'_, '_>, invocation: &Invocation<'_>, root: &Command) {
    let version = process.profile.version;
    let mut path = root.name.clone();
    let mut here = root;
    for word in &invocation.arguments {
        let Some(child) = here.child(word) else { break };
        here = child;
        path = format!("{path} {}", child.name);
    }
    if here.name == root.name && !invocation.arguments.is_empty() {
        let topics: Vec<String> = invocation
            .arguments
            .iter()
            .map(|word| format!("`{word}`"))
            .collect();
        // cobra adds this flag when a command runs, which here none does.
        let usage: String = help::usage(&path, version)
            .unwrap_or_default()
            .split_inclusive('\n')
            .filter(|line| !line.starts_with("  -h, --help "))
            .collect();
        process.stderr.push_str(&format!(
            "Unknown help topic [{}]\n{usage}",
            topics.join(" ")
        ));
        return;
    }
    process
        .stdout
        .push_str(&help::help(&path, version).unwrap_or_default());
}

/// A command that has sub-commands was called itself.
fn group(process: &mut Process<'_, '_>, invocation: &Invocation<'_>, help: &str) -> Result<i32> {
    let command = invocation.command();
    let full = invocation.full_name();
    let first = invocation.arguments.first();
    if !command.runnable {
        process.stdout.push_str(help);
        return Ok(0);
    }
    let usage_error = |text: String| cobra::complaint(invocation, text);
    let is_phase = invocation.names().first() == Some(&"init");
    if is_phase && process.profile.group_style != GroupStyle::Required {
        // A phase with sub-phases takes no arguments, and shows its help instead of running.
        if let Some(first) = first {
            return Err(usage_error(format!(
                "unknown command {first:?} for {full:?}"
            )));
        }
        process.stdout.push_str(help);
        return Ok(0);
    }
    match (process.profile.group_style, first) {
        (GroupStyle::Required, Some(first)) => Err(Failure::new(format!(
            "unknown command {first:?} for {full:?}"
        ))),
        (GroupStyle::Required, None) => {
            process.stdout.push_str(help);
            process.stderr.push_str("error: \n");
            Err(Failure::new("subcommand is required"))
        }
        (GroupStyle::Exits, Some(first)) => {
            process.stderr.push_str(&format!(
                "invalid subcommand {first:?}\nSee '{full} -h' for help and examples\n"
            ));
            Ok(1)
        }
        (GroupStyle::Exits, None) => {
            process.stdout.push_str(help);
            Ok(1)
        }
        (GroupStyle::Help, first) => {
            let text = match first {
                Some(first) => format!("invalid subcommand: {first:?}"),
                None => format!(
                    "missing subcommand; {:?} is not meant to be run on its own",
                    command.name
                ),
            };
            Err(usage_error(text))
        }
    }
}

/// `--cert-dir`, with its default.
fn cert_dir(invocation: &Invocation<'_>) -> Overrides {
    Overrides {
        cert_dir: invocation.text("cert-dir").map(str::to_owned),
        ..Overrides::default()
    }
}

fn certs(process: &mut Process<'_, '_>, invocation: &Invocation<'_>, name: &str) -> Result<()> {
    match name {
        "check-expiration" => {
            let format = match invocation.text("output") {
                Some(text) => {
                    let allowed = invocation.text("allow-missing-template-keys") != Some("false");
                    process.output_format(text, allowed)?
                }
                None => Format::Text,
            };
            let quiet = format != Format::Text;
            let config = effective_configuration(process, invocation, "check-expiration", quiet)?;
            process.check_expiration(&config.cluster, &format)
        }
        "generate-csr" => {
            let mut config =
                process.load_configuration(invocation.text("config"), &Overrides::default())?;
            if let Some(dir) = invocation.text("cert-dir").filter(|dir| !dir.is_empty()) {
                config.cluster.certificates_dir = dir.to_owned();
            }
            let dir = invocation.text("kubeconfig-dir").unwrap_or(KUBERNETES_DIR);
            process.generate_requests(&config, dir)
        }
        "certificate-key" => {
            let stream = process.stream("certificate-key");
            let words: Vec<String> = (0..5)
                .map(|_| format!("{:016x}", process.new_serial(&stream) << 1))
                .collect();
            let digits: String = words.concat().chars().take(64).collect();
            process.print(digits);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The cluster's configuration where it can be read, else that of `--config`, else the default.
fn effective_configuration(
    process: &mut Process<'_, '_>,
    invocation: &Invocation<'_>,
    prefix: &str,
    quiet: bool,
) -> Result<InitConfiguration> {
    let path = invocation.text("config").filter(|path| !path.is_empty());
    if path.is_none() && process.profile.missing_is_reported {
        let kubeconfig = invocation
            .text("kubeconfig")
            .unwrap_or("/etc/kubernetes/admin.conf")
            .to_owned();
        let cert_dir = invocation.text("cert-dir");
        if let Some(config) = process.cluster_configuration(&kubeconfig, prefix, cert_dir, quiet) {
            return Ok(config);
        }
    }
    let mut overrides = cert_dir(invocation);
    // Only so that nothing is looked up in the network.
    overrides.kubernetes_version = Some(process.profile.version.to_string());
    process.load_configuration(path, &overrides)
}

fn renew(process: &mut Process<'_, '_>, invocation: &Invocation<'_>, name: &str) -> Result<()> {
    let config = effective_configuration(process, invocation, "renew", false)?;
    let cluster = &config.cluster;
    // Versions before 1.17 go through the sub-commands, which know nothing of an external etcd.
    let external = cluster.external_etcd() && process.profile.missing_is_reported;
    let wanted: Vec<_> = managed(&process.profile, external && name == "all")
        .into_iter()
        .filter(|managed| name == "all" || managed.name() == name)
        .collect();
    let csr_only = invocation.is_set("csr-only");
    if !csr_only {
        process
            .machine
            .keys
            .prefetch(cluster.algorithm, wanted.len());
    }
    for managed in &wanted {
        if !csr_only {
            process.renew_and_report(managed, cluster)?;
            continue;
        }
        if process.profile.missing_is_reported && !process.managed_exists(managed, cluster)? {
            process.print(format!("MISSING! {}", managed.long_name(&process.profile)));
            continue;
        }
        let dir = invocation
            .text("csr-dir")
            .filter(|dir| !dir.is_empty())
            .ok_or_else(|| {
                Failure::new("please provide a path where CSR request should be stored")
            })?;
        process.create_renew_request(managed.name(), dir, cluster)?;
    }
    if name == "all" && process.profile.done_message {
        process.print("\nDone renewing certificates. You must restart the kube-apiserver, kube-controller-manager, kube-scheduler and etcd, so that they can use the new certificates.");
    }
    Ok(())
}

fn phase(
    process: &mut Process<'_, '_>,
    invocation: &Invocation<'_>,
    group: &str,
    name: &str,
) -> Result<()> {
    invocation.check_mixed_arguments()?;
    let overrides = Overrides {
        node_name: invocation.text("node-name").map(str::to_owned),
        advertise_address: invocation
            .text("apiserver-advertise-address")
            .map(str::to_owned),
        bind_port: invocation
            .text("apiserver-bind-port")
            .and_then(|port| port.parse().ok()),
        control_plane_endpoint: invocation.text("control-plane-endpoint").map(str::to_owned),
        api_server_sans: invocation.list("apiserver-cert-extra-sans"),
        dns_domain: invocation.text("service-dns-domain").map(str::to_owned),
        service_subnet: invocation.text("service-cidr").map(str::to_owned),
        kubernetes_version: invocation.text("kubernetes-version").map(str::to_owned),
        ..cert_dir(invocation)
    };
    let mut config = process.load_configuration(invocation.text("config"), &overrides)?;
    if let Some(name) = overrides.node_name.filter(|name| !name.is_empty()) {
        config.node_name = name;
    }
    let kubeconfig_dir = invocation
        .text("kubeconfig-dir")
        .unwrap_or(KUBERNETES_DIR)
        .to_owned();
    let external_ca = check_external_cas(process, &config, &kubeconfig_dir)?;
    match group {
        "certs" => certificate_phase(process, invocation, name, &config, external_ca),
        "kubeconfig" => {
            if name == "all" {
                process.print(format!(
                    "[kubeconfig] Using kubeconfig folder {kubeconfig_dir:?}"
                ));
            }
            let files: Vec<_> = config_files(&process.profile)
                .filter(|file| name == "all" || file.phase == name)
                .collect();
            if !external_ca {
                let algorithm = process.config_algorithm(&config);
                process.machine.keys.prefetch(algorithm, files.len());
            }
            for file in files {
                process
                    .create_kubeconfig(&file, &kubeconfig_dir, &config, external_ca)
                    .context(format!("error execution phase kubeconfig/{}", file.phase))?;
            }
            Ok(())
        }
        _ => {
            let phase = process.profile.finalize_name;
            process
                .finalize_kubelet(&config)
                .context(format!("error execution phase kubelet-finalize/{phase}"))
        }
    }
}

/// What every init phase looks at first: CAs whose keys are kept elsewhere.
fn check_external_cas(
    process: &mut Process<'_, '_>,
    config: &InitConfiguration,
    kubeconfig_dir: &str,
) -> Result<bool> {
    let dir = &config.cluster.certificates_dir;
    let external = process
        .external_or_error(dir, Ca::Kubernetes)
        .context("invalid or incomplete external CA")?;
    if external {
        process.check_provided_kubeconfigs(kubeconfig_dir, config)?;
    }
    process
        .external_or_error(dir, Ca::FrontProxy)
        .context("invalid or incomplete external front-proxy CA")?;
    Ok(external)
}

fn certificate_phase(
    process: &mut Process<'_, '_>,
    invocation: &Invocation<'_>,
    name: &str,
    config: &InitConfiguration,
    external_ca: bool,
) -> Result<()> {
    let csr = CsrOptions {
        only: invocation.is_set("csr-only"),
        dir: invocation.text("csr-dir").map(str::to_owned),
    };
    if name == "all" {
        return process.create_all_certificates(config, external_ca, &csr);
    }
    let result = if name == "sa" {
        process.create_service_account(config, external_ca)
    } else if let Some(ca) = Ca::ALL.into_iter().find(|ca| ca.name() == name) {
        process.create_ca(ca, config)
    } else if let Some(leaf) = LEAVES.iter().find(|leaf| leaf.name == name) {
        process.create_leaf(leaf, config, &csr)
    } else {
        Ok(())
    };
    result.context(format!("error execution phase certs/{name}"))
}

fn user(process: &mut Process<'_, '_>, invocation: &Invocation<'_>) -> Result<()> {
    let client = invocation
        .text("client-name")
        .unwrap_or_default()
        .to_owned();
    if client.is_empty() {
        return Err(Failure::new("required flag(s) \"client-name\" not set"));
    }
    let overrides = Overrides {
        advertise_address: invocation
            .text("apiserver-advertise-address")
            .map(str::to_owned),
        bind_port: invocation
            .text("apiserver-bind-port")
            .and_then(|port| port.parse().ok()),
        ..cert_dir(invocation)
    };
    let config = process.load_configuration(invocation.text("config"), &overrides)?;
    let not_after = match invocation.text("validity-period") {
        Some(text) => Some(shift(process.now(), parse_duration(text)?)),
        None => None,
    };
    let organizations = invocation.list("org").unwrap_or_default();
    let token = invocation.text("token").filter(|token| !token.is_empty());
    process.print_user_kubeconfig(&config, &client, &organizations, token, not_after)
}
