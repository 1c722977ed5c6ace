//! The clock generator on L5.

use super::TICKS_PER_S;
use super::register::{Register, Writes};

/// Largest relative error of the frequency.
const ERROR_MAX: f64 = 1e-4;
/// Function of a logic pin: output of clock 1.
const MAP_CLOCK: u32 = 0x12;

/// Why there is no such clock.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum ClockError {
    /// Not within 1e-4.
    #[error(
        "a clock of {frequency_hz} Hz cannot be made: 610.4 Hz to 20 MHz can, where 40 MHz divided by a whole number comes close"
    )]
    Frequency {
        /// As asked for.
        frequency_hz: f64,
    },
    /// Not between 0 and 1.
    #[error("a duty ratio of {0}: it lies between 0 and 1")]
    Ratio(f64),
}

/// A clock, settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockPlan {
    /// Period in ticks.
    pub ticks: u32,
    /// When it falls, in ticks.
    pub fall: u32,
}

impl ClockPlan {
    /// A clock of this frequency that is high for `ratio` of its period, at least one tick and at most all but one.
    ///
    /// # Errors
    /// [`ClockError`].
    pub fn new(frequency_hz: f64, ratio: f64) -> Result<Self, ClockError> {
        if !(0.0..=1.0).contains(&ratio) {
            return Err(ClockError::Ratio(ratio));
        }
        let ticks = (TICKS_PER_S / frequency_hz)
            .round_ties_even()
            .clamp(2.0, 65535.0);
        let actual = TICKS_PER_S / ticks;
        let close = (actual - frequency_hz).abs() / frequency_hz <= ERROR_MAX;
        if !(close && frequency_hz > 0.0) {
            return Err(ClockError::Frequency { frequency_hz });
        }
        let fall = (ticks * ratio).round_ties_even().clamp(1.0, ticks - 1.0);
        Ok(Self {
            ticks: ticks as u32,
            fall: fall as u32,
        })
    }

    /// What it is in fact.
    pub fn frequency_hz(&self) -> f64 {
        TICKS_PER_S / f64::from(self.ticks)
    }

    /// The part of its period in which it is high.
    pub fn ratio(&self) -> f64 {
        f64::from(self.fall) / f64::from(self.ticks)
    }

    /// What is written before `Z`.
    pub fn writes(&self) -> Writes {
        vec![
            (Register::Map5, MAP_CLOCK),
            (Register::Clock, self.ticks),
            (Register::Rise, 0),
            (Register::Fall, self.fall),
            (Register::Control, 0x80),
            (Register::Cmd, 3),
            (Register::Mode, 0),
        ]
    }

    /// What is written before the `Z` that stops it.
    pub fn stop_writes() -> Writes {
        vec![(Register::Map5, 0), (Register::Cmd, 1), (Register::Mode, 0)]
    }
}
