//! The `replay` backend: a folder of packed frames, shown in name order.
//!
//! `replay.toml` describes them:
//!
//! | key | meaning |
//! |---|---|
//! | `width`, `height` | pixels, both even |
//! | `stride` | bytes from one row to the next |
//! | `packing` | `csi2p12`, or `u16`: 16-bit little endian, the 12-bit value in the low bits |
//! | `shift` | with `u16`: 0 (default), or 4 for left-aligned samples (value * 16, Pi 5) |
//! | `bayer` | `RGGB`, `GRBG`, `GBRG` or `BGGR` |
//! | `black_level` | 12-bit counts |
//! | `exposure_us`, `analogue_gain` | what the frames were taken with; without them the metadata repeat what is asked |
//! | `loop` | begin again after the last frame (default true); otherwise further reads fail |
//! | `paced` | frames take the frame duration asked for (default true); otherwise they come at once |
//!
//! Every file `*.bin` is one frame of `stride` x `height` bytes. A file is used up when its frame is *read*:
//! frames that are discarded unseen, while controls settle, use none.

mod folder;

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::backend::{
    Backend, BackendError, Controls, Exposure, Frame, FrameBuffer, FrameStatus, Metadata, Request,
    StampClock, StreamInfo,
};
use crate::base::clock::Clock;
use folder::{LONGEST_US, Settings, frame_files, load, stream_info};

const MAX_IN_FLIGHT: usize = 4;
/// What the metadata say when the exposure is automatic and the folder states none.
const AUTO_EXPOSURE_US: u32 = 10_000;

/// A camera that shows recorded frames, without control latency.
///
/// Metadata repeat the exposure asked for, cut to the frame duration as a sensor would; a folder that states
/// exposure or gain has these instead, and [`StreamInfo::obeys_controls`] is false.
#[derive(Debug)]
pub struct ReplayCamera {
    clock: StampClock,
    settings: Settings,
    info: StreamInfo,
    reel: Arc<Reel>,
    stream: Option<Stream>,
}

#[derive(Debug)]
struct Stream {
    sequence: u64,
    /// End of the last frame asked for.
    booked_ns: u64,
    /// End of the last frame delivered.
    reached_ns: u64,
    in_flight: VecDeque<Metadata>,
    projector: Arc<Mutex<Vec<u8>>>,
}

impl ReplayCamera {
    /// Reads `replay.toml` in `folder` and checks every frame's size.
    pub fn open(folder: &Path, clock: Clock) -> Result<Self, BackendError> {
        let path = folder.join("replay.toml");
        let settings = load(&path)?;
        let info =
            stream_info(&settings).map_err(|reason| BackendError::Replay { path, reason })?;
        let layout = info.layout;
        let frame_bytes = layout.stride_bytes * layout.height;
        let reel = Reel {
            files: frame_files(folder, frame_bytes)?,
            frame_bytes,
            repeat: settings.repeat,
            shown: Mutex::new(0),
        };
        Ok(Self {
            clock: StampClock::new(clock),
            settings,
            info,
            reel: Arc::new(reel),
            stream: None,
        })
    }

    fn metadata(&self, request: &Request, sequence: u64, start_ns: u64) -> Metadata {
        let controls = &request.controls;
        let frame_duration_us = frame_duration_us(controls);
        let asked_us = match controls.exposure {
            Exposure::Auto => AUTO_EXPOSURE_US,
            Exposure::Manual(us) => us.max(1),
        };
        let (width, height) = (
            self.info.layout.width as u32,
            self.info.layout.height as u32,
        );
        Metadata {
            request_id: request.id,
            sequence,
            status: FrameStatus::Success,
            sensor_timestamp_ns: start_ns,
            exposure_us: self
                .settings
                .exposure_us
                .unwrap_or(asked_us.min(frame_duration_us)),
            analogue_gain: self
                .settings
                .analogue_gain
                .unwrap_or(controls.analogue_gain),
            digital_gain: 1.0,
            frame_duration_us,
            colour_gains: controls.colour_gains.unwrap_or((1.0, 1.0)),
            scaler_crop: controls.scaler_crop.unwrap_or([0, 0, width, height]),
            black_level: self.settings.black_level,
            sensor_temperature_celsius: None,
            lux: None,
            colour_temperature_kelvin: None,
        }
    }
}

impl Backend for ReplayCamera {
    fn open(&mut self) -> Result<StreamInfo, BackendError> {
        Ok(self.info)
    }

