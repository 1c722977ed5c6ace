//! However the input is split, the framers hand out the same messages and hold bounded memory.
//!
//! The first byte of the input seeds the splits, the rest is what a client sends.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outpost::scpi::dual::DualFramer;
use outpost::scpi::framing::{Frame, LineFramer, MAX_MESSAGE};
use outpost::scpi::legacy::HEADERS;

/// Kind, end and bytes of a frame.
type Owned = (u8, bool, Vec<u8>);

fn own(frame: Frame<'_>) -> Owned {
    match frame {
        Frame::Message { bytes, terminated } => (0, terminated, bytes.to_vec()),
        Frame::Overrun { terminated, legacy } => (1 + u8::from(legacy), terminated, Vec::new()),
        Frame::Unfinished { bytes } => (3, false, bytes.to_vec()),
    }
}

/// Pieces of uneven length made from `seed`; 0 for one piece.
fn pieces(mut data: &[u8], seed: u8) -> Vec<&[u8]> {
    let mut state = u32::from(seed);
    let mut pieces = Vec::new();
    while !data.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = match seed {
            0 => data.len(),
            _ => (state >> 27) as usize + 1,
        };
        let (piece, rest) = data.split_at(length.min(data.len()));
        pieces.push(piece);
        data = rest;
    }
    pieces
}

fn lines(data: &[u8], seed: u8) -> Vec<Owned> {
    let mut framer = LineFramer::new();
    let mut frames = Vec::new();
    for piece in pieces(data, seed) {
        framer.push(piece);
        while let Some(frame) = framer.next() {
            frames.push(own(frame));
        }
        assert!(framer.capacity() <= 2 * (MAX_MESSAGE + data.len()) + 64);
    }
    framer.end();
    while let Some(frame) = framer.next() {
        frames.push(own(frame));
    }
    frames
}

fn burst(data: &[u8], seed: u8) -> Vec<Owned> {
    let mut framer = DualFramer::new();
    let mut frames = Vec::new();
    for piece in pieces(data, seed) {
        framer.push(piece);
        while let Some(frame) = framer.next() {
            frames.push(own(frame));
        }
    }
    framer.settle();
    while let Some(frame) = framer.next() {
        frames.push(own(frame));
    }
    assert!(!framer.waiting_to_settle());
    frames
}

fuzz_target!(|data: &[u8]| {
    let Some((&seed, data)) = data.split_first() else {
        return;
    };
    assert_eq!(lines(data, 0), lines(data, seed.max(1)));
    // Headers that are answered without a pause depend on the segments by design.
    let alone = HEADERS.iter().filter(|(_, header)| header.stands_alone());
    if !alone
        .map(|(name, _)| name.as_bytes())
        .any(|name| data.windows(name.len()).any(|window| window == name))
    {
        assert_eq!(burst(data, 0), burst(data, seed.max(1)));
    }
});
