//! Reading and writing DER with the rules of Go's `cryptobyte`.
//!
//! Which damaged certificate is refused, and with which words, depends on how strict the reader is
//! in each place. The general parsers of the ecosystem are stricter or laxer than Go; this one
//! follows `golang.org/x/crypto/cryptobyte/asn1.go` as `crypto/x509` uses it.

/// Tags that X.509 uses.
pub mod tag {
    /// BOOLEAN.
    pub const BOOLEAN: u8 = 0x01;
    /// INTEGER.
    pub const INTEGER: u8 = 0x02;
    /// BIT STRING.
    pub const BIT_STRING: u8 = 0x03;
    /// OCTET STRING.
    pub const OCTET_STRING: u8 = 0x04;
    /// NULL.
    pub const NULL: u8 = 0x05;
    /// OBJECT IDENTIFIER.
    pub const OID: u8 = 0x06;
    /// UTF8String.
    pub const UTF8_STRING: u8 = 0x0c;
    /// NumericString.
    pub const NUMERIC_STRING: u8 = 0x12;
    /// PrintableString.
    pub const PRINTABLE_STRING: u8 = 0x13;
    /// T61String.
    pub const T61_STRING: u8 = 0x14;
    /// IA5String.
    pub const IA5_STRING: u8 = 0x16;
    /// UTCTime.
    pub const UTC_TIME: u8 = 0x17;
    /// GeneralizedTime.
    pub const GENERALIZED_TIME: u8 = 0x18;
    /// BMPString.
    pub const BMP_STRING: u8 = 0x1e;
    /// SEQUENCE.
    pub const SEQUENCE: u8 = 0x30;
    /// SET.
    pub const SET: u8 = 0x31;

    /// Context-specific, primitive.
    #[must_use]
    pub const fn context(number: u8) -> u8 {
        0x80 | number
    }

    /// Context-specific, constructed.
    #[must_use]
    pub const fn explicit(number: u8) -> u8 {
        0xa0 | number
    }
}

/// Bytes not read yet.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(pub &'a [u8]);

/// A BIT STRING.
#[derive(Debug, Clone, Copy)]
pub struct BitString<'a> {
    /// Its bytes; unused bits of the last one are zero.
    pub bytes: &'a [u8],
    /// How many bits of the last byte do not count.
    pub unused: u8,
}

impl BitString<'_> {
    /// One bit, counted from the most significant of the first byte.
    #[must_use]
    pub fn at(&self, index: usize) -> bool {
        let bits = self.bytes.len() * 8 - usize::from(self.unused);
        index < bits && self.bytes[index / 8] & (0x80 >> (index % 8)) != 0
    }

    /// The bits shifted so that the unused ones are in front, as Go's `RightAlign`.
    #[must_use]
    pub fn right_align(&self) -> Vec<u8> {
        let shift = u32::from(self.unused);
        if shift == 0 {
            return self.bytes.to_vec();
        }
        let mut carry = 0u8;
        self.bytes
            .iter()
            .map(|&byte| {
                let out = (byte >> shift) | carry;
                carry = byte << (8 - shift);
                out
            })
            .collect()
    }
}

impl<'a> Reader<'a> {
    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the next element has this tag.
    #[must_use]
    pub fn peek(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    /// The next element: tag, all of it, and its content.
    pub fn any(&mut self) -> Option<(u8, &'a [u8], &'a [u8])> {
        let (&tag, &first) = (self.0.first()?, self.0.get(1)?);
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (header, length) = if first & 0x80 == 0 {
            (2, usize::from(first))
        } else {
            let count = usize::from(first & 0x7f);
            if count == 0 || count > 4 {
                return None;
            }
            let bytes = self.0.get(2..2 + count)?;
            let length = bytes
                .iter()
                .fold(0u64, |value, &byte| (value << 8) | u64::from(byte));
            if length < 128 || length >> ((count - 1) * 8) == 0 {
                return None;
            }
            (2 + count, usize::try_from(length).ok()?)
        };
        let total = header.checked_add(length)?;
        let element = self.0.get(..total)?;
        self.0 = &self.0[total..];
        Some((tag, element, &element[header..]))
    }

    /// Content of the next element if it has this tag.
    pub fn read(&mut self, tag: u8) -> Option<Reader<'a>> {
        let (found, _, content) = self.any()?;
        (found == tag).then_some(Reader(content))
    }

