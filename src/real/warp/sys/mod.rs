//! The calls that neither the standard library nor nix has in a safe form, and the code that is copied into
//! other processes. Everything `unsafe` of certdrill is here; each function is safe to call.
//!
//! Signals are plain numbers, because Go, musl and glibc use real-time signals that nix has no name for.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::libc::{self, c_long};

unsafe extern "C" {
    static certdrill_warp_start: u8;
    static certdrill_warp_clock_gettime: u8;
    static certdrill_warp_gettimeofday: u8;
    #[cfg_attr(
        target_arch = "aarch64",
        expect(dead_code, reason = "not in that vDSO")
    )]
    static certdrill_warp_time: u8;
    static certdrill_warp_end: u8;
}

/// The code to copy, with its header.
pub(super) fn routine() -> &'static [u8] {
    let start = &raw const certdrill_warp_start;
    let size = (&raw const certdrill_warp_end).addr() - start.addr();
    // SAFETY: both labels stand in one block of `global_asm!`, in read-only data that is never unmapped, the
    // second one behind the first one; what is between them is initialised and never written.
    unsafe { std::slice::from_raw_parts(start, size) }
}

/// Where in [`routine`] the replacement of `clock_gettime` begins.
pub(super) fn clock_gettime_at() -> u64 {
    distance(&raw const certdrill_warp_clock_gettime)
}

/// Where in [`routine`] the replacement of `gettimeofday` begins.
pub(super) fn gettimeofday_at() -> u64 {
    distance(&raw const certdrill_warp_gettimeofday)
}

/// Where in [`routine`] the replacement of `time` begins.
#[cfg(target_arch = "x86_64")]
pub(super) fn time_at() -> u64 {
    distance(&raw const certdrill_warp_time)
}

fn distance(label: *const u8) -> u64 {
    (label.addr() - (&raw const certdrill_warp_start).addr()) as u64
}

fn checked(result: c_long) -> io::Result<c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// How a stopped thread goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resume {
    Continue,
    ToSystemCall,
    Step,
    /// Stays in its group stop, but is told when that ends.
    Listen,
    Detach,
}

/// Lets a stopped thread go on, with a signal or 0.
pub(super) fn resume(tid: i32, how: Resume, signal: i32) -> io::Result<()> {
    let request: c_long = match how {
        Resume::Continue => 7,
        Resume::Step => 9,
        Resume::Detach => 17,
        Resume::ToSystemCall => 24,
        Resume::Listen => 0x4208,
    };
    let (tid, signal) = (c_long::from(tid), c_long::from(signal));
    // SAFETY: these requests take no pointer.
    checked(unsafe { libc::syscall(libc::SYS_ptrace, request, tid, 0 as c_long, signal) }).map(drop)
}

/// Sets which signals a stopped thread blocks.
pub(super) fn set_signal_mask(tid: i32, mask: u64) -> io::Result<()> {
    const SETSIGMASK: c_long = 0x420b;
    let (tid, size) = (c_long::from(tid), size_of::<u64>() as c_long);
    // SAFETY: the kernel reads eight bytes from `mask`, which lives until the call returns.
    checked(unsafe { libc::syscall(libc::SYS_ptrace, SETSIGMASK, tid, size, &raw const mask) })
        .map(drop)
}

/// What is wanted of a stopped thread's registers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Registers {
    pub(super) pc: u64,
    pub(super) sp: u64,
    /// Whether it runs in this machine's 64-bit mode.
    pub(super) native: bool,
}

/// Reads the registers of a stopped thread.
pub(super) fn registers(tid: i32) -> io::Result<Registers> {
    const GETREGSET: c_long = 0x4204;
    const PRSTATUS: c_long = 1;
    let mut registers = MaybeUninit::<libc::user_regs_struct>::zeroed();
    let whole = size_of::<libc::user_regs_struct>();
    let mut into = libc::iovec {
        iov_base: registers.as_mut_ptr().cast(),
        iov_len: whole,
    };
    let tid = c_long::from(tid);
    // SAFETY: the kernel writes at most `iov_len` bytes to `registers` and sets `iov_len` to what it wrote.
    checked(unsafe { libc::syscall(libc::SYS_ptrace, GETREGSET, tid, PRSTATUS, &raw mut into) })?;
    // SAFETY: plain numbers, for which zero bytes are valid, too.
    let registers = unsafe { registers.assume_init() };
    #[cfg(target_arch = "x86_64")]
    let (pc, sp) = (registers.rip, registers.rsp);
    #[cfg(target_arch = "aarch64")]
    let (pc, sp) = (registers.pc, registers.sp);
    Ok(Registers {
        pc,
        sp,
        // The set of a 32-bit program is smaller.
        native: into.iov_len == whole,
    })
}

