//! The authority that client-go makes for one certificate and whose key it forgets (`GenerateSelfSignedCertKey`,
//! k8s.io/client-go/util/cert/cert.go): a kubelet's without a serving certificate, kube-apiserver's for itself.

use super::Certificate;

/// What stands between the host's name and the second.
const MARK: &str = "-ca@";

/// Its name.
#[must_use]
pub fn self_made_name(host: &str, second: i64) -> String {
    format!("{host}{MARK}{second}")
}

/// Whether a certificate is one of such an authority.
#[must_use]
pub fn is_self_made(authority: &Certificate) -> bool {
    authority.common_name().contains(MARK)
}
