//! What a test needs from the machine: real kubeadms, tools, rights.

use std::path::PathBuf;

/// Something that a test needs is not there: a notice, or a failure when `CERTDRILL_REQUIRE` lists it.
pub fn missing(what: &str, hint: &str) {
    let required = std::env::var("CERTDRILL_REQUIRE")
        .is_ok_and(|list| list.split(',').any(|word| word.trim() == what));
    assert!(!required, "{what} is required and missing: {hint}");
    eprintln!("skipped: {hint}");
}

/// The real kubeadm of a version. Without root there is none: `--rootfs` calls chroot.
pub fn engine(version: &str) -> Option<PathBuf> {
    let dir = std::env::var_os("CERTDRILL_ENGINES").map_or_else(
        || {
            let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
                || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache"),
                PathBuf::from,
            );
            cache.join("certdrill/engines")
        },
        PathBuf::from,
    );
    let root = rustix::process::getuid().is_root();
    Some(dir.join(version).join("kubeadm")).filter(|path| path.is_file() && root)
}
