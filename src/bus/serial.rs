//! Serial ports: raw, 8 data bits, no parity, 1 stop bit, no flow control, and nobody else's while they are open.
//!
//! Two openers, for the two sides of the station. [`open_async`] serves the executor: tokio-serial needs a tokio
//! reactor, which async-compat supplies from a thread of its own, and nothing of it is seen outside. [`open_native`]
//! serves the blocking pool: plain [`Read`] and [`Write`] with a time-out and no runtime.
//!
//! Both tell an unplugged device by an error of kind [`io::ErrorKind::NotConnected`], however the kernel puts it
//! (end of file, EIO, ENXIO, ENODEV, hang-up). The port must then be dropped before it is opened again: it stays
//! locked, and a held USB port keeps its number, so the device would come back under another name.

#![allow(unsafe_code)]

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_compat::Compat;
use futures_lite::io::{AsyncRead, AsyncWrite};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use tokio_serial::{ClearBuffer, SerialPort, SerialPortBuilder, SerialStream};

use crate::base::error::Kind;

/// Why a serial port cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SerialError {
    /// No such device file.
    #[error("serial port {path} does not exist: plug the device in, or correct the path")]
    Missing {
        /// As asked for.
        path: PathBuf,
    },
    /// Another program, or another instrument of this station, has it.
    #[error(
        "serial port {path} is in use by another program: `fuser {path}` tells which one, end it"
    )]
    Busy {
        /// As asked for.
        path: PathBuf,
    },
    /// The user of this process may not open it.
    #[error("no permission to open serial port {path}: add the user to the group dialout")]
    Permission {
        /// As asked for.
        path: PathBuf,
    },
    /// A file of another kind.
    #[error("{path} is not a serial port")]
    NotSerial {
        /// As asked for.
        path: PathBuf,
    },
    /// Anything else, as the system puts it.
    #[error("serial port {path} cannot be opened at {baud} baud")]
    Open {
        /// As asked for.
        path: PathBuf,
        /// Bits a second.
        baud: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl SerialError {
    /// The kind as which this failure leaves an instrument.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Missing { .. } | Self::NotSerial { .. } => Kind::Absent,
            Self::Busy { .. } => Kind::Busy,
            Self::Permission { .. } => Kind::Protected,
            Self::Open { .. } => Kind::Hardware,
        }
    }

    fn new(path: &Path, baud: u32, error: tokio_serial::Error) -> Self {
        use tokio_serial::ErrorKind as E;
        let path = path.to_owned();
        match error.kind {
            // tokio-serial's name for EBUSY and for a lock held by another.
            E::NoDevice => Self::Busy { path },
            E::Io(io::ErrorKind::NotFound) => Self::Missing { path },
            E::Io(io::ErrorKind::PermissionDenied) => Self::Permission { path },
            _ if is_something_else(&path) => Self::NotSerial { path },
            _ => Self::Open {
                path,
                baud,
                source: error.into(),
            },
        }
    }
}

/// A serial port on the executor: futures-io [`AsyncRead`] and [`AsyncWrite`].
///
/// Written bytes are the kernel's at once: flushing and closing wait for nothing. A read or write dropped while
/// pending loses no bytes. Dropping the port unlocks and closes it.
pub struct AsyncSerial {
    stream: Compat<SerialStream>,
    path: PathBuf,
}

/// Opens a serial port for the executor, from any thread: no runtime has to be there.
///
/// A pseudo-terminal takes any `baud`; a UART may refuse one.
///
/// # Errors
/// [`SerialError`], which tells the cure.
pub async fn open_async(path: &Path, baud: u32) -> Result<AsyncSerial, SerialError> {
    let settings = settings(path, baud);
    let stream = Compat::new(async { SerialStream::open(&settings) })
        .await
        .map_err(|error| SerialError::new(path, baud, error))?;
    Ok(AsyncSerial {
        stream: Compat::new(stream),
        path: path.to_owned(),
    })
}

impl AsyncSerial {
    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Throws away what has come in and was not read, before a command whose answer must be the next thing read.
    ///
    /// # Errors
    /// `NotConnected` when the device is gone.
    pub fn drain(&self) -> io::Result<()> {
        let cleared = self.stream.get_ref().clear(ClearBuffer::Input);
        cleared.map_err(|error| explain(&self.path, error.into()))
    }
}

impl fmt::Debug for AsyncSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsyncSerial({})", self.path.display())
    }
}

impl AsyncRead for AsyncSerial {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let wanted = buffer.len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        Poll::Ready(received(&self.path, wanted, result))
    }
}

impl AsyncWrite for AsyncSerial {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        Poll::Ready(result.map_err(|error| explain(&self.path, error)))
    }

    // tokio-serial would wait in tcdrain(3) here, and with it every other task of the executor.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A serial port on a blocking thread: [`Read`] and [`Write`], each call ending within the time-out.
