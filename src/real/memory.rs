//! What real commands did before in this process.
//!
//! The variants of a scenario begin alike, and so do many scenarios: the same kubeadm, on the same files, at the same
//! instant, in the same surroundings. Played once, its output and what it did to the files are known. Its keys and
//! serial numbers are random, so what was first seen is what everybody takes over from then on.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};

use crate::cluster::Surroundings;
use crate::fs::{FileType, MemoryTree, Tree as _, mirror};
use crate::kubeadm::{CommandOutput, Machine};

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
    let mut all = Fields(Context::new(&SHA256));
    all.text(&engine.to_string_lossy());
    all.list(args, |all, arg| all.text(arg));
    all.text(&machine.hostname);
    all.text(&machine.host_address.to_string());
    all.text(&machine.now.to_string());
    surroundings.describe(&mut |field| all.field(field));
    files(tree, &mut all);
    let mut name = [0; 32];
    name.copy_from_slice(all.0.finish().as_ref());
    name
}

fn files(tree: &MemoryTree, all: &mut Fields) {
    let mut inodes = HashMap::new();
    all.list(&tree.paths(), |all, path| {
        all.text(path);
        let Ok(metadata) = tree.symlink_metadata(path) else {
            return;
        };
        all.text(&format!(
            "{:?} {:o} {}:{}",
            metadata.file_type, metadata.mode, metadata.uid, metadata.gid
        ));
        match metadata.file_type {
            FileType::File => {
                let first = inodes.entry(metadata.inode).or_insert_with(|| path.clone());
                all.text(first);
                all.field(&tree.content(path).unwrap_or_default());
            }
            FileType::Symlink => all.text(&tree.read_link(path).unwrap_or_default()),
            FileType::Dir | FileType::Other => {}
        }
    });
}

/// Bytes that no other fields give.
struct Fields(Context);

impl Fields {
    fn field(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.field(text.as_bytes());
    }

    fn list<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Self, &T)) {
        self.0.update(&(items.len() as u64).to_le_bytes());
        for item in items {
            each(self, item);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::cluster::MachineFacts;
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

    /// Runs a command on a tree; says whether it was really run.
    fn played(memory: &Memory, tree: &mut MemoryTree, now: i64, arg: &str) -> (String, bool) {
        let mut keys = OsKeys::default();
        let mut machine = Machine {
            tree,
            now: Timestamp::from_second(now).unwrap(),
            hostname: "cp1".to_owned(),
            host_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            keys: &mut keys,
            cluster: None,
        };
        let mut run = false;
        let output = memory.once::<()>(
            &mut machine,
            &surroundings(&[]),
            Path::new("kubeadm"),
            &[arg.to_owned()],
            |machine| {
                run = true;
                machine.tree.write("/made", arg.as_bytes(), 0o600).unwrap();
                Ok(CommandOutput {
                    stdout: arg.to_owned(),
                    ..CommandOutput::default()
                })
            },
        );
        (output.unwrap().stdout, run)
    }

    fn tree() -> MemoryTree {
        let mut tree = MemoryTree::new();
        tree.write("/a", b"1", 0o644).unwrap();
        tree
    }

    #[test]
    fn the_same_command_on_the_same_files_at_the_same_instant_is_run_once() {
        let memory = Memory::default();
        let mut first = tree();
        assert_eq!(played(&memory, &mut first, 5, "x"), ("x".to_owned(), true));
        let mut second = tree();
        assert_eq!(
            played(&memory, &mut second, 5, "x"),
            ("x".to_owned(), false)
        );
        assert_eq!(second.read("/made").unwrap(), b"x");
        assert_eq!(second.metadata("/made").unwrap().mode, 0o600);
        assert_eq!(memory.counts(), (2, 1));
    }

    #[test]
    fn whatever_a_command_can_see_makes_it_another() {
        let memory = Memory::default();
        assert!(played(&memory, &mut tree(), 5, "x").1);
        assert!(played(&memory, &mut tree(), 6, "x").1, "the time");
        assert!(played(&memory, &mut tree(), 5, "y").1, "an argument");
        let changed = |change: &dyn Fn(&mut MemoryTree)| {
            let mut tree = tree();
            change(&mut tree);
            played(&memory, &mut tree, 5, "x").1
        };
        assert!(changed(&|tree| tree.write("/a", b"2", 0o644).unwrap()));
        assert!(changed(&|tree| tree.set_mode("/a", 0o600).unwrap()));
        assert!(changed(&|tree| tree.set_owner("/a", 1, 0).unwrap()));
        assert!(changed(&|tree| tree.hard_link("/a", "/b").unwrap()));
        assert!(changed(&|tree| tree.write("/b", b"1", 0o644).unwrap()));
        assert!(changed(&|tree| tree.symlink("a", "/b").unwrap()));
        assert!(changed(&|tree| tree.create_dir_all("/b", 0o755).unwrap()));
        assert!(!changed(&|_| {}));
    }
}
