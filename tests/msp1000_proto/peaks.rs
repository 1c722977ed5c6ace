//! Lines that are known exactly.

use outpost::msp1000::proto::{Calibration, Peak, PeakFinder, Smoothing};

/// Half a nanometer a pixel from 400 nm.
fn line() -> Calibration {
    Calibration::new([0.0, 0.0, 0.5, 400.0]).unwrap()
}

/// Gaussian lines (middle, height, full width at half maximum, in pixels) on a base.
fn lines(base: f64, lines: &[(f64, f64, f64)]) -> Vec<f64> {
    let value = |pixel: f64| {
        let line = |(middle, height, width): &(f64, f64, f64)| {
            height * (-4.0 * std::f64::consts::LN_2 * ((pixel - middle) / width).powi(2)).exp()
        };
        base + lines.iter().map(line).sum::<f64>()
    };
    (0..3648).map(|pixel| value(f64::from(pixel))).collect()
}

fn find(values: &[f64]) -> Vec<Peak> {
    PeakFinder::default().find(values, &line()).unwrap()
}

#[test]
fn a_gaussian_line_is_found_exactly() {
    let peaks = find(&lines(0.0, &[(1000.3, 5000.0, 9.0)]));
    assert_eq!(peaks.len(), 1);
    let peak = peaks[0];
    assert_eq!(peak.pixel, 1000);
    assert!((peak.position - 1000.3).abs() < 1e-6, "{peak:?}");
    assert!((peak.wavelength_nm - 900.15).abs() < 1e-6, "{peak:?}");
    // 9 pixels of half a nanometer, by straight lines between pixels and with the pixel's own height.
    assert!((peak.fwhm_nm.unwrap() - 4.5).abs() < 0.05, "{peak:?}");
}

#[test]
fn the_width_is_taken_above_the_lines_own_base() {
    let peak = find(&lines(2000.0, &[(1000.0, 5000.0, 9.0)]))[0];
    assert!((peak.fwhm_nm.unwrap() - 4.5).abs() < 0.05, "{peak:?}");
    // Savitzky-Golay swings a little below the base beside a line.
    let rise = peak.height - 2000.0;
    assert!((peak.prominence - rise).abs() < 0.02 * rise, "{peak:?}");
}

#[test]
fn small_low_and_close_peaks_are_left_out() {
    let highest = (1000.0, 1000.0, 9.0);
    let pixels = |all: &[(f64, f64, f64)]| -> Vec<usize> {
        find(&lines(0.0, all))
            .iter()
            .map(|peak| peak.pixel)
            .collect()
    };
    assert_eq!(pixels(&[highest, (2000.0, 60.0, 9.0)]), [1000, 2000]);
    assert_eq!(pixels(&[highest, (2000.0, 40.0, 9.0)]), [1000]);
    let raw = PeakFinder {
        smoothing: Smoothing::Off,
        ..PeakFinder::default()
    };
    let mut values = vec![0.0; 3648];
    // Seven pixels apart only the higher one stays, eight apart both do.
    for (pixel, height) in [(100, 10.0), (107, 9.0), (200, 10.0), (208, 9.0)] {
        values[pixel] = height;
    }
    // A step on a shoulder: high enough, but it hardly rises above its valley.
    values[300..320].fill(5.0);
    values[310] = 5.2;
    values[319] = 5.9;
    values[3647] = 8.0;
    let found = raw.find(&values, &line()).unwrap();
    let pixels: Vec<usize> = found.iter().map(|peak| peak.pixel).collect();
    assert_eq!(pixels, [100, 200, 208, 319]);
}

#[test]
fn a_plateau_is_a_peak_in_its_middle() {
    let raw = PeakFinder {
        smoothing: Smoothing::Off,
        ..PeakFinder::default()
    };
    let mut values = vec![0.0; 100];
    values[50..55].fill(3.0);
    let found = raw.find(&values, &line()).unwrap();
    assert_eq!(
        found.iter().map(|peak| peak.pixel).collect::<Vec<_>>(),
        [52]
    );
    assert_eq!(found[0].position, 52.0);
    assert!((found[0].fwhm_nm.unwrap() - 2.5).abs() < 1e-9);
}

#[test]
fn nothing_in_nothing() {
    assert!(find(&vec![0.0; 3648]).is_empty());
    assert!(find(&vec![7.0; 3648]).is_empty());
    assert!(find(&vec![f64::NAN; 3648]).is_empty());
    let rising: Vec<f64> = (0..3648).map(f64::from).collect();
    assert!(find(&rising).is_empty());
    assert!(PeakFinder::default().find(&[], &line()).is_err());
    // Below the offset there is no logarithm: the pixel itself is the position.
    let dip = lines(-9000.0, &[(1000.3, 5000.0, 9.0)]);
    for peak in find(&dip) {
        assert_eq!(peak.position, peak.pixel as f64);
    }
}
