//! The start of the counter: who it is, fan, laser, and the first reading, which nobody sees.

use std::time::Instant;

use super::{Shift, Trouble};
use crate::base::health::State;
use crate::opcn3::Unit;
use crate::opcn3::proto::{BinEdges, Command, Configuration, Power, Reply, Status, Text};

const FAN: &str = "the particle counter's fan does not switch on: check its 5 V supply";
const LASER: &str = "the particle counter's laser does not switch on: check its 5 V supply";

impl Shift<'_> {
    /// Finds out who is there. A counter that stays busy is reset once.
    pub(super) async fn with_reset(
        &mut self,
        first: &mut bool,
        bridge: String,
    ) -> Result<(), Trouble> {
        match self.identify(first, &bridge).await {
            Err(trouble) if trouble.is_wedged() => {
                self.reset(trouble).await?;
                self.identify(first, &bridge).await
            }
            identified => identified,
        }
    }

    /// Restarts the counter after it stayed busy with something.
    pub(super) async fn reset(&mut self, trouble: Trouble) -> Result<(), Trouble> {
        let health = &self.shared.station.health;
        health.count("counter_resets");
        let reason = trouble.failure().message;
        health.record(reason.clone());
        health.set(State::Degraded { reason });
        self.line.command(Command::Reset).await.map(drop)
    }

    async fn identify(&mut self, first: &mut bool, bridge: &str) -> Result<(), Trouble> {
        if *first {
            // Before anything else: an earlier run that was killed may have left the laser on.
            self.line.quiet().await?;
            *first = false;
        }
        let (information, version) = (self.information().await?, self.version().await?);
        let serial = self.text(Command::SerialString).await?;
        let configuration = self.configuration().await?;
        let edges = configuration.as_ref().map(BinEdges::of);
        let firmware = information.firmware().map(str::to_owned);
        let unit = Unit {
            bridge: bridge.to_owned(),
            firmware: firmware.unwrap_or(version),
            information: information.as_str().to_owned(),
            serial: serial.as_str().to_owned(),
            edges: edges.and_then(Result::ok).unwrap_or_default(),
            configuration,
        };
        tracing::info!(
            serial = unit.serial,
            firmware = unit.firmware,
            "particle counter found"
        );
        self.shared.unit.replace(Some(unit));
        Ok(())
    }

    async fn information(&mut self) -> Result<Text, Trouble> {
        self.text(Command::InformationString).await
    }

    async fn version(&mut self) -> Result<String, Trouble> {
        match self.line.command(Command::Version).await? {
            (Reply::Version(version), _) => Ok(format!("{}.{}", version.major, version.minor)),
            _ => Ok(String::new()),
        }
    }

    async fn text(&mut self, command: Command) -> Result<Text, Trouble> {
        match self.line.command(command).await? {
            (Reply::Text(text), _) => Ok(text),
            _ => Text::decode(&[0; Text::LENGTH]).map_err(Trouble::Frame),
        }
    }

    /// It has no checksum, so it is read twice, and once more where the two differ.
    async fn configuration(&mut self) -> Result<Option<Configuration>, Trouble> {
        let mut before = None;
        for _ in 0..3 {
            let (Reply::Configuration(read), _) =
                self.line.command(Command::ReadConfiguration).await?
            else {
                continue;
            };
            if before == Some(read) && read.check_edges().is_ok() {
                return Ok(before);
            }
            before = Some(read);
        }
        let reason = "the configuration read differently each time: factory bin edges are used";
        tracing::warn!("particle counter: {reason}");
        self.shared.station.health.record(reason);
        Ok(None)
    }

    /// Fan on, laser on, both checked, and the first reading thrown away: its period is not known. What runs already
    /// is left alone: after a replug that saves the laser's hours.
    pub(super) async fn start_counting(&mut self) -> Result<(), Trouble> {
        self.since = None;
        let status = self.status().await?;
        if !status.fan_on {
            self.line.power(Power::Fan(true)).await?;
            self.line.nap(self.times.fan).await?;
        }
        if !status.laser_on {
            self.line.power(Power::Laser(true)).await?;
            self.line.nap(self.times.laser).await?;
        }
        if !(status.fan_on && status.laser_on) {
            self.warm_at = self.shared.station.clock.now() + self.times.warm_up;
        }
        let status = self.status().await?;
        match (status.fan_on, status.laser_on) {
            (false, _) => return Err(Trouble::NotRunning(FAN)),
            (_, false) => return Err(Trouble::NotRunning(LASER)),
            _ => {}
        }
        if let Err(trouble) = self.line.command(Command::Histogram).await {
            let Trouble::Frame(_) = &trouble else {
                return Err(trouble);
            };
            // It would have been thrown away anyhow; the next one is.
            return Ok(());
        }
        self.since = Some(self.now());
        Ok(())
    }

    async fn status(&mut self) -> Result<Status, Trouble> {
        match self.line.command(Command::Status).await? {
            (Reply::Status(status), _) => Ok(status),
            _ => Err(Trouble::NotRunning(FAN)),
        }
    }

    fn now(&self) -> Instant {
        self.shared.station.clock.now()
    }
}
