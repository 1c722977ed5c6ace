//! Images and what their words mean, over both links.

use outpost::tcam::proto::image::ImageError;
use outpost::tcam::proto::metadata::{Date, Lepton, Link, Product, TimeOfDay};
use outpost::tcam::proto::packet::{self};
use outpost::tcam::proto::spi::{self, MAX_READ, SpiError};
use outpost::tcam::proto::telemetry::{FfcState, StatusBits};
use outpost::tcam::proto::temperature::TemperatureError;
use outpost::tcam::proto::{
    Announcement, FluxLinear, Frame, ImageText, Model, PixelKind, Resolution, Telemetry,
    Temperatures,
};

use crate::support::*;

#[test]
fn clocks_as_the_camera_writes_them() {
    for (text, ms) in [
        ("21:52:46.8", 78_766_008),
        ("0:00:03.12", 3_012),
        ("23:59:59.999", 86_399_999),
        ("9:05:07", 32_707_000),
    ] {
        let time: TimeOfDay = text.parse().unwrap();
        assert_eq!(time.ms_of_day(), ms);
        if text.contains('.') {
            assert_eq!(time.to_string(), text);
        }
    }
    for (text, year, month, day) in [
        ("8/7/22", 2022, 8, 7),
        ("1/1/-30", 1970, 1, 1),
        ("12/31/99", 2099, 12, 31),
        ("2/2/05", 2005, 2, 2),
        ("6/1/225", 2225, 6, 1),
    ] {
        let date: Date = text.parse().unwrap();
        assert_eq!(date, Date { year, month, day });
        assert_eq!(date.to_string(), text);
    }
    for text in [
        "",
        "1:2",
        "24:00:00.0",
        "1:2:3.1000",
        "+1:2:3.4",
        "1:2:3.",
        "a:b:c.d",
    ] {
        assert!(text.parse::<TimeOfDay>().is_err(), "{text}");
    }
    for text in [
        "", "1/2", "13/1/20", "1/32/20", "1/1/2020", "1/1/--3", "1/1/", "0/1/1",
    ] {
        assert!(text.parse::<Date>().is_err(), "{text}");
    }
}

#[test]
fn models_by_their_bits() {
    for (number, product, lepton, link) in [
        (262_146, Product::Mini, Lepton::L35, Link::WiFi),
        (266_242, Product::Mini, Lepton::L35, Link::Hardware),
        (266_498, Product::Mini, Lepton::L30, Link::Hardware),
        (270_339, Product::Ethernet, Lepton::L35, Link::Ethernet),
        (0x70001, Product::TCam, Lepton::L35, Link::WiFi),
        (2, Product::Mini, Lepton::L35, Link::WiFi),
    ] {
        let model = Model(number);
        assert_eq!(
            (model.product(), model.lepton(), model.link()),
            (product, lepton, link)
        );
        assert_eq!(model.has_update(), number != 2);
        assert_eq!(model.has_battery(), number == 0x70001);
        assert_eq!(model.has_filesystem(), number == 0x70001);
    }
}

#[test]
fn images_in_any_shape_of_json() {
    let original = frame(&Telemetry::default(), |index| index as u16);
    let text = image_text(&original);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let slashes = text.replace('/', "\\/");
    assert_ne!(slashes, text, "the pixels need the digit '/'");
    let reordered = format!(
        "\n{{ \"x\" : [1, {{\"y\":\"}}\"}}, -2.5e3], \"telemetry\" : {},\t\"n\":5 ,\"radiometric\":{}\r\n, \"metadata\":{} }} \n",
        value["telemetry"], value["radiometric"], value["metadata"]
    );
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    for text in [text, slashes, reordered, pretty] {
        let image = ImageText::parse(text.as_bytes()).unwrap();
        assert_eq!(image.metadata, metadata());
        let mut decoded = Frame::blank();
        decoded.read(&image).unwrap();
        assert!(decoded == original);
    }
}

