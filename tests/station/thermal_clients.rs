//! Port 5001: programs for the camera use the station as if it were one, many at a time (design.md 5).

use std::fs;
use std::io::Write;
use std::net::Shutdown;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::harness::{Setup, Station, eventually};
use super::thermal::{
    ThermalClient, ack, frame_counter, is_image, json, nack, network_camera, networked,
    stubborn_camera, telemetry, text,
};

const GET_IMAGE: &str = r#"{"cmd": "get_image"}"#;
const GET_STATUS: &str = r#"{"cmd": "get_status"}"#;
const GET_CONFIG: &str = r#"{"cmd": "get_config"}"#;
const STREAM_OFF: &str = r#"{"cmd": "stream_off"}"#;
/// More than a frame period of the simulated camera.
const A_FRAME: Duration = Duration::from_millis(300);

fn stream_on(delay_msec: u32, num_frames: u32) -> String {
    format!(
        r#"{{"cmd": "stream_on", "args": {{"delay_msec": {delay_msec}, "num_frames": {num_frames}}}}}"#
    )
}

/// Keys of the text in the order they stand in.
fn in_order(text: &str, keys: &[&str]) -> bool {
    let places: Vec<_> = keys
        .iter()
        .map(|key| text.find(&format!("\"{key}\":")))
        .collect();
    places.iter().all(Option::is_some) && places.is_sorted()
}

#[test]
fn every_request_of_the_python_driver_gets_the_cameras_answer() {
    let station = Setup::small().start();
    let mut client = station.thermal_client();
    let session = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/tcam/driver_session.json"
    );
    let session: Vec<Value> = serde_json::from_slice(&fs::read(session).unwrap()).unwrap();
    let mut answered = 0;
    for step in &session {
        let (call, request) = (&step["call"], step["request_text"].as_str().unwrap());
        let Some(expected) = step["response_text"].as_str() else {
            continue;
        };
        let answer = client.ask(request);
        answered += 1;
        if expected.contains("\"status\":{\"Camera\"") {
            let keys = ["Camera", "Model", "Version", "Time", "Date"];
            assert!(in_order(&answer, &keys), "{answer}");
            assert_eq!(json(&answer)["status"]["Camera"], "tCam-Mini-51A0");
            assert_eq!(json(&answer)["status"]["Model"], 0x41002);
        } else {
            assert_eq!(answer, expected, "{call}");
        }
    }
    assert!(answered >= 15, "{answered}");
    client.send(GET_IMAGE);
    assert!(telemetry(&client.image()).tlinear_enabled);
    client.send(&stream_on(0, 1));
    assert_eq!(text(&client.packet()), ack("stream_on"));
    client.image();
    assert!(client.is_silent(A_FRAME));
    station.stop();
}

#[test]
fn a_command_of_every_client_may_wait_for_the_camera() {
    let station = Setup::small().start();
    let mut clients: Vec<_> = (0..48).map(|_| station.thermal_client()).collect();
    for client in &mut clients {
        client.send(GET_CONFIG);
    }
    for client in &mut clients {
        let answer = client.answer();
        assert!(json(&answer)["config"].is_object(), "{answer}");
    }
    station.stop();
}

#[test]
fn an_image_goes_out_byte_for_byte_as_it_came() {
    // Keys in another order, one more, white space where the camera has none.
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/tcam/spi_synth_extreme.spi.bin"
    );
    let spi = fs::read(file).unwrap();
    let end = spi.iter().rposition(|&byte| byte == b'}').unwrap();
    let mut object: Value = serde_json::from_slice(&spi[1..=end]).unwrap();
    object["zoo"] = "\u{e4} \\ \"".into();
    let image = format!("\x02{} \x03", object.to_string().replacen(':', " : ", 1)).into_bytes();
    let station = networked(stubborn_camera(image.clone()));
    let mut client = station.thermal_client();
    client.send(&stream_on(0, 1));
    assert_eq!(text(&client.packet()), ack("stream_on"));
    assert!(client.image() == image);
    client.send(GET_IMAGE);
    assert!(client.image() == image);
    let block = station.client().block("THER:IMAG? JSON");
    assert!(block == image[1..image.len() - 1]);
    station.stop();
}

