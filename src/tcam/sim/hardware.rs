//! The camera in hardware mode: its UART behind a pseudo-terminal, its SPI slave in memory.
//!
//! It runs on a thread of its own that sleeps while nothing happens, so that SPI transactions may block whichever
//! thread makes them.

use std::future::{pending, poll_fn};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::future::or;
use futures_lite::io::AsyncRead;
use smol::channel::{Receiver, Sender, bounded};

use super::camera::{Camera, Config, Interface};
use super::faults::Faults;
use super::front::{Outgoing, Pace, Presence, Turn};
use super::wire::Output;
use crate::base::clock::Clock;
use crate::bus::pty::Pty;
use crate::bus::sim_port::{PlugOrder, SimPort, Socket, StartError};
use crate::bus::spi::{MemorySpi, SpiLink};

/// Bytes for a host that does not read: those of the camera's ring buffer. More are lost, as on a wire.
const UART_BUFFER: usize = 2048;
/// Clock of the emulated SPI timing.
const SPI_HZ: u64 = 7_000_000;
/// What a line reads that nobody drives.
const FLOATING: u8 = 0xff;

/// A simulated camera with UART and SPI. It runs until this is dropped.
#[derive(Debug)]
pub struct Hardware {
    uart: SimPort<Order>,
}

/// The camera's SPI slave, for any number of masters: they take turns.
#[derive(Debug, Clone)]
pub struct SpiPort {
    orders: Sender<Order>,
}

#[derive(Debug)]
enum Order {
    Transfer(Transaction),
    Plug(PlugOrder),
}

impl From<PlugOrder> for Order {
    fn from(order: PlugOrder) -> Self {
        Self::Plug(order)
    }
}

#[derive(Debug)]
struct Transaction {
    words: Vec<u8>,
    reply: Sender<Vec<u8>>,
}

impl Hardware {
    /// Switches a camera on, its UART at the symbolic link `link`, which an older one is replaced by and which is
    /// removed in the end. The interface of `config` is made to fit.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(
        clock: Clock,
        config: Config,
        faults: Faults,
        link: &Path,
    ) -> Result<Self, StartError> {
        let config = Config {
            interface: Interface::Hardware,
            ..config
        };
        // Its time begins now and not when its thread does.
        let pace = Pace::new(clock);
        let camera = Camera::new(config, faults, pace.now());
        let uart = SimPort::start("thermal camera", "tcam-sim", link, move |socket, inbox| {
            let board = Board {
                camera,
                pace,
                socket,
                outgoing: Outgoing::default(),
                inbox,
                transactions: Vec::new(),
                presence: Presence::default(),
            };
            board.run()
        })?;
        Ok(Self { uart })
    }

    /// The UART, for drivers.
    pub fn port(&self) -> &Path {
        self.uart.path()
    }

    /// The pseudo-terminal behind [`port`](Self::port) at the start; another one after it was plugged in again.
    pub fn pts(&self) -> &Path {
        self.uart.pts()
    }

    /// The SPI slave.
    pub fn spi_port(&self) -> SpiPort {
        SpiPort {
            orders: self.uart.orders().clone(),
        }
    }

    /// The SPI slave as a driver opens it, as often as it likes. Transactions block.
    pub fn spi(&self) -> SpiLink {
        self.spi_port().open()
    }

    /// Pulls the UART's plug: the link goes, an open port is disconnected. The camera stays powered and goes on.
    /// Blocks until it is done.
    pub fn unplug(&self) {
        self.uart.unplug();
    }

    /// Puts the plug in again, under the same link. Blocks until it is done.
    pub fn plug(&self) {
        self.uart.plug();
    }
}

impl SpiPort {
    /// As a driver opens it. Transactions block.
    pub fn open(&self) -> SpiLink {
        let port = self.clone();
        // Goes to the camera and back, so that no transaction needs memory.
        let mut words = Vec::new();
        SpiLink::Memory(MemorySpi::new(move |clocked| {
            words.resize(clocked.len(), 0);
            words = smol::block_on(port.transfer(std::mem::take(&mut words)));
            clocked.copy_from_slice(&words);
            Ok(())
        }))
    }

    /// One transaction that fills `words`. Without a camera the line floats.
    pub async fn transfer(&self, words: Vec<u8>) -> Vec<u8> {
        let length = words.len();
        let (reply, answer) = bounded(1);
        let transaction = Order::Transfer(Transaction { words, reply });
        let _ = self.orders.send(transaction).await;
        answer
            .recv()
            .await
            .unwrap_or_else(|_| vec![FLOATING; length])
    }
}

