//! Error numbers and texts (SCPI-1999 volume 2, chapter 21) and how an entry of the error queue is written.

use std::fmt;

/// The longest string of an entry, without its outer quotes.
pub const MAX_TEXT: usize = 255;

/// One entry of the error/event queue: a number, its standard text and an optional detail.
///
/// Displays as `number,"text"` or `number,"text;detail"`: printable ASCII, quotes doubled, at most
/// [`MAX_TEXT`] characters between the outer quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    number: i16,
    detail: Option<Box<str>>,
}

impl Error {
    /// The entry of an empty queue.
    pub const NONE: Self = Self::new(0);

    /// An error with its standard text alone.
    pub const fn new(number: i16) -> Self {
        Self {
            number,
            detail: None,
        }
    }

    /// The same error with a detail: the offending header, the allowed range, the cause.
    pub fn with(self, detail: impl Into<String>) -> Self {
        Self {
            number: self.number,
            detail: Some(detail.into().into_boxed_str()),
        }
    }

    /// The number: negative from the standard, positive from a device, 0 for no error.
    pub fn number(&self) -> i16 {
        self.number
    }

    /// What was added to the standard text.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// The standard text of the number.
    pub fn text(&self) -> &'static str {
        text(self.number)
    }

    /// The bit of the standard event status register that this error sets when it is queued.
    pub fn esr_bit(&self) -> u8 {
        match self.number {
            -199..=-100 => 1 << 5,
            -299..=-200 => 1 << 4,
            -499..=-400 => 1 << 2,
            -399..=-300 | 1.. => 1 << 3,
            _ => 0,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},\"", self.number)?;
        let separator = if self.detail.is_some() { ";" } else { "" };
        let detail = self.detail.as_deref().unwrap_or("");
        let mut room = MAX_TEXT;
        for c in [self.text(), separator, detail]
            .iter()
            .flat_map(|part| part.chars())
        {
            let mut buffer = [0; 4];
            let written = match c {
                '"' => "\"\"",
                ' '..='~' => c.encode_utf8(&mut buffer),
                _ => "?",
            };
            room = match room.checked_sub(written.len()) {
                Some(left) => left,
                None => break,
            };
            f.write_str(written)?;
        }
        f.write_str("\"")
    }
}

impl std::error::Error for Error {}

/// The standard text of a negative number; the device class of a positive one.
///
/// A number the table lacks takes the text of its hundred, as the standard allows.
pub fn text(number: i16) -> &'static str {
    if number > 0 {
        return device_text(number);
    }
    let known = |n: i16| {
        TABLE
            .binary_search_by(|(m, _)| n.cmp(m))
            .ok()
            .map(|i| TABLE[i].1)
    };
    known(number)
        .or_else(|| known(number / 100 * 100))
        .unwrap_or("Device-specific error")
}

fn device_text(number: i16) -> &'static str {
    match number / 100 {
        1 => "Thermal camera error",
        2 => "Camera error",
        3 => "Particle counter error",
        4 => "Network instrument error",
        5 => "Storage or upload error",
        6 => "Board error",
        _ => "Device error",
    }
}

