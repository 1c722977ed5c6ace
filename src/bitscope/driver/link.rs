//! The link: bytes to the device, bytes from it, whatever carries them.

use std::future::poll_fn;
use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_lite::io::{AsyncRead, AsyncWrite};
use smol::Async;

use super::error::ScopeError;
use crate::base::clock::Clock;
use crate::base::trace::{Direction, Trace};
use crate::bitscope::proto::datagram::{Assembler, MAX_DATAGRAM, encode_request};
use crate::bitscope::proto::{Class, Command};

/// Both directions of a byte stream.
pub trait ByteStream: AsyncRead + AsyncWrite {}

impl<T: AsyncRead + AsyncWrite> ByteStream for T {}

/// A serial port or a TCP connection.
pub type Port = Pin<Box<dyn ByteStream>>;

/// Datagrams to one peer and from it.
pub trait Datagrams {
    /// Sends one.
    ///
    /// # Errors
    /// Those of the system. A peer that refuses is no error here but silence.
    fn poll_send(&mut self, cx: &mut Context<'_>, datagram: &[u8]) -> Poll<io::Result<()>>;

    /// Receives one into `buffer`; its length.
    ///
    /// # Errors
    /// Those of the system.
    fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;
}

/// A connected socket.
impl Datagrams for Async<UdpSocket> {
    fn poll_send(&mut self, cx: &mut Context<'_>, datagram: &[u8]) -> Poll<io::Result<()>> {
        loop {
            match self.get_ref().send(datagram) {
                Ok(_) => return Poll::Ready(Ok(())),
                // Nobody listens there at present; what was sent is lost as datagrams are.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            ready!(self.poll_writable(cx))?;
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.get_ref().recv(buffer) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.poll_readable(cx))?;
                }
                result => return Poll::Ready(result),
            }
        }
    }
}

/// What carries the bytes.
pub enum Link {
    /// A serial port or a TCP connection.
    Stream(Port),
    /// A bitscope-server.
    Datagrams {
        /// The socket.
        socket: Box<dyn Datagrams>,
        /// Command bytes of a datagram: [`SERVER_COMMANDS`], or [`ADAPTOR_COMMANDS`] for a network adaptor.
        ///
        /// [`SERVER_COMMANDS`]: crate::bitscope::proto::datagram::SERVER_COMMANDS
        /// [`ADAPTOR_COMMANDS`]: crate::bitscope::proto::datagram::ADAPTOR_COMMANDS
        max_commands: usize,
    },
}

/// Bytes that are echoed before more are sent on a stream: less than any buffer on the way holds.
const STREAM_SEGMENT: usize = 1024;

/// The link with what has come in and is not yet taken.
pub(super) struct Wire {
    link: Link,
    pub(super) clock: Clock,
    pub(super) trace: Trace,
    inbox: Vec<u8>,
    buffer: Vec<u8>,
    assembler: Assembler,
    next_cmd_id: u8,
}

impl Wire {
    pub(super) fn new(link: Link, clock: Clock, trace: Trace) -> Self {
        let size = match link {
            Link::Stream(_) => 4096,
            Link::Datagrams { .. } => MAX_DATAGRAM,
        };
        Self {
            link,
            clock,
            trace,
            inbox: Vec::new(),
            buffer: vec![0; size],
            assembler: Assembler::default(),
            next_cmd_id: 0,
        }
    }

    pub(super) fn is_datagrams(&self) -> bool {
        matches!(self.link, Link::Datagrams { .. })
    }

    /// What has come in and is not yet taken.
    pub(super) fn inbox(&self) -> &[u8] {
        &self.inbox
    }

