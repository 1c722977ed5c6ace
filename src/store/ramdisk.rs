//! The RAM disk: its folders, its free space, and reservations of it.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::StoreError;
use super::folder::{EntryKind, FOLDER_MODE, Folder};

/// Bytes in which a RAM disk hands out space.
const BLOCK_BYTES: u64 = 4096;
const MEGABYTE: u64 = 1 << 20;
/// Below this much free space storage is low whatever its size.
const LOW_BYTES: u64 = 64 * MEGABYTE;

/// The space that a file of `bytes` takes: whole blocks of 4096 bytes.
pub const fn disk_size(bytes: u64) -> u64 {
    bytes.saturating_add(BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES
}

/// Space on the RAM disk, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// What the files below the RAM disk and the image folder take, in whole blocks.
    pub used: u64,
    /// What may still be written: the file system's free space, or what the configured limit leaves of it.
    pub free: u64,
}

impl Usage {
    /// Whether storage is low: under 10 % or under 64 MB free (QUEStionable bit 10).
    pub fn is_low(&self) -> bool {
        let total = self.used.saturating_add(self.free);
        self.free < LOW_BYTES || self.free < total / 10
    }
}

/// The RAM disk with its image folder. Clones share their reservations.
#[derive(Debug, Clone)]
pub struct RamDisk {
    root: PathBuf,
    images: PathBuf,
    limit: Option<u64>,
    reserved: Arc<Mutex<u64>>,
}

impl RamDisk {
    /// Takes `root` with the image folder `images` into use and creates what is missing of both (mode 0775
    /// whatever the umask). `limit_mb` caps the space used, in units of 1 048 576 bytes; 0 = no cap.
    ///
    /// Errors: a folder cannot be created, or something else stands in its place.
    pub fn open(root: &Path, images: &Path, limit_mb: u64) -> Result<Self, StoreError> {
        let absolute = |path: &Path| {
            std::path::absolute(path).map_err(|source| StoreError::from_io(path, source))
        };
        let disk = RamDisk {
            root: absolute(root)?,
            images: absolute(images)?,
            limit: (limit_mb > 0).then(|| limit_mb.saturating_mul(MEGABYTE)),
            reserved: Arc::default(),
        };
        create_folders(&disk.root)?;
        create_folders(&disk.images)?;
        Ok(disk)
    }

    /// The RAM disk's folder, absolute, as configured.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The image folder, absolute, as configured.
    pub fn images(&self) -> &Path {
        &self.images
    }

    /// Space used and free now. Reservations count as free here: they are not written yet.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        let mut used = 0;
        let mut free = u64::MAX;
        for place in self.places() {
            used += used_below(place)?;
            let stat =
                rustix::fs::statvfs(place).map_err(|errno| StoreError::from_errno(place, errno))?;
            free = free.min(stat.f_bavail.saturating_mul(stat.f_frsize));
        }
        if let Some(limit) = self.limit {
            free = free.min(limit.saturating_sub(used));
        }
        Ok(Usage { used, free })
    }

    /// Holds back `bytes` (rounded up to a block) for what is about to be written.
    ///
    /// For several files pass the sum of their [`disk_size`]s. Errors: [`StoreError::Full`] when that much is
    /// neither used nor reserved by others.
    pub fn reserve(&self, bytes: u64) -> Result<Reservation, StoreError> {
        let needed = disk_size(bytes);
        let mut reserved = lock(&self.reserved);
        let free = self.usage()?.free.saturating_sub(*reserved);
        if needed > free {
            return Err(StoreError::Full { needed, free });
        }
        *reserved += needed;
        Ok(Reservation {
            remaining: needed,
            reserved: Arc::clone(&self.reserved),
        })
    }

    /// Bytes held back by all reservations.
    pub fn reserved(&self) -> u64 {
        *lock(&self.reserved)
    }

    /// Removes the temporary files that a killed run left in the RAM disk and the image folder; how many.
    pub fn sweep(&self) -> Result<usize, StoreError> {
        let mut removed = super::sweep(&self.root)?;
        if self.images != self.root {
            removed += super::sweep(&self.images)?;
        }
        Ok(removed)
    }

    fn places(&self) -> impl Iterator<Item = &Path> {
        let images = (!self.images.starts_with(&self.root)).then_some(self.images.as_path());
        std::iter::once(self.root.as_path()).chain(images)
    }
}

/// Space held back on the RAM disk until it is written or the reservation is dropped.
#[derive(Debug)]
pub struct Reservation {
    remaining: u64,
    reserved: Arc<Mutex<u64>>,
}

impl Reservation {
    /// Bytes still held back.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Gives back `bytes` that have been written and so count as used from now on; at most what remains.
    ///
    /// Pass the [`disk_size`] of a finished file. Until then the file counts twice, as used and as reserved: others
    /// may be refused a little early, but never is more promised than there is.
    pub fn consume(&mut self, bytes: u64) {
        let bytes = bytes.min(self.remaining);
        self.remaining -= bytes;
        let mut reserved = lock(&self.reserved);
        *reserved = reserved.saturating_sub(bytes);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.consume(self.remaining);
    }
}

/// The sum stays right whatever a panicking holder did: every change to it is one addition.
fn lock(reserved: &Mutex<u64>) -> MutexGuard<'_, u64> {
    reserved.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Creates a folder and its missing parents with [`FOLDER_MODE`], whatever the umask; existing ones stay as they are.
fn create_folders(path: &Path) -> Result<(), StoreError> {
    let fail = |source| StoreError::from_io(path, source);
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_folders(parent)?;
    }
    match fs::DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Made by someone else meanwhile, or not a folder at all.
            return match path.is_dir() {
                true => Ok(()),
                false => Err(StoreError::NotAFolder {
                    path: path.to_path_buf(),
                }),
            };
        }
        Err(error) => return Err(fail(error)),
    }
    // The set-group-id bit comes from the parent and keeps the group of what is created inside.
    let mode = fs::metadata(path).map_err(fail)?.permissions().mode() & 0o7777;
    let wanted = FOLDER_MODE | mode & 0o2000;
    // A service confined by systemd may not set that bit itself, not even where it is set.
    match mode == wanted {
        true => Ok(()),
        false => fs::set_permissions(path, fs::Permissions::from_mode(wanted)).map_err(fail),
    }
}

/// What the regular files below `root` take. Links and other mounts are not followed.
fn used_below(root: &Path) -> Result<u64, StoreError> {
    use std::os::unix::fs::MetadataExt;

    let base = Folder::open(root)?;
    let device = base.metadata()?.dev();
    let mut used = 0_u64;
    let mut pending = vec![PathBuf::new()];
    while let Some(relative) = pending.pop() {
        let counted = base.descend(&relative).and_then(|folder| {
            folder.for_each(|entry| {
                match entry.kind {
                    EntryKind::File => used = used.saturating_add(disk_size(entry.size)),
                    EntryKind::Folder if entry.device == device => {
                        pending.push(relative.join(&entry.name));
                    }
                    EntryKind::Folder | EntryKind::Other => {}
                }
                Ok(())
            })
        });
        // A folder below that is gone meanwhile, or another user's own, is not ours to count.
        if relative.as_os_str().is_empty() {
            counted?;
        }
    }
    Ok(used)
}
