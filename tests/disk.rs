//! Faults of a real disk: the simulated ones, the engine on a real directory and the real kubeadm must agree in
//! what they print and in what they leave behind, and in what the next run makes of it.
//!
//! Disks are small tmpfs mounts, so this needs root, and python3 to hold a file. Where that is not to be had the
//! test says so; with `CERTDRILL_REQUIRE=mounts` it fails then.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test lays out real trees and stops where something is missing"
)]

#[path = "beside/disk.rs"]
mod disk;
#[path = "beside/engine.rs"]
mod engine;
#[path = "beside/mounts.rs"]
mod mounts;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use certdrill::fs::{Errno, Faults, FileType, MemoryTree, Tree};
use certdrill::kubeadm::{Machine, Version, run};
use certdrill::pki::{Certificate, Kubeconfig, PoolKeys, PrivateKey};
use certdrill::time::Timestamp;
use disk::{lay_out, paths};
use engine::{engine, missing};
use mounts::Disk;

use Fault::{Full, Killed, Protected, ReadOnly};
use Next::{Chance, Fails, Repairs};

const KEY: &str = "/etc/kubernetes/pki/apiserver.key";
const CERTIFICATE: &str = "/etc/kubernetes/pki/apiserver.crt";
const ADMIN: &str = "/etc/kubernetes/admin.conf";
const PAGE: u64 = 4096;
/// One is built by `ci/engines.sh`; the others are used where they are.
const ALWAYS: &str = "v1.35.4";
const VERSIONS: [&str; 4] = ["v1.17.17", "v1.28.15", ALWAYS, "v1.37.2"];

fn configuration(version: &str, api_server: &str) -> String {
    let api = match version {
        "v1.17.17" => "v1beta2",
        "v1.28.15" => "v1beta3",
        _ => "v1beta4",
    };
    format!(
        "apiVersion: kubeadm.k8s.io/{api}
kind: InitConfiguration
localAPIEndpoint: {{advertiseAddress: 10.0.0.10, bindPort: 6443}}
nodeRegistration: {{name: cp1, criSocket: 'unix:///x'}}
---
apiVersion: kubeadm.k8s.io/{api}
kind: ClusterConfiguration
kubernetesVersion: {version}
apiServer: {{certSANs: [{api_server}]}}
"
    )
}

fn line(version: &str, words: &str) -> Vec<String> {
    let group = if version < "v1.20" && words.starts_with("certs") {
        "alpha "
    } else {
        ""
    };
    format!("{group}{words} --config /kubeadm.yaml")
        .split(' ')
        .map(str::to_owned)
        .collect()
}

/// What a command printed and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Printed {
    exit_code: i32,
    stdout: String,
    stderr: String,
}

fn in_memory(tree: &mut MemoryTree, version: &str, words: &str, seed: u64) -> Printed {
    let output = run(
        version.parse::<Version>().unwrap(),
        &line(version, words),
        &mut Machine {
            tree,
            now: Timestamp::now(),
            hostname: "cp1".into(),
            host_address: "10.0.0.10".parse().unwrap(),
            keys: &mut PoolKeys::new(seed),
            cluster: None,
        },
    );
    Printed {
        exit_code: output.exit_code,
        stdout: output.stdout,
        stderr: plain(&output.stderr),
    }
}

/// `certdrill kubeadm` on a directory.
fn ours(root: &Path, version: &str, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certdrill"));
    command
        .args([
            "kubeadm",
            "--as",
            version,
            "--hostname",
            "cp1",
            "--host-address",
            "10.0.0.10",
        ])
        .arg("--rootfs")
        .arg(root)
        .arg("--")
        .args(line(version, words));
    command
}

/// The real one.
fn kubeadm(binary: &Path, root: &Path, version: &str, words: &str) -> Command {
    let mut command = Command::new(binary);
    command.arg("--rootfs").arg(root).args(line(version, words));
    command
}

fn printed(command: &mut Command) -> Printed {
    let output = command.output().unwrap();
    Printed {
        exit_code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: plain(&String::from_utf8(output.stderr).unwrap()),
    }
}

