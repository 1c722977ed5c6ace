//! Starting the instruments: each gets what it needs of the station, and leaves what the station shows of it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use smol::{LocalExecutor, Task};

use super::hq_camera;
use super::readings::WallClock;
use super::station::Parts;
use crate::base::clock::Clock;
use crate::base::conditions::Conditions;
use crate::base::fault::FaultSwitch;
use crate::base::health::{Health, HealthBook, State};
use crate::base::jobs::Jobs;
use crate::base::pool::BlockingPool;
use crate::base::shutdown::Shutdown;
use crate::base::trace::Trace;
use crate::bitscope::{self, Oscilloscope};
use crate::board::Pipeline;
use crate::camera::sim::Faults;
use crate::camera::{self, Camera, Source};
use crate::cloud::{self, Cloud};
use crate::config::{CameraBackend, Config, Loaded};
use crate::msp1000::{self, Spectrometer};
use crate::opcn3::{self, Particles};
use crate::raw::Format;
use crate::server::{WebSocketHandler, serve_spectrometer_websocket};
use crate::store::RamDisk;
use crate::store::readings::StoreHandle;
use crate::tcam::{self, Thermal};

/// What every instrument is given of the station.
pub(super) struct Common {
    pub(super) executor: Rc<LocalExecutor<'static>>,
    pub(super) clock: Clock,
    pub(super) conditions: Conditions,
    pub(super) health: HealthBook,
    pub(super) jobs: Jobs,
    pub(super) pool: BlockingPool,
    pub(super) ramdisk: RamDisk,
    pub(super) shutdown: Shutdown,
    pub(super) serial: String,
    /// Where readings go; `None` when neither the particle counter nor the cloud is enabled.
    pub(super) readings: Option<StoreHandle>,
    /// Civil time, and whether it can be trusted.
    pub(super) wall_clock: WallClock,
}

