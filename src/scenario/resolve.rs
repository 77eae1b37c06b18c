//! From what was written to what the player sees: names resolved, defaults filled in, `when` decided.

use std::collections::BTreeMap;

use super::decode::Problems;
use super::problem::Problem;
use super::raw::{self, ActionRaw, OneOrMany, Short};
use super::scalar::{At, CERTIFICATES};
use super::{
    Action, Backend, CertificateKey, Change, Edit, Embed, Eventually, Expectation, MoveManifests,
    Nodes, Position, Scenario, Step, Upgrade,
};
use crate::kubeadm::Version;
use crate::time::SignedDuration;

mod cluster;
mod historic;
mod issue;
mod matcher;
mod real;
mod requests;

/// One variant while it is resolved.
struct Variant<'v> {
    values: &'v BTreeMap<String, String>,
    /// Every value that each of them has in the file.
    axes: &'v [(String, Vec<At<String>>)],
    start: Version,
}

/// Resolves one variant.
pub(super) fn scenario(
    document: raw::Document,
    file: &str,
    values: &BTreeMap<String, String>,
    problems: &mut Problems,
) -> Option<Scenario> {
    let before = problems.len();
    let raw::Metadata {
        name,
        title,
        reference,
        tags,
        description: _,
    } = document.metadata;
    let spec = document.spec;
    let mut backends = backends(spec.backends, problems);
    let cluster = cluster::cluster(&spec.cluster, problems);
    let axes = spec.matrix.map(|matrix| matrix.axes).unwrap_or_default();
    let variant = Variant {
        values,
        axes: &axes,
        start: spec.cluster.version.value,
    };
    let bare = cluster.bare;
    let mut steps = Vec::new();
    for step in spec.steps {
        if let ActionRaw::Init(_) = step.action
            && !bare
        {
            problems.push::<()>(
                Problem::new(step.at, "this cluster is initialised already")
                    .help("start it with `bare: true` under `cluster` to run `init` as a step"),
            );
        }
        if let Some(problem) = real::problem(&step, &backends) {
            problems.push::<()>(problem);
        }
        variant.step(step, &mut steps, problems);
    }
    historic::problems(&spec.cluster.version, &cluster, &backends, &steps, problems);
    if cluster.version.is_historic() {
        backends.retain(|&backend| backend == Backend::Sim);
    }
    let scenario = Scenario {
        name: name.value.0,
        title: title.value,
        reference: reference.map(|reference| reference.value),
        tags: tags
            .unwrap_or_default()
            .into_iter()
            .map(|tag| tag.value)
            .collect(),
        file: file.to_owned(),
        set: BTreeMap::new(),
        variant: values.clone(),
        backends,
        opt_out: spec
            .opt_out
            .iter()
            .flatten()
            .map(|one| (one.invariant.value, one.because.value.clone()))
            .collect(),
        compared_min: spec.compared_at_least.map_or(1, |least| least.value),
        cluster,
        steps,
        always: variant.expectations(spec.always.unwrap_or_default(), problems),
        eventually: variant.eventually(spec.eventually.unwrap_or_default(), problems),
        sometimes: variant.expectations(spec.sometimes.unwrap_or_default(), problems),
    };
    (problems.len() == before).then_some(scenario)
}

fn backends(written: Option<Vec<At<Backend>>>, problems: &mut Problems) -> Vec<Backend> {
    let mut backends = Vec::new();
    for backend in written.unwrap_or_else(|| {
        vec![At {
            value: Backend::Sim,
            at: Position::default(),
        }]
    }) {
        if backends.contains(&backend.value) {
            problems.push::<()>(Problem::new(backend.at, "this backend is given twice"));
        }
        backends.push(backend.value);
    }
    backends
}

