//! The simulated light against the reference, and the state machine without a network.

use std::fs;

use outpost::msp1000::proto::{Calibration, OffsetRange, RawFrame};
use outpost::msp1000::sim::light::{Noise, exact};
use outpost::msp1000::sim::{Faults, Instrument};

fn reference(name: &str) -> RawFrame {
    let path = format!("{}/tests/data/msp1000/{name}", env!("CARGO_MANIFEST_DIR"));
    RawFrame::from_le_bytes(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_light_is_that_of_the_reference() {
    for (name, lamp) in [("raw_light.u16le", true), ("raw_dark.u16le", false)] {
        let exact = exact(20, &Calibration::EXAMPLE, lamp);
        let counts = reference(name);
        let differences = exact
            .iter()
            .zip(counts.counts())
            .map(|(e, c)| f64::from(*c) - e);
        let squares: Vec<f64> = differences.map(|d| d * d).collect();
        let worst = squares.iter().fold(0.0_f64, |max, s| max.max(*s)).sqrt();
        let sigma = (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
        assert!(
            (2.85..3.2).contains(&sigma) && worst < 16.0,
            "{name}: {sigma}, {worst}"
        );
    }
}

#[test]
fn noise_is_new_for_each_frame_and_chosen_by_the_seed() {
    let exact = exact(20, &Calibration::EXAMPLE, false);
    let mut noise = Noise::new(5);
    let (one, two) = (noise.frame(&exact), noise.frame(&exact));
    assert!(one != two);
    assert!(Noise::new(5).frame(&exact) == one);
    assert!(Noise::new(6).frame(&exact) != one);
    let noise: Vec<f64> = one
        .counts()
        .iter()
        .zip(&exact)
        .map(|(c, e)| f64::from(*c) - e)
        .collect();
    let mean = noise.iter().sum::<f64>() / noise.len() as f64;
    let sigma = (noise.iter().map(|n| n * n).sum::<f64>() / noise.len() as f64).sqrt();
    assert!(
        mean.abs() < 0.25 && (2.85..3.2).contains(&sigma),
        "{mean} {sigma}"
    );
    // Both ends of the scale hold.
    let clipped = Noise::new(1).frame(&[vec![-50.0; 1847], vec![1e6; 1847]].concat());
    assert!(clipped.counts()[..1847].iter().all(|count| *count == 0));
    assert!(
        clipped.counts()[1847..]
            .iter()
            .all(|count| *count == 65_535)
    );
}

#[test]
fn the_edges_give_another_offset_to_who_averages_other_counts() {
    let exact = exact(2, &Calibration::EXAMPLE, true);
    assert_eq!(exact[0], 1486.0);
    assert_eq!(exact[15], 1486.0);
    assert_eq!(exact[16], 1520.0);
    assert_eq!(exact[17], 1480.0);
    assert_eq!(exact[28], 1480.0);
    assert_eq!(exact[29], 1535.0);
    assert_eq!(exact[31], 1535.0);
    assert_eq!(exact[3680], 1489.0);
    assert_eq!(exact[3693], 1489.0);
    let frame = Noise::new(1).frame(&exact);
    let default = frame.offset(&OffsetRange::default());
    assert!((default - (1480.0 + 55.0 / 13.0)).abs() < 4.0, "{default}");
}

#[test]
fn control_is_greedy_without_heirs() {
    let mut instrument = Instrument::new(1, Faults::none());
    let (a, b, c) = (
        instrument.connect(),
        instrument.connect(),
        instrument.connect(),
    );
    instrument.set_exposure(b, 30);
    assert_eq!(instrument.exposure_ms(), 2);
    instrument.set_exposure(a, 10);
    assert_eq!(instrument.exposure_ms(), 10);
    instrument.disconnect(b);
    instrument.disconnect(a);
    instrument.set_exposure(c, 40);
    assert_eq!(instrument.exposure_ms(), 40);
    instrument.disconnect(c);
    let (d, e) = (instrument.connect(), instrument.connect());
    instrument.set_exposure(e, 50);
    instrument.set_exposure(d, 60);
    assert_eq!(instrument.exposure_ms(), 50);
}
