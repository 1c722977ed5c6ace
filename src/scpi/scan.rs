//! The incremental scanner that knows whether a byte is framing or data.
//!
//! Line feeds and semicolons end messages and units unless they are data: a line feed inside a definite-length block, a
//! semicolon inside a block, a string or parentheses. A block is looked for only where a parameter starts.

use super::is_blank;

/// What the scanner stopped behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// A line feed that ends the message.
    Line,
    /// A semicolon that ends the unit.
    Unit,
    /// The length of a block of this many bytes, which follow.
    Block(u32),
    /// The last byte of a block.
    BlockEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    UnitStart,
    Header,
    ParamStart,
    /// Inside a parameter.
    Param,
    /// After a blank, a string, a block or parentheses inside a parameter: a misplaced string may start here.
    Gap,
    Quoted {
        quote: u8,
        depth: u32,
    },
    Parentheses {
        depth: u32,
    },
    Hash,
    Length {
        digits: u8,
        length: u32,
    },
    Block {
        left: u32,
    },
    /// Nothing but a line feed counts.
    Plain,
}

/// Scanner state, one byte of input after another.
#[derive(Debug, Clone)]
pub(super) struct Scanner {
    state: State,
    parentheses: bool,
}

impl Scanner {
    pub(super) fn new() -> Self {
        Self {
            state: State::UnitStart,
            parentheses: true,
        }
    }

    /// From here to the next line feed nothing else counts.
    pub(super) fn plain(&mut self) {
        self.state = State::Plain;
    }

    /// True inside the data of a block.
    pub(super) fn in_block(&self) -> bool {
        matches!(self.state, State::Block { .. })
    }

    fn in_parentheses(&self) -> bool {
        matches!(
            self.state,
            State::Parentheses { .. } | State::Quoted { depth: 1.., .. }
        )
    }

    /// Scans up to and including the next mark. Returns the bytes scanned and the mark, if one was reached.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> (usize, Option<Mark>) {
        let scanned = self.scan_to_mark(bytes);
        #[cfg(test)]
        SCANNED.with(|count| count.set(count.get() + scanned.0));
        scanned
    }

    fn scan_to_mark(&mut self, bytes: &[u8]) -> (usize, Option<Mark>) {
        let mut at = 0;
        while at < bytes.len() {
            if let State::Block { left } = &mut self.state {
                let taken = (bytes.len() - at).min(*left as usize);
                *left -= taken as u32;
                at += taken;
                if *left > 0 {
                    break;
                }
                self.state = State::Gap;
                return (at, Some(Mark::BlockEnd));
            }
            let mark = self.step(bytes[at]);
            at += 1;
            if mark.is_some() {
                return (at, mark);
            }
        }
        (at, None)
    }

    fn step(&mut self, byte: u8) -> Option<Mark> {
        use State::*;
        if byte == b'\n' {
            self.state = UnitStart;
            return Some(Mark::Line);
        }
        self.state = match self.state {
            Plain => return None,
            UnitStart if is_blank(byte) => UnitStart,
            UnitStart | Header => match byte {
                b';' => return self.unit_end(),
                _ if is_blank(byte) => ParamStart,
                _ => Header,
            },
            ParamStart if byte == b'#' => Hash,
            ParamStart if is_blank(byte) => ParamStart,
            ParamStart | Gap => match self.opening(byte) {
                Some(inside) => inside,
                None => return self.inside(byte),
            },
            Param => return self.inside(byte),
            Quoted { quote, depth } if byte == quote => match depth {
                0 => Gap,
                depth => Parentheses { depth },
            },
            quoted @ Quoted { .. } => quoted,
            Parentheses { depth } => parenthesized(byte, depth),
            Hash => match byte {
                b'1'..=b'9' => Length {
                    digits: byte - b'0',
                    length: 0,
                },
                _ => return self.inside(byte),
            },
            Length { digits, length } if byte.is_ascii_digit() => {
                let length = length * 10 + u32::from(byte - b'0');
                match (digits, length) {
                    (1, 0) => Gap,
                    (1, length) => {
                        self.state = Block { left: length };
                        return Some(Mark::Block(length));
                    }
                    _ => Length {
                        digits: digits - 1,
                        length,
                    },
                }
            }
            Length { .. } => return self.inside(byte),
            Block { .. } => unreachable!("block data are skipped by count in `scan`"),
        };
        None
    }

    /// The state that a quote or a parenthesis opens.
    fn opening(&self, byte: u8) -> Option<State> {
        match byte {
            b'"' | b'\'' => Some(State::Quoted {
                quote: byte,
                depth: 0,
            }),
            b'(' if self.parentheses => Some(State::Parentheses { depth: 1 }),
            _ => None,
        }
    }

    fn inside(&mut self, byte: u8) -> Option<Mark> {
        self.state = match byte {
            b';' => return self.unit_end(),
            b',' => State::ParamStart,
            _ if is_blank(byte) => State::Gap,
            _ => State::Param,
        };
        None
    }

    fn unit_end(&mut self) -> Option<Mark> {
        self.state = State::UnitStart;
        Some(Mark::Unit)
    }
}

