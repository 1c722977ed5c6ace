//! One command from its first poll to its last byte, without bus and clock.
//!
//! ```text
//! pause > 10 ms -> poll: command byte, 31 31 .. F3 -> data: one byte after the other -> done
//!                    | 20 times 31, or another byte: silence > 2 s, again, 3 rounds in all
//! ```
//! [`Handshake::step`] says what to do next: wait, send a byte and hand in the answer, or stop. A handshake that is
//! given up half way leaves the counter in the middle of a command: the next must be [`Handshake::after_trouble`].

use std::time::Duration;

use super::command::{Bytes, Command, Opcode};

/// The counter's answer while it prepares.
pub const BUSY: u8 = 0x31;
/// The counter's answer when data may follow.
pub const READY: u8 = 0xf3;
/// Between polls, and between commands: more than 10 ms, less than 100 ms.
pub const POLL_INTERVAL: Duration = Duration::from_millis(12);
/// Polls of a round.
pub const POLLS: u8 = 20;
/// Rounds of a command.
pub const ROUNDS: u8 = 3;
/// The counter forgets a command after more than 2 s, less than 10 s of silence.
pub const SILENCE: Duration = Duration::from_millis(2500);
/// Time to boot after a reset.
pub const BOOT_TIME: Duration = Duration::from_secs(4);
/// From fan on to laser on: at least 600 ms, so that the fan has its speed.
pub const FAN_TIME: Duration = Duration::from_secs(5);
/// After power-up before the first command: more than 2 s.
pub const POWER_UP_TIME: Duration = Duration::from_secs(4);
/// Between readings of the histogram, at least.
pub const SHORTEST_PERIOD: Duration = Duration::from_millis(500);
/// Between readings of the histogram, at most.
pub const LONGEST_PERIOD: Duration = Duration::from_secs(60);

/// Why a command failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// 31 for ever.
    #[error(
        "the particle counter stays busy with command {command:#04x}: reset it, or switch its power off and on"
    )]
    Busy {
        /// First byte of the command.
        command: u8,
    },
    /// FF or 00 instead of any answer.
    #[error(
        "no particle counter: the bus reads {byte:#04x}; check its 5 V supply and the wire from its SDO"
    )]
    NoCounter {
        /// What the line reads.
        byte: u8,
    },
    /// A byte that is neither busy nor ready.
    #[error(
        "the particle counter answered {byte:#04x} to command {command:#04x} where 0x31 or 0xf3 belongs: check its SS wire"
    )]
    Unexpected {
        /// First byte of the command.
        command: u8,
        /// Its answer.
        byte: u8,
    },
    /// It did not take a byte as sent.
    #[error(
        "the particle counter echoed {got:#04x} for {expected:#04x}: command {command:#04x} may not have been done"
    )]
    Echo {
        /// First byte of the command.
        command: u8,
        /// Sent before.
        expected: u8,
        /// Its answer.
        got: u8,
    },
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Be silent for at least this long.
    Wait(Duration),
    /// Send this byte and call [`Handshake::received`] with the answer. Bytes are spaced by more than 10 us.
    Send(u8),
    /// All is exchanged: see [`Handshake::reply`].
    Done,
    /// The command failed; the counter may be in the middle of it.
    Failed(HandshakeError),
}

/// One command on its way.
#[derive(Debug, Clone)]
pub struct Handshake {
    opcode: Opcode,
    /// Written after F3, or room for what is read.
    data: Bytes,
    state: State,
    round: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a round: silence of this length is due.
    Pause(Duration),
    /// A poll may be sent; that many were.
    Poll(u8),
    /// That many polls were sent, the last is to be answered.
    Polled(u8),
    /// Before another poll.
    Interval(u8),
    /// Byte number so much of the data may be sent.
    Data(usize),
    /// It was sent.
    Exchanged(usize),
    /// The command needs time after its end.
    Boot,
    Done,
    Failed(HandshakeError),
}

