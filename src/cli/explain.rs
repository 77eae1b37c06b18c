//! `certdrill explain`: why a certificate, an edge, a kubelet or a request is as it is at an instant of a run.

use std::path::PathBuf;

use super::pick::Selection;
use super::{Exit, Output, output};
use crate::check::explain::{Explanation, Subject};
use crate::kubeadm::profile::historic;
use crate::run::{Asked, PlayOptions, ask};
use crate::scenario::{self, Scenario};
use crate::time::Timestamp;

const HELP: &str = "\
Examples:
  certdrill explain a-year.yaml --at 366d --edge 'scheduler@cp1 -> apiserver'
  certdrill explain a-year.yaml --at 2026-10-01T00:00:00Z --kubelet w1
  certdrill explain a-year.yaml --certificate apiserver@cp1";

/// Arguments of `certdrill explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// A scenario file.
    #[arg(value_name = "SCENARIO")]
    scenario: PathBuf,
    /// When: an instant, or how long after the cluster's start (366d). The end of the run unless said otherwise.
    #[arg(long, value_name = "TIME", value_parser = time, env = "CERTDRILL_AT")]
    at: Option<String>,
    /// An edge: 'kubelet@cp1 -> apiserver'.
    #[arg(
        long,
        value_name = "EDGE",
        group = "subject",
        value_parser = edge,
        env = "CERTDRILL_EDGE"
    )]
    edge: Option<String>,
    /// A certificate: kubeadm's name or a path, and the node: apiserver@cp1.
    #[arg(
        long,
        value_name = "NAME@NODE",
        group = "subject",
        value_parser = certificate,
        env = "CERTDRILL_CERTIFICATE"
    )]
    certificate: Option<String>,
    /// The kubelet of a node: w1.
    #[arg(
        long,
        value_name = "NODE",
        group = "subject",
        env = "CERTDRILL_KUBELET"
    )]
    kubelet: Option<String>,
    /// A certificate signing request by its name.
    #[arg(long, value_name = "NAME", group = "subject", env = "CERTDRILL_CSR")]
    csr: Option<String>,
    /// Which run of the scenario's matrix, by name or id; the first one unless said otherwise.
    #[arg(long, value_name = "PATTERN", env = "CERTDRILL_INCLUDE")]
    include: Option<String>,
    /// Seed of every random stream.
    #[arg(long, default_value_t = 0, env = "CERTDRILL_SEED")]
    seed: u64,
}

/// What is wrong with a value is told where it came from, which clap knows.
fn time(text: &str) -> Result<String, String> {
    match scenario::instant(text, Timestamp::UNIX_EPOCH) {
        Some(_) => Ok(text.to_owned()),
        None => Err(
            "write an instant (2027-01-01T00:00:00Z) or a length of time after the cluster's start (366d)"
                .to_owned(),
        ),
    }
}

fn edge(text: &str) -> Result<String, String> {
    match scenario::edge(text) {
        Ok(_) => Ok(text.to_owned()),
        Err((message, help)) => Err(format!(
            "{message}: {}",
            help.unwrap_or_else(|| "write 'kubelet@cp1 -> apiserver'".to_owned())
        )),
    }
}

fn certificate(text: &str) -> Result<String, String> {
    if text.contains('@') {
        Ok(text.to_owned())
    } else {
        Err("it does not say which node: write apiserver@cp1".to_owned())
    }
}

