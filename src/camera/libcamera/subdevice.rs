//! The sensor's timing from its kernel driver: libcamera tells exposure limits in microseconds, not lines.

#![allow(unsafe_code)]

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::ioctl::{Updater, ioctl};

use crate::camera::choice::SensorTiming;

const VIDEO_CLASS: &str = "/sys/class/video4linux";
/// `V4L2_CID_PIXEL_RATE`, `_HBLANK`, `_VBLANK`, `_EXPOSURE`.
const PIXEL_RATE: u32 = 0x009f_0902;
const HBLANK: u32 = 0x009e_0902;
const VBLANK: u32 = 0x009e_0901;
const EXPOSURE: u32 = 0x0098_0911;
/// `VIDIOC_G_EXT_CTRLS` and `VIDIOC_QUERY_EXT_CTRL`.
const GET_CONTROLS: u32 = 0xc020_5647;
const QUERY_CONTROL: u32 = 0xc0e8_5667;

/// `struct v4l2_ext_control`.
#[repr(C, packed)]
struct Control {
    id: u32,
    size: u32,
    reserved: u32,
    value: i64,
}

/// `struct v4l2_ext_controls`.
#[repr(C)]
struct Controls {
    which: u32,
    count: u32,
    error_index: u32,
    request_fd: i32,
    reserved: u32,
    controls: *mut Control,
}

/// `struct v4l2_query_ext_ctrl`.
#[repr(C)]
struct Query {
    id: u32,
    kind: u32,
    name: [u8; 32],
    minimum: i64,
    maximum: i64,
    step: u64,
    default: i64,
    more: [u32; 40],
}

const _: () = assert!(size_of::<Control>() == 20);
const _: () = assert!(size_of::<Controls>() == 0x20);
const _: () = assert!(size_of::<Query>() == 0xe8);

/// Timing of the mode that the sensor of this model is in, with frames of that size. `None` where its driver cannot
/// be asked.
pub(super) fn timing(model: &str, (width, height): (u32, u32)) -> Option<SensorTiming> {
    let node = find(Path::new(VIDEO_CLASS), model)?;
    let read = File::open(&node).and_then(|node| {
        let whole = |value: i64| {
            u32::try_from(value).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
        };
        Ok(SensorTiming {
            line_length_px: whole(i64::from(width) + value(&node, HBLANK)?)?,
            pixel_rate_hz: u64::try_from(value(&node, PIXEL_RATE)?).unwrap_or(0),
            frame_length_lines: whole(i64::from(height) + value(&node, VBLANK)?)?,
            exposure_max_lines: whole(maximum(&node, EXPOSURE)?)?,
        })
    });
    read.inspect_err(|error| tracing::debug!(%error, node = %node.display(), "no sensor timing"))
        .ok()
}

/// The device node of the sensor: subdevices are named by model and bus address, `imx477 10-001a`.
fn find(class: &Path, model: &str) -> Option<PathBuf> {
    let mut nodes: Vec<_> = fs::read_dir(class).ok()?.flatten().collect();
    nodes.sort_by_key(fs::DirEntry::file_name);
    let of_sensor = |entry: &&fs::DirEntry| {
        let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        entry
            .file_name()
            .to_string_lossy()
            .starts_with("v4l-subdev")
            && name.split_whitespace().next() == Some(model)
    };
    let node = nodes.iter().find(of_sensor)?.file_name();
    Some(Path::new("/dev").join(node))
}

fn value(node: &File, id: u32) -> io::Result<i64> {
    let mut control = Control {
        id,
        size: 0,
        reserved: 0,
        value: 0,
    };
    let mut controls = Controls {
        which: 0,
        count: 1,
        error_index: 0,
        request_fd: 0,
        reserved: 0,
        controls: &raw mut control,
    };
    // SAFETY: this opcode takes exactly this structure, and the one control it points to lives until the call returns.
    unsafe { ioctl(node, Updater::<GET_CONTROLS, _>::new(&mut controls))? };
    let Control { size, value, .. } = control;
    debug_assert_eq!(size, 0, "no control asked for is an array");
    // All but the pixel rate are 32-bit values in the lower half of the field.
    Ok(match id {
        PIXEL_RATE => value,
        _ => i64::from(value as i32),
    })
}

fn maximum(node: &File, id: u32) -> io::Result<i64> {
    let mut query = Query {
        id,
        kind: 0,
        name: [0; 32],
        minimum: 0,
        maximum: 0,
        step: 0,
        default: 0,
        more: [0; 40],
    };
    // SAFETY: this opcode takes exactly this structure and fills it in.
    unsafe { ioctl(node, Updater::<QUERY_CONTROL, _>::new(&mut query))? };
    Ok(query.maximum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sensor_is_found_by_its_name_among_others() {
        let class = tempfile::tempdir().unwrap();
        for (node, name) in [
            ("video0", "imx477 10-001a"),
            ("v4l-subdev0", "unicam"),
            ("v4l-subdev1", "imx4770 10-001a"),
            ("v4l-subdev2", "imx477 10-001a\n"),
        ] {
            fs::create_dir(class.path().join(node)).unwrap();
            fs::write(class.path().join(node).join("name"), name).unwrap();
        }
        assert_eq!(
            find(class.path(), "imx477"),
            Some(PathBuf::from("/dev/v4l-subdev2"))
        );
        assert_eq!(find(class.path(), "imx219"), None);
        assert_eq!(find(&class.path().join("none"), "imx477"), None);
    }

    #[test]
    fn a_node_that_is_no_subdevice_is_refused() {
        let node = File::open("/dev/null").unwrap();
        assert!(value(&node, HBLANK).is_err());
        assert!(maximum(&node, EXPOSURE).is_err());
    }
}