/// What the thread runs.
struct Board {
    camera: Camera,
    pace: Pace,
    socket: Socket,
    outgoing: Outgoing,
    inbox: Receiver<Order>,
    /// Being clocked until then.
    transactions: Vec<(Duration, Transaction)>,
    presence: Presence,
}

enum Event {
    Received(io::Result<usize>),
    Written(io::Result<()>),
    Ordered(Order),
    /// Time has passed, or the faults have changed.
    Look,
    End,
}

impl Board {
    async fn run(mut self) {
        let mut buffer = [0; 1024];
        loop {
            self.come_and_go();
            self.step();
            match self.event(&mut buffer).await {
                Event::Received(Ok(count @ 1..)) => {
                    let now = self.pace.now();
                    if !self.presence.is_absent() {
                        self.camera.receive(&buffer[..count], now);
                    }
                }
                Event::Received(_) | Event::Written(Err(_)) => self.pull_plug(),
                Event::Written(Ok(())) | Event::Look => {}
                Event::Ordered(order) => self.obey(order),
                Event::End => return,
            }
        }
    }

    async fn event(&mut self, buffer: &mut [u8]) -> Event {
        let now = self.pace.now();
        let transaction = self.transactions.iter().map(|(end, _)| *end).min();
        let camera = match self.presence.is_absent() {
            true => self.presence.returns_at(),
            false => self.camera.next_due(now),
        };
        let due = transaction.into_iter().chain(camera).min();
        let faults = self.camera.faults().clone();
        let (line, outgoing) = (self.socket.line(), &mut self.outgoing);
        let uart = async {
            match line {
                Some(pty) => poll_fn(|cx| poll_uart(pty, outgoing, buffer, cx)).await,
                None => pending().await,
            }
        };
        let order = async {
            let order = self.inbox.recv().await;
            order.map_or(Event::End, Event::Ordered)
        };
        let look = async {
            or(self.pace.sleep_until(due), faults.changed()).await;
            Event::Look
        };
        or(uart, or(order, look)).await
    }

    /// Lets the camera and its SPI slave do what is due.
    fn step(&mut self) {
        let now = self.pace.now();
        let (done, clocked) = self
            .transactions
            .drain(..)
            .partition::<Vec<_>, _>(|(end, _)| *end <= now);
        self.transactions = clocked;
        for (_, transaction) in done {
            self.transfer(transaction, now);
        }
        if self.presence.is_absent() {
            return;
        }
        self.camera.poll(now);
        while let Some(output) = self.camera.next_output(now) {
            match output {
                Output::Bytes(bytes) if self.outgoing.len() + bytes.len() <= UART_BUFFER => {
                    self.outgoing.push(bytes);
                }
                Output::Bytes(_) | Output::Close => {}
            }
        }
        if !self.socket.is_plugged() {
            self.outgoing.clear();
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Transfer(transaction) => {
                let words = transaction.words.len() as u64;
                let us = match self.camera.config().spi_timing {
                    true => words * 8 * 1_000_000 / SPI_HZ,
                    false => 0,
                };
                let end = self.pace.now() + Duration::from_micros(us);
                self.transactions.push((end, transaction));
            }
            Order::Plug(order) => order.obey(|plugged| match plugged {
                true => self.socket.put(),
                false => self.pull_plug(),
            }),
        }
    }

    fn transfer(&mut self, mut transaction: Transaction, now: Duration) {
        match self.presence.is_absent() {
            true => transaction.words.fill(FLOATING),
            false => self.camera.transfer(&mut transaction.words, now),
        }
        // A master that gave up does not listen.
        let _ = transaction.reply.try_send(transaction.words);
    }

    /// Obeys the fault `vanish`: power goes and comes as well.
    fn come_and_go(&mut self) {
        let now = self.pace.now();
        match self.presence.obey(self.camera.faults(), now) {
            Some(Turn::Goes) => self.pull_plug(),
            Some(Turn::Returns) => {
                self.camera.restart(Duration::ZERO, now);
                self.socket.put();
            }
            None => {}
        }
    }

    fn pull_plug(&mut self) {
        self.socket.pull();
        self.outgoing.clear();
    }
}

fn poll_uart(
    pty: &mut Pty,
    outgoing: &mut Outgoing,
    buffer: &mut [u8],
    cx: &mut Context<'_>,
) -> Poll<Event> {
    if let Poll::Ready(result) = outgoing.poll_write(Pin::new(pty), cx) {
        return Poll::Ready(Event::Written(result));
    }
    Pin::new(pty).poll_read(cx, buffer).map(Event::Received)
}
