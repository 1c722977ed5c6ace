//! Commands and their answers, word for word (reference sections 5, 6 and 10).

use outpost::tcam::proto::response::Response;
use outpost::tcam::sim::{Config, Interface};
use serde_json::Value;

use crate::rig::{Rig, ack, data, info, ms, nack};

const STREAM: &str = r#"{"cmd":"stream_on"}"#;

fn config(text: &str) -> (i64, i64, i64) {
    let value: Value = serde_json::from_str(text).unwrap();
    let number = |key: &str| value["config"][key].as_i64().unwrap();
    (
        number("agc_enabled"),
        number("emissivity"),
        number("gain_mode"),
    )
}

/// Words of a `cci_reg` answer, whose status must be 6.
fn words(text: &str) -> Vec<u16> {
    match Response::decode(text.as_bytes()).unwrap() {
        Response::CciReg(reg) if reg.status.0 == 6 => reg.words,
        other => panic!("{other:?}"),
    }
}

fn get(rig: &mut Rig, command: u16, length: u16) -> Vec<u16> {
    let text =
        format!(r#"{{"cmd":"get_lep_cci","args":{{"command":{command},"length":{length}}}}}"#);
    words(&rig.ask(&text))
}

fn set(rig: &mut Rig, command: u16, words: &[u16]) -> String {
    let data = outpost::tcam::proto::cci::words_to_base64(words);
    let length = words.len();
    rig.ask(&format!(
        r#"{{"cmd":"set_lep_cci","args":{{"command":{command},"length":{length},"data":"{data}"}}}}"#
    ))
}

/// The clock of the vectors is another one, and so is their emissivity.
#[test]
fn the_python_drivers_session_gets_the_answers_of_the_vectors() {
    let text = std::fs::read_to_string(data("driver_session.json")).unwrap();
    let session: Vec<Value> = serde_json::from_str(&text).unwrap();
    let mut rig = Rig::network();
    let mut compared = 0;
    for exchange in &session {
        let call = exchange["call"].as_str().unwrap();
        let Some(expected) = exchange["response_text"].as_str() else {
            continue;
        };
        let answer = rig.ask(exchange["request_text"].as_str().unwrap());
        let expected = match call {
            "get_status()" => {
                r#"{"status":{"Camera":"tCam-Mini-51A0","Model":262146,"Version":"3.2","Time":"0:00:00.0","Date":"1/1/-30"}}"#
            }
            "get_config()" => r#"{"config":{"agc_enabled":0,"emissivity":100,"gain_mode":0}}"#,
            _ => expected,
        };
        assert_eq!(answer, expected, "{call}");
        compared += 1;
    }
    assert!(compared >= 20, "{compared}");
}

#[test]
fn refusals_have_the_firmwares_words() {
    let mut rig = Rig::hardware();
    let cases = [
        ("", info(3, "Couldn't convert json string")),
        ("{\"cmd\":", info(3, "Couldn't convert json string")),
        ("{\"cmd\":5}", info(2, "Json string wasn't command")),
        ("[1]", info(2, "Json string wasn't command")),
        (
            r#"{"cmd":"GET_STATUS"}"#,
            info(2, "Unknown command in json string"),
        ),
        (
            r#"{"cmd":"take_picture"}"#,
            info(2, "Unsupported command in json string"),
        ),
        (
            r#"{"cmd":"dump_screen"}"#,
            info(2, "Unsupported command in json string"),
        ),
        (r#"{"cmd":"set_time","args":{"sec":1}}"#, nack("set_time")),
        (r#"{"cmd":"set_config"}"#, nack("set_config")),
        (
            r#"{"cmd":"set_spotmeter","args":{"r1":1,"c1":1,"r2":3}}"#,
            nack("set_spotmeter"),
        ),
        (
            r#"{"cmd":"get_lep_cci","args":{"command":20172}}"#,
            nack("get_lep_cci"),
        ),
        (
            r#"{"cmd":"set_lep_cci","args":{"command":20173,"length":513,"data":""}}"#,
            nack("set_lep_cci"),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(rig.ask(text), expected, "{text}");
    }
}

#[test]
fn a_command_cut_short_takes_the_next_one_with_it() {
    let mut rig = Rig::hardware();
    rig.send_bytes(b"noise\x02{\"cmd\":\"get_st\x02{\"cmd\":\"get_status\"}\x03");
    assert_eq!(rig.receive_text(), info(3, "Couldn't convert json string"));
    assert!(rig.listen(ms(1000)).is_empty());
}

#[test]
fn keys_are_taken_in_any_case_and_what_follows_is_ignored() {
    let mut rig = Rig::hardware();
    let text = r#"{"CMD":"set_config","Args":{"EMISSIVITY":97.9,"more":[]}} trailing"#;
    assert_eq!(rig.ask(text), ack("set_config"));
    assert_eq!(config(&rig.ask(r#"{"cmd":"get_config"}"#)), (0, 97, 0));
}

#[test]
fn settings_are_clamped_as_in_the_camera() {
    let mut rig = Rig::hardware();
    for (arguments, expected) in [
        (r#""agc_enabled":1"#, (1, 100, 0)),
        (r#""emissivity":0"#, (1, 1, 0)),
        (r#""emissivity":101"#, (1, 100, 0)),
        (r#""gain_mode":9"#, (1, 100, 2)),
        (r#""agc_enabled":-1,"gain_mode":1"#, (0, 100, 1)),
        (r#""gain_mode":-3"#, (0, 100, -3)),
    ] {
        let text = format!(r#"{{"cmd":"set_config","args":{{{arguments}}}}}"#);
        assert_eq!(rig.ask(&text), ack("set_config"));
        assert_eq!(
            config(&rig.ask(r#"{"cmd":"get_config"}"#)),
            expected,
            "{arguments}"
        );
    }
}

#[test]
fn every_emissivity_comes_back_as_it_was_set() {
    let mut rig = Rig::hardware();
    for percent in 1..=100 {
        rig.ask(&format!(
            r#"{{"cmd":"set_config","args":{{"emissivity":{percent}}}}}"#
        ));
        let (_, emissivity, _) = config(&rig.ask(r#"{"cmd":"get_config"}"#));
        assert_eq!(emissivity, percent);
        let word = get(&mut rig, 0x4EBC, 8)[0];
        assert_eq!(i64::from(word), percent * 8192 / 100);
    }
}

#[test]
fn the_clock_starts_in_1970_and_runs_from_what_it_is_set_to() {
    let mut rig = Rig::hardware();
    rig.pass(ms(3012));
    let status = rig.ask(r#"{"cmd":"get_status"}"#);
    // Milliseconds are not padded, and Model tells the interface.
    assert_eq!(
        status,
        r#"{"status":{"Camera":"tCam-Mini-51A0","Model":266242,"Version":"3.2","Time":"0:00:03.12","Date":"1/1/-30"}}"#
    );
    let set = r#"{"cmd":"set_time","args":{"sec":58,"min":59,"hour":23,"dow":4,"day":31,"mon":12,"year":56}}"#;
    let start = rig.now;
    assert_eq!(rig.ask(set), ack("set_time"));
    rig.now = start + ms(2008);
    let status = rig.ask(r#"{"cmd":"get_status"}"#);
    assert!(
        status.contains(r#""Time":"0:00:00.8","Date":"1/1/27""#),
        "{status}"
    );
    // Not checked: null is 0, and 75 seconds are a minute and 15.
    let set = r#"{"cmd":"set_time","args":{"sec":75,"min":null,"hour":5,"dow":0,"day":1,"mon":2,"year":51}}"#;
    let start = rig.now;
    assert_eq!(rig.ask(set), ack("set_time"));
    rig.now = start.max(rig.now);
    let status = rig.ask(r#"{"cmd":"get_status"}"#);
    assert!(status.contains(r#""Time":"5:01:15."#), "{status}");
    assert!(status.contains(r#""Date":"2/1/21""#), "{status}");
}

#[test]
fn answers_come_in_order_within_the_cameras_latency() {
    let mut rig = Rig::hardware();
    let sent = rig.now;
    rig.send(r#"{"cmd":"get_status"}"#);
    rig.send(r#"{"cmd":"get_config"}"#);
    rig.send(r#"{"cmd":"run_ffc"}"#);
    rig.pass(ms(61));
    let texts: Vec<_> = rig.packets.iter().map(|(_, packet)| &packet[..9]).collect();
    assert_eq!(texts, [&b"{\"status\""[..], b"{\"config\"", b"{\"cam_inf"]);
    let late = |at| at - sent;
    assert!(
        rig.packets
            .iter()
            .all(|(at, _)| (ms(5)..=ms(60)).contains(&late(*at)))
    );
}

#[test]
fn registers_show_and_change_the_settings() {
    let mut rig = Rig::hardware();
    assert_eq!(get(&mut rig, 0x4ECC, 4), [59, 79, 60, 80]);
    assert_eq!(
        set(&mut rig, 0x4ECD, &[10, 20, 14, 29]),
        r#"{"cci_reg":{"command":20173,"length":0,"status":6}}"#
    );
    assert_eq!(get(&mut rig, 0x4ECC, 4), [10, 20, 14, 29]);
    // Mean, max, min, population.
    let spot = get(&mut rig, 0x4ED0, 4);
    assert_eq!(spot[3], 50);
    assert!(spot[2] <= spot[0] && spot[0] <= spot[1], "{spot:?}");
    set(&mut rig, 0x0249, &[1, 0]);
    set(&mut rig, 0x0101, &[1, 0]);
    assert_eq!(config(&rig.ask(r#"{"cmd":"get_config"}"#)), (1, 100, 1));
    assert_eq!(get(&mut rig, 0x0248, 2), [1, 0]);
    assert_eq!(get(&mut rig, 0x0100, 2), [1, 0]);
    get(&mut rig, 0x4ED0, 4);
    assert_eq!(get(&mut rig, 0x4EC4, 2), [0, 0]);
    let flux = [8028, 29515, 8192, 29515, 8192, 29515, 0, 29515];
    set(&mut rig, 0x4EBD, &flux);
    assert_eq!(get(&mut rig, 0x4EBC, 8), flux);
    let part = get(&mut rig, 0x481C, 16);
    let part: Vec<u8> = part.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert!(part.starts_with(b"500-0771"));
}

#[test]
fn registers_without_meaning_remember_what_was_written() {
    let mut rig = Rig::hardware();
    assert_eq!(get(&mut rig, 0x4E40, 3), [0, 0, 0]);
    set(&mut rig, 0x4E41, &[7, 8, 9]);
    assert_eq!(get(&mut rig, 0x4E40, 3), [7, 8, 9]);
    // A command to run has no data.
    let ping = rig.ask(r#"{"cmd":"get_lep_cci","args":{"command":514,"length":0}}"#);
    assert_eq!(ping, r#"{"cci_reg":{"command":514,"length":0,"status":6}}"#);
}

#[test]
fn more_than_512_words_are_stale_and_far_more_no_answer() {
    let mut rig = Rig::hardware();
    get(&mut rig, 0x4ECC, 4);
    rig.send(r#"{"cmd":"get_lep_cci","args":{"command":512,"length":600}}"#);
    let answer: Value = serde_json::from_slice(&rig.receive()).unwrap();
    assert_eq!(answer["cci_reg"]["length"], 600);
    assert!(
        answer["cci_reg"]["data"]
            .as_str()
            .unwrap()
            .starts_with("OwBPADwAUA")
    );
    rig.send(r#"{"cmd":"get_lep_cci","args":{"command":512,"length":800}}"#);
    assert!(rig.listen(ms(3000)).is_empty());
}

#[test]
fn answers_beyond_8_kib_are_dropped() {
    let mut rig = Rig::hardware();
    for _ in 0..200 {
        rig.send(r#"{"cmd":"get_status"}"#);
    }
    let answers = rig.listen(ms(1000));
    let bytes: usize = answers.iter().map(|answer| answer.len() + 2).sum();
    assert!((8000..=8192).contains(&bytes), "{bytes}");
}

#[test]
fn wifi_is_for_the_network_alone() {
    let mut rig = Rig::hardware();
    let unsupported = info(2, "Unsupported command in json string");
    assert_eq!(rig.ask(r#"{"cmd":"get_wifi"}"#), unsupported);
    assert_eq!(rig.ask(r#"{"cmd":"set_wifi"}"#), unsupported);
    let mut rig = Rig::new(Config {
        wifi_crashes: true,
        ..Config::new(Interface::Hardware, 1)
    });
    rig.ask(r#"{"cmd":"set_config","args":{"emissivity":90}}"#);
    rig.send(r#"{"cmd":"get_wifi"}"#);
    rig.pass(ms(2900));
    rig.send(r#"{"cmd":"get_status"}"#);
    assert!(rig.listen(ms(200)).is_empty());
    assert_eq!(config(&rig.ask(r#"{"cmd":"get_config"}"#)), (0, 100, 0));
}

#[test]
fn set_wifi_takes_all_or_nothing_and_renames_the_camera() {
    let mut rig = Rig::new(Config {
        wifi_disconnects: true,
        ..Config::new(Interface::Network, 1)
    });
    let bad = r#"{"cmd":"set_wifi","args":{"ap_ssid":"Roof","ap_pw":"short"}}"#;
    assert_eq!(rig.ask(bad), nack("set_wifi"));
    assert!(
        rig.ask(r#"{"cmd":"get_wifi"}"#)
            .contains(r#""ap_ssid":"tCam-Mini-51A0""#)
    );
    let good = r#"{"cmd":"set_wifi","args":{"ap_ssid":"Roof","flags":1}}"#;
    assert_eq!(rig.ask(good), ack("set_wifi"));
    rig.pass(ms(101));
    assert_eq!(
        rig.outputs.last().unwrap().1,
        outpost::tcam::sim::Output::Close
    );
    assert!(
        rig.ask(r#"{"cmd":"get_status"}"#)
            .contains(r#""Camera":"Roof""#)
    );
}

#[test]
fn a_firmware_update_that_nobody_confirms_times_out() {
    let mut rig = Rig::network();
    let request = r#"{"cmd":"fw_update_request","args":{"length":100000,"version":"3.3"}}"#;
    assert_eq!(rig.ask(STREAM), ack("stream_on"));
    rig.send(request);
    let answered = rig.listen(ms(1000));
    assert!(answered.contains(&ack("fw_update_request").into_bytes()));
    // It ended the stream, but for one image that was due.
    assert!(answered.len() <= 3, "{}", answered.len());
    rig.pass(ms(60_000));
    let texts: Vec<_> = rig
        .packets
        .iter()
        .map(|(_, text)| text.as_slice())
        .collect();
    let timed_out = info(6, "Firmware update request timed out");
    assert_eq!(texts, [timed_out.as_bytes()]);
}

#[test]
fn a_command_may_come_in_pieces_of_any_size() {
    let packet = b"\x02{\"cmd\":\"get_config\"}\x03";
    for split in 0..=packet.len() {
        let mut rig = Rig::hardware();
        rig.send_bytes(&packet[..split]);
        rig.pass(ms(100));
        rig.send_bytes(&packet[split..]);
        assert!(rig.receive_text().starts_with("{\"config\""), "{split}");
    }
}

#[test]
fn nothing_that_comes_in_stops_the_camera() {
    let mut rig = Rig::hardware();
    // More than its buffer without an end, then every byte value, then deep nesting.
    rig.send_bytes(&[&[2][..], &[b'x'; 64 * 1024]].concat());
    rig.send_bytes(&(0..=255).collect::<Vec<u8>>().repeat(50));
    rig.send_bytes(&[&[2][..], &[b'['; 12_000], &[3]].concat());
    rig.send(r#"{"cmd":"set_time","args":{"sec":1e300,"min":-1,"hour":999,"dow":0,"day":0,"mon":0,"year":99999}}"#);
    rig.send(r#"{"cmd":"get_lep_cci","args":{"command":-1,"length":-1}}"#);
    rig.send(r#"{"cmd":"stream_on","args":{"delay_msec":1e30,"num_frames":-5}}"#);
    rig.send(r#"{"cmd":"set_spotmeter","args":{"r1":9999,"c1":-9,"r2":-1,"c2":1e9}}"#);
    rig.pass(ms(3000));
    rig.packets.clear();
    assert_eq!(get(&mut rig, 0x4ECC, 4), [118, 0, 119, 159]);
    rig.get_image();
}
