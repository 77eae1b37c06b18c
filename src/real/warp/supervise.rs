//! Being the parent of a command and nothing else: forwarding signals, collecting orphans, ending as it ended.

use std::process::Command;

use nix::libc;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::launch::{self, Held};
use super::sys::{self, Event};
use super::trace::Tracer;
use super::{Ending, Findings, Offsets, Trace, WarpError, When, failed};

/// Signals that are passed on. Not among them: those that a program causes itself (SIGSEGV, SIGPIPE, ...), those
/// that cannot be caught, and SIGTTIN and SIGTTOU, which the terminal sends to each process as it needs.
const FORWARDED: u64 = sys::bit(libc::SIGHUP)
    | sys::bit(libc::SIGINT)
    | sys::bit(libc::SIGQUIT)
    | sys::bit(libc::SIGTERM)
    | sys::bit(libc::SIGUSR1)
    | sys::bit(libc::SIGUSR2)
    | sys::bit(libc::SIGALRM)
    | sys::bit(libc::SIGWINCH)
    | sys::bit(libc::SIGCONT)
    | sys::bit(libc::SIGTSTP)
    | REAL_TIME;
/// 34 to 64. The C library keeps 32 and 33 to itself.
const REAL_TIME: u64 = !0 << 33;

pub(in crate::real::warp) fn run(
    command: &mut Command,
    when: &When,
    trace: Trace,
) -> Result<(Ending, Findings), WarpError> {
    let own = std::process::id();
    // Before there is a child, so that none is lost; it gets the mask there was.
    let mask = sys::block(FORWARDED | sys::bit(libc::SIGCHLD))
        .map_err(|error| failed("block signals of", own, error))?;
    let (lock, offsets) = when.now()?;
    let held = launch::start(command, offsets, Some(mask))?;
    let pid = held.pid();
    let mut tracer = match trace {
        Trace::Nothing => {
            held.let_run();
            None
        }
        _ => Some(adopt(held, when, offsets, trace)?),
    };
    drop(lock);
    let ending = loop {
        if let Some(ending) = collect(pid, tracer.as_mut())? {
            break ending;
        }
        let (signal, by_kernel) = sys::next_signal(FORWARDED | sys::bit(libc::SIGCHLD))
            .map_err(|error| failed("wait for signals of", own, error))?;
        if signal != libc::SIGCHLD {
            forward(pid, signal, by_kernel);
        }
    };
    Ok((
        ending,
        tracer.map_or_else(Findings::default, Tracer::release),
    ))
}

fn adopt(mut held: Held, when: &When, offsets: Offsets, trace: Trace) -> Result<Tracer, WarpError> {
    Tracer::adopt(&held, when.clone(), offsets, trace).inspect_err(|_| {
        // Nothing of it may run unwatched. Both fail only when it has ended already.
        let _ = held.child.kill();
        let _ = held.child.wait();
    })
}

/// Collects everything that has happened; returns how the command ended, if it did.
fn collect(pid: i32, mut tracer: Option<&mut Tracer>) -> Result<Option<Ending>, WarpError> {
    let gone = |source| failed("wait for", pid as u32, source);
    while let Some((tid, event)) = sys::wait(-1, libc::WNOHANG).map_err(gone)? {
        if let Some(tracer) = tracer.as_deref_mut() {
            tracer.handle(tid, event);
        }
        match event {
            Event::Exited(code) if tid == pid => return Ok(Some(Ending::Exited(code))),
            Event::Killed(signal) if tid == pid => return Ok(Some(Ending::Killed(signal))),
            // An orphan, or a thread that the tracer has handled.
            _ => {}
        }
    }
    Ok(None)
}

fn forward(pid: i32, signal: i32, by_kernel: bool) {
    // What a key on the terminal sends reaches the whole foreground process group, the command included.
    let by_key =
        by_kernel && [libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP, libc::SIGWINCH].contains(&signal);
    if !by_key {
        // Fails when the command has just ended, which is seen next.
        let _ = sys::send(pid, signal);
    }
    if signal == libc::SIGTSTP {
        // Whoever waits for certdrill is to see that the command is stopped.
        let _ = sys::send(std::process::id() as i32, libc::SIGSTOP);
    }
}

pub(in crate::real::warp) fn die_by(signal: i32) -> ! {
    // The command has left a core file already, if one is wanted. Fails only where limits may not be set.
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, none);
    sys::kill_self(signal);
    // PID 1 survives, and so does everybody for a signal that does not kill.
    std::process::exit(128 + signal)
}
