//! Readings on disk: `cargo bench --bench store`.
//!
//! Rows per second beside plain inserts of as many values by the same SQLite, its log and synchronization set alike; a
//! batch of 100 000 rows beside a synced copy of its file; and the way of a reading from the trigger to the committed
//! row, over the simulated counter and bridge, each message of the bridge taking as long as on the USB.

mod support;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use outpost::app::particle_sim;
use outpost::base::clock::Clock;
use outpost::bus::serial::open_native;
use outpost::opcn3::driver::{OpcN3, SPI_HZ};
use outpost::opcn3::proto::{Command, Power};
use outpost::opcn3::sim::{Faults, SimConfig};
use outpost::store::batch::BatchSettings;
use outpost::store::readings::{ClockState, DatabaseSettings, Reading, ReadingStore};
use outpost::store::upload::{ApiSettings, GatewayKey, ScpMode, UploadSettings, Uploader};
use outpost::usbiss::driver::{BAUD, TIMEOUT, UsbIss};
use outpost::usbiss::proto::{Divisor, SpiMode};
use rusqlite::types::Value;

use support::Verdict::{Below, Compared, Plain};
use support::{median, ms, quantile, report};

const ROWS: usize = 100;
/// Many short ones: what else the disk does meanwhile changes from second to second.
const PAIRS: usize = 25;
/// Readings that the store commits together at most.
const GROUP: usize = 128;
const BATCH_ROWS: usize = 100_000;
const READINGS: usize = 20;
const TRIGGER_BUDGET_MS: f64 = 300.0;
/// Values of a row of readings.
const COLUMNS: usize = 76;
/// Of a one-byte frame on USB full speed (opc-n3.md 2.4), the longer figure.
const ROUND_TRIP: Duration = Duration::from_millis(2);

fn main() {
    support::print_machine();
    rows();
    batch();
    trigger_to_row();
}

fn reading(n: usize) -> Reading {
    let value = n as f64;
    Reading {
        gadget_id: "OPC_1".into(),
        utc: Timestamp::from_second(1_800_000_000 + n as i64).expect("a time"),
        monotonic_ms: n as i64 * 1000,
        temperature_c: Some(20.0 + value.sin()),
        humidity_percent: Some(45.0),
        bins_per_cm3: std::array::from_fn(|bin| Some((value + bin as f64).sqrt())),
        bin_counts: std::array::from_fn(|bin| Some((n + bin) as u64)),
        ..Reading::default()
    }
}

fn store(folder: &Path) -> ReadingStore {
    let settings = DatabaseSettings::new(folder.join("readings.db"));
    ReadingStore::start(settings, 8192, Clock::real()).expect("a store")
}

/// Beside the target folder: temporary folders may be in memory, where syncing costs nothing.
fn folder() -> tempfile::TempDir {
    let here = Path::new(env!("CARGO_TARGET_TMPDIR"));
    tempfile::tempdir_in(here).expect("a folder")
}

/// One row after the other, each waited for, as the counter's come; and many at once, as after a locked file.
fn rows() {
    let folder = folder();
    let store = store(folder.path());
    let floor = plain_table(&folder.path().join("floor.db"));
    let append = |n: usize| store.handle().append(reading(n)).expect("room");
    append(0).wait().expect("committed");
    let mut next = 1;
    let (mut single, mut queued) = (Figures::default(), Figures::default());
    for _ in 0..PAIRS {
        single.floor(ROWS, || (0..ROWS).for_each(|n| plain_rows(&floor, n, 1)));
        single.figure(ROWS, || {
            for n in next..next + ROWS {
                append(n).wait().expect("committed");
            }
        });
        next += ROWS;
        let rows = ROWS * 10;
        // As many rows in a transaction as the store takes at most.
        queued.floor(rows, || {
            (0..rows)
                .step_by(GROUP)
                .for_each(|n| plain_rows(&floor, n, GROUP.min(rows - n)));
        });
        queued.figure(rows, || {
            let pending: Vec<_> = (next..next + rows).map(&append).collect();
            for pending in pending {
                pending.wait().expect("committed");
            }
        });
        next += rows;
    }
    single.report("rows, each committed before the next");
    queued.report("rows, queued");
    let handle = store.handle();
    let checkpoint = handle.call_blocking(|database| database.checkpoint());
    checkpoint.expect("checkpoint");
    let size = fs::metadata(folder.path().join("readings.db")).map_or(0, |data| data.len());
    let bytes = size as f64 / next as f64;
    report("bytes a row in the database", bytes, "B", Plain);
    store.close();
}

/// Rows per second of the store and of its floor, in turns.
#[derive(Default)]
struct Figures {
    floors: Vec<f64>,
    rates: Vec<f64>,
}

impl Figures {
    fn floor(&mut self, rows: usize, work: impl FnOnce()) {
        self.floors.push(rows as f64 / timed(work).as_secs_f64());
    }

    fn figure(&mut self, rows: usize, work: impl FnOnce()) {
        self.rates.push(rows as f64 / timed(work).as_secs_f64());
    }

    fn report(self, what: &str) {
        let pairs = self.floors.iter().zip(&self.rates);
        let ratios = pairs.map(|(floor, rate)| floor / rate).collect();
        let floor = format!("{what}: plain inserts");
        report(&floor, median(self.floors), "1/s", Plain);
        report(what, median(self.rates), "1/s", Compared(median(ratios)));
    }
}

