//! certdrill in the place of runc, with a real one behind it.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::tools::*;
use certdrill::real::warp::clock_file::ClockFile;
use certdrill::real::warp::node::{Far, Move, move_node};
use certdrill::real::warp::{self, Offsets};
use certdrill::time::SignedDuration;

/// Says when it is, and waits, or exits with the code that it is given.
const PROGRAM: &str = "#include <stdio.h>\n#include <time.h>\n#include <unistd.h>\n
#include <stdlib.h>\nint main(int count, char **words) { printf(\"%ld\\n\", (long)time(0)); fflush(stdout);
while (count < 2) pause();\nreturn atoi(words[1]); }";

/// A place for containers, with certdrill under the name of runc.
struct Place {
    dir: tempfile::TempDir,
    real: PathBuf,
}

impl Place {
    /// `None`, with a notice, where there is no runc that can make a container.
    fn new() -> Option<Self> {
        let usual = Some(PathBuf::from("/usr/sbin/runc")).filter(|path| path.is_file());
        let real = usual.or_else(|| tool("runc"))?;
        tool("cc")?;
        let dir = tempfile::tempdir().unwrap();
        let rootfs = dir.path().join("bundle/rootfs");
        fs::create_dir_all(rootfs.join("proc")).unwrap();
        let source = dir.path().join("program.c");
        fs::write(&source, PROGRAM).unwrap();
        let mut compiler = Command::new("cc");
        compiler
            .arg("-static")
            .arg(&source)
            .arg("-o")
            .arg(rootfs.join("program"));
        assert!(compiler.status().unwrap().success());
        let capabilities = serde_json::json!(["CAP_KILL"]);
        let namespaces = ["pid", "ipc", "uts", "mount", "network"]
            .map(|name| serde_json::json!({ "type": name }));
        let config = serde_json::json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false,
                "user": { "uid": 65_534, "gid": 65_534 },
                "args": ["/program"],
                "env": ["PATH=/"],
                "cwd": "/",
                "noNewPrivileges": true,
                "capabilities": {
                    "bounding": capabilities, "effective": capabilities, "permitted": capabilities
                },
                "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }]
            },
            "root": { "path": "rootfs", "readonly": true },
            "mounts": [{ "destination": "/proc", "type": "proc", "source": "proc" }],
            "linux": {
                "namespaces": namespaces,
                // Tracing is forbidden inside, which is no matter outside.
                "seccomp": {
                    "defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{ "names": ["ptrace"], "action": "SCMP_ACT_ERRNO" }]
                }
            }
        });
        fs::write(dir.path().join("bundle/config.json"), config.to_string()).unwrap();
        symlink(env!("CARGO_BIN_EXE_certdrill"), dir.path().join("runc")).unwrap();
        fs::write(dir.path().join("clock"), "wall +370d\n").unwrap();
        let place = Self { dir, real };
        // A machine that cannot run containers at all has no runc in the sense of these tests.
        let mut real = Command::new(&place.real);
        real.arg("--root").arg(place.state());
        let made = place.create(real, "probe");
        if !made.success() {
            println!("{}", fs::read_to_string(place.path("probe.err")).unwrap());
            missing("runc")?;
        }
        place.remove("probe");
        Some(place)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Containers' names are unique on the machine, because control groups are named after them.
    fn name(&self, id: &str) -> String {
        let own = self.dir.path().file_name().unwrap().to_str().unwrap();
        format!("certdrill{}-{id}", own.replace('.', "-"))
    }

    /// certdrill, called as containerd calls runc.
    fn runc(&self) -> Command {
        let mut command = Command::new(self.path("runc"));
        command
            .arg("--root")
            .arg(self.state())
            .arg("--log")
            .arg(self.path("log"))
            .args(["--log-format", "json"])
            .env("CERTDRILL_RUNC", &self.real)
            .env("CERTDRILL_CLOCK", self.path("clock"));
        command
    }

    fn create(&self, mut runc: Command, id: &str) -> std::process::ExitStatus {
        let file = |ending: &str| File::create(self.path(&format!("{id}.{ending}"))).unwrap();
        runc.args(["create", "--bundle"])
            .arg(self.path("bundle"))
            .arg(self.name(id))
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("err"))
            .status()
            .unwrap()
    }

    fn created(&self, id: &str) {
        let status = self.create(self.runc(), id);
        let error = fs::read_to_string(self.path(&format!("{id}.err"))).unwrap();
        assert!(status.success(), "{error}");
    }

    fn start(&self, id: &str) -> (Option<i32>, String, String) {
        outcome(self.runc().arg("start").arg(self.name(id)))
    }

    /// What runc says about a container.
    fn look(&self, id: &str) -> (String, u32) {
        let text = printed(self.runc().arg("state").arg(self.name(id)));
        let state: serde_json::Value = serde_json::from_str(&text).unwrap();
        let pid = state["pid"].as_u64().unwrap() as u32;
        (state["status"].as_str().unwrap().to_owned(), pid)
    }

    /// What the program has read, as soon as it has, in days from the machine's time.
    fn read(&self, id: &str) -> i64 {
        let out = self.path(&format!("{id}.out"));
        days_off(|| {
            loop {
                let text = fs::read_to_string(&out).unwrap();
                if let Some(line) = text.strip_suffix('\n') {
                    break line.to_owned();
                }
                std::thread::yield_now();
            }
        })
    }

    fn remove(&self, id: &str) {
        let mut command = Command::new(&self.real);
        command.arg("--root").arg(self.state());
        command.args(["delete", "--force"]).arg(self.name(id));
        command.output().unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.state()).into_iter().flatten().flatten() {
            let mut command = Command::new(&self.real);
            command.arg("--root").arg(self.state());
            let _ = command
                .args(["delete", "--force"])
                .arg(entry.file_name())
                .output();
        }
    }
}

