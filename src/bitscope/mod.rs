//! The BitScope oscilloscope: two analogue and eight logic channels, a waveform and a clock generator, over a serial
//! line, raw TCP, or the datagrams of a bitscope-server.
//!
//! ```text
//! SCPI clients -> Oscilloscope (handle) -> actor (main thread) -> Scope <-> serial port, TCP stream, or datagrams
//!                        orders: captures,   ^                     |
//!                        generators ..       | one raw user        v
//! programs that speak the device's language -+ at a time        device or simulator
//! ```
//! The device serves one master, and its stream has no framing: the actor runs whole operations, one after the other.
//! A raw user has the device alone until it has been quiet for a minute; afterwards the device is reset.

pub mod driver;
pub mod proto;
pub mod sim;

mod acquisition;
mod actor;
mod order;
mod report;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use smol::channel::{self, Receiver, Sender};

pub use self::acquisition::{Acquisition, FileFormat};
use self::actor::Actor;
use self::driver::{Identity, Scope};
use self::order::{Datagram, Order, Reply, Work};
use self::proto::capture::Running;
use self::proto::{CapturePlan, CaptureRequest, ClockPlan, Probe, Register, WaveformRequest};
pub use self::report::{
    CaptureReport, ConfigurationReport, StatusReport, parse_pattern, pattern_text,
};
use crate::base::clock::Clock;
use crate::base::conditions::{Condition, Conditions};
use crate::base::error::{Failure, Kind};
use crate::base::health::{Health, State};
use crate::base::jobs::{Job, Jobs};
use crate::base::orders::{self, Refused};
pub use crate::base::station::Station;
use crate::base::trace::Trace;

/// Operations that may wait for the device.
const ORDERS: usize = 64;
/// Datagrams that may wait, and replies that may wait to be sent.
const DATAGRAMS: usize = 32;
/// How long an operation waits for its turn; captures wait for other captures as long as it takes.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// For the actor to refuse what waited for too long.
const TURN: Duration = Duration::from_millis(100);
/// How long a datagram waits for a device that is not ready.
const HOLD: Duration = Duration::from_millis(1500);

/// What goes with the oscilloscope's health. All are there from the start.
const COUNTERS: [&str; 14] = [
    "captures",
    "timeouts",
    "echo_errors",
    "damaged_replies",
    "resyncs",
    "reconnects",
    "queue_overflows",
    "raw_users",
    "datagrams",
    "datagrams_refused",
    "datagrams_malformed",
    "datagrams_late",
    "datagrams_lost",
    "reply_datagrams",
];

/// Which way the oscilloscope is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// A serial port.
    Serial,
    /// A raw byte stream on TCP.
    Tcp,
    /// A bitscope-server.
    Server,
    /// The simulated one, on a simulated serial port.
    Sim,
}

impl LinkKind {
    /// `serial`, `tcp`, `bitscope-server` or `sim`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Serial => "serial",
            Self::Tcp => "tcp",
            Self::Server => "bitscope-server",
            Self::Sim => "sim",
        }
    }
}

/// A connection in the making.
pub type Connecting = Pin<Box<dyn Future<Output = Result<Scope, Failure>>>>;

/// Opens the link and asks who is there.
pub type Connect = Box<dyn Fn(Clock, Trace) -> Connecting>;

/// How the oscilloscope is to be run.
pub struct Options {
    /// Which way it is reached.
    pub kind: LinkKind,
    /// How to get there.
    pub connect: Connect,
    /// The file with calibrations of probes, by the device's serial number ([`Probe::find`]); it need not exist.
    pub calibrations: Option<PathBuf>,
}

/// The oscilloscope as sessions see it. Main thread only; clones share it.
#[derive(Clone)]
pub struct Oscilloscope {
    shared: Rc<Shared>,
    orders: Sender<Order>,
    datagrams: Sender<Datagram>,
    release: Sender<()>,
    /// Taken by whoever sends the replies.
    replies: Receiver<Outgoing>,
}

/// State of the handle and the actor.
struct Shared {
    clock: Clock,
    conditions: Conditions,
    health: Health,
    trace: Trace,
    kind: LinkKind,
    configuration: RefCell<CaptureRequest>,
    latest: RefCell<Option<Arc<Acquisition>>>,
    identity: RefCell<Option<Identity>>,
    /// Of this device, if one is kept.
    probe: Cell<Option<Probe>>,
    generator: RefCell<Generator>,
    /// Captures that are not over.
    captures: RefCell<Vec<Job>>,
    /// The raw user.
    controller: Cell<Option<SocketAddr>>,
    connected: Cell<bool>,
}

/// What the generators give, and are to give again when the device was away.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Generator {
    /// Nothing.
    #[default]
    Off,
    /// A waveform on L4.
    Waveform {
        /// As asked for.
        request: WaveformRequest,
        /// What it is in fact.
        frequency_hz: f64,
    },
    /// A clock on L5.
    Clock {
        /// As asked for.
        frequency_hz: f64,
        /// As asked for.
        ratio: f64,
        /// What it is in fact.
        plan: ClockPlan,
    },
}

