//! Picture files: `raw` (pickle), `npy`, `fits`, `tiff`, `dng` and `png`.
//!
//! | format | holds | written by |
//! |---|---|---|
//! | raw, npy | the array of any [`Mode`], packed bytes included | this module |
//! | fits | pixels or sums, 16 bits, exact | this module |
//! | tiff, png | pixels or sums, 16 bits, exact | crates `tiff`, `png` |
//! | dng | pixels; binned data have no color filter array and are refused | crate `tiff` |
//!
//! Levels given with pixels are those of the array: 4^n times the single pixel's after n binnings, clamped. All
//! formats have the first row of the array on top.

pub mod dng;
pub mod fits;
pub mod npy;
pub mod pickle;
pub mod png;
pub mod tiff;

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Seek, Write};
use std::str::FromStr;

use jiff::{Timestamp, tz::TimeZone};
use zerocopy::IntoBytes;

use super::{BayerOrder, Mode, Shape, Window};

/// Why a picture cannot be written. Except for the last three, nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// A name that is none of the formats.
    #[error("unknown picture format: use raw, npy, fits, tiff, dng or png")]
    UnknownFormat,
    /// The picture has no values, or another number than its shape says.
    #[error("a picture of {rows} x {columns} values cannot be made of {got}")]
    Size {
        /// Rows.
        rows: usize,
        /// Columns.
        columns: usize,
        /// Values given.
        got: usize,
    },
    /// Beyond what the format can describe.
    #[error("a picture of {rows} x {columns} values is too large for {format}")]
    TooLarge {
        /// The format.
        format: Format,
        /// Rows.
        rows: usize,
        /// Columns.
        columns: usize,
    },
    /// Packed bytes given to a format of pixels.
    #[error("{0} files hold pixels, not packed bytes")]
    NeedsPixels(Format),
    /// Binned pixels have no color filter array.
    #[error("dng files cannot hold binned pixels: use raw, npy, fits, tiff or png")]
    BinnedDng,
    /// The destination failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The TIFF encoder failed.
    #[error("tiff encoder: {0}")]
    Tiff(#[source] ::tiff::TiffError),
    /// The PNG encoder failed.
    #[error("png encoder: {0}")]
    Png(#[source] ::png::EncodingError),
}

impl From<::tiff::TiffError> for FormatError {
    fn from(error: ::tiff::TiffError) -> Self {
        match error {
            ::tiff::TiffError::IoError(error) => FormatError::Io(error),
            error => FormatError::Tiff(error),
        }
    }
}

impl From<::png::EncodingError> for FormatError {
    fn from(error: ::png::EncodingError) -> Self {
        match error {
            ::png::EncodingError::IoError(error) => FormatError::Io(error),
            error => FormatError::Png(error),
        }
    }
}

/// A kind of picture file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Python pickle of a numpy array, as FE-PyCam2 stores it.
    Raw,
    /// numpy's own array file.
    Npy,
    /// Flexible Image Transport System.
    Fits,
    /// TIFF, 16-bit gray.
    Tiff,
    /// Digital negative: the color filter array for raw converters.
    Dng,
    /// PNG, 16-bit gray.
    Png,
}

impl Format {
    /// All formats, in the order of the documentation.
    pub const ALL: [Format; 6] = [
        Format::Raw,
        Format::Npy,
        Format::Fits,
        Format::Tiff,
        Format::Dng,
        Format::Png,
    ];

    /// Its name in the configuration, which is its file name extension too.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::Npy => "npy",
            Format::Fits => "fits",
            Format::Tiff => "tiff",
            Format::Dng => "dng",
            Format::Png => "png",
        }
    }

    /// Whether it takes arrays of pixels or sums alone, so that packed bytes have to be unpacked for it.
    pub fn holds_pixels(self) -> bool {
        !matches!(self, Format::Raw | Format::Npy)
    }

    /// No file of an array of this shape is larger, whatever its content. In bytes.
    pub fn size_bound(self, shape: &Shape) -> u64 {
        let payload = (shape.element_count() as u64).saturating_mul(2);
        match self {
            Format::Raw => payload.saturating_add(pickle::OVERHEAD_BYTES),
            Format::Npy => payload.saturating_add(npy::HEADER_BYTES),
            Format::Fits => fits::size_bound(payload),
            Format::Tiff | Format::Dng => payload.saturating_add(tiff::DIRECTORY_BOUND_BYTES),
            Format::Png => png::size_bound(shape),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.extension())
    }
}

impl FromStr for Format {
    type Err = FormatError;

    /// Accepts the names of the configuration, in small letters.
    fn from_str(name: &str) -> Result<Self, FormatError> {
        Format::ALL
            .into_iter()
            .find(|format| format.extension() == name)
            .ok_or(FormatError::UnknownFormat)
    }
}

