//! The bridge's USB end: a pseudo-terminal that comes and goes.

use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future::{or, pending, poll_once};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use smol::channel::Receiver;

use super::{Bridge, PACKET, Trouble};
use crate::base::clock::Clock;
use crate::bus::sim_port::{PlugOrder, SimPort, Socket, StartError};

/// A simulated bridge on a pseudo-terminal. It runs until this is dropped.
pub type Port = SimPort<PlugOrder>;

/// Plugs `bridge` in at the symbolic link `link`, which replaces an older one and is removed in the end.
///
/// # Errors
/// [`StartError`].
pub fn plug_in(clock: Clock, bridge: Bridge, link: &Path) -> Result<Port, StartError> {
    let started = clock.now();
    SimPort::start("USB-ISS", "usbiss-sim", link, move |socket, inbox| {
        let board = Board {
            started,
            clock,
            bridge,
            socket,
            returns: None,
            inbox,
        };
        board.run()
    })
}

/// What the thread runs.
struct Board {
    clock: Clock,
    started: Instant,
    bridge: Bridge,
    socket: Socket,
    /// While it has vanished.
    returns: Option<Instant>,
    inbox: Receiver<PlugOrder>,
}

enum Event {
    Received(io::Result<usize>),
    Ordered(PlugOrder),
    Returned,
    End,
}

impl Board {
    async fn run(mut self) {
        let mut packet = [0; PACKET];
        loop {
            match self.event(&mut packet).await {
                Event::Received(Ok(count @ 1..)) => self.message(&packet[..count]).await,
                Event::Received(_) => self.socket.pull(),
                Event::Returned => self.put_plug(),
                Event::Ordered(order) => order.obey(|plugged| match plugged {
                    true => self.put_plug(),
                    false => self.socket.pull(),
                }),
                Event::End => return,
            }
        }
    }

    async fn event(&mut self, packet: &mut [u8]) -> Event {
        let line = self.socket.line();
        let received = async {
            match line {
                Some(pty) => Event::Received(pty.read(packet).await),
                None => pending().await,
            }
        };
        let order = async {
            let order = self.inbox.recv().await;
            order.map_or(Event::End, Event::Ordered)
        };
        let returned = async {
            match self.returns {
                Some(due) => self.clock.sleep_until(due).await,
                None => pending().await,
            }
            Event::Returned
        };
        or(order, or(received, returned)).await
    }

    async fn message(&mut self, packet: &[u8]) {
        if let Some(absence) = self.bridge.vanishes() {
            self.socket.pull();
            self.returns = Some(self.clock.now() + absence);
            return;
        }
        let now = self.now();
        let answer = self.bridge.message(packet, now);
        let size = match self.bridge.strikes(Trouble::Chunk) {
            true => 1,
            false => PACKET,
        };
        for piece in answer.chunks(size) {
            self.send(piece).await;
            // The host's thread gets its turn between two pieces.
            thread::yield_now();
        }
    }

    /// Sends what the kernel takes at once: nobody waits for a host that reads nothing.
    async fn send(&mut self, piece: &[u8]) {
        if let Some(pty) = self.socket.line()
            && let Some(Err(_)) = poll_once(pty.write_all(piece)).await
        {
            self.socket.pull();
        }
    }

    fn now(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.started)
    }

    fn put_plug(&mut self) {
        self.returns = None;
        if !self.socket.is_plugged() {
            self.bridge.replug();
            self.socket.put();
        }
    }
}
