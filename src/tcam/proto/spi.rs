//! An image over SPI: what one transaction returns, chip select low from its first to its last byte.
//!
//! ```text
//!  0x02 | JSON | 0x03 | sum, u32 big endian | 0 to 3 pad bytes of any value
//!  '------ packet ---'
//!  '---------- announced: V ---------------'
//!  '------------------ read: V rounded up to 4 ---------------------------'
//! ```
//!
//! The sum is that of all bytes of the packet, delimiters included, modulo 2^32. The announced length includes the
//! sum: so does firmware 3.2, against its documentation.

use super::image::{ImageError, ImageText};
use super::packet::{ETX, STX};
use crate::raw::kernels::counts;

/// The camera's buffer, and so the most that a host reads: 53 x 1024 bytes.
pub const MAX_READ: usize = 54_272;
/// Bytes of the sum.
pub const SUM_BYTES: usize = 4;
/// The shortest announcement that can be true: two delimiters and the sum.
const MIN_ANNOUNCED: usize = 2 + SUM_BYTES;

/// Why what came over SPI is not an image. The checks are made in this order.
#[derive(Debug, thiserror::Error)]
pub enum SpiError {
    /// An `image_ready` that is not to be followed by a read.
    #[error("the camera announced {got} bytes, outside {MIN_ANNOUNCED} to {MAX_READ}")]
    Announced {
        /// The value of `image_ready`.
        got: i64,
    },
    /// No packet at all: an idle line reads 0xff, a slave that gave up 0x00.
    #[error("the image begins with {got:#04x} instead of 0x02")]
    StartByte {
        /// First byte.
        got: u8,
    },
    /// Fewer bytes than announced.
    #[error("{got} bytes were read of the {expected} announced")]
    ShortRead {
        /// Bytes announced.
        expected: usize,
        /// Bytes read.
        got: usize,
    },
    /// The packet does not end where the announcement says.
    #[error("byte {offset} of the image is {got:#04x} instead of 0x03")]
    EndByte {
        /// Where the end belongs.
        offset: usize,
        /// Byte found there.
        got: u8,
    },
    /// Bytes were damaged or lost.
    #[error("the image's bytes add up to {got}, its checksum is {expected}")]
    Sum {
        /// Sum sent by the camera.
        expected: u32,
        /// Sum of the bytes that came.
        got: u32,
    },
    /// The sum holds, the content does not.
    #[error("the image passed its checksum but cannot be read")]
    Image(#[from] ImageError),
}

/// The value of an `image_ready`, known to be readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement {
    announced: usize,
}

impl Announcement {
    /// Takes the value of an `image_ready`.
    ///
    /// # Errors
    /// [`SpiError::Announced`] if its read would be longer than [`MAX_READ`] or could hold no packet: do not read.
    pub fn new(image_ready: i64) -> Result<Self, SpiError> {
        match usize::try_from(image_ready) {
            Ok(announced) if (MIN_ANNOUNCED..=MAX_READ).contains(&announced) => {
                Ok(Self { announced })
            }
            _ => Err(SpiError::Announced { got: image_ready }),
        }
    }

    /// Bytes to read in one transaction: the announced value rounded up to 4, never above [`MAX_READ`].
    pub fn read_len(&self) -> usize {
        self.announced.next_multiple_of(4)
    }

    /// The announced value: packet and sum.
    pub fn image_ready(&self) -> usize {
        self.announced
    }

    /// Checks start byte, end byte and sum, and returns the packet, delimiters included.
    ///
    /// The start byte comes first because an all-zero read has a sum of zero, which holds.
    ///
    /// # Errors
    /// [`SpiError`], except [`SpiError::Announced`] and [`SpiError::Image`].
    pub fn packet<'a>(&self, read: &'a [u8]) -> Result<&'a [u8], SpiError> {
        let short = || SpiError::ShortRead {
            expected: self.announced,
            got: read.len(),
        };
        let got = *read.first().ok_or_else(short)?;
        if got != STX {
            return Err(SpiError::StartByte { got });
        }
        let sealed = read.get(..self.announced).ok_or_else(short)?;
        let (packet, stored) = sealed.split_last_chunk().ok_or_else(short)?;
        let offset = packet.len() - 1;
        if packet[offset] != ETX {
            let got = packet[offset];
            return Err(SpiError::EndByte { offset, got });
        }
        let expected = u32::from_be_bytes(*stored);
        let got = sum(packet);
        if got != expected {
            return Err(SpiError::Sum { expected, got });
        }
        Ok(packet)
    }

    /// All checks: those of [`Announcement::packet`], then the JSON and the lengths of its strings.
    ///
    /// # Errors
    /// [`SpiError`], except [`SpiError::Announced`].
    pub fn image<'a>(&self, read: &'a [u8]) -> Result<ImageText<'a>, SpiError> {
        let packet = self.packet(read)?;
        Ok(ImageText::parse(&packet[1..packet.len() - 1])?)
    }
}

/// The sum of all bytes, modulo 2^32.
pub fn sum(bytes: &[u8]) -> u32 {
    counts::byte_sum(bytes)
}

/// Makes of a packet what the camera arms: appends the sum and pads to a multiple of 4. Returns what to announce.
///
/// `pad` are the left-overs of earlier images, which a camera sends as padding.
///
/// # Errors
/// [`SpiError::Announced`] if the packet is too long or too short; `armed` is unchanged.
pub fn seal(armed: &mut Vec<u8>, pad: [u8; 3]) -> Result<Announcement, SpiError> {
    let announced = i64::try_from(armed.len() + SUM_BYTES).unwrap_or(i64::MAX);
    let announcement = Announcement::new(announced)?;
    let sum = sum(armed);
    armed.extend_from_slice(&sum.to_be_bytes());
    let pad_bytes = announcement.read_len() - announcement.announced;
    armed.extend_from_slice(&pad[..pad_bytes]);
    Ok(announcement)
}
