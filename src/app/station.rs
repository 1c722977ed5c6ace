//! Building the station: each part gets what it needs and nothing else.

mod vitals;

use std::cell::OnceCell;
use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use smol::LocalExecutor;
use smol::channel::Sender;
use smol::lock::Semaphore;

use super::AppError;
use super::instruments::{Common, Fitted, Instruments};
use super::readings::{self, WallClock};
use crate::base::clock::Clock;
use crate::base::conditions::{Condition, Conditions};
use crate::base::error::{Failure, Kind};
use crate::base::health::{Health, HealthBook, State};
use crate::base::jobs::Jobs;
use crate::base::pool::BlockingPool;
use crate::base::shutdown::{Shutdown, Trigger};
use crate::bus::gpio::StatusLed;
use crate::config::{Config, Loaded};
use crate::server::{CameraStart, Identity, LegacyPaths, RECORDINGS, Services, tree};
use crate::store::RamDisk;
use crate::store::readings::ReadingStore;

/// Where the Raspberry Pi's firmware puts the board's serial number.
const SERIAL: &str = "/proc/device-tree/serial-number";
/// How often the room on the RAM disk is looked at.
const STORAGE_LOOK: Duration = Duration::from_secs(10);

/// Blocking operations at a time, and how many may wait.
const THREADS: usize = 4;
const QUEUE: usize = 64;
/// Archives written at a time, and how many may wait.
const ARCHIVES: usize = 2;

/// A running station.
pub(super) struct Station {
    pub(super) services: Rc<Services>,
    /// Ends when every instrument has come to rest.
    pub(super) instruments: Pin<Box<dyn Future<Output = ()>>>,
    pub(super) clock: Clock,
    /// Goes out when dropped.
    pub(super) status_led: Option<StatusLed>,
}

/// Opens storage and starts the instruments. Sessions come to nothing before this returned.
pub(super) fn build(
    loaded: &Loaded,
    executor: Rc<LocalExecutor<'static>>,
    trigger: Trigger,
    shutdown: Shutdown,
    alive: Sender<()>,
) -> Result<Station, AppError> {
    let clock = Clock::real();
    let ramdisk = open_storage(&loaded.config)?;
    let health = HealthBook::new(clock.clone());
    let parts = register(&health);
    let readings = readings::open(loaded, &clock, &parts.readings);
    let common = Common {
        conditions: Conditions::default(),
        jobs: Jobs::new(clock.clone()),
        pool: BlockingPool::new(THREADS, QUEUE, parts.server.clone(), "pool_overflows"),
        serial: board_serial(loaded),
        readings: readings.as_ref().map(ReadingStore::handle),
        wall_clock: WallClock::new(&clock, loaded.board.is_simulated()),
        executor,
        clock,
        health,
        ramdisk,
        shutdown,
    };
    let mut fitted = Fitted::default();
    let instruments = Instruments::start(loaded, &common, &parts, &mut fitted);
    watch_storage(&common, parts.store);
    watch_readings(&common, parts.readings);
    vitals::watch(&common, &loaded.board);
    let clock = common.clock.clone();
    let tasks = std::mem::take(&mut fitted.tasks);
    let server = Server {
        health: parts.server,
        trigger,
        alive,
    };
    Ok(Station {
        services: Rc::new(services(loaded, common, fitted, instruments, server)),
        instruments: Box::pin(async move {
            for task in tasks {
                task.await;
            }
            // Last: what the instruments handed over until now is committed.
            if let Some(store) = readings {
                smol::unblock(|| store.close()).await;
            }
        }),
        clock,
        status_led: light_status_led(loaded),
    })
}

/// What the server alone needs.
struct Server {
    health: Health,
    trigger: Trigger,
    alive: Sender<()>,
}

fn services(
    loaded: &Loaded,
    common: Common,
    fitted: Fitted,
    instruments: Instruments,
    server: Server,
) -> Services {
    let config = &loaded.config;
    Services {
        identity: identity(loaded, &common.serial),
        board: board_json(loaded, &common.serial),
        executor: common.executor,
        clock: common.clock,
        conditions: common.conditions,
        health: common.health,
        jobs: common.jobs,
        pool: common.pool,
        ramdisk: common.ramdisk,
        readings: common.readings,
        shutdown: common.shutdown,
        // Archives take minutes and all the processors they can get: they must not stand before listings and downloads.
        archives: BlockingPool::new(
            ARCHIVES,
            ARCHIVES,
            server.health.clone(),
            "archive_overflows",
        ),
        recordings: Arc::new(Semaphore::new(RECORDINGS)),
        server_health: server.health,
        faults: fitted.faults,
        traces: fitted.traces,
        options: fitted.options,
        websockets: fitted.websockets,
        endpoints: OnceCell::new(),
        camera: instruments.camera,
        camera_start: CameraStart {
            fps: config.camera.fps,
            analogue_gain: config.camera.analogue_gain,
        },
        thermal: instruments.thermal,
        particles: instruments.particles,
        cloud: instruments.cloud,
        scope: instruments.scope,
        spectrometer: instruments.spectrometer,
        spectrometer_tls: instruments.spectrometer_tls,
        clock_settable: !loaded.board.is_simulated(),
        paths: legacy_paths(config),
        legacy_settle: Duration::from_millis(config.scpi.legacy_settle_ms.into()),
        legacy_close_stops_service: config.scpi.legacy_close_stops_service,
        trigger: server.trigger,
        tree: tree(),
        alive: server.alive,
    }
}

