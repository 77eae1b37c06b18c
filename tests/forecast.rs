//! Capture and forecast as people run them: no key leaves the machine, archives never escape, exit codes hold.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test lays out files and stops where something is missing"
)]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use certdrill::pki::der::{Reader, tag};
use certdrill::pki::{Kubeconfig, Source, pem};
use tempfile::TempDir;

#[path = "beside/cluster.rs"]
mod cluster;
#[path = "beside/engine.rs"]
mod engine;
#[path = "beside/schema.rs"]
mod schema;

const TOKEN: &str = "abcdef.0123456789abcdef";

/// A cluster's disks, laid out as directories of a folder.
fn disks(version: &str, control_planes: u32, workers: u32) -> TempDir {
    let folder = TempDir::new().unwrap();
    cluster::disks(folder.path(), version, control_planes, workers);
    folder
}

fn certdrill(folder: &Path, args: &[&str], input: Option<&[u8]>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certdrill"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CERTDRILL_") && name != "CERTDRILL_ENGINES" {
            command.env_remove(name);
        }
    }
    let mut child = command
        .current_dir(folder)
        .env("COLUMNS", "100")
        .env("NO_COLOR", "1")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that refuses early does not read its input.
    let _ = stdin.write_all(input.unwrap_or_default());
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[track_caller]
fn ended(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", text(output));
}

/// Every private key below a directory: the PEM text it stands in.
fn keys_below(dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            keys_below(&path, found);
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        if let Ok(config) = Kubeconfig::parse(&bytes)
            && let Source::Data(key) = config.client_key()
        {
            found.push(String::from_utf8(key).unwrap());
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Some(begin) = text
            .find("-----BEGIN")
            .filter(|_| text.contains("PRIVATE KEY-----"))
        {
            found.push(text[begin..].to_owned());
        }
    }
}

/// The numbers of a key that nobody may see.
fn secrets(pem_text: &str) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for block in pem::blocks(pem_text.as_bytes()) {
        let mut body = Reader(&block.bytes).read(tag::SEQUENCE).unwrap();
        match block.kind.as_str() {
            "RSA PRIVATE KEY" => {
                let mut numbers = Vec::new();
                while let Some(number) = body.integer() {
                    numbers.push(number.to_vec());
                }
                // Version, modulus and exponent are public.
                out.extend(numbers.split_off(3));
            }
            "EC PRIVATE KEY" => {
                body.int64().unwrap();
                out.push(body.read(tag::OCTET_STRING).unwrap().0.to_vec());
            }
            _ => {}
        }
    }
    out
}

/// Whether a text holds any part of a key: raw, in hexadecimal, in base64 at any offset, or a line of its PEM.
fn leaks(text: &[u8], keys: &[String]) -> Option<String> {
    let holds = |part: &[u8]| memchr::memmem::find(text, part).is_some();
    let base64 = base64::engine::general_purpose::STANDARD;
    for key in keys {
        for line in key
            .lines()
            .filter(|line| line.len() == 64 && !key.contains("CERTIFICATE"))
        {
            if holds(line.as_bytes()) {
                return Some(format!("a line of PEM: {line}"));
            }
        }
        // A kubeconfig holds base64 of PEM.
        let doubled = base64.encode(key);
        if !key.contains("CERTIFICATE") && holds(&doubled.as_bytes()[60..100]) {
            return Some("base64 of PEM".to_owned());
        }
        for secret in secrets(key) {
            for window in secret.chunks(12).filter(|window| window.len() == 12) {
                let hex: String = window.iter().map(|byte| format!("{byte:02x}")).collect();
                if holds(window) || holds(hex.as_bytes()) || holds(hex.to_uppercase().as_bytes()) {
                    return Some("bytes of a key".to_owned());
                }
            }
            for offset in 0..3 {
                let Some(part) = secret.get(offset..offset + 24) else {
                    continue;
                };
                // 24 bytes are 32 characters without padding.
                if holds(base64.encode(part).as_bytes()) {
                    return Some("base64 of a key".to_owned());
                }
            }
        }
    }
    None
}

