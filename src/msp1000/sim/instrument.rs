//! The instrument as state: what is set, what was seen last, and which connection controls.
//!
//! Control is greedy: the first connection has it until it closes. Nobody inherits; the next that sends a set command
//! takes it.

use super::faults::{Fault, Faults};
use super::light::{Noise, exact};
use crate::msp1000::proto::{Calibration, RawFrame};

/// Exposures that are obeyed, in milliseconds.
const EXPOSURES: std::ops::RangeInclusive<u32> = 1..=60_000;
/// Set when it leaves the factory, in milliseconds.
const FACTORY_EXPOSURE: u32 = 2;

/// Which connection speaks. Numbers are never used again.
pub type ConnectionId = u64;

/// The instrument's state.
#[derive(Debug)]
pub struct Instrument {
    exposure_ms: u32,
    calibration: Calibration,
    last: RawFrame,
    controller: Option<ConnectionId>,
    next_id: ConnectionId,
    noise: Noise,
    faults: Faults,
    exposures: u64,
}

impl Instrument {
    /// An instrument just switched on; its last frame is a dark one.
    pub fn new(seed: u64, faults: Faults) -> Self {
        let mut noise = Noise::new(seed);
        let calibration = Calibration::EXAMPLE;
        let dark = exact(FACTORY_EXPOSURE, &calibration, false);
        Self {
            exposure_ms: FACTORY_EXPOSURE,
            calibration,
            last: noise.frame(&dark),
            controller: None,
            next_id: 0,
            noise,
            faults,
            exposures: 0,
        }
    }

    /// A connection opens. The very first one controls.
    pub fn connect(&mut self) -> ConnectionId {
        let id = self.next_id;
        self.next_id += 1;
        if id == 0 {
            self.controller = Some(id);
        }
        id
    }

    /// A connection closed.
    pub fn disconnect(&mut self, id: ConnectionId) {
        if self.controller == Some(id) {
            self.controller = None;
        }
    }

    /// In milliseconds.
    pub fn exposure_ms(&self) -> u32 {
        self.exposure_ms
    }

    /// What wavelengths are computed from.
    pub fn calibration(&self) -> Calibration {
        self.calibration
    }

    /// Exposures so far.
    pub fn exposures(&self) -> u64 {
        self.exposures
    }

    /// Sets the exposure, in 1..60000 ms, if this connection may.
    pub fn set_exposure(&mut self, id: ConnectionId, ms: u32) {
        if EXPOSURES.contains(&ms) && self.controls(id) {
            self.exposure_ms = ms;
        }
    }

    /// Sets the calibration, if this connection may.
    pub fn set_calibration(&mut self, id: ConnectionId, calibration: Calibration) {
        if self.controls(id) {
            self.calibration = calibration;
        }
    }

    /// An exposure of so many milliseconds is over: its frame is the last one.
    pub fn expose(&mut self, exposure_ms: u32) {
        let lamp = !self.faults.is_on(Fault::Lamp);
        let counts = exact(exposure_ms, &self.calibration, lamp);
        self.last = self.noise.frame(&counts);
        self.exposures += 1;
    }

    /// The last frame.
    pub fn last_frame(&self) -> &RawFrame {
        &self.last
    }

    fn controls(&mut self, id: ConnectionId) -> bool {
        self.faults.is_on(Fault::Greedy) || *self.controller.get_or_insert(id) == id
    }
}
