//! The tCam-Mini thermal camera: 160 x 120 pixels by a FLIR Lepton, over UART and SPI or over the network.
//!
//! ```text
//! clients -> Thermal (handle) -> actor (main thread) <-> driver <-> UART + SPI, or TCP
//!               ^ images           | one stream, one outstanding command
//!               +--- fan-out ------+
//! ```
//! The camera serves one client: the actor is that client and serves any number of others. While anybody subscribes,
//! the camera streams every frame; each subscriber gets those that are due to it. Images are forwarded as they came.

pub mod driver;
pub mod picture;
pub mod proto;
pub mod sim;

mod actor;
mod error;
mod fanout;
mod image;
mod report;
mod settings;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use smol::channel::{self, Sender};

use self::actor::Actor;
use self::driver::Source;
pub use self::error::TcamError;
use self::fanout::Fanout;
pub use self::fanout::{Interest, QUEUE, Subscription};
pub use self::image::Image;
use self::proto::cci::{CciError, MAX_WORDS};
use self::proto::command::{CciRead, CciWrite, SetConfig, SetTime};
use self::proto::response::{CciReg, Config, Status};
use self::proto::{CciCommand, Command, GainMode, Response, SetWifi, SpotArea, Wifi};
pub use self::report::{ImageReport, StatusReport};
pub use self::settings::{ClientTime, Settings};
use crate::base::clock::Clock;
use crate::base::conditions::Conditions;
use crate::base::health::{Health, State};
use crate::base::orders;
pub use crate::base::station::Station;
use crate::base::trace::Trace;
use crate::base::waiters::Waiters;

/// Commands and single images that may wait for the camera: two for each of 64 clients on port 5001, one for each on the
/// two SCPI ports.
const ORDERS: usize = 256;

/// What goes with the camera's health. All are there from the start.
const COUNTERS: [&str; 17] = [
    "frames",
    "dropped",
    "checksum_errors",
    "damaged_images",
    "late",
    "commands",
    "timeouts",
    "refused",
    "stale_answers",
    "unsolicited",
    "malformed_packets",
    "junk_bytes",
    "resyncs",
    "camera_restarts",
    "camera_resets",
    "reconnects",
    "queue_overflows",
];

/// Which way the camera is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// UART for commands, SPI for images.
    Hardware,
    /// TCP.
    Network,
}

impl LinkKind {
    /// `hardware` or `network`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Hardware => "hardware",
            Self::Network => "network",
        }
    }
}

/// How the camera is to be run.
pub struct Options {
    /// Where it is.
    pub source: Source,
    /// What is set at the start, after each restart of the camera, and by `*RST`.
    pub settings: Settings,
    /// For an answer; the camera may hold one back for a second, until an image is read (default 2.5 s).
    pub response_timeout: Duration,
    /// For an image; flat-field corrections take one second (default 5 s).
    pub image_timeout: Duration,
    /// Holds the camera's reset or supply line when called with `true`, lets go with `false`.
    pub reset_line: Option<Box<dyn FnMut(bool)>>,
}

/// The thermal camera as sessions see it. Main thread only; clones share it.
#[derive(Clone)]
pub struct Thermal {
    shared: Rc<Shared>,
    orders: Sender<Order>,
}

/// State of the handle and the actor.
struct Shared {
    clock: Clock,
    conditions: Conditions,
    health: Health,
    trace: Trace,
    kind: LinkKind,
    response_timeout: Duration,
    image_timeout: Duration,
    initial: Settings,
    settings: RefCell<Settings>,
    has_reset_line: bool,
    fanout: Fanout,
    latest: RefCell<Option<Rc<Image>>>,
    status: RefCell<Option<Status>>,
    streaming: Cell<bool>,
    /// Set up and answering.
    connected: Cell<bool>,
    /// Whoever waits for that.
    on_connected: Waiters,
}

type Reply<T> = Sender<Result<T, TcamError>>;

/// What the actor is told.
enum Order {
    Request {
        command: Command,
        reply: Reply<Response<'static>>,
    },
    Image {
        reply: Reply<Rc<Image>>,
    },
    Reset {
        reply: Reply<()>,
    },
}

impl Thermal {
    /// The handle, and the supervised loop for the caller to run.
    pub fn new(options: Options, station: Station) -> (Self, impl Future<Output = ()>) {
        for counter in COUNTERS {
            station.health.add(counter, 0);
        }
        station.health.set(State::Connecting);
        let (fanout, interest_changed) = Fanout::new();
        let shared = Rc::new(Shared {
            clock: station.clock,
            conditions: station.conditions,
            health: station.health,
            trace: station.trace,
            kind: options.source.kind(),
            response_timeout: options.response_timeout,
            image_timeout: options.image_timeout,
            settings: RefCell::new(options.settings.clone()),
            initial: options.settings,
            has_reset_line: options.reset_line.is_some(),
            fanout,
            latest: RefCell::default(),
            status: RefCell::default(),
            streaming: Cell::new(false),
            connected: Cell::new(false),
            on_connected: Waiters::default(),
        });
        let (orders, inbox) = channel::bounded(ORDERS);
        let actor = Actor {
            shared: shared.clone(),
            orders: inbox,
            interest_changed,
            source: options.source,
            reset_line: options.reset_line,
            shutdown: station.shutdown,
        };
        (Self { shared, orders }, actor.run())
    }

