//! One HTTP connection: requests one after the other until it ends or becomes a WebSocket.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use smol::Async;
use smol_hyper::rt::FuturesIo;

use super::link::{ClockTimer, Link};
use super::reply::{Body, not_found, refusal};
use super::text;
use super::websocket::{self, WebSocket};
use crate::base::clock::Clock;
use crate::base::health::Health;
use crate::base::shutdown::Shutdown;

/// Time for the head of a request, and for which an idle connection is kept.
const HEAD_LIMIT: Duration = Duration::from_secs(15);
/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// Header lines of a request.
const HEAD_LINES: usize = 64;
/// Time for the last answers when the station stops.
const FAREWELL: Duration = Duration::from_secs(2);

pub(super) type Work<T> = Pin<Box<dyn Future<Output = T>>>;

/// What a connection is served with.
pub(super) struct Site {
    pub(super) clock: Clock,
    pub(super) shutdown: Shutdown,
    /// Counts requests, refusals and WebSockets.
    pub(super) health: Health,
    /// Answers a GET of this path from a client that reached the station by this name or address.
    pub(super) page: Box<dyn Fn(&str, Option<&str>) -> Work<Response<Body>>>,
    /// What serves a WebSocket of this path.
    pub(super) socket: Box<dyn Fn(&str) -> Option<SocketTask>>,
}

/// Serves an open WebSocket to its end.
pub(super) type SocketTask = Box<dyn FnOnce(WebSocket) -> Work<()>>;

/// Serves a connection until it ends.
pub(super) async fn serve(stream: Async<TcpStream>, peer: SocketAddr, site: Rc<Site>) {
    let taken = Rc::new(Cell::new(None));
    let service = service_fn(|request| {
        let (site, taken) = (site.clone(), taken.clone());
        Box::pin(async move { Ok::<_, Infallible>(respond(&site, request, &taken).await) })
    });
    let io = FuturesIo::new(Link::new(stream, site.clock.clone()));
    let mut connection = Builder::new()
        .timer(ClockTimer(site.clock.clone()))
        // Scripts close their side behind the request.
        .half_close(true)
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_LINES)
        .serve_connection(io, service);
    let run = poll_fn(|cx| connection.poll_without_shutdown(cx));
    let ended = match site.shutdown.guard(run).await {
        Some(ended) => Some(ended),
        None => {
            Pin::new(&mut connection).graceful_shutdown();
            let rest = poll_fn(|cx| connection.poll_without_shutdown(cx));
            site.clock.timeout(FAREWELL, rest).await
        }
    };
    match &ended {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::debug!(%error, "HTTP connection ended"),
        None => return,
    }
    let parts = connection.into_parts();
    let link = parts.io.into_inner();
    match (taken.take(), ended) {
        (Some(task), Some(Ok(()))) => {
            site.health.count("websockets");
            let early = parts.read_buf.to_vec();
            let socket = WebSocket::new(link, early, peer, site.shutdown.clone()).await;
            task(socket).await;
        }
        _ => link.finish().await,
    }
}

async fn respond(
    site: &Site,
    request: Request<Incoming>,
    taken: &Cell<Option<SocketTask>>,
) -> Response<Body> {
    site.health.count("http_requests");
    let response = route(site, &request, taken).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        site.health.count("http_refusals");
    }
    response
}

async fn route(
    site: &Site,
    request: &Request<Incoming>,
    taken: &Cell<Option<SocketTask>>,
) -> Response<Body> {
    if !request.body().is_end_stream() {
        let mut response = refusal(StatusCode::PAYLOAD_TOO_LARGE, "no request has a body here");
        // Whatever follows is not read as a request.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
        return response;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = refusal(
            StatusCode::METHOD_NOT_ALLOWED,
            "pages here can be read, no more: GET and HEAD",
        );
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(header::ALLOW, allowed);
        return response;
    }
    let path = request.uri().path();
    if *request.method() == Method::GET && websocket::is_wanted(request.headers()) {
        let Some(task) = (site.socket)(path) else {
            return not_found();
        };
        let response = websocket::answer(request.headers());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            taken.set(Some(task));
        }
        return response;
    }
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| text::host_name(host.to_str().ok()?));
    (site.page)(path, host).await
}
