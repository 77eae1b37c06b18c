//! The signer: which certificate comes of an approved request, and what keeps it from coming.
//!
//! After `pkg/controller/certificates/{signer,authority}`.

use std::sync::Arc;

use super::flags::Flags;
use super::{ConditionKind, LEGACY_UNKNOWN, Origin, RequestState, SIGNERS, recognise};
use crate::cluster::files::Credential;
use crate::cluster::managers::{CSR_APPROVING, CSR_SIGNING};
use crate::cluster::world::World;
use crate::cluster::{Permission, Requestor};
use crate::fs::Tree;
use crate::kubeadm::Version;
use crate::kubeadm::profile::components::Slot;
use crate::kubeadm::profile::signing::{
    CA_FILE_ERROR, CaFileError, FAILED_CONDITION, SIGNING_POLICY, SigningPolicy,
};
use crate::pki::{self, Certificate, ExtKeyUsage, KeySource, KeyUsage, PrivateKey, issue};
use crate::run::trace::Weight;
use crate::scenario::Component;
use crate::time::{SignedDuration, Timestamp, shift, x509_second};

/// How far NotBefore is set back, and a long certificate's NotAfter with it.
const BACKDATE: SignedDuration = SignedDuration::from_mins(5);
/// What lasts less is not shortened by that.
const SHORT: SignedDuration = SignedDuration::from_hours(8);
/// The shortest life the signer gives, whatever is asked.
const SHORTEST: SignedDuration = SignedDuration::from_mins(10);

/// Life of a certificate: the flag's, or a shorter one that the request asks for (`signer.go duration`).
#[must_use]
pub fn life(flag: SignedDuration, asked_seconds: Option<i64>) -> SignedDuration {
    match asked_seconds.map(SignedDuration::from_secs) {
        None => flag,
        Some(asked) if asked > flag => flag,
        Some(asked) => asked.max(SHORTEST),
    }
}

/// NotBefore and NotAfter of a certificate that is signed now (`PermissiveSigningPolicy`, `cfssl`).
///
/// # Errors
/// With the signer's words when its CA has ended. Five minutes long they are others than later.
pub fn dates(
    policy: SigningPolicy,
    now: Timestamp,
    life: SignedDuration,
    ca_end: Timestamp,
) -> Result<(Timestamp, Timestamp), String> {
    let ended = || format!("the signer has expired: NotAfter={}", go_time(ca_end));
    if policy == SigningPolicy::Cfssl {
        let left = ca_end.duration_since(now);
        if left <= SignedDuration::ZERO {
            return Err(format!("the signer has expired: {}", go_time(ca_end)));
        }
        let rounded =
            Timestamp::from_second((now.as_second() + 30).div_euclid(60) * 60).unwrap_or(now);
        let not_before = shift(rounded, -BACKDATE);
        return Ok((not_before, x509_second(shift(not_before, life.min(left)))));
    }
    let not_before = shift(now, -BACKDATE);
    let mut not_after = shift(not_before, life);
    if policy == SigningPolicy::ShortNotBackdated && life < SHORT {
        not_after = shift(now, life);
    }
    if not_before >= ca_end {
        return Err(ended());
    }
    if now >= ca_end {
        let text = "refusing to sign a certificate that expired in the past";
        return Err(match policy {
            SigningPolicy::ShortNotBackdated => format!("{text}: NotAfter={}", go_time(ca_end)),
            _ => text.to_owned(),
        });
    }
    Ok((x509_second(not_before), x509_second(not_after.min(ca_end))))
}

/// A time as Go prints it with `%v`.
fn go_time(at: Timestamp) -> String {
    jiff::fmt::strtime::format("%Y-%m-%d %H:%M:%S +0000 UTC", at).unwrap_or_default()
}

/// Key usages and extended key usages of a list from a request (`keyUsagesFromStrings`).
///
/// # Errors
/// When it has a word that is none.
pub fn usages_of(list: &[String]) -> Result<(KeyUsage, Vec<ExtKeyUsage>), String> {
    let mut usage = KeyUsage::default();
    let mut extended = Vec::new();
    let mut unknown = Vec::new();
    for word in list {
        match word.as_str() {
            "signing" | "digital signature" => usage = usage.and(KeyUsage::DIGITAL_SIGNATURE),
            "content commitment" => usage = usage.and(KeyUsage(1 << 1)),
            "key encipherment" => usage = usage.and(KeyUsage::KEY_ENCIPHERMENT),
            "data encipherment" => usage = usage.and(KeyUsage(1 << 3)),
            "key agreement" => usage = usage.and(KeyUsage(1 << 4)),
            "cert sign" => usage = usage.and(KeyUsage::CERT_SIGN),
            "crl sign" => usage = usage.and(KeyUsage(1 << 6)),
            "any" => extended.push(ExtKeyUsage::Any),
            "server auth" => extended.push(ExtKeyUsage::ServerAuth),
            "client auth" => extended.push(ExtKeyUsage::ClientAuth),
            "code signing" => extended.push(ExtKeyUsage::CodeSigning),
            "email protection" | "s/mime" => extended.push(ExtKeyUsage::EmailProtection),
            "timestamping" => extended.push(ExtKeyUsage::TimeStamping),
            "ocsp signing" => extended.push(ExtKeyUsage::OcspSigning),
            other => unknown.push(format!("{other:?}")),
        }
    }
    extended.sort_unstable();
    extended.dedup();
    if unknown.is_empty() {
        Ok((usage, extended))
    } else {
        Err(format!(
            "unrecognized usage values: [{}]",
            unknown.join(" ")
        ))
    }
}

