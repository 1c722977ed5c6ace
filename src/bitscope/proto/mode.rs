//! The trace modes, and which of them a capture uses.

use super::{BUFFER, TICK_S};

/// A trace mode of the device. Source: the client's table, which ran on a BS05.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// The vendor's name.
    pub name: &'static str,
    /// Register TraceMode.
    pub trace_mode: u8,
    /// Register BufferMode.
    pub buffer_mode: u8,
    /// Sample periods it can do, in ticks.
    pub ticks: (u32, u32),
    /// Largest divider of the sample clock.
    pub scale_max: u32,
    /// Analogue channels: two of them share the samples in turn.
    pub analogue_channels: u8,
    /// Bytes of an analogue sample: 2 for signed 16 bits, else 1.
    pub bytes: u8,
    /// Whether it captures logic channels.
    pub logic: bool,
}

const fn mode(
    name: &'static str,
    (trace_mode, buffer_mode): (u8, u8),
    ticks: (u32, u32),
    scale_max: u32,
    (analogue_channels, bytes): (u8, u8),
    logic: bool,
) -> Mode {
    Mode {
        name,
        trace_mode,
        buffer_mode,
        ticks,
        scale_max,
        analogue_channels,
        bytes,
        logic,
    }
}

/// All modes, in the order in which they are tried.
pub const MODES: [Mode; 17] = [
    mode("Macro", (18, 4), (40, 16384), 1, (1, 2), false),
    mode("MacroChop", (19, 5), (40, 16384), 1, (2, 2), false),
    mode("Analog", (0, 0), (15, 40), 16383, (1, 1), false),
    mode("AnalogChop", (2, 1), (13, 40), 16383, (2, 1), false),
    mode("AnalogFast", (4, 0), (8, 14), 1, (1, 1), false),
    mode("AnalogFastChop", (6, 1), (8, 40), 1, (2, 1), false),
    mode("AnalogShot", (11, 0), (2, 5), 1, (1, 1), false),
    mode("AnalogShotChop", (16, 1), (4, 5), 1, (2, 1), false),
    mode("Logic", (14, 0), (5, 16384), 1, (0, 1), true),
    mode("LogicFast", (15, 0), (4, 4), 1, (0, 1), true),
    mode("LogicShot", (13, 0), (1, 3), 1, (0, 1), true),
    mode("Mixed", (1, 2), (15, 40), 16383, (1, 1), true),
    mode("MixedChop", (3, 3), (13, 40), 16383, (2, 1), true),
    mode("MixedFast", (5, 2), (8, 14), 1, (1, 1), true),
    mode("MixedFastChop", (7, 3), (8, 40), 1, (2, 1), true),
    mode("MixedShot", (12, 2), (2, 5), 1, (1, 1), true),
    mode("MixedShotChop", (17, 3), (4, 5), 1, (2, 1), true),
];

impl Mode {
    /// Samples that the buffer holds of each kind.
    pub fn room(&self) -> u32 {
        let room = BUFFER / u32::from(self.bytes);
        match self.logic && self.analogue_channels > 0 {
            true => room / 2,
            false => room,
        }
    }
}

/// How a capture is timed: `samples` of them, one each `ticks * scale` ticks of 25 ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The mode.
    pub mode: &'static Mode,
    /// Register ClockTicks.
    pub ticks: u32,
    /// Register ClockScale.
    pub scale: u32,
    /// Samples in all; even with two analogue channels, each of which gets half.
    pub samples: u32,
}

impl Timing {
    /// The first mode that captures about `samples` in `period_s` seconds, if any. The count may differ much: the sample
    /// period is limited, the time is kept.
    pub fn choose(period_s: f64, samples: u32, analogue_channels: u8, logic: bool) -> Option<Self> {
        if !(period_s.is_finite() && period_s > 0.0) || samples == 0 {
            return None;
        }
        MODES
            .iter()
            .filter(|mode| mode.analogue_channels == analogue_channels && mode.logic == logic)
            .find_map(|mode| Self::fit(mode, period_s, f64::from(samples)))
    }

    fn fit(mode: &'static Mode, period_s: f64, wanted: f64) -> Option<Self> {
        let (low, high) = (f64::from(mode.ticks.0), f64::from(mode.ticks.1));
        let wanted_ticks = period_s / TICK_S / wanted;
        let mut ticks = wanted_ticks.round_ties_even();
        let mut scale = 1.0;
        if ticks > high && mode.scale_max > 1 {
            scale = (wanted_ticks / high).ceil().min(f64::from(mode.scale_max));
            ticks = (wanted_ticks / scale).round_ties_even();
            if ticks <= low {
                return None;
            }
        } else if ticks < low {
            return None;
        }
        let ticks = ticks.min(high);
        let mut samples = (period_s / TICK_S / ticks / scale).round_ties_even();
        if mode.analogue_channels == 2 {
            samples -= samples % 2.0;
        }
        // None at all cannot be dumped.
        let fits = samples >= 1.0 && samples <= f64::from(mode.room());
        fits.then_some(Self {
            mode,
            ticks: ticks as u32,
            scale: scale as u32,
            samples: samples as u32,
        })
    }

    /// Ticks from one sample to the next.
    pub fn sample_ticks(&self) -> u32 {
        self.ticks * self.scale
    }

    /// Seconds from one sample to the next.
    pub fn sample_period_s(&self) -> f64 {
        f64::from(self.sample_ticks()) * TICK_S
    }

    /// Seconds that all samples take.
    pub fn duration_s(&self) -> f64 {
        f64::from(self.samples) * self.sample_period_s()
    }
}
