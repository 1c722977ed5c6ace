//! The simulated waveform and clock generators.

use std::f64::consts::TAU;

use super::device::Registers;
use crate::bitscope::proto::{LOGIC_HIGH_V, Register, TABLE};

/// The generators of a device.
#[derive(Debug, Clone)]
pub(super) struct Generator {
    /// One wave, 0..=255 an entry.
    table: Box<[u8; TABLE]>,
    /// Volts.
    play: Box<[f64; TABLE]>,
    running: Running,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Running {
    Nothing,
    Waveform { clock: u64, modulo: u64 },
    Clock { period: u64, rise: u64, fall: u64 },
}

impl Generator {
    pub(super) fn new() -> Self {
        Self {
            table: Box::new([0; TABLE]),
            play: Box::new([0.0; TABLE]),
            running: Running::Nothing,
        }
    }

    pub(super) fn stop(&mut self) {
        self.running = Running::Nothing;
    }

    /// `Y`.
    pub(super) fn synthesize(&mut self, registers: &Registers) {
        let mode = registers.get(Register::Mode);
        let symmetry = f64::from(registers.get(Register::Ratio) & 0xffff) / 65536.0;
        let symmetry = if symmetry == 0.0 { 0.5 } else { symmetry };
        for (index, entry) in self.table.iter_mut().enumerate() {
            let p = index as f64 / TABLE as f64;
            let q = match p < symmetry {
                true => p / symmetry / 2.0,
                false => 0.5 + (p - symmetry) / (1.0 - symmetry) / 2.0,
            };
            let value = match mode {
                0 => 0.5 + 0.5 * (TAU * q).sin(),
                1 if q < 0.5 => 2.0 * q,
                1 => 2.0 - 2.0 * q,
                2 => (-4.0 * q).exp(),
                _ => f64::from(u8::from(p < symmetry)),
            };
            *entry = (value * 256.0).floor().clamp(0.0, 255.0) as u8;
        }
    }

    /// `X`.
    pub(super) fn translate(&mut self, registers: &Registers) {
        let level = f64::from(registers.get(Register::Level)) / 65535.0;
        let offset = f64::from(registers.get(Register::Offset) as u16 as i16) / 65536.0;
        let ratio = u64::from(registers.get(Register::Ratio));
        let size = registers.get(Register::Size) as usize;
        for (index, volts) in self.play.iter_mut().enumerate().take(size) {
            let entry = ((index as u64 * ratio) >> 16) as usize % TABLE;
            let value = f64::from(self.table[entry]) / 255.0;
            *volts = LOGIC_HIGH_V * (0.5 + offset + (value - 0.5) * level);
        }
    }

    /// `W`: one entry of the table, at register Address.
    pub(super) fn write(&mut self, address: u32, value: u8) {
        self.table[address as usize % TABLE] = value;
    }

    /// `Z`.
    pub(super) fn control(&mut self, registers: &Registers) {
        let number = |register| u64::from(registers.get(register));
        let clock = number(Register::Clock).max(1);
        match registers.get(Register::Cmd) {
            1 => self.stop(),
            2 => {
                let modulo = number(Register::Modulo).clamp(1, TABLE as u64);
                self.running = Running::Waveform { clock, modulo };
            }
            3 => {
                self.running = Running::Clock {
                    period: clock,
                    rise: number(Register::Rise),
                    fall: number(Register::Fall),
                };
            }
            _ => {}
        }
    }

    /// Volts of what runs at a time in ticks, if something does.
    pub(super) fn volts(&self, ticks: u64) -> Option<f64> {
        match self.running {
            Running::Nothing => None,
            Running::Waveform { clock, modulo } => {
                Some(self.play[((ticks / clock) % modulo) as usize % TABLE])
            }
            Running::Clock { .. } => Some(match self.clock_level(ticks)? {
                true => LOGIC_HIGH_V,
                false => 0.0,
            }),
        }
    }

    /// Whether the clock is high at a time in ticks, if it runs.
    pub(super) fn clock_level(&self, ticks: u64) -> Option<bool> {
        match self.running {
            Running::Clock { period, rise, fall } => Some((rise..fall).contains(&(ticks % period))),
            _ => None,
        }
    }
}
