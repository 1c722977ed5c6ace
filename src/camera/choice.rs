//! Which camera, which of its controls, and what its control ranges say: decided from plain values.

use super::backend::{Controls, Exposure, Limits};

/// Shortest exposure of the IMX477 in lines (hq-camera.md 7).
const SHORTEST_EXPOSURE_LINES: u32 = 4;
/// Lines of a frame that the IMX477 cannot expose (hq-camera.md 7).
const BLANKING_LINES: u32 = 22;

/// A camera that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its path in the system.
    pub id: String,
    /// Its model, such as `imx477`; "" where it tells none.
    pub model: String,
}

/// No camera of the model wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoCamera {
    /// None at all.
    #[error(
        "libcamera finds no camera: check the ribbon cable and camera_auto_detect in config.txt"
    )]
    NoneAtAll,
    /// Others.
    #[error("libcamera finds no {model}, only {others}")]
    OnlyOthers {
        /// The model wanted.
        model: String,
        /// Models and paths of those that are there.
        others: String,
    },
}

/// Index of the first camera of that model. USB cameras have models of their own and are passed over.
///
/// # Errors
/// [`NoCamera`].
pub fn choose_camera(found: &[Found], model: &str) -> Result<usize, NoCamera> {
    let chosen = found.iter().position(|camera| camera.model == model);
    chosen.ok_or_else(|| match found {
        [] => NoCamera::NoneAtAll,
        found => NoCamera::OnlyOthers {
            model: model.to_owned(),
            others: found
                .iter()
                .map(|camera| format!("{} ({})", camera.model, camera.id))
                .collect::<Vec<_>>()
                .join(", "),
        },
    })
}

/// The value of a control, in the type that libcamera wants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// Yes or no.
    Bool(bool),
    /// 32-bit number, or the number of an enumerated value.
    Int32(i32),
    /// Single-precision number.
    Float(f32),
    /// Lower and upper limit.
    Int64Pair([i64; 2]),
    /// Red and blue.
    FloatPair([f32; 2]),
    /// x, y, w, h.
    Rectangle([u32; 4]),
}

/// What a request says to make `controls` take effect, by libcamera's names. `has` tells whether the camera has a
/// control: libcamera accepts others without a word and ignores them.
///
/// From libcamera 0.5 on exposure and gain have a mode each. Before that an automatic exposure beside a fixed gain is
/// an exposure of 0, without `AeEnable`, which would give up the gain as well (hq-camera.md 9).
pub fn choose_controls(
    controls: &Controls,
    full_crop: Option<[u32; 4]>,
    has: impl Fn(&str) -> bool,
) -> Vec<(&'static str, Value)> {
    const AUTO: Value = Value::Int32(0);
    const MANUAL: Value = Value::Int32(1);
    let modes = has("ExposureTimeMode") && has("AnalogueGainMode");
    let mut chosen = Vec::with_capacity(8);
    match controls.exposure {
        Exposure::Manual(us) => {
            match modes {
                true => chosen.push(("ExposureTimeMode", MANUAL)),
                false => chosen.push(("AeEnable", Value::Bool(false))),
            }
            let us = i32::try_from(us).unwrap_or(i32::MAX);
            chosen.push(("ExposureTime", Value::Int32(us)));
        }
        Exposure::Auto if modes => chosen.push(("ExposureTimeMode", AUTO)),
        Exposure::Auto => chosen.push(("ExposureTime", Value::Int32(0))),
    }
    if modes {
        chosen.push(("AnalogueGainMode", MANUAL));
    }
    chosen.push(("AnalogueGain", Value::Float(controls.analogue_gain)));
    let duration_us = i64::from(controls.frame_duration_us);
    chosen.push(("FrameDurationLimits", Value::Int64Pair([duration_us; 2])));
    // Both 0 gives white balance back to the camera.
    let (red, blue) = controls.colour_gains.unwrap_or((0.0, 0.0));
    chosen.push(("ColourGains", Value::FloatPair([red, blue])));
    if let Some(crop) = controls.scaler_crop.or(full_crop) {
        chosen.push(("ScalerCrop", Value::Rectangle(crop)));
    }
    chosen.retain(|(name, _)| has(name));
    chosen
}

/// Ranges of the controls after configuring; `None` where the camera lacks the control.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Ranges {
    /// `ExposureTime`, microseconds.
    pub exposure_us: Option<(i32, i32)>,
    /// `AnalogueGain`.
    pub analogue_gain: Option<(f32, f32)>,
    /// `FrameDurationLimits`, microseconds.
    pub frame_duration_us: Option<(i64, i64)>,
}

/// The sensor's timing as its kernel driver tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SensorTiming {
    /// Pixel clocks of one line, blanking included.
    pub line_length_px: u32,
    /// Pixel clock, Hz.
    pub pixel_rate_hz: u64,
    /// Lines of a frame now, blanking included.
    pub frame_length_lines: u32,
    /// Longest exposure of such a frame, lines.
    pub exposure_max_lines: u32,
}