#[test]
fn each_client_has_a_stream_of_its_own() {
    /// More than two frame periods of this camera.
    const FRAMES_TIME: Duration = Duration::from_millis(60);
    let (camera, _) = network_camera(20);
    let station = networked(camera.address());
    let (mut one, mut two) = (station.thermal_client(), station.thermal_client());
    assert_eq!(one.ask(&stream_on(0, 0)), ack("stream_on"));
    let first = one.counters(3);
    assert!(first.is_sorted_by(|a, b| a < b), "{first:?}");
    // One image for the second client leaves the first one's stream alone.
    two.send(GET_IMAGE);
    two.image();
    assert!(two.is_silent(FRAMES_TIME));
    one.counters(2);
    // A counted stream is exactly that long, and a new one replaces the old one.
    two.send(&stream_on(0, 1000));
    two.send(&stream_on(90, 3));
    assert_eq!(two.answer(), ack("stream_on"));
    assert_eq!(two.answer(), ack("stream_on"));
    let counted = two.counters(3);
    assert!(
        counted.windows(2).all(|pair| pair[1] >= pair[0] + 2),
        "{counted:?}"
    );
    assert!(two.is_silent(FRAMES_TIME));
    // Its own stream_off and get_image end the first one's stream.
    assert_eq!(one.ask(STREAM_OFF), ack("stream_off"));
    assert!(one.is_silent(FRAMES_TIME));
    assert_eq!(one.ask(&stream_on(0, 0)), ack("stream_on"));
    one.counters(1);
    one.send(GET_IMAGE);
    while !one.is_silent(FRAMES_TIME) {
        one.image();
    }
    // Without arguments: every frame, without end.
    assert_eq!(one.ask(r#"{"cmd":"stream_on"}"#), ack("stream_on"));
    one.counters(2);
    station.stop();
}

#[test]
fn settings_are_shared_and_outlive_their_client() {
    let station = Setup::small().tcam("emissivity = 90").start();
    let mut one = station.thermal_client();
    let set = r#"{"cmd": "set_config", "args": {"emissivity": 55, "gain_mode": 1}}"#;
    assert_eq!(one.ask(set), ack("set_config"));
    drop(one);
    let mut two = station.thermal_client();
    let config = r#"{"config":{"agc_enabled":0,"emissivity":55,"gain_mode":1}}"#;
    assert_eq!(two.ask(GET_CONFIG), config);
    assert_eq!(station.client().query("THER:CONF?"), "0,55,LOW");
    let set =
        r#"{"cmd":"set_time","args":{"sec":1,"min":2,"hour":3,"dow":4,"day":5,"mon":6,"year":60}}"#;
    assert_eq!(two.ask(set), ack("set_time"));
    drop(two);
    let status = json(&station.thermal_client().ask(GET_STATUS));
    assert_eq!(status["status"]["Date"], "6/5/30");
    // Back to the configuration, for all.
    station.client().command("*RST");
    assert_eq!(station.client().query("THER:CONF?"), "0,90,HIGH");
    station.stop();
}

#[test]
fn what_is_no_command_gets_the_cameras_own_words() {
    let station = Setup::small().start();
    let mut other = station.thermal_client();
    let mut client = station.thermal_client();
    let info = |value: u8, text: &str| {
        format!("{{\"cam_info\":{{\"info_value\":{value},\"info_string\":\"{text}\"}}}}")
    };
    let not_json = info(3, "Couldn't convert json string");
    let no_command = info(2, "Json string wasn't command");
    let unknown = info(2, "Unknown command in json string");
    let unsupported = info(2, "Unsupported command in json string");
    for (request, answer) in [
        ("", &not_json),
        ("{", &not_json),
        ("hello", &not_json),
        ("{\"cmd\":\"get_status\"", &not_json),
        ("{}", &no_command),
        ("[]", &no_command),
        ("7", &no_command),
        ("{\"cmd\":7}", &no_command),
        ("{\"cmd\":\"GET_STATUS\"}", &unknown),
        ("{\"cmd\":\"reboot\"}", &unknown),
        ("{\"cmd\":\"take_picture\"}", &unsupported),
        ("{\"cmd\":\"poweroff\"}", &unsupported),
        ("{\"cmd\":\"set_time\"}", &nack("set_time")),
        ("{\"cmd\":\"set_config\"}", &nack("set_config")),
        (
            "{\"cmd\":\"set_config\",\"args\":{\"gain_mode\":-1}}",
            &nack("set_config"),
        ),
        (
            "{\"cmd\":\"set_spotmeter\",\"args\":{\"r1\":1}}",
            &nack("set_spotmeter"),
        ),
        (
            "{\"cmd\":\"get_lep_cci\",\"args\":{\"command\":1}}",
            &nack("get_lep_cci"),
        ),
        (
            "{\"cmd\":\"get_lep_cci\",\"args\":{\"command\":514,\"length\":513}}",
            &nack("get_lep_cci"),
        ),
        ("{\"cmd\":\"set_wifi\",\"args\":{}}", &nack("set_wifi")),
        (
            "{\"cmd\":\"set_wifi\",\"args\":{\"ap_pw\":\"short\"}}",
            &nack("set_wifi"),
        ),
        (
            "{\"cmd\":\"fw_update_request\",\"args\":{\"length\":1,\"version\":\"9\"}}",
            &unsupported,
        ),
        (
            "{\"cmd\":\"fw_segment\",\"args\":{\"start\":0,\"length\":3,\"data\":\"AAAA\"}}",
            &unsupported,
        ),
        // Keys in any case, further ones, text after the object.
        ("{\"CMD\":\"stream_off\",\"x\":1} tail", &ack("stream_off")),
    ] {
        assert_eq!(client.ask(request), *answer, "{request}");
    }
    // Invalid UTF-8, junk outside of packets, two packets in one write.
    client.send_bytes(b"\x02\xff\xfe\x03junk\x02{\"cmd\":\"stream_off\"}\x03");
    assert_eq!(client.answer(), not_json);
    assert_eq!(client.answer(), ack("stream_off"));
    assert!(other.is_silent(Duration::from_millis(50)));
    assert_eq!(other.ask(STREAM_OFF), ack("stream_off"));
    station.stop();
}

#[test]
fn a_request_may_come_in_any_pieces() {
    let station = Setup::small().start();
    let mut client = station.thermal_client();
    let request = format!("\x02{GET_CONFIG}\x03");
    let expected = client.ask(GET_CONFIG);
    for at in 1..request.len() {
        client.send_bytes(&request.as_bytes()[..at]);
        client.send_bytes(&request.as_bytes()[at..]);
        assert_eq!(client.answer(), expected);
    }
    for byte in request.bytes() {
        client.send_bytes(&[byte]);
    }
    assert_eq!(client.answer(), expected);
    station.stop();
}

#[test]
fn a_packet_without_end_is_refused_and_costs_no_memory() {
    let station = Setup::small().start();
    let mut client = station.thermal_client();
    // The longest that the camera takes, then one byte more.
    let padded = |length: usize| format!("{STREAM_OFF}{}", " ".repeat(length - STREAM_OFF.len()));
    assert_eq!(client.ask(&padded(12_287)), ack("stream_off"));
    let not_json =
        "{\"cam_info\":{\"info_value\":3,\"info_string\":\"Couldn't convert json string\"}}";
    assert_eq!(client.ask(&padded(12_288)), not_json);
    assert_eq!(client.ask(STREAM_OFF), ack("stream_off"));
    let before = resident_kb(&station);
    client.send_bytes(b"\x02");
    for _ in 0..256 {
        client.send_bytes(&[b'x'; 65_536]);
    }
    client.send_bytes(b"\x03");
    assert_eq!(client.answer(), not_json);
    assert_eq!(client.ask(STREAM_OFF), ack("stream_off"));
    let grown = resident_kb(&station).saturating_sub(before);
    assert!(grown < 2048, "{grown} KiB for 16 MiB without end");
    station.stop();
}

#[test]
fn a_flood_of_requests_is_answered_in_order_and_holds_up_nobody() {
    let station = Setup::small().start();
    let mut flood = station.thermal_client();
    let mut other = station.thermal_client();
    let mut sender = flood.stream().try_clone().unwrap();
    let count = 20_000;
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..count / 100 {
                let packets = "\x02{\"cmd\":\"stream_off\"}\x03\x02\x03".repeat(50);
                sender.write_all(packets.as_bytes()).unwrap();
            }
        });
        for _ in 0..20 {
            assert_eq!(other.ask(STREAM_OFF), ack("stream_off"));
        }
        for _ in 0..count / 2 {
            assert_eq!(flood.answer(), ack("stream_off"));
            assert!(flood.answer().contains("Couldn't convert"));
        }
    });
    station.stop();
}

