//! The backend kubeadm and `verify`: real binaries where there are some, and a clear word where there are none.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test lays out files and stops where something is missing"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use certdrill::real::engines::Engines;

const YEAR: &str = "scenarios/docs/year-long-expiry.yaml";

fn certdrill(args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certdrill"));
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(args)
        .env_remove("CERTDRILL_REQUIRE");
    command.envs(environment.iter().copied()).output().unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Real binaries of these versions, or a notice; a failure where CI says that they must be there.
fn engines(versions: &[&str]) -> Option<Vec<PathBuf>> {
    let required = std::env::var("CERTDRILL_REQUIRE").is_ok_and(|list| list.contains("kubeadm"));
    let found = if rustix::process::getuid().is_root() {
        let engines = Engines::of_this_machine();
        versions
            .iter()
            .map(|version| engines.find(version.parse().unwrap()))
            .map(|found| {
                found
                    .map(|engine| engine.path)
                    .map_err(|error| error.to_string())
            })
            .collect()
    } else {
        Err("a place of its own for kubeadm needs root".to_owned())
    };
    match found {
        Ok(paths) => Some(paths),
        Err(reason) => {
            assert!(!required, "{reason}");
            println!("skipped: {reason}");
            None
        }
    }
}

fn scratch_directories() -> Vec<PathBuf> {
    let own = |path: &Path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("certdrill-"))
    };
    fs::read_dir(std::env::temp_dir())
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| own(path))
        .collect()
}

#[test]
fn a_machine_without_kubeadm_says_so_and_is_never_green() {
    let empty = tempfile::tempdir().unwrap();
    let cache = empty.path().to_str().unwrap();
    let nothing = [("CERTDRILL_ENGINES", cache), ("PATH", "/nonexistent")];
    // Asked for: no verdict, and what to do.
    let output = certdrill(
        &[
            "run",
            YEAR,
            "--backend",
            "kubeadm",
            "--include",
            "*v1.36.3*",
        ],
        &nothing,
    );
    assert_eq!(output.status.code(), Some(104), "{}", text(&output));
    for word in [
        "no kubeadm v1.36.3 on this machine",
        "certdrill engines install v1.36.3",
        "without verdict",
    ] {
        assert!(text(&output).contains(word), "{word}: {}", text(&output));
    }
    let output = certdrill(&["verify", YEAR, "--include", "*v1.36.3*"], &nothing);
    assert_eq!(output.status.code(), Some(104), "{}", text(&output));
    assert!(text(&output).contains("not run"), "{}", text(&output));
    // Not asked for: another run passes, this one is told as not run; CI can forbid that.
    let scenario = empty.path().join("script.yaml");
    fs::write(
        &scenario,
        "apiVersion: certdrill/v1\nkind: Scenario\nmetadata: { name: script, title: A script }\nspec:\n  backends: \
         [kubeadm]\n  cluster: { version: v1.36.3 }\n  steps:\n    - exec: \"true\"\n",
    )
    .unwrap();
    let step_back = "scenarios/features/step-back.yaml";
    let both = ["run", step_back, scenario.to_str().unwrap()];
    let output = certdrill(&both, &nothing);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(
        text(&output).contains("1 passed, 1 not run"),
        "{}",
        text(&output)
    );
    let demanded = [nothing[0], nothing[1], ("CERTDRILL_REQUIRE", "kubeadm")];
    let output = certdrill(&both, &demanded);
    assert_eq!(output.status.code(), Some(104), "{}", text(&output));
}

