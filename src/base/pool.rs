//! The blocking pool: what would block the executor runs here, a few at a time, in a bounded queue.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use smol::lock::Semaphore;

use super::error::{Failure, Kind};
use super::health::Health;

/// Runs blocking work off the main thread. Main thread only; clones share the limits.
#[derive(Debug, Clone)]
pub struct BlockingPool {
    permits: Rc<Semaphore>,
    waiting: Rc<Cell<usize>>,
    queue: usize,
    /// Where refusals are counted, and under which name.
    overflows: (Health, &'static str),
}

struct Waiting<'a>(&'a Cell<usize>);

impl BlockingPool {
    /// Runs `threads` pieces of work at a time and lets `queue` more wait; refusals are counted as `counter`.
    pub fn new(threads: usize, queue: usize, health: Health, counter: &'static str) -> Self {
        health.add(counter, 0);
        Self {
            permits: Rc::new(Semaphore::new(threads)),
            waiting: Rc::default(),
            queue,
            overflows: (health, counter),
        }
    }

    /// Runs `work` on a pool thread. Dropping the future lets running work finish unheard.
    ///
    /// # Errors
    /// [`Kind::Busy`] when the queue is full, [`Kind::Internal`] when `work` panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        if self.waiting.get() >= self.queue {
            let (health, counter) = &self.overflows;
            health.count(counter);
            let message = format!("{} operations are already waiting", self.queue);
            return Err(Failure::new(Kind::Busy, message));
        }
        self.run_in_turn(work).await
    }

    /// As [`BlockingPool::run`] for work whose number is bounded already: it waits for its turn, however long the
    /// queue.
    ///
    /// # Errors
    /// [`Kind::Internal`] when `work` panicked.
    pub async fn run_in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let _permit = {
            self.waiting.set(self.waiting.get() + 1);
            let _waiting = Waiting(&self.waiting);
            self.permits.acquire().await
        };
        smol::unblock(|| catch_unwind(AssertUnwindSafe(work)))
            .await
            .map_err(|_| Failure::new(Kind::Internal, "a bug in Outpost; the log tells more"))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;
    use crate::base::health::{HealthBook, State};

    #[test]
    fn a_full_queue_refuses_and_a_panic_is_an_answer() {
        let book = HealthBook::new(Clock::real());
        let health = book.register("server", State::Ready);
        let pool = BlockingPool::new(1, 1, health, "pool_overflows");
        let (go, gate) = smol::channel::bounded::<()>(1);
        smol::block_on(async {
            let mut first = Box::pin(pool.run(move || gate.recv_blocking().is_err()));
            assert!(futures_lite::future::poll_once(&mut first).await.is_none());
            let mut second = Box::pin(pool.run(|| 2));
            assert!(futures_lite::future::poll_once(&mut second).await.is_none());
            assert_eq!(pool.run(|| 3).await.map_err(|f| f.kind), Err(Kind::Busy));
            drop(go);
            assert_eq!(first.await, Ok(true));
            assert_eq!(second.await, Ok(2));
            let bug = pool
                .run(|| {
                    if true {
                        panic!("a test's own bug")
                    }
                })
                .await;
            assert_eq!(bug.map_err(|f| f.kind), Err(Kind::Internal));
        });
        assert_eq!(book.reports(None)[0].counters["pool_overflows"], 1);
    }
}
