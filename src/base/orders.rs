//! Orders to an actor: a bounded queue, and for each question the one answer that comes back.

use futures_lite::future::or;
use smol::channel::{self, Sender, TrySendError};

use super::health::Health;

/// Why an order was not taken, or not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// So many wait already.
    Full(usize),
    /// The actor has ended, as the station stops.
    Stopping,
}

/// Puts an order into an actor's queue.
///
/// # Errors
/// [`Refused::Full`], counted as `queue_overflows`; [`Refused::Stopping`].
pub fn put<O>(queue: &Sender<O>, health: &Health, order: O) -> Result<(), Refused> {
    queue.try_send(order).map_err(|error| match error {
        TrySendError::Full(_) => {
            health.count("queue_overflows");
            Refused::Full(queue.len())
        }
        TrySendError::Closed(_) => Refused::Stopping,
    })
}

/// Puts the order that `order` makes of the way back, and waits for the answer as long as the actor lives. Dropping the
/// future closes the way back: the actor may skip the order then.
///
/// # Errors
/// Those of [`put`], and [`Refused::Stopping`] when the actor ends without an answer.
pub async fn ask<O, T>(
    queue: &Sender<O>,
    health: &Health,
    order: impl FnOnce(Sender<T>) -> O,
) -> Result<T, Refused> {
    let (reply, answer) = channel::bounded(1);
    put(queue, health, order(reply))?;
    let answered = async { answer.recv().await.ok() };
    // What is left in the queue of an actor that has ended is never looked at, nor dropped before the queue is.
    let ended = async {
        queue.closed().await;
        None
    };
    or(answered, ended).await.ok_or(Refused::Stopping)
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::*;
    use crate::base::clock::Clock;
    use crate::base::health::{HealthBook, State};

    #[test]
    fn a_question_is_answered_or_told_why_not() {
        let health = HealthBook::new(Clock::real()).register("part", State::Ready);
        let (orders, inbox) = channel::bounded::<Sender<u8>>(1);
        block_on(async {
            let mut first = Box::pin(ask(&orders, &health, |reply| reply));
            assert_eq!(poll_once(&mut first).await, None);
            let second = ask(&orders, &health, |reply| reply).await;
            assert_eq!(second, Err(Refused::Full(1)));
            assert_eq!(health.counter("queue_overflows"), 1);

            inbox.recv().await.unwrap().try_send(7).unwrap();
            assert_eq!(first.await, Ok(7));

            let mut left = Box::pin(ask(&orders, &health, |reply| reply));
            assert_eq!(poll_once(&mut left).await, None);
            drop(inbox);
            assert_eq!(left.await, Err(Refused::Stopping));
            let late = ask(&orders, &health, |reply| reply).await;
            assert_eq!(late, Err(Refused::Stopping));
        });
    }
}
