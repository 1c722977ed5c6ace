//! The blocking pool: what would block the executor runs here, a few at a time, in a bounded queue.

use std::cell::Cell;
use std::rc::Rc;

use smol::lock::Semaphore;

use super::error::{Failure, Kind};
use super::health::Health;

const THREADS: usize = 4;
const QUEUE: usize = 64;

/// Runs blocking work off the main thread. Main thread only; clones share the limits.
#[derive(Debug, Clone)]
pub struct BlockingPool {
    permits: Rc<Semaphore>,
    waiting: Rc<Cell<usize>>,
    health: Health,
}

struct Waiting<'a>(&'a Cell<usize>);

impl BlockingPool {
    /// A pool of four threads and a queue of 64; refusals are counted as `pool_overflows`.
    pub fn new(health: Health) -> Self {
        health.add("pool_overflows", 0);
        Self {
            permits: Rc::new(Semaphore::new(THREADS)),
            waiting: Rc::default(),
            health,
        }
    }

    /// Runs `work` on a pool thread. Dropping the future lets running work finish unheard.
    ///
    /// # Errors
    /// [`Kind::OutOfMemory`] when the queue is full.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        if self.waiting.get() >= QUEUE {
            self.health.count("pool_overflows");
            return Err(Failure::new(
                Kind::OutOfMemory,
                format!("{QUEUE} operations are already waiting"),
            ));
        }
        let _permit = {
            self.waiting.set(self.waiting.get() + 1);
            let _waiting = Waiting(&self.waiting);
            self.permits.acquire().await
        };
        Ok(smol::unblock(work).await)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