    /// Images from now on, whenever the camera is there: they go on by themselves after a failure.
    pub fn subscribe(&self, interest: Interest) -> Subscription {
        self.shared.fanout.subscribe(interest)
    }

    /// The next new image, of the running stream or else taken for this. The stream of others goes on.
    ///
    /// # Errors
    /// [`TcamError::Absent`], [`TcamError::NoImage`], [`TcamError::Damaged`].
    pub async fn image(&self) -> Result<Rc<Image>, TcamError> {
        self.ask(|reply| Order::Image { reply }).await
    }

    /// The last image, however old it is.
    pub fn latest(&self) -> Option<Rc<Image>> {
        self.shared.latest.borrow().clone()
    }

    /// Sends a command and waits for its answer: commands go one by one, in order.
    ///
    /// Settings, spot and clock that the camera accepted are set again after a restart of the camera.
    ///
    /// # Errors
    /// [`TcamError::Shared`] for `get_image`, `stream_on` and `stream_off`; [`TcamError::HardwareLink`] for commands
    /// of the network link on the other; [`CciError::TooLong`] above 512 words; [`TcamError::Refused`] with the camera's own words; [`TcamError::Timeout`].
    pub async fn request(&self, command: Command) -> Result<Response<'static>, TcamError> {
        let name = command.name();
        if matches!(
            command,
            Command::GetImage | Command::StreamOn(_) | Command::StreamOff
        ) {
            return Err(TcamError::Shared(name));
        }
        if self.shared.kind == LinkKind::Hardware && name.is_network_only() {
            return Err(TcamError::HardwareLink(name));
        }
        check_range(&command)?;
        self.ask(|reply| Order::Request { command, reply }).await
    }

    /// `get_status`.
    ///
    /// # Errors
    /// Those of [`request`](Self::request).
    pub async fn get_status(&self) -> Result<Status, TcamError> {
        match self.request(Command::GetStatus).await? {
            Response::Status(status) => Ok(status),
            _ => Err(TcamError::BadReply(proto::Name::GetStatus)),
        }
    }

    /// `get_config`.
    ///
    /// # Errors
    /// Those of [`request`](Self::request).
    pub async fn get_config(&self) -> Result<Config, TcamError> {
        match self.request(Command::GetConfig).await? {
            Response::Config(config) => Ok(config),
            _ => Err(TcamError::BadReply(proto::Name::GetConfig)),
        }
    }

    /// `set_config`.
    ///
    /// # Errors
    /// Those of [`request`](Self::request).
    pub async fn set_config(&self, config: SetConfig) -> Result<(), TcamError> {
        self.request(Command::SetConfig(config)).await.map(drop)
    }

    /// `set_time`.
    ///
    /// # Errors
    /// Those of [`request`](Self::request).
    pub async fn set_time(&self, time: SetTime) -> Result<(), TcamError> {
        self.request(Command::SetTime(time)).await.map(drop)
    }

    /// `set_spotmeter`; the camera clamps the area ([`SpotArea::clamped`]).
    ///
    /// # Errors
    /// Those of [`request`](Self::request).
    pub async fn set_spotmeter(&self, area: SpotArea) -> Result<(), TcamError> {
        self.request(Command::SetSpotmeter(area)).await.map(drop)
    }

    /// `run_ffc`: no image for about a second.
    ///
    /// # Errors
    /// Those of [`request`](Self::request).
    pub async fn run_ffc(&self) -> Result<(), TcamError> {
        self.request(Command::RunFfc).await.map(drop)
    }

    /// `get_lep_cci`: reads `length` words of a register of the Lepton (0 to run a command). An error of the Lepton
    /// is in the answer's `status`.
    ///
    /// # Errors
    /// [`CciError::TooLong`] above 512 words, and those of [`request`](Self::request).
    pub async fn cci_read(&self, command: CciCommand, length: u16) -> Result<CciReg, TcamError> {
        self.cci(Command::GetLepCci(CciRead { command, length }))
            .await
    }

    /// `set_lep_cci`: writes a register of the Lepton. A wrong write can hang it.
    ///
    /// # Errors
    /// [`CciError::TooLong`] above 512 words, and those of [`request`](Self::request).
    pub async fn cci_write(
        &self,
        command: CciCommand,
        words: Vec<u16>,
    ) -> Result<CciReg, TcamError> {
        self.cci(Command::SetLepCci(CciWrite { command, words }))
            .await
    }

    /// `get_wifi`, on the network link.
    ///
    /// # Errors
    /// Those of [`request`](Self::request).
    pub async fn get_wifi(&self) -> Result<Wifi, TcamError> {
        match self.request(Command::GetWifi).await? {
            Response::Wifi(wifi) => Ok(wifi),
            _ => Err(TcamError::BadReply(proto::Name::GetWifi)),
        }
    }

    /// `set_wifi`, on the network link. The camera restarts its network: the answer may be lost.
    ///
    /// # Errors
    /// Those of [`request`](Self::request).
    pub async fn set_wifi(&self, wifi: SetWifi) -> Result<(), TcamError> {
        self.request(Command::SetWifi(wifi)).await.map(drop)
    }

    /// Back to the settings of the configuration, the camera's own spot area, and the station's time.
    ///
    /// # Errors
    /// Those of the camera; what is set after its next restart is reset in any case.
    pub async fn reset(&self) -> Result<(), TcamError> {
        *self.shared.settings.borrow_mut() = self.shared.initial.clone();
        if !self.is_connected() {
            return Ok(());
        }
        self.ask(|reply| Order::Reset { reply }).await
    }

    /// Which way the camera is reached.
    pub fn link_kind(&self) -> LinkKind {
        self.shared.kind
    }

    /// Whether the camera is there and set up.
    pub fn is_connected(&self) -> bool {
        self.shared.connected.get()
    }

    /// Waits until the camera is there, for at most `limit`; whether it is.
    pub async fn wait_connected(&self, limit: Duration) -> bool {
        if !self.is_connected() {
            let connected = self.shared.on_connected.next();
            self.shared.clock.timeout(limit, connected).await;
        }
        self.is_connected()
    }

    /// Settings as they are applied again after a restart of the camera.
    pub fn settings(&self) -> Settings {
        self.shared.settings.borrow().clone()
    }

    /// What the camera said of itself last.
    pub fn status(&self) -> Option<Status> {
        self.shared.status.borrow().clone()
    }

    /// The camera and its stream at a glance.
    pub fn report(&self) -> StatusReport {
        let shared = &self.shared;
        let settings = shared.settings.borrow();
        let status = shared.status.borrow();
        let about = status.as_ref().map(|status| &status.metadata);
        StatusReport {
            link: shared.kind.word(),
            connected: shared.connected.get(),
            camera: about.map(|about| about.camera.to_string()),
            model: about.map(|about| about.model.0),
            version: about.map(|about| about.version.to_string()),
            streaming: shared.streaming.get(),
            subscribers: shared.fanout.count(),
            agc: settings.config.agc_enabled,
            emissivity_percent: settings.config.emissivity,
            gain_mode: settings.config.gain_mode.name(),
            spot: report::spot_words(settings.spot),
            image: shared.latest.borrow().as_deref().map(ImageReport::of),
        }
    }

    /// The camera's entry in the health book.
    pub fn health(&self) -> &Health {
        &self.shared.health
    }

    /// The camera's trace.
    pub fn trace(&self) -> &Trace {
        &self.shared.trace
    }

    async fn cci(&self, command: Command) -> Result<CciReg, TcamError> {
        let name = command.name();
        match self.request(command).await? {
            Response::CciReg(reg) => Ok(reg),
            _ => Err(TcamError::BadReply(name)),
        }
    }

    async fn ask<T>(&self, order: impl FnOnce(Reply<T>) -> Order) -> Result<T, TcamError> {
        if !self.is_connected() {
            return Err(self.shared.absent());
        }
        orders::ask(&self.orders, &self.shared.health, order).await?
    }
}

