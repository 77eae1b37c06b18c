//! Where in a vDSO image what is to be replaced stands, and where there is room for the replacement.

use std::ops::Range;

use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _};
use object::{Object as _, ObjectSymbol as _};

use super::patch::MAGIC;
use super::sys;

/// What replaces the first instructions of a function: a jump.
#[cfg(target_arch = "x86_64")]
pub(super) const JUMP_BYTES: u64 = 5;
/// What replaces the first instructions of a function: a landing pad and a jump.
#[cfg(target_arch = "aarch64")]
pub(super) const JUMP_BYTES: u64 = 8;

/// The function that must be there.
#[cfg(target_arch = "x86_64")]
const CLOCK_GETTIME: &str = "__vdso_clock_gettime";
/// The function that must be there.
#[cfg(target_arch = "aarch64")]
const CLOCK_GETTIME: &str = "__kernel_clock_gettime";

/// A function of the vDSO and what replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where it begins in the image.
    pub(super) at: u64,
    /// Where in the routine its replacement begins.
    pub(super) replacement: u64,
}

/// Where everything goes, relative to the begin of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// The first one is `clock_gettime`.
    pub(super) entries: Vec<Entry>,
    /// Where the routine is copied to: 16-byte aligned.
    pub(super) routine: u64,
    /// Whether the routine overwrites code that a thread may be in the middle of.
    pub(super) overwrites: bool,
}

/// How many bytes an image has, given its first page: sections are behind everything else.
pub(super) fn image_bytes(head: &[u8]) -> Result<u64, String> {
    let header = object::elf::FileHeader64::<object::Endianness>::parse(head)
        .map_err(|error| error.to_string())?;
    let endian = header.endian().map_err(|error| error.to_string())?;
    let table = u64::from(header.e_shnum(endian)) * u64::from(header.e_shentsize(endian));
    let sections = header.e_shoff(endian).saturating_add(table);
    let segments = header
        .program_headers(endian, head)
        .map_err(|error| error.to_string())?
        .iter()
        .map(|segment| {
            segment
                .p_offset(endian)
                .saturating_add(segment.p_filesz(endian))
        });
    let bytes = segments.max().unwrap_or(0).max(sections);
    // Real ones have one to three pages.
    if bytes > 1 << 20 {
        return Err(format!("it says that it has {bytes} bytes"));
    }
    Ok(bytes)
}

/// Finds the functions and room for the routine in a mapped image: what follows its `used` bytes is padding.
pub(super) fn plan(image: &[u8], used: u64) -> Result<Plan, String> {
    let file = ElfFile64::<object::Endianness>::parse(image).map_err(|error| error.to_string())?;
    let endian = file.endian();
    // Images are linked to address 0 since Linux 3.16.
    let base = file
        .elf_program_headers()
        .iter()
        .find(|segment| segment.p_type(endian) == object::elf::PT_LOAD)
        .map_or(0, |segment| {
            segment
                .p_vaddr(endian)
                .wrapping_sub(segment.p_offset(endian))
        });
    let find = |name: &str| -> Result<Option<Range<u64>>, String> {
        let Some(symbol) = file
            .dynamic_symbols()
            .find(|symbol| symbol.is_definition() && symbol.name() == Ok(name))
        else {
            return Ok(None);
        };
        let start = symbol.address().wrapping_sub(base);
        let end = start.saturating_add(symbol.size());
        if symbol.size() < JUMP_BYTES {
            return Err(format!("{name} has {} bytes only", symbol.size()));
        }
        if end > image.len() as u64 {
            return Err(format!("{name} lies outside"));
        }
        Ok(Some(start..end))
    };
    let clock_gettime =
        find(CLOCK_GETTIME)?.ok_or_else(|| format!("there is no {CLOCK_GETTIME}"))?;
    let mut entries = vec![Entry {
        at: clock_gettime.start,
        replacement: sys::clock_gettime_at(),
    }];
    #[cfg(target_arch = "x86_64")]
    let others = [
        ("__vdso_gettimeofday", sys::gettimeofday_at()),
        ("__vdso_time", sys::time_at()),
    ];
    #[cfg(target_arch = "aarch64")]
    let others = [("__kernel_gettimeofday", sys::gettimeofday_at())];
    for (name, replacement) in others {
        if let Some(found) = find(name)? {
            entries.push(Entry {
                at: found.start,
                replacement,
            });
        }
    }
    let (routine, overwrites) =
        room(image, used, &clock_gettime).ok_or("there is no room for the code")?;
    Ok(Plan {
        entries,
        routine,
        overwrites,
    })
}

/// Room for the routine, or where it is already: the padding behind the image, where no thread can be; where there
/// is too little of it, the body of the function that is replaced.
fn room(image: &[u8], used: u64, clock_gettime: &Range<u64>) -> Option<(u64, bool)> {
    let wanted = sys::routine().len() as u64;
    let start = used.next_multiple_of(16);
    if let Some(padding) = image.get(start as usize..)
        && padding.len() as u64 >= wanted
        && (padding.starts_with(MAGIC) || padding.iter().all(|byte| *byte == 0))
    {
        return Some((start, false));
    }
    let body = (clock_gettime.start + JUMP_BYTES).next_multiple_of(16);
    (body + wanted <= clock_gettime.end).then_some((body, true))
}
