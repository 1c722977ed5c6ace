//! Parameters of a unit as typed tokens (IEEE 488.2 chapter 7.7).

use std::borrow::Cow;

use super::error::Error;
use super::is_blank;

/// The longest character program data (word) and the longest unit suffix.
pub const MAX_WORD: usize = 12;
/// The most digits of a mantissa, leading zeros not counted.
pub const MAX_DIGITS: usize = 255;
/// The largest magnitude of an exponent.
pub const MAX_EXPONENT: i32 = 32_000;

/// One parameter as written.
#[derive(Debug, Clone, PartialEq)]
pub enum Token<'a> {
    /// A decimal number with an optional unit.
    Number(Number<'a>),
    /// `#H`, `#Q` or `#B` and digits of that base.
    NonDecimal(u64),
    /// Character data: `MIN`, `ON`, `raw`.
    Word(&'a str),
    /// A word with hyphens, `flip-byte`: not SCPI, but the way faults of simulated devices are named.
    Name(&'a str),
    /// What a quoted string holds, doubled quotes made single. Any bytes.
    Str(Cow<'a, [u8]>),
    /// The data of a definite-length block.
    Block(&'a [u8]),
    /// What stands between parentheses.
    Expression(&'a str),
}

/// A decimal number, kept in decimal so that units scale it without loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number<'a> {
    negative: bool,
    /// Up to 19 significant digits.
    mantissa: u64,
    /// Power of ten of the last digit in `mantissa`.
    exponent: i32,
    /// Further digits, dropped from `mantissa`, were not all zero.
    inexact: bool,
    /// The mantissa as written, without sign.
    digits: &'a str,
    /// Power of ten of `digits`.
    written_exponent: i32,
    /// The unit with its multiplier, as written.
    pub suffix: Option<&'a str>,
}

impl Number<'_> {
    /// The value times 10^`scale`, correctly rounded; infinite when too large for an `f64`.
    pub fn value(&self, scale: i32) -> f64 {
        /// Powers of ten that an `f64` holds exactly.
        const EXACT: [f64; 23] = [
            1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
            1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
        ];
        let exponent = self.exponent + scale;
        let power = EXACT.get(exponent.unsigned_abs() as usize);
        let magnitude = match power {
            // One operation on two exact numbers rounds once.
            Some(power) if !self.inexact && self.mantissa <= 1 << 53 => {
                let mantissa = self.mantissa as f64;
                if exponent < 0 {
                    mantissa / power
                } else {
                    mantissa * power
                }
            }
            _ => format!("{}e{}", self.digits, self.written_exponent + scale)
                .parse()
                .expect("digits with an exponent because the lexer took nothing else"),
        };
        if self.negative { -magnitude } else { magnitude }
    }

    /// The value times 10^`scale`, rounded to the nearest integer, halves away from zero; `None` beyond an `i64`.
    pub fn integer(&self, scale: i32) -> Option<i64> {
        let exponent = self.exponent + scale;
        let magnitude = if self.mantissa == 0 {
            0
        } else if exponent >= 0 {
            10u64
                .checked_pow(exponent.unsigned_abs())?
                .checked_mul(self.mantissa)?
        } else {
            // Ten to the 20th is more than twice any mantissa: the rest rounds to nothing.
            10u64
                .checked_pow(exponent.unsigned_abs())
                .map_or(0, |power| {
                    let rest = self.mantissa % power;
                    self.mantissa / power + u64::from(rest >= power - rest)
                })
        };
        if self.negative {
            0i64.checked_sub_unsigned(magnitude)
        } else {
            i64::try_from(magnitude).ok()
        }
    }
}

/// The parameters of one unit, lexed as they are taken. After an error there are no more.
#[derive(Debug, Clone)]
pub struct Params<'a> {
    rest: &'a [u8],
    first: bool,
    done: bool,
}

impl<'a> Params<'a> {
    /// Reads `text`, what follows the header of a unit.
    pub fn new(text: &'a [u8]) -> Self {
        Self {
            rest: text,
            first: true,
            done: false,
        }
    }

    fn lex(&mut self) -> Option<Result<Token<'a>, Error>> {
        self.skip();
        if self.first {
            self.first = false;
            if self.rest.is_empty() {
                return None;
            }
        } else {
            match self.rest.first()? {
                b',' => self.rest = &self.rest[1..],
                &byte => return Some(Err(misplaced(byte, -103))),
            }
            self.skip();
        }
        let token = self.token();
        self.skip();
        Some(token)
    }

    fn token(&mut self) -> Result<Token<'a>, Error> {
        match self.rest.first() {
            None | Some(b',') => Err(Error::new(-109).with("nothing between separators")),
            Some(b'"' | b'\'') => self.string(),
            Some(b'#') => self.hash(),
            Some(b'(') => self.expression(),
            Some(b'0'..=b'9' | b'+' | b'-' | b'.') => self.number().map(Token::Number),
            Some(b'A'..=b'Z' | b'a'..=b'z') => self.word(),
            Some(&byte) => Err(misplaced(byte, -102)),
        }
    }

    fn word(&mut self) -> Result<Token<'a>, Error> {
        let word = self.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        let hyphens = word.contains('-');
        if !hyphens && word.len() > MAX_WORD {
            return Err(Error::new(-144).with(word));
        }
        match self.rest.first() {
            None | Some(b',' | b' ' | b'\t' | b'\r') if hyphens => Ok(Token::Name(word)),
            None | Some(b',' | b' ' | b'\t' | b'\r') => Ok(Token::Word(word)),
            Some(&byte) => Err(misplaced(byte, -141)),
        }
    }

    fn string(&mut self) -> Result<Token<'a>, Error> {
        let quote = self.rest[0];
        let body = &self.rest[1..];
        let mut doubled = false;
        let mut at = 0;
        let end = loop {
            let Some(length) = body[at..].iter().position(|&b| b == quote) else {
                return Err(Error::new(-151).with("closing quote missing"));
            };
            at += length + 1;
            if body.get(at) != Some(&quote) {
                break at - 1;
            }
            doubled = true;
            at += 1;
        };
        let text = &body[..end];
        self.rest = &body[end + 1..];
        if text.contains(&b'\n') {
            return Err(Error::new(-151).with("line feed in string"));
        }
        Ok(Token::Str(if doubled {
            Cow::Owned(undouble(text, quote))
        } else {
            Cow::Borrowed(text)
        }))
    }

    fn hash(&mut self) -> Result<Token<'a>, Error> {
        let radix = match self.rest.get(1) {
            Some(b'1'..=b'9') => return self.block(),
            Some(b'H' | b'h') => 16,
            Some(b'Q' | b'q') => 8,
            Some(b'B' | b'b') => 2,
            Some(b'0') => return Err(Error::new(-161).with("indefinite length")),
            _ => return Err(Error::new(-161)),
        };
        self.rest = &self.rest[2..];
        let digits = self.take_while(|b| b.is_ascii_alphanumeric());
        let valid = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        match self.rest.first() {
            None | Some(b',' | b' ' | b'\t' | b'\r') if valid => u64::from_str_radix(digits, radix)
                .map(Token::NonDecimal)
                .map_err(|_| Error::new(-222).with("64 bits")),
            Some(&byte) if valid => Err(misplaced(byte, -121)),
            _ => Err(Error::new(-121).with(digits)),
        }
    }

    fn block(&mut self) -> Result<Token<'a>, Error> {
        let malformed = || Error::new(-161);
        let count = usize::from(self.rest[1] - b'0');
        let (digits, data) = self.rest[2..]
            .split_at_checked(count)
            .ok_or_else(malformed)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(malformed());
        }
        let length = digits
            .iter()
            .fold(0usize, |n, d| n * 10 + usize::from(d - b'0'));
        let (data, rest) = data.split_at_checked(length).ok_or_else(malformed)?;
        self.rest = rest;
        Ok(Token::Block(data))
    }

    fn expression(&mut self) -> Result<Token<'a>, Error> {
        let end = closing_parenthesis(self.rest).ok_or_else(|| Error::new(-171))?;
        let inside = &self.rest[1..end];
        self.rest = &self.rest[end + 1..];
        if let Some(&byte) = inside.iter().find(|&&b| !is_text(b)) {
            return Err(misplaced(byte, -171));
        }
        std::str::from_utf8(inside)
            .map(Token::Expression)
            .map_err(|_| Error::new(-171))
    }

    fn number(&mut self) -> Result<Number<'a>, Error> {
        let negative = self.rest[0] == b'-';
        if matches!(self.rest[0], b'+' | b'-') {
            self.rest = &self.rest[1..];
        }
        let digits = self.take_while(|b| b.is_ascii_digit() || b == b'.');
        let (mut number, significant) = mantissa(digits)?;
        if significant > MAX_DIGITS {
            return Err(Error::new(-124));
        }
        number.negative = negative;
        let exponent = self.exponent()?;
        number.written_exponent = exponent;
        number.exponent += exponent;
        number.suffix = self.suffix()?;
        match self.rest.first() {
            None | Some(b',' | b' ' | b'\t' | b'\r') => Ok(number),
            Some(&byte) => Err(misplaced(byte, -121)),
        }
    }

    /// `E`, an optional sign and digits, blanks allowed round `E`; nothing is taken when what follows is a unit.
    fn exponent(&mut self) -> Result<i32, Error> {
        let rest = skip_blanks(self.rest);
        let Some((b'E' | b'e', after)) = rest.split_first() else {
            return Ok(0);
        };
        let after = skip_blanks(after);
        let (negative, after) = match after.split_first() {
            Some((b'-', tail)) => (true, tail),
            Some((b'+', tail)) => (false, tail),
            _ => (false, after),
        };
        if !after.first().is_some_and(u8::is_ascii_digit) {
            return Ok(0);
        }
        self.rest = after;
        let magnitude = self
            .take_while(|b| b.is_ascii_digit())
            .bytes()
            .fold(0i32, |n, d| {
                (n * 10 + i32::from(d - b'0')).min(MAX_EXPONENT + 1)
            });
        if magnitude > MAX_EXPONENT {
            return Err(Error::new(-123));
        }
        Ok(if negative { -magnitude } else { magnitude })
    }

    fn suffix(&mut self) -> Result<Option<&'a str>, Error> {
        let after = skip_blanks(self.rest);
        if !after.first().is_some_and(u8::is_ascii_alphabetic) {
            return Ok(None);
        }
        self.rest = after;
        let suffix = self.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.'));
        if suffix.len() > MAX_WORD {
            return Err(Error::new(-134).with(suffix));
        }
        Ok(Some(suffix))
    }

    fn skip(&mut self) {
        self.rest = skip_blanks(self.rest);
    }

    /// Takes the leading bytes that `accept`, which must accept ASCII alone.
    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a str {
        let end = self
            .rest
            .iter()
            .position(|&b| !accept(b))
            .unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        std::str::from_utf8(taken).expect("text because only ASCII is accepted")
    }
}