/// Numbers from the highest down, with the standard's words.
const TABLE: &[(i16, &str)] = &[
    (0, "No error"),
    (-100, "Command error"),
    (-101, "Invalid character"),
    (-102, "Syntax error"),
    (-103, "Invalid separator"),
    (-104, "Data type error"),
    (-105, "GET not allowed"),
    (-108, "Parameter not allowed"),
    (-109, "Missing parameter"),
    (-110, "Command header error"),
    (-111, "Header separator error"),
    (-112, "Program mnemonic too long"),
    (-113, "Undefined header"),
    (-114, "Header suffix out of range"),
    (-115, "Unexpected number of parameters"),
    (-120, "Numeric data error"),
    (-121, "Invalid character in number"),
    (-123, "Exponent too large"),
    (-124, "Too many digits"),
    (-128, "Numeric data not allowed"),
    (-130, "Suffix error"),
    (-131, "Invalid suffix"),
    (-134, "Suffix too long"),
    (-138, "Suffix not allowed"),
    (-140, "Character data error"),
    (-141, "Invalid character data"),
    (-144, "Character data too long"),
    (-148, "Character data not allowed"),
    (-150, "String data error"),
    (-151, "Invalid string data"),
    (-158, "String data not allowed"),
    (-160, "Block data error"),
    (-161, "Invalid block data"),
    (-168, "Block data not allowed"),
    (-170, "Expression error"),
    (-171, "Invalid expression"),
    (-178, "Expression data not allowed"),
    (-200, "Execution error"),
    (-203, "Command protected"),
    (-211, "Trigger ignored"),
    (-213, "Init ignored"),
    (-220, "Parameter error"),
    (-221, "Settings conflict"),
    (-222, "Data out of range"),
    (-223, "Too much data"),
    (-224, "Illegal parameter value"),
    (-225, "Out of memory"),
    (-226, "Lists not same length"),
    (-230, "Data corrupt or stale"),
    (-231, "Data questionable"),
    (-240, "Hardware error"),
    (-241, "Hardware missing"),
    (-250, "Mass storage error"),
    (-251, "Missing mass storage"),
    (-252, "Missing media"),
    (-254, "Media full"),
    (-255, "Directory full"),
    (-256, "File name not found"),
    (-257, "File name error"),
    (-258, "Media protected"),
    (-300, "Device-specific error"),
    (-310, "System error"),
    (-311, "Memory error"),
    (-315, "Configuration memory lost"),
    (-320, "Storage fault"),
    (-321, "Out of memory"),
    (-330, "Self-test failed"),
    (-340, "Calibration failed"),
    (-350, "Queue overflow"),
    (-360, "Communication error"),
    (-361, "Parity error in program message"),
    (-362, "Framing error in program message"),
    (-363, "Input buffer overrun"),
    (-365, "Time out error"),
    (-400, "Query error"),
    (-410, "Query INTERRUPTED"),
    (-420, "Query UNTERMINATED"),
    (-430, "Query DEADLOCKED"),
    (-440, "Query UNTERMINATED after indefinite response"),
    (-500, "Power on"),
    (-600, "User request"),
    (-700, "Request control"),
    (-800, "Operation complete"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_print_as_the_queue_answers_them() {
        let cases = [
            (Error::NONE, r#"0,"No error""#),
            (
                Error::new(-222).with("*ESE 0..255"),
                r#"-222,"Data out of range;*ESE 0..255""#,
            ),
            (
                Error::new(-256).with("a \"b\"\n\u{e9}"),
                r#"-256,"File name not found;a ""b""??""#,
            ),
            (Error::new(-199), r#"-199,"Command error""#),
            (Error::new(205).with("x"), r#"205,"Camera error;x""#),
        ];
        for (error, printed) in cases {
            assert_eq!(error.to_string(), printed);
        }
    }

    #[test]
    fn long_details_are_cut_at_255_characters_without_splitting_a_doubled_quote() {
        let plain = Error::new(-100).with("x".repeat(1000)).to_string();
        assert_eq!(plain.len(), "-100,\"\"".len() + MAX_TEXT);
        // "Command error;" is 14 characters, so 241 are left: 120 whole pairs.
        let quotes = Error::new(-100).with("\"".repeat(1000)).to_string();
        assert_eq!(quotes.len(), "-100,\"\"".len() + 14 + 240);
    }

    #[test]
    fn every_class_has_its_esr_bit() {
        for (number, bit) in [
            (-113, 32),
            (-222, 16),
            (-350, 8),
            (-363, 8),
            (100, 8),
            (-410, 4),
            (0, 0),
            (-500, 0),
        ] {
            assert_eq!(Error::new(number).esr_bit(), bit, "{number}");
        }
    }

    #[test]
    fn the_table_is_sorted_and_found() {
        assert!(TABLE.is_sorted_by(|a, b| a.0 > b.0));
        for &(number, words) in TABLE {
            assert_eq!(text(number), words);
        }
    }
}
