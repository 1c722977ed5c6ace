//! A camera in trouble, as `SIMulate:FAULt` makes it (design.md 2.8; hq-camera.md 17).

use super::harness::{Client, Setup, Station, eventually, number};

/// Silence counts as hanging after 0.1 s and five frames of 0.1 s.
fn station() -> Station {
    let station = Setup::simulated().camera("hang_timeout_s = 0.1").start();
    station.client().command("SRV:IMG:BCLP 32,32");
    station
}

fn capture(client: &mut Client, prefix: &str) {
    client.command(&format!("CAP:SEQFET '{prefix}',(5000,10000),3,0,1;*WAI"));
}

/// All pictures are there, each with the exposure its name says.
fn assert_complete(station: &Station, prefix: &str) {
    let log = String::from_utf8(station.image(&format!("{prefix}_SSCapture.log"))).unwrap();
    assert_eq!(log.lines().count(), 6, "{log}");
    // What is taken again may come after a later exposure.
    for us in [5000, 10000] {
        for n in 0..3 {
            let picture = format!("{prefix}_ss={us}_000{n}.raw;");
            let lines: Vec<&str> = log.lines().filter(|line| line.contains(&picture)).collect();
            assert_eq!(lines.len(), 1, "{picture} in {log}");
            assert!(lines[0].contains(&format!(";sSS:{us};iSS:{us};")), "{log}");
        }
    }
    let pictures = station
        .files()
        .iter()
        .filter(|f| f.starts_with(&format!("{prefix}_ss=")))
        .count();
    assert_eq!(pictures, 6);
}

fn numbers(client: &mut Client) -> Vec<i32> {
    client.errors().iter().map(|entry| number(entry)).collect()
}

#[test]
fn a_camera_that_hangs_once_is_restarted_and_the_capture_succeeds() {
    let station = station();
    let mut client = station.client();
    client.command("SIM:FAUL camera,hang,1");
    capture(&mut client, "H");
    assert_complete(&station, "H");
    assert_eq!(station.counter("camera", "restarts"), 1);
    assert_eq!(station.counter("camera", "hangs"), 1);
    assert_eq!(client.json("SYST:HEAL? camera")["state"], "ready");
    station.stop();
}

#[test]
fn a_camera_that_hangs_for_good_is_told_and_works_again_afterwards() {
    let station = station();
    let (mut client, mut other) = (station.client(), station.client());
    client.command("*CLS;:SIM:FAUL camera,hang");
    client.send("CAP:SEQFET 'H',(5000),3,0,1;*OPC?\n");
    assert_eq!(client.line(), "1");
    assert_eq!(numbers(&mut client), [-365]);
    let health = other.json("SYST:HEAL? camera");
    assert_eq!(health["state"], "degraded", "{health}");
    assert!(
        health["errors"].to_string().contains("after a restart"),
        "{health}"
    );
    assert_eq!(other.errors(), Vec::<String>::new());
    assert_eq!(station.files(), Vec::<String>::new());
    // The dialect answers as well.
    let mut legacy = station.legacy_client();
    assert_eq!(legacy.ask("CAM:CONF:SS 5000"), "nak");
    assert_eq!(legacy.ask("CAP:SEQFET H 5000 1 0.2 1"), "nak");
    other.command("SIM:CLE");
    capture(&mut client, "I");
    assert_complete(&station, "I");
    assert_eq!(legacy.ask("CAM:CONF:SS 5000"), "ack");
    assert_eq!(client.json("SYST:HEAL? camera")["state"], "ready");
    station.stop();
}

#[test]
fn a_camera_that_will_not_start_is_told_and_works_again_afterwards() {
    let station = station();
    let mut client = station.client();
    client.command("*CLS;:SIM:FAUL camera,refuse-start");
    client.send("CAP:SEQFET 'R',(5000),3,0,1;*OPC?\n");
    assert_eq!(client.line(), "1");
    assert_eq!(numbers(&mut client), [-240]);
    assert_eq!(client.refused("CAM:FRAM? RAW"), -240);
    assert_eq!(
        station.legacy_client().ask("CAP:SEQFET R 5000 1 0.2 1"),
        "nak"
    );
    client.command("SIM:CLE");
    capture(&mut client, "R");
    assert_complete(&station, "R");
    station.stop();
}

