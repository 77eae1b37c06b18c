//! Forecasts as people run them: exit codes hold, and what is told fits the published schema.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test lays out files and stops where something is missing"
)]

use std::fs;

#[path = "beside/cluster.rs"]
mod cluster;
#[path = "beside/command.rs"]
mod command;
#[path = "beside/engine.rs"]
mod engine;
#[path = "beside/schema.rs"]
mod schema;

use command::{certdrill, disks, ended, text};

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
        (&["forecast", "nowhere.yaml"], 2),
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
