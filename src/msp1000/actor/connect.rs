//! The way to the instrument: where it is, and whether it is the one that is trusted.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use smol::net::TcpStream;

use super::discovery;
use crate::base::error::{Failure, Kind};
use crate::msp1000::driver::{self, ConnectError, KnownInstruments, Port, Trust};
use crate::msp1000::{Address, Listening, Peer, Shared, Stage};

/// An instrument that is switched off does not refuse a connection: it says nothing.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no connection.
pub(super) struct Refusal {
    pub(super) failure: Failure,
    pub(super) stage: Stage,
}

impl Refusal {
    fn absent(reason: impl Into<String>) -> Self {
        Self {
            failure: Failure::new(Kind::Absent, reason),
            stage: Stage::Failed,
        }
    }
}

impl From<ConnectError> for Refusal {
    fn from(error: ConnectError) -> Self {
        Self {
            stage: match error {
                ConnectError::TlsTooOld { .. } => Stage::TlsTooOld,
                ConnectError::CertificateChanged { .. } => Stage::CertificateChanged,
                _ => Stage::Failed,
            },
            failure: Failure::from_error(error.kind(), &error),
        }
    }
}

/// Opens a connection to the instrument that is to be used.
pub(super) async fn connect(shared: &Shared) -> Result<(Port, Peer), Refusal> {
    match &shared.options.address {
        Address::Nowhere(reason) => Err(Refusal::absent(reason)),
        Address::Plain(address) => {
            let (stream, peer) = open(shared, &address.ip().to_string(), address.port()).await?;
            let port = driver::plain(stream, peer)?;
            Ok((port, peer_of(shared, peer, None, None)))
        }
        Address::Host { host, port, serial } => {
            let at = format!("{host}:{port}");
            // Under its address, whatever serial number somebody announces from there.
            let name = serial.as_deref().unwrap_or(&at);
            secure(shared, host, *port, name, serial.as_deref()).await
        }
        Address::Discovered { port } => {
            let (serial, address) = choose(shared).await?;
            let host = address.to_string();
            secure(shared, &host, *port, &serial, Some(&serial)).await
        }
    }
}

async fn secure(
    shared: &Shared,
    host: &str,
    port: u16,
    name: &str,
    serial: Option<&str>,
) -> Result<(Port, Peer), Refusal> {
    let (stream, peer) = open(shared, host, port).await?;
    let trust = &shared.options.trust;
    let secured = driver::secure(stream, host, name, trust, &shared.clock).await;
    let (port, certificate) = secured.inspect_err(|error| {
        if matches!(error, ConnectError::TlsTooOld { .. }) {
            shared.health.count("tls_too_old");
        }
    })?;
    Ok((
        port,
        peer_of(shared, peer, serial, Some(certificate.to_string())),
    ))
}

fn peer_of(
    shared: &Shared,
    address: SocketAddr,
    serial: Option<&str>,
    certificate: Option<String>,
) -> Peer {
    let found = || shared.found.borrow().serial_at(address.ip());
    let serial = serial.map(str::to_owned).or_else(found);
    Peer {
        address,
        serial: Rc::from(serial.unwrap_or_else(|| address.to_string())),
        certificate,
    }
}

async fn open(shared: &Shared, host: &str, port: u16) -> Result<(TcpStream, SocketAddr), Refusal> {
    let fail = |error: io::Error| {
        Refusal::absent(format!("no spectrometer answers at {host}:{port}: {error}"))
    };
    let connecting = TcpStream::connect((host, port));
    let connected = shared.clock.timeout(CONNECT_TIMEOUT, connecting).await;
    let stream = connected.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()));
    let stream = stream.map_err(fail)?;
    stream.set_nodelay(true).map_err(fail)?;
    let peer = stream.peer_addr().map_err(fail)?;
    Ok((stream, peer))
}

/// Of the instruments that announce themselves, the one that is trusted: anybody can announce anything.
///
/// On trust at first use that is one whose certificate is known, or the first one ever.
async fn choose(shared: &Shared) -> Result<(String, IpAddr), Refusal> {
    match shared.options.listening {
        Listening::On => {}
        Listening::OnDemand => discovery::scan(shared).await,
        Listening::Off => {
            return Err(Refusal::absent(
                "nobody listens for the spectrometer's announcements: set msp1000.address or msp1000.listen_discovery",
            ));
        }
    }
    let now = shared.clock.now();
    let present = shared.found.borrow_mut().present(now);
    let mut candidates = present
        .into_iter()
        .map(|(serial, found)| (serial, found.address));
    let none = || {
        let port = shared.options.discovery.port();
        Refusal::absent(format!(
            "no spectrometer announces itself on UDP port {port}: switch it on, or set msp1000.address"
        ))
    };
    let Trust::FirstUse(known) = &shared.options.trust else {
        return candidates.next().ok_or_else(none);
    };
    let offered: Vec<_> = candidates.collect();
    let serials: Vec<String> = offered.iter().map(|(serial, _)| serial.clone()).collect();
    let known = known.clone();
    let index = smol::unblock(move || trusted(&known, &serials)).await;
    let Some(index) = index else {
        return Err(match offered.first() {
            None => none(),
            Some((serial, address)) => Refusal::absent(format!(
                "spectrometer {serial} at {address} is not the one that is trusted: set msp1000.address to it"
            )),
        });
    };
    offered.into_iter().nth(index).ok_or_else(none)
}

/// Which of these is known; the first one where none ever was. Blocks.
fn trusted(known: &KnownInstruments, serials: &[String]) -> Option<usize> {
    // A file that cannot be read is a certificate that is not forgotten: connecting tells what is wrong with it.
    let is_known = |serial: &String| !matches!(known.load(serial), Ok(None));
    let known_one = serials.iter().position(is_known);
    let first = || (known.is_empty() && !serials.is_empty()).then_some(0);
    known_one.or_else(first)
}
