//! Histograms: every field, what follows from it, and what must be refused.

use outpost::opcn3::proto::{BinEdges, FrameError, Histogram, SizeDistribution};
use serde_json::Value;

use crate::{all_same, frame, json, same};

#[test]
fn every_frame_is_judged_and_read_as_expected() {
    let expected = json("frames-expected.json");
    let expected = expected.as_object().unwrap();
    assert_eq!(expected.len(), 16);
    let mut valid = 0;
    for (name, entry) in expected {
        let bytes = frame(name);
        assert_eq!(bytes.len() as u64, entry["length"], "{name}");
        let wanted = &entry["expected"];
        match Histogram::decode(&bytes) {
            Ok(histogram) => {
                assert_eq!(wanted["valid"], true, "{name}");
                raw_fields(&histogram, wanted);
                scaled_fields(&histogram, wanted);
                concentrations(&histogram, wanted);
                assert_eq!(histogram.encode(), bytes.as_slice(), "{name}");
                valid += 1;
            }
            Err(FrameError::Checksum { received, computed }) => {
                assert_eq!(wanted["valid"], false, "{name}");
                assert_eq!(wanted["checksum_received"], received, "{name}");
                assert_eq!(wanted["checksum_computed"], computed, "{name}");
            }
            Err(FrameError::Length { got, .. }) => {
                assert_eq!(wanted["valid"], false, "{name}");
                assert_eq!(got, bytes.len());
                assert_ne!(got, Histogram::LENGTH);
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
    assert_eq!(valid, 8);
}

fn raw_fields(histogram: &Histogram, wanted: &Value) {
    let numbers = |values: &[u16]| Value::from(values.to_vec());
    assert_eq!(numbers(&histogram.counts), wanted["bins"]);
    assert_eq!(
        numbers(&histogram.mean_time_of_flight.map(u16::from)),
        wanted["mtof_raw"]
    );
    for (value, key) in [
        (histogram.sampling_period, "period_raw"),
        (histogram.sample_flow_rate, "sfr_raw"),
        (histogram.temperature, "temp_raw"),
        (histogram.humidity, "rh_raw"),
        (histogram.rejected_glitch, "reject_glitch"),
        (histogram.rejected_long_time_of_flight, "reject_long_tof"),
        (histogram.rejected_ratio, "reject_ratio"),
        (histogram.rejected_out_of_range, "reject_out_of_range"),
        (histogram.fan_revolutions, "fan_rev_count"),
        (histogram.laser_status, "laser_status"),
    ] {
        assert_eq!(wanted[key], value, "{key}");
    }
    assert_eq!(wanted["total_count"], histogram.total_count());
}

fn scaled_fields(histogram: &Histogram, wanted: &Value) {
    all_same(histogram.mean_time_of_flight_us(), &wanted["mtof_us"]);
    same(histogram.sampling_period_s(), &wanted["period_s"]);
    same(histogram.sample_flow_rate_ml_s(), &wanted["sfr_ml_s"]);
    same(histogram.temperature_c(), &wanted["temp_c"]);
    same(histogram.humidity_percent(), &wanted["rh_pct"]);
    same(histogram.volume_ml(), &wanted["volume_ml"]);
    let finite = histogram.finite_pm();
    for ((pm, finite), key) in histogram
        .pm
        .iter()
        .zip(finite)
        .zip(["pm_a", "pm_b", "pm_c"])
    {
        match wanted[key].as_str() {
            None => same(f64::from(*pm), &wanted[key]),
            Some("nan") => assert!(pm.is_nan() && finite.is_none()),
            Some("inf") => assert!(*pm == f32::INFINITY && finite.is_none()),
            Some(other) => panic!("{other}"),
        }
    }
    assert_eq!(wanted["pm_finite"], finite.iter().all(Option::is_some));
}

fn concentrations(histogram: &Histogram, wanted: &Value) {
    let sizes = SizeDistribution::from(histogram);
    let densities = sizes.dn_dlogd(&BinEdges::default());
    match sizes.number_concentrations() {
        None => {
            for key in [
                "number_conc_per_ml",
                "total_conc_per_ml",
                "dn_dlogdp_per_ml",
            ] {
                assert!(wanted[key].is_null(), "{key}");
            }
            assert!(densities.is_none() && sizes.total_concentration().is_none());
        }
        Some(bins) => {
            all_same(bins, &wanted["number_conc_per_ml"]);
            all_same(densities.unwrap(), &wanted["dn_dlogdp_per_ml"]);
            same(
                sizes.total_concentration().unwrap(),
                &wanted["total_conc_per_ml"],
            );
        }
    }
}

#[test]
fn fahrenheit_is_as_the_maker_rounds_it() {
    let mut histogram = Histogram::decode(&frame("05-cold-dry")).unwrap();
    assert_eq!(histogram.temperature_f(), -49.0);
    histogram.temperature = u16::MAX;
    assert_eq!(histogram.temperature_f(), 298.0);
}

#[test]
fn right_checksums_over_impossible_numbers_are_suspect() {
    let suspect = |name| Histogram::decode(&frame(name)).unwrap().is_suspect();
    assert!(!suspect("01-real-idle-a") && !suspect("03-busy-urban"));
    assert!(suspect("04-saturated") && suspect("08-nan-pm"));
    let mut histogram = Histogram::decode(&frame("03-busy-urban")).unwrap();
    histogram.pm.reverse();
    assert!(histogram.is_suspect(), "PM1 above PM10");
}
