//! What counts mean: number concentrations and size distribution.

use std::f64::consts::PI;

use super::configuration::EDGES;
use super::{BINS, Configuration, FrameError, Histogram};

/// Edges of the bins in um, rising.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BinEdges([f64; EDGES]);

impl BinEdges {
    /// The edges of one counter.
    ///
    /// # Errors
    /// [`FrameError::Edges`] when they do not rise from 0.35 to 40 um: use the default instead.
    pub fn of(configuration: &Configuration) -> Result<Self, FrameError> {
        configuration.check_edges()?;
        let um = configuration.bin_edges.map(|raw| f64::from(raw) / 100.0);
        Ok(Self(um))
    }

    /// In um.
    pub fn um(&self) -> &[f64; EDGES] {
        &self.0
    }

    /// Widths of the bins as log10 of upper over lower edge.
    pub fn log_widths(&self) -> [f64; BINS] {
        self.per_bin(|lower, upper| (upper / lower).log10())
    }

    /// Mean diameters of the bins by volume, in um.
    pub fn volume_mean_diameters_um(&self) -> [f64; BINS] {
        self.per_bin(|a, b| ((b.powi(4) - a.powi(4)) / (4.0 * (b - a))).cbrt())
    }

    /// Mass of one particle of each bin in pg, at a density in g/cm3. For plausibility checks only: the counter's own
    /// PM also corrects for what it cannot see.
    pub fn particle_masses_pg(&self, density_g_cm3: f64) -> [f64; BINS] {
        let mass = |diameter_um: f64| PI / 6.0 * density_g_cm3 * diameter_um.powi(3);
        self.volume_mean_diameters_um().map(mass)
    }

    fn per_bin(&self, value: impl Fn(f64, f64) -> f64) -> [f64; BINS] {
        std::array::from_fn(|bin| value(self.0[bin], self.0[bin + 1]))
    }
}

impl Default for BinEdges {
    /// Of the factory's configuration.
    fn default() -> Self {
        Self(
            Configuration::default()
                .bin_edges
                .map(|raw| f64::from(raw) / 100.0),
        )
    }
}

/// Counts in a volume, of one histogram or several added up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SizeDistribution {
    counts: [u32; BINS],
    volume_ml: f64,
}

impl SizeDistribution {
    /// Of these counts in this volume.
    pub fn new(counts: [u32; BINS], volume_ml: f64) -> Self {
        Self { counts, volume_ml }
    }

    /// Number concentrations of the bins in 1/cm3; `None` when no volume was sampled.
    pub fn number_concentrations(&self) -> Option<[f64; BINS]> {
        let sampled = self.volume_ml.is_finite() && self.volume_ml > 0.0;
        sampled.then(|| self.counts.map(|count| f64::from(count) / self.volume_ml))
    }

    /// Number concentration of all bins in 1/cm3; `None` when no volume was sampled.
    pub fn total_concentration(&self) -> Option<f64> {
        self.number_concentrations().map(|bins| bins.iter().sum())
    }

    /// dN/dlogD of the bins in 1/cm3; `None` when no volume was sampled.
    pub fn dn_dlogd(&self, edges: &BinEdges) -> Option<[f64; BINS]> {
        let widths = edges.log_widths();
        self.number_concentrations()
            .map(|bins| std::array::from_fn(|bin| bins[bin] / widths[bin]))
    }
}

impl From<&Histogram> for SizeDistribution {
    fn from(histogram: &Histogram) -> Self {
        Self::new(histogram.counts.map(u32::from), histogram.volume_ml())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_those_of_the_reference() {
        let edges = BinEdges::default();
        assert_eq!(BinEdges::of(&Configuration::default()), Ok(edges));
        let widths = edges.log_widths();
        for (bin, width) in [(0, 0.118690), (9, 0.096910), (12, 0.079181), (23, 0.033858)] {
            assert!(
                (widths[bin] - width).abs() < 5e-7,
                "bin {bin}: {}",
                widths[bin]
            );
        }
        assert!((edges.volume_mean_diameters_um()[0] - 0.4075).abs() < 5e-5);
        // pi/6 * 1.65 * 0.4075^3.
        assert!((edges.particle_masses_pg(1.65)[0] - 0.058_46).abs() < 5e-5);
    }

    #[test]
    fn edges_that_no_counter_has_are_refused() {
        let mut configuration = Configuration::default();
        configuration.bin_edges[3] = 66;
        assert_eq!(BinEdges::of(&configuration), Err(FrameError::Edges));
        configuration = Configuration::default();
        configuration.bin_edges[0] = 0;
        assert_eq!(BinEdges::of(&configuration), Err(FrameError::Edges));
    }
}