/// Standard error without log lines, and without the place of a broken byte, which hangs on random keys.
fn plain(text: &str) -> String {
    let log = |line: &str| {
        line.starts_with(['W', 'I', 'E'])
            && line
                .get(1..5)
                .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    text.lines()
        .filter(|line| !log(line))
        .map(|line| match line.split_once("input byte ") {
            Some((head, _)) => format!("{head}input byte N\n"),
            None => format!("{line}\n"),
        })
        .collect()
}

/// Kind with mode, and content, by path.
type Files = BTreeMap<String, (String, Vec<u8>)>;

/// What became of each path that changed, without what is random.
fn what_became(before: &MemoryTree, after: &Files) -> BTreeMap<String, String> {
    let before = of_memory(before);
    let mut out = BTreeMap::new();
    for path in before.keys().filter(|path| !after.contains_key(*path)) {
        out.insert(path.clone(), "gone".to_owned());
    }
    for (path, found) in after {
        if path == mounts::FILLER || before.get(path) == Some(found) {
            continue;
        }
        let (kind, content) = found;
        // A cut may fall where what is left can be read.
        let said = if (content.len() as u64).is_multiple_of(PAGE) {
            format!("{} bytes", content.len())
        } else if Certificate::parse_pem_certs(content).is_ok() {
            "a certificate".to_owned()
        } else if PrivateKey::from_pem(content).is_ok() {
            "a key".to_owned()
        } else if Kubeconfig::parse(content).is_ok_and(|config| config.user().is_some()) {
            "a kubeconfig".to_owned()
        } else {
            format!("{} bytes", content.len())
        };
        out.insert(path.clone(), format!("{kind} {said}"));
    }
    out
}

fn of_memory(tree: &MemoryTree) -> Files {
    let describe = |path: String| {
        let found = tree.symlink_metadata(&path).unwrap();
        let (kind, content) = match found.file_type {
            FileType::Dir => ("dir", Vec::new()),
            _ => ("file", tree.read(&path).unwrap()),
        };
        (path, (format!("{kind} {:o}", found.mode), content))
    };
    tree.paths().into_iter().map(describe).collect()
}

fn of_disk(root: &Path) -> Files {
    let describe = |(path, found): (String, disk::Found)| {
        (
            path,
            (format!("{} {:o}", found.kind, found.mode), found.content),
        )
    };
    paths(root).into_iter().map(describe).collect()
}

/// What goes wrong.
#[derive(Clone, Copy)]
enum Fault {
    /// So many bytes fit, in pages that overwritten files give back and nothing else.
    Full {
        bytes: u64,
    },
    ReadOnly,
    /// The API server's certificate cannot be written.
    Protected,
    /// Killed when the key is written and the certificate is not.
    Killed,
}

struct Case {
    name: &'static str,
    tree: MemoryTree,
    words: &'static str,
    fault: Fault,
    /// Part of what is printed, so that nobody agrees on nothing.
    says: &'static str,
    next: Next,
}

/// What the next run, without the fault, makes of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Repairs,
    Fails,
    /// That hangs on where a cut falls in random text, and is not compared.
    Chance,
}

/// A tree made by the engine.
fn made(version: &str, api_server: &str) -> MemoryTree {
    let mut tree = bare(version, api_server);
    for words in ["init phase certs all", "init phase kubeconfig all"] {
        let output = in_memory(&mut tree, version, words, 1);
        assert_eq!(output.exit_code, 0, "{output:?}");
    }
    tree
}

/// A tree with nothing but a configuration.
fn bare(version: &str, api_server: &str) -> MemoryTree {
    let mut tree = MemoryTree::new();
    let text = configuration(version, api_server);
    tree.write("/kubeadm.yaml", text.as_bytes(), 0o644).unwrap();
    tree
}

