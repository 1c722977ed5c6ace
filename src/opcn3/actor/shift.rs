//! The actor while the bus is open: start, readings, rows, stop (opc-n3.md 8).

mod begin;

use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::channel::Receiver;

use super::line::Line;
use super::logbook::Logbook;
use super::trouble::Trouble;
use crate::base::backoff::Backoff;
use crate::base::health::State;
use crate::opcn3::proto::histogram::LASER_STATUS;
use crate::opcn3::proto::{Command, Histogram, Reply as Answer};
use crate::opcn3::{ParticleError, Phase, Reply, Sample, Shared, Times};

/// A reading that somebody asked for covers at least this much.
const LEAST_PERIOD: Duration = Duration::from_secs(1);
/// Between readings, by the counter's document.
const LEAST_PAUSE: Duration = Duration::from_millis(500);
/// How long the counter is off before it is reset because it counts nothing.
const ZERO_PAUSE: Duration = Duration::from_secs(10);
/// Damaged replies in a row after which the bus is opened anew.
const DAMAGED_IN_A_ROW: u32 = 5;
const STILL: &str = "no air flows through the particle counter: its fan is off or stuck";

/// The actor while the bus is open.
pub(super) struct Shift<'a> {
    shared: &'a Shared,
    orders: &'a Receiver<Reply>,
    pub(super) line: Line<'a>,
    logbook: &'a mut Option<Logbook>,
    pub(super) times: Times,
    pub(super) restart_after_zeros: u32,
    /// Who waits for a reading.
    waiting: Vec<Reply>,
    /// The period under way began at this instant; `None` when it is not known and its reading is thrown away.
    since: Option<Instant>,
    /// Readings until then are marked.
    warm_at: Instant,
    damaged: u32,
    zeros: u32,
    still: u32,
}

enum Wake {
    Order(Option<Reply>),
    Due,
    Changed,
    Stop,
}

/// What counting ended for.
enum Ended {
    /// `PARTicle:STATe OFF`.
    Disabled,
    /// Fan and laser must be switched on again.
    Restart,
}

