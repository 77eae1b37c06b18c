//! A warped process sees the shifted time, and nothing else about it changes.
//!
//! Readings are compared with the machine's clock before and after them, never with a duration. Tests that want a
//! tool say so when it is missing; with `CERTDRILL_REQUIRE=cc,go,kubeadm,openssl,perl,python3` they fail then.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "these tests are about clocks and processes, and may stop at what they did not expect"
)]

use std::fs;
use std::io::{BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use certdrill::real::warp::{self, Offsets};
use certdrill::time::SignedDuration;
use nix::libc;

const DAY: i64 = 86_400;
/// What `time()` and whole seconds may be behind a clock with a finer tick.
const TOLERANCE_S: i64 = 2;
/// What the helper does, by name.
const ROLE: &str = "CERTDRILL_WARP_ROLE";

// ---- what the tests are made of

fn certdrill(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certdrill"));
    command.arg("warp").args(args);
    command
}

/// Runs it; returns the exit code, standard output and standard error.
fn outcome(command: &mut Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// What a command that succeeds prints.
fn printed(command: &mut Command) -> String {
    let (code, stdout, stderr) = outcome(command);
    assert_eq!(code, Some(0), "{stderr}");
    stdout.trim().to_owned()
}

fn machine_s() -> i64 {
    warp::machine_time().as_second()
}

/// Runs something that prints seconds since 1970, and tells how far they are from the machine's time.
fn days_off(read: impl FnOnce() -> String) -> i64 {
    let before = machine_s();
    let text = read();
    let after = machine_s();
    let seen: i64 = text.parse().unwrap_or_else(|_| panic!("{text:?}"));
    let off =
        (seen - before).div_euclid(DAY) + i64::from((seen - before).rem_euclid(DAY) > DAY / 2);
    let range = before + off * DAY - TOLERANCE_S..=after + off * DAY + TOLERANCE_S;
    assert!(range.contains(&seen), "{seen} is not in {range:?}");
    off
}

/// A tool that is on PATH, or a note that it is not.
fn tool(name: &str) -> Option<PathBuf> {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.or_else(|| missing(name))
}

fn missing(name: &str) -> Option<PathBuf> {
    let required = std::env::var("CERTDRILL_REQUIRE")
        .is_ok_and(|list| list.split(',').any(|item| item == name));
    assert!(!required, "{name} is missing");
    println!("skipped: {name} is missing");
    None
}

/// This test binary again, in a role of [`helper`].
fn helper_command(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "helper", "--nocapture", "--test-threads=1"])
        .env(ROLE, role);
    command
}

/// What a helper said: its lines that begin with `> `.
fn said(output: &str) -> Vec<String> {
    output
        .lines()
        .filter_map(|line| Some(line.split_once("> ")?.1.to_owned()))
        .collect()
}

