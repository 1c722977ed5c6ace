//! The USB-ISS bridge: a USB serial port on one side, an SPI master on the other.
//!
//! ```text
//! driver of an SPI device -> driver::UsbIss (SpiDevice) -> serial port -> USB-ISS -> /CE SCK SDO SDI
//! ```
//! The driver gives any embedded-hal SPI driver a bus; the simulation offers the bridge on a pseudo-terminal.

pub mod driver;
pub mod proto;
pub mod sim;
