//! What is written is read back the same.

use outpost::tcam::proto::command::{
    CciRead, CciWrite, Command, FwSegment, FwUpdateRequest, SetTime,
};
use outpost::tcam::proto::image::{self};
use outpost::tcam::proto::packet::{self};
use outpost::tcam::proto::response::{CciReg, Config, GetFw, Status};
use outpost::tcam::proto::spi::{self};
use outpost::tcam::proto::wifi::{Ipv4, WifiFlags};
use outpost::tcam::proto::{
    Announcement, CamInfo, CciCommand, CciStatus, Frame, Framer, GainMode, ImageText, InfoKind,
    Metadata, Model, Response, SetWifi, SpotArea, Telemetry, Temperatures, VideoInfo, Wifi,
};
use proptest::prelude::*;

use crate::support::*;

fn words() -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(any::<u16>(), 0..=512)
}

fn gain_mode() -> impl Strategy<Value = GainMode> {
    prop_oneof![
        Just(GainMode::High),
        Just(GainMode::Low),
        Just(GainMode::Auto),
        (i32::MIN..0).prop_map(GainMode::Unknown)
    ]
}

fn address() -> impl Strategy<Value = Ipv4> {
    any::<[u8; 4]>().prop_map(Ipv4)
}

fn set_wifi() -> impl Strategy<Value = SetWifi> {
    use prop::option::of;
    let ssid = || of("[a-zA-Z\u{e4}\"\\\\\n]{1,16}");
    let password = || of("[ -~]{8,63}");
    let network = (ssid(), password(), of(address()), of(any::<u8>()));
    (network, (ssid(), password(), of(address()), of(address())))
        .prop_map(|(a, b)| SetWifi {
            ap_ssid: a.0,
            ap_pw: a.1,
            ap_ip_addr: a.2,
            flags: a.3.map(WifiFlags),
            sta_ssid: b.0,
            sta_pw: b.1,
            sta_ip_addr: b.2,
            sta_netmask: b.3,
        })
        .prop_filter("at least one", |wifi| wifi.check().is_ok())
}

fn command() -> impl Strategy<Value = Command> {
    let args = any::<[u8; 7]>();
    prop_oneof![
        Just(Command::GetStatus),
        Just(Command::GetImage),
        args.prop_map(
            |[sec, min, hour, dow, day, mon, year]| Command::SetTime(SetTime {
                sec,
                min,
                hour,
                dow,
                day,
                mon,
                year
            })
        ),
        (
            any::<bool>(),
            prop::option::of(1..=100u8),
            prop::option::of(gain_mode())
        )
            .prop_map(|(agc, emissivity, gain)| config(Some(agc), emissivity, gain)),
        any::<[i32; 4]>()
            .prop_map(|[a, b, c, d]| Command::SetSpotmeter(SpotArea::clamped(a, b, c, d))),
        (0..=i32::MAX as u32, 0..=i32::MAX as u32).prop_map(|(d, n)| stream(d, n)),
        (any::<u16>(), any::<u16>()).prop_map(|(command, length)| Command::GetLepCci(CciRead {
            command: CciCommand(command),
            length
        })),
        (any::<u16>(), words()).prop_map(|(command, words)| Command::SetLepCci(CciWrite {
            command: CciCommand(command),
            words
        })),
        set_wifi().prop_map(Command::SetWifi),
        (0..=i32::MAX as u32, ".*").prop_map(|(length, version)| {
            Command::FwUpdateRequest(FwUpdateRequest { length, version })
        }),
        (
            0..=i32::MAX as u32,
            prop::collection::vec(any::<u8>(), 0..300)
        )
            .prop_map(|(start, data)| Command::FwSegment(FwSegment { start, data })),
    ]
}

fn response() -> impl Strategy<Value = Response<'static>> {
    prop_oneof![
        (".*", any::<u32>(), ".*").prop_map(|(name, model, time)| {
            Response::Status(Status {
                metadata: Metadata {
                    camera: name.into(),
                    model: Model(model),
                    time: time.into(),
                    ..Metadata::default()
                },
                ..Status::default()
            })
        }),
        (any::<bool>(), any::<u8>(), gain_mode()).prop_map(
            |(agc_enabled, emissivity, gain_mode)| {
                Response::Config(Config {
                    agc_enabled,
                    emissivity,
                    gain_mode,
                })
            }
        ),
        (".*", any::<u8>(), address()).prop_map(|(name, flags, cur_ip_addr)| {
            Response::Wifi(Wifi {
                flags: WifiFlags(flags),
                cur_ip_addr,
                ..Wifi::factory(&name)
            })
        }),
        (any::<u16>(), any::<u16>(), words()).prop_map(|(command, status, words)| {
            Response::CciReg(CciReg {
                command: CciCommand(command),
                length: words.len() as u16,
                status: CciStatus(status),
                words,
            })
        }),
        (any::<i32>(), ".*").prop_map(|(kind, text)| {
            Response::CamInfo(CamInfo::new(InfoKind::from_wire(kind), text))
        }),
        any::<i64>().prop_map(Response::ImageReady),
        any::<(u32, u32)>().prop_map(|(start, length)| Response::GetFw(GetFw { start, length })),
        (".*", any::<u64>()).prop_map(|(end_date, frames)| {
            Response::VideoInfo(VideoInfo {
                end_date,
                end_time: "1:2:3.4".into(),
                num_frames: frames >> 1,
                start_date: String::new(),
                start_time: String::new(),
                version: 1,
            })
        }),
    ]
}

