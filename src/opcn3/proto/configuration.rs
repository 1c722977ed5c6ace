//! The configuration: bin edges, weightings and the factory's calibration, 168 bytes without checksum.
//!
//! | offset | type | field |
//! |---|---|---|
//! | 0 | u16 x 25 | bin edges, ADC |
//! | 50 | u16 x 25 | bin edges, 1/100 um |
//! | 100 | u16 x 24 | bin weightings, 1/100 |
//! | 148 | u16 x 3 | PM diameters, 1/100 um |
//! | 154 | u16 | longest time of flight, 1/48 us |
//! | 156 | u16 x 3 | automatic mode: sampling intervals, idle intervals, data arrays a file |
//! | 162 | u8 x 3 | automatic mode: PM only, fan on in idle, laser on in idle |
//! | 165 | u8 | time of flight to flow rate |
//! | 166 | u8 | particle validation period, 1/48 us |
//! | 167 | u8 | bin weighting index: read only, written by a command of its own |

use super::{BINS, FrameError, Writer, exactly, u16_at};

/// Edges of the bins.
pub const EDGES: usize = BINS + 1;

/// The counter's configuration, in its own units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Configuration {
    /// Edges as the converter sees them; differ from unit to unit.
    pub bin_edges_adc: [u16; EDGES],
    /// Edges in 1/100 um.
    pub bin_edges: [u16; EDGES],
    /// Weightings times 100: density and refractive index.
    pub bin_weightings: [u16; BINS],
    /// Diameters of PM A, B and C in 1/100 um.
    pub pm_diameters: [u16; 3],
    /// Longest time of flight in 1/48 us.
    pub max_time_of_flight: u16,
    /// Automatic mode: intervals of sampling.
    pub sampling_interval_count: u16,
    /// Automatic mode: intervals of rest.
    pub idle_interval_count: u16,
    /// Automatic mode: longest file.
    pub max_data_arrays_in_file: u16,
    /// Automatic mode: store PM only.
    pub only_save_pm_data: u8,
    /// Automatic mode: fan runs while resting.
    pub fan_on_in_idle: u8,
    /// Automatic mode: laser is on while resting.
    pub laser_on_in_idle: u8,
    /// Time of flight to flow rate; differs from unit to unit.
    pub time_of_flight_to_flow_rate: u8,
    /// Particle validation period in 1/48 us.
    pub particle_validation_period: u8,
    /// Which weightings are in use, 0 to 9.
    pub weighting_index: u8,
}

impl Configuration {
    /// Bytes of the reply.
    pub const LENGTH: usize = 168;
    /// Bytes that are written: all but the weighting index.
    pub const WRITE_LENGTH: usize = Self::LENGTH - 1;

    /// Reads a reply. It has no checksum: read it twice and compare, then ask [`check_edges`](Self::check_edges).
    ///
    /// # Errors
    /// [`FrameError::Length`].
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let frame: &[u8; Self::LENGTH] = exactly(bytes)?;
        let word = |offset| u16_at(frame, offset);
        Ok(Self {
            bin_edges_adc: std::array::from_fn(|edge| word(2 * edge)),
            bin_edges: std::array::from_fn(|edge| word(50 + 2 * edge)),
            bin_weightings: std::array::from_fn(|bin| word(100 + 2 * bin)),
            pm_diameters: std::array::from_fn(|pm| word(148 + 2 * pm)),
            max_time_of_flight: word(154),
            sampling_interval_count: word(156),
            idle_interval_count: word(158),
            max_data_arrays_in_file: word(160),
            only_save_pm_data: frame[162],
            fan_on_in_idle: frame[163],
            laser_on_in_idle: frame[164],
            time_of_flight_to_flow_rate: frame[165],
            particle_validation_period: frame[166],
            weighting_index: frame[167],
        })
    }

    /// The reply, as the counter sends it. Without its last byte it is what is written.
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let mut frame = [0; Self::LENGTH];
        let mut writer = Writer::new(&mut frame);
        let words = (self.bin_edges_adc.iter())
            .chain(&self.bin_edges)
            .chain(&self.bin_weightings)
            .chain(&self.pm_diameters);
        words.for_each(|word| writer.u16(*word));
        writer.u16(self.max_time_of_flight);
        writer.u16(self.sampling_interval_count);
        writer.u16(self.idle_interval_count);
        writer.u16(self.max_data_arrays_in_file);
        writer.bytes(&[
            self.only_save_pm_data,
            self.fan_on_in_idle,
            self.laser_on_in_idle,
            self.time_of_flight_to_flow_rate,
            self.particle_validation_period,
            self.weighting_index,
        ]);
        frame
    }

    /// Checks that the edges rise strictly from 0.35 to 40 um, as every counter's do.
    ///
    /// # Errors
    /// [`FrameError::Edges`].
    pub fn check_edges(&self) -> Result<(), FrameError> {
        let rising = |edges: &[u16]| edges.is_sorted_by(|lower, upper| lower < upper);
        let [first, .., last] = self.bin_edges;
        match (first, last) {
            (35, 4000) if rising(&self.bin_edges) && rising(&self.bin_edges_adc) => Ok(()),
            _ => Err(FrameError::Edges),
        }
    }

    /// Weightings as factors.
    pub fn weightings(&self) -> [f64; BINS] {
        self.bin_weightings.map(|raw| f64::from(raw) / 100.0)
    }

    /// Diameters of PM A, B and C in um.
    pub fn pm_diameters_um(&self) -> [f64; 3] {
        self.pm_diameters.map(|raw| f64::from(raw) / 100.0)
    }

    /// Longest time of flight in us.
    pub fn max_time_of_flight_us(&self) -> f64 {
        f64::from(self.max_time_of_flight) / 48.0
    }

    /// Particle validation period in us.
    pub fn particle_validation_period_us(&self) -> f64 {
        f64::from(self.particle_validation_period) / 48.0
    }
}

impl Default for Configuration {
    /// As a real unit with firmware 1.17a left the factory (opc-n3.md 6).
    fn default() -> Self {
        Self {
            bin_edges_adc: [
                14, 40, 80, 120, 145, 215, 340, 590, 846, 1363, 2029, 2848, 4119, 5527, 7076, 8624,
                10204, 11815, 13457, 15897, 18305, 20698, 22966, 25140, 27158,
            ],
            bin_edges: [
                35, 46, 66, 100, 130, 170, 230, 300, 400, 520, 650, 800, 1000, 1200, 1400, 1600,
                1800, 2000, 2200, 2500, 2800, 3100, 3400, 3700, 4000,
            ],
            bin_weightings: [165; BINS],
            pm_diameters: [100, 250, 1000],
            max_time_of_flight: 4095,
            sampling_interval_count: 1,
            idle_interval_count: 0,
            max_data_arrays_in_file: 61798,
            only_save_pm_data: 0,
            fan_on_in_idle: 0,
            laser_on_in_idle: 0,
            time_of_flight_to_flow_rate: 56,
            particle_validation_period: 48,
            weighting_index: 2,
        }
    }
}
