//! `certdrill forecast`: what will become of a captured cluster.

#![expect(
    clippy::disallowed_methods,
    reason = "captures and plans are read here"
)]

use std::cell::Cell;
use std::path::PathBuf;

use clap::ValueEnum;

use super::progress::Progress;
use super::stage::{self, BackendArg, Stage};
use super::{Exit, Output, files, output};
use crate::forecast::capture::{Capture, CaptureError, Node};
use crate::forecast::outlook::{Options, OutlookError, Progress as Advance, forecast_watched};
use crate::forecast::plan::{Plan, PlanError};
use crate::forecast::rebuild::version_of;
use crate::forecast::show;
use crate::time::{SignedDuration, span};

const HELP: &str = "\
Exit codes: 0, or 100 if something fails within the time of --fail-within; 104
if the cluster cannot be simulated.

A plan (see docs/before-an-upgrade.md):
  apiVersion: certdrill/v1
  kind: Plan
  steps:
    - { at: 2027-03-01T09:00:00Z, upgrade: { to: v1.37.2 } }
    - { every: 30d, renew: { nodes: [cp1], restart: true } }
    - { after: 90d, restart: { what: machine } }";

/// Arguments of `certdrill forecast`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// Captures of the nodes of one cluster, made by certdrill capture.
    #[arg(value_name = "CAPTURE", required = true, env = "CERTDRILL_CAPTURE")]
    captures: Vec<PathBuf>,
    /// How far to look: 90d, 2y.
    #[arg(long, value_name = "TIME", default_value = "2y", value_parser = length, env = "CERTDRILL_HORIZON")]
    horizon: SignedDuration,
    /// What happens meanwhile. Without it nothing happens, and a second run restarts every machine each month.
    #[arg(long, value_name = "FILE", env = "CERTDRILL_PLAN")]
    plan: Option<PathBuf>,
    /// Exit with 100 if something breaks within this time, or is broken already: 30d.
    #[arg(long, value_name = "TIME", value_parser = span::parse, env = "CERTDRILL_FAIL_WITHIN")]
    fail_within: Option<SignedDuration>,
    /// What goes to standard output.
    #[arg(long, value_enum, default_value = "table", env = "CERTDRILL_FORMAT")]
    format: Format,
    /// What runs kubeadm's commands on the rebuilt cluster.
    #[arg(long, value_enum, default_value = "sim", env = "CERTDRILL_BACKEND")]
    backend: BackendArg,
    /// A kubeadm binary for the version that it is.
    #[arg(long, value_name = "FILE", env = "CERTDRILL_KUBEADM")]
    kubeadm: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a person.
    Table,
    /// For a program.
    Json,
    /// A page of its own.
    Html,
}

