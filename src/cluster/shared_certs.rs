//! What control planes share: bootstrap tokens, and the certificates that `--upload-certs` keeps in a Secret for two hours,
//! encrypted with a certificate key.
//!
//! After `K/phases/copycerts/copycerts.go`. The bootstrap token of init lives for a day. What is uploaded is deleted with a
//! token of its own, by kube-controller-manager's tokencleaner, whose timers do not notice steps of the clock; a
//! controller-manager that begins to lead looks at the clock.

use std::collections::BTreeMap;

use super::events::Timer;
use super::join::{TOKEN, failed, said};
use super::rbac::Permission;
use super::world::World;
use crate::fs::Tree;
use crate::kubeadm::config::go_duration;
use crate::kubeadm::profile::joining::CERTIFICATE_KEY_CHECKED;
use crate::kubeadm::{CommandOutput, Version};
use crate::scenario::{CertificateKey, Component};
use crate::time::{SignedDuration, Timestamp, shift};

/// `DefaultTokenDuration`.
const TOKEN_LIVES: SignedDuration = SignedDuration::from_hours(24);
/// Longer than any scenario: what does not end.
const NEVER: SignedDuration = SignedDuration::from_hours(24 * 365 * 100);
/// `DefaultCertTokenDuration`.
const UPLOAD_LIVES: SignedDuration = SignedDuration::from_hours(2);
/// Length of a certificate key: AES-256.
const KEY_SIZE: usize = 32;

/// Bootstrap tokens and what hangs on them, in etcd.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// The token that nodes join with.
    bootstrap: Option<Lifetime>,
    /// When the token of init ends, where nobody follows what becomes of it.
    of_init: Option<Timestamp>,
    /// Whether cluster-info is signed for it.
    signed: bool,
    /// The Secret `kubeadm-certs`.
    uploaded: Option<(Lifetime, Uploaded)>,
    /// The certificate keys that were printed so far.
    keys: Vec<String>,
}

impl Tokens {
    /// The bootstrapsigner has signed cluster-info for every token there is.
    pub(super) fn sign(&mut self) {
        self.signed = self.bootstrap.is_some();
    }

    /// Whether cluster-info vouches for the token.
    pub(super) fn is_vouched_for(&self) -> bool {
        self.bootstrap.is_some() && self.signed
    }

    /// Whether the token's own date has passed.
    pub(super) fn has_ended(&self, now: Timestamp) -> bool {
        self.bootstrap.is_some_and(|life| life.until <= now)
    }
}

/// When something ends: for clocks, and for timers.
#[derive(Debug, Clone, Copy)]
struct Lifetime {
    until: Timestamp,
    ticks: Timestamp,
}

/// What the Secret holds.
#[derive(Debug)]
struct Uploaded {
    /// The certificate key that it is encrypted with.
    key: String,
    /// Contents of files by their names in the Secret; `None` where there was no such file.
    files: BTreeMap<String, Option<Vec<u8>>>,
}

/// A file that control planes share: its name in the Secret, its path.
type Shared = (String, String);

impl World {
    /// What `kubeadm init` leaves for those who join; nobody asks for it where nobody does.
    pub(super) fn make_tokens_of_init(&mut self) {
        self.tokens.of_init = Some(shift(self.wall(0), TOKEN_LIVES));
        if self.spec.upload_certs || !self.spec.join_later.is_empty() {
            self.tokens.of_init = None;
            self.tokens.bootstrap = Some(self.lifetime(0, TOKEN_LIVES));
        }
        if self.spec.upload_certs {
            let external = !self.external_etcd_endpoints().is_empty();
            let files = self.shared_files(0, &self.nodes[0].certificates_dir, external);
            let key = self.new_certificate_key();
            self.upload(0, &files, key);
        }
    }

    /// Whether an API server lets a kubelet in with the token that nodes join with.
    pub(super) fn token_works(&self, node: usize) -> bool {
        let now = self.wall(node);
        let until = self.tokens.bootstrap.map(|life| life.until);
        until
            .or(self.tokens.of_init)
            .is_some_and(|until| now < until)
    }

