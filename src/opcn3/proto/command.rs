//! Commands and their replies. Writing the serial string and entering the boot loader are left out on purpose: the
//! first works once only, the second ends all measuring.

use heapless::Vec;

use super::{Configuration, FrameError, Histogram, Pm, Status, Text, exactly};

/// Bytes of the longest reply, and more than the longest payload.
pub const MAX_REPLY: usize = Configuration::LENGTH;

/// Payload of a command, or bytes of a reply.
pub type Bytes = Vec<u8, MAX_REPLY>;

/// First byte of each command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// 03: switches fan, laser and gain.
    Power,
    /// 05: chooses the bin weightings.
    WeightingIndex,
    /// 06: restarts the counter.
    Reset,
    /// 10: reads the serial string.
    SerialString,
    /// 12: reads the firmware's version.
    Version,
    /// 13: reads DAC and power status.
    Status,
    /// 30: reads and resets the histogram.
    Histogram,
    /// 32: reads PM and resets the histogram.
    Pm,
    /// 3A: writes the configuration.
    WriteConfiguration,
    /// 3C: reads the configuration.
    ReadConfiguration,
    /// 3F: reads the information string.
    InformationString,
    /// 42: sets a digital pot.
    Pot,
    /// 43: saves the configuration.
    SaveConfiguration,
    /// CF: does nothing.
    CheckStatus,
}

/// Byte, bytes of payload, bytes of reply after F3.
const FORMS: [(Opcode, u8, usize, usize); 14] = [
    (Opcode::Power, 0x03, 1, 0),
    (Opcode::WeightingIndex, 0x05, 1, 0),
    (Opcode::Reset, 0x06, 0, 0),
    (Opcode::SerialString, 0x10, 0, Text::LENGTH),
    (Opcode::Version, 0x12, 0, Version::LENGTH),
    (Opcode::Status, 0x13, 0, Status::LENGTH),
    (Opcode::Histogram, 0x30, 0, Histogram::LENGTH),
    (Opcode::Pm, 0x32, 0, Pm::LENGTH),
    (
        Opcode::WriteConfiguration,
        0x3a,
        Configuration::WRITE_LENGTH,
        0,
    ),
    (Opcode::ReadConfiguration, 0x3c, 0, Configuration::LENGTH),
    (Opcode::InformationString, 0x3f, 0, Text::LENGTH),
    (Opcode::Pot, 0x42, 2, 0),
    (Opcode::SaveConfiguration, 0x43, 5, 0),
    (Opcode::CheckStatus, 0xcf, 0, 0),
];

impl Opcode {
    /// From the byte.
    pub fn from_wire(byte: u8) -> Option<Self> {
        let form = FORMS.iter().find(|form| form.1 == byte)?;
        Some(form.0)
    }

    /// The byte.
    pub fn to_wire(self) -> u8 {
        self.form().1
    }

    /// Bytes the host writes after F3.
    pub fn payload_length(self) -> usize {
        self.form().2
    }

    /// Bytes the host reads after F3.
    pub fn reply_length(self) -> usize {
        self.form().3
    }

    fn form(self) -> &'static (Opcode, u8, usize, usize) {
        &FORMS[self as usize]
    }
}

/// What can be switched, by the option byte: target times two, plus one for on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Fan off (02) or on (03).
    Fan(bool),
    /// Shutdown of the laser's pot, off (04) or on (05). Not needed in normal use.
    LaserPot(bool),
    /// Laser off (06) or on (07).
    Laser(bool),
    /// Low (08) or high (09) gain; ends the automatic change until the counter is reset. Which is which is taken from
    /// the status byte and not proved.
    HighGain(bool),
}

impl Power {
    /// The option byte.
    pub fn to_wire(self) -> u8 {
        let (target, on) = match self {
            Self::Fan(on) => (1, on),
            Self::LaserPot(on) => (2, on),
            Self::Laser(on) => (3, on),
            Self::HighGain(on) => (4, on),
        };
        target * 2 + u8::from(on)
    }

    /// From the option byte.
    pub fn from_wire(byte: u8) -> Option<Self> {
        let on = byte & 1 == 1;
        match byte / 2 {
            1 => Some(Self::Fan(on)),
            2 => Some(Self::LaserPot(on)),
            3 => Some(Self::Laser(on)),
            4 => Some(Self::HighGain(on)),
            _ => None,
        }
    }
}

