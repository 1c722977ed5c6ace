//! Host to instrument: lines of ASCII, each ended by CR LF.
//!
//! | bytes | answered by |
//! |---|---|
//! | `get_exposure` | `exposure:` |
//! | `set_exposure<ms>` | nothing |
//! | `get_calibration` | `calibration:` |
//! | `set_cal<c1>,<c2>,<c3>,<c4>` | nothing |
//! | `take_spectrum` | `spectrum_complete` after the exposure |
//! | `get_spectrum` | `spectrum:` and a frame |

use super::calibration::Calibration;
use super::number::read_integer;

/// The longest command line, in bytes without its end: four numbers of any precision fit.
pub const MAX_LINE: usize = 512;

/// A command.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Command {
    /// Which exposure is set?
    GetExposure,
    /// Expose for this long, in milliseconds.
    SetExposure(u32),
    /// Which calibration is set?
    GetCalibration,
    /// Keep this calibration.
    SetCalibration(Calibration),
    /// Expose once.
    TakeSpectrum,
    /// Send the last frame.
    GetSpectrum,
}

/// Why a line is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such command.
    #[error("there is no command {0:?}")]
    Unknown(String),
    /// An exposure that is no number of milliseconds.
    #[error("set_exposure takes whole milliseconds, not {0:?}")]
    Exposure(String),
    /// A calibration that is not four finite numbers.
    #[error("set_cal takes four finite numbers joined by commas, not {0:?}")]
    Calibration(String),
    /// The line has no end in sight.
    #[error("a command is longer than {MAX_LINE} bytes")]
    TooLong,
}

impl Command {
    /// The command's word, without parameters.
    pub fn word(&self) -> &'static str {
        match self {
            Self::GetExposure => "get_exposure",
            Self::SetExposure(_) => "set_exposure",
            Self::GetCalibration => "get_calibration",
            Self::SetCalibration(_) => "set_cal",
            Self::TakeSpectrum => "take_spectrum",
            Self::GetSpectrum => "get_spectrum",
        }
    }

    /// Appends the line with its CR LF.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.word().as_bytes());
        match self {
            Self::SetExposure(ms) => out.extend_from_slice(ms.to_string().as_bytes()),
            Self::SetCalibration(calibration) => calibration.write(out),
            _ => {}
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Reads a line without its end: also the text of one WebSocket message.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        if line.len() > MAX_LINE {
            return Err(CommandError::TooLong);
        }
        if let Some(ms) = line.strip_prefix(b"set_exposure") {
            return read_integer(ms)
                .map(Self::SetExposure)
                .ok_or_else(|| CommandError::Exposure(shown(ms)));
        }
        if let Some(numbers) = line.strip_prefix(b"set_cal") {
            return Calibration::read(numbers, false)
                .map(Self::SetCalibration)
                .ok_or_else(|| CommandError::Calibration(shown(numbers)));
        }
        match line {
            b"get_exposure" => Ok(Self::GetExposure),
            b"get_calibration" => Ok(Self::GetCalibration),
            b"take_spectrum" => Ok(Self::TakeSpectrum),
            b"get_spectrum" => Ok(Self::GetSpectrum),
            _ => Err(CommandError::Unknown(shown(line))),
        }
    }
}

/// As much of foreign text as an error may hold.
pub(super) fn shown(text: &[u8]) -> String {
    const SHOWN: usize = 60;
    String::from_utf8_lossy(&text[..text.len().min(SHOWN)]).into_owned()
}

/// Cuts what a host sends into commands, however it is split.
///
/// Feed with [`CommandDecoder::push`], then call [`CommandDecoder::next`] until it returns `None`. Empty lines are
/// skipped; a line that is no command is an error, after which decoding goes on.
#[derive(Debug, Default)]
pub struct CommandDecoder {
    buffer: Vec<u8>,
    /// First byte not handed out.
    start: usize,
    /// Everything before is scanned for a line's end.
    scanned: usize,
    /// Within a line that is too long and was reported.
    skipping: bool,
}

impl CommandDecoder {
    /// A decoder that has received nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what was received.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes received and not handed out: stop reading when these become too many.
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// The next command, or `None` when more input is needed.
    #[expect(clippy::should_implement_trait, reason = "it is fed in between")]
    pub fn next(&mut self) -> Option<Result<Command, CommandError>> {
        loop {
            let Some(at) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) else {
                self.scanned = self.buffer.len();
                return self.overlong();
            };
            let line = self.start..self.scanned + at;
            (self.start, self.scanned) = (line.end + 1, line.end + 1);
            let line = &self.buffer[line];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if std::mem::take(&mut self.skipping) || line.is_empty() {
                continue;
            }
            return Some(Command::parse(line));
        }
    }

    /// Drops a line that has grown too long; reports it once.
    fn overlong(&mut self) -> Option<Result<Command, CommandError>> {
        // One more for its CR.
        if !self.skipping && self.pending() <= MAX_LINE + 1 {
            return None;
        }
        self.buffer.clear();
        (self.start, self.scanned) = (0, 0);
        let reported = std::mem::replace(&mut self.skipping, true);
        (!reported).then_some(Err(CommandError::TooLong))
    }
}