fn wall(days: i64) -> Option<Offsets> {
    Some(Offsets::wall(SignedDuration::from_secs(days * DAY)))
}

fn command_move(clock: &Path, by: &str) -> Command {
    certdrill(&["move", "--by", by, "--clock", clock.to_str().unwrap()])
}

fn errors(log: &Path) -> Vec<String> {
    let text = fs::read_to_string(log).unwrap_or_default();
    let entry = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    text.lines()
        .map(entry)
        .filter(|entry| entry["level"] == "error")
        .map(|entry| entry["msg"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_container_begins_at_its_nodes_time() {
    if !alone("container::a_container_begins_at_its_nodes_time") {
        return;
    }
    let Some(place) = Place::new() else { return };
    place.created("one");
    assert_eq!(place.look("one").0, "created");
    assert_eq!(place.start("one"), (Some(0), String::new(), String::new()));
    assert_eq!(place.read("one"), 370);
    let (status, pid) = place.look("one");
    assert_eq!(status, "running");
    assert_eq!(warp::show(pid).unwrap(), wall(370));
    // From outside of its namespaces it is moved as everything else.
    let clock = place.path("clock");
    assert_eq!(
        printed(&mut command_move(&clock, "+5d")),
        "moved 1 processes"
    );
    assert_eq!(warp::show(pid).unwrap(), wall(375));

    // What is executed in it is at that time, too, and can be moved when runc has ended.
    let executed = place.path("executed.pid");
    let mut command = place.runc();
    command
        .args(["exec", "--detach", "--pid-file"])
        .arg(&executed);
    command.arg(place.name("one")).arg("/program");
    command.stdin(Stdio::null());
    let out = File::create(place.path("executed.out")).unwrap();
    let status = command
        .stdout(out.try_clone().unwrap())
        .stderr(out)
        .status();
    assert!(status.unwrap().success());
    assert_eq!(place.read("executed"), 375);
    let executed = fs::read_to_string(executed).unwrap().parse().unwrap();
    assert_eq!(warp::show(executed).unwrap(), wall(375));
    assert_eq!(
        printed(&mut command_move(&clock, "-5d")),
        "moved 2 processes"
    );
    assert_eq!(warp::show(executed).unwrap(), wall(370));
    let mut command = place.runc();
    command
        .arg("exec")
        .arg(place.name("one"))
        .args(["/program", "7"]);
    let (code, stdout, _) = outcome(command.stdin(Stdio::null()));
    assert_eq!(
        (code, days_off(|| stdout.trim().to_owned())),
        (Some(7), 370)
    );
    let (code, _, stderr) = outcome(place.runc().args(["run", "--bundle", "/x", "two"]));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("use create and start"), "{stderr}");

    // What the real one refuses is told as it tells it, and the container lives.
    let (code, _, stderr) = place.start("one");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("already running"), "{stderr}");
    assert_eq!(place.look("one"), ("running".to_owned(), pid));
    let (code, _, stderr) = place.start("nobody");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("does not exist"), "{stderr}");
    let version = printed(Command::new(&place.real).arg("--version"));
    assert_eq!(printed(place.runc().arg("--version")), version);
}