///
/// A call that is late fails with [`io::ErrorKind::TimedOut`]. Written bytes are the kernel's at once: flushing waits
/// for nothing. Dropping the port unlocks and closes it.
pub struct NativeSerial {
    port: Box<dyn SerialPort>,
    path: PathBuf,
}

/// Opens a serial port for a blocking thread. `timeout` is for one read or one write call.
///
/// # Errors
/// [`SerialError`], which tells the cure.
pub fn open_native(path: &Path, baud: u32, timeout: Duration) -> Result<NativeSerial, SerialError> {
    let port = settings(path, baud)
        .timeout(timeout)
        .open_native()
        .map_err(|error| SerialError::new(path, baud, error))?;
    // SAFETY: `port` owns the descriptor and outlives this borrow, which ends with the call below.
    let descriptor = unsafe { BorrowedFd::borrow_raw(port.as_raw_fd()) };
    // The crate waits for room with the time-out, but then writes all there is; in blocking mode that could last.
    rustix::fs::fcntl_setfl(descriptor, OFlags::NONBLOCK).map_err(|error| SerialError::Open {
        path: path.to_owned(),
        baud,
        source: error.into(),
    })?;
    Ok(NativeSerial {
        port: Box::new(port),
        path: path.to_owned(),
    })
}

impl NativeSerial {
    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sets the longest time of a read or write call.
    ///
    /// # Errors
    /// None on Linux; the type is the crate's.
    pub fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.port.set_timeout(timeout).map_err(io::Error::from)
    }

    /// Throws away what has come in and was not read, before a command whose answer must be the next thing read.
    ///
    /// # Errors
    /// `NotConnected` when the device is gone.
    pub fn drain(&self) -> io::Result<()> {
        let cleared = self.port.clear(ClearBuffer::Input);
        cleared.map_err(|error| explain(&self.path, error.into()))
    }
}

impl fmt::Debug for NativeSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NativeSerial({})", self.path.display())
    }
}

impl Read for NativeSerial {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.port.read(buffer);
        received(&self.path, buffer.len(), result)
    }
}

impl Write for NativeSerial {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.port
            .write(bytes)
            .map_err(|error| explain(&self.path, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where Linux lists terminals and the devices behind them.
pub const TTY_CLASS: &str = "/sys/class/tty";

/// Serial ports of USB devices with this vendor and product id, in the order of their names. `class` is [`TTY_CLASS`].
pub fn usb_ports(class: &Path, vendor: u16, product: u16) -> Vec<PathBuf> {
    let mut ports: Vec<PathBuf> = std::fs::read_dir(class)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            // `device` is the interface; the USB device that it belongs to is the folder above.
            let device = entry.path().join("device/..");
            let id = |name| std::fs::read_to_string(device.join(name)).ok();
            let is = |name, wanted| {
                let id = id(name).and_then(|text| u16::from_str_radix(text.trim(), 16).ok());
                id == Some(wanted)
            };
            is("idVendor", vendor) && is("idProduct", product)
        })
        .map(|entry| Path::new("/dev").join(entry.file_name()))
        .collect();
    ports.sort();
    ports
}

/// tokio-serial's defaults are 8N1, no flow control, exclusive: TIOCEXCL and a lock on the file.
fn settings(path: &Path, baud: u32) -> SerialPortBuilder {
    tokio_serial::new(path.to_string_lossy(), baud)
}

/// Whether there is a file that can be opened and is no terminal.
fn is_something_else(path: &Path) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).is_ok_and(|file| !rustix::termios::isatty(file))
}

/// A serial port has no end of file: nothing read means that the other end is gone.
fn received(path: &Path, wanted: usize, result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Ok(0) if wanted > 0 => Err(explain(path, Errno::IO.into())),
        Ok(count) => Ok(count),
        Err(error) => Err(explain(path, error)),
    }
}

/// Gives every form of "the device is gone" one kind, and other errors the path.
fn explain(path: &Path, error: io::Error) -> io::Error {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => error,
        io::ErrorKind::TimedOut => {
            io::Error::new(io::ErrorKind::TimedOut, format!("{path} is silent"))
        }
        _ if is_gone(&error) => {
            io::Error::new(io::ErrorKind::NotConnected, format!("{path} is unplugged"))
        }
        kind => io::Error::new(kind, format!("{path}: {error}")),
    }
}

fn is_gone(error: &io::Error) -> bool {
    match Errno::from_io_error(error) {
        Some(errno) => matches!(
            errno,
            Errno::IO | Errno::NXIO | Errno::NODEV | Errno::PIPE | Errno::NOTCONN
        ),
        // The blocking port has lost the number by now: EIO is `Other`, a hang-up `BrokenPipe`.
        None => matches!(
            error.kind(),
            io::ErrorKind::BrokenPipe | io::ErrorKind::Other | io::ErrorKind::NotFound
        ),
    }
}
