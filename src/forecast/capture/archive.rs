//! A tar archive as a place to capture from. Nothing of it ever touches a disk.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use zeroize::Zeroizing;

use super::read::{FILE_BYTES_MAX, Place};
use crate::fs::{DirEntry, FsError, MemoryTree, Metadata, Tree};

/// More entries than this are no `/etc/kubernetes`.
const ENTRIES_MAX: usize = 20_000;
/// More bytes than this are no `/etc/kubernetes`, unpacked.
const TOTAL_BYTES_MAX: u64 = 256 << 20;
/// Longer names are no paths.
const NAME_BYTES_MAX: usize = 4096;

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is no tar, or it ends in the middle.
    #[error("this is not a tar archive, or it is cut off: {0}")]
    Format(std::io::Error),
    /// It is larger than anything that belongs here.
    #[error("this archive has more than {0}, which no PKI has")]
    Size(&'static str),
    /// There is nothing of Kubernetes in it.
    #[error("there is no etc/kubernetes and no var/lib/kubelet in this archive")]
    Nothing,
}

/// What an archive holds. Contents are overwritten in memory when it is dropped.
pub struct Archive {
    /// The names. A file's content here is its number in `contents`.
    tree: MemoryTree,
    contents: Vec<Zeroizing<Vec<u8>>>,
    left_out: Vec<String>,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Archive({} files)", self.contents.len())
    }
}

impl Archive {
    /// Reads a tar, or a gzipped one.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub fn read(mut input: impl Read) -> Result<Self, ArchiveError> {
        let mut magic = Vec::with_capacity(2);
        input
            .by_ref()
            .take(2)
            .read_to_end(&mut magic)
            .map_err(ArchiveError::Format)?;
        let gzip = magic == [0x1f, 0x8b];
        let input = std::io::Cursor::new(magic).chain(input);
        let limit = TOTAL_BYTES_MAX + 1;
        if gzip {
            Self::unpack(MultiGzDecoder::new(input).take(limit))
        } else {
            Self::unpack(input.take(limit))
        }
    }

    fn unpack(input: impl Read) -> Result<Self, ArchiveError> {
        let mut archive = Self {
            tree: MemoryTree::new(),
            contents: Vec::new(),
            left_out: Vec::new(),
        };
        let mut reader = tar::Archive::new(input);
        let mut total = 0_u64;
        let mut seen = 0;
        for entry in reader.entries().map_err(ArchiveError::Format)? {
            let mut entry = entry.map_err(ArchiveError::Format)?;
            seen += 1;
            if seen > ENTRIES_MAX {
                return Err(ArchiveError::Size("20,000 entries"));
            }
            let header = entry.header();
            let size = entry.size();
            let kind = header.entry_type();
            let (mode, uid, gid) = (
                header.mode().unwrap_or(0o644) & 0o7777,
                id(header.uid()),
                id(header.gid()),
            );
            total = total.saturating_add(size);
            if total > TOTAL_BYTES_MAX {
                return Err(ArchiveError::Size("256 MiB"));
            }
            let Some(path) = clean(&entry.path_bytes()) else {
                archive.leave_out("a name that leads outside the archive");
                continue;
            };
            if !wanted(&path) {
                continue;
            }
            let link = entry
                .link_name_bytes()
                .map(|name| String::from_utf8_lossy(&name).into_owned());
            // What a name cannot be made of (a file where a directory belongs) is left out and said.
            let made = if kind.is_dir() {
                archive.tree.create_dir_all(&path, mode)
            } else if kind.is_symlink() {
                archive
                    .parent(&path)
                    .and_then(|()| archive.tree.symlink(&link.unwrap_or_default(), &path))
            } else if kind.is_hard_link() {
                let target = clean(link.unwrap_or_default().as_bytes()).unwrap_or_default();
                archive
                    .parent(&path)
                    .and_then(|()| archive.tree.hard_link(&target, &path))
            } else if kind.is_file() {
                if size > FILE_BYTES_MAX {
                    archive.leave_out(&format!("{path}: larger than 1 MiB"));
                    continue;
                }
                let mut content = Zeroizing::new(Vec::with_capacity(size as usize));
                entry
                    .read_to_end(&mut content)
                    .map_err(ArchiveError::Format)?;
                let number = archive.contents.len().to_string();
                archive.contents.push(content);
                archive
                    .parent(&path)
                    .and_then(|()| archive.tree.write(&path, number.as_bytes(), mode))
                    .and_then(|()| archive.tree.set_mode(&path, mode))
                    .and_then(|()| archive.tree.set_owner(&path, uid, gid))
            } else {
                continue;
            };
            if let Err(error) = made {
                archive.leave_out(&error.to_string());
            }
        }
        // Whoever writes into a pipe pads the archive behind its end, and must not find the pipe closed.
        std::io::copy(&mut reader.into_inner(), &mut std::io::sink())
            .map_err(ArchiveError::Format)?;
        if !["/etc/kubernetes", "/var/lib/kubelet"]
            .iter()
            .any(|dir| archive.tree.exists(dir))
        {
            return Err(ArchiveError::Nothing);
        }
        Ok(archive)
    }

    fn parent(&mut self, path: &str) -> Result<(), FsError> {
        match path.rsplit_once('/') {
            Some(("", _)) | None => Ok(()),
            Some((dir, _)) => self.tree.create_dir_all(dir, 0o755),
        }
    }

    fn leave_out(&mut self, what: &str) {
        const SAID_MAX: usize = 20;
        if self.left_out.len() < SAID_MAX {
            self.left_out.push(what.to_owned());
        }
    }
}

