//! The Raspberry Pi HQ camera (IMX477): settings, capture sequences, and the backends that give frames.
//!
//! ```text
//! sessions -> Camera (handle) -> actor (main thread) <-> camera thread (backend: libcamera, sim, replay)
//!                                   |  frames
//!                                   +-> image worker (clip, unpack, bin, write) -> files on the RAM disk
//! ```

pub mod backend;
pub mod choice;
#[cfg(feature = "libcamera")]
pub mod libcamera;
pub mod replay;
pub mod sim;
pub mod stream_format;
pub mod tuning;

mod actor;
mod capture;
mod error;
mod link;
mod matching;
mod plan;
mod prepare;
mod report;
mod settings;
mod stream;
mod worker;

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::channel::{self, Sender};

use self::actor::{Actor, Opener};
use self::backend::{Metadata, StreamInfo};
pub use self::capture::CaptureOrder;
pub use self::error::CameraError;
pub use self::report::{LimitsReport, MetadataReport, StatusReport};
pub use self::settings::{
    COLOUR_GAIN_MAX, Change, Range, Settings, exposure_range_us, frame_rate_range, gain_range,
    plain,
};
use crate::base::clock::Clock;
use crate::base::conditions::Conditions;
use crate::base::error::Failure;
use crate::base::health::{Health, State};
use crate::base::jobs::{Job, Jobs};
use crate::base::orders;
use crate::base::pool::BlockingPool;
use crate::base::shutdown::{Shutdown, Trigger, shutdown};
use crate::base::trace::Trace;
use crate::raw::Window;
use crate::raw::formats::Format;
use crate::store::{RamDisk, Reservation};

/// Captures that may wait for the camera, and settings and frames.
const CAPTURES: usize = 8;
const ORDERS: usize = 64;
/// A command that captures nothing has this long for its turn and its effect: FE-PyCam2 clients get a reply within
/// 5 s. What has not begun by then is not done at all.
const ANSWER_LIMIT: Duration = Duration::from_millis(4_500);
/// What is done by its deadline is answered a little later.
const ANSWER_SLACK: Duration = Duration::from_millis(300);

/// Where frames come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The simulated sensor.
    Sim {
        /// Frames come at the sensor's pace rather than as fast as they are asked for.
        paced: bool,
        /// Seed of the noise.
        seed: u64,
        /// Faults it can be told to have.
        faults: sim::Faults,
    },
    /// A real camera.
    #[cfg(feature = "libcamera")]
    Libcamera(stream_format::StreamWish),
    /// A folder of recorded frames.
    Replay {
        /// The folder, with its `replay.toml`.
        folder: PathBuf,
    },
}

/// How the camera is to be run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where frames come from.
    pub source: Source,
    /// Start value of the frame rate.
    pub fps: f64,
    /// Start value of the gain.
    pub analogue_gain: f64,
    /// Start value of the file formats.
    pub formats: Vec<Format>,
    /// Silence of the camera that counts as hanging, besides five frame durations.
    pub hang_timeout: Duration,
    /// Serial number of the board, for file headers; "" where unknown.
    pub board_serial: String,
}

/// What the camera needs from the station.
#[derive(Clone)]
pub struct Station {
    /// Time.
    pub clock: Clock,
    /// Condition bits.
    pub conditions: Conditions,
    /// The camera's own entry in the health book.
    pub health: Health,
    /// The camera's trace.
    pub trace: Trace,
    /// Jobs of all instruments.
    pub jobs: Jobs,
    /// For what blocks.
    pub pool: BlockingPool,
    /// Where pictures go.
    pub ramdisk: RamDisk,
    /// The signal to stop.
    pub shutdown: Shutdown,
}

/// The camera as sessions see it. Main thread only; clones share it.
#[derive(Clone)]
pub struct Camera {
    shared: Rc<Shared>,
    orders: Sender<Order>,
    captures: Sender<Order>,
}

/// State of the handle and the actor.
struct Shared {
    clock: Clock,
    conditions: Conditions,
    health: Health,
    trace: Trace,
    pool: BlockingPool,
    jobs: Jobs,
    ramdisk: RamDisk,
    hang_limit: Duration,
    board_serial: String,
    initial: Settings,
    settings: RefCell<Settings>,
    stream: Cell<Option<StreamInfo>>,
    streaming: Cell<bool>,
    metadata: Cell<Option<Metadata>>,
    /// Name of the capture that runs.
    busy: RefCell<Option<String>>,
    /// Names of the captures that run or wait, by job id.
    ordered: RefCell<Vec<(u32, String)>>,
    /// Fires when the camera was opened for the first time, or could not be.
    opening: (Trigger, Shutdown),
    /// Fires when the settings are reset: frames on their way to a client are given up.
    resets: RefCell<(Trigger, Shutdown)>,
}

