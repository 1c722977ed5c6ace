//! What can go wrong between a caller and the particle counter.

use crate::base::error::{Failure, Kind};
use crate::base::orders::Refused;

/// Why the particle counter did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParticleError {
    /// There is no counter now.
    #[error("the particle counter is not available: {0}")]
    Absent(String),
    /// Fan and laser are off.
    #[error("the particle counter is switched off: PART:STAT ON")]
    Off,
    /// The reading failed.
    #[error("{0}")]
    Failed(Failure),
    /// The configuration has no checksum, and two readings of it differed or made no sense.
    #[error("the particle counter's configuration could not be read; factory bin edges are used")]
    NoConfiguration,
    /// Too many wait already.
    #[error("{0} readings are already waited for")]
    QueueFull(usize),
    /// The station stops.
    #[error("the station is stopping")]
    Stopping,
}

impl ParticleError {
    /// What sort of failure it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Absent(_) => Kind::Absent,
            Self::Off => Kind::Conflict,
            Self::Failed(failure) => failure.kind,
            Self::NoConfiguration => Kind::Hardware,
            Self::QueueFull(_) => Kind::Busy,
            Self::Stopping => Kind::Aborted,
        }
    }
}

impl From<Refused> for ParticleError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full(waiting) => Self::QueueFull(waiting),
            Refused::Stopping => Self::Stopping,
        }
    }
}

impl From<ParticleError> for Failure {
    fn from(error: ParticleError) -> Self {
        Failure::from_error(error.kind(), &error)
    }
}
