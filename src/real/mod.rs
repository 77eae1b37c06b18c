//! Everything that touches the outside world.

pub mod api_server;
pub mod dir;
pub mod engines;
pub mod kubeadm;
pub mod scratch;
mod script;
pub mod site;
pub mod warp;
