//! The functions of the library.

use std::fs;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};

use crate::tools::*;
use certdrill::real::warp::{self, Offsets};
use certdrill::time::SignedDuration;
use nix::libc;

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

    // Found only in the right folder.
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("patterns"), "^NSsid\n^Umask\n^SigBlk\n").unwrap();
    let mut command = Command::new("grep");
    command
        .args(["-f", "patterns", "/proc/self/status"])
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
        let expected = format!("Umask:\t0031\nNSsid:\t{pid}\nSigBlk:\t0000000000000800\n");
        assert_eq!(text, expected, "warped: {warped}");
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
