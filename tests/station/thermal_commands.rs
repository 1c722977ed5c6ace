//! `THERmal`: every method of the camera's python driver, by SCPI (tcam.md 13).

use std::fs;
use std::path::Path;
use std::thread;

use outpost::tcam::proto::file::{Record, RecordingReader};
use outpost::tcam::proto::{ImageText, PIXELS};
use outpost::tcam::sim::Network;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::harness::{Client, Setup, Station, eventually};
use super::thermal::{network_camera, networked, stubborn_camera};

const CALIBRATING: u32 = 1;

/// A station whose simulated camera is there.
fn station() -> (Station, Client) {
    let station = Setup::small().start();
    station.wait_for_thermal("ready");
    let client = station.client();
    (station, client)
}

/// The same with a camera that is five times as fast.
fn fast_station() -> (Network, Station, Client) {
    let (camera, _) = network_camera(23);
    let station = networked(camera.address());
    station.wait_for_thermal("ready");
    let client = station.client();
    (camera, station, client)
}

fn real(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("{text}"))
}

fn data(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tcam");
    fs::read(folder.join(name)).unwrap()
}

/// A station whose camera shows one known picture for ever, and what is to be seen on it.
fn with_picture(name: &str) -> (Station, Value) {
    let expected: Value = serde_json::from_slice(&data(&format!("{name}.expected.json"))).unwrap();
    let length = expected["spi"]["packet_bytes_with_delimiters"].as_u64();
    let mut packet = data(&format!("{name}.spi.bin"));
    packet.truncate(length.unwrap() as usize);
    let station = networked(stubborn_camera(packet));
    station.wait_for_thermal("ready");
    (station, expected)
}

#[test]
fn status_tells_link_camera_settings_and_stream() {
    let (station, mut client) = station();
    let status = client.json("THER:STAT?");
    assert_eq!(status["link"], "hardware");
    assert_eq!(status["connected"], true);
    assert_eq!(status["camera"], "tCam-Mini-51A0");
    assert_eq!(status["model"], 0x41002);
    assert_eq!(status["version"], "3.2");
    assert_eq!(
        (&status["agc"], &status["emissivity_percent"]),
        (&false.into(), &98.into())
    );
    assert_eq!(status["streaming"], false);
    client.block("THER:IMAG? RAW");
    assert_eq!(client.json("THER:STAT?")["image"]["sequence"], 1);
    station.stop();
}

#[test]
fn an_image_comes_in_four_forms() {
    let (station, expected) = with_picture("spi_synth_lowgain");
    let mut client = station.client();
    let text = client.block("THER:IMAG? JSON");
    assert_eq!(text.len() as u64, expected["json_bytes"].as_u64().unwrap());
    assert!(ImageText::parse(&text).is_ok());
    let raw = client.block("THERmal:IMAGe? raw");
    assert_eq!(raw.len(), PIXELS * 2);
    let digest: String = Sha256::digest(&raw)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(digest, expected["raw_le_bytes_sha256"].as_str().unwrap());
    let celsius = client.block("THER:IMAG? CELS");
    assert_eq!(celsius.len(), PIXELS * 4);
    for pixel in expected["pixels"].as_array().unwrap() {
        let at = 4 * pixel["index"].as_u64().unwrap() as usize;
        let value = f32::from_le_bytes(celsius[at..at + 4].try_into().unwrap());
        let wanted = pixel["celsius"].as_f64().unwrap();
        assert!(
            (f64::from(value) - wanted).abs() < 0.006,
            "{value}, not {wanted}"
        );
    }
    let png = client.block("THER:IMAG? PNG");
    let decoder = png::Decoder::new(std::io::Cursor::new(&png));
    let reader = decoder.read_info().unwrap();
    assert!(reader.info().width > 640 && reader.info().height > 480);
    assert_eq!(client.refused("THER:IMAG? TIFF"), -224);
    assert_eq!(client.refused("THER:IMAG?"), -109);
    station.stop();
}

