//! Information and serial strings: 60 bytes, padded with NUL or 0xFF.

use heapless::String;

use super::{FrameError, exactly};

/// A string of the counter, its padding stripped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(String<{ Text::LENGTH }>);

impl Text {
    /// Bytes of the reply.
    pub const LENGTH: usize = 60;

    /// Reads a reply. It has no checksum; what is no printable ASCII becomes `?`.
    ///
    /// # Errors
    /// [`FrameError::Length`].
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let frame: &[u8; Self::LENGTH] = exactly(bytes)?;
        let padding = |byte: &u8| matches!(byte, 0 | 0xff | b' ');
        let start = frame.iter().position(|byte| !padding(byte)).unwrap_or(0);
        let end = frame.iter().rposition(|byte| !padding(byte));
        let inner = end.map_or(&[][..], |end| &frame[start..=end]);
        let readable = |byte: &u8| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '?',
        };
        Ok(Self(inner.iter().map(readable).collect()))
    }

    /// The reply, as the counter sends it: cut to 60 bytes, padded with `padding`.
    pub fn encode(text: &str, padding: u8) -> [u8; Self::LENGTH] {
        let mut frame = [padding; Self::LENGTH];
        for (place, byte) in frame.iter_mut().zip(text.bytes()) {
            *place = byte;
        }
        frame
    }

    /// All of it, at most 60 ASCII characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The serial number: the second word of the serial string, such as `177290411` of `OPC-N3 177290411`.
    pub fn serial_number(&self) -> Option<&str> {
        self.0.split_ascii_whitespace().nth(1)
    }

    /// The firmware's version with its letter, such as `1.17a`: what the information string says after
    /// `FirmwareVer=`.
    pub fn firmware(&self) -> Option<&str> {
        let (_, rest) = self.0.split_once("FirmwareVer=")?;
        let end = rest.find("..").or_else(|| rest.find(' '));
        let version = &rest[..end.unwrap_or(rest.len())];
        (!version.is_empty()).then_some(version)
    }
}
