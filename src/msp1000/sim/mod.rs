//! The simulated MSP1000: the instrument's side of its protocol, with a lamp, state, timing and faults.
//!
//! | module | holds |
//! |---|---|
//! | [`instrument`] | exposure, calibration, last frame, who controls: state without input and output |
//! | [`light`] | what the CCD sees, and its noise |
//! | [`Faults`] | what can go wrong |
//! | [`simulator`] | the TCP port with or without TLS, and the announcements, on a thread |
//!
//! It is written from the instrument's documents and shares with the driver no more than the codec.

mod connection;
mod faults;
pub mod instrument;
pub mod light;
pub mod simulator;

pub use faults::{FAULTS, Faults, fault_word};
pub use instrument::Instrument;
pub use simulator::{Announce, Config, Simulator, StartError};
