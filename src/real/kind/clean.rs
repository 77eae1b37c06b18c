//! Removing what a certdrill that was killed has left behind.

use std::sync::{Mutex, PoisonError};

use super::engine::Containers;
use super::node::{CLUSTER_LABEL, OWN_LABEL};
use crate::cluster::EngineError;

/// Removes containers and networks whose certdrill does not run any more, or all of them. Gives their names.
///
/// # Errors
/// When the container engine does not answer or something cannot be removed.
pub fn clean(all: bool) -> Result<Vec<String>, EngineError> {
    let engine = Containers::find()?;
    let filter = format!("label={OWN_LABEL}");
    let format = format!("{{{{.Label \"{OWN_LABEL}\"}}}} {{{{.Names}}}}");
    let containers = engine.run(&["ps", "--all", "--filter", &filter, "--format", &format])?;
    let mut removed = Vec::new();
    for name in left(&containers, all) {
        engine.remove(name)?;
        removed.push(name.to_owned());
    }
    let format = format!("{{{{.Label \"{OWN_LABEL}\"}}}} {{{{.Name}}}}");
    let networks = engine.run(&["network", "ls", "--filter", &filter, "--format", &format])?;
    for name in left(&networks, all) {
        engine.run(&["network", "rm", name])?;
        removed.push(name.to_owned());
    }
    Ok(removed)
}

/// The cluster of this process, which is to go with it.
static OWN: Mutex<Option<(Containers, String)>> = Mutex::new(None);

/// Says which cluster goes when this process ends by a signal; `None` when it is gone, or is to stay.
pub(super) fn goes_with_us(cluster: Option<(Containers, String)>) {
    *OWN.lock().unwrap_or_else(PoisonError::into_inner) = cluster;
}

/// Removes the cluster of this process, for one that ends by a signal.
pub(in crate::real) fn remove_own() {
    let own = OWN.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some((engine, cluster)) = own else {
        return;
    };
    let filter = format!("label={CLUSTER_LABEL}={cluster}");
    // What cannot be removed now is found by its label later.
    if let Ok(names) = engine.run(&["ps", "--all", "--quiet", "--filter", &filter]) {
        for name in names.lines() {
            let _ = engine.remove(name);
        }
    }
    let _ = engine.run(&["network", "rm", &cluster]);
}

/// Names in lines of `OWNER NAME` whose owner does not run.
fn left(lines: &str, all: bool) -> Vec<&str> {
    lines
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(owner, _)| {
            all || owner.parse().is_ok_and(|pid: i32| {
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None)
                    == Err(nix::errno::Errno::ESRCH)
            })
        })
        .map(|(_, name)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_a_living_process_stays() {
        let own = std::process::id();
        let lines = format!("{own} mine\n999999999 gone\nx odd\n");
        assert_eq!(left(&lines, false), ["gone"]);
        assert_eq!(left(&lines, true), ["mine", "gone", "odd"]);
    }
}
