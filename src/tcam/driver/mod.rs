//! The links to the camera: UART and SPI, or TCP, behind one interface.

mod link;

use std::pin::Pin;

use embedded_hal::spi::SpiDevice;
use futures_lite::io::{AsyncRead, AsyncWrite};

pub(super) use self::link::{Damage, Event, Link};
use super::LinkKind;
use crate::base::error::Failure;

/// Speed of the UART: 8 data bits, no parity, 1 stop bit, no flow control.
pub const BAUD: u32 = 230_400;
/// The longest SPI transaction, in bytes.
pub const LONGEST_READ: usize = super::proto::spi::MAX_READ;

/// Both directions of a byte stream.
pub trait ByteStream: AsyncRead + AsyncWrite {}

impl<T: AsyncRead + AsyncWrite> ByteStream for T {}

/// The command link: any UART or socket.
pub type Port = Pin<Box<dyn ByteStream>>;

/// Resolves to an open link, or why there is none.
pub type Opening<T> = Pin<Box<dyn Future<Output = Result<T, Failure>>>>;

/// Where the camera is. Each function opens its link anew, at the start and after every failure.
pub enum Source {
    /// Commands on a UART, images by SPI.
    Hardware(Box<dyn Fn() -> Opening<(Port, ImageBus)>>),
    /// All on one socket.
    Network(Box<dyn Fn() -> Opening<Port>>),
}

impl Source {
    /// Which of them.
    pub fn kind(&self) -> LinkKind {
        match self {
            Self::Hardware(_) => LinkKind::Hardware,
            Self::Network(_) => LinkKind::Network,
        }
    }
}

/// One transaction that fills a buffer.
type ReadImage = dyn FnMut(&mut [u8]) -> Result<(), Failure> + Send;

/// The SPI device that gives images. One read is one transaction, never split.
pub struct ImageBus {
    read: Box<ReadImage>,
}

impl ImageBus {
    /// Images from this device.
    pub fn new<S: SpiDevice + Send + 'static>(mut device: S) -> Self
    where
        S::Error: std::error::Error,
    {
        let read = move |buffer: &mut [u8]| {
            device
                .read(buffer)
                .map_err(|error| Failure::from_error(crate::base::error::Kind::Hardware, &error))
        };
        Self {
            read: Box::new(read),
        }
    }
}
