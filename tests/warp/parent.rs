//! certdrill as the parent of a command.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::tools::*;
use nix::libc;

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

#[test]
fn signals_are_passed_on() {
    for options in [&[][..], &["--follow"], &["--follow", "--check"]] {
        // Not SIGHUP: below `nohup` it is ignored, and a shell cannot trap what was ignored when it began.
        // It looks up now and then: a signal that comes just before `read` blocks is handled when `read` returns.
        let script = "trap 'echo usr1' USR1; trap 'echo term; exit 7' TERM; echo ready; while :; do read -t 0.1 x || :; done";
        let mut command = certdrill(&["--offset", "+1d"]);
        command.args(options).args(["--", "bash", "-c", script]);
        let (mut child, mut lines) = started(&mut command);
        kill(&child, "-USR1");
        assert_eq!(next_line(&mut lines), "usr1");
        kill(&child, "-TERM");
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
import os, pty, signal, sys
pid, fd = pty.fork()
if pid == 0:
    # Ignored where the tests run in the background of a shell, and a shell cannot trap what was ignored.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
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
    // It looks up now and then: a key that comes just before `read` blocks is handled when `read` returns, which one
    // run in fifty never did.
    let child = "trap 'echo caught' INT; test -t 0 && echo ready; until test \"$x\" = done; do read -t 0.1 x; done; echo bye; exit 9";
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
fn where_tracing_is_forbidden_doctor_says_so_and_nothing_is_run_at_the_wrong_time() {
    if tool("python3").is_none() {
        return;
    }
    // A filter that gives EPERM for ptrace, which is system call 101: load the number, compare, return.
    let script = r#"
import ctypes, os, struct, sys
rules = [(0x20, 0, 0, 0), (0x15, 0, 1, 101), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
program = Program(len(rules), ctypes.cast(code, ctypes.c_void_p))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"#;
    let forbidden = |args: &[&str]| {
        let mut command = Command::new("python3");
        command.args(["-c", script, env!("CARGO_BIN_EXE_certdrill")]);
        outcome(command.args(args))
    };
    let (code, text, _) = forbidden(&["doctor", "--backend", "kubeadm"]);
    assert_eq!(code, Some(104), "{text}");
    for line in ["✗ kubeadm", "✗ warp       may not trace", "seccomp"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let (code, stdout, stderr) = forbidden(&["warp", "--offset", "+1d", "--", "echo", "run"]);
    assert_eq!((code, stdout.as_str()), (Some(104), ""), "{stderr}");
    assert!(
        stderr.contains("may not trace") && stderr.contains("help: "),
        "{stderr}"
    );
}

#[test]
fn it_is_fit_to_be_process_1() {
    if !rustix::process::getuid().is_root() || tool("unshare").is_none() {
        println!("skipped: not root, or no unshare");
        return;
    }
    // The orphan is given to process 1, which must collect it while the command runs.
    let script = "trap 'exit 5' TERM; (sh -c 'exit 3' & echo $!) ; date +%s; echo ready; while :; do read -t 0.1 x || :; done";
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
    assert_eq!(child.wait().unwrap().code(), Some(5));
}
