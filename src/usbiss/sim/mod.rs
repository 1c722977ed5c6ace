//! The simulated bridge: its messages, its mode, its faults, and a pseudo-terminal in front.
//!
//! It knows no device: what is clocked out goes to a closure, which answers byte by byte, and another closure tells
//! when a fault strikes.

mod port;

use std::time::Duration;

use heapless::Vec;

use super::proto::{
    ACK, Command, ErrorCode, Identity, MAX_MESSAGE, MODULE_ID, NACK, POWER_UP_MODE, Rejection,
    SERIAL_DIGITS, encode_mode_answer,
};
pub use port::{Port, plug_in};

/// Bytes of a full-speed USB packet: more are another message.
pub const PACKET: usize = 64;
/// Firmware of the simulated bridge, as real ones have it.
const FIRMWARE: u8 = 7;
/// Module id of a relay board.
const OTHER_MODULE: u8 = 10;

/// The bridge's answer to one message.
pub type Answer = Vec<u8, { MAX_MESSAGE + 1 }>;
/// The device behind the bridge: byte from the host and time since the start, byte from the device.
pub type Slave = Box<dyn FnMut(u8, Duration) -> u8 + Send>;
/// Whether a fault strikes now, with its number.
pub type Strikes = Box<dyn FnMut(Trouble) -> Option<u64> + Send>;

/// What can go wrong with the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Refuses a transfer.
    Nack,
    /// Forgets its mode.
    ResetBridge,
    /// Does not answer.
    Silent,
    /// Leaves out the last byte of an answer.
    ShortAnswer,
    /// Answers with noise.
    Garbage,
    /// Gives its answer byte by byte.
    Chunk,
    /// Says it is a relay board.
    OtherModule,
    /// Is unplugged for as many milliseconds.
    Vanish,
}

impl Trouble {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nack => "nack",
            Self::ResetBridge => "reset-bridge",
            Self::Silent => "silent",
            Self::ShortAnswer => "short-answer",
            Self::Garbage => "garbage",
            Self::Chunk => "chunk",
            Self::OtherModule => "other-module",
            Self::Vanish => "vanish",
        }
    }
}

/// A simulated bridge with a device behind it.
pub struct Bridge {
    slave: Slave,
    strikes: Strikes,
    serial: [u8; SERIAL_DIGITS],
    mode: u8,
}

impl Bridge {
    /// A bridge that was just plugged in. Serial number 00030397, as a real one.
    pub fn new(slave: Slave, strikes: Strikes) -> Self {
        Self {
            slave,
            strikes,
            serial: *b"00030397",
            mode: POWER_UP_MODE,
        }
    }

    /// As after it was plugged in again; the device behind it keeps its power.
    pub fn replug(&mut self) {
        self.mode = POWER_UP_MODE;
    }

    /// The answer to what came in one packet; empty for none.
    pub fn message(&mut self, packet: &[u8], now: Duration) -> Answer {
        if self.strikes(Trouble::ResetBridge) {
            self.mode = POWER_UP_MODE;
        }
        if self.strikes(Trouble::Silent) {
            return Answer::new();
        }
        let mut answer = match Command::decode(packet) {
            Ok(command) => self.obey(&command, now),
            Err(Rejection::Ignored) => Answer::new(),
            Err(Rejection::Nack) => bytes(&[NACK]),
            Err(Rejection::Refused(code)) => bytes(&encode_mode_answer(Err(code))),
        };
        if self.strikes(Trouble::Garbage) {
            answer
                .iter_mut()
                .for_each(|byte| *byte = byte.wrapping_mul(167) ^ 0x5c);
        }
        if self.strikes(Trouble::ShortAnswer) {
            answer.pop();
        }
        answer
    }

    fn obey(&mut self, command: &Command, now: Duration) -> Answer {
        match command {
            Command::Version => {
                let module = match self.strikes(Trouble::OtherModule) {
                    true => OTHER_MODULE,
                    false => MODULE_ID,
                };
                let (firmware, mode) = (FIRMWARE, self.mode);
                bytes(
                    &Identity {
                        module,
                        firmware,
                        mode,
                    }
                    .encode(),
                )
            }
            Command::SerialNumber => bytes(&self.serial),
            Command::SetMode(mode, _) => {
                self.mode = mode.to_wire();
                bytes(&encode_mode_answer(Ok::<(), ErrorCode>(())))
            }
            Command::Transfer(_) if self.mode == POWER_UP_MODE || self.strikes(Trouble::Nack) => {
                bytes(&[NACK])
            }
            Command::Transfer(sent) => {
                let answers = sent.iter().map(|byte| (self.slave)(*byte, now));
                [ACK].into_iter().chain(answers).collect()
            }
        }
    }

    fn strikes(&mut self, trouble: Trouble) -> bool {
        (self.strikes)(trouble).is_some()
    }

    /// How long it is to be unplugged, if it is.
    fn vanishes(&mut self) -> Option<Duration> {
        (self.strikes)(Trouble::Vanish).map(Duration::from_millis)
    }
}

fn bytes(bytes: &[u8]) -> Answer {
    Answer::from_slice(bytes).expect("room because these answers have at most 8 bytes")
}
