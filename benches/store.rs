//! Readings on disk: `cargo bench --bench store`.
//!
//! Rows per second beside a floor of the same run, the same bytes appended to a file and synced; a batch of 100 000
//! rows; and the way of a reading from the trigger to the committed row, over the simulated counter and bridge.
//!
//! The simulated bridge answers at once, so the third figure is what program and handshake take; a real bridge adds the
//! round trips of its one-byte frames, 1 to 2 ms each, which is stated beside it.

mod support;

use std::fs::{self, File};
use std::io::Write;
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

use support::Verdict::{Below, Compared, Plain};
use support::{median, ms, quantile, report};

const ROWS: usize = 500;
const PAIRS: usize = 5;
const BATCH_ROWS: usize = 100_000;
const READINGS: usize = 20;
const TRIGGER_BUDGET_MS: f64 = 300.0;
/// One poll that is answered busy, one that is answered ready, and the 86 bytes of the histogram.
const FRAMES: u32 = 88;
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
    store
        .handle()
        .append(reading(0))
        .expect("room")
        .wait()
        .expect("committed");
    let size = |n: usize| {
        (fs::metadata(folder.path().join("readings.db")).map_or(0, |m| m.len())) as usize / n
    };
    let mut next = 1;
    let (mut ratios, mut rates, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    // As many bytes as a row has in the log of the database.
    let bytes = vec![7; 4096];
    for _ in 0..PAIRS {
        let floor = timed(|| {
            let mut file = File::create(folder.path().join("floor")).expect("a file");
            for _ in 0..ROWS {
                file.write_all(&bytes).expect("written");
                file.sync_data().expect("synced");
            }
        });
        let took = timed(|| {
            for _ in 0..ROWS {
                let pending = store.handle().append(reading(next)).expect("room");
                pending.wait().expect("committed");
                next += 1;
            }
        });
        ratios.push(took.as_secs_f64() / floor.as_secs_f64());
        rates.push(ROWS as f64 / took.as_secs_f64());
        floors.push(ROWS as f64 / floor.as_secs_f64());
    }
    report("a page appended and synced", median(floors), "1/s", Plain);
    let ratio = Compared(median(ratios));
    report(
        "rows, each committed before the next",
        median(rates),
        "1/s",
        ratio,
    );
    let took = timed(|| {
        let pending: Vec<_> = (0..ROWS * 10)
            .map(|n| store.handle().append(reading(next + n)).expect("room"))
            .collect();
        for pending in pending {
            pending.wait().expect("committed");
        }
    });
    let rate = (ROWS * 10) as f64 / took.as_secs_f64();
    report("rows, queued", rate, "1/s", Plain);
    store
        .handle()
        .call_blocking(|database| database.checkpoint())
        .expect("checkpoint");
    report(
        "bytes a row in the database",
        size(next + ROWS * 10) as f64,
        "B",
        Plain,
    );
    store.close();
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
    let before = peak_kilobytes();
    let begun = Instant::now();
    let made = uploader.make_batches(&clock).expect("a batch");
    let took = begun.elapsed();
    assert_eq!(
        made.iter().map(|batch| batch.n_rows).sum::<i64>(),
        BATCH_ROWS as i64
    );
    let what = format!("a batch of {BATCH_ROWS} rows");
    report(&what, ms(took), "ms", Plain);
    let rate = BATCH_ROWS as f64 / took.as_secs_f64();
    report("rows into a batch", rate, "1/s", Plain);
    let growth = peak_kilobytes().saturating_sub(before) as f64 / 1024.0;
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

/// A histogram asked for, checked, and in the database for good.
fn trigger_to_row() {
    let folder = folder();
    let store = store(folder.path());
    let link = folder.path().join("tty");
    let port = particle_sim::start(Clock::real(), SimConfig::default(), Faults::none(), &link)
        .expect("a simulated counter");
    let tty = open_native(port.path(), BAUD, TIMEOUT).expect("a port");
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
    let measured = quantile(&times, 0.5);
    report(
        "trigger to committed row, bridge at once",
        ms(measured),
        "ms",
        Plain,
    );
    let what = format!("the same with {FRAMES} round trips of 2 ms (computed)");
    let real = ms(measured + ROUND_TRIP * FRAMES);
    report(&what, real, "ms", Below(TRIGGER_BUDGET_MS));
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
