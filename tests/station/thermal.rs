//! Clients of the thermal camera's own protocol, as tcam.py is one, and cameras to put behind a station.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use outpost::base::clock::Clock;
use outpost::tcam::proto::packet::Framer;
use outpost::tcam::proto::{CamInfo, Command, Frame, ImageText, Response, Telemetry};
use outpost::tcam::sim::{Config, Faults, Interface, Network};
use serde_json::Value;

use super::harness::{PATIENCE, Setup, Station, eventually};

/// A connection to port 5001's stand-in.
pub struct ThermalClient {
    stream: TcpStream,
    framer: Framer,
}

impl ThermalClient {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            framer: Framer::host(),
        }
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends a request as tcam.py does, in one piece.
    pub fn send(&mut self, text: &str) {
        self.send_bytes(&[b"\x02", text.as_bytes(), b"\x03"].concat());
    }

    /// The next packet, with its delimiters.
    pub fn packet(&mut self) -> Vec<u8> {
        self.packet_or_end()
            .expect("a packet before the end of the connection")
    }

    /// The same; `None` when the connection has ended.
    pub fn packet_or_end(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(packet) = self.framer.next() {
                let packet = packet.framed().to_vec();
                assert_eq!(self.framer.counters().junk_bytes, 0);
                return Some(packet);
            }
            let space = self.framer.space(65_536);
            let n = self.stream.read(space).unwrap();
            if n == 0 {
                return None;
            }
            self.framer.filled(n);
        }
    }

    /// Sends a request and gives the text of its answer; images that come before it are passed over.
    pub fn ask(&mut self, text: &str) -> String {
        self.send(text);
        self.answer()
    }

    /// The next packet that is not an image, without delimiters.
    pub fn answer(&mut self) -> String {
        loop {
            let packet = self.packet();
            if !is_image(&packet) {
                return text(&packet);
            }
        }
    }

    /// The next packet, which must be an image.
    pub fn image(&mut self) -> Vec<u8> {
        let packet = self.packet();
        assert!(is_image(&packet), "{}", text(&packet));
        packet
    }

    /// The camera's count of frames in each of the next images.
    pub fn counters(&mut self, count: usize) -> Vec<u32> {
        (0..count).map(|_| frame_counter(&self.image())).collect()
    }

    /// True when nothing comes for that long.
    pub fn is_silent(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let silent = self.framer.next().is_none() && self.stream.peek(&mut [0]).is_err();
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        silent
    }
}

pub fn is_image(packet: &[u8]) -> bool {
    packet.len() > 50_000
}

pub fn text(packet: &[u8]) -> String {
    String::from_utf8(packet[1..packet.len() - 1].to_vec()).unwrap()
}

/// Pixels and telemetry of an image packet.
pub fn decode(packet: &[u8]) -> Frame {
    let mut frame = Frame::blank();
    let image = ImageText::parse(&packet[1..packet.len() - 1]).unwrap();
    frame.read(&image).unwrap();
    frame
}

pub fn telemetry(packet: &[u8]) -> Telemetry {
    decode(packet).telemetry()
}

pub fn frame_counter(packet: &[u8]) -> u32 {
    telemetry(packet).frame_counter
}

pub fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

pub fn ack(name: &str) -> String {
    format!("{{\"cam_info\":{{\"info_value\":1,\"info_string\":\"{name} success\"}}}}")
}

pub fn nack(name: &str) -> String {
    format!("{{\"cam_info\":{{\"info_value\":0,\"info_string\":\"{name} failed\"}}}}")
}

/// A simulated camera on the network, a frame every `frame_ms`.
pub fn network_camera(frame_ms: u64) -> (Network, Faults) {
    let config = Config {
        frame_period: Duration::from_millis(frame_ms),
        ..Config::new(Interface::Network, 1)
    };
    let faults = Faults::none();
    let any = "127.0.0.1:0".parse().unwrap();
    let camera = Network::start(Clock::real(), config, faults.clone(), any).unwrap();
    (camera, faults)
}

/// A station that reaches its thermal camera at `host`.
pub fn networked(host: SocketAddr) -> Station {
    Setup::small()
        .tcam("link = \"network\"")
        .tcam(&format!("host = \"{host}\""))
        .start()
}

impl Station {
    /// A connection to the thermal camera's protocol, as soon as the camera is there.
    pub fn thermal_client(&self) -> ThermalClient {
        self.wait_for_thermal("ready");
        self.thermal_client_at_once()
    }

    pub fn thermal_client_at_once(&self) -> ThermalClient {
        ThermalClient::connect(self.tcam.expect("the thermal camera is served"))
    }

    /// Waits until the thermal camera's health is `state`.
    pub fn wait_for_thermal(&self, state: &str) {
        let mut client = self.client();
        eventually(&format!("the thermal camera to be {state}"), || {
            client.json("SYST:HEAL? tcam")["state"] == state
        });
    }
}

/// A camera that says yes to everything and has one image, whatever is asked for.
pub fn stubborn_camera(image: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            serve_stubbornly(stream, &image);
        }
    });
    address
}

fn serve_stubbornly(mut stream: TcpStream, image: &[u8]) {
    let mut framer = Framer::camera();
    let mut piece = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut piece) {
        framer.push(&piece[..n]);
        while let Some(packet) = framer.next() {
            let mut out = Vec::new();
            match Command::parse(packet.text()).unwrap() {
                Command::GetStatus => {
                    out.extend_from_slice(b"\x02{\"status\":{\"Camera\":\"Stub\",\"Model\":262146,\"Version\":\"3.2\",\"Time\":\"1:02:03.4\",\"Date\":\"2/2/21\"}}\x03");
                }
                Command::GetImage => out.extend_from_slice(image),
                Command::StreamOn(_) => {
                    Response::CamInfo(CamInfo::ack(outpost::tcam::proto::Name::StreamOn))
                        .write_packet(&mut out);
                    out.extend_from_slice(image);
                }
                command => {
                    Response::CamInfo(CamInfo::ack(command.name())).write_packet(&mut out);
                }
            }
            if stream.write_all(&out).is_err() {
                return;
            }
        }
    }
}
