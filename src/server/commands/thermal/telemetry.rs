//! `THERmal:TELemetry?`: what the Lepton says with an image, in units.

use serde_json::{Value, json};

use crate::tcam::Image;
use crate::tcam::proto::{CentiKelvin, PixelKind, SpotArea, Telemetry};

/// Full scale of emissivity, transmission and reflection.
const FULL_SCALE: f64 = 8192.0;

/// The telemetry of an image. Reserved words are left out.
pub(super) fn report(image: &Image) -> Value {
    let telemetry = image.telemetry();
    json!({
        "sequence": image.sequence,
        "received": image.received.to_string(),
        "revision": telemetry.revision,
        "uptime_ms": telemetry.uptime_ms,
        "frame_counter": telemetry.frame_counter,
        "frame_mean_counts": telemetry.frame_mean,
        "pixels": pixels(&telemetry),
        "tlinear": telemetry.tlinear_enabled,
        "kelvin_per_count": telemetry.resolution.kelvin_per_count(),
        "serial": hex(&telemetry.serial),
        "software": hex(&telemetry.software),
        "status": status(&telemetry),
        "ffc": ffc(&telemetry),
        "fpa_celsius": telemetry.fpa.celsius(),
        "fpa_counts": telemetry.fpa_counts,
        "housing_celsius": telemetry.housing.celsius(),
        "housing_counts": telemetry.housing_counts,
        "agc_roi": telemetry.agc_roi,
        "agc_clip_high": telemetry.agc_clip_high,
        "agc_clip_low": telemetry.agc_clip_low,
        "video_format": telemetry.video_format,
        "flux": flux(&telemetry),
        "gain": gain(&telemetry),
        "spot": spot(&telemetry),
    })
}

fn pixels(telemetry: &Telemetry) -> &'static str {
    match telemetry.pixel_kind() {
        PixelKind::Temperature(_) => "temperature",
        PixelKind::Agc => "agc",
        PixelKind::RawCounts => "raw_counts",
    }
}

fn status(telemetry: &Telemetry) -> Value {
    let status = telemetry.status;
    json!({
        "bits": status.0,
        "ffc_desired": status.ffc_desired(),
        "agc": status.agc(),
        "shutter_lockout": status.shutter_lockout(),
        "over_temperature": status.over_temperature(),
    })
}

fn ffc(telemetry: &Telemetry) -> Value {
    json!({
        "state": telemetry.status.ffc_state().name(),
        "averaged_frames": 1_u32.checked_shl(telemetry.ffc_frames_log2.into()),
        "uptime_ms": telemetry.uptime_at_ffc_ms,
        "fpa_celsius": telemetry.fpa_at_ffc.celsius(),
        "housing_celsius": telemetry.housing_at_ffc.celsius(),
    })
}

fn flux(telemetry: &Telemetry) -> Value {
    let flux = &telemetry.flux;
    let part = |word: u16| f64::from(word) / FULL_SCALE;
    let celsius = CentiKelvin::celsius;
    json!({
        "emissivity_percent": flux.emissivity_percent(),
        "background_celsius": celsius(flux.background),
        "atmosphere_transmission": part(flux.atmosphere_transmission),
        "atmosphere_celsius": celsius(flux.atmosphere),
        "window_transmission": part(flux.window_transmission),
        "window_reflection": part(flux.window_reflection),
        "window_celsius": celsius(flux.window),
        "window_reflected_celsius": celsius(flux.window_reflected),
    })
}

fn gain(telemetry: &Telemetry) -> Value {
    let gain = &telemetry.gain;
    json!({
        "mode": gain.mode.name(),
        "effective": gain.effective.name(),
        "desired": gain.desired.name(),
        "high_to_low_celsius": gain.high_to_low_c,
        "low_to_high_celsius": gain.low_to_high_c,
        "high_to_low_kelvin": gain.high_to_low_k,
        "low_to_high_kelvin": gain.low_to_high_k,
        "high_to_low_percent": gain.high_to_low_percent,
        "low_to_high_percent": gain.low_to_high_percent,
        "roi": area(&gain.roi),
    })
}

/// Degrees Celsius are null while radiometry is off.
fn spot(telemetry: &Telemetry) -> Value {
    let spot = &telemetry.spot;
    let celsius = telemetry.spot_celsius();
    json!({
        "mean_celsius": celsius.map(|spot| spot.mean),
        "max_celsius": celsius.map(|spot| spot.max),
        "min_celsius": celsius.map(|spot| spot.min),
        "mean_counts": spot.mean,
        "max_counts": spot.max,
        "min_counts": spot.min,
        "population_pixels": spot.population,
        "area": area(&spot.area),
    })
}

fn area(area: &SpotArea) -> Value {
    json!({"c1": area.col1, "c2": area.col2, "r1": area.row1, "r2": area.row2})
}

fn hex(words: &[u16]) -> String {
    words.iter().map(|word| format!("{word:04x}")).collect()
}