    fn lifetime(&mut self, node: usize, span: SignedDuration) -> Lifetime {
        self.after(span, Timer::TokenEnds);
        Lifetime {
            until: shift(self.wall(node), span),
            ticks: shift(self.clock.ticks(), span),
        }
    }

    /// The tokencleaner's timer: it deletes what is over, if it runs.
    pub(super) fn clean_tokens(&mut self) {
        if !self.tokens_are_cleaned() {
            return;
        }
        let now = self.clock.ticks();
        self.delete_tokens(|life| life.ticks <= now);
    }

    /// A controller-manager that begins to lead lists the tokens and deletes what is over by its clock.
    pub(super) fn forget_tokens(&mut self) {
        let now = self
            .leaders
            .get(&Component::ControllerManager)
            .map_or_else(|| self.now(), |&(node, _)| self.wall(node));
        self.delete_tokens(|life| life.until <= now);
    }

    fn delete_tokens(&mut self, over: impl Fn(&Lifetime) -> bool) {
        if self.tokens.bootstrap.as_ref().is_some_and(&over) {
            self.tokens.bootstrap = None;
            self.tokens.signed = false;
        }
        if let Some((life, _)) = &self.tokens.uploaded
            && over(life)
        {
            self.tokens.uploaded = None;
        }
    }

    /// What control planes share, as `certsToTransfer` lists it.
    fn shared_files(&self, node: usize, dir: &str, external_etcd: bool) -> Vec<Shared> {
        let mut names = vec![
            "ca.crt",
            "ca.key",
            "front-proxy-ca.crt",
            "front-proxy-ca.key",
            "sa.pub",
            "sa.key",
        ];
        if !external_etcd {
            names.extend(["etcd/ca.crt", "etcd/ca.key"]);
        }
        let mut files: Vec<Shared> = names
            .into_iter()
            .map(|name| (name.replace('/', "-"), format!("{dir}/{name}")))
            .collect();
        if external_etcd {
            let machine = &self.nodes[node];
            for (name, file) in [
                ("external-etcd-ca.crt", "etcd/ca.crt"),
                ("external-etcd.crt", "apiserver-etcd-client.crt"),
                ("external-etcd.key", "apiserver-etcd-client.key"),
            ] {
                files.push((name.to_owned(), machine.pki(file)));
            }
        }
        files
    }

    fn new_certificate_key(&mut self) -> String {
        (0..KEY_SIZE / 4)
            .map(|_| {
                let drawn = self.random.between("certificate-key", 0, 0xffff_ffff);
                format!("{:08x}", drawn.as_millis())
            })
            .collect()
    }

    fn upload(&mut self, node: usize, shared: &[Shared], key: String) {
        let tree = &self.nodes[node].tree;
        let files = shared
            .iter()
            .map(|(name, path)| (name.clone(), tree.read(path).ok()))
            .collect();
        let life = self.lifetime(node, UPLOAD_LIVES);
        self.tokens.keys.push(key.clone());
        self.tokens.uploaded = Some((life, Uploaded { key, files }));
    }