#[test]
fn every_cut_of_an_image_is_an_error() {
    let text = image_text(&frame(&Telemetry::default(), |_| 0x5555));
    let text = text.as_bytes();
    let ends = (0..400).chain(51_000..text.len());
    for end in ends {
        assert!(ImageText::parse(&text[..end]).is_err(), "cut at {end}");
    }
    assert!(ImageText::parse(text).is_ok());
}

#[test]
fn images_that_are_none() {
    let good = image_text(&frame(&Telemetry::default(), |_| 0));
    let parse = |text: &str| ImageText::parse(text.as_bytes()).map(|_| ());
    assert!(matches!(
        parse(""),
        Err(ImageError::Syntax { offset: 0, .. })
    ));
    assert!(matches!(parse("{}"), Err(ImageError::Missing("metadata"))));
    assert!(matches!(
        parse(&format!("{good}x")),
        Err(ImageError::Syntax { .. })
    ));
    assert!(matches!(
        parse(&good.replace("telemetry", "telemetrie")),
        Err(ImageError::Missing("telemetry"))
    ));
    assert!(matches!(
        parse(&good.replace("\"Model\":266242", "\"Model\":\"x\"")),
        Err(ImageError::Value { key, offset: 12, .. }) if key == "metadata"
    ));
    let at = good.find("radiometric\":\"").unwrap() + 14;
    let mut short = good.clone();
    short.replace_range(at..at + 4, "");
    assert!(matches!(
        parse(&short),
        Err(ImageError::Length {
            key: "radiometric",
            expected: 51_200,
            got: 51_196
        })
    ));
    for (patch, offset) in [("*", 7), ("=", 7), (" ", 100), ("\u{7f}", 51_199)] {
        let mut bad = good.clone();
        bad.replace_range(at + offset..at + offset + 1, patch);
        let image = ImageText::parse(bad.as_bytes()).unwrap();
        assert!(matches!(
            Frame::blank().read(&image),
            Err(ImageError::Base64 { key: "radiometric", offset: o }) if o == offset
        ));
    }
    // Padding at the end makes fewer bytes of as many characters.
    let mut padded = good.clone();
    padded.replace_range(at + 51_198..at + 51_200, "==");
    let image = ImageText::parse(padded.as_bytes()).unwrap();
    assert!(Frame::blank().read(&image).is_err());
    // Invalid UTF-8 where base64 belongs.
    let mut bytes = good.into_bytes();
    bytes[at + 3] = 0xff;
    let image = ImageText::parse(&bytes).unwrap();
    assert!(Frame::blank().read(&image).is_err());
}

#[test]
fn announcements_are_bounded() {
    for value in [i64::MIN, -1, 0, 5, 54_273, 60_000, i64::MAX] {
        let error = Announcement::new(value).unwrap_err();
        assert!(matches!(error, SpiError::Announced { got } if got == value));
    }
    for (value, read) in [(6, 8), (51_985, 51_988), (51_988, 51_988), (54_272, 54_272)] {
        assert_eq!(Announcement::new(value).unwrap().read_len(), read);
    }
    let announcement = Announcement::new(8).unwrap();
    for read in [&b""[..], b"\x02", b"\x02xx\x03\0\0\0"] {
        assert!(matches!(
            announcement.packet(read),
            Err(SpiError::ShortRead { .. })
        ));
    }
    let mut armed = vec![2; MAX_READ - 3];
    let error = spi::seal(&mut armed, [0; 3]).unwrap_err();
    assert!(matches!(error, SpiError::Announced { .. }));
    assert_eq!(armed.len(), MAX_READ - 3, "unchanged");
}

#[test]
fn a_transposition_passes_the_sum() {
    // No host can tell: the reference says so, and a test that could would be wrong about the format.
    let mut armed = Vec::new();
    packet::encode(b"{\"ab\":1}", &mut armed);
    let announcement = spi::seal(&mut armed, [0xff; 3]).unwrap();
    armed.swap(3, 4);
    assert_eq!(announcement.packet(&armed).unwrap()[3..5], *b"ba");
    assert!(matches!(
        announcement.image(&armed),
        Err(SpiError::Image(ImageError::Missing("metadata")))
    ));
}

