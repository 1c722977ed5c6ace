//! What can go wrong between a command and the picture.

use super::backend::{BackendError, FrameStatus};
use crate::base::error::{Failure, Kind};
use crate::base::orders::Refused;
use crate::raw::{FormatError, KernelError, ModeError, WindowError};
use crate::store::StoreError;

/// Why a camera command failed.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    /// The camera gave no frame in time.
    #[error("the camera gave no frame for {waited_ms} ms")]
    Hung {
        /// Hang time-out plus five frame durations.
        waited_ms: u64,
    },
    /// It hung again after a restart.
    #[error("the camera gave no frame for {waited_ms} ms, also not after a restart")]
    StillHung {
        /// Hang time-out plus five frame durations.
        waited_ms: u64,
    },
    /// Frames come, but none that can be used.
    #[error(
        "none of {frames} frames showed what was asked for; the last one: {last:?}, {exposure_us} us"
    )]
    NoPicture {
        /// Frames looked at.
        frames: u32,
        /// The camera's verdict on the last one.
        last: FrameStatus,
        /// Exposure time of the last one.
        exposure_us: u32,
    },
    /// The camera thread does not take orders.
    #[error("the camera does not respond to orders")]
    Unresponsive,
    /// The camera thread ended.
    #[error("the camera thread ended")]
    ThreadEnded,
    /// The device failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// There is no camera to serve.
    #[error("the camera is not there: {0}")]
    Absent(String),
    /// Another capture or frame is being taken.
    #[error("the camera is busy with {0}")]
    Busy(String),
    /// More orders wait than the queue holds.
    #[error("{0} camera commands are already waiting")]
    QueueFull(usize),
    /// A number that cannot be used.
    #[error("{what} is {value}, allowed is {min}..{max}")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: f64,
        /// Smallest allowed.
        min: f64,
        /// Largest allowed.
        max: f64,
    },
    /// The window cannot be cut from the frame.
    #[error(transparent)]
    Window(#[from] WindowError),
    /// The binning does not suit.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// A file format does not suit the mode.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A frame and its stated geometry disagree.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The RAM disk refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The prefix is no plain file name.
    #[error(
        "prefix \"{prefix}\" is not a plain file name: letters, digits and . _ - + = # , are allowed, at most {limit} characters"
    )]
    Prefix {
        /// The prefix, shortened.
        prefix: String,
        /// Most characters.
        limit: usize,
    },
    /// A window of neither two nor four values.
    #[error("a window takes 2 or 4 values, not {0}")]
    WindowValues(usize),
    /// No frame has come yet.
    #[error("no frame has been taken yet")]
    NoFrameYet,
    /// The blocking pool refused.
    #[error(transparent)]
    Pool(#[from] Failure),
    /// The image worker ended.
    #[error("the image worker met a bug in Outpost")]
    WorkerEnded,
    /// The user ended it.
    #[error("ended by the user")]
    Aborted,
    /// The station stops.
    #[error("the station is stopping")]
    Stopping,
}

impl CameraError {
    /// What sort of failure it is.
    pub fn kind(&self) -> Kind {
        match self {
            CameraError::Hung { .. }
            | CameraError::StillHung { .. }
            | CameraError::Unresponsive => Kind::TimedOut,
            CameraError::NoPicture { .. } | CameraError::Backend(_) | CameraError::ThreadEnded => {
                Kind::Hardware
            }
            CameraError::Absent(_) => Kind::Absent,
            CameraError::Busy(_) | CameraError::QueueFull(_) => Kind::Busy,
            CameraError::OutOfRange { .. } => Kind::OutOfRange,
            CameraError::Window(_) => Kind::OutOfRange,
            CameraError::WindowValues(_) => Kind::InvalidArgument,
            CameraError::NoFrameYet => Kind::NoData,
            CameraError::Pool(failure) => failure.kind,
            CameraError::Mode(ModeError::NotDivisible { .. }) => Kind::Conflict,
            CameraError::Mode(_) => Kind::OutOfRange,
            CameraError::Format(_) => Kind::Conflict,
            CameraError::Kernel(KernelError::Mode(ModeError::NotDivisible { .. })) => {
                Kind::Conflict
            }
            CameraError::Kernel(_) | CameraError::WorkerEnded => Kind::Internal,
            CameraError::Store(error) => error.kind(),
            CameraError::Prefix { .. } => Kind::BadName,
            CameraError::Aborted | CameraError::Stopping => Kind::Aborted,
        }
    }
}

impl From<Refused> for CameraError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full(waiting) => Self::QueueFull(waiting),
            Refused::Stopping => Self::Stopping,
        }
    }
}

impl From<CameraError> for Failure {
    fn from(error: CameraError) -> Self {
        Failure::from_error(error.kind(), &error)
    }
}
