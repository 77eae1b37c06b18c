//! What makes requests like those that were pasted: nodes that join, kubelets that ask for serving certificates, and
//! requests that are posted by hand where nobody can wait for a kubelet to do it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Paste;
use super::requests::Request;
use crate::cluster::RequestState;
use crate::time::SignedDuration;

const SERVING: &str = "kubernetes.io/kubelet-serving";
const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const CLIENT: &str = "kubernetes.io/kube-apiserver-client";

/// The control plane that `kubeadm init` makes.
const FIRST: &str = "cp1";
/// Nodes of one kind that an imported cluster has at most.
const CONTROL_PLANES_MAX: usize = 5;
const WORKERS_MAX: usize = 20;
/// Requests that are posted by hand at most.
const POSTED_MAX: usize = 30;
/// So long before the paste the cluster was made at least: what its own start left is gone by then.
const LEAD_MIN: SignedDuration = SignedDuration::from_hours(3);
/// A kubelet that nobody approves asks this often.
const EVERY: SignedDuration = SignedDuration::from_mins(15);
/// Events this near to each other are one.
const NEAR: SignedDuration = SignedDuration::from_mins(2);
/// The cleaner takes what is decided after an hour, and what is not after a day.
const DECIDED_MAX: SignedDuration = SignedDuration::from_mins(50);
const OPEN_MAX: SignedDuration = SignedDuration::from_hours(23);
/// A list to which as many are added as are taken away.
const STEADY: SignedDuration = SignedDuration::from_hours(48);
/// AGE of a row that does not say it.
const UNKNOWN_AGE: SignedDuration = SignedDuration::from_mins(5);
/// A row of this age was posted a little longer ago than it says.
const A_LITTLE: SignedDuration = SignedDuration::from_secs(20);

/// How the cluster comes to its requests.
#[derive(Debug, Default)]
pub(super) struct Requested {
    /// Control planes and workers.
    pub nodes: (usize, usize),
    /// Further lines of `spec.cluster`.
    pub cluster: Vec<String>,
    /// From the cluster's start to the paste.
    pub lead: SignedDuration,
    /// Steps, and how long before the paste they begin; the first comes first.
    pub events: Vec<Event>,
    /// Expectations, each in one line.
    pub expected: Vec<String>,
    /// What had to be assumed.
    pub assumed: Vec<String>,
    /// Rows that the scenario does not have, and why.
    pub left_out: Vec<(String, &'static str)>,
}

/// Steps at an instant.
#[derive(Debug)]
pub(super) struct Event {
    /// How long before the paste.
    pub before: SignedDuration,
    /// The steps, without indentation.
    pub steps: Vec<String>,
    /// How long they may take.
    takes: SignedDuration,
}

/// Finds out what makes such requests.
pub(super) fn plan(paste: &Paste) -> Requested {
    let mut plan = Plan::new(paste);
    // What is open comes last: who decides one of a signer decides all that are there.
    let open = |request: &&Request| request.state == RequestState::Pending;
    for request in paste.requests.iter().filter(|request| !open(request)) {
        plan.add(request);
    }
    for request in paste.requests.iter().filter(open) {
        plan.add(request);
    }
    plan.joins();
    plan.done(paste)
}

struct Plan {
    out: Requested,
    /// Names of the paste, and of the scenario.
    names: BTreeMap<String, String>,
    workers: usize,
    /// When kubelets began to ask for a serving certificate, and what is to be decided of that.
    serving: BTreeMap<String, Serving>,
    bootstraps: Vec<Bootstrap>,
    /// Client certificates that control planes asked for and got: perhaps with their start.
    own: Vec<(String, Request, SignedDuration)>,
    /// Numbers by node (empty: any) and signer.
    counts: BTreeMap<(String, String), Counts>,
    posted: usize,
    /// How long ago kubelets began to ask for client certificates in vain.
    unapproved: Option<SignedDuration>,
    /// How long ago the last request of a signer was decided by hand.
    decided: BTreeMap<String, SignedDuration>,
}

/// A request of a node that joins.
struct Bootstrap {
    before: SignedDuration,
    signer: String,
    approved: bool,
}

#[derive(Default)]
struct Serving {
    oldest: SignedDuration,
    ages: Vec<SignedDuration>,
    decision: Option<&'static str>,
}

#[derive(Default, Clone, Copy)]
struct Counts {
    pending: u32,
    approved: u32,
    denied: u32,
    failed: u32,
    issued: u32,
}

impl Counts {
    fn add(&mut self, state: RequestState) {
        *match state {
            RequestState::Pending => &mut self.pending,
            RequestState::Approved => &mut self.approved,
            RequestState::Denied => &mut self.denied,
            RequestState::Failed => &mut self.failed,
            RequestState::Issued => &mut self.issued,
        } += 1;
    }

