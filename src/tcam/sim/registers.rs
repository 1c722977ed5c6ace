//! The registers of the simulated Lepton: some show and change its settings, all others remember what was written.

use std::collections::BTreeMap;
use std::time::Duration;

use super::lepton::{FFC_DURATION, Lepton};
use crate::tcam::proto::cci::{CciCommand, CciKind, CciStatus, MAX_WORDS};
use crate::tcam::proto::command::{CciRead, CciWrite};
use crate::tcam::proto::response::CciReg;
use crate::tcam::proto::{COLUMNS, FluxLinear, GainMode, ROWS, SpotArea};

/// Most unknown registers remembered.
const MEMORY: usize = 256;
/// Error code of the Lepton: data out of range.
const RANGE_ERROR: i8 = -3;
/// Error code of the Lepton: no such function.
const UNDEFINED_FUNCTION: i8 = -7;
/// How long the camera is blind when the Lepton is told to restart.
const LEPTON_RESTART: Duration = Duration::from_secs(6);

const AGC_ENABLE: u16 = CciCommand::AGC_ENABLE.0;
const AGC_CALCULATION: u16 = 0x0148;
const SERIAL: u16 = 0x0208;
const UPTIME: u16 = CciCommand::UPTIME.0;
const HOUSING: u16 = CciCommand::HOUSING_TEMPERATURE.0;
const FPA: u16 = CciCommand::FPA_TEMPERATURE.0;
const TELEMETRY_ENABLE: u16 = 0x0218;
const TELEMETRY_LOCATION: u16 = 0x021C;
const GAIN: u16 = CciCommand::GAIN_MODE.0;
const PART: u16 = CciCommand::PART_NUMBER.0;
const GPIO_MODE: u16 = 0x4854;
const RADIOMETRY: u16 = CciCommand::RADIOMETRY_ENABLE.0;
const FLUX: u16 = CciCommand::FLUX_LINEAR.0;
const TLINEAR: u16 = CciCommand::TLINEAR_ENABLE.0;
const RESOLUTION: u16 = CciCommand::TLINEAR_RESOLUTION.0;
const AUTO_RESOLUTION: u16 = CciCommand::TLINEAR_AUTO_RESOLUTION.0;
const SPOT: u16 = CciCommand::SPOT_ROI.0;
const SPOT_VALUES: u16 = CciCommand::SPOT_VALUES.0;
const RUN_FFC: u16 = CciCommand::RUN_FFC.0;
const LEPTON_REBOOT: u16 = 0x4842;

/// What was written to registers that mean nothing here, and the words of the last exchange.
#[derive(Debug, Default)]
pub(super) struct Registers {
    written: BTreeMap<u16, Vec<u16>>,
    stale: Vec<u16>,
}

impl Lepton {
    /// Reads a register, or runs a command.
    pub(super) fn read_register(&mut self, read: CciRead, now: Duration) -> CciReg {
        let length = usize::from(read.length);
        let mut status = CciStatus::OK;
        if length <= MAX_WORDS {
            self.registers.stale = match read.command.kind() {
                CciKind::Get | CciKind::Set => self.register(read.command.get().0, now),
                CciKind::Run => {
                    self.run_register(read.command.0, now);
                    Vec::new()
                }
                CciKind::Invalid => {
                    status = CciStatus::with_error(UNDEFINED_FUNCTION);
                    Vec::new()
                }
            };
        }
        // Firmware 3.2 reads nothing for more than 512 words, and answers with what it has.
        let mut words = self.registers.stale.clone();
        words.resize(length, 0);
        CciReg {
            command: read.command,
            length: read.length,
            status,
            words,
        }
    }

    /// Writes a register. The answer says length 0, whatever was written.
    pub(super) fn write_register(&mut self, write: CciWrite, now: Duration) -> CciReg {
        let CciWrite { command, words } = write;
        let status = match command.kind() {
            CciKind::Run => {
                self.run_register(command.0, now);
                CciStatus::OK
            }
            CciKind::Invalid => CciStatus::with_error(UNDEFINED_FUNCTION),
            CciKind::Get | CciKind::Set => match self.set_register(command.get().0, words) {
                true => CciStatus::OK,
                false => CciStatus::with_error(RANGE_ERROR),
            },
        };
        CciReg {
            command,
            length: 0,
            status,
            words: Vec::new(),
        }
    }

    fn register(&mut self, command: u16, now: Duration) -> Vec<u16> {
        let settings = self.settings;
        let (fpa, housing) = self.temperatures(now);
        match command {
            AGC_ENABLE => vec![settings.agc.into(), 0],
            GAIN => long(settings.gain.to_wire() as u32),
            FLUX => settings.flux.cci_words().into(),
            SPOT => settings.spot.words().into(),
            SPOT_VALUES => {
                let spot = self.measure(now);
                vec![spot.mean, spot.max, spot.min, spot.population]
            }
            RESOLUTION => vec![self.resolution().flag(), 0],
            TLINEAR => vec![(!settings.agc).into(), 0],
            UPTIME => long(self.uptime(now).as_millis() as u32),
            FPA => vec![fpa.0, 0],
            HOUSING => vec![housing.0, 0],
            SERIAL => self.serial()[..4].into(),
            PART => part_number(),
            _ => match (self.registers.written.get(&command), command) {
                (Some(words), _) => words.clone(),
                (None, AGC_CALCULATION | TELEMETRY_ENABLE | TELEMETRY_LOCATION) => vec![1, 0],
                (None, RADIOMETRY | AUTO_RESOLUTION) => vec![1, 0],
                (None, GPIO_MODE) => vec![5, 0],
                (None, _) => Vec::new(),
            },
        }
    }

    fn run_register(&mut self, command: u16, now: Duration) {
        match command {
            RUN_FFC => self.run_ffc(FFC_DURATION, now),
            LEPTON_REBOOT => self.go_blind(LEPTON_RESTART, now),
            _ => {}
        }
    }

    /// False for words out of range.
    fn set_register(&mut self, command: u16, words: Vec<u16>) -> bool {
        let first = words.first().copied();
        match (command, first) {
            (AGC_ENABLE, Some(on @ 0..=1)) => self.settings.agc = on == 1,
            (GAIN, Some(mode @ 0..=2)) => self.settings.gain = GainMode::from_wire(mode.into()),
            (FLUX, _) => match words.first_chunk() {
                Some(words) => self.settings.flux = FluxLinear::from_cci_words(*words),
                None => return false,
            },
            (SPOT, _) => match words.first_chunk().copied().map(SpotArea::from_words) {
                Some(area) if is_inside(area) => self.settings.spot = area,
                _ => return false,
            },
            (AGC_ENABLE | GAIN, _) => return false,
            _ => {
                let written = &mut self.registers.written;
                if written.len() < MEMORY || written.contains_key(&command) {
                    written.insert(command, words);
                }
            }
        }
        true
    }
}

fn is_inside(area: SpotArea) -> bool {
    let ordered = area.row1 <= area.row2 && area.col1 <= area.col2;
    ordered && usize::from(area.row2) < ROWS && usize::from(area.col2) < COLUMNS
}

fn long(value: u32) -> Vec<u16> {
    vec![value as u16, (value >> 16) as u16]
}

/// That of a Lepton 3.5, in ASCII, two characters a word.
fn part_number() -> Vec<u16> {
    let (pairs, _) = b"500-0771-01\0".as_chunks();
    pairs.iter().map(|&pair| u16::from_le_bytes(pair)).collect()
}
