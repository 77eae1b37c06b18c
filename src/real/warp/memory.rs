//! The memory of another process.
//!
//! Written through ptrace and not through /proc/PID/mem: it works where /proc is not mounted or shows another
//! PID namespace, and where the kernel was told to refuse such writes (`proc_mem.force_override`).

use std::ffi::c_long;
use std::io::{self, IoSliceMut};

use nix::sys::ptrace;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

const WORD: u64 = size_of::<c_long>() as u64;

/// Reads all of it or fails. A traced thread can always be read; another one needs the same permission as tracing.
pub(super) fn read(tid: i32, from: u64, into: &mut [u8]) -> io::Result<()> {
    let remote = RemoteIoVec {
        base: from as usize,
        len: into.len(),
    };
    match process_vm_readv(Pid::from_raw(tid), &mut [IoSliceMut::new(into)], &[remote]) {
        Ok(count) if count == into.len() => Ok(()),
        // Refused for programs that may not be read, where a tracer may still look.
        result => {
            peek(tid, from, into).map_err(|error| result.err().map_or(error, io::Error::from))
        }
    }
}

/// Word by word, for traced threads that are stopped.
fn peek(tid: i32, from: u64, into: &mut [u8]) -> io::Result<()> {
    let mut address = from;
    for piece in into.chunks_mut(WORD as usize) {
        // The last word may reach beyond the page, so read the one that ends with the piece.
        let start = if piece.len() < WORD as usize {
            address + piece.len() as u64 - WORD
        } else {
            address
        };
        let word = ptrace::read(Pid::from_raw(tid), start as ptrace::AddressType)?;
        let skip = (address - start) as usize;
        piece.copy_from_slice(&word.to_ne_bytes()[skip..]);
        address += WORD;
    }
    Ok(())
}

/// Writes into the memory of a stopped thread, also where it is not writable, in aligned words.
pub(super) fn write(tid: i32, to: u64, bytes: &[u8]) -> io::Result<()> {
    let start = to / WORD * WORD;
    let end = (to + bytes.len() as u64).next_multiple_of(WORD);
    let mut whole = vec![0; (end - start) as usize];
    if (end - start) as usize != bytes.len() {
        peek(tid, start, &mut whole)?;
    }
    let skip = (to - start) as usize;
    whole[skip..skip + bytes.len()].copy_from_slice(bytes);
    for (address, word) in (start..end)
        .step_by(WORD as usize)
        .zip(whole.chunks(WORD as usize))
    {
        let mut value = [0; WORD as usize];
        value.copy_from_slice(word);
        ptrace::write(
            Pid::from_raw(tid),
            address as ptrace::AddressType,
            c_long::from_ne_bytes(value),
        )?;
    }
    Ok(())
}
