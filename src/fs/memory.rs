use super::{DirEntry, Errno, Faults, FileType, FsError, Metadata, Tree};
use std::collections::BTreeMap;
use std::sync::Arc;

const SYMLINKS_FOLLOWED_MAX: usize = 40;
const ROOT: usize = 0;

/// A tree of files in memory: directories, modes, owners, symlinks, hard links.
///
/// Cloning is cheap: contents are shared until they are written.
#[derive(Debug, Clone)]
pub struct MemoryTree {
    inodes: Vec<Inode>,
    /// Faults in force.
    pub faults: Faults,
    /// Counts writes, so that a watcher can tell whether anything changed.
    generation: u64,
}

#[derive(Debug, Clone)]
struct Inode {
    node: Node,
    mode: u32,
    uid: u32,
    gid: u32,
}

#[derive(Debug, Clone)]
enum Node {
    File(Arc<[u8]>),
    Dir(BTreeMap<String, usize>),
    Symlink(String),
}

/// Where a path leads: the directory that holds its last name, that name, and the inode if there is one.
struct Place {
    parent: usize,
    name: String,
    inode: Option<usize>,
}

impl MemoryTree {
    /// An empty tree: only `/`.
    #[must_use]
    pub fn new() -> Self {
        Self {
            inodes: vec![Inode {
                node: Node::Dir(BTreeMap::new()),
                mode: 0o755,
                uid: 0,
                gid: 0,
            }],
            faults: Faults::default(),
            generation: 0,
        }
    }

    /// Grows with every change to the tree.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Content of a file without copying it.
    ///
    /// # Errors
    /// As [`Tree::read`].
    pub fn content(&self, path: &str) -> Result<Arc<[u8]>, FsError> {
        let inode = self.lookup("open", path)?;
        match &self.inodes[inode].node {
            Node::File(content) => Ok(Arc::clone(content)),
            Node::Dir(_) => Err(FsError::new("read", path, Errno::IsDirectory)),
            Node::Symlink(_) => Err(FsError::new("open", path, Errno::Loop)),
        }
    }

    /// Every path of the tree in bytewise order, `/` left out, symlinks not followed.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.collect(ROOT, "", &mut out);
        out.sort_unstable();
        out
    }

    fn collect(&self, dir: usize, prefix: &str, out: &mut Vec<String>) {
        if let Node::Dir(entries) = &self.inodes[dir].node {
            for (name, &inode) in entries {
                let path = format!("{prefix}/{name}");
                self.collect(inode, &path, out);
                out.push(path);
            }
        }
    }

    /// The inode of a path that leads there plainly: what is there, without symlinks, dots and other things that want care.
    fn plainly(&self, path: &str) -> Option<usize> {
        if !path.starts_with('/') || path.ends_with('/') || path.len() > 4095 {
            return None;
        }
        let mut inode = ROOT;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let Node::Dir(entries) = &self.inodes[inode].node else {
                return None;
            };
            // Names with dots alone, with a NUL or too long are in no directory.
            inode = *entries.get(name)?;
        }
        (!matches!(self.inodes[inode].node, Node::Symlink(_))).then_some(inode)
    }

    fn lookup(&self, op: &'static str, path: &str) -> Result<usize, FsError> {
        if let Some(inode) = self.plainly(path) {
            return Ok(inode);
        }
        self.place(op, path, true)?
            .inode
            .ok_or_else(|| FsError::new(op, path, Errno::NotFound))
    }

    /// Walks a path. With `follow`, a symlink as last part is followed too.
    fn place(&self, op: &'static str, path: &str, follow: bool) -> Result<Place, FsError> {
        let fail = |errno| FsError::new(op, path, errno);
        if path.len() > 4095 {
            return Err(fail(Errno::NameTooLong));
        }
        if path.is_empty() {
            return Err(fail(Errno::NotFound));
        }
        if path.contains('\0') {
            return Err(fail(Errno::Invalid));
        }
        let mut pending: Vec<String> = parts(path);
        let mut must_be_dir = path.ends_with('/');
        let mut ancestors = vec![ROOT];
        let mut names: Vec<String> = Vec::new();
        let mut followed = 0;
        while let Some(name) = pending.pop() {
            let here = *ancestors.last().expect("the root is never popped");
            let Node::Dir(entries) = &self.inodes[here].node else {
                return Err(fail(Errno::NotDirectory));
            };
            if name.len() > 255 {
                return Err(fail(Errno::NameTooLong));
            }
            match name.as_str() {
                "." => continue,
                ".." => {
                    if ancestors.len() > 1 {
                        ancestors.pop();
                        names.pop();
                    }
                    continue;
                }
                _ => {}
            }
            let last = pending.is_empty();
            let Some(&inode) = entries.get(&name) else {
                if last {
                    return Ok(Place {
                        parent: here,
                        name,
                        inode: None,
                    });
                }
                return Err(fail(Errno::NotFound));
            };
            if let Node::Symlink(target) = &self.inodes[inode].node {
                if last && !follow && !must_be_dir {
                    return Ok(Place {
                        parent: here,
                        name,
                        inode: Some(inode),
                    });
                }
                followed += 1;
                if followed > SYMLINKS_FOLLOWED_MAX {
                    return Err(fail(Errno::Loop));
                }
                if target.starts_with('/') {
                    ancestors.truncate(1);
                    names.clear();
                }
                if last && target.ends_with('/') {
                    must_be_dir = true;
                }
                pending.extend(parts(target));
                continue;
            }
            ancestors.push(inode);
            names.push(name);
        }
        let inode = *ancestors.last().expect("the root is never popped");
        if must_be_dir && !matches!(self.inodes[inode].node, Node::Dir(_)) {
            return Err(fail(Errno::NotDirectory));
        }
        let parent = if ancestors.len() > 1 {
            ancestors[ancestors.len() - 2]
        } else {
            ROOT
        };
        Ok(Place {
            parent,
            name: names.pop().unwrap_or_default(),
            inode: Some(inode),
        })
    }

    fn entries_mut(&mut self, dir: usize) -> &mut BTreeMap<String, usize> {
        match &mut self.inodes[dir].node {
            Node::Dir(entries) => entries,
            _ => unreachable!("a parent is always a directory"),
        }
    }

    fn add(&mut self, parent: usize, name: String, node: Node, mode: u32) -> usize {
        let inode = self.inodes.len();
        self.inodes.push(Inode {
            node,
            mode,
            uid: 0,
            gid: 0,
        });
        self.entries_mut(parent).insert(name, inode);
        self.generation += 1;
        inode
    }

    fn describe(&self, inode: usize) -> Metadata {
        let entry = &self.inodes[inode];
        let (file_type, len) = match &entry.node {
            Node::File(content) => (FileType::File, content.len() as u64),
            Node::Dir(_) => (FileType::Dir, 4096),
            Node::Symlink(target) => (FileType::Symlink, target.len() as u64),
        };
        Metadata {
            file_type,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            len,
            inode: inode as u64,
        }
    }
}

