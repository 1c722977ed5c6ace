//! Where a batch's files go, and what is deleted when.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::params;

use super::{Arrow, UploadError, Uploader};
use crate::store::batch::{self, Batch, BatchState, sync_folder};

const DAY_MS: i64 = 24 * 3_600_000;
/// Rows deleted at a time: readings wait meanwhile.
const DELETE_ROWS: u32 = 500;
/// Batches looked up at a time, likewise.
const LOOKED_UP: usize = 100;

impl Uploader {
    /// The file under the name that it gets at the receiver's: a second name where the file system has such, else a
    /// copy.
    pub(super) fn link(&self, batch: &Batch, batchid: &str) -> Result<PathBuf, UploadError> {
        let folder = &self.settings.batch.pending_dir;
        let from = folder.join(batch.zip_name());
        let to =
            std::path::absolute(folder.join(format!("{batchid}.zip"))).map_err(at_path(folder))?;
        // That name is a password: failures tell the other.
        remove(&to).map_err(at_path(&from))?;
        fs::hard_link(&from, &to)
            .or_else(|_| fs::copy(&from, &to).map(|_| ()))
            .map_err(at_path(&from))?;
        Ok(to)
    }

    /// Removes the name of [`Uploader::link`] where a run that was killed has left it.
    pub(super) fn unlink(&self, batch: &Batch) {
        if let Some(ticket) = &batch.ticket {
            let name = format!("{}.zip", ticket.batchid);
            // Left behind once more, it takes room and nothing else.
            let _ = fs::remove_file(self.settings.batch.pending_dir.join(name));
        }
    }

    /// Moves or deletes the files of batches at their end.
    pub(super) fn file_away(&mut self) -> Result<(), UploadError> {
        let ended = self.store.call_blocking(batch::unfiled)?;
        for mut batch in ended {
            let target = match batch.state {
                BatchState::Rejected => Some(self.settings.rejected_dir.clone()),
                _ if self.settings.delete_batch_on_upload => None,
                _ => Some(self.settings.uploaded_dir.clone()),
            };
            for name in [batch.zip_name(), batch.yaml_name()] {
                let from = self.settings.batch.pending_dir.join(&name);
                match &target {
                    Some(folder) => move_file(&from, folder, &name),
                    None => remove(&from),
                }
                .map_err(at_path(&from))?;
            }
            self.unlink(&batch);
            self.at(Arrow::Moved)?;
            batch.filed = true;
            self.save(&batch)?;
        }
        Ok(())
    }

    /// Deletes uploaded files and readings whose time is over, and more files where room is short; how many of those.
    pub(super) fn clean_up(&mut self) -> Result<u64, UploadError> {
        let days = i64::from(self.settings.retention_days);
        let before = self.now().saturating_sub(days.saturating_mul(DAY_MS));
        if days > 0 {
            self.delete_old_files(before)?;
        }
        if self.settings.delete_readings {
            self.delete_old_readings(before)?;
        }
        self.evict()
    }

    /// Makes room for new batches.
    pub(super) fn make_room(&mut self) -> Result<(), UploadError> {
        self.evict()?;
        let folder = self.settings.batch.pending_dir.clone();
        let (free, reserve) = (self.free(&folder)?, self.settings.reserve_bytes);
        match free < reserve {
            true => Err(UploadError::NoRoom {
                folder,
                free,
                reserve,
            }),
            false => Ok(()),
        }
    }

    fn free(&self, folder: &Path) -> Result<u64, UploadError> {
        fs::create_dir_all(folder).map_err(at_path(folder))?;
        (self.free_bytes)(folder).map_err(at_path(folder))
    }

