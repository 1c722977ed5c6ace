//! What the simulated unit does with commands (opc-n3.md 4, 8 and 12).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use outpost::bus::spi::{MemorySpi, SpiLink};
use outpost::opcn3::driver::{OpcError, OpcN3, Progress};
use outpost::opcn3::proto::command::Pot;
use outpost::opcn3::proto::handshake::SILENCE;
use outpost::opcn3::proto::{Command, Configuration, Power, Reply, SizeDistribution};
use outpost::opcn3::sim::{Counter, Faults, SimConfig};

use crate::Station;

#[test]
fn it_counts_while_fan_and_laser_are_on() {
    let mut station = Station::new(SimConfig::default());
    station.run(Command::Power(Power::Fan(true))).unwrap();
    station.wait(10);
    let dark = station.histogram();
    assert_eq!((dark.total_count(), dark.laser_status), (0, 0));
    assert_eq!(dark.sample_flow_rate, 369);
    station.run(Command::Power(Power::Laser(true))).unwrap();
    station.histogram();
    station.wait(10);
    let counted = station.histogram();
    // 10 s and the handshake around it.
    assert!(
        (1000..=1010).contains(&counted.sampling_period),
        "{}",
        counted.sampling_period
    );
    assert!((15.0..30.0).contains(&counted.temperature_c()));
    assert!((30.0..60.0).contains(&counted.humidity_percent()));
    assert_eq!(counted.laser_status, 608);
    let total = SizeDistribution::from(&counted)
        .total_concentration()
        .unwrap();
    assert!((30.0..65.0).contains(&total), "{total}");
    assert!(counted.counts[0] > counted.counts[1] && counted.counts[1] > counted.counts[5]);
    assert!(!counted.is_suspect() && counted.pm[0] > 0.0);
    let at_once = station.histogram();
    assert!(at_once.sampling_period < 10 && at_once.total_count() < 20);
    station.run(Command::Power(Power::Laser(false))).unwrap();
    station.run(Command::Power(Power::Fan(false))).unwrap();
    station.histogram();
    station.wait(10);
    let off = station.histogram();
    assert_eq!((off.total_count(), off.sample_flow_rate), (0, 0));
}

#[test]
fn reading_pm_resets_the_histogram() {
    let mut station = Station::new(SimConfig::default());
    station.switch_on();
    station.wait(10);
    let Ok(Reply::Pm(pm)) = station.run(Command::Pm) else {
        panic!("PM");
    };
    let [a, b, c] = pm.values;
    assert!(0.0 < a && a <= b && b <= c);
    let next = station.histogram();
    assert!(next.sampling_period < 10 && next.total_count() < 20);
}

#[test]
fn the_period_stops_at_its_end_and_follows_its_factor() {
    let mut station = Station::new(SimConfig {
        period_factor: 0.5,
        ..SimConfig::default()
    });
    station.histogram();
    station.wait(20);
    let halved = station.histogram();
    assert!((1000..=1010).contains(&halved.sampling_period));
    station.wait(2000);
    assert_eq!(station.histogram().sampling_period, 65535);
}

#[test]
fn a_stray_byte_within_the_polls_stops_the_counting_until_a_reading() {
    let mut station = Station::new(SimConfig::default());
    station.switch_on();
    {
        let mut bench = station.bench.borrow_mut();
        assert_eq!(bench.transfer(0x30), 0x31);
        assert_eq!(bench.transfer(0x12), 0x31);
        assert_eq!(bench.transfer(0x00), 0xf3, "idle again");
    }
    station.wait(10);
    assert!(
        station.histogram().total_count() < 30,
        "what came before the stray byte"
    );
    station.wait(10);
    assert!(station.histogram().total_count() > 500);
}

#[test]
fn the_saved_configuration_survives_a_reset() {
    let mut station = Station::new(SimConfig::default());
    let read = |station: &mut Station| match station.run(Command::ReadConfiguration).unwrap() {
        Reply::Configuration(configuration) => configuration,
        other => panic!("{other:?}"),
    };
    assert_eq!(read(&mut station), Configuration::default());
    let changed = Configuration {
        bin_weightings: [170; 24],
        // Goes by a command of its own.
        weighting_index: 9,
        ..Configuration::default()
    };
    station.run(Command::WriteConfiguration(changed)).unwrap();
    station.run(Command::WeightingIndex(3)).unwrap();
    let expected = Configuration {
        weighting_index: 3,
        ..changed
    };
    assert_eq!(read(&mut station), expected);
    station.run(Command::SaveConfiguration).unwrap();
    station
        .run(Command::WriteConfiguration(Configuration::default()))
        .unwrap();
    station.switch_on();
    station.run(Command::Reset).unwrap();
    assert_eq!(read(&mut station), expected);
    let status = station.status();
    assert!(!status.fan_on && !status.laser_on);
}

