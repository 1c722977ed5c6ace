//! The IS-Instruments MSP1000 spectrometer: 3648 pixels of a CCD line, 400 to 850 nm, over TLS on the local network.
//!
//! ```text
//! clients -> Client (one each) -> actor (main thread) <-> driver <-> TLS, TCP
//!              ^ frame: all who    | one connection, one command at a time
//!              +-- joined get it --+
//! ```
//! The instrument serves whoever came first: the actor is that client, and serves any number of others. Takes that are
//! asked for while an exposure runs share the next one.

pub mod driver;
pub mod proto;
pub mod sim;

mod actor;
mod client;
mod control;
mod error;
mod found;
mod options;
mod report;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use smol::channel::{self, Receiver, Sender};

use self::actor::Actor;
use self::control::{ClientId, Control, Now};
pub use self::control::{Holder, Notice};
pub use self::error::SpectrometerError;
use self::found::FoundTable;
pub use self::options::{Address, Announcing, Listening, Options};
use self::proto::{Calibration, RawFrame};
pub use self::report::{FrameReport, ListEntry, StatusReport};
use crate::base::clock::Clock;
use crate::base::conditions::Conditions;
use crate::base::health::{Health, State};
use crate::base::orders;
pub use crate::base::station::Station;
use crate::base::trace::Trace;
use crate::base::waiters::Waiters;

/// Requests that may wait: two for each of 64 clients on each of the ports.
const ORDERS: usize = 512;
/// Notices that wait for a client which does not read them.
const NOTICES: usize = 16;
/// Time for instruments to announce themselves when they are looked for: each does so once a second.
pub const SCAN: Duration = Duration::from_millis(3_500);

/// What goes with the spectrometer's health. All are there from the start.
const COUNTERS: [&str; 13] = [
    "announcements",
    "bad_datagrams",
    "commands",
    "control_elsewhere",
    "discovery_errors",
    "discovery_overflows",
    "exposures",
    "frames",
    "joined",
    "queue_overflows",
    "reconnects",
    "skipped_lines",
    "tls_too_old",
];

/// One exposure.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Frames since the station started.
    pub sequence: u64,
    /// When the exposure ended, UTC.
    pub taken: Timestamp,
    /// Milliseconds.
    pub exposure_ms: u32,
    /// What was set then.
    pub calibration: Calibration,
    /// Of the instrument, or its address where the serial number is not known.
    pub serial: Rc<str>,
    /// The counts.
    pub raw: RawFrame,
}

/// The spectrometer as the station sees it. Main thread only; clones share it.
#[derive(Clone)]
pub struct Spectrometer {
    shared: Rc<Shared>,
    orders: Sender<Order>,
}

/// One of the spectrometer's clients; it leaves, and lets go of control, when dropped.
pub struct Client {
    spectrometer: Spectrometer,
    id: ClientId,
}

/// Where the actor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connecting,
    Ready,
    Failed,
    TlsTooOld,
    CertificateChanged,
}

/// What the present connection leads to.
#[derive(Debug, Clone)]
struct Peer {
    address: SocketAddr,
    serial: Rc<str>,
    certificate: Option<String>,
}

/// State of handles and actor.
struct Shared {
    clock: Clock,
    conditions: Conditions,
    health: Health,
    trace: Trace,
    options: Options,
    control: RefCell<Control>,
    found: RefCell<FoundTable>,
    /// Whoever looks for instruments at the moment.
    scans: Cell<usize>,
    /// The station's own announcements come from this port.
    announcing_from: Cell<Option<u16>>,
    stage: Cell<Stage>,
    peer: RefCell<Option<Peer>>,
    exposure_ms: Cell<Option<u32>>,
    calibration: Cell<Option<Calibration>>,
    /// Another program was first on the instrument.
    elsewhere: Cell<bool>,
    exposing: Cell<bool>,
    latest: RefCell<Option<Rc<Frame>>>,
    /// Whoever waits for a connection.
    on_connected: Waiters,
}

type Reply<T> = Sender<Result<T, SpectrometerError>>;

/// What the actor is told.
enum Order {
    Take {
        reply: Reply<Rc<Frame>>,
    },
    Exposure {
        reply: Reply<u32>,
    },
    Calibration {
        reply: Reply<Calibration>,
    },
    SetExposure {
        client: ClientId,
        ms: u32,
        reply: Reply<()>,
    },
    SetCalibration {
        client: ClientId,
        calibration: Calibration,
        reply: Reply<()>,
    },
    /// Try now.
    Connect,
}

