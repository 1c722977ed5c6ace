//! The OPC-N3 optical particle counter by Alphasense: 24 size bins from 0.35 to 40 um, over SPI.
//!
//! ```text
//! caller (waits) <-> driver::OpcN3 <- proto::Handshake -> any SpiDevice: native port or USB bridge
//! ```
//! The driver never sleeps: it says how long to wait, and its caller waits.

pub mod driver;
pub mod proto;
pub mod sim;
