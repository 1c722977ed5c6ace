//! Everything about a capture that can be refused before its first frame.

use super::Shared;
use super::backend::{Controls, Exposure, StreamInfo};
use super::capture::{CaptureOrder, Prepared, Sink};
use super::error::CameraError;
use super::settings::{Change, Range, Settings};
use crate::raw::{Format, FormatError, Mode, Reducer, Tags};
use crate::store::{MAX_STEM_BYTES, is_plain_stem};
use crate::store::{Reservation, disk_size};

/// Room for one line of the `_SSCapture.log` besides the path.
const LOG_LINE: u64 = 160;

impl Shared {
    /// Checks a capture and reserves its space.
    ///
    /// # Errors
    /// Exposure range (with [`Range::Refuse`]), window against binning, formats against mode, and space.
    pub(super) async fn prepare_capture(
        &self,
        order: CaptureOrder,
        info: &StreamInfo,
    ) -> Result<Prepared, CameraError> {
        let settings = self.settings.borrow().clone();
        let mut formats = settings.formats.clone();
        if order.always_raw && !formats.contains(&Format::Raw) {
            formats.insert(0, Format::Raw);
        }
        let controls: Result<Vec<Controls>, CameraError> = order
            .exposures_us
            .iter()
            .map(|&us| Change::Exposure(us).apply(&settings.controls, info, order.range))
            .collect();
        let controls = controls?;
        let picture_bytes = picture_bytes(&settings, info, &formats)?;
        let pictures = u64::from(order.pictures).saturating_mul(order.exposures_us.len() as u64);
        let folder = self.ramdisk.images().to_owned();
        let line = LOG_LINE + folder.as_os_str().len() as u64 + order.prefix.len() as u64;
        let log_bytes = u64::from(order.log) * line.saturating_mul(pictures);
        let bytes = picture_bytes
            .saturating_mul(pictures)
            .saturating_add(disk_size(log_bytes));
        let reservation = self.reserve(bytes).await?;
        Ok(Prepared {
            controls,
            window: settings.window(info),
            mode: settings.mode()?,
            sink: Sink::Files {
                folder,
                formats,
                reservation,
            },
            tags: self.tags(&settings, info),
            order,
        })
    }

    /// Checks a single frame for the client's own eyes. Its bytes wait in memory until the client takes them, so
    /// their room is reserved on the RAM disk, which is memory too: clients that take nothing cannot fill it.
    ///
    /// # Errors
    /// Window against binning, format against mode, and space.
    pub(super) async fn prepare_frame(
        &self,
        format: Format,
        info: &StreamInfo,
    ) -> Result<Prepared, CameraError> {
        let settings = self.settings.borrow().clone();
        let reservation = self
            .reserve(picture_bytes(&settings, info, &[format])?)
            .await?;
        let asked_us = match settings.controls.exposure {
            Exposure::Auto => 0,
            Exposure::Manual(us) => i64::from(us),
        };
        Ok(Prepared {
            order: CaptureOrder {
                prefix: String::new(),
                exposures_us: vec![asked_us],
                pictures: 1,
                log: false,
                always_raw: false,
                range: Range::Clamp,
            },
            controls: vec![settings.controls],
            window: settings.window(info),
            mode: settings.mode()?,
            sink: Sink::Memory(format, reservation),
            tags: self.tags(&settings, info),
        })
    }

    /// Counting what lies on the RAM disk takes a while when it holds many files.
    async fn reserve(&self, bytes: u64) -> Result<Reservation, CameraError> {
        let disk = self.ramdisk.clone();
        Ok(self.pool.run_in_turn(move || disk.reserve(bytes)).await??)
    }

    fn tags(&self, settings: &Settings, info: &StreamInfo) -> Tags {
        let window = settings.window(info);
        Tags {
            exposure_us: 0,
            analogue_gain: settings.controls.analogue_gain,
            frame_duration_us: settings.controls.frame_duration_us,
            black_level: info.black_level,
            white_level: info.white_level,
            bayer: info.layout.bayer.at(window.x, window.y),
            window,
            colour_gains: None,
            sensor_timestamp_ns: 0,
            captured: self.clock.utc(),
            board_serial: self.board_serial.clone(),
            camera_model: "imx477".into(),
            software: concat!("Outpost ", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

/// Bytes on disk of one picture in all formats, at most.
fn picture_bytes(
    settings: &Settings,
    info: &StreamInfo,
    formats: &[Format],
) -> Result<u64, CameraError> {
    let (window, mode) = (settings.window(info), settings.mode()?);
    Reducer::shape(&info.layout, &window, mode)?;
    let mut bytes = 0_u64;
    for format in formats {
        let stored = match mode {
            Mode::PackedBytes if format.holds_pixels() => Mode::Pixels,
            mode => mode,
        };
        if *format == Format::Dng && matches!(mode, Mode::Binned(_)) {
            return Err(FormatError::BinnedDng.into());
        }
        bytes = bytes.saturating_add(disk_size(format.size_bound(&stored.shape(&window)?)));
    }
    Ok(bytes)
}

/// Refuses a prefix that is not the beginning of a plain file name.
pub(super) fn check_prefix(prefix: &str) -> Result<(), CameraError> {
    match is_plain_stem(prefix) {
        true => Ok(()),
        false => Err(CameraError::Prefix {
            prefix: prefix.chars().take(40).collect(),
            limit: MAX_STEM_BYTES,
        }),
    }
}
