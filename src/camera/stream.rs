//! The running stream as the actor sees it: requests in flight, what they carry, and a limit on every wait.

use std::collections::VecDeque;
use std::time::Duration;

use smol::channel::TrySendError;

use super::backend::{BackendError, Controls, Frame, FrameStatus, Metadata, Request, StreamInfo};
use super::error::CameraError;
use super::link::{Event, Link, Order};
use crate::base::clock::Clock;
use crate::base::health::Health;
use crate::base::trace::{Direction, Trace};

/// Frames of waiting allowed on top of the configured hang time-out (hq-camera.md 17).
const HANG_FRAMES: u32 = 5;
/// Longer frames are not waited for when their duration changes.
const LONG_FRAME: Duration = Duration::from_millis(500);
/// Time for opening, starting and stopping: libcamera needs most of a second on a Zero 2 W.
const ORDER_LIMIT: Duration = Duration::from_secs(5);

/// A stream, running or not.
pub(super) struct Stream {
    link: Link,
    clock: Clock,
    hang_limit: Duration,
    health: Health,
    trace: Trace,
    info: StreamInfo,
    running: bool,
    /// Number of the last order.
    orders: u64,
    next_id: u64,
    in_flight: VecDeque<u64>,
    carried: Carried,
    last: Option<Metadata>,
}

/// What the last requests carried; frames still to come show it.
struct Carried {
    recent: VecDeque<(u64, Controls)>,
    /// In effect before the oldest of `recent`.
    before: Controls,
}

/// What a stream needs from the station.
pub(super) struct Surroundings {
    pub(super) clock: Clock,
    pub(super) hang_limit: Duration,
    pub(super) health: Health,
    pub(super) trace: Trace,
}

impl Stream {
    /// Waits for the camera thread to have opened the camera.
    pub(super) async fn open(
        link: Link,
        around: Surroundings,
        controls: Controls,
    ) -> Result<Self, CameraError> {
        let event = around.clock.timeout(ORDER_LIMIT, link.events.recv()).await;
        let info = match event
            .ok_or(CameraError::Unresponsive)?
            .map_err(|_| CameraError::ThreadEnded)?
        {
            Event::Opened(info) => info,
            Event::Failed(error) => return Err(error.into()),
            _ => return Err(CameraError::ThreadEnded),
        };
        Ok(Self {
            link,
            clock: around.clock,
            hang_limit: around.hang_limit,
            health: around.health,
            trace: around.trace,
            info,
            running: false,
            orders: 0,
            next_id: 0,
            in_flight: VecDeque::new(),
            carried: Carried {
                recent: VecDeque::new(),
                before: controls,
            },
            last: None,
        })
    }

    pub(super) fn info(&self) -> &StreamInfo {
        &self.info
    }

