//! The histogram: what was counted since the last histogram or PM was read.
//!
//! | offset | type | field |
//! |---|---|---|
//! | 0 | u16 x 24 | counts of bins 0 to 23 |
//! | 48 | u8 x 4 | mean time of flight of bins 1, 3, 5, 7, 1/3 us |
//! | 52 | u16 | sampling period, 1/100 s |
//! | 54 | u16 | sample flow rate, 1/100 ml/s |
//! | 56, 58 | u16 | temperature, relative humidity |
//! | 60 | f32 x 3 | PM A, B, C, ug/m3 |
//! | 72 | u16 x 4 | rejected: glitch, long time of flight, ratio, out of range |
//! | 80 | u16 | fan revolutions |
//! | 82 | u16 | laser status |
//! | 84 | u16 | checksum |

use super::{BINS, FrameError, Writer, crc, exactly, f32_at, u16_at};

/// A count from here on may have stopped or wrapped: read more often.
pub const SUSPECT_COUNT: u16 = 60_000;
/// Laser status of a healthy unit.
pub const LASER_STATUS: std::ops::RangeInclusive<u16> = 550..=650;
/// Above this relative humidity, percent, droplets and grown particles count as large ones.
pub const HUMID_PERCENT: f64 = 85.0;

/// One histogram, in the counter's own units. Its checksum was right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Histogram {
    /// Particles in each bin, in this period.
    pub counts: [u16; BINS],
    /// Mean time of flight of the particles in bins 1, 3, 5 and 7, in 1/3 us.
    pub mean_time_of_flight: [u8; 4],
    /// 1/100 s; stops at 655.35 s.
    pub sampling_period: u16,
    /// 1/100 ml/s. Without particles it stays at a default.
    pub sample_flow_rate: u16,
    /// 0 for -45, 65535 for 130 degrees Celsius; of the board, some degrees above the air's.
    pub temperature: u16,
    /// 0 for 0, 65535 for 100 % relative humidity.
    pub humidity: u16,
    /// PM A, B and C, ug/m3: 1, 2.5 and 10 um unless configured otherwise. NaN and infinite values do come.
    pub pm: [f32; 3],
    /// Rejected: shorter than a particle can be.
    pub rejected_glitch: u16,
    /// Rejected: slower than a particle can be.
    pub rejected_long_time_of_flight: u16,
    /// Rejected: outside of the laser's center.
    pub rejected_ratio: u16,
    /// Rejected: beyond the bins.
    pub rejected_out_of_range: u16,
    /// Always 0 with the standard firmware.
    pub fan_revolutions: u16,
    /// Raw; [`LASER_STATUS`] when healthy.
    pub laser_status: u16,
}

impl Histogram {
    /// Bytes of the reply.
    pub const LENGTH: usize = 86;

    /// Reads a reply, its checksum first.
    ///
    /// # Errors
    /// [`FrameError::Length`], [`FrameError::Checksum`].
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let frame: &[u8; Self::LENGTH] = exactly(bytes)?;
        crc::check(frame)?;
        let word = |offset| u16_at(frame, offset);
        Ok(Self {
            counts: std::array::from_fn(|bin| word(2 * bin)),
            mean_time_of_flight: std::array::from_fn(|index| frame[48 + index]),
            sampling_period: word(52),
            sample_flow_rate: word(54),
            temperature: word(56),
            humidity: word(58),
            pm: std::array::from_fn(|index| f32_at(frame, 60 + 4 * index)),
            rejected_glitch: word(72),
            rejected_long_time_of_flight: word(74),
            rejected_ratio: word(76),
            rejected_out_of_range: word(78),
            fan_revolutions: word(80),
            laser_status: word(82),
        })
    }

    /// The reply, as the counter sends it.
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let mut frame = [0; Self::LENGTH];
        let mut writer = Writer::new(&mut frame);
        self.counts.iter().for_each(|count| writer.u16(*count));
        writer.bytes(&self.mean_time_of_flight);
        writer.u16(self.sampling_period);
        writer.u16(self.sample_flow_rate);
        writer.u16(self.temperature);
        writer.u16(self.humidity);
        self.pm.iter().for_each(|pm| writer.f32(*pm));
        writer.u16(self.rejected_glitch);
        writer.u16(self.rejected_long_time_of_flight);
        writer.u16(self.rejected_ratio);
        writer.u16(self.rejected_out_of_range);
        writer.u16(self.fan_revolutions);
        writer.u16(self.laser_status);
        crc::seal(&mut frame);
        frame
    }

    /// Sampling period in seconds, 0 to 655.35.
    pub fn sampling_period_s(&self) -> f64 {
        f64::from(self.sampling_period) / 100.0
    }

    /// Sample flow rate in ml/s.
    pub fn sample_flow_rate_ml_s(&self) -> f64 {
        f64::from(self.sample_flow_rate) / 100.0
    }

    /// Sampled volume in ml: 0 when nothing flowed or no time passed.
    pub fn volume_ml(&self) -> f64 {
        self.sample_flow_rate_ml_s() * self.sampling_period_s()
    }

    /// Temperature of the board in degrees Celsius, -45 to 130.
    pub fn temperature_c(&self) -> f64 {
        -45.0 + 175.0 * f64::from(self.temperature) / 65535.0
    }

    /// Temperature of the board in degrees Fahrenheit, as Alphasense rounds the formula: -49 to 298.
    pub fn temperature_f(&self) -> f64 {
        -49.0 + 347.0 * f64::from(self.temperature) / 65535.0
    }

    /// Relative humidity in percent, 0 to 100.
    pub fn humidity_percent(&self) -> f64 {
        100.0 * f64::from(self.humidity) / 65535.0
    }

    /// Mean times of flight of bins 1, 3, 5 and 7 in us.
    pub fn mean_time_of_flight_us(&self) -> [f64; 4] {
        self.mean_time_of_flight.map(|raw| f64::from(raw) / 3.0)
    }

    /// All particles counted.
    pub fn total_count(&self) -> u32 {
        self.counts.iter().map(|count| u32::from(*count)).sum()
    }

    /// PM A, B and C in ug/m3, `None` for what is not a finite number.
    pub fn finite_pm(&self) -> [Option<f32>; 3] {
        self.pm.map(|pm| pm.is_finite().then_some(pm))
    }

    /// Whether a right checksum covers numbers that cannot be: a bin near its end, PM not finite, or a coarser PM
    /// below a finer one.
    pub fn is_suspect(&self) -> bool {
        let [a, b, c] = self.pm;
        let ordered = a <= b && b <= c && self.pm.iter().all(|pm| pm.is_finite());
        !ordered || self.counts.iter().any(|count| *count >= SUSPECT_COUNT)
    }
}
