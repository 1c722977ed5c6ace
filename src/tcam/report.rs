//! What `THERmal:STATus?` tells.

use jiff::Timestamp;
use serde::Serialize;

use super::proto::SpotArea;

/// The camera and its stream at a glance.
#[derive(Debug, Clone, Serialize)]
pub struct StatusReport {
    /// `hardware` or `network`.
    pub link: &'static str,
    /// Whether the camera is there and set up.
    pub connected: bool,
    /// Name of the camera.
    pub camera: Option<String>,
    /// Its model mask.
    pub model: Option<u32>,
    /// Its firmware.
    pub version: Option<String>,
    /// Whether the camera streams for somebody.
    pub streaming: bool,
    /// Streams that clients have open.
    pub subscribers: usize,
    /// Settings as they are applied again after a restart of the camera.
    pub agc: bool,
    /// Percent.
    pub emissivity_percent: u8,
    /// `high`, `low` or `auto`.
    pub gain_mode: &'static str,
    /// First row, first column, last row, last column of the spot meter.
    pub spot: [u16; 4],
    /// Of the last image; `None` before the first.
    pub image: Option<ImageReport>,
}

/// What the last image told.
#[derive(Debug, Clone, Serialize)]
pub struct ImageReport {
    /// Images since the station started.
    pub sequence: u64,
    /// When it came, UTC.
    pub received: Timestamp,
    /// The Lepton's count of frames.
    pub frame_counter: u32,
    /// Since power came on, ms.
    pub uptime_ms: u32,
    /// Flat-field correction: `never`, `imminent`, `in_progress` or `complete`. No image comes meanwhile.
    pub ffc: &'static str,
    /// Since the last correction, ms.
    pub since_ffc_ms: u32,
    /// Temperature of the focal plane array, degrees Celsius.
    pub fpa_celsius: f64,
    /// Temperature of the housing, degrees Celsius.
    pub housing_celsius: f64,
    /// The sensor is outside of -10 to 80 degrees Celsius.
    pub shutter_lockout: bool,
    /// The sensor switches itself off in 10 s.
    pub over_temperature: bool,
}

impl ImageReport {
    pub(super) fn of(image: &super::Image) -> Self {
        let telemetry = image.telemetry();
        Self {
            sequence: image.sequence,
            received: image.received,
            frame_counter: telemetry.frame_counter,
            uptime_ms: telemetry.uptime_ms,
            ffc: telemetry.status.ffc_state().name(),
            since_ffc_ms: telemetry.uptime_ms.wrapping_sub(telemetry.uptime_at_ffc_ms),
            fpa_celsius: telemetry.fpa.celsius(),
            housing_celsius: telemetry.housing.celsius(),
            shutter_lockout: telemetry.status.shutter_lockout(),
            over_temperature: telemetry.status.over_temperature(),
        }
    }
}

pub(super) fn spot_words(spot: Option<SpotArea>) -> [u16; 4] {
    spot.unwrap_or(SpotArea::CENTER).words()
}
