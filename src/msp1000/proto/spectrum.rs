//! What is made of a frame: offset removed, dark subtracted, several averaged.

use jiff::Timestamp;

use super::frame::ACTIVE_PIXELS;

/// Values of the 3648 active pixels, in counts above the offset.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum {
    values: Vec<f64>,
    saturated: Vec<u16>,
    dark_subtracted: bool,
}

impl Spectrum {
    /// `values` has one for each active pixel, `saturated` pixel numbers in rising order.
    pub(super) fn bias_removed(values: Vec<f64>, saturated: Vec<u16>) -> Self {
        Self {
            values,
            saturated,
            dark_subtracted: false,
        }
    }

    /// Counts above the offset, one for each active pixel.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The same as they leave Outpost.
    pub fn to_f32(&self) -> Vec<f32> {
        self.values.iter().map(|value| *value as f32).collect()
    }

    /// Active pixels that were saturated before anything was subtracted, in rising order: their values are too low.
    pub fn saturated(&self) -> &[u16] {
        &self.saturated
    }

    /// Whether a dark is subtracted.
    pub fn dark_subtracted(&self) -> bool {
        self.dark_subtracted
    }

    /// Subtracts a dark that was taken at this exposure with this instrument.
    ///
    /// # Errors
    /// [`DarkError`]; the spectrum is as before then.
    pub fn subtract(
        &mut self,
        dark: &Dark,
        exposure_ms: u32,
        serial: &str,
    ) -> Result<(), DarkError> {
        dark.check(exposure_ms, serial)?;
        if self.dark_subtracted {
            return Err(DarkError::AlreadySubtracted);
        }
        for (value, dark) in self.values.iter_mut().zip(&dark.values) {
            *value -= dark;
        }
        self.dark_subtracted = true;
        Ok(())
    }
}

/// The spectrum of no light, taken at one exposure with one instrument.
#[derive(Debug, Clone, PartialEq)]
pub struct Dark {
    exposure_ms: u32,
    time: Timestamp,
    serial: String,
    values: Vec<f64>,
}

/// Why a dark cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DarkError {
    /// It would be subtracted at another exposure.
    #[error(
        "the dark was taken at {dark_ms} ms, the exposure is {exposure_ms} ms: take a new dark"
    )]
    ExposureDiffers {
        /// Of the dark.
        dark_ms: u32,
        /// Of the spectrum.
        exposure_ms: u32,
    },
    /// It would be subtracted from another instrument's spectrum.
    #[error("the dark was taken with instrument {dark:?}, the spectrum with {instrument:?}")]
    OtherInstrument {
        /// Serial of the dark.
        dark: String,
        /// Serial of the spectrum.
        instrument: String,
    },
    /// A dark is subtracted from it already.
    #[error("a dark is subtracted from this spectrum already")]
    AlreadySubtracted,
}

impl Dark {
    /// Makes a spectrum the dark. It must not have one subtracted.
    ///
    /// # Errors
    /// [`DarkError::AlreadySubtracted`].
    pub fn new(
        spectrum: &Spectrum,
        exposure_ms: u32,
        time: Timestamp,
        serial: impl Into<String>,
    ) -> Result<Self, DarkError> {
        if spectrum.dark_subtracted {
            return Err(DarkError::AlreadySubtracted);
        }
        Ok(Self {
            exposure_ms,
            time,
            serial: serial.into(),
            values: spectrum.values.clone(),
        })
    }

    /// Whether it may be subtracted at this exposure from this instrument's spectra; it is stale otherwise.
    ///
    /// # Errors
    /// [`DarkError`] tells why not.
    pub fn check(&self, exposure_ms: u32, serial: &str) -> Result<(), DarkError> {
        if self.serial != serial {
            return Err(DarkError::OtherInstrument {
                dark: self.serial.clone(),
                instrument: serial.to_owned(),
            });
        }
        if self.exposure_ms != exposure_ms {
            return Err(DarkError::ExposureDiffers {
                dark_ms: self.exposure_ms,
                exposure_ms,
            });
        }
        Ok(())
    }

    /// At which it was taken, in milliseconds.
    pub fn exposure_ms(&self) -> u32 {
        self.exposure_ms
    }

    /// When it was taken.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Of the instrument it was taken with.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// Counts above the offset, one for each active pixel.
    pub fn values(&self) -> &[f64] {
        &self.values
    }
}

/// The mean of several spectra, pixel by pixel.
#[derive(Debug, Clone, Default)]
pub struct Average {
    sums: Vec<f64>,
    saturated: Vec<u16>,
    dark_subtracted: bool,
    count: u32,
}

impl Average {
    /// The mean of none yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a spectrum. All or none should have a dark subtracted; the mean counts as subtracted when any has.
    pub fn add(&mut self, spectrum: &Spectrum) {
        self.sums.resize(ACTIVE_PIXELS, 0.0);
        for (sum, value) in self.sums.iter_mut().zip(&spectrum.values) {
            *sum += value;
        }
        self.saturated.extend(&spectrum.saturated);
        self.saturated.sort_unstable();
        self.saturated.dedup();
        self.dark_subtracted |= spectrum.dark_subtracted;
        self.count = self.count.saturating_add(1);
    }

    /// How many were added.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The mean; `None` of nothing. A pixel that was saturated in one of them is marked.
    pub fn mean(&self) -> Option<Spectrum> {
        if self.count == 0 {
            return None;
        }
        let count = f64::from(self.count);
        Some(Spectrum {
            values: self.sums.iter().map(|sum| sum / count).collect(),
            saturated: self.saturated.clone(),
            dark_subtracted: self.dark_subtracted,
        })
    }
}
