//! The byte commands of the virtual machine.

/// What one byte tells the device to do. Every byte means something, if only its echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `[`: R0 = 0.
    Clear,
    /// `0`..`9`, `a`..`f`: R0 = R0 * 16 + digit.
    Digit(u8),
    /// `]`: nothing.
    Nothing,
    /// `@`: R1 = R0.
    Address,
    /// `s`: register R1 = R0.
    Store,
    /// `z`: register R1 = R0, then R1 += 1.
    StoreNext,
    /// `n`: R1 += 1.
    Next,
    /// `p`: prints register R1.
    Print,
    /// `?`: prints the revision.
    Revision,
    /// `!`: stops everything.
    Reset,
    /// `.`: ends a command sequence.
    End,
    /// `<`: copies the sample address into SampleCounter.
    SampleAddress,
    /// `>`: programs the capture hardware.
    Program,
    /// `U`: applies the update registers.
    Update,
    /// `D`: starts a triggered trace.
    Trace,
    /// `K`: cancels the trace.
    Cancel,
    /// `T`: starts a streaming trace.
    Stream,
    /// `A`: dumps the buffer in binary.
    Dump,
    /// `S`: dumps the buffer as CSV.
    DumpCsv,
    /// `Y`: computes the wave table.
    Synthesize,
    /// `X`: fills the play buffer from the wave table.
    Translate,
    /// `Z`: starts or stops a generator.
    Control,
    /// `W`: writes R0 into the wave table.
    WriteTable,
    /// `R`: reads the wave table.
    ReadTable,
    /// `r`: prints a byte of the EEPROM.
    ReadEeprom,
    /// `w`: writes a byte of the EEPROM.
    WriteEeprom,
    /// Anything else: echoed only.
    Unknown(u8),
}

/// When the next byte may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// At once.
    Simple,
    /// After the echo.
    Delayed,
    /// After the data that follow the echo.
    Complex,
}

impl Command {
    /// The command of a byte.
    pub fn decode(byte: u8) -> Self {
        match byte {
            b'[' => Self::Clear,
            b'0'..=b'9' => Self::Digit(byte - b'0'),
            b'a'..=b'f' => Self::Digit(byte - b'a' + 10),
            b']' => Self::Nothing,
            b'@' => Self::Address,
            b's' => Self::Store,
            b'z' => Self::StoreNext,
            b'n' => Self::Next,
            b'p' => Self::Print,
            b'?' => Self::Revision,
            b'!' => Self::Reset,
            b'.' => Self::End,
            b'<' => Self::SampleAddress,
            b'>' => Self::Program,
            b'U' => Self::Update,
            b'D' => Self::Trace,
            b'K' => Self::Cancel,
            b'T' => Self::Stream,
            b'A' => Self::Dump,
            b'S' => Self::DumpCsv,
            b'Y' => Self::Synthesize,
            b'X' => Self::Translate,
            b'Z' => Self::Control,
            b'W' => Self::WriteTable,
            b'R' => Self::ReadTable,
            b'r' => Self::ReadEeprom,
            b'w' => Self::WriteEeprom,
            other => Self::Unknown(other),
        }
    }

    /// The byte of a command.
    pub fn encode(self) -> u8 {
        match self {
            Self::Clear => b'[',
            Self::Digit(digit @ 0..=9) => b'0' + digit,
            Self::Digit(digit) => b'a' + digit.min(15) - 10,
            Self::Nothing => b']',
            Self::Address => b'@',
            Self::Store => b's',
            Self::StoreNext => b'z',
            Self::Next => b'n',
            Self::Print => b'p',
            Self::Revision => b'?',
            Self::Reset => b'!',
            Self::End => b'.',
            Self::SampleAddress => b'<',
            Self::Program => b'>',
            Self::Update => b'U',
            Self::Trace => b'D',
            Self::Cancel => b'K',
            Self::Stream => b'T',
            Self::Dump => b'A',
            Self::DumpCsv => b'S',
            Self::Synthesize => b'Y',
            Self::Translate => b'X',
            Self::Control => b'Z',
            Self::WriteTable => b'W',
            Self::ReadTable => b'R',
            Self::ReadEeprom => b'r',
            Self::WriteEeprom => b'w',
            Self::Unknown(byte) => byte,
        }
    }

    /// When the next byte may follow.
    pub fn class(self) -> Class {
        match self {
            Self::Synthesize | Self::Translate | Self::Control | Self::Update | Self::Program => {
                Class::Delayed
            }
            Self::Stream
            | Self::Trace
            | Self::Dump
            | Self::DumpCsv
            | Self::Print
            | Self::Revision
            | Self::ReadEeprom
            | Self::Cancel
            | Self::Reset => Class::Complex,
            _ => Class::Simple,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_command_and_back() {
        for byte in 0..=u8::MAX {
            assert_eq!(Command::decode(byte).encode(), byte);
        }
        assert_eq!(Command::decode(b'A'), Command::Dump);
        assert_eq!(Command::decode(b'a'), Command::Digit(10));
        assert_eq!(Command::decode(b'F'), Command::Unknown(b'F'));
    }
}
