//! kubeadm's commands for certificates, with the flags each has in a version.

use super::super::certlist::{Ca, LEAVES, config_files, managed};
use super::super::profile::{GroupStyle, LogFlags, Profile};
use super::cobra::{Arguments, Command, Flag, Kind};

const fn text(name: &'static str, usage: &'static str, default: &'static str) -> Flag {
    Flag {
        name,
        short: None,
        kind: Kind::Text,
        value: "string",
        usage,
        default,
    }
}

const fn switch(name: &'static str, usage: &'static str) -> Flag {
    Flag {
        name,
        short: None,
        kind: Kind::Bool,
        value: "",
        usage,
        default: "",
    }
}

const PKI: &str = "\"/etc/kubernetes/pki\"";
const CONFIG: Flag = text("config", "Path to a kubeadm configuration file.", "");
const CERT_DIR: Flag = text("cert-dir", "The path where to save the certificates", PKI);
const PHASE_CERT_DIR: Flag = text(
    "cert-dir",
    "The path where to save and store the certificates.",
    PKI,
);
const KUBECONFIG: Flag = text(
    "kubeconfig",
    "The kubeconfig file to use when talking to the cluster. If the flag is not set, a set of standard locations can be searched for an existing kubeconfig file.",
    "\"/etc/kubernetes/admin.conf\"",
);
const KUBECONFIG_DIR: Flag = text(
    "kubeconfig-dir",
    "The path where to save the kubeconfig file.",
    "\"/etc/kubernetes\"",
);
const CSR_ONLY: Flag = switch("csr-only", "Create CSRs instead of generating certificates");
const CSR_DIR: Flag = text(
    "csr-dir",
    "The path to output the CSRs and private keys to",
    "",
);
const USE_API: Flag = switch(
    "use-api",
    "Use the Kubernetes certificate API to renew certificates",
);
const VERSION: Flag = text(
    "kubernetes-version",
    "Choose a specific Kubernetes version for the control plane.",
    "\"stable-1\"",
);
const DRY_RUN: Flag = switch(
    "dry-run",
    "Don't apply any changes; just output what would be done.",
);
const ADVERTISE: Flag = text(
    "apiserver-advertise-address",
    "The IP address the API Server will advertise it's listening on. If not set the default network interface will be used.",
    "",
);
const ENDPOINT: Flag = text(
    "control-plane-endpoint",
    "Specify a stable IP address or DNS name for the control plane.",
    "",
);
const SERVICE_CIDR: Flag = text(
    "service-cidr",
    "Use alternative range of IP address for service VIPs.",
    "\"10.96.0.0/12\"",
);
const DNS_DOMAIN: Flag = text(
    "service-dns-domain",
    "Use alternative domain for services, e.g. \"myorg.internal\".",
    "\"cluster.local\"",
);
const NODE_NAME: Flag = text("node-name", "Specify the node name.", "");
const SANS: Flag = Flag {
    kind: Kind::List,
    value: "strings",
    ..text(
        "apiserver-cert-extra-sans",
        "Optional extra Subject Alternative Names (SANs) to use for the API Server serving certificate. Can be both IP addresses and DNS names.",
        "",
    )
};
const BIND_PORT: Flag = Flag {
    kind: Kind::Number,
    value: "int32",
    ..text(
        "apiserver-bind-port",
        "Port for the API Server to bind to.",
        "6443",
    )
};
const OUTPUT: Flag = Flag {
    short: Some('o'),
    ..text(
        "output",
        "Output format. One of: text|json|yaml|kyaml|go-template|go-template-file|template|templatefile|jsonpath|jsonpath-as-json|jsonpath-file.",
        "\"text\"",
    )
};

/// Flags that every command has.
pub(super) fn global_flags(profile: &Profile) -> Vec<Flag> {
    let few = profile.log_flags == LogFlags::Few;
    let level = Flag {
        name: "v",
        short: Some('v'),
        kind: Kind::Text,
        value: "Level",
        usage: "number for the log level verbosity",
        default: "",
    };
    let rootfs = text(
        "rootfs",
        if few {
            "The path to the 'real' host root filesystem. This will cause kubeadm to chroot into the provided path."
        } else {
            "[EXPERIMENTAL] The path to the 'real' host root filesystem."
        },
        "",
    );
    let mut out = vec![rootfs, level];
    if few {
        out.push(Flag {
            value: "moduleSpec",
            ..text(
                "vmodule",
                "comma-separated list of pattern=N settings for file-filtered logging",
                "",
            )
        });
        return out;
    }
    let one_output = profile.log_flags == LogFlags::OneOutput;
    let pick = |new: &'static str, old: &'static str| if one_output { new } else { old };
    if profile.log_flags != LogFlags::Plain {
        out.push(switch(
            "add-dir-header",
            pick(
                "If true, adds the file directory to the header of the log messages",
                "If true, adds the file directory to the header",
            ),
        ));
    }
    if one_output {
        out.push(switch("one-output", "If true, only write logs to their native severity level (vs also writing to each lower severity level; no effect when -logtostderr=true)"));
    }
    out.push(text(
        "log-file",
        pick(
            "If non-empty, use this log file (no effect when -logtostderr=true)",
            "If non-empty, use this log file",
        ),
        "",
    ));
    out.push(Flag {
        kind: Kind::Number,
        value: "uint",
        ..text(
            "log-file-max-size",
            pick(
                "Defines the maximum size a log file can grow to (no effect when -logtostderr=true). Unit is megabytes. If the value is 0, the maximum file size is unlimited.",
                "Defines the maximum size a log file can grow to. Unit is megabytes. If the value is 0, the maximum file size is unlimited.",
            ),
            "1800",
        )
    });
    out.push(switch(
        "skip-headers",
        "If true, avoid header prefixes in the log messages",
    ));
    out.push(switch(
        "skip-log-headers",
        pick(
            "If true, avoid headers when opening log files (no effect when -logtostderr=true)",
            "If true, avoid headers when opening log files",
        ),
    ));
    out
}

