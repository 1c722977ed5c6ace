//! The spectrometer's protocol and the arithmetic behind it as bytes and plain structs: no sockets, files, tasks or
//! clocks.
//!
//! | wire | module |
//! |---|---|
//! | UDP datagram `msp1000eth0,<serial>` | [`discovery`] |
//! | host to instrument, lines | [`command`] |
//! | instrument to host, lines and frames | [`reply`] |
//!
//! | values | module |
//! |---|---|
//! | the 3694 counts of a frame | [`frame`] |
//! | what is made of them: offset, dark, average | [`spectrum`] |
//! | pixel to wavelength | [`calibration`] |
//! | moving mean, Savitzky-Golay | [`smoothing`] |
//! | lines found in a spectrum | [`peaks`] |
//!
//! Host and device side live side by side: the driver decodes what the simulator and Outpost's own server encode. The
//! vendor publishes no protocol; its client's code is the source (`msp1000.md` tells what is known from where).

pub mod calibration;
pub mod command;
pub mod discovery;
pub mod frame;
mod number;
pub mod peaks;
pub mod reply;
pub mod smoothing;
pub mod spectrum;

pub use calibration::Calibration;
pub use command::{Command, CommandDecoder, CommandError};
pub use discovery::{Announcement, DiscoveryError};
pub use frame::{OffsetRange, RawFrame};
pub use peaks::{Peak, PeakFinder};
pub use reply::{Reply, ReplyDecoder, ReplyError};
pub use smoothing::{Smoothed, Smoothing, SmoothingError};
pub use spectrum::{Average, Dark, DarkError, Spectrum};

/// TCP port of the TLS link, unless configured.
pub const PORT: u16 = 8000;
/// UDP port on which instruments announce themselves.
pub const DISCOVERY_PORT: u16 = 12345;
