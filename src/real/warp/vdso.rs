//! The vDSO of another process: where its clock functions are, and the bytes there.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use object::{Object as _, ObjectSymbol as _};

use super::WarpError;

/// No vDSO is anywhere near this size.
const BYTES_MAX: u64 = 1 << 20;
#[cfg(target_arch = "aarch64")]
const NAMES: [&str; 3] = [
    "__kernel_clock_gettime",
    "__kernel_gettimeofday",
    "__kernel_time",
];
#[cfg(not(target_arch = "aarch64"))]
const NAMES: [&str; 3] = ["__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time"];

/// The clock functions of a process's vDSO, as ranges of its addresses.
#[derive(Debug, Clone)]
pub(super) struct Vdso {
    pub range: Range<u64>,
    pub clock_gettime: Range<u64>,
    pub gettimeofday: Option<Range<u64>>,
    pub time: Option<Range<u64>>,
}

/// A process's memory.
#[derive(Debug)]
pub(super) struct Memory {
    pid: i32,
    file: File,
}

impl Memory {
    pub fn open(pid: i32, write: bool) -> Result<Self, WarpError> {
        let path = format!("/proc/{pid}/mem");
        let file = OpenOptions::new()
            .read(true)
            .write(write)
            .open(path)
            .map_err(|source| WarpError::of_process(pid, "open its memory", source))?;
        Ok(Self { pid, file })
    }

    pub fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), WarpError> {
        self.file
            .read_exact_at(bytes, at)
            .map_err(|source| WarpError::of_process(self.pid, "read its memory", source))
    }

    pub fn write(&self, at: u64, bytes: &[u8]) -> Result<(), WarpError> {
        self.file
            .write_all_at(bytes, at)
            .map_err(|source| WarpError::of_process(self.pid, "write its vDSO", source))
    }

    pub fn word(&self, at: u64) -> Result<u64, WarpError> {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

impl Vdso {
    /// Finds the vDSO of a process.
    pub fn of(pid: i32, memory: &Memory) -> Result<Self, WarpError> {
        let range = mapping(pid)?.ok_or(WarpError::NoVdso { pid })?;
        let length = range.end - range.start;
        if length > BYTES_MAX {
            return Err(WarpError::NoVdso { pid });
        }
        let mut image = vec![0; usize::try_from(length).unwrap_or(0)];
        memory.read(range.start, &mut image)?;
        let file = object::File::parse(image.as_slice()).map_err(|_| WarpError::NoVdso { pid })?;
        if !file.is_64() {
            return Err(WarpError::Not64Bit { pid });
        }
        let find = |name: &str| {
            file.dynamic_symbols()
                .find(|symbol| symbol.name() == Ok(name))
                .map(|symbol| {
                    let start = range.start + symbol.address();
                    start..start + symbol.size()
                })
                .filter(|found| found.end <= range.end && found.start >= range.start)
        };
        Ok(Self {
            clock_gettime: find(NAMES[0]).ok_or(WarpError::NoVdso { pid })?,
            gettimeofday: find(NAMES[1]),
            time: find(NAMES[2]),
            range,
        })
    }
}

/// Where a process has its vDSO (`/proc/PID/maps`).
fn mapping(pid: i32) -> Result<Option<Range<u64>>, WarpError> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))
        .map_err(|source| WarpError::of_process(pid, "see its memory", source))?;
    let line = maps.lines().find(|line| line.ends_with("[vdso]"));
    let range = line.and_then(|line| {
        let (start, end) = line.split_whitespace().next()?.split_once('-')?;
        let hex = |text| u64::from_str_radix(text, 16).ok();
        Some(hex(start)?..hex(end)?)
    });
    Ok(range)
}

/// Threads of a process.
pub(super) fn threads(pid: i32) -> Result<Vec<i32>, WarpError> {
    let read = || -> io::Result<Vec<i32>> {
        Ok(std::fs::read_dir(format!("/proc/{pid}/task"))?
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect())
    };
    read().map_err(|source| WarpError::of_process(pid, "list its threads", source))
}
