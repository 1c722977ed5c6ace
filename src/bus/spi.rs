//! SPI devices: one transaction is one assertion of chip-select, whole or not at all.
//!
//! Linux copies a transaction through a buffer of `bufsiz` bytes (4096 unless set otherwise) and refuses a longer one
//! with EMSGSIZE. Splitting it would raise chip-select in between, which ends the transaction on the device's side, so
//! nothing here splits: [`check_bufsiz`] tells at the start what has to be set.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use embedded_hal::spi::{ErrorKind, ErrorType, Operation, SpiDevice};
use linux_embedded_hal::SpidevDevice;
use rustix::io::Errno;
use spidev::{SpiModeFlags, SpidevOptions};

use crate::base::error::Kind;

/// Where Linux tells the size of spidev's buffer.
pub const BUFSIZ_PARAMETER: &str = "/sys/module/spidev/parameters/bufsiz";

/// The size to set, unless more is needed.
const USUAL_BUFSIZ: usize = 65_536;

/// Why an SPI device cannot be opened or did not do a transaction.
#[derive(Debug, thiserror::Error)]
pub enum SpiError {
    /// No such device file.
    #[error(
        "SPI device {path} does not exist: put dtparam=spi=on in config.txt and restart, or correct the path"
    )]
    Missing {
        /// As asked for.
        path: PathBuf,
    },
    /// The user of this process may not open it.
    #[error("no permission to open SPI device {path}: add the user to the group spi")]
    Permission {
        /// As asked for.
        path: PathBuf,
    },
    /// Not 0, 1, 2 or 3.
    #[error("SPI mode {mode} does not exist: choose 0, 1, 2 or 3")]
    Mode {
        /// As asked for.
        mode: u8,
    },
    /// It does not take mode or clock, or is no SPI device.
    #[error("{path} cannot be set to SPI mode {mode} at {hz} Hz")]
    Setup {
        /// As asked for.
        path: PathBuf,
        /// 0 to 3.
        mode: u8,
        /// Clock.
        hz: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The transaction is longer than spidev's buffer (EMSGSIZE).
    #[error(
        "{path} (mode {mode}, {hz} Hz) refused a transaction of {bytes} bytes as longer than spidev's buffer: {}",
        cure(*bytes)
    )]
    TooLong {
        /// The device.
        path: PathBuf,
        /// 0 to 3.
        mode: u8,
        /// Clock.
        hz: u32,
        /// All operations of the transaction.
        bytes: usize,
    },
    /// Any other failure of a transaction.
    #[error("{path} (mode {mode}, {hz} Hz) failed in a transaction of {bytes} bytes")]
    Transaction {
        /// The device.
        path: PathBuf,
        /// 0 to 3.
        mode: u8,
        /// Clock.
        hz: u32,
        /// All operations of the transaction.
        bytes: usize,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A simulated device failed, as told to.
    #[error("the simulated SPI device failed in a transaction of {bytes} bytes")]
    Simulated {
        /// All operations of the transaction.
        bytes: usize,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The size of the buffer cannot be learned.
    #[error(
        "the size of spidev's buffer cannot be read from {parameter}: put dtparam=spi=on in config.txt and restart"
    )]
    NoBufsiz {
        /// The file.
        parameter: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The buffer is too small.
    #[error("spidev's buffer holds {bufsiz} bytes, {needed} are needed: {}", cure(*needed))]
    Bufsiz {
        /// Bytes it holds.
        bufsiz: usize,
        /// Bytes of the longest transaction.
        needed: usize,
    },
}

impl SpiError {
    /// The kind as which this failure leaves an instrument.
    pub fn failure_kind(&self) -> Kind {
        match self {
            Self::Missing { .. } | Self::NoBufsiz { .. } => Kind::Absent,
            Self::Permission { .. } => Kind::Protected,
            Self::Mode { .. } => Kind::OutOfRange,
            Self::Setup { .. }
            | Self::TooLong { .. }
            | Self::Transaction { .. }
            | Self::Simulated { .. }
            | Self::Bufsiz { .. } => Kind::Hardware,
        }
    }
}

