//! The renewal engine: kubeadm's certificate commands, on any tree, at any time, as any version.
//!
//! [`run`] is kubeadm's command line. What differs between versions is data in [`profile`]; nothing
//! else compares versions. Messages are written once, where they are printed.

mod api;
mod authority;
pub mod certlist;
mod cluster;
mod cmd;
pub mod config;
mod create;
mod expiration;
mod failure;
mod finalize;
mod gofmt;
pub mod historic;
mod jsonpath;
mod kubeconfigs;
mod loading;
pub mod manifests;
mod names;
mod output;
mod process;
pub mod profile;
pub mod renewal;
mod template;
mod text;
pub mod upgrade;
mod version;

pub use api::{ApiError, ClusterReader, CommandOutput, Machine};
pub use cmd::{error_as_printed, run};
pub use config::ClusterConfiguration;
pub use process::klog_warning;
pub use profile::uncertainties;
pub use text::{human_duration, short_human_duration};
pub use version::{Version, VersionError};