/// Nanoseconds since 1970 and of the monotonic clock, as the standard library reads them.
fn clocks() -> (i128, i128) {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    // `Instant { tv_sec: 1, tv_nsec: 2 }`: there is no other way to its number.
    let text = format!("{:?}", Instant::now());
    let numbers: Vec<i128> = text
        .split(|character: char| !character.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect();
    (
        wall.as_nanos() as i128,
        numbers[0] * 1_000_000_000 + numbers[1],
    )
}

/// Not a test of its own: what other tests start, warped.
#[test]
fn helper() {
    match std::env::var(ROLE).as_deref() {
        Ok("clocks") => {
            let (wall, monotonic) = clocks();
            println!("> {wall} {monotonic}");
        }
        Ok("spin") => spin(),
        Ok("others") => others(),
        _ => {}
    }
}

/// Many threads read the clock without a pause. For each line of standard input each of them says when it is.
fn spin() {
    const THREADS: usize = 8;
    let rounds = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let seen: Vec<[AtomicU64; 2]> = (0..THREADS).map(|_| Default::default()).collect();
    std::thread::scope(|scope| {
        for [round, time] in &seen {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let wanted = rounds.load(Ordering::SeqCst);
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                    time.store(now.as_secs(), Ordering::SeqCst);
                    round.store(wanted, Ordering::SeqCst);
                }
            });
        }
        println!("> ready");
        for line in std::io::stdin().lines() {
            let _ = line.unwrap();
            let wanted = rounds.fetch_add(1, Ordering::SeqCst) + 1;
            for [round, time] in &seen {
                while round.load(Ordering::SeqCst) < wanted {
                    std::thread::yield_now();
                }
                print!("> {}\n", time.load(Ordering::SeqCst));
            }
            println!("> done");
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// The rest of the vDSO, and null pointers.
#[expect(
    unsafe_code,
    reason = "the C functions themselves are what is looked at"
)]
fn others() {
    let mut zone = [77i32; 2];
    let mut time = libc::timeval {
        tv_sec: 0,
        tv_usec: -1,
    };
    let mut stored = 0;
    // SAFETY: each pointer is null, which these functions take, or to a live value of the right type; an
    // address that is not mapped makes the system call fail.
    unsafe {
        assert_eq!(
            libc::gettimeofday(&raw mut time, zone.as_mut_ptr().cast()),
            0
        );
        assert_eq!(zone, [0, 0]);
        assert!((0..1_000_000).contains(&time.tv_usec));
        assert_eq!(libc::gettimeofday(&raw mut time, std::ptr::null_mut()), 0);
        let now = libc::time(&raw mut stored);
        assert_eq!(now, stored);
        assert!((time.tv_sec - now).abs() <= TOLERANCE_S);
        assert!((libc::time(std::ptr::null_mut()) - now).abs() <= TOLERANCE_S);
        let mut spec = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        for clock in [0, 5, 11] {
            assert_eq!(libc::clock_gettime(clock, &raw mut spec), 0);
            // International atomic time is up to 37 s ahead.
            assert!(
                (0..60).contains(&(spec.tv_sec - now + TOLERANCE_S)),
                "{clock}"
            );
        }
        assert_eq!(libc::clock_gettime(77, &raw mut spec), -1);
        assert_eq!(*libc::__errno_location(), libc::EINVAL);
        assert_eq!(libc::clock_gettime(0, 8 as *mut _), -1);
        assert_eq!(*libc::__errno_location(), libc::EFAULT);
        assert!(libc::sched_getcpu() >= 0);
        let mut random = [0u8; 32];
        assert_eq!(libc::getrandom(random.as_mut_ptr().cast(), 32, 0), 32);
        assert_ne!(random, [0; 32]);
        let mut resolution = spec;
        assert_eq!(libc::clock_getres(0, &raw mut resolution), 0);
        assert_eq!(resolution.tv_sec, 0);
    }
    println!("> {}", time.tv_sec);
}

// ---- what programs read

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

// ---- being a good parent

#[test]
fn exit_codes_and_signals_are_the_commands_own() {
    let run =
        |script: &str| outcome(certdrill(&["--offset", "+1d", "--", "sh", "-c"]).arg(script)).0;
    assert_eq!(run("exit 0"), Some(0));
    assert_eq!(run("exit 42"), Some(42));
    for follow in [false, true] {
        let mut command = certdrill(&["--offset", "+1d"]);
        command.args(follow.then_some("--follow"));
        let status = command
            .args(["--", "sh", "-c", "kill -TERM $$"])
            .status()
            .unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(signal, Some(libc::SIGTERM));
    }
    assert_eq!(
        outcome(&mut certdrill(&["--offset", "1d", "--", "/no/such"])).0,
        Some(127)
    );
    assert_eq!(
        outcome(&mut certdrill(&["--offset", "1d", "--", "/etc/passwd"])).0,
        Some(126)
    );
    for wrong in [
        &["--", "date"][..],
        &["--at", "2027", "--", "date"],
        &["--offset", "1d"],
        &["--offset", "300y", "--", "date"],
        &["--offset", "-99y", "--timers", "--", "date"],
        &["--at", "2027-01-01", "--offset", "1d", "--", "date"],
        &["set", "--pid", "1"],
        &["show", "--pid", "0"],
    ] {
        assert_eq!(outcome(&mut certdrill(wrong)).0, Some(2), "{wrong:?}");
    }
}

