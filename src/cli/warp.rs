//! `certdrill warp`: run a program at another time, or move one that runs.

#![expect(
    clippy::disallowed_methods,
    reason = "a program of this machine is started, and its clock is compared with the machine's"
)]

use std::ffi::OsString;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use clap::{ArgAction, Subcommand};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;

use super::{Exit, output};
use crate::real::warp::{self, Followed, Offsets, Wall, WarpError};
use crate::time::{SignedDuration, Timestamp, span};

/// Arguments of `certdrill warp`.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Exit codes: the program's own; 128 and the signal's number when a signal ended it; 127 when \
                  it is not found, 126 when it cannot be run; 2 and 104 are certdrill's own.\n\n\
                  Examples:\n  certdrill warp --at 2027-11-24 -- kubeadm certs check-expiration\n  \
                  certdrill warp --offset +370d --follow -- ./renew.sh\n  \
                  certdrill warp set --pid 4711 --offset +30d --timers"
)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    shift: Shift,
    /// Move what the program starts, too: everything below a shell script.
    #[arg(long, env = "CERTDRILL_FOLLOW")]
    follow: bool,
    /// Say afterwards whether the program honours the moved clock. Slow.
    #[arg(long, env = "CERTDRILL_CHECK", conflicts_with = "follow")]
    check: bool,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Move the clock of running processes.
    Set(Set),
    /// Say how the clocks of running processes are moved.
    Show(Show),
}

#[derive(Debug, clap::Args)]
struct Set {
    #[command(flatten)]
    pids: Pids,
    #[command(flatten)]
    shift: Shift,
}

#[derive(Debug, clap::Args)]
struct Show {
    #[command(flatten)]
    pids: Pids,
}

#[derive(Debug, clap::Args)]
struct Pids {
    /// Process ids.
    #[arg(long = "pid", value_name = "PID", required = true, num_args = 1.., action = ArgAction::Append,
          value_parser = clap::value_parser!(i32).range(1..))]
    pids: Vec<i32>,
}

/// Where a clock is moved to.
#[derive(Debug, clap::Args)]
struct Shift {
    /// The time at which it starts, as 2027-11-24 or 2027-11-24T10:00:00Z.
    #[arg(long, value_name = "TIME", env = "CERTDRILL_AT", value_parser = parse_instant,
          required_unless_present = "offset", conflicts_with = "offset")]
    at: Option<Timestamp>,
    /// How far it is ahead, as +370d, 1d12h or -3h.
    #[arg(long, value_name = "SPAN", env = "CERTDRILL_OFFSET", value_parser = span::parse,
          allow_hyphen_values = true)]
    offset: Option<SignedDuration>,
    /// Move the monotonic clocks by the same amount: timers come due.
    #[arg(long, env = "CERTDRILL_TIMERS", conflicts_with = "freeze")]
    timers: bool,
    /// The wall clock stands still at that time.
    #[arg(long, env = "CERTDRILL_FREEZE")]
    freeze: bool,
}

impl Shift {
    fn offsets(&self) -> Offsets {
        let now = Timestamp::now();
        let span = match (self.at, self.offset) {
            (Some(at), _) => at.duration_since(now),
            (None, Some(offset)) => offset,
            (None, None) => SignedDuration::ZERO,
        };
        if self.freeze {
            return Offsets::still(self.at.unwrap_or_else(|| crate::time::shift(now, span)));
        }
        Offsets {
            wall: Wall::Ahead(span),
            timers: if self.timers {
                span
            } else {
                SignedDuration::ZERO
            },
        }
    }
}

/// An instant, or a day: its midnight UTC.
fn parse_instant(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .or_else(|_| format!("{text}T00:00:00Z").parse())
        .map_err(|_| format!("{text:?} is no time: write 2027-11-24 or 2027-11-24T10:00:00Z"))
}

/// Runs a program, or looks at running ones.
pub(super) fn run(args: &Args) -> ExitCode {
    let done = match &args.action {
        None => return program(args),
        Some(Action::Set(set)) => set_all(set),
        Some(Action::Show(show)) => show_all(show),
    };
    done.into()
}

fn set_all(set: &Set) -> Exit {
    let offsets = set.shift.offsets();
    let mut exit = Exit::Success;
    for &pid in &set.pids.pids {
        match warp::set(pid, offsets) {
            Ok(_) => println(&format!("{pid}: {}", described(Some(offsets)))),
            Err(error) => {
                complain(&error);
                exit = Exit::Infrastructure;
            }
        }
    }
    exit
}

fn show_all(show: &Show) -> Exit {
    let mut exit = Exit::Success;
    for &pid in &show.pids.pids {
        match warp::show(pid) {
            Ok(offsets) => println(&format!("{pid}: {}", described(offsets))),
            Err(error) => {
                complain(&error);
                exit = Exit::Infrastructure;
            }
        }
    }
    exit
}

