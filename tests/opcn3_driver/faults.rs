//! Each fault of the counter: a distinct error, nothing wrong returned, and well again afterwards.

use outpost::opcn3::driver::OpcError;
use outpost::opcn3::proto::{Command, FrameError, HandshakeError, SizeDistribution};
use outpost::opcn3::sim::{FAULTS, SimConfig};

use crate::Station;

fn running() -> Station {
    let mut station = Station::new(SimConfig::default());
    station.switch_on();
    station.wait(10);
    station
}

#[test]
fn damaged_replies_are_refused_and_the_next_is_right() {
    for fault in ["flip-bit", "wrong-checksum", "drop-byte", "extra-byte"] {
        for seed in 0..20 {
            let mut station = Station::new(SimConfig {
                seed,
                ..SimConfig::default()
            });
            station.switch_on();
            station.wait(10);
            station.set(fault, 1);
            let failed = station.run(Command::Histogram).unwrap_err();
            assert!(
                matches!(failed, OpcError::Frame(FrameError::Checksum { .. })),
                "{fault}: {failed}"
            );
            assert!(failed.to_string().contains("reading lost"));
            assert_eq!(station.opc.raw_reply().len(), 86);
            station.wait(10);
            let next = station.histogram();
            assert!(next.total_count() > 0 && !next.is_suspect(), "{fault}");
            station.set(fault, 1);
            assert!(station.run(Command::Pm).is_err(), "{fault}");
        }
    }
}

#[test]
fn a_dead_line_is_no_counter() {
    for (fault, line) in [("answer-ff", 0xff), ("answer-00", 0x00)] {
        let mut station = running();
        station.faults.set(fault, None).unwrap();
        let failed = station.run(Command::Histogram).unwrap_err();
        let OpcError::Handshake(HandshakeError::NoCounter { byte }) = failed else {
            panic!("{failed}");
        };
        assert_eq!(byte, line);
        assert!(failed.to_string().contains("5 V supply"));
        station.faults.clear();
        station.histogram();
    }
}

#[test]
fn faults_of_the_unit_show_in_its_readings() {
    let mut station = running();
    station.set("fan-stuck", 1);
    let stuck = station.histogram();
    assert_eq!((stuck.sample_flow_rate, stuck.total_count()), (0, 0));
    assert_eq!(SizeDistribution::from(&stuck).total_concentration(), None);
    station.wait(10);
    station.set("weak-laser", 1);
    assert_eq!(station.histogram().laser_status, 300);
    station.wait(10);
    station.set("nan-pm", 1);
    let odd = station.histogram();
    assert!(odd.is_suspect() && odd.finite_pm()[1..] == [None, None]);
    station.wait(10);
    let well = station.histogram();
    assert!(!well.is_suspect() && well.sample_flow_rate == 369 && well.laser_status == 608);
}

#[test]
fn a_counter_that_lost_its_power_is_off() {
    let mut station = running();
    station.set("power-cycle", 1);
    let status = station.status();
    assert!(!status.fan_on && !status.laser_on);
    station.set("ignore-power", 1);
    let fan = Command::Power(outpost::opcn3::proto::Power::Fan(true));
    station.run(fan).unwrap();
    assert!(!station.status().fan_on, "which is why the status is read");
    station.run(fan).unwrap();
    assert!(station.status().fan_on);
}

#[test]
fn names_are_unique_kebab_case_and_helped() {
    for (index, fault) in FAULTS.iter().enumerate() {
        assert!(
            fault
                .name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'-' || b.is_ascii_digit())
        );
        assert!(!fault.help.is_empty() && !fault.argument.is_empty());
        assert!(FAULTS[..index].iter().all(|other| other.name != fault.name));
    }
}
