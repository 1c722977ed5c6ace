//! An image on its way out: armed for SPI and announced, or damaged.

use std::time::Duration;

use super::faults::{Fault, Faults};
use super::scene::Random;
use crate::tcam::proto::packet::{ETX, STX};
use crate::tcam::proto::spi::seal;
use crate::tcam::proto::{Announcement, Response};

/// Where the pixels of an image begin, roughly, and how many characters of them can be damaged.
const DAMAGE: std::ops::Range<usize> = 300..50_000;
/// Bytes of the sum.
const SUM: usize = 4;

/// What waits in the SPI slave.
#[derive(Debug)]
pub(super) struct Armed {
    /// `None` if the slave only looks armed.
    pub(super) image: Option<Vec<u8>>,
    /// The camera gives up then.
    pub(super) until: Duration,
}

/// Adds sum and padding to a packet, and makes its `image_ready`; both as the faults have it.
pub(super) fn arm(
    mut packet: Vec<u8>,
    pad: [u8; 3],
    faults: &Faults,
    random: &mut Random,
) -> (Option<Vec<u8>>, Vec<u8>) {
    let Ok(announcement) = seal(&mut packet, pad) else {
        // No name is long enough to make an image too long.
        return (None, announce(0, false));
    };
    let announced = announcement.image_ready();
    let length = packet.len();
    damage(&mut packet, faults, random);
    // On SPI the host reads on: the line is idle then.
    packet.resize(length, 0xff);
    if faults.strike_every(Fault::WrongChecksum) {
        packet[announced - 1] ^= 1;
    }
    let text = announced_as(announcement, faults);
    let armed = !faults.strike_every(Fault::NoArm);
    (armed.then_some(packet), text)
}

/// Damages an image's bytes, whatever is around them.
pub(super) fn damage(packet: &mut Vec<u8>, faults: &Faults, random: &mut Random) {
    let mut place = || DAMAGE.start + random.below(DAMAGE.len() as u64) as usize;
    if faults.strike_every(Fault::FlipByte) {
        let byte = &mut packet[place()];
        *byte = if *byte == b'A' { b'B' } else { b'A' };
    }
    if faults.strike_every(Fault::DropByte) {
        packet.remove(place());
    }
    if faults.strike_every(Fault::Transpose) {
        let place = place();
        let unequal = packet[place..]
            .windows(2)
            .position(|pair| pair[0] != pair[1]);
        let place = place + unequal.unwrap_or(0);
        packet.swap(place, place + 1);
    }
}

fn announced_as(announcement: Announcement, faults: &Faults) -> Vec<u8> {
    let truth = announcement.image_ready() as i64;
    let lies = [
        (Fault::AnnounceN, truth - SUM as i64),
        (Fault::AnnounceZero, 0),
        (Fault::AnnounceHuge, 60_000),
        (Fault::AnnounceNegative, -1),
    ];
    let lie = lies
        .into_iter()
        .find(|(fault, _)| faults.strike_every(*fault));
    let value = lie.map_or(truth, |(_, value)| value);
    announce(value, faults.strike_every(Fault::AnnounceString))
}

fn announce(value: i64, as_string: bool) -> Vec<u8> {
    let mut packet = Vec::new();
    if as_string {
        let text = format!("{{\"image_ready\" : \"{value}\"}}");
        packet.push(STX);
        packet.extend_from_slice(text.as_bytes());
        packet.push(ETX);
    } else {
        Response::ImageReady(value).write_packet(&mut packet);
    }
    packet
}
