//! The bridge's messages as bytes and plain values (Devantech's manual, September 2022).
//!
//! | host sends | bridge answers |
//! |---|---|
//! | `5a 01` | module id, firmware, mode |
//! | `5a 02 MODE DIV` | `ff 00`, or `00 CODE` when refused |
//! | `5a 03` | 8 digits, its serial number |
//! | `61 d1 .. dn`, n at most 62 | `ff r1 .. rn`, or `00` when refused |
//!
//! There is no framing: a message is what one USB packet holds, so each must be written in one call.

use heapless::Vec;

/// Module id of the USB-ISS. Relay boards of the same maker share its USB id but not this.
pub const MODULE_ID: u8 = 7;
/// Digits of a serial number.
pub const SERIAL_DIGITS: usize = 8;
/// The longest message.
pub const MAX_MESSAGE: usize = 63;
/// Data bytes of the longest transfer.
pub const MAX_TRANSFER: usize = MAX_MESSAGE - 1;
/// The mode after power-up: I2C at 100 kHz.
pub const POWER_UP_MODE: u8 = 0x40;
/// First byte of an answer to what was done.
pub const ACK: u8 = 0xff;
/// First byte of an answer to what was refused. Whether more follows is not documented.
pub const NACK: u8 = 0x00;

const SYSTEM: u8 = 0x5a;
const VERSION: u8 = 0x01;
const SET_MODE: u8 = 0x02;
const SERIAL: u8 = 0x03;
const SPI: u8 = 0x61;
/// Clock of the bridge's divider.
const CLOCK_HZ: u32 = 6_000_000;

/// A message, as bytes.
pub type Message = Vec<u8, MAX_MESSAGE>;

/// What the host may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Who are you? Answered by [`Identity`].
    Version,
    /// Answered by 8 ASCII digits.
    SerialNumber,
    /// Become an SPI master.
    SetMode(SpiMode, Divisor),
    /// Exchange 1 to 62 bytes while /CE is low.
    Transfer(Vec<u8, MAX_TRANSFER>),
}

impl Command {
    /// As it is sent, in one write.
    pub fn encode(&self) -> Message {
        let mut message = Message::new();
        let parts: (&[u8], &[u8]) = match self {
            Self::Version => (&[SYSTEM, VERSION], &[]),
            Self::SerialNumber => (&[SYSTEM, SERIAL], &[]),
            Self::SetMode(mode, divisor) => (
                &[SYSTEM, SET_MODE, mode.to_wire(), divisor.to_wire()],
                &[][..],
            ),
            Self::Transfer(bytes) => (&[SPI], bytes),
        };
        message
            .extend_from_slice(parts.0)
            .and_then(|()| message.extend_from_slice(parts.1))
            .expect("room because a transfer is at most 62 bytes and its header one");
        message
    }

    /// Reads what came in one packet, as the bridge does.
    ///
    /// # Errors
    /// How the bridge answers instead.
    pub fn decode(packet: &[u8]) -> Result<Self, Rejection> {
        match packet {
            [SYSTEM, VERSION] => Ok(Self::Version),
            [SYSTEM, SERIAL] => Ok(Self::SerialNumber),
            [SYSTEM, SET_MODE, mode, divisor] => {
                let mode = SpiMode::from_wire(*mode);
                let mode = mode.ok_or(Rejection::Refused(ErrorCode::UnknownCommand))?;
                Ok(Self::SetMode(mode, Divisor::from_wire(*divisor)))
            }
            [SYSTEM, _, ..] => Err(Rejection::Refused(ErrorCode::UnknownCommand)),
            [SPI, bytes @ ..] if !bytes.is_empty() => Vec::from_slice(bytes)
                .map(Self::Transfer)
                .map_err(|_| Rejection::Nack),
            _ => Err(Rejection::Ignored),
        }
    }
}