impl Place for Archive {
    fn metadata(&self, path: &str) -> Option<Metadata> {
        self.tree.symlink_metadata(path).ok()
    }

    fn read_dir(&self, path: &str) -> Result<Vec<DirEntry>, String> {
        self.tree.read_dir(path).map_err(|error| error.to_string())
    }

    fn read_link(&self, path: &str) -> Option<String> {
        self.tree.read_link(path).ok()
    }

    fn read(&self, path: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        let number = self.tree.read(path).map_err(|error| error.to_string())?;
        std::str::from_utf8(&number)
            .ok()
            .and_then(|number| number.parse::<usize>().ok())
            .and_then(|number| self.contents.get(number))
            .cloned()
            .ok_or_else(|| format!("{path}: not in the archive"))
    }

    fn left_out(&self) -> Vec<String> {
        self.left_out.clone()
    }
}

fn id(number: std::io::Result<u64>) -> u32 {
    number
        .ok()
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or(0)
}

/// A name of the archive as an absolute path; `None` if it leads outside or is no path.
fn clean(name: &[u8]) -> Option<String> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let name = std::str::from_utf8(name).ok()?;
    let mut parts = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => return None,
            _ if part.chars().any(char::is_control) => return None,
            _ => parts.push(part),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

/// Whether a path may be looked at at all.
fn wanted(path: &str) -> bool {
    path == "/"
        || super::read::ROOTS.iter().any(|root| {
            path == *root
                || path
                    .strip_prefix(root)
                    .is_some_and(|rest| rest.starts_with('/'))
                || root
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.starts_with('/'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar_of(entries: &[(&str, tar::EntryType, &[u8], &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, content, link) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o600);
            header.set_size(content.len() as u64);
            // `set_path` refuses what a hostile archive holds.
            let name = &mut header.as_old_mut().name;
            name[..path.len()].copy_from_slice(path.as_bytes());
            if !link.is_empty() {
                header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
            }
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    use tar::EntryType::{Directory, Fifo, Link, Regular, Symlink};

    #[test]
    fn names_and_links_that_lead_outside_stay_inside() {
        let bytes = tar_of(&[
            ("etc/kubernetes/pki/ca.crt", Regular, b"inside", ""),
            ("../../etc/kubernetes/evil.conf", Regular, b"outside", ""),
            (
                "etc/kubernetes/pki/link.crt",
                Symlink,
                b"",
                "../../../../../../../etc/passwd",
            ),
            ("etc/kubernetes/abs.conf", Symlink, b"", "/etc/passwd"),
            ("etc/kubernetes/loop.crt", Symlink, b"", "loop.crt"),
            ("etc/kubernetes/hard.crt", Link, b"", "../../../etc/passwd"),
            ("etc/kubernetes/pipe.crt", Fifo, b"", ""),
            ("etc/passwd", Regular, b"not wanted", ""),
        ]);
        let archive = Archive::read(&bytes[..]).unwrap();
        assert_eq!(
            &*archive.read("/etc/kubernetes/pki/ca.crt").unwrap(),
            b"inside"
        );
        for gone in [
            "/etc/kubernetes/pki/link.crt",
            "/etc/kubernetes/abs.conf",
            "/etc/kubernetes/loop.crt",
            "/etc/kubernetes/hard.crt",
            "/etc/kubernetes/pipe.crt",
            "/etc/kubernetes/evil.conf",
            "/etc/passwd",
        ] {
            assert!(archive.read(gone).is_err(), "{gone}");
        }
        assert_eq!(archive.left_out().len(), 2, "{:?}", archive.left_out());
    }

    #[test]
    fn a_gzip_bomb_is_refused_and_garbage_is_no_archive() {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut header = tar::Header::new_gnu();
        header.set_path("etc/kubernetes/pki/ca.crt").unwrap();
        header.set_size(TOTAL_BYTES_MAX + 10);
        header.set_cksum();
        encoder.write_all(header.as_bytes()).unwrap();
        let bomb = encoder.finish().unwrap();
        assert!(matches!(
            Archive::read(&bomb[..]),
            Err(ArchiveError::Size(_))
        ));
        for garbage in [&b""[..], b"x", &[0x1f, 0x8b], &[7; 2000]] {
            assert!(Archive::read(garbage).is_err());
        }
    }

    #[test]
    fn a_file_where_a_directory_belongs_is_left_out() {
        let bytes = tar_of(&[
            ("etc/kubernetes/pki", Regular, b"a file", ""),
            ("etc/kubernetes/pki/ca.crt", Regular, b"below a file", ""),
            ("etc/kubernetes/d.crt", Directory, b"", ""),
        ]);
        let archive = Archive::read(&bytes[..]).unwrap();
        assert!(archive.read("/etc/kubernetes/pki/ca.crt").is_err());
        assert_eq!(archive.left_out().len(), 1);
    }

    #[test]
    fn an_archive_is_read_to_its_very_end() {
        let mut bytes = tar_of(&[("etc/kubernetes/pki/ca.crt", Regular, b"x", "")]);
        bytes.extend([0; 9000]);
        let mut rest = &bytes[..];
        Archive::read(&mut rest).unwrap();
        assert!(rest.is_empty());
    }
}
