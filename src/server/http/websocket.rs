//! WebSockets on the HTTP port: which requests become one, and what their handlers work with.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::handshake::derive_accept_key;
use async_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use async_tungstenite::tungstenite::{self, Error};
use futures_lite::StreamExt;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::link::Link;
use super::reply::{Body, empty, refusal};
use crate::base::shutdown::Shutdown;
use crate::server::services::Services;

/// Longest message that a client may send, in bytes, all fragments together.
const LONGEST_MESSAGE: usize = 64 * 1024;
/// Unsent output beyond which sending fails; one message more than the longest that is sent.
const OUTPUT_LIMIT: usize = 4 * 1024 * 1024;

/// Serves a WebSocket from its first message to its end. One for each path in [`Services::websockets`].
pub type WebSocketHandler = fn(WebSocket, Rc<Services>) -> Pin<Box<dyn Future<Output = ()>>>;

/// A message of the application; pings are answered and control frames handled before it sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

/// An open WebSocket.
pub struct WebSocket {
    stream: WebSocketStream<Link>,
    peer: SocketAddr,
    shutdown: Shutdown,
}

impl WebSocket {
    /// Takes over a connection after the handshake; `early` is what the client sent right behind it.
    pub(super) async fn new(
        link: Link,
        early: Vec<u8>,
        peer: SocketAddr,
        shutdown: Shutdown,
    ) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(16 * 1024)
            .write_buffer_size(0)
            .max_write_buffer_size(OUTPUT_LIMIT)
            .max_message_size(Some(LONGEST_MESSAGE))
            .max_frame_size(Some(LONGEST_MESSAGE));
        let role = Role::Server;
        let stream = WebSocketStream::from_partially_read(link, early, role, Some(config)).await;
        Self {
            stream,
            peer,
            shutdown,
        }
    }

    /// The client.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The next message of at most 64 KiB; `None` when the client has left or the station stops. Dropping the future
    /// loses nothing.
    ///
    /// # Errors
    /// What breaks the protocol ([`io::ErrorKind::InvalidData`]; the client has been told), and those of the connection.
    pub async fn receive(&mut self) -> io::Result<Option<Message>> {
        loop {
            let next = self.shutdown.guard(self.stream.next()).await;
            match next.flatten() {
                Some(Ok(tungstenite::Message::Text(text))) => {
                    return Ok(Some(Message::Text(text.as_str().to_owned())));
                }
                Some(Ok(tungstenite::Message::Binary(bytes))) => {
                    return Ok(Some(Message::Binary(bytes)));
                }
                Some(Ok(_)) => {}
                None | Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) => {
                    return Ok(None);
                }
                Some(Err(error)) => return Err(self.give_up(error).await),
            }
        }
    }

    /// Sends a message and waits until the system has it whole.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] when the client takes nothing for a minute, others when the connection has ended.
    /// A message whose future is dropped may still be sent, whole, with the next one.
    pub async fn send(&mut self, message: Message) -> io::Result<()> {
        let message = match message {
            Message::Text(text) => tungstenite::Message::Text(text.into()),
            Message::Binary(bytes) => tungstenite::Message::Binary(bytes),
        };
        self.stream.send(message).await.map_err(io_error)
    }

    /// Tells the client that no more will come, and ends the connection.
    pub async fn close(mut self) {
        let _ = self.stream.close(None).await;
        self.stream.into_inner().finish().await;
    }

    /// Tells a client what it did wrong before the connection ends.
    async fn give_up(&mut self, error: Error) -> io::Error {
        use tungstenite::protocol::CloseFrame;
        use tungstenite::protocol::frame::coding::CloseCode;
        let code = match &error {
            Error::Capacity(_) => CloseCode::Size,
            Error::Utf8(_) => CloseCode::Invalid,
            Error::Protocol(_) => CloseCode::Protocol,
            _ => return io_error(error),
        };
        let frame = CloseFrame {
            code,
            reason: "".into(),
        };
        let _ = self.stream.close(Some(frame)).await;
        io_error(error)
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::NotConnected.into(),
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}

