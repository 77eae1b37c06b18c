//! The PKI filesystem: what a node's `/` holds, in memory or in a real directory that plays `/`.
//!
//! Paths are absolute inside the tree. Symlinks, absolute ones too, are followed inside the tree
//! as after `chroot`; nothing outside can be reached. Errors carry the `errno` and are displayed
//! as Go displays a `*PathError`, because kubeadm prints them.

mod error;
mod faults;
mod memory;
mod mirror;

pub use error::{Errno, FsError};
pub use faults::Faults;
pub use memory::MemoryTree;
pub use mirror::mirror;

/// What kind of thing a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileType {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A device, socket or pipe (only in a real directory).
    Other,
}

/// What `stat` or `lstat` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Kind of the file.
    pub file_type: FileType,
    /// Permission bits (`0o7777`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of bytes.
    pub len: u64,
    /// Identifies the inode: equal for hard links.
    pub inode: u64,
}

impl Metadata {
    /// Whether this is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.file_type == FileType::Dir
    }
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The name, without its directory.
    pub name: String,
    /// Kind of the entry itself (a symlink is not followed).
    pub file_type: FileType,
}

/// A tree of files that plays a machine's `/`.
///
/// The caller is root: permission bits are kept and shown, not enforced.
pub trait Tree {
    /// Content of a file, symlinks followed.
    ///
    /// # Errors
    /// With operation `open` or `read`, as Go's `os.ReadFile`.
    fn read(&self, path: &str) -> Result<Vec<u8>, FsError>;

    /// Truncates or creates a file and writes it in place, as Go's `os.WriteFile`: not atomic, links
    /// followed, mode and owner of an existing file kept. `mode` counts only on creation.
    ///
    /// # Errors
    /// With operation `open` or `write`; a file may be left short, as on a real disk.
    fn write(&mut self, path: &str, content: &[u8], mode: u32) -> Result<(), FsError>;

    /// `stat`: symlinks followed.
    ///
    /// # Errors
    /// With operation `stat`.
    fn metadata(&self, path: &str) -> Result<Metadata, FsError>;

    /// `lstat`: a symlink itself.
    ///
    /// # Errors
    /// With operation `lstat`.
    fn symlink_metadata(&self, path: &str) -> Result<Metadata, FsError>;

    /// Names in a directory, sorted bytewise.
    ///
    /// # Errors
    /// With operation `open`.
    fn read_dir(&self, path: &str) -> Result<Vec<DirEntry>, FsError>;

    /// Target of a symlink.
    ///
    /// # Errors
    /// With operation `readlink`.
    fn read_link(&self, path: &str) -> Result<String, FsError>;

    /// Creates a directory and its parents, as Go's `os.MkdirAll`.
    ///
    /// # Errors
    /// With operation `mkdir`.
    fn create_dir_all(&mut self, path: &str, mode: u32) -> Result<(), FsError>;

    /// Removes a file, symlink or empty directory, as Go's `os.Remove`.
    ///
    /// # Errors
    /// With operation `remove`.
    fn remove(&mut self, path: &str) -> Result<(), FsError>;

    /// Removes a path and everything below it; a missing path is no error, as Go's `os.RemoveAll`.
    ///
    /// # Errors
    /// With operation `remove`.
    fn remove_all(&mut self, path: &str) -> Result<(), FsError>;

    /// Renames, replacing the target.
    ///
    /// # Errors
    /// With operation `rename`.
    fn rename(&mut self, from: &str, to: &str) -> Result<(), FsError>;

    /// Makes a symlink at `path` that holds `target` literally.
    ///
    /// # Errors
    /// With operation `symlink`.
    fn symlink(&mut self, target: &str, path: &str) -> Result<(), FsError>;

    /// Makes `path` a second name of the file `existing`.
    ///
    /// # Errors
    /// With operation `link`.
    fn hard_link(&mut self, existing: &str, path: &str) -> Result<(), FsError>;

    /// Sets permission bits.
    ///
    /// # Errors
    /// With operation `chmod`.
    fn set_mode(&mut self, path: &str, mode: u32) -> Result<(), FsError>;

    /// Sets owner and group.
    ///
    /// # Errors
    /// With operation `chown`.
    fn set_owner(&mut self, path: &str, uid: u32, gid: u32) -> Result<(), FsError>;

    /// Whether `stat` finds something. Any error counts as no.
    fn exists(&self, path: &str) -> bool {
        self.metadata(path).is_ok()
    }

    /// The tree itself, where it is one in memory.
    fn in_memory(&self) -> Option<&MemoryTree> {
        None
    }
}

/// Joins a directory and a relative name, as Go's `filepath.Join` does for clean paths.
#[must_use]
pub fn join(dir: &str, name: &str) -> String {
    format!("{}/{}", dir.trim_end_matches('/'), name)
}
