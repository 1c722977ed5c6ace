//! Framing of port 5060: a message ends at LF, or, without LF, when the sender pauses.
//!
//! The server measures the pause. After it has taken every frame it asks [`DualFramer::waiting_to_settle`]; if nothing
//! more arrives within the settle time it calls [`DualFramer::settle`] and takes frames again.

use super::framing::{Cut, Cutter, Frame};
use super::legacy::Header;

/// Cuts the input of port 5060 into messages.
///
/// Memory is bounded by the largest push and [`super::framing::MAX_MESSAGE`].
#[derive(Debug)]
pub struct DualFramer {
    cutter: Cutter,
    settled: bool,
}

impl Default for DualFramer {
    fn default() -> Self {
        Self {
            cutter: Cutter::with_dialect(),
            settled: false,
        }
    }
}

impl DualFramer {
    /// An empty framer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what was received in one go.
    pub fn push(&mut self, bytes: &[u8]) {
        self.settled = false;
        self.cutter.push(bytes);
    }

    /// True when bytes wait for more input or for the end of the settle time. Ask after [`DualFramer::next`] has
    /// returned `None`.
    pub fn waiting_to_settle(&self) -> bool {
        self.cutter.is_pending()
    }

    /// The settle time has passed with nothing new: what is there is a message.
    pub fn settle(&mut self) {
        self.settled = true;
    }

    /// The input has ended: what is there is a message.
    pub fn end(&mut self) {
        self.settled = true;
    }

    /// The next frame, or `None` when more input or a pause is needed.
    #[expect(clippy::should_implement_trait, reason = "frames borrow the buffer")]
    pub fn next(&mut self) -> Option<Frame<'_>> {
        loop {
            let (cut, terminated) = match self.cutter.cut() {
                Some(cut) => (cut, true),
                None if self.settled || self.stands_alone() => (self.cutter.take_rest()?, false),
                None => return None,
            };
            match cut {
                Cut::Message(range) if self.cutter.is_blank(&range) => {}
                Cut::Message(range) => {
                    let range = self.cutter.without_cr(range);
                    let bytes = self.cutter.bytes(range);
                    return Some(Frame::Message { bytes, terminated });
                }
                Cut::Overrun { legacy } => return Some(Frame::Overrun { terminated, legacy }),
            }
        }
    }

    /// Bytes of memory held.
    pub fn capacity(&self) -> usize {
        self.cutter.capacity()
    }

    /// True when what is there is exactly a header without arguments, to be answered without waiting for a pause.
    fn stands_alone(&self) -> bool {
        Header::find(self.cutter.rest()).is_some_and(Header::stands_alone)
    }
}
