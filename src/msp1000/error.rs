//! Why the spectrometer does not do what it was asked to.

use crate::base::error::{Failure, Kind};
use crate::base::orders::Refused;

/// What goes wrong with a request to the spectrometer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SpectrometerError {
    /// It is not there, or not set up yet.
    #[error("the spectrometer is not available: {0}")]
    Absent(String),
    /// Another client of this station has control.
    #[error("{holder} controls the spectrometer: wait until it lets go, or take control")]
    Controlled {
        /// The client's name.
        holder: String,
    },
    /// The instrument kept what it had.
    #[error(
        "the spectrometer kept its {what} {kept}: another program has control of it, or the value is out of its range"
    )]
    Elsewhere {
        /// `exposure` or `calibration`.
        what: &'static str,
        /// What was read back.
        kept: String,
    },
    /// Too many requests wait.
    #[error("{0} requests wait for the spectrometer already")]
    QueueFull(usize),
    /// The command failed on the wire.
    #[error("{0}")]
    Failed(Failure),
    /// The station stops.
    #[error("the station is stopping")]
    Stopping,
}

impl SpectrometerError {
    /// The kind as which this leaves the instrument.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Absent(_) | Self::Stopping => Kind::Absent,
            Self::Controlled { .. } | Self::Elsewhere { .. } => Kind::Protected,
            Self::QueueFull(_) => Kind::OutOfMemory,
            Self::Failed(failure) => failure.kind,
        }
    }
}

impl From<Refused> for SpectrometerError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full(waiting) => Self::QueueFull(waiting),
            Refused::Stopping => Self::Stopping,
        }
    }
}

impl From<SpectrometerError> for Failure {
    fn from(error: SpectrometerError) -> Self {
        Failure::new(error.kind(), error.to_string())
    }
}