#[test]
fn temperatures_are_those_of_the_picture() {
    let (station, expected) = with_picture("spi_synth_lowgain");
    let mut client = station.client();
    let near = |got: &str, wanted: &Value| {
        let (got, wanted) = (real(got), wanted.as_f64().unwrap());
        assert!((got - wanted).abs() < 0.006, "{got}, not {wanted}");
    };
    near(&client.query("THER:TEMP? MIN"), &expected["min_c"]);
    near(&client.query("THER:TEMP? MAXimum"), &expected["max_c"]);
    near(&client.query("THER:TEMP? MEAN"), &expected["mean_c"]);
    near(
        &client.query("THER:TEMP? SPOT"),
        &expected["telemetry"]["spot_mean_c"],
    );
    for pixel in expected["pixels"].as_array().unwrap() {
        let message = format!("THER:TEMP? PIX,{},{}", pixel["col"], pixel["row"]);
        near(&client.query(&message), &pixel["celsius"]);
    }
    for (message, error) in [
        ("THER:TEMP? PIX,160,0", -222),
        ("THER:TEMP? PIX,0,120", -222),
        ("THER:TEMP? PIX,-1,0", -222),
        ("THER:TEMP? PIX,1", -109),
        ("THER:TEMP? MIN,1,1", -108),
        ("THER:TEMP? HOT", -224),
    ] {
        assert_eq!(client.refused(message), error, "{message}");
    }
    station.stop();
}

#[test]
fn telemetry_is_told_in_units() {
    let (station, expected) = with_picture("spi_synth_lowgain");
    let (told, wanted) = (station.client().json("THER:TEL?"), &expected["telemetry"]);
    for (path, key) in [
        ("/uptime_ms", "uptime_ms"),
        ("/frame_counter", "frame_counter"),
        ("/frame_mean_counts", "frame_mean"),
        ("/revision", "revision"),
        ("/fpa_celsius", "fpa_temp_c"),
        ("/housing_celsius", "housing_temp_c"),
        ("/kelvin_per_count", "tlinear_resolution_k"),
        ("/tlinear", "tlinear_enabled"),
        ("/flux/emissivity_percent", "emissivity_pct"),
        ("/ffc/state", "status_ffc_state_name"),
        ("/ffc/uptime_ms", "uptime_last_ffc_ms"),
        ("/status/bits", "status"),
        ("/gain/high_to_low_celsius", "gain_thr_high_to_low_c"),
        ("/gain/low_to_high_percent", "gain_pop_low_to_high_pct"),
        ("/spot/mean_celsius", "spot_mean_c"),
        ("/spot/max_celsius", "spot_max_c"),
        ("/spot/population_pixels", "spot_population"),
        ("/spot/area/r1", "spot_row1"),
        ("/spot/area/c2", "spot_col2"),
    ] {
        let told = told.pointer(path).unwrap_or(&Value::Null);
        match (told.as_f64(), wanted[key].as_f64()) {
            (Some(told), Some(wanted)) => assert!((told - wanted).abs() < 0.006, "{path} {told}"),
            _ => assert_eq!(told, &wanted[key], "{path}"),
        }
    }
    assert_eq!(
        (&told["pixels"], &told["gain"]["mode"]),
        (&"temperature".into(), &"low".into())
    );
    station.stop();
}

#[test]
fn settings_have_queries_of_the_same_shape() {
    let (station, mut client) = station();
    assert_eq!(client.query("THER:CONF:AGC?;EMIS?;GAIN?"), "0;98;HIGH");
    for (message, all) in [
        ("THER:CONF:EMIS 40", "0,40,HIGH"),
        ("THER:CONF:EMIS 95PCT", "0,95,HIGH"),
        ("THER:CONF:EMIS MIN", "0,1,HIGH"),
        ("THER:CONF:GAIN LOW", "0,1,LOW"),
        ("THER:CONF:GAIN AUTO", "0,1,AUTO"),
        ("THER:CONF:AGC ON", "1,1,AUTO"),
        ("THER:CONF:AGC 0;EMIS DEF", "0,98,AUTO"),
        ("THER:CONF ON,77,LOW", "1,77,LOW"),
    ] {
        client.command(message);
        assert_eq!(client.query("THER:CONF?"), all, "{message}");
    }
    assert_eq!(
        client.query("THER:CONF:EMIS? MIN;EMIS? MAX;EMIS? DEF"),
        "1;100;98"
    );
    for (message, error) in [
        ("THER:CONF:EMIS 0", -222),
        ("THER:CONF:EMIS 101", -222),
        ("THER:CONF:GAIN MEDIUM", -224),
        ("THER:CONF:AGC MAYBE", -224),
        ("THER:CONF 1,2", -109),
    ] {
        assert_eq!(client.refused(message), error, "{message}");
    }
    assert_eq!(client.query("THER:CONF?"), "1,77,LOW");
    client.command("*RST");
    assert_eq!(client.query("THER:CONF?"), "0,98,HIGH");
    station.stop();
}

