//! A camera on a bench: what goes in and comes out, and time that passes at once.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use outpost::tcam::proto::{Frame, Framer, ImageText, Telemetry};
use outpost::tcam::sim::{Camera, Config, Faults, Interface, Output};

pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/tcam")
        .join(name)
}

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A camera with a host that hears everything.
pub struct Rig {
    pub camera: Camera,
    pub faults: Faults,
    pub now: Duration,
    pub packets: VecDeque<(Duration, Vec<u8>)>,
    /// Everything that came out, with its time.
    pub outputs: Vec<(Duration, Output)>,
    framer: Framer,
}

impl Rig {
    pub fn new(config: Config) -> Self {
        let faults = Faults::none();
        Self {
            camera: Camera::new(config, faults.clone(), Duration::ZERO),
            faults,
            now: Duration::ZERO,
            packets: VecDeque::new(),
            outputs: Vec::new(),
            framer: Framer::host(),
        }
    }

    pub fn hardware() -> Self {
        Self::new(Config::new(Interface::Hardware, 7))
    }

    pub fn network() -> Self {
        Self::new(Config::new(Interface::Network, 7))
    }

    pub fn send(&mut self, text: &str) {
        let packet = [b"\x02", text.as_bytes(), b"\x03"].concat();
        self.send_bytes(&packet);
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.camera.receive(bytes, self.now);
        self.settle();
    }

    /// Lets time pass, the camera called whenever it asks for it.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.advance(end) {}
    }

    /// To the next thing that happens, at most to `end`; false when that is reached.
    fn advance(&mut self, end: Duration) -> bool {
        self.settle();
        match self.camera.next_due(self.now) {
            Some(due) if due < end => {
                assert!(due > self.now, "the camera would never come to rest");
                self.now = due;
                self.settle();
                true
            }
            _ => {
                self.now = end;
                self.settle();
                false
            }
        }
    }

    /// The next packet, which comes within 5 s.
    pub fn receive(&mut self) -> Vec<u8> {
        let end = self.now + ms(5000);
        self.settle();
        while self.packets.is_empty() && self.advance(end) {}
        let (_, packet) = self.packets.pop_front().expect("nothing came within 5 s");
        packet
    }

    pub fn receive_text(&mut self) -> String {
        String::from_utf8(self.receive()).unwrap()
    }

    /// Sends a command, and the answer to it.
    pub fn ask(&mut self, text: &str) -> String {
        self.send(text);
        self.receive_text()
    }

    /// The packets of that time.
    pub fn listen(&mut self, time: Duration) -> Vec<Vec<u8>> {
        self.pass(time);
        self.packets.drain(..).map(|(_, packet)| packet).collect()
    }

    /// The image that a packet announces, or is: frame and telemetry.
    pub fn image(&mut self) -> (Frame, Telemetry) {
        let packet = self.receive();
        let image = match announced(&packet) {
            Some(length) => self.transfer(length.next_multiple_of(4))[1..length - 5].to_vec(),
            None => packet,
        };
        let mut frame = Frame::blank();
        frame.read(&ImageText::parse(&image).unwrap()).unwrap();
        let telemetry = frame.telemetry();
        (frame, telemetry)
    }

    /// Asks for an image.
    pub fn get_image(&mut self) -> (Frame, Telemetry) {
        self.send(r#"{"cmd":"get_image"}"#);
        self.image()
    }

    pub fn transfer(&mut self, length: usize) -> Vec<u8> {
        let mut words = vec![0; length];
        self.camera.transfer(&mut words, self.now);
        self.settle();
        words
    }

    fn settle(&mut self) {
        loop {
            self.camera.poll(self.now);
            let Some(output) = self.camera.next_output(self.now) else {
                return;
            };
            if let Output::Bytes(bytes) = &output {
                self.framer.push(bytes);
                while let Some(packet) = self.framer.next() {
                    self.packets.push_back((self.now, packet.text().to_vec()));
                }
            }
            self.outputs.push((self.now, output));
        }
    }
}

/// The value of an `image_ready`, which has a space on each side of its colon and nowhere else.
pub fn announced(packet: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(packet).ok()?;
    let value = text
        .strip_prefix("{\"image_ready\" : ")?
        .strip_suffix('}')?;
    value.parse().ok()
}

pub fn ack(name: &str) -> String {
    format!("{{\"cam_info\":{{\"info_value\":1,\"info_string\":\"{name} success\"}}}}")
}

pub fn nack(name: &str) -> String {
    format!("{{\"cam_info\":{{\"info_value\":0,\"info_string\":\"{name} failed\"}}}}")
}

pub fn info(value: i32, text: &str) -> String {
    format!("{{\"cam_info\":{{\"info_value\":{value},\"info_string\":\"{text}\"}}}}")
}
