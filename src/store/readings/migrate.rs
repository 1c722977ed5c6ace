//! Opening: the check, damaged files, older layouts.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::schema::{self, CREATE_BATCHES, LEGACY_COLUMNS};
use super::{DatabaseSettings, ReadingsError};

pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) moved_aside: Option<PathBuf>,
}

pub(super) fn open(settings: &DatabaseSettings, now: Timestamp) -> Result<Opened, ReadingsError> {
    if let Some(folder) = settings.path.parent() {
        fs::create_dir_all(folder).map_err(|source| ReadingsError::File {
            path: folder.to_path_buf(),
            source,
        })?;
    }
    match open_checked(settings, now) {
        Err(error) if error.is_damage() => {
            let aside = move_aside(&settings.path, now)?;
            tracing::error!("{error}; moved to {}, a new one begun", aside.display());
            Ok(Opened {
                connection: open_checked(settings, now)?,
                moved_aside: Some(aside),
            })
        }
        opened => Ok(Opened {
            connection: opened?,
            moved_aside: None,
        }),
    }
}

fn open_checked(settings: &DatabaseSettings, now: Timestamp) -> Result<Connection, ReadingsError> {
    let mut connection = Connection::open(&settings.path)?;
    connection.busy_timeout(settings.busy_timeout)?;
    let report: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if report != "ok" {
        return Err(ReadingsError::Damaged {
            path: settings.path.clone(),
            report,
        });
    }
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.execute_batch("PRAGMA synchronous = FULL;")?;
    if settings.max_pages > 0 {
        let sql = format!("PRAGMA max_page_count = {}", settings.max_pages);
        connection.query_row(&sql, [], |_| Ok(()))?;
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    upgrade_readings(&transaction, &settings.table)?;
    upgrade_batches(&transaction, settings, now)?;
    transaction.commit()?;
    Ok(connection)
}

/// Never deletes: the readings in it may still be saved by hand.
fn move_aside(path: &Path, now: Timestamp) -> Result<PathBuf, ReadingsError> {
    let with = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let stamp = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut tail = format!(".damaged-{stamp}");
    for number in 2.. {
        if !with(&tail).exists() {
            break;
        }
        tail = format!(".damaged-{stamp}-{number}");
    }
    for log in ["-wal", "-shm", ""] {
        let from = with(log);
        if log.is_empty() || from.exists() {
            fs::rename(&from, with(&format!("{tail}{log}")))
                .map_err(|source| ReadingsError::File { path: from, source })?;
        }
    }
    Ok(with(&tail))
}

fn columns_of(transaction: &Transaction<'_>, table: &str) -> Result<Vec<String>, rusqlite::Error> {
    let mut statement = transaction.prepare("SELECT name FROM pragma_table_info(?)")?;
    statement.query_map([table], |row| row.get(0))?.collect()
}

fn upgrade_readings(transaction: &Transaction<'_>, table: &str) -> Result<(), ReadingsError> {
    let present = columns_of(transaction, table)?;
    if present.is_empty() {
        transaction.execute(&schema::create_readings(table), [])?;
    } else if is_short_layout(&present) {
        replace_short_layout(transaction, table, &present)?;
    } else {
        add_missing(transaction, table, &present)?;
    }
    let index = format!("CREATE INDEX IF NOT EXISTS {table}_gadget ON {table} (gadget_id)");
    transaction.execute(&index, [])?;
    // Nearly always empty: without it every look for stamps to correct would read the whole table.
    let index = format!(
        "CREATE INDEX IF NOT EXISTS {table}_unset ON {table} (boot) WHERE {}",
        schema::clock_unset()
    );
    transaction.execute(&index, [])?;
    Ok(())
}

/// The nine columns that the older batch maker leaves when it ran before the first reading.
fn is_short_layout(present: &[String]) -> bool {
    present.len() == 9 && present.iter().any(|name| name == "raw_data")
}

fn replace_short_layout(
    transaction: &Transaction<'_>,
    table: &str,
    present: &[String],
) -> Result<(), ReadingsError> {
    let mut old = format!("{table}_short");
    while !columns_of(transaction, &old)?.is_empty() {
        old.push('_');
    }
    transaction.execute(&format!("ALTER TABLE {table} RENAME TO {old}"), [])?;
    transaction.execute(&schema::create_readings(table), [])?;
    // Its first version named the particle columns without underscores.
    let from = present[..8].join(",");
    let to = LEGACY_COLUMNS[..8]
        .iter()
        .map(|(name, _)| *name)
        .collect::<Vec<_>>()
        .join(",");
    transaction.execute(
        &format!("INSERT INTO {table} ({to}) SELECT {from} FROM {old}"),
        [],
    )?;
    carry_sequence(transaction, &old, table)
}

/// Numbers once given are not given again, even where the rows are gone.
fn carry_sequence(
    transaction: &Transaction<'_>,
    from: &str,
    to: &str,
) -> Result<(), ReadingsError> {
    let used: i64 = transaction.query_row(
        "SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name IN (?, ?)",
        [from, to],
        |row| row.get(0),
    )?;
    transaction.execute("DELETE FROM sqlite_sequence WHERE name = ?", [to])?;
    transaction.execute(
        "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)",
        params![to, used],
    )?;
    Ok(())
}

fn add_missing(
    transaction: &Transaction<'_>,
    table: &str,
    present: &[String],
) -> Result<(), ReadingsError> {
    let present: HashSet<&str> = present.iter().map(String::as_str).collect();
    if let Some((column, _)) = LEGACY_COLUMNS
        .iter()
        .find(|(name, _)| !present.contains(name))
    {
        return Err(ReadingsError::ForeignTable {
            table: table.to_owned(),
            column: (*column).to_owned(),
        });
    }
    for (name, kind) in schema::own_columns() {
        if !present.contains(name.as_str()) {
            transaction.execute(&format!("ALTER TABLE {table} ADD COLUMN {name} {kind}"), [])?;
        }
    }
    Ok(())
}

/// Makes the table of batches and, once, takes over what the older uploader had sent.
fn upgrade_batches(
    transaction: &Transaction<'_>,
    settings: &DatabaseSettings,
    now: Timestamp,
) -> Result<(), ReadingsError> {
    let is_new = columns_of(transaction, "upload_batches")?.is_empty();
    transaction.execute_batch(CREATE_BATCHES)?;
    if !is_new || columns_of(transaction, "Batches")?.is_empty() {
        return Ok(());
    }
    if let Some(folder) = &settings.legacy_uploaded_dir {
        let sent = sent_references(folder);
        if let Some((reference, last)) = last_sent(transaction, &sent)? {
            let now = now.as_millisecond();
            mark_sent(transaction, &settings.table, &reference, last, now)?;
        }
    }
    carry_sequence(transaction, "Batches", "upload_batches")
}

/// The `source_ref`s in the request files that the older uploader moved to its folder of uploaded batches.
fn sent_references(folder: &Path) -> HashSet<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return HashSet::new();
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .filter_map(|path| fs::read_to_string(path).ok())
        .filter_map(|text| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("source_ref:"))?;
            Some(line.trim().trim_matches(['\'', '"']).to_owned())
        })
        .collect()
}

