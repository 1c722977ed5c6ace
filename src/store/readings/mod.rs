//! Readings of an instrument in an SQLite file that the older logger's own tools still read.
//!
//! One thread owns the file ([`ReadingStore`]); everybody else holds a [`StoreHandle`]. The layout is the older
//! logger's 45 columns, in its order, then columns of our own (`tinycloud` reference, section 2):
//!
//! | columns | hold |
//! |---|---|
//! | `rdg_no` .. `checksum` | the 45 old ones; values in full precision, NULL for what is not a number |
//! | `timestamp` | `YYYY-MM-DD HH:MM:SS`, UTC (older rows: local time, without seconds) |
//! | `utc_ms`, `monotonic_ms`, `boot` | the stamp in milliseconds, and what corrects it when the clock was not set |
//! | `flags` | [`Flags`], 0 when nothing is to be said |
//! | `n_frames`, `volume_ml`, `last_status_min`, `count_0` .. `count_23` | what was added up to make this row |
//!
//! Numbers are never used again, and rows are never changed but for the stamps of an unset clock
//! ([`Database::set_clock`]).

mod database;
mod error;
mod migrate;
mod record;
mod schema;
mod thread;

pub use database::{Database, DatabaseSettings};
pub use error::ReadingsError;
pub use record::{BIN_COUNT, ClockState, Flags, Reading, StoredReading};
pub use schema::{LEGACY_COLUMNS, OWN_COLUMNS, check_table_name};
pub use thread::{Pending, ReadingStore, StoreHandle, StoreState, StoreStatus};