/// A datagram of a reply, and to whom it goes.
pub type Outgoing = (SocketAddr, Vec<u8>);

impl Oscilloscope {
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
            kind: options.kind,
            configuration: RefCell::default(),
            latest: RefCell::default(),
            identity: RefCell::default(),
            probe: Cell::new(None),
            generator: RefCell::default(),
            captures: RefCell::default(),
            controller: Cell::new(None),
            connected: Cell::new(false),
        });
        let (orders, inbox) = channel::bounded(ORDERS);
        let (datagrams, commands) = channel::bounded(DATAGRAMS);
        let (outgoing, replies) = channel::bounded(DATAGRAMS);
        let (release, released) = channel::bounded(1);
        let actor = Actor {
            shared: shared.clone(),
            orders: inbox,
            waiting: RefCell::default(),
            datagrams: commands,
            replies: outgoing,
            released,
            connect: options.connect,
            calibrations: options.calibrations,
            shutdown: station.shutdown,
        };
        let handle = Self {
            shared,
            orders,
            datagrams,
            release,
            replies,
        };
        (handle, actor.run())
    }

    /// How the next capture is to be made.
    pub fn configuration(&self) -> CaptureRequest {
        *self.shared.configuration.borrow()
    }

    /// Changes how the next capture is to be made. It is checked as a whole when that is started.
    pub fn configure(&self, change: impl FnOnce(&mut CaptureRequest)) {
        change(&mut self.shared.configuration.borrow_mut());
    }

    /// Starts a capture with the present configuration: a job, whose result is [`latest`](Self::latest).
    ///
    /// # Errors
    /// Why it cannot be made: the configuration ([`Kind::Conflict`], [`Kind::OutOfRange`]), no device, too many wait.
    pub fn acquire(&self, jobs: &Jobs) -> Result<Job, Failure> {
        let request = CaptureRequest {
            probe: self.shared.probe.get().unwrap_or(Probe::X1),
            ..self.configuration()
        };
        self.check_connected()?;
        let running = self.shared.generator.borrow().running();
        CapturePlan::new(&request, running).map_err(driver::ScopeError::from)?;
        let job = jobs.enter("oscilloscope capture");
        let work = Work::Capture {
            request: Box::new(request),
            job: job.clone(),
            measuring: self.shared.conditions.raise(Condition::Measuring),
        };
        let order = self.order(work, &Rc::default());
        if let Err(error) = orders::put(&self.orders, &self.shared.health, order) {
            jobs.forget(&job);
            return Err(refused(error));
        }
        let mut captures = self.shared.captures.borrow_mut();
        captures.retain(|job| !job.state().is_over());
        captures.push(job.clone());
        Ok(job)
    }

    /// Ends all captures; one that runs keeps what it has.
    pub fn abort(&self) {
        for job in self.shared.captures.borrow().iter() {
            job.abort();
        }
    }

    /// The last capture.
    pub fn latest(&self) -> Option<Arc<Acquisition>> {
        self.shared.latest.borrow().clone()
    }

    /// Starts the waveform generator, or changes it; its frequency in fact, in Hz. It is started again when the device
    /// was away.
    ///
    /// # Errors
    /// Those of the request, of the device, and [`Kind::Busy`].
    pub async fn start_waveform(&self, request: WaveformRequest) -> Result<f64, Failure> {
        self.ask(|reply| Work::StartWaveform { request, reply })
            .await
    }

    /// Starts the clock generator, or changes it; what it is in fact. It is started again when the device was away.
    ///
    /// # Errors
    /// Those of the request, of the device, and [`Kind::Busy`].
    pub async fn start_clock(&self, frequency_hz: f64, ratio: f64) -> Result<ClockPlan, Failure> {
        self.ask(|reply| Work::StartClock {
            frequency_hz,
            ratio,
            reply,
        })
        .await
    }

    /// Stops whichever generator runs.
    ///
    /// # Errors
    /// Those of the device, and [`Kind::Busy`].
    pub async fn stop_generator(&self) -> Result<(), Failure> {
        self.ask(|reply| Work::StopGenerator { reply }).await
    }

    /// What the generators give.
    pub fn generator(&self) -> Generator {
        self.shared.generator.borrow().clone()
    }

    /// The raw value of a register.
    ///
    /// # Errors
    /// Those of the device, and [`Kind::Busy`].
    pub async fn read_register(&self, register: Register) -> Result<u32, Failure> {
        self.ask(|reply| Work::ReadRegister { register, reply })
            .await
    }

    /// Sends bytes as they are, and gives what comes back until it is quiet. The device is reset afterwards.
    ///
    /// # Errors
    /// Those of the device, and [`Kind::Busy`].
    pub async fn raw(&self, bytes: Vec<u8>) -> Result<Vec<u8>, Failure> {
        self.ask(|reply| Work::Raw { bytes, reply }).await
    }

    /// Back to the start: configuration, generators off.
    ///
    /// # Errors
    /// Those of the device, and [`Kind::Busy`]; the generators go on then.
    pub async fn reset(&self) -> Result<(), Failure> {
        self.configure(|request| *request = CaptureRequest::default());
        if self.generator() == Generator::Off {
            return Ok(());
        }
        if !self.is_connected() {
            self.shared.generator.take();
            return Ok(());
        }
        self.stop_generator().await
    }

    /// Hands over a datagram from a program that speaks the device's language; its replies come by
    /// [`next_reply`](Self::next_reply). Who may control the device is decided by its turn. What cannot be taken is
    /// dropped and counted: the language has no refusal.
    pub fn forward(&self, source: SocketAddr, datagram: &[u8]) {
        let shared = &self.shared;
        shared.health.count("datagrams");
        let Ok((cmd_id, commands)) = proto::datagram::decode_request(datagram) else {
            shared.health.count("datagrams_malformed");
            return;
        };
        let hold = match self.is_connected() {
            true => PATIENCE,
            false => HOLD,
        };
        let datagram = Datagram {
            source,
            cmd_id,
            commands: commands.to_vec(),
            due: shared.clock.now() + hold,
        };
        // A device that is away leaves old ones in the queue, which nobody waits for any more.
        let lost = match self.is_connected() {
            true => self.datagrams.try_send(datagram).is_err(),
            false => !matches!(self.datagrams.force_send(datagram), Ok(None)),
        };
        if lost {
            shared.health.count("datagrams_lost");
        }
    }

    /// The next datagram to be sent; `None` when the station stops.
    pub async fn next_reply(&self) -> Option<Outgoing> {
        self.replies.recv().await.ok()
    }

    /// The program that has the device, if any.
    pub fn controller(&self) -> Option<SocketAddr> {
        self.shared.controller.get()
    }

    /// Takes the device from the program that has it, whatever it is doing.
    pub fn release(&self) {
        if self.controller().is_some() {
            let _ = self.release.try_send(());
        }
    }

    /// Whether the device is there.
    pub fn is_connected(&self) -> bool {
        self.shared.connected.get()
    }

    /// The device at a glance.
    pub fn report(&self) -> StatusReport {
        StatusReport::of(&self.shared)
    }

    /// The oscilloscope's entry in the health book.
    pub fn health(&self) -> &Health {
        &self.shared.health
    }

    fn check_connected(&self) -> Result<(), Failure> {
        match self.is_connected() {
            true => Ok(()),
            false => Err(self.shared.absent()),
        }
    }

    fn order(&self, work: Work, begun: &Rc<Cell<bool>>) -> Order {
        Order {
            work,
            issued: self.shared.clock.now(),
            begun: begun.clone(),
        }
    }

    async fn ask<T>(&self, work: impl FnOnce(Reply<T>) -> Work) -> Result<T, Failure> {
        self.check_connected()?;
        let begun = Rc::default();
        let answered = async {
            let order = |reply| self.order(work(reply), &begun);
            let answer = orders::ask(&self.orders, &self.shared.health, order).await;
            answer.unwrap_or_else(|error| Err(refused(error)))
        };
        let too_late = async {
            // The actor has the better reason, if it comes to it in time.
            self.shared.clock.sleep(PATIENCE + TURN).await;
            match begun.get() {
                true => std::future::pending().await,
                false => Err(busy("another operation")),
            }
        };
        futures_lite::future::or(answered, too_late).await
    }
}

impl Shared {
    /// Why nothing can be asked of the device.
    fn absent(&self) -> Failure {
        let reason = match self.health.state() {
            State::Failed { reason, .. } | State::Degraded { reason } => reason,
            _ => "the oscilloscope is being looked for".into(),
        };
        Failure::new(Kind::Absent, reason)
    }
}

impl Generator {
    fn running(&self) -> Running {
        Running {
            waveform: matches!(self, Self::Waveform { .. }),
            clock: matches!(self, Self::Clock { .. }),
        }
    }
}

fn busy(with: &str) -> Failure {
    let text = format!(
        "the oscilloscope is busy with {with} for more than {} s",
        PATIENCE.as_secs()
    );
    Failure::new(Kind::Busy, text)
}

fn aborted() -> Failure {
    Failure::new(Kind::Aborted, "ended by the user")
}

fn refused(refused: Refused) -> Failure {
    match refused {
        Refused::Full(waiting) => {
            let text = format!("{waiting} operations wait for the oscilloscope already");
            Failure::new(Kind::Busy, text)
        }
        Refused::Stopping => Failure::new(Kind::Absent, "the station stops"),
    }
}
