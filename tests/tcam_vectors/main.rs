//! The thermal camera's vectors (tests/data/tcam/README.md), in both directions.
//!
//! Pictures of real cameras belong to another project: they are read from the folder of shared vectors beside the
//! repository, and their tests are skipped where it is absent.

mod session;

use std::path::{Path, PathBuf};

use outpost::tcam::proto::file::{Record, RecordingReader, RecordingWriter, read_tjsn};
use outpost::tcam::proto::spi::{self, SpiError};
use outpost::tcam::proto::{
    Announcement, Frame, ImageText, Model, PixelKind, Resolution, Response, TELEMETRY_WORDS,
    Telemetry, Temperatures, image,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn own(name: &str) -> PathBuf {
    package().join("tests/data/tcam").join(name)
}

/// A vector that is not ours to copy, if it is there.
fn foreign(name: &str) -> Option<PathBuf> {
    let folder = package().parent()?.join("shared/vectors/tcam");
    let path = folder.join(name);
    if !path.exists() {
        eprintln!("skipped: {name} is not beside the repository");
    }
    path.exists().then_some(path)
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&read(path)).unwrap()
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value}"))
}

fn size(value: &Value) -> usize {
    number(value).try_into().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value}"))
}

fn numbers(value: &Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn wide(words: &[u16]) -> Vec<i64> {
    words.iter().map(|&word| word.into()).collect()
}

fn sha256(words: &[u16]) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let digest = Sha256::digest(&bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Within what the printed digits of the vectors leave open.
fn close(got: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    assert!(
        (got - expected).abs() < 0.006,
        "{got} instead of {expected}"
    );
}

fn decode(image: &ImageText<'_>) -> Frame {
    let mut frame = Frame::blank();
    frame.read(image).unwrap();
    frame
}

fn check_image(expected: &Value, image: &ImageText<'_>) -> Frame {
    let frame = decode(image);
    let metadata = &expected["metadata"];
    assert_eq!(image.metadata.camera, text(&metadata["Camera"]));
    assert_eq!(
        i64::from(image.metadata.model.0),
        number(&metadata["Model"])
    );
    assert_eq!(image.metadata.version, text(&metadata["Version"]));
    assert_eq!(image.metadata.time, text(&metadata["Time"]));
    assert_eq!(image.metadata.date, text(&metadata["Date"]));
    assert!(image.metadata.time_of_day().is_some());
    assert!(image.metadata.calendar_date().is_some());

    assert_eq!(
        sha256(&*frame.pixels),
        text(&expected["raw_le_bytes_sha256"])
    );
    assert_eq!(
        sha256(&*frame.telemetry_words),
        text(&expected["telemetry_le_bytes_sha256"])
    );
    assert_eq!(
        wide(&*frame.telemetry_words),
        numbers(&expected["telemetry_words"])
    );
    check_telemetry(&expected["telemetry"], &frame.telemetry());
    check_temperatures(expected, &frame);

    let mut words = *frame.telemetry_words;
    frame.telemetry().encode(&mut words);
    assert_eq!(words, *frame.telemetry_words, "encoding undoes decoding");
    let mut blank = [0; TELEMETRY_WORDS];
    frame.telemetry().encode(&mut blank);
    assert_eq!(Telemetry::decode(&blank), frame.telemetry());
    frame
}

fn check_telemetry(expected: &Value, telemetry: &Telemetry) {
    let Telemetry {
        status,
        flux,
        gain,
        spot,
        ..
    } = telemetry;
    let integers: [(&str, i64); 37] = [
        ("revision", telemetry.revision.into()),
        ("uptime_ms", telemetry.uptime_ms.into()),
        ("status", status.0.into()),
        ("status_ffc_state", status.ffc_state() as i64),
        ("frame_counter", telemetry.frame_counter.into()),
        ("frame_mean", telemetry.frame_mean.into()),
        ("fpa_temp_counts", telemetry.fpa_counts.into()),
        ("housing_temp_counts", telemetry.housing_counts.into()),
        ("uptime_last_ffc_ms", telemetry.uptime_at_ffc_ms.into()),
        ("agc_clip_high", telemetry.agc_clip_high.into()),
        ("agc_clip_low", telemetry.agc_clip_low.into()),
        ("video_format", telemetry.video_format.into()),
        ("ffc_frames_log2", telemetry.ffc_frames_log2.into()),
        ("emissivity_raw", flux.emissivity.into()),
        ("emissivity_pct", flux.emissivity_percent().into()),
        ("atm_transmission_raw", flux.atmosphere_transmission.into()),
        ("window_transmission_raw", flux.window_transmission.into()),
        ("window_reflection_raw", flux.window_reflection.into()),
        ("gain_mode", gain.mode.to_wire().into()),
        ("gain_mode_effective", gain.effective.to_wire().into()),
        ("gain_mode_desired", gain.desired.to_wire().into()),
        ("gain_thr_high_to_low_c", gain.high_to_low_c.into()),
        ("gain_thr_low_to_high_c", gain.low_to_high_c.into()),
        ("gain_thr_high_to_low_k", gain.high_to_low_k.into()),
        ("gain_thr_low_to_high_k", gain.low_to_high_k.into()),
        ("gain_pop_high_to_low_pct", gain.high_to_low_percent.into()),
        ("gain_pop_low_to_high_pct", gain.low_to_high_percent.into()),
        (
            "tlinear_resolution_flag",
            telemetry.resolution.flag().into(),
        ),
        ("spot_mean_raw", spot.mean.into()),
        ("spot_max_raw", spot.max.into()),
        ("spot_min_raw", spot.min.into()),
        ("spot_population", spot.population.into()),
        ("spot_row1", spot.area.row1.into()),
        ("spot_col1", spot.area.col1.into()),
        ("spot_row2", spot.area.row2.into()),
        ("spot_col2", spot.area.col2.into()),
        ("emissivity_raw", {
            outpost::tcam::proto::FluxLinear::emissivity_word(flux.emissivity_percent()).into()
        }),
    ];
    for (key, got) in integers {
        assert_eq!(got, number(&expected[key]), "{key}");
    }
    for (key, got) in [
        ("status_ffc_desired", status.ffc_desired()),
        ("status_agc", status.agc()),
        ("status_shutter_lockout", status.shutter_lockout()),
        ("status_overtemp", status.over_temperature()),
        ("tlinear_enabled", telemetry.tlinear_enabled),
    ] {
        assert_eq!(got, expected[key].as_bool().unwrap(), "{key}");
    }
    for (key, got) in [
        ("serial_words", &telemetry.serial[..]),
        ("sw_revision_words", &telemetry.software),
        ("agc_roi_words", &telemetry.agc_roi),
        ("gain_roi", &gain.roi.words()),
    ] {
        assert_eq!(wide(got), numbers(&expected[key]), "{key}");
    }
    let spot_celsius = telemetry.spot_celsius().unwrap();
    for (key, got) in [
        ("fpa_temp_k", telemetry.fpa.kelvin()),
        ("fpa_temp_c", telemetry.fpa.celsius()),
        ("housing_temp_k", telemetry.housing.kelvin()),
        ("housing_temp_c", telemetry.housing.celsius()),
        ("fpa_temp_last_ffc_k", telemetry.fpa_at_ffc.kelvin()),
        ("housing_temp_last_ffc_k", telemetry.housing_at_ffc.kelvin()),
        ("background_temp_k", flux.background.kelvin()),
        ("atm_temp_k", flux.atmosphere.kelvin()),
        ("window_temp_k", flux.window.kelvin()),
        ("window_reflected_temp_k", flux.window_reflected.kelvin()),
        (
            "tlinear_resolution_k",
            telemetry.resolution.kelvin_per_count(),
        ),
        ("spot_mean_k", telemetry.resolution.kelvin(spot.mean)),
        ("spot_mean_c", spot_celsius.mean),
        ("spot_max_c", spot_celsius.max),
        ("spot_min_c", spot_celsius.min),
    ] {
        close(got, &expected[key]);
    }
}

fn check_temperatures(expected: &Value, frame: &Frame) {
    for probe in expected["pixels"].as_array().unwrap() {
        let raw = frame.pixels[size(&probe["index"])];
        assert_eq!(i64::from(raw), number(&probe["raw"]));
    }
    let telemetry = frame.telemetry();
    let Ok(temperatures) = Temperatures::of(&frame.pixels, &telemetry) else {
        assert_eq!(text(&expected["pixel_kind"]), "agc_8bit");
        assert_eq!(telemetry.pixel_kind(), PixelKind::Agc);
        assert!(frame.pixels.iter().all(|&pixel| pixel < 256));
        return;
    };
    assert_eq!(text(&expected["pixel_kind"]), "radiometric_tlinear");
    let mut celsius = [0.0; 19_200];
    temperatures.write_celsius(&mut celsius);
    let mut block = [0; 76_800];
    temperatures.write_celsius_le(&mut block);
    for probe in expected["pixels"].as_array().unwrap() {
        let (column, row) = (size(&probe["col"]), size(&probe["row"]));
        let index = size(&probe["index"]);
        close(temperatures.pixel(column, row).unwrap(), &probe["celsius"]);
        close(celsius[index].into(), &probe["celsius"]);
        assert_eq!(block[4 * index..][..4], celsius[index].to_le_bytes());
        let kelvin = temperatures.resolution().kelvin(frame.pixels[index]);
        close(kelvin, &probe["kelvin"]);
    }
    let (min, max) = (temperatures.min(), temperatures.max());
    close(min.celsius, &expected["min_c"]);
    close(max.celsius, &expected["max_c"]);
    close(temperatures.mean(), &expected["mean_c"]);
    assert_eq!(
        min.row * 160 + min.column,
        size(&expected["raw_min_first_index"])
    );
    assert_eq!(
        max.row * 160 + max.column,
        size(&expected["raw_max_first_index"])
    );
}

/// One SPI stream: announcement, checks, content, and the same bytes made of the content.
fn check_spi(read_bytes: &[u8], expected: &Value) {
    let spi = &expected["spi"];
    let mut announcement = Vec::new();
    let value = number(&spi["image_ready_value"]);
    Response::ImageReady(value).write_packet(&mut announcement);
    let hex: String = announcement.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, text(&spi["image_ready_uart_hex"]));
    let uart_text = text(&spi["image_ready_uart_text"]).as_bytes();
    assert_eq!(
        Response::decode(uart_text).unwrap(),
        Response::ImageReady(value)
    );

    let announcement = Announcement::new(value).unwrap();
    assert_eq!(announcement.read_len(), size(&spi["dma_bytes"]));
    assert_eq!(read_bytes.len(), announcement.read_len());
    let packet = announcement.packet(read_bytes).unwrap();
    assert_eq!(packet.len(), size(&spi["packet_bytes_with_delimiters"]));
    assert_eq!(i64::from(spi::sum(packet)), number(&spi["checksum"]));
    // The python driver reads no padding.
    let unpadded = &read_bytes[..announcement.image_ready()];
    assert_eq!(announcement.packet(unpadded).unwrap(), packet);

    let image = announcement.image(read_bytes).unwrap();
    let frame = check_image(expected, &image);
    let mut armed = Vec::new();
    image::encode_packet(
        &image.metadata,
        &frame.pixels,
        &frame.telemetry_words,
        &mut armed,
    );
    assert_eq!(armed, packet);
    let mut pad = [0; 3];
    let pad_bytes = size(&spi["pad_bytes"]);
    pad[..pad_bytes].copy_from_slice(&read_bytes[read_bytes.len() - pad_bytes..]);
    assert_eq!(spi::seal(&mut armed, pad).unwrap(), announcement);
    assert_eq!(armed, read_bytes);
}

#[test]
fn spi_streams_with_each_padding() {
    for name in ["spi_synth_lowgain", "spi_synth_extreme"] {
        let bytes = read(&own(&format!("{name}.spi.bin")));
        check_spi(&bytes, &json(&own(&format!("{name}.expected.json"))));
    }
    for name in ["spi_fox", "spi_agc_on"] {
        if let Some(path) = foreign(&format!("{name}.spi.bin")) {
            let expected = foreign(&format!("{name}.expected.json")).unwrap();
            check_spi(&read(&path), &json(&expected));
        }
    }
}

#[test]
fn low_gain_and_unset_clock_are_read_as_such() {
    let bytes = read(&own("spi_synth_lowgain.spi.bin"));
    let image = Announcement::new(51_986).unwrap().image(&bytes).unwrap();
    assert_eq!(image.metadata.model, Model(0x41002));
    assert!(image.metadata.calendar_date().unwrap().is_unset());
    let time = image.metadata.time_of_day().unwrap();
    assert_eq!(time.ms_of_day(), 5_042, "milliseconds are not padded");
    let kind = decode(&image).telemetry().pixel_kind();
    assert_eq!(kind, PixelKind::Temperature(Resolution::Decikelvin));
}

#[test]
fn damaged_streams_are_rejected_for_the_stated_reason() {
    let Some(expected) = foreign("spi_corrupt.expected.json") else {
        return;
    };
    let expected = json(&expected);
    let announcement = Announcement::new(51_988).unwrap();

    let bytes = read(&foreign("spi_fox_corrupt_byte.spi.bin").unwrap());
    let figures = &expected["spi_fox_corrupt_byte"];
    let Err(SpiError::Sum { expected: e, got }) = announcement.image(&bytes) else {
        panic!("only the sum tells");
    };
    assert_eq!(i64::from(e), number(&figures["stored_checksum"]));
    assert_eq!(i64::from(got), number(&figures["computed_checksum"]));
    let inner = &bytes[1..bytes.len() - 5];
    assert!(ImageText::parse(inner).is_ok(), "its JSON is still valid");

    let bytes = read(&foreign("spi_fox_corrupt_drop.spi.bin").unwrap());
    let figures = &expected["spi_fox_corrupt_drop"];
    let (packet, stored) = bytes.split_last_chunk().unwrap();
    assert_eq!(
        i64::from(u32::from_be_bytes(*stored)),
        number(&figures["stored_checksum"])
    );
    assert_eq!(
        i64::from(spi::sum(packet)),
        number(&figures["computed_checksum"])
    );
    // The end byte moved and is looked at before the sum.
    assert!(matches!(
        announcement.image(&bytes),
        Err(SpiError::EndByte { offset: 51_983, .. })
    ));
}

/// The same damage as in the vectors that may not be copied, done to one that may.
#[test]
fn damage_to_a_stream_of_ours() {
    let good = read(&own("spi_synth_lowgain.spi.bin"));
    let announcement = Announcement::new(51_986).unwrap();

    let mut flipped = good.clone();
    flipped[20_000] = if flipped[20_000] == b'B' { b'm' } else { b'B' };
    assert!(matches!(
        announcement.image(&flipped),
        Err(SpiError::Sum { expected, got }) if expected.abs_diff(got) < 256
    ));

    let mut shifted = good.clone();
    shifted.remove(30_000);
    shifted.push(0xff);
    assert!(matches!(
        announcement.image(&shifted),
        Err(SpiError::EndByte { .. })
    ));

    for (filler, got) in [(0x00, 0x00), (0xff, 0xff)] {
        let idle = vec![filler; announcement.read_len()];
        let error = announcement.image(&idle).unwrap_err();
        assert!(matches!(error, SpiError::StartByte { got: g } if g == got));
    }

    // A camera as its documentation has it would announce the packet without the sum.
    let documented = Announcement::new(51_982).unwrap();
    assert!(matches!(
        documented.image(&good),
        Err(SpiError::EndByte { .. })
    ));

    let error = announcement.image(&good[..51_000]).unwrap_err();
    assert!(matches!(
        error,
        SpiError::ShortRead {
            expected: 51_986,
            got: 51_000
        }
    ));
}

#[test]
fn pictures_of_real_cameras() {
    for name in ["fox", "agc_on", "agc_off"] {
        let Some(path) = foreign(&format!("{name}.tjsn")) else {
            continue;
        };
        let file = read(&path);
        let expected = json(&foreign(&format!("{name}.expected.json")).unwrap());
        assert_eq!(file.len(), size(&expected["json_bytes"]));
        let image = read_tjsn(&file).unwrap();
        let frame = check_image(&expected, &image);
        let mut again = Vec::new();
        frame.encode(&image.metadata, &mut again);
        assert_eq!(again.len(), file.len());
        // Older programs sorted the keys; everything behind the metadata is the same nevertheless.
        let device_order = text(&expected["metadata_key_order"][1]) == "Model";
        let start = if device_order { 0 } else { 128 };
        assert_eq!(again[start..], file[start..], "{name}");
    }
}

#[test]
fn raw_pixels_of_a_real_camera() {
    let Some(path) = foreign("fox.raw_u16le.bin") else {
        return;
    };
    let file = read(&foreign("fox.tjsn").unwrap());
    let frame = decode(&read_tjsn(&file).unwrap());
    let bytes: Vec<u8> = frame.pixels.iter().flat_map(|p| p.to_le_bytes()).collect();
    assert_eq!(bytes, read(&path));
    let table = read(&foreign("fox.raw.csv").unwrap());
    let rows: Vec<Vec<u16>> = String::from_utf8(table)
        .unwrap()
        .lines()
        .map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect())
        .collect();
    assert_eq!(rows.len(), 120);
    assert_eq!(rows.concat(), frame.pixels[..]);
}

