//! Reference data.

use std::fs;
use std::path::Path;

use outpost::msp1000::proto::{RawFrame, Reply, ReplyDecoder, ReplyError};
use serde_json::Value;

pub fn bytes(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/msp1000");
    fs::read(folder.join(name)).unwrap()
}

pub fn json(name: &str) -> Value {
    serde_json::from_slice(&bytes(name)).unwrap()
}

pub fn frame(name: &str) -> RawFrame {
    RawFrame::from_le_bytes(&bytes(name)).unwrap()
}

/// The values of a NumPy file of f4 or f8.
pub fn npy(name: &str) -> Vec<f64> {
    let file = bytes(name);
    let header_end = 10 + usize::from(u16::from_le_bytes([file[8], file[9]]));
    let header = String::from_utf8_lossy(&file[10..header_end]).into_owned();
    let data = &file[header_end..];
    match header.contains("'<f4'") {
        true => data
            .chunks_exact(4)
            .map(|four| f32::from_le_bytes(four.try_into().unwrap()).into())
            .collect(),
        false => {
            assert!(header.contains("'<f8'"), "{header}");
            data.chunks_exact(8)
                .map(|eight| f64::from_le_bytes(eight.try_into().unwrap()))
                .collect()
        }
    }
}

pub fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2));
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

pub fn floats(value: &Value) -> Vec<f64> {
    let list = value.as_array().unwrap();
    list.iter().map(|value| value.as_f64().unwrap()).collect()
}

#[track_caller]
pub fn assert_close(got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len());
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        let off = (got - expected).abs();
        assert!(off <= tolerance, "{index}: {got} is not {expected}");
    }
}

/// Everything that comes out when the pieces arrive one after the other.
pub fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Result<Reply, ReplyError>> {
    let mut decoder = ReplyDecoder::new();
    let mut replies = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        replies.extend(std::iter::from_fn(|| decoder.next()));
    }
    replies
}