/// What is known of a picture besides its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Tags {
    /// Exposure time, microseconds.
    pub exposure_us: u32,
    /// Analogue gain, 1.0 = none.
    pub analogue_gain: f32,
    /// Time from this frame's start to the next, microseconds.
    pub frame_duration_us: u32,
    /// Value of a dark pixel in 12-bit counts, before binning.
    pub black_level: u16,
    /// Value of a saturated pixel in 12-bit counts, before binning.
    pub white_level: u16,
    /// Color filter order at the window's first pixel ([`BayerOrder::at`]).
    pub bayer: BayerOrder,
    /// The window in the frame.
    pub window: Window,
    /// Red and blue gain in use, where known: the white balance that a DNG suggests.
    pub colour_gains: Option<(f32, f32)>,
    /// Start of exposure, nanoseconds on the board's monotonic clock.
    pub sensor_timestamp_ns: u64,
    /// Time of capture, UTC.
    pub captured: Timestamp,
    /// Serial number of the board.
    pub board_serial: String,
    /// The camera's model, such as `imx477`.
    pub camera_model: String,
    /// Name and version of this program.
    pub software: String,
}

impl Tags {
    /// Time of capture by `strftime` rules, in UTC.
    fn captured_as(&self, format: &str) -> String {
        let utc = self.captured.to_zoned(TimeZone::UTC);
        utc.strftime(format).to_string()
    }

    /// Exposure time in seconds, written exactly.
    fn exposure_s(&self) -> String {
        seconds(self.exposure_us)
    }
}

/// An array to be written, with what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    /// Rows of the array.
    pub rows: usize,
    /// Columns of the array.
    pub columns: usize,
    /// `rows` x `columns` values in C order.
    pub data: &'a [u16],
    /// What the values are.
    pub mode: Mode,
    /// What is known of them.
    pub tags: &'a Tags,
}

impl Picture<'_> {
    fn check(&self, format: Format) -> Result<(), FormatError> {
        let (rows, columns) = (self.rows, self.columns);
        if self.data.is_empty() || rows.checked_mul(columns) != Some(self.data.len()) {
            return Err(FormatError::Size {
                rows,
                columns,
                got: self.data.len(),
            });
        }
        // Pickle and TIFF count bytes in 32 bits; PNG and pickle count rows and columns in 31.
        let fits = |n: usize| i32::try_from(n).is_ok();
        if !fits(rows) || !fits(columns) || format.size_bound(&self.shape()) > u64::from(u32::MAX) {
            return Err(FormatError::TooLarge {
                format,
                rows,
                columns,
            });
        }
        match self.mode {
            Mode::PackedBytes if format.holds_pixels() => Err(FormatError::NeedsPixels(format)),
            Mode::Binned(_) if format == Format::Dng => Err(FormatError::BinnedDng),
            _ => Ok(()),
        }
    }

    fn shape(&self) -> Shape {
        Shape {
            rows: self.rows,
            columns: self.columns,
        }
    }

    /// Color filter order, which sums do not have.
    fn bayer(&self) -> Option<BayerOrder> {
        match self.mode {
            Mode::PackedBytes | Mode::Pixels => Some(self.tags.bayer),
            Mode::Binned(_) => None,
        }
    }

    fn black_level(&self) -> u16 {
        self.mode.scale_level(self.tags.black_level)
    }

    fn white_level(&self) -> u16 {
        self.mode.scale_level(self.tags.white_level)
    }

    /// Everything in one JSON object, for formats whose own fields cannot say it.
    fn description(&self) -> String {
        let tags = self.tags;
        let Window { x, y, w, h } = tags.window;
        serde_json::json!({
            "camera_model": tags.camera_model,
            "board_serial": tags.board_serial,
            "captured": tags.captured_as("%Y-%m-%dT%H:%M:%S%.6fZ"),
            "sensor_timestamp_ns": tags.sensor_timestamp_ns,
            "exposure_us": tags.exposure_us,
            "frame_duration_us": tags.frame_duration_us,
            "analogue_gain": shortest(tags.analogue_gain),
            "window": [x, y, w, h],
            "binning": self.mode.block(),
            "bayer_order": self.bayer().map(BayerOrder::name),
            "black_level": self.black_level(),
            "white_level": self.white_level(),
        })
        .to_string()
    }
}

/// Writes a picture file to an empty destination.
///
/// Nothing is written when the picture does not suit the format.
pub fn write<W: Write + Seek>(
    format: Format,
    picture: &Picture<'_>,
    out: &mut W,
) -> Result<(), FormatError> {
    picture.check(format)?;
    match format {
        Format::Raw => pickle::write(picture, out)?,
        Format::Npy => npy::write(picture, out)?,
        Format::Fits => fits::write(picture, out)?,
        Format::Tiff => tiff::write(picture, out)?,
        Format::Dng => dng::write(picture, out)?,
        Format::Png => png::write(picture, out)?,
    }
    Ok(out.flush()?)
}

/// The values as little-endian bytes, without a copy where the machine is little endian itself.
pub fn little_endian(data: &[u16]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        Cow::Borrowed(data.as_bytes())
    } else {
        Cow::Owned(data.iter().flat_map(|value| value.to_le_bytes()).collect())
    }
}

/// Microseconds as seconds with six decimals, exact.
fn seconds(us: u32) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

/// The number that has the same shortest decimal form; 2.1 stays 2.1 and does not become 2.0999999.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// Text for fields that hold printable ASCII alone.
fn ascii(text: &str) -> String {
    text.chars()
        .map(|c| if (' '..='~').contains(&c) { c } else { '?' })
        .collect()
}