    /// Pending is always told: none is a statement, too.
    fn words(self) -> String {
        let mut text = format!("pending: {}", self.pending);
        for (count, word) in [
            (self.approved, "approved"),
            (self.denied, "denied"),
            (self.failed, "failed"),
            (self.issued, "issued"),
        ] {
            if count > 0 {
                let _ = write!(text, ", {word}: {count}");
            }
        }
        text
    }
}

impl Plan {
    fn new(paste: &Paste) -> Self {
        let is_control_plane = |name: &str| {
            name.split(['-', '.', '_']).any(|part| {
                let kind = part.trim_end_matches(|c: char| c.is_ascii_digit());
                matches!(
                    kind,
                    "cp" | "master" | "control" | "controlplane" | "controller" | "server"
                )
            })
        };
        let mut plan = Self {
            out: Requested::default(),
            names: BTreeMap::new(),
            workers: 0,
            serving: BTreeMap::new(),
            bootstraps: Vec::new(),
            own: Vec::new(),
            counts: BTreeMap::new(),
            posted: 0,
            unapproved: None,
            decided: BTreeMap::new(),
        };
        let mut control_planes = 0;
        for name in &paste.nodes {
            let own = if is_control_plane(name) && control_planes < CONTROL_PLANES_MAX {
                control_planes += 1;
                format!("cp{control_planes}")
            } else if plan.workers < WORKERS_MAX {
                plan.workers += 1;
                format!("w{}", plan.workers)
            } else {
                continue;
            };
            plan.names.insert(name.clone(), own);
        }
        plan.out.nodes.0 = control_planes.max(1);
        let renamed: Vec<String> = plan
            .names
            .iter()
            .filter(|(pasted, own)| pasted != own)
            .map(|(pasted, own)| format!("{pasted} is {own}"))
            .collect();
        if !renamed.is_empty() {
            let renamed = renamed.join(", ");
            plan.assume(&format!(
                "Nodes have the names of this cluster: {renamed}. What is not named like a control plane is a worker."
            ));
        }
        plan
    }

    fn assume(&mut self, text: &str) {
        if !self.out.assumed.iter().any(|known| known == text) {
            self.out.assumed.push(text.to_owned());
        }
    }

    fn leave_out(&mut self, request: &Request, why: &'static str) {
        self.out.left_out.push((request.line.clone(), why));
    }

    fn add(&mut self, request: &Request) {
        let signer = self.signer(request);
        let age = request.age.unwrap_or(UNKNOWN_AGE) + A_LITTLE;
        if request.bootstrap() {
            let (before, approved) = match request.state {
                RequestState::Issued => (age.min(DECIDED_MAX), true),
                RequestState::Pending => (age.min(OPEN_MAX), false),
                _ => return self.leave_out(request, "a join with such a request is not played"),
            };
            self.bootstraps.push(Bootstrap {
                before,
                signer,
                approved,
            });
            return;
        }
        let Some(node) = request.node() else {
            self.by_hand(request, &signer, age);
            return;
        };
        let Some(node) = self.names.get(node).cloned() else {
            self.leave_out(request, "the cluster has nodes enough");
            return;
        };
        if signer == SERVING {
            self.serving(&node, request, age);
        } else if node == FIRST && request.state == RequestState::Issued {
            self.own.push((node, request.clone(), age));
        } else {
            self.by_kubelet(&node, request, &signer, age);
        }
    }

    fn signer(&mut self, request: &Request) -> String {
        if let Some(signer) = &request.signer {
            return signer.clone();
        }
        let open = matches!(request.state, RequestState::Pending | RequestState::Denied);
        if request.bootstrap() {
            KUBELET_CLIENT.to_owned()
        } else if request.node().is_some() {
            self.assume(
                "The table names no signer: what a node asks for is a serving certificate if nobody approved it, \
                 else a client certificate.",
            );
            if open { SERVING } else { KUBELET_CLIENT }.to_owned()
        } else {
            self.assume("The table names no signer: users ask for client certificates.");
            CLIENT.to_owned()
        }
    }

    fn count(&mut self, node: &str, signer: &str, state: RequestState) {
        let key = (node.to_owned(), signer.to_owned());
        self.counts.entry(key).or_default().add(state);
    }

    /// A kubelet with `serverTLSBootstrap: true` asks by itself.
    fn serving(&mut self, node: &str, request: &Request, age: SignedDuration) {
        let serving = self.serving.entry(node.to_owned()).or_default();
        serving.oldest = serving.oldest.max(age);
        serving.ages.push(age);
        match request.state {
            RequestState::Pending => {}
            RequestState::Denied => serving.decision = Some("deny"),
            _ => serving.decision = Some("approve"),
        }
        self.count(node, SERVING, request.state);
    }

