//! Packets among junk, however they are split.

use outpost::tcam::proto::Framer;
use outpost::tcam::proto::command::{Command, Rejection};
use outpost::tcam::proto::packet::{self, Counters};

use crate::support::*;

#[test]
fn packets_among_junk_however_split() {
    let wire =
        b"noise\x03\x02{\"a\":1}\x03\r\n\x02cut \x02{\"b\":2}\x03\x02\x03\x02\xff\xfe\x03tail\x02{";
    let expected: [&[u8]; 4] = [b"{\"a\":1}", b"{\"b\":2}", b"", b"\xff\xfe"];
    let counters = Counters {
        packets: 4,
        junk_bytes: 6 + 2 + 4,
        abandoned: 1,
        overflows: 0,
    };
    for at in 0..=wire.len() {
        let mut framer = Framer::host();
        let mut got = texts(&mut framer, &wire[..at], wire.len());
        got.extend(texts(&mut framer, &wire[at..], wire.len()));
        assert_eq!(got, expected, "split at {at}");
        assert_eq!(framer.counters(), counters, "split at {at}");
        assert!(framer.is_inside());
    }
    let mut framer = Framer::host();
    assert_eq!(texts(&mut framer, wire, 1), expected);
    assert_eq!(framer.counters(), counters);
}

#[test]
fn a_camera_takes_two_starts_for_one_packet() {
    let wire = b"\x02{\"cmd\":\"get_\x02{\"cmd\":\"get_status\"}\x03";
    let mut framer = Framer::camera();
    let got = texts(&mut framer, wire, 5);
    assert_eq!(got.len(), 1);
    assert_eq!(Command::parse(&got[0]), Err(Rejection::NotJson));
}

#[test]
fn a_packet_without_end_is_dropped_at_the_limit() {
    let mut wire = vec![2];
    wire.resize(1 + 65_536 + 1, b'x');
    wire.extend_from_slice(b"more\x02{}\x03");
    for step in [1000, 4096, wire.len()] {
        let mut framer = Framer::host();
        assert_eq!(texts(&mut framer, &wire, step), [b"{}"]);
        assert_eq!(
            framer.counters(),
            Counters {
                packets: 1,
                junk_bytes: 4,
                abandoned: 0,
                overflows: 1,
            }
        );
        assert!(framer.capacity() < 256 * 1024);
    }
    // A text of exactly the limit is a packet.
    let mut longest = Vec::new();
    packet::encode(&[b'x'; 100], &mut longest);
    let mut framer = Framer::host().with_limit(100);
    assert_eq!(texts(&mut framer, &longest, 1).len(), 1);
    let mut framer = Framer::host().with_limit(99);
    assert_eq!(texts(&mut framer, &longest, 1).len(), 0);
    assert_eq!(framer.counters().overflows, 1);
}

#[test]
fn endless_input_takes_bounded_memory() {
    let mut framer = Framer::host();
    framer.push(b"\x02");
    for _ in 0..1000 {
        framer.push(&[b'{'; 4096]);
        assert!(framer.next().is_none());
    }
    assert!(framer.capacity() < 256 * 1024, "{}", framer.capacity());
    framer.clear();
    framer.push(b"\x02{}\x03");
    assert_eq!(framer.next().unwrap().text(), b"{}");
}

#[test]
fn reading_into_the_framer_is_the_same_as_pushing() {
    let wire = b"\x02{\"a\":1}\x03junk\x02{\"b\":2}\x03";
    let mut framer = Framer::host();
    let mut got = Vec::new();
    for piece in wire.chunks(5) {
        let space = framer.space(64);
        assert!(space.len() >= 64);
        space[..piece.len()].copy_from_slice(piece);
        framer.filled(piece.len());
        while let Some(packet) = framer.next() {
            got.push(packet.text().to_vec());
        }
    }
    assert_eq!(got, [b"{\"a\":1}", b"{\"b\":2}"]);
}