impl embedded_hal::spi::Error for SpiError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

/// An SPI device of this board, real or simulated. Transactions block: call it on the blocking pool.
///
/// Delay operations last at most 65 535 us on Linux and no time in the simulation.
pub enum SpiLink {
    /// Through Linux's spidev.
    Spidev(Spidev),
    /// Played in memory.
    Memory(MemorySpi),
}

impl SpiLink {
    /// Opens a spidev node, most significant bit first, 8 bits a word.
    ///
    /// `mode` is 0 to 3; the controller rounds `hz` down to what its divider can do.
    ///
    /// # Errors
    /// [`SpiError`] for a device that is missing, closed to this user, or does not take mode or clock.
    pub fn open(path: &Path, mode: u8, hz: u32) -> Result<Self, SpiError> {
        let flags = mode_flags(mode)?;
        let device = SpidevDevice::open(path).map_err(|error| {
            let path = path.to_owned();
            match error.inner().kind() {
                io::ErrorKind::NotFound => SpiError::Missing { path },
                io::ErrorKind::PermissionDenied => SpiError::Permission { path },
                _ => SpiError::Setup {
                    path,
                    mode,
                    hz,
                    source: owned(error.inner()),
                },
            }
        })?;
        let mut link = Spidev {
            device,
            path: path.to_owned(),
            mode,
            hz,
        };
        let options = SpidevOptions::new()
            .bits_per_word(8)
            .max_speed_hz(hz)
            .lsb_first(false)
            .mode(flags)
            .build();
        link.device
            .configure(&options)
            .map_err(|source| SpiError::Setup {
                path: path.to_owned(),
                mode,
                hz,
                source,
            })?;
        Ok(Self::Spidev(link))
    }
}

impl fmt::Debug for SpiLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spidev(link) => write!(f, "Spidev({})", link.path.display()),
            Self::Memory(_) => f.write_str("MemorySpi"),
        }
    }
}

impl ErrorType for SpiLink {
    type Error = SpiError;
}

impl SpiDevice for SpiLink {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), SpiError> {
        match self {
            Self::Spidev(device) => device.transaction(operations),
            Self::Memory(device) => device.transaction(operations),
        }
    }
}

/// A device on a real bus, with its settings for the error texts.
pub struct Spidev {
    device: SpidevDevice,
    path: PathBuf,
    mode: u8,
    hz: u32,
}

impl Spidev {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), SpiError> {
        let bytes = length(operations);
        self.device.transaction(operations).map_err(|error| {
            let (path, mode, hz) = (self.path.clone(), self.mode, self.hz);
            match Errno::from_io_error(error.inner()) {
                Some(Errno::MSGSIZE) => SpiError::TooLong {
                    path,
                    mode,
                    hz,
                    bytes,
                },
                _ => SpiError::Transaction {
                    path,
                    mode,
                    hz,
                    bytes,
                    source: owned(error.inner()),
                },
            }
        })
    }
}

/// The device's side of one transaction.
///
/// It gets the bytes that the host clocks out, zeros where the host only reads, and puts in their place those that the
/// device clocks out. The slice is the whole transaction: chip-select falls before the call and rises after it.
pub type Peer = Box<dyn FnMut(&mut [u8]) -> io::Result<()> + Send>;

/// An SPI device played in memory.
pub struct MemorySpi {
    peer: Peer,
    // Kept from one transaction to the next: only those of several operations need it.
    clocked: Vec<u8>,
}