/// A system call at its entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct SystemCall {
    pub(super) architecture: u32,
    /// Where it will return to.
    pub(super) instruction: u64,
    pub(super) number: u64,
    pub(super) argument: u64,
}

/// The system call that a stopped thread enters; `None` when it leaves one or stopped for something else.
pub(super) fn system_call(tid: i32) -> io::Result<Option<SystemCall>> {
    const GET_SYSCALL_INFO: c_long = 0x420e;
    const ENTRY: u8 = 1;
    /// `struct ptrace_syscall_info`, with the union as it is at an entry.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        operation: u8,
        padding: [u8; 3],
        architecture: u32,
        instruction: u64,
        stack: u64,
        number: u64,
        arguments: [u64; 6],
        more: [u64; 2],
    }
    let mut info = Info::default();
    let (tid, size) = (c_long::from(tid), size_of::<Info>() as c_long);
    // SAFETY: the kernel writes at most `size` bytes to `info`, which is plain numbers.
    checked(unsafe {
        libc::syscall(libc::SYS_ptrace, GET_SYSCALL_INFO, tid, size, &raw mut info)
    })?;
    Ok((info.operation == ENTRY).then_some(SystemCall {
        architecture: info.architecture,
        instruction: info.instruction,
        number: info.number,
        argument: info.arguments[0],
    }))
}

/// Something that happened to a child or a traced thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Exited(u8),
    Killed(i32),
    /// Stopped, with the signal and the `PTRACE_EVENT` (or 0).
    Stopped(i32, i32),
}

/// Waits for a thread or child, or for any (-1). With `WNOHANG` there may be nothing. `None` is
/// also the answer when there is nobody to wait for.
pub(super) fn wait(tid: i32, flags: i32) -> io::Result<Option<(i32, Event)>> {
    loop {
        let mut status = 0;
        // SAFETY: the kernel writes one number to `status`.
        let found = unsafe { libc::waitpid(tid, &raw mut status, flags | libc::__WALL) };
        match checked(found.into()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => return Ok(None),
            Err(error) => return Err(error),
            Ok(0) => return Ok(None),
            Ok(_) => {
                let event = if libc::WIFEXITED(status) {
                    Event::Exited(libc::WEXITSTATUS(status) as u8)
                } else if libc::WIFSIGNALED(status) {
                    Event::Killed(libc::WTERMSIG(status))
                } else {
                    Event::Stopped(libc::WSTOPSIG(status), status >> 16)
                };
                return Ok(Some((found, event)));
            }
        }
    }
}

/// Waits until a child stops or ends; when it ended, it is left to be collected. Whether it stopped.
pub(super) fn stops(pid: i32) -> io::Result<bool> {
    loop {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        let flags = libc::WEXITED | libc::WSTOPPED | libc::WNOWAIT;
        // SAFETY: the kernel fills `info`, for which zero bytes are valid.
        let result =
            unsafe { libc::waitid(libc::P_PID, pid as libc::id_t, info.as_mut_ptr(), flags) };
        match checked(result.into()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(_) => {
                // SAFETY: filled by the kernel.
                let code = unsafe { info.assume_init() }.si_code;
                return Ok(matches!(code, libc::CLD_STOPPED | libc::CLD_TRAPPED));
            }
        }
    }
}

/// The time of a clock by a system call, which a warp of this process does not change.
pub(super) fn machine_clock(clock: i32) -> (i64, i64) {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes a timespec to `time`. It cannot fail for the clocks that are asked for here.
    unsafe { libc::syscall(libc::SYS_clock_gettime, c_long::from(clock), &raw mut time) };
    (time.tv_sec, time.tv_nsec)
}

/// The bit of a signal in a mask.
pub(super) const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// Blocks these signals in the calling thread beside those that are blocked; returns the mask there was.
/// `SIGCHLD` gets its default action, without which the end of a child is not told.
pub(super) fn block(mask: u64) -> io::Result<u64> {
    // SAFETY: changes the action of one signal to the default, which runs no code.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    signal_mask(libc::SIG_BLOCK, mask)
}

