//! Clients of the spectrometer's own protocol, as minispec.py is one, and instruments to put behind a station.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use async_tungstenite::tungstenite::protocol::Role;
use async_tungstenite::tungstenite::{Message, WebSocket};
use outpost::base::certificate::provider;
use outpost::base::clock::Clock;
use outpost::msp1000::sim::{Config, Faults, Simulator};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use serde_json::Value;

use super::harness::{Client, PATIENCE, Setup, Station, eventually};

/// Trusts everybody, as the vendor's client does.
#[derive(Debug)]
struct Careless;

impl ServerCertVerifier for Careless {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A connection that takes what one receive returns for a message.
pub struct MiniSpec {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl MiniSpec {
    pub fn connect(address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_nodelay(true).unwrap();
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Careless))
            .with_no_client_auth();
        config.enable_sni = false;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        Self {
            stream: StreamOwned::new(connection, tcp),
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self.stream.flush().unwrap();
    }

    /// What one receive returns.
    pub fn receive(&mut self) -> Vec<u8> {
        let mut piece = vec![0; 16 * 1024];
        let count = self.stream.read(&mut piece).unwrap();
        assert!(count > 0, "the connection ended");
        piece.truncate(count);
        piece
    }

    pub fn ask(&mut self, command: &str) -> Vec<u8> {
        self.send(format!("{command}\r\n"));
        self.receive()
    }

    pub fn exposure(&mut self) -> u32 {
        let reply = String::from_utf8(self.ask("get_exposure")).unwrap();
        let ms = reply.strip_prefix("exposure:").unwrap();
        ms.strip_suffix("\r\n").unwrap().parse().unwrap()
    }

    pub fn take(&mut self) {
        assert_eq!(self.ask("take_spectrum"), b"spectrum_complete\r\n");
    }

    /// The 3694 counts of a whole reply.
    pub fn frame(&mut self) -> Vec<u16> {
        counts(&self.ask("get_spectrum"))
    }
}

/// Counts of a reply that has one byte after the frame.
pub fn counts(reply: &[u8]) -> Vec<u16> {
    assert_eq!(reply.len(), 9 + 7388 + 1);
    assert_eq!(&reply[..9], b"spectrum:");
    words(&reply[9..9 + 7388])
}

pub fn words(bytes: &[u8]) -> Vec<u16> {
    let word = |pair: &[u8]| u16::from_le_bytes([pair[0], pair[1]]);
    bytes.chunks_exact(2).map(word).collect()
}

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
