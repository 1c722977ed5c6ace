//! Faults of the camera while it streams: the right counter and health, and images again without a restart of the
//! station (tcam.md 14.6).
//!
//! What has to wait for the camera's own times runs side by side, each with a station of its own.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::harness::{Client, Setup, Station, eventually};
use super::thermal::{ThermalClient, ack, network_camera, networked};

const STREAM_ON: &str = r#"{"cmd":"stream_on"}"#;

/// A station with a client that streams.
fn streaming() -> (Station, Client, ThermalClient) {
    let station = Setup::small().start();
    let mut images = station.thermal_client();
    assert_eq!(images.ask(STREAM_ON), ack("stream_on"));
    images.image();
    let client = station.client();
    (station, client, images)
}

fn health(client: &mut Client) -> Value {
    client.json("SYST:HEAL? tcam")
}

fn counter(client: &mut Client, name: &str) -> u64 {
    let report = health(client);
    report["counters"][name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name}: {report}"))
}

/// Images come, and the camera is well.
fn recovered(client: &mut Client, images: &mut ThermalClient) {
    for _ in 0..2 {
        images.image();
    }
    eventually("good health", || health(client)["state"] == "ready");
}

/// A thread that panics has the scenario's name, and fails the test.
#[test]
fn faults_that_take_the_cameras_own_time() {
    let scenarios: [(&str, fn()); 8] = [
        (
            "damaged images",
            a_damaged_image_is_counted_and_the_next_one_is_good,
        ),
        (
            "harmless",
            what_no_sum_can_see_and_other_small_things_do_no_harm,
        ),
        ("swallowed", || {
            an_answer_that_does_not_come_fails_one_command("swallow-answer")
        }),
        ("late", || {
            an_answer_that_does_not_come_fails_one_command("delay-answer")
        }),
        (
            "restart",
            a_restart_of_the_camera_restores_its_settings_and_the_stream,
        ),
        ("shutter", a_gap_of_the_shutter_is_no_fault),
        (
            "no images",
            a_camera_without_images_is_a_fault_of_the_sensor_until_they_come,
        ),
        (
            "unplugged",
            a_camera_that_is_unplugged_comes_back_with_its_stream,
        ),
    ];
    thread::scope(|scope| {
        for (name, scenario) in scenarios {
            let thread = thread::Builder::new().name(name.into());
            thread.spawn_scoped(scope, scenario).unwrap();
        }
    });
}

fn a_damaged_image_is_counted_and_the_next_one_is_good() {
    let (station, mut client, mut images) = streaming();
    for (fault, name) in [
        ("flip-byte", "checksum_errors"),
        ("drop-byte", "checksum_errors"),
        ("wrong-checksum", "checksum_errors"),
        ("announce-zero", "damaged_images"),
        ("announce-huge", "damaged_images"),
        ("announce-negative", "damaged_images"),
        ("no-arm", "damaged_images"),
    ] {
        let before = counter(&mut client, name);
        client.command(&format!("SIM:FAUL tcam,{fault}"));
        eventually(fault, || counter(&mut client, name) > before);
        recovered(&mut client, &mut images);
        assert_eq!(counter(&mut client, name), before + 1, "{fault}");
    }
    station.stop();
}

fn what_no_sum_can_see_and_other_small_things_do_no_harm() {
    let (station, mut client, mut images) = streaming();
    for fault in [
        "transpose",
        "announce-n",
        "announce-string",
        "glue",
        "split",
        "junk",
        "pause",
    ] {
        client.command(&format!("SIM:FAUL tcam,{fault}"));
        // The faults of answers need one.
        assert_eq!(client.query("THER:CONF:EMIS?"), "98", "{fault}");
        recovered(&mut client, &mut images);
    }
    station.stop();
}

fn an_answer_that_does_not_come_fails_one_command(fault: &str) {
    let (station, mut client, mut images) = streaming();
    let before = counter(&mut client, "timeouts");
    client.command(&format!("SIM:FAUL tcam,{fault}"));
    assert_eq!(client.refused("THER:CONF:EMIS?"), -365, "{fault}");
    assert_eq!(counter(&mut client, "timeouts"), before + 1, "{fault}");
    assert_eq!(client.query("THER:CONF:EMIS?"), "98", "{fault}");
    recovered(&mut client, &mut images);
    station.stop();
}

