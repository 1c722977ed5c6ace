//! The actor while the link is open: settings one by one, and exposures that everybody who waits for one shares.

use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::channel::Receiver;

use crate::base::conditions::Condition;
use crate::base::error::Failure;
use crate::base::health::State;
use crate::msp1000::driver::{Link, LinkError, Port, Setting};
use crate::msp1000::proto::Calibration;
use crate::msp1000::{Frame, Order, Reply, Shared, SpectrometerError};

/// How often an idle instrument is asked whether it is still there.
const LOOK: Duration = Duration::from_secs(5);

/// The actor while the link is open.
pub(super) struct Shift<'a> {
    shared: &'a Shared,
    orders: &'a Receiver<Order>,
    link: Link<Port>,
    serial: Rc<str>,
    /// Whoever gets the frame of the exposure that starts next, or runs.
    joined: Vec<Reply<Rc<Frame>>>,
    look_at: Instant,
    skipped: u64,
}

enum Wake {
    Order(Option<Order>),
    Time,
}

impl<'a> Shift<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        orders: &'a Receiver<Order>,
        link: Link<Port>,
        serial: Rc<str>,
    ) -> Self {
        Self {
            shared,
            orders,
            link,
            serial,
            joined: Vec::new(),
            look_at: shared.clock.now() + LOOK,
            skipped: 0,
        }
    }

    /// Learns what is set.
    pub(super) async fn set_up(&mut self) -> Result<(), LinkError> {
        self.exposure().await?;
        self.calibration().await.map(drop)
    }

    /// Serves until the link breaks.
    pub(super) async fn serve(&mut self) -> Result<(), LinkError> {
        loop {
            self.joined.retain(|reply| !reply.is_closed());
            if !self.joined.is_empty() {
                self.expose().await?;
                // Orders that came meanwhile; those that come while these are worked off have their turn later.
                for _ in 0..self.orders.len() {
                    if let Ok(order) = self.orders.try_recv() {
                        self.obey(order).await?;
                    }
                }
                continue;
            }
            match self.wake().await {
                Wake::Order(Some(order)) => self.obey(order).await?,
                Wake::Order(None) => return Ok(()),
                Wake::Time => self.look().await?,
            }
        }
    }

    /// Tells everybody who still waits.
    pub(super) fn leave(&mut self, failure: Option<&Failure>) {
        self.shared.exposing.set(false);
        for reply in self.joined.drain(..) {
            let error = match failure {
                Some(failure) => SpectrometerError::Failed(failure.clone()),
                None => SpectrometerError::Stopping,
            };
            let _ = reply.try_send(Err(error));
        }
    }

    async fn wake(&self) -> Wake {
        let expiry = self.shared.control.borrow().expires_at();
        let due = expiry.map_or(self.look_at, |at| at.min(self.look_at));
        let order = async { Wake::Order(self.orders.recv().await.ok()) };
        let time = async {
            self.shared.clock.sleep_until(due).await;
            Wake::Time
        };
        futures_lite::future::or(order, time).await
    }

    /// Time has come for something.
    async fn look(&mut self) -> Result<(), LinkError> {
        let now = self.shared.now();
        self.shared.control.borrow_mut().expire(now);
        if self.look_at <= now.monotonic {
            self.exposure().await?;
        }
        Ok(())
    }

    async fn obey(&mut self, order: Order) -> Result<(), LinkError> {
        match order {
            Order::Take { reply } => {
                if !self.joined.is_empty() {
                    self.shared.health.count("joined");
                }
                self.joined.push(reply);
                Ok(())
            }
            Order::Exposure { reply } => {
                let answer = self.exposure().await;
                self.answer(&reply, answer)
            }
            Order::Calibration { reply } => {
                let answer = self.calibration().await;
                self.answer(&reply, answer)
            }
            Order::SetExposure { client, ms, reply } => {
                if let Err(error) = self.check_control(client) {
                    let _ = reply.try_send(Err(error));
                    return Ok(());
                }
                let set = self.link.set_exposure(ms).await;
                self.done(2);
                if let Ok(Setting::Accepted(kept) | Setting::Elsewhere { kept, .. }) = set {
                    self.shared.note_exposure(kept);
                }
                let done = self.judge("exposure", set, |ms| format!("of {ms} ms"));
                self.finish(&reply, done)
            }
            Order::SetCalibration {
                client,
                calibration,
                reply,
            } => {
                if let Err(error) = self.check_control(client) {
                    let _ = reply.try_send(Err(error));
                    return Ok(());
                }
                let set = self.link.set_calibration(calibration).await;
                self.done(2);
                if let Ok(Setting::Accepted(kept) | Setting::Elsewhere { kept, .. }) = set {
                    self.shared.note_calibration(kept);
                }
                let done = self.judge("calibration", set, |set: Calibration| {
                    format!("of {:?}", set.coefficients())
                });
                self.finish(&reply, done)
            }
            Order::Connect => Ok(()),
        }
    }

    /// Whoever had control when the order was given may have lost it since, or have left.
    fn check_control(&self, client: u64) -> Result<(), SpectrometerError> {
        let now = self.shared.now();
        let confirmed = self.shared.control.borrow_mut().confirm(client, now);
        confirmed.map_err(|holder| SpectrometerError::Controlled { holder })
    }

    /// One exposure for all who have joined.
    async fn expose(&mut self) -> Result<(), LinkError> {
        let measuring = self.shared.conditions.raise(Condition::Measuring);
        self.shared.exposing.set(true);
        if self.shared.elsewhere.get() {
            // Whoever has control may have changed both.
            self.link.forget_exposure();
            self.exposure().await?;
            self.calibration().await?;
        }
        self.link.take().await?;
        let taken = self.shared.clock.utc();
        let raw = self.link.spectrum().await?;
        self.done(2);
        drop(measuring);
        self.shared.exposing.set(false);
        let shared = self.shared;
        shared.health.count("exposures");
        let sequence = shared.health.counter("exposures");
        let frame = Rc::new(Frame {
            sequence,
            taken,
            exposure_ms: shared.exposure_ms.get().unwrap_or_default(),
            calibration: shared.calibration.get().unwrap_or(Calibration::EXAMPLE),
            serial: self.serial.clone(),
            raw,
        });
        shared.latest.replace(Some(frame.clone()));
        for reply in self.joined.drain(..) {
            shared.health.count("frames");
            let _ = reply.try_send(Ok(frame.clone()));
        }
        Ok(())
    }

    async fn exposure(&mut self) -> Result<u32, LinkError> {
        let ms = self.link.exposure().await?;
        self.done(1);
        self.shared.note_exposure(ms);
        Ok(ms)
    }

    async fn calibration(&mut self) -> Result<Calibration, LinkError> {
        let calibration = self.link.calibration().await?;
        self.done(1);
        self.shared.note_calibration(calibration);
        Ok(calibration)
    }

    /// After so many commands.
    fn done(&mut self, commands: u64) {
        self.look_at = self.shared.clock.now() + LOOK;
        self.shared.health.add("commands", commands);
        let skipped = self.link.skipped_lines();
        self.shared
            .health
            .add("skipped_lines", skipped - self.skipped);
        self.skipped = skipped;
    }

    /// What was read back tells who has control of the instrument itself.
    fn judge<T>(
        &mut self,
        what: &'static str,
        set: Result<Setting<T>, LinkError>,
        show: impl Fn(T) -> String,
    ) -> Result<Result<(), SpectrometerError>, LinkError> {
        match set? {
            Setting::Accepted(_) => {
                if self.shared.elsewhere.replace(false) {
                    self.shared.health.set(State::Ready);
                }
                Ok(Ok(()))
            }
            Setting::Elsewhere { kept, .. } => {
                let error = SpectrometerError::Elsewhere {
                    what,
                    kept: show(kept),
                };
                let reason = error.to_string();
                tracing::warn!("{reason}");
                self.shared.elsewhere.set(true);
                self.shared.health.count("control_elsewhere");
                self.shared.health.record(&reason);
                self.shared.health.set(State::Degraded { reason });
                Ok(Err(error))
            }
        }
    }

    fn answer<T>(&self, reply: &Reply<T>, answer: Result<T, LinkError>) -> Result<(), LinkError> {
        self.finish(reply, answer.map(Ok))
    }

    /// Tells the client, and the supervisor if the link is broken.
    fn finish<T>(
        &self,
        reply: &Reply<T>,
        done: Result<Result<T, SpectrometerError>, LinkError>,
    ) -> Result<(), LinkError> {
        match done {
            Ok(result) => {
                let _ = reply.try_send(result);
                Ok(())
            }
            Err(error) => {
                let failure = Failure::from_error(error.kind(), &error);
                let _ = reply.try_send(Err(SpectrometerError::Failed(failure)));
                Err(error)
            }
        }
    }
}
