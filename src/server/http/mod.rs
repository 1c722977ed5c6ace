//! The HTTP port: pages for people, health and metrics for programs, images to fetch, and WebSockets by path.
//!
//! ```text
//! connection (hyper: heads, keep-alive, limits) -> GET, HEAD -> page | health.json | metrics | images
//!                                                  upgrade   -> handler of that path in Services::websockets
//! ```
//!
//! Nothing here changes anything: the only methods are GET and HEAD. WebSockets are for programs; pages of other sites
//! are kept out of them.

mod connection;
mod files;
mod link;
mod metrics;
mod page;
mod pages;
mod reply;
#[cfg(test)]
mod tests;
mod text;
mod websocket;

use std::net::TcpStream;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use futures_lite::FutureExt;
use smol::Async;

use self::connection::{Site, SocketTask};
use super::services::Services;
pub use websocket::{Message, WebSocket, WebSocketHandler};

/// Serves a connection until it ends.
pub(super) async fn serve(stream: Async<TcpStream>, services: Rc<Services>) {
    let Ok(peer) = stream.get_ref().peer_addr() else {
        return;
    };
    let site = Rc::new(site(&services));
    let work = connection::serve(stream, peer, site);
    if AssertUnwindSafe(work).catch_unwind().await.is_err() {
        tracing::error!("serving HTTP panicked; this is a bug in Outpost");
        services.server_health.count("panics");
    }
}

fn site(services: &Rc<Services>) -> Site {
    Site {
        clock: services.clock.clone(),
        shutdown: services.shutdown.clone(),
        health: services.server_health.clone(),
        page: {
            let services = services.clone();
            Box::new(move |path, host| {
                let (path, host) = (path.to_owned(), host.map(str::to_owned));
                Box::pin(pages::answer(services.clone(), path, host))
            })
        },
        socket: {
            let services = services.clone();
            Box::new(move |path| socket(&services, path))
        },
    }
}

fn socket(services: &Rc<Services>, path: &str) -> Option<SocketTask> {
    let (_, handler) = services.websockets.iter().find(|(at, _)| *at == path)?;
    let (handler, services) = (*handler, services.clone());
    Some(Box::new(move |socket| handler(socket, services)))
}
