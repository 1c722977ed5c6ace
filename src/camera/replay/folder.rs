//! The folder on disk: `replay.toml` and the frames, checked before anything is shown.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::MAX_IN_FLIGHT;
use crate::camera::backend::{BackendError, Limits, StreamInfo};
use crate::raw::{BayerOrder, Layout, Packing};

const MAX_FRAME_BYTES: usize = 64 << 20;
const MAX_FILES: usize = 100_000;
const MAX_SETTINGS_BYTES: u64 = 64 << 10;
const WHITE_LEVEL: u16 = 4095;
/// The HQ camera's longest frame, so that any rate it takes is taken here too.
pub(super) const LONGEST_US: u32 = 653_952_000;

#[derive(Debug, Clone, Copy, Deserialize)]
enum PackingName {
    #[serde(rename = "csi2p12")]
    Csi2p12,
    #[serde(rename = "u16")]
    U16,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum BayerName {
    Rggb,
    Grbg,
    Gbrg,
    Bggr,
}

/// `replay.toml`; the keys are described at [`super`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    width: usize,
    height: usize,
    stride: usize,
    packing: PackingName,
    #[serde(default)]
    shift: u8,
    bayer: BayerName,
    pub(super) black_level: u16,
    pub(super) exposure_us: Option<u32>,
    pub(super) analogue_gain: Option<f32>,
    #[serde(rename = "loop", default = "yes")]
    pub(super) repeat: bool,
    #[serde(default = "yes")]
    pub(super) paced: bool,
}

fn yes() -> bool {
    true
}