impl Variant<'_> {
    fn is_meant(&self, when: Option<&raw::When>, problems: &mut Problems) -> bool {
        raw::holds(when, self.values, self.axes, self.start, problems)
    }

    /// Adds the steps that one written step stands for: none, one, or one for each expectation.
    fn step(&self, step: raw::Step, steps: &mut Vec<Step>, problems: &mut Problems) {
        let wanted = self.is_meant(step.when.as_ref(), problems);
        let actions = match step.action {
            ActionRaw::Expect(OneOrMany(expectations)) => self
                .expectations(expectations, problems)
                .into_iter()
                .map(|expectation| (expectation.at, Action::Expect(expectation)))
                .collect(),
            ActionRaw::ExpectFailure(control) => {
                let because = control.because.map(|because| because.value);
                self.expectations(vec![control.expectation], problems)
                    .into_iter()
                    .map(|expectation| {
                        let at = expectation.at;
                        let because = because.clone();
                        (
                            at,
                            Action::ExpectFailure {
                                expectation,
                                because,
                            },
                        )
                    })
                    .collect()
            }
            other => action(other, problems)
                .map(|action| vec![(step.at, action)])
                .unwrap_or_default(),
        };
        if wanted {
            steps.extend(actions.into_iter().map(|(at, action)| Step { at, action }));
        }
    }

    fn expectations(
        &self,
        written: Vec<raw::Expectation>,
        problems: &mut Problems,
    ) -> Vec<Expectation> {
        let mut expectations = Vec::new();
        for expectation in written {
            let at = expectation.at;
            let wanted = self.is_meant(expectation.when.as_ref(), problems);
            if let Some(matcher) = matcher::matcher(expectation.body, at, problems)
                && wanted
            {
                expectations.push(Expectation { at, matcher });
            }
        }
        expectations
    }

    fn eventually(
        &self,
        written: Vec<raw::Eventually>,
        problems: &mut Problems,
    ) -> Vec<Eventually> {
        let mut all = Vec::new();
        for item in written {
            let within = item.within.value.0;
            all.extend(
                self.expectations(item.expect.0, problems)
                    .into_iter()
                    .map(|expectation| Eventually {
                        expectation,
                        within,
                    }),
            );
        }
        all
    }
}

fn action(written: ActionRaw, problems: &mut Problems) -> Option<Action> {
    Some(match written {
        ActionRaw::Walk(passage) => Action::Walk(passage.value),
        ActionRaw::Jump(span) => Action::Jump(span.value.0),
        ActionRaw::StepBack(span) => Action::StepBack(span.value.0),
        ActionRaw::Skew(skew) => Action::Skew {
            nodes: skew.nodes.value,
            offset: skew.by.value,
        },
        ActionRaw::Dormant(Short::Short(span)) => Action::Dormant {
            nodes: selector("all"),
            span: span.value.0,
        },
        ActionRaw::Dormant(Short::Long(dormant)) => Action::Dormant {
            nodes: or(dormant.nodes, "all"),
            span: dormant.span.value.0,
        },
        ActionRaw::Init(init) => Action::Init {
            exit_code: init.exit_code.map_or(0, |code| code.value),
        },
        ActionRaw::Join(Short::Short(nodes)) => Action::Join {
            nodes: nodes.value,
            certificate_key: CertificateKey::Last,
            exit_code: 0,
        },
        ActionRaw::Reset(nodes) => Action::Reset(nodes.value),
        ActionRaw::Join(Short::Long(join)) => Action::Join {
            nodes: join.nodes.value,
            certificate_key: join
                .certificate_key
                .map_or(CertificateKey::Last, |key| key.value),
            exit_code: join.exit_code.map_or(0, |code| code.value),
        },
        ActionRaw::Issue(issue) => Action::Issue(issue::issue(*issue, problems)?),
        ActionRaw::Renew(renew) => self::renew(renew, problems)?,
        ActionRaw::CheckExpiration(Short::Short(nodes)) => {
            Action::CheckExpiration { nodes: nodes.value }
        }
        ActionRaw::CheckExpiration(Short::Long(on)) => Action::CheckExpiration {
            nodes: or(on.nodes, "cp*"),
        },
        ActionRaw::Upgrade(upgrade) => Action::Upgrade(self::upgrade(upgrade)),
        ActionRaw::Kubeadm(kubeadm) => self::kubeadm(kubeadm),
        ActionRaw::Kubectl(written) => requests::kubectl(written, problems)?,
        ActionRaw::Approve(which) => requests::decide(which, true),
        ActionRaw::Deny(which) => requests::decide(which, false),
        ActionRaw::RequestCertificate(written) => {
            requests::request_certificate(*written, problems)?
        }
        ActionRaw::ServingApprover(approver) => Action::ServingApprover(approver.value.0),
        ActionRaw::EditConfigMap(edit) => requests::edit_config_map(edit, problems)?,
        ActionRaw::Exec(written) => real::exec(written),
        ActionRaw::Apply(written) => real::apply(written)?,
        ActionRaw::Image(written) => real::image(written)?,
        ActionRaw::Restart(target) => Action::Restart(target.value),
        ActionRaw::Stop(target) => Action::Stop(target.value),
        ActionRaw::Start(target) => Action::Start(target.value),
        ActionRaw::Reboot(nodes) => Action::Reboot(nodes.value),
        ActionRaw::MoveManifests(moved) => Action::MoveManifests(move_manifests(moved, problems)?),
        ActionRaw::Edit(edit) => Action::Edit(self::edit(*edit, problems)?),
        ActionRaw::Remove(remove) => Action::Remove {
            nodes: remove.nodes.value,
            paths: remove
                .paths
                .0
                .into_iter()
                .map(|path| path.value.0)
                .collect(),
        },
        ActionRaw::Copy(copy) => Action::Copy {
            from_node: copy.from.value.nodes,
            from: copy.from.value.path,
            to_nodes: copy.to.value.nodes,
            to: copy.to.value.path,
        },
        ActionRaw::Note(text) => Action::Note(text.value),
        // Taken apart before, because one step may hold several.
        ActionRaw::Expect(_) | ActionRaw::ExpectFailure(_) => return None,
    })
}

