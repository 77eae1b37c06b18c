//! PEM blocks with the rules of Go's `encoding/pem`: what counts as a block, and what is skipped.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Go's `base64.StdEncoding`: padding required, unused bits ignored.
pub(super) const STANDARD: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// A decoded block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What stands behind `BEGIN`.
    pub kind: String,
    /// Whether it has headers (as encrypted keys of old have).
    pub has_headers: bool,
    /// Its content.
    pub bytes: Vec<u8>,
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"\n-----END ";
const DASHES: &[u8] = b"-----";

/// The first block, and what follows it. Damaged blocks are skipped.
#[must_use]
pub fn decode(data: &[u8]) -> Option<(Block, &[u8])> {
    let mut rest = data;
    loop {
        let end = find(rest, END)?;
        // The END that was looked at is skipped when this try fails.
        let after_end = &rest[end + END.len()..];
        let begin = rfind(&rest[..end], BEGIN);
        let Some(begin) = begin.filter(|&at| at == 0 || rest[at - 1] == b'\n') else {
            rest = after_end;
            continue;
        };
        if let Some(found) = block(&rest[begin + BEGIN.len()..], end - begin - BEGIN.len()) {
            return Some(found);
        }
        rest = after_end;
    }
}

/// Reads a block from behind its `BEGIN`; `end` is where `\n-----END ` was found.
fn block(text: &[u8], end: usize) -> Option<(Block, &[u8])> {
    // Offsets may fall behind the position: the newline before END can be the one that ends the
    // type line, and headers may run over it.
    let mut end = end as isize;
    let (line, mut rest, consumed) = get_line(text);
    end -= consumed as isize;
    let kind = line.strip_suffix(DASHES)?;
    let mut has_headers = false;
    loop {
        if rest.is_empty() {
            return None;
        }
        let (line, next, consumed) = get_line(rest);
        if !line.contains(&b':') {
            break;
        }
        has_headers = true;
        rest = next;
        end -= consumed as isize;
    }
    if has_headers && end < 0 {
        return None;
    }
    let trailer_start = usize::try_from(end + END.len() as isize).ok()?;
    let trailer = rest.get(trailer_start..)?;
    let (mark, line_rest) = trailer.split_at_checked(kind.len() + DASHES.len())?;
    if !mark.starts_with(kind) || !mark.ends_with(DASHES) || !get_line(line_rest).0.is_empty() {
        return None;
    }
    let bytes = match usize::try_from(end) {
        Ok(end) if end > 0 => {
            let text: Vec<u8> = rest[..end]
                .iter()
                .copied()
                .filter(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
                .collect();
            STANDARD.decode(text).ok()?
        }
        _ => Vec::new(),
    };
    let block = Block {
        kind: String::from_utf8_lossy(kind).into_owned(),
        has_headers,
        bytes,
    };
    let behind = usize::try_from(end + END.len() as isize - 1).ok()?;
    Some((block, get_line(&rest[behind..]).1))
}

/// A line without trailing blanks, what follows it, and how many bytes it took.
fn get_line(data: &[u8]) -> (&[u8], &[u8], usize) {
    let (mut line, rest, consumed) = match memchr::memchr(b'\n', data) {
        Some(at) => (&data[..at], &data[at + 1..], at + 1),
        None => (data, &data[data.len()..], data.len()),
    };
    if consumed > line.len() {
        line = line.strip_suffix(b"\r").unwrap_or(line);
    }
    while let [head @ .., b' ' | b'\t'] = line {
        line = head;
    }
    (line, rest, consumed)
}

fn find(data: &[u8], pattern: &[u8]) -> Option<usize> {
    memchr::memmem::find(data, pattern)
}

fn rfind(data: &[u8], pattern: &[u8]) -> Option<usize> {
    memchr::memmem::rfind(data, pattern)
}

/// All blocks of a file.
pub fn blocks(data: &[u8]) -> impl Iterator<Item = Block> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let (block, next) = decode(rest)?;
        rest = next;
        Some(block)
    })
}

/// A block with lines of 64 characters.
#[must_use]
pub fn encode(kind: &str, bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let mut out = String::with_capacity(text.len() * 65 / 64 + 2 * kind.len() + 40);
    out.push_str("-----BEGIN ");
    out.push_str(kind);
    out.push_str("-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = next;
    }
    out.push_str("-----END ");
    out.push_str(kind);
    out.push_str("-----\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_survives_a_round_trip_between_garbage() {
        let text = format!(
            "garbage\n{}more\n{}",
            encode("A", &[7; 100]),
            encode("B C", b"x")
        );
        let found: Vec<_> = blocks(text.as_bytes()).collect();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].kind.as_str(), found[0].bytes.len()), ("A", 100));
        assert_eq!(found[1].kind, "B C");
    }

    #[test]
    fn damaged_blocks_are_skipped() {
        let good = encode("A", b"good");
        for bad in [
            "-----BEGIN A-----\n????\n-----END A-----\n",
            "-----BEGIN A-----\nYQ==\n-----END B-----\n",
            "x-----BEGIN A-----\nYQ==\n-----END A-----\n",
            "-----BEGIN A-----\nYQ==\n",
            "-----BEGIN A\nYQ==\n-----END A-----\n",
        ] {
            let text = format!("{bad}{good}");
            assert_eq!(decode(text.as_bytes()).unwrap().0.bytes, b"good", "{bad}");
        }
    }

    #[test]
    fn headers_are_seen_and_an_empty_block_is_one() {
        let text = "-----BEGIN K-----\nProc-Type: 4,ENCRYPTED\n\nYQ==\n-----END K-----\n";
        let (block, _) = decode(text.as_bytes()).unwrap();
        assert!(block.has_headers);
        assert_eq!(block.bytes, b"a");
        let empty = "-----BEGIN K-----\n-----END K-----\n";
        assert_eq!(decode(empty.as_bytes()).unwrap().0.bytes, b"");
    }
}