impl Shared {
    fn set_connected(&self, connected: bool) {
        self.connected.set(connected);
        if connected {
            self.on_connected.wake();
        }
    }

    fn absent(&self) -> TcamError {
        TcamError::Absent(match self.health.state() {
            State::Failed { reason, .. } => reason,
            _ => "it is being looked for".into(),
        })
    }
}

impl Order {
    fn refuse(self, error: TcamError) {
        match self {
            Self::Request { reply, .. } => drop(reply.try_send(Err(error))),
            Self::Image { reply } => drop(reply.try_send(Err(error))),
            Self::Reset { reply } => drop(reply.try_send(Err(error))),
        }
    }
}

/// Keeps away what the camera would take and be the worse for (tcam.md 5 and 6).
fn check_range(command: &Command) -> Result<(), TcamError> {
    let words = match command {
        Command::SetConfig(config) if matches!(config.gain_mode, Some(GainMode::Unknown(_))) => {
            return Err(TcamError::OutOfRange {
                what: "gain mode",
                min: 0,
                max: 2,
            });
        }
        Command::GetLepCci(read) => read.length.into(),
        Command::SetLepCci(write) => write.words.len(),
        _ => 0,
    };
    match words {
        0..=MAX_WORDS => Ok(()),
        got => Err(CciError::TooLong { got }.into()),
    }
}
