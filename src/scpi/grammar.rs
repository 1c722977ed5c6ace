//! A message as units, and a unit as header and parameters (IEEE 488.2 chapter 7, SCPI-1999 volume 1 chapter 6).
//!
//! ```text
//! message = [unit] *( ws ";" ws [unit] ) ws
//! unit    = header [ ws1 param *( ws "," ws param ) ]
//! header  = "*" mnemonic ["?"]  |  [":"] node *( ":" node ) ["?"]
//! node    = mnemonic [digits]
//! ```
//!
//! Units are cut at `;` outside strings, blocks and parentheses, so that a faulty unit does not lose the next one.

use super::error::Error;
use super::is_blank;
use super::scan::UnitSplitter;
use super::token::{Params, misplaced, skip_blanks};

/// The longest mnemonic of a header.
pub const MAX_MNEMONIC: usize = 12;

/// The units of `message` (without its terminator) in order; empty ones are left out.
pub fn units(message: &[u8]) -> Units<'_> {
    Units {
        splitter: UnitSplitter::new(message),
    }
}

/// True when `message` has a unit and every unit is a well-formed query. Such a message may run even though its
/// terminator never came, for it changes nothing.
pub fn only_queries(message: &[u8]) -> bool {
    let mut any = false;
    units(message).all(|unit| {
        any = true;
        unit.is_ok_and(|unit| unit.header.is_query())
    }) && any
}

/// Iterator over the units of a message, see [`units`]. An error stands for one unit whose header is malformed.
#[derive(Debug, Clone)]
pub struct Units<'a> {
    splitter: UnitSplitter<'a>,
}

impl<'a> Iterator for Units<'a> {
    type Item = Result<Unit<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.splitter
            .by_ref()
            .map(skip_blanks)
            .find(|text| !text.is_empty())
            .map(Unit::parse)
    }
}

/// Header and parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit<'a> {
    /// The header.
    pub header: Header<'a>,
    text: &'a [u8],
}

impl<'a> Unit<'a> {
    /// The parameters, lexed one by one.
    pub fn params(&self) -> Params<'a> {
        Params::new(self.text)
    }

    fn parse(text: &'a [u8]) -> Result<Self, Error> {
        let (header, text) = Header::parse(text)?;
        match text.first() {
            Some(&byte) if !is_blank(byte) => Err(misplaced(byte, -111)),
            _ => Ok(Self { header, text }),
        }
    }
}

/// A well-formed header. Displays as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Without leading colon and question mark; with the star of a common command.
    body: &'a str,
    absolute: bool,
    query: bool,
}

impl<'a> Header<'a> {
    /// Takes the header that `text` starts with; returns it and what follows.
    ///
    /// # Errors
    /// -101 or -102. How long a mnemonic may be is for the tree to say.
    pub fn parse(text: &'a [u8]) -> Result<(Self, &'a [u8]), Error> {
        let absolute = text.first() == Some(&b':');
        let start = usize::from(absolute);
        let common = text.get(start) == Some(&b'*');
        if absolute && common {
            return Err(Error::new(-102).with("colon before star"));
        }
        let mut at = start + usize::from(common);
        loop {
            at = node_end(text, at)?;
            if common || text.get(at) != Some(&b':') {
                break;
            }
            at += 1;
        }
        let query = text.get(at) == Some(&b'?');
        let body = std::str::from_utf8(&text[start..at]).map_err(|_| Error::new(-101))?;
        let header = Self {
            body,
            absolute,
            query,
        };
        Ok((header, &text[at + usize::from(query)..]))
    }

    /// True for `*IDN?` and its like.
    pub fn is_common(&self) -> bool {
        self.body.starts_with('*')
    }

    /// True when a colon leads it: the path starts at the root.
    pub fn is_absolute(&self) -> bool {
        self.absolute
    }

    /// True when a question mark ends it.
    pub fn is_query(&self) -> bool {
        self.query
    }

    /// The nodes in order; one for a common command, its star included.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        self.body.split(':').map(Node::new)
    }
}

impl std::fmt::Display for Header<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let colon = if self.absolute { ":" } else { "" };
        let mark = if self.query { "?" } else { "" };
        write!(f, "{colon}{}{mark}", self.body)
    }
}

/// One node of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node<'a> {
    /// As written, digits included.
    pub text: &'a str,
    /// Without the digits at its end.
    pub name: &'a str,
    /// The digits at its end, `u32::MAX` for more than fit.
    pub suffix: Option<u32>,
}

impl<'a> Node<'a> {
    fn new(text: &'a str) -> Self {
        let name = text.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = &text[name.len()..];
        let suffix = (!digits.is_empty()).then(|| digits.parse().unwrap_or(u32::MAX));
        Self { text, name, suffix }
    }
}

/// Where the node that starts at `start` ends.
fn node_end(text: &[u8], start: usize) -> Result<usize, Error> {
    let rest = &text[start..];
    let length = rest
        .iter()
        .position(|&b| !(b.is_ascii_alphanumeric() || b == b'_'))
        .unwrap_or(rest.len());
    let node = &rest[..length];
    if !node.first().is_some_and(u8::is_ascii_alphabetic) {
        let byte = rest.first().copied().unwrap_or(b' ');
        return Err(misplaced(byte, -102));
    }
    Ok(start + length)
}
