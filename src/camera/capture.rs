//! A capture: exposures are asked for ahead of their frames, frames become pictures by their metadata, and saving
//! one picture overlaps the exposure of the next.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_lite::future::or;
use smol::channel::{self, Receiver, Sender};

use super::backend::{Controls, Exposure, Frame, FrameStatus, Metadata};
use super::error::CameraError;
use super::matching;
use super::plan::{Picture, Plan};
use super::settings::Range;
use super::stream::Stream;
use super::worker::{Done, Output, Task, Worker};
use crate::base::clock::Clock;
use crate::base::jobs::Progress;
use crate::base::shutdown::Shutdown;
use crate::raw::formats::{Format, Tags};
use crate::raw::{Mode, Window};
use crate::store::{Reservation, disk_size};

/// A station that stops waits this long for the frame in progress.
const LAST_FRAME: Duration = Duration::from_secs(1);
/// Resolves when nobody wants the pictures any more.
pub(super) type Cancelled<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Frames in a row without a usable one before the capture is given up.
const FRUITLESS_FRAMES: u32 = 30;

/// What a client asks for with `CAP:SEQFET`.
#[derive(Debug, Clone, PartialEq)]
pub struct CaptureOrder {
    /// Start of every file name: a plain file name.
    pub prefix: String,
    /// Exposure times as asked, microseconds; 0 and below is automatic.
    pub exposures_us: Vec<i64>,
    /// Pictures of each exposure.
    pub pictures: u32,
    /// Whether to write the `_SSCapture.log`.
    pub log: bool,
    /// Write `.raw` files whatever the formats are: FE-PyCam2 programs read nothing else.
    pub always_raw: bool,
    /// What happens to exposures outside their range.
    pub range: Range,
}

/// Everything decided before the first frame.
pub(super) struct Prepared {
    pub(super) order: CaptureOrder,
    /// Controls of each exposure, clamped.
    pub(super) controls: Vec<Controls>,
    pub(super) window: Window,
    pub(super) mode: Mode,
    pub(super) sink: Sink,
    pub(super) tags: Tags,
}

/// Where the pictures go.
pub(super) enum Sink {
    Files {
        folder: PathBuf,
        formats: Vec<Format>,
        reservation: Reservation,
    },
    /// One picture as bytes; the reservation stands for their memory until they are sent.
    Memory(Format, Reservation),
}

/// What a capture leaves behind.
#[derive(Default)]
pub(super) struct Outcome {
    /// Lines of the `_SSCapture.log`.
    pub(super) log: String,
    /// Bytes of the file asked for with [`Sink::Memory`].
    pub(super) bytes: Vec<u8>,
}

/// A capture under way.
pub(super) struct Capture<'a> {
    stream: &'a mut Stream,
    worker: &'a Worker,
    clock: &'a Clock,
    prepared: &'a mut Prepared,
    plan: Plan,
    /// Frames whose exposure began before this are not of this capture.
    mark_ns: u64,
    /// When the picture before the next came, or the capture began.
    previous: Instant,
    fruitless: u32,
    restarted: bool,
    results: (Sender<Done>, Receiver<Done>),
    /// Pictures handed to the worker, by number; `None` once saved.
    handed: Vec<Option<Handed>>,
    saving: usize,
    outcome: Outcome,
}

/// What the log needs of a picture.
struct Handed {
    path: PathBuf,
    asked_us: i64,
    metadata: Metadata,
    capture_time: Duration,
}

enum Step {
    End(CameraError),
    Frame(Result<Frame, CameraError>),
    Done(Done),
}

impl<'a> Capture<'a> {
    pub(super) fn new(
        stream: &'a mut Stream,
        worker: &'a Worker,
        clock: &'a Clock,
        prepared: &'a mut Prepared,
    ) -> Self {
        let exposures: Vec<Exposure> = prepared.controls.iter().map(|c| c.exposure).collect();
        let plan = Plan::new(&exposures, prepared.order.pictures);
        let previous = clock.now();
        Self {
            stream,
            worker,
            clock,
            prepared,
            plan,
            mark_ns: 0,
            previous,
            fruitless: 0,
            restarted: false,
            results: channel::bounded(16),
            handed: Vec::new(),
            saving: 0,
            outcome: Outcome::default(),
        }
    }

