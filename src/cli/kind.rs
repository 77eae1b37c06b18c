//! Options of the backend kind, what runs inside its nodes, and removing what is left of it.

use std::process::ExitCode;

use super::Exit;
use super::output::{self, Output};
use super::stage::BackendArg;
use crate::real::kind::{Options, agent, clean};

/// How real clusters are made.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Real clusters (backend kind)")]
pub(super) struct KindArgs {
    /// Leave the node containers of the backend kind running, and say how to look inside.
    #[arg(long, env = "CERTDRILL_KEEP")]
    keep: bool,
    /// Image of the nodes of the backend kind [default: kindest/node:VERSION].
    #[arg(long, value_name = "IMAGE", env = "CERTDRILL_NODE_IMAGE")]
    node_image: Option<String>,
    /// Scenarios that want the same cluster share it, each from its beginning. One that runs scripts of its own gets another.
    #[arg(long, env = "CERTDRILL_REUSE", conflicts_with_all = ["keep", "kind_cluster"])]
    reuse: bool,
    /// Take over a cluster that the kind CLI made instead of making one; it stays, at the time it has then. The scenario
    /// begins at the present.
    #[arg(
        long,
        value_name = "NAME",
        env = "CERTDRILL_KIND_CLUSTER",
        conflicts_with_all = ["keep", "node_image"]
    )]
    kind_cluster: Option<String>,
}

impl KindArgs {
    /// As the library wants them.
    pub(super) fn options(&self) -> Options {
        Options {
            keep: self.keep,
            image: self.node_image.clone(),
            reuse: self.reuse,
            adopt: self.kind_cluster.clone(),
        }
    }

    /// Why `--kind-cluster` means nothing here: whoever gives it must not read a verdict about another cluster.
    pub(super) fn misplaced(
        &self,
        compares: bool,
        backend: Option<BackendArg>,
    ) -> Option<&'static str> {
        self.kind_cluster.as_ref()?;
        if compares {
            return Some(
                "error: verify makes its own clusters: one that is there lives now, and the other side would not\n  \
                 help: play the scenario with `run --backend kind --kind-cluster NAME`",
            );
        }
        (backend != Some(BackendArg::Kind)).then_some(
            "error: --kind-cluster is for real clusters, and this run would be simulated\n  help: add --backend kind",
        )
    }

    /// The words of the command line that decide what is played.
    pub(super) fn words(&self) -> Vec<String> {
        self.node_image.as_ref().map_or_else(Vec::new, |image| {
            vec!["--node-image".to_owned(), image.clone()]
        })
    }
}

/// Arguments of `certdrill clean`.
#[derive(Debug, clap::Args)]
pub(super) struct CleanArgs {
    /// Also what belongs to a certdrill that still runs, or was kept.
    #[arg(long, env = "CERTDRILL_ALL")]
    all: bool,
}

/// Removes containers and networks that a certdrill left behind.
pub(super) fn clean_up(args: &CleanArgs, output: &mut Output) -> Exit {
    match clean::clean(args.all) {
        Ok(removed) if removed.is_empty() => {
            output.text("nothing is left behind\n");
            Exit::Success
        }
        Ok(removed) => {
            for name in removed {
                output.text(&format!("removed {name}\n"));
            }
            Exit::Success
        }
        Err(error) => {
            output::complain(&format!("error: {}\n  help: {}", error.message, error.help));
            Exit::Infrastructure
        }
    }
}

/// `certdrill node-agent`: carries out the order on standard input.
pub(super) fn node_agent() -> ExitCode {
    match agent::serve() {
        Ok(()) => Exit::Success.into(),
        Err(error) => {
            output::complain(&format!("error: {error}"));
            Exit::Infrastructure.into()
        }
    }
}