impl<'a> Shift<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        orders: &'a Receiver<Reply>,
        line: Line<'a>,
        logbook: &'a mut Option<Logbook>,
    ) -> Self {
        Self {
            warm_at: shared.station.clock.now(),
            shared,
            orders,
            line,
            logbook,
            times: Times::default(),
            restart_after_zeros: 0,
            waiting: Vec::new(),
            since: None,
            damaged: 0,
            zeros: 0,
            still: 0,
        }
    }

    /// Serves until the station stops ([`Trouble::Stopping`]) or the counter is lost.
    pub(super) async fn run(
        &mut self,
        first: &mut bool,
        bridge: String,
        backoff: &mut Backoff,
    ) -> Result<(), Trouble> {
        let ended = self.serve(first, bridge, backoff).await;
        if let Err(trouble) = &ended {
            // What was being counted is lost, unless the station stops.
            if let (Some(logbook), Some(_)) = (self.logbook.as_mut(), self.since.take())
                && !matches!(trouble, Trouble::Stopping)
            {
                logbook.note_gap(self.shared);
            }
            self.answer(&Err(trouble.reply()));
            while let Ok(reply) = self.orders.try_recv() {
                let _ = reply.try_send(Err(trouble.reply()));
            }
        }
        ended
    }

    async fn serve(
        &mut self,
        first: &mut bool,
        bridge: String,
        backoff: &mut Backoff,
    ) -> Result<(), Trouble> {
        self.shared.set_phase(Phase::Starting);
        self.with_reset(first, bridge).await?;
        loop {
            if !self.shared.settings.get().counting {
                self.rest().await?;
                continue;
            }
            self.shared.set_phase(Phase::Starting);
            self.start_counting().await?;
            backoff.reset();
            self.shared.set_phase(Phase::Counting);
            self.shared.station.health.set(State::Ready);
            match self.count().await? {
                Ended::Restart => {}
                Ended::Disabled => {
                    self.since = None;
                    *self.logbook = None;
                    self.answer(&Err(ParticleError::Off));
                }
            }
        }
    }

    /// Fan and laser off until they are wanted.
    async fn rest(&mut self) -> Result<(), Trouble> {
        self.line.quiet().await?;
        self.shared.set_phase(Phase::Off);
        self.shared.station.health.set(State::Ready);
        loop {
            if self.shared.settings.get().counting {
                return Ok(());
            }
            match self.wake(None).await {
                Wake::Stop => return Err(Trouble::Stopping),
                Wake::Order(Some(reply)) => {
                    let _ = reply.try_send(Err(ParticleError::Off));
                }
                _ => {}
            }
        }
    }

    async fn count(&mut self) -> Result<Ended, Trouble> {
        let shared = self.shared;
        let logbook = self.logbook.get_or_insert_with(|| Logbook::new(shared));
        logbook.follow(shared);
        loop {
            if !shared.settings.get().counting {
                return Ok(Ended::Disabled);
            }
            let due = self.next_due();
            match self.wake(Some(due)).await {
                Wake::Stop => return Err(Trouble::Stopping),
                Wake::Order(Some(reply)) => self.waiting.push(reply),
                Wake::Order(None) => return Err(Trouble::Stopping),
                Wake::Changed => self.book().follow(shared),
                Wake::Due => {
                    if let Some(ended) = self.read().await? {
                        return Ok(ended);
                    }
                }
            }
        }
    }

    fn book(&mut self) -> &mut Logbook {
        let shared = self.shared;
        self.logbook.get_or_insert_with(|| Logbook::new(shared))
    }

    /// When the counter is read next: at once where the period is not known, soon where somebody waits.
    fn next_due(&mut self) -> Instant {
        let now = self.shared.station.clock.now();
        let Some(since) = self.since else {
            return now;
        };
        let due = self.book().schedule().due().max(since + LEAST_PAUSE);
        match self.waiting.is_empty() {
            true => due,
            false => due.min(since + LEAST_PERIOD),
        }
    }

    async fn wake(&self, due: Option<Instant>) -> Wake {
        let station = &self.shared.station;
        let stop = async {
            station.shutdown.wait().await;
            Wake::Stop
        };
        let order = async { Wake::Order(self.orders.recv().await.ok()) };
        let changed = async {
            let _ = self.shared.changed.1.recv().await;
            Wake::Changed
        };
        let time = async {
            match due {
                Some(due) => station.clock.sleep_until(due).await,
                None => std::future::pending().await,
            }
            Wake::Due
        };
        use futures_lite::future::or;
        or(stop, or(changed, or(order, time))).await
    }

    /// Reads the counter, and ends the row that is due with it.
    async fn read(&mut self) -> Result<Option<Ended>, Trouble> {
        let known = self.since.is_some();
        let read = self.line.command(Command::Histogram).await;
        let now = self.shared.station.clock.now();
        let ended = match read {
            Ok((Answer::Histogram(histogram), raw)) => {
                self.since = Some(now);
                self.damaged = 0;
                match known {
                    true => self.take(histogram, &raw, now).await?,
                    false => None,
                }
            }
            Ok(_) => None,
            Err(trouble @ Trouble::Frame(_)) => {
                self.note_damage(&trouble)?;
                None
            }
            Err(trouble) if trouble.is_wedged() => {
                self.lose(&trouble);
                self.reset(trouble).await?;
                Some(Ended::Restart)
            }
            Err(trouble) => return Err(trouble),
        };
        let shared = self.shared;
        self.book().turn(shared);
        Ok(ended)
    }

    async fn take(
        &mut self,
        histogram: Histogram,
        raw: &[u8],
        now: Instant,
    ) -> Result<Option<Ended>, Trouble> {
        let station = &self.shared.station;
        let checksum = match raw.last_chunk() {
            Some(bytes) => u16::from_le_bytes(*bytes),
            None => 0,
        };
        let warming_up = now < self.warm_at;
        let sample = Sample::new(station.clock.utc(), histogram, checksum, warming_up);
        let sample = Rc::new(sample);
        station.health.count("readings");
        self.book().add(&sample);
        self.shared.latest.replace(Some(sample.clone()));
        self.answer(&Ok(sample));
        self.judge(&histogram).await
    }

    /// Looks at what a good reading says of the counter's health.
    async fn judge(&mut self, histogram: &Histogram) -> Result<Option<Ended>, Trouble> {
        let health = &self.shared.station.health;
        let status = histogram.laser_status;
        if histogram.sample_flow_rate == 0 {
            self.still += 1;
            return self.look_after_fan().await;
        }
        self.still = 0;
        self.zeros = match histogram.total_count() {
            0 => self.zeros + 1,
            _ => 0,
        };
        if self.restart_after_zeros > 0 && self.zeros >= self.restart_after_zeros {
            self.zeros = 0;
            health.record("nothing was counted for long: the counter is started again");
            self.line.quiet().await?;
            self.line.nap(ZERO_PAUSE).await?;
            self.since = None;
            let shared = self.shared;
            self.book().note_gap(shared);
            self.line.command(Command::Reset).await?;
            return Ok(Some(Ended::Restart));
        }
        let state = match LASER_STATUS.contains(&status) {
            true => State::Ready,
            false => State::Degraded {
                reason: format!(
                    "laser status {status} is not in {} to {}: the laser is aging or dirty",
                    LASER_STATUS.start(),
                    LASER_STATUS.end()
                ),
            },
        };
        if health.state() != state {
            if let State::Degraded { reason } = &state {
                health.record(reason.clone());
            }
            health.set(state);
        }
        Ok(None)
    }

    /// Nothing flowed: either the counter lost its power for a moment, or its fan does not turn.
    async fn look_after_fan(&mut self) -> Result<Option<Ended>, Trouble> {
        let health = &self.shared.station.health;
        if let (Answer::Status(status), _) = self.line.command(Command::Status).await?
            && !(status.fan_on && status.laser_on)
        {
            health.record("the particle counter had switched itself off: it lost its supply");
            let shared = self.shared;
            self.since = None;
            self.book().note_gap(shared);
            return Ok(Some(Ended::Restart));
        }
        if self.still == 1 {
            health.record(STILL);
            health.set(State::Degraded {
                reason: STILL.into(),
            });
        }
        self.line
            .power(crate::opcn3::proto::Power::Fan(true))
            .await?;
        Ok(None)
    }

    fn note_damage(&mut self, trouble: &Trouble) -> Result<(), Trouble> {
        self.damaged += 1;
        if self.damaged >= DAMAGED_IN_A_ROW {
            return Err(trouble.clone());
        }
        self.lose(trouble);
        Ok(())
    }

    /// A period is lost, and the counter goes on.
    fn lose(&mut self, trouble: &Trouble) {
        let shared = self.shared;
        let failure = trouble.failure();
        tracing::warn!(%failure, "particle counter");
        if let Some(counter) = trouble.counter() {
            shared.station.health.count(counter);
        }
        shared.station.health.record(failure.message);
        if self.since.take().is_some() {
            self.book().note_gap(shared);
        }
        self.answer(&Err(trouble.reply()));
    }

    fn answer(&mut self, result: &Result<Rc<Sample>, ParticleError>) {
        for reply in self.waiting.drain(..) {
            let _ = reply.try_send(result.clone());
        }
    }
}