/// Starts it and waits until it has printed its first line.
fn started(command: &mut Command) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    next_line(&mut lines);
    (child, lines)
}

fn next_line(lines: &mut impl std::io::BufRead) -> String {
    let mut line = String::new();
    assert_ne!(lines.read_line(&mut line).unwrap(), 0, "it ended");
    line.trim().to_owned()
}

fn kill(child: &Child, signal: &str) {
    let status = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn signals_are_passed_on() {
    for options in [&[][..], &["--follow"], &["--follow", "--check"]] {
        let script = "trap 'echo hup' HUP; trap 'echo term; exit 7' TERM; echo ready; while :; do read x || :; done";
        let mut command = certdrill(&["--offset", "+1d"]);
        command.args(options).args(["--", "bash", "-c", script]);
        let (mut child, mut lines) = started(&mut command);
        kill(&child, "-HUP");
        // A shell runs a trap when what it waits for returns.
        child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        assert_eq!(next_line(&mut lines), "hup");
        kill(&child, "-TERM");
        let _ = child.stdin.as_mut().unwrap().write_all(b"\n");
        assert_eq!(next_line(&mut lines), "term");
        assert_eq!(child.wait().unwrap().code(), Some(7), "{options:?}");
    }
}

#[test]
fn standard_input_is_passed_through() {
    for options in [&[][..], &["--follow"]] {
        let mut child = certdrill(&["--offset", "+1d"])
            .args(options)
            .args(["--", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"hello\n").unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.stdout, b"hello\n");
    }
}

#[test]
fn a_key_on_the_terminal_reaches_the_command_once() {
    if tool("python3").is_none() {
        return;
    }
    // A terminal of its own, whose foreground process group is certdrill and the command.
    let script = r#"
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
seen = b""
def until(text):
    global seen
    while text not in seen:
        try:
            part = os.read(fd, 1000)
        except OSError:
            part = b""
        if not part:
            break
        seen += part
until(b"ready")
os.write(fd, b"\x03")
until(b"caught")
os.write(fd, b"done\n")
until(b"bye")
_, status = os.waitpid(pid, 0)
print(seen.count(b"caught"), os.waitstatus_to_exitcode(status))
"#;
    let child = "trap 'echo caught' INT; test -t 0 && echo ready; until test \"$x\" = done; do read x; done; echo bye; exit 9";
    let seen = printed(Command::new("python3").args(["-c", script]).args([
        env!("CARGO_BIN_EXE_certdrill"),
        "warp",
        "--offset",
        "+1d",
        "--",
        "bash",
        "-c",
        child,
    ]));
    assert_eq!(seen, "1 9");
}

#[test]
fn it_is_fit_to_be_process_1() {
    if !rustix::process::getuid().is_root() || tool("unshare").is_none() {
        println!("skipped: not root, or no unshare");
        return;
    }
    // The orphan is given to process 1, which must collect it while the command runs.
    let script = "trap 'exit 5' TERM; (sh -c 'exit 3' & echo $!) ; date +%s; echo ready; while :; do read x || :; done";
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    command.arg(env!("CARGO_BIN_EXE_certdrill"));
    command.args([
        "warp", "--offset", "+7d", "--follow", "--", "bash", "-c", script,
    ]);
    let (mut child, mut lines) = started(&mut command);
    assert_eq!(days_off(|| next_line(&mut lines)), 7);
    assert_eq!(next_line(&mut lines), "ready");
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
    let first = children.trim().to_owned();
    let zombies = || {
        let children = fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap();
        children
            .split_whitespace()
            .filter(|pid| {
                fs::read_to_string(format!("/proc/{pid}/stat"))
                    .is_ok_and(|stat| stat.contains(") Z "))
            })
            .count()
    };
    while zombies() > 0 {
        std::thread::yield_now();
    }
    assert!(
        Command::new("kill")
            .args(["-TERM", &first])
            .status()
            .unwrap()
            .success()
    );
    let _ = child.stdin.as_mut().unwrap().write_all(b"\n");
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

// ---- what is executed

#[test]
fn programs_that_a_script_executes_are_warped_when_followed() {
    let script = "date +%s; sh -c 'date +%s'; (exec date +%s); $(command -v env) date +%s | cat; exec date +%s";
    let run = |options: &[&str]| {
        let mut command = certdrill(&["--offset", "+500d"]);
        command.args(options).args(["--", "sh", "-c", script]);
        let text = printed(&mut command);
        text.lines()
            .map(|line| days_off(|| line.to_owned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(&["--follow"]), [500; 5]);
    assert_eq!(run(&["--follow", "--check"]), [500; 5]);
    // The script itself is warped, what it executes is not.
    assert_eq!(run(&[]), [0; 5]);
}

#[test]
fn a_followed_process_can_be_stopped_and_continued() {
    let script = "sleep 1000 & p=$!
        kill -STOP $p; until grep -q 'State:.[tT]' /proc/$p/status; do :; done
        kill -CONT $p; until grep -q 'State:.S' /proc/$p/status; do :; done
        kill $p; wait $p; echo $?";
    let mut command = certdrill(&["--offset", "+5d", "--follow", "--", "bash", "-c", script]);
    assert_eq!(printed(&mut command), "143");
}

#[test]
fn a_warp_inside_a_warp_counts_from_the_machines_time() {
    let mut command = certdrill(&["--offset", "+100d", "--"]);
    command.arg(env!("CARGO_BIN_EXE_certdrill"));
    command.args(["warp", "--at", "2035-01-01", "--", "date", "-u", "+%F"]);
    assert_eq!(printed(&mut command), "2035-01-01");
    // One that is followed is traced, and cannot trace.
    let mut command = certdrill(&["--offset", "+100d", "--follow", "--"]);
    command.arg(env!("CARGO_BIN_EXE_certdrill"));
    command.args(["warp", "--offset", "1d", "--", "date"]);
    let (code, _, stderr) = outcome(&mut command);
    assert_eq!(code, Some(104));
    assert!(
        stderr.contains("traces certdrill and its children"),
        "{stderr}"
    );
    assert!(stderr.contains("help:"), "{stderr}");
}

#[test]
fn a_check_finds_programs_that_do_not_honour_the_shifted_clock() {
    let run =
        |program: &[&str]| outcome(certdrill(&["--offset", "+9d", "--check", "--"]).args(program));
    let (code, _, stderr) = run(&["date"]);
    assert_eq!(code, Some(0));
    assert!(stderr.contains("gave the shifted time"), "{stderr}");
    let (code, _, stderr) = run(&["sh", "-c", "date; exit 3"]);
    assert_eq!(code, Some(104));
    assert!(stderr.contains("add --follow"), "{stderr}");
    if tool("cc").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let build = |name: &str, code: &str| {
        let (source, program) = (dir.path().join(format!("{name}.c")), dir.path().join(name));
        fs::write(&source, code).unwrap();
        let mut compiler = Command::new("cc");
        compiler.arg("-static").arg(&source).arg("-o").arg(&program);
        assert!(compiler.status().unwrap().success());
        program.to_str().unwrap().to_owned()
    };
    let raw = build(
        "raw",
        "#include <sys/syscall.h>\n#include <time.h>\n#include <unistd.h>\nint main(void) {
        struct timespec t; for (int i = 0; i < 3; i++) syscall(SYS_clock_gettime, 0, &t); return 6; }",
    );
    let (code, _, stderr) = run(&[&raw]);
    assert_eq!(code, Some(104));
    assert!(
        stderr.contains("error: 3 readings of the clock went round the vDSO"),
        "{stderr}"
    );
    let (code, _, stderr) = run(&[&build("none", "int main(void) { return 6; }")]);
    assert_eq!(code, Some(6));
    assert!(
        stderr.contains("did not read a shifted clock at all"),
        "{stderr}"
    );
    let honest = "#include <time.h>\nint main(void) { return time(0) == 0; }";
    let (code, _, stderr) = run(&[&build("static", honest)]);
    assert_eq!(code, Some(0), "a static program has a vDSO, too: {stderr}");
}

// ---- moving what runs

/// What all threads of a spinning helper read now, in days from the machine's time.
fn ask(child: &mut Child, lines: &mut impl std::io::BufRead) -> Vec<i64> {
    child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    let mut days = Vec::new();
    loop {
        let line = next_line(lines);
        match said(&line).first().map(String::as_str) {
            Some("done") => return days,
            Some(time) => days.push(days_off(|| time.to_owned())),
            None => {}
        }
    }
}

fn spinning() -> (Child, BufReader<std::process::ChildStdout>) {
    let (child, mut lines) = started(&mut helper_command("spin"));
    while !next_line(&mut lines).ends_with("> ready") {}
    (child, lines)
}

#[test]
fn threads_that_read_the_clock_all_the_time_survive_being_warped() {
    let wall = |days: i64| Offsets::wall(SignedDuration::from_secs(days * DAY));
    for round in 0..50 {
        let (mut child, mut lines) = spinning();
        assert_eq!(ask(&mut child, &mut lines), [0; 8]);
        assert_eq!(warp::show(child.id()).unwrap(), None);
        for days in [370 + round, -round, 5] {
            warp::set(child.id(), wall(days)).unwrap();
            assert_eq!(warp::show(child.id()).unwrap(), Some(wall(days)));
            assert_eq!(ask(&mut child, &mut lines), [days; 8]);
        }
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn several_processes_are_moved_and_shown_by_the_command_line() {
    let (mut one, mut one_lines) = spinning();
    let (mut two, mut two_lines) = spinning();
    let (first, second) = (one.id().to_string(), two.id().to_string());
    let run = |args: &[&str]| printed(certdrill(args).args(["--pid", &first, &second]));
    assert_eq!(
        run(&["show"]),
        format!("{first}: not warped\n{second}: not warped")
    );
    run(&["set", "--offset", "+30d"]);
    assert_eq!(ask(&mut one, &mut one_lines), [30; 8]);
    assert_eq!(ask(&mut two, &mut two_lines), [30; 8]);
    run(&["set", "--offset", "+31d", "--timers"]);
    let shown = run(&["show"]);
    assert!(shown.contains("wall +31d ("), "{shown}");
    assert!(shown.contains("timers +1d"), "{shown}");
    // Wall clocks may go back, timers may not, and then nobody is moved.
    let (code, _, stderr) =
        outcome(certdrill(&["set", "--offset", "+1d", "--timers"]).args(["--pid", &first]));
    assert_eq!(code, Some(2), "{stderr}");
    let (code, _, _) = outcome(certdrill(&["set", "--offset", "+1d"]).args([
        "--pid",
        &first,
        "--pid",
        "2147483647",
    ]));
    assert_eq!(code, Some(104));
    assert_eq!(ask(&mut one, &mut one_lines), [31; 8]);
    for mut child in [one, two] {
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn a_go_program_that_sleeps_wakes_when_its_timers_are_moved() {
    let Some(go) = tool("go")
        .or_else(|| Some(PathBuf::from("/usr/local/go/bin/go")).filter(|path| path.is_file()))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let code = "package main\nimport (\"fmt\"; \"time\")\nfunc main() {
        fmt.Println(\"ready\")\n start := time.Now()\n time.Sleep(100 * time.Hour)
        fmt.Println(int(time.Since(start).Hours()), time.Now().Unix()) }";
    fs::write(dir.path().join("main.go"), code).unwrap();
    let built = Command::new(go)
        .args(["build", "-o", "sleeper", "main.go"])
        .env("CGO_ENABLED", "0")
        .env("GO111MODULE", "off")
        .current_dir(dir.path())
        .status();
    assert!(built.unwrap().success());
    let (mut child, mut lines) = started(&mut Command::new(dir.path().join("sleeper")));
    for days in 1..=6 {
        let by = SignedDuration::from_secs(days * DAY);
        if warp::set(child.id(), Offsets::all(by)).is_err() {
            break;
        }
    }
    let line = next_line(&mut lines);
    let (hours, now) = line.split_once(' ').unwrap();
    assert!((100..=144).contains(&hours.parse().unwrap()), "{line}");
    let days = days_off(|| now.to_owned());
    assert!((5..=6).contains(&days), "{line}");
    assert!(child.wait().unwrap().success());
}

// ---- the library

#[test]
fn many_processes_are_started_at_once_from_many_threads() {
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                let by = Offsets::wall(SignedDuration::from_secs((1 + thread) * DAY));
                let children: Vec<Child> = (0..25)
                    .map(|_| {
                        let mut command = Command::new("date");
                        command.arg("+%s").stdout(Stdio::piped());
                        warp::spawn(&mut command, by).unwrap()
                    })
                    .collect();
                for mut child in children {
                    let mut text = String::new();
                    child
                        .stdout
                        .take()
                        .unwrap()
                        .read_to_string(&mut text)
                        .unwrap();
                    assert!(child.wait().unwrap().success());
                    // Read after it was printed: within a day anyway.
                    let off = text.trim().parse::<i64>().unwrap() - machine_s();
                    assert_eq!((off + DAY / 2).div_euclid(DAY), 1 + thread);
                }
            });
        }
    });
}

#[test]
#[expect(
    unsafe_code,
    reason = "settings between fork and exec are what is looked at"
)]
fn settings_of_a_command_are_kept_and_it_can_be_started_again() {
    use std::os::unix::process::CommandExt as _;

    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "ps -o sid= -p $$; pwd; echo $X; grep SigBlk /proc/$$/status; umask",
        ])
        .env("X", "kept")
        .current_dir(dir.path())
        .stdout(Stdio::piped());
    // SAFETY: only system calls.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            libc::umask(0o031);
            let mut mask: libc::sigset_t = std::mem::zeroed();
            libc::sigaddset(&raw mut mask, libc::SIGUSR2);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const mask, std::ptr::null_mut());
            Ok(())
        });
    }
    for warped in [true, false, true] {
        let child = if warped {
            warp::spawn(&mut command, Offsets::default()).unwrap()
        } else {
            command.spawn().unwrap()
        };
        let pid = child.id();
        let text = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        if tool("ps").is_some() {
            assert_eq!(lines[0], pid.to_string());
        }
        let folder = fs::canonicalize(dir.path()).unwrap();
        let rest = &lines[lines.len() - 4..];
        assert_eq!(Path::new(rest[0]), folder);
        assert_eq!(rest[1], "kept");
        assert_eq!(rest[2], "SigBlk:\t0000000000000800");
        assert_eq!(rest[3], "0031");
    }
}

#[test]
fn what_cannot_be_started_is_told_as_the_standard_library_does() {
    let spawn = |program: &str| warp::spawn(&mut Command::new(program), Offsets::default());
    for (program, kind) in [
        ("/no/such", std::io::ErrorKind::NotFound),
        ("/etc/passwd", std::io::ErrorKind::PermissionDenied),
    ] {
        match spawn(program) {
            Err(warp::WarpError::Command { source, .. }) => assert_eq!(source.kind(), kind),
            other => panic!("{other:?}"),
        }
    }
    let gone = {
        let mut child = spawn("true").unwrap();
        child.wait().unwrap();
        child.id()
    };
    assert!(matches!(
        warp::show(gone),
        Err(warp::WarpError::NoProcess { .. })
    ));
    assert!(matches!(
        warp::set(gone, Offsets::default()),
        Err(warp::WarpError::NoProcess { .. })
    ));
}