    /// Deletes the oldest uploaded files until enough is free; how many. Files that wait are never touched.
    fn evict(&self) -> Result<u64, UploadError> {
        let folder = self.settings.uploaded_dir.clone();
        let mut evicted = 0;
        if self.free(&folder)? >= self.settings.reserve_bytes {
            return Ok(evicted);
        }
        let uploaded = self
            .store
            .call_blocking(|database| batch::uploaded_before(database, i64::MAX))?;
        for batch in uploaded {
            for name in [batch.zip_name(), batch.yaml_name()] {
                let file = folder.join(name);
                if file.exists() {
                    remove(&file).map_err(at_path(&file))?;
                    evicted += 1;
                }
            }
            if evicted > 0 && self.free(&folder)? >= self.settings.reserve_bytes {
                break;
            }
        }
        if evicted > 0 {
            tracing::warn!("room is short: {evicted} uploaded files deleted");
        }
        Ok(evicted)
    }

    fn delete_old_files(&self, before_ms: i64) -> Result<(), UploadError> {
        let folder = &self.settings.uploaded_dir;
        let Ok(entries) = fs::read_dir(folder) else {
            return Ok(());
        };
        // Of the batches, only those that have files: the record of all there ever were is long.
        let files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        let named: BTreeSet<String> = files.iter().filter_map(|file| reference_of(file)).collect();
        let named: Vec<String> = named.into_iter().collect();
        for some in named.chunks(LOOKED_UP) {
            let some = some.to_vec();
            let found = self.store.call_blocking(move |database| {
                let found = some.iter().map(|name| batch::find(database, name));
                found.collect::<Result<Vec<_>, _>>()
            })?;
            let is_old = |batch: &Batch| {
                batch.state == BatchState::Uploaded
                    && batch.done_ms.is_some_and(|ms| ms <= before_ms)
            };
            for batch in found.into_iter().flatten().filter(is_old) {
                for name in [batch.zip_name(), batch.yaml_name()] {
                    let file = folder.join(name);
                    remove(&file).map_err(at_path(&file))?;
                }
            }
        }
        Ok(())
    }

    fn delete_old_readings(&self, before_ms: i64) -> Result<(), UploadError> {
        let old = self
            .store
            .call_blocking(move |database| batch::with_readings(database, before_ms))?;
        for mut batch in old {
            loop {
                let (gadget, first, last) =
                    (batch.gadget_id.clone(), batch.first_rdg, batch.last_rdg);
                let deleted = self.store.call_blocking(move |database| {
                    let table = database.settings().table.clone();
                    let sql = format!(
                        "DELETE FROM {table} WHERE rdg_no IN (SELECT rdg_no FROM {table}
                         WHERE gadget_id IS ? AND rdg_no BETWEEN ? AND ? LIMIT ?)"
                    );
                    let values = params![gadget, first, last, DELETE_ROWS];
                    Ok(database.connection().execute(&sql, values)?)
                })?;
                if deleted == 0 {
                    break;
                }
            }
            batch.rows_deleted = true;
            self.save(&batch)?;
        }
        Ok(())
    }
}

/// The batch that a file in a folder of uploaded ones may belong to.
fn reference_of(file: &Path) -> Option<String> {
    let is_ours = |extension: &str| ["zip", "yaml"].contains(&extension);
    let extension = file.extension().and_then(|extension| extension.to_str());
    extension.filter(|extension| is_ours(extension))?;
    Some(file.file_stem()?.to_str()?.to_owned())
}

/// Bytes that this user may still write there.
pub(super) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let usage = rustix::fs::statvfs(folder)?;
    Ok(usage.f_bavail.saturating_mul(usage.f_frsize))
}

fn at_path(path: &Path) -> impl FnOnce(io::Error) -> UploadError {
    let path = path.to_path_buf();
    move |source| UploadError::File { path, source }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Moves a file, also to another file system; one that is gone was moved before.
fn move_file(from: &Path, folder: &Path, name: &str) -> io::Result<()> {
    if !from.exists() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    let to = folder.join(name);
    match fs::rename(from, &to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let part = folder.join(format!(".{name}.part"));
            fs::copy(from, &part)?;
            fs::File::open(&part)?.sync_all()?;
            fs::rename(&part, &to)?;
            remove(from)?;
        }
        moved => moved?,
    }
    sync_folder(folder)
}
