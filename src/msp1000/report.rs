//! What `SPECtrometer:STATus?` and `SPECtrometer:LIST?` tell.

use jiff::Timestamp;
use serde::Serialize;

use super::control::Holder;

/// The spectrometer at a glance.
#[derive(Debug, Clone, Serialize)]
pub struct StatusReport {
    /// `tls` or `plain`.
    pub link: &'static str,
    /// Whether it is there and set up.
    pub connected: bool,
    /// `connecting`, `ready`, `failed`, `tls-too-old` or `certificate-changed`.
    pub state: &'static str,
    /// Where it is, when connected.
    pub address: Option<String>,
    /// Its serial number, where that is known, else its address.
    pub serial: Option<String>,
    /// SHA-256 of its certificate.
    pub certificate: Option<String>,
    /// What is set, in milliseconds.
    pub exposure_ms: Option<u32>,
    /// What is set: c1 (cubic) to c4 (constant), wavelengths in nm.
    pub calibration: Option<[f64; 4]>,
    /// `here`, or `elsewhere` when another program was first and settings have no effect.
    pub control: &'static str,
    /// Which of this station's clients may change settings.
    pub holder: Option<Holder>,
    /// Clients at the moment.
    pub clients: usize,
    /// Whether an exposure runs.
    pub exposing: bool,
    /// The last frame.
    pub frame: Option<FrameReport>,
}

/// A frame at a glance.
#[derive(Debug, Clone, Serialize)]
pub struct FrameReport {
    /// Frames since the station started.
    pub sequence: u64,
    /// When its exposure ended, UTC.
    pub taken: Timestamp,
    /// Its exposure.
    pub exposure_ms: u32,
}

/// An instrument on the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListEntry {
    /// Its serial number.
    pub serial: String,
    /// Where it is.
    pub address: String,
    /// Its network interface, as it says.
    pub interface: Option<String>,
    /// When it announced itself last, UTC.
    pub heard: Option<Timestamp>,
    /// Whether it is the one this station is connected to.
    pub connected: bool,
}
