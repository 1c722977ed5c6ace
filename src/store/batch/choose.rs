//! Which rows the next batches hold.

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};

use super::{Batch, BatchSettings, BatchState, find};
use crate::store::readings::{ClockState, Database, Flags, ReadingsError};

/// Rows stamped with an unset clock wait this long for the clock.
const UNSET_CLOCK_WAIT_MS: i64 = 24 * 3600 * 1000;

/// Chooses the rows that no batch holds yet, gadget by gadget, and records batches of them in state
/// [`BatchState::Building`]; none when there is nothing new.
///
/// Stamps taken before the clock was set are corrected first ([`Database::set_clock`]). While it is not set, rows
/// wait for it, for a day at most. No more than [`BatchSettings::max_waiting`] batches wait for their upload; beyond
/// that rows stay in the database alone.
///
/// # Errors
/// What SQLite says; the batches recorded before that stay.
pub fn choose(
    database: &mut Database,
    settings: &BatchSettings,
    clock: &ClockState,
) -> Result<Vec<Batch>, ReadingsError> {
    database.set_clock(clock)?;
    let mut chosen = Vec::new();
    for gadget in gadgets(database)? {
        while let Some(source_ref) = choose_next(database, gadget.as_deref(), settings, clock)? {
            chosen.extend(find(database, &source_ref)?);
        }
    }
    Ok(chosen)
}

/// Records the rows that no batch holds yet as uploaded, a record a gadget and no file; how many rows. For readings that
/// the receiver has had by other means, such as those of an older program.
///
/// # Errors
/// What SQLite says; gadgets done before that stay done.
pub fn mark_sent(database: &mut Database, now: Timestamp) -> Result<u64, ReadingsError> {
    let mut marked = 0;
    for gadget in gadgets(database)? {
        let table = database.settings().table.clone();
        let transaction = database
            .connection()
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let Some(range) = next_range(&transaction, &table, gadget.as_deref(), i64::MAX, -1)? else {
            continue;
        };
        let source_ref = record(&transaction, gadget.as_deref(), range, now)?;
        transaction.execute(
            "UPDATE upload_batches SET state = ?, done = created, filed = 1 WHERE source_ref = ?",
            params![BatchState::Uploaded.word(), source_ref],
        )?;
        transaction.commit()?;
        marked += range.2.unsigned_abs();
    }
    Ok(marked)
}

/// Every gadget in the table, found by stepping along the index: the table may be long.
fn gadgets(database: &mut Database) -> Result<Vec<Option<String>>, ReadingsError> {
    let table = database.settings().table.clone();
    let sql = format!(
        "WITH RECURSIVE gadget(id) AS (
             SELECT min(gadget_id) FROM {table}
             UNION ALL
             SELECT (SELECT min(gadget_id) FROM {table} WHERE gadget_id > gadget.id) FROM gadget WHERE id IS NOT NULL
         )
         SELECT id FROM gadget WHERE id IS NOT NULL
         UNION ALL SELECT NULL WHERE EXISTS (SELECT 1 FROM {table} WHERE gadget_id IS NULL)"
    );
    let mut statement = database.connection().prepare_cached(&sql)?;
    let gadgets = statement.query_map([], |row| row.get(0))?;
    Ok(gadgets.collect::<Result<_, _>>()?)
}

fn choose_next(
    database: &mut Database,
    gadget: Option<&str>,
    settings: &BatchSettings,
    clock: &ClockState,
) -> Result<Option<String>, ReadingsError> {
    let (table, boot) = {
        let settings = database.settings();
        (settings.table.clone(), settings.boot.clone())
    };
    // Immediate: nobody else may choose the same rows between looking and recording.
    let transaction = database
        .connection()
        .transaction_with_behavior(TransactionBehavior::Immediate)?;
    let waiting: i64 = transaction.query_row(
        "SELECT count(*) FROM upload_batches WHERE state NOT IN ('uploaded', 'rejected')",
        [],
        |row| row.get(0),
    )?;
    if waiting >= i64::from(settings.max_waiting) {
        return Ok(None);
    }
    let end = match clock.is_set {
        true => i64::MAX,
        false => first_waiting_for_clock(&transaction, &table, gadget, &boot, clock)?,
    };
    let limit = settings.max_rows.max(1).into();
    let Some(range) = next_range(&transaction, &table, gadget, end, limit)? else {
        return Ok(None);
    };
    let source_ref = record(&transaction, gadget, range, clock.utc)?;
    transaction.commit()?;
    Ok(Some(source_ref))
}

/// The gadget's rows before `end` that no batch holds: first, last, and how many; at most `limit`, -1 for all.
fn next_range(
    connection: &Connection,
    table: &str,
    gadget: Option<&str>,
    end: i64,
    limit: i64,
) -> Result<Option<(i64, i64, i64)>, rusqlite::Error> {
    let sql = format!(
        "SELECT min(rdg_no), max(rdg_no), count(*) FROM (
             SELECT rdg_no FROM {table} WHERE gadget_id IS ?1 AND rdg_no < ?2 AND rdg_no >
                 (SELECT ifnull(max(last_rdg), 0) FROM upload_batches WHERE gadget_id IS ?1)
             ORDER BY rdg_no LIMIT ?3)"
    );
    let (first, last, n_rows): (Option<i64>, Option<i64>, i64) = connection
        .prepare_cached(&sql)?
        .query_row(
        params![gadget, end, limit],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    Ok(first.zip(last).map(|(first, last)| (first, last, n_rows)))
}

/// The gadget's first row whose stamp may still be corrected, or no limit.
fn first_waiting_for_clock(
    connection: &Connection,
    table: &str,
    gadget: Option<&str>,
    boot: &str,
    clock: &ClockState,
) -> Result<i64, rusqlite::Error> {
    // Rows of an earlier run cannot be corrected, but the clock may yet tell which year it is now.
    let sql = format!(
        "SELECT ifnull(min(rdg_no), ?1) FROM {table} WHERE gadget_id IS ?2 AND flags & ?3
         AND rdg_no > (SELECT ifnull(max(last_rdg), 0) FROM upload_batches WHERE gadget_id IS ?2)
         AND ?4 - CASE WHEN boot = ?5 THEN ifnull(monotonic_ms, ?4) ELSE 0 END < ?6"
    );
    connection.query_row(
        &sql,
        params![
            i64::MAX,
            gadget,
            Flags::CLOCK_UNSET.0,
            clock.monotonic_ms,
            boot,
            UNSET_CLOCK_WAIT_MS
        ],
        |row| row.get(0),
    )
}

fn record(
    connection: &Connection,
    gadget: Option<&str>,
    (first, last, n_rows): (i64, i64, i64),
    now: Timestamp,
) -> Result<String, rusqlite::Error> {
    // The name holds the number, which is known only once the row is there.
    connection
        .prepare_cached(
            "INSERT INTO upload_batches (source_ref, gadget_id, first_rdg, last_rdg, n_rows, state, created)
             VALUES ('new', ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            gadget,
            first,
            last,
            n_rows,
            BatchState::Building.word(),
            now.as_millisecond()
        ])?;
    let source_id = connection.last_insert_rowid();
    let source_ref = format!("{}_{source_id}", now.strftime("%Y-%m-%d_%H:%M"));
    connection
        .prepare_cached("UPDATE upload_batches SET source_ref = ? WHERE source_id = ?")?
        .execute(params![source_ref, source_id])?;
    Ok(source_ref)
}