fn described(offsets: Option<Offsets>) -> String {
    let Some(offsets) = offsets else {
        return "not moved".to_owned();
    };
    let distance = |distance: SignedDuration| {
        let rounded = SignedDuration::from_secs((distance.as_secs_f64()).round() as i64);
        let text = span::display(rounded.abs());
        match rounded.signum() {
            0 => "as the machine's".to_owned(),
            -1 => format!("{text} behind"),
            _ => format!("{text} ahead"),
        }
    };
    let wall = match offsets.wall {
        Wall::Ahead(ahead) => distance(ahead),
        Wall::Still(at) => format!("stands still at {at}"),
    };
    format!("wall clock {wall}, timers {}", distance(offsets.timers))
}

/// Runs the program as the shell would: its exit code, its signals.
fn program(args: &Args) -> ExitCode {
    let Some((name, rest)) = args.command.split_first() else {
        return Exit::Usage.into();
    };
    let mut command = Command::new(name);
    command.args(rest);
    let offsets = args.shift.offsets();
    let forwarder = match Forwarder::new() {
        Ok(forwarder) => forwarder,
        Err(error) => {
            output::complain(&format!("error: signals cannot be forwarded: {error}"));
            return Exit::Infrastructure.into();
        }
    };
    let started = |pid| forwarder.to(pid);
    let ended = if args.check {
        warp::check(&mut command, offsets, started).map(|checked| {
            say_checked(&checked);
            if checked.bypassed > 0 {
                return None;
            }
            Some(checked.end)
        })
    } else if args.follow {
        warp::follow(&mut command, offsets, started).map(Some)
    } else {
        warp::spawn(&mut command, offsets).map(|child| {
            let pid = child.id().cast_signed();
            started(pid);
            Some(wait(pid))
        })
    };
    match ended {
        Ok(Some(Followed::Exited(code))) => ExitCode::from(code.to_le_bytes()[0]),
        Ok(Some(Followed::Signaled(signal))) => {
            ExitCode::from(128_u8.saturating_add(signal.to_le_bytes()[0]))
        }
        Ok(None) => Exit::Infrastructure.into(),
        Err(error) => {
            complain(&error);
            match &error {
                // As env(1) and every shell have it.
                WarpError::Start { source, .. } => match source.kind() {
                    std::io::ErrorKind::NotFound => ExitCode::from(127),
                    _ => ExitCode::from(126),
                },
                _ => Exit::Infrastructure.into(),
            }
        }
    }
}

/// Waits for the program and, as PID 1 must, for everything that is left to this process.
fn wait(pid: i32) -> Followed {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(ended, code)) if ended.as_raw() == pid => {
                return Followed::Exited(code);
            }
            Ok(WaitStatus::Signaled(ended, signal, _)) if ended.as_raw() == pid => {
                return Followed::Signaled(signal as i32);
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            // Without children there is nothing to wait for; this cannot happen before the program ended.
            Err(_) => return Followed::Exited(i32::from(Exit::Internal.code())),
        }
    }
}

fn say_checked(checked: &warp::Checked) {
    let readings = |count: u64| {
        if count == 1 {
            "1 reading".to_owned()
        } else {
            format!("{count} readings")
        }
    };
    output::complain(&match (checked.shifted, checked.bypassed) {
        (0, 0) => "check: the program did not read its wall clock".to_owned(),
        (shifted, 0) => format!(
            "check: {} of the wall clock, all of them shifted",
            readings(shifted)
        ),
        (shifted, bypassed) => format!(
            "error: {} of the wall clock went round the vDSO ({} did not)\n  help: this program makes the \
             system call itself and sees the machine's time; certdrill cannot move it",
            readings(bypassed),
            readings(shifted)
        ),
    });
}

/// Passes signals on to the program. What the terminal sends reaches its whole process group anyway.
struct Forwarder {
    target: Arc<AtomicI32>,
}

impl Forwarder {
    fn new() -> std::io::Result<Self> {
        let target = Arc::new(AtomicI32::new(0));
        let signals = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH];
        let mut signals = SignalsInfo::<WithOrigin>::new(signals)?;
        let to = Arc::clone(&target);
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for origin in &mut signals {
                    let pid = to.load(Ordering::Acquire);
                    let sent_by_process = origin.process.is_some();
                    if pid > 0
                        && sent_by_process
                        && let Ok(signal) = Signal::try_from(origin.signal)
                    {
                        // It may have ended already.
                        let _ = kill(Pid::from_raw(pid), signal);
                    }
                }
            })?;
        Ok(Self { target })
    }

    fn to(&self, pid: i32) {
        self.target.store(pid, Ordering::Release);
    }
}

fn complain(error: &WarpError) {
    output::complain(&format!("error: {error}\n  help: {}", error.help()));
}

fn println(line: &str) {
    let mut out = output::Output::new();
    out.text(&format!("{line}\n"));
}
