//! One TCP connection: bytes in, and unsent output with a bound.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use smol::Async;

use crate::base::clock::Clock;

/// Unsent output above which a connection's input is left unread.
pub(super) const OUTPUT_LIMIT: usize = 256 * 1024;
/// A client that takes nothing of its output for this long is gone.
pub(super) const STALL_LIMIT: Duration = Duration::from_secs(60);
/// One read; several messages fit.
const INPUT_CHUNK: usize = 16 * 1024;

/// A connection and its output.
pub(super) struct Connection {
    stream: Async<TcpStream>,
    clock: Clock,
    output: Vec<u8>,
    sent: usize,
    progress: Instant,
    input: Box<[u8]>,
}

impl Connection {
    pub(super) fn new(stream: Async<TcpStream>, clock: Clock) -> Self {
        let progress = clock.now();
        Self {
            stream,
            clock,
            output: Vec::new(),
            sent: 0,
            progress,
            input: vec![0; INPUT_CHUNK].into_boxed_slice(),
        }
    }

    /// Bytes of output not yet taken by the kernel.
    pub(super) fn unsent(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Sends a response message: one write where the kernel takes it whole, the rest later in order.
    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let mut rest = message;
        if self.unsent() == 0 {
            self.progress = self.clock.now();
            match self.stream.get_ref().write(message) {
                Ok(n) => rest = &message[n..],
                Err(error) if is_transient(&error) => {}
                Err(error) => return Err(error),
            }
        }
        self.output.extend_from_slice(rest);
        Ok(())
    }

    /// Pushes output until at most `keep` bytes are unsent.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] when the client takes nothing for [`STALL_LIMIT`]. Dropping the future loses nothing.
    pub(super) async fn flush(&mut self, keep: usize) -> io::Result<()> {
        while self.unsent() > keep {
            let writable = self.stream.writable();
            futures_lite::future::or(writable, self.stall()).await?;
            self.push()?;
        }
        Ok(())
    }

    /// Waits for input while pushing output; `None` when `pause` passed without any. Empty means end of input.
    ///
    /// # Errors
    /// Those of the connection, and [`io::ErrorKind::TimedOut`] as [`Connection::flush`].
    pub(super) async fn receive(&mut self, pause: Option<Duration>) -> io::Result<Option<&[u8]>> {
        loop {
            self.flush(OUTPUT_LIMIT).await?;
            match self.stream.get_ref().read(&mut self.input) {
                Ok(n) => return Ok(Some(&self.input[..n])),
                Err(error) if is_transient(&error) => {}
                Err(error) => return Err(error),
            }
            match self.wake(pause).await? {
                Wake::Readable => {}
                Wake::Writable => self.push()?,
                Wake::Pause => return Ok(None),
            }
        }
    }

    /// Ends both directions.
    pub(super) fn close(&self) {
        let _ = self.stream.get_ref().shutdown(Shutdown::Both);
    }

    async fn wake(&self, pause: Option<Duration>) -> io::Result<Wake> {
        use futures_lite::future::{or, pending};
        let readable = async { self.stream.readable().await.map(|()| Wake::Readable) };
        let pause = async {
            match pause {
                Some(pause) => self.clock.sleep(pause).await,
                None => pending().await,
            }
            Ok(Wake::Pause)
        };
        if self.unsent() == 0 {
            return or(readable, pause).await;
        }
        let writable = async { self.stream.writable().await.map(|()| Wake::Writable) };
        or(or(readable, writable), or(pause, self.stall())).await
    }

    /// Resolves, as an error, when the client has taken nothing for too long.
    async fn stall<T>(&self) -> io::Result<T> {
        self.clock.sleep_until(self.progress + STALL_LIMIT).await;
        Err(io::ErrorKind::TimedOut.into())
    }

    fn push(&mut self) -> io::Result<()> {
        match self.stream.get_ref().write(&self.output[self.sent..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                self.sent += n;
                self.progress = self.clock.now();
            }
            Err(error) if is_transient(&error) => {}
            Err(error) => return Err(error),
        }
        if self.unsent() == 0 {
            self.output.clear();
            self.output.shrink_to(OUTPUT_LIMIT);
            self.sent = 0;
        } else if self.sent >= OUTPUT_LIMIT {
            // A client that always leaves a rest would otherwise keep everything it was ever sent.
            self.output.drain(..self.sent);
            self.sent = 0;
        }
        Ok(())
    }
}

enum Wake {
    Readable,
    Writable,
    Pause,
}

fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