#[test]
fn a_container_that_cannot_be_at_its_nodes_time_does_not_run() {
    if !alone("container::a_container_that_cannot_be_at_its_nodes_time_does_not_run") {
        return;
    }
    let Some(place) = Place::new() else { return };
    let (clock, log) = (place.path("clock"), place.path("log"));
    place.created("one");
    for (count, text) in [(1, None), (2, Some("370d")), (3, Some("wall 400y\n"))] {
        let _ = fs::remove_file(&clock);
        if let Some(text) = text {
            fs::write(&clock, text).unwrap();
        }
        let (code, _, stderr) = place.start("one");
        assert_eq!(code, Some(1), "{text:?}");
        assert!(stderr.contains("error: "), "{stderr}");
        assert!(stderr.contains("help: "), "{stderr}");
        let errors = errors(&log);
        assert_eq!(errors.len(), count, "{errors:?}");
        assert!(errors[count - 1].starts_with("certdrill: "), "{errors:?}");
        // It waits until it is told better.
        assert_eq!(place.look("one").0, "created", "{text:?}");
    }
    assert_eq!(fs::read_to_string(place.path("one.out")).unwrap(), "");
    fs::write(&clock, "wall -20d\n").unwrap();
    assert_eq!(place.start("one").0, Some(0));
    assert_eq!(place.read("one"), -20);

    // A program that cannot be executed, and one that is gone before it could be.
    place.created("two");
    let (_, pid) = place.look("two");
    Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status()
        .unwrap();
    while place.look("two").0 != "stopped" {
        std::thread::yield_now();
    }
    let (code, _, stderr) = place.start("two");
    assert_eq!(code, Some(1), "{stderr}");
}

#[test]
fn no_start_of_a_container_is_missed_by_a_move() {
    const THREADS: usize = 2;
    const STARTS: usize = 8;
    if !alone("container::no_start_of_a_container_is_missed_by_a_move") {
        return;
    }
    let Some(place) = Place::new() else { return };
    let clock = ClockFile::new(&place.path("clock"));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mover = scope.spawn(|| {
            let mut moves = 0;
            while !stop.load(Ordering::Relaxed) {
                let how = Move {
                    how_far: Far::By(SignedDuration::from_hours(7)),
                    timers: moves % 2 == 0,
                    wall_only: Vec::new(),
                    also: Vec::new(),
                };
                // What `runc exec` starts is traced until it is let go.
                move_node(&clock, &how).unwrap();
                moves += 1;
            }
            moves
        });
        let starters: Vec<_> = (0..THREADS)
            .map(|thread| {
                let place = &place;
                scope.spawn(move || {
                    for round in 0..STARTS {
                        let id = format!("{thread}-{round}");
                        place.created(&id);
                        assert_eq!(place.start(&id).0, Some(0));
                        let mut command = place.runc();
                        command.args(["exec", "--detach", "--pid-file"]);
                        command
                            .arg(place.path(&format!("{id}.pid")))
                            .arg(place.name(&id));
                        command
                            .arg("/program")
                            .stdin(Stdio::null())
                            .stdout(Stdio::null());
                        assert!(command.status().unwrap().success());
                    }
                })
            })
            .collect();
        for starter in starters {
            starter.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        let moves = mover.join().unwrap();
        println!("{moves} moves");
        assert!(moves > THREADS * STARTS, "only {moves} moves");
    });
    let wall = clock.shared().unwrap().wall();
    for thread in 0..THREADS {
        for round in 0..STARTS {
            let id = format!("{thread}-{round}");
            let executed = fs::read_to_string(place.path(&format!("{id}.pid"))).unwrap();
            for pid in [place.look(&id).1, executed.parse().unwrap()] {
                let offsets = warp::show(pid).unwrap().map(|offsets| offsets.wall);
                assert_eq!(offsets, Some(wall), "process {pid} of container {id}");
            }
        }
    }
}
