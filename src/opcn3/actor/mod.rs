//! The particle counter's supervised loop: one counter, one command at a time, rows on time, laser and fan off at every
//! end.

mod line;
mod logbook;
mod schedule;
mod shift;
mod trouble;

use std::rc::Rc;
use std::time::Duration;

use smol::channel::Receiver;

use self::line::Line;
use self::logbook::Logbook;
use self::shift::Shift;
use self::trouble::Trouble;
use super::{Open, ParticleError, Phase, Reply, Shared, Times};
use crate::base::absence::Absence;
use crate::base::backoff::Backoff;
use crate::base::error::Failure;
use crate::base::health::State;
use crate::base::pool::BlockingPool;

/// How long a counter that is wedged goes without supply.
const SUPPLY_OFF: Duration = Duration::from_secs(10);
/// For switching off at the end of the station: a command that was given up costs 2.5 s of silence.
const FAREWELL: Duration = Duration::from_secs(4);
/// For switching off before the counter is opened again.
const PARTING: Duration = Duration::from_secs(10);

/// The actor.
pub(super) struct Actor {
    shared: Rc<Shared>,
    orders: Receiver<Reply>,
    open: Open,
    supply: Option<Box<dyn FnMut(bool)>>,
    times: Times,
    restart_after_zeros: u32,
    /// One exchange at a time, on a thread of its own.
    pool: BlockingPool,
    logbook: Option<Logbook>,
    /// Fan and laser may be on from an earlier run of the station.
    first: bool,
    /// The supply has been on for long enough.
    powered: bool,
    /// The bus failed before fan and laser could be switched off.
    left_on: bool,
}

impl Actor {
    pub(super) fn new(
        shared: Rc<Shared>,
        orders: Receiver<Reply>,
        open: Open,
        supply: Option<Box<dyn FnMut(bool)>>,
        times: Times,
        restart_after_zeros: u32,
    ) -> Self {
        let pool = BlockingPool::new(1, 1, shared.station.health.clone(), "pool_overflows");
        Self {
            shared,
            orders,
            open,
            powered: supply.is_none(),
            supply,
            times,
            restart_after_zeros,
            pool,
            logbook: None,
            first: true,
            left_on: false,
        }
    }

    /// Serves until shutdown: opens the bus, starts the counter, reads it, and starts over after a failure.
    pub(super) async fn run(mut self) {
        let station = self.shared.station.clone();
        let mut backoff = Backoff::new(3);
        while !station.shutdown.is_given() {
            station.health.set(State::Connecting);
            let trouble = match self.run_once(&mut backoff).await {
                Ok(()) | Err(Trouble::Stopping) => break,
                Err(trouble) => trouble,
            };
            self.shared.set_phase(Phase::Away);
            if let Some(counter) = trouble.counter() {
                station.health.count(counter);
            }
            station.health.count("reconnects");
            let failure = trouble.failure();
            let away = Absence {
                name: "particle counter",
                health: &station.health,
                conditions: &station.conditions,
            };
            let (wait, _absent) = away.report(&failure, &mut backoff, None);
            self.refuse_for(wait, &failure).await;
            if trouble.is_wedged() {
                self.power_cycle(&failure).await;
            }
        }
        self.shared.set_phase(Phase::Away);
        self.orders.close();
        if self.left_on {
            let farewell = station.clock.timeout(FAREWELL, self.come_back()).await;
            report_farewell(farewell);
        }
    }

    /// Opens the bus once more, for the last words alone: the station ends while the counter is away.
    async fn come_back(&self) -> Result<(), Trouble> {
        let open = self.open.clone();
        let opened = self.pool.run_in_turn(move || open()).await;
        let opened = opened.map_err(Trouble::Bug)?.map_err(Trouble::Link)?;
        let mut line = Line::new(&self.shared, &self.pool, opened);
        line.farewell().await
    }

    async fn run_once(&mut self, backoff: &mut Backoff) -> Result<(), Trouble> {
        let station = &self.shared.station;
        if !self.powered {
            let nap = station.clock.sleep(self.times.power_up);
            station.shutdown.guard(nap).await.ok_or(Trouble::Stopping)?;
            self.powered = true;
        }
        let open = self.open.clone();
        let opened = self.pool.run_in_turn(move || open()).await;
        let opened = opened.map_err(Trouble::Bug)?.map_err(Trouble::Link)?;
        let bridge = opened.description.clone();
        tracing::info!("particle counter behind {bridge}");
        if let Some(warning) = opened.warning {
            tracing::warn!("{warning}");
            station.health.record(warning);
        }
        let line = Line::new(&self.shared, &self.pool, opened);
        let mut shift = Shift::new(&self.shared, &self.orders, line, &mut self.logbook);
        shift.times = self.times;
        shift.restart_after_zeros = self.restart_after_zeros;
        self.left_on = true;
        let ended = shift.run(&mut self.first, bridge, backoff).await;
        self.shared.set_phase(Phase::Away);
        let clock = &self.shared.station.clock;
        match &ended {
            Err(Trouble::Link(_)) => {}
            Ok(()) | Err(Trouble::Stopping) => {
                let farewell = clock.timeout(FAREWELL, shift.line.farewell()).await;
                self.left_on = false;
                report_farewell(farewell);
            }
            // It does not listen.
            Err(trouble) if trouble.is_wedged() => {}
            Err(_) => {
                let quiet = clock.timeout(PARTING, shift.line.quiet()).await;
                self.left_on = !matches!(quiet, Some(Ok(())));
            }
        }
        ended
    }

    /// The last resort, where the board can.
    async fn power_cycle(&mut self, failure: &Failure) {
        let Some(switch) = &mut self.supply else {
            return;
        };
        tracing::warn!("switching the particle counter's supply off and on");
        self.shared.station.health.count("power_cycles");
        switch(false);
        // It comes up with fan and laser off.
        self.left_on = false;
        self.refuse_for(SUPPLY_OFF, failure).await;
        if let Some(switch) = &mut self.supply {
            switch(true);
        }
        self.refuse_for(self.times.power_up, failure).await;
    }

    /// Answers every order with the failure for this long. Rows that have become due go to the store.
    async fn refuse_for(&mut self, wait: Duration, failure: &Failure) {
        let station = self.shared.station.clone();
        let refuse = async {
            while let Ok(reply) = self.orders.recv().await {
                let _ = reply.try_send(Err(ParticleError::Absent(failure.message.clone())));
            }
        };
        let limit = station.clock.timeout(wait, refuse);
        station.shutdown.guard(limit).await;
        if let Some(logbook) = &mut self.logbook {
            logbook.turn(&self.shared);
        }
    }
}

fn report_farewell(farewell: Option<Result<(), Trouble>>) {
    if !matches!(farewell, Some(Ok(()))) {
        tracing::error!("the particle counter's laser may still be on");
    }
}
