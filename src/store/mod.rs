//! What Outpost keeps: picture files on the RAM disk and archives of them, readings, and their way to the cloud.
//!
//! Everything here blocks on the file system and belongs on a worker thread or the blocking pool.
//!
//! | module | holds |
//! |---|---|
//! | [`ramdisk`] | the RAM disk: folders, free space, reservations |
//! | [`confine`] | which paths a client may name |
//! | [`atomic`] | files that appear complete or not at all |
//! | [`catalog`] | listing, reading and deleting stored files |
//! | [`archive`] | tar and tar.gz of a folder |
//! | [`batch`] | which readings go together, and the files made of them |
//! | [`readings`] | readings in SQLite, and the thread that owns it |
//! | [`upload`] | the way of a batch to the cloud, each reading once |

pub mod archive;
pub mod atomic;
pub mod batch;
pub mod catalog;
pub mod confine;
pub mod ramdisk;
pub mod readings;
pub mod upload;

mod error;
mod folder;

pub use archive::{ArchiveOptions, ArchiveSummary, Progress, create_archive};
pub use atomic::{NewFile, sweep};
pub use catalog::{Catalog, CatalogEntry, FileKind, StoredFile};
pub use confine::{MAX_NAME_BYTES, MAX_PATH_BYTES, MAX_STEM_BYTES, check_name, is_plain_stem};
pub use error::{NameFault, StoreError};
pub use ramdisk::{RamDisk, Reservation, Usage, disk_size};
