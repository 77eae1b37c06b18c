//! The renewal engine: kubeadm's certificate commands, on any tree, at any time, as any version.

mod api;
pub mod profile;
mod version;

pub use api::{ApiError, ClusterReader, CommandOutput, Machine};
pub use version::{Version, VersionError};