impl Spectrometer {
    /// The handle, and the supervised loop for the caller to run.
    pub fn new(options: Options, station: Station) -> (Self, impl Future<Output = ()>) {
        for counter in COUNTERS {
            station.health.add(counter, 0);
        }
        station.health.set(State::Connecting);
        let shared = Rc::new(Shared {
            clock: station.clock,
            conditions: station.conditions,
            health: station.health,
            trace: station.trace,
            control: RefCell::new(Control::new(options.control_idle)),
            options,
            found: RefCell::default(),
            scans: Cell::new(0),
            announcing_from: Cell::new(None),
            stage: Cell::new(Stage::Connecting),
            peer: RefCell::default(),
            exposure_ms: Cell::new(None),
            calibration: Cell::new(None),
            elsewhere: Cell::new(false),
            exposing: Cell::new(false),
            latest: RefCell::default(),
            on_connected: Waiters::default(),
        });
        let (orders, inbox) = channel::bounded(ORDERS);
        let actor = Actor {
            shared: shared.clone(),
            orders: inbox,
            waker: orders.clone(),
            shutdown: station.shutdown,
        };
        (Self { shared, orders }, actor.run())
    }

    /// A new client; the first one has control.
    pub fn client(&self, name: impl Into<String>) -> Client {
        self.enter(name.into(), None)
    }

    /// The same, and what it is told. The oldest of 16 notices makes room for a new one.
    pub fn listening_client(&self, name: impl Into<String>) -> (Client, Receiver<Notice>) {
        let (sender, notices) = channel::bounded(NOTICES);
        (self.enter(name.into(), Some(sender)), notices)
    }

    fn enter(&self, name: String, notices: Option<Sender<Notice>>) -> Client {
        let now = self.shared.now();
        let id = self.shared.control.borrow_mut().enter(name, notices, now);
        Client {
            spectrometer: self.clone(),
            id,
        }
    }

    /// The exposure that is set, in milliseconds.
    ///
    /// # Errors
    /// [`SpectrometerError::Absent`]; those of the link while another program has control.
    pub async fn exposure_ms(&self) -> Result<u32, SpectrometerError> {
        match self.shared.exposure_ms.get() {
            Some(ms) if self.is_connected() && !self.shared.elsewhere.get() => Ok(ms),
            _ => self.ask(|reply| Order::Exposure { reply }).await,
        }
    }

    /// The calibration that is set.
    ///
    /// # Errors
    /// As [`exposure_ms`](Self::exposure_ms).
    pub async fn calibration(&self) -> Result<Calibration, SpectrometerError> {
        match self.shared.calibration.get() {
            Some(set) if self.is_connected() && !self.shared.elsewhere.get() => Ok(set),
            _ => self.ask(|reply| Order::Calibration { reply }).await,
        }
    }

    /// The newest frame, whoever asked for it.
    pub fn latest(&self) -> Option<Rc<Frame>> {
        self.shared.latest.borrow().clone()
    }

    /// Whether the instrument is there and set up.
    pub fn is_connected(&self) -> bool {
        self.shared.stage.get() == Stage::Ready
    }

    /// Waits until the instrument is there, for at most `limit`; whether it is.
    pub async fn wait_connected(&self, limit: Duration) -> bool {
        if !self.is_connected() {
            let connected = self.shared.on_connected.next();
            self.shared.clock.timeout(limit, connected).await;
        }
        self.is_connected()
    }

    /// Tries to connect now, if the next try is still to come.
    pub fn connect(&self) {
        let _ = self.orders.try_send(Order::Connect);
    }

    /// Who has control.
    pub fn holder(&self) -> Option<Holder> {
        let mut control = self.shared.control.borrow_mut();
        control.expire(self.shared.now());
        control.holder()
    }

    /// Instruments on the network. Takes [`SCAN`] where announcements are listened for on demand only.
    pub async fn list(&self) -> Vec<ListEntry> {
        if self.shared.options.listening == Listening::OnDemand {
            actor::scan(&self.shared).await;
        }
        self.shared.list()
    }

    /// The spectrometer at a glance.
    pub fn report(&self) -> StatusReport {
        self.shared.report(self.holder())
    }

    /// The spectrometer's entry in the health book.
    pub fn health(&self) -> &Health {
        &self.shared.health
    }

