use std::fmt;

/// The reasons a file operation fails, by their `errno`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Errno {
    /// `ENOENT`.
    NotFound,
    /// `EACCES`.
    PermissionDenied,
    /// `EPERM`.
    NotPermitted,
    /// `EEXIST`.
    Exists,
    /// `ENOTDIR`.
    NotDirectory,
    /// `EISDIR`.
    IsDirectory,
    /// `EINVAL`.
    Invalid,
    /// `ENOSPC`.
    NoSpace,
    /// `EFBIG`.
    TooBig,
    /// `EROFS`.
    ReadOnly,
    /// `ENOTEMPTY`.
    NotEmpty,
    /// `ELOOP`.
    Loop,
    /// `ENAMETOOLONG`.
    NameTooLong,
    /// `EXDEV`.
    CrossDevice,
    /// `EIO`.
    Io,
    /// `ETXTBSY`.
    TextBusy,
    /// Any other number.
    Other(i32),
}

impl fmt::Display for Errno {
    /// The text of Go's `syscall.Errno`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Errno::NotFound => "no such file or directory",
            Errno::PermissionDenied => "permission denied",
            Errno::NotPermitted => "operation not permitted",
            Errno::Exists => "file exists",
            Errno::NotDirectory => "not a directory",
            Errno::IsDirectory => "is a directory",
            Errno::Invalid => "invalid argument",
            Errno::NoSpace => "no space left on device",
            Errno::TooBig => "file too large",
            Errno::ReadOnly => "read-only file system",
            Errno::NotEmpty => "directory not empty",
            Errno::Loop => "too many levels of symbolic links",
            Errno::NameTooLong => "file name too long",
            Errno::CrossDevice => "invalid cross-device link",
            Errno::Io => "input/output error",
            Errno::TextBusy => "text file busy",
            Errno::Other(number) => return write!(f, "errno {number}"),
        })
    }
}

/// A file operation that failed, displayed as Go's `*PathError`: `open /a/b: no such file or directory`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{op} {path}: {errno}")]
pub struct FsError {
    /// The operation as Go names it (`open`, `stat`, `mkdir`, ...).
    pub op: &'static str,
    /// The path as it was asked for.
    pub path: String,
    /// Why.
    pub errno: Errno,
}

impl FsError {
    /// An error of one operation on one path.
    #[must_use]
    pub fn new(op: &'static str, path: &str, errno: Errno) -> Self {
        Self {
            op,
            path: path.to_owned(),
            errno,
        }
    }
}
