//! Lines in a spectrum: where they are, how high and how wide.
//!
//! Peaks are looked for in a smoothed copy and measured in the spectrum itself: the position is that of the parabola
//! through the logarithms of three values (exact for a Gaussian line), the width that at half of the height above the
//! line's own base.

use super::calibration::Calibration;
use super::smoothing::{Smoothing, SmoothingError};

/// What counts as a peak. The defaults are those of the reference values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PeakFinder {
    /// How the copy is smoothed in which peaks are looked for (default Savitzky-Golay 11, 3). A moving mean leaves out
    /// the spectrum's ends.
    pub smoothing: Smoothing,
    /// Least height, as a part of the smoothed spectrum's maximum (default 0.05).
    pub min_height: f64,
    /// Least rise above the higher of the two valleys beside it, as a part of the maximum (default 0.03).
    pub min_prominence: f64,
    /// Least distance to a higher peak, in pixels (default 8).
    pub min_distance: usize,
}

impl Default for PeakFinder {
    fn default() -> Self {
        Self {
            smoothing: Smoothing::SAVITZKY_GOLAY,
            min_height: 0.05,
            min_prominence: 0.03,
            min_distance: 8,
        }
    }
}

/// A line of a spectrum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peak {
    /// Active pixel of the smoothed maximum.
    pub pixel: usize,
    /// Its place between pixels.
    pub position: f64,
    /// The same as a wavelength, in nm.
    pub wavelength_nm: f64,
    /// Of the smoothed maximum, in counts.
    pub height: f64,
    /// Rise above the higher of the two valleys beside it, in counts.
    pub prominence: f64,
    /// Full width at half maximum, in nm; `None` if the spectrum ends before that.
    pub fwhm_nm: Option<f64>,
}

/// A maximum of the smoothed copy.
struct Candidate {
    at: usize,
    height: f64,
}

impl PeakFinder {
    /// The lines in a spectrum of all active pixels, in the order of their pixels.
    ///
    /// # Errors
    /// The smoothing is impossible.
    pub fn find(
        &self,
        values: &[f64],
        calibration: &Calibration,
    ) -> Result<Vec<Peak>, SmoothingError> {
        let smoothed = self.smoothing.apply(values)?;
        let smooth = &smoothed.values;
        let highest = smooth.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut candidates = maxima(smooth);
        candidates.retain(|peak| peak.height >= self.min_height * highest);
        self.keep_distance(&mut candidates);
        let mut peaks = Vec::new();
        for candidate in candidates {
            let prominence = candidate.height - base(smooth, candidate.at);
            if prominence < self.min_prominence * highest {
                continue;
            }
            let pixel = smoothed.first_pixel + candidate.at;
            let position = pixel as f64 + gaussian_offset(values, pixel);
            let level = candidate.height - prominence;
            let sides = half_width(values, pixel, level);
            let nm = |place| calibration.wavelength_nm(place);
            peaks.push(Peak {
                pixel,
                position,
                wavelength_nm: nm(position),
                height: candidate.height,
                prominence,
                fwhm_nm: sides.map(|(left, right)| (nm(right) - nm(left)).abs()),
            });
        }
        Ok(peaks)
    }

    /// Of two that are too close the higher one stays.
    fn keep_distance(&self, candidates: &mut Vec<Candidate>) {
        let mut order: Vec<usize> = (0..candidates.len()).collect();
        order.sort_by(|a, b| candidates[*b].height.total_cmp(&candidates[*a].height));
        let mut dropped = vec![false; candidates.len()];
        for index in order {
            if dropped[index] {
                continue;
            }
            let at = candidates[index].at;
            let near = |other: &Candidate| other.at.abs_diff(at) < self.min_distance;
            let before = (0..index).rev().take_while(|i| near(&candidates[*i]));
            let behind = (index + 1..candidates.len()).take_while(|i| near(&candidates[*i]));
            before.chain(behind).for_each(|i| dropped[i] = true);
        }
        let mut dropped = dropped.into_iter();
        candidates.retain(|_| !dropped.next().unwrap_or(false));
    }
}

/// Values above both neighbors; of equal ones in a row the middle. The first and the last are none.
fn maxima(values: &[f64]) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut at = 1;
    while at + 1 < values.len() {
        let height = values[at];
        let level = values[at..].iter().take_while(|value| **value == height);
        // A value that is no number equals nothing, not even itself.
        let end = at + level.count().max(1);
        if values[at - 1] < height && values.get(end).is_some_and(|next| *next < height) {
            let at = (at + end - 1) / 2;
            found.push(Candidate { at, height });
        }
        at = end;
    }
    found
}

/// The higher of the lowest values on both sides, each side as far as the next value above the peak.
fn base(values: &[f64], at: usize) -> f64 {
    let lowest = |side: &mut dyn Iterator<Item = &f64>| {
        side.take_while(|value| **value <= values[at])
            .fold(values[at], |lowest, value| lowest.min(*value))
    };
    let left = lowest(&mut values[..at].iter().rev());
    let right = lowest(&mut values[at + 1..].iter());
    left.max(right)
}

/// How far from `pixel` a Gaussian through it and its neighbors has its middle; 0 where there is none.
fn gaussian_offset(values: &[f64], pixel: usize) -> f64 {
    let Some(near) = pixel
        .checked_sub(1)
        .and_then(|first| values.get(first..first + 3))
    else {
        return 0.0;
    };
    let [a, b, c] = [near[0].ln(), near[1].ln(), near[2].ln()];
    let offset = 0.5 * (a - c) / (a - 2.0 * b + c);
    // Beyond the neighbors the three values are no peak; values below the offset have no logarithm.
    if offset.abs() <= 1.0 { offset } else { 0.0 }
}

/// Where the values fall below half of the height of `pixel` above `base`, on both sides, between pixels.
fn half_width(values: &[f64], pixel: usize, base: f64) -> Option<(f64, f64)> {
    let top = *values.get(pixel)?;
    let half = base + (top - base) / 2.0;
    let cross = |inner: usize, outer: usize| {
        let part = (values[inner] - half) / (values[inner] - values[outer]);
        inner as f64 + part * (outer as f64 - inner as f64)
    };
    let left = (0..pixel).rev().find(|at| values[*at] < half)?;
    let right = (pixel + 1..values.len()).find(|at| values[*at] < half)?;
    Some((cross(left + 1, left), cross(right - 1, right)))
}
