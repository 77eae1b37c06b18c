//! The scenario format: Kubernetes-shaped YAML, strict, with source positions.

mod types;

pub use types::*;
