//! Framing of port 5025: program messages end at LF, blocks may hold any byte (IEEE 488.2 chapter 7.5).
//!
//! Also the cutter that both framers share: a buffer scanned once, byte by byte, however the input arrives.

use std::ops::Range;

use super::grammar::only_queries;
use super::is_blank;
use super::legacy::Header;
use super::scan::{Mark, Scanner};

/// The longest message, its terminator not counted.
pub const MAX_MESSAGE: usize = 16_384;

/// A block that claims more than this is taken for a mistake: it is not skipped, and the next LF ends the message.
/// Up to here an over-long message is dropped with its whole block, so that no data are run as commands.
const MAX_SKIPPED_BLOCK: u32 = 65_536;

/// What a framer hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A program message, never empty or blank, without its terminator.
    Message {
        /// The message; on port 5060 without a CR at its end.
        bytes: &'a [u8],
        /// False when a pause or the end of the input ended it.
        terminated: bool,
    },
    /// More than [`MAX_MESSAGE`] bytes, dropped to their end: -363.
    Overrun {
        /// False when a pause or the end of the input ended it.
        terminated: bool,
        /// On port 5060: the message began with a header of the FE-PyCam2 dialect.
        legacy: bool,
    },
    /// The input ended within a message that is not made of queries alone: not to be run, for half a command may say
    /// something else than the whole.
    Unfinished {
        /// What there was of it.
        bytes: &'a [u8],
    },
}

/// Cuts the input of port 5025 into messages.
///
/// Feed with [`LineFramer::push`], then call [`LineFramer::next`] until it returns `None`. Memory is bounded
/// by the largest push and [`MAX_MESSAGE`].
#[derive(Debug, Default)]
pub struct LineFramer {
    cutter: Cutter,
    ended: bool,
}

impl LineFramer {
    /// An empty framer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what was received.
    pub fn push(&mut self, bytes: &[u8]) {
        self.cutter.push(bytes);
    }

    /// The input has ended; [`LineFramer::next`] hands out what is left of it.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next frame, or `None` when more input is needed.
    #[expect(clippy::should_implement_trait, reason = "frames borrow the buffer")]
    pub fn next(&mut self) -> Option<Frame<'_>> {
        let (range, terminated) = loop {
            match self.cutter.cut() {
                Some(Cut::Message(range)) if self.cutter.is_blank(&range) => {}
                Some(Cut::Message(range)) => break (range, true),
                Some(Cut::Overrun { legacy }) => {
                    return Some(Frame::Overrun {
                        terminated: true,
                        legacy,
                    });
                }
                None if !self.ended => return None,
                None => match self.cutter.take_rest()? {
                    Cut::Overrun { legacy } => {
                        return Some(Frame::Overrun {
                            terminated: false,
                            legacy,
                        });
                    }
                    Cut::Message(range) if self.cutter.is_blank(&range) => return None,
                    Cut::Message(range) => break (range, false),
                },
            }
        };
        let bytes = self.cutter.bytes(range);
        if terminated || only_queries(bytes) {
            Some(Frame::Message { bytes, terminated })
        } else {
            Some(Frame::Unfinished { bytes })
        }
    }

    /// Bytes of memory held.
    pub fn capacity(&self) -> usize {
        self.cutter.capacity()
    }
}

/// What the cutter found: a message (in its buffer, LF left out) or the end of a dropped one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cut {
    Message(Range<usize>),
    Overrun { legacy: bool },
}

/// Buffer and scan state shared by the framers. Every byte is scanned once.
#[derive(Debug)]
pub(super) struct Cutter {
    buffer: Vec<u8>,
    /// Start of the message that is being scanned.
    start: usize,
    /// Everything before is scanned.
    scanned: usize,
    scanner: Scanner,
    /// The message is too long and its bytes are dropped as they are scanned.
    dropping: bool,
    /// End of the last block of the message: a CR before it is data.
    block_end: usize,
    first_word: FirstWord,
}

/// What is known of the first word of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstWord {
    /// Of no interest (port 5025).
    Any,
    /// Not complete yet.
    Open,
    /// Not a header of the FE-PyCam2 dialect.
    Scpi,
    /// A header of the FE-PyCam2 dialect: the message holds no blocks.
    Legacy,
}

impl Default for Cutter {
    fn default() -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            scanner: Scanner::new(),
            dropping: false,
            block_end: 0,
            first_word: FirstWord::Any,
        }
    }
}

