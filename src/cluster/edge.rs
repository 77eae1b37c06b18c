//! Edges: a client and a server, judged by real X.509 at the virtual time of their nodes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::files::{Credential, Roots};
use super::texts;
use crate::kubeadm::Version;
use crate::pki::{ServerName, Usage, VerifyError, VerifyErrorKind, verify_window};
use crate::scenario::Component;
use crate::time::Timestamp;

/// A client and a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeId {
    /// Who connects.
    pub client: Component,
    /// The client's node.
    pub client_node: usize,
    /// Who is connected to.
    pub server: Component,
    /// The server's node; `None` where the client's kubeconfig says.
    pub server_node: Option<usize>,
}

/// An edge and its two states.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Which.
    pub id: EdgeId,
    /// What a new handshake and request would give.
    pub fresh: Outcome,
    /// The open connection, and what a request on it gives.
    pub held: Option<Held>,
    /// Record that brought the fresh state about.
    pub cause: Option<u64>,
}

/// What a request gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// There is no such client at the moment.
    Absent,
    /// It works.
    Ok,
    /// Behind a load balancer some backends work.
    Partial {
        /// Backends that work.
        working: u32,
        /// Backends that get requests.
        total: u32,
        /// Why the others fail.
        failure: Failure,
    },
    /// It fails.
    Failing(Failure),
}

/// An open connection.
#[derive(Debug, Clone)]
pub struct Held {
    /// The client's process.
    pub client_process: u64,
    /// The node it ended up on.
    pub server_node: usize,
    /// The server's process.
    pub server_process: u64,
    /// The client certificate that was shown.
    pub credential: Option<Arc<Credential>>,
    /// What a request on it gives.
    pub failure: Option<Failure>,
}

/// Why a request fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The class.
    pub class: FailureClass,
    /// The text the client prints.
    pub text: String,
    /// What the server logs about it, where that is known.
    pub server_log: Option<String>,
    /// Servers behind a balancer were seen to fail in several ways, and this is one of them.
    pub one_of_several: bool,
}

impl Failure {
    /// A failure that only the client speaks of.
    #[must_use]
    pub fn new(class: FailureClass, text: String) -> Self {
        Self {
            class,
            text,
            server_log: None,
            one_of_several: false,
        }
    }
}

/// Classes of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureClass {
    /// Nothing listens there.
    Unreachable,
    /// The client does not accept the server's certificate.
    ServerCertificate,
    /// The server does not accept the client's certificate.
    ClientCertificate,
    /// The client has no certificate to show and is nobody.
    Anonymous,
    /// The server knows the client and does not let it.
    Forbidden,
    /// The client cannot read its own configuration.
    Configuration,
    /// The server works but what is behind it does not.
    Backend,
    /// The client's process does not run.
    NotRunning,
}

impl FailureClass {
    /// Whether a certificate is what the failure is about.
    #[must_use]
    pub fn is_about_certificates(self) -> bool {
        matches!(
            self,
            FailureClass::ServerCertificate | FailureClass::ClientCertificate
        )
    }

    /// The word in traces.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            FailureClass::Unreachable => "unreachable",
            FailureClass::ServerCertificate => "serverCertificate",
            FailureClass::ClientCertificate => "clientCertificate",
            FailureClass::Anonymous => "anonymous",
            FailureClass::Forbidden => "forbidden",
            FailureClass::Configuration => "configuration",
            FailureClass::Backend => "backend",
            FailureClass::NotRunning => "notRunning",
        }
    }
}

impl Outcome {
    /// Whether every request works.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self, Outcome::Ok)
    }

    /// The state without its text, to tell whether it changed.
    #[must_use]
    pub fn class(&self) -> (u8, Option<FailureClass>) {
        match self {
            Outcome::Absent => (0, None),
            Outcome::Ok => (1, None),
            Outcome::Partial { failure, .. } => (2, Some(failure.class)),
            Outcome::Failing(failure) => (3, Some(failure.class)),
        }
    }

    /// Why it fails, where it does.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Outcome::Partial { failure, .. } | Outcome::Failing(failure) => Some(failure),
            _ => None,
        }
    }
}

impl Edge {
    /// An edge nothing is known of yet.
    #[must_use]
    pub fn new(id: EdgeId) -> Self {
        Self {
            id,
            fresh: Outcome::Absent,
            held: None,
            cause: None,
        }
    }

    /// What a request really gives: on the open connection where there is one, else on a new one.
    #[must_use]
    pub fn effective(&self) -> Outcome {
        match &self.held {
            Some(held) => match &held.failure {
                None => Outcome::Ok,
                Some(failure) => Outcome::Failing(failure.clone()),
            },
            None => self.fresh.clone(),
        }
    }
}

/// Verifications by what goes in, each with the stretch of time in which its result stands.
///
/// A result is never taken outside the stretch between two validity boundaries of the certificates
/// involved, so this gives what a verification at that very instant would give.
#[derive(Debug, Default)]
pub struct Verifications {
    done: RefCell<HashMap<VerificationKey, Vec<Known>>>,
    /// Judge everything at the beginning of its life: for tests of what rests on expiry.
    timeless: bool,
    /// Accept every issuer: for tests of what rests on trust.
    trusting: bool,
}

/// Addresses of shared data. The entry keeps that data alive, so an address is never used again.
type VerificationKey = (usize, usize, Usage, Option<String>);

#[derive(Debug)]
struct Known {
    from: Timestamp,
    until: Timestamp,
    error: Option<VerifyError>,
    _shown: Arc<Credential>,
    _roots: Arc<Roots>,
}

