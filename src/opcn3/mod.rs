//! The OPC-N3 optical particle counter by Alphasense: 24 size bins from 0.35 to 40 um, over SPI.
//!
//! ```text
//! clients -> Particles (handle) -> actor (main thread) -> driver (pool thread) -> SPI bus: USB bridge or native port
//!                                    | readings added up                 ^ one exchange at a time, the actor waits
//!                                    +--> store, one row an interval
//! ```
//! The driver never sleeps: it says how long to wait, and its caller waits. Reading the counter resets it, so all
//! readings go through the actor: whoever asks for one, it is also part of the row being logged.

pub mod driver;
pub mod proto;
pub mod sim;

mod actor;
mod error;
mod report;
mod sample;
mod wire;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use smol::channel::{self, Receiver, Sender};

use self::actor::Actor;
pub use self::error::ParticleError;
use self::proto::{BinEdges, Configuration};
pub use self::report::{ConfigurationReport, InfoReport, SampleReport};
pub use self::sample::Sample;
pub use self::wire::{LinkFailure, Opened, Wire};
use crate::base::clock::Clock;
use crate::base::conditions::Conditions;
use crate::base::health::{Health, State};
use crate::base::orders;
use crate::base::shutdown::Shutdown;
use crate::base::trace::Trace;
use crate::base::waiters::Waiters;
use crate::store::readings::{ClockState, StoreHandle};

/// Readings that may be waited for: one for each SCPI client.
const ORDERS: usize = 64;
/// The shortest time between rows: stamps are whole seconds.
pub const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// The longest time between rows.
pub const LONGEST_INTERVAL: Duration = Duration::from_secs(86_400);

/// What goes with the counter's health. All are there from the start.
const COUNTERS: [&str; 20] = [
    "readings",
    "rows",
    "rows_lost",
    "rows_missed",
    "gaps",
    "crc_errors",
    "damaged_replies",
    "busy_timeouts",
    "no_counter",
    "bad_polls",
    "echo_errors",
    "nacks",
    "bridge_silent",
    "bridge_errors",
    "wrong_device",
    "unplugged",
    "reconnects",
    "counter_resets",
    "power_cycles",
    "queue_overflows",
];

/// Which way the counter is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// The USB-ISS bridge.
    UsbIss,
    /// SPI of the header.
    Spi,
    /// The simulator inside this process, behind a simulated bridge.
    Sim,
}

impl LinkKind {
    /// `usb-iss`, `spi` or `sim`.
    pub fn word(self) -> &'static str {
        match self {
            Self::UsbIss => "usb-iss",
            Self::Spi => "spi",
            Self::Sim => "sim",
        }
    }
}

/// Opens the bus; runs on a pool thread and may block for some seconds.
pub type Open = Arc<dyn Fn() -> Result<Opened, LinkFailure> + Send + Sync>;

/// Waits of the start, which depend on what is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// From supply on to the first command: more than 2 s.
    pub power_up: Duration,
    /// From fan on to laser on: at least 600 ms.
    pub fan: Duration,
    /// From laser on to the first command: more than 10 ms.
    pub laser: Duration,
    /// Readings within this time of fan and laser coming on are marked.
    pub warm_up: Duration,
}

impl Default for Times {
    /// Of a real counter (opc-n3.md 8).
    fn default() -> Self {
        Self {
            power_up: proto::handshake::POWER_UP_TIME,
            fan: proto::handshake::FAN_TIME,
            laser: Duration::from_secs(1),
            warm_up: Duration::from_secs(30),
        }
    }
}

/// What may be changed while the counter runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Fan and laser on.
    pub counting: bool,
    /// Rows go to the store.
    pub logging: bool,
    /// Time between rows; see [`SHORTEST_INTERVAL`] and [`LONGEST_INTERVAL`].
    pub interval: Duration,
}

/// How the counter is to be run.
pub struct Options {
    /// Which way it is reached.
    pub kind: LinkKind,
    /// Opens that way.
    pub open: Open,
    /// At the start, and after `*RST`.
    pub settings: Settings,
    /// Its name in the rows.
    pub gadget_id: String,
    /// Waits of the start.
    pub times: Times,
    /// So many readings in a row without one particle restart the counter; 0 = never, because clean rooms do read
    /// zero.
    pub restart_after_zeros: u32,
    /// Switches the counter's supply, where the board can. It must be on already.
    pub supply: Option<Box<dyn FnMut(bool)>>,
}

/// What the particle counter needs from the station.
#[derive(Clone)]
pub struct Station {
    /// Time.
    pub clock: Clock,
    /// Civil time, whether it can be trusted, and the time of the readings.
    pub wall_clock: Rc<dyn Fn() -> ClockState>,
    /// Condition bits.
    pub conditions: Conditions,
    /// The counter's own entry in the health book.
    pub health: Health,
    /// The counter's trace.
    pub trace: Trace,
    /// Where rows go; `None` logs nothing.
    pub store: Option<StoreHandle>,
    /// The signal to stop.
    pub shutdown: Shutdown,
}

/// The particle counter as sessions see it. Main thread only; clones share it.
#[derive(Clone)]
pub struct Particles {
    shared: Rc<Shared>,
    orders: Sender<Reply>,
}

