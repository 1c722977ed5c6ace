//! The device as a state machine: bytes in, bytes out.

use super::faults::{Fault, Faults};
use super::generator::Generator;
use super::inputs::Inputs;
use super::trace::{End, Probes, Rings};
use crate::bitscope::proto::register::digits;
use crate::bitscope::proto::{Command, Register, SERIAL_ADDRESS, SERIAL_LENGTH};

/// Its revision, as real ones have it.
const REVISION: &[u8; 8] = b"BS000501";
/// What comes before the echo of a reset, with the fault `noise`.
const NOISE: &[u8; 8] = b"\x00\xff0d\rU!x";
/// Samples that one dump sends at most: real ones would go on for hours with some registers.
const DUMP_LIMIT: u64 = 65536;

/// What the device and its surroundings are like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Config {
    /// What is connected.
    pub inputs: Inputs,
    /// Whether a running generator is connected to A.
    pub loop_back: bool,
    /// Its clock at power-on, in ticks.
    pub start_ticks: u32,
    /// Samples without a trigger after which it waits for a cancel; what the trace holds then.
    pub waiting_samples: u64,
    /// In the EEPROM.
    pub serial_number: [u8; SERIAL_LENGTH],
}

impl Default for Config {
    fn default() -> Self {
        Self {
            inputs: Inputs::default(),
            loop_back: true,
            start_ticks: 0x41b7_99c8,
            waiting_samples: 60_000,
            serial_number: *b"DB98TI79",
        }
    }
}

/// The 256 registers.
#[derive(Debug, Clone)]
pub(super) struct Registers([u8; 256]);

impl Registers {
    pub(super) fn get(&self, register: Register) -> u32 {
        let address = usize::from(register.address());
        let bytes = &self.0[address..address + usize::from(register.bytes())];
        bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u32::from(*byte))
    }

    fn set(&mut self, register: Register, value: u32) {
        let address = usize::from(register.address());
        let cells = &mut self.0[address..address + usize::from(register.bytes())];
        for (cell, byte) in cells.iter_mut().zip(value.to_le_bytes()) {
            *cell = byte;
        }
    }
}

/// A simulated BitScope Micro. Its time is virtual: a trace that triggers or times out ends at once, and the clock
/// advances by what it took.
#[derive(Debug, Clone)]
pub struct Device {
    config: Config,
    faults: Faults,
    registers: Registers,
    r0: u8,
    r1: u8,
    eeprom: [u8; 256],
    generator: Generator,
    rings: Rings,
    ticks: u64,
    waiting: bool,
}

impl Device {
    /// A device that was just plugged in.
    pub fn new(config: Config, faults: Faults) -> Self {
        let mut eeprom = [0xff; 256];
        let serial = usize::from(SERIAL_ADDRESS);
        eeprom[serial..serial + SERIAL_LENGTH].copy_from_slice(&config.serial_number);
        Self {
            ticks: u64::from(config.start_ticks),
            config,
            faults,
            registers: Registers([0; 256]),
            r0: 0,
            r1: 0,
            eeprom,
            generator: Generator::new(),
            rings: Rings::new(),
            waiting: false,
        }
    }