impl SensorTiming {
    /// Time of one line as a reduced fraction of microseconds; `None` for a driver that tells nonsense.
    fn line_time_us(&self) -> Option<(u32, u32)> {
        let numerator = u64::from(self.line_length_px) * 1_000_000;
        if numerator == 0 || self.pixel_rate_hz == 0 {
            return None;
        }
        let common = gcd(numerator, self.pixel_rate_hz);
        Some((
            u32::try_from(numerator / common).ok()?,
            u32::try_from(self.pixel_rate_hz / common).ok()?,
        ))
    }
}

/// The limits of the mode. A camera without exposure control, such as libcamera's virtual one, gets limits that
/// refuse nothing a client may ask for.
pub fn limits(ranges: &Ranges, timing: Option<&SensorTiming>) -> Limits {
    let positive = |us: i64| u32::try_from(us.max(1)).unwrap_or(u32::MAX);
    let frame = ranges
        .frame_duration_us
        .filter(|_| ranges.exposure_us.is_some());
    let (frame_min, frame_max) = frame.unwrap_or((1, i64::from(i32::MAX)));
    let (exposure_min, exposure_max) = ranges.exposure_us.unwrap_or((1, i32::MAX));
    let (gain_min, gain_max) = ranges.analogue_gain.unwrap_or((1.0, 16.0));
    let exposure_min_us = positive(exposure_min.into());
    let line_time_us = match ranges.exposure_us {
        None => (1, 1),
        // Truncated to whole microseconds, so the line is at most this long.
        Some(_) => timing
            .and_then(SensorTiming::line_time_us)
            .unwrap_or((exposure_min_us.saturating_add(1), SHORTEST_EXPOSURE_LINES)),
    };
    let blanking = timing.and_then(|timing| {
        let lines = timing
            .frame_length_lines
            .checked_sub(timing.exposure_max_lines)?;
        // The longest exposure of a driver that stretches the frame by itself says nothing of blanking.
        (lines < timing.frame_length_lines / 2).then_some(lines)
    });
    Limits {
        exposure_min_us,
        exposure_max_us: positive(exposure_max.into()).max(exposure_min_us),
        line_time_us,
        blanking_lines: match ranges.exposure_us {
            None => 0,
            Some(_) => blanking.unwrap_or(BLANKING_LINES),
        },
        analogue_gain_min: gain_min,
        analogue_gain_max: gain_max.max(gain_min),
        frame_duration_min_us: positive(frame_min),
        frame_duration_max_us: positive(frame_max).max(positive(frame_min)),
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    match b {
        0 => a,
        b => gcd(b, a % b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTROLS: Controls = Controls {
        exposure: Exposure::Manual(5_000),
        analogue_gain: 2.0,
        frame_duration_us: 100_000,
        colour_gains: None,
        scaler_crop: None,
    };
    const OLD: [&str; 6] = [
        "AeEnable",
        "ExposureTime",
        "AnalogueGain",
        "FrameDurationLimits",
        "ColourGains",
        "ScalerCrop",
    ];

    fn chosen(controls: &Controls, modes: bool) -> Vec<(&'static str, Value)> {
        choose_controls(controls, Some([0, 0, 4056, 3040]), |name| {
            OLD.contains(&name) || modes && name.ends_with("Mode")
        })
    }

    #[test]
    fn a_manual_exposure_fixes_exposure_and_gain() {
        let rest = [
            ("AnalogueGain", Value::Float(2.0)),
            ("FrameDurationLimits", Value::Int64Pair([100_000, 100_000])),
            ("ColourGains", Value::FloatPair([0.0, 0.0])),
            ("ScalerCrop", Value::Rectangle([0, 0, 4056, 3040])),
        ];
        let mut old = vec![
            ("AeEnable", Value::Bool(false)),
            ("ExposureTime", Value::Int32(5_000)),
        ];
        old.extend(rest);
        assert_eq!(chosen(&CONTROLS, false), old);
        let mut new = vec![
            ("ExposureTimeMode", Value::Int32(1)),
            ("ExposureTime", Value::Int32(5_000)),
            ("AnalogueGainMode", Value::Int32(1)),
        ];
        new.extend(rest);
        assert_eq!(chosen(&CONTROLS, true), new);
    }

    #[test]
    fn an_automatic_exposure_leaves_the_gain_alone() {
        let controls = Controls {
            exposure: Exposure::Auto,
            ..CONTROLS
        };
        let new = chosen(&controls, true);
        assert_eq!(
            new[..3],
            [
                ("ExposureTimeMode", Value::Int32(0)),
                ("AnalogueGainMode", Value::Int32(1)),
                ("AnalogueGain", Value::Float(2.0)),
            ]
        );
        let old = chosen(&controls, false);
        assert_eq!(
            old[..2],
            [
                ("ExposureTime", Value::Int32(0)),
                ("AnalogueGain", Value::Float(2.0)),
            ]
        );
        for chosen in [new, old] {
            assert!(chosen.iter().all(|(name, _)| *name != "AeEnable"));
        }
    }

    #[test]
    fn what_the_camera_lacks_is_not_sent() {
        let virtual_camera = choose_controls(&CONTROLS, None, |name| name == "FrameDurationLimits");
        assert_eq!(
            virtual_camera,
            [("FrameDurationLimits", Value::Int64Pair([100_000, 100_000]))]
        );
        let own = Controls {
            colour_gains: Some((1.5, 2.5)),
            scaler_crop: Some([2, 4, 8, 16]),
            ..CONTROLS
        };
        let all = choose_controls(&own, None, |_| true);
        assert!(all.contains(&("ColourGains", Value::FloatPair([1.5, 2.5]))));
        assert!(all.contains(&("ScalerCrop", Value::Rectangle([2, 4, 8, 16]))));
    }

    #[test]
    fn the_model_decides_among_cameras() {
        let camera = |id: &str, model: &str| Found {
            id: id.into(),
            model: model.into(),
        };
        let usb = camera("/base/soc/usb-1.2", "C930e");
        let hq = camera("/base/soc/i2c0mux/i2c@1/imx477@1a", "imx477");
        let both = [usb.clone(), hq.clone(), hq];
        assert_eq!(choose_camera(&both, "imx477"), Ok(1));
        assert_eq!(choose_camera(&[], "imx477"), Err(NoCamera::NoneAtAll));
        let message = choose_camera(&[usb], "imx477").unwrap_err().to_string();
        assert!(
            message.contains("imx477") && message.contains("C930e (/base/soc/usb-1.2)"),
            "{message}"
        );
    }

    const IMX477: Ranges = Ranges {
        exposure_us: Some((114, 667_234_896)),
        analogue_gain: Some((1.0, 22.260_87)),
        frame_duration_us: Some((100_000, 694_434_742)),
    };
    /// hq-camera.md 7: line length 24000 at 840 MHz, 3500 lines of which 22 cannot be exposed.
    const TIMING: SensorTiming = SensorTiming {
        line_length_px: 24_000,
        pixel_rate_hz: 840_000_000,
        frame_length_lines: 3_500,
        exposure_max_lines: 3_478,
    };

    #[test]
    fn limits_are_the_cameras_own() {
        let limits = limits(&IMX477, Some(&TIMING));
        let (num, den) = limits.line_time_us;
        assert_eq!(num * 840, den * 24_000);
        assert_eq!(limits.blanking_lines, 22);
        assert_eq!(limits.exposure_min_us, 114);
        assert_eq!(limits.exposure_max_us, 667_234_896);
        assert_eq!(
            (limits.analogue_gain_min, limits.analogue_gain_max),
            (1.0, 22.260_87)
        );
        assert_eq!(limits.frame_duration_min_us, 100_000);
        // hq-camera.md 7: 99 371 us at exactly 10 frames a second.
        assert_eq!(limits.longest_exposure_us(100_000), 99_371);
    }

    #[test]
    fn without_the_driver_a_line_is_taken_no_shorter_than_it_can_be() {
        let limits = limits(&IMX477, None);
        let (num, den) = limits.line_time_us;
        let line_us = f64::from(num) / f64::from(den);
        assert!((28.5714..29.0).contains(&line_us), "{line_us}");
        assert_eq!(limits.blanking_lines, 22);
    }

    #[test]
    fn nonsense_of_a_driver_is_not_believed() {
        for timing in [
            SensorTiming {
                pixel_rate_hz: 0,
                ..TIMING
            },
            SensorTiming {
                line_length_px: 0,
                ..TIMING
            },
        ] {
            assert_eq!(limits(&IMX477, Some(&timing)).line_time_us, (115, 4));
        }
        for exposure_max_lines in [0, 100, 65_000] {
            let timing = SensorTiming {
                exposure_max_lines,
                ..TIMING
            };
            assert_eq!(limits(&IMX477, Some(&timing)).blanking_lines, 22);
        }
    }

    #[test]
    fn a_camera_without_exposure_refuses_nothing() {
        let virtual_camera = Ranges {
            frame_duration_us: Some((33_333, 33_333)),
            ..Ranges::default()
        };
        let limits = limits(&virtual_camera, None);
        assert_eq!((limits.exposure_min_us, limits.blanking_lines), (1, 0));
        assert_eq!(limits.longest_exposure_us(100_000), 100_000);
        assert!(limits.frame_duration_max_us > 1_000_000);
    }
}
