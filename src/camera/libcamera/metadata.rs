//! What libcamera says about a frame, in Outpost's terms.

use libcamera::control::{Control, ControlList};
use libcamera::controls::{
    AnalogueGain, ColourGains, ColourTemperature, DigitalGain, ExposureTime, FrameDuration, Lux,
    ScalerCrop, SensorBlackLevels, SensorTemperature, SensorTimestamp,
};

use super::device::crop_values;
use crate::camera::backend::{Exposure, FrameStatus, Metadata, Request};

/// Reads the metadata of the request that answers `asked`. What the pipeline does not tell is taken as it was asked
/// for; status and sequence are the buffer's to say.
pub(super) fn read(asked: &Request, list: &ControlList) -> Metadata {
    let controls = &asked.controls;
    let exposure_us = value::<ExposureTime>(list).map(|time| whole(time.0.into()));
    let duration_us = value::<FrameDuration>(list).map(|duration| whole(duration.0));
    let frame_duration_us = duration_us.unwrap_or(controls.frame_duration_us);
    Metadata {
        request_id: asked.id,
        sequence: 0,
        status: FrameStatus::Success,
        sensor_timestamp_ns: value::<SensorTimestamp>(list)
            .map_or_else(super::monotonic_ns, |stamp| stamp.0.unsigned_abs()),
        exposure_us: exposure_us.unwrap_or(match controls.exposure {
            Exposure::Manual(us) => us,
            Exposure::Auto => frame_duration_us,
        }),
        analogue_gain: value::<AnalogueGain>(list).map_or(controls.analogue_gain, |gain| gain.0),
        digital_gain: value::<DigitalGain>(list).map_or(1.0, |gain| gain.0),
        frame_duration_us,
        colour_gains: value::<ColourGains>(list)
            .map(|gains| (gains.0[0], gains.0[1]))
            .or(controls.colour_gains)
            .unwrap_or((1.0, 1.0)),
        scaler_crop: value::<ScalerCrop>(list)
            .and_then(|crop| crop_values(&crop.0))
            .or(controls.scaler_crop)
            .unwrap_or_default(),
        black_level: black_level(list).unwrap_or_default(),
        sensor_temperature_celsius: value::<SensorTemperature>(list).map(|celsius| celsius.0),
        lux: value::<Lux>(list).map(|lux| lux.0),
        colour_temperature_kelvin: value::<ColourTemperature>(list)
            .and_then(|kelvin| u32::try_from(kelvin.0).ok()),
    }
}

/// Black level in counts of 12 bits: the mean of the four sites, which libcamera gives at a scale of 16 bits.
pub(super) fn black_level(list: &ControlList) -> Option<u16> {
    let sites = value::<SensorBlackLevels>(list)?.0;
    let sum: i64 = sites.iter().map(|&level| i64::from(level)).sum();
    u16::try_from(sum / 4 / 16)
        .ok()
        .filter(|&level| level < 4095)
}

fn value<C: Control>(list: &ControlList) -> Option<C> {
    list.get::<C>().ok()
}

fn whole(us: i64) -> u32 {
    u32::try_from(us.max(0)).unwrap_or(u32::MAX)
}
