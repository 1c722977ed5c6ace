//! libcamera's tuning of the IMX477 for measurements: automatic exposure changes the exposure time alone, never the
//! gain, and meters the whole frame evenly (hq-camera.md 10). Raw frames of manual exposures do not depend on it.
//!
//! The file is made at every start from the one that libcamera installed, so that it fits libcamera's version.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Exposure times of the automatic exposure's stages, microseconds.
const SHUTTER_US: [u32; 10] = [
    100, 333, 666, 1_000, 3_333, 6_666, 10_000, 33_333, 66_666, 100_000,
];
/// Metering modes whose regions all count the same.
const METERING_MODES: [&str; 3] = ["centre-weighted", "spot", "matrix"];
/// Constraint modes that hold the brightest pixels between a fifth and four fifths of full scale.
const CONSTRAINT_MODES: [&str; 3] = ["normal", "highlight", "shadows"];
/// Name of the file that is made.
const FILE_NAME: &str = "imx477_outpost.json";

/// The image signal processor that the tuning is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// Raspberry Pi 0 to 4.
    Vc4,
    /// Raspberry Pi 5.
    Pisp,
}

/// Why there is no tuning for measurements.
#[derive(Debug, thiserror::Error)]
pub enum TuningError {
    /// The file to start from is not there.
    #[error("cannot read libcamera's tuning file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The result cannot be stored.
    #[error("cannot write the tuning file {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no JSON.
    #[error("the tuning file is not JSON")]
    Syntax(#[source] serde_json::Error),
    /// It lacks what is to be changed.
    #[error("the tuning file has no {0}")]
    Missing(&'static str),
}

impl Platform {
    /// Metering regions: a file with any other number of weights is refused by libcamera, and the camera with it.
    pub fn metering_regions(self) -> usize {
        match self {
            Platform::Vc4 => 15,
            Platform::Pisp => 15 * 15,
        }
    }

    /// Where libcamera's packages install the tuning to start from.
    pub fn installed(self) -> &'static Path {
        Path::new(match self {
            Platform::Vc4 => "/usr/share/libcamera/ipa/rpi/vc4/imx477_scientific.json",
            Platform::Pisp => "/usr/share/libcamera/ipa/rpi/pisp/imx477_scientific.json",
        })
    }
}

/// Makes the tuning file in `folder`, which is created if need be, and gives its path.
///
/// # Errors
/// [`TuningError`]: `installed` is missing or not what it was, or the folder cannot be written.
pub fn generate(
    installed: &Path,
    platform: Platform,
    folder: &Path,
) -> Result<PathBuf, TuningError> {
    let text = fs::read_to_string(installed).map_err(|source| TuningError::Read {
        path: installed.to_owned(),
        source,
    })?;
    let edited = edit(&text, platform)?;
    let path = folder.join(FILE_NAME);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, edited))
        .map_err(|source| TuningError::Write {
            path: path.clone(),
            source,
        })?;
    Ok(path)
}

/// The tuning with the changes made; everything else stays as it is.
///
/// # Errors
/// [`TuningError::Syntax`], [`TuningError::Missing`].
pub fn edit(text: &str, platform: Platform) -> Result<String, TuningError> {
    let mut tuning: Value = serde_json::from_str(text).map_err(TuningError::Syntax)?;
    let contrast = algorithm(&mut tuning, "rpi.contrast");
    if let Some(contrast) = contrast.and_then(Value::as_object_mut) {
        contrast.insert("ce_enable".into(), json!(0));
    }
    let agc = algorithm(&mut tuning, "rpi.agc").ok_or(TuningError::Missing("rpi.agc"))?;
    match agc.get_mut("channels").and_then(Value::as_array_mut) {
        Some(channels) => channels
            .iter_mut()
            .try_for_each(|channel| even_out(channel, platform))?,
        None => even_out(agc, platform)?,
    }
    // libcamera reads it as YAML, in which a key ends at a colon and a space.
    serde_json::to_string_pretty(&tuning).map_err(TuningError::Syntax)
}

