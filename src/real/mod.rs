//! Everything that touches the outside world.

pub mod dir;
pub mod warp;
