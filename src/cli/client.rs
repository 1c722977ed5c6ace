//! A SCPI client on a raw socket: messages out, replies in, and a way to know that no reply is coming.
//!
//! A command gives no reply and neither does a failed query, so each message is followed by `SYST:ERR?` and `SYST:VERS?`,
//! which always do. Replies come in order: if the second is an error entry, the first was the message's own.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::config::HostPort;

/// Longest reply outside a block, in bytes.
const LONGEST_LINE: usize = 16 << 20;
/// Entries read from the error queue at most; a station keeps 32.
const MOST_ERRORS: usize = 1000;

/// A connection to a station.
pub(super) struct Client {
    stream: BufReader<TcpStream>,
    peer: String,
    timeout: Duration,
}

/// What came back for one message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Exchange {
    /// Length of the definite-length block the reply began with; its bytes went to the writer.
    pub(super) block: Option<u64>,
    /// The reply, or what followed the block; without the line end.
    pub(super) line: Option<Vec<u8>>,
    /// The error queue, oldest first.
    pub(super) errors: Vec<String>,
}

/// Why a station could not be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("cannot find the host {peer}: {source}")]
    Resolve { peer: String, source: io::Error },
    #[error("cannot reach a station at {peer}: {source}")]
    Connect { peer: String, source: io::Error },
    #[error("no reply from {peer} within {} s", timeout.as_secs_f64())]
    TimedOut { peer: String, timeout: Duration },
    #[error("{peer} closed the connection before it had answered")]
    Closed { peer: String },
    #[error("lost the connection to {peer}: {source}")]
    Lost { peer: String, source: io::Error },
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    #[error("{peer} does not speak SCPI: {what}")]
    Protocol { peer: String, what: String },
}

impl Client {
    /// Connects to the first address that accepts; `timeout` holds for each step from then on.
    pub(super) fn connect(target: &HostPort, timeout: Duration) -> Result<Self, ClientError> {
        let peer = target.to_string();
        let addresses = (target.host.as_str(), target.port).to_socket_addrs();
        let resolve = |source| ClientError::Resolve {
            peer: peer.clone(),
            source,
        };
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses.map_err(resolve)? {
            match TcpStream::connect_timeout(&address, timeout) {
                Ok(stream) => return Self::over(stream, peer, timeout),
                Err(error) => failure = error,
            }
        }
        let source = failure;
        Err(ClientError::Connect { peer, source })
    }

