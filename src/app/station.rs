//! Building the station: each part gets what it needs and nothing else.

use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use smol::LocalExecutor;
use smol::channel::Sender;

use super::AppError;
use crate::base::clock::Clock;
use crate::base::conditions::{Condition, Conditions};
use crate::base::error::{Failure, Kind};
use crate::base::health::{Health, HealthBook, State};
use crate::base::jobs::Jobs;
use crate::base::pool::BlockingPool;
use crate::base::shutdown::{Shutdown, Trigger};
use crate::base::trace::Trace;
use crate::board::Pipeline;
use crate::bus::gpio::StatusLed;
use crate::camera::sim::Faults;
use crate::camera::{self, Camera, Source};
use crate::config::{CameraBackend, Config, Loaded};
use crate::raw::Format;
use crate::server::{CameraStart, Identity, LegacyPaths, Services, tree};
use crate::store::RamDisk;

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
    /// Ends when the camera has come to rest.
    pub(super) camera: Pin<Box<dyn Future<Output = ()>>>,
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
    let config = &loaded.config;
    let clock = Clock::real();
    let ramdisk = open_storage(config)?;
    let conditions = Conditions::default();
    let health = HealthBook::new(clock.clone());
    let jobs = Jobs::new(clock.clone());
    let camera_health = health.register("camera", State::Disabled);
    for section in ["tcam", "opc", "msp1000", "bitscope", "tinycloud"] {
        let wanted = loaded.unavailable().contains(&section);
        health.register(
            section,
            if wanted {
                State::Unavailable
            } else {
                State::Disabled
            },
        );
    }
    let server_health = health.register("server", State::Ready);
    for counter in [
        "connections",
        "refused_clients",
        "stalled_clients",
        "overlong_messages",
    ] {
        server_health.add(counter, 0);
    }
    let store_health = health.register("store", State::Ready);
    let pool = BlockingPool::new(THREADS, QUEUE, server_health.clone(), "pool_overflows");
    // Archives take minutes and all the processors they can get: they must not stand before listings and downloads.
    let archives = BlockingPool::new(
        ARCHIVES,
        ARCHIVES,
        server_health.clone(),
        "archive_overflows",
    );
    let trace = Trace::new(clock.clone());
    let serial = board_serial(loaded);
    let parts = camera::Station {
        clock: clock.clone(),
        conditions: conditions.clone(),
        health: camera_health.clone(),
        trace: trace.clone(),
        jobs: jobs.clone(),
        pool: pool.clone(),
        ramdisk: ramdisk.clone(),
        shutdown: shutdown.clone(),
    };
    let faults = Faults::none();
    let source = camera_source(loaded, &faults, &camera_health);
    let simulated = matches!(source, Some(Source::Sim { .. }));
    let (camera, camera_ended) = match source {
        None => (None, None),
        Some(source) => {
            let (camera, run) = Camera::new(camera_options(config, source, &serial), parts);
            (Some(camera), Some(executor.spawn(run)))
        }
    };
    watch_storage(
        &executor,
        &clock,
        &pool,
        &ramdisk,
        &conditions,
        store_health,
    );
    let services = Services {
        executor,
        clock: clock.clone(),
        conditions,
        health,
        server_health,
        jobs,
        pool,
        traces: vec![("camera", trace)],
        options: camera.iter().map(|_| "camera").collect(),
        camera,
        camera_start: CameraStart {
            fps: config.camera.fps,
            analogue_gain: config.camera.analogue_gain,
        },
        camera_faults: (simulated && loaded.board.is_simulated()).then_some(faults),
        identity: identity(loaded, &serial),
        board: board_json(loaded, &serial),
        clock_settable: !loaded.board.is_simulated(),
        paths: legacy_paths(config),
        ramdisk,
        legacy_settle: Duration::from_millis(config.scpi.legacy_settle_ms.into()),
        legacy_close_stops_service: config.scpi.legacy_close_stops_service,
        trigger,
        shutdown,
        tree: tree(),
        archives,
        alive,
    };
    Ok(Station {
        services: Rc::new(services),
        camera: Box::pin(async move {
            if let Some(task) = camera_ended {
                task.await;
            }
        }),
        clock,
        status_led: light_status_led(loaded),
    })
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

fn camera_source(loaded: &Loaded, faults: &Faults, health: &Health) -> Option<Source> {
    let camera = &loaded.config.camera;
    if !camera.enabled {
        return None;
    }
    let simulated = matches!(
        loaded.board.camera.pipeline,
        Pipeline::Sim | Pipeline::Virtual
    );
    match (camera.backend, &camera.replay) {
        (CameraBackend::Replay, Some(folder)) => Some(Source::Replay {
            folder: folder.clone(),
        }),
        (CameraBackend::Sim, _) | (CameraBackend::Auto, _)
            if simulated || camera.backend == CameraBackend::Sim =>
        {
            Some(Source::Sim {
                paced: camera.sim_paced,
                seed: camera.sim_seed,
                faults: faults.clone(),
            })
        }
        _ => {
            tracing::warn!("this version has no libcamera backend; the camera is not available");
            health.set(State::Unavailable);
            None
        }
    }
}

fn camera_options(config: &Config, source: Source, serial: &str) -> camera::Options {
    let camera = &config.camera;
    let format = |format: &crate::config::ImageFormat| format.name().parse::<Format>().ok();
    camera::Options {
        source,
        fps: camera.fps,
        analogue_gain: camera.analogue_gain,
        formats: camera.formats.iter().filter_map(format).collect(),
        hang_timeout: Duration::from_secs_f64(camera.hang_timeout_s),
        board_serial: serial.to_owned(),
    }
}

/// Raises `StorageLow` while little room is left.
fn watch_storage(
    executor: &LocalExecutor<'static>,
    clock: &Clock,
    pool: &BlockingPool,
    ramdisk: &RamDisk,
    conditions: &Conditions,
    health: Health,
) {
    let (clock, pool, ramdisk, conditions) = (
        clock.clone(),
        pool.clone(),
        ramdisk.clone(),
        conditions.clone(),
    );
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
    executor.spawn(watch).detach();
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
