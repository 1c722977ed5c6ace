//! What the tests of several modules make their input with.

use outpost::tcam::proto::command::{Command, SetConfig, StreamOn};
use outpost::tcam::proto::{Frame, Framer, GainMode, Metadata, Model, Telemetry};

pub fn metadata() -> Metadata<'static> {
    Metadata {
        camera: "tCam-Mini-51A0".into(),
        model: Model::MINI_HARDWARE,
        version: "3.2".into(),
        time: "0:00:05.42".into(),
        date: "1/1/-30".into(),
    }
}

pub fn frame(telemetry: &Telemetry, pixel: impl Fn(usize) -> u16) -> Frame {
    let mut frame = Frame::blank();
    for (index, out) in frame.pixels.iter_mut().enumerate() {
        *out = pixel(index);
    }
    telemetry.encode(&mut frame.telemetry_words);
    frame
}

pub fn image_text(frame: &Frame) -> String {
    let mut text = Vec::new();
    frame.encode(&metadata(), &mut text);
    String::from_utf8(text).unwrap()
}

pub fn config(
    agc_enabled: Option<bool>,
    emissivity: Option<u8>,
    gain: Option<GainMode>,
) -> Command {
    Command::SetConfig(SetConfig {
        agc_enabled,
        emissivity,
        gain_mode: gain,
    })
}

pub fn stream(delay_msec: u32, num_frames: u32) -> Command {
    Command::StreamOn(StreamOn {
        delay_msec,
        num_frames,
    })
}

pub fn texts(framer: &mut Framer, wire: &[u8], step: usize) -> Vec<Vec<u8>> {
    let mut texts = Vec::new();
    for piece in wire.chunks(step) {
        framer.push(piece);
        while let Some(packet) = framer.next() {
            let framed = packet.framed();
            assert_eq!((framed[0], framed[framed.len() - 1]), (2, 3));
            texts.push(packet.text().to_vec());
        }
    }
    texts
}
