//! The unit behind the handshake: fan, laser, pots, configuration, and what it has counted.

use std::time::Duration;

use super::SimConfig;
use super::air::{self, Air};
use super::faults::{Fault, Faults};
use crate::opcn3::proto::command::{Bytes, Pot};
use crate::opcn3::proto::{
    BINS, Command, Configuration, Histogram, Opcode, Pm, Power, Status, Text,
};

/// 1/100 ml/s, with the fan on.
const FLOW: u16 = 369;
/// Below this value of its pot the fan does not turn.
const SLOWEST_FAN: u8 = 115;
const LASER_STATUS: u16 = 608;
const WEAK_LASER_STATUS: u16 = 300;
const INFORMATION: &str = "OPC-N3 Iss1.1 FirmwareVer=1.17a...........................BS";
const VERSION: [u8; 2] = [1, 17];

#[derive(Debug)]
pub(super) struct Unit {
    config: SimConfig,
    faults: Faults,
    air: Air,
    status: Status,
    configuration: Configuration,
    saved: Configuration,
    scripted: usize,
    /// Cleared by a broken handshake, set by the next histogram or PM.
    armed: bool,
    last_read: Duration,
    /// Until then is accounted for in `counted`.
    accounted: Duration,
    /// Time with fan and laser on since the last read.
    counted: Duration,
    powered: Duration,
}

/// What was sampled since the last reading.
struct Taken {
    counts: [u16; BINS],
    /// 1/100 s.
    period: u16,
    /// 1/100 ml/s.
    flow: u16,
    pm: [f32; 3],
}

impl Unit {
    pub(super) fn new(config: SimConfig, faults: Faults, now: Duration) -> Self {
        Self {
            air: Air::new(config.seed),
            config,
            faults,
            status: off(),
            configuration: Configuration::default(),
            saved: Configuration::default(),
            scripted: 0,
            armed: true,
            last_read: now,
            accounted: now,
            counted: Duration::ZERO,
            powered: now,
        }
    }

    /// As after power came, or command 06.
    pub(super) fn restart(&mut self, now: Duration) {
        self.account(now);
        self.status = off();
        self.configuration = self.saved;
        self.armed = true;
        self.last_read = now;
        self.counted = Duration::ZERO;
        self.powered = now;
    }

    /// A broken handshake: no counting until a histogram or PM was read.
    pub(super) fn disarm(&mut self, now: Duration) {
        self.account(now);
        self.armed = false;
    }

    /// A histogram or PM was read to its end.
    pub(super) fn arm(&mut self, now: Duration) {
        self.account(now);
        self.armed = true;
    }

    pub(super) fn status(&self) -> Status {
        self.status
    }

    /// The data that follow F3.
    pub(super) fn reply(&mut self, opcode: Opcode, now: Duration) -> Bytes {
        let bytes: &[u8] = match opcode {
            Opcode::SerialString => {
                let text = format!("OPC-N3 {}", self.config.serial_number);
                &Text::encode(&text, 0)
            }
            Opcode::InformationString => &Text::encode(INFORMATION, 0),
            Opcode::Version => &VERSION,
            Opcode::Status => &self.status.encode(),
            Opcode::ReadConfiguration => &self.configuration.encode(),
            Opcode::Histogram => &self.histogram(now),
            Opcode::Pm => &Pm {
                values: self.take(now).pm,
            }
            .encode(),
            _ => &[],
        };
        Bytes::from_slice(bytes).expect("room because no reply is longer than a configuration")
    }

    /// Does a command that was written whole.
    pub(super) fn obey(&mut self, command: &Command, now: Duration) {
        self.account(now);
        match command {
            Command::Power(power) if !self.faults.strike(Fault::IgnorePower) => self.switch(*power),
            Command::WeightingIndex(index) => self.configuration.weighting_index = *index,
            Command::WriteConfiguration(configuration) => {
                self.configuration = Configuration {
                    weighting_index: self.configuration.weighting_index,
                    ..*configuration
                };
            }
            Command::SaveConfiguration => self.saved = self.configuration,
            Command::Pot(Pot::Fan, value) => self.status.fan_pot = *value,
            Command::Pot(Pot::Laser, value) => self.status.laser_pot = *value,
            Command::Reset => self.restart(now),
            _ => {}
        }
    }

