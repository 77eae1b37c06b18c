//! What a person types wrong is told with its place, where it came from, and what was probably meant.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "files are written and commands are run, and a test may stop at what it did not expect"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

#[path = "beside/cluster.rs"]
mod cluster;

/// What a command that must end with a code says on standard error.
#[track_caller]
fn refused(folder: &Path, args: &[&str], env: &[(&str, &str)], code: i32) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certdrill"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CERTDRILL_") {
            command.env_remove(name);
        }
    }
    let output = command
        .current_dir(folder)
        .envs(env.iter().copied())
        .env("NO_COLOR", "1")
        .args(args)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    said
}

const SCENARIO: &str = "apiVersion: certdrill/v1
kind: Scenario
metadata: { name: a-year, title: Nobody renews }
spec:
  cluster: { version: v1.36.3, keyAlgorithm: ECDSA-P256 }
  steps:
    - walk: 10d
    - expect: { edge: \"admin@cp1 -> apiserver\", is: ok }
";

fn with_scenario() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("a-year.yaml"), SCENARIO).unwrap();
    folder
}

#[test]
fn a_wrong_value_of_the_environment_names_its_variable() {
    let folder = with_scenario();
    let run = ["run", "a-year.yaml"];
    let said = refused(folder.path(), &run, &[("CERTDRILL_SEED", "abc")], 2);
    assert!(
        said.contains("for --seed comes from the environment: CERTDRILL_SEED"),
        "{said}"
    );
    // What stands on the command line is not blamed on a variable that is set, too.
    let typed = ["run", "a-year.yaml", "--seed", "xyz"];
    for value in ["abc", "xyz", "7"] {
        let said = refused(folder.path(), &typed, &[("CERTDRILL_SEED", value)], 2);
        assert!(
            said.contains("'xyz'") && !said.contains("CERTDRILL_SEED"),
            "{said}"
        );
    }
    // Two that do not go together, each from where it is.
    let both = ["run", "a-year.yaml", "--fail-fast"];
    let said = refused(folder.path(), &both, &[("CERTDRILL_MAX_FAIL", "3")], 2);
    assert!(
        said.contains("comes from the environment: CERTDRILL_MAX_FAIL")
            && !said.contains("CERTDRILL_FAIL_FAST"),
        "{said}"
    );
    // What certdrill reads by its own rules, too.
    let explain = ["explain", "a-year.yaml"];
    for (variable, value) in [
        ("CERTDRILL_AT", "soon"),
        ("CERTDRILL_EDGE", "kubelet@cp1"),
        ("CERTDRILL_CERTIFICATE", "apiserver"),
    ] {
        let said = refused(folder.path(), &explain, &[(variable, value)], 2);
        assert!(
            said.contains(&format!("comes from the environment: {variable}")),
            "{said}"
        );
    }
    // Of a command below a command, too.
    let show = ["warp", "show"];
    let said = refused(folder.path(), &show, &[("CERTDRILL_PID", "me")], 2);
    assert!(
        said.contains("comes from the environment: CERTDRILL_PID"),
        "{said}"
    );
}

/// A command line that names a file which is not there is wrong, whatever the file would have been.
#[test]
fn a_file_that_is_not_there_is_a_mistake_of_the_command_line() {
    let folder = with_scenario();
    for args in [
        &["run", "a-yaer.yaml"][..],
        &["lint", "a-yaer.yaml"],
        &["explain", "a-yaer.yaml", "--kubelet", "cp1"],
        &["forecast", "a-yaer.yaml"],
        &["import", "a-yaer.yaml"],
        &["replay", "a-yaer.yaml"],
    ] {
        let said = refused(folder.path(), args, &[], 2);
        assert!(said.contains("did you mean `a-year.yaml`?"), "{said}");
    }
    let plan = ["forecast", "a-year.yaml", "--plan", "nothing"];
    assert!(refused(folder.path(), &plan, &[], 2).contains("nothing: No such file"));
}

/// A pipe gives what it holds once: nobody looks into it before it is read.
#[test]
fn a_pipe_is_read_as_a_file_is() {
    let folder = TempDir::new().unwrap();
    let script = format!(
        "mkfifo paste; (printf '/etc/kubernetes/pki/apiserver.crt\\nnotAfter=Jan  1 00:00:00 2027 GMT\\n' >paste) & timeout 20 '{}' import paste",
        env!("CARGO_BIN_EXE_certdrill")
    );
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("2027-01-01T00:00:00Z"));
}

