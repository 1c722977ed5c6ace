//! Instrument to host: lines, and frames in between.
//!
//! ```text
//! exposure:20 CR LF
//! calibration:1.21419996e-12,-8.04026968e-06,0.161927998,399.615997 CR LF
//! spectrum_complete CR LF
//! spectrum: <7388 bytes> LF
//! ```
//! `spectrum` is the beginning of two replies: the ninth byte tells them apart. What ends a line is not documented: LF
//! alone does, and after a frame or `spectrum_complete` nothing is needed, since their length is known.

use super::calibration::Calibration;
use super::command::shown;
use super::frame::{FRAME_BYTES, RawFrame};
use super::number::read_integer;

const EXPOSURE: &[u8] = b"exposure:";
const CALIBRATION: &[u8] = b"calibration:";
const COMPLETE: &[u8] = b"spectrum_complete";
const SPECTRUM: &[u8] = b"spectrum:";

/// The longest line a host accepts, in bytes without its end.
pub const MAX_LINE: usize = 1024;
/// Bytes of the longest reply, a frame with prefix and LF.
pub const MAX_REPLY: usize = SPECTRUM.len() + FRAME_BYTES + 1;

/// What an instrument answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The exposure that is set, in milliseconds.
    Exposure(u32),
    /// The calibration that is set.
    Calibration(Calibration),
    /// An exposure is over.
    SpectrumComplete,
    /// The last frame.
    Spectrum(RawFrame),
}

/// Why a reply cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// An exposure that is no number of milliseconds.
    #[error(
        "the spectrometer answers with the exposure {0:?}, which is no whole number of milliseconds"
    )]
    Exposure(String),
    /// A calibration with less than four finite numbers.
    #[error(
        "the spectrometer answers with the calibration {0:?}, which does not begin with four finite numbers"
    )]
    Calibration(String),
    /// The line has no end in sight.
    #[error("the spectrometer sends a line of more than {MAX_LINE} bytes")]
    TooLong,
}

impl Reply {
    /// Which of them, in the words of the wire.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Exposure(_) => "exposure",
            Self::Calibration(_) => "calibration",
            Self::SpectrumComplete => "spectrum_complete",
            Self::Spectrum(_) => "spectrum",
        }
    }

    /// Appends the reply as it is to be sent, in one piece: the vendor's client takes what one read returns for a
    /// whole message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Exposure(ms) => {
                out.extend_from_slice(EXPOSURE);
                out.extend_from_slice(ms.to_string().as_bytes());
            }
            Self::Calibration(calibration) => {
                out.extend_from_slice(CALIBRATION);
                calibration.write(out);
            }
            Self::SpectrumComplete => out.extend_from_slice(COMPLETE),
            Self::Spectrum(frame) => {
                out.reserve(MAX_REPLY);
                out.extend_from_slice(SPECTRUM);
                frame.write_le_bytes(out);
                return out.push(b'\n');
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Assembles replies from what an instrument sends, however it is split.
///
/// Feed with [`ReplyDecoder::push`], then call [`ReplyDecoder::next`] until it returns `None`. Lines that begin with
/// none of the known words are skipped and counted. After an error decoding goes on behind the line.
#[derive(Debug, Default)]
pub struct ReplyDecoder {
    buffer: Vec<u8>,
    /// First byte not handed out.
    start: usize,
    /// Everything before is scanned for a line's end.
    scanned: usize,
    /// Within a line that is too long and was reported.
    skipping: bool,
    skipped_lines: u64,
}

impl ReplyDecoder {
    /// A decoder that has received nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what was received.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.scanned = self.scanned.saturating_sub(self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Lines skipped because nobody knows them.
    pub fn skipped_lines(&self) -> u64 {
        self.skipped_lines
    }

    /// Bytes received and not handed out: a reply that is not complete.
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// The next reply, or `None` when more input is needed.
    #[expect(clippy::should_implement_trait, reason = "it is fed in between")]
    pub fn next(&mut self) -> Option<Result<Reply, ReplyError>> {
        loop {
            if !self.skipping {
                self.skip_blanks();
                let rest = &self.buffer[self.start..];
                if let Some(payload) = rest.strip_prefix(SPECTRUM) {
                    let frame = RawFrame::from_le_bytes(payload.get(..FRAME_BYTES)?)?;
                    self.take(SPECTRUM.len() + FRAME_BYTES);
                    return Some(Ok(Reply::Spectrum(frame)));
                }
                if rest.starts_with(COMPLETE) {
                    self.take(COMPLETE.len());
                    return Some(Ok(Reply::SpectrumComplete));
                }
            }
            let from = self.scanned.max(self.start);
            let Some(at) = memchr::memchr(b'\n', &self.buffer[from..]) else {
                self.scanned = self.buffer.len();
                return self.overlong();
            };
            let line = self.start..from + at;
            self.take(line.len() + 1);
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if line.len() > MAX_LINE + 1 {
                return Some(Err(ReplyError::TooLong));
            }
            match parse_line(&self.buffer[line]) {
                Some(reply) => return Some(reply),
                None => self.skipped_lines += 1,
            }
        }
    }

    /// Ends of lines, the byte after a frame whatever its value in print, and anything like them.
    fn skip_blanks(&mut self) {
        let rest = &self.buffer[self.start..];
        let blanks = rest.iter().take_while(|byte| **byte <= b' ').count();
        self.start += blanks;
    }

    fn take(&mut self, count: usize) {
        self.start += count;
        self.scanned = self.start;
    }

    /// Drops a line that has grown too long; reports it once.
    fn overlong(&mut self) -> Option<Result<Reply, ReplyError>> {
        // One more for its CR.
        if !self.skipping && self.pending() <= MAX_LINE + 1 {
            return None;
        }
        self.buffer.clear();
        (self.start, self.scanned) = (0, 0);
        let reported = std::mem::replace(&mut self.skipping, true);
        (!reported).then_some(Err(ReplyError::TooLong))
    }
}

/// A line with its CR, if any. `None` if it begins with no known word.
fn parse_line(line: &[u8]) -> Option<Result<Reply, ReplyError>> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if let Some(ms) = line.strip_prefix(EXPOSURE) {
        let exposure = read_integer(ms).map(Reply::Exposure);
        return Some(exposure.ok_or_else(|| ReplyError::Exposure(shown(ms))));
    }
    let numbers = line.strip_prefix(CALIBRATION)?;
    let calibration = Calibration::read(numbers, true).map(Reply::Calibration);
    Some(calibration.ok_or_else(|| ReplyError::Calibration(shown(numbers))))
}
