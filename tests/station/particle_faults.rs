//! Faults of counter and bridge: each has its own counter and message, nothing wrong is stored, and all heals without a
//! restart of the station (opc-n3.md 9).
//!
//! What has to wait for the counter's own times runs side by side, each with a station of its own.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use outpost::base::clock::Clock;
use outpost::bus::pty::Pty;
use outpost::opcn3::proto::Status;
use outpost::opcn3::sim::{Counter, Faults, SimConfig};
use outpost::usbiss::sim::{Bridge, Port};

use super::harness::{Client, Setup, Station, eventually, short_folder};
use super::particle::{counter, health, numbers};

const GAP: u64 = 4;

fn started() -> (Station, Client) {
    let station = Setup::small().opc("interval_s = 1").start();
    let client = station.wait_for_particles();
    (station, client)
}

/// Sends a message. Faults that earlier ones caused may wait in the error queue.
fn tell(client: &mut Client, message: &str) {
    client.send(format!("{message}\n"));
    client.errors();
}

/// The errors of a reading that fails.
fn failing(client: &mut Client) -> String {
    client.errors();
    client.send("PART:READ?\n");
    client.errors().join(" ")
}

/// Readings come, and the counter is well.
fn recovered(client: &mut Client) {
    eventually("good health", || {
        health(client)["state"] == "ready" && client.json("PART:INFO?")["phase"] == "counting"
    });
    assert_eq!(numbers(&client.query("PART:PM?")).len(), 3);
}

/// A thread that panics has the scenario's name, and fails the test.
#[test]
fn faults_that_take_the_counters_own_time() {
    let scenarios: [(&str, fn()); 9] = [
        ("checksum", a_damaged_reading_is_a_gap_and_never_stored),
        ("bridge", each_fault_of_the_bridge_is_counted_and_heals),
        ("busy", a_counter_that_stays_busy_is_reset),
        ("power", a_counter_that_lost_its_power_is_started_again),
        ("absent", no_counter_behind_the_bridge_is_told),
        ("vanish", a_bridge_that_vanishes_comes_back),
        ("laser", a_weak_laser_and_a_stuck_fan_are_told),
        ("strange", a_port_that_is_no_bridge_is_left_alone),
        ("off", fan_and_laser_are_off_at_every_end),
    ];
    thread::scope(|scope| {
        for (name, scenario) in scenarios {
            let thread = thread::Builder::new().name(name.into());
            thread.spawn_scoped(scope, scenario).unwrap();
        }
    });
}

