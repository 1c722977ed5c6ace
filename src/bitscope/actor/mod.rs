//! The oscilloscope's supervised loop: one device, one operation at a time, one raw user at a time.

mod ledger;
mod raw_use;
mod shift;

use std::rc::Rc;
use std::time::Duration;

use smol::channel::{Receiver, Sender};

use self::shift::Shift;
use super::{Connect, Datagram, Order, Outgoing, Shared};
use crate::base::backoff::Backoff;
use crate::base::conditions::Condition;
use crate::base::error::{Failure, Kind};
use crate::base::health::State;
use crate::base::shutdown::Shutdown;

/// For opening the link and asking who is there, over several adapters.
const CONNECT: Duration = Duration::from_secs(20);
/// For the last words at the end of the station.
const FAREWELL: Duration = Duration::from_millis(1500);

/// The actor.
pub(super) struct Actor {
    pub(super) shared: Rc<Shared>,
    pub(super) orders: Receiver<Order>,
    pub(super) datagrams: Receiver<Datagram>,
    pub(super) replies: Sender<Outgoing>,
    pub(super) released: Receiver<()>,
    pub(super) connect: Connect,
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
            tracing::error!(%failure, "oscilloscope lost");
            shared.health.count("reconnects");
            shared.health.record(failure.message.clone());
            let wait = backoff.wait();
            shared.health.set(State::Failed {
                reason: failure.message.clone(),
                retry_at: shared.clock.utc() + wait,
            });
            let _absent = shared.conditions.raise(Condition::InstrumentAbsent);
            shared.conditions.announce(&failure);
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

    /// Answers every order with the failure until the next try is due. Datagrams wait: they may not be too old then.
    async fn refuse_for(&self, wait: Duration, failure: &Failure) {
        let refuse = async {
            while let Ok(order) = self.orders.recv().await {
                order.refuse(Failure::new(Kind::Absent, failure.message.clone()));
            }
        };
        self.shutdown
            .guard(self.shared.clock.timeout(wait, refuse))
            .await;
    }
}
