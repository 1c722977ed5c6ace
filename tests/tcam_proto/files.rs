//! Recordings and registers.

use outpost::tcam::proto::file::{Record, RecordingReader};
use outpost::tcam::proto::{CciCommand, CciStatus, FluxLinear, Telemetry, cci};

use crate::support::*;

#[test]
fn register_words_and_status() {
    let spot = CciCommand(0x4ECC);
    assert_eq!(spot, CciCommand::SPOT_ROI);
    assert_eq!(spot.set(), CciCommand(0x4ECD));
    assert_eq!(spot.set().get(), spot);
    assert_eq!(spot.kind(), cci::CciKind::Get);
    assert_eq!(spot.set().kind(), cci::CciKind::Set);
    assert_eq!(CciCommand::RUN_FFC.kind(), cci::CciKind::Run);
    assert_eq!(spot.set().register().unwrap().words, 4);
    assert_eq!(CciCommand(0x0202).register().unwrap().words, 0);
    assert!(CciCommand(0x1234).register().is_none());
    for register in cci::REGISTERS {
        assert_eq!(
            register.command.register(),
            Some(&register),
            "no register twice"
        );
    }

    let status = CciStatus(63_750);
    assert_eq!(status.error_code(), -7);
    assert!(!status.is_ok() && status.booted() && !status.busy());
    assert_eq!(CciStatus::with_error(-7), status);
    assert_eq!(
        status.check().unwrap_err().to_string(),
        "the Lepton answered status 0xf906: undefined function (-7)"
    );
    assert_eq!(CciStatus(6).check(), Ok(()));

    let flux = FluxLinear {
        emissivity: 8028,
        window_transmission: 7000,
        atmosphere_transmission: 6000,
        window_reflection: 5,
        ..FluxLinear::default()
    };
    assert_eq!(
        flux.cci_words(),
        [8028, 29_515, 7000, 29_515, 6000, 29_515, 5, 29_515]
    );
    assert_eq!(FluxLinear::from_cci_words(flux.cci_words()), flux);
}

#[test]
fn recordings_with_damage_within() {
    let image = image_text(&frame(&Telemetry::default(), |_| 1));
    let info = "{\"video_info\":{\"end_date\":\"1/1/21\",\"end_time\":\"0:00:01.0\",\"num_frames\":2,\
                \"start_date\":\"12/31/20\",\"start_time\":\"23:59:59.500\",\"version\":1}}";
    let endless = "x".repeat(200_000);
    let file = format!("{image}\x03{{\"metadata\":5\x03{endless}\x03\n\x03{image}\x03{info}\n");
    for step in [1_000, 65_537, file.len()] {
        let mut reader = RecordingReader::new();
        let mut kinds = String::new();
        let mut take = |reader: &mut RecordingReader| {
            while let Some(record) = reader.next() {
                match record {
                    Record::Image(text) => {
                        assert_eq!(text, image.as_bytes());
                        kinds.push('i');
                    }
                    Record::VideoInfo(info) => {
                        assert_eq!(info.duration_ms(), Some(1500), "over midnight");
                        kinds.push('v');
                    }
                    Record::Damaged { bytes } => kinds.push_str(&format!("({bytes})")),
                }
            }
        };
        for piece in file.as_bytes().chunks(step) {
            reader.push(piece);
            take(&mut reader);
        }
        reader.end();
        take(&mut reader);
        assert_eq!(kinds, "i(13)(200000)iv");
        let summary = reader.summary();
        assert_eq!(
            (summary.images, summary.damaged, summary.tail_bytes),
            (2, 2, 0)
        );
        assert!(!summary.is_complete());
    }
}

#[test]
fn a_recording_of_nothing() {
    let mut reader = RecordingReader::new();
    reader.end();
    assert_eq!(reader.next(), None);
    assert!(!reader.summary().is_complete());
    let mut out = Vec::new();
    let info = outpost::tcam::proto::file::RecordingWriter::new().finish(&mut out);
    assert_eq!(info.num_frames, 0);
    let mut reader = RecordingReader::new();
    reader.push(&out);
    assert_eq!(reader.next(), Some(Record::VideoInfo(info)));
    assert_eq!(reader.next(), None);
    assert!(reader.summary().is_complete());
}

#[test]
fn an_image_needs_no_last_separator() {
    let image = image_text(&frame(&Telemetry::default(), |_| 1));
    let mut reader = RecordingReader::new();
    reader.push(image.as_bytes());
    assert_eq!(reader.next(), None);
    reader.end();
    assert_eq!(reader.next(), Some(Record::Image(image.as_bytes())));
    assert_eq!(reader.next(), None);
    assert_eq!(
        (reader.summary().images, reader.summary().tail_bytes),
        (1, 0)
    );
}
