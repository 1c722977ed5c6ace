//! The camera thread and the channels to it.
//!
//! Camera libraries hand out objects that may not leave their thread, and starting a stream can block for most of a
//! second, so the backend lives on a thread of its own. Both channels are bounded by the number of requests in flight.

use std::thread;

use futures_lite::future;
use smol::channel::{self, Receiver, Sender};

use super::backend::{Backend, BackendError, Controls, Frame, Request, StreamInfo};

const ORDERS: usize = 16;
const EVENTS: usize = 16;

/// What the camera thread is told.
#[derive(Debug)]
pub(super) enum Order {
    Start(Controls),
    Queue(Request),
    /// Asks for the present on the sensor's clock.
    Mark,
    Stop,
}

/// An order and its number, which the event that answers it repeats: a waiter that gave up leaves its answer behind,
/// and the next must not take it for its own.
pub(super) type Numbered = (u64, Order);

/// What the camera thread tells.
pub(super) enum Event {
    Opened(StreamInfo),
    Started(u64, StreamInfo),
    Stopped(u64),
    /// The present on the clock of the sensor's time stamps, after every frame completed before.
    Mark(u64, u64),
    Frame(Frame),
    Failed(BackendError),
}

/// The actor's ends of both channels; dropping it ends the thread.
pub(super) struct Link {
    pub(super) orders: Sender<Numbered>,
    pub(super) events: Receiver<Event>,
}

/// Starts the camera thread. `make` runs on it, so that the backend never crosses threads.
pub(super) fn spawn<B: Backend>(
    make: impl FnOnce() -> Result<B, BackendError> + Send + 'static,
) -> std::io::Result<Link> {
    let (orders, inbox) = channel::bounded(ORDERS);
    let (outbox, events) = channel::bounded(EVENTS);
    thread::Builder::new()
        .name("camera".into())
        .spawn(move || smol::block_on(serve(make, inbox, outbox)))?;
    Ok(Link { orders, events })
}

enum Step {
    Order(Numbered),
    Frame(Result<Frame, BackendError>),
    Closed,
}

async fn serve<B: Backend>(
    make: impl FnOnce() -> Result<B, BackendError>,
    orders: Receiver<Numbered>,
    events: Sender<Event>,
) {
    let opened = make().and_then(|mut backend| backend.open().map(|info| (backend, info)));
    let (mut backend, info) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            let _ = events.send(Event::Failed(error)).await;
            return;
        }
    };
    let mut event = Some(Event::Opened(info));
    let mut streaming = false;
    loop {
        if let Some(event) = event.take()
            && events.send(event).await.is_err()
        {
            break;
        }
        let order = async { orders.recv().await.map_or(Step::Closed, Step::Order) };
        let frame = async {
            match streaming {
                true => Step::Frame(backend.next_frame().await),
                false => future::pending().await,
            }
        };
        event = match future::or(order, frame).await {
            Step::Closed => break,
            Step::Frame(Ok(frame)) => Some(Event::Frame(frame)),
            Step::Frame(Err(error)) => {
                backend.stop();
                streaming = false;
                Some(Event::Failed(error))
            }
            Step::Order((number, Order::Start(controls))) => Some(match backend.start(&controls) {
                Ok(info) => {
                    streaming = true;
                    Event::Started(number, info)
                }
                Err(error) => Event::Failed(error),
            }),
            Step::Order((number, Order::Mark)) => Some(Event::Mark(number, backend.now_ns())),
            Step::Order((_, Order::Queue(request))) => {
                backend.queue(request).err().map(Event::Failed)
            }
            Step::Order((number, Order::Stop)) => {
                backend.stop();
                streaming = false;
                Some(Event::Stopped(number))
            }
        };
    }
    backend.stop();
}
