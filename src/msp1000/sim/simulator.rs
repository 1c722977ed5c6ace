//! The instrument on a TCP port, with or without TLS, and its announcements; on a thread of its own.

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures_lite::future::or;
use rustls::ServerConfig;
use smol::channel::{Receiver, Sender, bounded};
use smol::{Async, LocalExecutor, Task};

use super::connection::{self, Shared};
use super::faults::{Fault, Faults};
use super::instrument::Instrument;
use crate::base::certificate::{CertificateError, Fingerprint, Identity, TlsVersions};
use crate::base::clock::Clock;
use crate::msp1000::proto::{Announcement, DISCOVERY_PORT};

/// Connections served at once; further ones wait.
const MAX_CONNECTIONS: usize = 16;
/// Between two announcements.
const ANNOUNCE_PERIOD: Duration = Duration::from_secs(1);

/// Who the instrument tells that it is there.
#[derive(Debug, Clone)]
pub struct Announce {
    /// Where the datagrams go.
    pub to: SocketAddr,
    /// What they say.
    pub announcement: Announcement,
}

impl Announce {
    /// To this machine's own discovery port, with the default name and serial number.
    pub fn new() -> Self {
        Self {
            to: SocketAddr::from(([127, 0, 0, 1], DISCOVERY_PORT)),
            announcement: Announcement {
                interface: "eth0".into(),
                // 0x123456789abcdef.
                serial: "81985529216486895".into(),
            },
        }
    }
}

impl Default for Announce {
    fn default() -> Self {
        Self::new()
    }
}

/// How the instrument is simulated.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Chooses the noise.
    pub seed: u64,
    /// No TLS.
    pub plain: bool,
    /// The certificate it shows; one is made at the start where there is none.
    pub identity: Option<Identity>,
    /// Whether and where it announces itself.
    pub announce: Option<Announce>,
}

