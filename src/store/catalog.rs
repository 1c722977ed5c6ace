//! Listing, reading and deleting stored files (`MMEMory`).

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::folder::EntryKind;
use super::{RamDisk, StoreError};

/// Most files one catalog names; the first ones in natural order are kept and the rest is counted.
pub const MAX_CATALOG_ENTRIES: usize = 16_384;

/// What a file holds, by its extension, in the terms of SCPI's `MMEMory:CATalog?`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Anything else.
    Binary,
    /// Text: `.log`, `.txt`, `.csv`, `.json`, `.toml`.
    Ascii,
}

impl FileKind {
    /// The kind of a file of this name.
    pub fn of(name: &str) -> Self {
        const TEXT: [&str; 5] = ["log", "txt", "csv", "json", "toml"];
        match name.rsplit_once('.') {
            Some((_, ext)) if TEXT.iter().any(|text| ext.eq_ignore_ascii_case(text)) => {
                FileKind::Ascii
            }
            _ => FileKind::Binary,
        }
    }

    /// `BIN` or `ASC`.
    pub fn mnemonic(self) -> &'static str {
        match self {
            FileKind::Binary => "BIN",
            FileKind::Ascii => "ASC",
        }
    }
}

/// One stored file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogEntry {
    /// Its plain name.
    pub name: String,
    /// What it holds.
    pub kind: FileKind,
    /// Bytes.
    pub size: u64,
}

impl Ord for CatalogEntry {
    fn cmp(&self, other: &Self) -> Ordering {
        natural_order(&self.name, &other.name)
    }
}

impl PartialOrd for CatalogEntry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The files of the image folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    /// In natural order: runs of digits by value, letters without case, ties by bytes.
    pub entries: Vec<CatalogEntry>,
    /// Files beyond [`MAX_CATALOG_ENTRIES`].
    pub omitted: usize,
}

/// A stored file, open for reading.
#[derive(Debug)]
pub struct StoredFile {
    /// The open file, at its start.
    pub file: File,
    /// Bytes at the moment of opening. Files are replaced, not rewritten, so this many can be read.
    pub size: u64,
    /// Its path.
    pub path: PathBuf,
}

impl RamDisk {
    /// Lists the regular files of the image folder.
    ///
    /// Left out: hidden names (files being written), and names that a client could not send back because they are
    /// not UTF-8 or hold control characters.
    pub fn catalog(&self) -> Result<Catalog, StoreError> {
        let folder = super::folder::Folder::open(self.images())?;
        let mut entries = BTreeSet::new();
        let mut omitted = 0;
        folder.for_each(|entry| {
            let Some(name) = entry.name.to_str() else {
                return Ok(());
            };
            let listed = entry.kind == EntryKind::File
                && !name.starts_with('.')
                && super::check_name(name).is_ok();
            if listed {
                entries.insert(CatalogEntry {
                    name: name.to_owned(),
                    kind: FileKind::of(name),
                    size: entry.size,
                });
            }
            if entries.len() > MAX_CATALOG_ENTRIES {
                entries.pop_last();
                omitted += 1;
            }
            Ok(())
        })?;
        Ok(Catalog {
            entries: entries.into_iter().collect(),
            omitted,
        })
    }

    /// Opens a stored file: a plain name in the image folder, or a path below the RAM disk.
    ///
    /// Hidden names do not exist here. A link is followed if it leads to a file below the RAM disk.
    pub fn open_file(&self, user_path: &str) -> Result<StoredFile, StoreError> {
        let real = self.follow(&self.visible(user_path)?)?;
        let folder = real.folder.open_folder()?;
        let (file, metadata) = folder.open_file(&real.name)?;
        Ok(StoredFile {
            file,
            size: metadata.len(),
            path: folder.path_of(&real.name),
        })
    }

    /// Deletes a stored file, named as for [`RamDisk::open_file`]. Links and folders are refused.
    pub fn delete(&self, user_path: &str) -> Result<(), StoreError> {
        let target = self.visible(user_path)?;
        let folder = target.folder.open_folder()?;
        if folder.stat(&target.name)?.kind != EntryKind::File {
            return Err(StoreError::NotAFile {
                path: folder.path_of(&target.name),
            });
        }
        folder.remove(&target.name)
    }

    fn visible(&self, user_path: &str) -> Result<super::confine::Target, StoreError> {
        let target = self.confine_stored(user_path)?;
        if target.name.as_bytes().starts_with(b".") {
            return Err(StoreError::NotFound {
                path: target.folder.shown.join(&target.name),
            });
        }
        Ok(target)
    }
}

/// Compares as a person sorts: `a_2` before `a_10`, case aside.
pub fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    loop {
        let (Some(&x), Some(&y)) = (left.first(), right.first()) else {
            return left.len().cmp(&right.len()).then_with(|| a.cmp(b));
        };
        let order = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (m, n) = (take_digits(&mut left), take_digits(&mut right));
            m.len().cmp(&n.len()).then_with(|| m.cmp(n))
        } else {
            (left, right) = (&left[1..], &right[1..]);
            x.to_ascii_lowercase().cmp(&y.to_ascii_lowercase())
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Cuts the leading digits off `text` and gives them without leading zeros, so that length compares as value.
fn take_digits<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    let zeros = digits.iter().take_while(|&&byte| byte == b'0').count();
    &digits[zeros..]
}
