//! The certificates of instruments seen before: one small file each, so that a later change is noticed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::certificate::Fingerprint;
use crate::store::{NewFile, StoreError};

/// A folder of fingerprints. Everything here blocks on the file system.
#[derive(Debug, Clone)]
pub struct KnownInstruments {
    folder: PathBuf,
}

/// Why a fingerprint is neither known nor unknown.
#[derive(Debug, thiserror::Error)]
pub enum KnownError {
    /// The file cannot be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{path} holds no fingerprint; delete it to trust the instrument anew")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The folder cannot be made.
    #[error("the folder {path} cannot be made")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("the instrument's fingerprint cannot be kept")]
    Write(#[from] StoreError),
}

impl KnownInstruments {
    /// Fingerprints in `folder`, which is made when the first is kept.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// Where the fingerprint of `instrument` (its serial, or its address) is kept.
    pub fn path(&self, instrument: &str) -> PathBuf {
        self.folder
            .join(format!("{}.sha256", file_name(instrument)))
    }

    /// The fingerprint of `instrument`; `None` if it was never seen.
    ///
    /// # Errors
    /// [`KnownError`]; what cannot be read is not the same as unknown.
    pub fn load(&self, instrument: &str) -> Result<Option<Fingerprint>, KnownError> {
        let path = self.path(instrument);
        match read(&path) {
            Ok(text) => match text.trim().parse() {
                Ok(fingerprint) => Ok(Some(fingerprint)),
                Err(_) => Err(KnownError::Damaged { path }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(KnownError::Damaged { path })
            }
            Err(source) => Err(KnownError::Read { path, source }),
        }
    }

    /// Whether no instrument was ever seen. A folder that cannot be read may hold some.
    pub fn is_empty(&self) -> bool {
        match fs::read_dir(&self.folder) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Keeps the fingerprint of `instrument`.
    ///
    /// # Errors
    /// [`KnownError`].
    pub fn keep(&self, instrument: &str, fingerprint: Fingerprint) -> Result<(), KnownError> {
        fs::create_dir_all(&self.folder).map_err(|source| KnownError::Folder {
            path: self.folder.clone(),
            source,
        })?;
        let text = format!("{fingerprint}\n");
        Ok(NewFile::store(&self.path(instrument), text.as_bytes())?)
    }
}

/// As much as a fingerprint has, and a little more to notice that it is none.
fn read(path: &Path) -> io::Result<String> {
    use io::Read;
    let mut text = String::new();
    fs::File::open(path)?.take(100).read_to_string(&mut text)?;
    Ok(text)
}

/// Letters, digits and what is harmless between them; every other byte as `%` and two digits.
fn file_name(instrument: &str) -> String {
    let mut name = String::new();
    for (index, byte) in instrument.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            b'.' if index > 0 => name.push('.'),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_known_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let known = KnownInstruments::new(folder.path().join("tls/known"));
        assert_eq!(known.load("42").unwrap(), None);
        assert!(known.is_empty());
        let fingerprint = Fingerprint::of(b"certificate");
        known.keep("42", fingerprint).unwrap();
        assert_eq!(known.load("42").unwrap(), Some(fingerprint));
        assert!(!known.is_empty());
        assert_eq!(known.load("43").unwrap(), None);
        for damage in [&b""[..], b"abc", &[0xff; 64], &[b'0'; 200]] {
            fs::write(known.path("42"), damage).unwrap();
            let told = known.load("42").unwrap_err();
            assert!(matches!(told, KnownError::Damaged { .. }), "{told}");
        }
    }

    #[test]
    fn no_instrument_names_a_file_elsewhere() {
        assert_eq!(file_name("192.168.1.5:8000"), "192.168.1.5%3a8000");
        assert_eq!(file_name("../../etc/passwd"), "%2e.%2f..%2fetc%2fpasswd");
    }
}
