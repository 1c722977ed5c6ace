//! Building the station: each part gets what it needs and nothing else.

use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use smol::channel::Sender;
use smol::lock::Semaphore;
use smol::{LocalExecutor, Task};

use super::AppError;
use super::readings::{self, WallClock};
use crate::base::clock::Clock;
use crate::base::conditions::{Condition, Conditions};
use crate::base::error::{Failure, Kind};
use crate::base::fault::FaultSwitch;
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
use crate::opcn3::{self, Particles};
use crate::raw::Format;
use crate::server::{CameraStart, Identity, LegacyPaths, RECORDINGS, Services, tree};
use crate::store::RamDisk;
use crate::store::readings::{ReadingStore, StoreHandle};
use crate::tcam::{self, Thermal};

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

/// What every instrument is given of the station.
struct Common {
    executor: Rc<LocalExecutor<'static>>,
    clock: Clock,
    conditions: Conditions,
    health: HealthBook,
    jobs: Jobs,
    pool: BlockingPool,
    ramdisk: RamDisk,
    shutdown: Shutdown,
    serial: String,
    /// Where readings go; `None` when neither the particle counter nor the cloud is enabled.
    readings: Option<StoreHandle>,
    /// Civil time, and whether it can be trusted.
    wall_clock: WallClock,
}

/// What the instruments bring.
#[derive(Default)]
struct Fitted {
    options: Vec<&'static str>,
    traces: Vec<(&'static str, Trace)>,
    faults: Vec<(&'static str, FaultSwitch)>,
    /// Each ends when its instrument has come to rest.
    tasks: Vec<Task<()>>,
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
    let health = HealthBook::new(clock.clone());
    let parts = register(loaded, &health);
    let server_health = parts.server;
    let readings = readings::open(loaded, &clock, &parts.readings);
    let common = Common {
        conditions: Conditions::default(),
        jobs: Jobs::new(clock.clone()),
        pool: BlockingPool::new(THREADS, QUEUE, server_health.clone(), "pool_overflows"),
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
    let camera = start_camera(loaded, &common, parts.camera, &mut fitted);
    let thermal = start_thermal(loaded, &common, parts.thermal, &mut fitted);
    let particles = start_particles(loaded, &common, parts.particles, &mut fitted);
    watch_storage(&common, parts.store);
    watch_readings(&common, parts.readings);
    let clock = common.clock.clone();
    let tasks = std::mem::take(&mut fitted.tasks);
    let services = Services {
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
            server_health.clone(),
            "archive_overflows",
        ),
        recordings: Arc::new(Semaphore::new(RECORDINGS)),
        server_health,
        faults: fitted.faults,
        traces: fitted.traces,
        options: fitted.options,
        camera,
        camera_start: CameraStart {
            fps: config.camera.fps,
            analogue_gain: config.camera.analogue_gain,
        },
        thermal,
        particles,
        clock_settable: !loaded.board.is_simulated(),
        paths: legacy_paths(config),
        legacy_settle: Duration::from_millis(config.scpi.legacy_settle_ms.into()),
        legacy_close_stops_service: config.scpi.legacy_close_stops_service,
        trigger,
        tree: tree(),
        alive,
    };
    Ok(Station {
        services: Rc::new(services),
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

/// The entries of the parts in the health book.
struct Parts {
    camera: Health,
    thermal: Health,
    particles: Health,
    server: Health,
    store: Health,
    readings: Health,
}

/// Enters every part in the health book, in the order it is shown.
fn register(loaded: &Loaded, health: &HealthBook) -> Parts {
    let camera = health.register("camera", State::Disabled);
    let thermal = health.register("tcam", State::Disabled);
    let particles = health.register("opc", State::Disabled);
    let unavailable = loaded.unavailable();
    for section in ["msp1000", "bitscope", "tinycloud"] {
        let state = match unavailable.contains(&section) {
            true => State::Unavailable,
            false => State::Disabled,
        };
        health.register(section, state);
    }
    let server = health.register("server", State::Ready);
    for counter in [
        "connections",
        "refused_clients",
        "stalled_clients",
        "overlong_messages",
    ] {
        server.add(counter, 0);
    }
    Parts {
        camera,
        thermal,
        particles,
        server,
        store: health.register("store", State::Ready),
        readings: health.register("readings", State::Disabled),
    }
}

fn start_camera(
    loaded: &Loaded,
    common: &Common,
    health: Health,
    fitted: &mut Fitted,
) -> Option<Camera> {
    let faults = Faults::none();
    let source = camera_source(loaded, &faults, &health)?;
    if matches!(source, Source::Sim { .. }) && loaded.board.is_simulated() {
        fitted.faults.push(("camera", camera_faults(faults)));
    }
    let trace = Trace::new(common.clock.clone());
    fitted.traces.push(("camera", trace.clone()));
    fitted.options.push("camera");
    let parts = camera::Station {
        clock: common.clock.clone(),
        conditions: common.conditions.clone(),
        health,
        trace,
        jobs: common.jobs.clone(),
        pool: common.pool.clone(),
        ramdisk: common.ramdisk.clone(),
        shutdown: common.shutdown.clone(),
    };
    let options = camera_options(&loaded.config, source, &common.serial);
    let (camera, run) = Camera::new(options, parts);
    fitted.tasks.push(common.executor.spawn(run));
    Some(camera)
}

fn start_thermal(
    loaded: &Loaded,
    common: &Common,
    health: Health,
    fitted: &mut Fitted,
) -> Option<Thermal> {
    let setup = super::thermal::set_up(loaded, &common.clock)?;
    let trace = Trace::new(common.clock.clone());
    fitted.traces.push(("tcam", trace.clone()));
    fitted.options.push("thermal");
    fitted
        .faults
        .extend(setup.faults.map(|faults| ("tcam", faults)));
    let parts = tcam::Station {
        clock: common.clock.clone(),
        conditions: common.conditions.clone(),
        health,
        trace,
        shutdown: common.shutdown.clone(),
    };
    let (thermal, run) = Thermal::new(setup.options, parts);
    fitted.tasks.push(common.executor.spawn(run));
    Some(thermal)
}

fn start_particles(
    loaded: &Loaded,
    common: &Common,
    health: Health,
    fitted: &mut Fitted,
) -> Option<Particles> {
    let setup = super::particle::set_up(loaded, &common.clock)?;
    let trace = Trace::new(common.clock.clone());
    fitted.traces.push(("opc", trace.clone()));
    fitted.options.push("particles");
    fitted
        .faults
        .extend(setup.faults.map(|faults| ("opc", faults)));
    let wall_clock = common.wall_clock.clone();
    let parts = opcn3::Station {
        clock: common.clock.clone(),
        wall_clock: Rc::new(move || wall_clock.state()),
        conditions: common.conditions.clone(),
        health,
        trace,
        store: common.readings.clone(),
        shutdown: common.shutdown.clone(),
    };
    let (particles, run) = Particles::new(setup.options, parts);
    fitted.tasks.push(common.executor.spawn(run));
    Some(particles)
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

fn camera_faults(faults: Faults) -> FaultSwitch {
    let clearing = faults.clone();
    FaultSwitch {
        set: Box::new(move |name, n| faults.set(name, n).map_err(|error| error.to_string())),
        clear: Box::new(move || clearing.clear()),
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
