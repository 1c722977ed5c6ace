//! The oscilloscope's wires: configuration to a link, and the simulated one.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use rustix::net::sockopt;
use smol::Async;
use smol::net::TcpStream;

use crate::base::clock::Clock;
use crate::base::error::{Failure, Kind};
use crate::base::fault::FaultSwitch;
use crate::base::trace::Trace;
use crate::bitscope::driver::{BAUD, Link, Scope, candidates};
use crate::bitscope::proto::datagram::SERVER_COMMANDS;
use crate::bitscope::{Connecting, LinkKind, Options, sim};
use crate::bus::serial::open_async;
use crate::bus::usb::adapters;
use crate::config::{BitscopeUrl, HostPort, Loaded};

/// For a connection, and for a name to be looked up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Of silence, until the other side is asked whether it is there, and between two such questions.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How the oscilloscope is to be run, and the faults it can be told to have.
pub(super) struct Setup {
    pub(super) options: Options,
    pub(super) faults: Option<FaultSwitch>,
}

/// What the configuration makes of the oscilloscope; `None` when it is switched off. Opens nothing but a simulator.
pub(super) fn set_up(loaded: &Loaded, clock: &Clock) -> Option<Setup> {
    let scope = &loaded.config.bitscope;
    if !scope.enabled {
        return None;
    }
    let simulated_board = loaded.board.is_simulated();
    let (mut options, faults) = match &scope.url {
        BitscopeUrl::Sim => simulated(loaded, clock),
        BitscopeUrl::Auto if simulated_board => simulated(loaded, clock),
        BitscopeUrl::Auto => (auto(loaded), None),
        BitscopeUrl::Serial(path) => (serial(path.clone()), None),
        BitscopeUrl::Tcp(host) => (tcp(host.clone()), None),
        BitscopeUrl::Server(host) => (server(host.clone()), None),
    };
    options.calibrations = Some(loaded.config.storage.data.join("bitscope.ini"));
    Some(Setup {
        options,
        faults: faults.filter(|_| simulated_board),
    })
}

fn options<F>(kind: LinkKind, connect: impl Fn(Clock, Trace) -> F + 'static) -> Options
where
    F: Future<Output = Result<Scope, Failure>> + 'static,
{
    Options {
        kind,
        connect: Box::new(move |clock, trace| -> Connecting { Box::pin(connect(clock, trace)) }),
        calibrations: None,
    }
}

fn serial(path: PathBuf) -> Options {
    options(LinkKind::Serial, move |clock, trace| {
        let path = path.clone();
        async move { connect_serial(&path, clock, trace).await }
    })
}

async fn connect_serial(path: &Path, clock: Clock, trace: Trace) -> Result<Scope, Failure> {
    let port = open_async(path, BAUD)
        .await
        .map_err(|error| Failure::from_error(error.kind(), &error))?;
    port.drain()
        .map_err(|error| Failure::from_error(Kind::Hardware, &error))?;
    Ok(Scope::connect(Link::Stream(Box::pin(port)), clock, trace).await?)
}

/// Asks one adapter of the right kind after the other, but none that another instrument has.
fn auto(loaded: &Loaded) -> Options {
    let config = &loaded.config;
    let claimed = [config.tcam.uart.clone(), config.opc.tty.clone()];
    let claimed: Rc<[PathBuf]> = claimed.into_iter().flatten().collect();
    options(LinkKind::Serial, move |clock, trace| {
        let claimed = claimed.clone();
        async move {
            let plugged: Vec<_> = smol::unblock(adapters)
                .await
                .into_iter()
                .map(|adapter| {
                    let names = adapter.by_id.into_iter().chain([adapter.device]);
                    (names.collect::<Vec<_>>(), adapter.id)
                })
                .collect();
            let mut failure = None;
            for path in candidates(&plugged, &real_paths(&claimed)) {
                match connect_serial(path, clock.clone(), trace.clone()).await {
                    Ok(scope) => return Ok(scope),
                    Err(error) => failure = Some(error),
                }
            }
            Err(failure.unwrap_or_else(|| {
                let text =
                    "no BitScope is plugged in (USB id 0403:6001): plug it in, or set bitscope.url";
                Failure::new(Kind::Absent, text)
            }))
        }
    })
}

/// Each path, and what it leads to where it is a link.
fn real_paths(paths: &[PathBuf]) -> Vec<PathBuf> {
    let real = paths
        .iter()
        .filter_map(|path| std::fs::canonicalize(path).ok());
    real.chain(paths.iter().cloned()).collect()
}

fn tcp(host: HostPort) -> Options {
    options(LinkKind::Tcp, move |clock, trace| {
        let host = host.clone();
        async move {
            let connecting = TcpStream::connect((host.host.as_str(), host.port));
            let stream = clock.timeout(CONNECT_TIMEOUT, connecting).await;
            let stream = stream.unwrap_or(Err(std::io::ErrorKind::TimedOut.into()));
            let stream = stream.map_err(|error| unreachable(&host, &error))?;
            watch(&stream).map_err(|error| unreachable(&host, &error))?;
            Ok(Scope::connect(Link::Stream(Box::pin(stream)), clock, trace).await?)
        }
    })
}

/// A trace may wait for its trigger for hours: a device that has lost its power meanwhile is noticed all the same.
fn watch(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE)?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    Ok(())
}

fn server(host: HostPort) -> Options {
    options(LinkKind::Server, move |clock, trace| {
        let host = host.clone();
        async move {
            let resolving = smol::net::resolve((host.host.as_str(), host.port));
            let addresses = clock.timeout(CONNECT_TIMEOUT, resolving).await;
            let addresses = addresses.unwrap_or(Err(std::io::ErrorKind::TimedOut.into()));
            let socket = addresses.and_then(|addresses| connect_datagrams(&addresses));
            let socket = socket.map_err(|error| unreachable(&host, &error))?;
            let link = Link::Datagrams {
                socket: Box::new(socket),
                max_commands: SERVER_COMMANDS,
            };
            Ok(Scope::connect(link, clock, trace).await?)
        }
    })
}

fn connect_datagrams(addresses: &[std::net::SocketAddr]) -> std::io::Result<Async<UdpSocket>> {
    let address = addresses
        .first()
        .ok_or(std::io::ErrorKind::AddrNotAvailable)?;
    let any: std::net::IpAddr = match address.is_ipv4() {
        true => std::net::Ipv4Addr::UNSPECIFIED.into(),
        false => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(address)?;
    Async::new(socket)
}

fn unreachable(host: &HostPort, error: &std::io::Error) -> Failure {
    let (host, port) = (&host.host, host.port);
    let text = format!("no BitScope answers at {host}:{port}: {error}");
    Failure::new(Kind::Absent, text)
}

/// The simulated oscilloscope, reached as a real one is: a serial port by its path.
fn simulated(loaded: &Loaded, clock: &Clock) -> (Options, Option<FaultSwitch>) {
    let faults = sim::Faults::none();
    let link = loaded.config.storage.data.join("bitscope.tty");
    let port = sim::plug_in(clock.clone(), sim::Config::default(), faults.clone(), &link)
        .map_err(|error| Failure::from_error(Kind::Absent, &error));
    let port = Rc::new(port);
    let options = options(LinkKind::Sim, move |clock, trace| {
        let port = port.clone();
        async move {
            let port = port.as_ref().as_ref().map_err(Failure::clone)?;
            connect_serial(port.path(), clock, trace).await
        }
    });
    (options, Some(faults.switch()))
}