fn parenthesized(byte: u8, depth: u32) -> State {
    match byte {
        b'(' => State::Parentheses { depth: depth + 1 },
        b')' if depth == 1 => State::Gap,
        b')' => State::Parentheses { depth: depth - 1 },
        b'"' | b'\'' => State::Quoted { quote: byte, depth },
        _ => State::Parentheses { depth },
    }
}

/// Cuts a message at the semicolons between its units. Yields the text of each, empty ones included.
#[derive(Debug, Clone)]
pub(super) struct UnitSplitter<'a> {
    rest: Option<&'a [u8]>,
    parentheses: bool,
}

impl<'a> UnitSplitter<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self {
            rest: Some(message),
            parentheses: true,
        }
    }

    /// Where the first unit of `text` ends and whether a semicolon ends it; `None` when a parenthesis stays open.
    fn end(&self, text: &[u8]) -> Option<(usize, bool)> {
        let mut scanner = Scanner {
            parentheses: self.parentheses,
            ..Scanner::new()
        };
        let mut at = 0;
        loop {
            let (taken, mark) = scanner.scan(&text[at..]);
            at += taken;
            match mark {
                Some(Mark::Unit) => return Some((at - 1, true)),
                Some(_) => {}
                None if scanner.in_parentheses() => return None,
                None => return Some((at, false)),
            }
        }
    }
}

impl<'a> Iterator for UnitSplitter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let text = self.rest?;
        let (end, more) = self.end(text).unwrap_or_else(|| {
            // An open parenthesis would swallow every later unit. Once for a message, so the work stays linear.
            self.parentheses = false;
            self.end(text).unwrap_or((text.len(), false))
        });
        self.rest = more.then(|| &text[end + 1..]);
        Some(&text[..end])
    }
}

#[cfg(test)]
thread_local! {
    /// Bytes scanned on this thread, for the tests that count work instead of timing it.
    static SCANNED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
mod tests {
    use super::super::framing::{Frame, LineFramer, MAX_MESSAGE};
    use super::super::grammar::units;
    use super::SCANNED;

    /// Bytes scanned by `work`.
    fn scanned(work: impl FnOnce()) -> usize {
        let before = SCANNED.get();
        work();
        SCANNED.get() - before
    }

    #[test]
    fn the_framer_scans_every_byte_once() {
        let pipeline = b"SYST:ERR?;:CAM:CONF:SS \"x\",#15a\nb\nc\n".repeat(5000);
        let long = [b"*ESE 1;".repeat(2000), b"\n".to_vec()].concat();
        for input in [pipeline, long.repeat(20), vec![b'x'; 300_000]] {
            for piece in [1, 100, input.len()] {
                let work = scanned(|| {
                    let mut framer = LineFramer::new();
                    for chunk in input.chunks(piece) {
                        framer.push(chunk);
                        while let Some(Frame::Message { .. } | Frame::Overrun { .. }) =
                            framer.next()
                        {}
                    }
                });
                assert_eq!(work, input.len());
            }
        }
    }

    #[test]
    fn splitting_into_units_is_linear_even_with_open_parentheses() {
        for unit in [
            "*ESE 1;",
            "A (;",
            "A \"(\",(\";\");",
            "A #15a;b;c;",
            "A '",
            ";",
        ] {
            let message = unit.repeat(MAX_MESSAGE / unit.len());
            let work = scanned(|| assert!(units(message.as_bytes()).count() <= message.len()));
            assert!(work <= 2 * message.len(), "{unit} took {work}");
        }
    }
}
