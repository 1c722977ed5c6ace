//! The thermal camera's protocol at its edges: odd commands, damaged packets, hostile numbers, and round trips.

use outpost::tcam::proto::command::{
    CciRead, CciWrite, Command, FwSegment, FwUpdateRequest, Rejection, SetConfig, SetTime, StreamOn,
};
use outpost::tcam::proto::file::{Record, RecordingReader};
use outpost::tcam::proto::image::{self, ImageError};
use outpost::tcam::proto::metadata::{Date, Lepton, Link, Product, TimeOfDay};
use outpost::tcam::proto::packet::{self, Counters};
use outpost::tcam::proto::response::{CciReg, Config, GetFw, ResponseError, Status};
use outpost::tcam::proto::spi::{self, MAX_READ, SpiError};
use outpost::tcam::proto::telemetry::{FfcState, StatusBits};
use outpost::tcam::proto::temperature::TemperatureError;
use outpost::tcam::proto::wifi::{Ipv4, WifiFlags};
use outpost::tcam::proto::{
    Announcement, Answer, CamInfo, CciCommand, CciStatus, FluxLinear, Frame, Framer, GainMode,
    ImageText, InfoKind, Metadata, Model, Name, PixelKind, Resolution, Response, SetWifi, SpotArea,
    Telemetry, Temperatures, VideoInfo, Wifi, cci,
};
use proptest::prelude::*;

// ---- packets

fn texts(framer: &mut Framer, wire: &[u8], step: usize) -> Vec<Vec<u8>> {
    let mut texts = Vec::new();
    for piece in wire.chunks(step) {
        framer.push(piece);
        while let Some(packet) = framer.next() {
            let framed = packet.framed();
            assert_eq!((framed[0], framed[framed.len() - 1]), (2, 3));
            texts.push(packet.text().to_vec());
        }
    }
    texts
}

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

// ---- commands

fn parse(text: &str) -> Result<Command, Rejection> {
    Command::parse(text.as_bytes())
}

fn config(agc_enabled: Option<bool>, emissivity: Option<u8>, gain: Option<GainMode>) -> Command {
    Command::SetConfig(SetConfig {
        agc_enabled,
        emissivity,
        gain_mode: gain,
    })
}

fn stream(delay_msec: u32, num_frames: u32) -> Command {
    Command::StreamOn(StreamOn {
        delay_msec,
        num_frames,
    })
}

