//! What passes as an SPI image is one: sealed again it gives the same bytes, and one changed bit makes it fail.
//!
//! The first four bytes of the input are the announced value, the rest is what was read. So that the fuzzer gets past
//! the sum, the input is also taken as a packet and sealed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outpost::tcam::proto::spi::{self, MAX_READ};
use outpost::tcam::proto::{Announcement, Frame, ImageText};

fn check(announcement: Announcement, read: &[u8]) {
    assert!(announcement.read_len() <= MAX_READ);
    assert!(announcement.read_len() % 4 == 0);
    let Ok(packet) = announcement.packet(read) else {
        return;
    };
    let mut armed = packet.to_vec();
    let again = spi::seal(&mut armed, [0; 3]).expect("it was announced");
    assert_eq!(again, announcement);
    let sealed = announcement.image_ready();
    assert_eq!(armed[..sealed], read[..sealed]);

    let mut damaged = read[..sealed].to_vec();
    damaged[sealed / 2] ^= 1;
    assert!(announcement.packet(&damaged).is_err());
}

fn check_image(text: &[u8]) {
    let Ok(image) = ImageText::parse(text) else {
        return;
    };
    let mut frame = Frame::blank();
    if frame.read(&image).is_ok() {
        let mut again = Vec::new();
        frame.encode(&image.metadata, &mut again);
        assert_eq!(ImageText::parse(&again).expect("its own text"), image);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((announced, read)) = data.split_first_chunk() else {
        return;
    };
    if let Ok(announcement) = Announcement::new(i32::from_le_bytes(*announced).into()) {
        check(announcement, read);
        drop(announcement.image(read));
    }
    let mut armed = data.to_vec();
    if let Ok(announcement) = spi::seal(&mut armed, [2, 3, 0]) {
        check(announcement, &armed);
    }
    check_image(data);
});