/// Why there is no simulated instrument.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Address in use, or not of this machine.
    #[error("cannot listen on {address}")]
    Listen {
        /// Asked for.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No socket to announce from.
    #[error("cannot announce the instrument")]
    Announce(#[source] io::Error),
    /// No certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Out of threads.
    #[error("no thread for the simulated spectrometer")]
    Thread(#[source] io::Error),
}

/// A simulated instrument. It runs until this is dropped.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    fingerprint: Option<Fingerprint>,
    exposures: Arc<AtomicU64>,
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Switches an instrument on that listens at `address`; port 0 for any.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(
        clock: Clock,
        config: Config,
        faults: Faults,
        address: SocketAddr,
    ) -> Result<Self, StartError> {
        let listen = |source| StartError::Listen { address, source };
        let listener = Async::<TcpListener>::bind(address).map_err(listen)?;
        let address = listener.get_ref().local_addr().map_err(listen)?;
        let tls = match config.plain {
            true => None,
            false => Some(Tls::new(config.identity)?),
        };
        let announcer = match config.announce {
            Some(announce) => Some(Announcer::new(announce).map_err(StartError::Announce)?),
            None => None,
        };
        let fingerprint = tls.as_ref().map(|tls| tls.identity.fingerprint());
        let exposures = Arc::new(AtomicU64::new(0));
        let (alive, end) = bounded(1);
        let start = Start {
            clock,
            seed: config.seed,
            faults,
            address,
            listener,
            tls,
            announcer,
            exposures: exposures.clone(),
        };
        let thread = thread::Builder::new()
            .name("msp1000-sim".into())
            .spawn(move || start.run(end))
            .map_err(StartError::Thread)?;
        Ok(Self {
            address,
            fingerprint,
            exposures,
            alive: Some(alive),
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Of its certificate; `None` without TLS.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    /// Exposures made so far.
    pub fn exposures(&self) -> u64 {
        self.exposures.load(Relaxed)
    }
}

impl Drop for Simulator {
    /// Waits until the port is closed.
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The server's side of TLS.
pub(super) struct Tls {
    identity: Identity,
    all: Arc<ServerConfig>,
}

impl Tls {
    fn new(identity: Option<Identity>) -> Result<Self, CertificateError> {
        let identity = match identity {
            Some(identity) => identity,
            None => make_identity()?,
        };
        let all = identity.server_config(TlsVersions::All)?;
        Ok(Self { identity, all })
    }

    /// What the next connection meets.
    pub(super) fn config(&self, faults: &Faults) -> Result<Arc<ServerConfig>, CertificateError> {
        let versions = match faults.is_on(Fault::Tls) {
            true => TlsVersions::Tls12,
            false => TlsVersions::All,
        };
        match (faults.is_on(Fault::NewCert), versions) {
            (true, versions) => make_identity()?.server_config(versions),
            (false, TlsVersions::All) => Ok(self.all.clone()),
            (false, versions) => self.identity.server_config(versions),
        }
    }
}

fn make_identity() -> Result<Identity, CertificateError> {
    // As far from the address as a real one's is likely to be.
    Identity::generate("msp1000-simulated")
}

struct Announcer {
    socket: Async<UdpSocket>,
    to: SocketAddr,
    datagram: Vec<u8>,
}

impl Announcer {
    fn new(announce: Announce) -> io::Result<Self> {
        let any = match announce.to.is_ipv4() {
            true => SocketAddr::from(([0; 4], 0)),
            false => SocketAddr::from(([0_u16; 8], 0)),
        };
        let socket = Async::<UdpSocket>::bind(any)?;
        socket.get_ref().set_broadcast(true)?;
        Ok(Self {
            socket,
            to: announce.to,
            datagram: announce.announcement.encode(),
        })
    }
}

/// What goes to the thread.
struct Start {
    clock: Clock,
    seed: u64,
    faults: Faults,
    address: SocketAddr,
    listener: Async<TcpListener>,
    tls: Option<Tls>,
    announcer: Option<Announcer>,
    exposures: Arc<AtomicU64>,
}

impl Start {
    fn run(self, end: Receiver<()>) {
        let executor = Rc::new(LocalExecutor::new());
        let next_announcement = self.clock.now();
        let instrument = RefCell::new(Instrument::new(self.seed, self.faults.clone()));
        let board = Board {
            shared: Rc::new(Shared {
                clock: self.clock,
                faults: self.faults,
                tls: self.tls,
                instrument,
                exposures: self.exposures,
            }),
            executor: executor.clone(),
            address: self.address,
            listener: Some(self.listener),
            returns_at: None,
            connections: Vec::new(),
            announcer: self.announcer,
            next_announcement,
            end,
        };
        smol::block_on(executor.run(board.run()));
    }
}

/// What the thread runs.
struct Board {
    shared: Rc<Shared>,
    executor: Rc<LocalExecutor<'static>>,
    address: SocketAddr,
    /// Closed while the instrument is unplugged.
    listener: Option<Async<TcpListener>>,
    /// When it is plugged in again.
    returns_at: Option<Instant>,
    connections: Vec<Task<()>>,
    announcer: Option<Announcer>,
    next_announcement: Instant,
    end: Receiver<()>,
}

enum Event {
    Connected(io::Result<(Async<TcpStream>, SocketAddr)>),
    /// Time has passed, or the faults have changed.
    Look,
    End,
}

impl Board {
    async fn run(mut self) {
        loop {
            self.come_and_go();
            self.announce();
            self.connections.retain(|task| !task.is_finished());
            match self.event().await {
                Event::Connected(Ok((stream, _))) => {
                    let serve = connection::serve(stream, self.shared.clone());
                    self.connections.push(self.executor.spawn(serve));
                }
                // Out of descriptors: there is a client to come, later.
                Event::Connected(Err(_)) => {
                    self.shared.clock.sleep(Duration::from_millis(100)).await;
                }
                Event::Look => {}
                Event::End => return,
            }
        }
    }

    /// Obeys the fault `vanish`.
    fn come_and_go(&mut self) {
        let now = self.shared.clock.now();
        match self.shared.faults.take(Fault::Vanish) {
            0 => {}
            ms => {
                self.listener = None;
                self.connections.clear();
                self.returns_at = Some(now + Duration::from_millis(ms));
            }
        }
        if self.returns_at.is_some_and(|at| at <= now) {
            self.listener = Async::<TcpListener>::bind(self.address).ok();
            // Somebody else has the port meanwhile.
            let retry = now + Duration::from_millis(100);
            self.returns_at = self.listener.is_none().then_some(retry);
        }
    }

    fn announce(&mut self) {
        let now = self.shared.clock.now();
        let Some(announcer) = self.announcer.as_ref() else {
            return;
        };
        if now < self.next_announcement {
            return;
        }
        self.next_announcement = now + ANNOUNCE_PERIOD;
        if self.listener.is_some() {
            let socket = announcer.socket.get_ref();
            // Nobody may be listening, which UDP sockets sometimes learn.
            let _ = socket.send_to(&announcer.datagram, announcer.to);
        }
    }

    async fn event(&self) -> Event {
        let accept = async {
            match &self.listener {
                Some(listener) if self.connections.len() < MAX_CONNECTIONS => {
                    Event::Connected(listener.accept().await)
                }
                _ => std::future::pending().await,
            }
        };
        let clock = &self.shared.clock;
        // At least once a second, to see connections that ended where all places are taken.
        let mut due = clock.now() + ANNOUNCE_PERIOD;
        if self.announcer.is_some() {
            due = due.min(self.next_announcement);
        }
        if let Some(returns_at) = self.returns_at {
            due = due.min(returns_at);
        }
        let look = async {
            or(clock.sleep_until(due), self.shared.faults.changed()).await;
            Event::Look
        };
        let stop = async {
            let _ = self.end.recv().await;
            Event::End
        };
        or(accept, or(look, stop)).await
    }
}
