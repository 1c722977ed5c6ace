//! The IS-Instruments MSP1000 spectrometer: 3648 pixels of a CCD line, 400 to 850 nm, over TLS on the local network.

pub mod driver;
pub mod proto;
pub mod sim;