/// Reads `replay.toml`.
pub(super) fn load(path: &Path) -> Result<Settings, BackendError> {
    let read_error = |source| BackendError::Read {
        path: path.to_owned(),
        source,
    };
    let refused = |reason| BackendError::Replay {
        path: path.to_owned(),
        reason,
    };
    let mut text = String::new();
    let file = File::open(path).map_err(read_error)?;
    file.take(MAX_SETTINGS_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(read_error)?;
    if text.len() as u64 > MAX_SETTINGS_BYTES {
        return Err(refused(format!("longer than {MAX_SETTINGS_BYTES} bytes")));
    }
    toml::from_str(&text).map_err(|error| {
        let place = error
            .span()
            .map_or(String::new(), |span| place(&text, span.start));
        refused(format!("{place}{}", error.message()))
    })
}

fn place(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    format!("line {line}, column {column}: ")
}

/// Checks the settings; an error is the reason.
pub(super) fn stream_info(settings: &Settings) -> Result<StreamInfo, String> {
    let layout = layout(settings)?;
    if settings.black_level >= WHITE_LEVEL {
        return Err(format!(
            "black_level is {}, but white is {WHITE_LEVEL}",
            settings.black_level
        ));
    }
    if settings.exposure_us == Some(0) {
        return Err("exposure_us is 0".into());
    }
    if let Some(gain) = settings.analogue_gain
        && !(gain.is_finite() && gain > 0.0)
    {
        return Err(format!("analogue_gain is {gain}, not a positive number"));
    }
    Ok(StreamInfo {
        paced: settings.paced,
        layout,
        black_level: settings.black_level,
        white_level: WHITE_LEVEL,
        limits: Limits {
            exposure_min_us: 1,
            exposure_max_us: LONGEST_US,
            line_time_us: (1, 1),
            blanking_lines: 0,
            analogue_gain_min: 1.0,
            analogue_gain_max: 64.0,
            frame_duration_min_us: 1_000,
            frame_duration_max_us: LONGEST_US,
        },
        control_latency_frames: 0,
        max_in_flight: MAX_IN_FLIGHT,
        obeys_controls: settings.exposure_us.is_none() && settings.analogue_gain.is_none(),
    })
}

fn layout(settings: &Settings) -> Result<Layout, String> {
    let Settings {
        width,
        height,
        stride,
        ..
    } = *settings;
    for (name, size) in [("width", width), ("height", height)] {
        if size < 2 || size % 2 != 0 {
            return Err(format!(
                "{name} is {size}, but a Bayer frame has an even one, at least 2"
            ));
        }
    }
    let (packing, row_bytes) = match (settings.packing, settings.shift) {
        (PackingName::Csi2p12, 0) => (Packing::Csi2p12, (width / 2).checked_mul(3)),
        (PackingName::U16, 0) => (Packing::U16Low, width.checked_mul(2)),
        (PackingName::U16, 4) => (Packing::U16High, width.checked_mul(2)),
        (PackingName::U16, shift) => {
            return Err(format!("shift is {shift}, but only 0 and 4 exist"));
        }
        (PackingName::Csi2p12, _) => return Err("shift goes with packing = \"u16\" alone".into()),
    };
    if row_bytes.is_none_or(|needed| needed > stride) {
        return Err(format!(
            "stride is {stride}, too short for a row of {width} pixels"
        ));
    }
    if packing != Packing::Csi2p12 && stride % 2 != 0 {
        return Err(format!(
            "stride is {stride}, but rows of 16-bit samples have an even one"
        ));
    }
    if stride
        .checked_mul(height)
        .is_none_or(|bytes| bytes > MAX_FRAME_BYTES)
    {
        return Err(format!(
            "a frame of {height} rows of {stride} bytes is larger than {} MB",
            MAX_FRAME_BYTES >> 20
        ));
    }
    Ok(Layout {
        width,
        height,
        stride_bytes: stride,
        packing,
        bayer: match settings.bayer {
            BayerName::Rggb => BayerOrder::Rggb,
            BayerName::Grbg => BayerOrder::Grbg,
            BayerName::Gbrg => BayerOrder::Gbrg,
            BayerName::Bggr => BayerOrder::Bggr,
        },
    })
}

/// The folder's `*.bin` in name order, each of `frame_bytes`.
pub(super) fn frame_files(folder: &Path, frame_bytes: usize) -> Result<Vec<PathBuf>, BackendError> {
    let read_error = |path: &Path, source| BackendError::Read {
        path: path.to_owned(),
        source,
    };
    let refused = |path: &Path, reason: String| BackendError::Replay {
        path: path.to_owned(),
        reason,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| read_error(folder, e))? {
        let path = entry.map_err(|e| read_error(folder, e))?.path();
        if path.extension().is_some_and(|extension| extension == "bin") {
            if files.len() == MAX_FILES {
                return Err(refused(folder, format!("more than {MAX_FILES} frames")));
            }
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(refused(folder, "no frame (*.bin) in it".into()));
    }
    files.sort();
    for path in &files {
        let metadata = path.metadata().map_err(|e| read_error(path, e))?;
        if !metadata.is_file() {
            return Err(refused(path, "not a plain file".into()));
        }
        if metadata.len() != frame_bytes as u64 {
            let found = metadata.len();
            return Err(refused(
                path,
                format!("{found} bytes, but stride x height is {frame_bytes}"),
            ));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::super::ReplayCamera;
    use super::*;
    use crate::base::clock::Clock;

    const SETTINGS: &str = "width = 64\nheight = 48\nstride = 128\npacking = \"csi2p12\"\nbayer = \"BGGR\"\nblack_level = 256\n";

    fn folder(settings: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("replay.toml"), settings).unwrap();
        std::fs::write(folder.path().join("a.bin"), [0; 6144]).unwrap();
        folder
    }

    fn refusal(folder: &Path) -> String {
        ReplayCamera::open(folder, Clock::real())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn good_settings_are_taken() {
        assert!(ReplayCamera::open(folder(SETTINGS).path(), Clock::real()).is_ok());
    }

    #[test]
    fn impossible_settings_are_named() {
        for (from, to, reason) in [
            ("width = 64", "width = 63", "width is 63"),
            ("height = 48", "height = 0", "height is 0"),
            ("stride = 128", "stride = 95", "stride is 95, too short"),
            (
                "stride = 128",
                "stride = 9000000000000000000",
                "larger than 64 MB",
            ),
            (
                "height = 48",
                "height = 9223372036854775806",
                "larger than 64 MB",
            ),
            (
                "width = 64",
                "width = 9223372036854775806",
                "too short for a row",
            ),
            (
                "black_level = 256",
                "black_level = 4095",
                "black_level is 4095",
            ),
            (
                "black_level = 256",
                "black_level = 256\nexposure_us = 0",
                "exposure_us is 0",
            ),
            (
                "black_level = 256",
                "black_level = 256\nanalogue_gain = nan",
                "analogue_gain is NaN",
            ),
            (
                "black_level = 256",
                "black_level = 256\nshift = 4",
                "shift goes with packing",
            ),
            ("\"csi2p12\"", "\"u16\"\nshift = 3", "shift is 3"),
            (
                "stride = 128",
                "stride = 160",
                "6144 bytes, but stride x height is 7680",
            ),
            (
                "\"BGGR\"",
                "\"bggr\"",
                "line 5, column 9: unknown variant `bggr`, expected one of `RGGB`",
            ),
            ("width = 64", "width = -64", "line 1, column 9: "),
            (
                "height = 48",
                "heigth = 48",
                "line 2, column 1: unknown field `heigth`, expected one of `width`, `height`",
            ),
            ("height = 48\n", "", "missing field `height`"),
            ("height = 48", "height 48", "line 2, column "),
        ] {
            assert!(SETTINGS.contains(from));
            let folder = folder(&SETTINGS.replace(from, to));
            let message = refusal(folder.path());
            assert!(message.contains(reason), "{to}: {message}");
            assert!(
                message.contains(&*folder.path().to_string_lossy()),
                "{message}"
            );
        }
    }

    #[test]
    fn missing_and_unfit_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(refusal(folder.path()).contains("replay.toml"));
        std::fs::write(folder.path().join("replay.toml"), SETTINGS).unwrap();
        assert!(refusal(folder.path()).contains("no frame"));
        std::fs::create_dir(folder.path().join("x.bin")).unwrap();
        assert!(refusal(folder.path()).contains("x.bin: not a plain file"));
        std::fs::write(folder.path().join("replay.toml"), "#".repeat(70_000)).unwrap();
        assert!(refusal(folder.path()).contains("longer than 65536 bytes"));
    }
}
