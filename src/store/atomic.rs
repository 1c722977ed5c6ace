//! Files that appear complete or not at all.
//!
//! A [`NewFile`] is written as `.name.<n>.tmp` beside its target and renamed into place when it is complete, so what
//! a client can list is whole, whatever happened to this process meanwhile.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::folder::{EntryKind, Folder};
use super::{MAX_NAME_BYTES, NameFault, StoreError};

const TEMPORARY_SUFFIX: &str = ".tmp";
/// Names tried before giving up; more left-overs of one name than this cannot be told from a broken file system.
const MAX_ATTEMPTS: u32 = 10_000;

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

/// A file being written under a temporary name. Dropping it without [`NewFile::commit`] removes it.
///
/// Writes go straight to the file, unbuffered: write large pieces. Its mode is 0664 whatever the umask.
pub struct NewFile {
    file: File,
    folder: Folder,
    temporary: OsString,
    name: OsString,
    committed: bool,
}

impl NewFile {
    /// Starts the file that [`NewFile::commit`] will put at `path`. The folder must exist.
    ///
    /// Errors: no usable name, no such folder, no permission, no space.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        let name = path
            .file_name()
            .ok_or_else(|| StoreError::bad_name(path, NameFault::Empty))?;
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        NewFile::create_in(Folder::open(folder)?, name)
    }

    pub(super) fn create_in(folder: Folder, name: &OsStr) -> Result<Self, StoreError> {
        if name.len() > MAX_NAME_BYTES {
            return Err(StoreError::bad_name(Path::new(name), NameFault::TooLong));
        }
        for _ in 0..MAX_ATTEMPTS {
            let temporary = temporary_name(name, NEXT_NUMBER.fetch_add(1, Ordering::Relaxed));
            if let Some(file) = folder.create_file(&temporary)? {
                return Ok(NewFile {
                    file,
                    folder,
                    temporary,
                    name: name.to_os_string(),
                    committed: false,
                });
            }
        }
        Err(StoreError::from_io(
            &folder.path_of(name),
            io::ErrorKind::AlreadyExists.into(),
        ))
    }

    /// Writes a whole file: complete under its name, or not there.
    ///
    /// Errors: those of [`NewFile::create`], of writing, and of [`NewFile::commit`].
    pub fn store(path: &Path, content: &[u8]) -> Result<(), StoreError> {
        let mut file = NewFile::create(path)?;
        file.write_all(content)
            .map_err(|error| StoreError::from_io(path, error))?;
        file.commit()
    }

    /// Where the file will appear.
    pub fn path(&self) -> PathBuf {
        self.folder.path_of(&self.name)
    }

    /// Puts the file in place, over an existing one of that name.
    ///
    /// Errors: a folder stands in its place, or the folder is gone; the temporary file is removed then.
    pub fn commit(mut self) -> Result<(), StoreError> {
        self.folder.rename(&self.temporary, &self.name)?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.committed {
            // Nothing can be done about a failure here; the next start sweeps.
            let _ = self.folder.remove(&self.temporary);
        }
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.file.write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for NewFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}

/// Removes the temporary files that a killed run left in `folder`; how many.
///
/// Only for the start: it would take away what another [`NewFile`] is writing.
pub fn sweep(folder: &Path) -> Result<usize, StoreError> {
    let folder = Folder::open(folder)?;
    let mut found = Vec::new();
    folder.for_each(|entry| {
        if entry.kind == EntryKind::File && is_temporary(&entry.name) {
            found.push(entry.name);
        }
        Ok(())
    })?;
    for name in &found {
        folder.remove(name)?;
    }
    Ok(found.len())
}

/// Whether `name` is one of [`NewFile`]'s: `.<name>.<digits>.tmp`.
pub(super) fn is_temporary(name: &OsStr) -> bool {
    let Some(inner) = name
        .as_bytes()
        .strip_prefix(b".")
        .and_then(|rest| rest.strip_suffix(TEMPORARY_SUFFIX.as_bytes()))
    else {
        return false;
    };
    match inner.iter().rposition(|&byte| byte == b'.') {
        Some(dot) => {
            let digits = &inner[dot + 1..];
            !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
        }
        None => false,
    }
}

/// `.<name>.<number>.tmp`, the name cut so that the whole fits a file system.
fn temporary_name(name: &OsStr, number: u64) -> OsString {
    let tail = format!(".{number}{TEMPORARY_SUFFIX}");
    let kept = name.len().min(MAX_NAME_BYTES - 1 - tail.len());
    let mut bytes = Vec::with_capacity(1 + kept + tail.len());
    bytes.push(b'.');
    bytes.extend_from_slice(&name.as_bytes()[..kept]);
    bytes.extend_from_slice(tail.as_bytes());
    OsString::from_vec(bytes)
}
