//! A forecast: findings, what breaks, what to do, and whether that cures it.

use std::cell::Cell;

use schemars::JsonSchema;
use serde::Serialize;

use super::capture::Node;
use super::etcd_machines;
use super::plan::{Act, Occasion, Plan, PlanError};
use super::play::{Break, Future, play};
use super::rebuild::{RebuildError, Rebuilt, rebuild, version_of};
use super::remedy::{Command, Order};
use super::rules::{self, Cluster, Finding, Severity};
use crate::cluster::{Engine, EngineError};
use crate::time::{SignedDuration, Timestamp, shift};

/// Certificates are renewed this long before they end, as a careful operator does.
const AHEAD: SignedDuration = SignedDuration::from_hours(30 * 24);
/// From one renewal to the next: a certificate lives a year.
const RENEWAL_EVERY: SignedDuration = SignedDuration::from_hours(330 * 24);

/// Courses that are played with a plan: it, what findings ask for, and three remedies. Without one, machines restart in another.
const COURSES_MAX: u32 = 5;
/// From a renewal to the copy of what it renewed.
const COPIED_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// How far to look.
    pub horizon: SignedDuration,
    /// What happens meanwhile; without it nothing, and in a second run every machine restarts each month.
    pub plan: Option<Plan>,
}

/// Why there is no forecast at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutlookError {
    /// The plan is wrong.
    #[error("the plan: {0}")]
    Plan(#[from] PlanError),
    /// There is nothing to make a world of.
    #[error(transparent)]
    Rebuild(RebuildError),
    /// The real kubeadm could not be run.
    #[error(transparent)]
    Engine(EngineError),
}

/// What will become of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Outlook {
    /// Version of this format.
    #[schemars(extend("const" = super::capture::API_VERSION))]
    pub api_version: &'static str,
    /// `Forecast`.
    #[schemars(extend("const" = "Forecast"))]
    pub kind: &'static str,
    /// Nodes, control planes first.
    pub nodes: Vec<String>,
    /// Kubernetes version of the first control plane.
    pub version: String,
    /// When it was captured: the forecast begins then.
    #[schemars(with = "String")]
    pub from: Timestamp,
    /// Where it ends.
    #[schemars(with = "String")]
    pub until: Timestamp,
    /// What runs kubeadm: `sim` or `kubeadm`.
    pub backend: String,
    /// What happens meanwhile.
    pub plan: Vec<String>,
    /// What the files show.
    pub findings: Vec<Finding>,
    /// Why the cluster could not be played; then there is nothing below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_played: Option<String>,
    /// What breaks.
    pub breaks: Vec<Break>,
    /// What breaks besides if every machine restarts each month; only without a plan.
    pub breaks_with_restarts: Vec<Break>,
    /// Commands of the plan that fail.
    pub refused: Vec<String>,
    /// When the first of them fails.
    #[serde(skip)]
    pub first_refused: Option<Timestamp>,
    /// What to do, in this order.
    pub remedies: Vec<Remedy>,
    /// Whether that was tried, and what was left.
    pub replay: Option<Replay>,
    /// What was taken for granted.
    pub assumptions: Vec<String>,
}

/// Commands for one node, and by when.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Remedy {
    /// By when; `None` is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub by: Option<Timestamp>,
    /// The node.
    pub node: String,
    /// What to type.
    pub commands: Vec<String>,
}

/// What became of a rebuilt cluster with the remedies.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Replay {
    /// Nothing breaks any more.
    pub cured: bool,
    /// Commands that failed.
    pub failed: Vec<String>,
    /// What still breaks.
    pub left: Vec<Break>,
}

/// How far a forecast is. It is told before each command and when a course has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The course that is played: its number, from 1.
    pub course: u32,
    /// There are no more than this; where nothing has to be cured there are fewer.
    pub courses_max: u32,
    /// How much of its time has passed, in parts of a thousand.
    pub passed: u32,
}

/// Is told how far a forecast is.
pub type Watch<'w> = &'w dyn Fn(Progress);

/// Makes engines: each world needs its own.
pub type Engines<'e> = &'e dyn Fn() -> Box<dyn Engine>;

/// Forecasts a cluster.
///
/// # Errors
/// See [`OutlookError`]. A cluster that cannot be simulated is no error: the findings are there.
pub fn forecast(
    nodes: &[Node],
    options: &Options,
    engines: Engines<'_>,
) -> Result<Outlook, OutlookError> {
    forecast_watched(nodes, options, engines, &|_| {})
}

