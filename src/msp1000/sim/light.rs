//! What the CCD sees: a lamp with eight lines on a broad glow, the dark current, the electronics' bias and noise.
//!
//! The edges differ on purpose: who averages other counts than the client does gets another offset.

use crate::msp1000::proto::frame::{ACTIVE_PIXELS, FIRST_ACTIVE, PIXELS};
use crate::msp1000::proto::{Calibration, RawFrame};

/// Count of everything without light.
const BIAS: f64 = 1480.0;
/// Standard deviation of every count.
const NOISE: f64 = 3.0;

/// What single counts have more than the bias: first and last index, counts.
const EDGES: [(usize, usize, f64); 4] = [
    (0, 15, 6.0),
    (16, 16, 40.0),
    (29, 31, 55.0),
    (3680, 3693, 9.0),
];

/// Wavelength in nm, height in counts at 10 ms, full width at half maximum in nm.
const LINES: [(f64, f64, f64); 8] = [
    (404.66, 900.0, 1.4),
    (435.83, 2600.0, 1.4),
    (546.07, 3800.0, 1.5),
    (576.96, 1100.0, 1.5),
    (579.07, 1200.0, 1.5),
    (696.54, 700.0, 1.6),
    (763.51, 1500.0, 1.7),
    (811.53, 1900.0, 1.8),
];

/// Counts of a frame before noise and rounding. The exposure is in milliseconds.
pub fn exact(exposure_ms: u32, calibration: &Calibration, lamp: bool) -> Vec<f64> {
    let mut counts = vec![BIAS; PIXELS];
    for (first, last, more) in EDGES {
        counts[first..=last]
            .iter_mut()
            .for_each(|count| *count += more);
    }
    let exposure = f64::from(exposure_ms);
    let active = &mut counts[FIRST_ACTIVE..FIRST_ACTIVE + ACTIVE_PIXELS];
    for (pixel, count) in active.iter_mut().enumerate() {
        let pixel = pixel as f64;
        *count += 0.35 * exposure * (1.0 + 0.1 * (pixel / 211.0).sin());
        if lamp {
            *count += exposure / 10.0 * glow(calibration.wavelength_nm(pixel));
        }
    }
    counts
}

/// The lamp at a wavelength in nm, in counts at 10 ms.
fn glow(wavelength: f64) -> f64 {
    let lines = LINES.iter().map(|(middle, height, width)| {
        let widths = (wavelength - middle) / width;
        height * (-4.0 * std::f64::consts::LN_2 * widths * widths).exp()
    });
    let broad = (wavelength - 600.0) / 140.0;
    lines.sum::<f64>() + 18.0 * (-broad * broad).exp()
}

/// The noise of frame after frame, chosen by a seed.
#[derive(Debug, Clone)]
pub struct Noise {
    state: u64,
}

impl Noise {
    /// The noise that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// One frame of these counts, with new noise.
    pub fn frame(&mut self, counts: &[f64]) -> RawFrame {
        let mut frame = Box::new([0; PIXELS]);
        for (pair, counts) in frame.chunks_mut(2).zip(counts.chunks(2)) {
            let noise = self.normal_pair();
            for ((count, exact), noise) in pair.iter_mut().zip(counts).zip(noise) {
                // The cast clips at both ends.
                *count = (exact + NOISE * noise).round() as u16;
            }
        }
        RawFrame::new(frame)
    }

    /// Two independent values of a normal distribution (Box-Muller).
    fn normal_pair(&mut self) -> [f64; 2] {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * self.uniform()).sin_cos();
        [radius * cosine, radius * sine]
    }

    /// 0 to below 1.
    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
