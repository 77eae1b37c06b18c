//! What programs read.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::helper::*;
use crate::tools::*;
use certdrill::real::warp::{self, Offsets};
use certdrill::time::SignedDuration;

#[test]
fn a_c_program_sees_the_time_that_was_asked_for() {
    let date = |args: &[&str]| printed(certdrill(args).args(["--", "date", "-u", "+%F %T"]));
    assert!(date(&["--at", "2027-11-24T10:00:00Z"]).starts_with("2027-11-24 10:00:0"));
    assert!(date(&["--at", "2041-02-03"]).starts_with("2041-02-03 00:00:0"));
    assert!(date(&["--at", "1999-12-31T23:59:00Z"]).starts_with("1999-12-31 23:59:0"));
    for (offset, days) in [("+370d", 370), ("-3d", -3), ("1d24h", 2), ("0s", 0)] {
        let seen =
            days_off(|| printed(certdrill(&["--offset", offset]).args(["--", "date", "+%s"])));
        assert_eq!(seen, days, "{offset}");
    }
}

#[test]
fn options_come_from_the_environment_too() {
    let mut command = certdrill(&["--", "date", "+%s"]);
    command.env("CERTDRILL_OFFSET", "+40d");
    assert_eq!(days_off(|| printed(&mut command)), 40);
}

#[test]
fn nanoseconds_are_carried_and_the_monotonic_clock_stays() {
    for offset in [
        SignedDuration::new(0, 1),
        SignedDuration::new(0, -1),
        SignedDuration::new(0, 999_999_999),
        SignedDuration::new(0, -999_999_999),
        SignedDuration::new(-1, 0),
        SignedDuration::new(400 * DAY, 123_456_789),
        SignedDuration::new(-400 * DAY, -123_456_789),
        SignedDuration::new(200 * 365 * DAY, 999_999_999),
    ] {
        for timers in [SignedDuration::ZERO, SignedDuration::new(DAY, 999_999_999)] {
            let offsets = Offsets {
                wall: offset,
                timers,
                still: false,
            };
            let before = clocks();
            let child =
                warp::spawn(helper_command("clocks").stdout(Stdio::piped()), offsets).unwrap();
            let output = child.wait_with_output().unwrap();
            let after = clocks();
            let said = said(&String::from_utf8(output.stdout).unwrap());
            let (wall, monotonic) = said[0].split_once(' ').unwrap();
            let range = before.0 + offset.as_nanos()..=after.0 + offset.as_nanos();
            assert!(
                range.contains(&wall.parse().unwrap()),
                "{offsets:?}: {wall}"
            );
            let range = before.1 + timers.as_nanos()..=after.1 + timers.as_nanos();
            assert!(
                range.contains(&monotonic.parse().unwrap()),
                "{offsets:?}: {monotonic}"
            );
        }
    }
}

#[test]
fn a_wall_clock_that_stands_still_shows_one_instant_and_timers_run() {
    let instant: certdrill::time::Timestamp = "2027-11-24T10:00:00.123456789Z".parse().unwrap();
    let before = clocks();
    let child = warp::spawn(
        helper_command("clocks").stdout(Stdio::piped()),
        Offsets::still_at(instant),
    )
    .unwrap();
    let output = child.wait_with_output().unwrap();
    let after = clocks();
    let said = said(&String::from_utf8(output.stdout).unwrap());
    let (wall, monotonic) = said[0].split_once(' ').unwrap();
    assert_eq!(wall, instant.as_nanosecond().to_string());
    assert!((before.1..=after.1).contains(&monotonic.parse().unwrap()));
}

#[test]
fn timers_move_with_the_wall_clock_when_asked() {
    let run = |timers: &[&str]| {
        let helper = helper_command("clocks");
        let mut command = certdrill(&["--offset", "+10d"]);
        command.args(timers).arg("--").arg(helper.get_program());
        command.args(helper.get_args()).env(ROLE, "clocks");
        let before = clocks().1;
        let said = said(&printed(&mut command));
        let monotonic: i128 = said[0].split_once(' ').unwrap().1.parse().unwrap();
        (monotonic - before) / 1_000_000_000 / i128::from(DAY)
    };
    assert_eq!(run(&[]), 0);
    assert_eq!(run(&["--timers"]), 10);
}

