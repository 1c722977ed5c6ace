//! The counter's loop on a clock moved by hand: minutes of counting in moments, with a counter in memory.

use jiff::Timestamp;
use outpost::opcn3::proto::Histogram;
use outpost::opcn3::sim::SimConfig;
use outpost::store::readings::{DatabaseSettings, Flags, StoredReading};

use super::harness::eventually;
use super::particle_rig::{Rig, START};

fn stamps(rows: &[StoredReading]) -> Vec<&str> {
    rows.iter().map(|row| &row.timestamp[11..]).collect()
}

#[test]
fn five_minutes_are_thirty_readings_added_up() {
    let rig = Rig::new(300);
    rig.counting();
    // Supply, silence, fan, laser: the reference's times.
    let started =
        rig.world.clock.utc().as_second() - START.parse::<Timestamp>().unwrap().as_second();
    assert!((12..16).contains(&started), "{started}");
    rig.pass(910);
    assert_eq!(rig.health.counter("gaps"), 0);
    eventually("the rows", || rig.rows_where("n_frames = 30") == 3);
    let rows = rig.end();
    assert_eq!(rows.len(), 3);
    let seconds: Vec<Timestamp> = rows
        .iter()
        .map(|row| {
            format!("{}Z", row.timestamp.replace(' ', "T"))
                .parse()
                .unwrap()
        })
        .collect();
    assert!(
        seconds
            .windows(2)
            .all(|pair| (pair[1] - pair[0]).get_seconds() == 300)
    );
    for row in &rows {
        let period = row.value("sampling_period").unwrap();
        assert!((299.0..302.0).contains(&period), "{period}");
        assert_eq!(
            row.value("sample_flow_rate")
                .map(|flow| (flow * 1e6).round()),
            Some(3.69e6)
        );
    }
    // The fan has run for 30 s when the second reading of the first row ends.
    assert_eq!(
        rows.iter().map(|row| row.flags.0).collect::<Vec<_>>(),
        [1, 0, 0]
    );
}

#[test]
fn rows_of_an_unset_clock_are_flagged_and_gaps_too() {
    let rig = Rig::new(10);
    rig.counting();
    rig.pass(45);
    rig.is_set.set(false);
    rig.pass(10);
    rig.is_set.set(true);
    rig.fault("wrong-checksum", 1);
    rig.pass(20);
    let lost = rig.health.counter("rows_missed") + rig.health.counter("gaps");
    assert!(lost >= 1);
    let rows = rig.end();
    let flags: Vec<u32> = rows.iter().map(|row| row.flags.0).collect();
    assert_eq!(&flags[..2], [1, 1], "{flags:?}");
    assert_eq!(
        flags
            .iter()
            .filter(|flags| **flags == Flags::CLOCK_UNSET.0)
            .count(),
        1
    );
    assert_eq!(flags.last(), Some(&Flags::GAP.0), "{flags:?}");
    // Ten seconds apart but where the damaged reading was the only one.
    let mut expected = stamps(&rows);
    expected.dedup();
    assert_eq!(expected.len(), rows.len());
}

#[test]
fn a_wedged_counter_is_switched_off_and_on() {
    let rig = Rig::new(10);
    rig.counting();
    rig.world.faults.set("stay-busy", None).unwrap();
    rig.until(|rig| rig.supply.borrow().len() == 1);
    assert_eq!(*rig.supply.borrow(), [false]);
    rig.world.faults.clear();
    rig.counting();
    assert_eq!(*rig.supply.borrow(), [false, true]);
    assert_eq!(rig.health.counter("power_cycles"), 1);
    assert_eq!(
        rig.health.counter("busy_timeouts"),
        2,
        "the reading and the reset"
    );
    rig.end();
}

#[test]
fn air_without_particles_restarts_the_counter_where_that_is_asked_for() {
    let clean = Histogram {
        counts: [0; 24],
        mean_time_of_flight: [0; 4],
        sampling_period: 1000,
        sample_flow_rate: 369,
        temperature: 26_214,
        humidity: 32_768,
        pm: [0.0; 3],
        rejected_glitch: 0,
        rejected_long_time_of_flight: 0,
        rejected_ratio: 0,
        rejected_out_of_range: 0,
        fan_revolutions: 0,
        laser_status: 608,
    };
    for (restart_after, restarts) in [(0, false), (3, true)] {
        let config = SimConfig {
            script: vec![clean.encode()],
            ..SimConfig::default()
        };
        let rig = Rig::with(10, config, restart_after, None);
        rig.counting();
        rig.pass(90);
        let report = &rig.book.reports(None)[0];
        let told = report
            .errors
            .iter()
            .filter(|past| past.error.contains("nothing was counted"));
        assert_eq!(told.count() > 0, restarts);
        assert_eq!(rig.health.counter("reconnects"), 0);
        let rows = rig.end();
        // No particles are a reading too.
        assert!(rows.iter().all(|row| row.value("bin_0") == Some(0.0)));
    }
}

#[test]
fn a_queue_that_is_full_loses_rows_and_says_so() {
    let nowhere = DatabaseSettings::new("/proc/nowhere/readings.db");
    let rig = Rig::with(10, SimConfig::default(), 0, Some(nowhere));
    rig.counting();
    rig.pass(100);
    let (rows, lost) = (rig.health.counter("rows"), rig.health.counter("rows_lost"));
    assert!(rows >= 2 && lost >= 3, "{rows} taken, {lost} lost");
    assert_eq!(rig.store.handle().status().lost, lost);
    rig.end();
}

#[test]
fn readings_of_an_interval_are_added_up_whoever_asked_for_them() {
    let rig = Rig::new(30);
    rig.counting();
    let (mut counted, mut asked) = (0.0, 0);
    while rig.health.counter("rows") == 0 {
        let sample = rig.read().unwrap();
        counted += f64::from(sample.histogram.counts[0]);
        asked += 1;
    }
    rig.until(|rig| rig.rows_where("1") == 1);
    let differs =
        "abs(count_0 / volume_ml - bin_0) > 1e-9 OR sampling_period NOT BETWEEN 29 AND 31";
    assert_eq!(rig.rows_where(differs), 0);
    // The last reading asked for may belong to the next row.
    let sum = format!(
        "count_0 > {} AND count_0 <= {counted} + 1000 AND n_frames BETWEEN {} AND {}",
        counted / 2.0,
        asked - 1,
        asked + 1
    );
    assert_eq!(rig.rows_where(&sum), 1, "{counted} in {asked}");
    assert!((25..=31).contains(&asked), "{asked}");
    rig.end();
}
