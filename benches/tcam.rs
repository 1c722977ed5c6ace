//! Thermal frames, wire bytes to temperatures: `cargo bench --bench tcam`.
//!
//! Every round reads one frame as the driver does, from wire bytes that are not in the cache, and ends with 19 200
//! degrees Celsius, the extremes and the mean. Printed is the median; the budget is 60 us on either link.
//!
//! Then the real station: one camera for 32 clients, and questions through it. The camera is simulated in this
//! process, so that the station's processor time and memory are its own.

mod support;

#[path = "tcam/station.rs"]
mod station;

use std::hint::black_box;
use std::time::{Duration, Instant};

use outpost::tcam::proto::{
    Announcement, Frame, Framer, ImageText, Metadata, Model, PIXELS, Response, Telemetry,
    Temperatures, image, spi,
};

const BUDGET: Duration = Duration::from_micros(60);
const ROUNDS: usize = 2000;
/// Frames to rotate through: 33 MB.
const FRAMES: usize = 640;
/// The camera writes at most so much at once.
const SEGMENT_BYTES: usize = 1280;

fn main() {
    support::print_machine();
    decoding();
    println!();
    station::crowd();
    station::questions();
}

fn decoding() {
    let (wires, announced) = wires();
    let mut frame = Frame::blank();
    let mut celsius = Box::new([0.0; PIXELS]);

    let mut framer = Framer::host();
    report("network, segments of 1280", &wires, |wire| {
        let packet = &wire[..announced.image_ready() - spi::SUM_BYTES];
        for segment in packet.chunks(SEGMENT_BYTES) {
            framer.space(segment.len())[..segment.len()].copy_from_slice(segment);
            framer.filled(segment.len());
            take(&mut framer, &mut frame, &mut celsius);
        }
    });
    report("network, one read", &wires, |wire| {
        framer.push(&wire[..announced.image_ready() - spi::SUM_BYTES]);
        take(&mut framer, &mut frame, &mut celsius);
    });
    report("hardware", &wires, |wire| {
        let image = announced.image(wire).expect("a good frame");
        temperatures(&image, &mut frame, &mut celsius);
    });

    println!("\nof which");
    report("sum", &wires, |wire| {
        black_box(spi::sum(wire));
    });
    report("parse", &wires, |wire| {
        black_box(announced_text(wire, announced));
    });
    let text = announced_text(&wires[0], announced);
    report("base64", &wires, |_| {
        frame.read(&text).expect("a good frame");
    });
    let telemetry = frame.telemetry();
    let warm = Temperatures::of(&frame.pixels, &telemetry).expect("a radiometric frame");
    report("celsius", &wires, |_| warm.write_celsius(&mut celsius));
    report("min, max, mean", &wires, |_| {
        black_box((warm.min(), warm.max(), warm.mean()));
    });
    let mut out = Vec::new();
    report("encode", &wires, |_| {
        out.clear();
        frame.encode(&metadata(), &mut out);
    });
}

fn announced_text(wire: &[u8], announced: Announcement) -> ImageText<'_> {
    let end = announced.image_ready() - spi::SUM_BYTES - 1;
    ImageText::parse(&wire[1..end]).expect("a good frame")
}

fn take(framer: &mut Framer, frame: &mut Frame, celsius: &mut [f32; PIXELS]) {
    while let Some(packet) = framer.next() {
        if let Ok(Response::Image(text)) = Response::decode(packet.text()) {
            let image = ImageText::parse(text).expect("a good frame");
            temperatures(&image, frame, celsius);
        }
    }
}

fn temperatures(image: &ImageText<'_>, frame: &mut Frame, celsius: &mut [f32; PIXELS]) {
    frame.read(image).expect("a good frame");
    let telemetry = frame.telemetry();
    let warm = Temperatures::of(&frame.pixels, &telemetry).expect("a radiometric frame");
    warm.write_celsius(celsius);
    black_box((warm.min(), warm.max(), warm.mean()));
    black_box(celsius);
}

fn report(name: &str, wires: &[Vec<u8>], mut read: impl FnMut(&[u8])) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|round| {
            let wire = &wires[round % wires.len()];
            let start = Instant::now();
            read(black_box(wire));
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let median = times[ROUNDS / 2];
    let micros = median.as_secs_f64() * 1e6;
    let ratio = median.as_secs_f64() / BUDGET.as_secs_f64();
    println!("{name:26} {micros:7.1} us a frame   {ratio:5.2} of the budget");
}

fn metadata() -> Metadata<'static> {
    Metadata {
        camera: "tCam-Mini-51A0".into(),
        model: Model::MINI_HARDWARE,
        version: "3.2".into(),
        time: "21:52:46.8".into(),
        date: "2/2/21".into(),
    }
}

/// Different frames of equal length, as the camera arms them.
fn wires() -> (Vec<Vec<u8>>, Announcement) {
    let mut frame = Frame::blank();
    Telemetry::default().encode(&mut frame.telemetry_words);
    let mut state = 1u32;
    let mut announced = None;
    let wires = (0..FRAMES)
        .map(|_| {
            for pixel in frame.pixels.iter_mut() {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *pixel = 29_315 + (state >> 22) as u16;
            }
            let mut wire = Vec::new();
            image::encode_packet(
                &metadata(),
                &frame.pixels,
                &frame.telemetry_words,
                &mut wire,
            );
            announced = Some(spi::seal(&mut wire, [0; 3]).expect("an image fits"));
            wire
        })
        .collect();
    (wires, announced.expect("at least one frame"))
}
