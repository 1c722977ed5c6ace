//! The simulated particle counter: the SPI slave, byte by byte, with its state, its air and its faults.
//!
//! [`Counter::transfer`] is the whole interface: it takes a byte at a time and gives the counter's answer. Whoever
//! owns it puts a bus in front: a simulated USB bridge, or an SPI device in memory.

mod air;
mod counter;
mod faults;
mod unit;

pub use counter::Counter;
pub use faults::{FAULTS, Faults};

use std::time::Duration;

use crate::opcn3::proto::Histogram;

/// How the counter is simulated.
#[derive(Debug, Clone, PartialEq)]
pub struct SimConfig {
    /// Chooses the counts.
    pub seed: u64,
    /// Busy answers after the first, for every command.
    pub busy_polls: u32,
    /// Busy at least this long after the first poll.
    pub preparation: Duration,
    /// The counter's idea of a second: factor of the sampling period.
    pub period_factor: f64,
    /// Histograms to send in turn, over and over, instead of counted ones. PM is zero then.
    pub script: Vec<[u8; Histogram::LENGTH]>,
    /// Second word of the serial string.
    pub serial_number: String,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            busy_polls: 0,
            preparation: Duration::ZERO,
            period_factor: 1.0,
            script: Vec::new(),
            // Made up.
            serial_number: "177290411".into(),
        }
    }
}
