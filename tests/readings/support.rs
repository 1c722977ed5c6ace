//! Databases and readings for the tests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use outpost::store::readings::{Database, DatabaseSettings, Reading};

pub fn start() -> Timestamp {
    "2026-11-20T08:00:00Z".parse().unwrap()
}

pub fn settings(path: impl Into<PathBuf>) -> DatabaseSettings {
    DatabaseSettings {
        boot: "boot-1".into(),
        busy_timeout: Duration::ZERO,
        ..DatabaseSettings::new(path)
    }
}

pub fn open(path: &Path) -> Database {
    Database::open(settings(path), start()).unwrap()
}

/// A copy of the database that the older logger wrote.
pub fn legacy_copy(folder: &Path) -> PathBuf {
    let path = folder.join("readings.db");
    std::fs::copy("tests/data/tinycloud/legacy-readings.db", &path).unwrap();
    path
}

/// The reading of `gadget` at `seconds` after the start.
pub fn reading(gadget: &str, seconds: i64) -> Reading {
    Reading {
        gadget_id: gadget.into(),
        utc: start() + jiff::SignedDuration::from_secs(seconds),
        monotonic_ms: seconds * 1000,
        temperature_c: Some(21.456),
        bins_per_cm3: std::array::from_fn(|bin| Some(32.0993 / (bin + 1) as f64)),
        bin_counts: std::array::from_fn(|bin| Some(bin as u64)),
        ..Reading::default()
    }
}