#[test]
fn agc_has_pictures_and_no_temperatures() {
    let (station, mut client) = station();
    client.command("THER:CONF:AGC ON");
    // One or two frames may carry the old state.
    eventually("AGC", || client.json("THER:TEL?")["pixels"] == "agc");
    let (number, text) = client.refusal("THER:IMAG? CELS");
    assert!(number == -221 && text.contains("AGC is on"), "{text}");
    for of in ["MIN", "MAX", "MEAN", "PIX,1,1"] {
        assert_eq!(client.refused(&format!("THER:TEMP? {of}")), -221, "{of}");
    }
    // The spot meter goes on.
    assert!((0.0..100.0).contains(&real(&client.query("THER:TEMP? SPOT"))));
    assert!(client.block("THER:IMAG? PNG").starts_with(b"\x89PNG"));
    let raw = client.block("THER:IMAG? RAW");
    assert!(raw.chunks_exact(2).all(|count| count[1] == 0));
    client.command("THER:CONF:AGC OFF");
    eventually("temperatures", || {
        client.json("THER:TEL?")["pixels"] == "temperature"
    });
    station.stop();
}

#[test]
fn the_spot_meter_goes_where_it_is_sent() {
    let (station, mut client) = station();
    assert_eq!(client.query("THER:SPOT?"), "79,80,59,60");
    client.command("THER:SPOT 10,20,30,40");
    assert_eq!(client.query("THER:SPOT?"), "10,20,30,40");
    let spot = client.json("THER:TEL?")["spot"].clone();
    assert_eq!(
        spot["area"].to_string(),
        r#"{"c1":10,"c2":20,"r1":30,"r2":40}"#
    );
    assert_eq!(spot["population_pixels"], 11 * 11);
    for message in [
        "THER:SPOT 10,10,30,40",
        "THER:SPOT 20,10,30,40",
        "THER:SPOT 10,20,40,40",
        "THER:SPOT 0,160,0,1",
        "THER:SPOT 0,1,0,120",
    ] {
        assert_eq!(client.refused(message), -222, "{message}");
    }
    assert_eq!(client.query("THER:SPOT?"), "10,20,30,40");
    station.stop();
}

#[test]
fn the_cameras_clock_is_set_and_read() {
    let (station, mut client) = station();
    // The station set it.
    let now = jiff::Timestamp::now().to_string();
    assert_eq!(client.query("THER:TIME?")[1..14], now[..13]);
    client.command("THER:TIME '2031-06-05T03:02:01'");
    assert!(
        client
            .query("THER:TIME?")
            .starts_with("\"2031-06-05T03:02:0")
    );
    client.command("THER:TIME '2031-06-05T03:02:01+02:00'");
    assert!(
        client
            .query("THER:TIME?")
            .starts_with("\"2031-06-05T01:02:0")
    );
    client.command("THER:TIME");
    assert_eq!(client.query("THER:TIME?")[1..11], now[..10]);
    for (message, error) in [
        ("THER:TIME 'tomorrow'", -224),
        ("THER:TIME '1969-12-31T00:00:00Z'", -222),
        ("THER:TIME '2226-01-01T00:00:00Z'", -222),
        ("THER:TIME 12", -128),
    ] {
        assert_eq!(client.refused(message), error, "{message}");
    }
    station.stop();
}

#[test]
fn registers_are_read_run_and_written() {
    let (station, mut client) = station();
    assert_eq!(client.query("THER:CCI:READ? #H4ECC,4"), "6,59,79,60,80");
    client.send(
        [
            b"THER:CCI:WRIT #H4ECD,#18".as_slice(),
            &[1, 0, 2, 0, 3, 0, 4, 0],
            b"\n",
        ]
        .concat(),
    );
    assert_eq!(client.errors(), Vec::<String>::new());
    assert_eq!(client.query("THER:CCI:READ? #H4ECC,4"), "6,1,2,3,4");
    assert_eq!(client.query("THER:SPOT?"), "2,4,1,3");
    assert_eq!(client.query("THER:CCI:READ? #H0202,0"), "6");
    for (message, error) in [
        ("THER:CCI:READ? 65536,1", -222),
        ("THER:CCI:READ? 514,513", -222),
        ("THER:CCI:WRIT 514,#13abc", -220),
        ("THER:CCI:WRIT 514", -109),
    ] {
        assert_eq!(client.refused(message), error, "{message}");
    }
    station.stop();
}

