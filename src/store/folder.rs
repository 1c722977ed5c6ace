//! Open folders, reached without following links.
//!
//! Other users may write to the RAM disk (it is group-writable by intent), so a path that was checked may be
//! another one a moment later. Names are therefore looked up relative to an open folder.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};

use super::StoreError;

/// An open folder and the path it was opened by.
pub(super) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens a folder by its path; links in the path are followed.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|errno| StoreError::from_errno(path, errno))?;
        Ok(Folder {
            fd,
            path: path.to_path_buf(),
        })
    }

    /// Opens a folder below this one, step by step; a link on the way is an error.
    pub(super) fn descend(&self, relative: &Path) -> Result<Self, StoreError> {
        let mut here = Folder {
            fd: self
                .fd
                .try_clone()
                .map_err(|source| StoreError::from_io(&self.path, source))?,
            path: self.path.clone(),
        };
        for component in relative.components() {
            let path = here.path.join(component);
            let Component::Normal(name) = component else {
                return Err(StoreError::Outside { path });
            };
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = rustix::fs::openat(&here.fd, name, flags, Mode::empty())
                .map_err(|errno| StoreError::from_errno(&path, errno))?;
            here = Folder { fd, path };
        }
        Ok(here)
    }

    /// The path of `name` in this folder, for messages.
    pub(super) fn path_of(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    /// This folder's own metadata.
    pub(super) fn metadata(&self) -> Result<Metadata, StoreError> {
        let fail = |source| StoreError::from_io(&self.path, source);
        File::from(self.fd.try_clone().map_err(fail)?)
            .metadata()
            .map_err(fail)
    }

    /// Opens a regular file for reading; links, folders, pipes and devices are refused.
    pub(super) fn open_file(&self, name: &OsStr) -> Result<(File, Metadata), StoreError> {
        let path = self.path_of(name);
        // Non-blocking, or a named pipe would hang the worker before it can be refused.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty())
            .map_err(|errno| StoreError::from_errno(&path, errno))?;
        let file = File::from(fd);
        let metadata = file
            .metadata()
            .map_err(|source| StoreError::from_io(&path, source))?;
        if !metadata.is_file() {
            return Err(StoreError::NotAFile { path });
        }
        Ok((file, metadata))
    }

    /// Creates a file that must not exist yet, mode 0664 whatever the umask. `Ok(None)` when the name is taken.
    pub(super) fn create_file(&self, name: &OsStr) -> Result<Option<File>, StoreError> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(FILE_MODE);
        match rustix::fs::openat(&self.fd, name, flags, mode) {
            Ok(fd) => {
                // A file system without modes refuses; the file is as good there.
                let _ = rustix::fs::fchmod(&fd, mode);
                Ok(Some(File::from(fd)))
            }
            Err(rustix::io::Errno::EXIST) => Ok(None),
            Err(errno) => Err(StoreError::from_errno(&self.path_of(name), errno)),
        }
    }

    /// Renames within this folder, over an existing file.
    pub(super) fn rename(&self, from: &OsStr, to: &OsStr) -> Result<(), StoreError> {
        rustix::fs::renameat(&self.fd, from, &self.fd, to)
            .map_err(|errno| StoreError::from_errno(&self.path_of(to), errno))
    }

    /// Removes a file's name.
    pub(super) fn remove(&self, name: &OsStr) -> Result<(), StoreError> {
        rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())
            .map_err(|errno| StoreError::from_errno(&self.path_of(name), errno))
    }

    /// Kind and size of `name`; a link is itself, not its target.
    pub(super) fn stat(&self, name: &OsStr) -> Result<Entry, StoreError> {
        let stat = rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| StoreError::from_errno(&self.path_of(name), errno))?;
        Ok(Entry::new(name, &stat))
    }

    /// Calls `each` for every entry but `.` and `..`, in no order. Entries that vanish meanwhile are skipped.
    pub(super) fn for_each(
        &self,
        mut each: impl FnMut(Entry) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let fail = |errno| StoreError::from_errno(&self.path, errno);
        for entry in Dir::read_from(&self.fd).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            match self.stat(name) {
                Ok(found) => each(found)?,
                Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// One name in a folder.
pub(super) struct Entry {
    /// Its name.
    pub(super) name: OsString,
    /// What it is.
    pub(super) kind: EntryKind,
    /// Bytes, for a regular file.
    pub(super) size: u64,
    /// The device it lies on.
    pub(super) device: u64,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// Links, pipes, sockets, devices: nothing Outpost touches.
    Other,
}

impl Entry {
    fn new(name: &OsStr, stat: &Stat) -> Self {
        Entry {
            name: name.to_os_string(),
            kind: match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => EntryKind::File,
                FileType::Directory => EntryKind::Folder,
                _ => EntryKind::Other,
            },
            size: u64::try_from(stat.st_size).unwrap_or(0),
            device: stat.st_dev,
        }
    }
}

/// Images are fetched and deleted by the login user, who shares the group but not the user (hq-camera reference 1).
pub(super) const FILE_MODE: u32 = 0o664;
/// As [`FILE_MODE`]; without sticky bit, which would keep the group from deleting.
pub(super) const FOLDER_MODE: u32 = 0o775;
