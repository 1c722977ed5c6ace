//! A client of the spectrometer's own protocol, as minispec.py is one; it stands by itself, for tests and benches.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use outpost::base::certificate::provider;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

/// An answer takes no longer than this, or something is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that takes what one receive returns for a message.
pub struct MiniSpec {
    stream: StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
}

impl MiniSpec {
    pub fn connect(address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_nodelay(true).unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connection = ClientConnection::new(careless(), name).unwrap();
        Self {
            stream: StreamOwned::new(connection, tcp),
            buffer: vec![0; 16 * 1024],
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self.stream.flush().unwrap();
    }

    /// What one receive returns.
    pub fn receive(&mut self) -> &[u8] {
        let count = self.stream.read(&mut self.buffer).unwrap();
        assert!(count > 0, "the connection ended");
        &self.buffer[..count]
    }

    pub fn ask(&mut self, command: &str) -> Vec<u8> {
        self.send(format!("{command}\r\n"));
        self.receive().to_vec()
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

/// Settings of a client that asks for no certificate it knows.
pub fn careless() -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Careless))
        .with_no_client_auth();
    config.enable_sni = false;
    Arc::new(config)
}

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