#[test]
fn no_byte_of_a_key_and_no_token_leaves_the_process() {
    // RSA keys from kubeadm, ECDSA keys from the kubelets.
    let folder = disks("v1.30.0", 1, 1);
    let cp1 = folder.path().join("cp1");
    // What people also have there: a token, a password, a key among certificates, a PKCS#8 key, keys in odd places.
    fs::write(
        cp1.join("etc/kubernetes/bootstrap-kubelet.conf"),
        format!("apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{{name: a, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{token: {TOKEN}, password: hunter2hunter2}}}}]\n"),
    )
    .unwrap();
    let key = fs::read_to_string(cp1.join("etc/kubernetes/pki/apiserver.key")).unwrap();
    let crt = fs::read_to_string(cp1.join("etc/kubernetes/pki/apiserver.crt")).unwrap();
    fs::write(
        cp1.join("etc/kubernetes/pki/both.crt"),
        format!("{key}{crt}# {key}"),
    )
    .unwrap();
    fs::write(
        cp1.join("etc/kubernetes/admin-broken.conf"),
        format!("users: [{{ {key}"),
    )
    .unwrap();
    fs::write(cp1.join("etc/kubernetes/pki/notes.txt"), &key).unwrap();
    fs::write(
        cp1.join("etc/kubernetes/kubeadm-config.yaml"),
        format!(
            "kind: InitConfiguration\nbootstrapTokens: [{{token: {TOKEN}}}]\ncertificateKey: {}\n",
            "ab".repeat(32)
        ),
    )
    .unwrap();
    let mut keys = Vec::new();
    keys_below(folder.path(), &mut keys);
    assert!(keys.len() > 15);
    assert!(
        leaks(key.as_bytes(), &keys).is_some(),
        "the search finds what is there"
    );
    let hex: String = secrets(&key)[0]
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    assert!(leaks(hex.as_bytes(), &keys).is_some());

    let capture = certdrill(
        folder.path(),
        &[
            "capture",
            "--node",
            "cp1=cp1",
            "--node",
            "w1=w1",
            "--at",
            "2026-01-02T00:00:00Z",
            "-o",
            "c.yaml",
        ],
        None,
    );
    ended(&capture, 0);
    let printed = certdrill(
        folder.path(),
        &["capture", "cp1", "w1", "--at", "2026-01-02T00:00:00Z"],
        None,
    );
    ended(&printed, 0);
    let file = fs::read(folder.path().join("c.yaml")).unwrap();
    let forecasts = ["table", "json", "html"].map(|format| {
        certdrill(
            folder.path(),
            &["forecast", "c.yaml", "--format", format],
            None,
        )
    });
    let mut everything = vec![file.clone()];
    for output in forecasts.iter().chain([&capture, &printed]) {
        everything.push(output.stdout.clone());
        everything.push(output.stderr.clone());
    }
    for seen in &everything {
        assert_eq!(leaks(seen, &keys), None);
        let seen = String::from_utf8_lossy(seen);
        for secret in [TOKEN, "hunter2hunter2", "PRIVATE KEY", &"ab".repeat(32)] {
            assert!(!seen.contains(secret), "{secret}");
        }
    }
    // It says that they were there, and that each is the right one.
    let file = String::from_utf8(file).unwrap();
    assert!(file.contains("withheld:") && file.contains("- token"));
    assert!(file.contains("belongsTo:"));
}

#[test]
fn a_directory_an_archive_and_an_archive_on_standard_input_give_one_capture() {
    let folder = disks("v1.36.3", 1, 0);
    let tar = |flag: &str, name: &str| {
        let made = Command::new("tar")
            .args([
                "-C",
                "cp1",
                flag,
                name,
                "etc/kubernetes",
                "var/lib/kubelet",
                "root/.kube",
                "kubeadm.yaml",
            ])
            .current_dir(folder.path())
            .status()
            .unwrap();
        assert!(made.success());
    };
    tar("-cf", "cp1.tar");
    tar("-czf", "cp1.tar.gz");
    let at = ["--at", "2026-01-02T00:00:00Z"];
    let capture = |source: &str, input: Option<&[u8]>| {
        let node = format!("cp1={source}");
        let output = certdrill(
            folder.path(),
            &["capture", "--node", &node, at[0], at[1]],
            input,
        );
        ended(&output, 0);
        String::from_utf8(output.stdout).unwrap()
    };
    let plain = capture("cp1", None);
    let file = fs::read(folder.path().join("cp1.tar.gz")).unwrap();
    assert_eq!(plain, capture("cp1.tar", None));
    assert_eq!(plain, capture("cp1.tar.gz", None));
    assert_eq!(plain, capture("-", Some(&file)));
    // What is cut off or no archive is refused, with a word on how to make one.
    for input in [&file[..file.len() / 2], b"nonsense"] {
        let output = certdrill(folder.path(), &["capture", "--node", "cp1=-"], Some(input));
        ended(&output, 104);
        assert!(text(&output).contains("tar -C / -czf"), "{}", text(&output));
    }
}

