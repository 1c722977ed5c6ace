//! The simulated camera: bytes in, bytes out, SPI transactions; no input or output of its own, and time is passed in.
//!
//! ```text
//! receive --> framer --> commands --> answers, in order, 5 to 60 ms later --+
//!                           |                                               +--> wire --> next_output
//!                    stream, get_image --> due image --> packet (TCP) ------+
//!                                                   '--> armed, image_ready (hardware) --> transfer
//! ```
//!
//! While an image is armed nothing else leaves the camera. A front end calls [`Camera::poll`] after everything it did
//! and when [`Camera::next_due`] says so, then sends what [`Camera::next_output`] has.

mod commands;

use std::collections::VecDeque;
use std::time::Duration;

use super::calendar::Calendar;
use super::faults::{Fault, Faults};
use super::image::{self, Armed};
use super::lepton::{Lepton, Settings};
use super::scene::{Random, Scene};
use super::wire::{Output, Wire};
use crate::tcam::proto::image::encode_packet;
use crate::tcam::proto::{CamInfo, Command, Framer, InfoKind, Metadata, Model, Response, Wifi};

/// From frame to frame: 8.77 a second.
pub const FRAME_PERIOD: Duration = Duration::from_millis(114);

/// The camera gives a host that long to read an image.
const SPI_TIMEOUT: Duration = Duration::from_secs(1);
/// A longer answer is dropped.
const LONGEST_ANSWER: usize = 2048;
/// Answers beyond are dropped.
const ANSWER_QUEUE: usize = 8192;
/// How late a delayed answer is: later than a driver should wait.
const ANSWER_DELAY: Duration = Duration::from_secs(3);
const NAME: &str = "tCam-Mini-51A0";

/// Which way images go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    /// TCP: inline.
    Network,
    /// UART and SPI: announced on the one, read from the other.
    Hardware,
}

/// How the camera is simulated.
#[derive(Debug, Clone)]
pub struct Config {
    /// Mode pin.
    pub interface: Interface,
    /// Chooses noise, path of the spot, latencies and serial number.
    pub seed: u64,
    /// What it looks at.
    pub scene: Scene,
    /// From frame to frame, 114 ms; zero for as fast as they are taken.
    pub frame_period: Duration,
    /// Whether SPI transactions take the time of a 7 MHz clock. Front ends obey it.
    pub spi_timing: bool,
    /// What an SPI read gets where there is no image.
    pub filler: u8,
    /// `get_wifi` and `set_wifi` restart the camera in hardware mode as they do the real one; else they are refused.
    pub wifi_crashes: bool,
    /// `set_wifi` drops the TCP connection.
    pub wifi_disconnects: bool,
}

impl Config {
    /// A camera with that interface, as it leaves the factory, at its own frame rate.
    pub fn new(interface: Interface, seed: u64) -> Self {
        Self {
            interface,
            seed,
            scene: Scene::synthetic(seed),
            frame_period: FRAME_PERIOD,
            spi_timing: false,
            filler: 0xff,
            wifi_crashes: false,
            wifi_disconnects: false,
        }
    }
}

/// A running stream.
#[derive(Debug, Clone, Copy)]
struct Stream {
    delay: Duration,
    /// Images yet to become due; `None` for endless.
    left: Option<u32>,
    next_due: Duration,
}

/// An image that waits for the next frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pending {
    /// For `get_image`: it waits for a busy SPI slave.
    Single,
    /// Of a stream: it is lost when the SPI slave is busy.
    Streamed,
}

/// The simulated camera. All times are those since the simulation began, and never go back.
#[derive(Debug)]
pub struct Camera {
    config: Config,
    faults: Faults,
    random: Random,
    lepton: Lepton,
    calendar: Calendar,
    wifi: Wifi,
    framer: Framer,
    answers: VecDeque<(Duration, Vec<u8>)>,
    wire: Wire,
    stream: Option<Stream>,
    pending: Option<Pending>,
    armed: Option<Armed>,
    images_disabled: bool,
    /// Restarting until then: deaf and dumb.
    dark_until: Option<Duration>,
    update_until: Option<Duration>,
    disconnect_at: Option<Duration>,
}

impl Camera {
    /// A camera switched on at `now`.
    pub fn new(config: Config, faults: Faults, now: Duration) -> Self {
        let Config {
            seed, frame_period, ..
        } = config;
        Self {
            lepton: Lepton::new(config.scene.clone(), seed, frame_period, now),
            random: Random::new(seed),
            calendar: Calendar::unset(now),
            wifi: Wifi::factory(NAME),
            framer: Framer::camera(),
            answers: VecDeque::new(),
            wire: Wire::new(seed),
            stream: None,
            pending: None,
            armed: None,
            images_disabled: false,
            dark_until: None,
            update_until: None,
            disconnect_at: None,
            config,
            faults,
        }
    }