/// What is wrong with a CA file that holds several certificates, in the words of a version.
#[must_use]
pub fn bundle_error(version: Version, crt: &str, key: &str, count: usize) -> String {
    match CA_FILE_ERROR.at(version) {
        CaFileError::Cfssl => format!(
            "error parsing CA cert file {crt:?}: {{\"code\":1003,\"message\":\"the PEM file should contain only one object\"}}"
        ),
        CaFileError::File => {
            format!("error reading CA cert file {crt:?}: expected 1 certificate, found {count}")
        }
        CaFileError::Dynamic => {
            let name = format!("csr-controller::{crt}::{key}");
            format!("error reading CA cert file {name:?}: expected 1 certificate, found {count}")
        }
    }
}

impl World {
    /// Reads the signer's files as a controller-manager does that begins to lead. `None` where it is given none.
    ///
    /// # Errors
    /// With the signer's words.
    pub(in crate::cluster) fn read_signer(
        &self,
        node: usize,
        flags: &Flags,
        version: Version,
    ) -> Result<Option<Arc<Credential>>, String> {
        if !flags.signs() {
            return Ok(None);
        }
        let tree = &self.nodes[node].tree;
        let (crt, key) = (flags.cert_file.as_str(), flags.key_file.as_str());
        for path in [crt, key] {
            if let Err(error) = tree.read(path) {
                let kind = match CA_FILE_ERROR.at(version) {
                    CaFileError::Dynamic => format!("cert file {crt:?}"),
                    _ if path == key => format!("key file {key:?}"),
                    _ => format!("cert file {crt:?}"),
                };
                return Err(format!("error reading CA {kind}: {error}"));
            }
        }
        let pair = self
            .files
            .pair(tree, crt, key)
            .map_err(|error| format!("error reading CA cert file {crt:?}: {error}"))?;
        match pair.intermediates.len() {
            0 => Ok(Some(pair)),
            more => Err(bundle_error(version, crt, key, 1 + more)),
        }
    }

    /// The CA of a controller-manager whose signer works, and its node. The signer does not start where it is given
    /// no files, so that another one signs.
    fn signer(&self) -> Option<(usize, Arc<Credential>)> {
        self.controllers(CSR_SIGNING).find_map(|running| {
            let process = self.nodes[running.node].process(Component::ControllerManager)?;
            Some((running.node, Arc::clone(process.pair(Slot::Signer)?)))
        })
    }

    /// Whether a kubelet that asks for a new client certificate would get one: an approver that recognises it and may,
    /// and a signer that can.
    #[must_use]
    pub fn renews_kubelet(&self, node: usize) -> bool {
        let now = self.now();
        let who = Requestor {
            username: format!("system:node:{}", self.nodes[node].name),
            groups: vec!["system:nodes".to_owned(), "system:authenticated".to_owned()],
        };
        let approves = self.controller(CSR_APPROVING).is_some()
            && self.allows(&who, Permission::SelfNodeClient);
        approves && self.signer().is_some_and(|(_, ca)| now <= ca.not_after())
    }

    /// Whether the signer has something to do with an approved request that it did not refuse already.
    pub(super) fn signer_acts(&self, request: usize) -> bool {
        let request = &self.requests[request];
        SIGNERS.contains(&request.signer.as_str())
            && self.signer().is_some_and(|(_, ca)| {
                request
                    .refused_by
                    .as_ref()
                    .is_none_or(|before| !Arc::ptr_eq(before, &ca))
            })
    }

