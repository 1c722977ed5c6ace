//! The camera's protocol as bytes and plain structs: no sockets, serial ports, files, tasks or clocks.
//!
//! | wire | module |
//! |---|---|
//! | `0x02` JSON `0x03`, on both links | [`packet`] |
//! | host to camera | [`command`], [`name`], [`wifi`] |
//! | camera to host, images aside | [`response`], [`cam_info`] |
//! | `{"metadata":..,"radiometric":..,"telemetry":..}` | [`image`], [`metadata`] |
//! | an image over SPI: packet, sum, padding | [`spi`] |
//! | the words inside an image | [`telemetry`], [`gain`], [`spot`], [`flux`], [`temperature`] |
//! | the Lepton's own registers | [`cci`] |
//! | `.tjsn` and `.tmjsn` | [`mod@file`] |
//!
//! Host and device side live side by side: the driver decodes what the simulator encodes. Firmware 3.2 is the
//! reference wherever the camera's documents disagree with each other.

pub mod cam_info;
pub mod cci;
pub mod command;
pub mod file;
pub mod flux;
pub mod gain;
pub mod image;
mod json;
pub mod metadata;
pub mod name;
pub mod packet;
pub mod response;
pub mod spi;
pub mod spot;
pub mod telemetry;
pub mod temperature;
pub mod wifi;

pub use cam_info::{CamInfo, InfoKind};
pub use cci::{CciCommand, CciStatus};
pub use command::{Command, Rejection};
pub use file::VideoInfo;
pub use flux::FluxLinear;
pub use gain::GainMode;
pub use image::{Frame, ImageText, Pixels, TelemetryWords};
pub use metadata::{Metadata, Model};
pub use name::Name;
pub use packet::{Framer, Packet};
pub use response::{Answer, Response};
pub use spi::Announcement;
pub use spot::SpotArea;
pub use telemetry::{PixelKind, Telemetry};
pub use temperature::{CentiKelvin, Resolution, Temperatures};
pub use wifi::{SetWifi, Wifi};

/// Pixels in a row.
pub const COLUMNS: usize = 160;
/// Rows in a frame.
pub const ROWS: usize = 120;
/// Pixels in a frame: row-major, row 0 on top, column 0 at the left.
pub const PIXELS: usize = COLUMNS * ROWS;
/// Telemetry words of a frame: rows A, B and C of the Lepton's four.
pub const TELEMETRY_WORDS: usize = 240;
