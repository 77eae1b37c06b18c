//! kubeadm's commands for certificates, with the flags each has in a version.

use super::super::certlist::{Ca, LEAVES, config_files, managed};
use super::super::profile::{GroupStyle, LogFlags, Profile};
use super::cobra::{Arguments, Command, Flag, Kind};
use super::help;

const fn flag(name: &'static str, kind: Kind) -> Flag {
    Flag {
        name,
        short: None,
        kind,
    }
}

const fn text(name: &'static str) -> Flag {
    flag(name, Kind::Text)
}

const fn switch(name: &'static str) -> Flag {
    flag(name, Kind::Bool)
}

const CONFIG: Flag = text("config");
const CERT_DIR: Flag = text("cert-dir");
const KUBECONFIG: Flag = text("kubeconfig");
const KUBECONFIG_DIR: Flag = text("kubeconfig-dir");
const CSR_ONLY: Flag = switch("csr-only");
const CSR_DIR: Flag = text("csr-dir");
const USE_API: Flag = switch("use-api");
const VERSION: Flag = text("kubernetes-version");
const DRY_RUN: Flag = switch("dry-run");
const ADVERTISE: Flag = text("apiserver-advertise-address");
const ENDPOINT: Flag = text("control-plane-endpoint");
const SERVICE_CIDR: Flag = text("service-cidr");
const DNS_DOMAIN: Flag = text("service-dns-domain");
const NODE_NAME: Flag = text("node-name");
const SANS: Flag = flag("apiserver-cert-extra-sans", Kind::List);
const BIND_PORT: Flag = flag("apiserver-bind-port", Kind::Number);
const OUTPUT: Flag = Flag {
    short: Some('o'),
    ..text("output")
};

/// Flags that every command has.
pub(super) fn global_flags(profile: &Profile) -> Vec<Flag> {
    let level = Flag {
        short: Some('v'),
        ..text("v")
    };
    let mut out = vec![text("rootfs"), level];
    if profile.log_flags == LogFlags::Few {
        out.push(text("vmodule"));
        return out;
    }
    if profile.log_flags != LogFlags::Plain {
        out.push(switch("add-dir-header"));
    }
    if profile.log_flags == LogFlags::OneOutput {
        out.push(switch("one-output"));
    }
    out.push(text("log-file"));
    out.push(flag("log-file-max-size", Kind::Number));
    out.push(switch("skip-headers"));
    out.push(switch("skip-log-headers"));
    out
}

/// The root command.
pub(super) fn root(profile: &Profile) -> Command {
    let mut alpha = Command::group("alpha", Vec::new());
    let mut top = Vec::new();
    if profile.alpha_group {
        alpha.children.push(certs(profile));
    }
    if profile.certs_group {
        top.push(certs(profile));
    }
    let user = kubeconfig(profile);
    if profile.kubeconfig_group {
        top.push(user);
    } else {
        alpha.children.push(user);
    }
    with_others(&mut alpha, "kubeadm alpha", profile);
    top.push(alpha);
    // Without a phase, init makes a cluster.
    top.push(Command {
        foreign: true,
        runnable: true,
        ..Command::group("init", vec![phases(profile)])
    });
    let mut upgrade = Command::group("upgrade", Vec::new());
    upgrade.runnable = true;
    with_others(&mut upgrade, "kubeadm upgrade", profile);
    top.push(upgrade);
    top.push(Command::leaf("help", Vec::new(), Arguments::Ignored));
    let mut root = Command::group("kubeadm", top);
    with_others(&mut root, "kubeadm", profile);
    root
}

/// Adds the commands of a group that kubeadm has and this engine does not run.
fn with_others(group: &mut Command, path: &str, profile: &Profile) {
    for name in help::listed(path, profile.version) {
        if group.children.iter().all(|child| child.name != name) {
            group.children.push(Command::foreign(name));
        }
    }
}

fn strictness(profile: &Profile) -> Arguments {
    if profile.refuses_arguments {
        Arguments::Refused
    } else {
        Arguments::Ignored
    }
}