/// As [`forecast`], and says how far it is.
///
/// # Errors
/// As [`forecast`].
pub fn forecast_watched(
    nodes: &[Node],
    options: &Options,
    engines: Engines<'_>,
    watch: Watch<'_>,
) -> Result<Outlook, OutlookError> {
    let first = nodes
        .iter()
        .find(|node| node.control_plane)
        .ok_or(OutlookError::Rebuild(RebuildError::NoControlPlane))?;
    let version = version_of(first).map_err(OutlookError::Rebuild)?;
    let from = nodes.iter().map(|node| node.at).max().unwrap_or(first.at);
    let until = shift(from, options.horizon);
    let mut ordered: Vec<Node> = nodes.to_vec();
    ordered.sort_by_key(|node| !node.control_plane);
    let names: Vec<String> = ordered.iter().map(|node| node.name.clone()).collect();
    let planned = match &options.plan {
        Some(plan) => plan.occasions(from, until, &names)?,
        None => Vec::new(),
    };
    let cluster = Cluster {
        nodes: &ordered,
        at: from,
        horizon: until,
        version,
        occasions: &planned,
    };
    let mut outlook = Outlook {
        api_version: super::capture::API_VERSION,
        kind: "Forecast",
        nodes: names.clone(),
        version: version.to_string(),
        from,
        until,
        backend: engines().backend().to_owned(),
        plan: words(&planned),
        findings: rules::check(&cluster),
        not_played: None,
        breaks: Vec::new(),
        breaks_with_restarts: Vec::new(),
        refused: Vec::new(),
        first_refused: None,
        remedies: Vec::new(),
        replay: None,
        assumptions: Vec::new(),
    };
    let stage = Stage {
        nodes: &ordered,
        until,
        engines,
        watch,
        courses_max: COURSES_MAX + u32::from(options.plan.is_none()),
        course: Cell::new(0),
    };
    let (future, assumptions) = match stage.run(&[], &planned) {
        Ok((future, assumptions, _)) => (future, assumptions),
        Err(OutlookError::Rebuild(RebuildError::Unplayable(why))) => {
            outlook.not_played = Some(why);
            outlook.remedies = remedies(&now_orders(&outlook.findings, &names), &[], &cluster);
            return Ok(outlook);
        }
        Err(error) => return Err(error),
    };
    outlook.assumptions = assumptions;
    outlook.breaks = future.breaks;
    outlook.first_refused = future.refused.first().map(|(at, _)| *at);
    outlook.refused = future
        .refused
        .into_iter()
        .map(|(at, said)| format!("{at}: {said}"))
        .collect();
    // The stricter of the two courses is what the remedies must stand.
    let course = if options.plan.is_some() {
        planned.clone()
    } else {
        Plan::restarts().occasions(from, until, &names)?
    };
    if options.plan.is_none() {
        let (restarted, _, _) = stage.run(&[], &course)?;
        outlook.breaks_with_restarts = besides(restarted.breaks, &outlook.breaks);
    }
    let anything = !outlook.breaks.is_empty()
        || !outlook.breaks_with_restarts.is_empty()
        || outlook
            .findings
            .iter()
            .any(|finding| !finding.orders.is_empty());
    if anything {
        stage.cure(&mut outlook, &course, &cluster)?;
    }
    Ok(outlook)
}

/// The schema of a forecast in JSON, as it is published in `docs/forecast.schema.json`.
#[must_use]
pub fn schema() -> String {
    crate::report::document::schema::<Outlook>("certdrill forecast", "forecast")
}

impl Outlook {
    /// The first instant within a length of time at which something breaks or has broken, or a command of the plan fails.
    #[must_use]
    pub fn fails_within(&self, span: SignedDuration) -> Option<Timestamp> {
        let limit = shift(self.from, span);
        let broken = self
            .breaks
            .iter()
            .chain(&self.breaks_with_restarts)
            .map(|found| found.at);
        let found = self
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .map(|finding| finding.at.unwrap_or(self.from).max(self.from));
        broken
            .chain(found)
            .chain(self.first_refused)
            .filter(|at| *at <= limit)
            .min()
    }
}

struct Stage<'s> {
    nodes: &'s [Node],
    until: Timestamp,
    engines: Engines<'s>,
    watch: Watch<'s>,
    courses_max: u32,
    /// The number of the course that is played.
    course: Cell<u32>,
}

