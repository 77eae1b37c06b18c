//! `certdrill explain`: why a certificate, an edge, a kubelet or a request is as it is at an instant of a run.

use std::convert::Infallible;
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
    edge: Option<About>,
    /// A certificate: kubeadm's name or a path, and the node: apiserver@cp1.
    #[arg(
        long,
        value_name = "NAME@NODE",
        group = "subject",
        value_parser = certificate,
        env = "CERTDRILL_CERTIFICATE"
    )]
    certificate: Option<About>,
    /// The kubelet of a node: w1.
    #[arg(
        long,
        value_name = "NODE",
        group = "subject",
        value_parser = kubelet,
        env = "CERTDRILL_KUBELET"
    )]
    kubelet: Option<About>,
    /// A certificate signing request by its name.
    #[arg(
        long,
        value_name = "NAME",
        group = "subject",
        value_parser = request,
        env = "CERTDRILL_CSR"
    )]
    csr: Option<About>,
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

/// What is to be explained.
#[derive(Debug, Clone)]
struct About {
    /// As it was asked for.
    text: String,
    subject: Subject,
}

impl About {
    fn new(text: &str, subject: Subject) -> Self {
        Self {
            text: text.to_owned(),
            subject,
        }
    }
}

fn edge(text: &str) -> Result<About, String> {
    match scenario::edge(text) {
        Ok((client, server)) => Ok(About::new(text, Subject::Edge { client, server })),
        Err((message, help)) => Err(format!(
            "{message}: {}",
            help.unwrap_or_else(|| "write 'kubelet@cp1 -> apiserver'".to_owned())
        )),
    }
}

fn certificate(text: &str) -> Result<About, String> {
    let (name, node) = text
        .rsplit_once('@')
        .ok_or("it does not say which node: write apiserver@cp1")?;
    let subject = Subject::Certificate {
        name: name.to_owned(),
        node: node.to_owned(),
    };
    Ok(About::new(text, subject))
}

fn kubelet(text: &str) -> Result<About, Infallible> {
    let node = text.trim_start_matches("kubelet@");
    Ok(About::new(node, Subject::Kubelet(node.to_owned())))
}

fn request(text: &str) -> Result<About, Infallible> {
    Ok(About::new(text, Subject::Request(text.to_owned())))
}

/// Plays the scenario and explains.
pub(super) fn run(args: &Args, output: &mut Output) -> Exit {
    let asked = [&args.edge, &args.certificate, &args.kubelet, &args.csr];
    let Some(about) = asked.into_iter().flatten().next() else {
        output::complain(
            "error: nothing to explain\n  help: give one of --edge, --certificate, --kubelet, --csr",
        );
        return Exit::Usage;
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
    let at = args
        .at
        .as_ref()
        .map(|text| (text, scenario::instant(text, scenario.cluster.start)));
    let at = match at {
        Some((text, None)) => {
            output::complain(&format!(
                "error: {text} after the cluster's start, {}, is later than any date",
                scenario.cluster.start
            ));
            return Exit::Usage;
        }
        Some((_, at)) => at,
        None => None,
    };
    let options = PlayOptions { seed: args.seed };
    let Asked {
        at,
        reached,
        found,
        known,
    } = ask(scenario, &options, at, &about.subject);
    if !reached {
        output::complain(&format!(
            "warning: the run ends before the time that was asked for; this is how it stands at its end, {at}"
        ));
    }
    if found.is_empty() {
        let asked = &about.text;
        output::complain(&format!(
            "error: there is no '{asked}' in {} at {at}\n  help: {}",
            scenario.id(),
            near(asked, &known)
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