fn certs(profile: &Profile) -> Command {
    let arguments = strictness(profile);
    let mut check = vec![CONFIG, CERT_DIR];
    if profile.missing_is_reported {
        check.push(KUBECONFIG);
    }
    if profile.structured_output {
        check.push(OUTPUT);
        check.push(switch("allow-missing-template-keys"));
        check.push(switch("show-managed-fields"));
    }
    let mut children = vec![
        Command::leaf("certificate-key", Vec::new(), arguments),
        Command::leaf("check-expiration", check, arguments),
        renew(profile),
    ];
    if profile.generate_csr {
        let flags = vec![CONFIG, CERT_DIR, KUBECONFIG_DIR];
        children.push(Command::leaf("generate-csr", flags, arguments));
    }
    Command {
        aliases: &["certificates"],
        runnable: profile.group_style != GroupStyle::Help,
        ..Command::group("certs", children)
    }
}

fn renew(profile: &Profile) -> Command {
    let mut flags = vec![CONFIG, CERT_DIR, KUBECONFIG];
    if profile.renew_csr {
        flags.extend([CSR_ONLY, CSR_DIR]);
    }
    if profile.use_api {
        flags.push(USE_API);
    }
    let arguments = strictness(profile);
    let managed = managed(profile, false);
    let names = managed.iter().map(|managed| managed.name());
    let children = names
        .chain(["all"])
        .map(|name| Command::leaf(name, flags.clone(), arguments))
        .collect();
    Command {
        runnable: true,
        ..Command::group("renew", children)
    }
}

fn kubeconfig(profile: &Profile) -> Command {
    let mut flags = vec![text("client-name"), flag("org", Kind::List), text("token")];
    if profile.user_config_flag {
        flags.push(CONFIG);
    } else {
        flags.extend([CERT_DIR, ADVERTISE, BIND_PORT]);
    }
    if profile.kubeconfig_group {
        flags.push(flag("validity-period", Kind::Duration));
    }
    let user = Command::leaf("user", flags, strictness(profile));
    Command::group("kubeconfig", vec![user])
}

fn phases(profile: &Profile) -> Command {
    let mut children = vec![certificate_phases(profile), kubeconfig_phases(profile)];
    if profile.kubelet_finalize {
        let mut flags = vec![CONFIG, CERT_DIR];
        if profile.dry_run_phases {
            flags.push(DRY_RUN);
        }
        let names = ["all", profile.finalize_name];
        let phases = names.map(|name| Command::leaf(name, flags.clone(), Arguments::Refused));
        children.push(Command {
            runnable: true,
            ..Command::group("kubelet-finalize", phases.to_vec())
        });
    }
    let mut phase = Command {
        runnable: profile.group_style == GroupStyle::Required,
        ..Command::group("phase", children)
    };
    with_others(&mut phase, "kubeadm init phase", profile);
    phase
}

fn certificate_phases(profile: &Profile) -> Command {
    let flags = |name: &str| {
        let mut flags = vec![CERT_DIR];
        if name == "sa" && !profile.sa_config_flag {
            return flags;
        }
        flags.push(CONFIG);
        if profile.phase_version_flag {
            flags.push(VERSION);
        }
        if profile.dry_run_phases {
            flags.push(DRY_RUN);
        }
        if name == "all" || name == "apiserver" {
            flags.extend([ADVERTISE, SANS, DNS_DOMAIN, SERVICE_CIDR]);
            if profile.phase_version_flag {
                flags.push(ENDPOINT);
            }
        }
        let is_leaf = LEAVES.iter().any(|leaf| leaf.name == name);
        if profile.init_csr && is_leaf {
            flags.extend([CSR_ONLY, CSR_DIR]);
        }
        flags
    };
    let leaves = LEAVES.iter().map(|leaf| leaf.name);
    let children = ["all", "sa"]
        .into_iter()
        .chain(leaves)
        .chain(Ca::ALL.map(Ca::name))
        .map(|name| Command::leaf(name, flags(name), Arguments::Refused))
        .collect();
    Command {
        runnable: true,
        ..Command::group("certs", children)
    }
}

fn kubeconfig_phases(profile: &Profile) -> Command {
    let flags = |name: &str| {
        let mut flags = vec![ADVERTISE, BIND_PORT, CERT_DIR, CONFIG, KUBECONFIG_DIR];
        if profile.phase_version_flag {
            flags.extend([VERSION, ENDPOINT]);
        }
        if profile.dry_run_phases {
            flags.push(DRY_RUN);
        }
        if name == "all" || name == "kubelet" {
            flags.push(NODE_NAME);
        }
        flags
    };
    let phases = config_files(profile).map(|file| file.phase);
    let children = phases
        .chain(["all"])
        .map(|name| Command::leaf(name, flags(name), Arguments::Refused))
        .collect();
    Command {
        runnable: true,
        ..Command::group("kubeconfig", children)
    }
}