impl<'a> Iterator for Params<'a> {
    type Item = Result<Token<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.lex();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

/// Reads the digits and the point of a mantissa. Also tells how many digits there are from the first non-zero one.
fn mantissa(text: &str) -> Result<(Number<'_>, usize), Error> {
    let invalid = || Error::new(-121).with(text);
    let mut number = Number {
        negative: false,
        mantissa: 0,
        exponent: 0,
        inexact: false,
        digits: text,
        written_exponent: 0,
        suffix: None,
    };
    let (mut significant, mut point, mut any) = (0, false, false);
    for byte in text.bytes() {
        if byte == b'.' {
            if std::mem::replace(&mut point, true) {
                return Err(invalid());
            }
            continue;
        }
        any = true;
        let digit = u64::from(byte - b'0');
        significant += usize::from(significant > 0 || digit > 0);
        if significant > 19 {
            number.inexact |= digit > 0;
            number.exponent += i32::from(!point);
        } else {
            number.mantissa = number.mantissa * 10 + digit;
            number.exponent -= i32::from(point);
        }
    }
    if any {
        Ok((number, significant))
    } else {
        Err(invalid())
    }
}

/// Where the parenthesis that `text` starts with is closed, quoted strings left aside.
fn closing_parenthesis(text: &[u8]) -> Option<usize> {
    let mut depth = 0usize;
    let mut quote = None;
    for (at, &byte) in text.iter().enumerate() {
        match (quote, byte) {
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'(') => depth += 1,
            (None, b')') => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn undouble(text: &[u8], quote: u8) -> Vec<u8> {
    let mut single = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        single.push(byte);
        if byte == quote {
            bytes.next();
        }
    }
    single
}

/// `text` without the blanks it starts with.
pub(crate) fn skip_blanks(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&b| !is_blank(b));
    &text[start.unwrap_or(text.len())..]
}

fn is_text(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') || is_blank(byte)
}

/// The error for a byte that does not belong: -101 for control and 8-bit bytes, else `number`.
pub(crate) fn misplaced(byte: u8, number: i16) -> Error {
    if is_text(byte) {
        Error::new(number).with(char::from(byte))
    } else {
        Error::new(-101).with(format!("byte {byte}"))
    }
}