    /// A rotation of the client certificate comes after most of a year; its request is posted by hand.
    fn by_kubelet(&mut self, node: &str, request: &Request, signer: &str, age: SignedDuration) {
        let before = match request.state {
            RequestState::Issued => age.min(DECIDED_MAX),
            RequestState::Pending => age.min(OPEN_MAX),
            _ => {
                return self.leave_out(
                    request,
                    "nothing is known that does this to a kubelet's request",
                );
            }
        };
        self.assume(
            "Requests for a kubelet's client certificate are posted by hand: a kubelet does it by itself at 70 to 90 % of \
             the certificate's life.",
        );
        if request.state == RequestState::Pending {
            self.assume(
                "Client certificates of kubelets are pending because the binding of the approver is missing; another \
                 reason is a kube-controller-manager that does not run.",
            );
            self.unapproved = self.unapproved.max(Some(before));
        }
        let step = format!(
            "requestCertificate: {{ with: \"{node}:/etc/kubernetes/kubelet.conf\", signer: {}, commonName: \
             \"system:node:{node}\", organizations: system:nodes, usages: [digital signature, client auth]{} }}",
            quoted(signer),
            expiration(request)
        );
        self.post(request, before, vec![step]);
        self.count(node, signer, request.state);
    }

    /// A user's request.
    fn by_hand(&mut self, request: &Request, signer: &str, age: SignedDuration) {
        if signer == SERVING || signer == KUBELET_CLIENT {
            return self.leave_out(
                request,
                "such certificates are for nodes, and no node asks for it",
            );
        }
        let decide = match request.state {
            RequestState::Pending => None,
            RequestState::Denied => Some("deny"),
            _ => Some("approve"),
        };
        let mut before = age.min(if decide.is_some() {
            DECIDED_MAX
        } else {
            OPEN_MAX
        });
        // Who approves one of a signer approves those that wait with it.
        if let Some(decided) = self.decided.get(signer) {
            before = before.min(*decided);
        }
        if request.requestor != "kubernetes-admin" {
            self.assume("What users asked for is asked for by kubernetes-admin, under the common name `pasted`.");
        }
        let usages = if request.state == RequestState::Failed {
            self.assume("What has failed asked for usages that its signer does not give.");
            "[client auth, server auth]"
        } else {
            "[client auth]"
        };
        let mut steps = vec![format!(
            "requestCertificate: {{ with: \"cp1:/etc/kubernetes/admin.conf\", signer: {}, commonName: pasted, usages: \
             {usages}{} }}",
            quoted(signer),
            expiration(request)
        )];
        if let Some(verb) = decide {
            steps.push(format!("{verb}: {{ signer: {} }}", quoted(signer)));
            self.decided.insert(signer.to_owned(), before);
        }
        self.post(request, before, steps);
        self.count("", signer, request.state);
    }

    fn post(&mut self, request: &Request, before: SignedDuration, steps: Vec<String>) {
        if self.posted == POSTED_MAX {
            return self.leave_out(request, "so many are posted already");
        }
        self.posted += 1;
        self.out.events.push(Event {
            before,
            steps,
            takes: SignedDuration::from_secs(20),
        });
    }

