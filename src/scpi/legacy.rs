//! The FE-PyCam2 dialect of port 5060: commands split at single spaces, answered with `ack`, `nak` or a text.
//!
//! Pure functions over one message. Numbers are read as Python reads them, with `,` allowed as decimal point because
//! the measurement program prints numbers in its computer's locale.

use super::error::Error;
use super::grammar;

/// The answer to a command that was done and has nothing to say.
pub const ACK: &str = "ack";
/// The answer to a command that failed.
pub const NAK: &str = "nak";
/// The answer to a header that the dialect does not have.
pub const UNKNOWN: &str = "Unknown Command";
/// The longest reply the measurement program can read; echoes and configured paths may be longer.
pub const MAX_REPLY: usize = 31;

/// A command of the dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// `IDN?`
    Identity,
    /// `SRV:ECHO a b ...`
    Echo,
    /// `SRV:CLOSE`
    Close,
    /// `SRV:PATH:RDDIR?`
    RamDiskFolder,
    /// `SRV:PATH:SDDIR?`
    SdCardFolder,
    /// `SRV:PATH:IMDIR?`
    ImageFolder,
    /// `SRV:IMG:BCLP w:h` or `x:y:w:h`
    ClipWindow,
    /// `SRV:IMG:DBAY b`
    Unpack,
    /// `SRV:IMG:SRNK n`, also spelled `SHRNK`
    Shrink,
    /// `CAM:CONF:SS us`
    Exposure,
    /// `CAM:CONF:FR fps`
    FrameRate,
    /// `CAM:CONF:AG gain`
    AnalogueGain,
    /// `CAM:CONF:AWB r:b`
    ColorGains,
    /// `CAM:CONF:SCLCRP x:y w:h`
    ScalerCrop,
    /// `CAP:SEQFET prefix ss nPics tMax log`
    CaptureSequence,
    /// `SRV:ARCHV dir file c m s`
    Archive,
}

/// Every header of the dialect as it is written; case counts.
pub const HEADERS: [(&str, Header); 17] = [
    ("IDN?", Header::Identity),
    ("SRV:ECHO", Header::Echo),
    ("SRV:CLOSE", Header::Close),
    ("SRV:PATH:RDDIR?", Header::RamDiskFolder),
    ("SRV:PATH:SDDIR?", Header::SdCardFolder),
    ("SRV:PATH:IMDIR?", Header::ImageFolder),
    ("SRV:IMG:BCLP", Header::ClipWindow),
    ("SRV:IMG:DBAY", Header::Unpack),
    ("SRV:IMG:SRNK", Header::Shrink),
    ("SRV:IMG:SHRNK", Header::Shrink),
    ("CAM:CONF:SS", Header::Exposure),
    ("CAM:CONF:FR", Header::FrameRate),
    ("CAM:CONF:AG", Header::AnalogueGain),
    ("CAM:CONF:AWB", Header::ColorGains),
    ("CAM:CONF:SCLCRP", Header::ScalerCrop),
    ("CAP:SEQFET", Header::CaptureSequence),
    ("SRV:ARCHV", Header::Archive),
];

impl Header {
    /// The header that `text` spells exactly.
    pub fn find(text: &[u8]) -> Option<Self> {
        HEADERS
            .iter()
            .find(|(name, _)| name.as_bytes() == text)
            .map(|&(_, header)| header)
    }

    /// True for a header that takes no argument: such a message is complete without a pause.
    pub fn stands_alone(self) -> bool {
        matches!(
            self,
            Self::Identity
                | Self::Close
                | Self::RamDiskFolder
                | Self::SdCardFolder
                | Self::ImageFolder
        )
    }
}

/// How a message of port 5060 is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grammar<'a> {
    /// A command of the dialect.
    Legacy {
        /// The command.
        header: Header,
        /// Its arguments.
        arguments: Arguments<'a>,
    },
    /// Not of the dialect and not SCPI: [`UNKNOWN`].
    Unknown,
    /// A SCPI message.
    Scpi,
}

/// Chooses the grammar of a message (without terminator) of port 5060.
pub fn classify(message: &[u8], terminated: bool) -> Grammar<'_> {
    let word = first_word(message);
    let scpi = match Header::find(word) {
        Some(Header::Echo) => terminated && message.get(word.len()) == Some(&b';'),
        Some(_) => terminated && message.contains(&b';'),
        None => terminated || is_scpi_query(word),
    };
    if scpi {
        return Grammar::Scpi;
    }
    let (name, arguments) = match message.iter().position(|&b| b == b' ') {
        Some(at) => (&message[..at], Some(&message[at + 1..])),
        None => (message, None),
    };
    Header::find(name).map_or(Grammar::Unknown, |header| Grammar::Legacy {
        header,
        arguments: Arguments { text: arguments },
    })
}

/// The bytes of a message before its first space, TAB or `;`.
pub fn first_word(message: &[u8]) -> &[u8] {
    let end = message
        .iter()
        .position(|b| matches!(b, b' ' | b'\t' | b';'));
    &message[..end.unwrap_or(message.len())]
}

/// True for a terminated message that gets [`UNKNOWN`] when SCPI does not know it either: one unit without star
/// and colon, as a person types it.
pub fn is_bare_word(message: &[u8]) -> bool {
    !message.iter().any(|b| matches!(b, b'*' | b':' | b';'))
}

/// The reply to an unterminated message that SCPI ran without an answer: by the number of its error, if any.
pub fn verdict(error: Option<&Error>) -> &'static str {
    match error.map(Error::number) {
        None => ACK,
        Some(-113) => UNKNOWN,
        Some(_) => NAK,
    }
}

