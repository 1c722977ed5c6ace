//! What both front ends need: the camera's time on the clock, and bytes on their way to a link.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_lite::io::AsyncWrite;

use super::faults::{Fault, Faults};
use crate::base::clock::Clock;
use crate::base::fault::UNTIL_CLEARED;

/// Time since the simulation began.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    clock: Clock,
    origin: Instant,
}

impl Pace {
    pub(super) fn new(clock: Clock) -> Self {
        let origin = clock.now();
        Self { clock, origin }
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.origin)
    }

    /// Waits until `due`, for ever without one.
    pub(super) async fn sleep_until(&self, due: Option<Duration>) {
        match due {
            Some(due) => self.clock.sleep_until(self.origin + due).await,
            None => std::future::pending().await,
        }
    }
}

/// Pieces to write, each with a call of its own.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pieces: VecDeque<Vec<u8>>,
    /// Bytes of the first piece that are written.
    written: usize,
}

impl Outgoing {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(Vec::len).sum()
    }

    pub(super) fn push(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.pieces.push_back(bytes);
        }
    }

    pub(super) fn clear(&mut self) {
        self.pieces.clear();
        self.written = 0;
    }

    /// Writes what the link takes now. Ready when something was written, never when there is nothing to write.
    pub(super) fn poll_write(
        &mut self,
        link: Pin<&mut impl AsyncWrite>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(piece) = self.pieces.front() else {
            return Poll::Pending;
        };
        let count = match link.poll_write(cx, &piece[self.written..]) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        };
        self.written += count;
        if self.written == piece.len() {
            self.pieces.pop_front();
            self.written = 0;
        }
        Poll::Ready(Ok(()))
    }
}

/// Whether the camera is there at all: the fault `vanish`.
#[derive(Debug, Default)]
pub(super) struct Presence {
    absent: Option<Absence>,
}

#[derive(Debug)]
struct Absence {
    until: Option<Duration>,
}

/// What happens to a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Goes,
    Returns,
}

impl Presence {
    pub(super) fn is_absent(&self) -> bool {
        self.absent.is_some()
    }

    /// When it returns by itself.
    pub(super) fn returns_at(&self) -> Option<Duration> {
        self.absent.as_ref().and_then(|absence| absence.until)
    }

    /// Does as the faults say; tells what has changed.
    pub(super) fn obey(&mut self, faults: &Faults, now: Duration) -> Option<Turn> {
        match (&self.absent, faults.number(Fault::Vanish)) {
            (None, 0) => return None,
            (None, ms) => {
                let until = (ms != UNTIL_CLEARED).then(|| now + Duration::from_millis(ms));
                self.absent = Some(Absence { until });
                return Some(Turn::Goes);
            }
            (Some(_), 0) => {}
            (Some(Absence { until: Some(until) }), _) if *until <= now => {
                faults.take(Fault::Vanish);
            }
            _ => return None,
        }
        self.absent.take().map(|_| Turn::Returns)
    }
}
