//! What the camera tells in JSON: keys in snake_case with the unit as suffix.

use serde::Serialize;

use super::backend::{Exposure, FrameStatus, Limits, Metadata, StreamInfo};
use super::settings::{exposure_range_us, frame_rate_range, gain_range, plain};
use super::{Camera, CameraError};
use crate::raw::Packing;

/// `CAMera:STATus?`
#[derive(Debug, Serialize)]
pub struct StatusReport {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    capture: Option<String>,
    auto_exposure: bool,
    exposure_us: u32,
    analogue_gain: f64,
    frame_rate_hz: f64,
    window: [usize; 4],
    unpack: bool,
    binning: u8,
    formats: Vec<&'static str>,
    width: usize,
    height: usize,
    stride_bytes: usize,
    packing: &'static str,
    bayer: &'static str,
    black_level: u16,
    white_level: u16,
}

/// `CAMera:METadata?`
#[derive(Debug, Serialize)]
pub struct MetadataReport {
    sequence: u64,
    status: &'static str,
    sensor_timestamp_ns: u64,
    exposure_us: u32,
    analogue_gain: f64,
    digital_gain: f64,
    frame_duration_us: u32,
    colour_gains: [f64; 2],
    scaler_crop: [u32; 4],
    black_level: u16,
    sensor_temperature_celsius: Option<f64>,
    lux: Option<f64>,
    colour_temperature_kelvin: Option<u32>,
}

/// `CAMera:LIMits?`
#[derive(Debug, Serialize)]
pub struct LimitsReport {
    exposure_min_us: u32,
    exposure_max_us: u32,
    exposure_max_at_present_rate_us: u32,
    line_time_us: f64,
    analogue_gain_min: f64,
    analogue_gain_max: f64,
    frame_rate_min_hz: f64,
    frame_rate_max_hz: f64,
    width: usize,
    height: usize,
    binning_max: u8,
}

impl Camera {
    /// State and settings.
    ///
    /// # Errors
    /// [`CameraError::Absent`] while there is no camera.
    pub fn status_report(&self) -> Result<StatusReport, CameraError> {
        let info = self.stream()?;
        let settings = self.settings();
        let window = settings.window(&info);
        let capture = self.shared.busy.borrow().clone();
        let state = match (&capture, self.shared.streaming.get()) {
            (Some(_), _) => "capturing",
            (None, true) => "streaming",
            (None, false) => "resting",
        };
        let exposure_us = match (settings.controls.exposure, self.shared.metadata.get()) {
            (Exposure::Manual(us), _) => us,
            (Exposure::Auto, metadata) => metadata.map_or(0, |metadata| metadata.exposure_us),
        };
        Ok(StatusReport {
            state,
            capture,
            auto_exposure: settings.controls.exposure == Exposure::Auto,
            exposure_us,
            analogue_gain: plain(settings.controls.analogue_gain),
            frame_rate_hz: 1e6 / f64::from(settings.controls.frame_duration_us),
            window: [window.x, window.y, window.w, window.h],
            unpack: settings.unpack,
            binning: settings.binning,
            formats: settings
                .formats
                .iter()
                .map(|format| format.extension())
                .collect(),
            width: info.layout.width,
            height: info.layout.height,
            stride_bytes: info.layout.stride_bytes,
            packing: packing_name(info.layout.packing),
            bayer: info.layout.bayer.name(),
            black_level: info.black_level,
            white_level: info.white_level,
        })
    }

    /// Metadata of the newest frame.
    ///
    /// # Errors
    /// [`CameraError::NoFrameYet`] before the first.
    pub fn metadata_report(&self) -> Result<MetadataReport, CameraError> {
        self.stream()?;
        Ok(self
            .shared
            .metadata
            .get()
            .ok_or(CameraError::NoFrameYet)?
            .into())
    }

    /// What the present mode allows.
    ///
    /// # Errors
    /// [`CameraError::Absent`] while there is no camera.
    pub fn limits_report(&self) -> Result<LimitsReport, CameraError> {
        let StreamInfo { layout, limits, .. } = self.stream()?;
        let (frame_rate_min_hz, frame_rate_max_hz) = frame_rate_range(&limits);
        let (analogue_gain_min, analogue_gain_max) = gain_range(&limits);
        let Limits {
            exposure_min_us,
            exposure_max_us,
            line_time_us: (num, den),
            ..
        } = limits;
        Ok(LimitsReport {
            exposure_min_us,
            exposure_max_us,
            exposure_max_at_present_rate_us: exposure_range_us(&limits, &self.settings().controls)
                .1,
            line_time_us: f64::from(num) / f64::from(den),
            analogue_gain_min,
            analogue_gain_max,
            frame_rate_min_hz,
            frame_rate_max_hz,
            width: layout.width,
            height: layout.height,
            binning_max: crate::raw::MAX_BINNING_ROUNDS,
        })
    }
}

impl From<Metadata> for MetadataReport {
    fn from(metadata: Metadata) -> Self {
        Self {
            sequence: metadata.sequence,
            status: match metadata.status {
                FrameStatus::Success => "success",
                FrameStatus::Startup => "startup",
                FrameStatus::Error => "error",
            },
            sensor_timestamp_ns: metadata.sensor_timestamp_ns,
            exposure_us: metadata.exposure_us,
            analogue_gain: plain(metadata.analogue_gain),
            digital_gain: plain(metadata.digital_gain),
            frame_duration_us: metadata.frame_duration_us,
            colour_gains: [
                plain(metadata.colour_gains.0),
                plain(metadata.colour_gains.1),
            ],
            scaler_crop: metadata.scaler_crop,
            black_level: metadata.black_level,
            sensor_temperature_celsius: metadata.sensor_temperature_celsius.map(plain),
            lux: metadata.lux.map(plain),
            colour_temperature_kelvin: metadata.colour_temperature_kelvin,
        }
    }
}

fn packing_name(packing: Packing) -> &'static str {
    match packing {
        Packing::Csi2p12 => "csi2p12",
        Packing::U16Low => "u16_low",
        Packing::U16High => "u16_high",
    }
}
