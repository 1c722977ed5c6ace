//! The bridge as an embedded-hal [`SpiDevice`].
//!
//! A transaction is one frame of the bridge: it lowers /CE, exchanges up to 62 bytes and goes on to the next message.
//! Whether it raises /CE between two frames is not documented, so a device must bear both, as the OPC-N3 does. A
//! transaction that needs more than one frame is therefore refused instead of split.

use std::io::{self, Read, Write};

use embedded_hal::spi::{ErrorKind, ErrorType, Operation, SpiDevice};
use heapless::Vec;

use super::proto::{
    ACK, Command, Divisor, ErrorCode, Identity, MAX_TRANSFER, MODULE_ID, NACK, SERIAL_DIGITS,
    SpiMode, decode_mode_answer,
};
use crate::base::error::Kind;

/// Any will do, the bridge ignores it.
pub const BAUD: u32 = 9600;
/// Time-out for one read of the port.
pub const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);
/// How long to be silent before a port that got out of step is drained and opened again.
pub const RESYNC_SILENCE: std::time::Duration = std::time::Duration::from_millis(100);

/// A delay inside a transaction of up to this passes while the frame crosses the USB (1 ms a frame).
const FREE_DELAY_NS: u32 = 100_000;

/// Why the bridge did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum UsbIssError {
    /// Its serial port is gone.
    #[error("the USB-ISS is unplugged")]
    Unplugged(#[source] io::Error),
    /// No answer, or not all of it.
    #[error("the USB-ISS answered {got} of {expected} bytes in time")]
    Silent {
        /// Bytes awaited.
        expected: usize,
        /// Bytes that came.
        got: usize,
    },
    /// The serial port fails in another way.
    #[error("the serial port of the USB-ISS fails")]
    Port(#[source] io::Error),
    /// Something else is on that port.
    #[error(
        "no USB-ISS on that port: it answers as module {module}, not {MODULE_ID}; correct the path"
    )]
    NotUsbIss {
        /// What it says it is.
        module: u8,
    },
    /// It does not become an SPI master.
    #[error(
        "the USB-ISS refused to become an SPI master ({code:?}): unplug it and plug it in again"
    )]
    Refused {
        /// Its reason.
        code: ErrorCode,
    },
    /// An answer that makes no sense here.
    #[error("the USB-ISS answered {byte:#04x} where 0xff belongs: stray bytes on its port")]
    Garbled {
        /// First byte of the answer.
        byte: u8,
    },
    /// A transfer was refused.
    #[error("the USB-ISS refused a transfer: it was reset and must be opened again")]
    Nack,
    /// An earlier exchange failed, so that answers can no longer be told apart.
    #[error("the USB-ISS is out of step after an error: drain its port and open it again")]
    OutOfStep,
    /// The transaction does not fit a frame.
    #[error("the USB-ISS transfers {MAX_TRANSFER} bytes at most, not {bytes}")]
    TooLong {
        /// All operations of the transaction.
        bytes: usize,
    },
    /// The bridge cannot wait inside a frame.
    #[error("the USB-ISS cannot wait {ns} ns inside a transaction")]
    Delay {
        /// As asked for.
        ns: u32,
    },
}

impl UsbIssError {
    /// The kind as which this failure leaves an instrument.
    pub fn failure_kind(&self) -> Kind {
        match self {
            Self::Unplugged(_) | Self::NotUsbIss { .. } => Kind::Absent,
            Self::Silent { .. } => Kind::TimedOut,
            Self::TooLong { .. } | Self::Delay { .. } => Kind::Internal,
            _ => Kind::Hardware,
        }
    }
}

impl embedded_hal::spi::Error for UsbIssError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

/// A USB-ISS that is an SPI master.
///
/// After an error of its port nothing more goes through ([`UsbIssError::OutOfStep`]). When it was unplugged, drop it,
/// wait for the port's name and open both anew; else take the port back, be silent for [`RESYNC_SILENCE`], drain the
/// port and open the bridge again.
#[derive(Debug)]
pub struct UsbIss<P> {
    port: P,
    identity: Identity,
    serial: [u8; SERIAL_DIGITS],
    in_step: bool,
}

impl<P: Read + Write> UsbIss<P> {
    /// Identifies the bridge behind `port` and makes it an SPI master. Blocks for three exchanges.
    ///
    /// The port's input must be empty (`NativeSerial::drain`), its time-out [`TIMEOUT`]. A bridge that was power-cycled
    /// has forgotten its mode; one that was not keeps the devices behind it as they were.
    ///
    /// # Errors
    /// [`UsbIssError`]; the port is dropped.
    pub fn open(mut port: P, mode: SpiMode, divisor: Divisor) -> Result<Self, UsbIssError> {
        let mut answer = [0; Identity::LENGTH];
        ask(&mut port, &Command::Version, &mut answer)?;
        let identity = Identity::decode(answer);
        if identity.module != MODULE_ID {
            let module = identity.module;
            return Err(UsbIssError::NotUsbIss { module });
        }
        let mut serial = [0; SERIAL_DIGITS];
        ask(&mut port, &Command::SerialNumber, &mut serial)?;
        let mut answer = [0; 2];
        ask(&mut port, &Command::SetMode(mode, divisor), &mut answer)?;
        match decode_mode_answer(answer) {
            Some(Ok(())) => Ok(Self {
                port,
                identity,
                serial,
                in_step: true,
            }),
            Some(Err(code)) => Err(UsbIssError::Refused { code }),
            None => Err(UsbIssError::Garbled { byte: answer[0] }),
        }
    }