/// The sensor's black level in counts of 12 bits, as the tuning states it.
pub fn black_level(text: &str) -> Option<u16> {
    let mut tuning: Value = serde_json::from_str(text).ok()?;
    let level = algorithm(&mut tuning, "rpi.black_level")?
        .get("black_level")?
        .as_u64()?;
    // The tuning's scale is 16 bits whatever the sensor's.
    u16::try_from(level).ok().map(|level| level / 16)
}

/// The parameters of one algorithm: each is an object with the algorithm's name as its only key.
fn algorithm<'a>(tuning: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    tuning
        .get_mut("algorithms")?
        .as_array_mut()?
        .iter_mut()
        .find_map(|algorithm| algorithm.get_mut(name))
}

fn even_out(agc: &mut Value, platform: Platform) -> Result<(), TuningError> {
    let metering = table(agc, "metering_modes")?;
    for mode in METERING_MODES {
        let weights = vec![1.0; platform.metering_regions()];
        metering.insert(mode.into(), json!({ "weights": weights }));
    }
    let exposure = table(agc, "exposure_modes")?;
    let gain = [1.0; SHUTTER_US.len()];
    let normal = json!({ "shutter": SHUTTER_US, "gain": gain });
    exposure.insert("normal".into(), normal);
    let constraints = table(agc, "constraint_modes")?;
    let bound = |bound: &str, target: f64| {
        let y_target = json!([0, target, 1000, target]);
        json!({ "bound": bound, "q_lo": 0.98, "q_hi": 1.0, "y_target": y_target })
    };
    for mode in CONSTRAINT_MODES {
        let both = json!([bound("LOWER", 0.2), bound("UPPER", 0.8)]);
        constraints.insert(mode.into(), both);
    }
    Ok(())
}

