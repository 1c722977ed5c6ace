//! The camera's supervised loop: one camera, one order at a time, whatever the clients do.

use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_lite::future::or;
use smol::channel::{Receiver, Sender};

use super::backend::{Controls, Frame, FrameStatus};
use super::capture::{Cancelled, Capture, CaptureOrder, Outcome, Prepared, Sink};
use super::error::CameraError;
use super::link::Link;
use super::matching;
use super::settings::{Change, Range};
use super::stream::{Stream, Surroundings};
use super::worker::Worker;
use super::{Order, Shared};
use crate::base::absence::Absence;
use crate::base::backoff::Backoff;
use crate::base::conditions::Condition;
use crate::base::error::Failure;
use crate::base::health::State;
use crate::base::jobs::{Job, Progress};
use crate::base::shutdown::Shutdown;
use crate::raw::formats::Format;
use crate::store::{NewFile, Reservation};

/// A stream that nobody used for this long is stopped and its memory given back.
const REST_AFTER: Duration = Duration::from_secs(30);
/// A stream that just finished an order waits this long for the next before it goes on by itself: a request in between
/// would stand before the next order's and cost it a frame. Room for an unterminated message to settle on port 5060,
/// yet within the 13 ms of blanking, in which the next frame still is had.
const NEXT_ORDER_WAIT: Duration = Duration::from_millis(10);
/// Frames the `CAM:CONF` commands look at (hq-camera.md 3).
const EXPOSURE_LOOKS: u32 = 15;
const OTHER_LOOKS: u32 = 10;
/// A camera that gave nothing for so many frame durations, starting included, is not slow but hangs.
const SILENT_FRAMES: u32 = 6;

/// Opens the camera anew; called at the start and after every failure.
pub(super) type Opener = Box<dyn Fn() -> std::io::Result<Link>>;

/// The actor.
pub(super) struct Actor {
    pub(super) shared: Rc<Shared>,
    pub(super) orders: Receiver<Order>,
    pub(super) captures: Receiver<Order>,
    pub(super) open: Opener,
    pub(super) shutdown: Shutdown,
}

enum Wake {
    Order(Option<Order>),
    Frame(Result<Frame, CameraError>),
    Idle,
    Rest,
}

impl Actor {
    /// Serves until shutdown, then answers what still waits.
    pub(super) async fn run(self) {
        self.supervise().await;
        for queue in [&self.orders, &self.captures] {
            queue.close();
            while let Ok(order) = queue.try_recv() {
                order.refuse(|| CameraError::Stopping);
            }
        }
    }

    /// Opens the camera, serves orders, and starts over after a failure.
    async fn supervise(&self) {
        let mut backoff = Backoff::new(1);
        let shutdown = self.shutdown.clone();
        while !shutdown.is_given() {
            self.shared.health.set(State::Connecting);
            let failure = match self.run_once(&mut backoff).await {
                Ok(()) => return,
                Err(error) => Failure::from(error),
            };
            self.shared.set_stream(None);
            self.shared.opening.0.fire();
            self.shared.streaming.set(false);
            let away = Absence {
                name: "camera",
                health: &self.shared.health,
                conditions: &self.shared.conditions,
            };
            let (wait, _absent) = away.report(&failure, &mut backoff, None);
            self.refuse_for(wait, &failure.message).await;
        }
    }

    async fn run_once(&self, backoff: &mut Backoff) -> Result<(), CameraError> {
        let worker = Worker::spawn().map_err(|_| CameraError::WorkerEnded)?;
        let link = (self.open)().map_err(|_| CameraError::ThreadEnded)?;
        let around = Surroundings {
            clock: self.shared.clock.clone(),
            hang_limit: self.shared.hang_limit,
            health: self.shared.health.clone(),
            trace: self.shared.trace.clone(),
        };
        let controls = self.shared.settings.borrow().controls;
        let stream = Stream::open(link, around, controls).await?;
        self.shared.set_stream(Some(*stream.info()));
        self.shared.opening.0.fire();
        self.shared.health.set(State::Ready);
        backoff.reset();
        Shift {
            actor: self,
            shared: &self.shared,
            stream,
            worker,
        }
        .serve()
        .await
    }