/// A digital pot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pot {
    /// Speed of the fan: below about 115 it does not turn.
    Fan,
    /// Power of the laser. Changing it voids the calibration.
    Laser,
}

/// What the host may ask of the counter.
// A configuration is copied by value: the polling path has no heap, and no queue holds commands.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Switches one thing.
    Power(Power),
    /// Chooses the bin weightings: 0 to 9.
    WeightingIndex(u8),
    /// Restarts the counter: everything off, saved configuration.
    Reset,
    /// Answered by [`Reply::Text`].
    SerialString,
    /// Answered by [`Reply::Version`].
    Version,
    /// Answered by [`Reply::Status`].
    Status,
    /// Answered by [`Reply::Histogram`].
    Histogram,
    /// Answered by [`Reply::Pm`]; the histogram is lost.
    Pm,
    /// Writes the configuration but its weighting index. It holds the factory's calibration: read and keep it first.
    WriteConfiguration(Configuration),
    /// Answered by [`Reply::Configuration`].
    ReadConfiguration,
    /// Answered by [`Reply::Text`].
    InformationString,
    /// Sets a digital pot.
    Pot(Pot, u8),
    /// Keeps the configuration over a restart.
    SaveConfiguration,
    /// Does nothing: proves the link.
    CheckStatus,
}

/// What has to be sent to save the configuration.
pub const SAVE_KEY: [u8; 5] = [0x3f, 0x3c, 0x3f, 0x3c, 0x43];

impl Command {
    /// Its first byte.
    pub fn opcode(&self) -> Opcode {
        match self {
            Self::Power(_) => Opcode::Power,
            Self::WeightingIndex(_) => Opcode::WeightingIndex,
            Self::Reset => Opcode::Reset,
            Self::SerialString => Opcode::SerialString,
            Self::Version => Opcode::Version,
            Self::Status => Opcode::Status,
            Self::Histogram => Opcode::Histogram,
            Self::Pm => Opcode::Pm,
            Self::WriteConfiguration(_) => Opcode::WriteConfiguration,
            Self::ReadConfiguration => Opcode::ReadConfiguration,
            Self::InformationString => Opcode::InformationString,
            Self::Pot(..) => Opcode::Pot,
            Self::SaveConfiguration => Opcode::SaveConfiguration,
            Self::CheckStatus => Opcode::CheckStatus,
        }
    }

    /// What is written after F3; empty for commands that write nothing.
    pub fn payload(&self) -> Bytes {
        let fits = "room because no payload is longer than a configuration";
        match self {
            Self::Power(power) => Bytes::from_slice(&[power.to_wire()]).expect(fits),
            Self::WeightingIndex(index) => Bytes::from_slice(&[*index]).expect(fits),
            Self::Pot(pot, value) => {
                let channel = match pot {
                    Pot::Fan => 0,
                    Pot::Laser => 1,
                };
                Bytes::from_slice(&[channel, *value]).expect(fits)
            }
            Self::SaveConfiguration => Bytes::from_slice(&SAVE_KEY).expect(fits),
            Self::WriteConfiguration(configuration) => {
                let frame = configuration.encode();
                Bytes::from_slice(&frame[..Configuration::WRITE_LENGTH]).expect(fits)
            }
            _ => Bytes::new(),
        }
    }

    /// From opcode and payload, as the counter does; `weighting_index` goes into a written configuration. `None` for
    /// a payload that the counter does not know.
    pub fn decode(opcode: Opcode, payload: &[u8], weighting_index: u8) -> Option<Self> {
        if payload.len() != opcode.payload_length() {
            return None;
        }
        match (opcode, payload) {
            (Opcode::Power, [option]) => Power::from_wire(*option).map(Self::Power),
            (Opcode::WeightingIndex, [index @ 0..=9]) => Some(Self::WeightingIndex(*index)),
            (Opcode::Pot, [0, value]) => Some(Self::Pot(Pot::Fan, *value)),
            (Opcode::Pot, [1, value]) => Some(Self::Pot(Pot::Laser, *value)),
            (Opcode::SaveConfiguration, key) => {
                (key == SAVE_KEY).then_some(Self::SaveConfiguration)
            }
            (Opcode::WriteConfiguration, written) => {
                let mut frame = Bytes::from_slice(written).ok()?;
                frame.push(weighting_index).ok()?;
                let configuration = Configuration::decode(&frame).ok()?;
                Some(Self::WriteConfiguration(configuration))
            }
            (Opcode::Reset, _) => Some(Self::Reset),
            (Opcode::SerialString, _) => Some(Self::SerialString),
            (Opcode::Version, _) => Some(Self::Version),
            (Opcode::Status, _) => Some(Self::Status),
            (Opcode::Histogram, _) => Some(Self::Histogram),
            (Opcode::Pm, _) => Some(Self::Pm),
            (Opcode::ReadConfiguration, _) => Some(Self::ReadConfiguration),
            (Opcode::InformationString, _) => Some(Self::InformationString),
            (Opcode::CheckStatus, _) => Some(Self::CheckStatus),
            _ => None,
        }
    }
}

