//! Replies cut anywhere, and bytes that are none.

use outpost::msp1000::proto::reply::{MAX_LINE, MAX_REPLY};
use outpost::msp1000::proto::{Calibration, Reply, ReplyDecoder, ReplyError};
use proptest::prelude::*;

use crate::support::{bytes, decode, frame};

fn conversation() -> (Vec<Reply>, Vec<u8>) {
    let replies = vec![
        Reply::Calibration(Calibration::EXAMPLE),
        Reply::Exposure(20),
        Reply::SpectrumComplete,
        Reply::Spectrum(frame("raw_light.u16le")),
        Reply::SpectrumComplete,
        Reply::Spectrum(frame("raw_dark.u16le")),
        Reply::Exposure(u32::MAX),
    ];
    let mut wire = Vec::new();
    for reply in &replies {
        let start = wire.len();
        reply.encode(&mut wire);
        assert!(wire.len() - start <= MAX_REPLY);
    }
    (replies, wire)
}

#[test]
fn replies_are_whole_when_cut_at_every_byte() {
    let (replies, wire) = conversation();
    let expected: Vec<_> = replies.into_iter().map(Ok).collect();
    for cut in 0..=wire.len() {
        let (head, tail) = wire.split_at(cut);
        assert!(decode([head, tail]) == expected, "cut at {cut}");
    }
    assert!(decode(wire.chunks(1)) == expected);
}

#[test]
fn a_frame_is_one_write_of_7398_bytes() {
    let mut wire = Vec::new();
    Reply::Spectrum(frame("raw_light.u16le")).encode(&mut wire);
    assert_eq!(wire.len(), 7398);
    assert_eq!(&wire[..9], b"spectrum:");
    assert_eq!(wire[9..7397], bytes("raw_light.u16le"));
    assert_eq!(wire[7397], b'\n');
}

#[test]
fn what_is_no_number_is_refused_and_decoding_goes_on() {
    for (line, text) in [
        ("exposure:many", "exposure \"many\""),
        ("exposure:", "exposure \"\""),
        ("exposure:-3", "exposure \"-3\""),
        ("exposure:2.5", "exposure \"2.5\""),
        (
            "exposure:99999999999999999999",
            "exposure \"99999999999999999999\"",
        ),
        ("calibration:1,2,3", "calibration \"1,2,3\""),
        ("calibration:1,2,nan,4", "calibration \"1,2,nan,4\""),
        ("calibration:1,2,inf,4", "calibration \"1,2,inf,4\""),
        ("calibration:1e999,2,3,4", "calibration \"1e999,2,3,4\""),
        ("calibration:,,,", "calibration \",,,\""),
    ] {
        let wire = format!("{line}\r\nexposure:7\r\n");
        let replies = decode([wire.as_bytes()]);
        assert_eq!(replies.len(), 2, "{line}");
        let told = replies[0].as_ref().unwrap_err().to_string();
        assert!(told.contains(text), "{told}");
        assert_eq!(replies[1], Ok(Reply::Exposure(7)));
    }
    let blanks = decode([&b"exposure: 20 \r\ncalibration: 1, 2, 3, 4\n"[..]]);
    assert_eq!(blanks[0], Ok(Reply::Exposure(20)));
    let four = Calibration::new([1.0, 2.0, 3.0, 4.0]).unwrap();
    assert_eq!(blanks[1], Ok(Reply::Calibration(four)));
}

#[test]
fn a_line_without_end_is_refused_once_and_never_kept() {
    let mut decoder = ReplyDecoder::new();
    let mut errors = 0;
    for _ in 0..1000 {
        decoder.push(&[b'x'; 1000]);
        while let Some(reply) = decoder.next() {
            assert_eq!(reply, Err(ReplyError::TooLong));
            errors += 1;
        }
        assert!(decoder.pending() <= MAX_LINE + 1);
    }
    assert_eq!(errors, 1);
    decoder.push(b"\r\nexposure:4\n");
    assert_eq!(decoder.next(), Some(Ok(Reply::Exposure(4))));
    assert_eq!(decoder.next(), None);
}

#[test]
fn unknown_lines_are_counted_and_passed_over() {
    let mut decoder = ReplyDecoder::new();
    decoder.push(
        b"ok\r\n\r\n\n\xff\xfe\x80\r\nspectrum\r\nspectrum_\r\nthe exposure:3\r\nexposure:5\r\n",
    );
    assert_eq!(decoder.next(), Some(Ok(Reply::Exposure(5))));
    assert_eq!(decoder.next(), None);
    assert_eq!(decoder.skipped_lines(), 5);
}

proptest! {
    #[test]
    fn any_bytes_decode_the_same_however_they_are_cut(
        pieces in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                Just(b"spectrum:".to_vec()),
                Just(b"spectrum_complete".to_vec()),
                Just(b"exposure:12".to_vec()),
                Just(b"calibration:1,2,3,4,5".to_vec()),
                Just(b"\r\n".to_vec()),
                Just(vec![b'a'; 1020]),
                Just(vec![0; 7388]),
            ],
            0..20,
        ),
        step in 1_usize..3000,
    ) {
        let wire = pieces.concat();
        let whole = decode([&wire[..]]);
        prop_assert!(whole == decode(wire.chunks(step)));
        prop_assert!(whole == decode(pieces.iter().map(Vec::as_slice)));
    }

    #[test]
    fn calibrations_survive_the_wire(
        coefficients in [any::<f64>(), any::<f64>(), any::<f64>(), any::<f64>()],
    ) {
        let calibration = Calibration::new(coefficients);
        prop_assert_eq!(calibration.is_some(), coefficients.iter().all(|c| c.is_finite()));
        if let Some(calibration) = calibration {
            let mut wire = Vec::new();
            Reply::Calibration(calibration).encode(&mut wire);
            prop_assert_eq!(decode([&wire[..]]), [Ok(Reply::Calibration(calibration))]);
        }
    }
}
