//! Whoever waits for a change of state on the main thread.

use std::cell::RefCell;

use smol::channel::{self, Sender};

/// Those who wait for the next time that something comes about. Nobody is kept who has given up.
#[derive(Debug, Default)]
pub struct Waiters(RefCell<Vec<Sender<()>>>);

impl Waiters {
    /// Resolves when they are woken next, from this call on.
    pub fn next(&self) -> impl Future<Output = ()> + use<> {
        let (sender, woken) = channel::bounded::<()>(1);
        let mut waiting = self.0.borrow_mut();
        waiting.retain(|waiter| !waiter.is_closed());
        waiting.push(sender);
        async move {
            // It ends when the sender is dropped.
            let _ = woken.recv().await;
        }
    }

    /// Wakes all.
    pub fn wake(&self) {
        self.0.borrow_mut().clear();
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::*;

    #[test]
    fn all_are_woken_and_those_who_gave_up_are_not_kept() {
        let waiters = Waiters::default();
        let (first, second) = (waiters.next(), waiters.next());
        drop(second);
        let mut third = Box::pin(waiters.next());
        assert_eq!(waiters.0.borrow().len(), 2);
        assert_eq!(block_on(poll_once(&mut third)), None);
        waiters.wake();
        block_on(first);
        block_on(third);
        let mut late = Box::pin(waiters.next());
        assert_eq!(block_on(poll_once(&mut late)), None);
    }
}
