//! Steps that only real backends play.

use super::{or, selector};
use crate::scenario::problem::Problem;
use crate::scenario::raw::{self, ActionRaw, Short};
use crate::scenario::scalar::At;
use crate::scenario::{Action, Backend, ImageSource, Objects};

/// What is wrong with a step of this file: a backend of the scenario cannot play it, or it says nothing, or two
/// things at once.
pub(super) fn problem(step: &raw::Step, backends: &[Backend]) -> Option<Problem> {
    let (what, able, one_of) = match &step.action {
        ActionRaw::Exec(_) => ("run a script", "kubeadm, kind", None),
        ActionRaw::Apply(Short::Short(_)) => ("apply objects", "kind", None),
        ActionRaw::Apply(Short::Long(apply)) => {
            let given = usize::from(apply.file.is_some()) + usize::from(apply.manifest.is_some());
            ("apply objects", "kind", Some((given, "file", "manifest")))
        }
        ActionRaw::Image(Short::Short(_)) => ("load images", "kind", None),
        ActionRaw::Image(Short::Long(image)) => {
            let given = usize::from(image.name.is_some()) + usize::from(image.archive.is_some());
            ("load images", "kind", Some((given, "name", "archive")))
        }
        _ => return None,
    };
    if let Some((given, one, other)) = one_of
        && given != 1
    {
        return Some(
            Problem::new(step.at, "this step takes one thing")
                .help(format!("give one of `{one}` and `{other}`")),
        );
    }
    let unable = if backends.contains(&Backend::Sim) {
        "the simulation"
    } else if able == "kind" && backends.contains(&Backend::Kubeadm) {
        "kubeadm alone"
    } else {
        return None;
    };
    Some(
        Problem::new(step.at, format!("{unable} cannot {what}")).help(format!(
            "name the backends that can: `backends: [{}]` under `spec`",
            able.split(", ").next().unwrap_or(able)
        )),
    )
}

pub(super) fn exec(written: Short<At<String>, raw::Exec>) -> Action {
    match written {
        Short::Short(run) => Action::Exec {
            nodes: selector("cp1"),
            run: run.value,
            exit_code: 0,
        },
        Short::Long(exec) => Action::Exec {
            nodes: or(exec.nodes, "cp1"),
            run: exec.run.value,
            exit_code: exec.exit_code.map_or(0, |code| code.value),
        },
    }
}

pub(super) fn apply(written: Short<At<String>, raw::Apply>) -> Option<Action> {
    let (nodes, objects, exit_code) = match written {
        Short::Short(file) => (selector("cp1"), Objects::File(file.value), 0),
        Short::Long(apply) => (
            or(apply.nodes, "cp1"),
            match (apply.file, apply.manifest) {
                (Some(file), None) => Objects::File(file.value),
                (None, Some(manifest)) => Objects::Manifest(manifest.value),
                // Told by `problem`.
                _ => return None,
            },
            apply.exit_code.map_or(0, |code| code.value),
        ),
    };
    Some(Action::Apply {
        nodes,
        objects,
        exit_code,
    })
}

pub(super) fn image(written: Short<At<String>, raw::Image>) -> Option<Action> {
    let (nodes, source) = match written {
        Short::Short(name) => (selector("all"), ImageSource::Engine(name.value)),
        Short::Long(image) => (
            or(image.nodes, "all"),
            match (image.name, image.archive) {
                (Some(name), None) => ImageSource::Engine(name.value),
                (None, Some(archive)) => ImageSource::Archive(archive.value),
                // Told by `problem`.
                _ => return None,
            },
        ),
    };
    Some(Action::Image { nodes, source })
}
