//! Trees on a real disk.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use certdrill::fs::{FileType, MemoryTree, Tree};

/// What is at a path.
pub struct Found {
    pub kind: &'static str,
    pub mode: u32,
    pub content: Vec<u8>,
}

/// Everything below a directory, by its path as after `chroot`.
pub fn paths(root: &Path) -> BTreeMap<String, Found> {
    let mut out = BTreeMap::new();
    let mut pending = vec![root.to_path_buf()];
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let kind = if metadata.is_dir() {
                pending.push(path.clone());
                "dir"
            } else if metadata.is_symlink() {
                "symlink"
            } else {
                "file"
            };
            let content = if kind == "file" {
                std::fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            let name = format!("/{}", path.strip_prefix(root).unwrap().to_string_lossy());
            out.insert(
                name,
                Found {
                    kind,
                    mode: metadata.mode() & 0o7777,
                    content,
                },
            );
        }
    }
    out
}

/// Writes a tree to a directory.
pub fn lay_out(tree: &MemoryTree, root: &Path) {
    let mut inodes: HashMap<u64, PathBuf> = HashMap::new();
    let mut modes = Vec::new();
    for path in tree.paths() {
        let target = root.join(path.trim_start_matches('/'));
        let metadata = tree.symlink_metadata(&path).unwrap();
        match metadata.file_type {
            FileType::Dir => std::fs::create_dir(&target).unwrap(),
            FileType::Symlink => symlink(tree.read_link(&path).unwrap(), &target).unwrap(),
            _ => {
                if let Some(first) = inodes.get(&metadata.inode) {
                    std::fs::hard_link(first, &target).unwrap();
                    continue;
                }
                std::fs::write(&target, tree.read(&path).unwrap()).unwrap();
                inodes.insert(metadata.inode, target.clone());
            }
        }
        if metadata.file_type != FileType::Symlink {
            modes.push((target, metadata.mode));
        }
    }
    for (path, mode) in modes {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}