fn selector(text: &str) -> Nodes {
    Nodes(text.to_owned())
}

fn or(nodes: Option<At<Nodes>>, default: &str) -> Nodes {
    nodes.map_or_else(|| selector(default), |nodes| nodes.value)
}

fn renew(written: Short<At<String>, raw::Renew>, problems: &mut Problems) -> Option<Action> {
    let (name, nodes, exit_code) = match written {
        Short::Short(name) => (name, selector("cp*"), None),
        Short::Long(renew) => (
            renew.name,
            or(renew.nodes, "cp*"),
            renew.exit_code.map(|code| code.value),
        ),
    };
    // A name that kubeadm refuses may be what a scenario is about; then it says the exit code.
    let known = name.value == "all" || CERTIFICATES.contains(&name.value.as_str());
    if !known && exit_code.is_none() {
        let names = CERTIFICATES.into_iter().chain(["all"]);
        return problems.push(
            Problem::new(name.at, format!("unknown certificate `{}`", name.value))
                .help(super::problem::suggest(&name.value, names)),
        );
    }
    Some(Action::Renew {
        nodes,
        name: name.value,
        exit_code,
    })
}

fn upgrade(written: Short<At<Version>, raw::Upgrade>) -> Upgrade {
    match written {
        Short::Short(to) => Upgrade {
            nodes: selector("all"),
            to: to.value,
            certificate_renewal: None,
            etcd_upgrade: None,
            config: None,
            exit_code: 0,
        },
        Short::Long(upgrade) => Upgrade {
            nodes: or(upgrade.nodes, "all"),
            to: upgrade.to.value,
            certificate_renewal: upgrade.certificate_renewal.map(|flag| flag.value),
            etcd_upgrade: upgrade.etcd_upgrade.map(|flag| flag.value),
            config: upgrade.config.map(|path| path.value.0),
            exit_code: upgrade.exit_code.map_or(0, |code| code.value),
        },
    }
}

