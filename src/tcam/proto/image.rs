//! Images: a JSON object of metadata and two base64 strings, read without copying them.
//!
//! ```text
//! {"metadata":{..},"radiometric":"<51200 characters>","telemetry":"<640 characters>"}
//! ```
//!
//! `radiometric` is 120 rows x 160 columns of little-endian u16, row 0 on top; `telemetry` 240 little-endian u16.
//! What a pixel means is told by the frame's own telemetry ([`crate::tcam::proto::Telemetry::pixel_kind`]).

use std::borrow::Cow;

use base64_simd::{AsOut, STANDARD};
use serde::Deserialize;
use serde::de::IgnoredAny;
use zerocopy::IntoBytes;

use super::{Metadata, PIXELS, TELEMETRY_WORDS, Telemetry, packet};

/// Pixels of a frame, row-major, row 0 on top, as the Lepton counts them.
pub type Pixels = [u16; PIXELS];
/// Telemetry words of a frame.
pub type TelemetryWords = [u16; TELEMETRY_WORDS];

/// Characters of the `radiometric` string.
pub const RADIOMETRIC_CHARS: usize = PIXELS * 2 / 3 * 4;
/// Characters of the `telemetry` string.
pub const TELEMETRY_CHARS: usize = TELEMETRY_WORDS * 2 / 3 * 4;

/// Why a text is not an image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Not JSON, or not an object.
    #[error("the image is not a JSON object: {expected} expected at byte {offset}")]
    Syntax {
        /// Where in the text.
        offset: usize,
        /// What the grammar asks for there.
        expected: &'static str,
    },
    /// A value that cannot be read.
    #[error("the image's {key} at byte {offset} cannot be read")]
    Value {
        /// The key.
        key: String,
        /// Where the value begins.
        offset: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A key that every image has.
    #[error("the image has no {0}")]
    Missing(&'static str),
    /// A string of the wrong length.
    #[error("the image's {key} has {got} base64 characters instead of {expected}")]
    Length {
        /// The key.
        key: &'static str,
        /// Characters of a whole frame.
        expected: usize,
        /// Characters found.
        got: usize,
    },
    /// A character that is not of the base64 alphabet.
    #[error("the image's {key} is not base64 at character {offset}")]
    Base64 {
        /// The key.
        key: &'static str,
        /// Where in the string.
        offset: usize,
    },
}

/// An image text, taken apart but not decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageText<'a> {
    /// Name, model, version and clock of the camera.
    pub metadata: Metadata<'a>,
    radiometric: Cow<'a, [u8]>,
    telemetry: Cow<'a, [u8]>,
}

impl<'a> ImageText<'a> {
    /// Takes an image apart: keys in any order, unknown ones ignored, white space after the object allowed.
    ///
    /// Nothing is copied or allocated unless a string holds an escape.
    ///
    /// # Errors
    /// [`ImageError`] except [`ImageError::Base64`], which decoding finds.
    pub fn parse(text: &'a [u8]) -> Result<Self, ImageError> {
        let mut scan = Scan { text, at: 0 };
        let (mut metadata, mut radiometric, mut telemetry) = (None, None, None);
        scan.expect(b'{', "an opening brace")?;
        if !scan.take(b'}') {
            loop {
                let key = scan.key()?;
                scan.expect(b':', "a colon")?;
                match &*key {
                    "metadata" => metadata = Some(scan.value(&key)?),
                    "radiometric" => radiometric = Some(scan.string(&key)?),
                    "telemetry" => telemetry = Some(scan.string(&key)?),
                    _ => drop(scan.value::<IgnoredAny>(&key)?),
                }
                if scan.take(b'}') {
                    break;
                }
                scan.expect(b',', "a comma or the closing brace")?;
            }
        }
        scan.end()?;
        let image = Self {
            metadata: metadata.ok_or(ImageError::Missing("metadata"))?,
            radiometric: radiometric.ok_or(ImageError::Missing("radiometric"))?,
            telemetry: telemetry.ok_or(ImageError::Missing("telemetry"))?,
        };
        check_length("radiometric", &image.radiometric, RADIOMETRIC_CHARS)?;
        check_length("telemetry", &image.telemetry, TELEMETRY_CHARS)?;
        Ok(image)
    }

    /// Decodes the pixels.
    ///
    /// # Errors
    /// [`ImageError::Base64`]; `pixels` then hold no frame.
    pub fn read_pixels(&self, pixels: &mut Pixels) -> Result<(), ImageError> {
        decode_words("radiometric", &self.radiometric, pixels)
    }

    /// Decodes the telemetry words.
    ///
    /// # Errors
    /// [`ImageError::Base64`].
    pub fn read_telemetry(&self, words: &mut TelemetryWords) -> Result<(), ImageError> {
        decode_words("telemetry", &self.telemetry, words)
    }
}

/// Pixels and telemetry of one frame: a buffer to decode into, again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The pixels.
    pub pixels: Box<Pixels>,
    /// The telemetry words, reserved ones included.
    pub telemetry_words: Box<TelemetryWords>,
}

impl Default for Frame {
    fn default() -> Self {
        Self::blank()
    }
}

impl Frame {
    /// All zeros.
    pub fn blank() -> Self {
        Self {
            pixels: Box::new([0; PIXELS]),
            telemetry_words: Box::new([0; TELEMETRY_WORDS]),
        }
    }

    /// Decodes an image into this buffer, without allocating.
    ///
    /// # Errors
    /// [`ImageError::Base64`]; this then holds no frame.
    pub fn read(&mut self, image: &ImageText<'_>) -> Result<(), ImageError> {
        image.read_telemetry(&mut self.telemetry_words)?;
        image.read_pixels(&mut self.pixels)
    }

