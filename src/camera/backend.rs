//! What a camera backend offers: requests with per-frame controls go in, frames with metadata come out.
//!
//! A backend lives on the camera thread alone, so its types need not be `Send`; the frames it gives travel to
//! the image worker and find their own way back.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::base::clock::Clock;
use crate::raw::Layout;

/// Why a backend cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// More requests than the stream has buffers for.
    #[error("the camera already holds {in_flight} requests, its limit")]
    QueueFull {
        /// Requests in flight.
        in_flight: usize,
    },
    /// A request came while no stream was running.
    #[error("the camera is not streaming")]
    NotStreaming,
    /// A folder of frames for replay is unusable.
    #[error("replay folder {}: {reason}", path.display())]
    Replay {
        /// The folder or file at fault.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The device itself failed.
    #[error("the camera failed: {0}")]
    Device(String),
}

/// Exposure as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// The camera chooses the exposure time; the gain stays manual.
    Auto,
    /// Fixed exposure time in microseconds.
    Manual(u32),
}

/// The controls one request carries. All of them apply together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Controls {
    /// Exposure time.
    pub exposure: Exposure,
    /// Analogue gain, 1.0 = none.
    pub analogue_gain: f32,
    /// Both frame duration limits, microseconds.
    pub frame_duration_us: u32,
    /// Red and blue gain; `None` leaves white balance to the camera. Without influence on raw frames.
    pub colour_gains: Option<(f32, f32)>,
    /// ISP crop x, y, w, h in pixels of the array; `None` is the full array. Without influence on raw frames.
    pub scaler_crop: Option<[u32; 4]>,
}

/// One frame asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Request {
    /// Chosen by the caller, repeated in the frame's metadata.
    pub id: u64,
    /// Controls that take effect [`StreamInfo::control_latency_frames`] frames after this request's own frame.
    pub controls: Controls,
}

/// How the camera judges a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameStatus {
    /// Good.
    Success,
    /// Taken while the stream starts: pixels are real, statistics are not.
    Startup,
    /// Damaged; pixels must not be used.
    Error,
}

/// What the camera says about one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metadata {
    /// [`Request::id`] of the request this frame answers.
    pub request_id: u64,
    /// Frame counter of the sensor since the stream started; gaps are dropped frames.
    pub sequence: u64,
    /// Verdict on the frame.
    pub status: FrameStatus,
    /// Start of exposure, nanoseconds on the machine's monotonic clock.
    pub sensor_timestamp_ns: u64,
    /// Exposure time, microseconds, truncated.
    pub exposure_us: u32,
    /// Analogue gain.
    pub analogue_gain: f32,
    /// ISP gain; does not touch raw data.
    pub digital_gain: f32,
    /// Time from this frame's start to the next, microseconds.
    pub frame_duration_us: u32,
    /// Red and blue gain in use.
    pub colour_gains: (f32, f32),
    /// ISP crop x, y, w, h.
    pub scaler_crop: [u32; 4],
    /// Black level per Bayer site at the stream's own sample scale of 12 bits (256 = IMX477).
    pub black_level: u16,
    /// Sensor temperature, degrees Celsius, where the sensor tells.
    pub sensor_temperature_celsius: Option<f32>,
    /// Scene brightness estimate, lux.
    pub lux: Option<f32>,
    /// Color temperature estimate, kelvin.
    pub colour_temperature_kelvin: Option<u32>,
}

/// Pixel bytes of one frame. Dropping it gives the memory back to the backend.
pub trait FrameBuffer: Send {
    /// Shows the bytes, `stride_bytes` x `height` as the stream's [`Layout`] says.
    ///
    /// The bytes may be produced or made visible to the processor only here, so call it once, on the image worker.
    fn read(&mut self, look: &mut dyn FnMut(&[u8])) -> Result<(), BackendError>;
}

/// One completed frame.
pub struct Frame {
    /// What the camera says about it.
    pub metadata: Metadata,
    /// Its pixels.
    pub buffer: Box<dyn FrameBuffer>,
}

