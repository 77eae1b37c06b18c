//! Steps and expectations in a few words, for the timeline and for failures.

use super::{
    Action, CertificateKey, CertificateSays, Change, Connection, EdgeExpectation, Edit,
    ImageSource, Issue, Matcher, MoveManifests, Objects, Passage, ProcessState, Upgrade,
};
use crate::time::span;

impl Action {
    /// The step in a few words: `walk 300d`, `renew all on cp1`.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Walk(Passage::For(length)) => format!("walk {}", span::display(*length)),
            Self::Walk(Passage::Until(instant)) => format!("walk until {instant}"),
            Self::Walk(Passage::SinceStart(length)) => {
                format!("walk to day {}", length.as_secs_f64() / 86_400.0)
            }
            Self::Jump(length) => format!("jump {}", span::display(*length)),
            Self::Dormant { nodes, span } => {
                format!("power {nodes} off for {}", span::display(*span))
            }
            Self::Skew { nodes, offset } => {
                format!("skew {nodes} by {}", span::display(*offset))
            }
            Self::StepBack(length) => format!("step back {}", span::display(*length)),
            Self::Init { exit_code } => format!("init{}", exits(*exit_code)),
            Self::Join {
                nodes,
                certificate_key,
                exit_code,
            } => format!(
                "join {nodes}{}{}",
                match certificate_key {
                    CertificateKey::Last => "",
                    CertificateKey::First => " with the first certificate key",
                    CertificateKey::Literal(_) => " with a certificate key of its own",
                    CertificateKey::None => " without certificate key",
                },
                exits(*exit_code)
            ),
            Self::Reset(nodes) => format!("reset {nodes}"),
            Self::Issue(issue) => issue.describe(),
            Self::Renew {
                nodes,
                name,
                exit_code,
            } => format!("renew {name} on {nodes}{}", exits(exit_code.unwrap_or(0))),
            Self::CheckExpiration { nodes } => format!("check expiration on {nodes}"),
            Self::Upgrade(upgrade) => upgrade.describe(),
            Self::Kubeadm {
                nodes,
                args,
                exit_code,
                stdout_to,
            } => {
                let to = stdout_to
                    .as_ref()
                    .map_or_else(String::new, |path| format!(" > {path}"));
                format!(
                    "kubeadm {}{to} on {nodes}{}",
                    args.join(" "),
                    exits(*exit_code)
                )
            }
            Self::Exec {
                nodes,
                run,
                exit_code,
            } => {
                let first = run.trim().lines().next().unwrap_or_default();
                let more = if run.trim().lines().count() > 1 {
                    " …"
                } else {
                    ""
                };
                format!("exec {first}{more} on {nodes}{}", exits(*exit_code))
            }
            Self::Apply {
                nodes,
                objects,
                exit_code,
            } => {
                let what = match objects {
                    Objects::File(file) => file.as_str(),
                    Objects::Manifest(_) => "a manifest",
                };
                format!("apply {what} on {nodes}{}", exits(*exit_code))
            }
            Self::Image { nodes, source } => match source {
                ImageSource::Engine(name) => format!("load image {name} into {nodes}"),
                ImageSource::Archive(file) => format!("load images of {file} into {nodes}"),
            },
            Self::Kubectl {
                nodes,
                line,
                exit_code,
                ..
            } => format!("kubectl {line} on {nodes}{}", exits(*exit_code)),
            Self::Decide {
                approve,
                of,
                signer,
            } => {
                let word = if *approve { "approve" } else { "deny" };
                let signer = signer
                    .as_ref()
                    .map_or_else(String::new, |signer| format!(" for {signer}"));
                let of = of
                    .as_ref()
                    .map_or_else(String::new, |nodes| format!(" of {nodes}"));
                format!("{word} pending requests{signer}{of}")
            }
            Self::RequestCertificate(request) => request.describe(),
            Self::ServingApprover(None) => "remove the approver of serving certificates".to_owned(),
            Self::ServingApprover(Some(policy)) => {
                format!(
                    "install a {} approver of serving certificates",
                    policy.word()
                )
            }
            Self::EditConfigMap { name, key, .. } => format!("edit {key} of ConfigMap {name}"),
            Self::Restart(target) => format!("restart {target}"),
            Self::Stop(target) => format!("stop {target}"),
            Self::Start(target) => format!("start {target}"),
            Self::Reboot(nodes) => format!("reboot {nodes}"),
            Self::MoveManifests(moved) => moved.describe(),
            Self::Edit(edit) => edit.describe(),
            Self::Remove { nodes, paths } => format!("remove {} on {nodes}", paths.join(", ")),
            Self::Copy {
                from_node,
                from,
                to_nodes,
                to,
            } => format!("copy {from_node}:{from} to {to_nodes}:{to}"),
            Self::Expect(expectation) => format!("expect {}", expectation.matcher.describe()),
            Self::ExpectFailure {
                expectation,
                because,
            } => {
                let because = because
                    .as_ref()
                    .map_or_else(String::new, |text| format!(", because {text:?}"));
                format!(
                    "expect it to fail that {}{because}",
                    expectation.matcher.describe()
                )
            }
            Self::Note(text) => text.clone(),
        }
    }
}