fn length(text: &str) -> Result<SignedDuration, String> {
    let limit = SignedDuration::from_hours(24 * 365 * 20);
    match span::parse(text) {
        Ok(span) if span.is_positive() && span <= limit => Ok(span),
        Ok(_) => Err("a horizon is between one second and 20y".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Forecasts.
pub(super) fn run(args: &Args, output: &mut Output) -> Exit {
    if let Err(exit) = files::named(args.captures.iter().chain(&args.plan)) {
        return exit;
    }
    let nodes = match nodes(&args.captures) {
        Ok(nodes) => nodes,
        Err(error) => {
            output::complain(&error);
            return Exit::Invalid;
        }
    };
    let plan = match args.plan.as_ref().map(plan).transpose() {
        Ok(plan) => plan,
        Err(error) => {
            output::complain(&error);
            return Exit::Invalid;
        }
    };
    let stage = match stage(args, &nodes, plan.as_ref()) {
        Ok(stage) => stage,
        Err(error) => {
            output::complain(&error);
            return Exit::Infrastructure;
        }
    };
    let options = Options {
        horizon: args.horizon,
        plan,
    };
    // A course is a thousand parts.
    let bar = Cell::new(None::<Progress>);
    let watch = |progress: Advance| {
        let shown = bar
            .take()
            .unwrap_or_else(|| Progress::of_parts(u64::from(progress.courses_max) * 1_000));
        let before = progress.course.saturating_sub(1) * 1_000;
        shown.set(u64::from(before + progress.passed));
        shown.message(format!(
            "course {} of {}",
            progress.course, progress.courses_max
        ));
        bar.set(Some(shown));
    };
    let played = forecast_watched(&nodes, &options, &|| stage.engine(), &watch);
    bar.take().map(Progress::finish);
    let outlook = match played {
        Ok(outlook) => outlook,
        Err(error) => {
            output::complain(&format!("error: {error}"));
            return match error {
                OutlookError::Engine(error) => {
                    output::complain(&format!("  help: {}", error.help));
                    Exit::Infrastructure
                }
                OutlookError::Plan(_) | OutlookError::Rebuild(_) => Exit::Invalid,
            };
        }
    };
    match args.format {
        Format::Table => output.text(&show::table(&outlook, output.width())),
        Format::Html => output.text(&show::html(&outlook)),
        Format::Json => match serde_json::to_string_pretty(&outlook) {
            Ok(text) => output.text(&format!("{text}\n")),
            Err(error) => {
                output::complain(&format!("error: {error}"));
                return Exit::Internal;
            }
        },
    }
    let fails = args
        .fail_within
        .and_then(|span| outlook.fails_within(span).map(|at| (span, at)));
    if let Some((within, at)) = fails {
        output::complain(&format!(
            "something fails within {}: at {at}",
            span::display(within)
        ));
        return Exit::Failed;
    }
    if let Some(why) = &outlook.not_played {
        output::complain(&format!("error: this cluster cannot be simulated: {why}"));
        return Exit::Infrastructure;
    }
    Exit::Success
}

fn nodes(paths: &[PathBuf]) -> Result<Vec<Node>, String> {
    let mut nodes = Vec::new();
    for path in paths {
        let shown = path.display();
        let text = if path.as_os_str() == "-" {
            std::io::read_to_string(std::io::stdin())
        } else {
            std::fs::read_to_string(path)
        };
        let text = text.map_err(|error| format!("error: {shown}: {error}"))?;
        let capture = Capture::parse(&text).map_err(|error| match error {
            // Somebody may have named a key, or a kubeconfig: no line of it is shown.
            CaptureError::Format(problem) => problem.render_place(&shown.to_string()),
            error => format!(
                "error: {shown}: {error}\n  help: certdrill capture -o FILE makes one on a node"
            ),
        })?;
        nodes.extend(capture.nodes);
    }
    Ok(nodes)
}

fn plan(path: &PathBuf) -> Result<Plan, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("error: {shown}: {error}"))?;
    Plan::parse(&text).map_err(|error| match error {
        PlanError::Format(problem) => problem.render_discreetly(
            &shown.to_string(),
            &text,
            output::stderr_style(),
            output::width(),
        ),
        error => format!("error: {shown}: {error}\n  help: certdrill forecast --help shows a plan"),
    })
}

/// Where kubeadm's commands run, with every binary that will be needed.
fn stage(args: &Args, nodes: &[Node], plan: Option<&Plan>) -> Result<Stage, String> {
    let stage = match args.backend {
        BackendArg::Sim => Stage::Sim,
        BackendArg::Kind => {
            return Err(
                "error: a forecast is not played on a real cluster\n  help: --backend sim, or --backend kubeadm for the real kubeadm on the \
                 captured tree"
                    .to_owned(),
            );
        }
        BackendArg::Kubeadm => {
            let engines = stage::engines(args.kubeadm.as_ref());
            let mut versions: Vec<_> = nodes
                .iter()
                .filter_map(|node| version_of(node).ok())
                .collect();
            let upgrades = plan.iter().flat_map(|plan| &plan.steps).filter_map(|step| {
                let upgrade = step.upgrade.as_ref()?;
                upgrade.to.parse::<crate::kubeadm::Version>().ok()
            });
            versions.extend(upgrades);
            for version in versions {
                engines
                    .find(version)
                    .map_err(|error| format!("error: {error}\n  help: {}", error.help()))?;
            }
            Stage::kubeadm(engines)
        }
    };
    stage::prepare([&stage])?;
    Ok(stage)
}
