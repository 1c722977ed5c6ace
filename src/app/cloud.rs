//! Batches and uploads: configuration to settings, in the station and for a command that finds none running.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::readings::{self, WallClock};
use crate::base::clock::Clock;
use crate::cloud::Options;
use crate::config::{BatchMode, Loaded, ScpProtocol};
use crate::store::batch::BatchSettings;
use crate::store::readings::{ClockState, ReadingStore, ReadingsError};
use crate::store::upload::{ApiSettings, ScpMode, UploadSettings, device_id};

/// Batches that wait for their upload at most. What is read beyond that waits in the database, and goes into larger
/// batches.
const WAITING: u32 = 64;
/// Kept free for readings: this share of the file system, up to this many bytes.
const RESERVE_SHARE: u64 = 20;
const RESERVE_BYTES: u64 = 256 << 20;
/// Where Linux tells the processor's serial number.
const CPUINFO: &str = "/proc/cpuinfo";

/// What the configuration says of the uploader.
pub(crate) fn settings(loaded: &Loaded) -> UploadSettings {
    let (cloud, data) = (&loaded.config.tinycloud, &loaded.config.storage.data);
    let mode = match cloud.batch_mode {
        BatchMode::Live => "LIVE",
        BatchMode::Test => "TEST",
        BatchMode::Pass => "PASS",
    };
    UploadSettings {
        api: ApiSettings {
            api: cloud.api.clone(),
            ca_file: cloud.ca_file.clone(),
            allow_http: cloud.allow_http,
            limit: None,
        },
        key_file: cloud.gateway_key_file.clone(),
        batch: BatchSettings {
            pending_dir: cloud.pending_dir.clone(),
            batch_mode: mode.into(),
            batch_type: cloud.batch_type.clone(),
            max_rows: cloud.max_rows,
            max_waiting: WAITING,
        },
        uploaded_dir: cloud.uploaded_dir.clone(),
        rejected_dir: data.join("batches/rejected"),
        ssh_dir: data.join("ssh"),
        scp: match cloud.scp {
            ScpProtocol::Legacy => ScpMode::Legacy,
            ScpProtocol::Sftp => ScpMode::Sftp,
        },
        delete_batch_on_upload: cloud.delete_batch_on_upload,
        delete_readings: cloud.delete_reading_on_zip || cloud.retention_days > 0,
        retention_days: cloud.retention_days,
        reserve_bytes: reserve(data),
    }
}

/// The registration's name for this machine.
pub(crate) fn this_device() -> String {
    device_id(&fs::read_to_string(CPUINFO).unwrap_or_default())
}

/// The readings where no station has them, and what is known of the time.
///
/// # Errors
/// What the store says.
pub(crate) fn open_store(loaded: &Loaded) -> Result<(ReadingStore, ClockState), ReadingsError> {
    let clock = Clock::real();
    let wall = WallClock::new(&clock, loaded.board.is_simulated());
    let store = ReadingStore::start(readings::settings(loaded), 1, clock)?;
    Ok((store, wall.state()))
}

pub(super) fn options(loaded: &Loaded, wall: &WallClock) -> Options {
    let cloud = &loaded.config.tinycloud;
    let wall = wall.clone();
    Options {
        enabled: cloud.enabled,
        upload: settings(loaded),
        batch_interval: Duration::from_secs(cloud.batch_interval_s.into()),
        upload_interval: Duration::from_secs(cloud.upload_interval_s.into()),
        device_id: this_device(),
        clock_state: Box::new(move || wall.state()),
    }
}

fn reserve(data: &Path) -> u64 {
    let size = rustix::fs::statvfs(data)
        .map_or(u64::MAX, |disk| disk.f_blocks.saturating_mul(disk.f_frsize));
    (size / RESERVE_SHARE).min(RESERVE_BYTES)
}
