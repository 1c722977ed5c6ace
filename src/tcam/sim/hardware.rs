//! The camera in hardware mode: its UART behind a pseudo-terminal, its SPI slave in memory.
//!
//! It runs on a thread of its own that sleeps while nothing happens, so that SPI transactions may block whichever
//! thread makes them.

use std::future::{pending, poll_fn};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_lite::future::or;
use futures_lite::io::AsyncRead;
use smol::channel::{Receiver, Sender, bounded};

use super::camera::{Camera, Config, Interface};
use super::faults::Faults;
use super::front::{Outgoing, Pace, Presence, Turn};
use super::wire::Output;
use crate::base::clock::Clock;
use crate::bus::pty::{Pty, PtyError};
use crate::bus::spi::{MemorySpi, SpiLink};

/// Bytes for a host that does not read: those of the camera's ring buffer. More are lost, as on a wire.
const UART_BUFFER: usize = 2048;
/// Clock of the emulated SPI timing.
const SPI_HZ: u64 = 7_000_000;
/// What a line reads that nobody drives.
const FLOATING: u8 = 0xff;

/// Why the camera cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No port.
    #[error("the simulated thermal camera gets no serial port")]
    Port(#[from] PtyError),
    /// No thread.
    #[error("the simulated thermal camera gets no thread")]
    Thread(#[source] io::Error),
}

/// A simulated camera with UART and SPI. It runs until this is dropped.
#[derive(Debug)]
pub struct Hardware {
    link: PathBuf,
    pts: PathBuf,
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

/// The camera's SPI slave, for any number of masters: they take turns.
#[derive(Debug, Clone)]
pub struct SpiPort {
    orders: Sender<Order>,
}

#[derive(Debug)]
enum Order {
    Transfer(Transaction),
    /// Pull the plug of the UART, or put it in again; told when done.
    Plug {
        plugged: bool,
        done: Sender<()>,
    },
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
        let pty = Pty::open(Some(link))?;
        let pts = pty.path().to_owned();
        let (orders, inbox) = bounded(16);
        let config = Config {
            interface: Interface::Hardware,
            ..config
        };
        let pace = Pace::new(clock);
        let board = Board {
            camera: Camera::new(config, faults, pace.now()),
            pace,
            link: link.to_owned(),
            pty: Some(pty),
            outgoing: Outgoing::default(),
            inbox,
            transactions: Vec::new(),
            presence: Presence::default(),
        };
        let thread = thread::Builder::new()
            .name("tcam-sim".into())
            .spawn(move || smol::block_on(board.run()))
            .map_err(StartError::Thread)?;
        Ok(Self {
            link: link.to_owned(),
            pts,
            orders: Some(orders),
            thread: Some(thread),
        })
    }

    /// The UART, for drivers.
    pub fn port(&self) -> &Path {
        &self.link
    }

    /// The pseudo-terminal behind [`port`](Self::port) at the start; another one after it was plugged in again.
    pub fn pts(&self) -> &Path {
        &self.pts
    }

    /// The SPI slave.
    pub fn spi_port(&self) -> SpiPort {
        let orders = self.orders.as_ref();
        SpiPort {
            orders: orders
                .expect("a sender because only dropping takes it")
                .clone(),
        }
    }

    /// The SPI slave as a driver opens it, as often as it likes. Transactions block.
    pub fn spi(&self) -> SpiLink {
        self.spi_port().open()
    }

    /// Pulls the UART's plug: the link goes, an open port is disconnected. The camera stays powered and goes on.
    /// Blocks until it is done.
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
            let _ = orders.send_blocking(Order::Plug { plugged, done });
            let _ = wait.recv_blocking();
        }
    }
}

impl Drop for Hardware {
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
    link: PathBuf,
    pty: Option<Pty>,
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
        let (pty, outgoing) = (&mut self.pty, &mut self.outgoing);
        let uart = async {
            match pty {
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
        if self.pty.is_none() {
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
            Order::Plug { plugged, done } => {
                match plugged {
                    true => self.put_plug(),
                    false => self.pull_plug(),
                }
                let _ = done.try_send(());
            }
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
                self.put_plug();
            }
            None => {}
        }
    }

    fn pull_plug(&mut self) {
        self.pty = None;
        self.outgoing.clear();
    }

    fn put_plug(&mut self) {
        if self.pty.is_some() {
            return;
        }
        match Pty::open(Some(&self.link)) {
            Ok(pty) => self.pty = Some(pty),
            Err(error) => tracing::error!("the simulated thermal camera stays unplugged: {error}"),
        }
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
