//! Writes the pool of throw-away keys: `cargo run --release --example make_key_pool fixtures/keys`.

#![expect(clippy::disallowed_methods, reason = "a generator writes files")]

use std::path::PathBuf;

use certdrill::pki::{KeyAlgorithm, KeySource as _, OsKeys, PrivateKey};

fn main() -> std::io::Result<()> {
    let dir = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".into()));
    for (algorithm, count, file) in [
        (KeyAlgorithm::Rsa2048, 128, "rsa-2048.bin"),
        (KeyAlgorithm::Rsa3072, 8, "rsa-3072.bin"),
        (KeyAlgorithm::Rsa4096, 8, "rsa-4096.bin"),
        (KeyAlgorithm::EcdsaP256, 256, "ecdsa-p256.bin"),
        (KeyAlgorithm::EcdsaP384, 8, "ecdsa-p384.bin"),
    ] {
        let mut source = OsKeys::new();
        source.prefetch(algorithm, count);
        let mut out = Vec::new();
        for _ in 0..count {
            let key: PrivateKey = source.key("pool", algorithm);
            let der = key.to_traditional_der();
            out.extend((der.len() as u16).to_be_bytes());
            out.extend(der);
        }
        std::fs::write(dir.join(file), out)?;
    }
    Ok(())
}
