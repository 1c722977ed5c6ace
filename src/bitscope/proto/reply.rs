//! What the device sends besides echoes.

use super::decode::Cause;

/// What ends each field of a reply.
pub const CR: u8 = b'\r';
/// Bytes of a printed byte: CR, two digits, CR.
pub const PRINTED: usize = 4;
/// Bytes of a revision: CR, eight characters, CR.
pub const REVISION: usize = 10;
/// The longest field of a status packet.
const FIELD: usize = 8;

/// A reply that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// Not two digits between carriage returns.
    #[error("the device printed {0:?} where two hexadecimal digits belong")]
    Printed(String),
    /// Not eight characters between carriage returns.
    #[error("the device printed {0:?} where its revision belongs")]
    Revision(String),
    /// A byte that no status packet holds, or a field of the wrong length.
    #[error("the device sent {field:?} in the status of a trace, where {expected} belongs")]
    Status {
        /// The field so far.
        field: String,
        /// What belongs there.
        expected: &'static str,
    },
}

/// The byte of `CR h h CR`, in lower-case digits.
///
/// # Errors
/// [`ReplyError::Printed`].
pub fn printed(reply: &[u8]) -> Result<u8, ReplyError> {
    match reply {
        [CR, digits @ .., CR] if digits.len() == 2 => number(digits).map(|number| number as u8),
        _ => None,
    }
    .ok_or_else(|| ReplyError::Printed(shown(reply)))
}

/// The characters of `CR BS000501 CR`.
///
/// # Errors
/// [`ReplyError::Revision`].
pub fn revision(reply: &[u8]) -> Result<String, ReplyError> {
    match reply {
        [CR, text @ .., CR] if text.len() == 8 && text.iter().all(u8::is_ascii_graphic) => {
            Ok(shown(text))
        }
        _ => Err(ReplyError::Revision(shown(reply))),
    }
}

/// What happens in the course of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceEvent {
    /// It runs.
    Started {
        /// Ticks.
        time: u32,
    },
    /// It is over.
    Ended {
        /// Why.
        cause: Cause,
        /// Ticks.
        time: u32,
        /// Behind the last sample written.
        address: u32,
    },
    /// The echo of `K`.
    CancelEcho,
}

/// Reads what follows the echo of `D`, byte by byte.
///
/// ```text
/// 02 CR tttttttt CR                     at once
/// 00 CR tttttttt CR aaaaaaaa CR         at the end: 00 done, 01 timed out, 03 cancelled
/// ```
/// The echo of a `K` may come before, after or between the fields of the last packet: a trace may end just then.
#[derive(Debug, Clone, Default)]
pub struct TraceReader {
    field: heapless::Vec<u8, FIELD>,
    code: Option<u8>,
    time: Option<u32>,
    cancelled: bool,
}

impl TraceReader {
    /// Before the first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// A `K` was sent: its echo may come now.
    pub fn expect_cancel_echo(&mut self) {
        self.cancelled = true;
    }

    /// Whether a packet has begun and not ended.
    pub fn is_partial(&self) -> bool {
        self.code.is_some() || !self.field.is_empty()
    }

    /// Takes a byte.
    ///
    /// # Errors
    /// [`ReplyError::Status`]: the stream is lost.
    pub fn push(&mut self, byte: u8) -> Result<Option<TraceEvent>, ReplyError> {
        if byte == b'K' && self.cancelled {
            self.cancelled = false;
            return Ok(Some(TraceEvent::CancelEcho));
        }
        if byte != CR {
            let digit = byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            if !digit || self.field.push(byte).is_err() {
                return Err(self.error(byte));
            }
            return Ok(None);
        }
        let length = if self.code.is_none() { 2 } else { FIELD };
        let value = match (self.field.len() == length, number(&self.field)) {
            (true, Some(value)) => value,
            _ => return Err(self.error(byte)),
        };
        self.field.clear();
        match (self.code, self.time) {
            (None, _) => match value {
                0..=3 => self.code = Some(value as u8),
                _ => return Err(self.error(byte)),
            },
            (Some(2), _) => {
                self.code = None;
                return Ok(Some(TraceEvent::Started { time: value }));
            }
            (Some(_), None) => self.time = Some(value),
            (Some(code), Some(time)) => {
                (self.code, self.time) = (None, None);
                let cause = match code {
                    0 => Cause::Trigger,
                    1 => Cause::Timeout,
                    _ => Cause::Cancel,
                };
                let address = value;
                return Ok(Some(TraceEvent::Ended {
                    cause,
                    time,
                    address,
                }));
            }
        }
        Ok(None)
    }

    fn error(&self, byte: u8) -> ReplyError {
        let mut field = shown(&self.field);
        field.push(char::from(byte));
        let expected = match self.code {
            None => "the code of a status, 00 to 03",
            Some(_) => "eight hexadecimal digits",
        };
        ReplyError::Status { field, expected }
    }
}

/// The number of lower-case hexadecimal digits, at most eight.
fn number(digits: &[u8]) -> Option<u32> {
    let valid = |digit: &u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(digit);
    let text = std::str::from_utf8(digits).ok()?;
    digits
        .iter()
        .all(valid)
        .then(|| u32::from_str_radix(text, 16).ok())?
}

/// Bytes for an error, at most a few.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(24)]).into_owned()
}
