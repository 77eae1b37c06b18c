//! Certificates that are issued again as if they were older: how time passes where no clock can be moved.
//!
//! The machines keep the present, and the world's time runs ahead of it. Each certificate has two faces: the one on the
//! machines, and the one that the world sees, whose dates are as far ahead as the world is. When the world's time leaps, the
//! cluster's own authorities sign what is on the machines again, for the same names, keys and serial numbers, with dates that
//! are as much earlier; what the world sees stays as it was. So nobody but this file knows that there are two.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::agent::{Content, Edit, Order, Report, decode, encode};
use super::times::shift_times;
use crate::kubeadm::CommandOutput;
use crate::pki::{Certificate, KeyAlgorithm, PrivateKey, pem, reissue};
use crate::time::{IN_FILE_NAMES, SignedDuration, Timestamp, from_form, shift};

/// The two faces of every certificate of a cluster, and how far its time is ahead of the machines'.
#[derive(Debug)]
pub(super) struct Aging(Mutex<Faces>);

#[derive(Debug)]
struct Faces {
    /// Since when, by the machines' time, the world has been so far ahead.
    leaps: Vec<(Timestamp, SignedDuration)>,
    /// Keys that were seen in files.
    keys: Vec<PrivateKey>,
    /// What stands for a key that a kubelet has forgotten, by the public part of that.
    stand_ins: HashMap<Vec<u8>, PrivateKey>,
    /// Certificates of authorities, with both faces.
    authorities: Vec<Certificate>,
    /// Files that were looked into for keys and authorities.
    known: HashSet<Vec<u8>>,
    /// What the world sees for a certificate of a machine, by its DER.
    seen_as: HashMap<Vec<u8>, Certificate>,
    /// What a machine holds for a certificate that the world sees, by its DER.
    held_as: HashMap<Vec<u8>, Certificate>,
    /// SHA-256 of what machines have held, and of what the world saw for it.
    fingerprints: HashMap<[u8; 32], [u8; 32]>,
    /// What the world has ever seen, by its DER.
    of_the_world: HashSet<Vec<u8>>,
}

/// Why something has no other face.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum AgingError {
    /// The key that signed it is nowhere in the cluster.
    #[error(
        "{0} was signed with a key that is nowhere in the cluster, so that it cannot be issued again as if it were older"
    )]
    Signer(String),
    /// It was copied to where nothing makes it older, and comes back.
    #[error(
        "{path} holds a certificate of {name} as it was before the time passed: a copy that has not become older"
    )]
    Young {
        /// The subject's name.
        name: String,
        /// The file.
        path: String,
    },
    /// Its dates cannot be written, or its shape is odd.
    #[error("{name} cannot be issued again with other dates: {why}")]
    Reissue {
        /// The subject's name.
        name: String,
        /// What is wrong.
        why: String,
    },
}

/// Which face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Face {
    World,
    Machine,
}

impl Aging {
    /// The world is ahead of the machines' time, which is `now`.
    pub fn new(now: Timestamp, ahead: SignedDuration) -> Self {
        Self(Mutex::new(Faces {
            leaps: vec![(now, ahead)],
            keys: Vec::new(),
            stand_ins: HashMap::new(),
            authorities: Vec::new(),
            known: HashSet::new(),
            seen_as: HashMap::new(),
            held_as: HashMap::new(),
            fingerprints: HashMap::new(),
            of_the_world: HashSet::new(),
        }))
    }

    /// From now on, the machines' time, the world is further ahead: what is written to a machine next is older by as much.
    pub fn leap(&self, now: Timestamp, by: SignedDuration) {
        let mut faces = self.faces();
        let ahead = faces.ahead().saturating_add(by);
        faces.leaps.push((now, ahead));
        faces.held_as.clear();
    }

    /// How often the world's time has leapt.
    pub fn leaps(&self) -> usize {
        self.faces().leaps.len() - 1
    }

    /// The world's time of what happened on a machine at an instant of its own.
    pub fn instant(&self, of_machine: Timestamp) -> Timestamp {
        self.faces().instant(of_machine)
    }