#[test]
fn symlinks_of_a_directory_never_lead_outside() {
    let folder = disks("v1.36.3", 1, 0);
    fs::write(folder.path().join("outside.crt"), "outside of the tree").unwrap();
    let pki = folder.path().join("cp1/etc/kubernetes/pki");
    std::os::unix::fs::symlink("../../../../outside.crt", pki.join("up.crt")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("outside.crt"), pki.join("absolute.crt"))
        .unwrap();
    std::os::unix::fs::symlink(".", pki.join("loop")).unwrap();
    let output = certdrill(folder.path(), &["capture", "cp1"], None);
    ended(&output, 0);
    assert!(!text(&output).contains("outside of the tree"));
    assert!(text(&output).contains("deeper than any PKI"));
}

#[test]
fn node_containers_of_a_kind_cluster_are_reached_through_the_container_engine() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = disks("v1.36.3", 1, 1);
    // It plays docker: two nodes and a load balancer, each a directory.
    let docker = folder.path().join("docker");
    fs::write(
        &docker,
        "#!/bin/sh\ncase \"$1\" in\nps) [ \"$3\" = label=io.x-k8s.kind.cluster=mine ] && printf 'w1\\ncp1\\nmine-external-load-balancer\\n'; exit 0 ;;\nexec) cd \"$2\" && shift 4 && eval \"$(printf %s \"$1\" | sed 's#cd /#cd .#')\" ;;\nesac\n",
    )
    .unwrap();
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
    let engine = docker.to_str().unwrap();
    let output = certdrill(
        folder.path(),
        &[
            "capture",
            "--kind",
            "mine",
            "--container-engine",
            engine,
            "-o",
            "kind.yaml",
        ],
        None,
    );
    ended(&output, 0);
    assert!(
        text(&output).contains("cp1 (control plane, v1.36.3)"),
        "{}",
        text(&output)
    );
    assert!(text(&output).contains("w1 (worker"), "{}", text(&output));
    let none = certdrill(
        folder.path(),
        &["capture", "--kind", "other", "--container-engine", engine],
        None,
    );
    ended(&none, 104);
    assert!(
        text(&none).contains("no running kind cluster"),
        "{}",
        text(&none)
    );
}

#[test]
fn garbage_is_captured_as_a_finding_and_never_a_panic() {
    let folder = disks("v1.36.3", 1, 0);
    let kubernetes = folder.path().join("cp1/etc/kubernetes");
    let crt = fs::read(kubernetes.join("pki/apiserver.crt")).unwrap();
    for (file, content) in [
        ("pki/apiserver.crt", &crt[..crt.len() / 2]),
        ("pki/ca.key", b"\xff\xfe\x00"),
        ("pki/sa.pub", b""),
        (
            "pki/etcd/ca.crt",
            b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        ),
        ("scheduler.conf", b"apiVersion: v1\nclusters: 7\n"),
        ("manifests/etcd.yaml", b"- - -"),
    ] {
        fs::write(kubernetes.join(file), content).unwrap();
    }
    let captured = certdrill(folder.path(), &["capture", "cp1", "-o", "c.yaml"], None);
    ended(&captured, 0);
    let output = certdrill(
        folder.path(),
        &["forecast", "c.yaml", "--fail-within", "1d"],
        None,
    );
    ended(&output, 100);
    let seen = text(&output);
    for file in [
        "pki/apiserver.crt",
        "sa.pub",
        "etcd/ca.crt",
        "manifests/etcd.yaml",
    ] {
        assert!(seen.contains(file), "{file}: {seen}");
    }
}