/// The entries of the parts in the health book.
pub(super) struct Parts {
    pub(super) camera: Health,
    pub(super) thermal: Health,
    pub(super) particles: Health,
    pub(super) scope: Health,
    pub(super) spectrometer: Health,
    server: Health,
    store: Health,
    readings: Health,
    pub(super) cloud: Health,
}

/// Enters every part in the health book, in the order it is shown.
fn register(health: &HealthBook) -> Parts {
    let camera = health.register("camera", State::Disabled);
    let thermal = health.register("tcam", State::Disabled);
    let particles = health.register("opc", State::Disabled);
    let spectrometer = health.register("msp1000", State::Disabled);
    let scope = health.register("bitscope", State::Disabled);
    let cloud = health.register("tinycloud", State::Disabled);
    let server = health.register("server", State::Ready);
    for counter in [
        "connections",
        "refused_clients",
        "stalled_clients",
        "overlong_messages",
        "http_requests",
        "http_refusals",
        "websockets",
    ] {
        server.add(counter, 0);
    }
    Parts {
        camera,
        thermal,
        particles,
        scope,
        spectrometer,
        server,
        store: health.register("store", State::Ready),
        readings: health.register("readings", State::Disabled),
        cloud,
    }
}

fn open_storage(config: &Config) -> Result<RamDisk, AppError> {
    let storage = &config.storage;
    let ramdisk = RamDisk::open(&storage.ramdisk, &storage.images, storage.ramdisk_limit_mb)
        .map_err(AppError::RamDisk)?;
    match ramdisk.sweep() {
        Ok(0) => {}
        Ok(files) => tracing::info!(files, "removed unfinished files of an earlier run"),
        Err(error) => tracing::warn!(%error, "cannot remove unfinished files of an earlier run"),
    }
    fs::create_dir_all(&storage.data).map_err(|source| AppError::Data {
        path: storage.data.clone(),
        source,
    })?;
    Ok(ramdisk)
}

/// Raises `StorageLow` while little room is left.
fn watch_storage(common: &Common, health: Health) {
    let (clock, pool) = (common.clock.clone(), common.pool.clone());
    let (ramdisk, conditions) = (common.ramdisk.clone(), common.conditions.clone());
    let watch = async move {
        let mut low = None;
        loop {
            let disk = ramdisk.clone();
            match pool.run(move || disk.usage()).await {
                Ok(Ok(usage)) if usage.is_low() => {
                    if low.is_none() {
                        low = Some(conditions.raise(Condition::StorageLow));
                        let message = format!("{} bytes left on the RAM disk", usage.free);
                        conditions.announce(&Failure::new(Kind::Full, message));
                    }
                    let reason = format!("{} bytes free on the RAM disk", usage.free);
                    health.set(State::Degraded { reason });
                }
                Ok(Ok(_)) => {
                    low = None;
                    health.set(State::Ready);
                }
                Ok(Err(error)) => health.set(State::Degraded {
                    reason: error.to_string(),
                }),
                Err(_) => {}
            }
            clock.sleep(STORAGE_LOOK).await;
        }
    };
    common.executor.spawn(watch).detach();
}

fn watch_readings(common: &Common, health: Health) {
    if let Some(store) = common.readings.clone() {
        readings::watch(
            &common.executor,
            &common.clock,
            &common.conditions,
            &common.wall_clock,
            health,
            store,
        );
    }
}

fn light_status_led(loaded: &Loaded) -> Option<StatusLed> {
    let (chip, line) = (loaded.board.gpio.as_ref()?, loaded.board.lines.status_led?);
    StatusLed::light(&chip.label, line.gpio, line.active_low)
        .inspect_err(|error| tracing::warn!(%error, "no status light"))
        .ok()
}

fn board_serial(loaded: &Loaded) -> String {
    if loaded.board.is_simulated() {
        return "0".into();
    }
    let text = fs::read_to_string(Path::new(SERIAL)).unwrap_or_default();
    let serial: String = text
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(20)
        .collect();
    if serial.is_empty() {
        "0".into()
    } else {
        serial
    }
}

fn identity(loaded: &Loaded, serial: &str) -> Identity {
    let plain = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
    let board: String = loaded.board.id.chars().filter(plain).take(20).collect();
    Identity {
        maker: "Outpost".into(),
        model: format!("Station-{board}"),
        serial: serial.to_owned(),
        version: env!("CARGO_PKG_VERSION").into(),
    }
}

fn board_json(loaded: &Loaded, serial: &str) -> String {
    let wires: Vec<_> = loaded
        .board
        .wiring(&loaded.config)
        .into_iter()
        .map(|wire| serde_json::json!({"pin": wire.pin, "line": wire.line, "function": wire.function, "to": wire.to}))
        .collect();
    serde_json::json!({
        "board": loaded.board.id,
        "name": loaded.board.name,
        "description": loaded.board.description,
        "model": loaded.detected.model,
        "serial": serial,
        "simulated": loaded.board.is_simulated(),
        "wiring": wires,
    })
    .to_string()
}

fn legacy_paths(config: &Config) -> LegacyPaths {
    let text = |path: &Path| path.display().to_string();
    LegacyPaths {
        ramdisk: text(&config.storage.ramdisk),
        images: text(&config.storage.images),
        sdcard: text(&config.storage.sdcard),
    }
}
