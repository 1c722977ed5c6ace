//! One table from kinds of failure to SCPI error numbers (scpi.md 9).

use crate::base::error::{Failure, Kind};
use crate::camera::CameraError;
use crate::opcn3::ParticleError;
use crate::scpi::Error;
use crate::store::StoreError;
use crate::store::readings::ReadingsError;
use crate::tcam::TcamError;

/// The number of a kind.
fn number(kind: Kind) -> i16 {
    match kind {
        Kind::TimedOut => -365,
        Kind::Hardware => -240,
        Kind::Absent => -241,
        Kind::Busy => -213,
        Kind::InvalidArgument => -224,
        Kind::OutOfRange => -222,
        Kind::Conflict => -221,
        Kind::NoData => -230,
        Kind::Full => -254,
        Kind::NotFound => -256,
        Kind::BadName => -257,
        Kind::ReadOnly => -258,
        Kind::Storage => -250,
        Kind::OutOfMemory => -225,
        Kind::Calibration => -340,
        Kind::Aborted => -200,
        Kind::Protected => -203,
        Kind::Internal => -310,
    }
}

/// The entry for the error queue.
pub(super) fn scpi_error(failure: &Failure) -> Error {
    Error::new(number(failure.kind)).with(failure.message.as_str())
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        scpi_error(&failure)
    }
}

impl From<CameraError> for Error {
    fn from(error: CameraError) -> Self {
        Failure::from(error).into()
    }
}

impl From<TcamError> for Error {
    fn from(error: TcamError) -> Self {
        Failure::from(error).into()
    }
}

impl From<ParticleError> for Error {
    fn from(error: ParticleError) -> Self {
        Failure::from(error).into()
    }
}

impl From<ReadingsError> for Error {
    fn from(error: ReadingsError) -> Self {
        Failure::from_error(error.kind(), &error).into()
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Failure::from_error(error.kind(), &error).into()
    }
}
