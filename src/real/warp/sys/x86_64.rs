//! The code that replaces the clock functions of the vDSO on x86-64.
//!
//! Assembled by the compiler into read-only data of certdrill, copied from there, never run in place. It uses
//! only registers that a called function may change (rax, rcx, rdx, rsi, rdi, r8, r11) and little stack, because
//! Go calls it with small ones. Everything is addressed relative to rip.

use std::arch::global_asm;

global_asm!(
    ".pushsection .rodata.certdrill_warp, \"a\", @progbits",
    ".balign 16",
    ".globl certdrill_warp_start, certdrill_warp_clock_gettime, certdrill_warp_gettimeofday",
    ".globl certdrill_warp_time, certdrill_warp_end",
    ".hidden certdrill_warp_start, certdrill_warp_clock_gettime, certdrill_warp_gettimeofday",
    ".hidden certdrill_warp_time, certdrill_warp_end",
    // ---- the header: see patch.rs
    "certdrill_warp_start:",
    "    .ascii \"CERTDRIL\"",     // magic number
    "    .long 2",                 // version of this layout
    "    .long 0",                 // not used
    ".Lcertdrill_wall:   .quad 0", // nanoseconds, patched when copied, 8-byte aligned
    ".Lcertdrill_timers: .quad 0", // nanoseconds, patched when copied, 8-byte aligned
    ".Lcertdrill_still:  .quad 0", // not zero: the wall clocks stand still at 1970 and their offset
    // ---- int clock_gettime(clockid_t edi, struct timespec *rsi)
    "certdrill_warp_clock_gettime:",
    ".Lcertdrill_clock_gettime:",
    "    mov  eax, 228", // the number of clock_gettime
    "    syscall",       // the true time; changes rax, rcx, r11 only
    "    test eax, eax",
    "    jne  3f",      // -EFAULT, -EINVAL: the caller's to handle
    "    cmp  edi, 31", // dynamic clocks are negative: as unsigned, large
    "    ja   3f",
    "    lea  r8, [rip + .Lcertdrill_wall]",
    "    mov  ecx, 0x921", // clocks 0, 5, 8, 11: the wall clocks
    "    bt   ecx, edi",
    "    jc   6f",
    "    lea  r8, [rip + .Lcertdrill_timers]",
    "    mov  ecx, 0x2d2", // clocks 1, 4, 6, 7, 9: those of timers
    "    bt   ecx, edi",
    "    jnc  3f",        // any other clock stays as it is
    "5:  mov  rax, [r8]", // one aligned load: never half an offset
    "    cqo",            // rdx = its sign
    "    mov  ecx, 1000000000",
    "    idiv rcx", // rax = whole seconds, rdx = the rest with the offset's sign
    "    add  rax, [rsi]", // + tv_sec
    "    add  rdx, [rsi + 8]", // + tv_nsec: now -999999999 ..= 1999999998
    "    jns  2f",
    "    add  rdx, rcx", // borrow a second
    "    dec  rax",
    "2:  cmp  rdx, rcx",
    "    jl   4f",
    "    sub  rdx, rcx", // carry a second
    "    inc  rax",
    "4:  mov  [rsi], rax",
    "    mov  [rsi + 8], rdx",
    "    xor  eax, eax",
    "3:  ret",
    "6:  cmp  qword ptr [rip + .Lcertdrill_still], 0",
    "    je   5b",
    "    mov  qword ptr [rsi], 0", // the offset counts from 1970 then
    "    mov  qword ptr [rsi + 8], 0",
    "    jmp  5b",
    // ---- int gettimeofday(struct timeval *rdi, struct timezone *rsi)
    ".balign 16",
    "certdrill_warp_gettimeofday:",
    "    test rsi, rsi",
    "    je   5f", // the usual case: nobody wants the time zone
    "    mov  rdx, rdi",
    "    xor  edi, edi",
    "    mov  eax, 96", // the number of gettimeofday
    "    syscall",      // gettimeofday(NULL, tz)
    "    test eax, eax",
    "    jne  2f",
    "    mov  rdi, rdx",
    "5:  xor  eax, eax",
    "    test rdi, rdi",
    "    je   2f",                        // gettimeofday(NULL, ...) is allowed
    "    mov  rsi, rdi",                  // a timeval is as large as a timespec
    "    xor  edi, edi",                  // CLOCK_REALTIME
    "    call .Lcertdrill_clock_gettime", // keeps rsi
    "    test eax, eax",
    "    jne  2f",
    "    mov  rax, [rsi + 8]",
    "    xor  edx, edx",
    "    mov  ecx, 1000",
    "    div  rcx", // nanoseconds to microseconds
    "    mov  [rsi + 8], rax",
    "    xor  eax, eax",
    "2:  ret",
    // ---- time_t time(time_t *rdi)
    ".balign 16",
    "certdrill_warp_time:",
    "    push rdi",
    "    sub  rsp, 16", // a timespec
    "    mov  edi, 5",  // CLOCK_REALTIME_COARSE, as the kernel's own time()
    "    mov  rsi, rsp",
    "    call .Lcertdrill_clock_gettime",
    "    pop  rax", // tv_sec
    "    pop  rdx", // tv_nsec, not wanted
    "    pop  rdi",
    "    test rdi, rdi",
    "    je   5f", // time(NULL) is allowed
    "    mov  [rdi], rax",
    "5:  ret",
    ".balign 16",
    "certdrill_warp_end:",
    ".popsection",
);