#[test]
fn pots_and_gain_show_in_the_status() {
    let mut station = Station::new(SimConfig::default());
    let fresh = station.status();
    assert!(fresh.gain_high && fresh.gain_toggles);
    station.run(Command::Pot(Pot::Fan, 200)).unwrap();
    station.run(Command::Power(Power::HighGain(false))).unwrap();
    station.run(Command::Power(Power::LaserPot(true))).unwrap();
    let status = station.status();
    assert_eq!((status.fan_pot, status.laser_pot), (200, 151));
    assert!(!status.gain_high && !status.gain_toggles);
    assert!(status.laser_dac_on && !status.laser_on);
}

#[test]
fn a_fan_too_slow_to_turn_moves_no_air() {
    let mut station = Station::new(SimConfig::default());
    station.switch_on();
    station.run(Command::Pot(Pot::Fan, 114)).unwrap();
    station.wait(10);
    let still = station.histogram();
    assert_eq!((still.sample_flow_rate, still.total_count()), (0, 0));
}

#[test]
fn the_same_driver_runs_on_a_native_port() {
    let clock = Arc::new(AtomicU64::new(0));
    let now = clock.clone();
    let mut counter = Counter::new(SimConfig::default(), Faults::none(), Duration::ZERO);
    let link = SpiLink::Memory(MemorySpi::new(move |words| {
        for word in words {
            let now = Duration::from_nanos(now.load(Ordering::SeqCst));
            *word = counter.transfer(*word, now);
        }
        Ok(())
    }));
    let mut opc = OpcN3::new(link);
    let wait = |time: Duration| {
        clock.fetch_add(time.as_nanos() as u64, Ordering::SeqCst);
    };
    for command in [
        Command::Power(Power::Fan(true)),
        Command::Power(Power::Laser(true)),
    ] {
        assert_eq!(opc.run(&command, wait).unwrap(), Reply::Done);
    }
    wait(Duration::from_secs(10));
    let reply = opc.run(&Command::Histogram, wait).unwrap();
    assert!(matches!(reply, Reply::Histogram(histogram) if histogram.total_count() > 500));
}

#[test]
fn a_byte_that_the_bus_lost_is_not_sent_again() {
    let sent = Arc::new(AtomicU64::new(0));
    let count = sent.clone();
    let link = SpiLink::Memory(MemorySpi::new(move |words| {
        words.fill([0x31, 0xf3][count.fetch_add(1, Ordering::SeqCst) as usize % 2]);
        match count.load(Ordering::SeqCst) {
            3 => Err(std::io::ErrorKind::Other.into()),
            _ => Ok(()),
        }
    }));
    let mut opc = OpcN3::new(link);
    let failed = opc.run(&Command::Power(Power::Laser(true)), |_| {});
    assert!(matches!(failed, Err(OpcError::Bus(_))), "{failed:?}");
    assert_eq!(opc.advance().unwrap(), Progress::Wait(SILENCE));
    opc.start(&Command::Status);
    assert_eq!(opc.advance().unwrap(), Progress::Wait(SILENCE));
    assert_eq!(sent.load(Ordering::SeqCst), 3);
}

#[test]
fn strings_and_version_agree() {
    let mut station = Station::new(SimConfig {
        serial_number: "123".into(),
        ..SimConfig::default()
    });
    let text = |reply| match reply {
        Reply::Text(text) => text,
        other => panic!("{other:?}"),
    };
    let information = text(station.run(Command::InformationString).unwrap());
    assert_eq!(information.firmware(), Some("1.17a"));
    let serial = text(station.run(Command::SerialString).unwrap());
    assert_eq!(serial.serial_number(), Some("123"));
    let Ok(Reply::Version(version)) = station.run(Command::Version) else {
        panic!("version");
    };
    assert_eq!((version.major, version.minor), (1, 17));
    assert_eq!(station.run(Command::CheckStatus).unwrap(), Reply::Done);
}
