//! The two faces of certificates: the one on the machines, and the one that the world sees.

use std::collections::{HashMap, HashSet};

use super::agent::{decode, encode};
use super::embedded::exchanged;
use crate::pki::{Certificate, KeyAlgorithm, PrivateKey, is_self_made, reissue};
use crate::time::{IN_FILE_NAMES, SignedDuration, Timestamp, from_form, shift};

/// The two faces of every certificate of a cluster, and how far its time is ahead of the machines'.
#[derive(Debug)]
pub(super) struct Faces {
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
pub(super) enum Face {
    World,
    Machine,
}

impl Faces {
    /// The world is ahead of the machines' time, which is `now`.
    pub fn new(now: Timestamp, ahead: SignedDuration) -> Self {
        Self {
            leaps: vec![(now, ahead)],
            keys: Vec::new(),
            stand_ins: HashMap::new(),
            authorities: Vec::new(),
            known: HashSet::new(),
            seen_as: HashMap::new(),
            held_as: HashMap::new(),
            fingerprints: HashMap::new(),
            of_the_world: HashSet::new(),
        }
    }

    /// From now on, the machines' time, the world is further ahead: what is written to a machine next is older by as much.
    pub fn leap(&mut self, now: Timestamp, by: SignedDuration) {
        let ahead = self.ahead().saturating_add(by);
        self.leaps.push((now, ahead));
        self.held_as.clear();
    }

    /// How often the world's time has leapt.
    pub fn leaps(&self) -> usize {
        self.leaps.len() - 1
    }

    /// The fingerprint that the world sees for one of a machine.
    pub fn fingerprint(&self, of_machine: [u8; 32]) -> [u8; 32] {
        let found = self.fingerprints.get(&of_machine);
        found.copied().unwrap_or(of_machine)
    }

    /// Every certificate that the world has seen so far, except those of authorities that kubelets make for themselves.
    pub fn certificates(&self) -> Vec<Certificate> {
        let own = |one: &&Certificate| !(one.is_ca() && is_self_made(one));
        self.seen_as.values().filter(own).cloned().collect()
    }

    /// A text with certificates as the world sees them; `None` where there are none in it.
    pub fn seen(&mut self, path: &str, text: &[u8]) -> Result<Option<Vec<u8>>, AgingError> {
        self.learn(path, text);
        self.turn(text, Face::World)
    }

    /// A text with certificates as they are on a machine by now; `None` where there are none in it.
    pub fn held(&mut self, text: &[u8]) -> Result<Option<Vec<u8>>, AgingError> {
        self.turn(text, Face::Machine)
    }

    /// How far the world is ahead.
    pub fn ahead(&self) -> SignedDuration {
        self.leaps
            .last()
            .map_or(SignedDuration::ZERO, |leap| leap.1)
    }

