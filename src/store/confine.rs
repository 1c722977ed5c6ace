//! Which paths a client may name: only what lies below the RAM disk or the image folder.
//!
//! A path is resolved by the system first, `..` and links included, and judged by where it really leads.
//! What is opened afterwards is reached without following links, so a path cannot be swapped in between.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::folder::Folder;
use super::{NameFault, RamDisk, StoreError};

/// Longest file name, bytes (`NAME_MAX`).
pub const MAX_NAME_BYTES: usize = 255;
/// Longest path, bytes (`PATH_MAX` without its NUL).
pub const MAX_PATH_BYTES: usize = 4095;

/// Longest beginning of a file name that a client gives, bytes: settings, numbers and an extension follow.
pub const MAX_STEM_BYTES: usize = 200;

/// Whether `stem` can begin a file name that every client can handle (hq-camera.md 4): 1 to [`MAX_STEM_BYTES`] letters,
/// digits and `._-+=#,`, no dot first, which would hide the file from every listing.
pub fn is_plain_stem(stem: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+=#,".contains(c);
    (1..=MAX_STEM_BYTES).contains(&stem.len()) && !stem.starts_with('.') && stem.chars().all(plain)
}

/// Checks a plain file name: no separator, not `.` or `..`, no control character, at most 255 bytes.
pub fn check_name(name: &str) -> Result<(), StoreError> {
    let fault = if name.contains('/') || name == "." || name == ".." {
        NameFault::NotPlain
    } else {
        return check_text(name, MAX_NAME_BYTES);
    };
    Err(StoreError::bad_name(Path::new(name), fault))
}

fn check_text(text: &str, limit: usize) -> Result<(), StoreError> {
    let fault = if text.is_empty() {
        NameFault::Empty
    } else if text.len() > limit {
        NameFault::TooLong
    } else if text.chars().any(char::is_control) {
        NameFault::Control
    } else {
        return Ok(());
    };
    Err(StoreError::bad_name(Path::new(text), fault))
}

/// A place that was found to lie below the RAM disk or the image folder.
pub(super) struct Confined {
    /// The RAM disk or image folder, without links.
    base: PathBuf,
    /// From there on, plain components only.
    relative: PathBuf,
    /// The same place in terms of the configured folders, as clients name it.
    pub(super) shown: PathBuf,
}

impl Confined {
    /// Opens the place as a folder.
    pub(super) fn open_folder(&self) -> Result<Folder, StoreError> {
        Folder::open(&self.base)?.descend(&self.relative)
    }

    /// The place without links.
    pub(super) fn real(&self) -> PathBuf {
        self.base.join(&self.relative)
    }
}

/// A name in a confined folder; nothing is said about whether it exists.
pub(super) struct Target {
    /// The folder.
    pub(super) folder: Confined,
    /// The plain name.
    pub(super) name: OsString,
}

impl RamDisk {
    /// Resolves what a client names, absolute or relative to the RAM disk, to a path without links.
    ///
    /// Errors: [`StoreError::BadName`], [`StoreError::Outside`], and [`StoreError::NotFound`] for what would lie
    /// inside but does not exist. Whether something exists outside is not told.
    pub fn resolve(&self, user_path: &str) -> Result<PathBuf, StoreError> {
        check_text(user_path, MAX_PATH_BYTES)?;
        Ok(self.confine(&self.root().join(user_path))?.real())
    }

    /// As [`RamDisk::resolve`], kept open-able.
    pub(super) fn confine_path(&self, user_path: &str) -> Result<Confined, StoreError> {
        check_text(user_path, MAX_PATH_BYTES)?;
        self.confine(&self.root().join(user_path))
    }

    /// Resolves the name of a file to be written, absolute or relative to the RAM disk. Its folder must exist.
    pub(super) fn confine_target(&self, user_path: &str) -> Result<Target, StoreError> {
        check_text(user_path, MAX_PATH_BYTES)?;
        self.target(&self.root().join(user_path), user_path)
    }

    /// Resolves a stored file: a plain name lies in the image folder, anything else is taken from the RAM disk on.
    pub(super) fn confine_stored(&self, user_path: &str) -> Result<Target, StoreError> {
        check_text(user_path, MAX_PATH_BYTES)?;
        if user_path.contains('/') {
            return self.target(&self.root().join(user_path), user_path);
        }
        check_name(user_path)?;
        self.target(&self.images().join(user_path), user_path)
    }

    fn target(&self, path: &Path, user_path: &str) -> Result<Target, StoreError> {
        let last = user_path.rsplit('/').next().unwrap_or_default();
        let (folder, name) = match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) if !matches!(last, "" | "." | "..") => (folder, name),
            _ => {
                // A folder: where it lies decides which of the two errors is told.
                self.confine(path)?;
                return Err(StoreError::NotAFile {
                    path: path.to_path_buf(),
                });
            }
        };
        let folder = self.confine(folder)?;
        check_name(name.to_str().unwrap_or_default())?;
        Ok(Target {
            folder,
            name: name.to_os_string(),
        })
    }

    /// The file a target leads to when its name is a link, otherwise the same target. It must exist.
    pub(super) fn follow(&self, target: &Target) -> Result<Target, StoreError> {
        let path = target.folder.real().join(&target.name);
        let mut folder = self.confine(&path)?;
        let Some(name) = folder.relative.file_name().map(OsStr::to_os_string) else {
            return Err(StoreError::NotAFile { path });
        };
        folder.relative.pop();
        folder.shown.pop();
        Ok(Target { folder, name })
    }

    fn confine(&self, path: &Path) -> Result<Confined, StoreError> {
        let outside = || StoreError::Outside {
            path: path.to_path_buf(),
        };
        match path.canonicalize() {
            Ok(real) => self.place(&real).ok_or_else(outside),
            Err(source) => {
                let nearest = path.ancestors().find_map(|p| p.canonicalize().ok());
                match nearest.and_then(|real| self.place(&real)) {
                    Some(_) => Err(StoreError::from_io(path, source)),
                    None => Err(outside()),
                }
            }
        }
    }

    fn place(&self, real: &Path) -> Option<Confined> {
        [self.root(), self.images()].into_iter().find_map(|place| {
            let base = place.canonicalize().ok()?;
            let relative = real.strip_prefix(&base).ok()?.to_path_buf();
            let shown = match relative.as_os_str() == OsStr::new("") {
                true => place.to_path_buf(),
                false => place.join(&relative),
            };
            Some(Confined {
                base,
                relative,
                shown,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stem_is_the_beginning_of_a_plain_file_name() {
        let longest = "x".repeat(MAX_STEM_BYTES);
        for stem in ["Dev101_rPiHQCam2-0007", "a.b", "#1,2=+", &longest] {
            assert!(is_plain_stem(stem), "{stem}");
        }
        let too_long = "x".repeat(MAX_STEM_BYTES + 1);
        for stem in [
            "", ".", "..", ".hidden", "../esc", "a/b", "a b", "a:b", "<SS>", "\u{e4}", "a\0", "~",
            "a\\b", &too_long,
        ] {
            assert!(!is_plain_stem(stem), "{stem}");
        }
    }
}
