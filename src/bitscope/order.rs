//! What the actor is told.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use smol::channel::Sender;

use super::proto::{CaptureRequest, ClockPlan, Register, WaveformRequest};
use crate::base::conditions::Raised;
use crate::base::error::Failure;
use crate::base::jobs::Job;

pub(super) type Reply<T> = Sender<Result<T, Failure>>;

/// An operation and when it was asked for.
pub(super) struct Order {
    pub(super) work: Work,
    pub(super) issued: Instant,
    /// It has the device: those who wait for their turn need not give up.
    pub(super) begun: Rc<Cell<bool>>,
}

/// What the actor is told.
pub(super) enum Work {
    Capture {
        request: Box<CaptureRequest>,
        job: Job,
        measuring: Raised,
    },
    StartWaveform {
        request: WaveformRequest,
        reply: Reply<f64>,
    },
    StartClock {
        frequency_hz: f64,
        ratio: f64,
        reply: Reply<ClockPlan>,
    },
    StopGenerator {
        reply: Reply<()>,
    },
    ReadRegister {
        register: Register,
        reply: Reply<u32>,
    },
    Raw {
        bytes: Vec<u8>,
        reply: Reply<Vec<u8>>,
    },
}

/// A datagram of commands that came in.
pub(super) struct Datagram {
    pub(super) source: SocketAddr,
    pub(super) cmd_id: u8,
    pub(super) commands: Vec<u8>,
    /// Nobody waits for its answer after that.
    pub(super) due: Instant,
}

impl Order {
    /// Whether whoever asked for it has gone.
    pub(super) fn is_forgotten(&self) -> bool {
        match &self.work {
            Work::Capture { job, .. } => job.is_aborted(),
            Work::StartWaveform { reply, .. } => reply.is_closed(),
            Work::StartClock { reply, .. } => reply.is_closed(),
            Work::StopGenerator { reply } => reply.is_closed(),
            Work::ReadRegister { reply, .. } => reply.is_closed(),
            Work::Raw { reply, .. } => reply.is_closed(),
        }
    }

    /// Ends it without having done it.
    pub(super) fn refuse(self, failure: Failure) {
        match self.work {
            Work::Capture { job, measuring, .. } => {
                drop(measuring);
                job.finish(Err(failure));
            }
            Work::StartWaveform { reply, .. } => drop(reply.try_send(Err(failure))),
            Work::StartClock { reply, .. } => drop(reply.try_send(Err(failure))),
            Work::StopGenerator { reply } => drop(reply.try_send(Err(failure))),
            Work::ReadRegister { reply, .. } => drop(reply.try_send(Err(failure))),
            Work::Raw { reply, .. } => drop(reply.try_send(Err(failure))),
        }
    }
}
