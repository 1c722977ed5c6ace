//! Announcements by UDP: those of instruments, listened for, and the station's own.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use smol::Async;
use smol::channel::Sender;

use super::is_discovered;
use crate::base::trace::Direction;
use crate::msp1000::found::News;
use crate::msp1000::proto::Announcement;
use crate::msp1000::proto::discovery::MAX_DATAGRAM;
use crate::msp1000::{Address, Listening, Order, SCAN, Shared, Stage};

/// After a socket that could not be had.
const RETRY: Duration = Duration::from_secs(30);
/// Between two announcements.
const PERIOD: Duration = Duration::from_secs(1);

/// Listens as long as the station runs, if it is to.
pub(super) async fn listen(shared: &Shared, waker: &Sender<Order>) {
    if shared.options.listening != Listening::On {
        return;
    }
    loop {
        let error = match open(shared.options.discovery) {
            Ok(socket) => receive(shared, &socket, Some(waker)).await,
            Err(error) => error,
        };
        note_trouble(shared, &error);
        shared.clock.sleep(RETRY).await;
    }
}

/// Listens for a while, for whoever asks for the list.
pub(in crate::msp1000) async fn scan(shared: &Shared) {
    // One socket for all who ask at the same time: each would hear but a part.
    if shared.scans.get() > 0 {
        return shared.clock.sleep(SCAN).await;
    }
    let _scanning = Scanning::new(shared);
    match open(shared.options.discovery) {
        Ok(socket) => {
            let receive = receive(shared, &socket, None);
            if let Some(error) = shared.clock.timeout(SCAN, receive).await {
                note_trouble(shared, &error);
            }
        }
        Err(error) => note_trouble(shared, &error),
    }
}

/// Tells the network that there is a spectrometer here, while there is one.
pub(super) async fn announce(shared: &Shared) {
    let Some(announcing) = &shared.options.announcing else {
        return;
    };
    let any = match announcing.to.is_ipv4() {
        true => SocketAddr::from(([0; 4], 0)),
        false => SocketAddr::from(([0_u16; 8], 0)),
    };
    let socket = Async::<UdpSocket>::bind(any).and_then(|socket| {
        socket.get_ref().set_broadcast(true)?;
        let from = socket.get_ref().local_addr()?.port();
        shared.announcing_from.set(Some(from));
        Ok(socket)
    });
    let socket = match socket {
        Ok(socket) => socket,
        Err(error) => return note_trouble(shared, &error),
    };
    loop {
        let peer = shared.peer.borrow().clone();
        if let Some(peer) = peer.filter(|_| shared.stage.get() == Stage::Ready) {
            let announcement = Announcement {
                interface: announcing.interface.clone(),
                serial: peer.serial.to_string(),
            };
            // Nobody may be listening, or no network may be up.
            let _ = socket.send_to(&announcement.encode(), announcing.to).await;
        }
        shared.clock.sleep(PERIOD).await;
    }
}

struct Scanning<'a>(&'a Shared);

impl<'a> Scanning<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.scans.set(shared.scans.get() + 1);
        Self(shared)
    }
}

impl Drop for Scanning<'_> {
    fn drop(&mut self) {
        self.0.scans.set(self.0.scans.get() - 1);
    }
}

/// Shares the port with other programs that do so too.
fn open(address: SocketAddr) -> io::Result<Async<UdpSocket>> {
    let family = match address.is_ipv4() {
        true => AddressFamily::INET,
        false => AddressFamily::INET6,
    };
    let socket = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    bind(&socket, &address)?;
    Async::new(UdpSocket::from(socket))
}

/// Notes what is announced until the socket fails.
async fn receive(
    shared: &Shared,
    socket: &Async<UdpSocket>,
    waker: Option<&Sender<Order>>,
) -> io::Error {
    let mut datagram = [0; MAX_DATAGRAM];
    loop {
        let (length, from) = match socket.recv_from(&mut datagram).await {
            Ok(received) => received,
            Err(error) => return error,
        };
        let is_new = note(shared, &datagram[..length], from);
        // Not where a person has to help first: anybody could make it a storm of tries.
        let is_missing = is_discovered(shared) && shared.stage.get() == Stage::Failed;
        if let Some(waker) = waker.filter(|_| is_new && is_missing) {
            let _ = waker.try_send(Order::Connect);
        }
        // A flood of datagrams must not keep others from their turn.
        smol::future::yield_now().await;
    }
}

/// Whether an instrument was not there before.
fn note(shared: &Shared, datagram: &[u8], from: SocketAddr) -> bool {
    if shared.announcing_from.get() == Some(from.port()) {
        return false;
    }
    let announcement = match Announcement::parse(datagram) {
        Ok(announcement) => announcement,
        Err(_) => {
            shared.health.count("bad_datagrams");
            return false;
        }
    };
    shared.health.count("announcements");
    shared.trace.note(Direction::Received, || {
        format!("{from}: {}", datagram.escape_ascii())
    });
    let heard = (shared.clock.now(), shared.clock.utc());
    let mut found = shared.found.borrow_mut();
    let in_use = |serial: &str| is_in_use(shared, serial);
    match found.note(announcement, from.ip().to_canonical(), heard, in_use) {
        News::New => true,
        News::Known => false,
        // In a flood of names none is worth a try of its own: those that are made anyway see the newest.
        News::Displacing => {
            shared.health.count("discovery_overflows");
            false
        }
    }
}

/// Whether it is the instrument that is configured, or the one connected now or last.
fn is_in_use(shared: &Shared, serial: &str) -> bool {
    let peer = shared.peer.borrow();
    let configured = match &shared.options.address {
        Address::Host { serial, .. } => serial.as_deref(),
        _ => None,
    };
    configured == Some(serial) || peer.as_ref().is_some_and(|peer| *peer.serial == *serial)
}

fn note_trouble(shared: &Shared, error: &io::Error) {
    let reason = format!(
        "cannot use UDP port {} for announcements: {error}",
        shared.options.discovery.port()
    );
    tracing::warn!("{reason}");
    shared.health.count("discovery_errors");
    shared.health.record(reason);
}
