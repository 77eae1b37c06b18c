//! A real directory that plays a machine's `/`.
//!
//! Every path is resolved by the kernel as after `chroot` (`openat2` with `RESOLVE_IN_ROOT`):
//! absolute symlinks and `..` stay inside, whatever they say.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, Gid, Mode, OFlags, ResolveFlags, Stat, Uid, fchmod, fstat, linkat, mkdirat,
    openat2, readlinkat, renameat, symlinkat, unlinkat,
};
use rustix::io;

use crate::fs::{DirEntry, Errno, FileType, FsError, Metadata, Tree};

/// No file of a PKI is anywhere near this size; a larger one is refused instead of filling memory.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// A directory tree below a real directory.
#[derive(Debug)]
pub struct DirTree {
    root: OwnedFd,
    path: PathBuf,
}

impl DirTree {
    /// Opens a directory.
    ///
    /// # Errors
    /// When it is no directory or cannot be opened.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let root = rustix::fs::openat(
            CWD,
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        Ok(Self {
            root,
            path: path.to_owned(),
        })
    }

    /// A directory inside, as a root of its own.
    ///
    /// # Errors
    /// When it is no directory or cannot be opened.
    pub fn below(&self, path: &str) -> std::io::Result<Self> {
        let root = self.open_inside(path, OFlags::PATH | OFlags::DIRECTORY, 0)?;
        Ok(Self {
            root,
            path: self.path.join(path.trim_start_matches('/')),
        })
    }

    /// The directory that plays `/`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn open_inside(&self, path: &str, flags: OFlags, mode: u32) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        loop {
            let opened = openat2(
                &self.root,
                path,
                flags | OFlags::CLOEXEC,
                Mode::from_raw_mode(mode),
                resolve,
            );
            match opened {
                // The kernel could not rule out a race with a rename; it asks for another try.
                Err(io::Errno::AGAIN | io::Errno::INTR) => {}
                other => return other,
            }
        }
    }

    fn stat(&self, path: &str, flags: OFlags) -> io::Result<Stat> {
        fstat(self.open_inside(path, OFlags::PATH | flags, 0)?)
    }

    /// The directory that holds a path's last name, and that name.
    fn parent(&self, path: &str) -> io::Result<(OwnedFd, String)> {
        let trimmed = path.trim_end_matches('/');
        let (parent, name) = trimmed.rsplit_once('/').unwrap_or((".", trimmed));
        if matches!(name, "" | "." | "..") {
            return Err(io::Errno::INVAL);
        }
        let parent = if parent.is_empty() { "/" } else { parent };
        let fd = self.open_inside(parent, OFlags::PATH | OFlags::DIRECTORY, 0)?;
        Ok((fd, name.to_owned()))
    }
}

fn errno(error: io::Errno) -> Errno {
    match error {
        io::Errno::NOENT => Errno::NotFound,
        io::Errno::ACCESS => Errno::PermissionDenied,
        io::Errno::PERM => Errno::NotPermitted,
        io::Errno::EXIST => Errno::Exists,
        io::Errno::NOTDIR => Errno::NotDirectory,
        io::Errno::ISDIR => Errno::IsDirectory,
        io::Errno::INVAL => Errno::Invalid,
        io::Errno::NOSPC => Errno::NoSpace,
        io::Errno::FBIG => Errno::TooBig,
        io::Errno::ROFS => Errno::ReadOnly,
        io::Errno::NOTEMPTY => Errno::NotEmpty,
        io::Errno::LOOP => Errno::Loop,
        io::Errno::NAMETOOLONG => Errno::NameTooLong,
        io::Errno::XDEV => Errno::CrossDevice,
        io::Errno::IO => Errno::Io,
        io::Errno::TXTBSY => Errno::TextBusy,
        other => Errno::Other(other.raw_os_error()),
    }
}

/// An error of an operation on a path.
fn failed(op: &'static str, path: &str) -> impl Fn(io::Errno) -> FsError {
    move |error| FsError::new(op, path, errno(error))
}

fn file_type(stat: &Stat) -> FileType {
    match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
        rustix::fs::FileType::RegularFile => FileType::File,
        rustix::fs::FileType::Directory => FileType::Dir,
        rustix::fs::FileType::Symlink => FileType::Symlink,
        _ => FileType::Other,
    }
}

