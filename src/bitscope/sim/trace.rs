//! The simulated capture hardware: trigger search and sample rings.

use super::device::{Config, Registers};
use super::generator::Generator;
use crate::bitscope::proto::{Probe, Register, TICK_S};

/// Samples of a ring that holds one kind of bytes.
const RING: usize = 12288;
/// Modes whose rings are half as long: words, or two kinds.
const HALF: [u32; 8] = [1, 3, 5, 7, 12, 17, 18, 19];
/// Modes in which A and B share the samples.
const CHOPPED: [u32; 7] = [2, 3, 6, 7, 16, 17, 19];
/// A cell of the logic ring that was never written.
const EMPTY: u16 = 0x100;

/// How a trace ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) status: u8,
    pub(super) total: u64,
}

/// All that a sample depends on.
pub(super) struct Probes<'d> {
    pub(super) config: &'d Config,
    pub(super) registers: &'d Registers,
    pub(super) generator: &'d Generator,
    /// Ticks of the first sample.
    pub(super) start: u64,
}

impl Probes<'_> {
    /// Ticks from one sample to the next.
    pub(super) fn period(&self) -> u64 {
        let ticks = self.registers.get(Register::ClockTicks).max(1);
        let scale = self.registers.get(Register::ClockScale).max(1);
        u64::from(ticks) * u64::from(scale)
    }

    fn ticks(&self, sample: u64) -> u64 {
        self.start + sample * self.period()
    }

    fn a(&self, ticks: u64) -> f64 {
        let looped = self.config.loop_back.then(|| self.generator.volts(ticks));
        looped
            .flatten()
            .unwrap_or_else(|| self.config.inputs.a.volts(ticks as f64 * TICK_S))
    }

    fn b(&self, ticks: u64) -> f64 {
        self.config.inputs.b.volts(ticks as f64 * TICK_S)
    }

    /// The logic pins; of the comparators' bits only those in `wanted` are worked out.
    fn logic(&self, ticks: u64, wanted: u8) -> u8 {
        let mut logic = self.config.inputs.logic(ticks as f64 * TICK_S);
        let map = self.registers.get(Register::Map5);
        if let (0x12, Some(high)) = (map, self.generator.clock_level(ticks)) {
            logic = logic & !0x20 | u8::from(high) << 5;
        }
        let level = self.registers.get(Register::TriggerLevel);
        let level = Probe::X1.volts(f64::from(level) / 65536.0);
        let comparators = self.registers.get(Register::KitchenSinkA) as u8;
        if comparators & 0x80 & wanted != 0 {
            logic = logic & !0x80 | u8::from(self.a(ticks) > level) << 7;
        }
        if comparators & 0x40 & wanted != 0 {
            logic = logic & !0x40 | u8::from(self.b(ticks) > level) << 6;
        }
        logic
    }

    /// Runs until the trigger or the time-out; `None`: it waits for ever.
    pub(super) fn search(&self) -> Option<End> {
        let number = |register| u64::from(self.registers.get(register));
        let compared = !self.registers.get(Register::TriggerMask) as u8;
        let wanted = self.registers.get(Register::TriggerLogic) as u8;
        let inverted = self.registers.get(Register::SpockOption) & 0x40 != 0;
        let (before, held) = (
            2 * number(Register::TriggerIntro),
            (2 * number(Register::TriggerOutro)).max(1),
        );
        let intro = number(Register::TraceIntro);
        let timeout = number(Register::Timeout);
        let limit = match timeout {
            0 => self.config.waiting_samples,
            _ => intro + timeout * 256 / self.period() + 1,
        };
        let (mut others, mut hits) = (0, 0);
        for sample in intro..limit {
            let differs = (self.logic(self.ticks(sample), compared) ^ wanted) & compared != 0;
            if differs == inverted && (hits > 0 || others >= before) {
                hits += 1;
                if hits == held {
                    let total = sample + 1 + number(Register::TraceOutro);
                    return Some(End { status: 0, total });
                }
            } else if differs == inverted {
                others = 0;
            } else if hits > 0 {
                (others, hits) = (1, 0);
            } else {
                others += 1;
            }
        }
        let total = limit;
        (timeout > 0).then_some(End { status: 1, total })
    }
}

/// What was sampled last.
#[derive(Debug, Clone)]
pub(super) struct Rings {
    /// Parts of the range, 0..1 within it; not a number where nothing was written.
    analogue: Vec<f64>,
    logic: Vec<u16>,
    mode: u32,
}

impl Rings {
    pub(super) fn new() -> Self {
        Self {
            analogue: vec![f64::NAN; RING],
            logic: vec![EMPTY; RING],
            mode: 0,
        }
    }

    /// In the place of rings that are being filled: without memory.
    pub(super) fn empty() -> Self {
        Self {
            analogue: Vec::new(),
            logic: Vec::new(),
            mode: 0,
        }
    }

    fn length(&self) -> usize {
        match HALF.contains(&self.mode) {
            true => RING / 2,
            false => RING,
        }
    }

    fn is_chopped(&self) -> bool {
        CHOPPED.contains(&self.mode)
    }

    /// Fills the rings with the last samples of a trace; the address behind them.
    pub(super) fn fill(&mut self, probes: &Probes<'_>, total: u64) -> u32 {
        let registers = probes.registers;
        self.mode = registers.get(Register::TraceMode);
        let ring = self.length() as u64;
        let first = u64::from(registers.get(Register::SampleAddress));
        let only_b = registers.get(Register::AnalogEnable) & 3 == 2;
        let fraction = |register| f64::from(registers.get(register)) / 65536.0;
        let (lo, hi) = Probe::X1.range(
            fraction(Register::ConverterLo),
            fraction(Register::ConverterHi),
        );
        let (low, high) = (Probe::X1.volts(lo), Probe::X1.volts(hi));
        for sample in total.saturating_sub(ring)..total {
            let ticks = probes.ticks(sample);
            let address = ((first + sample) % ring) as usize;
            let b = match self.is_chopped() {
                true => address % 2 == 1,
                false => only_b,
            };
            let volts = if b { probes.b(ticks) } else { probes.a(ticks) };
            self.analogue[address] = (volts - low) / (high - low);
            self.logic[address] = u16::from(probes.logic(ticks, 0xff));
        }
        ((first + total) % ring) as u32
    }

    /// Appends what `A` dumps; at most `most` samples.
    pub(super) fn dump(&self, registers: &Registers, most: u64, out: &mut Vec<u8>) {
        let number = |register| u64::from(registers.get(register));
        let samples = number(Register::DumpCount) * number(Register::DumpRepeat).max(1);
        let ring = self.length() as u64;
        let first = number(Register::SampleAddress);
        let channel = number(Register::DumpChan);
        let (step, offset) = match self.is_chopped() && channel < 128 {
            true => (2, channel),
            false => (1, 0),
        };
        for sample in 0..samples.min(most) {
            let address = ((first + step * sample + offset) % ring) as usize;
            if channel >= 128 {
                out.push(match self.logic[address] {
                    EMPTY.. => registers.get(Register::Prelude) as u8,
                    logic => logic as u8,
                });
                continue;
            }
            let part = self.analogue[address];
            let part = if part.is_nan() { 0.5 } else { part };
            match registers.get(Register::DumpMode) {
                5 => {
                    let code = (part * 65536.0).round_ties_even().clamp(0.0, 65535.0);
                    out.extend_from_slice(&((code as i32 - 32768) as i16).to_be_bytes());
                }
                _ => out.push((part * 256.0).floor().clamp(0.0, 255.0) as u8),
            }
        }
    }
}