/// Plays the scenario and explains.
pub(super) fn run(args: &Args, output: &mut Output) -> Exit {
    let subject = match subject(args) {
        Ok(subject) => subject,
        Err(message) => {
            output::complain(&message);
            return Exit::Usage;
        }
    };
    let selection = Selection::of(args.scenario.clone(), args.include.clone());
    let files = match selection.load() {
        Ok(files) => files,
        Err(exit) => return exit,
    };
    let picked = match selection.pick(&files) {
        Ok(picked) => picked,
        Err(exit) => return exit,
    };
    // Picking gives at least one.
    let Some(first) = picked.first() else {
        return Exit::NothingSelected;
    };
    let scenario: &Scenario = first.scenario;
    let at = match &args.at {
        None => None,
        Some(text) => match scenario::instant(text, scenario.cluster.start) {
            Some(at) => Some(at),
            None => {
                output::complain(&format!(
                    "error: `{text}` is no time\n  help: write an instant (2027-01-01T00:00:00Z) or a length of \
                     time after the cluster's start (366d)"
                ));
                return Exit::Usage;
            }
        },
    };
    let options = PlayOptions { seed: args.seed };
    let Asked {
        at,
        reached,
        found,
        known,
    } = ask(scenario, &options, at, &subject);
    if !reached {
        output::complain(&format!(
            "warning: the run ends before the time that was asked for; this is how it stands at its end, {at}"
        ));
    }
    if found.is_empty() {
        let asked = described(args, &subject);
        output::complain(&format!(
            "error: there is no '{asked}' in {} at {at}\n  help: {}",
            scenario.id(),
            near(&asked, &known)
        ));
        return Exit::NothingSelected;
    }
    let day = at.duration_since(scenario.cluster.start).as_secs_f64() / 86_400.0;
    output.text(&format!("{} at {at} (day {day:.3})\n", scenario.id()));
    if let Some(notice) = historic::notice(scenario.cluster.version) {
        output.text(&format!("warning: {notice}\n"));
    }
    for explanation in found {
        output.text(&text(&explanation, output.width()));
    }
    Exit::Success
}

fn subject(args: &Args) -> Result<Subject, String> {
    if let Some(edge) = &args.edge {
        let (client, server) = scenario::edge(edge).map_err(|(message, help)| {
            let help = help.unwrap_or_else(|| "write --edge 'kubelet@cp1 -> apiserver'".to_owned());
            format!("error: {message}\n  help: {help}")
        })?;
        return Ok(Subject::Edge { client, server });
    }
    if let Some(certificate) = &args.certificate {
        let (name, node) = certificate.rsplit_once('@').ok_or_else(|| {
            format!("error: `{certificate}` does not say which node\n  help: write --certificate apiserver@cp1")
        })?;
        return Ok(Subject::Certificate {
            name: name.to_owned(),
            node: node.to_owned(),
        });
    }
    if let Some(node) = &args.kubelet {
        let node = node.trim_start_matches("kubelet@");
        return Ok(Subject::Kubelet(node.to_owned()));
    }
    if let Some(name) = &args.csr {
        return Ok(Subject::Request(name.clone()));
    }
    Err(
        "error: nothing to explain\n  help: give one of --edge, --certificate, --kubelet, --csr"
            .to_owned(),
    )
}

fn described(args: &Args, subject: &Subject) -> String {
    match subject {
        Subject::Edge { .. } => args.edge.clone().unwrap_or_default(),
        Subject::Certificate { name, node } => format!("{name}@{node}"),
        Subject::Kubelet(node) => node.clone(),
        Subject::Request(name) => name.clone(),
    }
}

/// What was probably meant, or what there is.
fn near(asked: &str, known: &[String]) -> String {
    const SHOWN_MAX: usize = 12;
    if let Some(near) = scenario::nearest(asked, known.iter().map(String::as_str)) {
        return format!("did you mean '{near}'?");
    }
    if known.is_empty() {
        return "there is none of its kind at this time: --at names another one".to_owned();
    }
    let mut text = known
        .iter()
        .take(SHOWN_MAX)
        .map(|name| format!("'{name}'"))
        .collect::<Vec<_>>()
        .join(", ");
    if known.len() > SHOWN_MAX {
        text.push_str(&format!(", and {} more", known.len() - SHOWN_MAX));
    }
    format!("there are {text}")
}

/// An explanation for a person: headings on the left, text wrapped on the right.
fn text(explanation: &Explanation, width: usize) -> String {
    let column = explanation
        .facts
        .iter()
        .map(|(heading, _)| heading.len())
        .max()
        .unwrap_or(0);
    let mut text = format!("\n{}\n", explanation.title);
    for (heading, fact) in &explanation.facts {
        let room = width.saturating_sub(column + 4).max(20);
        for (number, line) in crate::report::wrap::wrap(fact, room)
            .into_iter()
            .enumerate()
        {
            let heading = if number == 0 { heading.as_str() } else { "" };
            text.push_str(&format!("  {heading:<column$}  {line}\n"));
        }
    }
    text
}