/// How the bridge answers what it does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// Not at all: no message, or an incomplete one.
    Ignored,
    /// `00 CODE`.
    Refused(ErrorCode),
    /// `00`: a transfer that is too long, or made before the bridge is an SPI master.
    Nack,
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// [`MODULE_ID`] for a USB-ISS.
    pub module: u8,
    /// Version of the bridge's firmware; 9 is the newest known.
    pub firmware: u8,
    /// Its mode as set last, [`POWER_UP_MODE`] before.
    pub mode: u8,
}

impl Identity {
    /// Bytes of the answer.
    pub const LENGTH: usize = 3;

    /// From the answer to [`Command::Version`].
    pub fn decode([module, firmware, mode]: [u8; Self::LENGTH]) -> Self {
        Self {
            module,
            firmware,
            mode,
        }
    }

    /// The answer to [`Command::Version`].
    pub fn encode(self) -> [u8; Self::LENGTH] {
        [self.module, self.firmware, self.mode]
    }

    /// What the user should know about this firmware, if anything.
    pub fn warning(self) -> Option<&'static str> {
        (self.firmware < 4).then_some(
            "firmware of the USB-ISS is older than version 4, which crashes in SPI modes 1 and 3 at slow clocks: \
             replace the bridge",
        )
    }
}

/// SPI mode. On the wire the middle two are exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpiMode {
    /// Clock idles low, data change as it falls.
    Mode0,
    /// Clock idles low, data change as it rises.
    Mode1,
    /// Clock idles high, data change as it rises.
    Mode2,
    /// Clock idles high, data change as it falls.
    Mode3,
}

impl SpiMode {
    /// The MODE byte.
    pub fn to_wire(self) -> u8 {
        match self {
            Self::Mode0 => 0x90,
            Self::Mode2 => 0x91,
            Self::Mode1 => 0x92,
            Self::Mode3 => 0x93,
        }
    }

    /// From a MODE byte; `None` for other modes of the bridge.
    pub fn from_wire(byte: u8) -> Option<Self> {
        match byte {
            0x90 => Some(Self::Mode0),
            0x91 => Some(Self::Mode2),
            0x92 => Some(Self::Mode1),
            0x93 => Some(Self::Mode3),
            _ => None,
        }
    }
}

/// Divisor of the SPI clock: 1 for 3 MHz to 255 for 23.44 kHz.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Divisor(u8);

impl Divisor {
    /// The fastest clock that is not faster than `hz`; `None` below 23 438 Hz. Above 3 MHz it stays 3 MHz.
    pub fn for_hz(hz: u32) -> Option<Self> {
        // The clock is CLOCK_HZ / (divisor + 1).
        let divisor = CLOCK_HZ.div_ceil(hz.max(1)).saturating_sub(1).max(1);
        u8::try_from(divisor).ok().map(Self)
    }

    /// From a DIV byte; the bridge takes 0 as 1.
    pub fn from_wire(byte: u8) -> Self {
        Self(byte.max(1))
    }

    /// The DIV byte.
    pub fn to_wire(self) -> u8 {
        self.0
    }

    /// The SPI clock in hertz, fractions cut.
    pub fn hz(self) -> u32 {
        CLOCK_HZ / (u32::from(self.0) + 1)
    }
}

/// Why a mode was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// 05.
    UnknownCommand,
    /// 06.
    Internal1,
    /// 07.
    Internal2,
    /// Not in the manual.
    Other(u8),
}

impl ErrorCode {
    /// From the byte after `00`.
    pub fn from_wire(byte: u8) -> Self {
        match byte {
            5 => Self::UnknownCommand,
            6 => Self::Internal1,
            7 => Self::Internal2,
            other => Self::Other(other),
        }
    }

    /// The byte after `00`.
    pub fn to_wire(self) -> u8 {
        match self {
            Self::UnknownCommand => 5,
            Self::Internal1 => 6,
            Self::Internal2 => 7,
            Self::Other(other) => other,
        }
    }
}

/// The answer to [`Command::SetMode`]; `None` when it is none.
pub fn decode_mode_answer(answer: [u8; 2]) -> Option<Result<(), ErrorCode>> {
    match answer {
        [ACK, 0] => Some(Ok(())),
        [NACK, code] => Some(Err(ErrorCode::from_wire(code))),
        _ => None,
    }
}

