//! The record of every batch, table `upload_batches`.

use rusqlite::{OptionalExtension, Row, params, params_from_iter};

use crate::store::readings::{Database, ReadingsError};

/// How far a batch has come. Stored as the lower-case word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BatchState {
    /// Its rows are chosen; the files may be missing or incomplete.
    Building,
    /// Its files are whole.
    Ready,
    /// The receiver has given a ticket that has not been used yet.
    Requested,
    /// The file may be on its way, or there: only the receiver knows.
    Sending,
    /// The file has been taken; what the receiver makes of it is not known yet.
    Sent,
    /// The receiver has it.
    Uploaded,
    /// The receiver does not want it.
    Rejected,
}

impl BatchState {
    /// All states, in the order of a batch's life.
    pub const ALL: [BatchState; 7] = [
        BatchState::Building,
        BatchState::Ready,
        BatchState::Requested,
        BatchState::Sending,
        BatchState::Sent,
        BatchState::Uploaded,
        BatchState::Rejected,
    ];

    /// The word in the database.
    pub const fn word(self) -> &'static str {
        match self {
            BatchState::Building => "building",
            BatchState::Ready => "ready",
            BatchState::Requested => "requested",
            BatchState::Sending => "sending",
            BatchState::Sent => "sent",
            BatchState::Uploaded => "uploaded",
            BatchState::Rejected => "rejected",
        }
    }

    /// Whether nothing more happens to it by itself.
    pub const fn is_final(self) -> bool {
        matches!(self, BatchState::Uploaded | BatchState::Rejected)
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// The receiver's leave to send one file, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// 32 hex digits: the file's name there, and the password.
    pub batchid: String,
    /// Host to send to.
    pub domain: String,
    /// Its SSH port.
    pub port: u16,
    /// Folder there, ending in `/`.
    pub destination: String,
    /// When the password expires: UTC, ms.
    pub until_ms: i64,
}

/// One batch's record. Times are UTC in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its number.
    pub source_id: i64,
    /// Its name for good.
    pub source_ref: String,
    /// Whose rows; `None` for rows without a gadget.
    pub gadget_id: Option<String>,
    /// Number of its first row.
    pub first_rdg: i64,
    /// Number of its last row.
    pub last_rdg: i64,
    /// Rows in it.
    pub n_rows: i64,
    /// How far it has come.
    pub state: BatchState,
    /// Size of the zip file in bytes, once made.
    pub zip_size: Option<i64>,
    /// MD5 of the zip file, 32 hex digits, once made.
    pub zip_md5: Option<String>,
    /// The newest ticket.
    pub ticket: Option<Ticket>,
    /// Failures in a row.
    pub attempts: i64,
    /// Not before this time again.
    pub next_try_ms: i64,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// When it was chosen.
    pub created_ms: i64,
    /// When the file was taken.
    pub sent_ms: Option<i64>,
    /// When it was uploaded or rejected.
    pub done_ms: Option<i64>,
    /// Whether its files have been moved or deleted after the end.
    pub filed: bool,
    /// Whether its readings have been deleted.
    pub rows_deleted: bool,
}

impl Batch {
    /// Name of the zip file.
    pub fn zip_name(&self) -> String {
        format!("{}.zip", self.source_ref)
    }

    /// Name of the table of rows, in the zip.
    pub fn csv_name(&self) -> String {
        format!("{}.csv", self.source_ref)
    }

    /// Name of the description, in the zip and beside it.
    pub fn yaml_name(&self) -> String {
        format!("{}.yaml", self.source_ref)
    }
}

const COLUMNS: &str = "source_id, source_ref, gadget_id, first_rdg, last_rdg, n_rows, state, zip_size, zip_md5, \
    batchid, domain, port, destination, creds_until, attempts, next_try, last_error, created, sent, done, filed, \
    rows_deleted";

/// The batches in any of these states, oldest first.
///
/// # Errors
/// What SQLite says.
pub fn in_state(
    database: &mut Database,
    states: &[BatchState],
) -> Result<Vec<Batch>, ReadingsError> {
    let marks = vec!["?"; states.len()].join(",");
    let sql =
        format!("SELECT {COLUMNS} FROM upload_batches WHERE state IN ({marks}) ORDER BY source_id");
    let mut statement = database.connection().prepare_cached(&sql)?;
    let words = params_from_iter(states.iter().map(|state| state.word()));
    let batches = statement.query_map(words, batch)?;
    Ok(batches.collect::<Result<_, _>>()?)
}

/// The batches at their end whose files have not been moved or deleted yet, oldest first.
///
/// # Errors
/// What SQLite says.
pub fn unfiled(database: &mut Database) -> Result<Vec<Batch>, ReadingsError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM upload_batches WHERE state IN ('uploaded', 'rejected') AND filed = 0
         ORDER BY source_id"
    );
    let mut statement = database.connection().prepare_cached(&sql)?;
    let batches = statement.query_map([], batch)?;
    Ok(batches.collect::<Result<_, _>>()?)
}