/// What the actor is told.
enum Order {
    Configure {
        change: Change,
        range: Range,
        deadline: Instant,
        reply: Sender<Result<(), CameraError>>,
    },
    Frame {
        format: Format,
        reply: Sender<Result<(Vec<u8>, Reservation), CameraError>>,
    },
    Capture {
        order: CaptureOrder,
        job: Job,
        accepted: Sender<Result<(), CameraError>>,
    },
}

impl Camera {
    /// The handle, and the supervised loop for the caller to run.
    pub fn new(options: Options, station: Station) -> (Self, impl Future<Output = ()>) {
        let initial = Settings::initial(options.fps, options.analogue_gain, &options.formats);
        for counter in [
            "frames",
            "damaged_frames",
            "starts",
            "restarts",
            "hangs",
            "queue_overflows",
        ] {
            station.health.add(counter, 0);
        }
        station.health.set(State::Connecting);
        let shared = Rc::new(Shared {
            clock: station.clock.clone(),
            conditions: station.conditions,
            health: station.health,
            trace: station.trace,
            pool: station.pool,
            jobs: station.jobs,
            ramdisk: station.ramdisk,
            hang_limit: options.hang_timeout,
            board_serial: options.board_serial,
            settings: RefCell::new(initial.clone()),
            initial,
            stream: Cell::new(None),
            streaming: Cell::new(false),
            metadata: Cell::new(None),
            busy: RefCell::new(None),
            ordered: RefCell::default(),
            opening: shutdown(),
            resets: RefCell::new(shutdown()),
        });
        let (orders, inbox) = channel::bounded(ORDERS);
        let (captures, capture_inbox) = channel::bounded(CAPTURES);
        let open = opener(options.source, station.clock);
        let actor = Actor {
            shared: shared.clone(),
            orders: inbox,
            captures: capture_inbox,
            open,
            shutdown: station.shutdown,
        };
        (
            Self {
                shared,
                orders,
                captures,
            },
            actor.run(),
        )
    }

    /// Resolves when the first try to open the camera has come to an end, good or bad.
    pub async fn opened(&self) {
        self.shared.opening.1.wait().await;
    }

    /// Settings in effect.
    pub fn settings(&self) -> Settings {
        self.shared.settings.borrow().clone()
    }

    /// The stream's geometry and limits.
    ///
    /// # Errors
    /// [`CameraError::Absent`] while there is no camera.
    pub fn stream(&self) -> Result<StreamInfo, CameraError> {
        self.shared.stream.get().ok_or_else(|| self.shared.absent())
    }

    /// Window in effect.
    ///
    /// # Errors
    /// [`CameraError::Absent`] while there is no camera, so that the full frame is unknown.
    pub fn window(&self) -> Result<Window, CameraError> {
        Ok(self.shared.settings.borrow().window(&self.stream()?))
    }

    /// BCLP: values as clients send them; each is rounded down to even, two-value windows are centered.
    ///
    /// # Errors
    /// [`CameraError::Window`] if it does not fit the frame; the old window stays.
    pub fn set_window(&self, values: &[i64]) -> Result<(), CameraError> {
        let frame = self.stream()?.layout.size();
        let window = match *values {
            [w, h] => Window::centered(w, h, frame)?,
            [x, y, w, h] => Window::even(x, y, w, h, frame)?,
            _ => return Err(CameraError::WindowValues(values.len())),
        };
        self.shared.settings.borrow_mut().window = Some(window);
        Ok(())
    }

    /// DBAY.
    pub fn set_unpack(&self, on: bool) {
        self.shared.settings.borrow_mut().set_unpack(on);
    }

    /// SRNK.
    ///
    /// # Errors
    /// [`CameraError::Mode`] above 6 rounds.
    pub fn set_binning(&self, rounds: i64) -> Result<(), CameraError> {
        self.shared.settings.borrow_mut().set_binning(rounds)
    }

    /// Files made of each picture.
    pub fn set_formats(&self, formats: Vec<Format>) {
        self.shared.settings.borrow_mut().formats = formats;
    }

    /// Changes a control and waits until frames show it, as far as the waiting rule of hq-camera.md 3 goes.
    ///
    /// # Errors
    /// [`CameraError::OutOfRange`], [`CameraError::Busy`] when a capture is in the way for too long (nothing is
    /// changed then), and the camera's own failures.
    pub async fn configure(&self, change: Change, range: Range) -> Result<(), CameraError> {
        let deadline = self.shared.clock.now() + ANSWER_LIMIT;
        let order = |reply| Order::Configure {
            change,
            range,
            deadline,
            reply,
        };
        self.ask_soon(order).await
    }

    /// All settings back to their start values; frames on their way to clients are given up. Nothing waits for it:
    /// coming requests carry the start values.
    pub fn reset(&self) {
        self.shared.resets.replace(shutdown());
        *self.shared.settings.borrow_mut() = self.shared.initial.clone();
    }

