//! What the tests start: this binary again, in a role.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::tools::*;
use nix::libc;

/// What the helper does, by name.
pub const ROLE: &str = "CERTDRILL_WARP_ROLE";

/// This test binary again, in a role of [`helper`].
pub fn helper_command(role: &str) -> Command {
    helper_by(Command::new(std::env::current_exe().unwrap()), role)
}

/// The same, by a command that ends with this test binary.
pub fn helper_by(mut command: Command, role: &str) -> Command {
    command
        .args([
            "--exact",
            "helper::helper",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(ROLE, role);
    command
}

/// What a helper said: its lines that begin with `> `.
pub fn said(output: &str) -> Vec<String> {
    output
        .lines()
        .filter_map(|line| Some(line.split_once("> ")?.1.to_owned()))
        .collect()
}

/// Nanoseconds since 1970 and of the monotonic clock, as the standard library reads them.
pub fn clocks() -> (i128, i128) {
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
pub fn spin() {
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
                println!("> {}", time.load(Ordering::SeqCst));
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
pub fn others() {
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
        assert_eq!(
            libc::clock_gettime(0, std::ptr::without_provenance_mut(8)),
            -1
        );
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