impl Handshake {
    /// A command after one that ended well.
    pub fn new(command: &Command) -> Self {
        Self {
            opcode: command.opcode(),
            data: command.payload(),
            state: State::Pause(POLL_INTERVAL),
            round: 1,
        }
    }

    /// A command after one that failed, or was given up: begins with silence, in which the counter forgets it.
    pub fn after_trouble(command: &Command) -> Self {
        Self {
            state: State::Pause(SILENCE),
            ..Self::new(command)
        }
    }

    /// The command's first byte.
    pub fn opcode(&self) -> Opcode {
        self.opcode
    }

    /// What was read after F3, or nothing for commands that write; whole once [`Step::Done`] was returned.
    pub fn reply(&self) -> &[u8] {
        match self.opcode.payload_length() {
            0 => &self.data,
            _ => &[],
        }
    }

    /// What to do next. Asking for [`Step::Wait`] takes it as done, so that each is returned once.
    pub fn step(&mut self) -> Step {
        let opcode = self.opcode.to_wire();
        match self.state {
            State::Pause(time) => {
                self.state = State::Poll(0);
                Step::Wait(time)
            }
            State::Interval(polls) => {
                self.state = State::Poll(polls);
                Step::Wait(POLL_INTERVAL)
            }
            State::Boot => {
                self.state = State::Done;
                Step::Wait(BOOT_TIME)
            }
            State::Poll(polls) => {
                self.state = State::Polled(polls + 1);
                Step::Send(opcode)
            }
            State::Polled(_) => Step::Send(opcode),
            State::Data(index) => {
                self.state = State::Exchanged(index);
                Step::Send(self.data_byte(index))
            }
            State::Exchanged(index) => Step::Send(self.data_byte(index)),
            State::Done => Step::Done,
            State::Failed(error) => Step::Failed(error),
        }
    }

    /// Takes the answer to the byte of the last [`Step::Send`]. Bytes that nothing was sent for are ignored.
    pub fn received(&mut self, byte: u8) {
        match self.state {
            State::Polled(polls) => self.polled(polls, byte),
            State::Exchanged(index) => self.exchanged(index, byte),
            _ => {}
        }
    }

    fn polled(&mut self, polls: u8, byte: u8) {
        let command = self.opcode.to_wire();
        self.state = match byte {
            // The first answer to a command is always busy: F3 here is left over from something else.
            READY if polls > 1 => self.data_or_end(0),
            BUSY if polls < POLLS => State::Interval(polls),
            _ if self.round < ROUNDS => {
                self.round += 1;
                State::Pause(SILENCE)
            }
            BUSY => State::Failed(HandshakeError::Busy { command }),
            0x00 | 0xff => State::Failed(HandshakeError::NoCounter { byte }),
            byte => State::Failed(HandshakeError::Unexpected { command, byte }),
        };
    }

    fn exchanged(&mut self, index: usize, byte: u8) {
        let command = self.opcode.to_wire();
        if self.opcode.payload_length() > 0 {
            let expected = match index.checked_sub(1) {
                Some(before) => self.data_byte(before),
                None => command,
            };
            if byte != expected {
                self.state = State::Failed(HandshakeError::Echo {
                    command,
                    expected,
                    got: byte,
                });
                return;
            }
        } else {
            // No reply is longer than the room for it.
            let _ = self.data.push(byte);
        }
        self.state = self.data_or_end(index + 1);
    }

    fn data_or_end(&self, index: usize) -> State {
        let length = self.opcode.payload_length().max(self.opcode.reply_length());
        match self.opcode {
            _ if index < length => State::Data(index),
            Opcode::Reset => State::Boot,
            _ => State::Done,
        }
    }

    /// What is sent as that byte of the data: while reading, the value does not matter.
    fn data_byte(&self, index: usize) -> u8 {
        match self.opcode.payload_length() {
            0 => self.opcode.to_wire(),
            _ => self.data.get(index).copied().unwrap_or(0),
        }
    }
}
