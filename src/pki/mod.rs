//! X.509 as kubeadm and Go see it: keys, certificates, chains, requests, kubeconfigs.

mod source;

pub use source::KeySource;
