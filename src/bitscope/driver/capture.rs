//! Captures.

use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use super::Scope;
use super::error::ScopeError;
use crate::bitscope::proto::capture::Dump;
use crate::bitscope::proto::{
    Capture, CapturePlan, CaptureRequest, Cause, Register, TraceEvent, TraceReader,
};

/// What a trace may take beyond its own time.
const MARGIN: Duration = Duration::from_secs(2);
/// A status packet comes in one piece.
const STALL: Duration = Duration::from_secs(1);
/// Silence after which an idle device has said what it says to a cancel.
const SILENCE: Duration = Duration::from_millis(100);

/// How a trace ended.
struct Ended {
    cause: Cause,
    time: u32,
    address: u32,
}

/// Whoever may end a trace early, until they have.
struct Canceller<'c> {
    cancel: Option<Pin<&'c mut dyn Future<Output = ()>>>,
}

impl Canceller<'_> {
    /// Resolves once at most.
    async fn wait(&mut self) {
        let Some(cancel) = &mut self.cancel else {
            return pending().await;
        };
        poll_fn(|cx| cancel.as_mut().poll(cx)).await;
        self.cancel = None;
    }
}

enum Step {
    Received,
    Late,
    Cancelled,
}

impl Scope {
    /// Captures as asked for. When `cancel` resolves before the trigger the trace is ended, and what it holds by then
    /// is the capture, with the cause [`Cause::Cancel`].
    ///
    /// When this is dropped the next operation resets the device first.
    ///
    /// # Errors
    /// [`ScopeError::Capture`]; those of the link.
    pub async fn capture(
        &mut self,
        request: &CaptureRequest,
        cancel: impl Future<Output = ()>,
    ) -> Result<Capture, ScopeError> {
        let plan = CapturePlan::new(request, self.running())?;
        let mut cancel = pin!(cancel);
        let mut canceller = Canceller {
            cancel: Some(cancel.as_mut()),
        };
        self.settle().await?;
        let mut attempt = 1;
        loop {
            let result = self.capture_once(&plan, &mut canceller).await;
            let result = self.conclude(result).await;
            match result {
                // The device was reset in between, so that it is not told twice.
                Err(error)
                    if error.is_desynchronised() && !self.dirty && attempt < self.attempts() =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn capture_once(
        &mut self,
        plan: &CapturePlan,
        canceller: &mut Canceller<'_>,
    ) -> Result<Capture, ScopeError> {
        let mut string = plan.setup();
        string.extend_from_slice(b">UD");
        self.exchange(&string, 0, "the start of a trace").await?;
        let ended = self.follow(plan, canceller).await?;
        let mut dumps = Vec::new();
        for dump in plan.dumps(ended.address) {
            dumps.push(self.dump(&dump).await?);
        }
        Ok(plan.decode(ended.cause, ended.time, &dumps))
    }

    async fn dump(&mut self, dump: &Dump) -> Result<Vec<u8>, ScopeError> {
        let mut string = dump.setup();
        string.extend_from_slice(b">A");
        self.repeatable(&string, dump.bytes(), "the samples").await
    }

    /// Waits for the end of a trace, and ends it when it is time.
    async fn follow(
        &mut self,
        plan: &CapturePlan,
        canceller: &mut Canceller<'_>,
    ) -> Result<Ended, ScopeError> {
        let now = self.wire.clock.now();
        let mut reader = TraceReader::new();
        let started = now + self.echo_limit(1) + Duration::from_secs(1);
        let deadline = deadline(plan).and_then(|limit| now.checked_add(limit));
        let mut runs = false;
        loop {
            while let Some(event) = self.next_event(&mut reader)? {
                match event {
                    TraceEvent::Started { .. } => runs = true,
                    TraceEvent::Ended {
                        cause,
                        time,
                        address,
                    } => {
                        return Ok(Ended {
                            cause,
                            time,
                            address,
                        });
                    }
                    TraceEvent::CancelEcho => {}
                }
            }
            let stalled = self.wire.clock.now() + STALL;
            let due = match (runs, reader.is_partial()) {
                (_, true) => Some(stalled),
                (true, false) => deadline,
                (false, false) => Some(started),
            };
            match self.step(due, canceller).await? {
                Step::Received => {}
                Step::Cancelled => return self.cancel(reader, Cause::Cancel).await,
                Step::Late if runs && !reader.is_partial() => {
                    return self.cancel(reader, Cause::Timeout).await;
                }
                Step::Late => {
                    return Err(ScopeError::Silent {
                        what: "the status of a trace",
                        limit: due.map_or(STALL, |due| due - now),
                        received: 0,
                        expected: 12,
                    });
                }
            }
        }
    }

    async fn step(
        &mut self,
        due: Option<Instant>,
        canceller: &mut Canceller<'_>,
    ) -> Result<Step, ScopeError> {
        let received = async {
            Ok(match self.wire.fill(due).await? {
                true => Step::Received,
                false => Step::Late,
            })
        };
        let cancelled = async {
            canceller.wait().await;
            Ok(Step::Cancelled)
        };
        futures_lite::future::or(received, cancelled).await
    }

    /// Sends `K` and reads both its echo and the end of the trace, whichever comes first; `why` it was sent becomes the
    /// cause.
    async fn cancel(&mut self, mut reader: TraceReader, why: Cause) -> Result<Ended, ScopeError> {
        let limit = self.echo_limit(1) + Duration::from_secs(1);
        self.wire.keep_answers();
        self.send(b"K", limit).await?;
        reader.expect_cancel_echo();
        let due = self.wire.clock.now() + limit;
        let (mut echoed, mut ended, mut overtaken) = (false, None, false);
        loop {
            while let Some(event) = self.next_event(&mut reader)? {
                match event {
                    TraceEvent::CancelEcho => echoed = true,
                    TraceEvent::Ended {
                        cause,
                        time,
                        address,
                    } => {
                        overtaken = !echoed;
                        let cause = if cause == Cause::Cancel { why } else { cause };
                        ended.get_or_insert(Ended {
                            cause,
                            time,
                            address,
                        });
                    }
                    TraceEvent::Started { .. } => {}
                }
            }
            if echoed && ended.is_some() {
                break;
            }
            if !self.wire.fill(Some(due)).await? {
                return Err(ScopeError::Silent {
                    what: "the end of a cancelled trace",
                    limit,
                    received: usize::from(echoed),
                    expected: 22,
                });
            }
        }
        if overtaken {
            // The trace ended by itself; nobody knows what an idle device says to a cancel.
            while self
                .wire
                .fill(Some(self.wire.clock.now() + SILENCE))
                .await?
            {
                self.wire.clear();
            }
        }
        ended.ok_or(ScopeError::Silent {
            what: "the end of a cancelled trace",
            limit,
            received: 1,
            expected: 22,
        })
    }

    fn next_event(&mut self, reader: &mut TraceReader) -> Result<Option<TraceEvent>, ScopeError> {
        while !self.wire.inbox().is_empty() {
            for byte in self.wire.take(1) {
                if let Some(event) = reader.push(byte)? {
                    return Ok(Some(event));
                }
            }
        }
        Ok(None)
    }
}

/// When the host ends a trace, counted from its start: never, if nobody said how long to wait for the trigger.
fn deadline(plan: &CapturePlan) -> Option<Duration> {
    let duration_s = plan.timing.duration_s();
    if let Some(timeout_s) = plan.host_timeout_s {
        return Duration::try_from_secs_f64(timeout_s + duration_s).ok();
    }
    let timeout = plan
        .writes
        .iter()
        .find(|(register, _)| *register == Register::Timeout)
        .map_or(0, |(_, raw)| *raw);
    let timeout_s = f64::from(timeout) * crate::bitscope::proto::TIMEOUT_UNIT_S;
    let limit = Duration::try_from_secs_f64(timeout_s + duration_s).ok()?;
    (timeout > 0).then_some(limit + MARGIN)
}
