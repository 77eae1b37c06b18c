//! X.509 as kubeadm and Go see it: keys, certificates, chains, requests, kubeconfigs.
//!
//! Signatures and keys are aws-lc-rs's; names, extensions, PEM and the rules of verification follow
//! Go's `crypto/x509`, because that is what every component of a cluster uses and whose words it
//! prints. Nothing here panics on bytes it is given.

mod certificate;
mod constraints;
pub mod der;
pub mod issue;
mod key;
mod kubeconfig;
mod kubeconfig_error;
mod name;
pub mod oid;
mod parse;
mod parse_policy;
mod parsed;
pub mod pem;
mod pool;
mod public_key;
mod reissue;
pub mod request;
mod self_made;
mod signature;
mod signed;
mod source;
mod usage;
mod verify;
pub mod x509_time;
pub mod yaml;
mod yaml_emit;

pub use certificate::{Certificate, CertificateError};
pub use issue::{IssueError, Template};
pub use key::{KeyAlgorithm, KeyError, PrivateKey};
pub use kubeconfig::{Entry, Kubeconfig, Source};
pub use kubeconfig_error::{KubeconfigError, SCHEME, decode_base64};
pub use name::Name;
pub use pool::{PoolKeys, pool_key, pool_size};
pub use public_key::{PublicKey, key_id, spki_algorithm};
pub use reissue::{ReissueError, reissue};
pub use request::{Request, RequestError};
pub use self_made::{is_self_made, self_made_name};
pub use signature::SignatureError;
pub(crate) use signed::Parts;
pub use source::{KeySource, OsKeys};
pub use usage::{ExtKeyUsage, KeyUsage};
pub use verify::{
    ServerName, Usage, VerifyError, VerifyErrorKind, Window, verify, verify_hostname, verify_window,
};
#[cfg(test)]
mod verify_tests;
