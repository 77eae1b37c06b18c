//! A clock file, and everything that lives by it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::helper::*;
use crate::running::*;
use crate::tools::*;
use certdrill::real::warp::clock_file::ClockFile;
use certdrill::real::warp::node::{Far, Move, Moved, move_node};
use certdrill::real::warp::{self, Offsets};
use certdrill::time::SignedDuration;

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_secs(days * DAY)
}

fn clock_in(dir: &Path, text: &str) -> PathBuf {
    let clock = dir.join("clock");
    fs::write(&clock, text).unwrap();
    clock
}

/// `certdrill warp --clock FILE --`
fn by(clock: &Path) -> Command {
    certdrill(&["--clock", clock.to_str().unwrap(), "--"])
}

fn moving(clock: &Path, args: &[&str]) -> Command {
    let mut command = certdrill(&["move", "--clock", clock.to_str().unwrap()]);
    command.args(args);
    command
}

/// A program of this name that sleeps, started by this command or by itself. Its process, and what was started.
fn sleeper(dir: &Path, name: &str, launcher: Option<Command>) -> (u32, Child) {
    let program = dir.join(name);
    fs::copy("/bin/sleep", &program).unwrap();
    let (launched, mut command) = match launcher {
        Some(mut launcher) => {
            launcher.arg(&program);
            (true, launcher)
        }
        None => (false, Command::new(&program)),
    };
    let child = command.arg("100000").spawn().unwrap();
    let pid = loop {
        let pid = if launched {
            let id = child.id();
            fs::read_to_string(format!("/proc/{id}/task/{id}/children"))
                .unwrap()
                .trim()
                .parse()
                .unwrap_or(0)
        } else {
            child.id()
        };
        let exe = fs::read_link(format!("/proc/{pid}/exe"));
        // A launched one begins when it is no longer traced.
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        if exe.is_ok_and(|exe| exe == program) && status.contains("TracerPid:\t0") {
            break pid;
        }
        std::thread::yield_now();
    };
    (pid, child)
}

#[test]
fn a_command_begins_at_the_time_of_its_clock_file() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock_in(dir.path(), "wall 31968000s\n");
    let date = || days_off(|| printed(by(&clock).args(["date", "+%s"])));
    assert_eq!(date(), 370);
    fs::write(&clock, "wall -20d\n").unwrap();
    assert_eq!(date(), -20);
    // A running process is given the file's time, too.
    let mut child = Command::new("sleep").arg("100000").spawn().unwrap();
    let pid = child.id().to_string();
    printed(&mut certdrill(&[
        "set",
        "--clock",
        clock.to_str().unwrap(),
        "--pid",
        &pid,
    ]));
    assert_eq!(
        warp::show(child.id()).unwrap(),
        Some(Offsets::wall(days(-20)))
    );
    child.kill().unwrap();
    child.wait().unwrap();
    for text in ["", "wall", "370d", "wall 370", "wall 1d\nwall 2d\n"] {
        fs::write(&clock, text).unwrap();
        let (code, stdout, stderr) = outcome(by(&clock).args(["echo", "ran"]));
        assert_eq!((code, stdout.as_str()), (Some(104), ""), "{text:?}");
        assert!(stderr.contains("the clock file"), "{stderr}");
    }
    fs::remove_file(&clock).unwrap();
    let (code, stdout, stderr) = outcome(by(&clock).args(["echo", "ran"]));
    assert_eq!((code, stdout.as_str()), (Some(104), ""));
    assert!(stderr.contains("No such file"), "{stderr}");
    assert!(
        stderr.contains("help: write it with: echo 'wall"),
        "{stderr}"
    );
}

