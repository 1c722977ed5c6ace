//! Faults of counter and bridge: each has its own counter and message, nothing wrong is stored, and all heals without a
//! restart of the station (opc-n3.md 9).
//!
//! The counter's own times are long (2.5 s of silence, 5 s of fan), so the clock is moved by hand; the port is a real
//! one, opened as the program does. One station in real time shows what clients hear of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use outpost::base::clock::Clock;
use outpost::base::health::State;
use outpost::bus::pty::Pty;
use outpost::opcn3::proto::Status;
use outpost::opcn3::sim::{Counter, Faults, SimConfig};
use outpost::store::readings::Flags;
use outpost::usbiss::sim::{Bridge, plug_in};

use super::harness::{Client, Setup, eventually, short_folder};
use super::particle::{counter, health, numbers};
use super::particle_rig::{Rig, World};

fn started() -> Rig {
    let rig = Rig::plugged(World::bridged(), 1);
    rig.counting();
    rig
}

/// Readings come, and the counter is well.
fn recovered(rig: &Rig) {
    rig.until(|rig| rig.health.state() == State::Ready && rig.particles.info().phase == "counting");
    rig.read().unwrap();
}

#[test]
fn a_damaged_reading_is_a_gap_and_never_stored() {
    let rig = started();
    for (n, fault) in ["wrong-checksum", "flip-bit", "drop-byte"]
        .into_iter()
        .enumerate()
    {
        let before = rig.health.counter("crc_errors");
        rig.fault(fault, 1);
        rig.until(|rig| rig.health.counter("crc_errors") > before);
        recovered(&rig);
        assert_eq!(rig.health.counter("crc_errors"), before + 1, "{fault}");
        assert_eq!(rig.health.counter("gaps"), n as u64 + 1, "{fault}");
    }
    assert_eq!(rig.health.counter("reconnects"), 0);
    rig.pass(3);
    let wrong = "abs(bin_0 * volume_ml - count_0) > 1e-6 OR sample_flow_rate <> 3.69 OR temp NOT BETWEEN 15 AND 30
         OR last_status <> 608 OR sampling_period > 2";
    eventually("rows", || rig.rows_where("1") > 5);
    assert_eq!(rig.rows_where(wrong), 0);
    let rows = rig.end();
    let gaps = rows
        .iter()
        .filter(|row| row.flags.0 & Flags::GAP.0 == Flags::GAP.0);
    assert_eq!(gaps.count(), 3);
}

#[test]
fn each_fault_of_the_bridge_is_counted_and_heals() {
    let rig = started();
    for (fault, n, name) in [
        ("nack", 1, "nacks"),
        ("reset-bridge", 1, "nacks"),
        ("short-answer", 1, "bridge_silent"),
        ("garbage", 1, "bridge_errors"),
        ("bad-poll", 70, "bad_polls"),
    ] {
        let before = rig.health.counter(name);
        rig.fault(fault, n);
        rig.until(|rig| rig.health.counter(name) > before);
        rig.world.faults.clear();
        recovered(&rig);
    }
    assert!(rig.health.counter("gaps") >= 4);
    rig.end();
}

#[test]
fn a_counter_that_stays_busy_is_reset() {
    let rig = started();
    rig.fault("stay-busy", None);
    rig.until(|rig| rig.health.counter("busy_timeouts") == 1);
    rig.world.faults.clear();
    recovered(&rig);
    assert_eq!(rig.health.counter("counter_resets"), 1);
    assert_eq!(rig.health.counter("reconnects"), 0);
    rig.end();
}

#[test]
fn a_counter_that_lost_its_power_is_started_again() {
    let rig = started();
    rig.fault("power-cycle", 1);
    rig.until(|rig| rig.has_told("lost its supply") || rig.health.counter("reconnects") > 0);
    recovered(&rig);
    assert!(rig.status().laser_on);
    rig.end();
}

#[test]
fn no_counter_behind_the_bridge_is_told() {
    let rig = started();
    rig.fault("answer-ff", None);
    rig.until(|rig| rig.health.counter("no_counter") == 1);
    assert!(rig.has_told("no particle counter"));
    rig.world.faults.clear();
    recovered(&rig);
    rig.end();
}