    pub(super) fn is_running(&self) -> bool {
        self.running
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Id the next request will get.
    pub(super) fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Metadata of the newest good frame.
    pub(super) fn last(&self) -> Option<&Metadata> {
        self.last.as_ref()
    }

    /// Request ids in flight and those whose frames are decided by requests already queued, with the controls they
    /// should show. Frames whose exposure began before the mark `now_ns` are left out.
    pub(super) fn foreseen(&self, now_ns: u64) -> Vec<(u64, Controls)> {
        let latency = u64::from(self.info.control_latency_frames);
        let begun = match self.in_flight.front() {
            Some(oldest) => oldest + 1,
            None => self.next_id + u64::from(self.is_blanking(now_ns)),
        };
        (begun..self.next_id + latency)
            .map(|id| (id, self.carried.shown_by(id, latency)))
            .collect()
    }

    /// Whether a request made now still gets the frame that has just begun, by the rhythm of the last one.
    fn is_blanking(&self, now_ns: u64) -> bool {
        let Some(last) = self.last.filter(|_| !self.carried.recent.is_empty()) else {
            return false;
        };
        let limits = &self.info.limits;
        let (num, den) = limits.line_time_us;
        let rows_us = self.info.layout.height as u64 * u64::from(num) / u64::from(den);
        let blanking_us = u64::from(limits.frame_duration_min_us).saturating_sub(rows_us);
        let since_us = now_ns.saturating_sub(last.sensor_timestamp_ns) / 1_000;
        since_us % u64::from(last.frame_duration_us.max(1)) < blanking_us
    }

    /// Request id whose frame should be the first to show these controls, if they are asked for from now on.
    pub(super) fn shows_at(&self, controls: &Controls) -> u64 {
        let latency = u64::from(self.info.control_latency_frames);
        let oldest = self.in_flight.front().copied().unwrap_or(self.next_id);
        let decided = self.next_id + latency;
        (oldest..decided)
            .find(|&id| self.carried.shown_by(id, latency) == *controls)
            .unwrap_or(decided)
    }

    /// Starts the stream with these controls unless it runs. Of a stream with long frames up to four old ones would
    /// have to pass before the first with another duration, so that is started anew.
    pub(super) async fn ensure_running(&mut self, controls: &Controls) -> Result<(), CameraError> {
        let duration_changes =
            self.carried.newest().frame_duration_us != controls.frame_duration_us;
        if self.running && duration_changes && self.frame_duration() > LONG_FRAME {
            self.stop().await?;
        }
        if self.running {
            return Ok(());
        }
        self.trace
            .note(Direction::Sent, || format!("start {controls:?}"));
        let number = self.order(Order::Start(*controls))?;
        // From here on the camera may stream, whether or not somebody waits to hear of it.
        self.running = true;
        self.in_flight.clear();
        self.carried = Carried {
            recent: VecDeque::new(),
            before: *controls,
        };
        self.health.count("starts");
        loop {
            match self.event(ORDER_LIMIT).await? {
                Event::Started(answered, info) if answered == number => {
                    self.info = info;
                    return Ok(());
                }
                Event::Failed(error) => return Err(self.failed(error)),
                _ => {}
            }
        }
    }

    /// Stops the stream and gives its frame memory back.
    pub(super) async fn stop(&mut self) -> Result<(), CameraError> {
        self.running = false;
        self.in_flight.clear();
        self.trace.note(Direction::Sent, || "stop".into());
        let number = self.order(Order::Stop)?;
        loop {
            if matches!(self.event(ORDER_LIMIT).await?, Event::Stopped(answered) if answered == number)
            {
                return Ok(());
            }
        }
    }

    /// Stops and starts: the cure for a camera that gives no frames.
    pub(super) async fn restart(&mut self, controls: &Controls) -> Result<(), CameraError> {
        self.health.count("restarts");
        self.stop().await?;
        self.ensure_running(controls).await
    }

    /// The present on the clock of [`Metadata::sensor_timestamp_ns`]. Frames that completed before are let go.
    pub(super) async fn mark(&mut self) -> Result<u64, CameraError> {
        let number = self.order(Order::Mark)?;
        loop {
            match self.event(ORDER_LIMIT).await? {
                Event::Mark(answered, now_ns) if answered == number => return Ok(now_ns),
                Event::Frame(frame) => drop(self.arrived(frame)),
                Event::Failed(error) => return Err(self.failed(error)),
                _ => {}
            }
        }
    }

    /// Queues one request.
    pub(super) fn queue(&mut self, controls: &Controls) -> Result<(), CameraError> {
        let id = self.next_id;
        self.trace
            .note(Direction::Sent, || format!("request {id} {controls:?}"));
        self.order(Order::Queue(Request {
            id,
            controls: *controls,
        }))?;
        self.next_id += 1;
        self.in_flight.push_back(id);
        self.carried.note(id, *controls);
        Ok(())
    }

    /// The next frame, damaged ones included.
    ///
    /// # Errors
    /// [`CameraError::Hung`] after the hang time-out plus five frame durations. Dropping the future loses nothing.
    pub(super) async fn frame(&mut self) -> Result<Frame, CameraError> {
        let limit = self.hang_limit + self.frame_duration() * HANG_FRAMES;
        loop {
            match self.event(limit).await {
                Ok(Event::Frame(frame)) if self.running => return Ok(self.arrived(frame)),
                Ok(Event::Failed(error)) => return Err(self.failed(error)),
                Ok(_) => {}
                Err(CameraError::Unresponsive) => {
                    self.health.count("hangs");
                    return Err(CameraError::Hung {
                        waited_ms: limit.as_millis() as u64,
                    });
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Duration of the frames to come: the longer of what was asked for and what was seen last.
    pub(super) fn frame_duration(&self) -> Duration {
        let asked = self.carried.newest().frame_duration_us;
        let seen = self.last.map_or(0, |metadata| metadata.frame_duration_us);
        Duration::from_micros(u64::from(asked.max(seen)))
    }

    fn arrived(&mut self, frame: Frame) -> Frame {
        let metadata = &frame.metadata;
        self.in_flight.retain(|&id| id > metadata.request_id);
        self.trace.note(Direction::Received, || {
            let Metadata { request_id, sequence, status, exposure_us, analogue_gain, .. } = metadata;
            format!(
                "frame of request {request_id}: sequence {sequence}, {status:?}, {exposure_us} us, gain {analogue_gain}"
            )
        });
        self.health.count("frames");
        match metadata.status {
            FrameStatus::Error => self.health.count("damaged_frames"),
            _ => self.last = Some(*metadata),
        }
        frame
    }

    fn failed(&mut self, error: BackendError) -> CameraError {
        self.running = false;
        self.in_flight.clear();
        error.into()
    }

    fn order(&mut self, order: Order) -> Result<u64, CameraError> {
        self.orders += 1;
        let sent = self.link.orders.try_send((self.orders, order));
        sent.map(|()| self.orders).map_err(|error| match error {
            TrySendError::Full(_) => CameraError::Unresponsive,
            TrySendError::Closed(_) => CameraError::ThreadEnded,
        })
    }

    async fn event(&self, limit: Duration) -> Result<Event, CameraError> {
        let event = self.clock.timeout(limit, self.link.events.recv()).await;
        event
            .ok_or(CameraError::Unresponsive)?
            .map_err(|_| CameraError::ThreadEnded)
    }
}

impl Carried {
    const KEPT: usize = 32;

    fn note(&mut self, id: u64, controls: Controls) {
        if self.recent.len() == Self::KEPT
            && let Some((_, oldest)) = self.recent.pop_front()
        {
            self.before = oldest;
        }
        self.recent.push_back((id, controls));
    }

    fn newest(&self) -> &Controls {
        self.recent
            .back()
            .map_or(&self.before, |(_, controls)| controls)
    }

    /// What the frame of request `id` shows: the controls of the request `latency` before it.
    fn shown_by(&self, id: u64, latency: u64) -> Controls {
        let in_effect = self
            .recent
            .iter()
            .rev()
            .find(|(carrier, _)| carrier + latency <= id);
        in_effect.map_or(self.before, |(_, controls)| *controls)
    }
}
