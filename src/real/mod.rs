//! Everything that touches the outside world.

pub mod api_server;
pub mod dir;
pub mod engines;
#[cfg(target_os = "linux")]
pub mod kind;
pub mod kubeadm;
pub mod memory;
pub mod scratch;
mod script;
pub mod site;
pub mod warp;