#[test]
fn a_flat_field_correction_is_an_operation() {
    let (station, mut client) = station();
    let before = client.json("THER:TEL?")["ffc"]["uptime_ms"].clone();
    client.send("THER:FFC;:STAT:OPER:COND?\n");
    assert_eq!(
        client.line().parse::<u32>().unwrap() & CALIBRATING,
        CALIBRATING
    );
    assert_eq!(client.query("*OPC?"), "1");
    assert_eq!(
        client.query("STAT:OPER:COND?").parse::<u32>().unwrap() & CALIBRATING,
        0
    );
    let after = client.json("THER:TEL?")["ffc"].clone();
    assert_ne!(after["uptime_ms"], before);
    assert_eq!(after["state"], "complete");
    assert!(client.query("SYST:JOB:STAT? 1").contains(",DONE,100,0"));
    station.stop();
}

#[test]
fn a_connection_has_a_stream_to_fetch_images_from() {
    let (_camera, station, mut client) = fast_station();
    assert_eq!(client.query("THER:STR?;:THER:STR:COUN?"), "0;0,0");
    assert_eq!(client.refused("THER:STR:IMAG? RAW"), -230);
    client.command("THER:STR ON,0.05,3");
    assert_eq!(client.query("THER:STR?"), "1");
    eventually("images", || client.query("THER:STR:COUN?") == "3,0");
    for _ in 0..3 {
        assert_eq!(client.block("THER:STR:IMAG? RAW").len(), PIXELS * 2);
    }
    assert_eq!(client.refused("THER:STR:IMAG? RAW"), -230);
    assert_eq!(client.query("THER:STR?"), "0");
    // Endless: what is not fetched makes room, and is counted.
    client.command("THER:STR ON");
    eventually("losses", || {
        let count = client.query("THER:STR:COUN?");
        count.starts_with("8,") && !count.ends_with(",0")
    });
    assert_eq!(station.client().query("THER:STR?"), "0");
    client.command("THER:STR OFF");
    assert_eq!(client.query("THER:STR?;:THER:STR:COUN?"), "0;0,0");
    eventually("the camera's rest", || {
        client.json("THER:STAT?")["streaming"] == false
    });
    station.stop();
}

/// Images and metadata times of a recording, which must be whole.
fn recorded(file: &[u8]) -> Vec<String> {
    let mut reader = RecordingReader::new();
    let mut times = Vec::new();
    reader.push(file);
    reader.end();
    while let Some(record) = reader.next() {
        if let Record::Image(text) = record {
            times.push(ImageText::parse(text).unwrap().metadata.time.into_owned());
        }
    }
    let summary = reader.summary();
    assert!(summary.is_complete(), "{summary:?}");
    let info = summary.video_info.as_ref().unwrap();
    assert_eq!(Some(&info.start_time), times.first());
    assert_eq!(Some(&info.end_time), times.last());
    times
}

#[test]
fn a_recording_is_a_job_and_a_file_that_other_programs_read() {
    let (_camera, station, mut client) = fast_station();
    client.command("THER:REC 'oven',6");
    let job = client.query("SYST:JOB:LAST?");
    assert_eq!(client.query("*OPC?"), "1");
    assert!(
        client
            .query(&format!("SYST:JOB:STAT? {job}"))
            .contains("DONE,100")
    );
    assert_eq!(station.files(), ["oven.tmjsn"]);
    let times = recorded(&station.image("oven.tmjsn"));
    assert_eq!(times.len(), 6);
    let listed = client.query("MMEM:CAT?");
    assert!(listed.contains("oven.tmjsn"), "{listed}");
    // An end before its time leaves a shorter recording.
    client.command("THER:REC 'long',1000,0.02");
    let job = client.query("SYST:JOB:LAST?");
    eventually("some images", || {
        let state = client.query(&format!("SYST:JOB:STAT? {job}"));
        state
            .split(',')
            .nth(3)
            .is_some_and(|percent| real(percent) > 0.2)
    });
    client.command(&format!("SYST:JOB:ABOR {job}"));
    assert_eq!(client.query("*OPC?"), "1");
    assert!(
        client
            .query(&format!("SYST:JOB:STAT? {job}"))
            .contains("ABOR")
    );
    assert!(recorded(&station.image("long.tmjsn")).len() >= 3);
    station.stop();
}