fn exits(code: i32) -> String {
    if code == 0 {
        String::new()
    } else {
        format!(", which exits {code}")
    }
}

impl super::ApproverPolicy {
    /// The word of the format.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Naive => "naive",
            Self::Strict => "strict",
            Self::Denying => "denying",
        }
    }
}

impl super::RequestCertificate {
    fn describe(&self) -> String {
        let addresses = self.ip_addresses.iter().map(ToString::to_string);
        let names: Vec<String> = self.dns_names.iter().cloned().chain(addresses).collect();
        let names = if names.is_empty() {
            String::new()
        } else {
            format!(" for {}", names.join(", "))
        };
        format!(
            "request a certificate of {} as {}{names} with {}:{}{}",
            self.signer,
            self.common_name,
            self.node,
            self.kubeconfig,
            exits(self.exit_code)
        )
    }
}

impl Upgrade {
    fn describe(&self) -> String {
        let mut text = format!("upgrade {} to {}", self.nodes, self.to);
        if let Some(path) = &self.config {
            text.push_str(&format!(" --config={path}"));
        }
        for (flag, value) in [
            ("certificate-renewal", self.certificate_renewal),
            ("etcd-upgrade", self.etcd_upgrade),
        ] {
            if let Some(value) = value {
                text.push_str(&format!(" --{flag}={value}"));
            }
        }
        text + &exits(self.exit_code)
    }
}

impl MoveManifests {
    fn describe(&self) -> String {
        let which = if self.components.is_empty() {
            "all manifests".to_owned()
        } else {
            let names: Vec<_> = self.components.iter().map(|part| part.name()).collect();
            format!("the manifest of {}", names.join(", "))
        };
        let nodes = &self.nodes;
        if self.back {
            format!("move {which} back on {nodes}")
        } else if self.leave_out {
            format!("move {which} away on {nodes}")
        } else if self.until_restarted {
            format!("move {which} away and back on {nodes}, until restarted")
        } else {
            format!(
                "move {which} away for {} and back on {nodes}",
                span::display(self.wait)
            )
        }
    }
}

impl Issue {
    fn describe(&self) -> String {
        let what = match (&self.request, &self.common_name) {
            (Some(request), _) => format!("sign {request}"),
            (None, name) => format!(
                "make {}{:?}",
                if self.ca {
                    "the CA "
                } else {
                    "a certificate for "
                },
                name.as_deref().unwrap_or_default()
            ),
        };
        let by = self
            .signer
            .as_ref()
            .map_or_else(String::new, |signer| format!(" with {signer}.key"));
        format!("{what}{by} as {}.crt on {}", self.path, self.nodes)
    }
}