/// A tree whose API server certificate fits one page, and does not when it is renewed: it has no line breaks.
fn nearly_two_pages(version: &str) -> MemoryTree {
    let names = |count: usize| {
        (0..count)
            .map(|at| format!("a{at}.example"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut tree = (100..200)
        .map(|count| made(version, &names(count)))
        .find(|tree| tree.metadata(CERTIFICATE).unwrap().len > PAGE + 8)
        .unwrap();
    let text = String::from_utf8(tree.read(CERTIFICATE).unwrap()).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let squeezed = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
    assert!((squeezed.len() as u64) <= PAGE);
    tree.write(CERTIFICATE, squeezed.as_bytes(), 0o644).unwrap();
    tree
}

/// Everything that both engines and the simulated disk are asked.
fn cases(version: &str) -> Vec<Case> {
    let healthy = made(version, "api.example");
    let bare = bare(version, "api.example");
    let mut keyless = healthy.clone();
    keyless.write(KEY, b"", 0o600).unwrap();
    let mut short = healthy.clone();
    let text = String::from_utf8(healthy.read(ADMIN).unwrap()).unwrap();
    let without_key: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("client-key-data"))
        .collect();
    short
        .write(ADMIN, without_key.join("\n").as_bytes(), 0o600)
        .unwrap();
    assert!(short.metadata(ADMIN).unwrap().len <= PAGE);
    let long = nearly_two_pages(version);
    // The new key takes the page of the old one, the new certificate finds one page of two.
    let little = {
        let mut tree = long.clone();
        in_memory(&mut tree, version, "certs renew apiserver", 2);
        tree.metadata(KEY).unwrap().len + PAGE
    };
    let full = |bytes| Full { bytes };
    let no_room = "no space left on device";
    let ro = "read-only file system";
    let no_crt = "unable to write certificate to file";
    let one = "certs renew apiserver";
    let all = "certs renew all";
    let conf = "certs renew admin.conf";
    let ca = "init phase certs ca";
    let check = "certs check-expiration";
    [
        ("a key, no room", &keyless, one, full(0), no_room, Repairs),
        (
            "a crt, little room",
            &long,
            one,
            full(little),
            no_room,
            Fails,
        ),
        (
            "a conf, one page",
            &short,
            conf,
            full(PAGE),
            no_room,
            Chance,
        ),
        ("a CA, no room", &bare, ca, full(0), no_room, Fails),
        ("all, read-only", &healthy, all, ReadOnly, ro, Repairs),
        (
            "a key, read-only",
            &healthy,
            one,
            ReadOnly,
            "write key",
            Repairs,
        ),
        ("a CA, read-only", &bare, ca, ReadOnly, ro, Repairs),
        ("a check, read-only", &healthy, check, ReadOnly, "", Repairs),
        ("one protected", &healthy, one, Protected, no_crt, Repairs),
        (
            "one of all protected",
            &healthy,
            all,
            Protected,
            no_crt,
            Repairs,
        ),
        ("killed after the key", &healthy, one, Killed, "", Repairs),
    ]
    .into_iter()
    .map(|(name, tree, words, fault, says, next)| Case {
        name,
        tree: tree.clone(),
        words,
        fault,
        says,
        next,
    })
    .collect()
}

/// What one subject did: under the fault, to its files, and in the run after it.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// `None` for a killed one.
    printed: Option<Printed>,
    files: BTreeMap<String, String>,
    again: Option<Again>,
}

#[derive(Debug, PartialEq, Eq)]
struct Again {
    printed: Printed,
    files: BTreeMap<String, String>,
    pair_matches: bool,
}

impl Case {
    fn simulated(&self, version: &str) -> Outcome {
        let mut tree = self.tree.clone();
        match self.fault {
            Full { bytes } => tree.faults.bytes_left = Some(bytes),
            ReadOnly => tree.faults.read_only = true,
            Protected => {
                tree.faults
                    .unwritable
                    .insert(CERTIFICATE.into(), Errno::ReadOnly);
            }
            Killed => tree.faults.writes_until_kill = Some(1),
        }
        let printed = in_memory(&mut tree, version, self.words, 2);
        let files = of_memory(&tree);
        tree.faults = Faults::default();
        let again = in_memory(&mut tree, version, self.words, 3);
        self.outcome(printed, &files, again, &of_memory(&tree))
    }

    fn on_disk(&self, start: &dyn Fn(&Path) -> Command) -> Outcome {
        let mut disk = Disk::new().unwrap();
        lay_out(&self.tree, disk.path());
        match self.fault {
            Full { .. } => disk.fill(),
            ReadOnly => disk.read_only(),
            Protected => disk.protect(CERTIFICATE),
            Killed => disk.hold(CERTIFICATE),
        }
        let mut command = start(disk.path());
        let output = if let Killed = self.fault {
            self.kill_after_the_key(&disk, &mut command);
            Printed {
                exit_code: -1,
                stdout: String::new(),
                stderr: String::new(),
            }
        } else {
            printed(&mut command)
        };
        let files = of_disk(disk.path());
        disk.repair(CERTIFICATE);
        let again = printed(&mut start(disk.path()));
        self.outcome(output, &files, again, &of_disk(disk.path()))
    }

    fn kill_after_the_key(&self, disk: &Disk, command: &mut Command) {
        let old = self.tree.read(KEY).unwrap();
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = std::time::Instant::now();
        loop {
            let key = std::fs::read(disk.at(KEY)).unwrap();
            if key != old && PrivateKey::from_pem(&key).is_ok() {
                break;
            }
            assert!(begun.elapsed().as_secs() < 30, "no key is written");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(
            child.try_wait().unwrap(),
            None,
            "it did not wait for the certificate"
        );
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn outcome(&self, printed: Printed, files: &Files, again: Printed, then: &Files) -> Outcome {
        let killed = matches!(self.fault, Killed);
        let pair =
            Certificate::parse_pem_certs(then.get(CERTIFICATE).map_or(&[], |found| &found.1))
                .ok()
                .zip(
                    then.get(KEY)
                        .and_then(|found| PrivateKey::from_pem(&found.1).ok()),
                );
        let pair_matches =
            pair.is_some_and(|(certificates, key)| certificates[0].spki_der() == key.spki_der());
        Outcome {
            printed: (!killed).then_some(printed),
            files: what_became(&self.tree, files),
            again: (self.next != Chance).then_some(Again {
                printed: again,
                files: what_became(&self.tree, then),
                pair_matches,
            }),
        }
    }
}

#[test]
fn a_simulated_disk_fails_as_a_real_one_does() {
    if Disk::new().is_none() || Command::new("python3").arg("--version").output().is_err() {
        missing("mounts", "be root where mounting is allowed, with python3");
        return;
    }
    let mut wrong = Vec::new();
    for version in VERSIONS {
        let binary = engine(version);
        if binary.is_none() && version == ALWAYS {
            missing("kubeadm", "build one with ci/build-kubeadm.sh v1.35.4");
        }
        for case in cases(version) {
            let simulated = case.simulated(version);
            let text = format!("{simulated:?}");
            assert!(text.contains(case.says), "{version}, {}: {text}", case.name);
            if let Some(again) = &simulated.again {
                let repairs = case.next == Repairs;
                assert_eq!(
                    again.printed.exit_code == 0,
                    repairs,
                    "{version}, {}: {text}",
                    case.name
                );
                assert!(
                    !repairs || case.words != "certs renew apiserver" || again.pair_matches,
                    "{version}, {}",
                    case.name
                );
            }
            let mut judge = |who: &str, found: Outcome| {
                if found != simulated {
                    wrong.push(format!(
                        "## {version}, {}: {who}\n{found:#?}\n-- simulated:\n{simulated:#?}",
                        case.name
                    ));
                }
            };
            judge(
                "the engine",
                case.on_disk(&|root| ours(root, version, case.words)),
            );
            if let Some(binary) = &binary {
                judge(
                    "the real kubeadm",
                    case.on_disk(&|root| kubeadm(binary, root, version, case.words)),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