    /// The fingerprint that the world sees for one of a machine.
    pub fn fingerprint(&self, of_machine: [u8; 32]) -> [u8; 32] {
        let faces = self.faces();
        faces
            .fingerprints
            .get(&of_machine)
            .copied()
            .unwrap_or(of_machine)
    }

    /// Every certificate that the world has seen so far, except those of authorities that kubelets make for themselves.
    pub fn certificates(&self) -> Vec<Certificate> {
        let faces = self.faces();
        let own = |one: &&Certificate| !(one.is_ca() && is_a_kubelets_own(one));
        faces.seen_as.values().filter(own).cloned().collect()
    }

    /// Remembers the authorities and the key of a file, for what they have signed.
    pub fn learn(&self, path: &str, text: &[u8]) {
        self.faces().learn(path, text);
    }

    /// A text with certificates as the world sees them; `None` where there are none in it.
    pub fn seen(&self, path: &str, text: &[u8]) -> Result<Option<Vec<u8>>, AgingError> {
        let mut faces = self.faces();
        faces.learn(path, text);
        faces.turn(text, Face::World)
    }

    /// A text with certificates as they are on a machine by now; `None` where there are none in it.
    pub fn held(&self, text: &[u8]) -> Result<Option<Vec<u8>>, AgingError> {
        self.faces().turn(text, Face::Machine)
    }

    /// What an agent is to do, in the words of its machine.
    pub fn order(&self, order: &Order) -> Result<Order, AgingError> {
        let mut faces = self.faces();
        let mut order = order.clone();
        for change in &order.changes {
            if let Edit::File(path, _, _, _, content) = change
                && let Ok(bytes) = decode(content)
            {
                faces.learn(path, &bytes);
            }
        }
        for change in &mut order.changes {
            match change {
                Edit::Remove(path) | Edit::Dir(path, _) => *path = faces.path(path, Face::Machine),
                Edit::File(path, _, _, _, content) => {
                    *path = faces.path(path, Face::Machine);
                    faces.turn_encoded(content, Face::Machine)?;
                }
                Edit::Link(path, target) => {
                    *path = faces.path(path, Face::Machine);
                    *target = faces.path(target, Face::Machine);
                }
            }
        }
        for (_, program) in &mut order.commands {
            if let Some(content) = &mut program.kubeconfig {
                faces.turn_encoded(content, Face::Machine)?;
            }
        }
        Ok(order)
    }

    /// What an agent reports, as the world sees it. Fingerprints in audit logs stay: the file may be on another machine.
    pub fn report(&self, report: &mut Report) -> Result<(), AgingError> {
        let mut faces = self.faces();
        for file in &report.files {
            if let Content::File(content) = &file.what
                && let Ok(bytes) = decode(content)
            {
                faces.learn(&file.path, &bytes);
            }
        }
        // What can fail comes first, and does no harm when it is done again.
        for file in &mut report.files {
            if let Content::File(content) = &mut file.what {
                if let Ok(bytes) = decode(content) {
                    faces.must_be_of_now(&file.path, &bytes)?;
                }
                faces.turn_encoded(content, Face::World)?;
            }
        }
        for one in report
            .handshakes
            .values_mut()
            .flat_map(|shown| &mut shown.chain)
        {
            let held = decode(one).ok();
            if let Some(held) = held.and_then(|der| Certificate::from_der(&der).ok()) {
                *one = encode(faces.face(&held, Face::World)?.der());
            }
        }
        for ended in report.commands.values_mut() {
            faces.turn_text(&mut ended.stdout)?;
        }
        for file in &mut report.files {
            file.path = faces.path(&file.path, Face::World);
            if let Content::Link(target) = &mut file.what {
                *target = faces.path(target, Face::World);
            }
        }
        let ahead = faces.ahead();
        for shown in report.handshakes.values_mut() {
            for text in [
                &mut shown.unreachable,
                &mut shown.refused,
                &mut shown.unusable,
            ] {
                *text = text.take().map(|text| shift_times(&text, ahead));
            }
        }
        for ended in report.commands.values_mut() {
            ended.stderr = shift_times(&ended.stderr, ahead);
        }
        for line in report.logs.values_mut().flat_map(|(lines, _)| lines) {
            *line = shift_times(line, ahead);
        }
        for named in report.audit.iter_mut().flat_map(|(named, _)| named) {
            named.at = faces.instant(named.at);
        }
        Ok(())
    }

