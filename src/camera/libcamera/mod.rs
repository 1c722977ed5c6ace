//! The HQ camera through libcamera: the one place that names its crate.
//!
//! | part | does |
//! |---|---|
//! | `library` | keeps the process's one camera manager |
//! | `device` | a camera: configuration, controls, limits |
//! | `subdevice` | line time, from the sensor's kernel driver |
//! | `memory` | frame buffers |
//! | `running` | a stream and its requests |
//! | `metadata` | what is said about a frame |
//!
//! Role and pixel format are parameters ([`StreamWish`]): libcamera's virtual camera, which needs no hardware, runs
//! the same code with viewfinder frames, whose plane 0 stands for the raw bytes.
//!
//! libcamera's objects stay on the camera thread; its own thread only passes completed requests on by a channel.

mod device;
mod library;
mod memory;
mod metadata;
mod running;
mod subdevice;

pub use library::{close, has_tuning, missing_environment};

use super::backend::{
    Backend, BackendError, Controls, Frame, FrameStatus, Request, StreamInfo, monotonic_ns,
};
use super::stream_format::StreamWish;
use super::tuning;
use device::{Configured, Device};
use running::Running;

/// Buffers of a stream: four requests in flight and a frame that is being read (hq-camera.md 16).
const BUFFERS: usize = 5;
/// Frames until controls show (hq-camera.md 7).
const CONTROL_LATENCY_FRAMES: u32 = 3;
/// Black level of the IMX477 in counts of 12 bits, until tuning or metadata tell (hq-camera.md 7).
const BLACK_LEVEL: u16 = 256;
const WHITE_LEVEL: u16 = 4095;

/// A camera of libcamera.
pub struct LibCamera {
    wish: StreamWish,
    // Above `device`: a stream must not outlive its camera.
    running: Option<Running>,
    device: Option<Device>,
    black_level: u16,
}

impl LibCamera {
    /// A camera as wished for; nothing is opened yet.
    pub fn new(wish: StreamWish) -> Self {
        let black_level = tuning::black_level(&library::tuning_in_use()).unwrap_or(BLACK_LEVEL);
        Self {
            wish,
            running: None,
            device: None,
            black_level,
        }
    }

    /// The camera, acquired if it is not.
    fn configure(&mut self) -> Result<(&mut Device, Configured), BackendError> {
        if self.device.is_none() {
            self.device = Some(Device::acquire(&self.wish.model)?);
        }
        let device = self
            .device
            .as_mut()
            .expect("the device is there because it was acquired above");
        let configured = device.configure(&self.wish, BUFFERS as u32)?;
        Ok((device, configured))
    }

    fn info(&self, configured: &Configured) -> StreamInfo {
        let in_flight = self.running.as_ref().map(Running::max_in_flight);
        StreamInfo {
            layout: configured.layout,
            black_level: self.black_level,
            white_level: WHITE_LEVEL,
            limits: configured.limits,
            control_latency_frames: match configured.is_sensor {
                true => CONTROL_LATENCY_FRAMES,
                false => 0,
            },
            max_in_flight: in_flight.unwrap_or(BUFFERS - 1),
            paced: configured.is_sensor,
            obeys_controls: configured.is_sensor,
        }
    }

    fn try_start(&mut self, controls: &Controls) -> Result<StreamInfo, BackendError> {
        let (device, configured) = self.configure()?;
        let running = Running::start(device, &configured, controls, BUFFERS)?;
        self.running = Some(running);
        Ok(self.info(&configured))
    }

    /// Lets go of a camera that failed, so that the next start finds it anew.
    fn release(&mut self) {
        self.stop();
        self.device = None;
    }
}

impl Backend for LibCamera {
    fn open(&mut self) -> Result<StreamInfo, BackendError> {
        let opened = self.configure().map(|(_, configured)| configured);
        match opened {
            Ok(configured) => Ok(self.info(&configured)),
            Err(error) => {
                self.release();
                Err(error)
            }
        }
    }

    fn start(&mut self, controls: &Controls) -> Result<StreamInfo, BackendError> {
        self.stop();
        self.try_start(controls).inspect_err(|_| self.release())
    }

    fn queue(&mut self, request: Request) -> Result<(), BackendError> {
        match (&mut self.running, &self.device) {
            (Some(running), Some(device)) => running.queue(device, request),
            _ => Err(BackendError::NotStreaming),
        }
    }

    async fn next_frame(&mut self) -> Result<Frame, BackendError> {
        let (Some(running), Some(device)) = (&mut self.running, &self.device) else {
            return Err(BackendError::NotStreaming);
        };
        match running.next_frame(device).await {
            Ok(mut frame) => {
                let metadata = &mut frame.metadata;
                match metadata.black_level {
                    0 => metadata.black_level = self.black_level,
                    level if metadata.status == FrameStatus::Success => self.black_level = level,
                    _ => {}
                }
                Ok(frame)
            }
            Err(error) => {
                self.release();
                Err(error)
            }
        }
    }

    fn stop(&mut self) {
        if let (Some(running), Some(device)) = (self.running.take(), &mut self.device) {
            running.stop(device);
        }
    }
}

impl Drop for LibCamera {
    fn drop(&mut self) {
        self.stop();
    }
}