impl Cutter {
    /// A cutter that leaves messages of the FE-PyCam2 dialect whole.
    pub(super) fn with_dialect() -> Self {
        Self {
            first_word: FirstWord::Open,
            ..Self::default()
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
        } else {
            self.buffer.drain(..self.start);
        }
        self.scanned -= self.start;
        self.block_end = self.block_end.saturating_sub(self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message that an LF ends.
    pub(super) fn cut(&mut self) -> Option<Cut> {
        while self.scanned < self.buffer.len() {
            self.watch_first_word();
            let (taken, mark) = self
                .scanner
                .scan(&self.buffer[self.scanned..self.scan_end()]);
            self.scanned += taken;
            if mark == Some(Mark::Line) {
                let message = self.start..self.scanned - 1;
                self.start = self.scanned;
                let legacy = self.begin_message();
                let long = message.len() > MAX_MESSAGE;
                return Some(match std::mem::take(&mut self.dropping) || long {
                    true => Cut::Overrun { legacy },
                    false => Cut::Message(message),
                });
            }
            self.follow(mark);
        }
        None
    }

    /// How far to scan in one go: a message that gets too long does so at the same byte however it arrives.
    fn scan_end(&self) -> usize {
        let limit = self.start + MAX_MESSAGE + 1;
        match self.dropping {
            true => self.buffer.len(),
            false => self.buffer.len().min(limit),
        }
    }

    /// Forgets the first word of the message that ends. Returns whether it was one of the dialect.
    fn begin_message(&mut self) -> bool {
        let legacy = self.first_word == FirstWord::Legacy;
        if self.first_word != FirstWord::Any {
            self.first_word = FirstWord::Open;
        }
        legacy
    }

    /// Decides whether the message is of the dialect as soon as its first word is complete.
    fn watch_first_word(&mut self) {
        /// Longer than any header of the dialect.
        const LONGEST: usize = 32;
        if self.first_word != FirstWord::Open {
            return;
        }
        let message = &self.buffer[self.start..];
        let message = &message[..message.len().min(LONGEST)];
        let end = message
            .iter()
            .position(|b| matches!(b, b' ' | b'\t' | b';' | b'\n'));
        self.first_word = match end {
            Some(end) if Header::find(&message[..end]).is_some() => FirstWord::Legacy,
            None if message.len() < LONGEST => FirstWord::Open,
            _ => FirstWord::Scpi,
        };
        if self.first_word == FirstWord::Legacy {
            self.scanner.plain();
        }
    }

    /// Notes blocks, and drops what is scanned of a message that is too long.
    fn follow(&mut self, mark: Option<Mark>) {
        let mut hopeless = false;
        match mark {
            Some(Mark::BlockEnd) => self.block_end = self.scanned,
            Some(Mark::Block(length)) => hopeless = length > MAX_SKIPPED_BLOCK,
            _ => {}
        }
        self.dropping |= hopeless || self.scanned - self.start > MAX_MESSAGE;
        if self.dropping {
            self.start = self.scanned;
            if hopeless || !self.scanner.in_block() {
                self.scanner.plain();
            }
        }
    }

    /// Ends the message that no LF has ended; `None` when there is none.
    pub(super) fn take_rest(&mut self) -> Option<Cut> {
        let message = self.start..self.buffer.len();
        self.start = message.end;
        self.scanned = message.end;
        self.scanner = Scanner::new();
        let legacy = self.begin_message();
        if std::mem::take(&mut self.dropping) {
            return Some(Cut::Overrun { legacy });
        }
        (!message.is_empty()).then_some(Cut::Message(message))
    }

    /// What is there of the message that no LF has ended.
    pub(super) fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// True when part of a message, kept or dropped, waits for its end.
    pub(super) fn is_pending(&self) -> bool {
        self.dropping || self.start < self.buffer.len()
    }

    /// `message` without a CR at its end, unless that is the last byte of a block.
    pub(super) fn without_cr(&self, message: Range<usize>) -> Range<usize> {
        let cr = self.buffer[message.clone()].last() == Some(&b'\r');
        let data = message.end <= self.block_end;
        message.start..message.end - usize::from(cr && !data)
    }

    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    pub(super) fn is_blank(&self, range: &Range<usize>) -> bool {
        self.buffer[range.clone()].iter().all(|&b| is_blank(b))
    }

    pub(super) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }
}
