//! `certdrill kubeadm`: the renewal engine on a real directory, as any version, at any time.

use clap::Args;

/// Arguments of `certdrill kubeadm`.
#[derive(Debug, Clone, Args)]
pub struct KubeadmArgs {
    /// What follows `kubeadm`
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// Why `certdrill kubeadm` does not even start.
#[derive(Debug, thiserror::Error)]
pub enum KubeadmError {
    /// The engine is not connected yet.
    #[error("the engine is not part of this build")]
    Absent,
}

impl KubeadmError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "use a build that has it"
    }
}

/// Runs the engine; returns kubeadm's exit status.
///
/// # Errors
/// Always.
pub fn run(_: &KubeadmArgs) -> Result<i32, KubeadmError> {
    Err(KubeadmError::Absent)
}