fn metadata(stat: &Stat) -> Metadata {
    Metadata {
        file_type: file_type(stat),
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        len: stat.st_size.max(0) as u64,
        inode: stat.st_ino,
    }
}

impl Tree for DirTree {
    fn read(&self, path: &str) -> Result<Vec<u8>, FsError> {
        // Without NONBLOCK a pipe in the place of a file would hang the run.
        let fd = self
            .open_inside(path, OFlags::RDONLY | OFlags::NONBLOCK, 0)
            .map_err(failed("open", path))?;
        let failed = failed("read", path);
        let stat = fstat(&fd).map_err(&failed)?;
        match file_type(&stat) {
            FileType::Dir => return Err(failed(io::Errno::ISDIR)),
            FileType::File => {}
            _ => return Err(failed(io::Errno::INVAL)),
        }
        if stat.st_size.max(0) as u64 > FILE_BYTES_MAX {
            return Err(failed(io::Errno::FBIG));
        }
        let mut content = Vec::with_capacity(stat.st_size.max(0) as usize);
        let mut buffer = [0; 16 << 10];
        loop {
            match io::read(&fd, &mut buffer) {
                Ok(0) => return Ok(content),
                Ok(count) => content.extend_from_slice(&buffer[..count]),
                Err(io::Errno::INTR) => {}
                Err(error) => return Err(failed(error)),
            }
            // A file may grow while it is read.
            if content.len() as u64 > FILE_BYTES_MAX {
                return Err(failed(io::Errno::FBIG));
            }
        }
    }