/// Version of the firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// 1.
    pub major: u8,
    /// 17.
    pub minor: u8,
}

impl Version {
    /// Bytes of the reply.
    pub const LENGTH: usize = 2;
}

/// What the counter answered.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// It did what it was told.
    Done,
    /// Serial or information string.
    Text(Text),
    /// Version of the firmware.
    Version(Version),
    /// DAC and power status.
    Status(Status),
    /// Histogram.
    Histogram(Histogram),
    /// PM.
    Pm(Pm),
    /// Configuration.
    Configuration(Configuration),
}

impl Reply {
    /// Reads the bytes that followed F3; those of commands that write are their echo and not looked at.
    ///
    /// # Errors
    /// [`FrameError`]: the reply is worthless.
    pub fn decode(opcode: Opcode, bytes: &[u8]) -> Result<Self, FrameError> {
        match opcode {
            Opcode::SerialString | Opcode::InformationString => Text::decode(bytes).map(Self::Text),
            Opcode::Version => {
                let [major, minor] = *exactly(bytes)?;
                Ok(Self::Version(Version { major, minor }))
            }
            Opcode::Status => Status::decode(bytes).map(Self::Status),
            Opcode::Histogram => Histogram::decode(bytes).map(Self::Histogram),
            Opcode::Pm => Pm::decode(bytes).map(Self::Pm),
            Opcode::ReadConfiguration => Configuration::decode(bytes).map(Self::Configuration),
            Opcode::Power
            | Opcode::WeightingIndex
            | Opcode::Reset
            | Opcode::WriteConfiguration
            | Opcode::Pot
            | Opcode::SaveConfiguration
            | Opcode::CheckStatus => Ok(Self::Done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_stand_in_the_order_of_the_opcodes() {
        for (index, form) in FORMS.iter().enumerate() {
            assert_eq!(form.0 as usize, index);
            assert_eq!(Opcode::from_wire(form.1), Some(form.0));
        }
        // Never sent: writing the serial string, entering the boot loader.
        assert_eq!(Opcode::from_wire(0x11), None);
        assert_eq!(Opcode::from_wire(0x41), None);
    }

    #[test]
    fn option_bytes_are_those_of_the_reference() {
        for (power, byte) in [
            (Power::Fan(false), 0x02),
            (Power::Fan(true), 0x03),
            (Power::LaserPot(false), 0x04),
            (Power::LaserPot(true), 0x05),
            (Power::Laser(false), 0x06),
            (Power::Laser(true), 0x07),
            (Power::HighGain(false), 0x08),
            (Power::HighGain(true), 0x09),
        ] {
            assert_eq!(power.to_wire(), byte);
            assert_eq!(Power::from_wire(byte), Some(power));
        }
        assert_eq!(Power::from_wire(0), None);
        assert_eq!(Power::from_wire(0x10), None);
    }

    #[test]
    fn commands_read_back() {
        let configuration = Configuration::default();
        for command in [
            Command::Power(Power::Laser(true)),
            Command::WeightingIndex(9),
            Command::Reset,
            Command::WriteConfiguration(configuration),
            Command::Pot(Pot::Fan, 200),
            Command::Pot(Pot::Laser, 151),
            Command::SaveConfiguration,
            Command::Histogram,
        ] {
            let (opcode, payload) = (command.opcode(), command.payload());
            assert_eq!(payload.len(), opcode.payload_length());
            let index = configuration.weighting_index;
            assert_eq!(Command::decode(opcode, &payload, index), Some(command));
        }
        assert_eq!(Command::decode(Opcode::WeightingIndex, &[10], 2), None);
        assert_eq!(Command::decode(Opcode::SaveConfiguration, &[0; 5], 2), None);
        assert_eq!(Command::decode(Opcode::Pot, &[2, 0], 2), None);
    }
}