impl MemorySpi {
    /// A device that answers as `peer` does.
    pub fn new(peer: impl FnMut(&mut [u8]) -> io::Result<()> + Send + 'static) -> Self {
        Self {
            peer: Box::new(peer),
            clocked: Vec::new(),
        }
    }

    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), SpiError> {
        let bytes = length(operations);
        self.play(operations)
            .map_err(|source| SpiError::Simulated { bytes, source })
    }

    fn play(&mut self, operations: &mut [Operation<'_, u8>]) -> io::Result<()> {
        match operations {
            // An image read is 52 KB: no copy.
            [Operation::Read(words)] => {
                words.fill(0);
                (self.peer)(words)
            }
            [Operation::TransferInPlace(words)] => (self.peer)(words),
            _ => {
                self.clocked.clear();
                for operation in operations.iter() {
                    clock_out(operation, &mut self.clocked);
                }
                (self.peer)(&mut self.clocked)?;
                let mut rest = self.clocked.as_slice();
                for operation in operations {
                    rest = clock_in(operation, rest);
                }
                Ok(())
            }
        }
    }
}

/// Appends what the host sends in this operation.
fn clock_out(operation: &Operation<'_, u8>, clocked: &mut Vec<u8>) {
    let end = clocked.len() + operation_length(operation);
    match operation {
        Operation::Write(words) | Operation::Transfer(_, words) => clocked.extend_from_slice(words),
        Operation::TransferInPlace(words) => clocked.extend_from_slice(words),
        Operation::Read(_) | Operation::DelayNs(_) => {}
    }
    clocked.resize(end, 0);
}

/// Takes what the host receives in this operation from the front of `clocked`; returns what is left.
fn clock_in<'c>(operation: &mut Operation<'_, u8>, clocked: &'c [u8]) -> &'c [u8] {
    let (own, rest) = clocked.split_at(operation_length(operation));
    match operation {
        Operation::Read(words)
        | Operation::Transfer(words, _)
        | Operation::TransferInPlace(words) => words.copy_from_slice(&own[..words.len()]),
        Operation::Write(_) | Operation::DelayNs(_) => {}
    }
    rest
}

/// Checks that spidev takes a transaction of `needed` bytes; `parameter` is [`BUFSIZ_PARAMETER`] but in tests.
///
/// # Errors
/// [`SpiError::Bufsiz`] with the cure, [`SpiError::NoBufsiz`] without spidev in the kernel.
pub fn check_bufsiz(parameter: &Path, needed: usize) -> Result<(), SpiError> {
    let bufsiz: usize = std::fs::read_to_string(parameter)
        .and_then(|text| text.trim().parse().map_err(io::Error::other))
        .map_err(|source| SpiError::NoBufsiz {
            parameter: parameter.to_owned(),
            source,
        })?;
    if bufsiz < needed {
        return Err(SpiError::Bufsiz { bufsiz, needed });
    }
    Ok(())
}

/// What to do for transactions of `needed` bytes.
fn cure(needed: usize) -> String {
    let bufsiz = needed.checked_next_power_of_two().unwrap_or(needed);
    let bufsiz = bufsiz.max(USUAL_BUFSIZ);
    format!(
        "put spidev.bufsiz={bufsiz} in cmdline.txt, or `options spidev bufsiz={bufsiz}` in \
         /etc/modprobe.d/spidev.conf, and restart"
    )
}

fn mode_flags(mode: u8) -> Result<SpiModeFlags, SpiError> {
    match mode {
        0 => Ok(SpiModeFlags::SPI_MODE_0),
        1 => Ok(SpiModeFlags::SPI_MODE_1),
        2 => Ok(SpiModeFlags::SPI_MODE_2),
        3 => Ok(SpiModeFlags::SPI_MODE_3),
        _ => Err(SpiError::Mode { mode }),
    }
}

fn length(operations: &[Operation<'_, u8>]) -> usize {
    operations.iter().map(operation_length).sum()
}

/// Bytes on the wire: a transfer lasts as long as the longer of its two slices.
fn operation_length(operation: &Operation<'_, u8>) -> usize {
    match operation {
        Operation::Read(words) | Operation::TransferInPlace(words) => words.len(),
        Operation::Write(words) => words.len(),
        Operation::Transfer(read, write) => read.len().max(write.len()),
        Operation::DelayNs(_) => 0,
    }
}

/// The crate lends its error; the number or the text is all there is to it.
fn owned(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
