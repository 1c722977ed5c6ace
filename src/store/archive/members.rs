//! What goes into an archive, and in which order.

use std::path::{Path, PathBuf};

use crate::store::StoreError;
use crate::store::atomic::is_temporary;
use crate::store::folder::{EntryKind, Folder};

/// Most files and folders in one archive.
pub const MAX_MEMBERS: usize = 100_000;

/// A file or folder to be archived.
pub(super) struct Member {
    /// Relative to the archived folder; empty for that folder itself.
    pub(super) path: PathBuf,
    /// A folder rather than a regular file.
    pub(super) is_folder: bool,
    /// Bytes; 0 for a folder.
    pub(super) size: u64,
}

/// Everything below `folder` with the folder itself first, a folder always before what it holds.
///
/// `itself` is the archive being written, relative to `folder`.
pub(super) fn list(folder: &Folder, itself: Option<&Path>) -> Result<Vec<Member>, StoreError> {
    let mut members = vec![Member {
        path: PathBuf::new(),
        is_folder: true,
        size: 0,
    }];
    let mut pending = vec![PathBuf::new()];
    while let Some(parent) = pending.pop() {
        let here = folder.descend(&parent)?;
        here.for_each(|entry| {
            let path = parent.join(&entry.name);
            let is_folder = entry.kind == EntryKind::Folder;
            let left_out = entry.kind == EntryKind::Other
                || itself == Some(path.as_path())
                || (!is_folder && is_temporary(&entry.name));
            if left_out {
                return Ok(());
            }
            if members.len() == MAX_MEMBERS {
                return Err(StoreError::TooMany {
                    path: folder.path_of(parent.as_os_str()),
                    limit: MAX_MEMBERS,
                });
            }
            if is_folder {
                pending.push(path.clone());
            }
            members.push(Member {
                path,
                is_folder,
                size: if is_folder { 0 } else { entry.size },
            });
            Ok(())
        })?;
    }
    members.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(members)
}