/// A verification: who is checked, by whom, for what.
#[derive(Debug, Clone, Copy)]
pub struct Check<'a> {
    /// The certificate that is shown, with its intermediates.
    pub shown: &'a Arc<Credential>,
    /// What the verifier trusts.
    pub roots: &'a Arc<Roots>,
    /// What the certificate is used for.
    pub usage: Usage,
    /// The name it must be valid for.
    pub name: Option<&'a str>,
    /// The verifier's wall clock.
    pub at: Timestamp,
}

impl Verifications {
    /// Verifies as Go would.
    ///
    /// # Errors
    /// With Go's error; its text carries the verifier's current time.
    pub fn check(&self, mut check: Check<'_>) -> Result<(), VerifyError> {
        if self.timeless {
            check.at = check.shown.certificate.not_before();
        }
        let key = (
            Arc::as_ptr(check.shown) as usize,
            Arc::as_ptr(check.roots) as usize,
            check.usage,
            check.name.map(str::to_owned),
        );
        if let Some(known) = self.done.borrow().get(&key)
            && let Some(found) = known
                .iter()
                .find(|known| known.from <= check.at && check.at <= known.until)
        {
            return match &found.error {
                None => Ok(()),
                // The text names the current time.
                Some(error) => Err(error.at(check.at)),
            };
        }
        let (mut result, from, until) = self.verify(check);
        let unknown = |error: &VerifyError| error.kind() == VerifyErrorKind::UnknownAuthority;
        if self.trusting && result.as_ref().is_err_and(unknown) {
            result = Ok(());
        }
        self.done.borrow_mut().entry(key).or_default().push(Known {
            from,
            until,
            error: result.clone().err(),
            _shown: Arc::clone(check.shown),
            _roots: Arc::clone(check.roots),
        });
        result
    }

    /// From now on whoever has signed is trusted.
    pub(super) fn ignore_issuers(&mut self) {
        self.trusting = true;
    }

    /// From now on certificates do not end.
    pub(super) fn ignore_time(&mut self) {
        self.timeless = true;
    }

    #[expect(
        clippy::unused_self,
        reason = "a verification belongs to the cache it fills"
    )]
    fn verify(&self, check: Check<'_>) -> (Result<(), VerifyError>, Timestamp, Timestamp) {
        let name = check.name.map(ServerName::new);
        let window = verify_window(
            &check.shown.certificate,
            &check.shown.intermediates,
            &check.roots.certificates,
            check.usage,
            name.as_ref(),
            check.at,
        );
        (window.result, window.valid_from, window.valid_until)
    }
}

/// A client's side of a TLS connection.
#[derive(Debug, Clone)]
pub struct ClientSide {
    /// Who.
    pub component: Component,
    /// Its Kubernetes version.
    pub version: Version,
    /// What it trusts servers by; `None` when it does not check them.
    pub roots: Option<Arc<Roots>>,
    /// What it shows.
    pub credential: Option<Arc<Credential>>,
    /// The name it asks for.
    pub name: String,
    /// Its wall clock.
    pub at: Timestamp,
}

/// A server's side of a TLS connection.
#[derive(Debug, Clone)]
pub struct ServerSide {
    /// Who.
    pub component: Component,
    /// Its Kubernetes version.
    pub version: Version,
    /// What it shows; `None` when it is not checked.
    pub credential: Option<Arc<Credential>>,
    /// What it trusts clients by.
    pub client_roots: Option<Arc<Roots>>,
    /// A name or address the client's certificate must carry (etcd peers).
    pub client_name: Option<String>,
    /// Its wall clock.
    pub at: Timestamp,
}

/// What a new handshake and a request would give.
///
/// # Errors
/// With the text the client prints.
pub fn connect(
    verifications: &Verifications,
    client: &ClientSide,
    server: &ServerSide,
) -> Result<(), Failure> {
    if let (Some(roots), Some(shown)) = (&client.roots, &server.credential) {
        verifications
            .check(Check {
                shown,
                roots,
                usage: Usage::Server,
                name: Some(&client.name),
                at: client.at,
            })
            .map_err(|error| {
                Failure::new(
                    FailureClass::ServerCertificate,
                    texts::server_rejected(
                        client.component,
                        client.version,
                        server.component,
                        &client.name,
                        &error,
                    ),
                )
            })?;
    }
    authenticate(verifications, client, server)
}

/// What the server says to the client's certificate, on a new connection or (API servers and kubelets)
/// with each request of an open one.
///
/// # Errors
/// With the text the client prints.
pub fn authenticate(
    verifications: &Verifications,
    client: &ClientSide,
    server: &ServerSide,
) -> Result<(), Failure> {
    let Some(roots) = &server.client_roots else {
        return Ok(());
    };
    let Some(shown) = &client.credential else {
        return Err(Failure::new(
            FailureClass::Anonymous,
            texts::anonymous(client.component, server.component, &client.name),
        ));
    };
    let check = Check {
        shown,
        roots,
        usage: Usage::Client,
        name: None,
        at: server.at,
    };
    verifications.check(check).map_err(|error| Failure {
        class: FailureClass::ClientCertificate,
        text: texts::client_rejected(
            client.component,
            client.version,
            server.component,
            &client.name,
            &error,
        ),
        server_log: texts::refusal_logged(
            client.component,
            server.component,
            server.version,
            &shown.certificate,
            &error,
        ),
        one_of_several: false,
    })?;
    if let Some(name) = &server.client_name {
        let usage = Usage::Client;
        verifications
            .check(Check {
                name: Some(name),
                usage,
                ..check
            })
            .map_err(|_| {
                let (text, log) =
                    texts::peer_name_rejected(name, server.version, &shown.certificate);
                Failure {
                    server_log: Some(log),
                    ..Failure::new(FailureClass::ClientCertificate, text)
                }
            })?;
    }
    Ok(())
}