    /// Why there is no spectrometer at the moment.
    pub fn absence(&self) -> SpectrometerError {
        self.shared.absent()
    }

    async fn ask<T>(&self, order: impl FnOnce(Reply<T>) -> Order) -> Result<T, SpectrometerError> {
        if !self.is_connected() {
            return Err(self.shared.absent());
        }
        orders::ask(&self.orders, &self.shared.health, order).await?
    }
}

impl Shared {
    fn now(&self) -> Now {
        Now {
            monotonic: self.clock.now(),
            utc: self.clock.utc(),
        }
    }

    fn set_stage(&self, stage: Stage) {
        let was = self.stage.replace(stage) == Stage::Ready;
        let connected = stage == Stage::Ready;
        if connected {
            self.on_connected.wake();
        }
        if was != connected {
            let notice = Notice::Connection { connected };
            self.control.borrow().announce(&notice);
        }
    }

    fn absent(&self) -> SpectrometerError {
        SpectrometerError::Absent(match self.health.state() {
            State::Failed { reason, .. } => reason,
            _ => "it is being looked for".into(),
        })
    }

    fn note_exposure(&self, exposure_ms: u32) {
        if self.exposure_ms.replace(Some(exposure_ms)) != Some(exposure_ms) {
            let notice = Notice::Exposure { exposure_ms };
            self.control.borrow().announce(&notice);
        }
    }

    fn note_calibration(&self, calibration: Calibration) {
        if self.calibration.replace(Some(calibration)) != Some(calibration) {
            let notice = Notice::calibration(&calibration);
            self.control.borrow().announce(&notice);
        }
    }

    fn list(&self) -> Vec<ListEntry> {
        let peer = self.peer.borrow();
        let ready = self.stage.get() == Stage::Ready;
        let peer = peer.as_ref().filter(|_| ready);
        let mut entries: Vec<ListEntry> = self
            .found
            .borrow_mut()
            .present(self.clock.now())
            .into_iter()
            .map(|(serial, found)| ListEntry {
                connected: peer.is_some_and(|peer| *peer.serial == *serial),
                serial,
                address: found.address.to_string(),
                interface: Some(found.interface),
                heard: Some(found.heard_utc),
            })
            .collect();
        if let Some(peer) = peer
            && !entries.iter().any(|entry| entry.connected)
        {
            entries.push(ListEntry {
                serial: peer.serial.to_string(),
                address: peer.address.to_string(),
                interface: None,
                heard: None,
                connected: true,
            });
        }
        entries
    }

    fn report(&self, holder: Option<Holder>) -> StatusReport {
        let peer = self.peer.borrow();
        let connected = self.stage.get() == Stage::Ready;
        let peer = peer.as_ref().filter(|_| connected);
        let latest = self.latest.borrow();
        StatusReport {
            link: match self.options.address {
                Address::Plain(_) => "plain",
                _ => "tls",
            },
            connected,
            state: match self.stage.get() {
                Stage::Connecting => "connecting",
                Stage::Ready => "ready",
                Stage::Failed => "failed",
                Stage::TlsTooOld => "tls-too-old",
                Stage::CertificateChanged => "certificate-changed",
            },
            address: peer.map(|peer| peer.address.to_string()),
            serial: peer.map(|peer| peer.serial.to_string()),
            certificate: peer.and_then(|peer| peer.certificate.clone()),
            exposure_ms: self.exposure_ms.get().filter(|_| connected),
            calibration: self
                .calibration
                .get()
                .filter(|_| connected)
                .map(|set| set.coefficients()),
            control: match self.elsewhere.get() {
                true => "elsewhere",
                false => "here",
            },
            holder,
            clients: self.control.borrow().clients(),
            exposing: self.exposing.get(),
            frame: latest.as_ref().map(|frame| FrameReport {
                sequence: frame.sequence,
                taken: frame.taken,
                exposure_ms: frame.exposure_ms,
            }),
        }
    }
}

impl Order {
    fn refuse(self, error: SpectrometerError) {
        match self {
            Self::Take { reply } => drop(reply.try_send(Err(error))),
            Self::Exposure { reply } => drop(reply.try_send(Err(error))),
            Self::Calibration { reply } => drop(reply.try_send(Err(error))),
            Self::SetExposure { reply, .. } | Self::SetCalibration { reply, .. } => {
                drop(reply.try_send(Err(error)));
            }
            Self::Connect => {}
        }
    }
}