/// A common header, or a tree header that ends in a question mark.
fn is_scpi_query(word: &[u8]) -> bool {
    word.starts_with(b"*")
        || grammar::Header::parse(word)
            .is_ok_and(|(header, rest)| header.is_query() && rest.is_empty())
}

/// What is wrong with an argument.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// Fewer arguments than the command needs.
    #[error("argument {0} is missing")]
    Missing(usize),
    /// Not an integer as Python reads it.
    #[error("{0:?} is not an integer")]
    Integer(String),
    /// Not a number as Python reads it.
    #[error("{0:?} is not a number")]
    Number(String),
    /// A list of another length than the command needs.
    #[error("{0} values in the list")]
    ListLength(usize),
    /// Not text.
    #[error("argument {0} is not UTF-8")]
    Encoding(usize),
}

impl From<ArgumentError> for Error {
    fn from(error: ArgumentError) -> Self {
        let number = match error {
            ArgumentError::Missing(_) => -109,
            ArgumentError::Integer(_) | ArgumentError::Number(_) => -104,
            ArgumentError::ListLength(_) => -115,
            ArgumentError::Encoding(_) => -101,
        };
        Self::new(number).with(error.to_string())
    }
}

/// The arguments of a command: what follows the first space, split at every single space, empty ones kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arguments<'a> {
    text: Option<&'a [u8]>,
}

impl<'a> Arguments<'a> {
    /// Everything behind the header and its space: the words of an echo, runs of spaces included.
    pub fn raw(&self) -> &'a [u8] {
        self.text.unwrap_or_default()
    }

    /// The arguments in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.text
            .into_iter()
            .flat_map(|text| text.split(|&b| b == b' '))
    }

    /// The argument at `index`, counted from 0, as text.
    pub fn text(&self, index: usize) -> Result<&'a str, ArgumentError> {
        let bytes = self.iter().nth(index);
        let bytes = bytes.ok_or(ArgumentError::Missing(index + 1))?;
        std::str::from_utf8(bytes).map_err(|_| ArgumentError::Encoding(index + 1))
    }

    /// The integer at `index`.
    pub fn integer(&self, index: usize) -> Result<i64, ArgumentError> {
        parse_int(self.text(index)?)
    }

    /// The number at `index`; infinite values are possible, not-a-number is refused.
    pub fn real(&self, index: usize) -> Result<f64, ArgumentError> {
        parse_float(self.text(index)?)
    }

    /// The boolean at `index`: `1`, `true`, `on`, `yes`, `y` in any case are true, everything else is false.
    pub fn boolean(&self, index: usize) -> Result<bool, ArgumentError> {
        self.text(index).map(parse_bool)
    }

    /// The integers at `index`, joined by `:`.
    pub fn integers(&self, index: usize) -> Result<Vec<i64>, ArgumentError> {
        self.text(index)?.split(':').map(parse_int).collect()
    }

    /// The numbers at `index`, joined by `:`.
    pub fn reals(&self, index: usize) -> Result<Vec<f64>, ArgumentError> {
        self.text(index)?.split(':').map(parse_float).collect()
    }

    /// Exactly `N` integers at `index`, joined by `:`.
    pub fn integer_array<const N: usize>(&self, index: usize) -> Result<[i64; N], ArgumentError> {
        let list = self.integers(index)?;
        list.try_into()
            .map_err(|list: Vec<i64>| ArgumentError::ListLength(list.len()))
    }

    /// Exactly `N` numbers at `index`, joined by `:`.
    pub fn real_array<const N: usize>(&self, index: usize) -> Result<[f64; N], ArgumentError> {
        let list = self.reals(index)?;
        list.try_into()
            .map_err(|list: Vec<f64>| ArgumentError::ListLength(list.len()))
    }
}

/// Python's `int()`: white space around, a sign, `_` between digits. Values beyond an `i64` become its limits.
pub fn parse_int(text: &str) -> Result<i64, ArgumentError> {
    let error = || ArgumentError::Integer(text.to_owned());
    let trimmed = text.trim();
    let (negative, digits) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, &trimmed[1..]),
        Some(b'+') => (false, &trimmed[1..]),
        _ => (false, trimmed),
    };
    if !is_digit_group(digits) {
        return Err(error());
    }
    let sum = digits
        .bytes()
        .filter(u8::is_ascii_digit)
        .fold(0i64, |n, d| {
            let digit = i64::from(d - b'0');
            let n = n.saturating_mul(10);
            if negative {
                n.saturating_sub(digit)
            } else {
                n.saturating_add(digit)
            }
        });
    Ok(sum)
}

/// Python's `float()` with `,` allowed as decimal point; not-a-number is refused.
pub fn parse_float(text: &str) -> Result<f64, ArgumentError> {
    let plain = text.trim().replacen(',', ".", 1);
    let well_formed = is_float(&plain);
    let value = plain.replace('_', "").parse::<f64>();
    match value {
        Ok(value) if well_formed && !value.is_nan() => Ok(value),
        _ => Err(ArgumentError::Number(text.to_owned())),
    }
}

/// `1`, `true`, `on`, `yes`, `y` in any case.
pub fn parse_bool(text: &str) -> bool {
    ["1", "true", "on", "yes", "y"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
}

/// Digits with single underscores between them.
fn is_digit_group(text: &str) -> bool {
    !text.is_empty()
        && text
            .split('_')
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if ["inf", "infinity"]
        .iter()
        .any(|word| unsigned.eq_ignore_ascii_case(word))
    {
        return true;
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let group = |part: &str| part.is_empty() || is_digit_group(part);
    let power = |part: &str| is_digit_group(part.strip_prefix(['+', '-']).unwrap_or(part));
    group(whole)
        && group(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(power)
}