/// State of the handle and the actor.
struct Shared {
    station: Station,
    kind: LinkKind,
    gadget_id: String,
    initial: Settings,
    settings: Cell<Settings>,
    /// Told of each change of the settings.
    changed: (Sender<()>, Receiver<()>),
    phase: Cell<Phase>,
    /// Woken whenever the phase changes.
    on_phase: Waiters,
    unit: RefCell<Option<Unit>>,
    latest: RefCell<Option<Rc<Sample>>>,
}

/// What the counter does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It is not there.
    Away,
    /// It is there, and fan and laser are being switched on.
    Starting,
    /// It counts.
    Counting,
    /// It is there, fan and laser are off.
    Off,
}

/// What the counter said of itself.
#[derive(Debug, Clone)]
struct Unit {
    bridge: String,
    information: String,
    serial: String,
    firmware: String,
    configuration: Option<Configuration>,
    edges: BinEdges,
}

type Reply = Sender<Result<Rc<Sample>, ParticleError>>;

impl Particles {
    /// The handle, and the supervised loop for the caller to run. The loop ends after shutdown, when fan and laser
    /// are off.
    pub fn new(options: Options, station: Station) -> (Self, impl Future<Output = ()>) {
        for counter in COUNTERS {
            station.health.add(counter, 0);
        }
        station.health.set(State::Connecting);
        let settings = options.settings.within_limits();
        let shared = Rc::new(Shared {
            station,
            kind: options.kind,
            gadget_id: options.gadget_id,
            initial: settings,
            settings: Cell::new(settings),
            changed: channel::bounded(1),
            phase: Cell::new(Phase::Away),
            on_phase: Waiters::default(),
            unit: RefCell::default(),
            latest: RefCell::default(),
        });
        let (orders, inbox) = channel::bounded(ORDERS);
        let actor = Actor::new(
            shared.clone(),
            inbox,
            options.open,
            options.supply,
            options.times,
            options.restart_after_zeros,
        );
        (Self { shared, orders }, actor.run())
    }

    /// A new reading: all that was counted since the last one, at least a second of it. It is part of the row being
    /// logged as well.
    ///
    /// # Errors
    /// [`ParticleError`].
    pub async fn read(&self) -> Result<Rc<Sample>, ParticleError> {
        match self.shared.phase.get() {
            Phase::Counting => {}
            Phase::Off => return Err(ParticleError::Off),
            Phase::Starting | Phase::Away => return Err(self.shared.absent()),
        }
        orders::ask(&self.orders, self.health(), |reply| reply).await?
    }

    /// The last reading, however old it is.
    pub fn latest(&self) -> Option<Rc<Sample>> {
        self.shared.latest.borrow().clone()
    }

    /// What may be changed, as it was set.
    pub fn settings(&self) -> Settings {
        self.shared.settings.get()
    }

    /// Changes settings; those out of their limits are moved there. A new interval begins a new row.
    pub fn set(&self, settings: Settings) {
        self.shared.settings.set(settings.within_limits());
        // One notice is enough for any number of changes.
        let _ = self.shared.changed.0.try_send(());
    }

    /// Back to the settings of the configuration.
    pub fn reset(&self) {
        self.set(self.shared.initial);
    }

    /// Its name in the rows.
    pub fn gadget_id(&self) -> &str {
        &self.shared.gadget_id
    }

    /// Waits until the counter counts, for at most `limit`; whether it does.
    pub async fn wait_counting(&self, limit: Duration) -> bool {
        let shared = &self.shared;
        let counting = async {
            while shared.phase.get() != Phase::Counting {
                shared.on_phase.next().await;
            }
        };
        shared.station.clock.timeout(limit, counting).await;
        shared.phase.get() == Phase::Counting
    }

    /// The counter at a glance, and what it says of itself.
    pub fn info(&self) -> InfoReport {
        InfoReport::of(&self.shared)
    }

    /// The counter's configuration.
    ///
    /// # Errors
    /// [`ParticleError::Absent`] before it was found, [`ParticleError::NoConfiguration`] when it could not be read.
    pub fn configuration(&self) -> Result<ConfigurationReport, ParticleError> {
        let unit = self.shared.unit.borrow();
        let unit = unit.as_ref().ok_or_else(|| self.shared.absent())?;
        let configuration = unit.configuration.as_ref();
        configuration
            .map(ConfigurationReport::of)
            .ok_or(ParticleError::NoConfiguration)
    }

    /// Edges of the bins in um: the unit's own, or those of the factory before it was found.
    pub fn bin_edges(&self) -> BinEdges {
        let unit = self.shared.unit.borrow();
        unit.as_ref().map(|unit| unit.edges).unwrap_or_default()
    }

    /// The counter's entry in the health book.
    pub fn health(&self) -> &Health {
        &self.shared.station.health
    }
}

impl Settings {
    fn within_limits(self) -> Self {
        let interval = self.interval.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
        Self { interval, ..self }
    }
}

impl Shared {
    fn set_phase(&self, phase: Phase) {
        if self.phase.replace(phase) != phase {
            self.on_phase.wake();
        }
    }

    /// Why there is no reading.
    fn absent(&self) -> ParticleError {
        ParticleError::Absent(match self.station.health.state() {
            State::Failed { reason, .. } | State::Degraded { reason } => reason,
            _ if self.phase.get() == Phase::Starting => "it is starting".into(),
            _ => "it is being looked for".into(),
        })
    }
}
