//! What the camera says without being asked: images above all, and signs of its health.

use std::rc::Rc;
use std::time::Instant;

use super::{RETRIES, Shift, TELL};
use crate::base::health::State;
use crate::tcam::TcamError;
use crate::tcam::actor::clockwork;
use crate::tcam::actor::exchange::Trouble;
use crate::tcam::driver::{Damage, Event};
use crate::tcam::image::Image;
use crate::tcam::proto::packet::Counters;
use crate::tcam::proto::spi::SpiError;
use crate::tcam::proto::{CamInfo, Response};

impl Shift<'_> {
    /// Deals with what the camera said without being asked, images above all.
    pub(in crate::tcam::actor) fn absorb(&mut self, event: Event) -> Result<(), Trouble> {
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
        let said = format!("the camera says: {}", info.text);
        if !info.is_fatal() {
            self.tell(said);
        } else {
            self.record(said);
            self.fatal = Some(info.text.clone());
            if self.shared.has_reset_line {
                return Err(Trouble::Fatal(info.text));
            }
            self.judge(None);
        }
        Ok(())
    }

    /// Sets the health: ready unless there is a reason to be less.
    pub(super) fn judge(&self, reason: Option<String>) {
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

    /// Brings what the framer met into the health book: noise without a packet makes no event.
    pub(in crate::tcam::actor) fn count_framing(&mut self) {
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

    pub(super) fn record(&self, error: String) {
        tracing::warn!(error, "thermal camera");
        self.shared.health.record(error);
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
