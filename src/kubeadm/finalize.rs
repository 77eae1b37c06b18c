//! `init phase kubelet-finalize`: kubelet.conf points to the certificate that the kubelet rotates.

use super::config::{InitConfiguration, KUBERNETES_DIR};
use super::failure::{Context as _, Failure, Result};
use super::process::Process;
use crate::fs::join;

impl Process<'_, '_> {
    /// Makes kubelet.conf refer to `kubelet-client-current.pem`, if that exists.
    ///
    /// # Errors
    /// When kubelet.conf cannot be loaded, lacks its user, or cannot be written.
    pub(super) fn finalize_kubelet(&mut self, config: &InitConfiguration) -> Result<()> {
        let dir = config
            .kubelet_cert_dir
            .as_deref()
            .unwrap_or("/var/lib/kubelet/pki");
        let pem = join(dir, "kubelet-client-current.pem");
        if !self.tree().exists(&pem) {
            return Ok(());
        }
        let path = join(KUBERNETES_DIR, "kubelet.conf");
        self.print(format!(
            "[kubelet-finalize] Updating {path:?} to point to a rotatable kubelet client certificate and key"
        ));
        let mut kubeconfig = self
            .load_kubeconfig(&path)
            .context(format!("could not load {path:?}"))?;
        let user = if self.profile.finalize_by_context {
            if kubeconfig.current_context.is_empty() {
                return Err(Failure::new(format!(
                    "the file {path:?} does not have current context set"
                )));
            }
            let context = kubeconfig.context().ok_or_else(|| {
                Failure::new(format!(
                    "the file {path:?} is not a valid kubeconfig: {:?} set as current-context, but not found in context list",
                    kubeconfig.current_context
                ))
            })?;
            let user = context.text("user").to_owned();
            if user.is_empty() {
                return Err(Failure::new(format!(
                    "the file {path:?} is not a valid kubeconfig: empty username for current context"
                )));
            }
            user
        } else {
            format!("system:node:{}", config.node_name)
        };
        let entry = kubeconfig.users.get_mut(&user).ok_or_else(|| {
            Failure::new(format!(
                "the file {path:?} does not contain authentication for user {:?}",
                config.node_name
            ))
        })?;
        entry.point_at(&pem);
        self.write_kubeconfig(&path, &kubeconfig)
            .context(format!("failed to serialize {path:?}"))?;
        if !self.has_init_system() {
            let none = self.profile.no_init_system;
            self.print(format!(
                "[kubelet-start] {none}, won't make sure the kubelet not running for a short period of time while setting up configuration for it."
            ));
        }
        Ok(())
    }

    /// Whether the kubelet can be restarted. A machine of a running cluster has what it takes; of a mere tree the
    /// programs in it decide.
    fn has_init_system(&self) -> bool {
        let has = |program: &str| {
            let dirs = [
                "/usr/local/sbin",
                "/usr/local/bin",
                "/usr/sbin",
                "/usr/bin",
                "/sbin",
                "/bin",
            ];
            dirs.iter().any(|dir| {
                let found = self.tree().metadata(&join(dir, program));
                found.is_ok_and(|found| !found.is_dir() && found.mode & 0o111 != 0)
            })
        };
        self.machine.cluster.is_some()
            || has("systemctl")
            || has("openrc") && has("rc-service") && has("rc-update")
    }
}