fn kubeadm(written: Short<At<String>, raw::Kubeadm>) -> Action {
    let split = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    match written {
        Short::Short(args) => Action::Kubeadm {
            nodes: selector("cp1"),
            args: split(&args.value),
            exit_code: 0,
            stdout_to: None,
        },
        Short::Long(kubeadm) => Action::Kubeadm {
            nodes: or(kubeadm.nodes, "cp1"),
            args: match kubeadm.args.0.as_slice() {
                [line] => split(&line.value),
                list => list.iter().map(|arg| arg.value.clone()).collect(),
            },
            exit_code: kubeadm.exit_code.map_or(0, |code| code.value),
            stdout_to: kubeadm.stdout_to.map(|path| path.value.0),
        },
    }
}

fn set_lines(lines: raw::Lines) -> Change {
    Change::SetLines(
        lines
            .0
            .into_iter()
            .map(|(key, line)| (key, line.value))
            .collect(),
    )
}

fn move_manifests(
    written: Short<At<Nodes>, raw::MoveManifests>,
    problems: &mut Problems,
) -> Option<MoveManifests> {
    let fixed = SignedDuration::from_secs(20);
    let moved = match written {
        Short::Short(nodes) => {
            return Some(MoveManifests {
                nodes: nodes.value,
                components: Vec::new(),
                wait: fixed,
                until_restarted: false,
                leave_out: false,
                back: false,
            });
        }
        Short::Long(moved) => moved,
    };
    let set = |flag: &Option<At<bool>>| flag.as_ref().is_some_and(|flag| flag.value);
    let until_restarted = set(&moved.until_restarted);
    let leave_out = set(&moved.leave_out);
    let back = set(&moved.back);
    let clash = |first: &str, second: &str| {
        Problem::new(
            moved.nodes.at,
            format!("`{first}` and `{second}` exclude each other"),
        )
    };
    if until_restarted && moved.wait.is_some() {
        return problems.push(clash("wait", "untilRestarted"));
    }
    if leave_out && back {
        return problems.push(clash("leaveOut", "back"));
    }
    Some(MoveManifests {
        nodes: moved.nodes.value,
        components: moved
            .components
            .unwrap_or_default()
            .into_iter()
            .map(|component| component.value)
            .collect(),
        wait: moved.wait.map_or(fixed, |wait| wait.value.0),
        until_restarted,
        leave_out,
        back,
    })
}

fn edit(written: raw::Edit, problems: &mut Problems) -> Option<Edit> {
    const FORMS: &str =
        "`content`, `setLines`, `replace`, `append`, `setFlags`, `concatenate`, `embed` and `mode`";
    let pairs = |lines: raw::Lines| {
        let lines = lines.0.into_iter();
        lines.map(|(key, line)| (key, line.value)).collect()
    };
    let path = |path: Option<At<super::scalar::NodePath>>| path.map(|path| path.value.0);
    let mut changes: Vec<Change> = [
        written
            .content
            .map(|content| Change::Content(content.value)),
        written
            .set_lines
            .map(|lines| Change::SetLines(pairs(lines))),
        written.replace.map(|texts| Change::Replace(pairs(texts))),
        written.append.map(|text| Change::Append(text.value)),
        written
            .set_flags
            .map(|flags| Change::SetFlags(pairs(flags))),
        written
            .concatenate
            .map(|files| Change::Concatenate(files.into_iter().map(|file| file.value.0).collect())),
        written.embed.map(|embed| {
            Change::Embed(Embed {
                certificate_authority: path(embed.certificate_authority),
                client_certificate: path(embed.client_certificate),
                client_key: path(embed.client_key),
            })
        }),
        written.mode.map(|mode| Change::Mode(mode.value.0)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let change = match (changes.pop(), changes.is_empty()) {
        (Some(change), true) => change,
        (None, _) => {
            return problems.push(
                Problem::new(written.path.at, "this edit changes nothing")
                    .help(format!("give one of {FORMS}")),
            );
        }
        _ => {
            return problems.push(
                Problem::new(written.path.at, "one edit makes one change")
                    .help(format!("give one of {FORMS}, and write a step for each")),
            );
        }
    };
    Some(Edit {
        nodes: written.nodes.value,
        path: written.path.value.0,
        change,
    })
}