#[test]
fn null_pointers_errors_getcpu_and_getrandom_are_as_ever() {
    for wall in [SignedDuration::ZERO, SignedDuration::new(-5 * DAY, -1)] {
        let mut command = helper_command("others");
        let child = warp::spawn(command.stdout(Stdio::piped()), Offsets::wall(wall)).unwrap();
        let output = child.wait_with_output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{stdout}");
        assert_eq!(days_off(|| said(&stdout)[0].clone()), wall.as_secs() / DAY);
    }
}

#[test]
fn perl_and_python_see_it_by_time_and_gettimeofday() {
    if tool("perl").is_some() {
        for code in [
            "print time",
            "use Time::HiRes qw(gettimeofday); print((gettimeofday)[0])",
        ] {
            let mut command = certdrill(&["--offset", "+99d", "--", "perl", "-e", code]);
            assert_eq!(days_off(|| printed(&mut command)), 99, "{code}");
        }
    }
    if tool("python3").is_some() {
        let code = "import time; print(int(time.time()))";
        let mut command = certdrill(&["--offset", "+99d", "--follow", "--", "python3", "-c", code]);
        assert_eq!(days_off(|| printed(&mut command)), 99);
    }
}

#[test]
fn openssl_issues_and_judges_at_the_shifted_time() {
    if tool("openssl").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (key, certificate) = (path("key"), path("crt"));
    let mut issue = certdrill(&[
        "--at",
        "2031-05-05T00:00:00Z",
        "--",
        "openssl",
        "req",
        "-x509",
    ]);
    issue.args([
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "30",
    ]);
    issue.args(["-subj", "/CN=x", "-keyout", &key, "-out", &certificate]);
    printed(&mut issue);
    let show = ["x509", "-noout", "-dates", "-in", &certificate];
    let dates = printed(Command::new("openssl").args(show));
    assert!(dates.contains("notBefore=May  5 00:00:0"), "{dates}");
    assert!(dates.contains("2031 GMT"), "{dates}");
    for (at, code) in [("2031-06-03", 0), ("2031-06-05", 1)] {
        let mut check = certdrill(&["--at", at, "--", "openssl", "x509", "-noout"]);
        check.args(["-checkend", "0", "-in", &certificate]);
        assert_eq!(outcome(&mut check).0, Some(code), "{at}");
    }
}

#[test]
fn the_real_kubeadm_lives_in_the_shifted_year() {
    let folder = std::env::var_os("CERTDRILL_ENGINES").map_or_else(
        || {
            PathBuf::from(std::env::var_os("HOME").unwrap_or_default())
                .join(".cache/certdrill/engines")
        },
        PathBuf::from,
    );
    let kubeadm = folder.join("v1.36.3/kubeadm");
    if !kubeadm.is_file() || !rustix::process::getuid().is_root() {
        missing("kubeadm");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let config = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: v1.36.3\n";
    fs::write(root.path().join("config"), config).unwrap();
    let run = |at: &str, args: &[&str]| {
        let mut command = certdrill(&["--at", at, "--check", "--"]);
        command
            .arg(&kubeadm)
            .arg("--rootfs")
            .arg(root.path())
            .args(args);
        command.args(["--config", "/config"]);
        let (code, stdout, stderr) = outcome(&mut command);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(
            stderr.contains("readings of shifted clocks gave the shifted time"),
            "{stderr}"
        );
        stdout
    };
    run("2033-03-03", &["init", "phase", "certs", "all"]);
    run("2033-03-03", &["init", "phase", "kubeconfig", "all"]);
    let table = run("2034-03-02", &["certs", "check-expiration"]);
    assert!(table.contains("Mar 03, 2034 00:0"), "{table}");
    assert!(table.contains("23h"), "{table}");
    let table = run("2034-03-04", &["certs", "check-expiration"]);
    assert!(table.contains("<invalid>"), "{table}");
}