impl Stage<'_> {
    /// Rebuilds the cluster, gives orders, and lets it live. Returns what failed of the orders last.
    fn run(
        &self,
        orders: &[Order],
        occasions: &[Occasion],
    ) -> Result<(Future, Vec<String>, Vec<String>), OutlookError> {
        let Rebuilt {
            mut world,
            assumptions,
        } = rebuild(self.nodes, (self.engines)()).map_err(OutlookError::Rebuild)?;
        self.course.set(self.course.get() + 1);
        let told = |passed: u32| {
            (self.watch)(Progress {
                course: self.course.get(),
                courses_max: self.courses_max,
                passed,
            });
        };
        let mut failed = Vec::new();
        for order in orders {
            told(0);
            if let Err(error) = order.apply(&mut world) {
                failed.push(format!("{}: {error}", order.node));
            }
        }
        if !orders.is_empty() {
            // What was stopped finds itself again.
            world.walk(SignedDuration::from_mins(15));
        }
        let future = play(&mut world, occasions, self.until, &told);
        told(1_000);
        match world.broken.take() {
            Some(error) => Err(OutlookError::Engine(error)),
            None => Ok((future, assumptions, failed)),
        }
    }

    /// Finds what cures the cluster, and tries it.
    fn cure(
        &self,
        outlook: &mut Outlook,
        course: &[Occasion],
        cluster: &Cluster<'_>,
    ) -> Result<(), OutlookError> {
        let orders = now_orders(&outlook.findings, &outlook.nodes);
        let (mut future, _, mut failed) = self.run(&orders, course)?;
        let mut in_time = Vec::new();
        if let Some(first) = future.breaks.iter().map(|found| found.at).min() {
            let copies = copies_after(course);
            let mut renewals = renewals_from(first, outlook.from, self.until);
            let with_etcd = with_etcd(&renewals, &etcd_machines::orders(self.nodes));
            renewals.extend(copies_after(&renewals));
            // The lesser remedy first: where the course itself renews, copies of admin.conf may be all that is left.
            for tried in [copies, renewals, with_etcd] {
                if tried.is_empty() || future.breaks.is_empty() {
                    continue;
                }
                let mut both = course.to_vec();
                both.extend(tried.iter().cloned());
                both.sort_by_key(|occasion| occasion.at);
                let (later, _, again) = self.run(&orders, &both)?;
                let begins = |future: &Future| future.breaks.iter().map(|found| found.at).min();
                // What cures nothing is no remedy.
                if later.breaks.len() < future.breaks.len()
                    || begins(&later) > begins(&future) && begins(&later).is_some()
                {
                    future = later;
                    failed = again;
                    in_time = tried;
                }
            }
        }
        outlook.remedies = remedies(&orders, &in_time, cluster);
        failed.extend(
            future
                .refused
                .iter()
                .map(|(at, said)| format!("{at}: {said}")),
        );
        outlook.replay = Some(Replay {
            cured: future.breaks.is_empty() && failed.is_empty(),
            failed,
            left: future.breaks,
        });
        Ok(())
    }
}

/// What one course brings that the other does not: another subject, or the same one more than a day earlier.
fn besides(found: Vec<Break>, known: &[Break]) -> Vec<Break> {
    const SAME: SignedDuration = SignedDuration::from_hours(24);
    let before = |what: &str| {
        known
            .iter()
            .filter(|other| other.consequences.iter().any(|it| it.what == what))
            .map(|other| other.at)
            .min()
    };
    found
        .into_iter()
        .filter_map(|mut it| {
            let at = it.at;
            it.consequences.retain(|consequence| {
                before(&consequence.what).is_none_or(|earlier| earlier.duration_since(at) > SAME)
            });
            (!it.consequences.is_empty()).then_some(it)
        })
        .collect()
}

/// What is to be done at once: all that findings ask for but renewals that have time.
fn now_orders(findings: &[Finding], names: &[String]) -> Vec<Order> {
    let mut orders: Vec<Order> = findings
        .iter()
        .filter(|finding| {
            finding.severity == Severity::Error
                || !finding
                    .orders
                    .iter()
                    .any(|order| order.command == Command::RenewAll)
        })
        .flat_map(|finding| finding.orders.iter().cloned())
        .collect();
    let place = |node: &str| names.iter().position(|name| name == node);
    let later = |order: &Order| !matches!(order.command, Command::Etcd(_));
    orders.sort_by(|a, b| {
        (later(a), place(&a.node), &a.command).cmp(&(later(b), place(&b.node), &b.command))
    });
    orders.dedup();
    orders
}