fn table<'a>(
    agc: &'a mut Value,
    name: &'static str,
) -> Result<&'a mut serde_json::Map<String, Value>, TuningError> {
    let found = agc.get_mut(name).and_then(Value::as_object_mut);
    found.ok_or(TuningError::Missing(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape of libcamera's file, shortened to what the changes touch and a neighbor of each.
    fn stock(weights: usize) -> Value {
        json!({
            "version": 2.0,
            "target": "bcm2835",
            "algorithms": [
                { "rpi.black_level": { "black_level": 4096 } },
                { "rpi.lux": { "reference_gain": 1.0 } },
                { "rpi.agc": {
                    "metering_modes": {
                        "centre-weighted": { "weights": vec![3; weights] },
                        "spot": { "weights": vec![0; weights] },
                        "matrix": { "weights": vec![1; weights] },
                    },
                    "exposure_modes": {
                        "normal": { "shutter": [100, 66666], "gain": [1.0, 16.0] },
                        "long": { "shutter": [100, 120000], "gain": [1.0, 16.0] },
                    },
                    "constraint_modes": {
                        "normal": [
                            { "bound": "LOWER", "q_lo": 0.98, "q_hi": 1.0, "y_target": [0, 0.3, 1000, 0.3] },
                        ],
                        "highlight": [],
                        "shadows": [],
                    },
                    "y_target": [0, 0.16, 1000, 0.165],
                } },
                { "rpi.contrast": { "ce_enable": 1, "gamma_curve": [0, 0, 65535, 65535] } },
            ],
        })
    }

    fn edited(tuning: &Value, platform: Platform) -> Value {
        serde_json::from_str(&edit(&tuning.to_string(), platform).unwrap()).unwrap()
    }

    #[test]
    fn exposure_alone_is_automatic_and_the_whole_frame_is_metered() {
        for (platform, regions) in [(Platform::Vc4, 15), (Platform::Pisp, 225)] {
            let tuning = edited(&stock(15), platform);
            let agc = &tuning["algorithms"][2]["rpi.agc"];
            for mode in ["centre-weighted", "spot", "matrix"] {
                let weights = agc["metering_modes"][mode]["weights"].as_array().unwrap();
                assert_eq!(weights.len(), regions, "{platform:?} {mode}");
                assert!(weights.iter().all(|weight| weight.as_f64() == Some(1.0)));
            }
            let normal = &agc["exposure_modes"]["normal"];
            let shutter = [
                100, 333, 666, 1000, 3333, 6666, 10000, 33333, 66666, 100_000,
            ];
            assert_eq!(normal["shutter"], json!(shutter));
            assert_eq!(normal["gain"], json!(vec![1.0; 10]));
            for mode in ["normal", "highlight", "shadows"] {
                assert_eq!(
                    agc["constraint_modes"][mode],
                    json!([
                        { "bound": "LOWER", "q_lo": 0.98, "q_hi": 1.0, "y_target": [0, 0.2, 1000, 0.2] },
                        { "bound": "UPPER", "q_lo": 0.98, "q_hi": 1.0, "y_target": [0, 0.8, 1000, 0.8] },
                    ]),
                );
            }
            assert_eq!(
                tuning["algorithms"][3]["rpi.contrast"]["ce_enable"],
                json!(0)
            );
        }
    }

    #[test]
    fn everything_else_stays_and_keeps_its_order() {
        let before = stock(15);
        let after = edited(&before, Platform::Vc4);
        for at in [0, 1] {
            assert_eq!(after["algorithms"][at], before["algorithms"][at]);
        }
        let agc = |tuning: &Value| tuning["algorithms"][2]["rpi.agc"].clone();
        assert_eq!(
            agc(&after)["exposure_modes"]["long"],
            agc(&before)["exposure_modes"]["long"]
        );
        assert_eq!(agc(&after)["y_target"], agc(&before)["y_target"]);
        let curve = |tuning: &Value| tuning["algorithms"][3]["rpi.contrast"]["gamma_curve"].clone();
        assert_eq!(curve(&after), curve(&before));
        assert_eq!(after["target"], "bcm2835");
        assert_eq!(after["version"], json!(2.0));
    }

    #[test]
    fn each_channel_is_changed() {
        let mut tuning = stock(225);
        let agc = tuning["algorithms"][2]["rpi.agc"].take();
        tuning["algorithms"][2]["rpi.agc"] = json!({ "channels": [agc.clone(), agc] });
        let tuning = edited(&tuning, Platform::Pisp);
        let channels = &tuning["algorithms"][2]["rpi.agc"]["channels"];
        for channel in channels.as_array().unwrap() {
            assert_eq!(
                channel["exposure_modes"]["normal"]["gain"],
                json!(vec![1.0; 10])
            );
        }
    }

    #[test]
    fn a_file_of_another_shape_is_refused() {
        assert!(matches!(
            edit("{", Platform::Vc4),
            Err(TuningError::Syntax(_))
        ));
        for text in ["{}", "[]", "{\"algorithms\": 1}", "{\"algorithms\": [1]}"] {
            assert!(matches!(
                edit(text, Platform::Vc4),
                Err(TuningError::Missing("rpi.agc"))
            ));
        }
        let mut tuning = stock(15);
        tuning["algorithms"][2]["rpi.agc"]["exposure_modes"] = json!(null);
        assert!(matches!(
            edit(&tuning.to_string(), Platform::Vc4),
            Err(TuningError::Missing("exposure_modes"))
        ));
    }

    #[test]
    fn the_black_level_is_that_of_twelve_bits() {
        assert_eq!(black_level(&stock(15).to_string()), Some(256));
        assert_eq!(black_level("{\"algorithms\": []}"), None);
        assert_eq!(black_level("?"), None);
    }

    #[test]
    fn the_file_is_made_from_the_installed_one() {
        let folder = tempfile::tempdir().unwrap();
        let installed = folder.path().join("stock.json");
        fs::write(&installed, stock(15).to_string()).unwrap();
        let runtime = folder.path().join("run");
        let made = generate(&installed, Platform::Vc4, &runtime).unwrap();
        assert!(made.starts_with(&runtime));
        let text = fs::read_to_string(&made).unwrap();
        assert_eq!(text, edit(&stock(15).to_string(), Platform::Vc4).unwrap());
        let missing = generate(&folder.path().join("no.json"), Platform::Vc4, &runtime);
        let message = missing.unwrap_err().to_string();
        assert!(message.contains("no.json"), "{message}");
    }
}
