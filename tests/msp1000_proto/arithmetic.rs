//! The rules around the arithmetic: darks, saturation, windows.

use jiff::Timestamp;
use outpost::msp1000::proto::{
    Average, Calibration, Dark, DarkError, OffsetRange, RawFrame, Smoothing, SmoothingError,
};

use crate::support::{assert_close, frame};

fn flat(count: u16) -> RawFrame {
    RawFrame::new(Box::new([count; 3694]))
}

#[test]
fn a_dark_is_refused_at_another_exposure_or_instrument() {
    let range = OffsetRange::default();
    let dark_frame = frame("raw_dark.u16le").remove_bias(&range);
    let time: Timestamp = "2026-11-20T08:00:00Z".parse().unwrap();
    let dark = Dark::new(&dark_frame, 20, time, "42").unwrap();
    assert_eq!(
        (dark.exposure_ms(), dark.time(), dark.serial()),
        (20, time, "42")
    );
    let mut spectrum = frame("raw_light.u16le").remove_bias(&range);
    let before = spectrum.clone();
    let told = spectrum.subtract(&dark, 25, "42").unwrap_err();
    assert_eq!(
        told.to_string(),
        "the dark was taken at 20 ms, the exposure is 25 ms: take a new dark"
    );
    assert!(matches!(
        spectrum.subtract(&dark, 20, "43"),
        Err(DarkError::OtherInstrument { .. })
    ));
    assert_eq!(spectrum, before);
    assert_eq!(dark.check(20, "42"), Ok(()));
    spectrum.subtract(&dark, 20, "42").unwrap();
    assert!(spectrum.dark_subtracted());
    let once = spectrum.clone();
    assert_eq!(
        spectrum.subtract(&dark, 20, "42"),
        Err(DarkError::AlreadySubtracted)
    );
    assert_eq!(spectrum, once);
    // What the vendor's client does: a subtracted spectrum as the next dark.
    assert_eq!(
        Dark::new(&spectrum, 20, time, "42"),
        Err(DarkError::AlreadySubtracted)
    );
}

#[test]
fn saturated_pixels_are_marked_before_anything_is_subtracted() {
    let mut counts = Box::new([1000; 3694]);
    // The first dummy, the first and last active pixels, one below the end of the scale.
    counts[0] = 65_535;
    counts[32] = 65_535;
    counts[33] = 65_534;
    counts[3679] = 65_535;
    let spectrum = RawFrame::new(counts).remove_bias(&OffsetRange::default());
    assert_eq!(spectrum.saturated(), [0, 3647]);
    assert_close(&spectrum.values()[..3], &[64_535.0, 64_534.0, 0.0], 1e-9);
    let mut average = Average::new();
    average.add(&spectrum);
    average.add(&flat(1000).remove_bias(&OffsetRange::default()));
    let mean = average.mean().unwrap();
    assert_eq!(mean.saturated(), [0, 3647]);
    assert_close(&mean.values()[..1], &[64_535.0 / 2.0], 1e-9);
}

#[test]
fn the_offset_is_taken_where_told() {
    let mut counts = Box::new([0; 3694]);
    for (index, count) in counts.iter_mut().enumerate() {
        *count = index as u16;
    }
    let frame = RawFrame::new(counts);
    assert_eq!(frame.offset(&OffsetRange::default()), 23.0);
    assert_eq!(OffsetRange::default().bounds(), (17, 29));
    assert_eq!(frame.offset(&OffsetRange::new(3693, 3693).unwrap()), 3693.0);
    assert_eq!(OffsetRange::new(5, 4), None);
    assert_eq!(OffsetRange::new(17, 3694), None);
    assert_eq!(frame.active()[0], 32);
    assert_eq!(frame.active()[3647], 3679);
    assert_eq!(RawFrame::from_le_bytes(&[0; 7387]), None);
    assert_eq!(RawFrame::from_le_bytes(&[0; 7389]), None);
}

#[test]
fn impossible_windows_are_refused() {
    let values = [1.0; 20];
    let refused = |smoothing: Smoothing| smoothing.apply(&values).unwrap_err();
    for width in [0, 2, 503, usize::MAX] {
        assert_eq!(
            refused(Smoothing::MovingMean { width }),
            SmoothingError::Window(width)
        );
    }
    assert_eq!(
        refused(Smoothing::MovingMean { width: 21 }),
        SmoothingError::TooShort {
            values: 20,
            window: 21
        }
    );
    for (window, order) in [(5, 5), (1, 1), (501, 13)] {
        assert_eq!(
            refused(Smoothing::SavitzkyGolay { window, order }),
            SmoothingError::Order { order, window }
        );
    }
    assert_eq!(
        refused(Smoothing::SavitzkyGolay {
            window: 10,
            order: 2
        }),
        SmoothingError::Window(10)
    );
    let same = Smoothing::Off.apply(&values).unwrap();
    assert_eq!((same.first_pixel, same.values), (0, values.to_vec()));
}

#[test]
fn a_fitted_polynomial_leaves_polynomials_as_they_are() {
    let cubic = |x: f64| 3.0 - 2.0 * x + 0.5 * x * x - 0.01 * x * x * x;
    let values: Vec<f64> = (0..60).map(|x| cubic(f64::from(x))).collect();
    let scale = values
        .iter()
        .fold(0.0_f64, |max, value| max.max(value.abs()));
    for (window, order) in [(5, 3), (11, 3), (59, 3), (21, 5), (59, 12)] {
        let smooth = Smoothing::SavitzkyGolay { window, order };
        let smooth = smooth.apply(&values).unwrap();
        assert_close(&smooth.values, &values, 1e-9 * scale);
    }
    // An order too low for a cubic must change it.
    let flat = Smoothing::SavitzkyGolay {
        window: 11,
        order: 1,
    };
    let bent = flat.apply(&values).unwrap().values;
    assert!((bent[30] - values[30]).abs() > 1e-3);
    let single = Smoothing::SavitzkyGolay {
        window: 1,
        order: 0,
    };
    assert_close(&single.apply(&values).unwrap().values, &values, 1e-12);
}

#[test]
fn calibrations_are_finite() {
    assert!(Calibration::new([0.0, 0.0, 1.0, f64::NAN]).is_none());
    let line = Calibration::new([0.0, 0.0, 0.5, 400.0]).unwrap();
    assert_eq!(line.wavelength_nm(2.5), 401.25);
    assert_eq!(line.coefficients(), [0.0, 0.0, 0.5, 400.0]);
}
