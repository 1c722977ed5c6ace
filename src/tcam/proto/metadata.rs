//! What a camera says of itself, in `status` and in every image: name, model, version and its clock.
//!
//! ```text
//! {"Camera":"tCam-Mini-51A0","Model":262146,"Version":"3.2","Time":"21:52:46.8","Date":"2/2/21"}
//! ```

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The metadata of an image, borrowed from its text where nothing is escaped.
///
/// Unknown keys are ignored and the order is free: older programs sort the keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata<'a> {
    /// Camera name, 1 to 32 characters.
    #[serde(rename = "Camera", borrow, default)]
    pub camera: Cow<'a, str>,
    /// What kind of camera.
    #[serde(rename = "Model", default)]
    pub model: Model,
    /// Firmware version, as `3.2`.
    #[serde(rename = "Version", borrow, default)]
    pub version: Cow<'a, str>,
    /// Time of encoding, not of exposure: `H:MM:SS.m`; see [`TimeOfDay`].
    #[serde(rename = "Time", borrow, default)]
    pub time: Cow<'a, str>,
    /// `M/D/YY`; see [`Date`].
    #[serde(rename = "Date", borrow, default)]
    pub date: Cow<'a, str>,
}

impl Metadata<'_> {
    /// The same without a borrow.
    pub fn into_owned(self) -> Metadata<'static> {
        Metadata {
            camera: self.camera.into_owned().into(),
            model: self.model,
            version: self.version.into_owned().into(),
            time: self.time.into_owned().into(),
            date: self.date.into_owned().into(),
        }
    }

    /// The time, if it can be read.
    pub fn time_of_day(&self) -> Option<TimeOfDay> {
        self.time.parse().ok()
    }

    /// The date, if it can be read.
    pub fn calendar_date(&self) -> Option<Date> {
        self.date.parse().ok()
    }

    /// Appends the object, tight and in the firmware's key order.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, self).expect("strings and numbers because nothing else is here");
    }
}

/// The `Model` number: a mask of what the camera is made of.
///
/// | bits | meaning |
/// |---|---|
/// | 7:0 | product |
/// | 9:8 | Lepton (firmware >= 3.1) |
/// | 13:12 | link (firmware >= 3.0) |
/// | 16, 17, 18 | battery, file system, update over the network |
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Model(pub u32);

impl Model {
    /// tCam-Mini with a Lepton 3.5 on Wi-Fi.
    pub const MINI_WIFI: Self = Self(0x40002);
    /// tCam-Mini with a Lepton 3.5 on its hardware interface.
    pub const MINI_HARDWARE: Self = Self(0x41002);

    /// Which product.
    pub fn product(self) -> Product {
        match self.0 & 0xff {
            1 => Product::TCam,
            2 => Product::Mini,
            3 => Product::Ethernet,
            _ => Product::Unknown,
        }
    }

    /// Which sensor. Firmware before 3.1 says 3.5 of each.
    pub fn lepton(self) -> Lepton {
        match self.0 >> 8 & 3 {
            0 => Lepton::L35,
            1 => Lepton::L30,
            2 => Lepton::L31R,
            _ => Lepton::Unknown,
        }
    }

    /// Which link. Firmware before 3.0 says Wi-Fi of each.
    pub fn link(self) -> Link {
        match self.0 >> 12 & 3 {
            0 => Link::WiFi,
            1 => Link::Hardware,
            2 => Link::Ethernet,
            _ => Link::Unknown,
        }
    }

    /// Runs on a battery.
    pub fn has_battery(self) -> bool {
        self.0 & 1 << 16 != 0
    }

    /// Has a memory card.
    pub fn has_filesystem(self) -> bool {
        self.0 & 1 << 17 != 0
    }

    /// Takes firmware over its link.
    pub fn has_update(self) -> bool {
        self.0 & 1 << 18 != 0
    }
}