#[test]
fn a_node_is_moved_with_its_clock_file() {
    if !alone("node::a_node_is_moved_with_its_clock_file") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let clock = clock_in(dir.path(), "wall +370d\n");
    let mut launcher = by(&clock);
    launcher.arg(std::env::current_exe().unwrap());
    let (mut spins, mut lines) = spinning_by(&mut helper_by(launcher, "spin"));
    let (agent, _a) = sleeper(dir.path(), "agent", Some(by(&clock)));
    // The kernel keeps 15 characters.
    let (controller, _b) = sleeper(dir.path(), "kube-controller-manager", Some(by(&clock)));
    let (outside, _c) = sleeper(dir.path(), "outside", None);
    let (shim, _d) = sleeper(dir.path(), "shim", None);
    assert_eq!(ask(&mut spins, &mut lines), [370; 8]);

    let options = [
        "--wall-only-for",
        "kube-scheduler,kube-controller",
        "--also",
        "shim",
        "--settle",
        "400ms",
    ];
    let mut command = moving(&clock, &["--by", "+10d", "--timers"]);
    assert_eq!(printed(command.args(options)), "moved 4 processes");
    assert_eq!(ask(&mut spins, &mut lines), [380; 8]);
    let shown = |pid| warp::show(pid).unwrap();
    let both = |wall, timers| {
        Some(Offsets {
            wall: days(wall),
            timers: days(timers),
            still: false,
        })
    };
    assert_eq!(shown(agent), both(380, 10));
    assert_eq!(shown(controller), both(380, 0));
    assert_eq!(shown(shim), both(380, 0));
    assert_eq!(shown(outside), None);
    assert_eq!(shown(std::process::id()), None);
    let file = || ClockFile::new(&clock).shared().unwrap().wall();
    assert_eq!(file(), days(380));

    // Back goes the wall clock alone.
    printed(&mut moving(&clock, &["--by", "-400d"]));
    assert_eq!(shown(agent), both(-20, 10));
    assert_eq!(ask(&mut spins, &mut lines), [-20; 8]);
    for (refused, code) in [
        (&["--by", "-1d", "--timers"][..], 2),
        (&["--by", "+291y"], 0),
        (&["--by", "+291y"], 2),
        (&["--by", "-291y"], 0),
        (&["--by", "1d", "--to", "2035-01-01"], 2),
        (&[], 2),
    ] {
        assert_eq!(
            outcome(&mut moving(&clock, refused)).0,
            Some(code),
            "{refused:?}"
        );
    }
    assert_eq!(file(), days(-20), "what is refused moves nothing");
    assert_eq!(shown(agent), both(-20, 10));

    printed(&mut moving(&clock, &["--to", "2035-01-01"]));
    let now = printed(by(&clock).args(["date", "-u", "+%F"]));
    assert_eq!(now, "2035-01-01");
    assert_eq!(
        shown(agent).unwrap().wall,
        file(),
        "both to the millisecond"
    );
    drop(spins.stdin.take());
    assert!(spins.wait().unwrap().success());
}

#[test]
fn what_is_followed_reads_the_clock_file_at_each_program() {
    if !alone("node::what_is_followed_reads_the_clock_file_at_each_program") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let clock = clock_in(dir.path(), "wall +370d\n");
    let mut command = certdrill(&["--clock", clock.to_str().unwrap(), "--follow", "--"]);
    let script = "echo ready; while read x; do date +%s; done";
    let (mut child, mut lines) = started(command.args(["sh", "-c", script]));
    let shell = child_of(child.id());
    let mut ask = || {
        use std::io::Write as _;
        child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        days_off(|| next_line(&mut lines))
    };
    assert_eq!(ask(), 370);
    let (code, stdout, stderr) = outcome(&mut moving(&clock, &["--by", "+5d"]));
    assert_eq!((code, stdout.as_str()), (Some(0), "moved 0 processes\n"));
    // It cannot be moved while somebody traces it, and that is said.
    assert!(stderr.contains(&format!("strace): {shell}")), "{stderr}");
    assert_eq!(ask(), 375);
    assert_eq!(warp::show(shell).unwrap(), Some(Offsets::wall(days(370))));
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
}

/// Offsets of everything that this namespace shows and that is warped.
fn everybody() -> Vec<(u32, Offsets)> {
    pids()
        .filter_map(|pid| Some((pid, warp::show(pid).ok()??)))
        .collect()
}

/// Moves a node forward and back until it is told to stop, and counts; how many processes it met at most.
fn mover(clock: &Path, stop: &AtomicBool, moves: &AtomicUsize) -> usize {
    let clock = ClockFile::new(clock);
    let mut most = 0;
    while !stop.load(Ordering::Relaxed) {
        let forward = moves.load(Ordering::Relaxed) % 3 != 2;
        let how = Move {
            how_far: Far::By(SignedDuration::from_hours(if forward { 7 } else { -13 })),
            timers: forward,
            wall_only: Vec::new(),
            also: Vec::new(),
        };
        let Moved { processes, traced } = move_node(&clock, &how).unwrap();
        // Nobody is traced but by a launcher, which has the file locked.
        assert_eq!(traced.len(), 0, "{traced:?}");
        moves.fetch_add(1, Ordering::Relaxed);
        most = most.max(processes);
    }
    most
}

