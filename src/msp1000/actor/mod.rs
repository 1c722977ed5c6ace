//! The spectrometer's supervised loop: one connection, one command at a time, one exposure for all who wait for it.

mod connect;
mod discovery;
mod shift;

use std::rc::Rc;
use std::time::Duration;

use smol::channel::{Receiver, Sender};

use self::connect::Refusal;
use self::shift::Shift;
use super::driver::{Link, LinkError};
use super::{Address, Order, Shared, SpectrometerError, Stage};
use crate::base::absence::Absence;
use crate::base::backoff::Backoff;
use crate::base::error::Failure;
use crate::base::health::State;
use crate::base::shutdown::Shutdown;

pub(super) use self::discovery::scan;

/// Until the next try where only a person can help: TLS that is too old, another certificate.
const HOPELESS: Duration = Duration::from_secs(300);

/// The actor.
pub(super) struct Actor {
    pub(super) shared: Rc<Shared>,
    pub(super) orders: Receiver<Order>,
    /// Ends the wait for the next try when an instrument announces itself.
    pub(super) waker: Sender<Order>,
    pub(super) shutdown: Shutdown,
}

/// Why a connection came to an end, or to nothing.
struct Trouble {
    failure: Failure,
    stage: Stage,
}

impl Trouble {
    fn link(error: &LinkError) -> Self {
        Self {
            failure: Failure::from_error(error.kind(), error),
            stage: Stage::Failed,
        }
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self {
            failure: refusal.failure,
            stage: refusal.stage,
        }
    }
}

impl Actor {
    /// Serves until shutdown: connects, serves orders, and starts over after a failure.
    pub(super) async fn run(self) {
        let shutdown = self.shutdown.clone();
        let listen = discovery::listen(&self.shared, &self.waker);
        let announce = discovery::announce(&self.shared);
        let beside = futures_lite::future::zip(listen, announce);
        let serve = self.serve();
        let both = futures_lite::future::zip(serve, beside);
        shutdown.guard(both).await;
        self.shared.set_stage(Stage::Failed);
    }

    async fn serve(&self) {
        let mut backoff = Backoff::new(4);
        loop {
            self.shared.set_stage(Stage::Connecting);
            self.shared.health.set(State::Connecting);
            let trouble = match self.run_once(&mut backoff).await {
                Ok(()) => return,
                Err(trouble) => trouble,
            };
            self.shared.set_stage(trouble.stage);
            let failure = trouble.failure;
            let wait = match trouble.stage {
                Stage::TlsTooOld | Stage::CertificateChanged => Some(HOPELESS),
                _ => None,
            };
            self.shared.health.count("reconnects");
            let away = Absence {
                name: "spectrometer",
                health: &self.shared.health,
                conditions: &self.shared.conditions,
            };
            let (wait, _absent) = away.report(&failure, &mut backoff, wait);
            self.refuse_for(wait, &failure.message).await;
        }
    }

    async fn run_once(&self, backoff: &mut Backoff) -> Result<(), Trouble> {
        let (port, peer) = connect::connect(&self.shared).await?;
        let clock = self.shared.clock.clone();
        let link = Link::new(port, clock, self.shared.trace.clone());
        self.shared.elsewhere.set(false);
        let serial = peer.serial.clone();
        let mut shift = Shift::new(&self.shared, &self.orders, link, serial);
        let served = async {
            shift.set_up().await?;
            self.shared.peer.replace(Some(peer));
            backoff.reset();
            self.shared.set_stage(Stage::Ready);
            self.shared.health.set(State::Ready);
            tracing::info!("the spectrometer is ready");
            shift.serve().await
        };
        let ended = served.await;
        let trouble = ended.as_ref().err().map(Trouble::link);
        shift.leave(trouble.as_ref().map(|trouble| &trouble.failure));
        // Whoever comes later may meet another instrument, or the same one with other light.
        self.shared.latest.replace(None);
        match trouble {
            None => Ok(()),
            Some(trouble) => Err(trouble),
        }
    }

    /// Answers every order with the failure until the next try is due, or is asked for.
    async fn refuse_for(&self, wait: Duration, reason: &str) {
        let refuse = async {
            while let Ok(order) = self.orders.recv().await {
                match order {
                    Order::Connect => return,
                    order => order.refuse(SpectrometerError::Absent(reason.to_owned())),
                }
            }
        };
        self.shared.clock.timeout(wait, refuse).await;
    }
}

/// Whether instruments that announce themselves are of interest to the connection.
fn is_discovered(shared: &Shared) -> bool {
    matches!(shared.options.address, Address::Discovered { .. })
}
