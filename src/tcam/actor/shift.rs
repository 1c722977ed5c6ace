//! The actor while the link is open: orders, the shared stream, and what the camera says by itself.

use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::channel::Receiver;

use super::clockwork::{self, Watch};
use super::exchange::Trouble;
use crate::base::conditions::{Condition, Raised};
use crate::base::health::State;
use crate::tcam::driver::{Damage, Event, Link};
use crate::tcam::image::Image;
use crate::tcam::proto::command::{SetConfig, StreamOn};
use crate::tcam::proto::packet::Counters;
use crate::tcam::proto::spi::SpiError;
use crate::tcam::proto::{CamInfo, Command, Response, SpotArea};
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
        if self.stream.is_none() && self.look_at <= now {
            if let Err(trouble) = self.look().await {
                return self.recover(trouble).await;
            }
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

    /// Tells the camera time, settings and, if given, the spot area.
    async fn apply(&mut self, spot: Option<SpotArea>) -> Result<(), Trouble> {
        let settings = self.shared.settings.borrow().clone();
        let time = clockwork::set_time(self.shared.clock.utc(), settings.clock_ahead_s);
        tolerate(self.exchange(&Command::SetTime(time)).await)?;
        self.watch.forget();
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
                let now = self.shared.clock.utc();
                settings.clock_ahead_s = clockwork::ahead_s(time, now).unwrap_or(0);
                self.watch.forget();
            }
            _ => {}
        }
    }

    /// Deals with what the camera said without being asked, images above all.
    pub(super) fn absorb(&mut self, event: Event) -> Result<(), Trouble> {
        self.count_framing();
        match event {
            Event::Image(image) => self.note_image(image),
            Event::Announced => {
                let text = || "announced images do not arrive".to_owned();
                self.signs.get_or_insert_with(text);
            }
            Event::Damaged(damage) => self.note_damage(&damage),
            Event::Malformed(error) => {
                self.shared.health.count("malformed_packets");
                self.tell(error);
            }
            Event::Response(Response::CamInfo(info)) if info.is_unsolicited() => {
                return self.note_message(info);
            }
            Event::Response(_) => self.shared.health.count("stale_answers"),
        }
        Ok(())
    }

    fn note_image(&mut self, image: Rc<Image>) {
        let now = self.shared.clock.now();
        self.shared.health.count("frames");
        let uptime_ms = image.telemetry().uptime_ms;
        let before = self.uptime_ms.replace(uptime_ms);
        self.restarted |=
            before.is_some_and(|before| clockwork::uptime_fell_back(before, uptime_ms));
        let lost = self.shared.fanout.publish(&image, now);
        self.shared.health.add("dropped", lost);
        for single in self.singles.drain(..) {
            let _ = single.reply.try_send(Ok(image.clone()));
        }
        self.requested = false;
        self.shared.latest.replace(Some(image));
        self.fatal = None;
        self.expect_images();
        self.judge(None);
    }

    fn note_damage(&mut self, damage: &Damage) {
        let counter = match damage {
            // A lost byte is seen at the end before the sum is made.
            Damage::Spi(SpiError::Sum { .. } | SpiError::EndByte { .. }) => "checksum_errors",
            Damage::Late(_) | Damage::Replaced => "late",
            _ => "damaged_images",
        };
        self.shared.health.count(counter);
        let reason = chain(damage);
        self.signs = Some(reason.clone());
        if self.requested {
            self.requested = false;
            self.tries += 1;
            if self.tries > RETRIES {
                let tries = std::mem::take(&mut self.tries);
                for single in self.singles.drain(..) {
                    let reason = reason.clone();
                    let error = TcamError::Damaged { tries, reason };
                    let _ = single.reply.try_send(Err(error));
                }
            }
        }
        self.tell(reason);
    }

    fn note_message(&mut self, info: CamInfo) -> Result<(), Trouble> {
        self.shared.health.count("unsolicited");
        tracing::warn!(text = info.text, "message of the thermal camera");
        self.record(format!("the camera says: {}", info.text));
        if info.is_fatal() {
            self.fatal = Some(info.text.clone());
            if self.shared.has_reset_line {
                return Err(Trouble::Fatal(info.text));
            }
            self.judge(None);
        }
        Ok(())
    }

    /// Sets the health: ready unless there is a reason to be less.
    fn judge(&self, reason: Option<String>) {
        let fatal = || {
            let text = self.fatal.as_ref()?;
            Some(format!("the camera says {text:?}: cycle its power"))
        };
        let state = match fatal().or(reason) {
            Some(reason) => State::Degraded { reason },
            None => State::Ready,
        };
        if self.shared.health.state() != state {
            self.shared.health.set(state);
        }
    }

    fn count_framing(&mut self) {
        let now = self.link.counters();
        let before = std::mem::replace(&mut self.framing, now);
        let health = &self.shared.health;
        if now.junk_bytes != before.junk_bytes {
            health.add("junk_bytes", now.junk_bytes - before.junk_bytes);
        }
        let broken = |counters: &Counters| counters.abandoned + counters.overflows;
        if broken(&now) != broken(&before) {
            health.add("malformed_packets", broken(&now) - broken(&before));
        }
    }

    /// Remembers an error that may come with each frame, once a second.
    fn tell(&mut self, error: String) {
        let now = self.shared.clock.now();
        let recent = |told: Instant| now.saturating_duration_since(told) < TELL;
        if !self.told_at.is_some_and(recent) {
            self.told_at = Some(now);
            self.record(error);
        }
    }

    fn record(&self, error: String) {
        tracing::warn!(error, "thermal camera");
        self.shared.health.record(error);
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

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