    /// The signer's turn.
    pub(in crate::cluster) fn issue(&mut self, request: usize) {
        self.requests[request].scheduled = false;
        if self.requests[request].deleted
            || self.requests[request].state() != RequestState::Approved
            || !self.signer_acts(request)
        {
            return;
        }
        let Some((node, ca)) = self.signer() else {
            return;
        };
        let version = self.nodes[node]
            .process(Component::ControllerManager)
            .map_or(self.nodes[node].version, |process| process.version);
        let one = &self.requests[request];
        if one.signer != LEGACY_UNKNOWN
            && let Err(reason) = recognise::fits_signer(&one.signer, &one.asked, &one.usages)
        {
            if *FAILED_CONDITION.at(version) {
                let kind = ConditionKind::Failed;
                self.condition(request, kind, "SignerValidationFailure", &reason);
            } else {
                // It is passed over without a word.
                self.requests[request].refused_by = Some(ca);
            }
            return;
        }
        match self.signed(request, node, version, &ca) {
            Ok(()) => {
                self.request_changed(request, "issued", Weight::Detail);
                self.deliver_to_file(request);
                self.settled_request(request);
            }
            Err(error) => {
                self.requests[request].refused_by = Some(ca);
                let name = self.requests[request].name.clone();
                let line = format!("Sync {name} failed with : error auto signing csr: {error}");
                self.log_line(node, Component::ControllerManager, &line);
                self.request_changed(request, &format!("not signed: {error}"), Weight::Trouble);
            }
        }
    }

    fn signed(
        &mut self,
        request: usize,
        node: usize,
        version: Version,
        ca: &Arc<Credential>,
    ) -> Result<(), String> {
        let flags = self.nodes[node]
            .process(Component::ControllerManager)
            .map(|process| Arc::clone(&process.flags))
            .unwrap_or_default();
        if !ca.intermediates.is_empty() {
            let count = 1 + ca.intermediates.len();
            return Err(bundle_error(
                version,
                &flags.cert_file,
                &flags.key_file,
                count,
            ));
        }
        let pem = self.with_key(request).map_err(|error| error.to_string())?;
        // What the signer sees is the text of the request, so that is what counts.
        let asked = pki::Request::from_pem(pem.as_bytes())
            .map_err(|error| format!("unable to verify certificate request signature: {error}"))?;
        let one = &self.requests[request];
        let (key_usage, ext_key_usages) = usages_of(&one.usages)?;
        let life = life(flags.duration, one.expiration_seconds);
        let (not_before, not_after) = dates(
            *SIGNING_POLICY.at(version),
            self.wall(node),
            life,
            ca.not_after(),
        )?;
        let template = issue::Template {
            common_name: asked.subject.common_name.clone(),
            organizations: asked.subject.organizations.clone(),
            dns_names: asked.dns_names.clone(),
            ip_addresses: asked.ip_addresses.clone(),
            ext_key_usages,
            key_usage,
            not_before,
            not_after,
            serial: self.keys.serial("csr/serial"),
            ..issue::Template::default()
        };
        let key = PrivateKey::from_pem(&ca.key.0).map_err(|error| error.to_string())?;
        let certificate = issue::sign(&template, &asked.spki, &ca.certificate, &key)
            .map_err(|error| format!("failed to sign certificate: {error}"))?;
        self.requests[request].certificate = Some(certificate);
        Ok(())
    }

    /// The request's own text, with the key that it is for. A key is drawn when it is first needed.
    fn with_key(&mut self, request: usize) -> Result<String, pki::IssueError> {
        let stream = match &self.requests[request].origin {
            Origin::Kubelet { node, manager, .. } => {
                format!("kubelet/{}/{}", self.nodes[*node].name, manager.word())
            }
            Origin::Step { node, .. } => format!("request/{}", self.nodes[*node].name),
        };
        if self.requests[request].key.is_none() {
            // The kubelet makes a new P-256 key for every request, whatever kubeadm is told to use.
            let key = self.keys.key(&stream, pki::KeyAlgorithm::EcdsaP256);
            self.requests[request].asked.spki = key.spki_der().to_vec();
            self.requests[request].key = Some(key);
        }
        let one = &self.requests[request];
        let Some(key) = &one.key else {
            return Ok(String::new());
        };
        let der = pki::request::create(
            &one.asked.subject,
            &one.asked.dns_names,
            &one.asked.ip_addresses,
            key,
        )?;
        Ok(pki::request::to_pem(&der))
    }

    /// A step's request is issued: certificate and key go where the step said.
    fn deliver_to_file(&mut self, request: usize) {
        let one = &self.requests[request];
        let (
            Origin::Step {
                node,
                save_to: Some(path),
            },
            Some(certificate),
            Some(key),
        ) = (&one.origin, &one.certificate, &one.key)
        else {
            return;
        };
        let (node, path) = (*node, path.clone());
        let (certificate, key) = (certificate.clone(), key.clone());
        self.save_issued(node, &path, &certificate, &key);
    }

