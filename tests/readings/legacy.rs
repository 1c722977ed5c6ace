//! Databases of the older logger, and its own SQL.

use outpost::store::readings::{LEGACY_COLUMNS, ReadingsError};
use rusqlite::Connection;

use crate::support::{legacy_copy, open, reading, settings, start};

const RECENT: &str = "SELECT * FROM Readings ORDER BY rdg_no DESC LIMIT 10";

fn names(connection: &Connection) -> Vec<String> {
    let statement = connection.prepare(RECENT).unwrap();
    statement.column_names().map(Into::into).collect()
}

#[test]
fn an_old_database_keeps_its_rows_and_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = legacy_copy(folder.path());
    let mut database = open(&path);
    let rows = database.recent(10).unwrap();
    assert_eq!(rows.iter().map(|r| r.rdg_no).collect::<Vec<_>>(), [3, 2, 1]);
    let second = &rows[1];
    assert_eq!(second.timestamp, "2026-11-20 07:30");
    assert_eq!(second.gadget_id.as_deref(), Some("TST_001"));
    assert_eq!(second.value("temp"), Some(31.8));
    assert_eq!(second.value("bin_0"), Some(32.1));
    assert_eq!(second.value("checksum"), Some(31259.0));
    assert_eq!(database.append([&reading("TST_001", 0)]).unwrap(), [4]);
    drop(database);
    let again = open(&path);
    assert_eq!(again.count().unwrap(), 4);
    again.check_integrity().unwrap();
}

#[test]
fn the_old_tools_queries_read_a_new_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.db");
    let mut database = open(&path);
    for second in 0..12 {
        database.append([&reading("O'Brien", second * 10)]).unwrap();
    }
    let old = Connection::open(&path).unwrap();
    let wanted: Vec<&str> = LEGACY_COLUMNS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names(&old)[..45], wanted[..]);
    let mut statement = old.prepare(RECENT).unwrap();
    let numbers: Vec<i64> = statement
        .query_map([], |row| row.get("rdg_no"))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(numbers, [12, 11, 10, 9, 8, 7, 6, 5, 4, 3]);
    // What the old batch maker issues, in its order.
    old.execute_batch(
        "CREATE TABLE IF NOT EXISTS Batches (
              source_id integer PRIMARY KEY AUTOINCREMENT,
              timestamp text NOT NULL,
              gadget_id REAL,
              reading_start REAL,
              reading_end REAL,
              batchid VARCHAR 
              );",
    )
    .unwrap();
    let mut ends = old
        .prepare("SELECT reading_end FROM Batches ORDER BY reading_end DESC LIMIT 1")
        .unwrap();
    assert!(ends.query([]).unwrap().next().unwrap().is_none());
    let (number, stamp, gadget, temperature): (i64, String, String, f64) = old
        .query_row(
            "SELECT * FROM Readings ORDER BY rdg_no DESC LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .unwrap();
    assert_eq!((number, gadget.as_str()), (12, "O'Brien"));
    assert_eq!(stamp, "2026-11-20 08:01:50");
    assert_eq!(temperature, 21.456);
}

#[test]
fn the_old_loggers_insert_still_works() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.db");
    let database = open(&path);
    let columns: Vec<String> = LEGACY_COLUMNS[1..]
        .iter()
        .map(|(name, _)| format!("'{name}'"))
        .collect();
    let numbers = vec!["1.5"; 42].join(",");
    let sql = format!(
        "INSERT INTO Readings ({}) VALUES ('2026-11-20 09:00','TST_001',{numbers})",
        columns.join(", ")
    );
    Connection::open(&path).unwrap().execute(&sql, []).unwrap();
    let row = &database.recent(1).unwrap()[0];
    assert_eq!(row.flags.0, 0);
    assert_eq!(row.value("checksum"), Some(1.5));
}

#[test]
fn the_nine_column_layout_is_replaced_and_its_rows_kept() {
    for particles in ["pm_01, pm_25, pm_10", "pm01, pm25, pm10"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("short.db");
        let columns: Vec<String> = particles.split(", ").map(|c| format!("{c} REAL")).collect();
        Connection::open(&path)
            .unwrap()
            .execute_batch(&format!(
                "CREATE TABLE Readings (rdg_no integer PRIMARY KEY AUTOINCREMENT, timestamp text NOT NULL,
                 gadget_id REAL, temp REAL, rh REAL, {}, raw_data VARCHAR);
                 INSERT INTO Readings VALUES (7, '2026-11-20 07:30', 'TST_001', 20, 50, 1, 2, 3, 'x');
                 INSERT INTO Readings VALUES (9, '2026-11-20 07:31', 'TST_001', 21, 51, 1, 2, 4, 'x');
                 DELETE FROM Readings WHERE rdg_no = 9;",
                columns.join(", ")
            ))
            .unwrap();
        let mut database = open(&path);
        let rows = database.recent(10).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].rdg_no, rows[0].value("pm_10")), (7, Some(3.0)));
        assert_eq!(rows[0].gadget_id.as_deref(), Some("TST_001"));
        assert_eq!(rows[0].value("bin_0"), None);
        // Number 9 was given once.
        assert_eq!(database.append([&reading("TST_001", 0)]).unwrap(), [10]);
    }
}

#[test]
fn a_table_of_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE Readings (meter TEXT, kwh REAL)")
        .unwrap();
    let error = outpost::store::readings::Database::open(settings(&path), start()).unwrap_err();
    assert!(
        matches!(error, ReadingsError::ForeignTable { .. }),
        "{error}"
    );
    let columns: i64 = Connection::open(&path)
        .unwrap()
        .query_row(
            "SELECT count(*) FROM pragma_table_info('Readings')",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(columns, 2);
}