    /// Takes the first bytes that came in.
    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.inbox.split_off(count.min(self.inbox.len()));
        std::mem::replace(&mut self.inbox, rest)
    }

    pub(super) fn clear(&mut self) {
        self.inbox.clear();
    }

    /// How many of the next bytes go at once: on a stream up to a command that must be echoed first, in a datagram as
    /// many as it holds, cut behind such a command where possible.
    pub(super) fn segment(&self, bytes: &[u8]) -> usize {
        let delayed = |byte: &u8| Command::decode(*byte).class() == Class::Delayed;
        match &self.link {
            Link::Stream(_) => {
                let window = &bytes[..bytes.len().min(STREAM_SEGMENT)];
                let cut = window.iter().position(delayed);
                cut.map_or(window.len(), |index| index + 1)
            }
            Link::Datagrams { max_commands, .. } => {
                let max = (*max_commands).max(1);
                if bytes.len() <= max {
                    return bytes.len();
                }
                let good = |byte: &u8| delayed(byte) || *byte == b'W';
                let cut = bytes[..max].iter().rposition(good);
                cut.map_or(max, |index| index + 1)
            }
        }
    }

    /// Sends all bytes; as one datagram of commands where datagrams carry them.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), ScopeError> {
        self.trace
            .note(Direction::Sent, || bytes.escape_ascii().to_string());
        match &mut self.link {
            Link::Stream(port) => {
                let mut sent = 0;
                while sent < bytes.len() {
                    let rest = &bytes[sent..];
                    match poll_fn(|cx| port.as_mut().poll_write(cx, rest)).await? {
                        0 => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                        count => sent += count,
                    }
                }
                poll_fn(|cx| port.as_mut().poll_flush(cx)).await?;
            }
            Link::Datagrams { socket, .. } => {
                let cmd_id = self.next_cmd_id;
                self.next_cmd_id = cmd_id.wrapping_add(1);
                self.assembler.begin(cmd_id);
                let mut datagram = Vec::with_capacity(1 + bytes.len());
                encode_request(cmd_id, bytes, &mut datagram);
                poll_fn(|cx| socket.poll_send(cx, &datagram)).await?;
            }
        }
        Ok(())
    }

    /// Waits for more bytes until `due`, if that is given; whether some came. Nothing is lost when dropped.
    pub(super) async fn fill(&mut self, due: Option<Instant>) -> Result<bool, ScopeError> {
        let clock = self.clock.clone();
        let late = async {
            match due {
                Some(due) => clock.sleep_until(due).await,
                None => std::future::pending().await,
            }
            Ok(false)
        };
        let more = async {
            loop {
                if self.receive().await? > 0 {
                    return Ok(true);
                }
            }
        };
        futures_lite::future::or(more, late).await
    }

    /// Appends what comes next to the inbox; how much that was, perhaps nothing.
    async fn receive(&mut self) -> Result<usize, ScopeError> {
        let buffer = &mut self.buffer;
        let before = self.inbox.len();
        match &mut self.link {
            Link::Stream(port) => {
                let count = poll_fn(|cx| port.as_mut().poll_read(cx, buffer)).await?;
                if count == 0 {
                    let text = "the BitScope closed the connection";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text).into());
                }
                self.inbox.extend_from_slice(&buffer[..count]);
            }
            Link::Datagrams { socket, .. } => {
                let count = poll_fn(|cx| socket.poll_receive(cx, buffer)).await?;
                // A datagram that is none is like one that was lost.
                let _ = self.assembler.receive(&buffer[..count], &mut self.inbox);
            }
        }
        let new = &self.inbox[before..];
        if !new.is_empty() {
            self.trace.note(Direction::Received, || shown(new));
        }
        Ok(new.len())
    }

    /// What answers the last datagram stays welcome after the next.
    pub(super) fn keep_answers(&mut self) {
        self.assembler.keep();
    }

    /// Begins anew to find out what the header of datagrams says.
    pub(super) fn forget_header(&mut self) {
        self.assembler = Assembler::default();
    }

    /// Waits until so many bytes are in the inbox.
    pub(super) async fn expect(
        &mut self,
        count: usize,
        what: &'static str,
        limit: Duration,
    ) -> Result<(), ScopeError> {
        let due = self.clock.now() + limit;
        while self.inbox.len() < count {
            if !self.fill(Some(due)).await? {
                return Err(ScopeError::Silent {
                    what,
                    limit,
                    received: self.inbox.len(),
                    expected: count,
                });
            }
        }
        Ok(())
    }
}

/// Text as it is, a dump as its size.
fn shown(bytes: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    match bytes.iter().all(plain) {
        true => bytes.escape_ascii().to_string(),
        false => format!("{} bytes", bytes.len()),
    }
}