    fn start(&mut self, _controls: &Controls) -> Result<StreamInfo, BackendError> {
        let now_ns = self.now_ns();
        self.stream = Some(Stream {
            sequence: 0,
            booked_ns: now_ns,
            reached_ns: now_ns,
            in_flight: VecDeque::with_capacity(MAX_IN_FLIGHT),
            projector: Arc::default(),
        });
        Ok(self.info)
    }

    fn queue(&mut self, request: Request) -> Result<(), BackendError> {
        let now_ns = self.now_ns();
        let stream = self.stream.as_ref().ok_or(BackendError::NotStreaming)?;
        let in_flight = stream.in_flight.len();
        if in_flight >= MAX_IN_FLIGHT {
            return Err(BackendError::QueueFull { in_flight });
        }
        let start_ns = stream.booked_ns.max(now_ns);
        let metadata = self.metadata(&request, stream.sequence, start_ns);
        if let Some(stream) = &mut self.stream {
            stream.sequence += 1;
            stream.booked_ns = end_ns(&metadata);
            stream.in_flight.push_back(metadata);
        }
        Ok(())
    }

    async fn next_frame(&mut self) -> Result<Frame, BackendError> {
        let stream = self.stream.as_mut().ok_or(BackendError::NotStreaming)?;
        let Some(metadata) = stream.in_flight.front().copied() else {
            return std::future::pending().await;
        };
        if self.settings.paced {
            self.clock.sleep_until_ns(end_ns(&metadata)).await;
        }
        stream.in_flight.pop_front();
        stream.reached_ns = end_ns(&metadata);
        Ok(Frame {
            metadata,
            buffer: Box::new(Exhibit {
                reel: self.reel.clone(),
                projector: stream.projector.clone(),
                index: None,
            }),
        })
    }

    fn now_ns(&self) -> u64 {
        let now_ns = self.clock.now_ns();
        match &self.stream {
            Some(stream) if !self.settings.paced => now_ns.max(stream.reached_ns),
            _ => now_ns,
        }
    }

    fn stop(&mut self) {
        self.stream = None;
    }
}

/// The frames of the folder and how many have been shown.
#[derive(Debug)]
struct Reel {
    files: Vec<PathBuf>,
    frame_bytes: usize,
    repeat: bool,
    shown: Mutex<usize>,
}

impl Reel {
    /// Uses up one file.
    fn advance(&self) -> Result<usize, BackendError> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let index = *shown % self.files.len();
        if *shown >= self.files.len() && !self.repeat {
            return Err(BackendError::Replay {
                path: self.files[self.files.len() - 1].clone(),
                reason: format!(
                    "this was the last of {} frames, and replay.toml says loop = false",
                    self.files.len()
                ),
            });
        }
        *shown = if self.repeat { index + 1 } else { *shown + 1 };
        Ok(index)
    }

    fn load(&self, index: usize, bytes: &mut Vec<u8>) -> Result<(), BackendError> {
        let path = &self.files[index];
        let read_error = |source| BackendError::Read {
            path: path.clone(),
            source,
        };
        bytes.clear();
        bytes.reserve_exact(self.frame_bytes);
        // One byte more than expected, so that a file that has grown is noticed.
        let limit = self.frame_bytes as u64 + 1;
        let file = File::open(path).map_err(read_error)?;
        file.take(limit).read_to_end(bytes).map_err(read_error)?;
        if bytes.len() != self.frame_bytes {
            return Err(BackendError::Replay {
                path: path.clone(),
                reason: "the file changed its size since the folder was opened".into(),
            });
        }
        Ok(())
    }
}

/// A frame that takes its file when it is read, and keeps it when it is read again.
struct Exhibit {
    reel: Arc<Reel>,
    projector: Arc<Mutex<Vec<u8>>>,
    index: Option<usize>,
}

impl FrameBuffer for Exhibit {
    fn read(&mut self, look: &mut dyn FnMut(&[u8])) -> Result<(), BackendError> {
        let mut bytes = self
            .projector
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let index = match self.index {
            Some(index) => index,
            None => *self.index.insert(self.reel.advance()?),
        };
        self.reel.load(index, &mut bytes)?;
        look(&bytes);
        Ok(())
    }
}

fn frame_duration_us(controls: &Controls) -> u32 {
    controls.frame_duration_us.clamp(1, LONGEST_US)
}

fn end_ns(metadata: &Metadata) -> u64 {
    let duration_ns = u64::from(metadata.frame_duration_us) * 1_000;
    metadata.sensor_timestamp_ns.saturating_add(duration_ns)
}
