//! What a row holds.

use outpost::store::readings::{ClockState, Flags, Reading, check_table_name};

use crate::support::{open, reading, start};

#[test]
fn values_keep_their_precision_and_what_is_no_number_is_null() {
    let folder = tempfile::tempdir().unwrap();
    let mut database = open(&folder.path().join("r.db"));
    let taken = Reading {
        humidity_percent: Some(f64::NAN),
        pm_ug_m3: [Some(1.23456789), Some(f64::INFINITY), None],
        flags: Flags::WARM_UP.with(Flags::GAP),
        ..reading("A", 0)
    };
    database.append([&taken]).unwrap();
    let row = &database.recent(1).unwrap()[0];
    assert_eq!(row.value("bin_0"), Some(32.0993));
    assert_eq!(row.value("pm_01"), Some(1.23456789));
    assert_eq!(row.value("pm_25"), None);
    assert_eq!(row.value("pm_10"), None);
    assert_eq!(row.value("rh"), None);
    assert!(row.flags.has(Flags::WARM_UP) && !row.flags.has(Flags::CLOCK_UNSET));
}

#[test]
fn stamps_of_one_gadget_always_move_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.db");
    let mut database = open(&path);
    database
        .append([&reading("A", 10), &reading("A", 10)])
        .unwrap();
    drop(database);
    let mut database = open(&path);
    database
        .append([&reading("A", 3), &reading("B", 3)])
        .unwrap();
    let mut stamps: Vec<_> = database
        .recent(4)
        .unwrap()
        .into_iter()
        .map(|row| (row.gadget_id.unwrap(), row.timestamp))
        .collect();
    stamps.sort();
    let text: Vec<String> = stamps
        .iter()
        .map(|(g, t)| format!("{g} {}", &t[11..]))
        .collect();
    assert_eq!(
        text,
        ["A 08:00:10", "A 08:00:11", "A 08:00:12", "B 08:00:03"]
    );
}

#[test]
fn rows_before_the_clock_was_set_are_corrected_once_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut database = open(&folder.path().join("r.db"));
    let wrong = Reading {
        utc: "1970-01-01T00:01:00Z".parse().unwrap(),
        monotonic_ms: 60_000,
        flags: Flags::CLOCK_UNSET.with(Flags::WARM_UP),
        ..reading("A", 0)
    };
    database.append([&wrong]).unwrap();
    let mut clock = ClockState {
        is_set: false,
        utc: start(),
        monotonic_ms: 90_000,
    };
    assert_eq!(database.set_clock(&clock).unwrap(), 0);
    clock.is_set = true;
    assert_eq!(database.set_clock(&clock).unwrap(), 1);
    assert_eq!(database.set_clock(&clock).unwrap(), 0);
    let row = &database.recent(1).unwrap()[0];
    assert_eq!(row.timestamp, "2026-11-20 07:59:30");
    assert_eq!(row.flags, Flags::WARM_UP);
}

#[test]
fn table_names_are_plain() {
    for good in ["Readings", "_r2", "opc_n3"] {
        check_table_name(good).unwrap();
    }
    for bad in [
        "",
        "2r",
        "a b",
        "a;b",
        "é",
        "Batches",
        "upload_batches",
        "sqlite_x",
    ] {
        assert!(check_table_name(bad).is_err(), "{bad}");
    }
}
