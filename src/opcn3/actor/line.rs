//! The open counter: commands done one after the other, bytes on a pool thread, waits by the station's clock.

use std::time::Duration;

use super::trouble::Trouble;
use crate::base::error::{Failure, Kind};
use crate::base::pool::BlockingPool;
use crate::base::trace::Direction;
use crate::opcn3::driver::{OpcN3, Progress};
use crate::opcn3::proto::{Command, Power, Reply};
use crate::opcn3::{Opened, Shared, Wire};

/// Waits from here on end when the station stops; shorter ones are over sooner than the silence that giving up costs.
const LONG: Duration = Duration::from_millis(100);

/// A counter behind an open bus.
pub(super) struct Line<'a> {
    shared: &'a Shared,
    pool: &'a BlockingPool,
    /// Away while a pool thread has it.
    counter: Option<Box<OpcN3<Wire>>>,
    /// The last words are being said: no wait ends early.
    leaving: bool,
}

/// A reply as it came, for trace and checksum.
pub(super) type Raw = Vec<u8>;

impl<'a> Line<'a> {
    pub(super) fn new(shared: &'a Shared, pool: &'a BlockingPool, opened: Opened) -> Self {
        let counter = match opened.fresh {
            true => OpcN3::fresh(opened.bus),
            false => OpcN3::new(opened.bus),
        };
        Self {
            shared,
            pool,
            counter: Some(Box::new(counter)),
            leaving: false,
        }
    }

    /// Does one command to its end.
    pub(super) async fn command(&mut self, command: Command) -> Result<(Reply, Raw), Trouble> {
        if self.shared.station.shutdown.is_given() && !self.leaving {
            return Err(Trouble::Stopping);
        }
        self.trace(Direction::Sent, || describe(&command));
        let done = self.exchange(command).await;
        match &done {
            Ok((_, raw)) if !raw.is_empty() => {
                tracing::debug!(command = ?command.opcode(), reply = %hex(raw), "particle counter");
                self.trace(Direction::Received, || hex(raw));
            }
            Ok(_) => self.trace(Direction::Received, || "done".into()),
            Err(trouble) => self.trace(Direction::Received, || trouble.failure().message),
        }
        done
    }

    pub(super) async fn power(&mut self, power: Power) -> Result<(), Trouble> {
        self.command(Command::Power(power)).await.map(drop)
    }

    /// Laser first: its hours are the counter's life.
    pub(super) async fn quiet(&mut self) -> Result<(), Trouble> {
        self.power(Power::Laser(false)).await?;
        self.power(Power::Fan(false)).await
    }

    /// The same as the last thing, whether or not the station stops; as often as it takes while the bus works, each
    /// time after the silence that a failed command is followed by. Give it a limit.
    pub(super) async fn farewell(&mut self) -> Result<(), Trouble> {
        self.leaving = true;
        loop {
            match self.quiet().await {
                Err(Trouble::Handshake(_) | Trouble::Frame(_)) => {}
                ended => return ended,
            }
        }
    }

    /// Waits, but not beyond the station's end.
    pub(super) async fn nap(&self, time: Duration) -> Result<(), Trouble> {
        let station = &self.shared.station;
        let nap = station.clock.sleep(time);
        if self.leaving || time < LONG {
            nap.await;
            return Ok(());
        }
        station.shutdown.guard(nap).await.ok_or(Trouble::Stopping)
    }

    async fn exchange(&mut self, command: Command) -> Result<(Reply, Raw), Trouble> {
        let lost = || Trouble::Bug(Failure::new(Kind::Internal, "the exchange was given up"));
        self.counter.as_mut().ok_or_else(lost)?.start(&command);
        loop {
            let mut counter = self.counter.take().ok_or_else(lost)?;
            let exchanged = self.pool.run_in_turn(move || {
                let progress = counter.advance();
                (counter, progress)
            });
            let (counter, progress) = exchanged.await.map_err(Trouble::Bug)?;
            let raw = counter.raw_reply().to_vec();
            self.counter = Some(counter);
            match progress? {
                Progress::Wait(time) => self.nap(time).await?,
                Progress::Done(reply) => return Ok((reply, raw)),
            }
        }
    }

    fn trace(&self, direction: Direction, text: impl FnOnce() -> String) {
        self.shared.station.trace.note(direction, text);
    }
}

fn describe(command: &Command) -> String {
    let mut bytes = vec![command.opcode().to_wire()];
    bytes.extend_from_slice(&command.payload());
    hex(&bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