/// Somebody may name a key where a scenario belongs: standard error ends up in the logs of a CI job.
#[test]
fn of_a_key_nothing_is_shown() {
    let folder = with_scenario();
    let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n";
    fs::write(folder.path().join("ca.key"), key).unwrap();
    for (args, code) in [
        (&["run", "ca.key"][..], 3),
        (&["lint", "ca.key"], 3),
        (&["show", "ca.key"], 3),
        (&["run", "a-year.yaml", "--values", "ca.key"], 2),
        (&["forecast", "ca.key"], 3),
    ] {
        let said = refused(folder.path(), args, &[], code);
        assert!(!said.contains("MIIE") && said.contains("ca.key"), "{said}");
    }
}

#[test]
fn a_wrong_value_of_the_configuration_names_its_line() {
    let folder = with_scenario();
    let config = folder.path().join(".certdrill.yaml");
    let run = ["run", "a-year.yaml"];
    fs::write(&config, "seed: 7\nrun:\n  jobs: many\n").unwrap();
    let said = refused(folder.path(), &run, &[], 3);
    assert!(
        said.contains("for --jobs comes from the configuration: .certdrill.yaml, line 3"),
        "{said}"
    );
    // The environment goes before the file.
    let said = refused(folder.path(), &run, &[("CERTDRILL_JOBS", "none")], 2);
    assert!(
        said.contains("environment: CERTDRILL_JOBS") && !said.contains(".certdrill.yaml"),
        "{said}"
    );
    fs::write(&config, "# mine\nseed: abc\n").unwrap();
    let said = refused(folder.path(), &run, &[], 3);
    assert!(
        said.contains("configuration: .certdrill.yaml, line 2"),
        "{said}"
    );
    // Somebody who types another value does not care.
    refused(
        folder.path(),
        &["run", "a-year.yaml", "--seed", "1"],
        &[],
        0,
    );
    for (text, told) in [
        (
            "seed: 7\nsede: 8\n",
            ["`sede` is no option or command", ".certdrill.yaml:2:1"],
        ),
        (
            "run:\n  jobs:\n",
            ["`jobs` must be a value", ".certdrill.yaml:2:3"],
        ),
        ("seed: [7\n", ["error: ", ".certdrill.yaml:"]),
    ] {
        fs::write(&config, text).unwrap();
        let said = refused(folder.path(), &run, &[], 3);
        for part in told {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

#[test]
fn only_a_file_that_is_near_is_suggested() {
    let folder = with_scenario();
    for name in ["ha.yaml", "ab-c.yaml", "kubeadm-2989.yaml"] {
        fs::write(folder.path().join(name), SCENARIO).unwrap();
    }
    for wrong in ["ab.yaml", "a.yaml", "kubeadm-9999.yaml"] {
        let said = refused(folder.path(), &["lint", wrong], &[], 2);
        assert!(!said.contains("did you mean"), "{said}");
    }
    for (wrong, right) in [
        ("a-yaer.yaml", "a-year.yaml"),
        ("kubeadm-2988", "kubeadm-2989.yaml"),
    ] {
        let said = refused(folder.path(), &["lint", wrong], &[], 2);
        assert!(said.contains(&format!("did you mean `{right}`?")), "{said}");
    }
    // What is in the library and not here can be copied.
    let said = refused(
        folder.path(),
        &["explain", "kubeadm#1361", "--kubelet", "cp1"],
        &[],
        2,
    );
    assert!(
        said.contains("certdrill init --from incidents/kubeadm-1361"),
        "{said}"
    );
}

#[test]
fn what_is_to_be_explained_and_is_not_there_is_looked_for() {
    let folder = with_scenario();
    for (args, code, told) in [
        (
            ["--edge", "kubelt@cp1 -> apiserver"],
            2,
            "did you mean `kubelet`?",
        ),
        (
            ["--edge", "kubelet@cp2 -> apiserver"],
            4,
            "did you mean 'kubelet@cp1 -> kube-apiserver'?",
        ),
        (
            ["--certificate", "apisever@cp1"],
            4,
            "did you mean 'apiserver@cp1'?",
        ),
        (
            ["--certificate", "apiserver@cp2"],
            4,
            "did you mean 'apiserver@cp1'?",
        ),
        (
            ["--certificate", "weather@cp1"],
            4,
            "there are 'admin.conf@cp1', 'apiserver@cp1', ",
        ),
        (["--kubelet", "w1"], 4, "there are 'cp1'"),
        (["--include", "a-yeer"], 4, "did you mean `a-year`?"),
    ] {
        let subject = ["--kubelet", "cp1"];
        let rest: &[&str] = if args[0] == "--include" {
            &subject
        } else {
            &[]
        };
        let args = [&["explain", "a-year.yaml"], &args[..], rest].concat();
        let said = refused(folder.path(), &args, &[], code);
        assert!(said.contains(told), "{args:?}: {said}");
    }
    let csr = ["explain", "a-year.yaml", "--csr", "csr-x"];
    let said = refused(folder.path(), &csr, &[], 4);
    assert!(said.contains("there is no 'csr-x' in a-year"), "{said}");
}

#[test]
fn a_typo_in_a_plan_or_a_capture_is_told_with_its_place_and_what_was_meant() {
    let folder = TempDir::new().unwrap();
    cluster::disks(folder.path(), "v1.36.3", 1, 0);
    let capture = [
        "capture",
        "cp1",
        "--at",
        "2026-01-02T00:00:00Z",
        "-o",
        "c.yaml",
    ];
    refused(folder.path(), &capture, &[], 0);
    let good = fs::read_to_string(folder.path().join("c.yaml")).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("typo.yaml", &good.replace("controlPlane:", "controlplan:"));
    let plan = |step: &str| format!("apiVersion: certdrill/v1\nkind: Plan\nsteps:\n- {step}\n");
    write("key.yaml", &plan("{ after: 9d, upgrad: { to: v1.37.2 } }"));
    write(
        "value.yaml",
        &plan("{ after: 9d, restart: { what: machin } }"),
    );
    write("node.yaml", &plan("{ after: 9d, renew: { nodes: [cp2] } }"));
    for (args, told) in [
        (
            &["typo.yaml"][..],
            [
                "unknown key `controlplan`",
                "did you mean `controlPlane`?",
                "typo.yaml:",
            ],
        ),
        (
            &["c.yaml", "--plan", "key.yaml"],
            [
                "unknown key `upgrad`",
                "did you mean `upgrade`?",
                "key.yaml:4:",
            ],
        ),
        (
            &["c.yaml", "--plan", "value.yaml"],
            [
                "unknown value `machin`",
                "did you mean `machine`?",
                "value.yaml:4:",
            ],
        ),
        (
            &["c.yaml", "--plan", "node.yaml"],
            [
                "step 1",
                "there is no node \"cp2\"",
                "did you mean \"cp1\"?",
            ],
        ),
    ] {
        let said = refused(folder.path(), &[&["forecast"], args].concat(), &[], 3);
        for part in told {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

/// Whoever names the wrong file finds no key in the log.
#[test]
fn no_line_of_a_wrong_file_with_a_key_is_shown() {
    const SECRET: &str = "MIIEpAIBAAKCAQEAsecretsecret";
    let folder = with_scenario();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    cluster::disks(folder.path(), "v1.36.3", 1, 0);
    let capture = [
        "capture",
        "cp1",
        "--at",
        "2026-01-02T00:00:00Z",
        "-o",
        "c.yaml",
    ];
    refused(folder.path(), &capture, &[], 0);
    let key = format!("-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----\n");
    write("ca.key", &key);
    write("bare.txt", &format!("nodes: {SECRET}\n"));
    write(
        "admin.json",
        &format!(
            "{{\"kind\":\"Config\",\"users\":[{{\"user\":{{\"client-key-data\":\"{SECRET}\"}}}}]}}\n"
        ),
    );
    write(
        "admin.conf",
        &format!("users: [{{ user: {{ client-key-data: {SECRET} }} }}]\n"),
    );
    for file in ["ca.key", "bare.txt", "admin.json", "admin.conf"] {
        let said = refused(folder.path(), &["forecast", file], &[], 3);
        assert!(!said.contains(SECRET), "{said}");
        assert!(said.contains(&format!("{file}:1:")), "{said}");
    }
    for file in ["ca.key", "admin.json", "admin.conf"] {
        let said = refused(
            folder.path(),
            &["forecast", "c.yaml", "--plan", file],
            &[],
            3,
        );
        assert!(!said.contains(SECRET), "{said}");
        let config = [("CERTDRILL_CONFIG", file)];
        let said = refused(folder.path(), &["run", "a-year.yaml"], &config, 3);
        assert!(!said.contains(SECRET), "{said}");
    }
}
