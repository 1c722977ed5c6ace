//! The air that the simulated counter draws in: counts with a realistic, falling size spectrum, by a seed.

use std::f64::consts::TAU;

use crate::opcn3::proto::{BINS, BinEdges};

/// Mean number concentrations of the bins in 1/cm3: city air.
const CITY: [f64; BINS] = [
    32.0, 8.0, 3.7, 1.2, 0.8, 0.44, 0.26, 0.18, 0.14, 0.1, 0.06, 0.04, 0.02, 0.012, 0.008, 0.005,
    0.003, 0.002, 0.0014, 0.001, 0.0007, 0.0005, 0.0003, 0.0002,
];
/// g/cm3, of the factory's weighting.
const DENSITY: f64 = 1.65;
/// Upper edges of PM1, PM2.5 and PM10 in um.
const PM_DIAMETERS: [f64; 3] = [1.0, 2.5, 10.0];

#[derive(Debug)]
pub(super) struct Air {
    random: u64,
}

impl Air {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: seed }
    }

    /// What is counted in so many ml, at that time; concentrations swing by a third over ten minutes.
    pub(super) fn count(&mut self, volume_ml: f64, time_s: f64) -> [u16; BINS] {
        let swing = 1.0 + (time_s * TAU / 600.0).sin() / 3.0;
        CITY.map(|mean| self.poisson(mean * swing * volume_ml))
    }

    /// A number in 0..range.
    pub(super) fn below(&mut self, range: usize) -> usize {
        (self.uniform() * range as f64) as usize % range.max(1)
    }

    /// A small whole number of particles for a mean, or a normal one for a large mean.
    fn poisson(&mut self, mean: f64) -> u16 {
        if mean > 50.0 {
            let normal: f64 = (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0;
            return (mean + mean.sqrt() * normal).round().clamp(0.0, 65535.0) as u16;
        }
        let (limit, mut product, mut count) = ((-mean).exp(), self.uniform(), 0);
        while product > limit && count < 200 {
            product *= self.uniform();
            count += 1;
        }
        count
    }

    /// In 0..1, by splitmix64.
    fn uniform(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// PM1, PM2.5 and PM10 in ug/m3 of these counts in so many ml: never a coarser one below a finer one.
pub(super) fn pm(counts: &[u16; BINS], volume_ml: f64) -> [f32; 3] {
    if volume_ml <= 0.0 {
        return [0.0; 3];
    }
    let edges = BinEdges::default();
    let masses = edges.particle_masses_pg(DENSITY);
    PM_DIAMETERS.map(|diameter| {
        // A bin across the diameter counts by the part of it that lies below.
        let mass: f64 = (0..BINS)
            .map(|bin| {
                let (lower, upper) = (edges.um()[bin], edges.um()[bin + 1]);
                let part = ((diameter - lower) / (upper - lower)).clamp(0.0, 1.0);
                f64::from(counts[bin]) * masses[bin] * part
            })
            .sum();
        // pg/cm3 is ug/m3.
        (mass / volume_ml) as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_fall_with_size_and_repeat_with_the_seed() {
        let counts = Air::new(1).count(37.0, 0.0);
        assert_eq!(counts, Air::new(1).count(37.0, 0.0));
        assert_ne!(counts, Air::new(2).count(37.0, 0.0));
        assert!(counts[0] > counts[2] && counts[2] > counts[6] && counts[6] > counts[20]);
        let mean: f64 = (0..200)
            .map(|seed| f64::from(Air::new(seed).count(10.0, 0.0)[3]))
            .sum::<f64>()
            / 200.0;
        // 12 expected in 10 ml; the mean of 200 strays by 0.25.
        assert!((mean - 12.0).abs() < 1.25, "{mean}");
        assert_eq!(Air::new(1).count(0.0, 0.0), [0; BINS]);
    }

    #[test]
    fn pm_is_ordered() {
        for seed in 0..50 {
            let counts = Air::new(seed).count(37.0, seed as f64);
            let [a, b, c] = pm(&counts, 37.0);
            assert!(0.0 < a && a <= b && b <= c && c < 1000.0, "{a} {b} {c}");
        }
        assert_eq!(pm(&[9; BINS], 0.0), [0.0; 3]);
    }
}
