//! SIGKILL during inserts: what was acknowledged is there.
//!
//! The test runs itself again as a writer that prints every acknowledged number, kills it at some moment, and looks.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use outpost::base::clock::Clock;
use outpost::store::readings::ReadingStore;

use crate::support::{open, reading, settings};

const FILE: &str = "OUTPOST_TEST_WRITER";
const KILLS: usize = 200;

/// The writer's side; does nothing in an ordinary run.
#[test]
fn writer() {
    let Ok(path) = std::env::var(FILE) else {
        return;
    };
    let store = ReadingStore::start(settings(path), 100, Clock::real()).unwrap();
    let handle = store.handle();
    let mut out = std::io::stdout();
    for second in 0.. {
        let number = handle.append(reading("A", second)).unwrap().wait().unwrap();
        if writeln!(out, "row {number}").is_err() {
            return;
        }
    }
}

#[test]
fn two_hundred_kills_lose_no_acknowledged_row() {
    // In memory where that is: a killed process loses nothing that it handed to the system, on whatever disk.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = folder.unwrap();
    let path = folder.path().join("r.db");
    let mut acknowledged = 0_i64;
    for kill in 0..KILLS {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::writer", "--nocapture"])
            .env(FILE, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let wanted = 1 + kill % 7;
        let mut seen = 0;
        while seen < wanted {
            let line = lines.next().unwrap().unwrap();
            if let Some(number) = line.rsplit("row ").next().and_then(|n| n.parse().ok()) {
                acknowledged = number;
                seen += 1;
            }
        }
        writer.kill().unwrap();
        // What was printed before the kill counts as well.
        for line in lines.map_while(Result::ok) {
            if let Some(number) = line.rsplit("row ").next().and_then(|n| n.parse().ok()) {
                acknowledged = number;
            }
        }
        writer.wait().unwrap();
        let database = open(&path);
        database.check_integrity().unwrap();
        // The kill may fall between a commit and its acknowledgement: one row more, never one less.
        let rows = database.count().unwrap() as i64;
        assert!(
            rows == acknowledged || rows == acknowledged + 1,
            "{rows} rows, {acknowledged} acknowledged"
        );
        assert_eq!(database.recent(1).unwrap()[0].rdg_no, rows);
        assert!(database.moved_aside().is_none());
    }
}
