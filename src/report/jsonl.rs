//! For a program: the trace itself, one record a line.

use std::io::{self, BufRead, Write};

use crate::run::trace::{Entry, FORMAT, Record};

/// One line of a trace is at most this long.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// Writes the records of a run.
///
/// # Errors
/// When `output` does not take them.
pub fn write(records: &[Record], output: &mut impl Write) -> io::Result<()> {
    for record in records {
        serde_json::to_writer(&mut *output, record)?;
        output.write_all(b"\n")?;
    }
    Ok(())
}

/// Why a trace cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It cannot be read at all.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A line is not a record.
    #[error("line {line} is not a record of a trace: {reason}")]
    Line {
        /// Line, from 1.
        line: usize,
        /// Why not.
        reason: String,
    },
    /// It does not begin with a header.
    #[error("does not begin with a header: is it a trace of `certdrill run --format json`?")]
    NoHeader,
    /// Another version of the format.
    #[error("is written in the format {0:?}; this certdrill reads {FORMAT:?}")]
    Format(String),
}

/// Reads traces: the records of each run, in order.
///
/// # Errors
/// When the input is not a trace of this version of the format.
pub fn read(input: &mut impl BufRead) -> Result<Vec<Vec<Record>>, ReadError> {
    let mut runs: Vec<Vec<Record>> = Vec::new();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let count = io::Read::take(&mut *input, LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if count == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let record: Record = serde_json::from_slice(&line).map_err(|error| ReadError::Line {
            line: number,
            reason: error.to_string(),
        })?;
        match &record.entry {
            Entry::Header(header) if header.format != FORMAT => {
                return Err(ReadError::Format(header.format.clone()));
            }
            Entry::Header(_) => runs.push(vec![record]),
            _ => runs.last_mut().ok_or(ReadError::NoHeader)?.push(record),
        }
    }
    if runs.is_empty() {
        return Err(ReadError::NoHeader);
    }
    Ok(runs)
}