    /// Settings and frames before captures: they are quick, and their clients wait for a reply.
    async fn next_order(&self) -> Option<Order> {
        or(self.orders.recv(), self.captures.recv()).await.ok()
    }

    /// Answers every order with the failure until the next try is due.
    async fn refuse_for(&self, wait: Duration, reason: &str) {
        let refuse = async {
            while let Some(order) = self.next_order().await {
                order.refuse(|| CameraError::Absent(reason.to_owned()));
            }
        };
        self.shutdown
            .guard(self.shared.clock.timeout(wait, refuse))
            .await;
    }
}

/// The actor while the camera is open.
struct Shift<'a> {
    actor: &'a Actor,
    shared: &'a Shared,
    stream: Stream,
    worker: Worker,
}

impl Shift<'_> {
    async fn serve(mut self) -> Result<(), CameraError> {
        let mut rest_at = self.shared.clock.now() + REST_AFTER;
        while let Some(wake) = self.actor.shutdown.clone().guard(self.wake(rest_at)).await {
            match wake {
                Wake::Order(None) => break,
                Wake::Order(Some(order)) => {
                    self.obey(order).await?;
                    rest_at = self.shared.clock.now() + REST_AFTER;
                }
                Wake::Frame(Ok(frame)) => {
                    self.shared.note_metadata(frame.metadata);
                    self.keep_streaming()?;
                }
                Wake::Frame(Err(error)) => self.rest_after(error).await?,
                Wake::Idle => self.keep_streaming()?,
                Wake::Rest => self.rest().await?,
            }
        }
        self.rest().await
    }

    async fn wake(&mut self, rest_at: Instant) -> Wake {
        let order = async { Wake::Order(self.actor.next_order().await) };
        let (streaming, awaited) = (self.stream.is_running(), self.stream.in_flight() > 0);
        let paced = self.stream.info().paced;
        let stream = &mut self.stream;
        let clock = &self.shared.clock;
        let frame = async move {
            match streaming {
                false => std::future::pending().await,
                true => {
                    let frame = async {
                        match awaited {
                            true => Wake::Frame(stream.frame().await),
                            false if paced => {
                                clock.sleep(NEXT_ORDER_WAIT).await;
                                Wake::Idle
                            }
                            false => std::future::pending().await,
                        }
                    };
                    let rest = async {
                        clock.sleep_until(rest_at).await;
                        Wake::Rest
                    };
                    or(frame, rest).await
                }
            }
        };
        or(order, frame).await
    }

    /// While idle one request stays queued, so that the next command finds a running stream.
    fn keep_streaming(&mut self) -> Result<(), CameraError> {
        if self.stream.in_flight() == 0 && self.stream.info().paced {
            let controls = self.shared.settings.borrow().controls;
            self.stream.queue(&controls)?;
        }
        Ok(())
    }

    async fn rest(&mut self) -> Result<(), CameraError> {
        self.worker.release();
        if self.stream.is_running() {
            self.stream.stop().await?;
        }
        self.shared.streaming.set(false);
        Ok(())
    }

    /// A camera that failed a command is stopped; the next command starts it again.
    async fn rest_after(&mut self, error: CameraError) -> Result<(), CameraError> {
        let failure = Failure::from(error);
        tracing::warn!(%failure, "camera stopped");
        self.shared.conditions.announce(&failure);
        self.shared.health.record(failure.message.clone());
        self.shared.health.set(State::Degraded {
            reason: failure.message,
        });
        self.rest().await
    }

    /// Carries out one order. Only a camera that cannot even be stopped is an error here.
    async fn obey(&mut self, order: Order) -> Result<(), CameraError> {
        if order.is_forgotten() {
            order.refuse(|| CameraError::Aborted);
            return Ok(());
        }
        let trouble = match order {
            Order::Configure {
                change,
                range,
                deadline,
                reply,
            } => {
                let result = self.configure(change, range, deadline).await;
                answer(result, |result| drop(reply.try_send(result)))
            }
            Order::Frame { format, reply } => {
                let result = self.frame(format, &reply).await;
                answer(result, |result| drop(reply.try_send(result)))
            }
            Order::Capture {
                order,
                job,
                accepted,
            } => self.carry_out(order, &job, &accepted).await,
        };
        match trouble {
            Some(failure) => {
                self.shared.health.record(failure.message.clone());
                self.shared.health.set(State::Degraded {
                    reason: failure.message,
                });
                self.rest().await?;
            }
            None => {
                if self.stream.is_running() {
                    self.shared.health.set(State::Ready);
                }
            }
        }
        self.shared.streaming.set(self.stream.is_running());
        if let Some(metadata) = self.stream.last() {
            self.shared.note_metadata(*metadata);
        }
        Ok(())
    }

    async fn carry_out(
        &mut self,
        order: CaptureOrder,
        job: &Job,
        accepted: &Sender<Result<(), CameraError>>,
    ) -> Option<Failure> {
        let prepared = match self.shared.prepare_capture(order, self.stream.info()).await {
            Ok(prepared) => prepared,
            Err(error) => {
                job.finish(Err(Failure::from_error(error.kind(), &error)));
                let _ = accepted.try_send(Err(error));
                return None;
            }
        };
        job.begin();
        self.shared.busy.replace(Some(job.name().to_owned()));
        let _ = accepted.try_send(Ok(()));
        let result = self.capture(prepared, job).await;
        self.shared.busy.replace(None);
        answer(result, |result| job.finish(result.map_err(Failure::from)))
    }

    async fn configure(
        &mut self,
        change: Change,
        range: Range,
        deadline: Instant,
    ) -> Result<(), CameraError> {
        let before = self.shared.settings.borrow().controls;
        let wanted = change.apply(&before, self.stream.info(), range)?;
        let looks = match change {
            Change::Exposure(us) if us <= 0 => 1,
            Change::Exposure(_) => EXPOSURE_LOOKS,
            _ => OTHER_LOOKS,
        };
        self.apply(wanted, looks, deadline).await
    }

    /// Makes controls the present settings and waits until frames show them or the deadline comes.
    async fn apply(
        &mut self,
        wanted: Controls,
        looks: u32,
        deadline: Instant,
    ) -> Result<(), CameraError> {
        let clock = self.shared.clock.clone();
        if clock.now() >= deadline {
            return Err(CameraError::Busy("another command".into()));
        }
        self.shared.settings.borrow_mut().controls = wanted;
        let _settling = self.shared.conditions.raise(Condition::Settling);
        let mut looked = Looked {
            since: clock.now(),
            frames: 0,
        };
        let limit = deadline.saturating_duration_since(clock.now());
        match clock
            .timeout(limit, self.settle(&wanted, looks, &mut looked))
            .await
        {
            Some(Ok(true)) => Ok(()),
            Some(Err(error)) => Err(error),
            Some(Ok(false)) | None => {
                let waited = clock.now().saturating_duration_since(looked.since);
                if looked.frames == 0 && waited > self.stream.frame_duration() * SILENT_FRAMES {
                    self.shared.health.count("hangs");
                    let waited_ms = waited.as_millis() as u64;
                    return Err(CameraError::Hung { waited_ms });
                }
                tracing::warn!(?wanted, seen = ?self.stream.last(), "controls not seen in effect yet");
                Ok(())
            }
        }
    }

    async fn settle(
        &mut self,
        wanted: &Controls,
        looks: u32,
        looked: &mut Looked,
    ) -> Result<bool, CameraError> {
        self.stream.ensure_running(wanted).await?;
        let (limits, obeys) = (self.stream.info().limits, self.stream.info().obeys_controls);
        self.stream.mark().await?;
        let mut restarted = false;
        // What is queued beyond the frame that should show it stands before the next command's request.
        let mut needed = self.stream.shows_at(wanted);
        while looked.frames < looks {
            while self.stream.in_flight() < 2 && self.stream.next_id() <= needed {
                self.stream.queue(wanted)?;
            }
            match self.stream.frame().await {
                Ok(frame) => {
                    looked.frames += 1;
                    let good = frame.metadata.status == FrameStatus::Success;
                    if good && (!obeys || matching::settled(wanted, &frame.metadata, &limits)) {
                        return Ok(true);
                    }
                    if frame.metadata.request_id >= needed {
                        // It did not show in time: from now on the frames just keep coming.
                        needed = u64::MAX;
                    }
                }
                Err(CameraError::Hung { .. }) if !restarted => {
                    restarted = true;
                    needed = u64::MAX;
                    self.stream.restart(wanted).await?;
                    *looked = Looked {
                        since: self.shared.clock.now(),
                        frames: 0,
                    };
                }
                Err(CameraError::Hung { waited_ms }) => {
                    return Err(CameraError::StillHung { waited_ms });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    async fn capture(&mut self, mut prepared: Prepared, job: &Job) -> Result<(), CameraError> {
        let _measuring = self.shared.conditions.raise(Condition::Measuring);
        if let Some(first) = prepared.controls.first() {
            // The first exposure stays set after a sequence, as FE-PyCam2 programs expect.
            self.shared.settings.borrow_mut().controls = *first;
        }
        let (progress, cancelled) = (job.progress(), Box::pin(job.aborted()));
        let outcome = self.take(&mut prepared, Some(&progress), cancelled).await?;
        if prepared.order.log
            && let Sink::Files { folder, .. } = &prepared.sink
        {
            let path = folder.join(format!("{}_SSCapture.log", prepared.order.prefix));
            let log = outcome.log;
            let write = move || NewFile::store(&path, log.as_bytes());
            self.shared.pool.run_in_turn(write).await??;
        }
        Ok(())
    }

    /// One frame, unless the client leaves or a reset gives it up meanwhile.
    async fn frame(
        &mut self,
        format: Format,
        reply: &Sender<Result<(Vec<u8>, Reservation), CameraError>>,
    ) -> Result<(Vec<u8>, Reservation), CameraError> {
        let mut prepared = self
            .shared
            .prepare_frame(format, self.stream.info())
            .await?;
        let _measuring = self.shared.conditions.raise(Condition::Measuring);
        let bytes = self
            .take(&mut prepared, None, Box::pin(reply.closed()))
            .await?
            .bytes;
        match prepared.sink {
            Sink::Memory(_, reservation) => Ok((bytes, reservation)),
            Sink::Files { .. } => Err(CameraError::WorkerEnded),
        }
    }

    async fn take(
        &mut self,
        prepared: &mut Prepared,
        progress: Option<&Progress>,
        cancelled: Cancelled<'_>,
    ) -> Result<Outcome, CameraError> {
        let capture = Capture::new(&mut self.stream, &self.worker, &self.shared.clock, prepared);
        capture.run(progress, cancelled, &self.actor.shutdown).await
    }
}

/// What the wait for controls has seen so far.
struct Looked {
    /// When the wait, or the stream after a restart, began.
    since: Instant,
    /// Frames since then.
    frames: u32,
}

/// Sends a result to the client and keeps what says that the camera itself is in trouble.
fn answer<T>(
    result: Result<T, CameraError>,
    send: impl FnOnce(Result<T, CameraError>),
) -> Option<Failure> {
    let trouble = result
        .as_ref()
        .err()
        .filter(|error| is_camera_trouble(error))
        .map(|error| Failure::from_error(error.kind(), error));
    send(result);
    trouble
}

fn is_camera_trouble(error: &CameraError) -> bool {
    matches!(
        error,
        CameraError::Hung { .. }
            | CameraError::StillHung { .. }
            | CameraError::NoPicture { .. }
            | CameraError::Backend(_)
            | CameraError::Unresponsive
            | CameraError::ThreadEnded
    )
}