#[test]
fn a_bridge_that_vanishes_comes_back() {
    let rig = started();
    rig.fault("vanish", 300);
    rig.until(|rig| rig.health.counter("unplugged") > 0);
    recovered(&rig);
    // Another board takes its place.
    rig.fault("other-module", None);
    rig.fault("nack", 1);
    rig.until(|rig| rig.health.counter("wrong_device") > 0);
    rig.until(|rig| matches!(rig.health.state(), State::Failed { reason, .. } if reason.contains("no USB-ISS")));
    rig.world.faults.clear();
    recovered(&rig);
    rig.end();
}

#[test]
fn a_weak_laser_and_a_stuck_fan_are_told() {
    let rig = started();
    for (fault, text) in [("weak-laser", "laser status 300"), ("fan-stuck", "fan")] {
        rig.fault(fault, None);
        rig.until(
            |rig| matches!(rig.health.state(), State::Degraded { reason } if reason.contains(text)),
        );
        rig.pass(3);
        rig.world.faults.clear();
        recovered(&rig);
    }
    // Without flow there is no concentration, but there is a row.
    eventually("such a row", || {
        rig.rows_where("bin_0 IS NULL AND volume_ml = 0") >= 1
    });
    rig.end();
}

#[test]
fn fan_and_laser_are_off_at_every_end() {
    let rig = started();
    assert!(rig.status().fan_on && rig.status().laser_on);
    let world = rig.kill();
    assert!(world.status().laser_on, "nobody could switch it off");
    // First thing at the next start.
    let rig = Rig::plugged(world, 1);
    rig.until(|rig| !rig.status().laser_on);
    rig.counting();
    assert!(rig.status().laser_on);
    // Unplugged and back: what runs is left running.
    rig.world.port.as_ref().unwrap().unplug();
    rig.until(|rig| matches!(rig.health.state(), State::Failed { .. }));
    rig.world.port.as_ref().unwrap().plug();
    recovered(&rig);
    assert!(rig.status().laser_on);
    // It looks by itself.
    rig.end();
}

/// At the end nobody looks any more: a last command that fails once must not leave the laser on.
#[test]
fn a_last_command_that_fails_is_said_again() {
    for fault in ["wrong-echo", "bad-poll"] {
        let rig = started();
        rig.fault(fault, 1);
        // Looks at laser and fan.
        rig.end();
    }
}

/// The station ends while the bus is down, before it is opened again: fan and laser still run.
#[test]
fn an_end_while_the_bus_is_down_leaves_the_laser_off() {
    let rig = started();
    rig.fault("reset-bridge", 1);
    rig.until(|rig| matches!(rig.health.state(), State::Failed { .. }));
    assert!(rig.status().laser_on);
    rig.end();
}

#[test]
fn clients_are_told_what_is_wrong() {
    let station = Setup::small().opc("interval_s = 1").start();
    let mut client = station.wait_for_particles();
    tell(&mut client, "SIM:FAUL opc,wrong-checksum,3");
    let entry = failing(&mut client);
    assert!(
        entry.contains("-240,") && entry.contains("checksum"),
        "{entry}"
    );
    tell(&mut client, "SIM:CLE;FAUL opc,other-module;FAUL opc,nack");
    eventually("its failure", || {
        let report = health(&mut client);
        report["state"] == "failed" && report["reason"].as_str().unwrap().contains("no USB-ISS")
    });
    assert!(failing(&mut client).contains("-241,"));
    tell(&mut client, "SIM:CLE");
    eventually("the counter", || {
        client.json("PART:INFO?")["phase"] == "counting"
    });
    assert_eq!(numbers(&client.query("PART:PM?")).len(), 3);
    station.stop();
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

#[test]
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

/// The whole program: SIGTERM while the counter starts, its fan on already.
#[test]
fn a_program_that_is_stopped_while_it_starts_leaves_the_laser_off() {
    let folder = short_folder();
    let counter = Counter::new(SimConfig::default(), Faults::none(), Duration::ZERO);
    let counter = Arc::new(Mutex::new(counter));
    let slave = counter.clone();
    let slave = move |byte, now| slave.lock().unwrap().transfer(byte, now);
    let bridge = Bridge::new(Box::new(slave), Box::new(|_| None));
    let port = plug_in(Clock::real(), bridge, &folder.path().join("tty")).unwrap();
    let status = || -> Status { counter.lock().unwrap().status() };
    let station = Setup::small()
        .opc("link = \"usb-iss\"")
        .opc(&format!("tty = \"{}\"", port.path().display()))
        .start();
    eventually("the fan", || status().fan_on);
    station.stop();
    assert!(!status().laser_on && !status().fan_on);
}
