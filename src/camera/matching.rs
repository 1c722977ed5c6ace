//! Whether a frame shows what was asked for, by its own metadata.

use super::backend::{Controls, Exposure, Limits, Metadata};

/// Rounding of metadata: exposure times are truncated to whole microseconds, gains pass through `f32`.
const EXPOSURE_SLACK_US: f64 = 1.0;
const GAIN_SLACK: f32 = 1e-3;

/// Strict: the frame's exposure is the asked one quantized to whole lines, its gain the asked one quantized to the
/// sensor's codes. Two exposures that differ by a line are told apart, so no picture carries a neighbor's name.
///
/// Automatic exposure cannot be told from metadata and always matches.
pub(super) fn shows(asked: &Controls, seen: &Metadata, limits: &Limits) -> bool {
    exposure_is(asked.exposure, seen, limits) && gain_is(asked.analogue_gain, seen.analogue_gain)
}

/// Tolerant, for the waiting rule of the `CAM:CONF` commands (hq-camera.md 3): every value within 5 % or one step.
pub(super) fn settled(asked: &Controls, seen: &Metadata, limits: &Limits) -> bool {
    let near =
        |seen: f64, asked: f64, step: f64| (seen - asked).abs() <= (asked.abs() * 0.05).max(step);
    let exposure = match asked.exposure {
        Exposure::Auto => true,
        Exposure::Manual(us) => near(
            seen.exposure_us.into(),
            us.into(),
            line_us(limits) + EXPOSURE_SLACK_US,
        ),
    };
    let gain = near(
        seen.analogue_gain.into(),
        asked.analogue_gain.into(),
        gain_step(asked.analogue_gain).into(),
    );
    let duration = near(
        seen.frame_duration_us.into(),
        asked.frame_duration_us.into(),
        line_us(limits),
    );
    let colour = asked.colour_gains.is_none_or(|(red, blue)| {
        near(seen.colour_gains.0.into(), red.into(), 0.01)
            && near(seen.colour_gains.1.into(), blue.into(), 0.01)
    });
    let crop = asked.scaler_crop.is_none_or(|crop| {
        crop.iter()
            .zip(seen.scaler_crop)
            .all(|(&asked, seen)| near(seen.into(), asked.into(), 2.0))
    });
    exposure && gain && duration && colour && crop
}

fn exposure_is(asked: Exposure, seen: &Metadata, limits: &Limits) -> bool {
    let Exposure::Manual(asked_us) = asked else {
        return true;
    };
    let (asked, seen) = (f64::from(asked_us), f64::from(seen.exposure_us));
    seen <= asked + EXPOSURE_SLACK_US && seen + line_us(limits) + EXPOSURE_SLACK_US > asked
}

fn gain_is(asked: f32, seen: f32) -> bool {
    seen <= asked + GAIN_SLACK && seen + gain_step(asked) + GAIN_SLACK > asked
}

fn line_us(limits: &Limits) -> f64 {
    f64::from(limits.line_time_us.0) / f64::from(limits.line_time_us.1)
}

/// Distance of neighboring gains at `gain`: the register holds 1024 - 1024 / gain (hq-camera.md 7).
fn gain_step(gain: f32) -> f32 {
    gain * gain / 1024.0
}