    /// The way it is simulated.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The faults it suffers from.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Takes bytes from the command link.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) {
        if self.is_dark(now) {
            return;
        }
        self.framer.push(bytes);
        while let Some(packet) = self.framer.next() {
            let command = Command::parse(packet.text());
            self.execute(command, now);
        }
    }

    /// Brings the camera up to `now`.
    pub fn poll(&mut self, now: Duration) {
        self.suffer(now);
        if self.is_dark(now) {
            return;
        }
        self.armed.take_if(|armed| armed.until <= now);
        if self.update_until.take_if(|until| *until <= now).is_some() {
            let text = "Firmware update request timed out";
            self.inform(InfoKind::FirmwareUpdate, text, now);
        }
        self.release_answers(now);
        if self.disconnect_at.take_if(|at| *at <= now).is_some() {
            self.wire.close(now);
        }
        self.deliver(now);
    }

    /// When [`Camera::poll`] is to be called next, at the latest; `None` if only input changes anything.
    pub fn next_due(&mut self, now: Duration) -> Option<Duration> {
        if self.is_dark(now) {
            return self.dark_until;
        }
        let answer = match &self.armed {
            Some(armed) => Some(armed.until),
            None if self.is_sending() => None,
            None => self.answers.front().map(|(due, _)| *due),
        };
        let image = self.next_image(now);
        [self.wire.due(), answer, image]
            .into_iter()
            .chain([self.update_until, self.disconnect_at])
            .flatten()
            .min()
    }

    /// The next thing for the front end to send or do.
    pub fn next_output(&mut self, now: Duration) -> Option<Output> {
        self.wire.next(now)
    }

    /// One SPI transaction, chip select low from the first to the last byte. It uses the armed image up, however short
    /// it is.
    pub fn transfer(&mut self, words: &mut [u8], now: Duration) {
        words.fill(self.config.filler);
        self.armed.take_if(|armed| armed.until <= now);
        if let Some(image) = self.armed.take().and_then(|armed| armed.image) {
            let length = words.len().min(image.len());
            words[..length].copy_from_slice(&image[..length]);
        }
    }

    /// The client of a network camera is gone: what was meant for it is dropped, its stream ends, settings stay.
    pub fn disconnect(&mut self) {
        self.framer.clear();
        self.answers.clear();
        self.wire.clear();
        self.stream = None;
        self.pending = None;
        self.disconnect_at = None;
    }

    /// Power comes back at `now`, or will after `dark`: clock, stream and settings are lost. In network mode the
    /// settings that `set_config` and `set_wifi` make are kept in flash.
    pub fn restart(&mut self, dark: Duration, now: Duration) {
        let kept = self.lepton.settings;
        self.disconnect();
        self.lepton.restart(now);
        if self.config.interface == Interface::Network {
            self.lepton.settings = Settings {
                spot: Settings::default().spot,
                ..kept
            };
            self.wire.close(now);
        }
        self.calendar = Calendar::unset(now);
        self.armed = None;
        self.update_until = None;
        self.dark_until = Some(now + dark);
        self.images_disabled = false;
        self.faults.take(Fault::SpiDead);
    }

    fn is_dark(&self, now: Duration) -> bool {
        self.dark_until.is_some_and(|until| now < until)
    }

    /// Whether the link takes no more now. A UART takes everything.
    fn is_sending(&self) -> bool {
        self.config.interface == Interface::Network && !self.wire.is_empty()
    }

    /// Faults that happen when they are set and not at an occasion.
    fn suffer(&mut self, now: Duration) {
        if let dark @ 1.. = self.faults.take(Fault::Reboot) {
            self.restart(Duration::from_millis(dark), now);
        }
        if let gap @ 1.. = self.faults.take(Fault::FfcGap) {
            self.lepton.run_ffc(Duration::from_millis(gap), now);
        }
        let dead = self.faults.is_on(Fault::SpiDead);
        if dead && !self.images_disabled {
            self.inform(InfoKind::Internal, CamInfo::SPI_RESTART, now);
        }
        self.images_disabled = dead;
    }

    fn metadata(&self, now: Duration) -> Metadata<'static> {
        let (time, date) = self.calendar.at(now);
        let (camera, model) = match self.config.interface {
            Interface::Network => (self.wifi.ap_ssid.clone(), Model::MINI_WIFI),
            Interface::Hardware => (NAME.to_owned(), Model::MINI_HARDWARE),
        };
        Metadata {
            camera: camera.into(),
            model,
            version: "3.2".into(),
            time: time.to_string().into(),
            date: date.to_string().into(),
        }
    }

    /// A message that nobody asked for.
    fn inform(&mut self, kind: InfoKind, text: &str, now: Duration) {
        self.answer_at(&Response::CamInfo(CamInfo::new(kind, text)), now);
    }

    fn answer(&mut self, response: &Response<'_>, now: Duration) {
        let due = self.answer_due(now);
        self.answer_at(response, due);
    }

    /// When a command taken now is answered.
    fn answer_due(&mut self, now: Duration) -> Duration {
        now + Duration::from_millis(5 + self.random.below(56))
    }

    /// Queues an answer behind those before it. One that is too long, or finds the queue full, is dropped silently.
    fn answer_at(&mut self, response: &Response<'_>, due: Duration) {
        let mut packet = Vec::new();
        response.write_packet(&mut packet);
        let queued: usize = self.answers.iter().map(|(_, packet)| packet.len()).sum();
        if packet.len() > LONGEST_ANSWER || queued + packet.len() > ANSWER_QUEUE {
            return;
        }
        if self.faults.strike_every(Fault::SwallowAnswer) {
            return;
        }
        let late = match self.faults.strike_every(Fault::DelayAnswer) {
            true => ANSWER_DELAY,
            false => Duration::ZERO,
        };
        let last = self
            .answers
            .back()
            .map_or(Duration::ZERO, |(last, _)| *last);
        self.answers.push_back(((due + late).max(last), packet));
    }

    fn release_answers(&mut self, now: Duration) {
        while self.armed.is_none() && !self.is_sending() {
            match self.answers.front() {
                Some((due, _)) if *due <= now => {}
                _ => return,
            }
            if let Some((_, packet)) = self.answers.pop_front() {
                self.wire.answer(packet, &self.faults, now);
            }
        }
    }

    /// Makes an image due if the stream says so. Only one is due at a time.
    fn look_at_stream(&mut self, now: Duration) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        if self.pending.is_some() || now < stream.next_due {
            return;
        }
        self.pending = Some(Pending::Streamed);
        self.lepton.await_frame(now);
        stream.next_due = match stream.delay.is_zero() {
            true => now,
            false => stream.next_due + stream.delay,
        };
        if let Some(left) = &mut stream.left {
            *left -= 1;
            if *left == 0 {
                self.stream = None;
            }
        }
    }

    /// Sends the image that is due, if there is a new frame and the link is free.
    fn deliver(&mut self, now: Duration) {
        self.look_at_stream(now);
        let Some(pending) = self.pending else {
            return;
        };
        if self.is_sending() || now < self.lepton.next_frame_at(now) {
            return;
        }
        let busy = self.armed.is_some();
        if busy && (pending == Pending::Single || self.config.frame_period.is_zero()) {
            return;
        }
        let lost = busy || self.images_disabled || self.faults.strike_every(Fault::NoImage);
        if !lost {
            self.send_image(now);
        }
        self.lepton.pass_frame(lost, now);
        self.pending = None;
        self.look_at_stream(now);
    }

    fn next_image(&mut self, now: Duration) -> Option<Duration> {
        let due = match (self.pending, &self.stream) {
            (Some(_), _) => now,
            (None, Some(stream)) => return Some(stream.next_due),
            (None, None) => return None,
        };
        let single = self.pending == Some(Pending::Single);
        let waits = self.armed.is_some() && (single || self.config.frame_period.is_zero());
        let waits = waits || self.is_sending();
        (!waits).then(|| self.lepton.next_frame_at(now).max(due))
    }

    fn send_image(&mut self, now: Duration) {
        let metadata = self.metadata(now);
        let frame = self.lepton.expose(now);
        let mut packet = Vec::with_capacity(52_000);
        encode_packet(
            &metadata,
            &frame.pixels,
            &frame.telemetry_words,
            &mut packet,
        );
        if self.config.interface == Interface::Network {
            image::damage(&mut packet, &self.faults, &mut self.random);
            return self.wire.image(packet, &self.faults, now);
        }
        let pad = self.random.next().to_le_bytes();
        let pad = [pad[0], pad[1], pad[2]];
        let (armed, announcement) = image::arm(packet, pad, &self.faults, &mut self.random);
        let until = now + SPI_TIMEOUT;
        self.armed = Some(Armed {
            image: armed,
            until,
        });
        self.wire.announcement(announcement, &self.faults, now);
    }
}
