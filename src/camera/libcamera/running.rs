//! A running stream: buffers, the requests that hold them, and where each of them is.
//!
//! ```text
//! idle -> with libcamera -> read by the image worker -> idle
//! ```
//! A request that comes while no buffer is idle waits here; the camera's queue then refills by itself when the worker
//! is done with a frame.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_lite::future::or;
use libcamera::control::ControlList;
use libcamera::framebuffer::FrameMetadataStatus;
use libcamera::request::{Request, RequestStatus, ReuseFlag};
use libcamera::stream::Stream;
use smol::channel::{self, Receiver, Sender};

use super::device::{Configured, Device, failed};
use super::memory::{self, Memory, verdict};
use super::metadata;
use crate::camera::backend::{
    self, BackendError, Controls, Frame, FrameBuffer, FrameStatus, Metadata,
};

/// A stream from start to stop.
pub(super) struct Running {
    stream: Stream,
    slots: Vec<Slot>,
    /// Requests that wait for an idle buffer.
    waiting: VecDeque<backend::Request>,
    completed: Receiver<Request>,
    /// Slots whose frames nobody reads any more.
    returned: (Sender<usize>, Receiver<usize>),
    lost: Receiver<()>,
    /// Bytes of a frame that are shown.
    shown_bytes: usize,
    frames: u64,
}

/// A buffer with the request that holds it for good.
struct Slot {
    /// Not here while it is with libcamera.
    request: Option<Request>,
    memory: Arc<Memory>,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Idle,
    /// With libcamera, answering this request.
    Asked(backend::Request),
    /// A frame that is being read, or will be.
    Out,
}

enum Wake {
    Completed(Request),
    Returned(usize),
    Lost,
}

impl Running {
    /// Allocates buffers and starts the stream.
    ///
    /// # Errors
    /// [`BackendError::Device`]: no memory, or libcamera refuses.
    pub(super) fn start(
        device: &mut Device,
        configured: &Configured,
        controls: &Controls,
        buffers: usize,
    ) -> Result<Self, BackendError> {
        let stream = configured.stream;
        let software = !configured.is_sensor;
        let planes = &configured.planes;
        let allotments = memory::allocate(&device.camera, &stream, planes, buffers, software)?;
        let mut slots = Vec::with_capacity(allotments.len());
        for allotment in allotments {
            let cookie = slots.len() as u64;
            let memory = allotment.memory.clone();
            let request = device.camera.create_request(Some(cookie));
            let mut request =
                request.ok_or_else(|| BackendError::Device("libcamera gave no request".into()))?;
            allotment
                .attach(&mut request, &stream)
                .map_err(|error| failed("given frame memory", &error))?;
            slots.push(Slot {
                request: Some(request),
                memory,
                place: Place::Idle,
            });
        }
        // Never more messages than buffers, so nothing is ever dropped on libcamera's thread.
        let (sender, completed) = channel::bounded(slots.len());
        device.camera.on_request_completed(move |request| {
            let _ = sender.try_send(request);
        });
        let (sender, lost) = channel::bounded(1);
        device.camera.on_disconnected(move || {
            let _ = sender.try_send(());
        });
        let mut list = ControlList::new();
        device.write_controls(controls, &mut list);
        device
            .camera
            .start(Some(&list))
            .map_err(|error| failed("started", &error))?;
        Ok(Self {
            stream,
            slots,
            waiting: VecDeque::new(),
            completed,
            returned: channel::unbounded(),
            lost,
            shown_bytes: configured.layout.frame_bytes(),
            frames: 0,
        })
    }

    /// Requests taken at a time: one buffer is left for the reader.
    pub(super) fn max_in_flight(&self) -> usize {
        self.slots.len() - 1
    }

    /// Takes a request; it goes to libcamera as soon as a buffer is idle.
    ///
    /// # Errors
    /// [`BackendError::QueueFull`], and [`BackendError::Device`] when libcamera refuses it.
    pub(super) fn queue(
        &mut self,
        device: &Device,
        request: backend::Request,
    ) -> Result<(), BackendError> {
        let asked = |slot: &&Slot| matches!(slot.place, Place::Asked(_));
        let in_flight = self.waiting.len() + self.slots.iter().filter(asked).count();
        if in_flight >= self.max_in_flight() {
            return Err(BackendError::QueueFull { in_flight });
        }
        while let Ok(at) = self.returned.1.try_recv() {
            self.slots[at].place = Place::Idle;
        }
        self.waiting.push_back(request);
        self.submit(device)
    }