fn a_damaged_reading_is_a_gap_and_never_stored() {
    let (station, mut client) = started();
    for (n, fault) in ["wrong-checksum", "flip-bit", "drop-byte"]
        .iter()
        .enumerate()
    {
        let before = counter(&mut client, "crc_errors");
        tell(&mut client, &format!("SIM:FAUL opc,{fault}"));
        eventually(fault, || counter(&mut client, "crc_errors") > before);
        recovered(&mut client);
        assert_eq!(counter(&mut client, "crc_errors"), before + 1, "{fault}");
        assert_eq!(counter(&mut client, "gaps"), n as u64 + 1, "{fault}");
    }
    assert_eq!(counter(&mut client, "reconnects"), 0);
    let is_gap = |row: &serde_json::Value| row["flags"].as_u64().unwrap() & GAP == GAP;
    eventually("rows with the gaps", || {
        station
            .particle_rows(1)
            .iter()
            .filter(|row| is_gap(row))
            .count()
            == 3
    });
    let wrong: i64 = station
        .database()
        .query_row(
            "SELECT count(*) FROM Readings WHERE abs(bin_0 * volume_ml - count_0) > 1e-6 OR sample_flow_rate <> 3.69
             OR temp NOT BETWEEN 15 AND 30 OR last_status <> 608 OR sampling_period > 5",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(wrong, 0);
    // Somebody who waits is told.
    tell(&mut client, "SIM:FAUL opc,wrong-checksum,3");
    let entry = failing(&mut client);
    assert!(
        entry.contains("-240,") && entry.contains("checksum"),
        "{entry}"
    );
    station.stop();
}

fn each_fault_of_the_bridge_is_counted_and_heals() {
    let (station, mut client) = started();
    for (fault, name) in [
        ("nack", "nacks"),
        ("reset-bridge", "nacks"),
        ("short-answer", "bridge_silent"),
        ("garbage", "bridge_errors"),
        ("bad-poll,70", "bad_polls"),
    ] {
        let before = counter(&mut client, name);
        tell(&mut client, &format!("SIM:FAUL opc,{fault}"));
        eventually(fault, || counter(&mut client, name) > before);
        tell(&mut client, "SIM:CLE");
        recovered(&mut client);
    }
    assert!(counter(&mut client, "gaps") >= 4);
    station.stop();
}

fn a_counter_that_stays_busy_is_reset() {
    let (station, mut client) = started();
    tell(&mut client, "SIM:FAUL opc,stay-busy");
    eventually("a busy counter", || {
        counter(&mut client, "busy_timeouts") == 1
    });
    tell(&mut client, "SIM:CLE");
    recovered(&mut client);
    assert_eq!(counter(&mut client, "counter_resets"), 1);
    assert_eq!(counter(&mut client, "reconnects"), 0);
    station.stop();
}

fn a_counter_that_lost_its_power_is_started_again() {
    let (station, mut client) = started();
    tell(&mut client, "SIM:FAUL opc,power-cycle");
    eventually("the loss", || {
        health(&mut client)["errors"]
            .to_string()
            .contains("lost its supply")
            || counter(&mut client, "reconnects") > 0
    });
    recovered(&mut client);
    station.stop();
}

fn no_counter_behind_the_bridge_is_told() {
    let (station, mut client) = started();
    tell(&mut client, "SIM:FAUL opc,answer-ff");
    eventually("no counter", || counter(&mut client, "no_counter") == 1);
    let report = health(&mut client);
    assert!(
        report["errors"].to_string().contains("no particle counter"),
        "{report}"
    );
    assert!(failing(&mut client).contains("-241,"));
    tell(&mut client, "SIM:CLE");
    recovered(&mut client);
    station.stop();
}

fn a_bridge_that_vanishes_comes_back() {
    let (station, mut client) = started();
    tell(&mut client, "SIM:FAUL opc,vanish,300");
    eventually("the loss", || counter(&mut client, "unplugged") > 0);
    recovered(&mut client);
    // Another board takes its place.
    tell(&mut client, "SIM:FAUL opc,other-module;FAUL opc,nack");
    eventually("the other board", || {
        counter(&mut client, "wrong_device") > 0
    });
    eventually("its failure", || health(&mut client)["state"] == "failed");
    let report = health(&mut client);
    assert!(
        report["reason"].as_str().unwrap().contains("no USB-ISS"),
        "{report}"
    );
    tell(&mut client, "SIM:CLE");
    recovered(&mut client);
    station.stop();
}

fn a_weak_laser_and_a_stuck_fan_are_told() {
    let (station, mut client) = started();
    for (fault, text) in [("weak-laser", "laser status 300"), ("fan-stuck", "fan")] {
        tell(&mut client, &format!("SIM:FAUL opc,{fault}"));
        eventually(fault, || {
            let report = health(&mut client);
            report["state"] == "degraded" && report["reason"].as_str().unwrap().contains(text)
        });
        tell(&mut client, "SIM:CLE");
        recovered(&mut client);
    }
    // Without flow there is no concentration, but there is a row.
    let nulls: i64 = station
        .database()
        .query_row(
            "SELECT count(*) FROM Readings WHERE bin_0 IS NULL AND volume_ml = 0",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert!(nulls >= 1);
    station.stop();
}

fn a_port_that_is_no_bridge_is_left_alone() {
    let folder = short_folder();
    let link = folder.path().join("silent");
    let _pty = Pty::open(Some(&link)).unwrap();
    let station = Setup::small()
        .opc("link = \"usb-iss\"")
        .opc(&format!("tty = \"{}\"", link.display()))
        .start();
    let mut client = station.client();
    eventually("a verdict", || counter(&mut client, "bridge_silent") > 0);
    eventually("the failure", || health(&mut client)["state"] == "failed");
    let entry = failing(&mut client);
    assert!(
        entry.contains("-241,") && entry.contains("answered 0 of 3 bytes"),
        "{entry}"
    );
    station.stop();
}

/// A counter that outlives the station.
fn outer_counter(folder: &std::path::Path) -> (Port, Arc<Mutex<Counter>>) {
    let counter = Counter::new(SimConfig::default(), Faults::none(), Duration::ZERO);
    let counter = Arc::new(Mutex::new(counter));
    let slave = counter.clone();
    let slave = move |byte, now| slave.lock().unwrap().transfer(byte, now);
    let bridge = Bridge::new(Box::new(slave), Box::new(|_| None));
    let port = Port::start(Clock::real(), bridge, &folder.join("tty")).unwrap();
    (port, counter)
}

fn fan_and_laser_are_off_at_every_end() {
    let folder = short_folder();
    let (port, counter) = outer_counter(folder.path());
    let status = || -> Status { counter.lock().unwrap().status() };
    let setup = || {
        Setup::small()
            .opc("link = \"usb-iss\"")
            .opc(&format!("tty = \"{}\"", port.path().display()))
    };
    let station = setup().start();
    station.wait_for_particles();
    assert!(status().fan_on && status().laser_on);
    let left = station.kill();
    assert!(status().laser_on, "nobody could switch it off");
    // First thing at the next start.
    let station = setup().start_in(left);
    eventually("the laser off", || !status().laser_on);
    station.wait_for_particles();
    assert!(status().laser_on);
    // Unplugged and back: what runs is left running.
    port.unplug();
    let mut client = station.client();
    eventually("the loss", || health(&mut client)["state"] == "failed");
    port.plug();
    recovered(&mut client);
    assert!(status().laser_on);
    station.stop();
    assert!(!status().laser_on && !status().fan_on);
}
