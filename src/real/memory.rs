//! What real commands did before in this process.
//!
//! The variants of a scenario begin alike, and so do many scenarios: the same kubeadm, on the same files, at the same
//! instant, in the same surroundings. Played once, its output and what it did to the files are known. Its keys and
//! serial numbers are random, so what was first seen is what everybody takes over from then on.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::cluster::Surroundings;
use crate::fs::{FileType, MemoryTree, Tree as _, mirror};
use crate::kubeadm::{CommandOutput, Machine};
use crate::pki::Parts;

/// Commands of the real kubeadm and what came of them. Clones remember together.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    known: Mutex<HashMap<Name, Arc<Done>>>,
    /// Commands that were asked for.
    asked: AtomicUsize,
    /// Those that were not run again.
    remembered: AtomicUsize,
}

type Name = [u8; 32];

#[derive(Debug)]
struct Done {
    output: CommandOutput,
    /// The whole tree afterwards.
    tree: MemoryTree,
}

impl Memory {
    /// How many commands were asked for, and how many of them were not run again.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        (count(&self.0.asked), count(&self.0.remembered))
    }

    /// Runs a command on a machine, or does again what it did.
    ///
    /// # Errors
    /// What running it gives. That is not remembered.
    pub(super) fn once<E>(
        &self,
        machine: &mut Machine<'_>,
        surroundings: &Surroundings,
        engine: &Path,
        args: &[String],
        run: impl FnOnce(&mut Machine<'_>) -> Result<CommandOutput, E>,
    ) -> Result<CommandOutput, E> {
        let Some(tree) = machine.tree.in_memory() else {
            return run(machine);
        };
        let name = name(machine, tree, surroundings, engine, args);
        let known = |inner: &Inner| {
            let known = inner.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&name).cloned()
        };
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        if let Some(done) = known(&self.0)
            && again(&done, machine)
        {
            self.0.remembered.fetch_add(1, Ordering::Relaxed);
            return Ok(done.output.clone());
        }
        let output = run(machine)?;
        // Another thread may have run it meanwhile: what was first stays, and both go on from there.
        if let Some(done) = known(&self.0)
            && again(&done, machine)
        {
            return Ok(done.output.clone());
        }
        if let Some(tree) = machine.tree.in_memory() {
            let done = Done {
                output: output.clone(),
                tree: tree.clone(),
            };
            let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.entry(name).or_insert_with(|| Arc::new(done));
        }
        Ok(output)
    }
}

/// Does to the files what was done to them. Trees of worlds have no faults: it cannot fail half way.
fn again(done: &Done, machine: &mut Machine<'_>) -> bool {
    let mirrored = mirror(&done.tree, machine.tree, &[]);
    debug_assert!(mirrored.is_ok(), "{mirrored:?}");
    mirrored.is_ok()
}

/// Everything that a command can see.
fn name(
    machine: &Machine<'_>,
    tree: &MemoryTree,
    surroundings: &Surroundings,
    engine: &Path,
    args: &[String],
) -> Name {
    // By name, so that nobody adds something that a command can see and that goes unsaid.
    let Machine {
        tree: _,
        now,
        hostname,
        host_address,
        // A real command draws its own keys and asks over the network.
        keys: _,
        cluster: _,
    } = machine;
    let mut all = Parts::default();
    all.text(&engine.to_string_lossy());
    all.text(hostname);
    all.text(&host_address.to_string());
    all.text(&now.to_string());
    all.text(&args.len().to_string());
    for arg in args {
        all.text(arg);
    }
    surroundings.describe(&mut |part| all.add(part));
    files(tree, &mut all);
    all.name()
}