/// What the instruments bring.
#[derive(Default)]
pub(super) struct Fitted {
    pub(super) options: Vec<&'static str>,
    pub(super) traces: Vec<(&'static str, Trace)>,
    pub(super) faults: Vec<(&'static str, FaultSwitch)>,
    pub(super) websockets: Vec<(&'static str, WebSocketHandler)>,
    /// Each ends when its instrument has come to rest.
    pub(super) tasks: Vec<Task<()>>,
}

/// The instruments that the station has, and the cloud.
pub(super) struct Instruments {
    pub(super) camera: Option<Camera>,
    pub(super) thermal: Option<Thermal>,
    pub(super) particles: Option<Particles>,
    pub(super) cloud: Option<Cloud>,
    pub(super) scope: Option<Oscilloscope>,
    pub(super) spectrometer: Option<Spectrometer>,
    /// How the spectrometer's port shows who it is.
    pub(super) spectrometer_tls: Option<Arc<ServerConfig>>,
}

impl Instruments {
    /// Starts them, each with its entry in the health book.
    pub(super) fn start(
        loaded: &Loaded,
        common: &Common,
        parts: &Parts,
        fitted: &mut Fitted,
    ) -> Self {
        let camera = start_camera(loaded, common, parts.camera.clone(), fitted);
        let thermal = start_thermal(loaded, common, parts.thermal.clone(), fitted);
        let particles = start_particles(loaded, common, parts.particles.clone(), fitted);
        let cloud = start_cloud(loaded, common, parts.cloud.clone(), fitted);
        let scope = start_scope(loaded, common, parts.scope.clone(), fitted);
        let spectrometer = start_spectrometer(loaded, common, parts.spectrometer.clone(), fitted);
        let (spectrometer, spectrometer_tls) = spectrometer.unzip();
        Self {
            camera,
            thermal,
            particles,
            cloud,
            scope,
            spectrometer,
            spectrometer_tls: spectrometer_tls.flatten(),
        }
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
        fitted.faults.push(("camera", faults.switch()));
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

fn start_cloud(
    loaded: &Loaded,
    common: &Common,
    health: Health,
    fitted: &mut Fitted,
) -> Option<Cloud> {
    let store = common.readings.clone()?;
    let trace = Trace::new(common.clock.clone());
    fitted.traces.push(("tinycloud", trace.clone()));
    let parts = cloud::Station {
        clock: common.clock.clone(),
        conditions: common.conditions.clone(),
        health,
        trace,
        jobs: common.jobs.clone(),
        shutdown: common.shutdown.clone(),
        store,
    };
    let options = super::cloud::options(loaded, &common.wall_clock);
    let (cloud, run) = Cloud::new(options, parts);
    fitted.tasks.push(common.executor.spawn(run));
    Some(cloud)
}

fn start_scope(
    loaded: &Loaded,
    common: &Common,
    health: Health,
    fitted: &mut Fitted,
) -> Option<Oscilloscope> {
    let setup = super::scope::set_up(loaded, &common.clock)?;
    let trace = Trace::new(common.clock.clone());
    fitted.traces.push(("bitscope", trace.clone()));
    fitted.options.push("oscilloscope");
    fitted
        .faults
        .extend(setup.faults.map(|faults| ("bitscope", faults)));
    let parts = bitscope::Station {
        clock: common.clock.clone(),
        conditions: common.conditions.clone(),
        health,
        trace,
        shutdown: common.shutdown.clone(),
    };
    let (scope, run) = Oscilloscope::new(setup.options, parts);
    fitted.tasks.push(common.executor.spawn(run));
    Some(scope)
}

/// The spectrometer, and how its port shows who it is.
fn start_spectrometer(
    loaded: &Loaded,
    common: &Common,
    health: Health,
    fitted: &mut Fitted,
) -> Option<(Spectrometer, Option<Arc<ServerConfig>>)> {
    let setup = super::spectrometer::set_up(loaded, &common.clock)?;
    let trace = Trace::new(common.clock.clone());
    fitted.traces.push(("msp1000", trace.clone()));
    fitted.options.push("spectrometer");
    fitted
        .faults
        .extend(setup.faults.map(|faults| ("msp1000", faults)));
    fitted
        .websockets
        .push(("/msp1000", serve_spectrometer_websocket));
    let parts = msp1000::Station {
        clock: common.clock.clone(),
        conditions: common.conditions.clone(),
        health,
        trace,
        shutdown: common.shutdown.clone(),
    };
    let (spectrometer, run) = Spectrometer::new(setup.options, parts);
    let simulator = setup.simulator;
    fitted.tasks.push(common.executor.spawn(async move {
        run.await;
        drop(simulator);
    }));
    Some((spectrometer, setup.tls))
}

fn camera_source(loaded: &Loaded, faults: &Faults, health: &Health) -> Option<Source> {
    let camera = &loaded.config.camera;
    if !camera.enabled {
        return None;
    }
    let simulated = match camera.backend {
        CameraBackend::Sim => true,
        CameraBackend::Auto => loaded.board.camera.pipeline == Pipeline::Sim,
        CameraBackend::Libcamera | CameraBackend::Replay => false,
    };
    match (camera.backend, &camera.replay) {
        (CameraBackend::Replay, Some(folder)) => Some(Source::Replay {
            folder: folder.clone(),
        }),
        _ if simulated => Some(Source::Sim {
            paced: camera.sim_paced,
            seed: camera.sim_seed,
            faults: faults.clone(),
        }),
        _ => hq_camera::source(loaded)
            .inspect_err(|reason| {
                tracing::error!("{reason}");
                health.record(reason.as_str());
                health.set(State::Unavailable);
            })
            .ok(),
    }
}

/// Whether the HQ camera is to be a real one, through libcamera.
pub(super) fn wants_libcamera(loaded: &Loaded) -> bool {
    let camera = &loaded.config.camera;
    camera.enabled
        && match camera.backend {
            CameraBackend::Libcamera => true,
            CameraBackend::Auto => loaded.board.camera.pipeline != Pipeline::Sim,
            CameraBackend::Sim | CameraBackend::Replay => false,
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
