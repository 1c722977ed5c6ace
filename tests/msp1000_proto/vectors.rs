//! What the vendor's client was seen to send, to receive and to make of it.

use outpost::msp1000::proto::{
    Announcement, Average, Calibration, Command, CommandDecoder, Dark, OffsetRange, PeakFinder,
    RawFrame, Reply, Smoothing,
};
use serde_json::Value;

use crate::support::{assert_close, bytes, decode, floats, frame, json, npy, unhex};

fn calibration(value: &Value) -> Calibration {
    Calibration::new(floats(value).try_into().unwrap()).unwrap()
}

#[test]
fn replies_are_assembled_however_they_are_cut() {
    let cases = json("framing.json");
    let raw = bytes("raw_light.u16le");
    for case in cases.as_array().unwrap() {
        let name = &case["name"];
        let chunks = case["chunks"].as_array().unwrap();
        let chunks: Vec<Vec<u8>> = chunks.iter().map(|c| unhex(c.as_str().unwrap())).collect();
        let replies = decode(chunks.iter().map(Vec::as_slice));
        let expected = case["messages"].as_array().unwrap();
        assert_eq!(replies.len(), expected.len(), "{name}");
        for (reply, expected) in replies.into_iter().zip(expected) {
            let (kind, value) = expected.as_object().unwrap().iter().next().unwrap();
            match reply.unwrap() {
                Reply::Exposure(ms) => {
                    assert_eq!(
                        (kind.as_str(), u64::from(ms)),
                        ("exposure", value.as_u64().unwrap())
                    );
                }
                Reply::Calibration(set) => {
                    assert_eq!(kind, "calibration");
                    assert_eq!(set, calibration(value), "{name}");
                }
                Reply::SpectrumComplete => assert_eq!(kind, "spectrum_complete"),
                Reply::Spectrum(frame) => {
                    assert_eq!(kind, "spectrum_bytes");
                    let mut payload = Vec::new();
                    frame.write_le_bytes(&mut payload);
                    assert_eq!(payload.len() as u64, value.as_u64().unwrap());
                    let whole = chunks.concat();
                    let start = whole.windows(9).position(|w| w == b"spectrum:").unwrap() + 9;
                    assert_eq!(payload, whole[start..start + 7388], "{name}");
                    // The light frame of the session, but where the case puts its own bytes in.
                    assert_eq!(
                        payload == raw,
                        case["payload_equals_input"] != true,
                        "{name}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_session_is_spoken_byte_for_byte_from_both_sides() {
    let session = json("session.json");
    let mut calls = 0;
    for entry in session["log"].as_array().unwrap() {
        let wire = unhex(entry["hex"].as_str().unwrap());
        let mut again = Vec::new();
        if entry["dir"] == "H>I" {
            let mut decoder = CommandDecoder::new();
            decoder.push(&wire);
            let command = decoder.next().unwrap().unwrap();
            assert!(decoder.next().is_none());
            command.encode(&mut again);
        } else {
            let replies = decode([&wire[..]]);
            assert_eq!(replies.len(), 1);
            replies[0].as_ref().unwrap().encode(&mut again);
        }
        assert_eq!(again, wire);
        calls += 1;
    }
    assert_eq!(calls, 29);
}

#[test]
fn the_session_means_what_the_client_understood() {
    let session = json("session.json");
    let log = session["log"].as_array().unwrap();
    let wire = |index: usize| unhex(log[index]["hex"].as_str().unwrap());
    let reply = |index: usize| decode([&wire(index)[..]])[0].clone().unwrap();
    let mut checked = 0;
    for step in session["steps"].as_array().unwrap() {
        let end = usize::try_from(step["log_index"].as_u64().unwrap()).unwrap();
        let result = &step["result"];
        match (step["step"].as_str().unwrap(), result) {
            (_, Value::Number(ms)) => {
                assert_eq!(reply(end - 1), Reply::Exposure(ms.as_u64().unwrap() as u32));
            }
            (_, Value::Array(_)) => {
                let Reply::Calibration(set) = reply(end - 1) else {
                    panic!("{step}");
                };
                // The client keeps float32.
                let kept = set.coefficients().map(|value| f64::from(value as f32));
                assert_eq!(kept.to_vec(), floats(result));
            }
            (_, Value::Null) => assert!(wire(end - 1).starts_with(b"set_exposure20\r\n")),
            // The frame files hold the second pair, which the spectra were made of.
            (_, Value::String(made)) if made == "dark_used" => {
                assert_eq!(reply(end - 1), Reply::Spectrum(frame("raw_dark.u16le")));
            }
            (_, Value::String(made)) if made == "light_minus_dark" => {
                assert_eq!(reply(end - 1), Reply::Spectrum(frame("raw_light.u16le")));
            }
            _ => continue,
        }
        checked += 1;
    }
    assert_eq!(checked, 7);
    // The commands of the documents, in hexadecimal.
    let mut line = Vec::new();
    Command::GetExposure.encode(&mut line);
    assert_eq!(line, unhex("6765745f6578706f737572650d0a"));
    line.clear();
    Command::SetExposure(20).encode(&mut line);
    assert_eq!(line, unhex("7365745f6578706f7375726532300d0a"));
}

#[test]
fn announcements_are_read() {
    for case in json("discovery.json").as_array().unwrap() {
        let payload = unhex(case["payload"].as_str().unwrap());
        let read = Announcement::parse(&payload);
        match &case["expect"] {
            Value::Null => assert!(read.is_err(), "{case}"),
            expect => {
                let read = read.unwrap();
                assert_eq!(read.interface, expect["interface"], "{case}");
                assert_eq!(read.serial, expect["serial"], "{case}");
                assert!(payload.starts_with(&read.encode()), "{case}");
                assert_eq!(Announcement::parse(&read.encode()), Ok(read));
            }
        }
    }
}

#[test]
fn counts_become_the_clients_spectra() {
    let expected = json("expected.json");
    let range = OffsetRange::default();
    let (light, dark) = (frame("raw_light.u16le"), frame("raw_dark.u16le"));
    let first: Vec<u64> = light.counts()[..40].iter().map(|c| u64::from(*c)).collect();
    assert_eq!(Value::from(first), expected["raw_light_pixels_0_40"]);
    let datasheet = OffsetRange::new(16, 28).unwrap();
    for (offset, key) in [
        (light.offset(&range), "ccd_offset_light_17_29"),
        (dark.offset(&range), "ccd_offset_dark_17_29"),
        (light.offset(&datasheet), "ccd_offset_light_16_28_datasheet"),
    ] {
        assert_close(&[offset], &[expected[key].as_f64().unwrap()], 1e-9);
    }
    let (light_files, dark_files) = (npy("light_bias_removed.npy"), npy("dark_bias_removed.npy"));
    let subtracted = npy("light_minus_dark.npy");
    assert_close(light.remove_bias(&range).values(), &light_files, 0.01);
    assert_close(dark.remove_bias(&range).values(), &dark_files, 0.01);
    let mut spectrum = light.remove_bias(&range);
    let dark = dark.remove_bias(&range);
    let dark = Dark::new(&dark, 20, jiff::Timestamp::UNIX_EPOCH, "1").unwrap();
    spectrum.subtract(&dark, 20, "1").unwrap();
    assert_close(spectrum.values(), &subtracted, 0.01);
    let values = spectrum.values();
    assert_close(
        &values[..8],
        &floats(&expected["light_minus_dark_first8"]),
        0.01,
    );
    let sum: f64 = values.iter().sum();
    let total = expected["light_minus_dark_sum"].as_f64().unwrap();
    assert!((sum / total - 1.0).abs() < 1e-6, "{sum}");
    let argmax = (0..values.len()).max_by(|a, b| values[*a].total_cmp(&values[*b]));
    assert_eq!(
        argmax,
        expected["light_minus_dark_argmax"]
            .as_u64()
            .map(|at| at as usize)
    );
    let highest = values[argmax.unwrap()];
    assert_close(
        &[highest],
        &[expected["light_minus_dark_max"].as_f64().unwrap()],
        0.01,
    );
    let kept: Vec<f64> = spectrum.to_f32().into_iter().map(f64::from).collect();
    assert_close(&kept, &subtracted, 0.01);
}

#[test]
fn pixels_become_wavelengths() {
    let expected = json("expected.json");
    let calibration = calibration(&expected["calibration_sent_by_instrument"]);
    assert_eq!(calibration, Calibration::EXAMPLE);
    let wavelengths = calibration.wavelengths_nm();
    assert_close(&wavelengths, &npy("wavelengths_f64.npy"), 1e-9);
    assert_close(&wavelengths, &npy("wavelengths_peer_f32.npy"), 0.001);
    let four = [0, 1000, 2000, 3647].map(|pixel| wavelengths[pixel]);
    assert_close(
        &four,
        &floats(&expected["wavelength_at_0_1000_2000_3647"]),
        1e-9,
    );
}

#[test]
fn ten_frames_are_averaged() {
    let raw = bytes("average10_raw.u16le");
    let mut average = Average::new();
    assert!(average.mean().is_none());
    for frame in raw.chunks_exact(7388) {
        let frame = RawFrame::from_le_bytes(frame).unwrap();
        average.add(&frame.remove_bias(&OffsetRange::default()));
    }
    assert_eq!(average.count(), 10);
    let mean = average.mean().unwrap();
    let expected = npy("average10_bias_removed_mean_f64.npy");
    // The client's own float32 is in these: relative to the counts that went in.
    for (got, expected) in mean.values().iter().zip(&expected) {
        assert!(
            (got - expected).abs() <= 1e-6 * 65_535.0,
            "{got} is not {expected}"
        );
    }
}

#[track_caller]
fn assert_relative(got: &[f64], expected: &[f64]) {
    let scale = expected
        .iter()
        .fold(0.0_f64, |max, value| max.max(value.abs()));
    assert_close(got, expected, 1e-6 * scale);
}

#[test]
fn smoothing_gives_the_reference_curves() {
    let values = npy("light_minus_dark.npy");
    let boxcar = Smoothing::MovingMean { width: 5 }.apply(&values).unwrap();
    assert_eq!(boxcar.first_pixel, 2);
    assert_relative(&boxcar.values, &npy("light_boxcar5_valid.npy"));
    let savgol = Smoothing::SAVITZKY_GOLAY.apply(&values).unwrap();
    assert_eq!(savgol.first_pixel, 0);
    assert_relative(&savgol.values, &npy("light_savgol_11_3.npy"));
}

#[test]
fn the_peaks_are_found_where_they_are() {
    let expected = json("expected.json");
    let values = npy("light_minus_dark.npy");
    let peaks = PeakFinder::default()
        .find(&values, &Calibration::EXAMPLE)
        .unwrap();
    let expected = expected["peaks"].as_array().unwrap();
    assert_eq!(peaks.len(), expected.len());
    for (peak, expected) in peaks.iter().zip(expected) {
        assert_eq!(Some(peak.pixel as u64), expected["pixel"].as_u64());
        let number = |key: &str| expected[key].as_f64().unwrap();
        assert_close(&[peak.position], &[number("gauss3_pixel")], 0.01);
        assert_close(&[peak.wavelength_nm], &[number("gauss3_nm")], 0.001);
        assert!((peak.height / number("height") - 1.0).abs() < 1e-6);
        // The lamp's lines are 1.4 to 1.8 nm wide. The yellow pair blends: the valley between is the base of both.
        let width = peak.fwhm_nm.unwrap();
        let expected = match peak.wavelength_nm {
            575.0..580.0 => 0.9..2.0,
            _ => 1.3..2.0,
        };
        assert!(expected.contains(&width), "{peak:?}");
    }
}

#[test]
fn odd_instruments_of_the_clients_trials_are_understood() {
    let observed = json("client_behaviour.json");
    let observed = &observed["observed"];
    assert_eq!(observed["exposure=2.9 sends"], "b'set_exposure2\\r\\n'");
    assert_eq!(
        Command::parse(b"set_exposure2"),
        Ok(Command::SetExposure(2))
    );
    // Line ends, ends of frames, answers to set commands: the conversation "exposure, two frames, exposure".
    let frame = bytes("raw_light.u16le");
    for (variant, eol, frame_end, set_answer) in [
        ("variant lf", "\n", "\n", ""),
        ("variant crlf_frame", "\r\n", "\r\n", ""),
        ("variant noterm", "\r\n", "", ""),
        ("variant reply_to_set", "\r\n", "\n", "ok\r\n"),
    ] {
        assert_eq!(observed[variant], "[3, 3694, 3694, 3, 3648]", "{variant}");
        let mut wire = format!("{set_answer}exposure:3{eol}").into_bytes();
        for _ in 0..2 {
            wire.extend_from_slice(format!("spectrum_complete{eol}spectrum:").as_bytes());
            wire.extend_from_slice(&frame);
            wire.extend_from_slice(frame_end.as_bytes());
        }
        wire.extend_from_slice(format!("exposure:3{eol}").as_bytes());
        for step in [1, 5, 1448, wire.len()] {
            let replies: Vec<_> = decode(wire.chunks(step))
                .into_iter()
                .map(|reply| reply.unwrap().word())
                .collect();
            let pair = ["spectrum_complete", "spectrum"];
            let expected = [&["exposure"][..], &pair, &pair, &["exposure"]].concat();
            assert_eq!(replies, expected, "{variant}, {step}");
        }
    }
}