    /// Commands that write to the cluster and to nothing else: the world's part, whatever the engine is.
    pub(super) fn token_command(&mut self, node: usize, args: &[String]) -> Option<CommandOutput> {
        if self.is_real() {
            return None;
        }
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["init", "phase", "upload-certs", flags @ ..]
                if !self.nodes[node].version.is_historic() =>
            {
                Some(self.upload_certs(node, flags))
            }
            ["token", "create", flags @ ..] => Some(self.create_token(node, flags)),
            _ => None,
        }
    }

    fn upload_certs(&mut self, node: usize, flags: &[&str]) -> CommandOutput {
        if !flags.contains(&"--upload-certs") {
            return said("[upload-certs] Skipping phase. Please see --upload-certs\n".to_owned());
        }
        let mut stdout =
            "[upload-certs] Storing the certificates in Secret \"kubeadm-certs\" in the \"kube-system\" Namespace\n"
                .to_owned();
        if let Err(error) = self.administers(node) {
            return CommandOutput {
                stdout,
                ..failed(
                    &format!(
                        "error execution phase upload-certs: error uploading certs: error creating token: {error}"
                    ),
                    self.nodes[node].version,
                )
            };
        }
        // Without --config it takes kubeadm's defaults, in which etcd is local.
        let config = flags
            .iter()
            .position(|flag| *flag == "--config")
            .and_then(|at| flags.get(at + 1))
            .and_then(|path| self.nodes[node].tree.read(path).ok())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default();
        let lines = || config.lines().map(str::trim);
        let external = lines().any(|line| line == "external:");
        let dir = lines()
            .find_map(|line| line.strip_prefix("certificatesDir: "))
            .unwrap_or(super::node::PKI)
            .to_owned();
        let files = self.shared_files(node, &dir, external);
        let key = self.new_certificate_key();
        self.upload(node, &files, key.clone());
        stdout += &format!("[upload-certs] Using certificate key:\n{key}\n");
        said(stdout)
    }

    /// What a real kubeadm has printed: the key of what it uploaded.
    pub(super) fn learn_certificate_key(&mut self, stdout: &str) {
        let mut words = stdout.split_whitespace();
        while let Some(word) = words.next() {
            let key = match word {
                // `[upload-certs] Using certificate key:`
                "key:" => words.next(),
                _ => None,
            };
            if let Some(key) = key.filter(|key| go_hex(key).is_ok_and(|key| key.len() == KEY_SIZE))
            {
                self.tokens.keys.push(key.to_owned());
            }
        }
    }

    /// `--ttl 0` is a token that does not end (`K/cmd/token.go`).
    fn create_token(&mut self, node: usize, flags: &[&str]) -> CommandOutput {
        if let Err(error) = self.administers(node) {
            return failed(&error, self.nodes[node].version);
        }
        let given = flags.iter().enumerate().find_map(|(place, flag)| {
            let next = || flags.get(place + 1).copied();
            flag.strip_prefix("--ttl=")
                .or_else(|| (*flag == "--ttl").then(next).flatten())
        });
        let span = match given.map(|text| (text, go_duration(text))) {
            None => TOKEN_LIVES,
            Some((_, Ok(span))) if span.is_zero() => NEVER,
            Some((_, Ok(span))) => span,
            Some((text, Err(error))) => {
                let error = format!("invalid argument {text:?} for \"--ttl\" flag: {error}");
                return failed(&error, self.nodes[node].version);
            }
        };
        self.tokens.bootstrap = Some(self.lifetime(node, span));
        self.tokens.signed = false;
        said(format!("{TOKEN}\n"))
    }

    /// Whether admin.conf of a node may write to the cluster now.
    pub(super) fn administers(&self, node: usize) -> Result<(), String> {
        let client = self
            .api_client(Component::Admin, node)
            .map_err(|failure| failure.text)?
            .ok_or_else(|| "failed to load admin kubeconfig".to_owned())?;
        let who = self
            .authenticated(&client)
            .map_err(|failure| failure.text)?;
        if self.allows(&who, Permission::Everything) {
            return Ok(());
        }
        Err(super::texts::kubectl_forbidden(
            &who.username,
            "create",
            "secrets",
            "",
            "in the namespace \"kube-system\"",
        ))
    }

    /// `DownloadCerts`.
    pub(super) fn download(&mut self, node: usize, key: &str) -> Result<(), String> {
        let output = self.nodes[node].last_output.get_or_insert_default();
        output.stdout += "[download-certs] Downloading the certificates in Secret \"kubeadm-certs\" in the \"kube-system\" Namespace\n";
        let decoded =
            go_hex(key).map_err(|error| format!("error decoding certificate key: {error}"))?;
        let Some((_, uploaded)) = &self.tokens.uploaded else {
            return Err("error downloading the secret: Secret \"kubeadm-certs\" was not found in the \"kube-system\" Namespace. This Secret might have expired. Please, run `kubeadm init phase upload-certs --upload-certs` on a control plane to generate a new one".to_owned());
        };
        let decrypted = match decoded.len() {
            // Another key of the right size opens nothing; an AES key may be shorter than kubeadm's.
            16 | 24 | KEY_SIZE if uploaded.key.eq_ignore_ascii_case(key) => Ok(()),
            16 | 24 | KEY_SIZE => Err("cipher: message authentication failed".to_owned()),
            size => Err(format!("crypto/aes: invalid key size {size}")),
        };
        decrypted
            .map_err(|error| format!("error decoding secret data with provided key: {error}"))?;
        let data = uploaded.files.clone();
        let dir = self.nodes[node].certificates_dir.clone();
        for (name, path) in self.shared_files(node, &dir, !self.nodes[node].etcd) {
            let Some(content) = data.get(&name) else {
                return Err(format!(
                    "the Secret does not include the required certificate or key - name: {name}, path: {path}"
                ));
            };
            // What was not on the disk that it was uploaded from is left out: the key of an external CA.
            let Some(content) = content else { continue };
            let mode = if name.ends_with(".key") { 0o600 } else { 0o644 };
            self.put(node, &path, &String::from_utf8_lossy(content), mode)
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// The certificate key of a command line.
    pub(super) fn certificate_key(&self, key: &CertificateKey) -> Option<String> {
        let printed = &self.tokens.keys;
        // Where nothing was uploaded, any key will do: there is nothing to open.
        let none = || "0".repeat(2 * KEY_SIZE);
        match key {
            CertificateKey::None => None,
            CertificateKey::Last => Some(printed.last().cloned().unwrap_or_else(none)),
            CertificateKey::First => Some(printed.first().cloned().unwrap_or_else(none)),
            CertificateKey::Literal(text) => Some(text.clone()),
        }
    }
}

/// What kubeadm says to a certificate key before it does anything else (`ValidateCertificateKey`), in versions that look.
pub(super) fn check_certificate_key(key: &str, version: Version) -> Result<(), String> {
    if !*CERTIFICATE_KEY_CHECKED.at(version) {
        return Ok(());
    }
    let problem = match go_hex(key) {
        Ok(decoded) if decoded.len() == KEY_SIZE => return Ok(()),
        Ok(decoded) => format!(
            "invalid certificate key size {}, the key must be an AES key of size {KEY_SIZE}",
            decoded.len()
        ),
        Err(error) => format!("certificate key decoding error: {error}"),
    };
    Err(format!(
        "controlPlane.certificateKey: Invalid value: {key:?}: {problem}"
    ))
}

/// Go's `hex.DecodeString`.
fn go_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = text
        .bytes()
        .map(|byte| match char::from(byte).to_digit(16) {
            Some(digit) => Ok(digit as u8),
            None if (0x20..0x7f).contains(&byte) => Err(format!(
                "encoding/hex: invalid byte: U+{byte:04X} '{}'",
                char::from(byte)
            )),
            None => Err(format!("encoding/hex: invalid byte: U+{byte:04X}")),
        })
        .collect::<Result<_, _>>()?;
    if digits.len() % 2 == 1 {
        return Err("encoding/hex: odd length hex string".to_owned());
    }
    Ok(digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const V36: Version = Version::new(36, 3);

    #[test]
    fn a_key_of_another_form_is_told_as_go_tells_it() {
        let said = |key: &str| check_certificate_key(key, V36).unwrap_err();
        assert_eq!(
            said("abcd"),
            "controlPlane.certificateKey: Invalid value: \"abcd\": invalid certificate key size 2, the key must be an AES key of size 32"
        );
        assert_eq!(
            said("abc"),
            "controlPlane.certificateKey: Invalid value: \"abc\": certificate key decoding error: encoding/hex: odd length hex string"
        );
        assert_eq!(
            said("xy"),
            "controlPlane.certificateKey: Invalid value: \"xy\": certificate key decoding error: encoding/hex: invalid byte: U+0078 'x'"
        );
        assert_eq!(check_certificate_key(&"aB".repeat(32), V36), Ok(()));
        // Versions that do not look find out when they open the Secret.
        assert_eq!(check_certificate_key("abc", Version::new(28, 15)), Ok(()));
    }
}