/// Renewals in time for what breaks first, and so on.
fn renewals_from(first: Timestamp, from: Timestamp, until: Timestamp) -> Vec<Occasion> {
    let soonest = shift(from, SignedDuration::from_hours(1));
    let mut at = shift(first, -AHEAD).max(soonest);
    let mut out = Vec::new();
    while at < until {
        out.push(Occasion {
            at,
            act: Act::Renew {
                nodes: Vec::new(),
                restart: true,
            },
        });
        at = shift(at, RENEWAL_EVERY);
    }
    out
}

/// The same renewals, each after one of the external etcd.
fn with_etcd(renewals: &[Occasion], orders: &[Order]) -> Vec<Occasion> {
    if orders.is_empty() {
        return Vec::new();
    }
    // Control planes restart with the renewal that follows.
    let orders: Vec<Order> = orders
        .iter()
        .filter(|order| matches!(order.command, Command::Etcd(_)))
        .cloned()
        .collect();
    let mut out: Vec<Occasion> = renewals
        .iter()
        .flat_map(|renewal| {
            let etcd = Occasion {
                at: renewal.at,
                act: Act::RenewEtcd(orders.clone()),
            };
            [etcd, renewal.clone()]
        })
        .collect();
    out.extend(copies_after(renewals));
    out
}

/// Orders as remedies: what follows on one node is one.
fn on_nodes(by: Option<Timestamp>, orders: &[Order], cluster: &Cluster<'_>) -> Vec<Remedy> {
    let mut out: Vec<Remedy> = Vec::new();
    for order in orders {
        let commands = order.shell(cluster.version, cluster.certificates_dir(&order.node));
        match out.last_mut() {
            Some(last) if last.node == order.node => last.commands.extend(commands),
            _ => out.push(Remedy {
                by,
                node: order.node.clone(),
                commands,
            }),
        }
    }
    out
}

fn remedies(orders: &[Order], in_time: &[Occasion], cluster: &Cluster<'_>) -> Vec<Remedy> {
    let mut out = on_nodes(None, orders, cluster);
    for (index, occasion) in in_time.iter().enumerate() {
        if let Act::RenewEtcd(orders) = &occasion.act {
            out.extend(on_nodes(Some(occasion.at), orders, cluster));
            continue;
        }
        let copied = in_time[index..]
            .iter()
            .any(|other| other.act == Act::CopyAdminConf);
        for node in cluster.nodes.iter().filter(|node| node.control_plane) {
            let has_copy = node.file(crate::cluster::USER_CONF).is_some();
            let mut commands = Vec::new();
            match occasion.act {
                Act::Renew { .. } => {
                    commands.push(Command::RenewAll);
                    if copied && has_copy {
                        commands.push(Command::CopyAdminConf);
                    }
                    commands.push(Command::RestartControlPlane);
                }
                // After a renewal of these remedies it is part of them.
                Act::CopyAdminConf if has_copy && !follows_renewal(in_time, occasion) => {
                    commands.push(Command::CopyAdminConf);
                }
                _ => continue,
            }
            out.push(Remedy {
                by: Some(occasion.at),
                node: node.name.clone(),
                commands: commands
                    .into_iter()
                    .flat_map(|command| {
                        Order::new(&node.name, command)
                            .shell(cluster.version, node.certificates_dir())
                    })
                    .collect(),
            });
        }
    }
    out
}

/// Users' copies of admin.conf, an hour after each occasion that renews it.
fn copies_after(occasions: &[Occasion]) -> Vec<Occasion> {
    occasions
        .iter()
        .filter(|occasion| matches!(occasion.act, Act::Renew { .. } | Act::Upgrade { .. }))
        .map(|occasion| Occasion {
            at: shift(occasion.at, COPIED_AFTER),
            act: Act::CopyAdminConf,
        })
        .collect()
}

fn follows_renewal(occasions: &[Occasion], copy: &Occasion) -> bool {
    occasions.iter().any(|other| {
        matches!(other.act, Act::Renew { .. }) && shift(other.at, COPIED_AFTER) == copy.at
    })
}

/// What is planned, in lines; what repeats is one line.
fn words(occasions: &[Occasion]) -> Vec<String> {
    const LINES_MAX: usize = 12;
    let mut lines: Vec<String> = occasions
        .iter()
        .take(LINES_MAX)
        .map(|occasion| {
            let at = jiff::fmt::strtime::format("%Y-%m-%d %H:%M UTC", occasion.at);
            format!("{}: {}", at.unwrap_or_default(), occasion.act.words())
        })
        .collect();
    if occasions.len() > LINES_MAX {
        lines.push(format!("and {} more", occasions.len() - LINES_MAX));
    }
    lines
}