/// What the running mode allows. Read from the camera after configuring, never assumed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Shortest exposure, microseconds.
    pub exposure_min_us: u32,
    /// Longest exposure of the mode with the longest frame, microseconds.
    pub exposure_max_us: u32,
    /// Time of one line as a fraction: numerator / denominator microseconds (IMX477 full size: 24000/840).
    pub line_time_us: (u32, u32),
    /// Lines of a frame that cannot be exposed.
    pub blanking_lines: u32,
    /// Smallest analogue gain.
    pub analogue_gain_min: f32,
    /// Largest analogue gain.
    pub analogue_gain_max: f32,
    /// Shortest frame, microseconds.
    pub frame_duration_min_us: u32,
    /// Longest frame, microseconds.
    pub frame_duration_max_us: u32,
}

impl Limits {
    /// Longest exposure that fits a frame of `frame_duration_us`, quantized to lines, microseconds truncated.
    pub fn longest_exposure_us(&self, frame_duration_us: u32) -> u32 {
        let (num, den) = (
            u64::from(self.line_time_us.0),
            u64::from(self.line_time_us.1),
        );
        let lines = u64::from(frame_duration_us) * den / num;
        let exposed = lines.saturating_sub(u64::from(self.blanking_lines)) * num / den;
        (exposed.min(u64::from(self.exposure_max_us)) as u32).max(self.exposure_min_us)
    }
}

/// A running stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StreamInfo {
    /// Geometry of its frames.
    pub layout: Layout,
    /// Black level in 12-bit counts.
    pub black_level: u16,
    /// Saturation in 12-bit counts.
    pub white_level: u16,
    /// What controls may ask for.
    pub limits: Limits,
    /// Frames between a request's own frame and the first that shows its controls.
    pub control_latency_frames: u32,
    /// Requests the backend takes at a time.
    pub max_in_flight: usize,
    /// Whether frames come at a pace of their own. Without one they come as fast as they are asked for, so none are
    /// asked for while nobody waits.
    pub paced: bool,
    /// Whether metadata will come to show what was asked; a replay with its own exposures never does.
    pub obeys_controls: bool,
}

/// A source of frames.
///
/// The camera thread calls it; `start`, `queue` and `stop` may block for as long as the hardware needs.
pub trait Backend {
    /// Finds and configures the camera without streaming; tells what the stream will be.
    fn open(&mut self) -> Result<StreamInfo, BackendError>;

    /// Starts the stream with these controls in effect from the first frame.
    fn start(&mut self, controls: &Controls) -> Result<StreamInfo, BackendError>;

    /// Hands in one request; frames complete in the same order.
    fn queue(&mut self, request: Request) -> Result<(), BackendError>;

    /// The next completed frame; pending while there is none, [`BackendError::NotStreaming`] without a stream.
    /// Dropping the future loses nothing.
    fn next_frame(&mut self) -> impl Future<Output = Result<Frame, BackendError>>;

    /// The present on the clock of [`Metadata::sensor_timestamp_ns`]: a frame with this stamp or a later one
    /// began its exposure after the call.
    fn now_ns(&self) -> u64 {
        monotonic_ns()
    }

    /// Ends the stream and gives its memory back. Requests in flight are dropped. Harmless when not started.
    fn stop(&mut self);
}

/// Ties a [`Clock`] to the machine's monotonic clock, for backends that stamp frames themselves.
///
/// With the real clock its stamps are those of the machine; a manual clock starts at the machine's time and
/// then moves by hand.
#[derive(Debug, Clone)]
pub struct StampClock {
    clock: Clock,
    epoch: Instant,
    epoch_ns: u64,
}

impl StampClock {
    /// Ties `clock` to the machine's time of this moment.
    pub fn new(clock: Clock) -> Self {
        Self {
            epoch: clock.now(),
            epoch_ns: monotonic_ns(),
            clock,
        }
    }

    /// The present, nanoseconds.
    pub fn now_ns(&self) -> u64 {
        let elapsed = self.clock.now().saturating_duration_since(self.epoch);
        self.epoch_ns
            .saturating_add(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Waits until the clock has reached `ns`; returns at once when it has. Nothing is lost when dropped.
    pub async fn sleep_until_ns(&self, ns: u64) {
        let ahead = Duration::from_nanos(ns.saturating_sub(self.epoch_ns));
        self.clock.sleep_until(self.epoch + ahead).await;
    }
}

pub(super) fn monotonic_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    // The kernel's monotonic clock starts at 0 at boot and never goes back, so neither part is negative.
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}