/// Product by bits 7:0 of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// The bigger tCam with display and card.
    TCam,
    /// tCam-Mini.
    Mini,
    /// tCam-POE or tCam-Eth.
    Ethernet,
    /// None of these.
    Unknown,
}

/// Sensor by bits 9:8 of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lepton {
    /// Lepton 3.5, radiometric.
    L35,
    /// Lepton 3.0, which measures no temperatures.
    L30,
    /// Lepton 3.1R, radiometric, wide angle.
    L31R,
    /// Not known to the camera.
    Unknown,
}

/// Link by bits 13:12 of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Wi-Fi.
    WiFi,
    /// UART and SPI.
    Hardware,
    /// Wired network.
    Ethernet,
    /// None of these.
    Unknown,
}

/// A time or date text that is not in the camera's form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// Not `H:MM:SS.m`.
    #[error("time {0:?} is not of the form H:MM:SS.m")]
    Time(String),
    /// Not `M/D/YY`.
    #[error("date {0:?} is not of the form M/D/YY")]
    Date(String),
}

/// A time as the camera writes it: `9:05:07.8` is eight milliseconds past, for they are not padded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay {
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
    /// 0 to 999.
    pub millisecond: u16,
}

impl TimeOfDay {
    /// Milliseconds since midnight.
    pub fn ms_of_day(&self) -> u32 {
        let seconds =
            u32::from(self.hour) * 3600 + u32::from(self.minute) * 60 + u32::from(self.second);
        seconds * 1000 + u32::from(self.millisecond)
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            hour,
            minute,
            second,
            millisecond,
        } = self;
        write!(f, "{hour}:{minute:02}:{second:02}.{millisecond}")
    }
}

impl FromStr for TimeOfDay {
    type Err = ClockError;

    fn from_str(text: &str) -> Result<Self, ClockError> {
        let read = || {
            let (hour, rest) = text.split_once(':')?;
            let (minute, rest) = rest.split_once(':')?;
            let (second, millisecond) = rest.split_once('.').unwrap_or((rest, "0"));
            let time = Self {
                hour: digits(hour)?,
                minute: digits(minute)?,
                second: digits(second)?,
                millisecond: digits(millisecond)?,
            };
            let in_range =
                time.hour < 24 && time.minute < 60 && time.second <= 60 && time.millisecond < 1000;
            in_range.then_some(time)
        };
        read().ok_or_else(|| ClockError::Time(excerpt(text)))
    }
}

/// A date as the camera writes it: `1/1/-30` is 1 January 1970, an unset clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Full year; the text holds it less 2000.
    pub year: i16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

impl Date {
    /// The year a clock without battery begins with.
    pub const UNSET_YEAR: i16 = 1970;

    /// Whether the clock was never set since power came on.
    pub fn is_unset(&self) -> bool {
        self.year == Self::UNSET_YEAR
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let year = i32::from(self.year) - 2000;
        write!(f, "{}/{}/{year:02}", self.month, self.day)
    }
}

impl FromStr for Date {
    type Err = ClockError;

    fn from_str(text: &str) -> Result<Self, ClockError> {
        let read = || {
            let (month, rest) = text.split_once('/')?;
            let (day, year) = rest.split_once('/')?;
            let unsigned = year.strip_prefix('-').unwrap_or(year);
            let offset: i16 = digits::<u8>(unsigned)?.into();
            let offset = if unsigned.len() < year.len() {
                -offset
            } else {
                offset
            };
            let date = Self {
                year: 2000 + offset,
                month: digits(month)?,
                day: digits(day)?,
            };
            let in_range = (1..=12).contains(&date.month) && (1..=31).contains(&date.day);
            in_range.then_some(date)
        };
        read().ok_or_else(|| ClockError::Date(excerpt(text)))
    }
}

/// Digits alone: `parse` would take a sign as well.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// Enough of a text to recognize it by.
fn excerpt(text: &str) -> String {
    text.chars().take(32).collect()
}
