//! The camera in network mode: TCP, one client. A further connection waits unserved until the first is closed.

use std::future::{pending, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_lite::future::or;
use futures_lite::io::AsyncRead;
use smol::Async;
use smol::channel::{Receiver, Sender, bounded};

use super::camera::{Camera, Config, Interface};
use super::faults::Faults;
use super::front::{Outgoing, Pace, Presence, Turn};
use super::wire::Output;
use crate::base::clock::Clock;

/// A simulated camera on a TCP port, on a thread of its own. It runs until this is dropped.
#[derive(Debug)]
pub struct Network {
    address: SocketAddr,
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Network {
    /// Switches a camera on that listens at `address`; port 0 for any. The interface of `config` is made to fit.
    ///
    /// # Errors
    /// Those of the system: address in use or not of this machine, no thread.
    pub fn start(
        clock: Clock,
        config: Config,
        faults: Faults,
        address: SocketAddr,
    ) -> io::Result<Self> {
        let listener = Async::<TcpListener>::bind(address)?;
        let address = listener.get_ref().local_addr()?;
        let (alive, end) = bounded(1);
        let config = Config {
            interface: Interface::Network,
            ..config
        };
        let pace = Pace::new(clock);
        let board = Board {
            camera: Camera::new(config, faults, pace.now()),
            pace,
            listener,
            client: None,
            outgoing: Outgoing::default(),
            closing: false,
            end,
            presence: Presence::default(),
        };
        let thread = thread::Builder::new()
            .name("tcam-sim".into())
            .spawn(move || smol::block_on(board.run()))?;
        Ok(Self {
            address,
            alive: Some(alive),
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Network {
    /// Waits until the port is closed.
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread runs.
struct Board {
    camera: Camera,
    pace: Pace,
    listener: Async<TcpListener>,
    client: Option<Async<TcpStream>>,
    outgoing: Outgoing,
    /// The connection ends when all is written.
    closing: bool,
    end: Receiver<()>,
    presence: Presence,
}

enum Event {
    Connected(io::Result<(Async<TcpStream>, SocketAddr)>),
    Received(io::Result<usize>),
    Written(io::Result<()>),
    /// Time has passed, or the faults have changed.
    Look,
    End,
}

impl Board {
    async fn run(mut self) {
        // As much as the camera reads at a time.
        let mut buffer = [0; 256];
        loop {
            self.come_and_go();
            self.step();
            match self.event(&mut buffer).await {
                Event::Connected(Ok((client, _))) => {
                    let _ = client.get_ref().set_nodelay(true);
                    self.client = Some(client);
                }
                // Out of descriptors: there is a client to come, later.
                Event::Connected(Err(_)) => {
                    let later = self.pace.now() + Duration::from_millis(100);
                    self.pace.sleep_until(Some(later)).await;
                }
                Event::Received(Ok(count @ 1..)) => {
                    let now = self.pace.now();
                    self.camera.receive(&buffer[..count], now);
                }
                Event::Received(_) | Event::Written(Err(_)) => self.hang_up(),
                Event::Written(Ok(())) | Event::Look => {}
                Event::End => return,
            }
        }
    }

    async fn event(&mut self, buffer: &mut [u8]) -> Event {
        let now = self.pace.now();
        let due = match self.presence.is_absent() {
            true => self.presence.returns_at(),
            // Sending blocks the camera.
            false if !self.outgoing.is_empty() => None,
            false => self.camera.next_due(now),
        };
        let faults = self.camera.faults().clone();
        let (client, outgoing) = (&self.client, &mut self.outgoing);
        let link = async {
            match client {
                Some(client) => poll_fn(|cx| poll_client(client, outgoing, buffer, cx)).await,
                None if !self.presence.is_absent() => {
                    Event::Connected(self.listener.accept().await)
                }
                None => pending().await,
            }
        };
        let look = async {
            or(self.pace.sleep_until(due), faults.changed()).await;
            Event::Look
        };
        let end = async {
            let _ = self.end.recv().await;
            Event::End
        };
        or(link, or(look, end)).await
    }

    fn step(&mut self) {
        if self.presence.is_absent() || !self.outgoing.is_empty() {
            return;
        }
        if self.closing {
            self.hang_up();
        }
        let now = self.pace.now();
        self.camera.poll(now);
        while let Some(output) = self.camera.next_output(now) {
            match output {
                Output::Bytes(bytes) if self.client.is_some() => self.outgoing.push(bytes),
                Output::Bytes(_) => {}
                Output::Close if self.outgoing.is_empty() => self.hang_up(),
                Output::Close => {
                    self.closing = true;
                    return;
                }
            }
        }
    }

    fn hang_up(&mut self) {
        self.client = None;
        self.closing = false;
        self.outgoing.clear();
        self.camera.disconnect();
    }

    /// Obeys the fault `vanish`: power goes and comes as well.
    fn come_and_go(&mut self) {
        let now = self.pace.now();
        match self.presence.obey(self.camera.faults(), now) {
            Some(Turn::Goes) => self.hang_up(),
            Some(Turn::Returns) => {
                self.camera.restart(Duration::ZERO, now);
            }
            None => {}
        }
    }
}

fn poll_client(
    mut client: &Async<TcpStream>,
    outgoing: &mut Outgoing,
    buffer: &mut [u8],
    cx: &mut Context<'_>,
) -> Poll<Event> {
    if let Poll::Ready(result) = outgoing.poll_write(Pin::new(&mut client), cx) {
        return Poll::Ready(Event::Written(result));
    }
    Pin::new(&mut client)
        .poll_read(cx, buffer)
        .map(Event::Received)
}
