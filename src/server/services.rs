//! What command handlers can reach: actor handles and the station's common ground.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use smol::LocalExecutor;
use smol::channel::Sender;
use smol::lock::Semaphore;

use super::commands::Handler;
use crate::base::clock::Clock;
use crate::base::conditions::Conditions;
use crate::base::fault::FaultSwitch;
use crate::base::health::{Health, HealthBook};
use crate::base::jobs::Jobs;
use crate::base::pool::BlockingPool;
use crate::base::shutdown::{Shutdown, Trigger};
use crate::base::trace::Trace;
use crate::camera::Camera;
use crate::opcn3::Particles;
use crate::scpi::Tree;
use crate::store::RamDisk;
use crate::store::readings::StoreHandle;
use crate::tcam::Thermal;

/// Thermal recordings made at a time.
pub const RECORDINGS: usize = 4;

/// The four fields of `*IDN?`; none may hold a comma or semicolon.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Maker.
    pub maker: String,
    /// Model, naming the board.
    pub model: String,
    /// Serial number of the board, or `0`.
    pub serial: String,
    /// Version of Outpost.
    pub version: String,
}

/// Folders as FE-PyCam2 clients are told, as configured.
#[derive(Debug, Clone)]
pub struct LegacyPaths {
    /// `SRV:PATH:RDDIR?`
    pub ramdisk: String,
    /// `SRV:PATH:IMDIR?`
    pub images: String,
    /// `SRV:PATH:SDDIR?`
    pub sdcard: String,
}

/// Everything handlers use. Main thread only, one value for all sessions.
pub struct Services {
    /// Runs sessions and watchers.
    pub executor: Rc<LocalExecutor<'static>>,
    /// Time.
    pub clock: Clock,
    /// Condition bits.
    pub conditions: Conditions,
    /// Health of every part.
    pub health: HealthBook,
    /// The server's own entry there.
    pub server_health: Health,
    /// Long operations.
    pub jobs: Jobs,
    /// For what blocks.
    pub pool: BlockingPool,
    /// Faults of the simulated instruments, on the simulated board.
    pub faults: Vec<(&'static str, FaultSwitch)>,
    /// Traces by instrument.
    pub traces: Vec<(&'static str, Trace)>,
    /// The camera; `None` when disabled.
    pub camera: Option<Camera>,
    /// Its start values, for `DEF`.
    pub camera_start: CameraStart,
    /// The thermal camera; `None` when disabled.
    pub thermal: Option<Thermal>,
    /// The particle counter; `None` when disabled.
    pub particles: Option<Particles>,
    /// Pictures and archives.
    pub ramdisk: RamDisk,
    /// Readings in the database; `None` when neither the particle counter nor the cloud is enabled.
    pub readings: Option<StoreHandle>,
    /// `*IDN?`
    pub identity: Identity,
    /// `SYSTem:BOARd?`, as JSON text.
    pub board: String,
    /// Whether `SYSTem:TIME` may set the machine's clock: never on the simulated board.
    pub clock_settable: bool,
    /// `*OPT?`
    pub options: Vec<&'static str>,
    /// For the dialect.
    pub paths: LegacyPaths,
    /// Pause that ends an unterminated message.
    pub legacy_settle: Duration,
    /// Whether `SRV:CLOSE` ends the service.
    pub legacy_close_stops_service: bool,
    /// Stops the station.
    pub trigger: Trigger,
    /// Told when it stops.
    pub shutdown: Shutdown,
    /// The command table.
    pub tree: Tree<Handler>,
    /// For archives.
    pub archives: BlockingPool,
    /// Places for thermal recordings.
    pub recordings: Arc<Semaphore>,
    /// Dropped with the last user of these services, which is how the station knows that all have ended.
    pub alive: Sender<()>,
}

/// Start values of camera settings whose other limits the running mode decides.
#[derive(Debug, Clone, Copy)]
pub struct CameraStart {
    /// Frames per second.
    pub fps: f64,
    /// Analogue gain.
    pub analogue_gain: f64,
}