impl Edit {
    fn describe(&self) -> String {
        let (path, nodes) = (&self.path, &self.nodes);
        match &self.change {
            Change::Content(_) => format!("write {path} on {nodes}"),
            Change::SetLines(lines) => {
                let keys: Vec<_> = lines.iter().map(|(key, _)| key.as_str()).collect();
                format!("set {} in {path} on {nodes}", keys.join(", "))
            }
            Change::Mode(mode) => format!("chmod {mode:04o} {path} on {nodes}"),
            Change::SetFlags(flags) => {
                let flags: Vec<_> = flags
                    .iter()
                    .map(|(name, value)| format!("--{name}={value}"))
                    .collect();
                format!("set {} in {path} on {nodes}", flags.join(" "))
            }
            Change::Concatenate(files) => {
                format!("write {path} on {nodes} from {}", files.join(", "))
            }
            Change::Embed(embed) => {
                let files: Vec<_> = [
                    &embed.certificate_authority,
                    &embed.client_certificate,
                    &embed.client_key,
                ]
                .into_iter()
                .flatten()
                .map(String::as_str)
                .collect();
                format!("embed {} in {path} on {nodes}", files.join(", "))
            }
            Change::Replace(texts) => {
                let old: Vec<_> = texts.iter().map(|(old, _)| old.as_str()).collect();
                format!("replace {:?} in {path} on {nodes}", old.join(", "))
            }
            Change::Append(text) => format!("append {:?} to {path} on {nodes}", text.trim_end()),
        }
    }
}

impl CertificateSays {
    fn describe(&self) -> Option<String> {
        let list = |names: &[String]| names.join(", ");
        let some = |names: &[String], what: &str| {
            (!names.is_empty()).then(|| format!("{what} {}", list(names)))
        };
        let parts: Vec<String> = [
            self.common_name.as_ref().map(|name| format!("CN {name}")),
            self.organizations
                .as_ref()
                .map(|names| format!("O [{}]", list(names))),
            some(&self.names, "names"),
            some(&self.names_without, "no name of"),
            self.signed_by
                .as_ref()
                .map(|path| format!("the signature of {path}")),
            self.key_algorithm
                .map(|algorithm| format!("a key of {algorithm:?}")),
            self.not_before
                .map(|instant| format!("notBefore {instant}")),
            self.not_after.map(|instant| format!("notAfter {instant}")),
            self.in_file.map(|count| format!("{count} in its file")),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!parts.is_empty()).then(|| format!("has {}", parts.join(", ")))
    }
}

impl EdgeExpectation {
    /// The word of the format.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failing => "failing",
            Self::Partial => "partial",
            Self::Absent => "absent",
        }
    }
}

impl ProcessState {
    /// The word of the format.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Exited => "exited",
            Self::Stopped => "stopped",
        }
    }
}

impl Connection {
    /// The word of the format.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Held => "held",
        }
    }
}

