//! The vDSO of another process.

#![expect(
    clippy::disallowed_methods,
    reason = "/proc is where a running process is found"
)]

use std::ops::Range;
use std::time::Duration;

use super::memory;
use super::patch::{self, State};
use super::vdso::{self, JUMP_BYTES, Plan};
use super::{WarpError, failed, sys};

/// For how long a process may be between two programs, in which it has no vDSO.
const STARTING_MS_MAX: u32 = 50;
const AT_NULL: u64 = 0;
const AT_SYSINFO_EHDR: u64 = 33;
/// Arguments and environment are at most 6 MiB on Linux, each with a pointer.
const STACK_WORDS_MAX: usize = 1 << 21;

/// The vDSO of a process: where it is, what is in it, where the patch goes.
#[derive(Debug)]
pub(super) struct Found {
    pid: u32,
    address: u64,
    image: Vec<u8>,
    plan: Plan,
}

impl Found {
    /// Of a process that stands at the first instruction of a new program: the kernel has written the address
    /// on the stack. Needs no /proc.
    pub(super) fn at_exec(pid: u32) -> Result<Self, WarpError> {
        let registers = sys::registers(pid as i32)
            .map_err(|error| failed("read the registers of", pid, error))?;
        if !registers.native {
            return Err(WarpError::Foreign { pid });
        }
        let address = on_the_stack(pid, registers.sp)?.ok_or(WarpError::NoVdso { pid })?;
        Self::at(pid, address)
    }

    /// Of a running process.
    pub(super) fn in_process(pid: u32) -> Result<Self, WarpError> {
        check_proc(pid)?;
        let address = (0..STARTING_MS_MAX)
            .find_map(|_| match in_the_map(pid) {
                Ok(None) => {
                    std::thread::sleep(Duration::from_millis(1));
                    None
                }
                found => Some(found),
            })
            .unwrap_or(Ok(None))?
            .ok_or(WarpError::NoVdso { pid })?;
        Self::at(pid, address)
    }

    /// Of a running process; `None` where there is no vDSO now: kernel threads, what has ended, what is between two
    /// programs.
    pub(super) fn at_once(pid: u32) -> Result<Option<Self>, WarpError> {
        in_the_map(pid)?
            .map(|address| Self::at(pid, address))
            .transpose()
    }

    fn at(pid: u32, address: u64) -> Result<Self, WarpError> {
        let tid = pid as i32;
        let page = rustix::param::page_size();
        let mut image = vec![0; page];
        let read = |from, into: &mut [u8]| {
            memory::read(tid, from, into).map_err(|error| failed("read the memory of", pid, error))
        };
        read(address, &mut image)?;
        // ELFCLASS64: 32-bit programs have a smaller vDSO of their own.
        if image.get(4) != Some(&2) {
            return Err(WarpError::Foreign { pid });
        }
        let wrong = |what| WarpError::Vdso { pid, what };
        let used = vdso::image_bytes(&image).map_err(wrong)?;
        image.resize((used as usize).next_multiple_of(page), 0);
        read(address + page as u64, &mut image[page..])?;
        let plan = vdso::plan(&image, used).map_err(wrong)?;
        Ok(Self {
            pid,
            address,
            image,
            plan,
        })
    }

    /// Whether it is warped, and how far, as it was when it was found.
    pub(super) fn state(&self) -> State {
        patch::state(&self.image, &self.plan)
    }

    /// Writes these offsets, and the code where it is not there yet. The thread must be stopped, and no thread
    /// [in the way](Self::in_the_way).
    pub(super) fn write(&self, tid: i32, offsets: [i64; 3]) -> Result<(), WarpError> {
        let writes = match self.state() {
            State::Untouched => patch::writes(&self.plan, offsets),
            State::Warped { at, .. } => {
                vec![(at, offsets.map(i64::to_ne_bytes).concat())]
            }
            State::OtherLayout(layout) => {
                let pid = self.pid;
                return Err(WarpError::Layout { pid, layout });
            }
        };
        for (at, bytes) in writes {
            memory::write(tid, self.address + at, &bytes)
                .map_err(|error| failed("write the memory of", self.pid, error))?;
        }
        Ok(())
    }

    /// Instructions at which no thread may stand when the code is written: the second one up to the end of each jump.
    /// Where a function's body is overwritten, the whole vDSO, because its functions call each other.
    pub(super) fn in_the_way(&self) -> Vec<Range<u64>> {
        if self.plan.overwrites {
            return Vec::from([self.whole()]);
        }
        self.plan
            .entries
            .iter()
            .map(|entry| self.address + entry.at + 1..self.address + entry.at + JUMP_BYTES)
            .collect()
    }

    pub(super) fn whole(&self) -> Range<u64> {
        self.address..self.address + self.image.len() as u64
    }

    #[cfg(test)]
    pub(super) fn image(&self) -> &[u8] {
        &self.image
    }

    /// Where the new code stands.
    pub(super) fn code(&self) -> Range<u64> {
        let code = patch::code(&self.plan);
        self.address + code.start..self.address + code.end
    }
}

/// Where the memory map of a process says that its vDSO is.
fn in_the_map(pid: u32) -> Result<Option<u64>, WarpError> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))
        .map_err(|error| failed("read the memory map of", pid, error))?;
    Ok(maps
        .lines()
        .find(|line| line.ends_with("[vdso]"))
        .and_then(|line| u64::from_str_radix(line.split('-').next()?, 16).ok()))
}

/// The auxiliary vector follows argc, the arguments, a zero, the environment and a zero.
fn on_the_stack(pid: u32, sp: u64) -> Result<Option<u64>, WarpError> {
    // A reader of single words that fetches to the end of each page: the stack may end with it.
    let page = rustix::param::page_size() as u64;
    let mut fetched: Vec<u8> = Vec::new();
    let mut address = sp;
    let mut next = || -> Result<u64, WarpError> {
        if fetched.is_empty() {
            fetched = vec![0; (page - address % page) as usize];
            memory::read(pid as i32, address, &mut fetched)
                .map_err(|error| failed("read the stack of", pid, error))?;
            address += fetched.len() as u64;
            fetched.reverse();
        }
        let rest = fetched.len().saturating_sub(8);
        let mut word = [0; 8];
        for (byte, from) in word.iter_mut().zip(fetched.drain(rest..).rev()) {
            *byte = from;
        }
        Ok(u64::from_ne_bytes(word))
    };
    let arguments = next()?;
    for _ in 0..=arguments.min(STACK_WORDS_MAX as u64) {
        next()?;
    }
    for _ in 0..STACK_WORDS_MAX {
        if next()? == 0 {
            break;
        }
    }
    for _ in 0..64 {
        match (next()?, next()?) {
            (AT_NULL, _) => break,
            (AT_SYSINFO_EHDR, address) => return Ok(Some(address)),
            _ => {}
        }
    }
    Ok(None)
}

/// Whether `/proc` counts processes as this one does, and the process is there.
pub(super) fn check_proc(pid: u32) -> Result<(), WarpError> {
    let own = std::fs::read_link("/proc/self").map_err(|_| WarpError::Proc)?;
    if own.to_str().and_then(|own| own.parse().ok()) != Some(std::process::id()) {
        return Err(WarpError::Proc);
    }
    if std::fs::metadata(format!("/proc/{pid}")).is_err() {
        return Err(WarpError::NoProcess { pid });
    }
    Ok(())
}