    fn write(&mut self, path: &str, content: &[u8], mode: u32) -> Result<(), FsError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NONBLOCK;
        let fd = self
            .open_inside(path, flags, mode)
            .map_err(failed("open", path))?;
        let mut rest = content;
        while !rest.is_empty() {
            match io::write(&fd, rest) {
                Ok(count) => rest = &rest[count..],
                Err(io::Errno::INTR) => {}
                Err(error) => return Err(failed("write", path)(error)),
            }
        }
        Ok(())
    }

    fn metadata(&self, path: &str) -> Result<Metadata, FsError> {
        self.stat(path, OFlags::empty())
            .map(|stat| metadata(&stat))
            .map_err(failed("stat", path))
    }

    fn symlink_metadata(&self, path: &str) -> Result<Metadata, FsError> {
        self.stat(path, OFlags::NOFOLLOW)
            .map(|stat| metadata(&stat))
            .map_err(failed("lstat", path))
    }

    fn read_dir(&self, path: &str) -> Result<Vec<DirEntry>, FsError> {
        let failed = failed("open", path);
        let fd = self
            .open_inside(path, OFlags::RDONLY | OFlags::DIRECTORY, 0)
            .map_err(&failed)?;
        let mut out = Vec::new();
        for entry in Dir::read_from(&fd).map_err(&failed)? {
            let entry = entry.map_err(&failed)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let stat = rustix::fs::statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW).map_err(&failed)?;
            out.push(DirEntry {
                name: name.to_string_lossy().into_owned(),
                file_type: file_type(&stat),
            });
        }
        out.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(out)
    }

    fn read_link(&self, path: &str) -> Result<String, FsError> {
        let read = || {
            let fd = self.open_inside(path, OFlags::PATH | OFlags::NOFOLLOW, 0)?;
            if file_type(&fstat(&fd)?) != FileType::Symlink {
                return Err(io::Errno::INVAL);
            }
            readlinkat(&fd, "", Vec::new())
        };
        read()
            .map(|target| target.to_string_lossy().into_owned())
            .map_err(failed("readlink", path))
    }

    fn create_dir_all(&mut self, path: &str, mode: u32) -> Result<(), FsError> {
        let not_a_dir = |path: &str| FsError::new("mkdir", path, Errno::NotDirectory);
        match self.metadata(path) {
            Ok(found) if found.is_dir() => return Ok(()),
            Ok(_) => return Err(not_a_dir(path)),
            Err(_) => {}
        }
        let mut prefix = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            prefix = format!("{prefix}/{part}");
            match self.metadata(&prefix) {
                Ok(found) if found.is_dir() => continue,
                Ok(_) => return Err(not_a_dir(&prefix)),
                Err(error) if error.errno != Errno::NotFound => {
                    return Err(FsError::new("mkdir", &prefix, error.errno));
                }
                Err(_) => {}
            }
            let (parent, name) = self.parent(&prefix).map_err(failed("mkdir", &prefix))?;
            mkdirat(&parent, name.as_str(), Mode::from_raw_mode(mode))
                .map_err(failed("mkdir", &prefix))?;
        }
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<(), FsError> {
        let failed = failed("remove", path);
        let (parent, name) = self.parent(path).map_err(&failed)?;
        match unlinkat(&parent, name.as_str(), AtFlags::empty()) {
            Err(io::Errno::ISDIR | io::Errno::PERM) => {
                unlinkat(&parent, name.as_str(), AtFlags::REMOVEDIR).map_err(&failed)
            }
            other => other.map_err(&failed),
        }
    }

    fn remove_all(&mut self, path: &str) -> Result<(), FsError> {
        let failed = failed("unlinkat", path);
        let (parent, name) = match self.parent(path) {
            Ok(found) => found,
            Err(io::Errno::NOENT) => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        remove_below(&parent, OsStr::new(&name)).map_err(failed)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), FsError> {
        let failed = failed("rename", from);
        let (from_dir, from_name) = self.parent(from).map_err(&failed)?;
        let (to_dir, to_name) = self.parent(to).map_err(&failed)?;
        renameat(&from_dir, from_name.as_str(), &to_dir, to_name.as_str()).map_err(failed)
    }

    fn symlink(&mut self, target: &str, path: &str) -> Result<(), FsError> {
        let failed = failed("symlink", path);
        let (parent, name) = self.parent(path).map_err(&failed)?;
        symlinkat(target, &parent, name.as_str()).map_err(failed)
    }

    fn hard_link(&mut self, existing: &str, path: &str) -> Result<(), FsError> {
        let failed = failed("link", path);
        let (from_dir, from_name) = self.parent(existing).map_err(&failed)?;
        let (to_dir, to_name) = self.parent(path).map_err(&failed)?;
        linkat(
            &from_dir,
            from_name.as_str(),
            &to_dir,
            to_name.as_str(),
            AtFlags::empty(),
        )
        .map_err(failed)
    }

    fn set_mode(&mut self, path: &str, mode: u32) -> Result<(), FsError> {
        let failed = failed("chmod", path);
        let fd = self
            .open_inside(path, OFlags::RDONLY | OFlags::NONBLOCK, 0)
            .map_err(&failed)?;
        fchmod(&fd, Mode::from_raw_mode(mode)).map_err(failed)
    }

    fn set_owner(&mut self, path: &str, uid: u32, gid: u32) -> Result<(), FsError> {
        let failed = failed("chown", path);
        let fd = self.open_inside(path, OFlags::PATH, 0).map_err(&failed)?;
        rustix::fs::chownat(
            &fd,
            "",
            Some(Uid::from_raw(uid)),
            Some(Gid::from_raw(gid)),
            AtFlags::EMPTY_PATH,
        )
        .map_err(failed)
    }
}