    /// What a command said, as the world sees it.
    pub fn output(&self, output: &mut CommandOutput) -> Result<(), AgingError> {
        let mut faces = self.faces();
        let ahead = faces.ahead();
        faces.turn_text(&mut output.stdout)?;
        for text in [&mut output.stdout, &mut output.stderr] {
            *text = shift_times(text, ahead);
        }
        Ok(())
    }

    fn faces(&self) -> MutexGuard<'_, Faces> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Faces {
    fn ahead(&self) -> SignedDuration {
        self.leaps
            .last()
            .map_or(SignedDuration::ZERO, |leap| leap.1)
    }

    fn instant(&self, of_machine: Timestamp) -> Timestamp {
        let leap = self.leaps.iter().rev().find(|leap| leap.0 <= of_machine);
        let first = self.leaps.first();
        shift(
            of_machine,
            leap.or(first).map_or(SignedDuration::ZERO, |leap| leap.1),
        )
    }

    /// The machines' time of an instant of the world; of one that was leapt over, the leap's.
    fn instant_of_machine(&self, of_world: Timestamp) -> Timestamp {
        let mut found = None;
        for &(since, ahead) in &self.leaps {
            let at = shift(of_world, -ahead);
            if at < since && found.is_some() {
                break;
            }
            found = Some(at);
        }
        found.unwrap_or(of_world)
    }

    /// A path in which the kubelet or kubeadm has written down an instant: `kubelet-client-2027-01-01-00-00-00.pem`.
    fn path(&self, path: &str, face: Face) -> String {
        let length = "2027-01-01-00-00-00".len();
        let found = (0..path.len().saturating_sub(length - 1)).find_map(|at| {
            let text = path.get(at..at + length)?;
            text.as_bytes()[0]
                .is_ascii_digit()
                .then(|| from_form(IN_FILE_NAMES, text))?
                .map(|instant| (at, instant))
        });
        let Some((at, instant)) = found else {
            return path.to_owned();
        };
        let other = match face {
            Face::World => self.instant(instant),
            Face::Machine => self.instant_of_machine(instant),
        };
        format!(
            "{}{}{}",
            &path[..at],
            other.strftime(IN_FILE_NAMES),
            &path[at + length..]
        )
    }

    /// Remembers the authorities of a file, and the key where it is one.
    fn learn(&mut self, path: &str, text: &[u8]) {
        if memchr::memmem::find(text, b"-----BEGIN ").is_none() || self.known.contains(text) {
            return;
        }
        self.known.insert(text.to_owned());
        if path.ends_with(".key")
            && let Ok(key) = PrivateKey::from_pem(text)
        {
            self.keys.push(key);
        }
        let certificates = Certificate::parse_pem_certs(text).unwrap_or_default();
        for authority in certificates.into_iter().filter(Certificate::is_ca) {
            if !self.authorities.contains(&authority) {
                self.authorities.push(authority);
            }
        }
    }

    /// The key that has signed a certificate.
    fn signer(&mut self, certificate: &Certificate) -> Result<PrivateKey, AgingError> {
        let authority = std::iter::once(certificate)
            .filter(|one| one.is_ca())
            .chain(&self.authorities)
            .find(|authority| certificate.is_signed_by(authority))
            .cloned();
        let none = || AgingError::Signer(certificate.common_name().to_owned());
        let authority = authority.ok_or_else(none)?;
        let has = |key: &&PrivateKey| key.spki_der() == authority.spki_der();
        if let Some(key) = self.keys.iter().find(has) {
            return Ok(key.clone());
        }
        // A kubelet without a serving certificate makes an authority for itself and forgets its key. Nobody verifies what
        // that has signed.
        if !is_a_kubelets_own(&authority) {
            return Err(none());
        }
        let forgotten = authority.spki_der().to_owned();
        let stand_in = self.stand_ins.entry(forgotten).or_insert_with(|| {
            let stand_in = PrivateKey::generate(KeyAlgorithm::EcdsaP256);
            self.keys.push(stand_in.clone());
            stand_in
        });
        Ok(stand_in.clone())
    }