#[test]
fn the_hardware_link_answers_wifi_by_itself_and_the_camera_never_hears_of_it() {
    let station = Setup::small().start();
    let mut client = station.thermal_client();
    station.client().command("SYST:TRAC:STAT ON");
    let get = r#"{"cmd": "get_wifi"}"#;
    let factory = "{\"wifi\":{\"ap_ssid\":\"tCam-Mini-51A0\",\"sta_ssid\":\"\",\"flags\":15,\
                   \"ap_ip_addr\":\"192.168.4.1\",\"sta_ip_addr\":\"192.168.4.2\",\
                   \"sta_netmask\":\"255.255.255.0\",\"cur_ip_addr\":\"192.168.4.1\"}}";
    assert_eq!(client.ask(get), factory);
    let set =
        r#"{"cmd": "set_wifi", "args": {"sta_ssid": "LAN", "sta_pw": "12345678", "flags": 129}}"#;
    assert_eq!(client.ask(set), ack("set_wifi"));
    assert_eq!(client.ask(get), factory);
    assert_eq!(
        client.ask(GET_CONFIG),
        r#"{"config":{"agc_enabled":0,"emissivity":98,"gain_mode":0}}"#
    );
    let trace = station.client().json("SYST:TRAC? tcam").to_string();
    assert!(
        trace.contains("get_config") && !trace.contains("wifi"),
        "{trace}"
    );
    station.stop();
}

