//! From frames to a spectrum: mean, bias, dark, smoothing (msp1000.md 4).

use std::rc::Rc;

use jiff::Timestamp;

use crate::base::error::{Failure, Kind};
use crate::msp1000::proto::{
    Average, Calibration, Dark, DarkError, OffsetRange, Smoothing, Spectrum,
};
use crate::msp1000::{Client, Frame};

/// How a connection wants its spectra.
#[derive(Clone)]
pub(super) struct Recipe {
    pub(super) average: u32,
    pub(super) dark: Option<Rc<Dark>>,
    pub(super) smoothing: Smoothing,
}

/// A spectrum and what it was made of.
pub(super) struct Measurement {
    /// One for each active pixel, in counts.
    pub(super) values: Vec<f64>,
    /// Pixels that saw more light than they can tell.
    pub(super) saturated: Vec<u16>,
    pub(super) calibration: Calibration,
    pub(super) exposure_ms: u32,
    pub(super) frames: u32,
    pub(super) serial: Rc<str>,
    /// End of the last exposure, UTC.
    pub(super) taken: Timestamp,
}

impl Measurement {
    /// Little-endian f32, as blocks hold them.
    pub(super) fn f32_le(&self) -> Vec<u8> {
        let bytes = |value: &f64| (*value as f32).to_le_bytes();
        self.values.iter().flat_map(bytes).collect()
    }
}

impl Recipe {
    /// Takes the frames; tells after each how much is done, 0.0 to 1.0.
    pub(super) async fn measure(
        &self,
        client: &Client,
        tell: impl Fn(f64),
    ) -> Result<Measurement, Failure> {
        let (mut spectrum, last) = self.mean(client, self.dark.as_deref(), tell).await?;
        if let Some(dark) = &self.dark {
            spectrum
                .subtract(dark, last.exposure_ms, &last.serial)
                .map_err(stale)?;
        }
        Ok(Measurement {
            values: smooth(self.smoothing, spectrum.values())?,
            saturated: spectrum.saturated().to_vec(),
            calibration: last.calibration,
            exposure_ms: last.exposure_ms,
            frames: self.average,
            serial: last.serial.clone(),
            taken: last.taken,
        })
    }

    /// Takes a new dark. An old one has no part in it.
    pub(super) async fn dark(&self, client: &Client) -> Result<Dark, Failure> {
        let (spectrum, last) = self.mean(client, None, |_| {}).await?;
        let serial = last.serial.to_string();
        Dark::new(&spectrum, last.exposure_ms, last.taken, serial).map_err(stale)
    }

    /// Mean of the frames without their bias, and the last of them.
    async fn mean(
        &self,
        client: &Client,
        dark: Option<&Dark>,
        tell: impl Fn(f64),
    ) -> Result<(Spectrum, Rc<Frame>), Failure> {
        let offset = OffsetRange::default();
        let mut average = Average::new();
        let mut first: Option<Rc<Frame>> = None;
        loop {
            let frame = client.take().await?;
            if let Some(dark) = dark {
                // At the first frame, not after the last: there may be many.
                dark.check(frame.exposure_ms, &frame.serial)
                    .map_err(stale)?;
            }
            let first = first.get_or_insert_with(|| frame.clone());
            if first.exposure_ms != frame.exposure_ms || first.serial != frame.serial {
                let text = format!(
                    "the exposure went from {} to {} ms while frames were averaged",
                    first.exposure_ms, frame.exposure_ms
                );
                return Err(Failure::new(Kind::Conflict, text));
            }
            average.add(&frame.raw.remove_bias(&offset));
            tell(f64::from(average.count()) / f64::from(self.average));
            if average.count() >= self.average {
                let none = || Failure::new(Kind::Internal, "no frame was averaged");
                return Ok((average.mean().ok_or_else(none)?, frame));
            }
        }
    }
}

fn stale(error: DarkError) -> Failure {
    Failure::new(Kind::Conflict, error.to_string())
}

/// A value for each pixel. A moving mean leaves out pixels at both ends: they are means of as many neighbors as there
/// are on either side.
fn smooth(smoothing: Smoothing, values: &[f64]) -> Result<Vec<f64>, Failure> {
    let smoothed = smoothing
        .apply(values)
        .map_err(|error| Failure::new(Kind::Conflict, error.to_string()))?;
    let left_out = smoothed.first_pixel;
    let narrow = |pixel: usize| {
        let reach = pixel.min(values.len() - 1 - pixel);
        let near = &values[pixel - reach..=pixel + reach];
        near.iter().sum::<f64>() / near.len() as f64
    };
    let tail = values.len() - left_out..values.len();
    Ok((0..left_out)
        .map(narrow)
        .chain(smoothed.values)
        .chain(tail.map(narrow))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moving_mean_has_a_value_for_every_pixel() {
        let values = [1.0, 2.0, 6.0, 4.0, 12.0, 8.0, 3.0];
        let smoothed = smooth(Smoothing::MovingMean { width: 5 }, &values).unwrap();
        assert_eq!(smoothed.len(), values.len());
        assert_eq!(smoothed[0], 1.0);
        assert_eq!(smoothed[1], 3.0);
        assert_eq!(smoothed[2], 5.0);
        assert_eq!(smoothed[5], 23.0 / 3.0);
        assert_eq!(smoothed[6], 3.0);
        assert_eq!(smooth(Smoothing::Off, &values).unwrap(), values);
    }
}