impl Default for MemoryTree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree for MemoryTree {
    fn in_memory(&self) -> Option<&MemoryTree> {
        Some(self)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FsError> {
        self.content(path).map(|content| content.to_vec())
    }

    fn write(&mut self, path: &str, content: &[u8], mode: u32) -> Result<(), FsError> {
        let place = self.place("open", path, true)?;
        if let Some(inode) = place.inode
            && matches!(self.inodes[inode].node, Node::Dir(_))
        {
            return Err(FsError::new("open", path, Errno::IsDirectory));
        }
        if place.inode.is_none() && path.ends_with('/') {
            return Err(FsError::new("open", path, Errno::IsDirectory));
        }
        self.faults.refuse("open", path)?;
        if let Some(left) = &mut self.faults.writes_until_kill {
            *left -= 1;
        }
        let inode = match place.inode {
            Some(inode) => inode,
            None => self.add(
                place.parent,
                place.name,
                Node::File(Arc::from([])),
                mode & 0o7777,
            ),
        };
        let fits = self.faults.take_space(content.len());
        self.inodes[inode].node = Node::File(Arc::from(&content[..fits]));
        self.generation += 1;
        if fits < content.len() {
            return Err(FsError::new("write", path, Errno::NoSpace));
        }
        Ok(())
    }

    fn metadata(&self, path: &str) -> Result<Metadata, FsError> {
        self.lookup("stat", path).map(|inode| self.describe(inode))
    }

    fn symlink_metadata(&self, path: &str) -> Result<Metadata, FsError> {
        if let Some(inode) = self.plainly(path) {
            return Ok(self.describe(inode));
        }
        self.place("lstat", path, false)?
            .inode
            .map(|inode| self.describe(inode))
            .ok_or_else(|| FsError::new("lstat", path, Errno::NotFound))
    }

    fn read_dir(&self, path: &str) -> Result<Vec<DirEntry>, FsError> {
        let inode = self.lookup("open", path)?;
        match &self.inodes[inode].node {
            Node::Dir(entries) => Ok(entries
                .iter()
                .map(|(name, &inode)| DirEntry {
                    name: name.clone(),
                    file_type: self.describe(inode).file_type,
                })
                .collect()),
            _ => Err(FsError::new("readdirent", path, Errno::NotDirectory)),
        }
    }

    fn read_link(&self, path: &str) -> Result<String, FsError> {
        let place = self.place("readlink", path, false)?;
        match place.inode.map(|inode| &self.inodes[inode].node) {
            Some(Node::Symlink(target)) => Ok(target.clone()),
            Some(_) => Err(FsError::new("readlink", path, Errno::Invalid)),
            None => Err(FsError::new("readlink", path, Errno::NotFound)),
        }
    }

    fn create_dir_all(&mut self, path: &str, mode: u32) -> Result<(), FsError> {
        match self.metadata(path) {
            Ok(found) if found.is_dir() => return Ok(()),
            Ok(_) => return Err(FsError::new("mkdir", path, Errno::NotDirectory)),
            Err(_) => {}
        }
        let mut prefix = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            prefix = format!("{prefix}/{part}");
            match self.metadata(&prefix) {
                Ok(found) if found.is_dir() => continue,
                Ok(_) => return Err(FsError::new("mkdir", &prefix, Errno::NotDirectory)),
                Err(error) if error.errno != Errno::NotFound => {
                    return Err(FsError::new("mkdir", &prefix, error.errno));
                }
                Err(_) => {}
            }
            let place = self.place("mkdir", &prefix, false)?;
            if place.inode.is_some() {
                return Err(FsError::new("mkdir", &prefix, Errno::Exists));
            }
            self.faults.refuse("mkdir", &prefix)?;
            self.add(
                place.parent,
                place.name,
                Node::Dir(BTreeMap::new()),
                mode & 0o7777,
            );
        }
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<(), FsError> {
        let place = self.place("remove", path, false)?;
        let inode = place
            .inode
            .ok_or_else(|| FsError::new("remove", path, Errno::NotFound))?;
        if inode == ROOT {
            return Err(FsError::new("remove", path, Errno::Invalid));
        }
        if let Node::Dir(entries) = &self.inodes[inode].node
            && !entries.is_empty()
        {
            return Err(FsError::new("remove", path, Errno::NotEmpty));
        }
        self.faults.refuse("remove", path)?;
        self.entries_mut(place.parent).remove(&place.name);
        self.generation += 1;
        Ok(())
    }

    fn remove_all(&mut self, path: &str) -> Result<(), FsError> {
        let place = match self.place("unlinkat", path, false) {
            Ok(place) => place,
            Err(error) if error.errno == Errno::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        match place.inode {
            None => Ok(()),
            Some(ROOT) => Err(FsError::new("unlinkat", path, Errno::Invalid)),
            Some(_) => {
                self.faults.refuse("unlinkat", path)?;
                self.entries_mut(place.parent).remove(&place.name);
                self.generation += 1;
                Ok(())
            }
        }
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), FsError> {
        let source = self.place("rename", from, false)?;
        let inode = source
            .inode
            .ok_or_else(|| FsError::new("rename", from, Errno::NotFound))?;
        let target = self.place("rename", to, false)?;
        let source_is_dir = matches!(self.inodes[inode].node, Node::Dir(_));
        if source_is_dir
            && format!("{}/", to.trim_end_matches('/'))
                .starts_with(&format!("{}/", from.trim_end_matches('/')))
            && from != to
        {
            return Err(FsError::new("rename", from, Errno::Invalid));
        }
        if let Some(existing) = target.inode {
            match (&self.inodes[existing].node, source_is_dir) {
                (Node::Dir(entries), true) if !entries.is_empty() => {
                    return Err(FsError::new("rename", from, Errno::NotEmpty));
                }
                (Node::Dir(_), false) => {
                    return Err(FsError::new("rename", from, Errno::IsDirectory));
                }
                (Node::File(_) | Node::Symlink(_), true) => {
                    return Err(FsError::new("rename", from, Errno::NotDirectory));
                }
                _ => {}
            }
        }
        self.faults.refuse("rename", from)?;
        self.entries_mut(source.parent).remove(&source.name);
        self.entries_mut(target.parent).insert(target.name, inode);
        self.generation += 1;
        Ok(())
    }

    fn symlink(&mut self, target: &str, path: &str) -> Result<(), FsError> {
        let place = self.place("symlink", path, false)?;
        if place.inode.is_some() {
            return Err(FsError::new("symlink", path, Errno::Exists));
        }
        self.faults.refuse("symlink", path)?;
        self.add(
            place.parent,
            place.name,
            Node::Symlink(target.to_owned()),
            0o777,
        );
        Ok(())
    }

    fn hard_link(&mut self, existing: &str, path: &str) -> Result<(), FsError> {
        let source = self.place("link", existing, false)?;
        let inode = source
            .inode
            .ok_or_else(|| FsError::new("link", existing, Errno::NotFound))?;
        if matches!(self.inodes[inode].node, Node::Dir(_)) {
            return Err(FsError::new("link", existing, Errno::NotPermitted));
        }
        let place = self.place("link", path, false)?;
        if place.inode.is_some() {
            return Err(FsError::new("link", path, Errno::Exists));
        }
        self.faults.refuse("link", path)?;
        self.entries_mut(place.parent).insert(place.name, inode);
        self.generation += 1;
        Ok(())
    }

    fn set_mode(&mut self, path: &str, mode: u32) -> Result<(), FsError> {
        let inode = self.lookup("chmod", path)?;
        self.faults.refuse("chmod", path)?;
        self.inodes[inode].mode = mode & 0o7777;
        self.generation += 1;
        Ok(())
    }

    fn set_owner(&mut self, path: &str, uid: u32, gid: u32) -> Result<(), FsError> {
        let inode = self.lookup("chown", path)?;
        self.faults.refuse("chown", path)?;
        self.inodes[inode].uid = uid;
        self.inodes[inode].gid = gid;
        self.generation += 1;
        Ok(())
    }
}

/// The parts of a path in reverse, so that the next one is popped.
fn parts(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|part| !part.is_empty())
        .rev()
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> MemoryTree {
        let mut tree = MemoryTree::new();
        tree.create_dir_all("/etc/kubernetes/pki", 0o755).unwrap();
        tree.write("/etc/kubernetes/pki/a.key", b"old", 0o600)
            .unwrap();
        tree
    }

    #[test]
    fn absolute_symlinks_resolve_inside_the_tree() {
        let mut tree = tree();
        tree.symlink("/etc/kubernetes/pki/a.key", "/link").unwrap();
        tree.symlink("../../../../../../etc", "/etc/kubernetes/up")
            .unwrap();
        assert_eq!(tree.read("/link").unwrap(), b"old");
        assert_eq!(
            tree.read("/etc/kubernetes/up/kubernetes/pki/a.key")
                .unwrap(),
            b"old"
        );
        tree.write("/link", b"new", 0o644).unwrap();
        assert_eq!(tree.read("/etc/kubernetes/pki/a.key").unwrap(), b"new");
        assert_eq!(
            tree.symlink_metadata("/link").unwrap().file_type,
            FileType::Symlink
        );
    }

    #[test]
    fn a_symlink_loop_ends() {
        let mut tree = tree();
        tree.symlink("/b", "/a").unwrap();
        tree.symlink("/a", "/b").unwrap();
        let error = tree.read("/a").unwrap_err();
        assert_eq!(
            error.to_string(),
            "open /a: too many levels of symbolic links"
        );
    }

    #[test]
    fn hard_links_share_content_and_mode_survives_a_write() {
        let mut tree = tree();
        tree.hard_link("/etc/kubernetes/pki/a.key", "/same")
            .unwrap();
        tree.set_mode("/same", 0o640).unwrap();
        tree.write("/same", b"new", 0o600).unwrap();
        assert_eq!(tree.read("/etc/kubernetes/pki/a.key").unwrap(), b"new");
        assert_eq!(
            tree.metadata("/etc/kubernetes/pki/a.key").unwrap().mode,
            0o640
        );
    }

    #[test]
    fn a_full_disk_leaves_a_short_file() {
        let mut tree = tree();
        tree.faults.bytes_left = Some(2);
        let error = tree
            .write("/etc/kubernetes/pki/a.key", b"long", 0o600)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "write /etc/kubernetes/pki/a.key: no space left on device"
        );
        assert_eq!(tree.read("/etc/kubernetes/pki/a.key").unwrap(), b"lo");
    }

    #[test]
    fn a_write_through_a_dangling_symlink_creates_its_target() {
        let mut tree = tree();
        tree.symlink("/etc/kubernetes/pki/new.key", "/dangling")
            .unwrap();
        assert!(!tree.exists("/dangling"));
        tree.write("/dangling", b"x", 0o600).unwrap();
        assert_eq!(tree.read("/etc/kubernetes/pki/new.key").unwrap(), b"x");
    }

    #[test]
    fn a_file_as_directory_is_refused_everywhere() {
        let mut tree = tree();
        let inside = "/etc/kubernetes/pki/a.key/b";
        assert_eq!(tree.read(inside).unwrap_err().errno, Errno::NotDirectory);
        assert_eq!(
            tree.write(inside, b"", 0o600).unwrap_err().errno,
            Errno::NotDirectory
        );
        assert_eq!(
            tree.create_dir_all(inside, 0o755).unwrap_err().errno,
            Errno::NotDirectory
        );
    }
}
