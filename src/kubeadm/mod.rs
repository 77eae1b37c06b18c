//! The renewal engine: kubeadm's certificate commands, on any tree, at any time, as any version.

mod api;
pub mod manifests;
pub mod profile;
pub mod renewal;
mod version;

pub use api::{ApiError, ClusterReader, CommandOutput, Machine};
pub use version::{Version, VersionError};

#[allow(missing_docs, clippy::all)]
mod stub;
pub use stub::run;
/// placeholder
pub fn uncertainties(_v: Version) -> Vec<String> {
    Vec::new()
}
