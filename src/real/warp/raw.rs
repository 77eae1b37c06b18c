//! The few things that the compiler cannot check: machine code that runs in another process, what happens
//! between `fork` and `exec`, and one ptrace request that `nix` does not have.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::errno::Errno;
use nix::unistd::Pid;

// The routine that takes the place of the vDSO's functions. It is copied into another process, so it must not
// depend on where it stands: jumps and data are relative. It begins with a jump over its data, which are
// aligned to eight bytes: a later move is one aligned store for each.
//
//   0   jmp to clock_gettime
//   8   magic
//  16   nanoseconds that are added to the wall clocks
//  24   nanoseconds that are added to the monotonic clocks
//  32   mask for the wall clocks before that: all ones, or zero where the wall clock stands still
//  40   clock_gettime, gettimeofday, time
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".pushsection .rodata.certdrill_warp, \"a\", @progbits",
    ".balign 8",
    ".globl certdrill_warp_begin",
    ".globl certdrill_warp_gettimeofday",
    ".globl certdrill_warp_time",
    ".globl certdrill_warp_end",
    "certdrill_warp_begin:",
    "    jmp 10f",
    ".balign 8",
    "    .quad {magic}",
    "1:  .quad 0", // wall offset
    "2:  .quad 0", // monotonic offset
    "3:  .quad -1", // wall mask
    // int clock_gettime(clockid_t edi, struct timespec *rsi). The system call changes rax, rcx, r11 only.
    "10: mov eax, 228",
    "    syscall",
    "    test eax, eax",
    "    jne 19f",
    "    cmp edi, 0", // CLOCK_REALTIME
    "    je 11f",
    "    cmp edi, 5", // CLOCK_REALTIME_COARSE
    "    je 11f",
    "    cmp edi, 11", // CLOCK_TAI
    "    je 11f",
    "    cmp edi, 1", // CLOCK_MONOTONIC
    "    je 12f",
    "    cmp edi, 4", // CLOCK_MONOTONIC_RAW
    "    je 12f",
    "    cmp edi, 6", // CLOCK_MONOTONIC_COARSE
    "    je 12f",
    "    cmp edi, 7", // CLOCK_BOOTTIME
    "    jne 19f",
    "12: mov rcx, [rip + 2b]",
    "    jmp 13f",
    "11: mov rcx, [rip + 3b]",
    "    and [rsi], rcx",
    "    and [rsi + 8], rcx",
    "    mov rcx, [rip + 1b]",
    "13: imul rax, [rsi], 1000000000", // everything in nanoseconds, good until 2262
    "    add rax, [rsi + 8]",
    "    add rax, rcx",
    "    mov ecx, 1000000000",
    "    cqo",
    "    idiv rcx",
    "    test rdx, rdx", // before 1970 the remainder is negative
    "    jns 14f",
    "    add rdx, rcx",
    "    dec rax",
    "14: mov [rsi], rax",
    "    mov [rsi + 8], rdx",
    "    xor eax, eax",
    "19: ret",
    // int gettimeofday(struct timeval *rdi, struct timezone *rsi)
    "certdrill_warp_gettimeofday:",
    "    mov eax, 96",
    "    syscall",
    "    test eax, eax",
    "    jne 29f",
    "    test rdi, rdi",
    "    je 29f",
    "    push rdi",
    "    sub rsp, 16",
    "    mov rsi, rsp",
    "    xor edi, edi",
    "    call 10b", // CLOCK_REALTIME, shifted
    "    mov rax, [rsp + 8]",
    "    mov rsi, [rsp]",
    "    add rsp, 16",
    "    pop rdi",
    "    xor edx, edx",
    "    mov ecx, 1000",
    "    div rcx",
    "    mov [rdi], rsi",
    "    mov [rdi + 8], rax",
    "    xor eax, eax",
    "29: ret",
    // time_t time(time_t *rdi)
    "certdrill_warp_time:",
    "    push rdi",
    "    sub rsp, 16",
    "    mov rsi, rsp",
    "    xor edi, edi",
    "    call 10b",
    "    mov rax, [rsp]",
    "    add rsp, 16",
    "    pop rdi",
    "    test rdi, rdi",
    "    je 39f",
    "    mov [rdi], rax",
    "39: ret",
    "certdrill_warp_end:",
    ".popsection",
    magic = const super::routine::MAGIC,
);

