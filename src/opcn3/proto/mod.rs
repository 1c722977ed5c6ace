//! The counter's protocol as bytes and plain values (Alphasense 072-0503 issue 2, firmware 1.14 to 1.17a).
//!
//! | wire | module |
//! |---|---|
//! | commands and their replies | [`command`] |
//! | busy and ready, retries and waits | [`handshake`] |
//! | histogram, 86 bytes | [`histogram`] |
//! | PM, 14 bytes | [`pm`] |
//! | power and DAC status, 6 bytes | [`status`] |
//! | configuration, 168 bytes | [`configuration`] |
//! | information and serial strings, 60 bytes | [`text`] |
//! | checksum of histogram and PM | [`crc`] |
//! | what the counts mean | [`statistics`] |
//!
//! Host and device side live side by side: the driver decodes what the simulator encodes. Numbers are little-endian.

pub mod command;
pub mod configuration;
pub mod crc;
pub mod handshake;
pub mod histogram;
pub mod pm;
pub mod statistics;
pub mod status;
pub mod text;

pub use command::{Command, Opcode, Power, Reply, Version};
pub use configuration::Configuration;
pub use handshake::{Handshake, HandshakeError, Step};
pub use histogram::Histogram;
pub use pm::Pm;
pub use statistics::{BinEdges, SizeDistribution};
pub use status::Status;
pub use text::Text;

/// Size bins.
pub const BINS: usize = 24;

/// Why a reply cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Too few or too many bytes.
    #[error("the particle counter's reply has {got} bytes, not {expected}")]
    Length {
        /// Bytes it should have.
        expected: usize,
        /// Bytes it has.
        got: usize,
    },
    /// Damaged on the way, or shifted.
    #[error(
        "the particle counter's reply has checksum {received:#06x}, its bytes give {computed:#06x}: reading lost"
    )]
    Checksum {
        /// As sent.
        received: u16,
        /// Over the bytes before it.
        computed: u16,
    },
    /// Bin edges that no counter has.
    #[error(
        "the particle counter's bin edges do not rise from 0.35 to 40 um: configuration not used"
    )]
    Edges,
}

fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    let pair = bytes.get(offset..).and_then(|rest| rest.first_chunk());
    u16::from_le_bytes(*pair.expect("two bytes because the frame's length was checked"))
}

fn f32_at(bytes: &[u8], offset: usize) -> f32 {
    let four = bytes.get(offset..).and_then(|rest| rest.first_chunk());
    f32::from_le_bytes(*four.expect("four bytes because the frame's length was checked"))
}

/// Bytes of exactly the length that is expected.
fn exactly<const N: usize>(bytes: &[u8]) -> Result<&[u8; N], FrameError> {
    bytes.try_into().map_err(|_| FrameError::Length {
        expected: N,
        got: bytes.len(),
    })
}

/// Fills a frame field by field. Writing beyond its end is a bug.
struct Writer<'f> {
    frame: &'f mut [u8],
    at: usize,
}

impl<'f> Writer<'f> {
    fn new(frame: &'f mut [u8]) -> Self {
        Self { frame, at: 0 }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.frame[self.at..][..bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    fn f32(&mut self, value: f32) {
        self.bytes(&value.to_le_bytes());
    }
}