#[test]
fn messages_nobody_asked_for_answer_nothing() {
    let (station, mut client, mut images) = streaming();
    for (fault, name) in [
        ("unsolicited", "unsolicited"),
        ("bad-utf8", "malformed_packets"),
    ] {
        let before = counter(&mut client, name);
        client.command(&format!("SIM:FAUL tcam,{fault}"));
        assert_eq!(client.query("THER:CONF:EMIS?"), "98", "{fault}");
        assert_eq!(counter(&mut client, name), before + 1, "{fault}");
        images.image();
    }
    station.stop();
}

fn a_restart_of_the_camera_restores_its_settings_and_the_stream() {
    let (station, mut client, mut images) = streaming();
    client.command("THER:CONF 0,66,LOW");
    client.command("THER:SPOT 10,20,30,40");
    client.command("SIM:FAUL tcam,reboot,300");
    let restarts = |client: &mut Client| {
        counter(client, "camera_restarts")
            + counter(client, "resyncs")
            + counter(client, "reconnects")
    };
    eventually("the restart", || restarts(&mut client) > 0);
    images.image();
    eventually("the settings", || {
        client.query("THER:CONF?;:THER:SPOT?") == "0,66,LOW;10,20,30,40"
    });
    recovered(&mut client, &mut images);
    station.stop();
}

fn a_gap_of_the_shutter_is_no_fault() {
    let (station, mut client, mut images) = streaming();
    client.command("SIM:FAUL tcam,ffc-gap,1500");
    for _ in 0..8 {
        images.image();
        assert_eq!(health(&mut client)["state"], "ready");
    }
    station.stop();
}

fn a_camera_without_images_is_a_fault_of_the_sensor_until_they_come() {
    let (station, mut client, mut images) = streaming();
    client.command("SIM:FAUL tcam,no-image,1");
    eventually("the fault", || {
        let report = health(&mut client);
        report["state"] == "degraded" && report.to_string().contains("sensor")
    });
    assert_eq!(client.query("THER:CONF:EMIS?"), "98");
    client.command("SIM:CLE");
    while !images.is_silent(Duration::from_millis(20)) {
        images.image();
    }
    recovered(&mut client, &mut images);
    station.stop();
}

#[test]
fn an_spi_slave_that_died_is_told_and_comes_back() {
    let (station, mut client, mut images) = streaming();
    client.command("SIM:FAUL tcam,spi-dead");
    eventually("the fault", || {
        let report = health(&mut client);
        report["state"] == "degraded" && report.to_string().contains("power")
    });
    client.command("SIM:CLE");
    recovered(&mut client, &mut images);
    station.stop();
}

fn a_camera_that_is_unplugged_comes_back_with_its_stream() {
    let (station, mut client, mut images) = streaming();
    client.command("THER:STR ON,3600");
    client.block("THER:STR:IMAG? RAW");
    // A connection is told from when the station has taken it, which its first answer shows.
    let mut idle = station.client();
    assert_eq!(idle.query("*OPC?"), "1");
    // Without a look into the error queue, where the fault may be at once.
    client.send("SIM:FAUL tcam,vanish\n");
    eventually("the absence", || health(&mut client)["state"] == "failed");
    // Every connection is told of it once (scpi.md 8).
    for connection in [&mut client, &mut idle] {
        let told = connection.errors();
        assert!(told.len() == 1 && told[0].starts_with("-241"), "{told:?}");
    }
    assert_eq!(client.refused("THER:CONF:EMIS?"), -241);
    assert_eq!(client.refused("THER:IMAG? PNG"), -241);
    assert_eq!(client.refused("THER:FFC"), -241);
    assert_eq!(client.refused("THER:STR ON"), -241);
    assert_eq!(client.refused("THER:STR:IMAG? RAW"), -241);
    assert_eq!(client.query("THER:STR?"), "1");
    client.command("SIM:CLE");
    recovered(&mut client, &mut images);
    assert_eq!(client.query("THER:CONF:EMIS?"), "98");
    station.stop();
}

#[test]
fn a_connection_that_closes_in_an_image_is_opened_again() {
    let (camera, faults) = network_camera(50);
    let station = networked(camera.address());
    let mut images = station.thermal_client();
    assert_eq!(images.ask(STREAM_ON), ack("stream_on"));
    images.image();
    let mut client = station.client();
    for fault in ["close", "split", "pause", "junk"] {
        faults.set(fault, None).unwrap();
        images.image();
        recovered(&mut client, &mut images);
    }
    eventually("the reconnection", || {
        counter(&mut client, "reconnects") == 1
    });
    station.stop();
}

#[test]
fn faults_are_refused_by_a_name_that_is_none() {
    let (station, mut client, _images) = streaming();
    assert_eq!(client.refused("SIM:FAUL tcam,hiccup"), -224);
    station.stop();
}
