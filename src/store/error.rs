//! Why storage refused.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::error::Kind;

/// What is wrong with a file name or path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameFault {
    /// No name at all, or one that ends in a separator.
    Empty,
    /// A control character, NUL and line ends included.
    Control,
    /// More bytes than a file system takes.
    TooLong,
    /// `.` or `..`, or a separator where a plain name belongs.
    NotPlain,
}

impl std::fmt::Display for NameFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            NameFault::Empty => "it is empty",
            NameFault::Control => "it holds a control character",
            NameFault::TooLong => "it is too long",
            NameFault::NotPlain => "it is not a plain file name",
        })
    }
}

/// Why storage refused. Each variant names the SCPI error it becomes (`-250` where none is nearer).
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The RAM disk, or what the configuration allows of it, cannot take that much more. SCPI -254.
    #[error("storage is full: {needed} bytes needed, {free} free")]
    Full {
        /// Bytes asked for, block rounding included.
        needed: u64,
        /// Bytes neither used nor reserved.
        free: u64,
    },
    /// The file system ran full while a file was written. SCPI -254.
    #[error("no space left for {}", path.display())]
    NoSpace {
        /// The file that was being written.
        path: PathBuf,
    },
    /// Permissions or a read-only file system forbid it. SCPI -258.
    #[error("no permission for {}", path.display())]
    Denied {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is no such file or folder. SCPI -256.
    #[error("{} does not exist", path.display())]
    NotFound {
        /// What was looked for.
        path: PathBuf,
    },
    /// The path leads out of the RAM disk and the image folder. SCPI -257.
    #[error("{} lies outside the RAM disk", path.display())]
    Outside {
        /// The path as asked for.
        path: PathBuf,
    },
    /// No file can have such a name. SCPI -257.
    #[error("unusable file name {name:?}: {fault}")]
    BadName {
        /// The name, cut to its first characters.
        name: String,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// A folder, link or device stands where a regular file is needed. SCPI -257.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// What was found.
        path: PathBuf,
    },
    /// Something else stands where a folder is needed. SCPI -257.
    #[error("{} is not a folder", path.display())]
    NotAFolder {
        /// What was found.
        path: PathBuf,
    },
    /// A folder holds more than one archive may. SCPI -223.
    #[error("{} holds more than {limit} files", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// The most that are taken.
        limit: usize,
    },
    /// A file vanished or shrank while it was archived. SCPI -230.
    #[error("{} changed while it was archived", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The caller asked to stop. Nothing was left behind.
    #[error("aborted")]
    Aborted,
    /// Anything else the file system said. SCPI -250.
    #[error("storage failed at {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl StoreError {
    /// What sort of failure it is.
    pub fn kind(&self) -> Kind {
        match self {
            StoreError::Full { .. } | StoreError::NoSpace { .. } => Kind::Full,
            StoreError::Denied { .. } => Kind::ReadOnly,
            StoreError::NotFound { .. } => Kind::NotFound,
            StoreError::Outside { .. } | StoreError::BadName { .. } => Kind::BadName,
            StoreError::NotAFile { .. } | StoreError::NotAFolder { .. } => Kind::BadName,
            StoreError::Aborted => Kind::Aborted,
            StoreError::TooMany { .. } | StoreError::Changed { .. } | StoreError::Io { .. } => {
                Kind::Storage
            }
        }
    }

    /// The variant that fits an error of the file system at `path`.
    ///
    /// A [`StoreError`] that travelled inside the [`io::Error`] comes out as itself.
    pub fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        let source = match source.downcast::<StoreError>() {
            Ok(own) => return own,
            Err(source) => source,
        };
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StoreError::NoSpace { path }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                StoreError::Denied { path, source }
            }
            io::ErrorKind::NotFound => StoreError::NotFound { path },
            io::ErrorKind::NotADirectory => StoreError::NotAFolder { path },
            io::ErrorKind::IsADirectory => StoreError::NotAFile { path },
            io::ErrorKind::InvalidFilename => StoreError::bad_name(&path, NameFault::TooLong),
            // ELOOP: `O_NOFOLLOW` met a link. Its kind has no stable name, its number has.
            _ if source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                StoreError::NotAFile { path }
            }
            _ => StoreError::Io { path, source },
        }
    }

    pub(super) fn from_errno(path: &Path, errno: rustix::io::Errno) -> Self {
        StoreError::from_io(path, errno.into())
    }

    pub(super) fn bad_name(name: &Path, fault: NameFault) -> Self {
        const SHOWN_CHARS: usize = 80;
        let name = name.to_string_lossy().chars().take(SHOWN_CHARS).collect();
        StoreError::BadName { name, fault }
    }
}
