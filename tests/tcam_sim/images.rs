//! Images: their bytes, what their telemetry says of them, streams, and SPI timing (reference sections 3, 5, 7, 8, 14).

use std::time::Duration;

use outpost::tcam::proto::telemetry::FfcState;
use outpost::tcam::proto::{
    Announcement, Frame, GainMode, ImageText, PixelKind, Resolution, SpotArea, image, spi,
};
use outpost::tcam::sim::{Config, Interface, Scene};

use crate::rig::{Rig, ack, announced, data, ms};

const STREAM: &str = r#"{"cmd":"stream_on"}"#;
const FRAME: Duration = Duration::from_millis(114);

fn stream(delay: u32, count: u32) -> String {
    format!(r#"{{"cmd":"stream_on","args":{{"delay_msec":{delay},"num_frames":{count}}}}}"#)
}

#[test]
fn a_hardware_image_is_sealed_padded_and_announced_with_its_sum() {
    let mut rig = Rig::hardware();
    let mut pads = [0; 4];
    for _ in 0..40 {
        rig.pass(ms(7));
        rig.send(r#"{"cmd":"get_image"}"#);
        let length = announced(&rig.receive()).unwrap();
        assert!((51_970..=52_000).contains(&length), "{length}");
        let read = rig.transfer(length.next_multiple_of(4) + 8);
        assert_eq!((read[0], read[length - 5]), (2, 3));
        let sum: u32 = read[..length - 4].iter().map(|&byte| u32::from(byte)).sum();
        assert_eq!(read[length - 4..length], sum.to_be_bytes());
        // Beyond the armed bytes the line is idle.
        assert_eq!(read[length.next_multiple_of(4)..], [0xff; 8]);
        assert!(read[1..].starts_with(b"{\"metadata\":{\"Camera\":\"tCam-Mini-51A0\",\"Model\":266242,\"Version\":\"3.2\",\"Time\":\"0:00:0"));
        let announcement = Announcement::new(length as i64).unwrap();
        announcement.image(&read).unwrap();
        pads[length % 4] += 1;
    }
    assert!(
        pads.iter().filter(|&&count| count > 0).count() >= 2,
        "{pads:?}"
    );
}

#[test]
fn the_vectors_of_spi_are_made_again_byte_by_byte() {
    for (name, pad) in [
        ("spi_synth_lowgain", [0xff, 0xff, 0]),
        ("spi_synth_extreme", [2, 3, 2]),
    ] {
        let expected = std::fs::read(data(&format!("{name}.spi.bin"))).unwrap();
        let length = expected.len()
            - match name {
                "spi_synth_lowgain" => 2,
                _ => 3,
            };
        let text = &expected[1..length - 5];
        let parsed = ImageText::parse(text).unwrap();
        let mut frame = Frame::blank();
        frame.read(&parsed).unwrap();
        let mut armed = Vec::new();
        image::encode_packet(
            &parsed.metadata,
            &frame.pixels,
            &frame.telemetry_words,
            &mut armed,
        );
        let announcement = spi::seal(&mut armed, pad).unwrap();
        assert_eq!(announcement.image_ready(), length);
        assert!(armed == expected, "{name}");
    }
}

/// The vector's pixels, fed as the scene, come out of the camera as they were, spot and all.
#[test]
fn a_replayed_picture_comes_out_as_it_went_in() {
    let expected = std::fs::read(data("spi_synth_lowgain.spi.bin")).unwrap();
    let announcement = Announcement::new(51_986).unwrap();
    let mut original = Frame::blank();
    original
        .read(&announcement.image(&expected).unwrap())
        .unwrap();
    let pictures = vec![(original.pixels.clone(), Resolution::Decikelvin)];
    let mut rig = Rig::new(Config {
        scene: Scene::of_pictures(pictures).unwrap(),
        ..Config::new(Interface::Hardware, 1)
    });
    rig.ask(r#"{"cmd":"set_config","args":{"gain_mode":1}}"#);
    rig.ask(r#"{"cmd":"set_spotmeter","args":{"r1":10,"c1":20,"r2":14,"c2":29}}"#);
    let (frame, telemetry) = rig.get_image();
    assert!(frame.pixels == original.pixels);
    let before = original.telemetry();
    assert_eq!(telemetry.spot, before.spot);
    assert_eq!(telemetry.frame_mean, before.frame_mean);
    assert_eq!(telemetry.spot.mean, 3342);
    assert_eq!(telemetry.gain.effective, GainMode::Low);
    assert_eq!(telemetry.resolution, Resolution::Decikelvin);
}

#[test]
fn recordings_are_replayed_over_and_over() {
    let scene = Scene::replay(&data("recording.tmjsn")).unwrap();
    let mut rig = Rig::new(Config {
        scene,
        ..Config::new(Interface::Network, 1)
    });
    rig.ask(&stream(0, 6));
    let sums: Vec<u64> = (0..6)
        .map(|_| {
            rig.image()
                .0
                .pixels
                .iter()
                .map(|&count| u64::from(count))
                .sum()
        })
        .collect();
    let all = [567_345_661, 567_538_719, 567_730_253];
    let first = all.iter().position(|sum| *sum == sums[0]).unwrap();
    assert_eq!(sums[0], all[first]);
    assert_eq!(sums[4], sums[0]);
    assert_eq!(sums[5], sums[1]);
    assert!(
        sums[..4]
            .iter()
            .enumerate()
            .all(|(i, sum)| !sums[..i].contains(sum))
    );
    // Cut short: as far as it goes.
    Scene::replay(&data("recording_truncated.tmjsn")).unwrap();
    let error = Scene::replay(&data("no.tjsn")).unwrap_err();
    assert!(error.to_string().ends_with("no.tjsn cannot be read"));
}

#[test]
fn the_scene_is_a_warm_spot_before_a_cool_wall_and_repeats_with_its_seed() {
    let mut rig = Rig::network();
    let (frame, telemetry) = rig.get_image();
    assert_eq!(
        telemetry.pixel_kind(),
        PixelKind::Temperature(Resolution::Centikelvin)
    );
    let min = frame.pixels.iter().min().unwrap();
    let max = frame.pixels.iter().max().unwrap();
    assert!((29_300..29_400).contains(min), "{min}");
    assert!((35_200..35_600).contains(max), "{max}");
    assert!(Rig::network().get_image().0 == frame);
    let mut other = Rig::new(Config::new(Interface::Network, 8));
    assert!(other.get_image().0 != frame);
    rig.pass(ms(2000));
    assert!(rig.get_image().0 != frame);
}

#[test]
fn telemetry_agrees_with_the_pixels() {
    let mut rig = Rig::hardware();
    rig.pass(ms(1000));
    rig.ask(r#"{"cmd":"set_config","args":{"emissivity":98}}"#);
    rig.ask(r#"{"cmd":"set_spotmeter","args":{"r1":40,"c1":60,"r2":80,"c2":100}}"#);
    let (frame, telemetry) = rig.get_image();
    let rows = frame.pixels.chunks(160).skip(40).take(41);
    let spot: Vec<u16> = rows.flat_map(|row| row[60..=100].to_vec()).collect();
    let sum: u64 = spot.iter().map(|&count| u64::from(count)).sum();
    assert_eq!(telemetry.spot.population, 1681);
    assert_eq!(u64::from(telemetry.spot.mean), sum / 1681);
    assert_eq!(telemetry.spot.max, *spot.iter().max().unwrap());
    assert_eq!(telemetry.spot.min, *spot.iter().min().unwrap());
    assert_eq!(telemetry.spot.area, SpotArea::from_words([40, 60, 80, 100]));
    assert_eq!(telemetry.flux.emissivity, 8028);
    let words = &frame.telemetry_words;
    assert_eq!(
        (words[99], words[208], words[209], words[165], words[166]),
        (8028, 1, 1, 0, 0)
    );
    assert_eq!(
        (words[0], words[13], words[14], words[72], words[74]),
        (14, 794, 3, 7, 3)
    );
    assert_eq!((words[38], words[39], words[100]), (19_200, 512, 29_515));
    assert_eq!(telemetry.uptime_ms, rig.now.as_millis() as u32);
    assert_eq!(telemetry.frame_counter, (rig.now.as_millis() / 114) as u32);
}

#[test]
fn agc_stretches_pixels_and_leaves_the_spot_in_kelvin() {
    let mut rig = Rig::hardware();
    rig.ask(r#"{"cmd":"set_config","args":{"agc_enabled":1}}"#);
    let (frame, telemetry) = rig.get_image();
    assert_eq!(telemetry.pixel_kind(), PixelKind::Agc);
    assert_eq!(frame.pixels.iter().min(), Some(&0));
    assert_eq!(frame.pixels.iter().max(), Some(&255));
    assert_eq!(frame.telemetry_words[208], 0);
    assert!(telemetry.spot.mean > 29_000);
}

#[test]
fn automatic_gain_goes_low_for_a_hot_scene() {
    for (hot, low) in [(4_800, false), (4_801, true)] {
        let mut pixels = Box::new([29_000; 19_200]);
        pixels[..hot].fill(38_801);
        let scene = Scene::of_pictures(vec![(pixels, Resolution::Centikelvin)]).unwrap();
        let mut rig = Rig::new(Config {
            scene,
            ..Config::new(Interface::Network, 1)
        });
        rig.ask(r#"{"cmd":"set_config","args":{"gain_mode":2}}"#);
        let (frame, telemetry) = rig.get_image();
        assert_eq!(telemetry.gain.mode, GainMode::Auto);
        assert_eq!(frame.telemetry_words[166], u16::from(low), "{hot}");
        assert_eq!(frame.telemetry_words[209], u16::from(!low));
        assert_eq!(frame.pixels[0], if low { 3880 } else { 38_801 });
    }
}

#[test]
fn frames_count_whether_they_are_sent_or_not() {
    let mut rig = Rig::network();
    let (_, first) = rig.get_image();
    rig.pass(FRAME * 100);
    let (_, second) = rig.get_image();
    let passed = second.frame_counter - first.frame_counter;
    assert!((100..=101).contains(&passed), "{passed}");
}

#[test]
fn a_stream_comes_at_frame_rate_after_its_answer() {
    let mut rig = Rig::network();
    assert_eq!(rig.ask(STREAM), ack("stream_on"));
    rig.pass(ms(10_000));
    let times: Vec<_> = rig.packets.iter().map(|(at, _)| *at).collect();
    assert!((86..=88).contains(&times.len()), "{}", times.len());
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == FRAME));
}

#[test]
fn a_counted_stream_ends_on_its_count() {
    let mut rig = Rig::network();
    rig.ask(&stream(0, 3));
    assert_eq!(rig.listen(ms(5000)).len(), 3);
    rig.ask(&stream(500, 4));
    rig.pass(ms(10_000));
    let times: Vec<_> = rig.packets.drain(..).map(|(at, _)| at).collect();
    assert_eq!(times.len(), 4);
    for pair in times.windows(2) {
        let gap = pair[1] - pair[0];
        assert!(
            (ms(500) - FRAME..=ms(500) + FRAME).contains(&gap),
            "{gap:?}"
        );
    }
}

#[test]
fn one_more_image_follows_stream_off() {
    let mut rig = Rig::network();
    rig.ask(STREAM);
    rig.pass(FRAME * 5);
    rig.packets.clear();
    rig.send(r#"{"cmd":"stream_off"}"#);
    let packets = rig.listen(ms(3000));
    let images = packets
        .iter()
        .filter(|packet| packet.len() > 50_000)
        .count();
    assert_eq!((packets.len(), images), (2, 1));
}

#[test]
fn get_image_ends_a_stream_and_has_no_other_answer() {
    let mut rig = Rig::network();
    rig.ask(STREAM);
    rig.pass(FRAME * 3);
    rig.packets.clear();
    rig.send(r#"{"cmd":"get_image"}"#);
    assert_eq!(rig.listen(ms(5000)).len(), 1);
}

#[test]
fn a_new_stream_replaces_the_parameters() {
    let mut rig = Rig::network();
    rig.ask(STREAM);
    rig.ask(&stream(1000, 0));
    rig.packets.clear();
    let images = rig.listen(ms(10_000)).len();
    assert!((10..=12).contains(&images), "{images}");
}

#[test]
fn an_image_that_nobody_reads_is_discarded_after_a_second() {
    let mut rig = Rig::hardware();
    rig.send(r#"{"cmd":"get_image"}"#);
    let length = announced(&rig.receive()).unwrap();
    // Answers are held back meanwhile, though commands are obeyed.
    rig.send(r#"{"cmd":"set_config","args":{"emissivity":50}}"#);
    assert!(rig.listen(ms(999)).is_empty());
    assert_eq!(rig.listen(ms(2)), [ack("set_config").into_bytes()]);
    assert_eq!(rig.transfer(length), vec![0xff; length]);
    // The next one is as good as any.
    let (_, telemetry) = rig.get_image();
    assert_eq!(telemetry.flux.emissivity, 4096);
}

#[test]
fn answers_come_as_soon_as_the_image_is_read() {
    let mut rig = Rig::hardware();
    rig.send(r#"{"cmd":"get_image"}"#);
    let length = announced(&rig.receive()).unwrap();
    rig.send(r#"{"cmd":"get_config"}"#);
    assert!(rig.listen(ms(500)).is_empty());
    rig.transfer(length);
    assert_eq!(rig.packets.len(), 1);
}

#[test]
fn any_transaction_uses_the_image_up() {
    let mut rig = Rig::hardware();
    rig.send(r#"{"cmd":"get_image"}"#);
    rig.receive();
    assert_eq!(rig.transfer(3), b"\x02{\"");
    assert_eq!(rig.transfer(3), [0xff; 3]);
    let mut rig = Rig::new(Config {
        filler: 0,
        ..Config::new(Interface::Hardware, 1)
    });
    assert_eq!(rig.transfer(8), [0; 8]);
}

#[test]
fn a_slow_host_gets_the_newest_frame_and_loses_those_between() {
    let mut rig = Rig::hardware();
    rig.ask(&stream(0, 10));
    let mut counters = Vec::new();
    loop {
        let Some((_, packet)) = rig.packets.pop_front() else {
            rig.pass(ms(10));
            if rig.now > ms(5000) {
                break;
            }
            continue;
        };
        let length = announced(&packet).unwrap();
        rig.pass(ms(150));
        let read = rig.transfer(length.next_multiple_of(4));
        let announcement = Announcement::new(length as i64).unwrap();
        let mut frame = Frame::blank();
        frame.read(&announcement.image(&read).unwrap()).unwrap();
        counters.push(frame.telemetry().frame_counter);
    }
    // Ten became due; every second was dropped because SPI was busy.
    assert_eq!(counters.len(), 5, "{counters:?}");
    assert!(counters.windows(2).all(|pair| pair[1] - pair[0] == 2));
}

#[test]
fn no_image_comes_during_a_flat_field_correction() {
    let mut rig = Rig::network();
    let (_, telemetry) = rig.get_image();
    assert_eq!(telemetry.status.ffc_state(), FfcState::NeverCommanded);
    rig.ask(STREAM);
    rig.pass(ms(1000));
    rig.packets.clear();
    let start = rig.now;
    rig.send(r#"{"cmd":"run_ffc"}"#);
    assert_eq!(rig.receive_text(), ack("run_ffc"));
    let (_, telemetry) = rig.image();
    assert!((ms(800)..ms(800) + FRAME * 2).contains(&(rig.now - start)));
    assert_eq!(telemetry.status.ffc_state(), FfcState::Complete);
    assert_eq!(
        u128::from(telemetry.uptime_at_ffc_ms),
        (start + ms(800)).as_millis()
    );
}

#[test]
fn the_camera_corrects_by_itself_every_three_minutes() {
    let mut rig = Rig::network();
    rig.pass(ms(177_900));
    let (_, telemetry) = rig.get_image();
    assert_eq!(telemetry.status.ffc_state(), FfcState::NeverCommanded);
    rig.now = ms(178_100);
    let (_, telemetry) = rig.get_image();
    assert_eq!(telemetry.status.ffc_state(), FfcState::Imminent);
    assert!(telemetry.status.ffc_desired());
    rig.now = ms(180_010);
    let (_, telemetry) = rig.get_image();
    assert!(rig.now >= ms(180_800), "{:?}", rig.now);
    assert_eq!(telemetry.status.ffc_state(), FfcState::Complete);
    // However long nobody looked.
    rig.now = ms(180_000 * 1000 + 100);
    let (_, telemetry) = rig.get_image();
    assert_eq!(telemetry.uptime_at_ffc_ms, 180_000_800);
}

#[test]
fn a_camera_at_rest_asks_for_nothing() {
    let mut rig = Rig::hardware();
    assert_eq!(rig.camera.next_due(rig.now), None);
    rig.ask(r#"{"cmd":"get_status"}"#);
    assert_eq!(rig.camera.next_due(rig.now), None);
}

#[test]
fn without_a_frame_period_images_come_as_fast_as_they_are_taken() {
    for interface in [Interface::Hardware, Interface::Network] {
        let mut rig = Rig::new(Config {
            frame_period: Duration::ZERO,
            ..Config::new(interface, 1)
        });
        rig.ask(&stream(0, 100));
        let start = rig.now;
        for _ in 0..100 {
            rig.image();
        }
        assert_eq!(rig.now, start);
        assert!(rig.listen(ms(1000)).is_empty());
    }
}
