//! What can go wrong between a caller and the thermal camera.

use super::proto::cci::CciError;
use super::proto::image::ImageError;
use super::proto::temperature::TemperatureError;
use super::proto::{CamInfo, Name};
use crate::base::error::{Failure, Kind};
use crate::base::orders::Refused;

/// Why the thermal camera did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum TcamError {
    /// There is no camera now.
    #[error("the thermal camera is not available: {0}")]
    Absent(String),
    /// The answer did not come.
    #[error("the thermal camera did not answer {command} within {waited_ms} ms")]
    Timeout {
        /// The command.
        command: Name,
        /// How long it was waited for.
        waited_ms: u64,
    },
    /// The camera said no.
    #[error("the thermal camera refused {command}: {}", info.text)]
    Refused {
        /// The command.
        command: Name,
        /// Its words, for a client that speaks its protocol.
        info: CamInfo,
    },
    /// An answer of the right kind that is no answer to this.
    #[error("the thermal camera's answer to {0} makes no sense")]
    BadReply(Name),
    /// The command would crash a camera on the hardware link.
    #[error("{0} works on the network link alone: on UART and SPI it would restart the camera")]
    HardwareLink(Name),
    /// Images and streams are asked for by other functions, because all clients share them.
    #[error("{0} is shared by all clients and cannot be sent by one")]
    Shared(Name),
    /// No image came.
    #[error("the thermal camera sent no image within {waited_ms} ms")]
    NoImage {
        /// How long it was waited for.
        waited_ms: u64,
    },
    /// Images came, each of them damaged.
    #[error("the thermal camera's image was damaged {tries} times: {reason}")]
    Damaged {
        /// Images tried.
        tries: u32,
        /// What was wrong with the last.
        reason: String,
    },
    /// A number outside of its range.
    #[error("{what} must be {min} to {max}")]
    OutOfRange {
        /// Which.
        what: &'static str,
        /// Least.
        min: u32,
        /// Greatest.
        max: u32,
    },
    /// The Lepton said no, or register data are unusable.
    #[error(transparent)]
    Cci(#[from] CciError),
    /// Pixels that are no temperatures.
    #[error(transparent)]
    Temperature(#[from] TemperatureError),
    /// An image that cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Too many wait already.
    #[error("{0} commands already wait for the thermal camera")]
    QueueFull(usize),
    /// The station stops.
    #[error("the station is stopping")]
    Stopping,
}

impl TcamError {
    /// What sort of failure it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Absent(_) => Kind::Absent,
            Self::Timeout { .. } | Self::NoImage { .. } => Kind::TimedOut,
            Self::Refused { .. } | Self::BadReply(_) | Self::Damaged { .. } => Kind::Hardware,
            Self::Cci(CciError::TooLong { .. }) | Self::OutOfRange { .. } => Kind::OutOfRange,
            Self::Temperature(TemperatureError::Outside { .. }) => Kind::OutOfRange,
            Self::Cci(_) | Self::Image(_) => Kind::Hardware,
            Self::HardwareLink(_) | Self::Shared(_) | Self::Temperature(_) => Kind::Conflict,
            Self::QueueFull(_) => Kind::Busy,
            Self::Stopping => Kind::Aborted,
        }
    }
}

impl From<Refused> for TcamError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full(waiting) => Self::QueueFull(waiting),
            Refused::Stopping => Self::Stopping,
        }
    }
}

impl From<TcamError> for Failure {
    fn from(error: TcamError) -> Self {
        Failure::from_error(error.kind(), &error)
    }
}
