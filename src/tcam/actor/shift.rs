//! The actor while the link is open: orders, the shared stream, and what the camera says by itself.

mod absorb;

use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::channel::Receiver;

use super::clockwork::{self, Watch};
use super::exchange::Trouble;
use crate::base::clock::StepWatch;
use crate::base::conditions::{Condition, Raised};
use crate::tcam::driver::{Event, Link};
use crate::tcam::image::Image;
use crate::tcam::proto::command::{SetConfig, StreamOn};
use crate::tcam::proto::packet::Counters;
use crate::tcam::proto::{Command, Response, SpotArea};
use crate::tcam::{Order, Reply, Shared, TcamError};

/// How often an idle camera is asked how it is.
const LOOK: Duration = Duration::from_secs(10);
/// Damaged images are told at most this often.
const TELL: Duration = Duration::from_secs(1);
/// A damaged single shot is taken again this often.
const RETRIES: u32 = 2;

/// The actor while the link is open.
pub(super) struct Shift<'a> {
    pub(super) shared: &'a Shared,
    pub(super) link: Link,
    orders: &'a Receiver<Order>,
    interest_changed: &'a Receiver<()>,
    /// There while the camera streams.
    stream: Option<Raised>,
    singles: Vec<Single>,
    /// `get_image` was sent and its image has not come.
    requested: bool,
    tries: u32,
    /// When the absence of images is looked into.
    image_due: Instant,
    /// Images were announced or came, whole or not, since then.
    signs: Option<String>,
    look_at: Instant,
    watch: Watch,
    steps: StepWatch,
    uptime_ms: Option<u32>,
    /// The camera was found to have started anew.
    restarted: bool,
    /// What the camera said that needs its power cycled.
    fatal: Option<String>,
    told_at: Option<Instant>,
    framing: Counters,
}

/// Somebody who waits for one image.
struct Single {
    reply: Reply<Rc<Image>>,
    due: Instant,
}

enum Wake {
    Event(std::io::Result<Event>),
    Order(Option<Order>),
    Interest,
    Time,
}