/// Reads a recording in pieces of `step` bytes: the images' texts and what it held.
fn recording(
    file: &[u8],
    step: usize,
) -> (Vec<Vec<u8>>, outpost::tcam::proto::file::RecordingSummary) {
    let mut reader = RecordingReader::new();
    let mut images = Vec::new();
    let mut take = |reader: &mut RecordingReader| {
        while let Some(record) = reader.next() {
            if let Record::Image(text) = record {
                images.push(text.to_vec());
            }
        }
    };
    for piece in file.chunks(step) {
        reader.push(piece);
        take(&mut reader);
    }
    reader.end();
    take(&mut reader);
    let summary = reader.summary().clone();
    (images, summary)
}

#[test]
fn recordings_whole_and_cut_short() {
    let expected = json(&own("recording.expected.json"));
    let file = read(&own("recording.tmjsn"));
    let (images, summary) = recording(&file, 4096);
    assert!(summary.is_complete());
    let frames = expected["recording"]["frames"].as_array().unwrap();
    assert_eq!(images.len(), frames.len());
    let mut writer = RecordingWriter::new();
    let mut again = Vec::new();
    for (text_bytes, expected) in images.iter().zip(frames) {
        let image = read_tjsn(text_bytes).unwrap();
        let frame = decode(&image);
        assert_eq!(
            sha256(&*frame.pixels),
            text(&expected["raw_le_bytes_sha256"])
        );
        assert_eq!(image.metadata.time, text(&expected["metadata"]["Time"]));
        let telemetry = frame.telemetry();
        assert_eq!(
            i64::from(telemetry.frame_counter),
            number(&expected["frame_counter"])
        );
        assert_eq!(
            i64::from(telemetry.uptime_ms),
            number(&expected["uptime_ms"])
        );
        assert_eq!(
            i64::from(telemetry.spot.mean),
            number(&expected["spot_mean_raw"])
        );
        writer.image(&image.metadata, text_bytes, &mut again);
    }
    let info = summary.video_info.unwrap();
    assert_eq!(
        serde_json::to_value(&info).unwrap(),
        expected["recording"]["video_info"]
    );
    let duration = number(&expected["recording"]["duration_ms"]);
    assert_eq!(info.duration_ms().map(i64::from), Some(duration));
    assert_eq!(writer.finish(&mut again), info);
    assert_eq!(again, file, "written as the vendor's recorder does");

    let (images, summary) = recording(&read(&own("recording_no_final_separator.tmjsn")), 65_536);
    assert!(summary.is_complete());
    assert_eq!(images.len(), 2);

    let figures = &expected["recording_truncated"];
    for step in [1000, 65_536, 1 << 20] {
        let (images, summary) = recording(&read(&own("recording_truncated.tmjsn")), step);
        assert_eq!(images.len(), size(&figures["num_complete_images"]));
        assert_eq!(summary.video_info, None);
        assert_eq!(summary.tail_bytes, number(&figures["tail_bytes"]) as u64);
        assert!(!summary.is_complete());
    }
}
