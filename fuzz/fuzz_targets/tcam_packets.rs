//! However the input is split, the framers hand out the same packets; what parses is written and read back the same.
//!
//! The first byte of the input is the length of the pieces, the rest is what comes over the wire.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outpost::tcam::proto::file::RecordingReader;
use outpost::tcam::proto::packet::Counters;
use outpost::tcam::proto::{Command, Framer, ImageText, Response};

/// Short, so that the fuzzer gets there.
const LIMIT: usize = 300;

fn texts(mut framer: Framer, wire: &[u8], step: usize) -> (Vec<Vec<u8>>, Counters) {
    let mut texts = Vec::new();
    for piece in wire.chunks(step) {
        framer.push(piece);
        while let Some(packet) = framer.next() {
            assert!(packet.text().len() <= LIMIT);
            texts.push(packet.text().to_vec());
        }
        assert!(framer.capacity() <= 2 * (LIMIT + step + 4096));
    }
    (texts, framer.counters())
}

fn check_command(text: &[u8]) {
    if let Ok(command) = Command::parse(text) {
        let mut again = Vec::new();
        command.write_json(&mut again);
        assert_eq!(Command::parse(&again), Ok(command));
    }
}

fn check_response(text: &[u8]) {
    match Response::decode(text) {
        Ok(Response::Image(text)) => drop(ImageText::parse(text)),
        // A register's length may disagree with its data: neither is believed.
        Ok(Response::CciReg(_) | Response::Other { .. }) | Err(_) => {}
        Ok(response) => {
            let mut again = Vec::new();
            response.write_json(&mut again);
            assert_eq!(Response::decode(&again).expect("its own text"), response);
        }
    }
}

fn check_recording(file: &[u8], step: usize) {
    let read = |step: usize| {
        let mut reader = RecordingReader::new();
        for piece in file.chunks(step) {
            reader.push(piece);
            while reader.next().is_some() {}
        }
        reader.end();
        while reader.next().is_some() {}
        reader.summary().clone()
    };
    assert_eq!(read(step), read(file.len().max(1)));
}

fuzz_target!(|data: &[u8]| {
    let Some((&seed, wire)) = data.split_first() else {
        return;
    };
    let step = usize::from(seed) + 1;
    for framer in [Framer::host, Framer::camera] {
        let whole = texts(framer().with_limit(LIMIT), wire, wire.len().max(1));
        assert_eq!(whole, texts(framer().with_limit(LIMIT), wire, step));
        for text in &whole.0 {
            check_command(text);
            check_response(text);
        }
    }
    check_command(wire);
    check_response(wire);
    check_recording(wire, step);
});