#[test]
fn exit_codes() {
    let folder = disks("v1.36.3", 1, 1);
    let at = "2026-01-02T00:00:00Z";
    let capture = ["capture", "cp1", "w1", "--at", at, "-o", "c.yaml"];
    ended(&certdrill(folder.path(), &capture, None), 0);
    fs::write(
        folder.path().join("plan.yaml"),
        "apiVersion: certdrill/v1\nkind: Plan\nsteps:\n- { every: 300d, renew: { restart: true } }\n",
    )
    .unwrap();
    fs::write(folder.path().join("other.yaml"), "kind: Scenario\n").unwrap();
    fs::write(
        folder.path().join("bad-plan.yaml"),
        "apiVersion: certdrill/v1\nkind: Plan\nsteps: [{renew: {}}]\n",
    )
    .unwrap();
    for (args, code) in [
        (&["forecast", "c.yaml"][..], 0),
        (&["forecast", "c.yaml", "--fail-within", "30d"], 0),
        (&["forecast", "c.yaml", "--fail-within", "400d"], 100),
        (
            &[
                "forecast",
                "c.yaml",
                "--horizon",
                "100d",
                "--fail-within",
                "400d",
            ],
            0,
        ),
        (&["forecast", "c.yaml", "--horizon", "0d"], 2),
        (&["forecast"], 2),
        (&["forecast", "other.yaml"], 3),
        (&["forecast", "nowhere.yaml"], 3),
        (&["forecast", "c.yaml", "c.yaml"], 3),
        (&["forecast", "c.yaml", "--plan", "bad-plan.yaml"], 3),
        (&["forecast", "c.yaml", "--backend", "kind"], 104),
        (&["capture", "nowhere"], 104),
        (&["capture", "--node", "cp1"], 2),
        (&["capture", "cp1/etc/kubernetes"], 104),
    ] {
        let output = certdrill(folder.path(), args, None);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{args:?}: {}",
            text(&output)
        );
    }
    let json = certdrill(
        folder.path(),
        &[
            "forecast",
            "c.yaml",
            "--plan",
            "plan.yaml",
            "--format",
            "json",
        ],
        None,
    );
    ended(&json, 0);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(value["kind"], "Forecast");
    assert_eq!(value["replay"]["cured"], true, "{value:#}");
}

#[test]
fn two_captures_make_one_cluster_and_the_same_one() {
    let folder = disks("v1.36.3", 1, 1);
    let at = ["--at", "2026-01-02T00:00:00Z"];
    for (source, file) in [
        (&["cp1", "w1"][..], "both.yaml"),
        (&["cp1"], "cp1.yaml"),
        (&["w1"], "w1.yaml"),
    ] {
        let args: Vec<&str> = [&["capture"], source, &at[..], &["-o", file]].concat();
        ended(&certdrill(folder.path(), &args, None), 0);
    }
    let one = certdrill(folder.path(), &["forecast", "both.yaml"], None);
    let two = certdrill(folder.path(), &["forecast", "cp1.yaml", "w1.yaml"], None);
    assert_eq!(text(&one), text(&two));
    let worker = certdrill(folder.path(), &["forecast", "w1.yaml"], None);
    ended(&worker, 3);
    assert!(
        text(&worker).contains("capture one of them too"),
        "{}",
        text(&worker)
    );
}

/// The real kubeadm on the rebuilt tree says the same as the model.
#[test]
fn the_real_kubeadm_plays_the_same_plan() {
    if engine::engine("v1.36.3").is_none() {
        engine::missing("kubeadm", "no kubeadm v1.36.3: certdrill engines list");
        return;
    }
    let folder = disks("v1.36.3", 2, 1);
    let args = [
        "capture",
        "cp1",
        "cp2",
        "w1",
        "--at",
        "2026-01-02T00:00:00Z",
        "-o",
        "c.yaml",
    ];
    ended(&certdrill(folder.path(), &args, None), 0);
    fs::write(
        folder.path().join("plan.yaml"),
        "apiVersion: certdrill/v1\nkind: Plan\nsteps:\n- { after: 300d, renew: { nodes: [cp1], restart: true } }\n",
    )
    .unwrap();
    let played = ["sim", "kubeadm"].map(|backend| {
        let output = certdrill(
            folder.path(),
            &[
                "forecast",
                "c.yaml",
                "--plan",
                "plan.yaml",
                "--horizon",
                "400d",
                "--format",
                "json",
                "--backend",
                backend,
            ],
            None,
        );
        ended(&output, 0);
        let mut value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(value["backend"], backend);
        value["backend"] = serde_json::Value::Null;
        value
    });
    assert_eq!(played[0], played[1]);
}

