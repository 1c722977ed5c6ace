//! Frame after frame, reading thermal images leaves the heap alone, on both links. A binary of its own: it counts
//! every allocation.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use outpost::tcam::proto::image;
use outpost::tcam::proto::{
    Announcement, Frame, Framer, ImageText, Metadata, Model, PIXELS, Response, Telemetry,
    Temperatures, spi,
};

struct Counting;

thread_local! {
    // By thread, because the test harness allocates on its own one meanwhile. Without destructor, so that it may be
    // used at any time of a thread's life.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system allocator unchanged; realloc and alloc_zeroed default to alloc.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(memory) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, memory: Layout) {
        // SAFETY: `pointer` came from `System.alloc` above with the same layout.
        unsafe { System.dealloc(pointer, memory) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(mut action: impl FnMut()) -> usize {
    let before = ALLOCATIONS.get();
    action();
    ALLOCATIONS.get() - before
}

fn wire_image(frame: &Frame, out: &mut Vec<u8>) {
    let metadata = Metadata {
        camera: "tCam-Mini-51A0".into(),
        model: Model::MINI_HARDWARE,
        version: "3.2".into(),
        time: "0:00:05.42".into(),
        date: "1/1/-30".into(),
    };
    image::encode_packet(&metadata, &frame.pixels, &frame.telemetry_words, out);
}

fn synthetic() -> Frame {
    let mut frame = Frame::blank();
    Telemetry::default().encode(&mut frame.telemetry_words);
    for (index, pixel) in frame.pixels.iter_mut().enumerate() {
        *pixel = 29_315 + (index % 997) as u16;
    }
    frame
}

fn measure(image: &ImageText<'_>, frame: &mut Frame, celsius: &mut [f32; PIXELS]) {
    frame.read(image).unwrap();
    let telemetry = frame.telemetry();
    let temperatures = Temperatures::of(&frame.pixels, &telemetry).unwrap();
    temperatures.write_celsius(celsius);
    black_box((temperatures.min(), temperatures.max(), temperatures.mean()));
}

#[test]
fn network_frames_do_not_allocate() {
    let mut wire = Vec::new();
    wire_image(&synthetic(), &mut wire);
    let mut framer = Framer::host();
    let mut frame = Frame::blank();
    let mut celsius = Box::new([0.0; PIXELS]);
    let mut read = || {
        for piece in wire.chunks(1280) {
            framer.space(piece.len())[..piece.len()].copy_from_slice(piece);
            framer.filled(piece.len());
            while let Some(packet) = framer.next() {
                let Ok(Response::Image(text)) = Response::decode(packet.text()) else {
                    panic!("an image");
                };
                let image = ImageText::parse(text).unwrap();
                measure(&image, &mut frame, &mut celsius);
            }
        }
    };
    assert!(allocations(&mut read) > 0, "the framer's buffer grows once");
    assert_eq!(allocations(|| (0..20).for_each(|_| read())), 0);
    assert_eq!(frame, synthetic());
}

#[test]
fn spi_frames_do_not_allocate() {
    let mut armed = Vec::new();
    wire_image(&synthetic(), &mut armed);
    let announced = spi::seal(&mut armed, [0; 3]).unwrap();
    let value = announced.image_ready() as i64;
    let mut frame = Frame::blank();
    let mut celsius = Box::new([0.0; PIXELS]);
    let read = || {
        let image = Announcement::new(value).unwrap();
        measure(&image.image(&armed).unwrap(), &mut frame, &mut celsius);
    };
    assert_eq!(allocations(read), 0);
    assert_eq!(frame, synthetic());
}

#[test]
fn encoding_into_a_used_buffer_does_not_allocate() {
    let frame = synthetic();
    let mut out = Vec::new();
    let mut encode = || {
        out.clear();
        wire_image(&frame, &mut out);
        spi::seal(&mut out, [0; 3]).unwrap();
    };
    assert!(
        allocations(&mut encode) > 0,
        "which shows that counting works"
    );
    assert_eq!(allocations(|| (0..20).for_each(|_| encode())), 0);
}