    /// Takes and saves all pictures. Ends early when `cancelled` resolves, and after the frame in progress by a
    /// shutdown.
    pub(super) async fn run(
        mut self,
        progress: Option<&Progress>,
        cancelled: Cancelled<'_>,
        shutdown: &Shutdown,
    ) -> Result<Outcome, CameraError> {
        let total = self.plan.wanted().max(1);
        let taken = self.take_all(progress, cancelled, shutdown, total).await;
        // What was handed to the worker is finished in any case: files complete or absent, nothing left running.
        while self.saving > 0 {
            let done = self
                .results
                .1
                .recv()
                .await
                .map_err(|_| CameraError::WorkerEnded)?;
            let saved = self.saved(done);
            if taken.is_ok() {
                saved?;
            }
        }
        taken.map(|()| self.outcome)
    }

    async fn take_all(
        &mut self,
        progress: Option<&Progress>,
        mut cancelled: Cancelled<'_>,
        shutdown: &Shutdown,
        total: u64,
    ) -> Result<(), CameraError> {
        if self.plan.is_done() {
            return Ok(());
        }
        self.start().await?;
        while !self.plan.is_done() {
            self.refill()?;
            match self.step(&mut cancelled, shutdown).await {
                Step::End(error) => return Err(error),
                Step::Frame(Ok(frame)) => {
                    self.judge(frame)?;
                    if shutdown.is_given() && !self.plan.is_done() {
                        return Err(CameraError::Stopping);
                    }
                }
                Step::Frame(Err(error)) => self.recover(error).await?,
                Step::Done(done) => self.saved(done)?,
            }
            if let Some(progress) = progress {
                progress.set((self.handed.len() - self.saving) as f64 / total as f64);
            }
        }
        Ok(())
    }

    async fn start(&mut self) -> Result<(), CameraError> {
        let first = self.prepared.controls[0];
        self.stream.ensure_running(&first).await?;
        self.mark_ns = self.stream.mark().await?;
        for (id, controls) in self.stream.foreseen(self.mark_ns) {
            if controls != first || !self.plan.credit(id, controls.exposure) {
                break;
            }
        }
        Ok(())
    }

    /// Keeps the camera's queue full, less the frames still with the worker: they hold buffers.
    fn refill(&mut self) -> Result<(), CameraError> {
        let info = *self.stream.info();
        while self.stream.in_flight() < info.max_in_flight
            && self.stream.in_flight() + self.saving <= info.max_in_flight
        {
            let latency = u64::from(info.control_latency_frames);
            let Some(exposure) = self.plan.next_exposure(self.stream.next_id(), latency) else {
                break;
            };
            let controls = Controls {
                exposure,
                ..self.prepared.controls[0]
            };
            self.stream.queue(&controls)?;
        }
        Ok(())
    }

    async fn step(&mut self, cancelled: &mut Cancelled<'_>, shutdown: &Shutdown) -> Step {
        let results = &self.results.1;
        let done = async {
            match results.recv().await {
                Ok(done) => Step::Done(done),
                Err(_) => std::future::pending().await,
            }
        };
        let stream = &mut *self.stream;
        let frame = async {
            match stream.in_flight() {
                0 => std::future::pending().await,
                _ => Step::Frame(stream.frame().await),
            }
        };
        let clock = self.clock;
        let end = or(
            async {
                cancelled.await;
                Step::End(CameraError::Aborted)
            },
            async {
                shutdown.wait().await;
                clock.sleep(LAST_FRAME).await;
                Step::End(CameraError::Stopping)
            },
        );
        or(or(done, frame), end).await
    }

    /// A camera that gives no frames is restarted once in a capture.
    async fn recover(&mut self, error: CameraError) -> Result<(), CameraError> {
        match error {
            CameraError::Hung { waited_ms } if self.restarted => {
                Err(CameraError::StillHung { waited_ms })
            }
            CameraError::Hung { waited_ms } => {
                tracing::warn!(waited_ms, "camera gives no frames; restarting it");
                self.restarted = true;
                self.stream.restart(&self.prepared.controls[0]).await?;
                self.plan.forget_expected();
                Ok(())
            }
            error => Err(error),
        }
    }

