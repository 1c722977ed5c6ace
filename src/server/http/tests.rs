//! A connection by itself, on a clock that is moved by hand, with an echo as its WebSocket.

use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use async_tungstenite::tungstenite::{self, Message as Wire};
use async_tungstenite::{WebSocketStream, client_async};
use futures_lite::future::{or, poll_once};
use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt};
use smol::{Async, LocalExecutor};

use super::connection::{Site, serve};
use super::reply::{TEXT, content};
use super::{Message, WebSocket};
use crate::base::clock::{Clock, ManualClock};
use crate::base::health::{Health, HealthBook, State};
use crate::base::shutdown::{Trigger, shutdown};

const START: &str = "2026-11-20T08:00:00Z";
/// Between looks where no event tells of the change.
const LOOK_EVERY: Duration = Duration::from_millis(2);

struct Bench {
    executor: Rc<LocalExecutor<'static>>,
    site: Rc<Site>,
    hand: ManualClock,
    health: Health,
    trigger: Trigger,
}

async fn echo(mut socket: WebSocket) {
    while let Ok(Some(message)) = socket.receive().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
    socket.close().await;
}

impl Bench {
    fn new() -> Self {
        let (clock, hand) = Clock::manual(START.parse().unwrap());
        let (trigger, shutdown) = shutdown();
        let health = HealthBook::new(clock.clone()).register("server", State::Ready);
        let site = Site {
            clock,
            shutdown,
            health: health.clone(),
            page: Box::new(|path, _| {
                let text = match path {
                    "/large" => "x".repeat(64 << 20),
                    path => path.to_owned(),
                };
                Box::pin(async { content(TEXT, text) })
            }),
            socket: Box::new(|path| {
                (path == "/echo")
                    .then(|| -> super::SocketTask { Box::new(|socket| Box::pin(echo(socket))) })
            }),
        };
        Self {
            executor: Rc::new(LocalExecutor::new()),
            site: Rc::new(site),
            hand,
            health,
            trigger,
        }
    }

    /// A connection that is being served, and what becomes ready when serving it has ended.
    fn connect(&self) -> (Async<TcpStream>, smol::Task<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (served, peer) = listener.accept().unwrap();
        let served = Async::new(served).unwrap();
        let task = self.executor.spawn(serve(served, peer, self.site.clone()));
        (Async::new(client).unwrap(), task)
    }

    fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let limit = async {
            smol::Timer::after(Duration::from_secs(30)).await;
            panic!("hangs");
        };
        smol::block_on(self.executor.run(or(work, limit)))
    }

    /// Moves the clock by seconds, `each` time after a call, until `work` is done; gives their number.
    async fn seconds_until<T>(
        &self,
        work: impl Future<Output = T>,
        mut each: impl FnMut(),
    ) -> (u64, T) {
        let mut work = pin!(work);
        for seconds in 0.. {
            if let Some(done) = poll_once(&mut work).await {
                return (seconds, done);
            }
            smol::Timer::after(LOOK_EVERY).await;
            each();
            self.hand.advance(Duration::from_secs(1));
        }
        unreachable!("the range has no end")
    }
}

/// Everything up to the end of the connection.
async fn rest(client: &mut Async<TcpStream>) -> Vec<u8> {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).await.unwrap();
    bytes
}

async fn socket(client: Async<TcpStream>, path: &str) -> WebSocketStream<Async<TcpStream>> {
    let url = format!("ws://127.0.0.1{path}");
    client_async(url, client).await.unwrap().0
}

#[test]
fn a_websocket_echoes_text_bytes_and_pings_at_any_size() {
    let bench = Bench::new();
    bench.run(async {
        let (client, task) = bench.connect();
        let mut socket = socket(client, "/echo").await;
        for message in [
            Wire::text("get_spectrum"),
            Wire::text(""),
            Wire::binary(vec![]),
            Wire::binary(vec![7; 64 * 1024]),
            Wire::text("x".repeat(64 * 1024)),
        ] {
            socket.send(message.clone()).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), message);
        }
        socket.send(Wire::Ping("p".into())).await.unwrap();
        assert_eq!(
            socket.next().await.unwrap().unwrap(),
            Wire::Pong("p".into())
        );
        socket.close(None).await.unwrap();
        assert!(matches!(socket.next().await, Some(Ok(Wire::Close(_)))));
        drop(socket);
        task.await;
        assert_eq!(bench.health.counter("websockets"), 1);
    });
}

