//! The tables, as SQL.

use jiff::Timestamp;

use super::{Flags, ReadingsError};

/// The 45 columns of the older logger: name and declared type, in its order.
pub const LEGACY_COLUMNS: [(&str, &str); 45] = [
    ("rdg_no", "INTEGER PRIMARY KEY AUTOINCREMENT"),
    ("timestamp", "TEXT NOT NULL"),
    ("gadget_id", "VARCHAR"),
    ("temp", "REAL"),
    ("rh", "REAL"),
    ("pm_01", "REAL"),
    ("pm_25", "REAL"),
    ("pm_10", "REAL"),
    ("bin_0", "REAL"),
    ("bin_1", "REAL"),
    ("bin_2", "REAL"),
    ("bin_3", "REAL"),
    ("bin_4", "REAL"),
    ("bin_5", "REAL"),
    ("bin_6", "REAL"),
    ("bin_7", "REAL"),
    ("bin_8", "REAL"),
    ("bin_9", "REAL"),
    ("bin_10", "REAL"),
    ("bin_11", "REAL"),
    ("bin_12", "REAL"),
    ("bin_13", "REAL"),
    ("bin_14", "REAL"),
    ("bin_15", "REAL"),
    ("bin_16", "REAL"),
    ("bin_17", "REAL"),
    ("bin_18", "REAL"),
    ("bin_19", "REAL"),
    ("bin_20", "REAL"),
    ("bin_21", "REAL"),
    ("bin_22", "REAL"),
    ("bin_23", "REAL"),
    ("bin1_mtof", "REAL"),
    ("bin3_mtof", "REAL"),
    ("bin5_mtof", "REAL"),
    ("bin7_mtof", "REAL"),
    ("sampling_period", "REAL"),
    ("sample_flow_rate", "REAL"),
    ("reject_count_glitch", "REAL"),
    ("reject_count_longtof", "REAL"),
    ("reject_count_ratio", "REAL"),
    ("reject_count_outofrange", "REAL"),
    ("fan_rev_count", "REAL"),
    ("last_status", "REAL"),
    ("checksum", "REAL"),
];

/// Our own columns, after the old ones; `count_0` .. `count_23` (INTEGER) follow them. All may be left out of an
/// INSERT, as the older logger does.
pub const OWN_COLUMNS: [(&str, &str); 7] = [
    ("utc_ms", "INTEGER"),
    ("monotonic_ms", "INTEGER"),
    ("boot", "TEXT"),
    ("flags", "INTEGER NOT NULL DEFAULT 0"),
    ("n_frames", "INTEGER"),
    ("volume_ml", "REAL"),
    ("last_status_min", "REAL"),
];

/// What is kept of every batch, for ever: the upload's state machine.
pub(super) const CREATE_BATCHES: &str = "
CREATE TABLE IF NOT EXISTS upload_batches (
    source_id INTEGER PRIMARY KEY AUTOINCREMENT,
    source_ref TEXT NOT NULL UNIQUE,
    gadget_id VARCHAR,
    first_rdg INTEGER NOT NULL,
    last_rdg INTEGER NOT NULL,
    n_rows INTEGER NOT NULL,
    state TEXT NOT NULL,       -- building, ready, requested, sending, sent, uploaded, rejected
    zip_name TEXT,
    zip_size INTEGER,          -- bytes
    zip_md5 TEXT,
    batchid TEXT,
    domain TEXT,
    port INTEGER,
    destination TEXT,
    creds_until INTEGER,       -- UTC, ms
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try INTEGER NOT NULL DEFAULT 0,  -- UTC, ms
    last_error TEXT,
    created INTEGER NOT NULL,  -- UTC, ms
    sent INTEGER,              -- UTC, ms
    done INTEGER,              -- UTC, ms
    filed INTEGER NOT NULL DEFAULT 0,     -- files moved or deleted after the end
    rows_deleted INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS upload_batches_gadget ON upload_batches (gadget_id, last_rdg);
CREATE INDEX IF NOT EXISTS upload_batches_state ON upload_batches (state, filed);";

/// The names of all our own columns with their types.
pub(super) fn own_columns() -> impl Iterator<Item = (String, &'static str)> {
    let counts = (0..super::BIN_COUNT).map(|bin| (format!("count_{bin}"), "INTEGER"));
    OWN_COLUMNS
        .iter()
        .map(|&(name, kind)| (name.to_owned(), kind))
        .chain(counts)
}

/// `CREATE TABLE` of the readings.
pub(super) fn create_readings(table: &str) -> String {
    let columns: Vec<String> = LEGACY_COLUMNS
        .iter()
        .map(|&(name, kind)| (name.to_owned(), kind))
        .chain(own_columns())
        .map(|(name, kind)| format!("{name} {kind}"))
        .collect();
    format!("CREATE TABLE {table} ({})", columns.join(", "))
}

/// `INSERT` of every column but the number, as positional parameters.
pub(super) fn insert_reading(table: &str) -> String {
    let names: Vec<String> = LEGACY_COLUMNS[1..]
        .iter()
        .map(|&(name, _)| name.to_owned())
        .chain(own_columns().map(|(name, _)| name))
        .collect();
    let marks = vec!["?"; names.len()].join(",");
    format!("INSERT INTO {table} ({}) VALUES ({marks})", names.join(","))
}

/// What holds for a row whose stamp was taken before the clock was set, word for word as the index of such rows has it.
pub(super) fn clock_unset() -> String {
    format!("flags & {}", Flags::CLOCK_UNSET.0)
}

/// The 45 old columns, separated by commas.
pub(super) fn legacy_list() -> String {
    LEGACY_COLUMNS.map(|(name, _)| name).join(",")
}

/// Accepts `[A-Za-z_][A-Za-z0-9_]*` of at most 64 characters: the name is pasted into SQL.
///
/// # Errors
/// [`ReadingsError::TableName`] for anything else, and for names that SQLite or the batches use.
pub fn check_table_name(name: &str) -> Result<(), ReadingsError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let fits = (1..=64).contains(&name.len())
        && name.bytes().all(plain)
        && !name.as_bytes()[0].is_ascii_digit();
    let lower = name.to_ascii_lowercase();
    let taken = ["batches", "upload_batches"].contains(&lower.as_str());
    if fits && !taken && !lower.starts_with("sqlite_") {
        Ok(())
    } else {
        Err(ReadingsError::TableName(name.to_owned()))
    }
}

/// `YYYY-MM-DD HH:MM:SS` in UTC.
pub(super) fn timestamp_text(utc_ms: i64) -> String {
    let utc = Timestamp::from_millisecond(utc_ms).unwrap_or_default();
    utc.strftime("%Y-%m-%d %H:%M:%S").to_string()
}