#[test]
fn the_sum_of_long_and_full_input() {
    for len in [0, 1, 255, 256, 257, 54_272] {
        assert_eq!(spi::sum(&vec![0xff; len]), len as u32 * 255);
    }
}

#[test]
fn pixels_mean_what_their_own_telemetry_says() {
    let mut telemetry = Telemetry::default();
    assert_eq!(
        telemetry.pixel_kind(),
        PixelKind::Temperature(Resolution::Centikelvin)
    );
    telemetry.resolution = Resolution::Decikelvin;
    let pixels = frame(&telemetry, |_| 2932).pixels;
    let warm = Temperatures::of(&pixels, &telemetry).unwrap();
    assert_eq!(warm.pixel(0, 0), Ok(20.05));
    assert_eq!(warm.mean(), 20.05);
    assert_eq!(
        warm.pixel(160, 0),
        Err(TemperatureError::Outside {
            column: 160,
            row: 0
        })
    );
    assert!(warm.pixel(0, 120).is_err());

    telemetry.status = telemetry.status.with_agc(true);
    for tlinear in [false, true] {
        telemetry.tlinear_enabled = tlinear;
        let error = Temperatures::of(&pixels, &telemetry).unwrap_err();
        assert_eq!(error, TemperatureError::Agc);
        assert!(telemetry.spot_celsius().is_some(), "the spot stays kelvin");
    }
    telemetry.status = telemetry.status.with_agc(false);
    telemetry.tlinear_enabled = false;
    let error = Temperatures::of(&pixels, &telemetry).unwrap_err();
    assert_eq!(error, TemperatureError::RawCounts);
    assert!(telemetry.spot_celsius().is_none());
}

#[test]
fn status_bits_one_by_one() {
    let bits = StatusBits(0);
    for (bits, value) in [
        (bits.with_ffc_desired(true), 0x8),
        (bits.with_ffc_state(FfcState::Imminent), 0x10),
        (bits.with_ffc_state(FfcState::InProgress), 0x20),
        (bits.with_ffc_state(FfcState::Complete), 0x30),
        (bits.with_agc(true), 0x1000),
        (bits.with_shutter_lockout(true), 0x8000),
        (bits.with_over_temperature(true), 0x10_0000),
    ] {
        assert_eq!(bits.0, value);
    }
    let sample = StatusBits(0x830);
    assert_eq!(sample.ffc_state(), FfcState::Complete);
    let again = sample.with_ffc_state(FfcState::NeverCommanded);
    assert_eq!(again.ffc_state(), FfcState::NeverCommanded);
    assert_eq!(again.0, 0x800, "other bits stay");
}

#[test]
fn conversions_of_single_counts() {
    let (fine, coarse) = (Resolution::Centikelvin, Resolution::Decikelvin);
    assert_eq!(fine.celsius(26_220), -10.95);
    assert_eq!(fine.celsius(28_201), 8.86);
    assert_eq!(fine.celsius(65_535), 382.2);
    assert_eq!(coarse.kelvin(65_535), 6553.5);
    assert_eq!(coarse.celsius(2732), 0.05);
    for (kelvin, high, low) in [
        (293.15, 29_315, 2932),
        (-5.0, 0, 0),
        (1e9, 65_535, 65_535),
        (f64::NAN, 0, 0),
    ] {
        assert_eq!(fine.count(kelvin), high);
        assert_eq!(coarse.count(kelvin), low);
    }
    for percent in 1..=100 {
        let flux = FluxLinear {
            emissivity: FluxLinear::emissivity_word(percent),
            ..FluxLinear::default()
        };
        assert_eq!(flux.emissivity_percent(), percent);
    }
    assert_eq!(FluxLinear::emissivity_word(98), 8028);
}