/// Removes a name in a directory and everything below it, without following links.
fn remove_below(parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(io::Errno::NOENT) => return Ok(()),
        Err(io::Errno::ISDIR | io::Errno::PERM) => {}
        Err(error) => return Err(error),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    for entry in Dir::read_from(&dir)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            remove_below(&dir, name)?;
        }
    }
    unlinkat(parent, name, AtFlags::REMOVEDIR)
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "these tests are about real files"
)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn tree() -> (tempfile::TempDir, DirTree) {
        let outer = tempfile::tempdir().unwrap();
        std::fs::write(outer.path().join("secret"), "outside").unwrap();
        let root = outer.path().join("root");
        std::fs::create_dir_all(root.join("etc/kubernetes/pki")).unwrap();
        let tree = DirTree::open(&root).unwrap();
        (outer, tree)
    }

    #[test]
    fn links_that_leave_the_tree_stay_inside() {
        let (outer, mut tree) = tree();
        let root = tree.path().to_owned();
        let secret = outer.path().join("secret");
        symlink(&secret, root.join("absolute")).unwrap();
        symlink("../secret", root.join("relative")).unwrap();
        symlink("/etc", root.join("inside")).unwrap();
        for path in ["/absolute", "/relative", "/../secret", "/etc/../../secret"] {
            assert_eq!(
                tree.read(path).unwrap_err().errno,
                Errno::NotFound,
                "{path}"
            );
        }
        tree.write("/inside/x", b"y", 0o640).unwrap();
        assert_eq!(tree.read("/etc/x").unwrap(), b"y");
        // A write through a dangling link makes its target, inside.
        tree.write("/relative", b"z", 0o600).unwrap();
        assert_eq!(std::fs::read(&secret).unwrap(), b"outside");
        assert_eq!(tree.read("/secret").unwrap(), b"z");
        tree.remove_all("/inside").unwrap();
        assert!(tree.exists("/etc/x"));
    }

    #[test]
    fn a_loop_a_directory_and_a_pipe_are_errors() {
        let (_outer, mut tree) = tree();
        tree.symlink("/b", "/a").unwrap();
        tree.symlink("/a", "/b").unwrap();
        assert_eq!(
            tree.read("/a").unwrap_err().to_string(),
            "open /a: too many levels of symbolic links"
        );
        assert_eq!(
            tree.read("/etc/kubernetes").unwrap_err().to_string(),
            "read /etc/kubernetes: is a directory"
        );
        assert_eq!(
            tree.write("/etc", b"", 0o600).unwrap_err().to_string(),
            "open /etc: is a directory"
        );
        let pipe = tree.path().join("pipe");
        rustix::fs::mknodat(
            CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert_eq!(tree.read("/pipe").unwrap_err().errno, Errno::Invalid);
    }

    #[test]
    fn a_huge_file_is_refused_and_a_name_may_be_any_bytes() {
        let (_outer, tree) = tree();
        let huge = std::fs::File::create(tree.path().join("huge")).unwrap();
        huge.set_len(1 << 40).unwrap();
        assert_eq!(tree.read("/huge").unwrap_err().errno, Errno::TooBig);
        let odd = OsStr::from_bytes(b"\xff\xfe");
        std::fs::write(tree.path().join(odd), "x").unwrap();
        let names: Vec<String> = tree
            .read_dir("/")
            .unwrap()
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        assert_eq!(names.len(), 3);
    }

    /// The same operations on both kinds of tree have the same results.
    #[test]
    fn a_real_tree_behaves_as_one_in_memory() {
        let (_outer, mut real) = tree();
        let mut memory = crate::fs::MemoryTree::new();
        memory.create_dir_all("/etc/kubernetes/pki", 0o755).unwrap();
        let trees: [&mut dyn Tree; 2] = [&mut real, &mut memory];
        let [one, other] = trees.map(|tree| {
            let mut log: Vec<String> = Vec::new();
            let mut note = |result: Result<(), FsError>| {
                log.push(result.map_or_else(|error| error.to_string(), |()| "ok".to_owned()));
            };
            note(tree.write("/etc/kubernetes/pki/a.key", b"1", 0o600));
            note(tree.hard_link("/etc/kubernetes/pki/a.key", "/same"));
            note(tree.set_mode("/same", 0o640));
            note(tree.write("/same", b"22", 0o600));
            note(tree.create_dir_all("/etc/kubernetes/pki/a.key/x", 0o755));
            note(tree.create_dir_all("/var/lib/kubelet", 0o700));
            note(tree.symlink("/var/lib", "/lib"));
            note(tree.create_dir_all("/lib/kubelet/pki", 0o755));
            note(tree.rename("/same", "/lib/kubelet/pki/b"));
            note(tree.remove("/var"));
            note(tree.remove("/nosuch"));
            note(tree.remove_all("/nosuch/x"));
            note(tree.write("/nosuch/x", b"", 0o600));
            note(tree.symlink("x", "/lib"));
            for path in [
                "/etc/kubernetes/pki/a.key",
                "/var/lib/kubelet/pki/b",
                "/lib",
            ] {
                let found = tree.symlink_metadata(path).unwrap();
                log.push(format!("{path} {:?} {:o}", found.file_type, found.mode));
            }
            log.push(String::from_utf8(tree.read("/lib/kubelet/pki/b").unwrap()).unwrap());
            log.push(tree.read_link("/lib").unwrap());
            log
        });
        assert_eq!(one, other);
    }
}