/// The bridge's answer to [`Command::SetMode`].
pub fn encode_mode_answer(answer: Result<(), ErrorCode>) -> [u8; 2] {
    match answer {
        Ok(()) => [ACK, 0],
        Err(code) => [NACK, code.to_wire()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_the_manual() {
        let transfer = |bytes: &[u8]| Command::Transfer(Vec::from_slice(bytes).unwrap());
        let table: [(Command, &[u8]); 5] = [
            (Command::Version, &[0x5a, 1]),
            (Command::SerialNumber, &[0x5a, 3]),
            (
                Command::SetMode(SpiMode::Mode1, Divisor::for_hz(500_000).unwrap()),
                &[0x5a, 2, 0x92, 0x0b],
            ),
            (transfer(&[0xcf]), &[0x61, 0xcf]),
            (transfer(&[7; 62]), &[&[0x61][..], &[7; 62]].concat()),
        ];
        for (command, bytes) in table {
            assert_eq!(command.encode(), bytes);
            assert_eq!(Command::decode(bytes), Ok(command));
        }
    }

    #[test]
    fn what_is_no_message_is_refused_as_documented() {
        let unknown = Err(Rejection::Refused(ErrorCode::UnknownCommand));
        assert_eq!(Command::decode(&[0x5a, 9]), unknown);
        assert_eq!(Command::decode(&[0x5a, 2, 0x92]), unknown);
        assert_eq!(Command::decode(&[0x5a, 2, 0x40, 1]), unknown);
        assert_eq!(
            Command::decode(&[&[0x61][..], &[0; 63]].concat()),
            Err(Rejection::Nack)
        );
        for ignored in [&[][..], &[0x5a], &[0x61], &[0x92, 0x0b]] {
            assert_eq!(Command::decode(ignored), Err(Rejection::Ignored));
        }
    }

    #[test]
    fn divisors_give_the_clocks_of_the_table() {
        // opc-n3.md 2.3; hertz, cut.
        for (divisor, hz) in [
            (7, 750_000),
            (8, 666_666),
            (11, 500_000),
            (12, 461_538),
            (15, 375_000),
            (19, 300_000),
            (1, 3_000_000),
            (255, 23_437),
        ] {
            assert_eq!(Divisor::from_wire(divisor).hz(), hz);
        }
        let best = |hz| Divisor::for_hz(hz).map(Divisor::to_wire);
        assert_eq!(best(500_000), Some(11));
        assert_eq!(best(499_999), Some(12), "never faster than asked");
        assert_eq!(best(750_000), Some(7));
        assert_eq!(best(u32::MAX), Some(1));
        assert_eq!(best(23_438), Some(255));
        assert_eq!(best(23_437), None);
        assert_eq!(best(0), None);
        assert_eq!(Divisor::from_wire(0).to_wire(), 1);
    }

    #[test]
    fn modes_and_answers_read_back() {
        for (mode, byte) in [
            (SpiMode::Mode0, 0x90),
            (SpiMode::Mode2, 0x91),
            (SpiMode::Mode1, 0x92),
            (SpiMode::Mode3, 0x93),
        ] {
            assert_eq!(mode.to_wire(), byte);
            assert_eq!(SpiMode::from_wire(byte), Some(mode));
        }
        assert_eq!(SpiMode::from_wire(0x40), None);
        for code in 0..=255 {
            assert_eq!(ErrorCode::from_wire(code).to_wire(), code);
            let answer = Err(ErrorCode::from_wire(code));
            assert_eq!(decode_mode_answer(encode_mode_answer(answer)), Some(answer));
        }
        assert_eq!(decode_mode_answer([0xff, 0]), Some(Ok(())));
        assert_eq!(decode_mode_answer([0xff, 1]), None);
        assert_eq!(decode_mode_answer([7, 7]), None);
        let old = Identity::decode([7, 3, 0x40]);
        assert!(old.warning().is_some_and(|text| text.contains("version 4")));
        assert_eq!(Identity::decode([7, 7, 0x92]).warning(), None);
    }
}