    /// Writes what was issued to a file, as whoever asked would keep it: the certificate, then its key.
    pub(super) fn save_issued(
        &mut self,
        node: usize,
        path: &str,
        certificate: &Certificate,
        key: &PrivateKey,
    ) {
        let text = format!("{}{}", certificate.to_pem(), key.to_pem());
        let tree = &mut self.nodes[node].tree;
        let dir = path.rsplit_once('/').map_or("/", |(dir, _)| dir);
        let made = if dir.is_empty() {
            Ok(())
        } else {
            tree.create_dir_all(dir, 0o755)
        };
        // A disk that takes nothing leaves no file, which is what a scenario then sees.
        let _ = made.and_then(|()| tree.write(path, text.as_bytes(), 0o600));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const YEAR: SignedDuration = SignedDuration::from_hours(8760);

    #[test]
    fn the_life_is_the_flags_or_a_shorter_one_that_is_asked_for() {
        assert_eq!(life(YEAR, None), YEAR);
        assert_eq!(life(YEAR, Some(3600)), SignedDuration::from_hours(1));
        assert_eq!(life(YEAR, Some(60)), SHORTEST);
        assert_eq!(
            life(SignedDuration::from_hours(1), Some(7200)),
            SignedDuration::from_hours(1)
        );
    }

    #[test]
    fn dates_follow_the_policy_of_the_version() {
        let now = at("2026-06-01T12:00:40Z");
        let far = at("2036-01-01T00:00:00Z");
        let hours = SignedDuration::from_hours;
        use SigningPolicy::{Backdated, Cfssl, ShortNotBackdated};
        for (policy, life, not_before, not_after) in [
            (
                ShortNotBackdated,
                YEAR,
                "2026-06-01T11:55:40Z",
                "2027-06-01T11:55:40Z",
            ),
            (
                ShortNotBackdated,
                hours(8),
                "2026-06-01T11:55:40Z",
                "2026-06-01T19:55:40Z",
            ),
            (
                ShortNotBackdated,
                hours(7),
                "2026-06-01T11:55:40Z",
                "2026-06-01T19:00:40Z",
            ),
            (
                Backdated,
                hours(7),
                "2026-06-01T11:55:40Z",
                "2026-06-01T18:55:40Z",
            ),
            (
                Cfssl,
                hours(7),
                "2026-06-01T11:56:00Z",
                "2026-06-01T18:56:00Z",
            ),
        ] {
            assert_eq!(
                dates(policy, now, life, far),
                Ok((at(not_before), at(not_after))),
                "{policy:?} {life:?}"
            );
        }
    }

    #[test]
    fn a_certificate_does_not_outlive_its_ca() {
        let end = at("2026-06-01T12:30:00Z");
        let now = at("2026-06-01T12:00:00Z");
        for policy in [SigningPolicy::Backdated, SigningPolicy::ShortNotBackdated] {
            assert_eq!(dates(policy, now, YEAR, end).unwrap().1, end);
        }
        // cfssl counts what is left from a NotBefore that lies back: it ends five minutes early.
        let cfssl = dates(SigningPolicy::Cfssl, now, YEAR, end).unwrap();
        assert_eq!(cfssl.1, at("2026-06-01T12:25:00Z"));
    }

    #[test]
    fn an_ended_ca_is_refused_in_two_wordings() {
        let end = at("2026-06-01T12:00:00Z");
        let error = |policy, now| dates(policy, at(now), YEAR, end).unwrap_err();
        let newest = SigningPolicy::ShortNotBackdated;
        assert_eq!(
            error(newest, "2026-06-01T12:04:59Z"),
            "refusing to sign a certificate that expired in the past: NotAfter=2026-06-01 12:00:00 +0000 UTC"
        );
        assert_eq!(
            error(newest, "2026-06-01T12:05:00Z"),
            "the signer has expired: NotAfter=2026-06-01 12:00:00 +0000 UTC"
        );
        assert_eq!(
            error(SigningPolicy::Backdated, "2026-06-01T12:01:00Z"),
            "refusing to sign a certificate that expired in the past"
        );
        assert_eq!(
            error(SigningPolicy::Cfssl, "2026-06-01T12:00:00Z"),
            "the signer has expired: 2026-06-01 12:00:00 +0000 UTC"
        );
    }

    #[test]
    fn a_bundle_is_refused_in_the_words_of_the_version() {
        let error = |minor| bundle_error(Version::new(minor, 0), "/a.crt", "/a.key", 2);
        assert!(
            error(16).contains(
                r#"{"code":1003,"message":"the PEM file should contain only one object"}"#
            )
        );
        assert_eq!(
            error(17),
            r#"error reading CA cert file "/a.crt": expected 1 certificate, found 2"#
        );
        assert_eq!(
            error(36),
            r#"error reading CA cert file "csr-controller::/a.crt::/a.key": expected 1 certificate, found 2"#
        );
    }

    #[test]
    fn unknown_usages_are_named() {
        let list = ["client auth", "flying"].map(str::to_owned);
        assert_eq!(
            usages_of(&list).unwrap_err(),
            "unrecognized usage values: [\"flying\"]"
        );
    }
}
