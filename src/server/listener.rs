//! Accepting connections: a limit on their number, and sockets set as clients need them.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::Async;

use super::http;
use super::services::Services;
use super::session::{self, TextProtocol};
use super::spectrometer;
use super::thermal;

/// What a port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// SCPI alone (5025).
    Scpi,
    /// The FE-PyCam2 dialect beside SCPI (5060).
    Legacy,
    /// The thermal camera's own (5001).
    Thermal,
    /// The spectrometer's own, over TLS (8000).
    Spectrometer,
    /// HTTP and WebSocket (8080).
    Http,
}

/// A bound port.
pub struct Listener {
    socket: Async<TcpListener>,
    protocol: Protocol,
    max_clients: usize,
}

/// Refusals are logged once in this time.
const REFUSAL_LOG: Duration = Duration::from_secs(60);
/// Idle time before TCP asks whether the client still lives.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// After an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

struct Seat(Rc<Cell<usize>>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Listener {
    /// Binds a port.
    ///
    /// # Errors
    /// Those of the system: in use, not permitted, address not of this machine.
    pub fn bind(address: SocketAddr, protocol: Protocol, max_clients: usize) -> io::Result<Self> {
        Ok(Self {
            socket: Async::<TcpListener>::bind(address)?,
            protocol,
            max_clients,
        })
    }

    /// Address really bound.
    ///
    /// # Errors
    /// Those of the system.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }

    /// Accepts until the station stops.
    pub async fn run(self, services: Rc<Services>) {
        let seats = Rc::new(Cell::new(0));
        let mut refused = Refusals::default();
        while let Some(accepted) = services.shutdown.guard(self.socket.accept()).await {
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    services.server_health.count("accept_errors");
                    services.clock.sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if seats.get() >= self.max_clients {
                services.server_health.count("refused_clients");
                refused.note(services.clock.now(), self.max_clients);
                continue;
            }
            if let Err(error) = prepare(stream.get_ref()) {
                tracing::debug!(%error, "client left at once");
                continue;
            }
            seats.set(seats.get() + 1);
            services.server_health.count("connections");
            let seat = Seat(seats.clone());
            let session = serve(stream, services.clone(), self.protocol);
            let task = async move {
                let _seat = seat;
                session.await;
            };
            services.executor.spawn(task).detach();
        }
    }
}

async fn serve(stream: Async<TcpStream>, services: Rc<Services>, protocol: Protocol) {
    match protocol {
        Protocol::Scpi => session::serve(stream, services, TextProtocol::Scpi).await,
        Protocol::Legacy => session::serve(stream, services, TextProtocol::Legacy).await,
        Protocol::Thermal => thermal::serve(stream, services).await,
        Protocol::Spectrometer => spectrometer::serve(stream, services).await,
        Protocol::Http => http::serve(stream, services).await,
    }
}

/// Counts refused clients between log lines.
#[derive(Default)]
struct Refusals {
    logged: Option<Instant>,
    since: u32,
}

impl Refusals {
    fn note(&mut self, now: Instant, limit: usize) {
        self.since += 1;
        if self
            .logged
            .is_none_or(|logged| now.saturating_duration_since(logged) >= REFUSAL_LOG)
        {
            tracing::warn!(
                refused = self.since,
                limit,
                "too many clients; connections closed at once"
            );
            *self = Self {
                logged: Some(now),
                since: 0,
            };
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE)?;
    Ok(())
}