    fn judge(&mut self, frame: Frame) -> Result<(), CameraError> {
        let metadata = frame.metadata;
        let usable =
            metadata.status == FrameStatus::Success && metadata.sensor_timestamp_ns >= self.mark_ns;
        let (limits, obeys) = (self.stream.info().limits, self.stream.info().obeys_controls);
        let first = self.prepared.controls[0];
        let picture = self.plan.take(metadata.request_id, |exposure| {
            let asked = Controls { exposure, ..first };
            usable && (!obeys || matching::shows(&asked, &metadata, &limits))
        });
        match picture {
            Some(picture) => {
                self.fruitless = 0;
                self.hand_over(frame, picture)
            }
            None if self.fruitless >= FRUITLESS_FRAMES => Err(CameraError::NoPicture {
                frames: self.fruitless,
                last: metadata.status,
                exposure_us: metadata.exposure_us,
            }),
            None => {
                self.fruitless += 1;
                Ok(())
            }
        }
    }

    fn hand_over(&mut self, frame: Frame, picture: Picture) -> Result<(), CameraError> {
        let metadata = frame.metadata;
        let asked_us = self.prepared.order.exposures_us[picture.entry];
        let named_us = if asked_us > 0 {
            asked_us
        } else {
            i64::from(metadata.exposure_us)
        };
        let stem = format!(
            "{}_ss={named_us}_{:04}",
            self.prepared.order.prefix, picture.index
        );
        let (output, path) = match &self.prepared.sink {
            Sink::Memory(format, _) => (Output::Memory(*format), PathBuf::new()),
            Sink::Files {
                folder, formats, ..
            } => {
                // The old tools look for the .raw files of the log.
                let logged = if formats.contains(&Format::Raw) {
                    Format::Raw
                } else {
                    formats[0]
                };
                let path = folder.join(format!("{stem}.{}", logged.extension()));
                (
                    Output::Files {
                        folder: folder.clone(),
                        stem,
                        formats: formats.clone(),
                    },
                    path,
                )
            }
        };
        let now = self.clock.now();
        let capture_time = now.saturating_duration_since(self.previous);
        self.previous = now;
        let number = self.handed.len();
        self.handed.push(Some(Handed {
            path,
            asked_us,
            metadata,
            capture_time,
        }));
        self.saving += 1;
        self.worker.make(Task {
            layout: self.stream.info().layout,
            window: self.prepared.window,
            mode: self.prepared.mode,
            tags: self.tags(&metadata),
            output,
            number,
            reply: self.results.0.clone(),
            frame,
        })
    }

    fn tags(&self, metadata: &Metadata) -> Tags {
        Tags {
            exposure_us: metadata.exposure_us,
            analogue_gain: metadata.analogue_gain,
            frame_duration_us: metadata.frame_duration_us,
            black_level: metadata.black_level,
            sensor_timestamp_ns: metadata.sensor_timestamp_ns,
            colour_gains: Some(metadata.colour_gains),
            captured: self.clock.utc(),
            ..self.prepared.tags.clone()
        }
    }

    fn saved(&mut self, done: Done) -> Result<(), CameraError> {
        self.saving -= 1;
        let product = done.result?;
        let Some(handed) = self.handed.get_mut(done.number).and_then(Option::take) else {
            return Ok(());
        };
        if let Sink::Files { reservation, .. } = &mut self.prepared.sink {
            reservation.consume(disk_size(product.written));
        }
        self.outcome.bytes = product.bytes;
        if self.prepared.order.log {
            let Handed {
                path,
                asked_us,
                metadata,
                capture_time,
            } = handed;
            // No colon after tSav: existing readers expect the line as the old server wrote it.
            let _ = writeln!(
                self.outcome.log,
                "fName:{};tCap:{:.3};tSav{:.3};sSS:{asked_us};iSS:{};FD:{}",
                path.display(),
                capture_time.as_secs_f64(),
                done.took.as_secs_f64(),
                metadata.exposure_us,
                metadata.frame_duration_us,
            );
        }
        Ok(())
    }
}
