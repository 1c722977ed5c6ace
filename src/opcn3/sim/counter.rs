//! The handshake on the counter's side.

use std::time::Duration;

use super::SimConfig;
use super::faults::{Fault, Faults};
use super::unit::Unit;
use crate::opcn3::proto::command::Bytes;
use crate::opcn3::proto::handshake::{BUSY, READY};
use crate::opcn3::proto::{Command, Opcode, Status};

/// In the middle of a command the counter forgets it after this much silence.
const PATIENCE: Duration = Duration::from_secs(2);
/// An answer where busy or ready belongs.
const BAD_POLL: u8 = 0xe6;

/// A simulated OPC-N3. Time is handed in: how long the simulation has run.
#[derive(Debug)]
pub struct Counter {
    busy_polls: u32,
    preparation: Duration,
    faults: Faults,
    unit: Unit,
    state: State,
    last_byte: Duration,
}

#[derive(Debug)]
enum State {
    Idle,
    /// It goes on answering busy while polls are left and before the time.
    Preparing {
        opcode: Opcode,
        polls_left: u32,
        until: Duration,
    },
    Reading {
        opcode: Opcode,
        reply: Bytes,
        at: usize,
    },
    Writing {
        opcode: Opcode,
        payload: Bytes,
        /// Echoed next.
        before: u8,
    },
}

impl Counter {
    /// A counter that was just switched on.
    pub fn new(config: SimConfig, faults: Faults, now: Duration) -> Self {
        Self {
            busy_polls: config.busy_polls,
            preparation: config.preparation,
            unit: Unit::new(config, faults.clone(), now),
            faults,
            state: State::Idle,
            last_byte: now,
        }
    }

    /// What is switched on now.
    pub fn status(&self) -> Status {
        self.unit.status()
    }

    /// Takes a byte from the host and gives the one that goes back meanwhile.
    pub fn transfer(&mut self, byte: u8, now: Duration) -> u8 {
        if self.faults.strike(Fault::PowerCycle) {
            self.unit.restart(now);
            self.state = State::Idle;
        }
        if now.saturating_sub(self.last_byte) > PATIENCE {
            self.state = State::Idle;
        }
        self.last_byte = now;
        if self.faults.strike(Fault::AnswerFf) {
            return 0xff;
        }
        if self.faults.strike(Fault::Answer00) {
            return 0x00;
        }
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => self.begin(byte, now),
            State::Preparing {
                opcode,
                polls_left,
                until,
            } => self.poll(byte, (opcode, polls_left, until), now),
            State::Reading { opcode, reply, at } => self.read(opcode, reply, at, now),
            State::Writing {
                opcode,
                payload,
                before,
            } => self.write(byte, opcode, payload, before, now),
        }
    }

    fn begin(&mut self, byte: u8, now: Duration) -> u8 {
        let Some(opcode) = Opcode::from_wire(byte) else {
            return READY;
        };
        self.state = State::Preparing {
            opcode,
            polls_left: self.busy_polls,
            until: now + self.preparation,
        };
        match self.faults.strike(Fault::BadPoll) {
            true => BAD_POLL,
            false => BUSY,
        }
    }

    fn poll(
        &mut self,
        byte: u8,
        (opcode, polls_left, until): (Opcode, u32, Duration),
        now: Duration,
    ) -> u8 {
        if byte != opcode.to_wire() {
            self.unit.disarm(now);
            return BUSY;
        }
        let bad = self.faults.strike(Fault::BadPoll);
        if bad || polls_left > 0 || now < until || self.faults.strike(Fault::StayBusy) {
            self.state = State::Preparing {
                opcode,
                polls_left: polls_left.saturating_sub(1),
                until,
            };
            return if bad { BAD_POLL } else { BUSY };
        }
        if opcode.payload_length() > 0 {
            self.state = State::Writing {
                opcode,
                payload: Bytes::new(),
                before: byte,
            };
        } else if opcode.reply_length() > 0 {
            let reply = self.unit.reply(opcode, now);
            self.state = State::Reading {
                opcode,
                reply: self.spoil(opcode, reply),
                at: 0,
            };
        } else {
            self.obey(opcode, &[], now);
        }
        READY
    }

    fn read(&mut self, opcode: Opcode, reply: Bytes, at: usize, now: Duration) -> u8 {
        let byte = reply.get(at).copied().unwrap_or(READY);
        if at + 1 < reply.len() {
            let at = at + 1;
            self.state = State::Reading { opcode, reply, at };
        } else if matches!(opcode, Opcode::Histogram | Opcode::Pm) {
            self.unit.arm(now);
        }
        byte
    }

    fn write(
        &mut self,
        byte: u8,
        opcode: Opcode,
        mut payload: Bytes,
        before: u8,
        now: Duration,
    ) -> u8 {
        // There is room: no payload is longer.
        let _ = payload.push(byte);
        if payload.len() < opcode.payload_length() {
            self.state = State::Writing {
                opcode,
                payload,
                before: byte,
            };
        } else {
            self.obey(opcode, &payload, now);
        }
        match self.faults.strike(Fault::WrongEcho) {
            true => !before,
            false => before,
        }
    }

    fn obey(&mut self, opcode: Opcode, payload: &[u8], now: Duration) {
        let index = self.unit.weighting_index();
        if let Some(command) = Command::decode(opcode, payload, index) {
            self.unit.obey(&command, now);
        }
    }

    /// Applies the faults of replies.
    fn spoil(&mut self, opcode: Opcode, mut reply: Bytes) -> Bytes {
        let place = self.unit.anywhere(reply.len());
        if self.faults.strike(Fault::FlipBit) {
            reply[place] ^= 1 << self.unit.anywhere(8);
        }
        if matches!(opcode, Opcode::Histogram | Opcode::Pm)
            && self.faults.strike(Fault::WrongChecksum)
            && let Some(last) = reply.last_mut()
        {
            *last = !*last;
        }
        if self.faults.strike(Fault::DropByte) {
            reply.remove(place);
        }
        if self.faults.strike(Fault::ExtraByte) {
            // The longest reply loses its last byte to it.
            if reply.is_full() {
                reply.pop();
            }
            let _ = reply.insert(0, READY);
        }
        reply
    }
}
