//! What a Raspberry Pi's kernel tells of the board itself: supply, throttling, temperature.
//!
//! | below the sysfs folder | content | means |
//! |---|---|---|
//! | `class/hwmon/hwmon*/name`, `in0_lcrit_alarm` | `rpi_volt`; `0` or `1` | supply too low within the kernel's last 2 s |
//! | `bus/platform/devices/*:firmware/get_throttled` | hexadecimal, as `vcgencmd get_throttled` | bits 0 under-voltage, 1 frequency capped, 2 throttled, 3 soft temperature limit |
//! | `class/thermal/thermal_zone*/type`, `temp` | `cpu-thermal`; thousandths of a degree Celsius | temperature of the processor |
//!
//! Sources: the kernel's `raspberrypi-hwmon` driver and Raspberry Pi's `firmware/raspberrypi.c`. The upper half of
//! `get_throttled` is not used: it tells of an unknown time before, and the alarm keeps short dips already. The first
//! reader of `get_throttled` makes the kernel log a warning ("deprecated, use hwmon sysfs instead"); nothing else
//! tells of throttling without the firmware's mailbox, which the service may not open.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Longest file that is read, in bytes; the longest in use has 16.
const LONGEST: u64 = 64;

const UNDER_VOLTAGE: u32 = 1;
const CAPPED_OR_THROTTLED: u32 = 2 | 4;
const SOFT_TEMPERATURE_LIMIT: u32 = 8;

/// What the board said at one moment; `None` where it has no such sensor or the sensor cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Vitals {
    /// Whether the supply is, or within the last seconds was, too low (below 4.63 V).
    pub under_voltage: Option<bool>,
    /// Whether the processor is slowed down for its temperature. Slowed down for the supply alone does not count.
    pub throttled: Option<bool>,
    /// Temperature of the processor in degrees Celsius.
    pub temperature_c: Option<f64>,
}

impl Vitals {
    /// Looks at every sensor below `sysfs` (`/sys` on a real machine). Blocks for the time of some small files.
    pub fn look(sysfs: &Path) -> Self {
        let flags = throttle_flags(sysfs);
        Self {
            under_voltage: supply_alarm(sysfs)
                .or_else(|| flags.map(|flags| flags & UNDER_VOLTAGE != 0)),
            throttled: flags.map(is_throttled),
            temperature_c: temperature(sysfs),
        }
    }

    /// Whether the board has none of these sensors.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A low supply slows the processor down as well, which says nothing of its temperature.
fn is_throttled(flags: u32) -> bool {
    let slow = flags & CAPPED_OR_THROTTLED != 0 && flags & UNDER_VOLTAGE == 0;
    slow || flags & SOFT_TEMPERATURE_LIMIT != 0
}

fn supply_alarm(sysfs: &Path) -> Option<bool> {
    let monitors = children(&sysfs.join("class/hwmon"));
    let monitor = monitors
        .into_iter()
        .find(|monitor| text(&monitor.join("name")).as_deref() == Some("rpi_volt"))?;
    match text(&monitor.join("in0_lcrit_alarm"))?.as_str() {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

fn throttle_flags(sysfs: &Path) -> Option<u32> {
    let devices = children(&sysfs.join("bus/platform/devices"));
    let firmware = devices
        .into_iter()
        .find(|device| device.to_string_lossy().ends_with(":firmware"))?;
    let text = text(&firmware.join("get_throttled"))?;
    u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()
}

fn temperature(sysfs: &Path) -> Option<f64> {
    let zones = children(&sysfs.join("class/thermal"));
    let zone = zones
        .into_iter()
        .find(|zone| text(&zone.join("type")).as_deref() == Some("cpu-thermal"))?;
    let thousandths: i32 = text(&zone.join("temp"))?.parse().ok()?;
    Some(f64::from(thousandths) / 1000.0)
}

/// Entries of a folder in order of their names; none where it cannot be read.
fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// A short file without the white space around it.
fn text(path: &Path) -> Option<String> {
    let mut text = String::new();
    let file = File::open(path).ok()?;
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned())
}