/// The root command.
pub(super) fn root(profile: &Profile) -> Command {
    let mut top = Vec::new();
    let mut alpha = Vec::new();
    if profile.alpha_group {
        alpha.push(certs(profile));
    }
    if profile.certs_group {
        top.push(certs(profile));
    }
    let user = kubeconfig(profile);
    if profile.kubeconfig_group {
        top.push(user);
    } else {
        alpha.push(user);
    }
    top.push(Command::group(
        "alpha",
        "Kubeadm experimental sub-commands",
        alpha,
    ));
    top.push(Command {
        runnable: true,
        ..Command::group(
            "init",
            "Run this command in order to set up the Kubernetes control plane",
            vec![phases(profile)],
        )
    });
    Command::group(
        "kubeadm",
        "kubeadm: easily bootstrap a secure Kubernetes cluster",
        top,
    )
}

/// What the help of a group says that has no work of its own.
fn macro_long(profile: &Profile) -> &'static str {
    if profile.group_style == GroupStyle::Required {
        ""
    } else {
        "This command is not meant to be run on its own. See list of available subcommands."
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
        check.push(switch("allow-missing-template-keys", "If true, ignore any errors in templates when a field or map key is missing in the template. Only applies to golang and jsonpath output formats."));
        check.push(switch(
            "show-managed-fields",
            "If true, keep the managedFields when printing objects in JSON or YAML format.",
        ));
        check.push(text("template", "Template string or path to template file to use when -o=go-template, -o=go-template-file. The template format is golang templates [http://golang.org/pkg/text/template/#pkg-overview].", ""));
    }
    let mut children = vec![
        Command::leaf(
            "certificate-key",
            "Generate certificate keys",
            Vec::new(),
            arguments,
        ),
        Command::leaf(
            "check-expiration",
            "Check certificates expiration for a Kubernetes cluster",
            check,
            arguments,
        ),
        renew(profile),
    ];
    if profile.generate_csr {
        children.push(Command::leaf(
            "generate-csr",
            "Generate keys and certificate signing requests",
            vec![CONFIG, CERT_DIR, KUBECONFIG_DIR],
            arguments,
        ));
    }
    let short = if profile.group_style == GroupStyle::Required {
        "Commands related to handling Kubernetes certificates"
    } else {
        "Commands related to handling kubernetes certificates"
    };
    Command {
        aliases: &["certificates"],
        runnable: profile.group_style != GroupStyle::Help,
        ..Command::group("certs", short, children)
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
    let mut children: Vec<Command> = managed(profile, false)
        .iter()
        .map(|managed| {
            let short = format!("Renew the {}", managed.long_name(profile));
            Command::leaf(managed.name(), &short, flags.clone(), arguments)
        })
        .collect();
    children.push(Command::leaf(
        "all",
        "Renew all available certificates",
        flags,
        arguments,
    ));
    Command {
        runnable: true,
        long: macro_long(profile),
        ..Command::group(
            "renew",
            "Renew certificates for a Kubernetes cluster",
            children,
        )
    }
}

fn kubeconfig(profile: &Profile) -> Command {
    let mut flags = vec![
        text(
            "client-name",
            "The name of user. It will be used as the CN if client certificates are created",
            "",
        ),
        Flag {
            kind: Kind::List,
            value: "strings",
            ..text(
                "org",
                "The organizations of the client certificate. It will be used as the O if client certificates are created",
                "",
            )
        },
        text(
            "token",
            "The token that should be used as the authentication mechanism for this kubeconfig, instead of client certificates",
            "",
        ),
    ];
    if profile.user_config_flag {
        flags.push(CONFIG);
    } else {
        flags.extend([CERT_DIR, ADVERTISE, BIND_PORT]);
    }
    if profile.kubeconfig_group {
        flags.push(Flag {
            kind: Kind::Duration,
            value: "duration",
            ..text("validity-period", "The validity period of the client certificate. It is an offset from the current time.", "8760h0m0s")
        });
    }
    Command::group(
        "kubeconfig",
        "Kubeconfig file utilities",
        vec![Command::leaf(
            "user",
            "Output a kubeconfig file for an additional user",
            flags,
            strictness(profile),
        )],
    )
}

