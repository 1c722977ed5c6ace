//! The tCam-Mini thermal camera: 160 x 120 pixels by a FLIR Lepton, over UART and SPI or over the network.

pub mod proto;
pub mod sim;
