//! Gain modes: the Lepton trades range for resolution.

use super::spot::SpotArea;
use super::{COLUMNS, ROWS};

/// Gain mode of the Lepton: its range and its resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GainMode {
    /// 0: up to about 140 degrees Celsius, 0.01 K.
    High,
    /// 1: up to about 450 degrees Celsius, 0.1 K.
    Low,
    /// 2: the Lepton chooses.
    Auto,
    /// Anything else. Firmware 3.2 stores a negative number if it is sent one: never send it.
    Unknown(i32),
}

impl GainMode {
    /// By its number.
    pub fn from_wire(number: i32) -> Self {
        match number {
            0 => Self::High,
            1 => Self::Low,
            2 => Self::Auto,
            other => Self::Unknown(other),
        }
    }

    /// Its number.
    pub fn to_wire(self) -> i32 {
        match self {
            Self::High => 0,
            Self::Low => 1,
            Self::Auto => 2,
            Self::Unknown(other) => other,
        }
    }

    /// For programs: `high`, `low`, `auto` or `unknown`.
    pub fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Low => "low",
            Self::Auto => "auto",
            Self::Unknown(_) => "unknown",
        }
    }

    /// As a telemetry word holds it.
    pub(super) fn to_word(self) -> u16 {
        self.to_wire() as u16
    }
}

/// Gain mode and the rules of its automatic choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gain {
    /// As set.
    pub mode: GainMode,
    /// In effect: high or low.
    pub effective: GainMode,
    /// Wanted next.
    pub desired: GainMode,
    /// High to low above this, degrees Celsius.
    pub high_to_low_c: u16,
    /// Low to high below this, degrees Celsius.
    pub low_to_high_c: u16,
    /// High to low above this, kelvin.
    pub high_to_low_k: u16,
    /// Low to high below this, kelvin.
    pub low_to_high_k: u16,
    /// High to low if that many percent of the pixels are above.
    pub high_to_low_percent: u16,
    /// Low to high if that many percent of the pixels are below.
    pub low_to_high_percent: u16,
    /// Pixels that count: start row, start column, end row, end column.
    pub roi: SpotArea,
}

impl Default for Gain {
    fn default() -> Self {
        Self {
            mode: GainMode::High,
            effective: GainMode::High,
            desired: GainMode::High,
            high_to_low_c: 115,
            low_to_high_c: 85,
            high_to_low_k: 388,
            low_to_high_k: 358,
            high_to_low_percent: 25,
            low_to_high_percent: 90,
            roi: SpotArea::from_words([0, 0, ROWS as u16 - 1, COLUMNS as u16 - 1]),
        }
    }
}
