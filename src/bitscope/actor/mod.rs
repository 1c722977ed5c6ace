//! The oscilloscope's supervised loop: one device, one operation at a time, one raw user at a time.

mod ledger;
mod raw_use;
mod shift;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use smol::channel::{Receiver, Sender};

use self::shift::Shift;
use super::driver::Scope;
use super::proto::Probe;
use super::{Connect, Datagram, ORDERS, Order, Outgoing, Shared, aborted};
use crate::base::absence::Absence;
use crate::base::backoff::Backoff;
use crate::base::error::{Failure, Kind};
use crate::base::health::State;
use crate::base::shutdown::Shutdown;

/// For opening the link and asking who is there, over several adapters.
const CONNECT: Duration = Duration::from_secs(20);
/// The probe that comes with the device, as the client names it.
const PROBE: &str = "x1";
/// For the last words at the end of the station.
const FAREWELL: Duration = Duration::from_millis(1500);

/// The actor.
pub(super) struct Actor {
    pub(super) shared: Rc<Shared>,
    pub(super) orders: Receiver<Order>,
    /// Orders that came during a capture: before those that are in the channel still.
    pub(super) waiting: RefCell<VecDeque<Order>>,
    pub(super) datagrams: Receiver<Datagram>,
    pub(super) replies: Sender<Outgoing>,
    pub(super) released: Receiver<()>,
    pub(super) connect: Connect,
    pub(super) calibrations: Option<PathBuf>,
    pub(super) shutdown: Shutdown,
}

impl Actor {
    /// Serves until shutdown: opens the link, serves orders, and starts over after a failure.
    pub(super) async fn run(self) {
        let mut backoff = Backoff::new(5);
        while !self.shutdown.is_given() {
            let shared = &self.shared;
            shared.health.set(State::Connecting);
            let failure = match self.run_once(&mut backoff).await {
                Ok(()) => break,
                Err(failure) => failure,
            };
            shared.connected.set(false);
            shared.controller.set(None);
            shared.health.count("reconnects");
            let away = Absence {
                name: "oscilloscope",
                health: &shared.health,
                conditions: &shared.conditions,
            };
            let (wait, _absent) = away.report(&failure, &mut backoff, None);
            self.refuse_for(wait, &failure).await;
        }
        self.shared.connected.set(false);
        self.replies.close();
    }

    async fn run_once(&self, backoff: &mut Backoff) -> Result<(), Failure> {
        let shared = &self.shared;
        let connecting = (self.connect)(shared.clock.clone(), shared.trace.clone());
        let connecting = shared.clock.timeout(CONNECT, connecting);
        let Some(scope) = self.shutdown.guard(connecting).await else {
            return Ok(());
        };
        let late = || Failure::new(Kind::TimedOut, "the BitScope does not answer");
        let scope = scope.unwrap_or_else(|| Err(late()))?;
        *shared.identity.borrow_mut() = Some(scope.identity().clone());
        shared.probe.set(self.calibration(&scope).await);
        let mut shift = Shift::new(self, scope);
        let served = self.shutdown.guard(async {
            shift.restart_generator().await?;
            backoff.reset();
            shared.connected.set(true);
            shared.health.set(State::Ready);
            shift.serve().await
        });
        match served.await {
            None => {
                shared.clock.timeout(FAREWELL, shift.finish()).await;
                Ok(())
            }
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// What is kept for the device that has come. Without it the probe is as it comes.
    async fn calibration(&self, scope: &Scope) -> Option<Probe> {
        let path = self.calibrations.clone()?;
        let text = smol::unblock({
            let path = path.clone();
            move || read(&path)
        });
        let serial_number = &scope.identity().serial_number;
        let found = match text.await {
            Ok(text) => Probe::find(&text, serial_number, PROBE).map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        };
        found.unwrap_or_else(|error| {
            let reason = format!("{} is of no use: {error}", path.display());
            tracing::warn!("{reason}");
            self.shared.health.record(reason);
            None
        })
    }

    /// The next order; `None` when the station stops. Nothing is lost when dropped.
    async fn order(&self) -> Option<Order> {
        let waiting = self.waiting.borrow_mut().pop_front();
        match waiting {
            Some(order) => Some(order),
            None => self.orders.recv().await.ok(),
        }
    }

    /// Ends what is no longer wanted though its turn has not come. Besides those in the channel as many again may wait.
    fn refuse_forgotten(&self) {
        let mut waiting = self.waiting.borrow_mut();
        while waiting.len() < ORDERS
            && let Ok(order) = self.orders.try_recv()
        {
            waiting.push_back(order);
        }
        for _ in 0..waiting.len() {
            match waiting.pop_front() {
                Some(order) if order.is_forgotten() => order.refuse(aborted()),
                kept => waiting.extend(kept),
            }
        }
    }

    /// Answers every order with the failure until the next try is due. Datagrams wait: they may not be too old then.
    async fn refuse_for(&self, wait: Duration, failure: &Failure) {
        let refuse = async {
            while let Some(order) = self.order().await {
                order.refuse(Failure::new(Kind::Absent, failure.message.clone()));
            }
        };
        self.shutdown
            .guard(self.shared.clock.timeout(wait, refuse))
            .await;
    }
}

/// A file of a few lines; of a larger one, its beginning.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(65536).read_to_string(&mut text)?;
    Ok(text)
}