#[test]
fn damaged_and_lost_frames_are_taken_again() {
    let station = station();
    let mut client = station.client();
    for (prefix, fault) in [("D", "drop-frame,3"), ("B", "bad-status,3")] {
        let before = station.counter("camera", "damaged_frames");
        client.command(&format!("SIM:FAUL camera,{fault}"));
        capture(&mut client, prefix);
        assert_complete(&station, prefix);
        assert_eq!(
            station.counter("camera", "damaged_frames") - before,
            3,
            "{fault}"
        );
    }
    station.stop();
}

#[test]
fn a_frame_of_another_exposure_is_never_a_picture() {
    let station = station();
    let mut client = station.client();
    for (prefix, fault) in [("W", "wrong-exposure,4"), ("L", "late-control,5")] {
        client.command(&format!("SIM:FAUL camera,{fault}"));
        capture(&mut client, prefix);
        assert_complete(&station, prefix);
        client.command("SIM:CLE");
    }
    station.stop();
}

#[test]
fn an_exposure_that_never_comes_ends_the_capture() {
    let station = station();
    let mut client = station.client();
    client.command("*CLS;:SIM:FAUL camera,wrong-exposure,1000000");
    client.send("CAP:SEQFET 'N',(5000),1,0,1;*OPC?\n");
    assert_eq!(client.line(), "1");
    assert_eq!(numbers(&mut client), [-240]);
    client.command("SIM:CLE");
    capture(&mut client, "N");
    assert_complete(&station, "N");
    station.stop();
}

#[test]
fn only_what_is_simulated_takes_faults() {
    let simulated = station();
    let mut client = simulated.client();
    assert_eq!(client.refused("SIM:FAUL camera,no-such-fault"), -224);
    assert_eq!(client.refused("SIM:FAUL kettle,hang"), -224);
    assert_eq!(client.refused("SIM:FAUL bitscope,hang"), -241);
    assert_eq!(client.refused("SIM:FAUL camera,hang,-1"), -222);
    assert_eq!(client.refused("SIM:FAUL camera"), -109);
    simulated.stop();
    let replayed = Setup::small().start();
    let mut client = replayed.client();
    assert_eq!(client.refused("SIM:FAUL camera,hang"), -241);
    replayed.stop();
}

#[test]
fn the_station_stops_in_order_while_the_camera_hangs() {
    let station = Setup::simulated().camera("hang_timeout_s = 60.0").start();
    let mut client = station.client();
    client.command("SIM:FAUL camera,hang;:CAP:SEQFET 'H',(5000),3,0,1");
    station.stop();
}

#[test]
fn exchanges_with_the_camera_can_be_traced() {
    let station = station();
    let mut client = station.client();
    assert_eq!(client.query("SYST:TRAC:STAT?"), "0");
    client.command("SYST:TRAC:STAT ON");
    capture(&mut client, "T");
    let trace = client.json("SYST:TRAC? camera");
    let entries = trace.as_array().unwrap();
    assert!(entries.len() > 12, "{trace}");
    assert!(trace.to_string().contains("10000 us"), "{trace}");
    assert_eq!(client.refused("SYST:TRAC? bitscope"), -241);
    station.stop();
}

#[test]
fn a_camera_that_gives_damaged_frames_alone_is_given_up() {
    let station = station();
    let mut client = station.client();
    client.command("*CLS;:SIM:FAUL camera,bad-status,1000000");
    client.send("CAP:SEQFET 'D',(5000),1,0,0;*OPC?\n");
    assert_eq!(client.line(), "1");
    assert_eq!(numbers(&mut client), [-240]);
    assert_eq!(client.refused("CAM:FRAM? NPY"), -240);
    client.command("SIM:CLE");
    capture(&mut client, "E");
    assert_complete(&station, "E");
    station.stop();
}

#[test]
fn a_reset_gives_up_a_frame_that_does_not_come() {
    let station = Setup::simulated().camera("hang_timeout_s = 60.0").start();
    let (mut waiting, mut other) = (station.client(), station.client());
    other.command("SIM:FAUL camera,hang");
    waiting.send("CAM:FRAM? NPY\nSYST:ERR?\n");
    // Until the frame is being taken there is nothing to give up.
    eventually("the frame is being taken", || {
        other.query("STAT:OPER:COND?") == "16"
    });
    other.command("*RST");
    assert_eq!(number(&waiting.line()), -200);
    other.command("SIM:CLE");
    assert!(!other.block("CAM:FRAM? NPY").is_empty());
    station.stop();
}
