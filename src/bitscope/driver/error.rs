//! What can go wrong in a conversation.

use std::io;
use std::time::Duration;

use crate::base::error::{Failure, Kind};
use crate::bitscope::proto::{
    CaptureError, ClockError, ReplyError, WaveformError, datagram::DatagramError,
};

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum ScopeError {
    /// The link is gone: open it anew.
    #[error("the link to the BitScope failed")]
    Link(#[from] io::Error),
    /// No answer in time.
    #[error(
        "the BitScope did not send {what} within {limit:?}: {received} of {expected} bytes came"
    )]
    Silent {
        /// What was waited for.
        what: &'static str,
        /// For how long.
        limit: Duration,
        /// Bytes that came.
        received: usize,
        /// Bytes that belong there.
        expected: usize,
    },
    /// Another byte than was sent.
    #[error(
        "the BitScope echoed {received:#04x} for {sent:#04x}, byte {position} of a string: the stream is lost"
    )]
    Echo {
        /// Byte of the string, 0 up.
        position: usize,
        /// What was sent.
        sent: u8,
        /// What came.
        received: u8,
    },
    /// A reply that is none.
    #[error("the BitScope answered wrongly")]
    Reply(#[from] ReplyError),
    /// A datagram that is none.
    #[error("the bitscope-server answered wrongly")]
    Datagram(#[from] DatagramError),
    /// Its reset does not end with its echo.
    #[error(
        "the BitScope does not come to rest after a reset: {0} bytes came, and the last was no echo of it"
    )]
    Restless(usize),
    /// Something else that speaks its language.
    #[error(
        "this is a {0}: Outpost knows the BitScope Micro alone, whose revision begins with BS0005"
    )]
    Model(String),
    /// A capture that cannot be.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A waveform that cannot be.
    #[error(transparent)]
    Waveform(#[from] WaveformError),
    /// A clock that cannot be.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// One excludes the other.
    #[error("the {running} generator runs: stop it before the {wanted} generator starts")]
    Generator {
        /// What runs.
        running: &'static str,
        /// What was to start.
        wanted: &'static str,
    },
    /// No serial number in it.
    #[error("the EEPROM holds no serial number: byte {address:#04x} is {value:#04x}")]
    Serial {
        /// Where.
        address: u8,
        /// What is there.
        value: u8,
    },
    /// More than one raw exchange may hold.
    #[error("{0} bytes at once: at most 65536 are taken")]
    TooLong(usize),
}

impl ScopeError {
    /// The kind as which it leaves the instrument.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Link(_) => Kind::Absent,
            Self::Silent { .. } => Kind::TimedOut,
            Self::Echo { .. }
            | Self::Reply(_)
            | Self::Datagram(_)
            | Self::Restless(_)
            | Self::Serial { .. } => Kind::Hardware,
            Self::Model(_) => Kind::Absent,
            Self::Capture(error) => match error {
                CaptureError::NoChannel | CaptureError::NoMode { .. } => Kind::Conflict,
                _ => Kind::OutOfRange,
            },
            Self::Waveform(_) | Self::Clock(_) | Self::TooLong(_) => Kind::OutOfRange,
            Self::Generator { .. } => Kind::Conflict,
        }
    }

    /// Whether the device and the host may disagree on what comes next: [`Scope::resynchronise`] cures it.
    ///
    /// [`Scope::resynchronise`]: super::Scope::resynchronise
    pub fn is_desynchronised(&self) -> bool {
        matches!(
            self,
            Self::Silent { .. } | Self::Echo { .. } | Self::Reply(_) | Self::Datagram(_)
        )
    }
}

impl From<ScopeError> for Failure {
    fn from(error: ScopeError) -> Self {
        Self::from_error(error.kind(), &error)
    }
}