impl<'a> Shift<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        orders: &'a Receiver<Order>,
        interest_changed: &'a Receiver<()>,
        mut link: Link,
    ) -> Self {
        let now = shared.clock.now();
        let latest = shared.latest.borrow();
        link.set_sequence(latest.as_ref().map_or(0, |image| image.sequence));
        Self {
            shared,
            link,
            orders,
            interest_changed,
            stream: None,
            singles: Vec::new(),
            requested: false,
            tries: 0,
            image_due: now,
            signs: None,
            look_at: now,
            watch: Watch::default(),
            steps: StepWatch::new(&shared.clock),
            uptime_ms: None,
            restarted: false,
            fatal: None,
            told_at: None,
            framing: Counters::default(),
        }
    }

    /// Brings the camera into a known state: it may be streaming for a host that is no more (tcam.md 3.5).
    pub(super) async fn set_up(&mut self) -> Result<(), Trouble> {
        self.stop_streaming();
        self.requested = false;
        self.restarted = false;
        self.uptime_ms = None;
        self.link.set_deaf(true);
        let mut stopped = self.exchange(&Command::StreamOff).await;
        if let Err(Trouble::Timeout { .. }) = stopped {
            stopped = self.exchange(&Command::StreamOff).await;
        }
        self.link.set_deaf(false);
        tolerate(stopped)?;
        let spot = self.shared.settings.borrow().spot;
        self.apply(spot).await?;
        self.look().await?;
        self.restarted = false;
        self.judge(None);
        Ok(())
    }

    /// Serves until the link breaks.
    pub(super) async fn serve(&mut self) -> Result<(), Trouble> {
        loop {
            if self.restarted {
                self.shared.health.count("camera_restarts");
                tracing::warn!("the thermal camera was restarted: its settings are applied again");
                self.resync().await?;
            }
            self.follow_time().await?;
            self.follow_interest().await?;
            match self.wake().await {
                Wake::Event(event) => self.absorb(event?)?,
                Wake::Order(Some(order)) => self.obey(order).await?,
                Wake::Order(None) => return Ok(()),
                Wake::Interest => {}
                Wake::Time => self.look_around().await?,
            }
        }
    }

    /// The last words, when the station stops.
    pub(super) async fn finish(&mut self) {
        if self.stream.is_some() {
            let _ = self.exchange(&Command::StreamOff).await;
        }
        self.link.close().await;
    }

    /// Tells everybody who still waits.
    pub(super) fn leave(&mut self, trouble: Option<&Trouble>) {
        self.stop_streaming();
        for single in self.singles.drain(..) {
            let error = trouble.map_or(TcamError::Stopping, Trouble::reply);
            let _ = single.reply.try_send(Err(error));
        }
    }

    async fn wake(&mut self) -> Wake {
        let due = self.next_due();
        let (orders, changed, clock) = (self.orders, self.interest_changed, &self.shared.clock);
        let event = async { Wake::Event(self.link.event().await) };
        let order = async { Wake::Order(orders.recv().await.ok()) };
        let interest = async {
            let _ = changed.recv().await;
            Wake::Interest
        };
        let time = async {
            clock.sleep_until(due).await;
            Wake::Time
        };
        use futures_lite::future::or;
        or(event, or(order, or(interest, time))).await
    }

    fn next_due(&self) -> Instant {
        let mut due = match self.stream {
            Some(_) => self.image_due,
            None => self.look_at,
        };
        for single in &self.singles {
            due = due.min(single.due);
        }
        due
    }

    /// Sets the camera's clock again when the station's own was set, as a Pi's is once it reaches a time server. A
    /// time that a client set stays as it is.
    async fn follow_time(&mut self) -> Result<(), Trouble> {
        let Some(step_s) = self.steps.step_s(&self.shared.clock) else {
            return Ok(());
        };
        if self.shared.settings.borrow().client_time.is_some() {
            return Ok(());
        }
        tracing::info!(
            step_s,
            "the station's clock was set: so is the thermal camera's"
        );
        match self.set_time().await {
            Ok(()) => Ok(()),
            Err(trouble) => self.recover(trouble).await,
        }
    }

    /// Makes the camera stream while anybody subscribes, and take an image when somebody waits for one otherwise.
    async fn follow_interest(&mut self) -> Result<(), Trouble> {
        self.singles.retain(|single| !single.reply.is_closed());
        let wanted = self.shared.fanout.count() > 0;
        if wanted && self.stream.is_none() {
            let all = Command::StreamOn(StreamOn::default());
            // Set first: images may come before the answer does.
            self.start_streaming();
            if let Err(trouble) = self.exchange(&all).await {
                self.stop_streaming();
                return self.recover(trouble).await;
            }
            self.requested = false;
        } else if !wanted && self.stream.is_some() {
            self.stop_streaming();
            if let Err(trouble) = self.exchange(&Command::StreamOff).await {
                return self.recover(trouble).await;
            }
            self.link.rest();
            self.look_at = self.shared.clock.now() + LOOK;
        }
        if self.stream.is_none() && !self.singles.is_empty() && !self.requested {
            self.requested = true;
            self.link.submit(&Command::GetImage);
            self.shared.health.count("commands");
        }
        Ok(())
    }

    fn start_streaming(&mut self) {
        self.stream = Some(self.shared.conditions.raise(Condition::Measuring));
        self.shared.streaming.set(true);
        self.expect_images();
    }

    fn stop_streaming(&mut self) {
        self.stream = None;
        self.shared.streaming.set(false);
    }

    fn expect_images(&mut self) {
        self.image_due = self.shared.clock.now() + self.shared.image_timeout;
        self.signs = None;
    }

    async fn obey(&mut self, order: Order) -> Result<(), Trouble> {
        match order {
            Order::Image { reply } => {
                let due = self.shared.clock.now() + self.shared.image_timeout;
                if self.singles.is_empty() {
                    self.tries = 0;
                }
                self.singles.push(Single { reply, due });
                Ok(())
            }
            // Whoever sent it has left.
            Order::Request { reply, .. } if reply.is_closed() => Ok(()),
            Order::Request { command, reply } => {
                let answer = self.exchange(&command).await;
                match answer {
                    Ok(response) => {
                        self.remember(&command);
                        if let Response::Status(status) = &response {
                            self.note_status(status.clone());
                        }
                        let _ = reply.try_send(Ok(response));
                        Ok(())
                    }
                    Err(trouble) => {
                        let _ = reply.try_send(Err(trouble.reply()));
                        self.recover(trouble).await
                    }
                }
            }
            Order::Reset { reply } => {
                let spot = self.shared.settings.borrow().spot;
                let applied = self.apply(Some(spot.unwrap_or(SpotArea::CENTER))).await;
                let result = applied.as_ref().map(drop).map_err(Trouble::reply);
                let _ = reply.try_send(result);
                match applied {
                    Ok(()) => Ok(()),
                    Err(trouble) => self.recover(trouble).await,
                }
            }
        }
    }

    /// Goes on after a failed command, if it can be gone on.
    async fn recover(&mut self, trouble: Trouble) -> Result<(), Trouble> {
        match trouble {
            Trouble::Refused { .. } => Ok(()),
            Trouble::Timeout { .. } => {
                self.record(trouble.to_string());
                self.resync().await
            }
            Trouble::Link(_) | Trouble::Fatal(_) => Err(trouble),
        }
    }

    /// Starts over on the open link; the stream is started again by whoever wants it.
    async fn resync(&mut self) -> Result<(), Trouble> {
        self.shared.health.count("resyncs");
        self.set_up().await
    }

    /// Time has come for something.
    async fn look_around(&mut self) -> Result<(), Trouble> {
        self.count_framing();
        let now = self.shared.clock.now();
        let waited_ms = self.shared.image_timeout.as_millis() as u64;
        let before = self.singles.len();
        self.singles.retain(|single| {
            let waits = single.due > now;
            if !waits {
                let _ = single.reply.try_send(Err(TcamError::NoImage { waited_ms }));
            }
            waits
        });
        let missed = self.singles.len() < before && self.requested;
        let missing = self.stream.is_some() && self.image_due <= now;
        if missed || missing {
            return self.search_images(waited_ms).await;
        }
        if self.stream.is_none()
            && self.look_at <= now
            && let Err(trouble) = self.look().await
        {
            return self.recover(trouble).await;
        }
        Ok(())
    }

    /// No image came, though one was to. The link is set up again, which tells whether commands are answered.
    async fn search_images(&mut self, waited_ms: u64) -> Result<(), Trouble> {
        let reason = match &self.signs {
            Some(damage) => format!("no usable image for {waited_ms} ms: {damage}"),
            None => format!(
                "no image for {waited_ms} ms while commands are answered: the sensor is at fault"
            ),
        };
        self.expect_images();
        self.resync().await?;
        self.record(reason.clone());
        self.judge(Some(reason));
        Ok(())
    }

    /// Asks the camera how it is.
    async fn look(&mut self) -> Result<(), Trouble> {
        self.look_at = self.shared.clock.now() + LOOK;
        if let Some(Response::Status(status)) = tolerate(self.exchange(&Command::GetStatus).await)?
        {
            self.note_status(status);
        }
        Ok(())
    }

    fn note_status(&mut self, status: crate::tcam::proto::response::Status) {
        let now = self.shared.clock.now();
        self.restarted |= self.watch.fell_back(&status.metadata, now);
        self.shared.status.replace(Some(status));
    }

    async fn set_time(&mut self) -> Result<(), Trouble> {
        let client = self.shared.settings.borrow().client_time;
        let time = clockwork::set_time(clockwork::shown(client, &self.shared.clock));
        tolerate(self.exchange(&Command::SetTime(time)).await)?;
        self.watch.forget();
        Ok(())
    }

    /// Tells the camera time, settings and, if given, the spot area.
    async fn apply(&mut self, spot: Option<SpotArea>) -> Result<(), Trouble> {
        self.set_time().await?;
        let settings = self.shared.settings.borrow().clone();
        let config = SetConfig {
            agc_enabled: Some(settings.config.agc_enabled),
            emissivity: Some(settings.config.emissivity),
            gain_mode: Some(settings.config.gain_mode),
        };
        tolerate(self.exchange(&Command::SetConfig(config)).await)?;
        if let Some(area) = spot {
            tolerate(self.exchange(&Command::SetSpotmeter(area)).await)?;
        }
        Ok(())
    }

    /// Keeps what a client set, for the camera's next restart.
    fn remember(&mut self, command: &Command) {
        let mut settings = self.shared.settings.borrow_mut();
        match command {
            Command::SetConfig(set) => {
                let config = &mut settings.config;
                config.agc_enabled = set.agc_enabled.unwrap_or(config.agc_enabled);
                config.emissivity = set.emissivity.unwrap_or(config.emissivity);
                config.gain_mode = set.gain_mode.unwrap_or(config.gain_mode);
            }
            Command::SetSpotmeter(area) => settings.spot = Some(*area),
            Command::SetTime(time) => {
                settings.client_time = clockwork::client_time(time, self.shared.clock.now());
                self.watch.forget();
            }
            _ => {}
        }
    }
}

/// A refused setting is no reason not to use the camera.
fn tolerate(
    answer: Result<Response<'static>, Trouble>,
) -> Result<Option<Response<'static>>, Trouble> {
    match answer {
        Ok(response) => Ok(Some(response)),
        Err(Trouble::Refused { command, info }) => {
            tracing::warn!(%command, text = info.text, "the thermal camera refused");
            Ok(None)
        }
        Err(trouble) => Err(trouble),
    }
}