    /// Takes bytes from the host and appends what goes back; one byte gives 128 KB at most.
    pub fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for byte in bytes {
            let before = out.len();
            if !self.faults.strike(Fault::Silent) {
                self.obey(Command::decode(*byte), *byte, out);
            }
            self.spoil(before, out);
        }
    }

    /// The raw value of a register.
    pub fn register(&self, register: Register) -> u32 {
        self.registers.get(register)
    }

    /// Whether a trace runs that only a cancel ends.
    pub fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Applies the fault that loses one of the bytes sent.
    fn spoil(&self, before: usize, out: &mut Vec<u8>) {
        let mut at = before;
        while at < out.len() && self.faults.number(Fault::Drop) > 0 {
            match self.faults.strike_last(Fault::Drop) {
                true => drop(out.remove(at)),
                false => at += 1,
            }
        }
    }

    fn obey(&mut self, command: Command, byte: u8, out: &mut Vec<u8>) {
        if self.waiting && !matches!(command, Command::Cancel | Command::Reset) {
            return;
        }
        if command == Command::Reset && self.faults.strike(Fault::Noise) {
            out.extend_from_slice(NOISE);
        }
        out.push(byte);
        match command {
            Command::Clear => self.r0 = 0,
            Command::Digit(digit) => self.r0 = self.r0 << 4 | digit,
            Command::Address => self.r1 = self.r0,
            Command::Store => self.store(),
            Command::StoreNext => {
                self.store();
                self.r1 = self.r1.wrapping_add(1);
            }
            Command::Next => self.r1 = self.r1.wrapping_add(1),
            Command::Print => print(self.registers.0[usize::from(self.r1)], out),
            Command::Revision => self.revision(out),
            Command::Reset => self.reset(),
            Command::SampleAddress => {
                let address = self.registers.get(Register::SampleAddress);
                self.registers.set(Register::SampleCounter, address);
            }
            Command::Trace => self.trace(out),
            Command::Cancel => self.cancel(out),
            Command::Dump => self.rings.dump(&self.registers, DUMP_LIMIT, out),
            Command::Synthesize => self.generator.synthesize(&self.registers),
            Command::Translate => self.generator.translate(&self.registers),
            Command::Control => self.generator.control(&self.registers),
            Command::WriteTable => self.write_table(),
            Command::ReadEeprom => print(self.eeprom[self.eeprom_address()], out),
            Command::WriteEeprom => {
                self.eeprom[self.eeprom_address()] = self.registers.get(Register::EepromData) as u8;
            }
            _ => {}
        }
    }

    fn store(&mut self) {
        self.registers.0[usize::from(self.r1)] = self.r0;
    }

    fn eeprom_address(&self) -> usize {
        self.registers.get(Register::EepromAddress) as usize
    }

    fn reset(&mut self) {
        self.waiting = false;
        self.generator.stop();
        (self.r0, self.r1) = (0, 0);
    }

    fn revision(&self, out: &mut Vec<u8>) {
        out.push(b'\r');
        match self.faults.number(Fault::Rev) {
            0 => out.extend_from_slice(REVISION),
            number => out.extend_from_slice(format!("BS{:06}", number % 1_000_000).as_bytes()),
        }
        out.push(b'\r');
    }

    fn write_table(&mut self) {
        let address = self.registers.get(Register::Address);
        self.generator.write(address, self.r0);
        self.registers
            .set(Register::Address, address.wrapping_add(1));
    }

    fn trace(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"02\r");
        field(self.ticks as u32, out);
        match self.probes().search() {
            Some(end) => self.finish(end, out),
            None => self.waiting = true,
        }
    }

    fn cancel(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.waiting) {
            let total = self.config.waiting_samples;
            self.finish(End { status: 3, total }, out);
        }
    }

    fn finish(&mut self, end: End, out: &mut Vec<u8>) {
        let mut rings = std::mem::replace(&mut self.rings, Rings::empty());
        let probes = self.probes();
        let address = rings.fill(&probes, end.total);
        let taken = end.total * probes.period();
        self.rings = rings;
        self.ticks += taken;
        digits(end.status, out);
        out.push(b'\r');
        field(self.ticks as u32, out);
        field(address, out);
    }

    fn probes(&self) -> Probes<'_> {
        Probes {
            config: &self.config,
            registers: &self.registers,
            generator: &self.generator,
            start: self.ticks,
        }
    }
}

/// `CR h h CR`.
fn print(byte: u8, out: &mut Vec<u8>) {
    out.push(b'\r');
    digits(byte, out);
    out.push(b'\r');
}

/// Eight digits and CR.
fn field(value: u32, out: &mut Vec<u8>) {
    for byte in value.to_be_bytes() {
        digits(byte, out);
    }
    out.push(b'\r');
}
