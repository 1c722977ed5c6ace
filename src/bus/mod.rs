//! The only place that names hardware crates: serial ports, SPI devices, lines of the GPIO header.
//!
//! | module | holds |
//! |---|---|
//! | [`serial`] | serial ports, asynchronous and blocking |
//! | [`pty`] | simulated serial devices: pseudo-terminals that drivers open by path |
//! | [`sim_port`] | a simulated device behind one, on its thread |
//! | [`spi`] | SPI devices: spidev, or one simulated in memory |
//! | [`gpio`] | output lines |
//! | [`usb`] | which serial adapters are plugged in |
//! | [`time`] | what the kernel knows of the time |

pub mod gpio;
pub mod pty;
pub mod serial;
pub mod sim_port;
pub mod spi;
pub mod time;
pub mod usb;