/// The promise of the lock: a process that starts, forks, executes something or ends while the node is moved - again
/// and again, from several threads - is at the node's time afterwards, or it has ended, or it was never warped.
#[test]
fn no_start_is_missed_by_a_move() {
    const STARTERS: usize = 4;
    const STARTS: usize = 30;
    const MOVES: usize = 60;
    const FORKS: usize = 60;
    if !alone("node::no_start_is_missed_by_a_move") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let clock = clock_in(dir.path(), "wall +370d\n");
    let (stop, moves) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (mut held, forker) = std::thread::scope(|scope| {
        let mover = scope.spawn(|| mover(&clock, &stop, &moves));
        // Children that only fork keep the patch, and are not in the list that was made before.
        let fifo = dir.path().join("fifo");
        assert!(
            Command::new("mkfifo")
                .args([&fifo, &dir.path().join("fifo.pause")])
                .status()
                .unwrap()
                .success()
        );
        // Programs that they execute are never warped, whenever the move meets them.
        let script = "for i in $(seq $1); do (read x < $0) & (exec sleep 100000) & (exec sleep 100000) & read -t 0.02 <> $0.pause; done
            echo forked; wait";
        let mut command = by(&clock);
        command
            .args(["bash", "-c", script])
            .arg(&fifo)
            .arg(FORKS.to_string());
        let mut forker = command.stdout(Stdio::piped()).spawn().unwrap();
        let starters: Vec<_> = (0..STARTERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut children = Vec::new();
                    for round in 0.. {
                        if round >= STARTS && moves.load(Ordering::Relaxed) >= MOVES {
                            break;
                        }
                        if round % 3 == 0 {
                            // It ends at once.
                            assert!(by(&clock).arg("true").status().unwrap().success());
                            continue;
                        }
                        let mut command = by(&clock);
                        command.args(["sh", "-c", "echo $$; read x"]);
                        if round % 6 == 2 {
                            // A long search widens the gap between the reading of the file and the program.
                            command.env("PATH", "/-:".repeat(40_000) + "/usr/bin:/bin");
                        }
                        let mut child = command
                            .stdin(Stdio::piped())
                            .stdout(Stdio::piped())
                            .spawn()
                            .unwrap();
                        let out = child.stdout.take().unwrap();
                        let pid = next_line(&mut std::io::BufReader::new(out));
                        if round % 3 == 1 {
                            let status = Command::new("kill").args(["-KILL", &pid]).status();
                            assert!(status.unwrap().success());
                            child.wait().unwrap();
                        } else {
                            children.push((pid.parse::<u32>().unwrap(), child));
                        }
                    }
                    children
                })
            })
            .collect();
        let mut held = Vec::new();
        for starter in starters {
            held.extend(starter.join().unwrap());
        }
        let mut forked = std::io::BufReader::new(forker.stdout.take().unwrap());
        assert_eq!(next_line(&mut forked), "forked");
        stop.store(true, Ordering::Relaxed);
        let most = mover.join().unwrap();
        println!("{moves:?} moves, {most} processes at most");
        assert!(most > STARTERS, "only {most} processes were moved");
        (held, forker)
    });
    let wall = ClockFile::new(&clock).shared().unwrap().wall();
    let everybody = everybody();
    assert!(everybody.len() >= held.len() + FORKS, "{everybody:?}");
    for (pid, offsets) in &everybody {
        assert_eq!(
            offsets.wall, wall,
            "process {pid} was missed, or moved twice"
        );
    }
    for (pid, _) in &held {
        assert!(
            everybody.iter().any(|(other, _)| other == pid),
            "process {pid} is not warped"
        );
    }
    let sleepers: Vec<Option<Offsets>> = pids()
        .filter(|pid| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n")
        })
        .map(|pid| warp::show(pid).unwrap())
        .collect();
    assert_eq!(sleepers, vec![None; 2 * FORKS]);
    let _ = held.iter_mut().map(|(_, child)| child.kill()).count();
    drop(forker);
}
