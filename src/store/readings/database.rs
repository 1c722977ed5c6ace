//! The file, opened: rows in and out. Used by the store's thread alone, or by a test.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params, params_from_iter};

use super::migrate::{self, Opened};
use super::schema::{self, timestamp_text};
use super::{ClockState, Flags, Reading, ReadingsError, StoredReading, check_table_name};

/// Where the readings are and how the file is used.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// The file; made when it is missing.
    pub path: PathBuf,
    /// The readings' table.
    pub table: String,
    /// A name for this run of the machine (the kernel's boot id): rows of the same run share a monotonic clock.
    pub boot: String,
    /// How long SQLite waits for another program's lock.
    pub busy_timeout: Duration,
    /// The older uploader's folder of uploaded batches: what it uploaded counts as sent.
    pub legacy_uploaded_dir: Option<PathBuf>,
    /// The largest file, in pages of SQLite (4096 bytes); 0 = no limit but the disk's.
    pub max_pages: u32,
}

impl DatabaseSettings {
    /// The usual settings for this file: table `Readings`, 5 s for a lock, no limit.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            table: "Readings".into(),
            boot: String::new(),
            busy_timeout: Duration::from_secs(5),
            legacy_uploaded_dir: None,
            max_pages: 0,
        }
    }
}

/// An open database of readings.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
    settings: DatabaseSettings,
    insert: String,
    last_ms: HashMap<String, i64>,
    moved_aside: Option<PathBuf>,
}

impl Database {
    /// Opens or makes the file: checks it, moves a damaged one aside (`<name>.damaged-<time>`, with its log files)
    /// and begins anew, brings an older layout up to date in one transaction, and switches to write-ahead logging
    /// with full synchronization, so that a committed row survives a power cut.
    ///
    /// # Errors
    /// A name that is no table name, a table of something else, or what SQLite says.
    pub fn open(settings: DatabaseSettings, now: Timestamp) -> Result<Self, ReadingsError> {
        check_table_name(&settings.table)?;
        let Opened {
            connection,
            moved_aside,
        } = migrate::open(&settings, now)?;
        Ok(Database {
            connection,
            insert: schema::insert_reading(&settings.table),
            settings,
            last_ms: HashMap::new(),
            moved_aside,
        })
    }

    /// Where a damaged file was moved when this one was opened.
    pub fn moved_aside(&self) -> Option<&Path> {
        self.moved_aside.as_deref()
    }

    /// The settings it was opened with.
    pub fn settings(&self) -> &DatabaseSettings {
        &self.settings
    }