proptest! {
    #[test]
    fn commands_round_trip(command in command()) {
        let mut packet = Vec::new();
        command.write_packet(&mut packet);
        prop_assert!(packet.is_ascii());
        let mut framer = Framer::camera();
        framer.push(&packet);
        let text = framer.next().unwrap().text();
        prop_assert_eq!(Command::parse(text), Ok(command));
    }

    #[test]
    fn responses_round_trip(response in response()) {
        let mut packet = Vec::new();
        response.write_packet(&mut packet);
        let mut framer = Framer::host();
        framer.push(&packet);
        let text = framer.next().unwrap().text();
        prop_assert_eq!(Response::decode(text).unwrap(), response);
    }

    #[test]
    fn any_packets_come_out_however_split(
        texts in prop::collection::vec(prop::collection::vec(4u8.., 0..200), 0..20),
        junk in prop::collection::vec(4u8.., 0..20),
        step in 1usize..64,
    ) {
        let mut wire = Vec::new();
        for text in &texts {
            wire.extend_from_slice(&junk);
            packet::encode(text, &mut wire);
        }
        for mut framer in [Framer::host(), Framer::camera()] {
            prop_assert_eq!(&self::texts(&mut framer, &wire, step), &texts);
            prop_assert_eq!(framer.counters().junk_bytes, (texts.len() * junk.len()) as u64);
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Command::parse(&bytes);
        let _ = Response::decode(&bytes);
        let _ = ImageText::parse(&bytes);
        if let Ok(announcement) = Announcement::new(bytes.len() as i64) {
            let _ = announcement.image(&bytes);
        }
    }

    #[test]
    fn any_words_are_a_telemetry(seed in any::<u64>()) {
        let mut state = seed | 1;
        let words = std::array::from_fn(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 48) as u16
        });
        let telemetry = Telemetry::decode(&words);
        let mut again = words;
        telemetry.encode(&mut again);
        let flags = [208, 209];
        for (index, (a, b)) in words.iter().zip(&again).enumerate() {
            if flags.contains(&index) {
                prop_assert_eq!(*a != 0, *b != 0);
            } else {
                prop_assert_eq!(a, b, "word {}", index);
            }
        }
        prop_assert_eq!(Telemetry::decode(&again), telemetry);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn images_round_trip_over_both_links(seed in any::<u32>(), name in ".{1,32}", pad in any::<[u8; 3]>()) {
        let original = frame(&Telemetry::default(), |index| {
            (index as u32).wrapping_mul(2_654_435_761).wrapping_add(seed).rotate_left(7) as u16
        });
        let metadata = Metadata { camera: name.into(), ..metadata() };
        let mut wire = Vec::new();
        image::encode_packet(&metadata, &original.pixels, &original.telemetry_words, &mut wire);
        let mut framer = Framer::host();
        framer.push(&wire);
        let text = framer.next().unwrap().text();
        let image = ImageText::parse(text).unwrap();
        prop_assert_eq!(&image.metadata, &metadata);
        let mut decoded = Frame::blank();
        decoded.read(&image).unwrap();
        prop_assert!(decoded == original);
        drop(image);

        let announcement = spi::seal(&mut wire, pad).unwrap();
        prop_assert_eq!(wire.len(), announcement.read_len());
        let mut decoded = Frame::blank();
        decoded.read(&announcement.image(&wire).unwrap()).unwrap();
        prop_assert!(decoded == original);

        let celsius = Temperatures::of(&decoded.pixels, &decoded.telemetry()).unwrap();
        let slow: Vec<f64> = decoded.pixels.iter().map(|&p| f64::from(p) * 0.01 - 273.15).collect();
        let mut fast = [0.0; 19_200];
        celsius.write_celsius(&mut fast);
        for (a, b) in slow.iter().zip(&fast) {
            prop_assert!((a - f64::from(*b)).abs() < 2e-5);
        }
        let mean = slow.iter().sum::<f64>() / 19_200.0;
        prop_assert!((celsius.mean() - mean).abs() < 1e-6);
        let min = slow.iter().copied().fold(f64::MAX, f64::min);
        prop_assert!((celsius.min().celsius - min).abs() < 1e-6);
        let max = slow.iter().copied().fold(f64::MIN, f64::max);
        prop_assert!((celsius.max().celsius - max).abs() < 1e-6);
    }
}