    /// Who answered, with the mode it had before it was opened.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Its serial number: 8 digits, or what it sent in their place, made readable.
    pub fn serial_number(&self) -> heapless::String<SERIAL_DIGITS> {
        let readable = |byte: &u8| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '?',
        };
        self.serial.iter().map(readable).collect()
    }

    /// Gives the port back.
    pub fn into_port(self) -> P {
        self.port
    }

    /// Exchanges the bytes of one frame in place.
    fn exchange(&mut self, bytes: &mut [u8]) -> Result<(), UsbIssError> {
        if !self.in_step {
            return Err(UsbIssError::OutOfStep);
        }
        let too_long = UsbIssError::TooLong { bytes: bytes.len() };
        let command = Command::Transfer(Vec::from_slice(bytes).map_err(|_| too_long)?);
        self.in_step = false;
        write(&mut self.port, &command)?;
        let mut answer = [0; MAX_TRANSFER + 1];
        let answer = &mut answer[..bytes.len() + 1];
        // A refusal may be a lone byte: what follows must not be waited for.
        let (mut got, expected) = (0, answer.len());
        while got < expected {
            got += read(&mut self.port, &mut answer[got..], (got, expected))?;
            match answer[0] {
                ACK => {}
                NACK => return Err(UsbIssError::Nack),
                byte => return Err(UsbIssError::Garbled { byte }),
            }
        }
        bytes.copy_from_slice(&answer[1..]);
        self.in_step = true;
        Ok(())
    }
}

impl<P> ErrorType for UsbIss<P> {
    type Error = UsbIssError;
}

impl<P: Read + Write> SpiDevice for UsbIss<P> {
    /// One frame, at most 62 bytes. Short delays are met by the USB itself, longer ones refused.
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), UsbIssError> {
        let mut clocked = Vec::<u8, MAX_TRANSFER>::new();
        let bytes = operations.iter().map(length).sum();
        for operation in operations.iter() {
            if let Operation::DelayNs(ns @ FREE_DELAY_NS..) = operation {
                return Err(UsbIssError::Delay { ns: *ns });
            }
            let end = clocked.len() + length(operation);
            clocked
                .extend_from_slice(sent(operation))
                .and_then(|()| clocked.resize(end, 0))
                .map_err(|_| UsbIssError::TooLong { bytes })?;
        }
        if clocked.is_empty() {
            return Ok(());
        }
        self.exchange(&mut clocked)?;
        let mut rest = clocked.as_slice();
        for operation in operations {
            let (own, others) = rest.split_at(length(operation));
            rest = others;
            if let Operation::Read(words)
            | Operation::Transfer(words, _)
            | Operation::TransferInPlace(words) = operation
            {
                words.copy_from_slice(&own[..words.len()]);
            }
        }
        Ok(())
    }
}

fn sent<'o>(operation: &'o Operation<'_, u8>) -> &'o [u8] {
    match operation {
        Operation::Write(words) | Operation::Transfer(_, words) => words,
        Operation::TransferInPlace(words) => words,
        Operation::Read(_) | Operation::DelayNs(_) => &[],
    }
}

/// Bytes on the wire: a transfer lasts as long as the longer of its two slices.
fn length(operation: &Operation<'_, u8>) -> usize {
    match operation {
        Operation::Read(words) | Operation::TransferInPlace(words) => words.len(),
        Operation::Write(words) => words.len(),
        Operation::Transfer(read, write) => read.len().max(write.len()),
        Operation::DelayNs(_) => 0,
    }
}

fn ask(
    port: &mut (impl Read + Write),
    command: &Command,
    answer: &mut [u8],
) -> Result<(), UsbIssError> {
    write(port, command)?;
    let (mut got, expected) = (0, answer.len());
    while got < expected {
        got += read(port, &mut answer[got..], (got, expected))?;
    }
    Ok(())
}

/// In one write: a gap would make the bridge forget what it has of the message.
fn write(port: &mut impl Write, command: &Command) -> Result<(), UsbIssError> {
    port.write_all(&command.encode())
        .map_err(|error| explain(error, 0, 0))
}

fn read(
    port: &mut impl Read,
    buffer: &mut [u8],
    (got, expected): (usize, usize),
) -> Result<usize, UsbIssError> {
    loop {
        match port.read(buffer) {
            Ok(0) => return Err(UsbIssError::Unplugged(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(explain(error, got, expected)),
        }
    }
}

fn explain(error: io::Error, got: usize, expected: usize) -> UsbIssError {
    match error.kind() {
        io::ErrorKind::NotConnected | io::ErrorKind::BrokenPipe => UsbIssError::Unplugged(error),
        io::ErrorKind::TimedOut if expected > 0 => UsbIssError::Silent { expected, got },
        _ => UsbIssError::Port(error),
    }
}