    /// The connection, for what other parts of the store keep in the same file.
    pub(in crate::store) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Keeps readings in one transaction: all or none. Their numbers, in order.
    ///
    /// A stamp that does not lie after the gadget's previous one is moved to one second after it.
    ///
    /// # Errors
    /// What SQLite says; nothing was kept then.
    pub fn append<'a>(
        &mut self,
        readings: impl IntoIterator<Item = &'a Reading>,
    ) -> Result<Vec<i64>, ReadingsError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut numbers = Vec::new();
        let mut last = HashMap::new();
        {
            let mut statement = transaction.prepare_cached(&self.insert)?;
            for reading in readings {
                let gadget = &reading.gadget_id;
                let known = last.get(gadget).or_else(|| self.last_ms.get(gadget));
                let previous = match known {
                    Some(&ms) => Some(ms),
                    None => last_stamp(&transaction, &self.settings.table, gadget)?,
                };
                let utc_ms = next_stamp(reading.utc.as_millisecond(), previous);
                let values = row_values(reading, utc_ms, &self.settings.boot);
                statement.execute(params_from_iter(values))?;
                numbers.push(transaction.last_insert_rowid());
                last.insert(gadget.clone(), utc_ms);
            }
        }
        transaction.commit()?;
        self.last_ms.extend(last);
        Ok(numbers)
    }

    /// The newest `n` rows, newest first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn recent(&self, n: u32) -> Result<Vec<StoredReading>, ReadingsError> {
        let sql = format!(
            "SELECT {}, flags FROM {} ORDER BY rdg_no DESC LIMIT ?",
            schema::legacy_list(),
            self.settings.table
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map([n], stored_reading)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Up to `limit` rows of a gadget with `after < rdg_no <= last`, in order.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn rows(
        &self,
        gadget: Option<&str>,
        after: i64,
        last: i64,
        limit: u32,
    ) -> Result<Vec<StoredReading>, ReadingsError> {
        let sql = format!(
            "SELECT {}, flags FROM {} WHERE gadget_id IS ? AND rdg_no > ? AND rdg_no <= ? ORDER BY rdg_no LIMIT ?",
            schema::legacy_list(),
            self.settings.table
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![gadget, after, last, limit], stored_reading)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Rows in the table.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn count(&self) -> Result<u64, ReadingsError> {
        let sql = format!("SELECT count(*) FROM {}", self.settings.table);
        let count: i64 = self.connection.query_row(&sql, [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// SQLite's thorough check of the whole file.
    ///
    /// # Errors
    /// [`ReadingsError::Damaged`] with the first thing it found.
    pub fn check_integrity(&self) -> Result<(), ReadingsError> {
        let report: String = self
            .connection
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if report == "ok" {
            return Ok(());
        }
        Err(ReadingsError::Damaged {
            path: self.settings.path.clone(),
            report,
        })
    }

    /// Corrects the stamps of this run's rows that were taken before the clock was set; how many.
    ///
    /// The rows' monotonic times keep their distances, `clock` gives the instant they are counted from. Does
    /// nothing while the clock is not set.
    ///
    /// # Errors
    /// What SQLite says; nothing was corrected then.
    pub fn set_clock(&mut self, clock: &ClockState) -> Result<usize, ReadingsError> {
        if !clock.is_set {
            return Ok(0);
        }
        let zero = clock
            .utc
            .as_millisecond()
            .saturating_sub(clock.monotonic_ms);
        let sql = correction(&self.settings.table);
        let values = params![zero, Flags::CLOCK_UNSET.0, self.settings.boot];
        let changed = self.connection.execute(&sql, values)?;
        if changed > 0 {
            self.last_ms.clear();
        }
        Ok(changed)
    }

    /// Sets the largest size of the file, in pages of SQLite; see [`DatabaseSettings::max_pages`].
    ///
    /// # Errors
    /// What SQLite says.
    pub fn set_max_pages(&mut self, pages: u32) -> Result<(), ReadingsError> {
        let sql = format!("PRAGMA max_page_count = {pages}");
        self.connection.query_row(&sql, [], |_| Ok(()))?;
        self.settings.max_pages = pages;
        Ok(())
    }

    /// Gives back the log's disk space after a clean-up; only when no other program reads.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn checkpoint(&self) -> Result<(), ReadingsError> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

/// What [`Database::set_clock`] does.
fn correction(table: &str) -> String {
    format!(
        "UPDATE {table} SET utc_ms = monotonic_ms + ?1,
         timestamp = strftime('%Y-%m-%d %H:%M:%S', (monotonic_ms + ?1) / 1000, 'unixepoch'), flags = flags & ~?2
         WHERE {} AND boot = ?3 AND monotonic_ms IS NOT NULL",
        schema::clock_unset()
    )
}

/// The stamp of a gadget's newest row that has one in UTC; the older logger's local times do not count.
fn last_stamp(
    connection: &Connection,
    table: &str,
    gadget: &str,
) -> Result<Option<i64>, rusqlite::Error> {
    let sql = format!(
        "SELECT utc_ms FROM {table} WHERE gadget_id = ? AND utc_ms IS NOT NULL ORDER BY rdg_no DESC LIMIT 1"
    );
    connection
        .prepare_cached(&sql)?
        .query_row([gadget], |row| row.get(0))
        .optional()
}

/// Whole seconds tell rows apart downstream, so stamps of one gadget differ in them.
fn next_stamp(utc_ms: i64, previous: Option<i64>) -> i64 {
    let second = |ms: i64| ms.div_euclid(1000);
    match previous {
        Some(previous) if second(utc_ms) <= second(previous) => (second(previous) + 1) * 1000,
        _ => utc_ms,
    }
}

fn real(value: Option<f64>) -> Value {
    match value {
        Some(number) if number.is_finite() => Value::Real(number),
        _ => Value::Null,
    }
}

fn integer(value: Option<u64>) -> Value {
    match value.map(i64::try_from) {
        Some(Ok(number)) => Value::Integer(number),
        _ => Value::Null,
    }
}

/// The values of `insert_reading`'s parameters, in its order.
fn row_values(reading: &Reading, utc_ms: i64, boot: &str) -> Vec<Value> {
    let mut values = vec![
        Value::Text(timestamp_text(utc_ms)),
        Value::Text(reading.gadget_id.clone()),
        real(reading.temperature_c),
        real(reading.humidity_percent),
    ];
    values.extend(reading.pm_ug_m3.map(real));
    values.extend(reading.bins_per_cm3.map(real));
    values.extend(reading.mtof_us.map(real));
    values.push(real(reading.sampling_period_s));
    values.push(real(reading.sample_flow_rate_ml_s));
    values.extend(reading.rejects.map(real));
    values.push(real(reading.fan_rev_count));
    values.push(real(reading.last_status));
    values.push(real(reading.checksum));
    values.push(Value::Integer(utc_ms));
    values.push(Value::Integer(reading.monotonic_ms));
    values.push(Value::Text(boot.to_owned()));
    values.push(Value::Integer(i64::from(reading.flags.0)));
    values.push(integer(reading.n_frames.map(u64::from)));
    values.push(real(reading.volume_ml));
    values.push(real(reading.last_status_min));
    values.extend(reading.bin_counts.map(integer));
    values
}

/// A row of the 45 old columns and the flags. Older tools may have put text where numbers belong: that reads as NULL.
fn stored_reading(row: &Row<'_>) -> Result<StoredReading, rusqlite::Error> {
    let columns = super::LEGACY_COLUMNS.len();
    let mut values = Vec::with_capacity(columns - 3);
    for column in 3..columns {
        values.push(match row.get_ref(column)? {
            ValueRef::Real(number) => Some(number),
            ValueRef::Integer(number) => Some(number as f64),
            _ => None,
        });
    }
    Ok(StoredReading {
        rdg_no: row.get(0)?,
        timestamp: text(row.get_ref(1)?).unwrap_or_default(),
        gadget_id: text(row.get_ref(2)?),
        values,
        flags: Flags(row.get(columns)?),
    })
}

fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Null => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table holds years; this is asked for with every batch, and readings wait meanwhile.
    #[test]
    fn stamps_are_corrected_without_reading_the_whole_table() {
        let folder = tempfile::tempdir().unwrap();
        let settings = DatabaseSettings::new(folder.path().join("r.db"));
        let database = Database::open(settings, Timestamp::UNIX_EPOCH).unwrap();
        let sql = format!("EXPLAIN QUERY PLAN {}", correction("Readings"));
        let mut plan = database.connection.prepare(&sql).unwrap();
        let steps: Vec<String> = plan
            .query_map(params![0, 2, "boot"], |row| row.get(3))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(
            steps,
            ["SEARCH Readings USING INDEX Readings_unset (boot=?)"]
        );
    }
}