    fn over(stream: TcpStream, peer: String, timeout: Duration) -> Result<Self, ClientError> {
        let set_up = stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(timeout)))
            .and_then(|()| stream.set_write_timeout(Some(timeout)));
        match set_up {
            Ok(()) => Ok(Self {
                stream: BufReader::with_capacity(64 << 10, stream),
                peer,
                timeout,
            }),
            Err(source) => Err(ClientError::Connect { peer, source }),
        }
    }

    /// Sends one message and reads what comes back, block bytes into `block_to`.
    pub(super) fn exchange(
        &mut self,
        message: &str,
        block_to: &mut dyn Write,
    ) -> Result<Exchange, ClientError> {
        self.send(&format!("{message}\nSYST:ERR?\nSYST:VERS?\n"))?;
        let mut exchange = Exchange::default();
        let mut error = if self.peek()? == b'#' {
            let length = self.block_length()?;
            exchange.block = Some(length);
            self.copy_block(length, block_to)?;
            exchange.line = Some(self.line()?).filter(|rest| !rest.is_empty());
            self.line()?
        } else {
            self.line()?
        };
        let next = self.line()?;
        if exchange.block.is_none() && error_code(&next).is_some() {
            exchange.line = Some(error);
            error = next;
            self.line()?;
        }
        exchange.errors = self.drain(error)?;
        Ok(exchange)
    }

    /// Reads the error queue to its end; `entry` is the first that came.
    fn drain(&mut self, mut entry: Vec<u8>) -> Result<Vec<String>, ClientError> {
        let mut errors = Vec::new();
        for _ in 0..MOST_ERRORS {
            match error_code(&entry) {
                Some(0) => return Ok(errors),
                Some(_) => errors.push(String::from_utf8_lossy(&entry).into_owned()),
                None => {
                    let shown = String::from_utf8_lossy(&entry).escape_debug().to_string();
                    return Err(self.protocol(format!("SYST:ERR? answered \"{shown}\"")));
                }
            }
            self.send("SYST:ERR?\n")?;
            entry = self.line()?;
        }
        Err(self.protocol("its error queue does not end".into()))
    }

    fn send(&mut self, text: &str) -> Result<(), ClientError> {
        let sent = self.stream.get_mut().write_all(text.as_bytes());
        sent.map_err(|error| self.lost(error))
    }

    fn peek(&mut self) -> Result<u8, ClientError> {
        self.fill()?;
        let next = self.stream.buffer().first().copied();
        next.ok_or_else(|| ClientError::Closed {
            peer: self.peer.clone(),
        })
    }

    /// Makes the buffer non-empty unless the connection has ended.
    fn fill(&mut self) -> Result<(), ClientError> {
        let filled = self.stream.fill_buf().map(drop);
        filled.map_err(|error| self.lost(error))
    }

    fn byte(&mut self) -> Result<u8, ClientError> {
        let byte = self.peek()?;
        self.stream.consume(1);
        Ok(byte)
    }

    /// Reads `#`, the count of digits and the digits.
    fn block_length(&mut self) -> Result<u64, ClientError> {
        self.byte()?;
        let digits = self.byte()?;
        let mut length = 0u64;
        for _ in 0..digits.saturating_sub(b'0') {
            let digit = self.byte()?;
            if !digit.is_ascii_digit() {
                return Err(self.protocol("a block has a malformed length".into()));
            }
            length = length * 10 + u64::from(digit - b'0');
        }
        match digits {
            b'1'..=b'9' => Ok(length),
            _ => Err(self.protocol("a block has no length".into())),
        }
    }

    fn copy_block(&mut self, length: u64, to: &mut dyn Write) -> Result<(), ClientError> {
        let mut left = length;
        while left > 0 {
            self.peek()?;
            let buffer = self.stream.buffer();
            let count = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            to.write_all(&buffer[..count])
                .map_err(ClientError::Output)?;
            self.stream.consume(count);
            left -= count as u64;
        }
        Ok(())
    }

    /// Reads up to the LF that ends a reply: one that is not inside a block. Blocks begin where a value does, not in a string.
    fn line(&mut self) -> Result<Vec<u8>, ClientError> {
        let mut line = Vec::new();
        let mut quote = None;
        loop {
            let byte = self.peek()?;
            if quote.is_none() && byte == b'#' && matches!(line.last(), Some(b';' | b',')) {
                let length = self.block_length()?;
                self.inner_block(length, &mut line)?;
                continue;
            }
            self.stream.consume(1);
            match (byte, quote) {
                (b'\n', _) => break,
                (b'"' | b'\'', None) => quote = Some(byte),
                (_, Some(open)) if byte == open => quote = None,
                _ => {}
            }
            line.push(byte);
            self.check_length(line.len())?;
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(line)
    }

    /// Keeps a block inside a longer reply as it came.
    fn inner_block(&mut self, length: u64, line: &mut Vec<u8>) -> Result<(), ClientError> {
        let digits = length.to_string();
        line.extend_from_slice(format!("#{}{digits}", digits.len()).as_bytes());
        let total = usize::try_from(length).unwrap_or(usize::MAX);
        self.check_length(total.saturating_add(line.len()))?;
        self.copy_block(length, line)
    }

    fn check_length(&self, length: usize) -> Result<(), ClientError> {
        match length > LONGEST_LINE {
            true => Err(self.protocol(format!("a reply is longer than {LONGEST_LINE} bytes"))),
            false => Ok(()),
        }
    }

    fn lost(&self, source: io::Error) -> ClientError {
        let peer = self.peer.clone();
        match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::TimedOut {
                peer,
                timeout: self.timeout,
            },
            _ => ClientError::Lost { peer, source },
        }
    }

    fn protocol(&self, what: String) -> ClientError {
        let peer = self.peer.clone();
        ClientError::Protocol { peer, what }
    }
}

/// The part of `-240,"Hardware error;what happened"` that says what happened.
pub(super) fn detail(entry: &str) -> String {
    let text = entry.split_once(',').map_or(entry, |(_, text)| text);
    let text = text.trim().trim_matches('"').replace("\"\"", "\"");
    let detail = text.split_once(';').map(|(_, detail)| detail.to_owned());
    detail.unwrap_or(text)
}

/// The number of an error entry `-113,"Undefined header"`; `None` if it is no such entry.
fn error_code(entry: &[u8]) -> Option<i32> {
    let entry = std::str::from_utf8(entry).ok()?;
    let (number, text) = entry.split_once(',')?;
    let is_entry = text.trim_start().starts_with('"');
    number.trim().parse().ok().filter(|_| is_entry)
}
