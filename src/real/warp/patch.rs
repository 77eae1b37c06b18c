//! What is written into a vDSO, and how it is recognised again.
//!
//! The routine begins with a header: magic number (8 bytes), version of the layout (4), nothing (4), offset of the wall
//! clocks (8), offset of the timers' clocks (8), both in nanoseconds, whether the wall clocks stand still (8); the replacement of `clock_gettime` follows. The
//! vDSO's `clock_gettime` begins with a jump to it, so the header is found from there.

use std::ops::Range;

use super::sys;
use super::vdso::{JUMP_BYTES, Plan};

/// How the header begins.
pub(super) const MAGIC: &[u8; 8] = b"CERTDRIL";
const LAYOUT: u32 = 2;
const LAYOUT_AT: usize = 8;
const OFFSETS_AT: usize = 16;
const HEADER_BYTES: usize = 40;

/// Bytes and where they go, relative to the begin of the image.
pub(super) type Write = (u64, Vec<u8>);

/// What an image says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// As the kernel made it.
    Untouched,
    /// With these offsets in nanoseconds, and where they stand.
    Warped { offsets: [i64; 3], at: u64 },
    /// By a certdrill with another layout.
    OtherLayout(u32),
}

/// Recognises an image.
pub(super) fn state(image: &[u8], plan: &Plan) -> State {
    let Some(header) = jump_target(image, plan.entries[0].at)
        .and_then(|target| target.checked_sub(sys::clock_gettime_at()))
        .and_then(|start| Some((start, image.get(start as usize..)?.get(..HEADER_BYTES)?)))
        .filter(|(_, header)| header.starts_with(MAGIC))
    else {
        return State::Untouched;
    };
    let (start, header) = header;
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&header[at..at + 8]);
        u64::from_ne_bytes(bytes)
    };
    match number(LAYOUT_AT) as u32 {
        LAYOUT => State::Warped {
            offsets: [0, 8, 16].map(|word| number(OFFSETS_AT + word) as i64),
            at: start + OFFSETS_AT as u64,
        },
        other => State::OtherLayout(other),
    }
}

/// Everything to write into an untouched image: the routine first, then the jumps to it.
pub(super) fn writes(plan: &Plan, offsets: [i64; 3]) -> Vec<Write> {
    let mut routine = sys::routine().to_vec();
    for (offset, at) in offsets
        .iter()
        .zip([OFFSETS_AT, OFFSETS_AT + 8, OFFSETS_AT + 16])
    {
        routine[at..at + 8].copy_from_slice(&offset.to_ne_bytes());
    }
    let jumps = plan
        .entries
        .iter()
        .map(|entry| (entry.at, jump(entry.at, plan.routine + entry.replacement)));
    std::iter::once((plan.routine, routine))
        .chain(jumps)
        .collect()
}

/// Where the routine stands: system calls from there are warped readings.
pub(super) fn code(plan: &Plan) -> Range<u64> {
    plan.routine..plan.routine + sys::routine().len() as u64
}

/// `jmp target`: 0xe9 and the distance from the end of the instruction.
#[cfg(target_arch = "x86_64")]
fn jump(from: u64, to: u64) -> Vec<u8> {
    let distance = to.wrapping_sub(from + JUMP_BYTES) as u32;
    let mut bytes = vec![0xe9];
    bytes.extend(distance.to_le_bytes());
    bytes
}

#[cfg(target_arch = "x86_64")]
fn jump_target(image: &[u8], at: u64) -> Option<u64> {
    let bytes = image.get(at as usize..)?.get(..JUMP_BYTES as usize)?;
    let distance = i32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
    (bytes[0] == 0xe9).then(|| (at + JUMP_BYTES).wrapping_add_signed(distance.into()))
}

/// `bti c` (where guarded pages want it at the target of an indirect call; elsewhere it does nothing), then
/// `b target`: 26 bits of distance in instructions.
#[cfg(target_arch = "aarch64")]
fn jump(from: u64, to: u64) -> Vec<u8> {
    let distance = (to.wrapping_sub(from + 4) >> 2) as u32;
    let words = [0xd503_245f_u32, 0x1400_0000 | (distance & 0x03ff_ffff)];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[cfg(target_arch = "aarch64")]
fn jump_target(image: &[u8], at: u64) -> Option<u64> {
    let bytes = image.get(at as usize..)?.get(..JUMP_BYTES as usize)?;
    let word =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    // The distance is signed: shift it to the top and back.
    let distance = i64::from(((word(4) << 6) as i32) >> 6) * 4;
    (word(0) == 0xd503_245f && word(4) >> 26 == 0b00_0101)
        .then(|| (at + 4).wrapping_add_signed(distance))
}
