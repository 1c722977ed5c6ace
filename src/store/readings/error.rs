//! Why the readings could not be kept or read.

use std::path::PathBuf;

use crate::base::error::Kind;

/// Why the readings could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum ReadingsError {
    /// The table's name would not be safe in SQL.
    #[error("table name {0:?} may only hold letters, digits and underscores, and no leading digit")]
    TableName(String),
    /// A table of that name exists and is no readings table.
    #[error("table {table} is no table of readings: column {column} is missing")]
    ForeignTable {
        /// The table found.
        table: String,
        /// The first column that it should have.
        column: String,
    },
    /// The file is damaged; it is moved aside when it is opened next.
    #[error("database {} is damaged: {report}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite's check said first.
        report: String,
    },
    /// SQLite refused.
    #[error("database")]
    Sqlite(#[from] rusqlite::Error),
    /// A file beside the database could not be moved or made.
    #[error("cannot prepare {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// As many readings wait in memory as may; this one was not taken.
    #[error("{waiting} readings already wait for the database")]
    QueueFull {
        /// Readings that wait.
        waiting: usize,
    },
    /// As many requests wait as may.
    #[error("the database has too many requests waiting")]
    Busy,
    /// The store has been closed.
    #[error("the readings' store is closed")]
    Closed,
}

impl ReadingsError {
    /// What sort of failure it is.
    pub fn kind(&self) -> Kind {
        match self {
            ReadingsError::TableName(_) => Kind::InvalidArgument,
            ReadingsError::QueueFull { .. } => Kind::OutOfMemory,
            ReadingsError::Busy => Kind::Busy,
            ReadingsError::Closed => Kind::Aborted,
            ReadingsError::Sqlite(error) if is_full(error) => Kind::Full,
            ReadingsError::Sqlite(error) if is_locked(error) => Kind::Busy,
            _ => Kind::Storage,
        }
    }

    /// Whether the file itself is broken, so that only another file helps.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            ReadingsError::Damaged { .. } => true,
            ReadingsError::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
            ),
            _ => false,
        }
    }
}

pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}

pub(super) fn is_locked(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
    )
}
