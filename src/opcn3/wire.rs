//! The bus that the counter is behind, whatever it is: its errors as the station tells them.

use embedded_hal::spi::{ErrorKind, ErrorType, Operation, SpiDevice};

use crate::base::error::{Failure, Kind};

/// Why the bus cannot be opened or has failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct LinkFailure {
    /// For people and for SCPI.
    pub failure: Failure,
    /// Where it is counted in the health book; one of the actor's counters.
    pub counter: &'static str,
}

impl LinkFailure {
    /// A failure counted as `counter`, its sources appended.
    pub fn new(kind: Kind, counter: &'static str, error: &dyn std::error::Error) -> Self {
        let failure = Failure::from_error(kind, error);
        Self { failure, counter }
    }
}

impl embedded_hal::spi::Error for LinkFailure {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

/// An open bus, and what is in between.
pub struct Opened {
    /// The counter's bus.
    pub bus: Wire,
    /// Bridge or port, for people.
    pub description: String,
    /// What the user should know about it.
    pub warning: Option<&'static str>,
    /// The counter behind it was switched on for this, and nobody has sent it anything.
    pub fresh: bool,
}

type Transaction = dyn FnMut(&mut [Operation<'_, u8>]) -> Result<(), LinkFailure> + Send;

/// Any SPI device, its errors explained.
pub struct Wire(Box<Transaction>);

impl Wire {
    /// The device `spi`, whose errors `explain` puts into words.
    pub fn new<S>(mut spi: S, explain: impl Fn(S::Error) -> LinkFailure + Send + 'static) -> Self
    where
        S: SpiDevice + Send + 'static,
    {
        Self(Box::new(move |operations| {
            spi.transaction(operations).map_err(&explain)
        }))
    }
}

impl ErrorType for Wire {
    type Error = LinkFailure;
}

impl SpiDevice for Wire {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), LinkFailure> {
        (self.0)(operations)
    }
}