#[test]
fn requests_before_the_camera_is_ready_are_held() {
    let station = Setup::small().start();
    let mut client = station.thermal_client_at_once();
    client.send(GET_STATUS);
    client.send(&stream_on(0, 2));
    assert_eq!(json(&client.answer())["status"]["Camera"], "tCam-Mini-51A0");
    assert_eq!(client.answer(), ack("stream_on"));
    client.counters(2);
    station.stop();
    // Nobody there, nobody coming: an answer after 1.5 s.
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = nowhere.local_addr().unwrap();
    drop(nowhere);
    let station = networked(host);
    let mut client = station.thermal_client_at_once();
    let asked = Instant::now();
    assert_eq!(client.ask(GET_CONFIG), nack("get_config"));
    let waited = asked.elapsed();
    assert!(waited >= Duration::from_millis(1_400), "{waited:?}");
    assert_eq!(station.client().refused("THER:CONF?"), -241);
    station.stop();
}

#[test]
fn after_a_half_close_what_was_asked_for_is_still_sent() {
    let station = Setup::small().start();
    let mut client = station.thermal_client();
    client.send(GET_CONFIG);
    client.send(GET_IMAGE);
    client.stream().shutdown(Shutdown::Write).unwrap();
    assert!(text(&client.packet()).contains("emissivity"));
    client.image();
    assert_eq!(client.packet_or_end(), None);
    let mut client = station.thermal_client();
    client.send(&stream_on(0, 3));
    client.stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(text(&client.packet()), ack("stream_on"));
    client.counters(3);
    assert_eq!(client.packet_or_end(), None);
    // The camera rests when the last stream has ended.
    eventually("the end of the stream", || {
        station.client().json("THER:STAT?")["subscribers"] == 0
    });
    station.stop();
}

/// Resident memory of a station, KiB.
fn resident_kb(station: &Station) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", station.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kb = line.unwrap().split_whitespace().nth(1).unwrap();
    kb.parse().unwrap()
}

#[test]
fn thirty_two_clients_and_one_that_does_not_read() {
    const FRAMES: usize = 150;
    let (camera, _) = network_camera(12);
    let station = networked(camera.address());
    let mut deaf = station.thermal_client();
    rustix::net::sockopt::set_socket_recv_buffer_size(deaf.stream(), 4096).unwrap();
    assert_eq!(deaf.ask(&stream_on(0, 0)), ack("stream_on"));
    let started = Barrier::new(31);
    let seen: Vec<(Vec<u32>, u64)> = thread::scope(|scope| {
        let clients: Vec<_> = (0..31)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = station.thermal_client_at_once();
                    assert_eq!(client.ask(&stream_on(0, 0)), ack("stream_on"));
                    started.wait();
                    let mut memory = 0;
                    let mut seen = Vec::with_capacity(FRAMES);
                    for n in 0..FRAMES {
                        let packet = client.packet();
                        assert!(is_image(&packet));
                        seen.push(frame_counter(&packet));
                        if n == FRAMES / 2 {
                            memory = resident_kb(&station);
                        }
                    }
                    (seen, memory)
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    // Whatever the camera sent to anybody has come to everybody who was there.
    let first = seen.iter().map(|(seen, _)| seen[0]).max().unwrap();
    let last = seen.iter().map(|(seen, _)| seen[FRAMES - 1]).min().unwrap();
    let common = |seen: &[u32]| -> Vec<u32> {
        let within = seen.iter().filter(|frame| (first..=last).contains(*frame));
        within.copied().collect()
    };
    let reference = common(&seen[0].0);
    assert!(reference.len() > FRAMES / 2, "{}", reference.len());
    for (seen, _) in &seen {
        assert_eq!(common(seen), reference);
    }
    let dropped = station.counter("tcam", "dropped");
    assert!(dropped > 0, "the deaf client lost nothing");
    let (early, late) = (seen[0].1, resident_kb(&station));
    assert!(late < early + 4096, "{early} KiB, then {late} KiB");
    drop(deaf);
    station.stop();
}

#[test]
fn a_client_that_vanishes_takes_its_stream_along() {
    let station = Setup::small().start();
    for _ in 0..5 {
        let mut client: ThermalClient = station.thermal_client();
        assert_eq!(client.ask(&stream_on(0, 0)), ack("stream_on"));
        client.image();
        rustix::net::sockopt::set_socket_linger(client.stream(), Some(Duration::ZERO)).unwrap();
    }
    eventually("the end of the streams", || {
        station.client().json("THER:STAT?")["subscribers"] == 0
    });
    station.stop();
}