/// Whether a request asks for a WebSocket.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    has_token(headers, header::UPGRADE, "websocket")
}

/// The answer to such a request for a path that has one: the handshake (status 101), or why not.
pub(super) fn answer(headers: &HeaderMap) -> Response<Body> {
    if !comes_from_here(headers) {
        return refusal(
            StatusCode::FORBIDDEN,
            "pages of other sites may not use this instrument",
        );
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let version = headers.get(header::SEC_WEBSOCKET_VERSION);
    let (Some(key), true, true) = (
        key.filter(|key| key.len() == 24),
        has_token(headers, header::CONNECTION, "upgrade"),
        version.is_some_and(|version| version == "13"),
    ) else {
        let mut response = refusal(
            StatusCode::UPGRADE_REQUIRED,
            "this is no WebSocket handshake of version 13",
        );
        let wanted = HeaderValue::from_static("13");
        response
            .headers_mut()
            .insert(header::SEC_WEBSOCKET_VERSION, wanted);
        return response;
    };
    let accept = derive_accept_key(key.as_bytes());
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let answers = response.headers_mut();
    answers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    answers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = accept.parse() {
        answers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|word| word.trim().eq_ignore_ascii_case(token))
}

/// Whether the request comes from a program, or from a page of this very station.
///
/// A browser sends the origin of the page that opens a WebSocket, wherever that page came from: without this check any
/// site that a user visits could drive the instruments on the user's network. A name that somebody else's DNS server
/// may point at this station proves nothing, so the host must be an address or a name of the local network.
fn comes_from_here(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_ascii_lowercase);
    let (Some(origin), Some(host)) = (text(origin), headers.get(header::HOST).and_then(text))
    else {
        return false;
    };
    origin.strip_prefix("http://") == Some(host.as_str()) && is_local_name(&host)
}

/// An address, a name without dots, or one of mDNS; with or without a port.
fn is_local_name(host: &str) -> bool {
    if host.starts_with('[') {
        return true;
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let name = name.trim_end_matches('.');
    name.parse::<std::net::Ipv4Addr>().is_ok() || !name.contains('.') || name.ends_with(".local")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn the_handshake_answers_the_key_of_the_standard() {
        // RFC 6455, section 1.3.
        let request = headers(&[
            ("host", "192.168.1.5:8080"),
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
        ]);
        assert!(is_wanted(&request));
        let response = answer(&request);
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(
            response.headers()[header::SEC_WEBSOCKET_ACCEPT],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn half_a_handshake_is_refused_with_the_version_that_is_spoken() {
        let request = headers(&[("upgrade", "websocket"), ("sec-websocket-version", "8")]);
        let response = answer(&request);
        assert_eq!(response.status(), StatusCode::UPGRADE_REQUIRED);
        assert_eq!(response.headers()[header::SEC_WEBSOCKET_VERSION], "13");
    }

    #[test]
    fn only_programs_and_own_pages_may_use_it() {
        let allowed =
            |origin, host| comes_from_here(&headers(&[("origin", origin), ("host", host)]));
        assert!(comes_from_here(&headers(&[("host", "anything.example")])));
        for host in [
            "192.168.1.5:8080",
            "192.168.1.5",
            "[fe80::1]:8080",
            "localhost:1",
            "outpost-1.local:8080",
        ] {
            let origin: &'static str = format!("http://{host}").leak();
            assert!(allowed(origin, host), "{host}");
        }
        for (origin, host) in [
            ("http://evil.example", "192.168.1.5:8080"),
            ("https://192.168.1.5:8080", "192.168.1.5:8080"),
            ("http://192.168.1.5", "192.168.1.5:8080"),
            ("null", "192.168.1.5:8080"),
            // A site whose DNS answers with this station's address.
            ("http://evil.example:8080", "evil.example:8080"),
            ("http://1.2.3.4.evil.example", "1.2.3.4.evil.example"),
        ] {
            assert!(!allowed(origin, host), "{origin}");
        }
    }
}
