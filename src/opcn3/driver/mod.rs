//! The counter on any SPI bus: mode 1, most significant bit first, 300 to 750 kHz, one byte a transaction.
//!
//! The driver neither sleeps nor retries beyond the handshake and holds no heap memory. Whoever uses it waits for it:
//!
//! ```text
//! counter.start(&Command::Histogram);
//! loop {
//!     match counter.advance()? {
//!         Progress::Wait(time) => clock.sleep(time).await,
//!         Progress::Done(reply) => break reply,
//!     }
//! }
//! ```
//! [`OpcN3::advance`] blocks for the bytes it exchanges (up to 168, each 1 to 2 ms on a USB bridge): call it where
//! blocking is allowed.

use std::time::Duration;

use embedded_hal::spi::{Operation, SpiDevice};

use super::proto::{Command, FrameError, Handshake, HandshakeError, Reply, Step};
use crate::base::error::Kind;

/// SPI clock, hertz; the counter takes 300 to 750 kHz.
pub const SPI_HZ: u32 = 500_000;
/// SPI mode: clock idles low, data change as it rises.
pub const SPI_MODE: u8 = 1;

/// After each byte: the counter wants more than 10 us between two. With chip-select low, since a native port may be
/// quicker than that from one transaction to the next.
const BYTE_GAP_NS: u32 = 15_000;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum OpcError<E: std::error::Error + 'static> {
    /// The bus failed.
    #[error("the particle counter's bus failed")]
    Bus(#[source] E),
    /// The counter did not answer as it should.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// It answered, but with a damaged reply: after a histogram, its period is lost.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl<E: std::error::Error + 'static> OpcError<E> {
    /// The kind as which this failure leaves an instrument. For a failed bus ask its own error.
    pub fn failure_kind(&self) -> Kind {
        match self {
            Self::Handshake(HandshakeError::Busy { .. }) => Kind::TimedOut,
            Self::Handshake(HandshakeError::NoCounter { .. }) => Kind::Absent,
            Self::Bus(_) | Self::Handshake(_) | Self::Frame(_) => Kind::Hardware,
        }
    }
}

/// How far a command is.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// Leave the bus alone for at least this long, then call [`OpcN3::advance`] again.
    Wait(Duration),
    /// The command is done. Advancing again gives the same reply until the next command is started.
    Done(Reply),
}

/// An OPC-N3 behind `spi`.
#[derive(Debug)]
pub struct OpcN3<S> {
    spi: S,
    handshake: Handshake,
    /// Whether the counter may be in the middle of a command.
    unsettled: bool,
}

impl<S: SpiDevice> OpcN3<S>
where
    S::Error: std::error::Error + 'static,
{
    /// The counter behind `spi`. As nobody knows what was sent to it before, the first command begins with 2.5 s of
    /// silence. Nothing is sent yet; [`advance`](Self::advance) would check its status.
    pub fn new(spi: S) -> Self {
        Self {
            spi,
            handshake: Handshake::after_trouble(&Command::CheckStatus),
            unsettled: true,
        }
    }

    /// A counter that was switched on a moment ago and to which nobody has sent anything: needs no silence first.
    pub fn fresh(spi: S) -> Self {
        Self {
            spi,
            handshake: Handshake::new(&Command::CheckStatus),
            unsettled: false,
        }
    }

    /// Makes `command` the next. One that is not done is given up, which costs 2.5 s of silence, as does one that
    /// failed.
    pub fn start(&mut self, command: &Command) {
        self.handshake = match self.unsettled {
            true => Handshake::after_trouble(command),
            false => Handshake::new(command),
        };
    }

    /// Goes on with the command until it has to wait or is done. Does not allocate.
    ///
    /// # Errors
    /// [`OpcError`]: the command is over, start the next. The reply is checked before any of it is returned.
    pub fn advance(&mut self) -> Result<Progress, OpcError<S::Error>> {
        loop {
            match self.handshake.step() {
                Step::Wait(time) => return Ok(Progress::Wait(time)),
                Step::Send(byte) => {
                    self.unsettled = true;
                    match self.exchange(byte) {
                        Ok(answer) => self.handshake.received(answer),
                        Err(error) => {
                            // Nobody knows whether the byte went out: it must not go out again.
                            self.handshake = Handshake::after_trouble(&Command::CheckStatus);
                            return Err(OpcError::Bus(error));
                        }
                    }
                }
                Step::Failed(error) => return Err(error.into()),
                Step::Done => {
                    let opcode = self.handshake.opcode();
                    let reply = Reply::decode(opcode, self.handshake.reply())?;
                    self.unsettled = false;
                    return Ok(Progress::Done(reply));
                }
            }
        }
    }

    /// Does one command, waiting by `wait`. For blocking threads and tests.
    ///
    /// # Errors
    /// [`OpcError`].
    pub fn run(
        &mut self,
        command: &Command,
        mut wait: impl FnMut(Duration),
    ) -> Result<Reply, OpcError<S::Error>> {
        self.start(command);
        loop {
            match self.advance()? {
                Progress::Wait(time) => wait(time),
                Progress::Done(reply) => return Ok(reply),
            }
        }
    }

    /// The bytes read after F3 by the present command, before any check; nothing for commands that write.
    pub fn raw_reply(&self) -> &[u8] {
        self.handshake.reply()
    }

    /// Gives the bus back.
    pub fn into_spi(self) -> S {
        self.spi
    }

    fn exchange(&mut self, byte: u8) -> Result<u8, S::Error> {
        let mut word = [byte];
        self.spi.transaction(&mut [
            Operation::TransferInPlace(&mut word),
            Operation::DelayNs(BYTE_GAP_NS),
        ])?;
        Ok(word[0])
    }
}
