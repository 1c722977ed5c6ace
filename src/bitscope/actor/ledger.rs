//! What the device still owes: how many bytes will answer those that a raw user sent.
//!
//! The stream has no framing, so the commands are followed as the device follows them: two register pointers and the
//! few registers that say how long a dump is. It is a guess all the same (a byte may get lost), which is why whoever
//! asks also has a time limit.

use crate::bitscope::proto::reply::{PRINTED, REVISION};
use crate::bitscope::proto::{Command, Register};

/// `02 CR tttttttt CR`, and `00 CR tttttttt CR aaaaaaaa CR`.
const TRACE_START: u64 = 12;
const TRACE_END: u64 = 21;
/// Bytes of the longest dump: with some registers it goes on for hours.
const DUMP_LIMIT: u64 = 4 * 65536;

/// The device as far as the length of its answers goes.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    r0: u8,
    r1: u8,
    registers: Box<[u8; 256]>,
    /// Bytes that come without further ado.
    owed: u64,
    /// Bytes of the end of a trace, which come when it ends.
    trace: u64,
    /// It sends until told otherwise.
    streams: bool,
}

impl Ledger {
    /// After a reset.
    pub(super) fn new() -> Self {
        Self {
            r0: 0,
            r1: 0,
            registers: Box::new([0; 256]),
            owed: 0,
            trace: 0,
            streams: false,
        }
    }

    /// Bytes that go to the device.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.follow(*byte);
        }
    }

    /// So many bytes came from it.
    pub(super) fn received(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        let rest = bytes.saturating_sub(self.owed);
        self.owed = self.owed.saturating_sub(bytes);
        self.trace = self.trace.saturating_sub(rest);
    }

    /// It owes nothing but what it sends by itself.
    pub(super) fn is_even(&self) -> bool {
        self.owed == 0
    }

    /// A trace waits for its end, or samples stream.
    pub(super) fn traces(&self) -> bool {
        self.trace > 0 || self.streams
    }

    /// Nothing has come for long: what is owed was lost.
    pub(super) fn give_up(&mut self) {
        self.owed = 0;
        // The end of a trace comes as a whole, if late.
        if self.trace < TRACE_END {
            self.trace = 0;
        }
    }

    fn follow(&mut self, byte: u8) {
        let command = Command::decode(byte);
        let waits = self.trace > 0 && self.owed == 0;
        if waits && !matches!(command, Command::Cancel | Command::Reset) {
            return;
        }
        self.streams = false;
        self.owed += 1;
        match command {
            Command::Clear => self.r0 = 0,
            Command::Digit(digit) => self.r0 = self.r0 << 4 | digit,
            Command::Address => self.r1 = self.r0,
            Command::Store => self.registers[usize::from(self.r1)] = self.r0,
            Command::StoreNext => {
                self.registers[usize::from(self.r1)] = self.r0;
                self.r1 = self.r1.wrapping_add(1);
            }
            Command::Next => self.r1 = self.r1.wrapping_add(1),
            Command::Print | Command::ReadEeprom => self.owed += PRINTED as u64,
            Command::Revision => self.owed += REVISION as u64,
            Command::Reset => {
                (self.r0, self.r1) = (0, 0);
                (self.owed, self.trace) = (1, 0);
            }
            Command::Trace => {
                self.owed += TRACE_START;
                self.trace = TRACE_END;
            }
            Command::Dump => self.owed += self.dump_bytes(),
            _ => self.streams = byte == b'T',
        }
    }

    fn dump_bytes(&self) -> u64 {
        let size = match self.value(Register::DumpMode) {
            2..=5 => 2,
            _ => 1,
        };
        let samples = self.value(Register::DumpCount) * self.value(Register::DumpRepeat).max(1);
        (samples * size).min(DUMP_LIMIT)
    }

    fn value(&self, register: Register) -> u64 {
        let first = usize::from(register.address());
        let bytes = &self.registers[first..first + usize::from(register.bytes())];
        let join = |value, byte: &u8| value << 8 | u64::from(*byte);
        bytes.iter().rev().fold(0, join)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitscope::sim::{Config, Device, Faults};

    /// The simulated device says exactly as much as was foreseen.
    #[test]
    fn answers_are_as_long_as_foreseen() {
        let mut device = Device::new(Config::default(), Faults::none());
        let mut ledger = Ledger::new();
        for commands in [
            &b"!"[..],
            b"?",
            b"[11]@[30]sr",
            b"[1c]@[10]z[01]s[16]@[01]z[00]s[1e]@[00]s>A",
            b"[1e]@[05]s>A",
            b"2e@[28]sp",
            b"zz",
            b"\xff",
        ] {
            let mut answer = Vec::new();
            device.receive(commands, &mut answer);
            ledger.sent(commands);
            assert!(!ledger.is_even());
            ledger.received(answer.len() - 1);
            assert!(!ledger.is_even(), "{}", commands.escape_ascii());
            ledger.received(1);
            assert!(ledger.is_even(), "{}", commands.escape_ascii());
        }
    }

    #[test]
    fn a_trace_lasts_until_its_end_has_come() {
        let mut ledger = Ledger::new();
        ledger.sent(b"D");
        ledger.received(13);
        assert!(ledger.is_even() && ledger.traces());
        // Swallowed while it waits.
        ledger.sent(b"[12]@p");
        assert!(ledger.is_even());
        ledger.sent(b"K");
        assert!(!ledger.is_even());
        ledger.received(22);
        assert!(ledger.is_even() && !ledger.traces());
        ledger.sent(b"D");
        ledger.sent(b"!");
        assert!(!ledger.traces());
        ledger.received(1);
        assert!(ledger.is_even());
        ledger.sent(b"A?");
        ledger.give_up();
        assert!(ledger.is_even());
    }
}
