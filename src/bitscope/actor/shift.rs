//! The actor while the link is open: whole operations, one after the other.

use std::sync::Arc;
use std::time::Duration;

use super::Actor;
use super::raw_use::RawUse;
use crate::base::error::{Failure, Kind};
use crate::base::jobs::Job;
use crate::bitscope::driver::{Scope, ScopeError};
use crate::bitscope::proto::{
    Capture, CapturePlan, CaptureRequest, Cause, ClockPlan, Register, WaveformPlan, WaveformRequest,
};
use crate::bitscope::{
    Acquisition, Datagram, Generator, Order, PATIENCE, Reply, Work, aborted, busy,
};

/// How often an idle device is asked whether it still answers.
const LOOK: Duration = Duration::from_secs(10);
/// How often the progress of a capture is told.
const TELL: Duration = Duration::from_millis(100);
/// Silence that ends the answer to raw bytes.
const QUIET: Duration = Duration::from_millis(100);

/// The actor while the link is open.
pub(super) struct Shift<'a> {
    actor: &'a Actor,
    scope: Scope,
}

enum Wake {
    Order(Option<Order>),
    Datagram(Option<Datagram>),
    Lost(ScopeError),
    Look,
}

impl<'a> Shift<'a> {
    pub(super) fn new(actor: &'a Actor, scope: Scope) -> Self {
        Self { actor, scope }
    }

    /// Starts again what ran before the device was away.
    pub(super) async fn restart_generator(&mut self) -> Result<(), ScopeError> {
        let generator = self.actor.shared.generator.borrow().clone();
        match generator {
            Generator::Off => {}
            Generator::Waveform { request, .. } => drop(self.scope.start_waveform(request).await?),
            Generator::Clock {
                frequency_hz,
                ratio,
                ..
            } => drop(self.scope.start_clock(frequency_hz, ratio).await?),
        }
        Ok(())
    }

    /// Serves until the link breaks.
    pub(super) async fn serve(&mut self) -> Result<(), ScopeError> {
        loop {
            match self.wake().await {
                Wake::Order(Some(order)) => self.obey(order).await?,
                Wake::Datagram(Some(datagram)) => self.lend(datagram).await?,
                Wake::Order(None) | Wake::Datagram(None) => return Ok(()),
                Wake::Lost(error) => return Err(error),
                Wake::Look => {
                    let looked = self.scope.read_register(Register::TraceMode).await;
                    self.judge(looked)?.map(drop).unwrap_or_default();
                }
            }
        }
    }

    /// The last words, when the station stops: generators end with it.
    pub(super) async fn finish(&mut self) {
        let running = (
            self.scope.waveform().is_some(),
            self.scope.clock().is_some(),
        );
        let _ = match running {
            (true, _) => self.scope.stop_waveform().await,
            (_, true) => self.scope.stop_clock().await,
            _ => Ok(()),
        };
    }

    async fn wake(&mut self) -> Wake {
        let (actor, scope) = (self.actor, &mut self.scope);
        let order = async { Wake::Order(actor.order().await) };
        let datagram = async { Wake::Datagram(actor.datagrams.recv().await.ok()) };
        let lost = async { Wake::Lost(scope.watch().await) };
        let look = async {
            actor.shared.clock.sleep(LOOK).await;
            Wake::Look
        };
        let work = futures_lite::future::race(order, datagram);
        let link = futures_lite::future::race(lost, look);
        futures_lite::future::race(work, link).await
    }

    /// Lends the device to a raw user until it has to be given back; then does what was waited for.
    async fn lend(&mut self, datagram: Datagram) -> Result<(), ScopeError> {
        if datagram.due < self.actor.shared.clock.now() {
            self.actor.shared.health.count("datagrams_late");
            return Ok(());
        }
        let order = RawUse::new(self.actor, datagram)
            .run(&mut self.scope)
            .await?;
        match order {
            Some(order) => self.obey(order).await,
            None => Ok(()),
        }
    }

    async fn obey(&mut self, order: Order) -> Result<(), ScopeError> {
        let clock = &self.actor.shared.clock;
        if order.is_forgotten() {
            order.refuse(aborted());
            return Ok(());
        }
        let is_capture = matches!(order.work, Work::Capture { .. });
        if !is_capture && clock.now() > order.issued + PATIENCE {
            order.refuse(busy("another operation"));
            return Ok(());
        }
        order.begun.set(true);
        match order.work {
            Work::Capture {
                request,
                job,
                measuring,
            } => {
                let captured = self.capture(&request, &job).await;
                drop(measuring);
                let captured = self.judge(captured);
                self.conclude_capture(&job, captured)
            }
            Work::StartWaveform { request, reply } => {
                let started = self.start_waveform(request).await;
                self.answer(started, reply)
            }
            Work::StartClock {
                frequency_hz,
                ratio,
                reply,
            } => {
                let started = self.start_clock(frequency_hz, ratio).await;
                self.answer(started, reply)
            }
            Work::StopGenerator { reply } => {
                self.actor.shared.generator.take();
                let stopped = match self.scope.clock().is_some() {
                    true => self.scope.stop_clock().await,
                    false => self.scope.stop_waveform().await,
                };
                self.answer(stopped, reply)
            }
            Work::ReadRegister { register, reply } => {
                let value = self.scope.read_register(register).await;
                self.answer(value, reply)
            }
            Work::Raw { bytes, reply } => {
                let answer = self.scope.raw(&bytes, QUIET).await;
                self.answer(answer, reply)
            }
        }
    }