    /// Hands waiting requests to libcamera while buffers are idle.
    fn submit(&mut self, device: &Device) -> Result<(), BackendError> {
        while let Some(&asked) = self.waiting.front() {
            let idle = |slot: &Slot| slot.place == Place::Idle;
            let Some(slot) = self.slots.iter_mut().find(|slot| idle(slot)) else {
                break;
            };
            let Some(mut request) = slot.request.take() else {
                return Err(BackendError::Device("a request was lost".into()));
            };
            device.write_controls(&asked.controls, request.controls_mut());
            if let Err((request, error)) = device.camera.queue_request(request) {
                slot.request = Some(request);
                return Err(failed("given a request", &error));
            }
            slot.place = Place::Asked(asked);
            self.waiting.pop_front();
        }
        Ok(())
    }

    /// The next completed frame; dropping the future loses nothing.
    ///
    /// # Errors
    /// [`BackendError::Device`] when the camera is gone.
    pub(super) async fn next_frame(&mut self, device: &Device) -> Result<Frame, BackendError> {
        loop {
            let completed = async { Wake::from(self.completed.recv().await.map(Wake::Completed)) };
            let returned = async { Wake::from(self.returned.1.recv().await.map(Wake::Returned)) };
            let lost = async { Wake::from(self.lost.recv().await.map(|()| Wake::Lost)) };
            match or(completed, or(returned, lost)).await {
                Wake::Lost => {
                    return Err(BackendError::Device(
                        "it was unplugged or its driver is gone".into(),
                    ));
                }
                Wake::Returned(at) => {
                    self.slots[at].place = Place::Idle;
                    self.submit(device)?;
                }
                Wake::Completed(request) => {
                    if let Some(frame) = self.frame(request) {
                        return Ok(frame);
                    }
                }
            }
        }
    }

    fn frame(&mut self, mut request: Request) -> Option<Frame> {
        let at = usize::try_from(request.cookie()).ok()?;
        let slot = self.slots.get_mut(at)?;
        let asked = match slot.place {
            Place::Asked(asked) => asked,
            place => {
                tracing::error!(
                    ?place,
                    "libcamera completed a request that it was not given"
                );
                return None;
            }
        };
        let frame = self.frames;
        self.frames += 1;
        let (verdict, sequence) = match verdict(&request, &self.stream) {
            Some((verdict, sequence)) => (Some(verdict), u64::from(sequence)),
            None => (None, frame),
        };
        let metadata = Metadata {
            status: frame_status(request.status(), verdict),
            sequence,
            ..metadata::read(&asked, request.metadata())
        };
        request.reuse(ReuseFlag::REUSE_BUFFERS);
        slot.request = Some(request);
        slot.place = Place::Out;
        let buffer = Exposed {
            memory: slot.memory.clone(),
            shown_bytes: self.shown_bytes,
            slot: at,
            home: self.returned.0.clone(),
        };
        Some(Frame {
            metadata,
            buffer: Box::new(buffer),
        })
    }

    /// Stops the camera and gives the memory back, but for frames that are still read.
    pub(super) fn stop(self, device: &mut Device) {
        if let Err(error) = device.camera.stop() {
            tracing::warn!(%error, "the camera does not stop in order");
        }
        // Stopping has completed every request, as cancelled; they end here with the buffers they hold.
        while self.completed.try_recv().is_ok() {}
    }
}

impl From<Result<Wake, channel::RecvError>> for Wake {
    /// The senders of all three channels live as long as the stream, or their end means the same as a lost camera.
    fn from(received: Result<Wake, channel::RecvError>) -> Self {
        received.unwrap_or(Wake::Lost)
    }
}

/// Startup frames have real pixels; a pipeline that says nothing is believed by the request's own status.
fn frame_status(request: RequestStatus, buffer: Option<FrameMetadataStatus>) -> FrameStatus {
    match (request, buffer) {
        (RequestStatus::Complete, None | Some(FrameMetadataStatus::Success)) => {
            FrameStatus::Success
        }
        (RequestStatus::Complete, Some(FrameMetadataStatus::Startup)) => FrameStatus::Startup,
        _ => FrameStatus::Error,
    }
}

/// A frame to be read; its buffer goes back to the camera when it is dropped.
struct Exposed {
    memory: Arc<Memory>,
    shown_bytes: usize,
    slot: usize,
    home: Sender<usize>,
}

impl FrameBuffer for Exposed {
    fn read(&mut self, look: &mut dyn FnMut(&[u8])) -> Result<(), BackendError> {
        self.memory
            .look(self.shown_bytes, look)
            .map_err(|error| BackendError::Device(format!("the frame cannot be read: {error}")))
    }
}

impl Drop for Exposed {
    fn drop(&mut self) {
        // After the stream's end there is no home any more.
        let _ = self.home.try_send(self.slot);
    }
}