    /// The other face of a certificate; its own where it is the one that is wanted.
    fn face(&mut self, certificate: &Certificate, face: Face) -> Result<Certificate, AgingError> {
        let der = certificate.der();
        let is_of_the_world = self.of_the_world.contains(der);
        let known = match face {
            Face::World if is_of_the_world => Some(certificate.clone()),
            Face::World => self.seen_as.get(der).cloned(),
            Face::Machine if is_of_the_world => self.held_as.get(der).cloned(),
            Face::Machine => (self.seen_as.contains_key(der)).then(|| certificate.clone()),
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let by = match face {
            Face::World => self.ahead(),
            Face::Machine => -self.ahead(),
        };
        let other = if by.is_zero() {
            certificate.clone()
        } else {
            self.signed_again(certificate, by)?
        };
        let (world, machine) = match face {
            Face::World => (&other, certificate),
            Face::Machine => (certificate, &other),
        };
        for one in [machine, world] {
            if one.is_ca() && !self.authorities.contains(one) {
                self.authorities.push(one.clone());
            }
        }
        self.seen_as.insert(machine.der().to_owned(), world.clone());
        self.held_as.insert(world.der().to_owned(), machine.clone());
        self.fingerprints
            .insert(machine.fingerprint(), world.fingerprint());
        self.of_the_world.insert(world.der().to_owned());
        Ok(other)
    }

    fn signed_again(
        &mut self,
        certificate: &Certificate,
        by: SignedDuration,
    ) -> Result<Certificate, AgingError> {
        let key = self.signer(certificate)?;
        let dates = (
            shift(certificate.not_before(), by),
            shift(certificate.not_after(), by),
        );
        // That of an authority for itself is the one it signs with.
        let public = if certificate.is_signed_by(certificate) {
            key.spki_der()
        } else {
            certificate.spki_der()
        };
        reissue(certificate, public, &key, Some(dates)).map_err(|error| AgingError::Reissue {
            name: certificate.common_name().to_owned(),
            why: error.to_string(),
        })
    }

    /// Refuses a file that holds a certificate as it was before time leapt: nothing has made it older.
    fn must_be_of_now(&self, path: &str, text: &[u8]) -> Result<(), AgingError> {
        let found = Certificate::parse_pem_certs(text).unwrap_or_default();
        let is_young = |one: &Certificate| {
            let seen = self.seen_as.get(one.der());
            !self.of_the_world.contains(one.der())
                && seen.is_some_and(|seen| self.held_as.get(seen.der()) != Some(one))
        };
        match found.iter().find(|one| is_young(one)) {
            None => Ok(()),
            Some(one) => Err(AgingError::Young {
                name: one.common_name().to_owned(),
                path: path.to_owned(),
            }),
        }
    }

    /// Puts the other faces into a text: of PEM blocks, and of those that are written as base64 in a field of a kubeconfig or an
    /// object. Everything else stays as it is. `None` where nothing is to be put.
    fn turn(&mut self, text: &[u8], face: Face) -> Result<Option<Vec<u8>>, AgingError> {
        const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
        const END: &[u8] = b"-----END CERTIFICATE-----";
        /// No certificate is shorter.
        const ENCODED_MIN: usize = 256;
        let mut out = Vec::new();
        let mut rest = text;
        let mut turned = false;
        while let Some(begin) = memchr::memmem::find(rest, BEGIN) {
            let Some(length) = memchr::memmem::find(&rest[begin..], END) else {
                break;
            };
            let end = begin + length + END.len();
            let block = &rest[begin..end];
            out.extend_from_slice(&rest[..begin]);
            let held =
                pem::decode(block).and_then(|(block, _)| Certificate::from_der(&block.bytes).ok());
            match held {
                Some(held) => {
                    let other = self.face(&held, face)?;
                    out.extend_from_slice(other.to_pem().trim_end().as_bytes());
                    turned = true;
                }
                None => out.extend_from_slice(block),
            }
            rest = &rest[end..];
        }
        out.extend_from_slice(rest);
        let text = std::mem::take(&mut out);
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
        let mut rest = &text[..];
        while !rest.is_empty() {
            let length = rest.iter().take_while(|byte| is_base64(byte)).count();
            let (word, after) = rest.split_at(length);
            let other = match std::str::from_utf8(word) {
                Ok(word) if length >= ENCODED_MIN => decode(word).ok(),
                _ => None,
            };
            match other
                .map(|inner| self.turn(&inner, face))
                .transpose()?
                .flatten()
            {
                Some(inner) => {
                    out.extend_from_slice(encode(&inner).as_bytes());
                    turned = true;
                }
                None => out.extend_from_slice(word),
            }
            let (between, next) =
                after.split_at(after.iter().take_while(|byte| !is_base64(byte)).count());
            out.extend_from_slice(between);
            rest = next;
        }
        Ok(turned.then_some(out))
    }

    fn turn_text(&mut self, text: &mut String) -> Result<(), AgingError> {
        if let Some(turned) = self.turn(text.as_bytes(), Face::World)? {
            *text = String::from_utf8_lossy(&turned).into_owned();
        }
        Ok(())
    }

    fn turn_encoded(&mut self, content: &mut String, face: Face) -> Result<(), AgingError> {
        let Ok(bytes) = decode(content) else {
            return Ok(());
        };
        if let Some(turned) = self.turn(&bytes, face)? {
            *content = encode(&turned);
        }
        Ok(())
    }
}

/// Whether an authority is one of `GenerateSelfSignedCertKey` (k8s.io/client-go/util/cert).
fn is_a_kubelets_own(authority: &Certificate) -> bool {
    authority.common_name().contains("-ca@")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::issue::{self, Template, self_signed_ca};
    use crate::pki::pool_key;
    use crate::real::kind::agent::{Ended, FileFound};
    use crate::real::kind::handshake::Shown;

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn at(day: i32) -> Timestamp {
        Timestamp::UNIX_EPOCH + DAY * (20_000 + day)
    }

    fn key(place: usize) -> PrivateKey {
        pool_key(KeyAlgorithm::Rsa2048, place).unwrap()
    }

    fn authority(name: &str, place: usize) -> Certificate {
        self_signed_ca(name, &key(place), at(0), at(3_650), 1).unwrap()
    }

    fn leaf(name: &str, signer: (&Certificate, usize), days: (i32, i32)) -> Certificate {
        let template = Template {
            common_name: name.to_owned(),
            not_before: at(days.0),
            not_after: at(days.1),
            serial: 7,
            ..Template::default()
        };
        issue::sign(&template, key(5).spki_der(), signer.0, &key(signer.1)).unwrap()
    }

    fn first(text: &[u8]) -> Certificate {
        Certificate::parse_pem_certs(text).unwrap().remove(0)
    }

    fn seen(aging: &Aging, one: &Certificate) -> Certificate {
        first(
            &aging
                .seen("/x.crt", one.to_pem().as_bytes())
                .unwrap()
                .unwrap(),
        )
    }

    fn held(aging: &Aging, one: &Certificate) -> Certificate {
        first(&aging.held(one.to_pem().as_bytes()).unwrap().unwrap())
    }

    /// A cluster in which the world is 100 days ahead, and its authority.
    fn cluster() -> (Aging, Certificate) {
        let aging = Aging::new(at(10), DAY * 100);
        let authority = authority("kubernetes", 0);
        for (path, text) in [
            ("/pki/ca.crt", authority.to_pem()),
            ("/pki/ca.key", key(0).to_pem()),
        ] {
            aging.learn(path, text.as_bytes());
        }
        (aging, authority)
    }

    #[test]
    fn what_becomes_older_on_the_machine_stays_what_it_was_for_the_world() {
        let (aging, authority) = cluster();
        let young = leaf("admin", (&authority, 0), (0, 365));
        let admin = seen(&aging, &young);
        assert_eq!(admin.not_before(), at(100));
        assert_eq!(admin.not_after(), at(465));
        assert_eq!(admin.spki_der(), young.spki_der());
        assert_eq!(admin.serial_hex(), young.serial_hex());
        assert!(admin.is_signed_by(&seen(&aging, &authority)));
        assert_eq!(held(&aging, &admin), young);
        assert_eq!(aging.fingerprint(young.fingerprint()), admin.fingerprint());

        aging.leap(at(11), DAY * 400);
        let old = held(&aging, &admin);
        assert_eq!(old.not_before(), at(-400));
        assert_eq!(old.not_after(), at(-35));
        assert!(old.is_signed_by(&held(&aging, &seen(&aging, &authority))));
        // A process may have the young one loaded still.
        for face in [&old, &young] {
            assert_eq!(seen(&aging, face), admin);
            assert_eq!(aging.fingerprint(face.fingerprint()), admin.fingerprint());
        }
        // What is issued now is of the world's present.
        let new = seen(&aging, &leaf("admin", (&authority, 0), (11, 376)));
        assert_eq!(new.not_before(), at(511));
        // What the world has seen is not turned a second time.
        assert_eq!(seen(&aging, &new), new);
    }

    #[test]
    fn a_cluster_that_begins_at_the_present_becomes_older_too() {
        let aging = Aging::new(at(10), SignedDuration::ZERO);
        let authority = authority("kubernetes", 0);
        aging.learn("/ca.crt", authority.to_pem().as_bytes());
        aging.learn("/ca.key", key(0).to_pem().as_bytes());
        let one = leaf("admin", (&authority, 0), (0, 365));
        assert_eq!(seen(&aging, &one), one);
        for day in [300, 400] {
            aging.leap(at(11), DAY * (if day == 300 { 300 } else { 100 }));
            let old = held(&aging, &one);
            assert_eq!(old.not_after(), at(365 - day));
            assert_eq!(seen(&aging, &old), one);
            assert_eq!(seen(&aging, &one), one);
        }
    }

    #[test]
    fn a_copy_that_did_not_become_older_is_told() {
        let (aging, authority) = cluster();
        let young = leaf("admin", (&authority, 0), (0, 365));
        let admin = seen(&aging, &young);
        let report = |one: &Certificate| Report {
            files: vec![FileFound {
                path: "/root/copy.crt".to_owned(),
                mode: 0o600,
                owner: (0, 0),
                what: Content::File(encode(one.to_pem().as_bytes())),
            }],
            ..Report::default()
        };
        aging.report(&mut report(&young)).unwrap();
        aging.leap(at(11), DAY * 400);
        let old = held(&aging, &admin);
        aging.report(&mut report(&old)).unwrap();
        let error = aging.report(&mut report(&young)).unwrap_err();
        assert!(matches!(error, AgingError::Young { .. }), "{error}");
    }

    #[test]
    fn nothing_but_certificates_changes_in_a_kubeconfig() {
        let (aging, authority) = cluster();
        let one = leaf("admin", (&authority, 0), (0, 365));
        let text = format!(
            "# mine\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    server: https://x:6443\nusers:\n- user:\n    \
             client-certificate-data: {}\n    client-key-data: {}\n",
            encode(authority.to_pem().as_bytes()),
            encode((one.to_pem() + &authority.to_pem()).as_bytes()),
            encode(key(5).to_pem().as_bytes()),
        );
        let turned = aging.seen("/admin.conf", text.as_bytes()).unwrap().unwrap();
        assert_eq!(aging.held(&turned).unwrap().unwrap(), text.as_bytes());
        let turned = String::from_utf8(turned).unwrap();
        let differs = |(a, b): &(&str, &str)| a != b;
        let lines = text.lines().zip(turned.lines());
        assert_eq!(lines.filter(differs).count(), 2);
        assert_eq!(
            aging.seen("/etc/hosts", b"127.0.0.1 localhost\n").unwrap(),
            None
        );
    }

    #[test]
    fn what_no_key_of_the_cluster_has_signed_cannot_become_older() {
        let (aging, _) = cluster();
        let elsewhere = authority("elsewhere", 1);
        let one = leaf("stranger", (&elsewhere, 1), (0, 365));
        let error = aging.seen("/x.crt", one.to_pem().as_bytes()).unwrap_err();
        assert_eq!(error, AgingError::Signer("stranger".to_owned()));
        // Later it is found.
        let bundle = one.to_pem() + &elsewhere.to_pem();
        aging.learn("/else.key", key(1).to_pem().as_bytes());
        assert!(aging.seen("/x.crt", bundle.as_bytes()).unwrap().is_some());
    }

    #[test]
    fn a_kubelets_own_authority_has_a_key_that_nobody_has() {
        let (aging, _) = cluster();
        let own = authority("cp1-ca@1700000000", 2);
        let one = leaf("cp1@1700000000", (&own, 2), (0, 365));
        let text = one.to_pem() + &own.to_pem();
        let turned = aging
            .seen("/kubelet.crt", text.as_bytes())
            .unwrap()
            .unwrap();
        let chain = Certificate::parse_pem_certs(&turned).unwrap();
        assert!(chain[0].is_signed_by(&chain[1]) && chain[1].is_signed_by(&chain[1]));
        aging.leap(at(12), DAY);
        let older = aging.held(&turned).unwrap().unwrap();
        let chain = Certificate::parse_pem_certs(&older).unwrap();
        assert!(chain[0].is_signed_by(&chain[1]) && chain[1].is_signed_by(&chain[1]));
        assert_eq!(chain[0].not_after(), at(364));
    }

    #[test]
    fn instants_and_names_of_files_know_when_time_leapt() {
        let (aging, _) = cluster();
        aging.leap(at(20), DAY * 400);
        assert_eq!(aging.instant(at(15)), at(115));
        assert_eq!(aging.instant(at(20)), at(520));
        assert_eq!(aging.instant(at(1)), at(101));
        let faces = aging.faces();
        for (day, path) in [(15, 115), (25, 525)] {
            let name = |day: i32| {
                let stamp = at(day).strftime(IN_FILE_NAMES);
                format!("/var/lib/kubelet/pki/kubelet-client-{stamp}.pem")
            };
            assert_eq!(faces.path(&name(day), Face::World), name(path));
            assert_eq!(faces.path(&name(path), Face::Machine), name(day));
        }
        assert_eq!(
            faces.path("/etc/kubernetes/pki", Face::World),
            "/etc/kubernetes/pki"
        );
    }

    #[test]
    fn a_report_is_as_the_world_sees_it_and_an_order_as_the_machine_does() {
        let (aging, authority) = cluster();
        let one = leaf("kube-apiserver", (&authority, 0), (0, 365));
        let file = |path: &str, what| FileFound {
            path: path.to_owned(),
            mode: 0o600,
            owner: (0, 0),
            what,
        };
        let mut report = Report {
            files: vec![file(
                "/pki/a.crt",
                Content::File(encode(one.to_pem().as_bytes())),
            )],
            ..Report::default()
        };
        let shown = Shown {
            chain: vec![encode(one.der())],
            ..Shown::default()
        };
        report.handshakes.insert("a".to_owned(), shown);
        let late = format!("current time {} is after {}", at(1), at(0));
        let ended = Ended {
            code: 1,
            stdout: one.to_pem(),
            stderr: late.clone(),
        };
        report.commands.insert("k".to_owned(), ended);
        aging.report(&mut report).unwrap();
        let admin = seen(&aging, &one);
        let Content::File(content) = &report.files[0].what else {
            panic!("a file");
        };
        assert_eq!(first(&decode(content).unwrap()), admin);
        assert_eq!(report.handshakes["a"].chain, [encode(admin.der())]);
        assert_eq!(report.commands["k"].stdout, admin.to_pem());
        assert_eq!(
            report.commands["k"].stderr,
            format!("current time {} is after {}", at(101), at(100))
        );
        let order = Order {
            changes: vec![Edit::File(
                "/pki/a.crt".to_owned(),
                0o600,
                0,
                0,
                content.clone(),
            )],
            ..Order::default()
        };
        let Edit::File(_, _, _, _, written) = &aging.order(&order).unwrap().changes[0] else {
            panic!("a file");
        };
        assert_eq!(first(&decode(written).unwrap()), one);
    }
}