#[test]
fn a_recording_that_cannot_be_made_is_refused_at_once() {
    let station = Setup::small().storage("ramdisk_limit_mb = 2").start();
    station.wait_for_thermal("ready");
    let mut client = station.client();
    for (message, error) in [
        ("THER:REC 'big',100", -254),
        ("THER:REC '../up',1", -257),
        ("THER:REC '.hidden',1", -257),
        ("THER:REC '',1", -257),
        ("THER:REC 'a b',1", -257),
        ("THER:REC 'a',0", -222),
        ("THER:REC 'a',1,-1", -222),
        ("THER:REC 'a'", -109),
    ] {
        assert_eq!(client.refused(message), error, "{message}");
    }
    assert_eq!(station.files(), Vec::<String>::new());
    client.command("THER:REC 'small',2;*WAI");
    assert_eq!(client.query("*OPC?"), "1");
    assert_eq!(recorded(&station.image("small.tmjsn")).len(), 2);
    station.stop();
}

#[test]
fn the_network_is_set_on_the_network_link_alone() {
    let (station, mut client) = station();
    for message in [
        "THER:WIFI?",
        "THER:WIFI:ACC 'camera','password'",
        "THER:WIFI:CLI 'lan','password'",
        "THER:WIFI:ADDR",
    ] {
        assert_eq!(client.refused(message), -221, "{message}");
    }
    station.stop();
    let (camera, _faults) = network_camera(114);
    let station = networked(camera.address());
    station.wait_for_thermal("ready");
    let mut client = station.client();
    assert_eq!(client.json("THER:STAT?")["link"], "network");
    assert_eq!(client.json("THER:WIFI?")["ap_ssid"], "tCam-Mini-51A0");
    for (message, error) in [
        ("THER:WIFI:ACC '','password'", -224),
        ("THER:WIFI:CLI 'lan','short'", -224),
        ("THER:WIFI:ADDR '10.0.0.7'", -109),
        ("THER:WIFI:ADDR '10.0.0','255.0.0.0'", -224),
    ] {
        assert_eq!(client.refused(message), error, "{message}");
    }
    client.command("THER:WIFI:CLI 'lan','password','10.0.0.7','255.0.0.0'");
    let wifi = client.json("THER:WIFI?");
    assert_eq!(
        (&wifi["sta_ssid"], &wifi["sta_ip_addr"]),
        (&"lan".into(), &"10.0.0.7".into())
    );
    client.command("THER:WIFI:ADDR");
    client.command("THER:WIFI:ACC 'hot-spot','password'");
    assert_eq!(client.json("THER:WIFI?")["ap_ssid"], "hot-spot");
    station.stop();
}

#[test]
fn any_command_of_the_protocol_can_be_sent() {
    let (station, mut client) = station();
    let config = client.json("THER:COMM? '{\"cmd\":\"get_config\"}'");
    assert_eq!(config["config"]["emissivity"], 98);
    let set = client.json("THER:COMM? '{\"cmd\":\"set_config\",\"args\":{\"emissivity\":50}}'");
    assert_eq!(set["cam_info"]["info_string"], "set_config success");
    assert_eq!(client.query("THER:CONF:EMIS?"), "50");
    for (command, error) in [
        ("{\"cmd\":\"get_image\"}", -221),
        ("{\"cmd\":\"get_wifi\"}", -221),
        ("{\"cmd\":\"set_config\",\"args\":{\"gain_mode\":-1}}", -222),
        (
            "{\"cmd\":\"fw_update_request\",\"args\":{\"length\":1,\"version\":\"1\"}}",
            -203,
        ),
        ("{\"cmd\":\"poweroff\"}", -224),
        ("hello", -224),
    ] {
        assert_eq!(
            client.refused(&format!("THER:COMM? '{command}'")),
            error,
            "{command}"
        );
    }
    station.stop();
}

#[test]
fn a_disabled_camera_is_absent_and_has_no_port() {
    let station = Setup::small().tcam("enabled = false").start();
    assert!(station.tcam.is_none());
    let mut client = station.client();
    for message in [
        "THER:STAT?",
        "THER:IMAG? PNG",
        "THER:FFC",
        "THER:CONF:AGC ON",
        "THER:REC 'a',1",
    ] {
        assert_eq!(client.refused(message), -241, "{message}");
    }
    station.stop();
}

#[test]
fn many_clients_measure_at_once() {
    let (station, _) = station();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = station.client();
                for _ in 0..3 {
                    let celsius = real(&client.query("THER:TEMP? MAX"));
                    assert!((0.0..400.0).contains(&celsius), "{celsius}");
                    assert!(client.query("THER:CONF?").starts_with("0,98"));
                }
            });
        }
    });
    station.stop();
}