#[test]
fn a_script_is_refused_where_it_could_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("script.yaml");
    fs::write(
        &scenario,
        "apiVersion: certdrill/v1\nkind: Scenario\nmetadata: { name: script, title: A script }\nspec:\n  backends: \
         [sim]\n  cluster: { version: v1.36.3 }\n  steps:\n    - exec: \"true\"\n",
    )
    .unwrap();
    let output = certdrill(&["run", scenario.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(
        text(&output).contains("the simulation cannot run a script"),
        "{}",
        text(&output)
    );
}

#[test]
fn a_year_passes_with_the_real_binary_and_leaves_nothing_behind() {
    if engines(&["v1.36.3"]).is_none() {
        return;
    }
    let output = certdrill(
        &[
            "run",
            YEAR,
            "--backend",
            "kubeadm",
            "--include",
            "*v1.36.3*",
        ],
        &[],
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let pid = |path: &Path| path.to_string_lossy().split('-').nth(1).map(str::to_owned);
    let left = scratch_directories()
        .into_iter()
        // certdrill-PID-...: what has no number there is somebody else's, and a living process may still need its own.
        .filter(|path| {
            pid(path).is_some_and(|pid| {
                pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists()
            })
        })
        .collect::<Vec<_>>();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn another_build_in_the_place_of_a_version_is_found_out() {
    let Some(paths) = engines(&["v1.28.15", "v1.36.3"]) else {
        return;
    };
    let old = paths[0].to_str().unwrap();
    let output = certdrill(
        &["verify", YEAR, "--include", "*v1.36.3*", "--engine", old],
        &[],
    );
    assert_eq!(output.status.code(), Some(103), "{}", text(&output));
    assert!(
        text(&output).contains("v1beta4\" is not allowed"),
        "{}",
        text(&output)
    );
    // The same build on both sides differs in nothing.
    let same = [
        "verify",
        "scenarios/features/step-back.yaml",
        "--between",
        "kubeadm,kubeadm",
    ];
    let output = certdrill(&same, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("0 differences"), "{}", text(&output));
}

#[test]
fn comparing_too_little_is_no_agreement() {
    if engines(&["v1.36.3"]).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("s.yaml");
    let step_back = fs::read_to_string("scenarios/features/step-back.yaml").unwrap();
    let wants = step_back.replace("spec:\n", "spec:\n  comparedAtLeast: 100000\n");
    fs::write(&scenario, wants).unwrap();
    let output = certdrill(&["verify", scenario.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(103), "{}", text(&output));
    assert!(text(&output).contains("too few"), "{}", text(&output));
}

#[test]
fn a_script_of_ones_own_renews_at_the_nodes_time() {
    if engines(&["v1.36.3"]).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let renew = folder.path().join("renew.sh");
    fs::write(
        &renew,
        "#!/bin/sh\nset -e\ndate -u +today=%Y-%m-%d\nopenssl x509 -noout -checkend 2592000 -in /etc/kubernetes/pki/apiserver.crt ||\n  \
         kubeadm certs renew all\nhostname\n",
    )
    .unwrap();
    fs::set_permissions(&renew, fs::Permissions::from_mode(0o755)).unwrap();
    let scenario = folder.path().join("s.yaml");
    fs::write(
        &scenario,
        "apiVersion: certdrill/v1\nkind: Scenario\nmetadata: { name: own, title: Own }\nspec:\n  backends: [kubeadm]\n  \
         cluster: { version: v1.36.3 }\n  steps:\n    - walk: to day 350\n    - exec: /scenario/renew.sh\n    - expect:\n        \
         - { output: \"@cp1\", stdout: [\"today=2026-12-17\", \"Done renewing certificates\", \"cp1\"] }\n        \
         - { certificate: apiserver, nodes: \"@cp1\", renewed: true, ageDays: \"<= 1\" }\n    \
         - exec: { run: \"exit 3\", exitCode: 3 }\n",
    )
    .unwrap();
    let output = certdrill(&["run", scenario.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[test]
fn engines_are_kept_listed_and_found() {
    let Some(paths) = engines(&["v1.36.3"]) else {
        return;
    };
    let cache = tempfile::tempdir().unwrap();
    let environment = [("CERTDRILL_ENGINES", cache.path().to_str().unwrap())];
    let from = paths[0].to_str().unwrap();
    let wrong = certdrill(
        &["engines", "install", "v1.28.15", "--from", from],
        &environment,
    );
    assert_eq!(wrong.status.code(), Some(104), "{}", text(&wrong));
    assert!(
        text(&wrong).contains("is kubeadm v1.36.3, not v1.28.15"),
        "{}",
        text(&wrong)
    );
    let kept = certdrill(
        &["engines", "install", "v1.36.3", "--from", from],
        &environment,
    );
    assert_eq!(kept.status.code(), Some(0), "{}", text(&kept));
    let listed = certdrill(&["engines", "list"], &environment);
    assert!(text(&listed).contains("v1.36.3"), "{}", text(&listed));
    let path = certdrill(&["engines", "path", "v1.36.3"], &environment);
    assert!(Path::new(text(&path).trim()).is_file(), "{}", text(&path));
    let garbage = cache.path().join("not-kubeadm");
    fs::write(&garbage, "#!/bin/sh\necho hello\n").unwrap();
    fs::set_permissions(&garbage, fs::Permissions::from_mode(0o755)).unwrap();
    let refused = certdrill(
        &[
            "engines",
            "install",
            "v1.36.3",
            "--from",
            garbage.to_str().unwrap(),
        ],
        &environment,
    );
    assert!(
        text(&refused).contains("printed \"hello\""),
        "{}",
        text(&refused)
    );
}

#[test]
fn a_cluster_that_is_there_is_not_passed_over_in_silence() {
    let scenario = "scenarios/clusters/one-year.yaml";
    for (args, said) in [
        (
            vec!["run", scenario, "--kind-cluster", "mine"],
            "this run would be simulated",
        ),
        (
            vec![
                "verify",
                scenario,
                "--between",
                "sim,kind",
                "--kind-cluster",
                "mine",
            ],
            "verify makes its own clusters",
        ),
    ] {
        let output = certdrill(&args, &[]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains(said), "{}", text(&output));
        assert!(
            text(&output).contains("--kind-cluster"),
            "{}",
            text(&output)
        );
    }
}