    pub(super) fn weighting_index(&self) -> u8 {
        self.configuration.weighting_index
    }

    /// A place in a reply, for faults.
    pub(super) fn anywhere(&mut self, length: usize) -> usize {
        self.air.below(length)
    }

    fn switch(&mut self, power: Power) {
        match power {
            Power::Fan(on) => self.status.fan_on = on,
            Power::LaserPot(on) => self.status.laser_dac_on = on,
            Power::Laser(on) => {
                self.status.laser_on = on;
                self.status.laser_dac_on = on;
            }
            Power::HighGain(high) => {
                self.status.gain_high = high;
                self.status.gain_toggles = false;
            }
        }
    }

    fn account(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.accounted);
        if self.armed && self.status.fan_on && self.status.laser_on {
            self.counted += elapsed;
        }
        self.accounted = now;
    }

    /// What came since the last call.
    fn take(&mut self, now: Duration) -> Taken {
        self.account(now);
        let elapsed = now.saturating_sub(self.last_read).as_secs_f64();
        let period = (elapsed * self.config.period_factor * 100.0).round();
        let seconds = std::mem::take(&mut self.counted).as_secs_f64();
        self.last_read = now;
        let turns = self.status.fan_on && self.status.fan_pot >= SLOWEST_FAN;
        let turns = turns && !self.faults.strike(Fault::FanStuck);
        let flow = if turns { FLOW } else { 0 };
        // Whether the fan turned when the particles came is not remembered: only what it does at the reading counts.
        let clean = self.status.fan_on && !turns || !self.config.script.is_empty();
        let volume_ml = match clean {
            true => 0.0,
            false => seconds * f64::from(FLOW) / 100.0,
        };
        let counts = self.air.count(volume_ml, now.as_secs_f64());
        Taken {
            counts,
            // Beyond its end the period stands still.
            period: period.clamp(0.0, f64::from(u16::MAX)) as u16,
            flow,
            pm: air::pm(&counts, volume_ml),
        }
    }

    fn histogram(&mut self, now: Duration) -> [u8; Histogram::LENGTH] {
        let taken = self.take(now);
        if let Some(frame) = self.next_scripted() {
            return frame;
        }
        let warmth = 1.0 - (-now.saturating_sub(self.powered).as_secs_f64() / 300.0).exp();
        let rejects = u16::try_from(self.air.below(12)).unwrap_or(0);
        let counting = taken.counts.iter().any(|count| *count > 0);
        Histogram {
            counts: taken.counts,
            mean_time_of_flight: if counting { [21, 24, 28, 31] } else { [0; 4] },
            sampling_period: taken.period,
            sample_flow_rate: taken.flow,
            // 20 degrees, up to 4 more from laser and fan; 45 % relative humidity, falling with it.
            temperature: ((65.0 + 4.0 * warmth) / 175.0 * 65535.0) as u16,
            humidity: ((45.0 - 8.0 * warmth) / 100.0 * 65535.0) as u16,
            pm: match self.faults.strike(Fault::NanPm) {
                true => [taken.pm[0], f32::NAN, f32::INFINITY],
                false => taken.pm,
            },
            rejected_glitch: if counting { rejects } else { 0 },
            rejected_long_time_of_flight: if counting { rejects / 4 } else { 0 },
            rejected_ratio: if counting { rejects / 2 } else { 0 },
            rejected_out_of_range: 0,
            fan_revolutions: 0,
            laser_status: match self.status.laser_on {
                true if self.faults.strike(Fault::WeakLaser) => WEAK_LASER_STATUS,
                true => LASER_STATUS,
                false => 0,
            },
        }
        .encode()
    }

    fn next_scripted(&mut self) -> Option<[u8; Histogram::LENGTH]> {
        let frames = self.config.script.len();
        let index = self.scripted.checked_rem(frames)?;
        self.scripted = index + 1;
        Some(self.config.script[index])
    }
}

fn off() -> Status {
    Status {
        fan_on: false,
        laser_dac_on: false,
        fan_pot: 255,
        laser_pot: 151,
        laser_on: false,
        gain_high: true,
        gain_toggles: true,
    }
}
