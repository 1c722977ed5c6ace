//! Settings shared by all clients: controls, window, mode and file formats.

use super::backend::{Controls, Exposure, Limits, StreamInfo};
use super::error::CameraError;
use crate::raw::formats::Format;
use crate::raw::{Mode, Window};

/// All settings; they live as long as the service and are shared by every session.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What every request carries.
    pub controls: Controls,
    /// Window in effect; `None` is the full frame of the mode.
    pub window: Option<Window>,
    /// DBAY: unpack to 12-bit pixels.
    pub unpack: bool,
    /// SRNK: rounds of 2x2 summing, 0 to 6. Above 0 implies `unpack`.
    pub binning: u8,
    /// Files made of each picture.
    pub formats: Vec<Format>,
}

/// One change to the controls, in the units of the FE-PyCam2 commands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Exposure time in microseconds; 0 and below is automatic.
    Exposure(i64),
    /// Frames per second; both frame duration limits become trunc(1e6 / fps) microseconds.
    FrameRate(f64),
    /// Analogue gain; 0 and below leaves it unchanged.
    Gain(f64),
    /// Red and blue gain; both 0 returns white balance to the camera.
    ColourGains(f64, f64),
    /// ISP crop x, y, w, h in pixels of the array.
    Crop([i64; 4]),
}

/// What happens to a value outside its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// It is moved to the nearest limit (FE-PyCam2 dialect).
    Clamp,
    /// It is refused and nothing changes (SCPI).
    Refuse,
}

/// Largest color gain libcamera takes.
pub const COLOUR_GAIN_MAX: f64 = 32.0;

impl Settings {
    /// The start values: full frame, DBAY off, SRNK 0, automatic exposure.
    pub fn initial(fps: f64, analogue_gain: f64, formats: &[Format]) -> Self {
        Self {
            controls: Controls {
                exposure: Exposure::Auto,
                analogue_gain: analogue_gain as f32,
                frame_duration_us: (1e6 / fps) as u32,
                colour_gains: None,
                scaler_crop: None,
            },
            window: None,
            unpack: false,
            binning: 0,
            formats: formats.to_vec(),
        }
    }

    /// The array mode of `.raw` and `.npy` files.
    ///
    /// # Errors
    /// [`CameraError::Mode`] if the binning is out of range, which the commands prevent.
    pub fn mode(&self) -> Result<Mode, CameraError> {
        Ok(Mode::from_settings(self.unpack, i64::from(self.binning))?)
    }

    /// Window in effect on a stream.
    pub fn window(&self, info: &StreamInfo) -> Window {
        self.window.unwrap_or_else(|| info.layout.full_window())
    }

    /// DBAY: off also sets SRNK to 0.
    pub fn set_unpack(&mut self, on: bool) {
        self.unpack = on;
        if !on {
            self.binning = 0;
        }
    }

    /// SRNK: negative counts as 0; above 0 also switches DBAY on.
    ///
    /// # Errors
    /// [`CameraError::Mode`] above 6.
    pub fn set_binning(&mut self, rounds: i64) -> Result<(), CameraError> {
        let rounds = rounds.max(0);
        Mode::from_settings(true, rounds)?;
        self.binning = rounds as u8;
        self.unpack |= rounds > 0;
        Ok(())
    }
}

impl Change {
    /// The controls with this change made.
    ///
    /// # Errors
    /// [`CameraError::OutOfRange`] for values that cannot be clamped, and for any value outside with [`Range::Refuse`].
    pub fn apply(
        self,
        controls: &Controls,
        info: &StreamInfo,
        range: Range,
    ) -> Result<Controls, CameraError> {
        let mut changed = *controls;
        let limits = &info.limits;
        match self {
            Change::Exposure(us) if us <= 0 => changed.exposure = Exposure::Auto,
            Change::Exposure(us) => {
                let (min, max) = exposure_range_us(limits, controls);
                let us = fit(
                    "exposure time in us",
                    us as f64,
                    (min.into(), max.into()),
                    range,
                )?;
                changed.exposure = Exposure::Manual(us as u32);
            }
            Change::FrameRate(fps) => {
                changed.frame_duration_us = frame_duration_us(limits, fps, range)?;
                if let Exposure::Manual(us) = changed.exposure {
                    let longest = limits.longest_exposure_us(changed.frame_duration_us);
                    changed.exposure = Exposure::Manual(us.min(longest));
                }
            }
            Change::Gain(gain) if gain <= 0.0 => {}
            Change::Gain(gain) => {
                changed.analogue_gain =
                    fit("analogue gain", gain, gain_range(limits), range)? as f32;
            }
            Change::ColourGains(red, blue) => {
                let red = fit("red gain", red, (0.0, COLOUR_GAIN_MAX), range)?;
                let blue = fit("blue gain", blue, (0.0, COLOUR_GAIN_MAX), range)?;
                changed.colour_gains =
                    (red > 0.0 || blue > 0.0).then_some((red as f32, blue as f32));
            }
            Change::Crop(crop) => changed.scaler_crop = Some(fit_crop(crop, info, range)?),
        }
        Ok(changed)
    }
}

/// Shortest and longest manual exposure at the present frame rate, microseconds.
pub fn exposure_range_us(limits: &Limits, controls: &Controls) -> (u32, u32) {
    (
        limits.exposure_min_us,
        limits.longest_exposure_us(controls.frame_duration_us),
    )
}

/// Slowest and fastest frame rate, per second.
pub fn frame_rate_range(limits: &Limits) -> (f64, f64) {
    (
        1e6 / f64::from(limits.frame_duration_max_us),
        1e6 / f64::from(limits.frame_duration_min_us),
    )
}

/// Smallest and largest analogue gain.
pub fn gain_range(limits: &Limits) -> (f64, f64) {
    (
        plain(limits.analogue_gain_min),
        plain(limits.analogue_gain_max),
    )
}

/// The shortest decimal number that reads back to the same `f32`, so that 22.26 does not become 22.260000228881836.
pub fn plain(value: f32) -> f64 {
    value
        .to_string()
        .parse()
        .unwrap_or_else(|_| f64::from(value))
}

fn fit(
    what: &'static str,
    value: f64,
    (min, max): (f64, f64),
    range: Range,
) -> Result<f64, CameraError> {
    let inside = (min..=max).contains(&value);
    if value.is_nan() || (!inside && range == Range::Refuse) {
        return Err(CameraError::OutOfRange {
            what,
            value,
            min,
            max,
        });
    }
    Ok(value.clamp(min, max))
}

fn frame_duration_us(limits: &Limits, fps: f64, range: Range) -> Result<u32, CameraError> {
    let (min, max) = frame_rate_range(limits);
    if fps <= 0.0 {
        return Err(CameraError::OutOfRange {
            what: "frames per second",
            value: fps,
            min,
            max,
        });
    }
    let fps = fit("frames per second", fps, (min, max), range)?;
    Ok(((1e6 / fps) as u32).clamp(limits.frame_duration_min_us, limits.frame_duration_max_us))
}

fn fit_crop(
    [x, y, w, h]: [i64; 4],
    info: &StreamInfo,
    range: Range,
) -> Result<[u32; 4], CameraError> {
    let (width, height) = (info.layout.width as f64, info.layout.height as f64);
    let w = fit("crop width", w as f64, (1.0, width), range)?;
    let h = fit("crop height", h as f64, (1.0, height), range)?;
    let x = fit("crop x", x as f64, (0.0, width - w), range)?;
    let y = fit("crop y", y as f64, (0.0, height - h), range)?;
    Ok([x as u32, y as u32, w as u32, h as u32])
}
