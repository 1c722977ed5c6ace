//! The gateway key: what this station is registered under.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use super::KeyError;
use crate::store::batch::write_synced;

const LENGTH: usize = 20;

/// The gateway key, 20 letters and digits. Shown as its first four characters alone.
#[derive(Clone, PartialEq, Eq)]
pub struct GatewayKey(String);

impl GatewayKey {
    /// Takes a key, white space around it trimmed.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] unless it is 20 ASCII letters, digits, `-` or `_`: it becomes part of a path and of a
    /// program's configuration.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if text.len() == LENGTH && text.bytes().all(plain) && !text.starts_with('-') {
            Ok(GatewayKey(text.to_owned()))
        } else {
            Err(KeyError::Malformed(text.chars().count()))
        }
    }

    /// Reads the key file.
    ///
    /// # Errors
    /// No file, no permission, no key in it.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        match fs::read_to_string(path) {
            Ok(text) => GatewayKey::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(KeyError::Missing(path.to_path_buf()))
            }
            Err(source) => Err(KeyError::File {
                path: path.to_path_buf(),
                source,
            }),
        }
    }

    /// Writes the key file, whole or not at all: mode 0600, no line end (the older tools count characters).
    ///
    /// # Errors
    /// What the system says.
    pub fn store(&self, path: &Path) -> Result<(), KeyError> {
        write_synced(path, self.0.as_bytes(), 0o600).map_err(|source| KeyError::File {
            path: path.to_path_buf(),
            source,
        })
    }

    /// The whole key; never for a log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for GatewayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for GatewayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}...", &self.0[..4])
    }
}
