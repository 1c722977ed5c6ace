//! The particle counter's frames, replies and recorded sessions: tests/data/opc-n3, both ways.

mod frames;
mod replies;
mod sessions;

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

fn data(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/opc-n3")).join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(data(name)).unwrap()).unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    let text = text.trim();
    assert!(text.len().is_multiple_of(2), "{text}");
    (0..text.len() / 2)
        .map(|index| u8::from_str_radix(&text[2 * index..][..2], 16).unwrap())
        .collect()
}

/// The bytes of `frames/NAME.hex`.
fn frame(name: &str) -> Vec<u8> {
    hex(&fs::read_to_string(data(&format!("frames/{name}.hex"))).unwrap())
}

/// Within 1e-9 of the expected number, or exactly it.
#[track_caller]
fn same(value: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    let error = (value - expected).abs();
    assert!(error <= 1e-9 * expected.abs(), "{value} for {expected}");
}

#[track_caller]
fn all_same(values: impl IntoIterator<Item = f64>, expected: &Value) {
    let values: Vec<f64> = values.into_iter().collect();
    let expected = expected.as_array().unwrap();
    assert_eq!(values.len(), expected.len());
    for (value, expected) in values.into_iter().zip(expected) {
        same(value, expected);
    }
}
