//! The host's side of the link to an instrument: TLS ([`tls`]), then one command after the other ([`Link`]).
//!
//! ```text
//! TCP stream (whoever opened it) -> tls::secure, or plain -> Link::new -> exposure, take, spectrum, ...
//! ```
//! Nothing is retried here. Replies carry no number: after a failure nobody knows which question the next bytes answer,
//! so a link that failed once, or whose caller gave up, answers [`LinkError::Unusable`] until it is replaced.

pub mod known;
mod link;
pub mod tls;

use std::net::SocketAddr;
use std::pin::Pin;

use futures_lite::io::{AsyncRead, AsyncWrite};

pub use self::known::{KnownError, KnownInstruments};
pub use self::link::{Link, LinkError, Setting};
pub use self::tls::{ConnectError, Trust, secure};

/// Both directions of a byte stream.
pub trait ByteStream: AsyncRead + AsyncWrite {}

impl<T: AsyncRead + AsyncWrite> ByteStream for T {}

/// An open way to an instrument, encrypted or not.
pub type Port = Pin<Box<dyn ByteStream>>;

/// Takes a stream without TLS, which leads to a terminator on this machine.
///
/// # Errors
/// [`ConnectError::NotLoopback`].
pub fn plain(
    stream: impl AsyncRead + AsyncWrite + 'static,
    peer: SocketAddr,
) -> Result<Port, ConnectError> {
    match peer.ip().to_canonical().is_loopback() {
        true => Ok(Box::pin(stream)),
        false => Err(ConnectError::NotLoopback(peer)),
    }
}
