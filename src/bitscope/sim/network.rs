//! The device behind TCP, and behind the datagrams of a bitscope-server.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_lite::future::or;
use smol::Async;
use smol::channel::{Sender, bounded};

use super::device::{Config, Device};
use super::faults::{Fault, Faults};
use super::front;
use super::port::until;
use crate::base::clock::Clock;
use crate::bitscope::proto::datagram::ReplyHeader;
use crate::bitscope::proto::datagram::{HEADER, MAX_DATAGRAM, REPLY_DATA, decode_request};

/// Which adaptor it says it is.
const LIA_ID: u16 = 1;
/// Between two datagrams of one answer.
const PAUSE: Duration = Duration::from_millis(1);

/// How it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// A raw byte stream on TCP: one client, others wait.
    Tcp,
    /// A bitscope-server's datagrams: any number of clients, without locks, as the real one.
    Udp,
}

/// A simulated BitScope on the network. It runs, on a thread of its own, until this is dropped.
#[derive(Debug)]
pub struct NetworkFront {
    address: SocketAddr,
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl NetworkFront {
    /// Listens at `address`; port 0 for any.
    ///
    /// # Errors
    /// Those of the system: address in use or not of this machine, no thread.
    pub fn start(
        protocol: Protocol,
        clock: Clock,
        config: Config,
        faults: Faults,
        address: SocketAddr,
    ) -> io::Result<Self> {
        match protocol {
            Protocol::Tcp => {
                let listener = Async::<TcpListener>::bind(address)?;
                let address = listener.get_ref().local_addr()?;
                Self::run(address, serve_streams(clock, config, faults, listener))
            }
            Protocol::Udp => {
                let socket = Async::<UdpSocket>::bind(address)?;
                let address = socket.get_ref().local_addr()?;
                Self::run(address, serve_datagrams(clock, config, faults, socket))
            }
        }
    }

    fn run(
        address: SocketAddr,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<Self> {
        let (alive, end) = bounded(1);
        let thread = thread::Builder::new()
            .name("bitscope-sim".into())
            .spawn(move || smol::block_on(or(work, until(end))))?;
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

impl Drop for NetworkFront {
    /// Waits until the port is closed.
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve_streams(clock: Clock, config: Config, faults: Faults, listener: Async<TcpListener>) {
    let mut device = Device::new(config, faults.clone());
    loop {
        let Ok((mut client, _)) = listener.accept().await else {
            // Out of descriptors: there is a client to come, later.
            clock.sleep(Duration::from_millis(100)).await;
            continue;
        };
        let _ = client.get_ref().set_nodelay(true);
        if let Ok(Some(ms)) = front::serve(&mut device, &faults, &mut client).await {
            drop(client);
            clock.sleep(Duration::from_millis(ms)).await;
            device = Device::new(config, faults.clone());
        }
    }
}

async fn serve_datagrams(clock: Clock, config: Config, faults: Faults, socket: Async<UdpSocket>) {
    let mut server = Datagrams::new(config, faults.clone());
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        // Errors are those of clients that are gone.
        let Ok((count, client)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let ms = faults.take(Fault::Vanish);
        if ms > 0 {
            clock.sleep(Duration::from_millis(ms)).await;
            server = Datagrams::new(config, faults.clone());
            continue;
        }
        let Ok((cmd_id, commands)) = decode_request(&buffer[..count]) else {
            continue;
        };
        let mut answer = Answer::new(cmd_id);
        for byte in commands {
            let replies = server.obey(&mut answer, *byte);
            send(&clock, &socket, client, replies).await;
        }
        send(&clock, &socket, client, server.finish(&mut answer)).await;
    }
}

async fn send(clock: &Clock, socket: &Async<UdpSocket>, client: SocketAddr, replies: Vec<Vec<u8>>) {
    for reply in replies {
        let _ = socket.send_to(&reply, client).await;
        clock.sleep(PAUSE).await;
    }
}

/// The answer to one datagram of commands.
#[derive(Debug)]
pub struct Answer {
    cmd_id: u8,
    sequence: u8,
    pending: Vec<u8>,
    /// Changes places with the next.
    held: Option<Vec<u8>>,
}

impl Answer {
    /// Before the first command.
    pub fn new(cmd_id: u8) -> Self {
        Self {
            cmd_id,
            sequence: 0,
            pending: Vec::new(),
            held: None,
        }
    }
}

/// The server's side of the datagrams, without a socket.
#[derive(Debug)]
pub struct Datagrams {
    device: Device,
    faults: Faults,
    /// Every other datagram comes through.
    lost_last: bool,
}

impl Datagrams {
    /// A server with a device that was just plugged in.
    pub fn new(config: Config, faults: Faults) -> Self {
        Self {
            device: Device::new(config, faults.clone()),
            faults,
            lost_last: false,
        }
    }

    /// All replies to one datagram; none to one without commands.
    pub fn answer(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        let Ok((cmd_id, commands)) = decode_request(datagram) else {
            return Vec::new();
        };
        let mut answer = Answer::new(cmd_id);
        let mut replies = Vec::new();
        for byte in commands {
            replies.extend(self.obey(&mut answer, *byte));
        }
        replies.extend(self.finish(&mut answer));
        replies
    }

    /// Takes one command; the replies that are full.
    pub fn obey(&mut self, answer: &mut Answer, command: u8) -> Vec<Vec<u8>> {
        self.device.receive(&[command], &mut answer.pending);
        let mut replies = Vec::new();
        while answer.pending.len() >= REPLY_DATA {
            let rest = answer.pending.split_off(REPLY_DATA);
            let data = std::mem::replace(&mut answer.pending, rest);
            self.reply(answer, &data, &mut replies);
        }
        replies
    }

    /// The last replies.
    pub fn finish(&mut self, answer: &mut Answer) -> Vec<Vec<u8>> {
        let mut replies = Vec::new();
        let data = std::mem::take(&mut answer.pending);
        if !data.is_empty() {
            self.reply(answer, &data, &mut replies);
        }
        replies.extend(answer.held.take());
        replies
    }

    /// Appends a datagram with these data, unless a fault has other plans.
    fn reply(&mut self, answer: &mut Answer, data: &[u8], replies: &mut Vec<Vec<u8>>) {
        let header = ReplyHeader {
            lia_id: LIA_ID,
            cmd_id: answer.cmd_id,
            data_seq: answer.sequence,
        };
        answer.sequence = answer.sequence.wrapping_add(1);
        let header: [u8; HEADER] = match self.faults.number(Fault::Header) {
            0 => header.encode(),
            _ => [header.cmd_id, header.data_seq, 0, LIA_ID as u8],
        };
        let datagram = [&header, data].concat();
        if !self.lost_last && self.faults.strike(Fault::UdpLoss) {
            self.lost_last = true;
            return;
        }
        self.lost_last = false;
        if let Some(held) = answer.held.take() {
            replies.extend([datagram, held]);
        } else if self.faults.strike(Fault::UdpReorder) {
            answer.held = Some(datagram);
        } else {
            let copy = self
                .faults
                .strike(Fault::UdpDouble)
                .then(|| datagram.clone());
            replies.push(datagram);
            replies.extend(copy);
        }
    }
}
