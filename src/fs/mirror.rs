//! Making one tree equal to another.

use std::collections::{BTreeMap, BTreeSet};

use super::{FileType, FsError, Tree, join};

/// Makes `to` hold what `from` holds: files, directories, symlinks, hard links, modes and owners. What is
/// the same already is not touched. Devices, sockets and pipes are left out. `left_out` names paths (with
/// everything below them) that are neither read nor changed.
///
/// # Errors
/// The first operation that fails; what was done before stays.
pub fn mirror(from: &dyn Tree, to: &mut dyn Tree, left_out: &[&str]) -> Result<(), FsError> {
    let mut links = BTreeMap::new();
    directory(from, to, "/", left_out, &mut links)
}

fn directory(
    from: &dyn Tree,
    to: &mut dyn Tree,
    dir: &str,
    left_out: &[&str],
    links: &mut BTreeMap<u64, String>,
) -> Result<(), FsError> {
    let entries = from.read_dir(dir)?;
    let names: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    for entry in to.read_dir(dir)? {
        let path = join(dir, &entry.name);
        if !names.contains(entry.name.as_str()) && !left_out.contains(&path.as_str()) {
            to.remove_all(&path)?;
        }
    }
    for entry in &entries {
        let path = join(dir, &entry.name);
        if left_out.contains(&path.as_str()) {
            continue;
        }
        let wanted = from.symlink_metadata(&path)?;
        let there = to.symlink_metadata(&path).ok();
        if there.is_some_and(|there| there.file_type != entry.file_type) {
            to.remove_all(&path)?;
        }
        match entry.file_type {
            FileType::Dir => {
                to.create_dir_all(&path, wanted.mode)?;
                directory(from, to, &path, left_out, links)?;
            }
            FileType::File => match links.get(&wanted.inode) {
                Some(first) => {
                    let same = |to: &dyn Tree| {
                        let inode = |path: &str| to.symlink_metadata(path).ok().map(|m| m.inode);
                        inode(first) == inode(&path)
                    };
                    if !same(to) {
                        to.remove_all(&path)?;
                        to.hard_link(first, &path)?;
                    }
                }
                None => {
                    links.insert(wanted.inode, path.clone());
                    let content = from.read(&path)?;
                    if to.read(&path).ok().as_deref() != Some(&content) {
                        to.write(&path, &content, wanted.mode)?;
                    }
                }
            },
            FileType::Symlink => {
                let target = from.read_link(&path)?;
                if to.read_link(&path).ok().as_ref() != Some(&target) {
                    to.remove_all(&path)?;
                    to.symlink(&target, &path)?;
                }
                continue;
            }
            FileType::Other => continue,
        }
        let now = to.symlink_metadata(&path)?;
        if (now.uid, now.gid) != (wanted.uid, wanted.gid) {
            to.set_owner(&path, wanted.uid, wanted.gid)?;
        }
        if now.mode != wanted.mode {
            to.set_mode(&path, wanted.mode)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::MemoryTree;

    fn sample() -> MemoryTree {
        let mut tree = MemoryTree::new();
        tree.create_dir_all("/etc/kubernetes/pki", 0o755).unwrap();
        tree.write("/etc/kubernetes/pki/ca.crt", b"ca", 0o644)
            .unwrap();
        tree.write("/etc/kubernetes/pki/ca.key", b"key", 0o600)
            .unwrap();
        tree.symlink("pki/ca.crt", "/etc/kubernetes/ca").unwrap();
        tree.hard_link("/etc/kubernetes/pki/ca.crt", "/ca.crt")
            .unwrap();
        tree
    }

    #[test]
    fn a_mirror_holds_what_the_original_holds_and_nothing_else() {
        let original = sample();
        let mut copy = MemoryTree::new();
        copy.write("/old", b"x", 0o644).unwrap();
        copy.write("/etc", b"a file where a directory belongs", 0o644)
            .unwrap();
        mirror(&original, &mut copy, &[]).unwrap();
        assert_eq!(copy.paths(), original.paths());
        assert_eq!(copy.read("/etc/kubernetes/ca").unwrap(), b"ca");
        assert_eq!(
            copy.metadata("/etc/kubernetes/pki/ca.key").unwrap().mode,
            0o600
        );
        copy.write("/ca.crt", b"new", 0o644).unwrap();
        assert_eq!(copy.read("/etc/kubernetes/pki/ca.crt").unwrap(), b"new");
    }

    #[test]
    fn what_is_the_same_is_not_touched() {
        let original = sample();
        let mut copy = MemoryTree::new();
        mirror(&original, &mut copy, &[]).unwrap();
        let before = copy.generation();
        mirror(&original, &mut copy, &[]).unwrap();
        assert_eq!(copy.generation(), before);
    }

    #[test]
    fn what_is_left_out_stays_as_it_is() {
        let original = sample();
        let mut copy = MemoryTree::new();
        copy.write("/proc", b"mine", 0o644).unwrap();
        mirror(&original, &mut copy, &["/proc", "/ca.crt"]).unwrap();
        assert_eq!(copy.read("/proc").unwrap(), b"mine");
        assert!(!copy.exists("/ca.crt"));
    }
}
