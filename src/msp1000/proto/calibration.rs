//! From pixel to wavelength.

use super::frame::ACTIVE_PIXELS;
use super::number::{read_float, write_float};

/// A cubic of the pixel number, in nanometers: `c4 + c3 i + c2 i^2 + c1 i^3`, `i` from 0 at the first active pixel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// `c1` to `c4` in the order of the wire: the cubic term first, the constant last.
    coefficients: [f64; 4],
}

impl Calibration {
    /// The set that the vendor's README shows; the simulated instrument starts with it.
    pub const EXAMPLE: Self = Self {
        coefficients: [
            1.21419996e-12,
            -8.04026968e-06,
            1.61927998e-01,
            3.99615997e+02,
        ],
    };

    /// A calibration of finite coefficients, the cubic one first; else `None`.
    pub fn new(coefficients: [f64; 4]) -> Option<Self> {
        coefficients
            .iter()
            .all(|value| value.is_finite())
            .then_some(Self { coefficients })
    }

    /// `c1` (cubic) to `c4` (constant).
    pub fn coefficients(&self) -> [f64; 4] {
        self.coefficients
    }

    /// Wavelength at a place between pixels, in nm.
    pub fn wavelength_nm(&self, pixel: f64) -> f64 {
        let [c1, c2, c3, c4] = self.coefficients;
        c4 + pixel * (c3 + pixel * (c2 + pixel * c1))
    }

    /// Wavelengths of the 3648 active pixels, in nm.
    pub fn wavelengths_nm(&self) -> Vec<f64> {
        (0..ACTIVE_PIXELS)
            .map(|pixel| self.wavelength_nm(pixel as f64))
            .collect()
    }

    /// Appends the coefficients, joined by commas, as the vendor's client writes them.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for (index, value) in self.coefficients.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_float(*value, out);
        }
    }

    /// Reads four numbers; more are ignored when `tolerant`, as the vendor's client does.
    pub(super) fn read(text: &[u8], tolerant: bool) -> Option<Self> {
        let mut fields = text.split(|byte| *byte == b',');
        let mut coefficients = [0.0; 4];
        for value in &mut coefficients {
            *value = read_float(fields.next()?)?;
        }
        (tolerant || fields.next().is_none()).then_some(Self { coefficients })
    }
}