/// The same for aarch64, as the System V ABI and the kernel's `__kernel_clock_gettime` have it. **Untested**:
/// no such machine was at hand.
#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".pushsection .rodata.certdrill_warp, \"a\", @progbits",
    ".balign 8",
    ".globl certdrill_warp_begin",
    ".globl certdrill_warp_gettimeofday",
    ".globl certdrill_warp_time",
    ".globl certdrill_warp_end",
    "certdrill_warp_begin:",
    "    b 10f",
    ".balign 8",
    "    .quad {magic}",
    "1:  .quad 0",
    "2:  .quad 0",
    "3:  .quad -1",
    // int clock_gettime(clockid_t w0, struct timespec *x1). The system call changes x0 only.
    "10: mov w9, w0",
    "    mov x8, #113",
    "    svc #0",
    "    cbnz w0, 19f",
    "    cbz w9, 11f",
    "    cmp w9, #5",
    "    b.eq 11f",
    "    cmp w9, #11",
    "    b.eq 11f",
    "    cmp w9, #1",
    "    b.eq 12f",
    "    cmp w9, #4",
    "    b.eq 12f",
    "    cmp w9, #6",
    "    b.eq 12f",
    "    cmp w9, #7",
    "    b.ne 19f",
    "12: ldr x12, 2b",
    "    ldp x10, x11, [x1]",
    "    b 13f",
    "11: ldr x12, 3b",
    "    ldp x10, x11, [x1]",
    "    and x10, x10, x12",
    "    and x11, x11, x12",
    "    ldr x12, 1b",
    "13: movz x13, #0xca00",
    "    movk x13, #0x3b9a, lsl #16", // 1000000000
    "    madd x10, x10, x13, x11",
    "    add x10, x10, x12",
    "    sdiv x11, x10, x13",
    "    msub x12, x11, x13, x10",
    "    tbz x12, #63, 14f",
    "    add x12, x12, x13",
    "    sub x11, x11, #1",
    "14: stp x11, x12, [x1]",
    "19: ret",
    // int gettimeofday(struct timeval *x0, struct timezone *x1)
    "certdrill_warp_gettimeofday:",
    "    mov x14, x0",
    "    mov x8, #169",
    "    svc #0",
    "    cbnz w0, 29f",
    "    cbz x14, 29f",
    "    mov x15, x30",
    "    sub sp, sp, #16",
    "    mov x1, sp",
    "    mov w0, #0",
    "    bl 10b",
    "    ldp x10, x11, [sp], #16",
    "    mov x12, #1000",
    "    udiv x11, x11, x12",
    "    stp x10, x11, [x14]",
    "    mov w0, #0",
    "    mov x30, x15",
    "29: ret",
    "certdrill_warp_time:", // there is no such function on this machine
    "certdrill_warp_end:",
    ".popsection",
    magic = const super::routine::MAGIC,
);

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
unsafe extern "C" {
    static certdrill_warp_begin: u8;
    static certdrill_warp_gettimeofday: u8;
    static certdrill_warp_time: u8;
    static certdrill_warp_end: u8;
}

/// The routine's bytes and the places of its further entry points.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) fn routine() -> super::routine::Routine {
    let begin = &raw const certdrill_warp_begin;
    let at = |label: *const u8| label.addr() - begin.addr();
    // SAFETY: both labels stand in one section that the assembler wrote, `end` after `begin`; the section is
    // read-only data of this program and lives as long as it does.
    let code = unsafe { std::slice::from_raw_parts(begin, at(&raw const certdrill_warp_end)) };
    super::routine::Routine {
        code,
        gettimeofday: at(&raw const certdrill_warp_gettimeofday),
        time: at(&raw const certdrill_warp_time),
    }
}

/// Lets a command be traced by the thread that starts it: it stops at its `exec`.
pub(super) fn trace_at_exec(command: &mut Command) {
    let stop = || nix::sys::ptrace::traceme().map_err(std::io::Error::from);
    // SAFETY: between fork and exec only async-signal-safe functions may run. This closure makes one system
    // call and allocates nothing.
    unsafe {
        command.pre_exec(stop);
    }
}

/// Leaves a thread in its group stop, but hears of what happens to it (`PTRACE_LISTEN`).
pub(super) fn listen(thread: Pid) -> nix::Result<()> {
    let none = std::ptr::null_mut::<nix::libc::c_void>();
    // SAFETY: PTRACE_LISTEN reads neither address nor data.
    let result =
        unsafe { nix::libc::ptrace(nix::libc::PTRACE_LISTEN, thread.as_raw(), none, none) };
    Errno::result(result).map(drop)
}
