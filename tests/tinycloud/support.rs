//! A station's store and uploader for the tests.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use outpost::base::clock::{Clock, ManualClock};
use outpost::store::batch::BatchSettings;
use outpost::store::readings::{ClockState, DatabaseSettings, Reading, ReadingStore, StoreHandle};
use outpost::store::upload::{ApiSettings, GatewayKey, ScpMode, UploadSettings, Uploader};
use tempfile::TempDir;

use crate::server::{KEY, Tinycloud};

pub struct Station {
    pub folder: TempDir,
    pub clock: Clock,
    pub hand: ManualClock,
    _store: ReadingStore,
    pub handle: StoreHandle,
    pub server: Tinycloud,
    pub settings: UploadSettings,
    seconds: i64,
}

pub fn start() -> Timestamp {
    "2026-11-20T07:30:54Z".parse().unwrap()
}

impl Station {
    pub fn new() -> Self {
        Self::with_database(|_| {})
    }

    /// As `prepare` leaves the folder, its database in `readings.db`.
    pub fn with_database(prepare: impl FnOnce(&std::path::Path)) -> Self {
        // In memory where that is: power cuts are not this test's matter, and thousands of commits are slow on a card.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let folder = folder.unwrap();
        prepare(folder.path());
        let (clock, hand) = Clock::manual(start());
        let server = Tinycloud::start(&clock);
        let database = DatabaseSettings {
            boot: "boot-1".into(),
            legacy_uploaded_dir: Some(folder.path().join("uploaded")),
            ..DatabaseSettings::new(folder.path().join("readings.db"))
        };
        let store = ReadingStore::start(database, 1000, clock.clone()).unwrap();
        let at = |name: &str| -> PathBuf { folder.path().join(name) };
        let settings = UploadSettings {
            api: ApiSettings {
                api: server.api(),
                ..ApiSettings::default()
            },
            key_file: at("gateway_key.txt"),
            batch: BatchSettings {
                pending_dir: at("pending"),
                batch_mode: "PASS".into(),
                batch_type: "OPC".into(),
                max_rows: 10_000,
                max_waiting: 64,
            },
            uploaded_dir: at("uploaded"),
            rejected_dir: at("rejected"),
            ssh_dir: at("ssh"),
            scp: ScpMode::Legacy,
            delete_batch_on_upload: false,
            delete_readings: false,
            retention_days: 0,
            reserve_bytes: 0,
        };
        GatewayKey::parse(KEY)
            .unwrap()
            .store(&settings.key_file)
            .unwrap();
        let handle = store.handle();
        Station {
            folder,
            clock,
            hand,
            _store: store,
            handle,
            server,
            settings,
            seconds: 0,
        }
    }

    /// Commits `n` readings of `gadget`, 10 s apart.
    pub fn log(&mut self, gadget: &str, n: usize) {
        let mut last = None;
        for _ in 0..n {
            let reading = Reading {
                gadget_id: gadget.into(),
                utc: start() + Duration::from_secs(self.seconds.unsigned_abs()),
                monotonic_ms: self.seconds * 1000,
                temperature_c: Some(21.5),
                ..Reading::default()
            };
            self.seconds += 10;
            last = Some(self.handle.append(reading).unwrap());
        }
        if let Some(pending) = last {
            pending.wait().unwrap();
        }
    }

    pub fn clock_state(&self) -> ClockState {
        ClockState {
            is_set: true,
            utc: self.clock.utc(),
            monotonic_ms: 0,
        }
    }

    /// An uploader whose files go to the server's stand-in.
    pub fn uploader(&self) -> Uploader {
        let server = self.server.clone();
        Uploader::new(
            self.settings.clone(),
            self.handle.clone(),
            self.clock.clone(),
        )
        .with_sender(move |delivery| server.take_file(delivery))
    }

    /// Passes until no batch waits, the clock moved on in between; how many passes it took.
    pub fn settle(&self, uploader: &mut Uploader) -> usize {
        for n in 1..10_000 {
            let pass = uploader.pass(outpost::store::upload::Scope::Due).unwrap();
            let Some(next) = pass.next else { return n };
            let wait = next
                .duration_since(self.clock.utc())
                .max(jiff::SignedDuration::from_secs(1));
            self.hand.advance(wait.unsigned_abs());
        }
        panic!("batches wait for ever");
    }

    pub fn files(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join(folder)) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}