    /// The world's time of what happened on a machine at an instant of its own.
    pub fn instant(&self, of_machine: Timestamp) -> Timestamp {
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
    pub fn path(&self, path: &str, face: Face) -> String {
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

    /// Remembers the authorities of a file, and the key where it is one, for what they have signed.
    pub fn learn(&mut self, path: &str, text: &[u8]) {
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
        if !is_self_made(&authority) {
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
    pub fn face(
        &mut self,
        certificate: &Certificate,
        face: Face,
    ) -> Result<Certificate, AgingError> {
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

    /// Refuses a file of a machine that holds a certificate as it was before time leapt: nothing has made it older.
    pub fn must_be_of_now(&mut self, path: &str, text: &[u8]) -> Result<(), AgingError> {
        if self.leaps() == 0 {
            return Ok(());
        }
        exchanged(text, &mut |one| {
            let seen = self.seen_as.get(one.der());
            let is_young = seen.is_some_and(|seen| self.held_as.get(seen.der()) != Some(one));
            if is_young {
                return Err(AgingError::Young {
                    name: one.common_name().to_owned(),
                    path: path.to_owned(),
                });
            }
            Ok(one.clone())
        })
        .map(drop)
    }

    /// Puts the other faces into a text. `None` where nothing is to be put.
    pub fn turn(&mut self, text: &[u8], face: Face) -> Result<Option<Vec<u8>>, AgingError> {
        exchanged(text, &mut |one| self.face(one, face))
    }

    /// The same for what is text.
    pub fn turn_text(&mut self, text: &mut String) -> Result<(), AgingError> {
        if let Some(turned) = self.turn(text.as_bytes(), Face::World)? {
            *text = String::from_utf8_lossy(&turned).into_owned();
        }
        Ok(())
    }

    /// The same for what is base64.
    pub fn turn_encoded(&mut self, content: &mut String, face: Face) -> Result<(), AgingError> {
        let Ok(bytes) = decode(content) else {
            return Ok(());
        };
        if let Some(turned) = self.turn(&bytes, face)? {
            *content = encode(&turned);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::issue::{self, Template, self_signed_ca};
    use crate::pki::pool_key;

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

    fn seen(faces: &mut Faces, one: &Certificate) -> Certificate {
        first(
            &faces
                .seen("/x.crt", one.to_pem().as_bytes())
                .unwrap()
                .unwrap(),
        )
    }

    fn held(faces: &mut Faces, one: &Certificate) -> Certificate {
        first(&faces.held(one.to_pem().as_bytes()).unwrap().unwrap())
    }

    /// A cluster in which the world is 100 days ahead, and its authority.
    fn cluster() -> (Faces, Certificate) {
        let mut faces = Faces::new(at(10), DAY * 100);
        let authority = authority("kubernetes", 0);
        for (path, text) in [
            ("/pki/ca.crt", authority.to_pem()),
            ("/pki/ca.key", key(0).to_pem()),
        ] {
            faces.learn(path, text.as_bytes());
        }
        (faces, authority)
    }

    #[test]
    fn a_copy_that_did_not_become_older_is_told() {
        for ahead in [0, 100] {
            let mut faces = Faces::new(at(10), DAY * ahead);
            let authority = authority("kubernetes", 0);
            faces.learn("/ca.crt", authority.to_pem().as_bytes());
            faces.learn("/ca.key", key(0).to_pem().as_bytes());
            let young = leaf("admin", (&authority, 0), (0, 365));
            let admin = seen(&mut faces, &young);
            let plain: fn(&Certificate) -> Vec<u8> = |one| one.to_pem().into_bytes();
            // As a kubeconfig has it.
            let field: fn(&Certificate) -> Vec<u8> =
                |one| encode(one.to_pem().as_bytes()).into_bytes();
            faces.must_be_of_now("/x", &plain(&young)).unwrap();
            faces.leap(at(11), DAY * 400);
            let old = held(&mut faces, &admin);
            for text in [plain, field] {
                faces.must_be_of_now("/x", &text(&old)).unwrap();
                let error = faces.must_be_of_now("/x", &text(&young)).unwrap_err();
                assert!(matches!(error, AgingError::Young { .. }), "{error}");
            }
        }
    }

    #[test]
    fn what_becomes_older_on_the_machine_stays_what_it_was_for_the_world() {
        let (mut faces, authority) = cluster();
        let young = leaf("admin", (&authority, 0), (0, 365));
        let admin = seen(&mut faces, &young);
        assert_eq!(admin.not_before(), at(100));
        assert_eq!(admin.not_after(), at(465));
        assert_eq!(admin.spki_der(), young.spki_der());
        assert_eq!(admin.serial_hex(), young.serial_hex());
        assert!(admin.is_signed_by(&seen(&mut faces, &authority)));
        assert_eq!(held(&mut faces, &admin), young);
        assert_eq!(faces.fingerprint(young.fingerprint()), admin.fingerprint());

        faces.leap(at(11), DAY * 400);
        let old = held(&mut faces, &admin);
        assert_eq!(old.not_before(), at(-400));
        assert_eq!(old.not_after(), at(-35));
        let authority_seen = seen(&mut faces, &authority);
        assert!(old.is_signed_by(&held(&mut faces, &authority_seen)));
        // A process may have the young one loaded still.
        for face in [&old, &young] {
            assert_eq!(seen(&mut faces, face), admin);
            assert_eq!(faces.fingerprint(face.fingerprint()), admin.fingerprint());
        }
        // What is issued now is of the world's present.
        let new = seen(&mut faces, &leaf("admin", (&authority, 0), (11, 376)));
        assert_eq!(new.not_before(), at(511));
        // What the world has seen is not turned a second time.
        assert_eq!(seen(&mut faces, &new), new);
    }

    #[test]
    fn a_cluster_that_begins_at_the_present_becomes_older_too() {
        let mut faces = Faces::new(at(10), SignedDuration::ZERO);
        let authority = authority("kubernetes", 0);
        faces.learn("/ca.crt", authority.to_pem().as_bytes());
        faces.learn("/ca.key", key(0).to_pem().as_bytes());
        let one = leaf("admin", (&authority, 0), (0, 365));
        assert_eq!(seen(&mut faces, &one), one);
        for day in [300, 400] {
            faces.leap(at(11), DAY * (if day == 300 { 300 } else { 100 }));
            let old = held(&mut faces, &one);
            assert_eq!(old.not_after(), at(365 - day));
            assert_eq!(seen(&mut faces, &old), one);
            assert_eq!(seen(&mut faces, &one), one);
        }
    }

    #[test]
    fn nothing_but_certificates_changes_in_a_kubeconfig() {
        let (mut faces, authority) = cluster();
        let one = leaf("admin", (&authority, 0), (0, 365));
        let text = format!(
            "# mine\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    server: https://x:6443\nusers:\n- user:\n    \
             client-certificate-data: {}\n    client-key-data: {}\n",
            encode(authority.to_pem().as_bytes()),
            encode((one.to_pem() + &authority.to_pem()).as_bytes()),
            encode(key(5).to_pem().as_bytes()),
        );
        let turned = faces.seen("/admin.conf", text.as_bytes()).unwrap().unwrap();
        assert_eq!(faces.held(&turned).unwrap().unwrap(), text.as_bytes());
        let turned = String::from_utf8(turned).unwrap();
        let differs = |(a, b): &(&str, &str)| a != b;
        let lines = text.lines().zip(turned.lines());
        assert_eq!(lines.filter(differs).count(), 2);
        assert_eq!(
            faces.seen("/etc/hosts", b"127.0.0.1 localhost\n").unwrap(),
            None
        );
    }

    #[test]
    fn what_no_key_of_the_cluster_has_signed_cannot_become_older() {
        let (mut faces, _) = cluster();
        let elsewhere = authority("elsewhere", 1);
        let one = leaf("stranger", (&elsewhere, 1), (0, 365));
        let error = faces.seen("/x.crt", one.to_pem().as_bytes()).unwrap_err();
        assert_eq!(error, AgingError::Signer("stranger".to_owned()));
        // Later it is found.
        let bundle = one.to_pem() + &elsewhere.to_pem();
        faces.learn("/else.key", key(1).to_pem().as_bytes());
        assert!(faces.seen("/x.crt", bundle.as_bytes()).unwrap().is_some());
    }

    #[test]
    fn a_kubelets_own_authority_has_a_key_that_nobody_has() {
        let (mut faces, _) = cluster();
        let own = authority("cp1-ca@1700000000", 2);
        let one = leaf("cp1@1700000000", (&own, 2), (0, 365));
        let text = one.to_pem() + &own.to_pem();
        let turned = faces
            .seen("/kubelet.crt", text.as_bytes())
            .unwrap()
            .unwrap();
        let chain = Certificate::parse_pem_certs(&turned).unwrap();
        assert!(chain[0].is_signed_by(&chain[1]) && chain[1].is_signed_by(&chain[1]));
        faces.leap(at(12), DAY);
        let older = faces.held(&turned).unwrap().unwrap();
        let chain = Certificate::parse_pem_certs(&older).unwrap();
        assert!(chain[0].is_signed_by(&chain[1]) && chain[1].is_signed_by(&chain[1]));
        assert_eq!(chain[0].not_after(), at(364));
    }

    #[test]
    fn instants_and_names_of_files_know_when_time_leapt() {
        let (mut faces, _) = cluster();
        faces.leap(at(20), DAY * 400);
        assert_eq!(faces.instant(at(15)), at(115));
        assert_eq!(faces.instant(at(20)), at(520));
        assert_eq!(faces.instant(at(1)), at(101));
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
}
