//! A simulated instrument and links to it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::future::poll_once;
use futures_lite::io::{AsyncRead, AsyncWrite};

use jiff::Timestamp;
use outpost::base::clock::{Clock, ManualClock};
use outpost::base::trace::Trace;
use outpost::msp1000::driver::{ConnectError, Link, Port, Trust, plain, secure};
use outpost::msp1000::sim::{Config, Faults, Simulator};
use smol::Async;

pub const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// No test waits longer; what takes this long is lost.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Rig {
    pub simulator: Simulator,
    pub faults: Faults,
    pub clock: Clock,
}

impl Rig {
    pub fn start(config: Config) -> Self {
        Self::with_clock(config, Clock::real())
    }

    pub fn tls() -> Self {
        Self::start(Config::default())
    }

    pub fn plain() -> Self {
        Self::start(Config {
            plain: true,
            ..Config::default()
        })
    }

    pub fn with_clock(config: Config, clock: Clock) -> Self {
        let faults = Faults::none();
        let simulator = Simulator::start(clock.clone(), config, faults.clone(), ANY).unwrap();
        Self {
            simulator,
            faults,
            clock,
        }
    }

    #[track_caller]
    pub fn fault(&self, name: &str, n: Option<u64>) {
        self.faults.set(name, n).unwrap();
    }

    pub fn address(&self) -> SocketAddr {
        self.simulator.address()
    }

    pub async fn socket(&self) -> Async<TcpStream> {
        Async::<TcpStream>::connect(self.address()).await.unwrap()
    }

    /// A link with the vendor client's trust, or none where there is no TLS.
    pub async fn link(&self) -> Link<Port> {
        let port = match self.simulator.fingerprint() {
            Some(_) => self.secure(&Trust::None).await.unwrap(),
            None => plain(self.socket().await, self.address()).unwrap(),
        };
        self.link_on(port)
    }

    pub fn link_on(&self, port: Port) -> Link<Port> {
        Link::new(port, self.clock.clone(), Trace::new(self.clock.clone()))
    }

    pub async fn secure(&self, trust: &Trust) -> Result<Port, ConnectError> {
        let connected = secure(self.socket().await, "127.0.0.1", "42", trust, &self.clock).await;
        connected.map(|(port, _)| port)
    }
}

/// Runs a test that must come to an end.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    smol::block_on(async {
        let done = Clock::real().timeout(PATIENCE, test).await;
        done.expect("a test hangs")
    })
}

/// What a scripted device does with the next read.
#[derive(Debug, Clone)]
pub enum Act {
    /// Gives these bytes.
    Say(Vec<u8>),
    /// Gives these bytes once this much was written.
    After(usize, Vec<u8>),
    /// Closes the connection.
    Close,
    /// Gives the same bytes for ever.
    Babble(Vec<u8>),
}

/// A device in memory that follows a script, silent at its end; and what was written to it.
#[derive(Debug, Clone, Default)]
pub struct Script {
    acts: Rc<RefCell<VecDeque<Act>>>,
    written: Rc<RefCell<Vec<u8>>>,
}

impl Script {
    pub fn new(acts: impl IntoIterator<Item = Act>) -> Self {
        Self {
            acts: Rc::new(RefCell::new(acts.into_iter().collect())),
            written: Rc::default(),
        }
    }

    pub fn written(&self) -> String {
        String::from_utf8(self.written.borrow().clone()).unwrap()
    }

    pub fn link(&self) -> (Link<Port>, ManualClock) {
        let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        let trace = Trace::new(clock.clone());
        (Link::new(Box::pin(self.clone()), clock, trace), hand)
    }
}

impl AsyncRead for Script {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut acts = self.acts.borrow_mut();
        let (bytes, again) = match acts.pop_front() {
            Some(Act::Say(bytes)) => (bytes, false),
            Some(Act::After(count, bytes)) if self.written.borrow().len() >= count => {
                (bytes, false)
            }
            Some(Act::Babble(bytes)) => (bytes, true),
            Some(Act::Close) => (vec![], false),
            later => {
                if let Some(later) = later {
                    acts.push_front(later);
                }
                // Polled again only when the clock moves.
                return Poll::Pending;
            }
        };
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        if again {
            acts.push_front(Act::Babble(bytes));
        } else if count < bytes.len() {
            acts.push_front(Act::Say(bytes[count..].to_vec()));
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Script {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.written.borrow_mut().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The outcome of `work` once `time` has passed; it must not be over 1 ms before.
pub fn after<T>(hand: &ManualClock, time: Duration, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    assert!(smol::block_on(poll_once(&mut work)).is_none());
    hand.advance(time - Duration::from_millis(1));
    assert!(smol::block_on(poll_once(&mut work)).is_none());
    hand.advance(Duration::from_millis(1));
    smol::block_on(poll_once(&mut work)).expect("it is over")
}