#[test]
fn commands_as_tolerantly_as_the_camera() {
    let spot = |r1, c1, r2, c2| Command::SetSpotmeter(SpotArea::from_words([r1, c1, r2, c2]));
    let time = Command::SetTime(SetTime {
        sec: 0,
        min: 59,
        hour: 23,
        dow: 7,
        day: 31,
        mon: 12,
        year: 56,
    });
    let cases = [
        (r#"{"cmd":"get_status"}"#, Command::GetStatus),
        (" \t\r\n { \"cmd\" :\n\"get_image\" } ", Command::GetImage),
        ("\u{feff}{\"cmd\":\"get_config\"}", Command::GetConfig),
        (r#"{"CMD":"stream_off"} trailing {{{"#, Command::StreamOff),
        (
            r#"{"cmd":"run_ffc","args":5,"more":[1,{"a":null}]}"#,
            Command::RunFfc,
        ),
        (r#"{"cmd":"get_wifi","cmd":"get_image"}"#, Command::GetWifi),
        (
            r#"{"cmd":"set_time","args":{"sec":null,"min":59.9,"hour":23,"dow":7,"day":31,"mon":12,"year":56}}"#,
            time,
        ),
        (
            r#"{"Cmd":"set_config","ARGS":{"AGC_Enabled":7,"unknown":1}}"#,
            config(Some(true), None, None),
        ),
        (
            r#"{"cmd":"set_config","args":{"agc_enabled":0,"emissivity":0,"gain_mode":3}}"#,
            config(Some(false), Some(1), Some(GainMode::Auto)),
        ),
        (
            r#"{"cmd":"set_config","args":{"agc_enabled":-1,"emissivity":1e300,"gain_mode":1.99}}"#,
            config(Some(false), Some(100), Some(GainMode::Low)),
        ),
        (
            r#"{"cmd":"set_config","args":{"gain_mode":-5}}"#,
            config(None, None, Some(GainMode::Unknown(-5))),
        ),
        (
            r#"{"cmd":"set_spotmeter","args":{"r1":10,"c1":20,"r2":10,"c2":20}}"#,
            spot(10, 20, 11, 21),
        ),
        (
            r#"{"cmd":"set_spotmeter","args":{"r1":-4,"c1":-9999999999,"r2":500,"c2":1e9}}"#,
            spot(0, 0, 119, 159),
        ),
        (
            r#"{"cmd":"set_spotmeter","args":{"r1":200,"c1":200,"r2":0,"c2":0}}"#,
            spot(118, 158, 119, 159),
        ),
        (r#"{"cmd":"stream_on"}"#, stream(0, 0)),
        (r#"{"cmd":"stream_on","args":null}"#, stream(0, 0)),
        (
            r#"{"cmd":"stream_on","args":{"delay_msec":-1,"num_frames":-20}}"#,
            stream(0, 0),
        ),
        (
            r#"{"cmd":"stream_on","args":{"num_frames":3,"delay_msec":99999999999}}"#,
            stream(i32::MAX as u32, 3),
        ),
        (
            r#"{"cmd":"get_lep_cci","args":{"command":20172,"length":600}}"#,
            Command::GetLepCci(CciRead {
                command: CciCommand(0x4ECC),
                length: 600,
            }),
        ),
        (
            r#"{"cmd":"set_lep_cci","args":{"command":257,"length":1,"data":"AQACAA=="}}"#,
            Command::SetLepCci(CciWrite {
                command: CciCommand(0x0101),
                words: vec![1],
            }),
        ),
        (
            r#"{"cmd":"set_wifi","args":{"sta_ip_addr":"300.0.1.2"}}"#,
            Command::SetWifi(SetWifi {
                sta_ip_addr: Some(Ipv4([44, 0, 1, 2])),
                ..SetWifi::default()
            }),
        ),
        (
            r#"{"cmd":"fw_update_request","args":{"length":1000000,"version":"3.3"}}"#,
            Command::FwUpdateRequest(FwUpdateRequest {
                length: 1_000_000,
                version: "3.3".into(),
            }),
        ),
        (
            r#"{"cmd":"fw_segment","args":{"start":8192,"length":3,"data":"AQID"}}"#,
            Command::FwSegment(FwSegment {
                start: 8192,
                data: vec![1, 2, 3],
            }),
        ),
    ];
    for (text, command) in cases {
        assert_eq!(parse(text), Ok(command), "{text}");
    }
}

#[test]
fn commands_refused_with_the_cameras_own_texts() {
    let not_json = (3, "Couldn't convert json string");
    let not_command = (2, "Json string wasn't command");
    let unknown = (2, "Unknown command in json string");
    let unsupported = (2, "Unsupported command in json string");
    let long = "x".repeat(33);
    let wifi = |args: &str| format!(r#"{{"cmd":"set_wifi","args":{{{args}}}}}"#);
    let cases = [
        ("".into(), not_json),
        ("   ".into(), not_json),
        ("hello".into(), not_json),
        (r#"{"cmd":"get_status""#.into(), not_json),
        (r#"{"cmd":/* no */"get_status"}"#.into(), not_json),
        ("[".repeat(100_000), not_json),
        ("5".into(), not_command),
        ("null".into(), not_command),
        ("[\"cmd\"]".into(), not_command),
        ("{}".into(), not_command),
        (r#"{"cmd":7}"#.into(), not_command),
        (r#"{"cmd":{"cmd":"get_status"}}"#.into(), not_command),
        (r#"{"cmd":"GET_STATUS"}"#.into(), unknown),
        (r#"{"cmd":"get_fs"}"#.into(), unknown),
        (r#"{"cmd":""}"#.into(), unknown),
        (r#"{"cmd":"take_picture"}"#.into(), unsupported),
        (r#"{"cmd":"get_file","args":{}}"#.into(), unsupported),
        (r#"{"cmd":"dump_screen"}"#.into(), unsupported),
        (
            r#"{"cmd":"set_time","args":{"sec":0}}"#.into(),
            (0, "set_time failed"),
        ),
        (r#"{"cmd":"set_config"}"#.into(), (0, "set_config failed")),
        (
            r#"{"cmd":"set_config","args":{"agc":1}}"#.into(),
            (0, "set_config failed"),
        ),
        (
            r#"{"cmd":"set_spotmeter","args":{"r1":1,"c1":1,"r2":2}}"#.into(),
            (0, "set_spotmeter failed"),
        ),
        (
            r#"{"cmd":"get_lep_cci","args":{"command":1}}"#.into(),
            (0, "get_lep_cci failed"),
        ),
        (
            r#"{"cmd":"set_lep_cci","args":{"command":1,"length":513,"data":""}}"#.into(),
            (0, "set_lep_cci failed"),
        ),
        (
            r#"{"cmd":"set_lep_cci","args":{"command":1,"length":-1,"data":"AQA="}}"#.into(),
            (0, "set_lep_cci failed"),
        ),
        (
            r#"{"cmd":"set_lep_cci","args":{"command":1,"length":1,"data":"!!!!"}}"#.into(),
            (0, "set_lep_cci failed"),
        ),
        (
            r#"{"cmd":"fw_update_request","args":{"length":1}}"#.into(),
            (0, "fw_update_request failed"),
        ),
        (wifi(""), (0, "set_wifi failed")),
        (wifi(r#""ap_ssid":"""#), (0, "set_wifi failed")),
        (
            wifi(&format!(r#""sta_ssid":"{long}""#)),
            (0, "set_wifi failed"),
        ),
        (wifi(r#""ap_pw":"1234567""#), (0, "set_wifi failed")),
        (wifi(r#""sta_pw":12345678"#), (0, "set_wifi failed")),
        (
            wifi(r#""flags":1,"sta_netmask":"1.2.3""#),
            (0, "set_wifi failed"),
        ),
        (
            wifi(r#""flags":1,"ap_ip_addr":"1.2.3.4.5""#),
            (0, "set_wifi failed"),
        ),
    ];
    for (text, (value, info)) in cases {
        let rejection = parse(&text).expect_err(&text);
        let mut out = Vec::new();
        Response::CamInfo(CamInfo::from(&rejection)).write_json(&mut out);
        let expected =
            format!("{{\"cam_info\":{{\"info_value\":{value},\"info_string\":\"{info}\"}}}}");
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{text}");
    }
}

#[test]
fn invalid_utf8_is_content_within_strings_and_noise_outside() {
    let mut text = br#"{"cmd":"get_status","note":"?"}"#.to_vec();
    let at = text.iter().position(|&byte| byte == b'?').unwrap();
    text[at] = 0xff;
    assert_eq!(Command::parse(&text), Ok(Command::GetStatus));
    text[0] = 0xff;
    assert_eq!(Command::parse(&text), Err(Rejection::NotJson));
}

#[test]
fn requests_are_ascii_whatever_they_hold() {
    let command = Command::SetWifi(SetWifi {
        ap_ssid: Some("Büro \"1\"\u{1f321}\n".into()),
        ..SetWifi::default()
    });
    let mut text = Vec::new();
    command.write_json(&mut text);
    let expected = r#"{"cmd": "set_wifi", "args": {"ap_ssid": "B\u00fcro \"1\"\ud83c\udf21\n"}}"#;
    assert_eq!(String::from_utf8(text).unwrap(), expected);
    assert_eq!(parse(expected), Ok(command));
}

#[test]
fn names_and_what_they_say() {
    for name in [
        "get_status",
        "get_image",
        "set_time",
        "get_config",
        "set_config",
        "set_spotmeter",
        "stream_on",
        "stream_off",
        "run_ffc",
        "get_lep_cci",
        "set_lep_cci",
        "get_wifi",
        "set_wifi",
        "fw_update_request",
        "fw_segment",
    ] {
        let parsed = Name::parse(name).unwrap();
        assert_eq!(parsed.to_string(), name);
        let network_only = name.contains("wifi") || name.starts_with("fw_");
        assert_eq!(parsed.is_network_only(), network_only, "{name}");
    }
}

// ---- responses

#[test]
fn responses_in_any_order_with_more_keys() {
    let text = br#"{"extra":1,"status":{"Charge":"OFF","Date":"1/1/-30","Time":"0:00:03.12","Version":"1.0",
        "Model":2,"Camera":"tCam","Battery":3.9}}"#;
    let Ok(Response::Status(status)) = Response::decode(text) else {
        panic!("a status");
    };
    assert_eq!(status.metadata.camera, "tCam");
    assert_eq!(status.metadata.model, Model(2));
    assert_eq!(status.extra["Battery"], 3.9);
    let mut out = Vec::new();
    Response::Status(status).write_json(&mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "{\"status\":{\"Camera\":\"tCam\",\"Model\":2,\"Version\":\"1.0\",\"Time\":\"0:00:03.12\",\
         \"Date\":\"1/1/-30\",\"Battery\":3.9,\"Charge\":\"OFF\"}}"
    );

    for (text, expected) in [
        ("{\"image_ready\" : 51988}", Response::ImageReady(51_988)),
        ("{\"image_ready\":-4}", Response::ImageReady(-4)),
        (
            "{\"get_fw\":{\"length\":8192,\"start\":16384}}",
            Response::GetFw(GetFw {
                start: 16_384,
                length: 8192,
            }),
        ),
        (
            "{\"filesystem_list\":{\"dir_name\":\"/\",\"name_list\":\"\"}}",
            Response::Other {
                key: "filesystem_list".into(),
            },
        ),
        (
            "{\"cam_info\":{\"info_string\":\"later\",\"info_value\":9}}",
            Response::CamInfo(CamInfo::new(InfoKind::Other(9), "later")),
        ),
    ] {
        assert_eq!(
            Response::decode(text.as_bytes()).unwrap(),
            expected,
            "{text}"
        );
    }
    // An image is known by any of its keys, and is not read here.
    for text in [
        "{\"metadata\":oops",
        " { \"radiometric\":",
        "{\"a\":1,\"telemetry\":2}",
    ] {
        let response = Response::decode(text.as_bytes()).unwrap();
        assert_eq!(response, Response::Image(text.as_bytes()));
    }
}

#[test]
fn responses_that_are_none() {
    for text in ["", "null", "[]", "5", "{\"status\"", "\u{1}", "{\"a\":1} x"] {
        let error = Response::decode(text.as_bytes()).unwrap_err();
        assert!(matches!(error, ResponseError::NotJson(_)), "{text}");
    }
    let error = Response::decode(b"{\"cam_info\":\xff}").unwrap_err();
    assert!(matches!(error, ResponseError::NotJson(_)));
    assert!(matches!(Response::decode(b"{}"), Err(ResponseError::Empty)));
    for (text, object, key) in [
        ("{\"image_ready\":\"51988\"}", "image_ready", "length"),
        ("{\"image_ready\":null}", "image_ready", "length"),
        ("{\"status\":5}", "status", "Camera"),
        (
            "{\"config\":{\"agc_enabled\":1,\"emissivity\":900}}",
            "config",
            "emissivity",
        ),
        (
            "{\"cam_info\":{\"info_value\":1}}",
            "cam_info",
            "info_string",
        ),
        ("{\"cci_reg\":{\"command\":70000}}", "cci_reg", "command"),
        (
            "{\"cci_reg\":{\"command\":1,\"length\":1,\"status\":6,\"data\":7}}",
            "cci_reg",
            "data",
        ),
    ] {
        match Response::decode(text.as_bytes()) {
            Err(ResponseError::Field { object: o, key: k }) => assert_eq!((o, k), (object, key)),
            other => panic!("{text}: {other:?}"),
        }
    }
    for data in ["AQ==", "????", "A"] {
        let text =
            format!(r#"{{"cci_reg":{{"command":1,"length":1,"status":6,"data":"{data}"}}}}"#);
        let error = Response::decode(text.as_bytes()).unwrap_err();
        assert!(matches!(error, ResponseError::Cci(cci::CciError::Data)));
    }
    let long = cci::words_to_base64(&[7; 513]);
    let error = cci::words_from_base64(&long).unwrap_err();
    assert!(matches!(error, cci::CciError::TooLong { .. }), "{error}");
    assert_eq!(
        cci::words_from_base64(&cci::words_to_base64(&[7; 512])).unwrap(),
        [7; 512]
    );
}

#[test]
fn answers_belong_to_their_command_by_kind_and_name() {
    let info = |kind, text: &str| Response::CamInfo(CamInfo::new(kind, text));
    let read = |command| {
        Command::GetLepCci(CciRead {
            command: CciCommand(command),
            length: 4,
        })
    };
    let reg = |command| {
        Response::CciReg(CciReg {
            command: CciCommand(command),
            length: 0,
            status: CciStatus(63_750),
            words: Vec::new(),
        })
    };
    use Answer::*;
    use InfoKind::*;
    let settings = config(Some(true), None, None);
    for (response, command, answer) in [
        (
            info(InfoKind::Success, "run_ffc success"),
            &Command::RunFfc,
            Answer::Success,
        ),
        (info(Failed, "run_ffc failed"), &Command::RunFfc, Refused),
        (
            info(InfoKind::Success, "set_config success"),
            &Command::RunFfc,
            Unrelated,
        ),
        (
            info(InfoKind::Success, "set_config success"),
            &settings,
            Answer::Success,
        ),
        (info(Failed, "set_config failed"), &settings, Refused),
        (
            info(NotImplemented, "Unknown command in json string"),
            &settings,
            Refused,
        ),
        (
            info(InfoKind::NotJson, "Couldn't convert json string"),
            &settings,
            Refused,
        ),
        (info(Internal, CamInfo::SPI_SETUP), &settings, Unrelated),
        (
            info(FirmwareUpdate, "Firmware update success"),
            &settings,
            Unrelated,
        ),
        (
            info(
                Failed,
                "Could not restart network with the new configuration",
            ),
            &Command::SetWifi(SetWifi::default()),
            Refused,
        ),
        (
            info(
                Failed,
                "Could not restart network with the new configuration",
            ),
            &settings,
            Unrelated,
        ),
        (reg(0x4ECC), &read(0x4ECC), Answer::Success),
        (reg(0x4ECC), &read(0x4ED0), Unrelated),
        (
            Response::Config(Config::default()),
            &Command::GetConfig,
            Answer::Success,
        ),
        (
            Response::Config(Config::default()),
            &Command::GetStatus,
            Unrelated,
        ),
        (
            Response::Status(Status::default()),
            &Command::GetStatus,
            Answer::Success,
        ),
        (
            Response::Wifi(Wifi::factory("x")),
            &Command::GetWifi,
            Answer::Success,
        ),
        (Response::Image(b"{}"), &Command::GetStatus, Unrelated),
        (Response::ImageReady(1), &Command::GetImage, Unrelated),
    ] {
        assert_eq!(
            response.answers(command),
            answer,
            "{response:?} {command:?}"
        );
    }
    assert!(CamInfo::new(Internal, CamInfo::SPI_RESTART).is_fatal());
    assert!(CamInfo::new(Internal, CamInfo::SPI_RESTART).is_unsolicited());
    assert!(!CamInfo::ack(Name::RunFfc).is_unsolicited());
}

#[test]
fn network_settings_as_they_are_told() {
    let mut wifi = Wifi::factory("tCam-Mini-51A0");
    let change = SetWifi {
        ap_ssid: Some("kiln".into()),
        ap_pw: Some("secret-secret".into()),
        flags: Some(WifiFlags(0xff)),
        sta_ip_addr: Some(Ipv4([10, 0, 0, 1])),
        ..SetWifi::default()
    };
    change.apply(&mut wifi);
    assert_eq!(
        wifi.flags,
        WifiFlags(0x9f),
        "state bits are not for setting"
    );
    let mut text = Vec::new();
    Response::Wifi(wifi).write_json(&mut text);
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with(r#"{"wifi":{"ap_ssid":"kiln","sta_ssid":"","flags":159,"#));
    assert!(text.contains(r#""sta_ip_addr":"10.0.0.1""#));
    assert!(!text.contains("secret"));
}

// ---- metadata

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

// ---- images

fn metadata() -> Metadata<'static> {
    Metadata {
        camera: "tCam-Mini-51A0".into(),
        model: Model::MINI_HARDWARE,
        version: "3.2".into(),
        time: "0:00:05.42".into(),
        date: "1/1/-30".into(),
    }
}

fn frame(telemetry: &Telemetry, pixel: impl Fn(usize) -> u16) -> Frame {
    let mut frame = Frame::blank();
    for (index, out) in frame.pixels.iter_mut().enumerate() {
        *out = pixel(index);
    }
    telemetry.encode(&mut frame.telemetry_words);
    frame
}

fn image_text(frame: &Frame) -> String {
    let mut text = Vec::new();
    frame.encode(&metadata(), &mut text);
    String::from_utf8(text).unwrap()
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

// ---- SPI

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

// ---- telemetry and temperatures

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

// ---- CCI

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

// ---- recordings

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

// ---- round trips

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