    /// Workers join when they first asked for something; a control plane asks when the cluster is made.
    fn joins(&mut self) {
        let mut joins: BTreeMap<String, (SignedDuration, bool)> = BTreeMap::new();
        for (node, serving) in &self.serving {
            if serving.oldest >= OPEN_MAX {
                self.out.lead = self.out.lead.max(STEADY);
            } else if node.starts_with('w') {
                joins.insert(node.clone(), (serving.oldest, true));
            } else {
                // While the cluster is made the kubelet of the first one is started twice, and asks each time. A list
                // without that begins later.
                let first = serving
                    .ages
                    .iter()
                    .filter(|age| serving.oldest - **age < NEAR);
                let once = node == FIRST && first.count() < 2 && serving.oldest > EVERY + NEAR;
                let lead = if once {
                    serving.oldest - EVERY
                } else {
                    serving.oldest
                };
                self.out.lead = self.out.lead.max(lead);
            }
        }
        for (node, request, age) in std::mem::take(&mut self.own) {
            let serving = self.serving.get(&node).map(|serving| serving.oldest);
            if serving.is_some_and(|oldest| (oldest - age).abs() < NEAR) {
                self.count(&node, KUBELET_CLIENT, request.state);
            } else {
                self.by_kubelet(&node, &request, KUBELET_CLIENT, age);
            }
        }
        self.bootstraps
            .sort_by_key(|one| std::cmp::Reverse(one.before));
        let mut taken: Vec<String> = Vec::new();
        for Bootstrap {
            before,
            signer,
            approved,
        } in std::mem::take(&mut self.bootstraps)
        {
            let near = |node: &String| {
                joins
                    .get(node)
                    .is_some_and(|(other, _)| (*other - before).abs() < NEAR)
            };
            let workers: Vec<String> = (1..=self.workers).map(|n| format!("w{n}")).collect();
            let free = |node: &&String| !taken.contains(*node);
            let known = workers.iter().filter(free).find(|node| near(node));
            let idle = workers
                .iter()
                .filter(free)
                .find(|node| !joins.contains_key(*node));
            let node = match known.or(idle) {
                Some(node) if approved => node.clone(),
                _ if self.workers < WORKERS_MAX => {
                    self.workers += 1;
                    format!("w{}", self.workers)
                }
                _ => continue,
            };
            let state = if approved {
                RequestState::Issued
            } else {
                RequestState::Pending
            };
            self.count(&node, &signer, state);
            joins.entry(node.clone()).or_insert((before, approved));
            taken.push(node);
        }
        let minute = SignedDuration::from_mins(1);
        for (node, (before, approved)) in &joins {
            let (steps, takes) = if *approved {
                (vec![format!("join: \"@{node}\"")], 2 * minute)
            } else {
                let refused = vec![
                    "kubectl: delete clusterrolebinding kubeadm:node-autoapprove-bootstrap"
                        .to_owned(),
                    format!("join: {{ nodes: \"@{node}\", exitCode: 1 }}"),
                ];
                (refused, 10 * minute)
            };
            self.out.events.push(Event {
                before: *before,
                steps,
                takes,
            });
        }
        if !joins.is_empty() {
            let names: Vec<&str> = joins.keys().map(String::as_str).collect();
            self.out
                .cluster
                .push(format!("joinLater: \"@{}\"", names.join(",")));
            self.assume("A worker joined when it first asked for a certificate.");
        }
        if joins.values().any(|(_, approved)| !approved) {
            self.assume(
                "Nodes that join are not approved because the binding of the approver is missing; another reason is a \
                 kube-controller-manager that does not run.",
            );
        }
    }

    fn done(mut self, paste: &Paste) -> Requested {
        if !self.serving.is_empty() {
            self.out.cluster.push("serverTLSBootstrap: true".to_owned());
            self.assume(
                "Kubelets ask for serving certificates (serverTLSBootstrap: true), and nobody approves them but you.",
            );
        }
        for (node, serving) in &self.serving {
            let Some(verb) = serving.decision else {
                continue;
            };
            self.out.events.push(Event {
                before: (serving.oldest - SignedDuration::from_secs(30)).min(DECIDED_MAX),
                steps: vec![format!("{verb}: {{ of: \"@{node}\", signer: {SERVING} }}")],
                takes: SignedDuration::from_secs(10),
            });
        }
        if self.out.lead == SignedDuration::ZERO && !paste.requests.is_empty() {
            self.out.lead = LEAD_MIN;
        }
        let events = &mut self.out.events;
        if let Some(before) = self.unapproved {
            let step =
                "kubectl: delete clusterrolebinding kubeadm:node-autoapprove-certificate-rotation";
            let event = Event {
                before,
                steps: vec![step.to_owned()],
                takes: SignedDuration::from_secs(10),
            };
            events.insert(0, event);
        }
        // What takes a while begins as long before the next. Those at one instant stay in their order.
        events.reverse();
        events.sort_by_key(|event| event.before);
        let mut free = SignedDuration::from_secs(5);
        for event in events.iter_mut() {
            event.before = event.before.max(free + event.takes);
            free = event.before;
        }
        events.reverse();
        if let Some(first) = events.first() {
            let settled = first.before + SignedDuration::from_mins(2);
            self.out.lead = self.out.lead.max(settled);
        }
        self.out.nodes.1 = self.workers;
        self.out.expected = self
            .counts
            .iter()
            .map(|((node, signer), counts)| {
                let of = if node.is_empty() {
                    String::new()
                } else {
                    format!("of: \"@{node}\", ")
                };
                let signer = quoted(signer);
                format!("{{ csr: {{ {of}signer: {signer}, {} }} }}", counts.words())
            })
            .collect();
        self.out
    }
}

fn expiration(request: &Request) -> String {
    request.duration.map_or_else(String::new, |length| {
        format!(", expirationSeconds: {}", length.as_secs())
    })
}

/// A name as YAML takes it in a mapping.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "./-".contains(c);
    if name.chars().all(plain) {
        name.to_owned()
    } else {
        serde_json::to_string(name).unwrap_or_default()
    }
}