/// Every shape that a forecast can have: quiet, with findings and their commands, with a plan that fails, not played.
#[test]
fn a_forecast_in_json_fits_its_published_schema() {
    let published = include_str!("../docs/forecast.schema.json");
    assert!(
        published == certdrill::forecast::outlook::schema(),
        "run `cargo run -- schema forecast > docs/forecast.schema.json`"
    );
    let words: serde_json::Value = serde_json::from_str(published).unwrap();
    let folder = disks("v1.36.3", 1, 1);
    let capture = |file: &str| {
        let at = "2026-01-02T00:00:00Z";
        let args = ["capture", "cp1", "w1", "--at", at, "-o", file];
        ended(&certdrill(folder.path(), &args, None), 0);
    };
    capture("sound.yaml");
    let pki = folder.path().join("cp1/etc/kubernetes/pki");
    // A key of another CA, a certificate that cannot be read, one that is missing, a key that everybody can read.
    fs::copy(pki.join("etcd/ca.key"), pki.join("front-proxy-ca.key")).unwrap();
    fs::write(pki.join("apiserver-kubelet-client.crt"), "nonsense").unwrap();
    fs::remove_file(folder.path().join("cp1/etc/kubernetes/super-admin.conf")).unwrap();
    capture("broken.yaml");
    let manifest = folder
        .path()
        .join("cp1/etc/kubernetes/manifests/kube-apiserver.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    let elsewhere = text.replace("/etc/kubernetes/pki/ca.crt", "/srv/pki/ca.crt");
    fs::write(&manifest, elsewhere).unwrap();
    capture("elsewhere.yaml");
    fs::write(
        folder.path().join("plan.yaml"),
        "apiVersion: certdrill/v1\nkind: Plan\nsteps:\n- { after: 1d, upgrade: { to: v1.40.0 } }\n- { every: 300d, renew: { restart: true } }\n",
    )
    .unwrap();
    let forecast = |args: &[&str], code: i32| {
        let args = [&["forecast", "--format", "json"], args].concat();
        let output = certdrill(folder.path(), &args, None);
        ended(&output, code);
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let mistakes = schema::mistakes(&words, &words, &value, "forecast");
        assert!(mistakes.is_empty(), "{args:?}: {mistakes:#?}");
        value
    };
    let short = forecast(&["sound.yaml", "--horizon", "30d"], 0);
    assert!(short["breaks"].as_array().unwrap().is_empty() && short["replay"].is_null());
    let sound = forecast(&["sound.yaml"], 0);
    assert!(sound["breaks"][0]["consequences"][0]["text"].is_string());
    assert!(sound["remedies"][0]["by"].is_string() && sound["replay"]["cured"] == true);
    let broken = forecast(&["broken.yaml"], 0);
    assert!(broken["findings"][0]["orders"].is_array());
    let planned = forecast(&["sound.yaml", "--plan", "plan.yaml"], 0);
    assert!(
        !planned["refused"].as_array().unwrap().is_empty(),
        "{planned:#}"
    );
    let elsewhere = forecast(&["elsewhere.yaml"], 104);
    assert!(elsewhere["notPlayed"].is_string(), "{elsewhere:#}");
    // A schema that takes everything would say nothing.
    for (pointer, value) in [
        ("/kind", serde_json::Value::from("Weather")),
        ("/from", serde_json::Value::from(3)),
        ("/breaks/0", serde_json::json!({ "unknown": 1 })),
        ("/findings", serde_json::json!([{ "rule": "expired" }])),
        ("/replay/cured", serde_json::Value::from("yes")),
    ] {
        let mut wrong = sound.clone();
        *wrong.pointer_mut(pointer).unwrap() = value;
        let mistakes = schema::mistakes(&words, &words, &wrong, "forecast");
        assert!(!mistakes.is_empty(), "{pointer}");
    }
}
