//! What leaves the simulated camera, in order, and what befalls it on the way.

use std::collections::VecDeque;
use std::time::Duration;

use super::faults::{Fault, Faults};
use super::scene::Random;
use crate::tcam::proto::packet::{ETX, STX};
use crate::tcam::proto::{CamInfo, InfoKind, Response};

/// How long a glued answer waits for company.
const GLUE: Duration = Duration::from_millis(300);
/// A break in the middle of an image.
const PAUSE: Duration = Duration::from_millis(700);
/// Pieces of an image that is split: the camera's own send size.
const PIECE: usize = 1280;

/// Something for the front end to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send these bytes.
    Bytes(Vec<u8>),
    /// Close the connection; a UART has none and goes on.
    Close,
}

/// The command link's way out.
#[derive(Debug)]
pub(super) struct Wire {
    pieces: VecDeque<(Duration, Output)>,
    glued: Option<(Duration, Vec<u8>)>,
    random: Random,
}

impl Wire {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            pieces: VecDeque::new(),
            glued: None,
            random: Random::new(seed ^ 0x5749_5245),
        }
    }

    pub(super) fn clear(&mut self) {
        self.pieces.clear();
        self.glued = None;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// When there is something to send.
    pub(super) fn due(&self) -> Option<Duration> {
        let piece = self.pieces.front().map(|(due, _)| *due);
        let glued = self.glued.as_ref().map(|(due, _)| *due);
        piece.into_iter().chain(glued).min()
    }

    /// The next thing to send, if its time has come.
    pub(super) fn next(&mut self, now: Duration) -> Option<Output> {
        if let Some((_, bytes)) = self.glued.take_if(|(due, _)| *due <= now) {
            self.push(bytes, now);
        }
        let (due, _) = self.pieces.front()?;
        if *due > now {
            return None;
        }
        self.pieces.pop_front().map(|(_, output)| output)
    }

    pub(super) fn close(&mut self, now: Duration) {
        self.pieces.push_back((now, Output::Close));
    }

    /// Sends an answer, or a message.
    pub(super) fn answer(&mut self, packet: Vec<u8>, faults: &Faults, now: Duration) {
        if faults.strike_every(Fault::Unsolicited) {
            let info = CamInfo::new(InfoKind::Internal, "Simulated internal error");
            let mut message = Vec::new();
            Response::CamInfo(info).write_packet(&mut message);
            self.push(message, now);
        }
        if faults.strike_every(Fault::BadUtf8) {
            self.push(b"\x02{\"cam_info\":\"\xff\xc3\xfe\"}\x03".to_vec(), now);
        }
        if self.glued.is_none() && faults.strike_every(Fault::Glue) {
            self.glued = Some((now + GLUE, packet));
            return;
        }
        self.packet(packet, 1, faults, now);
    }

    /// Sends an `image_ready`.
    pub(super) fn announcement(&mut self, packet: Vec<u8>, faults: &Faults, now: Duration) {
        match faults.strike_every(Fault::Pause) {
            true => self.pause(packet, now),
            false => self.packet(packet, 1, faults, now),
        }
    }

    /// Sends an image over TCP.
    pub(super) fn image(&mut self, mut packet: Vec<u8>, faults: &Faults, now: Duration) {
        if faults.strike_every(Fault::Close) {
            packet.truncate(packet.len() / 2);
            self.push(packet, now);
            self.close(now);
        } else if faults.strike_every(Fault::Pause) {
            self.pause(packet, now);
        } else {
            self.packet(packet, PIECE, faults, now);
        }
    }

    fn packet(&mut self, packet: Vec<u8>, piece: usize, faults: &Faults, now: Duration) {
        if faults.strike_every(Fault::Junk) {
            let junk = self.junk();
            self.push(junk, now);
        }
        if !faults.strike_every(Fault::Split) {
            return self.push(packet, now);
        }
        for piece in packet.chunks(piece) {
            self.push(piece.to_vec(), now);
        }
    }

    fn pause(&mut self, mut packet: Vec<u8>, now: Duration) {
        let rest = packet.split_off(packet.len() / 2);
        self.push(packet, now);
        self.push(rest, now + PAUSE);
    }

    /// Nothing overtakes: what is sent after a pause comes after its end.
    fn push(&mut self, bytes: Vec<u8>, due: Duration) {
        let due = self.pieces.back().map_or(due, |(last, _)| due.max(*last));
        let bytes = match self.glued.take() {
            Some((_, mut glued)) => {
                glued.extend_from_slice(&bytes);
                glued
            }
            None => bytes,
        };
        self.pieces.push_back((due, Output::Bytes(bytes)));
    }

    fn junk(&mut self) -> Vec<u8> {
        let length = 1 + self.random.below(64);
        let bytes = (0..length).map(|_| self.random.next() as u8);
        bytes.filter(|byte| ![STX, ETX].contains(byte)).collect()
    }
}