    /// The telemetry as a structure.
    pub fn telemetry(&self) -> Telemetry {
        Telemetry::decode(&self.telemetry_words)
    }

    /// Appends the image text; see [`encode`].
    pub fn encode(&self, metadata: &Metadata<'_>, out: &mut Vec<u8>) {
        encode(metadata, &self.pixels, &self.telemetry_words, out);
    }
}

/// Appends the image text as the firmware writes it: tight, metadata first, then the pixels, then telemetry.
pub fn encode(
    metadata: &Metadata<'_>,
    pixels: &Pixels,
    telemetry: &TelemetryWords,
    out: &mut Vec<u8>,
) {
    out.reserve(RADIOMETRIC_CHARS + TELEMETRY_CHARS + 256);
    out.extend_from_slice(b"{\"metadata\":");
    metadata.write_json(out);
    out.extend_from_slice(b",\"radiometric\":\"");
    append_words(pixels, out);
    out.extend_from_slice(b"\",\"telemetry\":\"");
    append_words(telemetry, out);
    out.extend_from_slice(b"\"}");
}

/// Appends the image as a packet.
pub fn encode_packet(
    metadata: &Metadata<'_>,
    pixels: &Pixels,
    telemetry: &TelemetryWords,
    out: &mut Vec<u8>,
) {
    out.push(packet::STX);
    encode(metadata, pixels, telemetry, out);
    out.push(packet::ETX);
}

fn check_length(key: &'static str, text: &[u8], expected: usize) -> Result<(), ImageError> {
    match text.len() {
        got if got == expected => Ok(()),
        got => Err(ImageError::Length { key, expected, got }),
    }
}

/// `words` must be as long as the text says: [`check_length`] saw to it.
fn decode_words(key: &'static str, text: &[u8], words: &mut [u16]) -> Result<(), ImageError> {
    let bytes = words.as_mut_bytes();
    let expected = bytes.len();
    let decoded = STANDARD.decode(text, bytes.as_out()).map(|out| out.len());
    // Padding makes fewer bytes of the same number of characters.
    if decoded.ok() != Some(expected) {
        let is_code = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        let offset = text.iter().position(|byte| !is_code(byte)).unwrap_or(0);
        return Err(ImageError::Base64 { key, offset });
    }
    for word in words {
        *word = u16::from_le(*word);
    }
    Ok(())
}

/// Words go through a block on the stack, so that their byte order is that of the wire on any machine.
fn append_words(words: &[u16], out: &mut Vec<u8>) {
    // Whole groups of three bytes, so that no block but the last is padded.
    const BLOCK_WORDS: usize = 240;
    for block in words.chunks(BLOCK_WORDS) {
        let mut bytes = [0; 2 * BLOCK_WORDS];
        for (pair, word) in bytes.chunks_exact_mut(2).zip(block) {
            pair.copy_from_slice(&word.to_le_bytes());
        }
        let bytes = &bytes[..2 * block.len()];
        let start = out.len();
        out.resize(start + STANDARD.encoded_length(bytes.len()), 0);
        let _ = STANDARD.encode(bytes, out[start..].as_out());
    }
}

/// Walks the outer object. The long strings are skipped over by their quotes, all else is left to serde_json.
struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn skip_blanks(&mut self) {
        let rest = &self.text[self.at..];
        let blanks = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        self.at += blanks.count();
    }

    fn take(&mut self, byte: u8) -> bool {
        self.skip_blanks();
        let found = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), ImageError> {
        match self.take(byte) {
            true => Ok(()),
            false => Err(self.syntax(expected)),
        }
    }

    fn syntax(&self, expected: &'static str) -> ImageError {
        let offset = self.at;
        ImageError::Syntax { offset, expected }
    }

    fn key(&mut self) -> Result<Cow<'a, str>, ImageError> {
        self.skip_blanks();
        if self.text.get(self.at) != Some(&b'"') {
            return Err(self.syntax("a key"));
        }
        let key: Text<'a> = self.value("key")?;
        Ok(key.0)
    }

    /// Any value, read by serde_json.
    fn value<T: Deserialize<'a>>(&mut self, key: &str) -> Result<T, ImageError> {
        let mut values = serde_json::Deserializer::from_slice(&self.text[self.at..]).into_iter();
        let value = match values.next() {
            Some(Ok(value)) => value,
            Some(Err(source)) => {
                return Err(ImageError::Value {
                    key: key.into(),
                    offset: self.at,
                    source,
                });
            }
            None => return Err(self.syntax("a value")),
        };
        self.at += values.byte_offset();
        Ok(value)
    }

    /// A string, borrowed if it holds no escape. What is in it is not looked at.
    fn string(&mut self, key: &str) -> Result<Cow<'a, [u8]>, ImageError> {
        if !self.take(b'"') {
            return Err(self.syntax("a string"));
        }
        let rest = &self.text[self.at..];
        match memchr::memchr2(b'"', b'\\', rest) {
            Some(len) if rest[len] == b'"' => {
                self.at += len + 1;
                Ok(Cow::Borrowed(&rest[..len]))
            }
            // Some programs escape the slash, which is a base64 digit.
            Some(_) => {
                self.at -= 1;
                let text: Text<'a> = self.value(key)?;
                Ok(Cow::Owned(text.0.into_owned().into_bytes()))
            }
            None => {
                self.at = self.text.len();
                Err(self.syntax("the end of a string"))
            }
        }
    }

    fn end(&mut self) -> Result<(), ImageError> {
        self.skip_blanks();
        match self.at == self.text.len() {
            true => Ok(()),
            false => Err(self.syntax("the end")),
        }
    }
}

/// A string that borrows where it can: serde's own `Cow` never does.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
