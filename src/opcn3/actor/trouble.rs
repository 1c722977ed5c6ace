//! What ends or disturbs a shift, and where it is counted.

use crate::base::error::{Failure, Kind};
use crate::opcn3::driver::OpcError;
use crate::opcn3::proto::{FrameError, HandshakeError};
use crate::opcn3::{LinkFailure, ParticleError};

/// What can go wrong while the counter is open.
#[derive(Debug, Clone)]
pub(super) enum Trouble {
    /// The bus failed: it must be opened again.
    Link(LinkFailure),
    /// The counter does not do what it should.
    Handshake(HandshakeError),
    /// One reply was damaged; the next may be right.
    Frame(FrameError),
    /// Fan or laser do not obey, or went off.
    NotRunning(&'static str),
    /// A bug, told by the log.
    Bug(Failure),
    /// The station stops.
    Stopping,
}

impl Trouble {
    /// The counter of the health book.
    pub(super) fn counter(&self) -> Option<&'static str> {
        Some(match self {
            Self::Link(failure) => failure.counter,
            Self::Handshake(HandshakeError::Busy { .. }) => "busy_timeouts",
            Self::Handshake(HandshakeError::NoCounter { .. }) => "no_counter",
            Self::Handshake(HandshakeError::Unexpected { .. }) => "bad_polls",
            Self::Handshake(HandshakeError::Echo { .. }) => "echo_errors",
            Self::Frame(FrameError::Checksum { .. }) => "crc_errors",
            Self::Frame(_) | Self::NotRunning(_) => "damaged_replies",
            Self::Bug(_) | Self::Stopping => return None,
        })
    }

    /// As it leaves the counter.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Link(failure) => failure.failure.clone(),
            Self::Handshake(error) => {
                let kind = match error {
                    HandshakeError::Busy { .. } => Kind::TimedOut,
                    HandshakeError::NoCounter { .. } => Kind::Absent,
                    _ => Kind::Hardware,
                };
                Failure::from_error(kind, error)
            }
            Self::Frame(error) => Failure::from_error(Kind::Hardware, error),
            Self::NotRunning(what) => Failure::new(Kind::Hardware, *what),
            Self::Bug(failure) => failure.clone(),
            Self::Stopping => Failure::new(Kind::Aborted, "the station is stopping"),
        }
    }

    /// For whoever waits for a reading.
    pub(super) fn reply(&self) -> ParticleError {
        match self {
            Self::Stopping => ParticleError::Stopping,
            trouble => ParticleError::Failed(trouble.failure()),
        }
    }

    /// Whether the counter may be wedged, so that only its supply helps.
    pub(super) fn is_wedged(&self) -> bool {
        matches!(self, Self::Handshake(HandshakeError::Busy { .. }))
    }
}

impl From<OpcError<LinkFailure>> for Trouble {
    fn from(error: OpcError<LinkFailure>) -> Self {
        match error {
            OpcError::Bus(failure) => Self::Link(failure),
            OpcError::Handshake(error) => Self::Handshake(error),
            OpcError::Frame(error) => Self::Frame(error),
        }
    }
}
