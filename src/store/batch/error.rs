//! Why a batch could not be made.

use std::path::PathBuf;

use crate::base::error::Kind;
use crate::store::readings::ReadingsError;

/// Why a batch could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The database refused.
    #[error(transparent)]
    Readings(#[from] ReadingsError),
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The zip file could not be written.
    #[error("cannot write {}", path.display())]
    Zip {
        /// The file.
        path: PathBuf,
        /// What the writer said.
        #[source]
        source: zip::result::ZipError,
    },
    /// Rows of the batch are gone from the database.
    #[error("batch {source_ref} should hold {expected} rows, {found} are left")]
    RowsMissing {
        /// The batch.
        source_ref: String,
        /// Rows when it was chosen.
        expected: i64,
        /// Rows found.
        found: i64,
    },
}

impl BatchError {
    /// What sort of failure it is.
    pub fn kind(&self) -> Kind {
        match self {
            BatchError::Readings(error) => error.kind(),
            BatchError::File { source, .. }
            | BatchError::Zip {
                source: zip::result::ZipError::Io(source),
                ..
            } if source.kind() == std::io::ErrorKind::StorageFull => Kind::Full,
            _ => Kind::Storage,
        }
    }
}
