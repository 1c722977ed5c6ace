//! What hyper stands on: the socket with a limit on how long a client may take nothing, and the station's clock.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_lite::{AsyncRead, AsyncWrite};
use hyper::rt::{Sleep, Timer};
use smol::Async;

use crate::base::clock::Clock;
use crate::server::connection::STALL_LIMIT;

/// Rest of a request that is read and thrown away, so that the answer is not lost with it.
const LINGER_BYTES: usize = 256 * 1024;
/// Time for that.
const LINGER: Duration = Duration::from_secs(2);

type Pause = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// A connection whose writes fail with [`io::ErrorKind::TimedOut`] when the client takes nothing for a minute.
pub(super) struct Link {
    stream: Async<TcpStream>,
    clock: Clock,
    /// Runs while a write waits.
    stall: Option<Pause>,
}

impl Link {
    pub(super) fn new(stream: Async<TcpStream>, clock: Clock) -> Self {
        Self {
            stream,
            clock,
            stall: None,
        }
    }

    /// Ends the connection. What the client still sends is read for a while: closing on unread bytes would reset the
    /// connection and take the answer away from the client.
    pub(super) async fn finish(self) {
        use futures_lite::AsyncReadExt;
        let Self { stream, clock, .. } = self;
        if stream.get_ref().shutdown(Shutdown::Write).is_err() {
            return;
        }
        let rest = async {
            let (mut stream, mut seen, mut scrap) = (stream, 0, vec![0; 4096]);
            while seen < LINGER_BYTES {
                match stream.read(&mut scrap).await {
                    Ok(n) if n > 0 => seen += n,
                    _ => return,
                }
            }
        };
        clock.timeout(LINGER, rest).await;
    }

    fn limited<T>(
        &mut self,
        cx: &mut Context<'_>,
        attempt: impl FnOnce(Pin<&mut Async<TcpStream>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(done) = attempt(Pin::new(&mut self.stream), cx) {
            self.stall = None;
            return Poll::Ready(done);
        }
        let stall = self
            .stall
            .get_or_insert_with(|| pause_until(&self.clock, self.clock.now() + STALL_LIMIT));
        stall
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.limited(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.limited(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.limited(cx, |stream, cx| stream.poll_close(cx))
    }
}

fn pause_until(clock: &Clock, due: Instant) -> Pause {
    let clock = clock.clone();
    Box::pin(async move { clock.sleep_until(due).await })
}

/// hyper's time-outs by the station's clock.
pub(super) struct ClockTimer(pub(super) Clock);

struct ClockSleep(Pause);

impl Timer for ClockTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.0.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(ClockSleep(pause_until(&self.0, deadline)))
    }

    fn now(&self) -> Instant {
        self.0.now()
    }
}

impl Sleep for ClockSleep {}

impl Future for ClockSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}
