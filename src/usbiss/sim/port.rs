//! The bridge's USB end: a pseudo-terminal that comes and goes.

use std::io;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures_lite::future::{or, pending, poll_once};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use smol::channel::{Receiver, Sender, bounded};

use super::{Bridge, PACKET, Trouble};
use crate::base::clock::Clock;
use crate::bus::pty::{Pty, PtyError};

/// Why the bridge cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No port.
    #[error("the simulated USB-ISS gets no serial port")]
    Port(#[from] PtyError),
    /// No thread.
    #[error("the simulated USB-ISS gets no thread")]
    Thread(#[source] io::Error),
}

/// A simulated bridge on a pseudo-terminal. It runs until this is dropped.
#[derive(Debug)]
pub struct Port {
    link: PathBuf,
    pts: PathBuf,
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

/// Pull the plug or put it in again; told when done.
#[derive(Debug)]
struct Order {
    plugged: bool,
    done: Sender<()>,
}

impl Port {
    /// Plugs `bridge` in at the symbolic link `link`, which replaces an older one and is removed in the end.
    ///
    /// It runs on a thread of its own, because drivers of serial devices block theirs.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(clock: Clock, bridge: Bridge, link: &Path) -> Result<Self, StartError> {
        let pty = Pty::open(Some(link))?;
        let pts = pty.path().to_owned();
        let (orders, inbox) = bounded(1);
        let board = Board {
            started: clock.now(),
            clock,
            bridge,
            link: link.to_owned(),
            pty: Some(pty),
            returns: None,
            inbox,
        };
        let thread = thread::Builder::new()
            .name("usbiss-sim".into())
            .spawn(move || smol::block_on(board.run()))
            .map_err(StartError::Thread)?;
        Ok(Self {
            link: link.to_owned(),
            pts,
            orders: Some(orders),
            thread: Some(thread),
        })
    }

    /// The serial port, for drivers.
    pub fn path(&self) -> &Path {
        &self.link
    }

    /// The pseudo-terminal behind [`path`](Self::path) at the start; another one after it was plugged in again.
    pub fn pts(&self) -> &Path {
        &self.pts
    }

    /// Pulls the plug: the link goes, an open port is disconnected. The device behind keeps its power. Blocks until it
    /// is done.
    pub fn unplug(&self) {
        self.set_plugged(false);
    }

    /// Puts the plug in again, under the same link. Blocks until it is done.
    pub fn plug(&self) {
        self.set_plugged(true);
    }

    fn set_plugged(&self, plugged: bool) {
        let (done, wait) = bounded(1);
        if let Some(orders) = &self.orders {
            let _ = orders.send_blocking(Order { plugged, done });
            let _ = wait.recv_blocking();
        }
    }
}

impl Drop for Port {
    /// Waits until the link is gone.
    fn drop(&mut self) {
        if let Some(orders) = self.orders.take() {
            orders.close();
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread runs.
struct Board {
    clock: Clock,
    started: Instant,
    bridge: Bridge,
    link: PathBuf,
    pty: Option<Pty>,
    /// While it has vanished.
    returns: Option<Instant>,
    inbox: Receiver<Order>,
}

enum Event {
    Received(io::Result<usize>),
    Ordered(Order),
    Returned,
    End,
}

impl Board {
    async fn run(mut self) {
        let mut packet = [0; PACKET];
        loop {
            match self.event(&mut packet).await {
                Event::Received(Ok(count @ 1..)) => self.message(&packet[..count]).await,
                Event::Received(_) => self.pull_plug(),
                Event::Returned => self.put_plug(),
                Event::Ordered(Order { plugged, done }) => {
                    match plugged {
                        true => self.put_plug(),
                        false => self.pull_plug(),
                    }
                    let _ = done.try_send(());
                }
                Event::End => return,
            }
        }
    }

    async fn event(&mut self, packet: &mut [u8]) -> Event {
        let pty = &mut self.pty;
        let received = async {
            match pty {
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
            self.pull_plug();
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
        if let Some(pty) = &mut self.pty
            && let Some(Err(_)) = poll_once(pty.write_all(piece)).await
        {
            self.pull_plug();
        }
    }

    fn now(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.started)
    }

    fn pull_plug(&mut self) {
        self.pty = None;
    }

    fn put_plug(&mut self) {
        self.returns = None;
        if self.pty.is_some() {
            return;
        }
        self.bridge.replug();
        match Pty::open(Some(&self.link)) {
            Ok(pty) => self.pty = Some(pty),
            Err(error) => tracing::error!("the simulated USB-ISS stays unplugged: {error}"),
        }
    }
}
