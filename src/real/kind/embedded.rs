//! Certificates in texts: as PEM, and as PEM that is written as base64 in a field of a kubeconfig or an object.

use super::agent::{decode, encode};
use crate::pki::{Certificate, pem};

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
const END: &[u8] = b"-----END CERTIFICATE-----";
/// No certificate is shorter in base64.
const ENCODED_MIN: usize = 256;

/// A text in which every certificate was exchanged; everything else stays as it is. `None` where there is none in it.
pub(super) fn exchanged<E>(
    text: &[u8],
    exchange: &mut dyn FnMut(&Certificate) -> Result<Certificate, E>,
) -> Result<Option<Vec<u8>>, E> {
    let (text, mut any) = exchanged_blocks(text, exchange)?;
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    let mut out = Vec::new();
    let mut rest = &text[..];
    while !rest.is_empty() {
        let length = rest.iter().take_while(|byte| is_base64(byte)).count();
        let (word, after) = rest.split_at(length);
        let inner = match std::str::from_utf8(word) {
            Ok(word) if length >= ENCODED_MIN => decode(word).ok(),
            _ => None,
        };
        let other = inner.map(|inner| exchanged(&inner, exchange)).transpose()?;
        match other.flatten() {
            Some(inner) => {
                out.extend_from_slice(encode(&inner).as_bytes());
                any = true;
            }
            None => out.extend_from_slice(word),
        }
        let between = after.iter().take_while(|byte| !is_base64(byte)).count();
        out.extend_from_slice(&after[..between]);
        rest = &after[between..];
    }
    Ok(any.then_some(out))
}

/// The same for PEM blocks alone, and whether there was one.
fn exchanged_blocks<E>(
    text: &[u8],
    exchange: &mut dyn FnMut(&Certificate) -> Result<Certificate, E>,
) -> Result<(Vec<u8>, bool), E> {
    let mut out = Vec::new();
    let mut rest = text;
    let mut any = false;
    while let Some(begin) = memchr::memmem::find(rest, BEGIN) {
        let Some(length) = memchr::memmem::find(&rest[begin..], END) else {
            break;
        };
        let end = begin + length + END.len();
        let block = &rest[begin..end];
        out.extend_from_slice(&rest[..begin]);
        let found =
            pem::decode(block).and_then(|(block, _)| Certificate::from_der(&block.bytes).ok());
        match found {
            Some(found) => {
                out.extend_from_slice(exchange(&found)?.to_pem().trim_end().as_bytes());
                any = true;
            }
            None => out.extend_from_slice(block),
        }
        rest = &rest[end..];
    }
    out.extend_from_slice(rest);
    Ok((out, any))
}
