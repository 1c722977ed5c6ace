//! The thermal camera's supervised loop: one camera, one command at a time, one stream, whatever the clients do.

mod clockwork;
mod exchange;
mod shift;

use std::rc::Rc;
use std::time::Duration;

use smol::channel::Receiver;

use self::shift::Shift;
use super::driver::{Link, Source};
use super::{Order, Shared, TcamError};
use crate::base::absence::Absence;
use crate::base::backoff::Backoff;
use crate::base::error::Failure;
use crate::base::health::State;
use crate::base::shutdown::Shutdown;

/// Failures in a row after which the camera's reset or supply line is used, if the board has one.
const TRIES_BEFORE_RESET: u32 = 3;
/// How long that line is held: the camera's supply must run empty.
const RESET_HOLD: Duration = Duration::from_millis(1000);
/// How long the camera takes to start after that: board, Lepton, tasks.
const START_TIME: Duration = Duration::from_secs(3);
/// For the last command at the end of the station.
const FAREWELL: Duration = Duration::from_millis(1500);

/// The actor.
pub(super) struct Actor {
    pub(super) shared: Rc<Shared>,
    pub(super) orders: Receiver<Order>,
    pub(super) interest_changed: Receiver<()>,
    pub(super) source: Source,
    pub(super) reset_line: Option<Box<dyn FnMut(bool)>>,
    pub(super) shutdown: Shutdown,
}

impl Actor {
    /// Serves until shutdown: opens the link, serves orders, and starts over after a failure.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(2);
        let shutdown = self.shutdown.clone();
        let mut failures = 0;
        while !shutdown.is_given() {
            self.shared.health.set(State::Connecting);
            let failure = match self.run_once(&mut backoff, &mut failures).await {
                Ok(()) => break,
                Err(failure) => failure,
            };
            self.shared.set_connected(false);
            self.shared.fanout.restart();
            self.shared.streaming.set(false);
            failures += 1;
            self.shared.health.count("reconnects");
            let away = Absence {
                name: "thermal camera",
                health: &self.shared.health,
                conditions: &self.shared.conditions,
            };
            let (wait, _absent) = away.report(&failure, &mut backoff, None);
            self.refuse_for(wait, &failure.message).await;
            if failures % TRIES_BEFORE_RESET == 0 {
                self.reset_camera(&failure.message).await;
            }
        }
        self.shared.set_connected(false);
        self.shared.fanout.close();
    }

    async fn run_once(&mut self, backoff: &mut Backoff, failures: &mut u32) -> Result<(), Failure> {
        let opening = async {
            Ok::<_, Failure>(match &self.source {
                Source::Hardware(open) => {
                    let (port, images) = open().await?;
                    (port, Some(images))
                }
                Source::Network(open) => (open().await?, None),
            })
        };
        let Some(opened) = self.shutdown.guard(opening).await else {
            return Ok(());
        };
        let (port, images) = opened?;
        let clock = self.shared.clock.clone();
        let link = Link::new(port, images, clock, self.shared.trace.clone());
        let mut shift = Shift::new(&self.shared, &self.orders, &self.interest_changed, link);
        let served = self.shutdown.guard(async {
            shift.set_up().await?;
            backoff.reset();
            *failures = 0;
            self.shared.set_connected(true);
            shift.serve().await
        });
        let ended = served.await;
        if ended.is_none() {
            self.shared.clock.timeout(FAREWELL, shift.finish()).await;
        }
        shift.leave(ended.as_ref().and_then(|ended| ended.as_ref().err()));
        let Some(Err(trouble)) = ended else {
            return Ok(());
        };
        if trouble.needs_reset() {
            self.reset_camera(&trouble.to_string()).await;
        }
        Err(trouble.into_failure(self.shared.kind))
    }

    /// The last resort: takes the camera's supply away, or resets it.
    async fn reset_camera(&mut self, reason: &str) {
        let Some(hold) = &mut self.reset_line else {
            return;
        };
        tracing::warn!(
            reason,
            "restarting the thermal camera by its reset or supply line"
        );
        self.shared.health.count("camera_resets");
        hold(true);
        let clock = self.shared.clock.clone();
        self.shutdown.guard(clock.sleep(RESET_HOLD)).await;
        hold(false);
        self.refuse_for(START_TIME, reason).await;
    }

    /// Answers every order with the failure until the next try is due.
    async fn refuse_for(&self, wait: Duration, reason: &str) {
        let refuse = async {
            while let Ok(order) = self.orders.recv().await {
                order.refuse(TcamError::Absent(reason.to_owned()));
            }
        };
        self.shutdown
            .guard(self.shared.clock.timeout(wait, refuse))
            .await;
    }
}
