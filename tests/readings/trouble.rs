//! A locked file, a full disk, a damaged file, a full queue.

use std::time::Duration;

use outpost::base::clock::{Clock, ManualClock};
use outpost::base::error::Kind;
use outpost::store::readings::{
    Database, DatabaseSettings, ReadingStore, ReadingsError, StoreHandle, StoreState,
};
use rusqlite::Connection;

use crate::support::{open, reading, settings, start};

fn run(settings: DatabaseSettings, queue: usize) -> (ReadingStore, StoreHandle, ManualClock) {
    let (clock, hand) = Clock::manual(start());
    let store = ReadingStore::start(settings, queue, clock).unwrap();
    let handle = store.handle();
    (store, handle, hand)
}

/// Returns once the store's thread has gone through what was handed over before, or failed to.
fn stalled(handle: &StoreHandle) -> outpost::base::error::Failure {
    loop {
        if let StoreState::Stalled(failure) = handle.status().state {
            return failure;
        }
        std::thread::yield_now();
    }
}

/// Moves the clock on until the store has recovered.
fn recover(handle: &StoreHandle, hand: &ManualClock) {
    while handle.status().state != StoreState::Ready {
        hand.advance(Duration::from_secs(30));
        std::thread::yield_now();
    }
}

#[test]
fn a_locked_file_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.db");
    let (store, handle, hand) = run(settings(&path), 100);
    handle.append(reading("A", 0)).unwrap().wait().unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let waiting: Vec<_> = (1..50)
        .map(|second| handle.append(reading("A", second)).unwrap())
        .collect();
    assert_eq!(stalled(&handle).kind, Kind::Busy);
    other.execute_batch("COMMIT").unwrap();
    recover(&handle, &hand);
    for (number, pending) in waiting.into_iter().enumerate() {
        assert_eq!(pending.wait().unwrap(), number as i64 + 2);
    }
    assert_eq!(handle.status().stored, 50);
    store.close();
    assert_eq!(open(&path).count().unwrap(), 50);
}

#[test]
fn a_full_disk_fills_the_queue_and_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.db");
    let limited = DatabaseSettings {
        max_pages: 24,
        ..settings(&path)
    };
    let (store, handle, hand) = run(limited, 100);
    let mut acknowledged = 0;
    let mut waiting = Vec::new();
    let error = loop {
        match handle.append(reading("A", acknowledged + waiting.len() as i64)) {
            Err(error) => break error,
            Ok(pending) if handle.status().state == StoreState::Ready => {
                // Only one is under way at a time until the disk is full.
                match smol::block_on(futures_lite::future::or(
                    async { Some(pending.committed().await) },
                    async {
                        while handle.status().state == StoreState::Ready {
                            futures_lite::future::yield_now().await;
                        }
                        None
                    },
                )) {
                    Some(number) => acknowledged = number.unwrap(),
                    None => waiting.push(None),
                }
            }
            Ok(pending) => waiting.push(Some(pending)),
        }
    };
    assert!(
        matches!(error, ReadingsError::QueueFull { waiting: 100 }),
        "{error}"
    );
    assert_eq!(stalled(&handle).kind, Kind::Full);
    assert_eq!(handle.status().lost, 1);
    assert!(waiting.len() > 100);
    // What was acknowledged is readable meanwhile.
    let rows = handle
        .call_blocking(|database| database.recent(1000))
        .unwrap();
    assert_eq!(rows.len() as i64, acknowledged);
    handle
        .call_blocking(|database| database.set_max_pages(100_000))
        .unwrap();
    recover(&handle, &hand);
    store.close();
    let database = open(&path);
    assert_eq!(
        database.count().unwrap() as i64,
        acknowledged + waiting.len() as i64
    );
    database.check_integrity().unwrap();
}

#[test]
fn a_damaged_file_is_moved_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.db");
    std::fs::write(
        &path,
        b"this is no database, but somebody's text".repeat(200),
    )
    .unwrap();
    let mut database = Database::open(settings(&path), start()).unwrap();
    let aside = database.moved_aside().unwrap().to_owned();
    assert_eq!(aside.file_name().unwrap(), "r.db.damaged-20261120T080000Z");
    assert!(std::fs::read(aside).unwrap().starts_with(b"this is no"));
    assert_eq!(database.append([&reading("A", 0)]).unwrap(), [1]);
}

#[test]
fn closing_commits_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.db");
    let (store, handle, _hand) = run(settings(&path), 1000);
    for second in 0..500 {
        handle.append(reading("A", second)).unwrap();
    }
    store.close();
    assert_eq!(open(&path).count().unwrap(), 500);
    assert!(matches!(
        handle.append(reading("A", 0)),
        Err(ReadingsError::Closed)
    ));
}
