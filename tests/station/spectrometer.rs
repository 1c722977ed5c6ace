//! A station's spectrometer: programs that use its ports, and instruments to put behind it.

use std::io::{Read, Write};
use std::net::TcpStream;

use async_tungstenite::tungstenite::protocol::Role;
use async_tungstenite::tungstenite::{Message, WebSocket};
use outpost::base::clock::Clock;
use outpost::msp1000::sim::{Config, Faults, Simulator};
use serde_json::Value;

use super::harness::{Client, PATIENCE, Setup, Station, eventually};
pub use super::mini_spec::{MiniSpec, words};

/// A WebSocket of a program.
pub struct Socket(WebSocket<TcpStream>);

impl Socket {
    pub fn connect(station: &Station) -> Self {
        let mut tcp = TcpStream::connect(station.http).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = "GET /msp1000 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        tcp.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            tcp.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "));
        Self(WebSocket::from_raw_socket(tcp, Role::Client, None))
    }

    pub fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }

    pub fn next(&mut self) -> Message {
        self.0.read().unwrap()
    }

    /// The next message that is no event.
    pub fn ask(&mut self, text: &str) -> String {
        self.send(text);
        loop {
            let reply = self.next().into_text().unwrap().as_str().to_owned();
            if !reply.contains("\"event\"") {
                return reply;
            }
        }
    }

    /// The next event of this kind.
    pub fn event(&mut self, kind: &str) -> Value {
        loop {
            let text = self.next().into_text().unwrap();
            if let Ok(event) = serde_json::from_str::<Value>(text.as_str())
                && event["event"] == kind
            {
                return event;
            }
        }
    }

    pub fn binary(&mut self, text: &str) -> Vec<u8> {
        self.send(text);
        loop {
            if let Message::Binary(bytes) = self.next() {
                return bytes.to_vec();
            }
        }
    }
}

/// A simulated instrument on the network.
pub fn instrument(config: Config) -> (Simulator, Faults) {
    let faults = Faults::none();
    let any = "127.0.0.1:0".parse().unwrap();
    let simulator = Simulator::start(Clock::real(), config, faults.clone(), any).unwrap();
    (simulator, faults)
}

/// How a station uses it.
pub fn using(simulator: &Simulator) -> Setup {
    Setup::small().msp1000(&format!("address = \"{}\"", simulator.address()))
}

impl Station {
    /// A connection to the spectrometer's protocol, as soon as the instrument is there.
    pub fn mini_spec(&self) -> MiniSpec {
        self.wait_for_spectrometer("ready");
        MiniSpec::connect(self.msp1000.expect("the spectrometer is served"))
    }

    /// Waits until the spectrometer's health is `state`; gives its report.
    pub fn wait_for_spectrometer(&self, state: &str) -> Value {
        let mut client = self.client();
        let mut report = Value::Null;
        eventually(&format!("the spectrometer to be {state}"), || {
            report = client.json("SYST:HEAL? msp1000");
            report["state"] == state
        });
        report
    }
}

/// The values of a block of f32.
pub fn spectrum(client: &mut Client, query: &str) -> Vec<f32> {
    let block = client.block(query);
    let value = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
    block.chunks_exact(4).map(value).collect()
}
