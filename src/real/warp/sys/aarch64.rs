//! The code that replaces the clock functions of the vDSO on aarch64. Not tested on such a machine: this routine alone
//! was run under qemu, with positive and negative offsets, null pointers and errors.
//!
//! The same as on x86-64. It changes only registers that a called function may change (x0, x7 to x16) and uses no
//! stack. There is no `time` in this vDSO.

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
    "    .ascii \"CERTDRIL\"",      // magic number
    "    .word 2",                  // version of this layout
    "    .word 0",                  // not used
    ".Lcertdrill_wall:   .xword 0", // nanoseconds, patched when copied, 8-byte aligned
    ".Lcertdrill_timers: .xword 0", // nanoseconds, patched when copied, 8-byte aligned
    ".Lcertdrill_still:  .xword 0", // not zero: the wall clocks stand still at 1970 and their offset
    // ---- int clock_gettime(clockid_t w0, struct timespec *x1)
    "certdrill_warp_clock_gettime:",
    ".Lcertdrill_clock_gettime:",
    "    mov  w9, w0",   // the clock: x0 becomes the result
    "    mov  x8, #113", // the number of clock_gettime
    "    svc  #0",       // the true time; changes x0 only
    "    cbnz w0, 3f",   // -EFAULT, -EINVAL: the caller's to handle
    "    cmp  w9, #31",  // dynamic clocks are negative: as unsigned, large
    "    b.hi 3f",
    "    mov  w10, #1",
    "    lsl  w10, w10, w9", // the clock as a bit
    "    adr  x11, .Lcertdrill_wall",
    "    mov  w12, #0x921", // clocks 0, 5, 8, 11: the wall clocks
    "    tst  w10, w12",
    "    b.ne 6f",
    "    adr  x11, .Lcertdrill_timers",
    "    mov  w12, #0x2d2", // clocks 1, 4, 6, 7, 9: those of timers
    "    tst  w10, w12",
    "    b.eq 3f",                    // any other clock stays as it is
    "1:  ldr  x12, [x11]",            // one aligned load: never half an offset
    "    mov  w13, #0xca00",          // 1000000000, low half
    "    movk w13, #0x3b9a, lsl #16", // high half
    "    sdiv x14, x12, x13",         // whole seconds
    "    msub x12, x14, x13, x12",    // the rest with the offset's sign
    "    ldp  x15, x16, [x1]",        // tv_sec, tv_nsec
    "    add  x15, x15, x14",
    "    adds x16, x16, x12", // now -999999999 ..= 1999999998
    "    b.pl 2f",
    "    add  x16, x16, x13", // borrow a second
    "    sub  x15, x15, #1",
    "2:  cmp  x16, x13",
    "    b.lt 4f",
    "    sub  x16, x16, x13", // carry a second
    "    add  x15, x15, #1",
    "4:  stp  x15, x16, [x1]",
    "3:  ret",
    "6:  ldr  x10, .Lcertdrill_still",
    "    cbz  x10, 1b",
    "    stp  xzr, xzr, [x1]", // the offset counts from 1970 then
    "    b    1b",
    // ---- int gettimeofday(struct timeval *x0, struct timezone *x1)
    ".balign 16",
    "certdrill_warp_gettimeofday:",
    "    mov  x7, x0",   // the timeval
    "    mov  x10, x30", // unused by the system call; where to return to
    "    cbz  x1, 1f",   // the usual case: nobody wants the time zone
    "    mov  x0, #0",
    "    mov  x8, #169", // the number of gettimeofday
    "    svc  #0",       // gettimeofday(NULL, tz)
    "    cbnz w0, 2f",
    "1:  mov  w0, #0",                    // success, and CLOCK_REALTIME
    "    cbz  x7, 2f",                    // gettimeofday(NULL, ...) is allowed
    "    mov  x1, x7",                    // a timeval is as large as a timespec
    "    mov  x7, x10",                   // the call below changes x9 to x16, not x7
    "    bl   .Lcertdrill_clock_gettime", // keeps x1
    "    mov  x10, x7",
    "    cbnz w0, 2f",
    "    ldr  x11, [x1, #8]",
    "    mov  x12, #1000",
    "    udiv x11, x11, x12", // nanoseconds to microseconds
    "    str  x11, [x1, #8]",
    "2:  ret  x10",
    ".balign 16",
    "certdrill_warp_time:", // not there on aarch64: never jumped to
    "certdrill_warp_end:",
    ".popsection",
);