    /// The next element with tag and length if it has this tag.
    pub fn element(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, element, _) = self.any()?;
        (found == tag).then_some(element)
    }

    /// An element that may be absent.
    pub fn optional(&mut self, tag: u8) -> Option<Option<Reader<'a>>> {
        if self.peek(tag) {
            self.read(tag).map(Some)
        } else {
            Some(None)
        }
    }

    /// A BOOLEAN.
    pub fn boolean(&mut self) -> Option<bool> {
        match self.read(tag::BOOLEAN)?.0 {
            [0x00] => Some(false),
            [0xff] => Some(true),
            _ => None,
        }
    }

    /// An INTEGER's content, checked to be minimal.
    pub fn integer(&mut self) -> Option<&'a [u8]> {
        let bytes = self.read(tag::INTEGER)?.0;
        minimal_integer(bytes).then_some(bytes)
    }

    /// An INTEGER that fits 64 bits.
    pub fn int64(&mut self) -> Option<i64> {
        let bytes = self.integer()?;
        if bytes.len() > 8 {
            return None;
        }
        let start = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
        Some(
            bytes
                .iter()
                .fold(start, |value, &byte| (value << 8) | i64::from(byte)),
        )
    }

    /// An OBJECT IDENTIFIER as its numbers.
    pub fn oid(&mut self) -> Option<Vec<u32>> {
        let bytes = self.read(tag::OID)?.0;
        let mut numbers = Vec::with_capacity(bytes.len() + 1);
        let mut rest = bytes;
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let (value, next) = base128(rest)?;
            rest = next;
            if numbers.is_empty() {
                let first = (value / 40).min(2);
                numbers.push(first);
                numbers.push(value - first * 40);
            } else {
                numbers.push(value);
            }
        }
        Some(numbers)
    }

    /// A BIT STRING.
    pub fn bit_string(&mut self) -> Option<BitString<'a>> {
        let content = self.read(tag::BIT_STRING)?.0;
        let (&unused, bytes) = content.split_first()?;
        if unused > 7
            || bytes.is_empty() && unused != 0
            || bytes
                .last()
                .is_some_and(|last| last & ((1u8 << unused) - 1) != 0)
        {
            return None;
        }
        Some(BitString { bytes, unused })
    }
}

/// Whether an INTEGER's content is the shortest form of its value.
#[must_use]
pub fn minimal_integer(bytes: &[u8]) -> bool {
    match bytes {
        [] => false,
        [0x00, next, ..] => next & 0x80 != 0,
        [0xff, next, ..] => next & 0x80 == 0,
        _ => true,
    }
}

fn base128(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value: u32 = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        if index == 5 || value >= 1 << 24 || index == 0 && byte == 0x80 {
            return None;
        }
        value = (value << 7) | u32::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

/// An element: tag, length, content.
#[must_use]
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 6);
    out.push(tag);
    let length = content.len();
    if length < 128 {
        out.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let skip = bytes.iter().take_while(|&&byte| byte == 0).count();
        out.push(0x80 | (bytes.len() - skip) as u8);
        out.extend_from_slice(&bytes[skip..]);
    }
    out.extend_from_slice(content);
    out
}

/// An element whose content is other elements.
#[must_use]
pub fn constructed(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    element(tag, &parts.concat())
}

/// A SEQUENCE.
#[must_use]
pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    constructed(tag::SEQUENCE, parts)
}

/// An unsigned big-endian number as INTEGER.
#[must_use]
pub fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let skip = bytes.iter().take_while(|&&byte| byte == 0).count();
    let mut content = Vec::with_capacity(bytes.len() + 1);
    if bytes.get(skip).is_none_or(|first| first & 0x80 != 0) {
        content.push(0);
    }
    content.extend_from_slice(&bytes[skip..]);
    element(tag::INTEGER, &content)
}

/// A BIT STRING of whole bytes.
#[must_use]
pub fn bit_string(bytes: &[u8]) -> Vec<u8> {
    let mut content = vec![0];
    content.extend_from_slice(bytes);
    element(tag::BIT_STRING, &content)
}

/// An OBJECT IDENTIFIER.
#[must_use]
pub fn oid(numbers: &[u32]) -> Vec<u8> {
    let mut content = Vec::new();
    let first = numbers.first().copied().unwrap_or(0) * 40 + numbers.get(1).copied().unwrap_or(0);
    for value in std::iter::once(first).chain(numbers.iter().skip(2).copied()) {
        let mut groups = vec![(value & 0x7f) as u8];
        let mut rest = value >> 7;
        while rest > 0 {
            groups.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        groups.reverse();
        content.extend(groups);
    }
    element(tag::OID, &content)
}

/// An OBJECT IDENTIFIER as dotted numbers.
#[must_use]
pub fn dotted(numbers: &[u32]) -> String {
    numbers
        .iter()
        .map(u32::to_string)
        .collect::<Vec<_>>()
        .join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_must_be_shortest() {
        assert!(Reader(&[0x04, 0x81, 0x05, 1, 2, 3, 4, 5]).any().is_none());
        assert!(Reader(&[0x04, 0x82, 0x00, 0x80]).any().is_none());
        assert!(Reader(&[0x04, 0x05, 1]).any().is_none());
        assert!(Reader(&[0x1f, 0x01, 0x00]).any().is_none());
        let (tag, all, content) = Reader(&[0x04, 0x01, 0x07, 0xff]).any().unwrap();
        assert_eq!((tag, all, content), (0x04, &[4, 1, 7][..], &[7][..]));
    }

    #[test]
    fn object_identifiers_survive_a_round_trip() {
        for numbers in [&[2u32, 5, 29, 17][..], &[1, 2, 840, 113_549, 1, 1, 11]] {
            assert_eq!(Reader(&oid(numbers)).oid().unwrap(), numbers);
        }
    }

    #[test]
    fn integers_are_minimal() {
        assert_eq!(unsigned(&[0, 0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(unsigned(&[0]), [2, 1, 0]);
        assert!(Reader(&[2, 2, 0, 1]).integer().is_none());
        assert_eq!(Reader(&[2, 1, 0xff]).int64(), Some(-1));
    }
}