    /// One new frame with the present window and binning, as the bytes of a file, and the reservation of their
    /// memory. Dropping the future gives the frame up.
    ///
    /// # Errors
    /// [`CameraError::Busy`] while a capture runs or waits, [`CameraError::Aborted`] by a reset, window against
    /// binning, format against mode, space, and the camera's own failures.
    pub async fn frame(&self, format: Format) -> Result<(Vec<u8>, Reservation), CameraError> {
        if let Some(name) = self.capture_ordered() {
            return Err(CameraError::Busy(name));
        }
        let reset = self.shared.resets.borrow().1.clone();
        let frame = self.ask(&self.orders, |reply| Order::Frame { format, reply });
        reset
            .guard(frame)
            .await
            .unwrap_or(Err(CameraError::Aborted))
    }

    /// Starts a capture; resolves when it is accepted or refused. Errors after that are the job's.
    ///
    /// # Errors
    /// Everything that can be known before the first frame; nothing is written then.
    pub async fn capture(&self, order: CaptureOrder) -> Result<Job, CameraError> {
        prepare::check_prefix(&order.prefix)?;
        let job = self.shared.jobs.enter(format!("capture {}", order.prefix));
        let (shared, id) = (self.shared.clone(), job.id());
        shared
            .ordered
            .borrow_mut()
            .push((id, job.name().to_owned()));
        job.at_end(move |_| {
            shared
                .ordered
                .borrow_mut()
                .retain(|(ordered, _)| *ordered != id)
        });
        let ordered = job.clone();
        let accepted = self.ask(&self.captures, |accepted| Order::Capture {
            order,
            job: ordered,
            accepted,
        });
        match accepted.await {
            Ok(()) => Ok(job),
            Err(error) => {
                job.finish(Err(Failure::from_error(error.kind(), &error)));
                self.shared.jobs.forget(&job);
                Err(error)
            }
        }
    }

    /// Name of the capture that runs, or else of one that waits.
    pub fn capture_ordered(&self) -> Option<String> {
        let ordered = self.shared.ordered.borrow();
        ordered.first().map(|(_, name)| name.clone())
    }

    /// Asks what has to be answered soon.
    async fn ask_soon(
        &self,
        order: impl FnOnce(Sender<Result<(), CameraError>>) -> Order,
    ) -> Result<(), CameraError> {
        let answer = self.ask(&self.orders, order);
        let answered = self
            .shared
            .clock
            .timeout(ANSWER_LIMIT + ANSWER_SLACK, answer);
        answered.await.unwrap_or_else(|| {
            let busy = self.capture_ordered();
            Err(CameraError::Busy(
                busy.unwrap_or_else(|| "another command".into()),
            ))
        })
    }

    async fn ask<T>(
        &self,
        queue: &Sender<Order>,
        order: impl FnOnce(Sender<Result<T, CameraError>>) -> Order,
    ) -> Result<T, CameraError> {
        self.stream()?;
        orders::ask(queue, &self.shared.health, order).await?
    }
}

impl Shared {
    fn set_stream(&self, stream: Option<StreamInfo>) {
        self.stream.set(stream);
    }

    fn note_metadata(&self, metadata: Metadata) {
        self.metadata.set(Some(metadata));
    }

    fn absent(&self) -> CameraError {
        CameraError::Absent(match self.health.state() {
            State::Failed { reason, .. } => reason,
            _ => "it is being opened".into(),
        })
    }
}

impl Order {
    /// Nobody waits for the answer any more: the client gave up or left before it began.
    fn is_forgotten(&self) -> bool {
        match self {
            Order::Configure { reply, .. } => reply.is_closed(),
            Order::Frame { reply, .. } => reply.is_closed(),
            Order::Capture { accepted, .. } => accepted.is_closed(),
        }
    }

    fn refuse(self, error: impl FnOnce() -> CameraError) {
        match self {
            Order::Configure { reply, .. } => drop(reply.try_send(Err(error()))),
            Order::Frame { reply, .. } => drop(reply.try_send(Err(error()))),
            Order::Capture { accepted, job, .. } => {
                let error = error();
                job.finish(Err(Failure::from_error(error.kind(), &error)));
                drop(accepted.try_send(Err(error)));
            }
        }
    }
}

fn opener(source: Source, clock: Clock) -> Opener {
    Box::new(move || match source.clone() {
        Source::Sim {
            paced,
            seed,
            faults,
        } => {
            let clock = clock.clone();
            link::spawn(move || {
                Ok(sim::SimCamera::new(
                    clock,
                    faults,
                    sim::SimConfig { seed, paced },
                ))
            })
        }
        #[cfg(feature = "libcamera")]
        Source::Libcamera(wish) => link::spawn(move || Ok(self::libcamera::LibCamera::new(wish))),
        Source::Replay { folder } => {
            let clock = clock.clone();
            link::spawn(move || replay::ReplayCamera::open(&folder, clock))
        }
    })
}
