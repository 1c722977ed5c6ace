//! Temperatures: counts to kelvin and degrees Celsius, by the resolution of the frame's own telemetry.
//!
//! `kelvin = count * resolution`, `celsius = kelvin - 273.15`; the resolution is 0.01 K (high gain) or 0.1 K (low
//! gain). Emissivity is applied in the Lepton. Counts become hundredths of a kelvin first, which are exact.

use serde::Serialize;
use zerocopy::IntoBytes;

use super::image::Pixels;
use super::telemetry::{PixelKind, Telemetry};
use super::{COLUMNS, PIXELS, ROWS};
use crate::raw::kernels::counts;

/// 0 degrees Celsius in hundredths of a kelvin.
const ZERO_CELSIUS_CK: i32 = counts::ZERO_CELSIUS_CK as i32;

/// Why there is no temperature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TemperatureError {
    /// The frame's pixels are brightnesses for display.
    #[error("AGC is on: the pixels of this frame are brightnesses, not temperatures")]
    Agc,
    /// The frame's pixels are counts of the sensor.
    #[error("radiometry is off: the pixels of this frame are sensor counts, not temperatures")]
    RawCounts,
    /// A pixel outside of the frame.
    #[error("pixel {column},{row} is outside the frame of {COLUMNS} x {ROWS}")]
    Outside {
        /// Column asked for.
        column: usize,
        /// Row asked for.
        row: usize,
    },
}

/// A temperature of the telemetry in hundredths of a kelvin, whatever the resolution of the pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CentiKelvin(pub u16);

impl CentiKelvin {
    /// In kelvin.
    pub fn kelvin(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// In degrees Celsius.
    pub fn celsius(self) -> f64 {
        Resolution::Centikelvin.celsius(self.0)
    }
}

/// How many kelvin one count of a pixel or of the spot meter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// 0.1 K, up to 6553.5 K: low gain.
    Decikelvin,
    /// 0.01 K, up to 655.35 K: high gain.
    Centikelvin,
}

impl Resolution {
    /// By the resolution flag, telemetry word 209.
    pub fn from_flag(word: u16) -> Self {
        match word {
            0 => Self::Decikelvin,
            _ => Self::Centikelvin,
        }
    }

    /// The resolution flag, telemetry word 209.
    pub fn flag(self) -> u16 {
        match self {
            Self::Decikelvin => 0,
            Self::Centikelvin => 1,
        }
    }

    /// Kelvin of one count.
    pub fn kelvin_per_count(self) -> f64 {
        match self {
            Self::Decikelvin => 0.1,
            Self::Centikelvin => 0.01,
        }
    }

    /// A count in kelvin.
    pub fn kelvin(self, count: u16) -> f64 {
        f64::from(self.centikelvin(count)) / 100.0
    }

    /// A count in degrees Celsius.
    pub fn celsius(self, count: u16) -> f64 {
        f64::from(self.centikelvin(count) - ZERO_CELSIUS_CK) / 100.0
    }

    /// The count of a temperature, rounded to the nearest and held within 0 to 65 535. Not a number becomes 0.
    pub fn count(self, kelvin: f64) -> u16 {
        let counts_per_kelvin = f64::from(100 / self.centikelvin_per_count());
        (kelvin * counts_per_kelvin).round() as u16
    }

    fn centikelvin_per_count(self) -> i16 {
        match self {
            Self::Decikelvin => 10,
            Self::Centikelvin => 1,
        }
    }

    fn centikelvin(self, count: u16) -> i32 {
        i32::from(count) * i32::from(self.centikelvin_per_count())
    }
}

/// A pixel and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// 0 at the left.
    pub column: usize,
    /// 0 on top.
    pub row: usize,
    /// Temperature in degrees Celsius.
    pub celsius: f64,
}

/// The spot meter in degrees Celsius.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SpotCelsius {
    /// Mean of the area, truncated to a count by the Lepton.
    pub mean: f64,
    /// Warmest pixel of the area.
    pub max: f64,
    /// Coldest pixel of the area.
    pub min: f64,
}

/// A frame whose pixels are known to be temperatures.
#[derive(Debug, Clone, Copy)]
pub struct Temperatures<'a> {
    pixels: &'a Pixels,
    resolution: Resolution,
}

impl<'a> Temperatures<'a> {
    /// By the frame's own telemetry, never by what was set last.
    ///
    /// # Errors
    /// [`TemperatureError::Agc`] or [`TemperatureError::RawCounts`].
    pub fn of(pixels: &'a Pixels, telemetry: &Telemetry) -> Result<Self, TemperatureError> {
        match telemetry.pixel_kind() {
            PixelKind::Temperature(resolution) => Ok(Self { pixels, resolution }),
            PixelKind::Agc => Err(TemperatureError::Agc),
            PixelKind::RawCounts => Err(TemperatureError::RawCounts),
        }
    }

    /// Kelvin of a count.
    pub fn resolution(&self) -> Resolution {
        self.resolution
    }

    /// One pixel in degrees Celsius.
    ///
    /// # Errors
    /// [`TemperatureError::Outside`].
    pub fn pixel(&self, column: usize, row: usize) -> Result<f64, TemperatureError> {
        if column >= COLUMNS || row >= ROWS {
            return Err(TemperatureError::Outside { column, row });
        }
        Ok(self.resolution.celsius(self.pixels[row * COLUMNS + column]))
    }

    /// The coldest pixel, the first of several.
    pub fn min(&self) -> Point {
        self.point(counts::summary(self.pixels).least)
    }

    /// The warmest pixel, the first of several.
    pub fn max(&self) -> Point {
        self.point(counts::summary(self.pixels).greatest)
    }

    /// Mean of all pixels in degrees Celsius.
    pub fn mean(&self) -> f64 {
        // 19 200 counts of 65 535 fit u32.
        let mean = f64::from(counts::summary(self.pixels).sum) / PIXELS as f64;
        let centikelvin = mean * f64::from(self.resolution.centikelvin_per_count());
        (centikelvin - f64::from(ZERO_CELSIUS_CK)) / 100.0
    }

    /// All pixels in degrees Celsius, row-major, each the f32 nearest to the exact value.
    pub fn write_celsius(&self, out: &mut [f32; PIXELS]) {
        let (out, _) = out.as_mut_bytes().as_chunks_mut();
        self.convert(out);
    }

    /// The same as a block of little-endian f32: 120 rows x 160 columns x 4 bytes.
    pub fn write_celsius_le(&self, out: &mut [u8; PIXELS * 4]) {
        let (out, _) = out.as_chunks_mut();
        self.convert(out);
        if cfg!(target_endian = "big") {
            out.iter_mut().for_each(|celsius| celsius.reverse());
        }
    }

    fn convert(&self, out: &mut [[u8; 4]]) {
        let centikelvin = self.resolution.centikelvin_per_count();
        counts::celsius(self.pixels, f32::from(centikelvin), out);
    }

    fn point(&self, count: u16) -> Point {
        let first = self.pixels.iter().position(|&pixel| pixel == count);
        let index = first.unwrap_or(0);
        Point {
            column: index % COLUMNS,
            row: index / COLUMNS,
            celsius: self.resolution.celsius(count),
        }
    }
}