/// The old batch with the greatest end among those sent. Every old batch held the whole table up to its end.
fn last_sent(
    transaction: &Transaction<'_>,
    sent: &HashSet<String>,
) -> Result<Option<(String, i64)>, rusqlite::Error> {
    let mut statement = transaction.prepare(
        "SELECT timestamp || '_' || source_id, CAST(reading_end AS INTEGER) FROM Batches
         WHERE reading_end IS NOT NULL ORDER BY reading_end DESC",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let reference: String = row.get(0)?;
        if sent.contains(&reference) {
            return Ok(Some((reference, row.get(1)?)));
        }
    }
    Ok(None)
}

fn mark_sent(
    transaction: &Transaction<'_>,
    table: &str,
    reference: &str,
    last: i64,
    now_ms: i64,
) -> Result<(), rusqlite::Error> {
    // The old tool batched all gadgets together, so one old batch becomes one record for each.
    let sql = format!(
        "INSERT INTO upload_batches (source_ref, gadget_id, first_rdg, last_rdg, n_rows, state, created, done, filed)
         SELECT ?1 || ' ' || ifnull(gadget_id, ''), gadget_id, min(rdg_no), max(rdg_no), count(*), 'uploaded', ?3, ?3, 1
         FROM {table} WHERE rdg_no <= ?2 GROUP BY gadget_id"
    );
    transaction.execute(&sql, params![reference, last, now_ms])?;
    Ok(())
}