fn files(tree: &MemoryTree, all: &mut Parts) {
    let mut inodes = HashMap::new();
    for path in tree.paths() {
        let Ok(metadata) = tree.symlink_metadata(&path) else {
            continue;
        };
        all.text(&path);
        all.text(&format!(
            "{:?} {:o} {}:{}",
            metadata.file_type, metadata.mode, metadata.uid, metadata.gid
        ));
        match metadata.file_type {
            FileType::File => {
                all.add(&tree.content(&path).unwrap_or_default());
                // Another name of a file is not another file.
                all.text(inodes.entry(metadata.inode).or_insert(path));
            }
            FileType::Symlink => all.text(&tree.read_link(&path).unwrap_or_default()),
            FileType::Dir | FileType::Other => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::cluster::MachineFacts;
    use crate::kubeadm::Version;
    use crate::pki::OsKeys;
    use crate::time::Timestamp;

    fn surroundings(machines: &[MachineFacts]) -> Surroundings {
        Surroundings {
            api_servers: Vec::new(),
            load_balancer: None,
            balanced: Vec::new(),
            machines: machines.to_vec(),
            role_bindings: BTreeMap::new(),
            config_maps: BTreeMap::new(),
        }
    }

    /// Where, when and with what a command is run.
    #[derive(Clone)]
    struct Run {
        tree: MemoryTree,
        now: i64,
        hostname: &'static str,
        address: IpAddr,
        engine: &'static str,
        arg: &'static str,
        surroundings: Surroundings,
    }

    /// Runs a command; says what it printed, and whether it was really run.
    fn played(memory: &Memory, on: &mut Run) -> (String, bool) {
        let mut keys = OsKeys::default();
        let mut machine = Machine {
            tree: &mut on.tree,
            now: Timestamp::from_second(on.now).unwrap(),
            hostname: on.hostname.to_owned(),
            host_address: on.address,
            keys: &mut keys,
            cluster: None,
        };
        let mut run = false;
        let args = [on.arg.to_owned()];
        let engine = Path::new(on.engine);
        let output = memory.once::<()>(&mut machine, &on.surroundings, engine, &args, |machine| {
            run = true;
            let made = on.arg.as_bytes();
            machine.tree.write("/made", made, 0o600).unwrap();
            Ok(CommandOutput {
                stdout: on.arg.to_owned(),
                ..CommandOutput::default()
            })
        });
        (output.unwrap().stdout, run)
    }

    fn plain() -> Run {
        let mut tree = MemoryTree::new();
        tree.write("/a", b"1", 0o644).unwrap();
        Run {
            tree,
            now: 5,
            hostname: "cp1",
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            engine: "kubeadm",
            arg: "x",
            surroundings: surroundings(&[]),
        }
    }

    #[test]
    fn the_same_command_on_the_same_files_at_the_same_instant_is_run_once() {
        let memory = Memory::default();
        assert_eq!(played(&memory, &mut plain()), ("x".to_owned(), true));
        let mut second = plain();
        assert_eq!(played(&memory, &mut second), ("x".to_owned(), false));
        assert_eq!(second.tree.read("/made").unwrap(), b"x");
        assert_eq!(second.tree.metadata("/made").unwrap().mode, 0o600);
        assert_eq!(memory.counts(), (2, 1));
    }

    #[test]
    fn whatever_a_command_can_see_makes_it_another() {
        let memory = Memory::default();
        assert!(played(&memory, &mut plain()).1);
        let changed = |what: &str, change: &dyn Fn(&mut Run)| {
            let mut run = plain();
            change(&mut run);
            assert!(played(&memory, &mut run).1, "{what}");
        };
        changed("time", &|run| run.now = 6);
        changed("argument", &|run| run.arg = "y");
        changed("engine", &|run| run.engine = "other");
        changed("name", &|run| run.hostname = "cp2");
        changed("address", &|run| run.address = IpAddr::from([10, 0, 0, 1]));
        changed("a machine around it", &|run| {
            run.surroundings = surroundings(&[MachineFacts {
                name: "cp2".to_owned(),
                address: IpAddr::from([10, 0, 0, 11]),
                control_plane: true,
                etcd: true,
                is_node: true,
                version: Version::new(36, 3),
            }]);
        });
        changed("a ConfigMap", &|run| {
            let data = BTreeMap::from([("key".to_owned(), "value".to_owned())]);
            run.surroundings.config_maps.insert("map".to_owned(), data);
        });
        let file = |what: &str, change: &dyn Fn(&mut MemoryTree)| {
            changed(what, &|run| change(&mut run.tree));
        };
        file("content", &|tree| tree.write("/a", b"2", 0o644).unwrap());
        file("mode", &|tree| tree.set_mode("/a", 0o600).unwrap());
        file("owner", &|tree| tree.set_owner("/a", 1, 0).unwrap());
        file("hard link", &|tree| tree.hard_link("/a", "/b").unwrap());
        file("copy", &|tree| tree.write("/b", b"1", 0o644).unwrap());
        file("symlink", &|tree| tree.symlink("a", "/b").unwrap());
        file("directory", &|tree| {
            tree.create_dir_all("/b", 0o755).unwrap()
        });
        assert!(!played(&memory, &mut plain()).1);
    }
}