#[test]
fn what_comes_right_behind_the_handshake_is_not_lost() {
    let bench = Bench::new();
    bench.run(async {
        let (mut client, _task) = bench.connect();
        let head = "GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        // RFC 6455, section 5.7: "Hello", masked.
        let hello = [
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ];
        client.write_all(&[head.as_bytes(), &hello].concat()).await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"\x81\x05Hello") {
            let mut piece = [0; 512];
            let n = client.read(&mut piece).await.unwrap();
            assert!(n > 0, "{}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&piece[..n]);
        }
        let text = String::from_utf8_lossy(&seen);
        assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
        assert!(text.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{text}");
    });
}

#[test]
fn a_message_too_long_or_not_masked_ends_the_websocket_with_its_reason() {
    let bench = Bench::new();
    bench.run(async {
        let (client, task) = bench.connect();
        let mut socket = socket(client, "/echo").await;
        socket
            .send(Wire::binary(vec![0; 64 * 1024 + 1]))
            .await
            .unwrap();
        let Some(Ok(Wire::Close(Some(frame)))) = socket.next().await else {
            panic!("no reason given");
        };
        assert_eq!(u16::from(frame.code), 1009);
        drop(socket);
        task.await;

        let (client, task) = bench.connect();
        let mut client = self::socket(client, "/echo").await.into_inner();
        client.write_all(b"\x81\x05Hello").await.unwrap();
        let end = rest(&mut client).await;
        assert_eq!(end, b"\x88\x02\x03\xea", "close, 1002");
        drop(client);
        task.await;
    });
}

#[test]
fn websockets_are_told_when_the_station_stops() {
    let bench = Bench::new();
    bench.run(async {
        let (client, task) = bench.connect();
        let mut socket = socket(client, "/echo").await;
        bench.trigger.fire();
        assert!(matches!(socket.next().await, Some(Ok(Wire::Close(_)))));
        drop(socket);
        task.await;
    });
}

#[test]
fn paths_without_websocket_and_pages_of_other_sites_are_refused() {
    let bench = Bench::new();
    bench.run(async {
        let (client, _task) = bench.connect();
        let refused = client_async("ws://127.0.0.1/other", client).await;
        assert!(
            matches!(&refused, Err(tungstenite::Error::Http(response)) if response.status() == 404)
        );
        let (mut client, _task) = bench.connect();
        let head = "GET /echo HTTP/1.1\r\nHost: 10.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Origin: http://evil.example\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        client.write_all(head.as_bytes()).await.unwrap();
        client.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
        let answer = rest(&mut client).await;
        assert!(answer.starts_with(b"HTTP/1.1 403 "));
    });
}

#[test]
fn a_head_that_does_not_end_is_given_15_seconds() {
    let bench = Bench::new();
    bench.run(async {
        let (mut client, task) = bench.connect();
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n")
            .await
            .unwrap();
        // A line a second does not prolong it.
        let mut line = client.get_ref().try_clone().unwrap();
        let seconds = bench.seconds_until(rest(&mut client), || {
            let _ = std::io::Write::write(&mut line, b"X: y\r\n");
        });
        let (seconds, seen) = seconds.await;
        assert!((15..50).contains(&seconds), "{seconds} s");
        assert_eq!(seen, b"", "more than 64 lines would be answered");
        drop((client, line));
        task.await;
    });
}

#[test]
fn a_connection_is_kept_between_requests_and_closed_when_idle_for_15_seconds() {
    let bench = Bench::new();
    bench.run(async {
        let (mut client, task) = bench.connect();
        for _ in 0..3 {
            client
                .write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
                .await
                .unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"\r\n\r\n/a") {
                let mut piece = [0; 1024];
                let n = client.read(&mut piece).await.unwrap();
                assert!(n > 0);
                seen.extend_from_slice(&piece[..n]);
            }
        }
        let (seconds, seen) = bench.seconds_until(rest(&mut client), || {}).await;
        assert!(seconds >= 15, "{seconds} s");
        assert_eq!(seen, b"");
        drop(client);
        task.await;
        assert_eq!(bench.health.counter("http_requests"), 3);
    });
}

#[test]
fn a_client_that_takes_nothing_is_closed_after_a_minute() {
    let bench = Bench::new();
    bench.run(async {
        let (mut client, task) = bench.connect();
        client
            .write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        // The first byte tells that the answer is under way; the kernel's buffers fill up while nobody reads on.
        client.read_exact(&mut [0]).await.unwrap();
        let (seconds, ()) = bench.seconds_until(task, || {}).await;
        assert!(seconds >= 60, "{seconds} s");
    });
}

#[test]
fn messages_know_their_peer() {
    let bench = Bench::new();
    let site = Site {
        socket: Box::new(|_| {
            Some(Box::new(|mut socket: WebSocket| {
                Box::pin(async move {
                    let peer = socket.peer().to_string();
                    let _ = socket.send(Message::Text(peer)).await;
                    socket.close().await;
                })
            }))
        }),
        clock: bench.site.clock.clone(),
        shutdown: bench.site.shutdown.clone(),
        health: bench.health.clone(),
        page: Box::new(|_, _| Box::pin(async { content(TEXT, "") })),
    };
    let bench = Bench {
        site: Rc::new(site),
        ..bench
    };
    bench.run(async {
        let (client, task) = bench.connect();
        let own = client.get_ref().local_addr().unwrap().to_string();
        let mut socket = socket(client, "/").await;
        assert_eq!(socket.next().await.unwrap().unwrap(), Wire::text(own));
        drop(socket);
        task.await;
    });
}
