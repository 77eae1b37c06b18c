//! Keys, certificates and requests, PEM or DER.

use certdrill::pki::{
    Certificate, KeyAlgorithm, PrivateKey, PublicKey, Request, Template, Usage, issue, pool_key,
    verify,
};

/// Reads bytes as everything that PEM and DER can be; a certificate is verified, and signs another.
pub fn pem_der(bytes: &[u8]) {
    let _ = PrivateKey::from_pem(bytes);
    let _ = PublicKey::parse_pem(bytes);
    let _ = Request::from_pem(bytes);
    let _ = Request::from_der(bytes);
    let mut certificates = Certificate::parse_pem_certs(bytes).unwrap_or_default();
    certificates.extend(Certificate::from_der(bytes));
    let key = pool_key(KeyAlgorithm::EcdsaP256, 1).expect("the pool has a second key");
    for certificate in &certificates {
        let now = certificate.not_after();
        let all = std::slice::from_ref(certificate);
        let _ = verify(certificate, all, all, Usage::Server, None, now);
        let _ = issue::sign(&Template::default(), key.spki_der(), certificate, &key);
    }
}