impl Matcher {
    /// What must hold, as a clause: `kubelet@cp1 -> kube-apiserver is ok`.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Edge {
                client,
                server,
                connection,
                is,
                text,
            } => {
                let held = match connection {
                    Connection::Fresh => "",
                    Connection::Held => "the open connection of ",
                };
                let with = text
                    .as_ref()
                    .map_or_else(String::new, |text| format!(" with {text:?}"));
                format!("{held}{client} -> {server} is {}{with}", is.word())
            }
            Self::AllEdges { is } => format!("every edge is {}", is.word()),
            Self::Process {
                target,
                state,
                log,
                log_without,
                restarted,
                loaded_is_on_disk,
            } => clause(
                target,
                [
                    state.map(|state| format!("is {}", state.word())),
                    log.as_ref().map(|text| format!("logged {text:?}")),
                    log_without
                        .as_ref()
                        .map(|text| format!("did not log {text:?}")),
                    restarted.map(|yes| verb(yes, "was restarted", "was not restarted")),
                    loaded_is_on_disk.as_ref().map(|(file, same)| {
                        let what = if *same {
                            "has loaded what"
                        } else {
                            "has not loaded what"
                        };
                        format!("{what} {file} holds")
                    }),
                ],
            ),
            Self::Certificate {
                nodes,
                name,
                exists,
                valid,
                days_left_min,
                days_left_max,
                renewed,
                age_days_max,
                count,
                says,
            } => clause(
                &format!("certificate {name} on {nodes}"),
                [
                    exists.map(|yes| verb(yes, "exists", "does not exist")),
                    valid.map(|yes| is(yes, "valid")),
                    days(*days_left_min, *days_left_max),
                    renewed.map(|yes| verb(yes, "was renewed", "was not renewed")),
                    age_days_max.map(|max| format!("is at most {max} days old")),
                    count.map(|count| format!("was issued {count} times so far")),
                    says.describe(),
                ],
            ),
            Self::Output {
                nodes,
                exit_code,
                stdout,
                stdout_without,
                stderr,
            } => {
                let mut facts = vec![exit_code.map(|code| format!("exited {code}"))];
                for (texts, what) in [
                    (stdout, "printed"),
                    (stdout_without, "did not print"),
                    (stderr, "printed to stderr"),
                ] {
                    facts.extend(texts.iter().map(|text| Some(format!("{what} {text:?}"))));
                }
                clause(&format!("the last command on {nodes}"), facts)
            }
            Self::Residual { nodes, rows } => {
                let rows: Vec<String> = rows
                    .iter()
                    .map(|(row, time)| match row.as_str() {
                        "*" => format!("{time} for every row"),
                        row => format!("{time} for {row}"),
                    })
                    .collect();
                format!("RESIDUAL TIME on {nodes} is {}", rows.join(", "))
            }
            Self::File {
                nodes,
                path,
                exists,
                contains,
                without,
                mode,
                link,
            } => clause(
                &format!("{path} on {nodes}"),
                [
                    exists.map(|yes| verb(yes, "exists", "does not exist")),
                    contains.as_ref().map(|text| format!("contains {text:?}")),
                    without
                        .as_ref()
                        .map(|text| format!("does not contain {text:?}")),
                    mode.map(|mode| format!("has mode {mode:04o}")),
                    link.as_ref().map(|to| format!("is a link to {to}")),
                ],
            ),
            Self::Etcd { quorum, members } => clause(
                &"etcd",
                [
                    quorum.map(|yes| verb(yes, "has a quorum", "has no quorum")),
                    members.map(|count| format!("has {count} members that answer")),
                ],
            ),
            Self::Node { nodes, ready } => {
                format!(
                    "node {nodes} is {}",
                    if *ready { "Ready" } else { "NotReady" }
                )
            }
            Self::Requests {
                of,
                signer,
                pending,
                approved,
                denied,
                failed,
                issued,
                issued_min,
                listed_min,
                listed_max,
                message,
            } => {
                let of = of
                    .as_ref()
                    .map_or_else(String::new, |nodes| format!(" for {nodes}"));
                let signer = signer
                    .as_ref()
                    .map_or_else(String::new, |signer| format!(" and {signer}"));
                let count = |count: &Option<u32>, what: &str| {
                    count.map(|count| format!("has {count} {what} requests"))
                };
                clause(
                    &format!("the CSR API{of}{signer}"),
                    [
                        count(pending, "pending"),
                        count(approved, "approved and unsigned"),
                        count(denied, "denied"),
                        count(failed, "failed"),
                        count(issued, "issued"),
                        issued_min.map(|count| format!("has issued at least {count}")),
                        listed_min.map(|count| format!("lists at least {count}")),
                        listed_max.map(|count| format!("lists at most {count}")),
                        message.as_ref().map(|text| format!("says {text:?}")),
                    ],
                )
            }
            Self::Verify {
                nodes,
                path,
                server,
                name,
                accepted,
                text,
                ..
            } => {
                let who = if *server { "server" } else { "client" };
                let name = name
                    .as_ref()
                    .map_or_else(String::new, |name| format!(" {name}"));
                let word = if *accepted { "accepted" } else { "refused" };
                let with = text
                    .as_ref()
                    .map_or_else(String::new, |text| format!(" with {text:?}"));
                format!("{path} on {nodes} is {word} as that of {who}{name}{with}")
            }
        }
    }
}

/// `subject fact and fact and fact`.
fn clause(
    subject: &impl std::fmt::Display,
    facts: impl IntoIterator<Item = Option<String>>,
) -> String {
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    format!("{subject} {}", facts.join(" and "))
}

fn is(yes: bool, what: &str) -> String {
    format!("{} {what}", if yes { "is" } else { "is not" })
}

fn verb(yes: bool, positive: &str, negative: &str) -> String {
    (if yes { positive } else { negative }).to_owned()
}

fn days(min: Option<f64>, max: Option<f64>) -> Option<String> {
    Some(match (min, max) {
        (Some(min), Some(max)) => format!("has {min} to {max} days left"),
        (Some(min), None) => format!("has at least {min} days left"),
        (None, Some(max)) => format!("has at most {max} days left"),
        (None, None) => return None,
    })
}