    async fn capture(
        &mut self,
        request: &CaptureRequest,
        job: &Job,
    ) -> Result<Capture, ScopeError> {
        job.begin();
        let clock = self.actor.shared.clock.clone();
        let started = clock.now();
        let running = self.actor.shared.generator.borrow().running();
        let expected =
            CapturePlan::new(request, running).map_or(0.0, |plan| plan.timing.duration_s());
        let actor = self.actor;
        let telling = async {
            loop {
                clock.sleep(TELL).await;
                actor.refuse_forgotten();
                let elapsed = (clock.now() - started).as_secs_f64();
                // It may wait for its trigger for any time.
                job.progress().set((elapsed / expected.max(1e-3)).min(0.99));
            }
        };
        let capturing = self.scope.capture(request, job.aborted());
        futures_lite::future::or(capturing, telling).await
    }

    fn conclude_capture(
        &self,
        job: &Job,
        captured: Result<Result<Capture, Failure>, ScopeError>,
    ) -> Result<(), ScopeError> {
        let shared = &self.actor.shared;
        match captured {
            Ok(Ok(capture)) => {
                let cause = capture.cause;
                shared.health.count("captures");
                let acquisition = Acquisition {
                    number: shared.health.counter("captures"),
                    captured: shared.clock.utc(),
                    serial_number: self.scope.identity().serial_number.clone(),
                    capture,
                };
                *shared.latest.borrow_mut() = Some(Arc::new(acquisition));
                job.finish(match cause {
                    Cause::Cancel => Err(aborted()),
                    _ => Ok(()),
                });
                Ok(())
            }
            Ok(Err(failure)) => {
                job.finish(Err(failure));
                Ok(())
            }
            Err(error) => {
                job.finish(Err(Failure::new(Kind::Absent, error.to_string())));
                Err(error)
            }
        }
    }

    async fn start_waveform(&mut self, request: WaveformRequest) -> Result<f64, ScopeError> {
        WaveformPlan::new(request.clone())?;
        // Whoever asks for a waveform wants no clock.
        if self.scope.clock().is_some() {
            self.scope.stop_clock().await?;
            self.actor.shared.generator.take();
        }
        let started = self.scope.start_waveform(request.clone()).await;
        let frequency_hz = self.note_stopped(started)?;
        *self.actor.shared.generator.borrow_mut() = Generator::Waveform {
            request,
            frequency_hz,
        };
        Ok(frequency_hz)
    }

    async fn start_clock(
        &mut self,
        frequency_hz: f64,
        ratio: f64,
    ) -> Result<ClockPlan, ScopeError> {
        ClockPlan::new(frequency_hz, ratio)?;
        if self.scope.waveform().is_some() {
            self.scope.stop_waveform().await?;
            self.actor.shared.generator.take();
        }
        let started = self.scope.start_clock(frequency_hz, ratio).await;
        let plan = self.note_stopped(started)?;
        *self.actor.shared.generator.borrow_mut() = Generator::Clock {
            frequency_hz,
            ratio,
            plan,
        };
        Ok(plan)
    }

    /// What could not be changed was stopped by the reset after it; a device that is lost has it started again later.
    fn note_stopped<T>(&self, started: Result<T, ScopeError>) -> Result<T, ScopeError> {
        let runs = self.scope.waveform().is_some() || self.scope.clock().is_some();
        if started.is_err() && self.scope.is_in_step() && !runs {
            self.actor.shared.generator.take();
        }
        started
    }

    fn answer<T>(&self, result: Result<T, ScopeError>, reply: Reply<T>) -> Result<(), ScopeError> {
        match self.judge(result) {
            Ok(result) => {
                let _ = reply.try_send(result);
                Ok(())
            }
            Err(error) => {
                let message = Failure::from_error(Kind::Absent, &error);
                let _ = reply.try_send(Err(message));
                Err(error)
            }
        }
    }

    /// The outer error when the device is lost by it, the inner one when only the operation is.
    fn judge<T>(&self, result: Result<T, ScopeError>) -> Result<Result<T, Failure>, ScopeError> {
        let health = &self.actor.shared.health;
        let error = match result {
            Ok(value) => return Ok(Ok(value)),
            Err(error) => error,
        };
        match &error {
            ScopeError::Silent { .. } => health.count("timeouts"),
            ScopeError::Echo { .. } => health.count("echo_errors"),
            ScopeError::Reply(_) | ScopeError::Datagram(_) => health.count("damaged_replies"),
            _ => {}
        }
        let lost = matches!(
            error,
            ScopeError::Link(_) | ScopeError::Model(_) | ScopeError::Restless(_)
        );
        if lost || (error.is_desynchronised() && !self.scope.is_in_step()) {
            return Err(error);
        }
        if error.is_desynchronised() {
            health.count("resyncs");
            health.record(error.to_string());
            tracing::warn!(%error, "the oscilloscope was reset and is in step again");
        }
        Ok(Err(error.into()))
    }
}
