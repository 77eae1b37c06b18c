//! The routine that takes the place of the vDSO's clock functions, and where its parts stand.

use super::Offsets;

/// Marks a process whose clock is shifted; the last byte is the version of the layout.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"CRTWARP\x01");
/// Where the magic stands.
pub(super) const MAGIC_AT: usize = 8;
/// Where the wall clocks' nanoseconds stand.
pub(super) const WALL_AT: usize = 16;
/// Where the monotonic clocks' nanoseconds stand.
pub(super) const TIMERS_AT: usize = 24;
/// Where the wall clocks' mask stands.
pub(super) const MASK_AT: usize = 32;

/// Machine code with its data in front.
#[derive(Debug, Clone, Copy)]
pub(super) struct Routine {
    /// The bytes; clock_gettime begins at the first.
    pub code: &'static [u8],
    /// Where gettimeofday begins.
    pub gettimeofday: usize,
    /// Where time begins.
    pub time: usize,
}

impl Routine {
    /// The bytes with offsets filled in.
    pub fn with(&self, offsets: Offsets) -> Option<Vec<u8>> {
        let mut code = self.code.to_vec();
        for (at, word) in words(offsets)? {
            code.get_mut(at..at + 8)?
                .copy_from_slice(&word.to_le_bytes());
        }
        Some(code)
    }
}

/// The three words of data, each with its place; `None` when a shift does not fit into 64 bits of nanoseconds.
pub(super) fn words(offsets: Offsets) -> Option<[(usize, i64); 3]> {
    let nanoseconds = |span: crate::time::SignedDuration| i64::try_from(span.as_nanos()).ok();
    let (wall, mask) = match offsets.wall {
        super::Wall::Ahead(span) => (nanoseconds(span)?, -1),
        super::Wall::Still(at) => (i64::try_from(at.as_nanosecond()).ok()?, 0),
    };
    Some([
        (WALL_AT, wall),
        (TIMERS_AT, nanoseconds(offsets.timers)?),
        (MASK_AT, mask),
    ])
}

/// A jump from one address to another: five bytes on x86-64, four on aarch64.
pub(super) fn jump(from: u64, to: u64) -> Option<Vec<u8>> {
    let distance = to.cast_signed().checked_sub(from.cast_signed())?;
    if cfg!(target_arch = "aarch64") {
        let words = i32::try_from(distance / 4).ok()?;
        return Some(
            (0x1400_0000 | (words.cast_unsigned() & 0x03ff_ffff))
                .to_le_bytes()
                .to_vec(),
        );
    }
    let relative = i32::try_from(distance - 5).ok()?;
    let mut code = vec![0xe9];
    code.extend(relative.to_le_bytes());
    Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_stand_where_they_are_said_to_stand() {
        let routine = super::super::raw::routine();
        let word = |at: usize| u64::from_le_bytes(routine.code[at..at + 8].try_into().unwrap());
        assert_eq!(word(MAGIC_AT), MAGIC);
        assert_eq!(
            (word(WALL_AT), word(TIMERS_AT), word(MASK_AT)),
            (0, 0, u64::MAX)
        );
        assert!(routine.gettimeofday > MASK_AT && routine.gettimeofday < routine.time);
        assert!(routine.code.len() < 400, "it must fit into clock_gettime");
    }
}