fn phases(profile: &Profile) -> Command {
    let mut children = vec![certificate_phases(profile), kubeconfig_phases(profile)];
    if profile.kubelet_finalize {
        let flags = || {
            let mut flags = vec![CONFIG, PHASE_CERT_DIR];
            if profile.dry_run_phases {
                flags.push(DRY_RUN);
            }
            flags
        };
        children.push(Command::group(
            "kubelet-finalize",
            "Updates settings relevant to the kubelet after TLS bootstrap",
            vec![
                Command::leaf(
                    "all",
                    "Run all kubelet-finalize phases",
                    flags(),
                    Arguments::Refused,
                ),
                Command::leaf(
                    profile.finalize_name,
                    "Enable kubelet client certificate rotation",
                    flags(),
                    Arguments::Refused,
                ),
            ],
        ));
    }
    Command {
        runnable: profile.group_style != GroupStyle::Help,
        ..Command::group(
            "phase",
            if profile.group_style == GroupStyle::Required {
                "Use this command to invoke single phase of the \"init\" workflow"
            } else {
                "Use this command to invoke single phase of the init workflow"
            },
            children,
        )
    }
}

fn certificate_phases(profile: &Profile) -> Command {
    let flags = |name: &str| {
        let mut flags = vec![PHASE_CERT_DIR];
        if name == "sa" && !profile.sa_config_flag {
            return flags;
        }
        flags.extend([CONFIG, VERSION]);
        if profile.dry_run_phases {
            flags.push(DRY_RUN);
        }
        if name == "all" || name == "apiserver" {
            flags.extend([ADVERTISE, ENDPOINT, SANS, DNS_DOMAIN, SERVICE_CIDR]);
        }
        let is_leaf = LEAVES.iter().any(|leaf| leaf.name == name);
        if profile.init_csr && is_leaf {
            flags.extend([CSR_ONLY, CSR_DIR]);
        }
        flags
    };
    let phase =
        |name: &str, short: String| Command::leaf(name, &short, flags(name), Arguments::Refused);
    let mut children = vec![
        phase("all", "Generate all certificates".to_owned()),
        phase(
            "sa",
            "Generate a private key for signing service account tokens along with its public key"
                .to_owned(),
        ),
    ];
    for leaf in &LEAVES {
        let long = super::super::certlist::Managed::Leaf(*leaf).long_name(profile);
        children.push(phase(leaf.name, format!("Generate the {long}")));
    }
    for ca in Ca::ALL {
        let what = match ca {
            Ca::Kubernetes => {
                "self-signed Kubernetes CA to provision identities for other Kubernetes components"
            }
            Ca::Etcd => "self-signed CA to provision identities for etcd",
            Ca::FrontProxy => "self-signed CA to provision identities for front proxy",
        };
        children.push(phase(ca.name(), format!("Generate the {what}")));
    }
    Command {
        runnable: true,
        long: macro_long(profile),
        ..Command::group("certs", "Certificate generation", children)
    }
}

fn kubeconfig_phases(profile: &Profile) -> Command {
    let flags = |name: &str| {
        let mut flags = vec![
            ADVERTISE,
            BIND_PORT,
            PHASE_CERT_DIR,
            CONFIG,
            KUBECONFIG_DIR,
            VERSION,
            ENDPOINT,
        ];
        if profile.dry_run_phases {
            flags.push(DRY_RUN);
        }
        if name == "all" || name == "kubelet" {
            flags.push(NODE_NAME);
        }
        flags
    };
    let mut children = vec![Command::leaf(
        "all",
        "Generate all kubeconfig files",
        flags("all"),
        Arguments::Refused,
    )];
    for file in config_files(profile) {
        children.push(Command::leaf(
            file.phase,
            match file.phase {
                "admin" => "Generate a kubeconfig file for the admin to use and for kubeadm itself",
                "super-admin" => "Generate a kubeconfig file for the super-admin",
                "kubelet" => {
                    "Generate a kubeconfig file for the kubelet to use *only* for cluster bootstrapping purposes"
                }
                "controller-manager" => {
                    "Generate a kubeconfig file for the controller manager to use"
                }
                _ => "Generate a kubeconfig file for the scheduler to use",
            },
            flags(file.phase),
            Arguments::Refused,
        ));
    }
    Command {
        runnable: true,
        long: macro_long(profile),
        ..Command::group(
            "kubeconfig",
            "Generate all kubeconfig files necessary to establish the control plane and the admin kubeconfig file",
            children,
        )
    }
}
