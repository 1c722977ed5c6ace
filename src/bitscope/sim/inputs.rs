//! What is connected to the simulated oscilloscope.

use std::f64::consts::TAU;

/// A voltage over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Signal {
    /// `mean + amplitude * sin(2 pi hz t + phase)`.
    Sine {
        /// Volts.
        mean: f64,
        /// Volts.
        amplitude: f64,
        /// Hz.
        hz: f64,
        /// Radians.
        phase: f64,
    },
    /// `high` in the first part `duty` of each period, else `low`.
    Square {
        /// Volts.
        low: f64,
        /// Volts.
        high: f64,
        /// Hz.
        hz: f64,
        /// 0..1.
        duty: f64,
    },
}

impl Signal {
    /// Volts at a time in seconds.
    pub fn volts(&self, t: f64) -> f64 {
        match *self {
            Self::Sine {
                mean,
                amplitude,
                hz,
                phase,
            } => mean + amplitude * (TAU * hz * t + phase).sin(),
            Self::Square {
                low,
                high,
                hz,
                duty,
            } => match (hz * t).rem_euclid(1.0) < duty {
                true => high,
                false => low,
            },
        }
    }
}

/// All inputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Inputs {
    /// At A, unless a generator is looped back to it.
    pub a: Signal,
    /// At B.
    pub b: Signal,
    /// The logic pins count up each so many us.
    pub count_us: f64,
}

impl Default for Inputs {
    /// A: a sine of 2 kHz from 0.3 V to 2.7 V; B: a square wave of 1 kHz, 0.5 V and 2.5 V, 30 % high; L0 toggles each
    /// 32 us, L1 each 64 us and so on.
    fn default() -> Self {
        Self {
            a: Signal::Sine {
                mean: 1.5,
                amplitude: 1.2,
                hz: 2000.0,
                phase: 0.0,
            },
            b: Signal::Square {
                low: 0.5,
                high: 2.5,
                hz: 1000.0,
                duty: 0.3,
            },
            count_us: 32.0,
        }
    }
}

impl Inputs {
    /// The logic pins at a time in seconds.
    pub fn logic(&self, t: f64) -> u8 {
        // Counts beyond 64 bits do not happen: t starts below 108 s and traces are bounded.
        (t * 1e6 / self.count_us).floor() as u64 as u8
    }
}