/// Changes the mask of the calling thread; returns the one there was. Allocates nothing.
fn signal_mask(how: i32, mask: u64) -> io::Result<u64> {
    let mut before = 0u64;
    let (how, size) = (c_long::from(how), size_of::<u64>() as c_long);
    // SAFETY: the kernel reads eight bytes from `mask` and writes eight to `before`.
    checked(unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            how,
            &raw const mask,
            &raw mut before,
            size,
        )
    })?;
    Ok(before)
}

/// Waits for one of these blocked signals; returns it, and whether the kernel itself sent it (a key on the
/// terminal) rather than a process.
pub(super) fn next_signal(mask: u64) -> io::Result<(i32, bool)> {
    loop {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        let size = size_of::<u64>() as c_long;
        let forever = ptr::null::<libc::timespec>();
        // SAFETY: the kernel reads eight bytes from `mask` and fills `info`, for which zero bytes are valid.
        let result = checked(unsafe {
            libc::syscall(
                libc::SYS_rt_sigtimedwait,
                &raw const mask,
                info.as_mut_ptr(),
                forever,
                size,
            )
        });
        match result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(_) => {
                // SAFETY: filled by the kernel.
                let info = unsafe { info.assume_init() };
                return Ok((info.si_signo, info.si_code == libc::SI_KERNEL));
            }
        }
    }
}

/// Sends a signal to a process.
pub(super) fn send(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: takes no pointer.
    checked(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

/// Sends a signal to a thread.
pub(super) fn send_to_thread(pid: i32, tid: i32, signal: i32) -> io::Result<()> {
    let (pid, tid, signal) = (c_long::from(pid), c_long::from(tid), c_long::from(signal));
    // SAFETY: takes no pointer.
    checked(unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, signal) }).map(drop)
}

/// Gives a signal its default action in this process, unblocks it and sends it.
pub(super) fn kill_self(signal: i32) {
    // SAFETY: changes the action of one signal to the default, which runs no code.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // Where that fails the caller goes on and exits with a code.
    let _ = signal_mask(libc::SIG_UNBLOCK, bit(signal));
    let _ = send(std::process::id() as i32, signal);
}

/// What the child of [`trace_before_exec`] writes first: it is traced, or that was refused.
pub(super) const TRACED: u8 = b'T';
/// See [`TRACED`].
pub(super) const REFUSED: u8 = b'R';

/// Makes the child ask to be traced by the thread that starts it, as the last thing before it executes the
/// command. Until then it blocks all signals but SIGTRAP, because one that arrived would stop it while the parent
/// waits for the execution. It writes what came of it and the mask it had (9 bytes).
///
/// Nothing happens while `armed` is false: a closure cannot be taken out of a command again.
pub(super) fn trace_before_exec(command: &mut Command, report: OwnedFd, armed: Arc<AtomicBool>) {
    let closure = move || {
        if !armed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let before = signal_mask(libc::SIG_SETMASK, !bit(libc::SIGTRAP))?;
        let traced = nix::sys::ptrace::traceme().map_err(io::Error::from);
        if traced.is_err() {
            signal_mask(libc::SIG_SETMASK, before)?;
        }
        let mut message = [0; 9];
        message[0] = if traced.is_ok() { TRACED } else { REFUSED };
        message[1..].copy_from_slice(&before.to_ne_bytes());
        // SAFETY: the kernel reads nine bytes from `message`.
        let written =
            unsafe { libc::write(report.as_raw_fd(), message.as_ptr().cast(), message.len()) };
        checked(written as c_long)?;
        traced
    };
    // SAFETY: between fork and exec only functions that may be used there are called: system calls, and
    // `io::Error` from a number, which allocates nothing. The closure owns what it uses.
    unsafe { command.pre_exec(closure) };
}

/// Reads what the child wrote, without waiting.
pub(super) fn report(mut from: &File) -> Option<(u8, u64)> {
    use std::io::Read as _;
    let mut message = [0; 9];
    from.read_exact(&mut message).ok()?;
    let mut mask = [0; 8];
    mask.copy_from_slice(&message[1..]);
    Some((message[0], u64::from_ne_bytes(mask)))
}