/// A table as wide as the readings', with the same log, synchronization and index.
fn plain_table(path: &Path) -> rusqlite::Connection {
    let columns: Vec<String> = (3..COLUMNS).map(|n| format!("c{n} REAL")).collect();
    let table = format!(
        "PRAGMA synchronous = FULL;
         CREATE TABLE t (n INTEGER PRIMARY KEY AUTOINCREMENT, stamp TEXT NOT NULL, gadget VARCHAR, {});
         CREATE INDEX t_gadget ON t (gadget);",
        columns.join(", ")
    );
    let connection = rusqlite::Connection::open(path).expect("a database");
    let mode = "PRAGMA journal_mode = WAL";
    let mode: String = connection
        .query_row(mode, [], |row| row.get(0))
        .expect("a mode");
    assert_eq!(mode, "wal");
    connection.execute_batch(&table).expect("a table");
    connection
}

/// So many rows in one transaction.
fn plain_rows(connection: &rusqlite::Connection, first: usize, n: usize) {
    let marks = vec!["?"; COLUMNS - 1].join(",");
    let sql = format!("INSERT INTO t VALUES (NULL, {marks})");
    connection.execute_batch("BEGIN IMMEDIATE").expect("begun");
    for n in first..first + n {
        let numbers = (3..COLUMNS).map(|column| Value::Real(((n + column) as f64).sqrt()));
        let texts = ["2027-01-15 08:00:00", "OPC_1"].map(|text| Value::Text(text.into()));
        let mut statement = connection.prepare_cached(&sql).expect("SQL");
        let values = rusqlite::params_from_iter(texts.into_iter().chain(numbers));
        statement.execute(values).expect("inserted");
    }
    connection.execute_batch("COMMIT").expect("committed");
}

fn batch() {
    let folder = folder();
    let store = store(folder.path());
    for first in (0..BATCH_ROWS).step_by(5000) {
        let pending: Vec<_> = (first..first + 5000)
            .map(|n| store.handle().append(reading(n)).expect("room"))
            .collect();
        for pending in pending {
            pending.wait().expect("committed");
        }
    }
    let mut uploader = Uploader::new(settings(folder.path()), store.handle(), Clock::real());
    let clock = ClockState {
        is_set: true,
        utc: Clock::real().utc(),
        monotonic_ms: 0,
    };
    // The peak begins anew from what is used now.
    fs::write("/proc/self/clear_refs", "5").expect("Linux");
    let before = peak_kilobytes();
    let begun = Instant::now();
    let made = uploader.make_batches(&clock).expect("a batch");
    let took = begun.elapsed();
    assert_eq!(
        made.iter().map(|batch| batch.n_rows).sum::<i64>(),
        BATCH_ROWS as i64
    );
    let growth = peak_kilobytes().saturating_sub(before) as f64 / 1024.0;
    let zip = folder.path().join("pending").join(made[0].zip_name());
    let copying = timed(|| {
        let copy = folder.path().join("copy");
        fs::copy(&zip, &copy).expect("copied");
        let file = File::open(&copy).expect("a file");
        file.sync_all().expect("synced");
    });
    let size = fs::metadata(&zip).expect("a file").len() as f64 / 1e6;
    report("its file", size, "MB", Plain);
    report("a synced copy of it", ms(copying), "ms", Plain);
    let what = format!("a batch of {BATCH_ROWS} rows");
    let ratio = took.as_secs_f64() / copying.as_secs_f64();
    report(&what, ms(took), "ms", Compared(ratio));
    let rate = BATCH_ROWS as f64 / took.as_secs_f64();
    report("rows into a batch", rate, "1/s", Plain);
    report(
        "growth of the largest memory meanwhile",
        growth,
        "MiB",
        Plain,
    );
    store.close();
}

fn settings(folder: &Path) -> UploadSettings {
    let at = |name: &str| folder.join(name);
    let key = GatewayKey::parse("0123456789abcdef0123").expect("a key");
    key.store(&at("key")).expect("a file");
    UploadSettings {
        api: ApiSettings::default(),
        key_file: at("key"),
        batch: BatchSettings {
            pending_dir: at("pending"),
            batch_mode: "PASS".into(),
            batch_type: "OPC".into(),
            max_rows: BATCH_ROWS as u32,
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
    }
}

/// A port whose messages take their time.
struct Usb<P>(P);

impl<P: Write> Write for Usb<P> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        std::thread::sleep(ROUND_TRIP);
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<P: Read> Read for Usb<P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// A histogram asked for, checked, and in the database for good.
fn trigger_to_row() {
    let folder = folder();
    let store = store(folder.path());
    let link = folder.path().join("tty");
    let port = particle_sim::start(Clock::real(), SimConfig::default(), Faults::none(), &link)
        .expect("a simulated counter");
    let tty = Usb(open_native(port.path(), BAUD, TIMEOUT).expect("a port"));
    let divisor = Divisor::for_hz(SPI_HZ).expect("a divisor");
    let bridge = UsbIss::open(tty, SpiMode::Mode1, divisor).expect("a bridge");
    let mut counter = OpcN3::fresh(bridge);
    for power in [Power::Fan(true), Power::Laser(true)] {
        counter
            .run(&Command::Power(power), std::thread::sleep)
            .expect("it obeys");
        std::thread::sleep(Duration::from_millis(700));
    }
    let times: Vec<Duration> = (0..READINGS)
        .map(|n| {
            std::thread::sleep(Duration::from_millis(500));
            let begun = Instant::now();
            counter
                .run(&Command::Histogram, std::thread::sleep)
                .expect("a histogram");
            let pending = store.handle().append(reading(n)).expect("room");
            pending.wait().expect("committed");
            begun.elapsed()
        })
        .collect();
    let what = "trigger to committed row, 2 ms a message of the bridge";
    report(
        what,
        ms(quantile(&times, 0.5)),
        "ms",
        Below(TRIGGER_BUDGET_MS),
    );
    report("the longest", ms(quantile(&times, 1.0)), "ms", Plain);
    store.close();
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// The most memory this process has had.
fn peak_kilobytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.expect("a figure").parse().expect("a number")
}