/// The batches uploaded before this time, oldest first.
///
/// # Errors
/// What SQLite says.
pub fn uploaded_before(
    database: &mut Database,
    before_ms: i64,
) -> Result<Vec<Batch>, ReadingsError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM upload_batches WHERE state = 'uploaded' AND done <= ? ORDER BY source_id"
    );
    let mut statement = database.connection().prepare_cached(&sql)?;
    let batches = statement.query_map([before_ms], batch)?;
    Ok(batches.collect::<Result<_, _>>()?)
}

/// The batches uploaded before this time whose readings have not been deleted, oldest first.
///
/// # Errors
/// What SQLite says.
pub fn with_readings(database: &mut Database, before_ms: i64) -> Result<Vec<Batch>, ReadingsError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM upload_batches WHERE state = 'uploaded' AND done <= ? AND rows_deleted = 0
         ORDER BY source_id"
    );
    let mut statement = database.connection().prepare_cached(&sql)?;
    let batches = statement.query_map([before_ms], batch)?;
    Ok(batches.collect::<Result<_, _>>()?)
}

/// How many batches are in each state, of those that have any.
///
/// # Errors
/// What SQLite says.
pub fn counts(database: &mut Database) -> Result<Vec<(BatchState, u64)>, ReadingsError> {
    let sql = "SELECT state, count(*) FROM upload_batches GROUP BY state";
    let mut statement = database.connection().prepare_cached(sql)?;
    let counts = statement.query_map([], |row| {
        let word: String = row.get(0)?;
        Ok((
            BatchState::parse(&word),
            row.get::<_, i64>(1)?.unsigned_abs(),
        ))
    })?;
    let counts: Vec<_> = counts.collect::<Result<_, _>>()?;
    let known = |(state, n): (Option<BatchState>, u64)| Some((state?, n));
    Ok(counts.into_iter().filter_map(known).collect())
}

/// When the newest batch was chosen: UTC, ms.
///
/// # Errors
/// What SQLite says.
pub fn newest(database: &mut Database) -> Result<Option<i64>, ReadingsError> {
    let sql = "SELECT created FROM upload_batches ORDER BY source_id DESC LIMIT 1";
    let mut statement = database.connection().prepare_cached(sql)?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?)
}

/// The batch of this name.
///
/// # Errors
/// What SQLite says.
pub fn find(database: &mut Database, source_ref: &str) -> Result<Option<Batch>, ReadingsError> {
    let sql = format!("SELECT {COLUMNS} FROM upload_batches WHERE source_ref = ?");
    Ok(database
        .connection()
        .prepare_cached(&sql)?
        .query_row([source_ref], batch)
        .optional()?)
}

/// Stores what may change in a batch; it is on the disk when this returns.
///
/// # Errors
/// What SQLite says.
pub fn save(database: &mut Database, batch: &Batch) -> Result<(), ReadingsError> {
    let ticket = batch.ticket.as_ref();
    database
        .connection()
        .prepare_cached(
            "UPDATE upload_batches SET source_ref = ?, state = ?, zip_name = ?, zip_size = ?, zip_md5 = ?,
             batchid = ?, domain = ?, port = ?, destination = ?, creds_until = ?, attempts = ?, next_try = ?,
             last_error = ?, sent = ?, done = ?, filed = ?, rows_deleted = ? WHERE source_id = ?",
        )?
        .execute(params![
            batch.source_ref,
            batch.state.word(),
            batch.zip_size.map(|_| batch.zip_name()),
            batch.zip_size,
            batch.zip_md5,
            ticket.map(|t| &t.batchid),
            ticket.map(|t| &t.domain),
            ticket.map(|t| t.port),
            ticket.map(|t| &t.destination),
            ticket.map(|t| t.until_ms),
            batch.attempts,
            batch.next_try_ms,
            batch.last_error,
            batch.sent_ms,
            batch.done_ms,
            batch.filed,
            batch.rows_deleted,
            batch.source_id,
        ])?;
    Ok(())
}

/// A batch from a row of `COLUMNS`.
fn batch(row: &Row<'_>) -> Result<Batch, rusqlite::Error> {
    let word: String = row.get("state")?;
    let state = BatchState::parse(&word).ok_or_else(|| {
        let message = format!("unknown batch state {word:?}");
        rusqlite::Error::FromSqlConversionFailure(6, rusqlite::types::Type::Text, message.into())
    })?;
    let ticket = match row.get::<_, Option<String>>("batchid")? {
        None => None,
        Some(batchid) => Some(Ticket {
            batchid,
            domain: row.get("domain")?,
            port: row.get("port")?,
            destination: row.get("destination")?,
            until_ms: row.get("creds_until")?,
        }),
    };
    Ok(Batch {
        source_id: row.get("source_id")?,
        source_ref: row.get("source_ref")?,
        gadget_id: row.get("gadget_id")?,
        first_rdg: row.get("first_rdg")?,
        last_rdg: row.get("last_rdg")?,
        n_rows: row.get("n_rows")?,
        state,
        zip_size: row.get("zip_size")?,
        zip_md5: row.get("zip_md5")?,
        ticket,
        attempts: row.get("attempts")?,
        next_try_ms: row.get("next_try")?,
        last_error: row.get("last_error")?,
        created_ms: row.get("created")?,
        sent_ms: row.get("sent")?,
        done_ms: row.get("done")?,
        filed: row.get("filed")?,
        rows_deleted: row.get("rows_deleted")?,
    })
}
